import numpy as np
import pytest

from utils import evaluation

LEFT = np.array([[[True, False], [True, False]]])


def test_wilsons_interval_of_9_in_10():
    # Wilson 1927 with z = 1.96, worked by hand: (0.9 + 0.19208) / 1.38416 = 0.789, half width 0.193
    share, low, high = evaluation.accuracy_interval(np.array([True] * 9 + [False]))
    assert share == 0.9
    np.testing.assert_allclose([low, high], [0.596, 0.982], atol=1e-3)


def test_an_interval_of_a_perfect_score_is_not_empty():
    share, low, high = evaluation.accuracy_interval(np.ones(50, bool))
    assert share == 1
    assert 0.9 < low < 1
    assert high == pytest.approx(1)


def test_nothing_counted_has_no_accuracy():
    row = evaluation.accuracy_row("any", "test", np.zeros(0, bool)).iloc[0]
    assert row["n"] == 0
    assert np.isnan(row["accuracy"])


@pytest.mark.parametrize(
    ("heatmap", "hit", "energy"),
    [
        ([[3, 1], [0, 0]], True, 0.75),
        ([[1, 3], [0, 0]], False, 0.25),
        ([[1, -9], [0, 0]], True, 1.0),  # what is negative is no evidence
        ([[0, 0], [0, 0]], False, 0.0),  # a map that is nowhere positive points at nothing
        ([[-1, -2], [-3, -4]], False, 0.0),
    ],
)
def test_peak_and_energy_by_hand(heatmap, hit, energy):
    maps = np.array([heatmap], float)
    assert evaluation.peak_inside(maps, LEFT).tolist() == [hit]
    assert evaluation.energy_inside(maps, LEFT).tolist() == [energy]


def test_a_blur_takes_the_peak_from_a_lone_pixel_to_a_bright_area():
    maps = np.zeros((1, 50, 50))
    maps[0, 5, 5] = 2
    maps[0, 30:40, 30:40] = 1
    right = np.zeros((1, 50, 50), bool)
    right[0, :, 25:] = True
    assert not evaluation.peak_inside(maps, right)
    assert evaluation.peak_inside(evaluation.blurred(maps, 0.04), right)


def test_a_map_that_knows_nothing_has_lift_one():
    maps, masks = np.ones((3, 4, 4)), np.zeros((3, 4, 4), bool)
    masks[:, :2] = True
    table = evaluation.localisation("flat", maps, {"top": masks})
    assert table.loc[0, ["energy", "area", "lift"]].tolist() == [0.5, 0.5, 1.0]


def test_without_masks_the_localisation_is_an_empty_table():
    table = evaluation.localisation("any", np.ones((3, 4, 4)), {})
    assert len(table) == 0
    assert "pointing" in table


def test_total_variation_by_hand_and_its_independence_of_scale():
    stripes = np.array([[[0.0, 2.0], [0.0, 2.0]]])  # across: 2, down: 0; mean 1
    np.testing.assert_allclose(evaluation.total_variation(stripes), [2.0])
    np.testing.assert_allclose(evaluation.total_variation(7 * stripes), [2.0])
    assert evaluation.total_variation(np.ones((1, 3, 3))) == [0.0]
    assert evaluation.total_variation(np.zeros((1, 3, 3))) == [0.0]


def test_averaging_keeps_the_mean_of_equal_tiles():
    maps = np.arange(16.0).reshape(1, 4, 4)
    np.testing.assert_array_equal(evaluation.averaged(maps, 2), [[[2.5, 4.5], [10.5, 12.5]]])
    np.testing.assert_array_equal(evaluation.averaged(maps, 4), maps)


def test_averaging_150_to_9_keeps_a_constant():
    np.testing.assert_allclose(evaluation.averaged(np.full((1, 150, 150), 3.0), 9), 3.0)


def test_agreement_is_one_with_itself_and_minus_one_with_the_reverse():
    maps = np.random.default_rng(0).random((5, 3, 3))
    table = evaluation.agreement({"a": maps, "b": maps**3, "c": -maps})
    np.testing.assert_allclose(table, [[1, 1, -1], [1, 1, -1], [-1, -1, 1]])


def test_agreement_with_other_pictures_finds_what_all_maps_share():
    middle = np.zeros((4, 3, 3))
    middle[:, 1, 1] = 1
    assert evaluation.agreement({"a": middle, "b": middle}, shift=1).loc["a", "b"] == pytest.approx(
        1
    )
    noise = np.random.default_rng(1).random((500, 3, 3))
    assert abs(evaluation.agreement({"a": noise, "b": noise}, shift=1).loc["a", "b"]) < 0.05


def test_a_flat_map_agrees_with_nothing():
    maps = {"flat": np.ones((2, 3, 3)), "other": np.random.default_rng(0).random((2, 3, 3))}
    assert evaluation.agreement(maps).loc["flat", "other"] == 0


def test_painting_over_leaves_nothing_of_what_was_there():
    images = np.random.default_rng(0).integers(0, 255, (2, 4, 4, 3), "uint8")
    masks = np.zeros((2, 4, 4), bool)
    masks[:, :2] = True
    painted = evaluation.paint_over(images, masks)
    assert painted.dtype == np.uint8
    assert (painted[:, :2] == painted[:, :1, :1]).all()
    np.testing.assert_array_equal(painted[:, 2:], images[:, 2:])


def test_a_paired_difference_that_is_the_same_everywhere_is_certain():
    a = np.random.default_rng(0).random(20)
    np.testing.assert_allclose(evaluation.bootstrap(a + 0.25 - a), 0.25)


def test_a_constant_probability_has_that_area():
    images, maps = np.ones((2, 4, 4, 3), "uint8"), np.random.default_rng(0).random((2, 4, 4))

    def constant(pictures):
        return np.full((len(pictures), 2), [0.3, 0.7])

    for turned in (evaluation.deletion, evaluation.insertion):
        curves = turned(constant, images, maps, 1, steps=5)
        assert curves.shape == (2, 6)
        np.testing.assert_allclose(evaluation.area_under(curves), 0.7)
