import numpy as np
import pytest

from utils import evaluation

LEFT = np.array([[[True, False], [True, False]]])


def test_the_interval_of_a_difference_of_accuracies_is_newcombes():
    """56 of 70 and 48 of 80: the example of the paper's table II, 0.0524 to 0.3339."""
    a, b = np.arange(70) < 56, np.arange(80) < 48
    expected = (0.2, 0.0524, 0.3339)
    np.testing.assert_allclose(evaluation.accuracy_difference(a, b), expected, atol=5e-5)
    assert evaluation.accuracy_difference(b, a)[1:] == pytest.approx((-0.3339, -0.0524), abs=5e-5)


def test_dice_is_twice_the_shared_part_over_both():
    a, b = np.zeros((2, 4, 4), bool), np.zeros((2, 4, 4), bool)
    a[0, :2], b[0, 1:2] = True, True  # 8 and 4 pixels, 4 of them shared
    assert evaluation.dice(a, b)[0] == 8 / 12
    assert np.isnan(evaluation.dice(a, b)[1])


def test_the_depth_of_a_mask_is_largest_in_its_middle():
    mask = np.zeros((1, 7, 7), bool)
    mask[0, 1:6, 1:6] = True
    depth = evaluation.depth(mask)[0]
    assert np.unravel_index(depth.argmax(), depth.shape) == (3, 3)
    assert depth[3, 3] == 3 and depth[1, 3] == 1 and depth[0, 3] == 0


def test_a_baseline_of_each_picture_is_paired_with_it():
    """Values that beat each picture's own baseline by about 1 hold, however far these lie apart."""
    baseline = np.linspace(-50, 50, 20)
    values = baseline + 1 + np.resize([-0.1, 0.1], 20)
    row = evaluation.verdict("c", "s", "t", values, baseline).iloc[0]
    assert row["verdict"] == "holds" and row["effect"] == pytest.approx(1)
    assert row["baseline"] == pytest.approx(0) and row["low"] > 0.9
    unpaired = evaluation.verdict("c", "s", "t", values, 0.0).iloc[0]
    assert unpaired["verdict"] == "open"


def test_precision_and_recall_are_those_of_the_covid_class():
    """4 slices are COVID, 3 of them are called so, and 2 that are not: 3 of 5, and 3 of 4."""
    labels = ["COVID"] * 4 + ["non-COVID"] * 6
    predicted = ["COVID"] * 3 + ["non-COVID"] + ["COVID"] * 2 + ["non-COVID"] * 4
    table = evaluation.precision_recall(labels, predicted, "COVID").set_index("measure")
    assert table["n"].to_dict() == {"precision": 5, "recall": 4}
    assert table["share"].to_dict() == {"precision": 3 / 5, "recall": 3 / 4}
    other = evaluation.precision_recall(labels, predicted, "non-COVID")["share"]
    assert other.tolist() == [4 / 5, 4 / 6]


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


@pytest.mark.fault("no test pictures at all", "nan, and no error")
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


def picture_of(*rows):
    """One map (1, h, w)."""
    return np.array([rows], float)


NAN_MAP = picture_of([1.0, np.nan], [0.0, 0.0])
NO_MASK = np.zeros((1, 2, 2), bool)


def test_nothing_counted_has_no_interval():
    assert np.isnan(evaluation.accuracy_interval(np.zeros(0, bool))).all()


# Where a map points


def test_a_flat_map_is_a_miss_even_where_all_is_mask():
    everywhere = np.ones((1, 2, 2), bool)
    assert evaluation.peak_inside(np.ones((1, 2, 2)), everywhere) == [0.0]
    assert evaluation.peak_inside(picture_of([1, 2], [1, 1]), everywhere) == [1.0]


@pytest.mark.fault("an empty mask", "has no measure, and counts as no hit", "its measure")
def test_an_empty_mask_is_undefined_and_no_hit():
    for measure in (evaluation.peak_inside, evaluation.energy_inside, evaluation.lift):
        assert np.isnan(measure(picture_of([3, 1], [0, 0]), NO_MASK)).all()


def test_an_empty_mask_stays_undefined_with_a_tolerance():
    assert np.isnan(evaluation.peak_inside(picture_of([3, 1], [0, 0]), NO_MASK, 5)).all()


@pytest.mark.fault(
    "a map with a nan among the others", "has no measure, its neighbours have", "its measure"
)
def test_a_map_with_a_nan_is_undefined_and_its_neighbour_is_not():
    maps, masks = np.concatenate([NAN_MAP, picture_of([3, 1], [0, 0])]), np.repeat(LEFT, 2, 0)
    np.testing.assert_array_equal(evaluation.peak_inside(maps, masks), [np.nan, 1])
    np.testing.assert_array_equal(evaluation.energy_inside(maps, masks), [np.nan, 0.75])
    np.testing.assert_array_equal(evaluation.lift(maps, masks), [np.nan, 1.5])


@pytest.mark.parametrize(
    ("heatmap", "hit"),
    [
        ([[2, 0], [2, 0]], 1.0),  # both peaks are left
        ([[2, 2], [0, 0]], 0.0),  # one is not, and argmax alone would not see it
    ],
)
def test_tied_peaks_hit_only_if_all_are_inside(heatmap, hit):
    assert evaluation.peak_inside(picture_of(*heatmap), LEFT) == [hit]


@pytest.mark.parametrize(("tolerance", "hit"), [(0, 0.0), (4.9, 0.0), (5, 1.0)])
def test_a_peak_counts_within_the_tolerance_of_the_mask(tolerance, hit):
    maps, masks = np.zeros((1, 6, 6)), np.zeros((1, 6, 6), bool)
    maps[0, 3, 4], masks[0, 0, 0] = 1, True  # 3 down and 4 across: 5 pixels
    assert evaluation.peak_inside(maps, masks, tolerance) == [hit]


def test_a_mask_of_0_and_255_is_a_mask():
    maps = picture_of([3, 1], [0, 0])
    assert evaluation.energy_inside(maps, LEFT * np.uint8(255)) == [0.75]
    assert evaluation.lift(maps, LEFT * np.uint8(255)) == [1.5]
    assert evaluation.peak_inside(maps, LEFT * np.uint8(255)) == [1.0]


def test_a_coarse_map_does_not_meet_the_mask_of_a_picture():
    with pytest.raises(ValueError, match="enlarge"):
        evaluation.energy_inside(np.ones((1, 1, 1)), LEFT)


def test_the_energy_is_a_share_and_its_lift_is_over_the_share_of_the_area():
    maps = picture_of([3, 1], [0, 0])
    corner = np.array([[[True, False], [False, False]]])
    assert evaluation.energy_inside(maps, corner) == [0.75]
    assert evaluation.lift(maps, corner) == [3.0]


def test_the_lift_of_a_picture_does_not_depend_on_how_many_there_are():
    maps, masks = np.random.default_rng(0).random((5, 2, 2)), np.repeat(LEFT, 5, 0)
    np.testing.assert_array_equal(
        evaluation.lift(maps, masks)[2:3], evaluation.lift(maps[2:3], masks[2:3])
    )


def test_the_baselines_are_the_centre_the_edges_and_noise():
    images = np.zeros((2, 9, 9, 3), "uint8")
    images[:, :, 6:] = 200
    maps = evaluation.baseline_maps(images)
    assert {name: m.shape for name, m in maps.items()} == dict.fromkeys(maps, (2, 9, 9))
    assert maps["centre"][0].argmax() == 4 * 9 + 4
    assert sorted(set(np.nonzero(maps["edges"][0])[1])) == [5, 6]
    assert all(m.min() >= 0 for m in maps.values())
    np.testing.assert_array_equal(maps["random"], evaluation.baseline_maps(images)["random"])
    assert (maps["random"][0] != maps["random"][1]).any()


def test_localisation_counts_the_defined_pictures_and_names_the_best_baseline():
    hit, miss = picture_of([3, 1], [0, 0]), picture_of([1, 3], [0, 0])
    maps = np.concatenate([hit, miss, NAN_MAP, hit])
    masks = np.concatenate([LEFT, LEFT, LEFT, NO_MASK])
    baselines = {"good": np.concatenate([miss, hit, hit, hit]), "bad": np.repeat(miss, 4, 0)}
    row = evaluation.localisation("any", maps, {"left": masks}, baselines=baselines).iloc[0]
    assert row[["n", "pointing", "energy", "area", "lift", "baseline"]].tolist() == [
        *(2, 0.5, 0.5, 0.5, 1.0, 0.5)
    ]


def test_localisation_without_baselines_or_defined_pictures_says_nan():
    row = evaluation.localisation("any", NAN_MAP, {"left": LEFT}).iloc[0]
    assert row["n"] == 0
    assert row[["pointing", "low", "high", "energy", "area", "baseline"]].isna().all()


# Noise and sparsity


@pytest.mark.parametrize(
    ("wavelength", "share"),
    [(4, 1.0), (8, 0.0), (16, 0.0)],  # a quarter of Nyquist is a wave of 8 pixels
)
def test_a_wave_shorter_than_8_pixels_is_high_frequency(wavelength, share):
    wave = 5 + np.cos(2 * np.pi * np.arange(32) / wavelength)
    maps = np.stack([np.tile(wave, (32, 1)), np.tile(wave[:, None], 32)])
    np.testing.assert_allclose(evaluation.high_frequency_share(maps), share, atol=1e-6)


def test_the_frequency_is_the_length_of_its_two_parts():
    # 1/16 and 2/16 of a cycle per pixel: 0.14 together, above 1/8, which neither part is
    phase = 2 * np.pi * np.arange(32)
    wave = np.cos(phase[:, None] / 16 + phase / 8)
    np.testing.assert_allclose(evaluation.high_frequency_share(wave[None]), 1.0, atol=1e-6)


def test_white_noise_is_above_a_quarter_of_nyquist_but_for_a_disc():
    noise = np.random.default_rng(0).normal(size=(20, 64, 64))
    share = evaluation.high_frequency_share(noise).mean()
    assert share == pytest.approx(1 - np.pi / 64, abs=0.01)


@pytest.mark.parametrize(
    ("heatmap", "expected"),
    [
        ([[1, 2], [3, 4]], 0.25),  # (-3 - 2 + 3 + 12) / (4 * 10)
        ([[0, 0], [0, -5]], 0.75),  # one pixel of four: 1 - 1/4
        ([[3, 3], [3, 3]], 0.0),
    ],
)
def test_gini_by_hand(heatmap, expected):
    assert evaluation.gini(picture_of(*heatmap)) == [expected]


def test_gini_grows_with_the_grid_of_one_and_the_same_peak():
    peaks = [np.eye(1, side**2).reshape(1, side, side) for side in (2, 4)]
    assert [evaluation.gini(peak)[0] for peak in peaks] == [0.75, 0.9375]


@pytest.mark.parametrize("value", [0.0, 0.1, -3.0])
def test_a_flat_map_has_no_noise_and_no_peak(value):
    flat = np.full((1, 150, 150), value)
    assert evaluation.total_variation(flat) == [0.0]
    assert evaluation.high_frequency_share(flat) == [0.0]
    np.testing.assert_allclose(evaluation.gini(flat), [0.0], atol=1e-12)


def test_the_noise_of_a_map_with_a_nan_is_undefined():
    for measure in (
        evaluation.total_variation,
        evaluation.high_frequency_share,
        evaluation.gini,
        evaluation.tie_share,
    ):
        assert np.isnan(measure(NAN_MAP)).all()


def test_the_blur_of_equal_variation_reaches_its_target_and_keeps_the_sum():
    maps = np.random.default_rng(0).random((3, 30, 20), "float32")
    target = np.array([0.1, 0.2, 0.3])
    smooth = evaluation.same_variation_blur(maps, target)
    np.testing.assert_allclose(evaluation.total_variation(smooth), target, rtol=1e-3)
    np.testing.assert_allclose(smooth.sum((1, 2)), maps.sum((1, 2)), rtol=1e-6)
    assert smooth.min() > 0


def test_the_blur_of_a_lone_pixel_is_nowhere_negative():
    maps = np.zeros((1, 9, 9))
    maps[0, 4, 4] = 1
    for target in (0.1, 1.0, 2.0, 3.5):
        assert evaluation.same_variation_blur(maps, np.array([target])).min() > -1e-12


def test_a_map_smoother_than_its_target_is_left_as_it_is():
    maps = np.random.default_rng(0).random((1, 8, 8))
    np.testing.assert_allclose(evaluation.same_variation_blur(maps, np.array([9.0])), maps)
    for flat in (np.zeros((1, 8, 8)), np.ones((1, 8, 8))):
        np.testing.assert_allclose(evaluation.same_variation_blur(flat, np.array([0.5])), flat)


# Agreement


@pytest.mark.parametrize(
    ("other", "spearman"),
    [
        ([[1, 2], [4, 3]], 0.8),  # 1 - 6 * 2 / (4 * 15)
        ([[10, 20], [30, 1000]], 1.0),
        ([[4, 3], [2, 1]], -1.0),
        ([[1, 1], [2, 3]], 0.9**0.5),  # ranks 1.5, 1.5, 3, 4: 4.5 / sqrt(4.5 * 5)
        ([[7, 7], [7, 7]], 0.0),
    ],
)
def test_rank_correlation_by_hand(other, spearman):
    correlation = evaluation.rank_correlation(picture_of([1, 2], [3, 4]), picture_of(*other))
    np.testing.assert_allclose(correlation, spearman, atol=1e-12)


def test_pearsons_correlation_by_hand():
    a, b = picture_of([0, 0], [0, 4]), picture_of([0, 0], [4, 4])  # 2 / sqrt(3 * 4), in fours
    np.testing.assert_allclose(evaluation.correlation(a, b), 3**-0.5)
    np.testing.assert_allclose(evaluation.correlation(a, 5 - 2 * b), -(3**-0.5))


def test_maps_of_two_grids_meet_on_the_coarser_one():
    coarse = np.random.default_rng(0).random((4, 3, 5))
    fine = coarse.repeat(4, 1).repeat(2, 2)
    for measure in (evaluation.correlation, evaluation.rank_correlation):
        np.testing.assert_allclose(measure(fine, coarse), 1)
        np.testing.assert_allclose(measure(coarse, fine), 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_flat_map_stays_flat_when_it_is_averaged(dtype):
    flat, other = np.full((1, 150, 150), 0.1, dtype), np.random.default_rng(0).random((1, 9, 9))
    assert evaluation.correlation(flat, other) == [0.0]
    assert evaluation.rank_correlation(flat, other) == [0.0]


def test_a_map_with_a_nan_agrees_neither_well_nor_badly():
    other = picture_of([1, 2], [3, 4])
    for measure in (evaluation.correlation, evaluation.rank_correlation):
        assert np.isnan(measure(NAN_MAP, other)).all()
    maps = np.concatenate([NAN_MAP, other])
    assert evaluation.agreement({"a": maps, "b": maps}).loc["a", "b"] == pytest.approx(1)


def test_averaging_does_not_invent_cells():
    with pytest.raises(ValueError, match="choose 4 or fewer"):
        evaluation.averaged(np.ones((1, 4, 4)), 9)


def test_spearman_brown_by_hand():
    np.testing.assert_allclose(evaluation.spearman_brown(0.1, 50), 5 / 5.9)
    np.testing.assert_allclose(evaluation.spearman_brown(np.array([0, 0.5, 1]), 2), [0, 2 / 3, 1])


def test_spearman_brown_foretells_the_agreement_of_means():
    # one sample is signal + 3 noise: two of them correlate by 1 / (1 + 9)
    generator = np.random.default_rng(0)
    signal = generator.normal(size=(200, 10, 10))
    a, b = (signal + 3 * generator.normal(size=(20, 200, 10, 10)).mean(0) for _ in range(2))
    expected = evaluation.spearman_brown(0.1, 20)
    assert evaluation.correlation(a, b).mean() == pytest.approx(expected, abs=0.02)


# Deletion and insertion

WHITE, BLACK = np.full((1, 2, 2, 3), 255, "uint8"), 0
ORDER = picture_of([4, 3], [2, 1])


def brightness(pictures):
    """Class 1: the mean brightness; class 0: what is missing to 1."""
    share = pictures.mean((1, 2, 3)) / 255
    return np.stack([1 - share, share], 1)


def mean_colour(pictures):
    """A class per channel: its mean, in pictures of 0..1."""
    return pictures.mean((1, 2))


def first_pixel(pictures):
    """Class 1: the brightness of the pixel on the top left, if all its channels agree."""
    share = pictures[:, 0, 0].min(1) / 255
    return np.stack([1 - share, share], 1)


@pytest.mark.parametrize("change", [evaluation.deletion, evaluation.insertion])
def test_a_constant_probability_p_has_the_area_p(change):
    images, maps = np.ones((2, 4, 4, 3), "uint8"), np.random.default_rng(0).random((2, 4, 4))
    curves = change(lambda x: np.tile([0.3, 0.7], (len(x), 1)), images, maps, [1, 0], steps=5)
    assert curves.shape == (2, 6)
    np.testing.assert_allclose(evaluation.area_under(curves), [0.7, 0.3])


def test_the_area_counts_the_two_ends_by_half():
    np.testing.assert_allclose(evaluation.area_under(np.array([[1.0, 0, 0, 0, 0]])), [1 / 8])
    np.testing.assert_allclose(evaluation.area_under(np.array([[1, 0.5, 0]])), [0.5])


def test_deletion_takes_the_pixels_away_in_the_order_of_the_map():
    curves = evaluation.deletion(brightness, WHITE, ORDER, 1, steps=4, substrate=BLACK)
    np.testing.assert_allclose(curves, [[1, 0.75, 0.5, 0.25, 0]])
    first = evaluation.deletion(first_pixel, WHITE, ORDER, 1, steps=4, substrate=BLACK)
    np.testing.assert_allclose(first, [[1, 0, 0, 0, 0]])
    last = evaluation.deletion(first_pixel, WHITE, -ORDER, 1, steps=4, substrate=BLACK)
    np.testing.assert_allclose(last, [[1, 1, 1, 1, 0]])


def test_insertion_brings_the_pixels_in_the_order_of_the_map():
    first = evaluation.insertion(first_pixel, WHITE, ORDER, 1, steps=4, substrate=BLACK)
    np.testing.assert_allclose(first, [[0, 1, 1, 1, 1]])


def test_each_picture_has_its_own_class():
    images, maps = np.repeat(WHITE, 2, 0), np.repeat(ORDER, 2, 0)
    curves = evaluation.deletion(brightness, images, maps, [1, 0], steps=2, substrate=BLACK)
    np.testing.assert_allclose(curves, [[1, 0.5, 0], [0, 0.5, 1]])


def test_insertion_is_the_deletion_of_the_reversed_map_read_backwards():
    generator = np.random.default_rng(0)
    images, maps = generator.random((3, 4, 4, 3)), generator.random((3, 4, 4))

    def predict(pictures):
        return pictures.reshape(len(pictures), -1)[:, :2]

    inserted = evaluation.insertion(predict, images, maps, 0, steps=8, substrate=BLACK)
    deleted = evaluation.deletion(predict, images, -maps, 0, steps=8, substrate=BLACK)
    np.testing.assert_array_equal(inserted, deleted[:, ::-1])


def test_ties_fall_in_a_random_order_and_not_from_the_bottom_right():
    images, flat = np.full((1, 20, 20, 3), 255, "uint8"), np.zeros((1, 20, 20))
    seen = []

    def predict(pictures):
        seen.append(pictures)
        return brightness(pictures)

    evaluation.deletion(predict, images, flat, 1, steps=2, substrate=BLACK)
    quarters = seen[0][1, ..., 0].reshape(2, 10, 2, 10).mean((1, 3)) / 255
    np.testing.assert_allclose(quarters, 0.5, atol=0.15)


def test_the_order_of_ties_is_that_of_the_seed_for_every_picture():
    images, flat = np.random.default_rng(0).random((3, 4, 4, 3)), np.zeros((3, 4, 4))
    curves = {
        seed: evaluation.deletion(mean_colour, images, flat, 0, steps=4, substrate=BLACK, seed=seed)
        for seed in (0, 1)
    }
    alone = evaluation.deletion(
        mean_colour, images[2:], flat[2:], 0, steps=4, substrate=BLACK, seed=0
    )
    np.testing.assert_array_equal(curves[0][2:], alone)
    assert (curves[0] != curves[1]).any()


def test_the_tie_share_counts_every_pixel_that_shares_its_value():
    shares = evaluation.tie_share(np.array([[[0, 0], [0, 7]], [[1, 2], [3, 4]], [[5, 5], [5, 5]]]))
    np.testing.assert_array_equal(shares, [0.75, 0, 1])


def test_at_equal_granularity_fine_and_coarse_maps_delete_the_same_tiles():
    images = np.random.default_rng(0).random((2, 10, 10, 3))
    coarse = np.random.default_rng(1).random((2, 3, 3))
    tiles = np.repeat([0, 1, 2], [3, 4, 3])  # 10 pixels in three tiles
    fine = coarse[:, tiles][:, :, tiles]
    curves = [
        evaluation.deletion(mean_colour, images, maps, 0, steps=9, substrate=BLACK, cells=3)
        for maps in (fine, coarse)
    ]
    np.testing.assert_array_equal(*curves)
    with pytest.raises(ValueError, match="give `cells`"):
        evaluation.deletion(mean_colour, images, coarse, 0)


def test_deletion_ends_in_grey_and_insertion_starts_from_the_blurred_picture():
    image = np.zeros((1, 30, 30, 3), "uint8")
    image[:, :, 15:] = 200
    seen = []

    def predict(pictures):
        seen.append(pictures)
        return np.zeros((len(pictures), 2))

    ramp = np.arange(900.0).reshape(1, 30, 30)
    evaluation.deletion(predict, image, ramp, 0, steps=2)
    evaluation.insertion(predict, image, ramp, 0, steps=2)
    deleted, inserted = seen
    np.testing.assert_array_equal(deleted[0], image[0])
    assert (deleted[-1] == [124, 117, 104]).all()
    np.testing.assert_array_equal(inserted[-1], image[0])
    assert (inserted[0][:, [0, 29]] == image[0][:, [0, 29]]).all()  # far from the edge
    assert 0 < inserted[0][0, 14, 0] < inserted[0][0, 15, 0] < 200


def test_the_network_is_asked_in_few_large_batches():
    calls = []

    def predict(pictures):
        calls.append(len(pictures))
        return np.zeros((len(pictures), 2))

    images, maps = np.zeros((40, 2, 2, 3), "uint8"), np.repeat(ORDER, 40, 0)
    evaluation.deletion(predict, images, maps, 0, steps=28)
    assert sum(calls) == 40 * 29
    assert len(calls) == 3


def test_a_map_with_a_nan_has_no_curve_and_its_neighbour_has_one():
    images, maps = np.repeat(WHITE, 2, 0), np.concatenate([NAN_MAP, ORDER])
    curves = evaluation.deletion(brightness, images, maps, 1, steps=2, substrate=BLACK)
    np.testing.assert_array_equal(curves, [[np.nan] * 3, [1, 0.5, 0]])


def test_logits_and_unknown_substrates_are_refused():
    with pytest.raises(ValueError, match="not probabilities"):
        evaluation.deletion(lambda x: brightness(x) * 9, WHITE, ORDER, 1)
    with pytest.raises(ValueError, match="grey, blur"):
        evaluation.deletion(brightness, WHITE, ORDER, 1, substrate="gray")


def test_a_normalised_curve_runs_between_the_bare_substrate_and_the_clean_picture():
    curves = np.array([[0.9, 0.7, 0.5], [0.5, 0.6, 0.5]])
    np.testing.assert_allclose(
        evaluation.normalised(curves, 0), [[1, 0.5, 0], [np.nan] * 3], equal_nan=True
    )
    np.testing.assert_allclose(evaluation.normalised(curves[:1, ::-1], -1), [[0, 0.5, 1]])


# Intervals and verdicts


def test_the_bootstrap_of_0_and_1_by_hand():
    # drawn twice, the mean is 0 or 1 in a quarter of the replicates each
    np.testing.assert_allclose(evaluation.bootstrap([0, 1]), [0.5, 0, 1])


def test_the_bootstrap_of_many_is_the_normal_interval():
    values = np.random.default_rng(0).normal(size=2000)
    effect, low, high = evaluation.bootstrap(values)
    error = values.std() / 2000**0.5
    np.testing.assert_allclose(
        [low - effect, high - effect], [-1.96 * error, 1.96 * error], rtol=0.1
    )


def test_a_paired_difference_that_is_the_same_everywhere_is_certain():
    a = np.random.default_rng(0).random(20)
    np.testing.assert_allclose(evaluation.bootstrap(a + 0.25 - a), 0.25)


def test_the_bootstrap_draws_pictures_and_not_their_parts():
    values = np.random.default_rng(0).random(20)
    parts = np.repeat(values[:, None], 50, axis=1)  # fifty seeds that all say the same
    np.testing.assert_allclose(evaluation.bootstrap(parts), evaluation.bootstrap(values))


def test_a_statistic_of_several_columns_keeps_the_pictures_together():
    values = np.random.default_rng(0).random(20) + 1
    columns = np.stack([2 * values, values], 1)
    ratio = evaluation.bootstrap(columns, lambda rows: rows[:, 0].mean() / rows[:, 1].mean())
    np.testing.assert_allclose(ratio, 2)


def test_the_bootstrap_leaves_out_what_is_undefined():
    values = np.random.default_rng(0).random(10)
    with_nan = np.insert(values, 3, np.nan)
    assert evaluation.bootstrap(with_nan) == evaluation.bootstrap(values)
    assert np.isnan(evaluation.bootstrap([np.nan])).all()


def test_one_picture_has_an_effect_and_no_interval():
    np.testing.assert_array_equal(evaluation.bootstrap([3.0]), [3, np.nan, np.nan])


@pytest.mark.parametrize(
    ("values", "baseline", "expect", "said"),
    [
        ([2.0, 3.0], 1, "above", "holds"),
        ([2.0, 3.0], 1, "below", "fails"),
        ([2.0, 3.0], 4, "above", "fails"),
        ([2.0, 3.0], 4, "below", "holds"),
        ([2.0, 3.0], 2.5, "above", "open"),
        ([2.0, 3.0], 2, "above", "open"),  # it touches the interval
        ([9.0], 1, "above", "open"),  # one picture
        ([np.nan], 1, "above", "open"),
        ([], 1, "above", "open"),
        ([1, 1, 1], 0.4, "above", "holds"),  # Wilson's interval of 3 in 3 begins at 0.44
        ([1, 1, 1], 0.5, "above", "open"),
    ],
)
def test_a_claim_holds_if_its_whole_interval_is_on_the_expected_side(
    values, baseline, expect, said
):
    row = evaluation.verdict("c", "3.5", "t", values, baseline, expect=expect).iloc[0]
    assert row["verdict"] == said
    assert row["n"] == np.isfinite(values).sum()


def test_a_verdict_is_one_row_with_its_claim_and_its_numbers():
    table = evaluation.verdict("claim", "3.5", "test", [2.0, 2.0, np.nan], 1.0)
    columns = ["claim", "section", "test", "n", "effect", "low", "high", "baseline", "verdict"]
    assert list(table) == columns
    assert table.iloc[0].tolist() == ["claim", "3.5", "test", 2, 2.0, 2.0, 2.0, 1.0, "holds"]


def test_an_expectation_is_above_or_below():
    with pytest.raises(ValueError, match="above, below"):
        evaluation.verdict("c", "3.5", "t", [1.0], 0, expect="more")
