import numpy as np
import pytest

from utils import evaluation

LEFT = np.array([[[True, False], [True, False]]])
NO_MASK = np.zeros((1, 2, 2), bool)


def picture_of(*rows):
    """One map (1, h, w)."""
    return np.array([rows], float)


NAN_MAP = picture_of([1.0, np.nan], [0.0, 0.0])


# ---------------------------------------------------------------- accuracy


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


def test_nothing_counted_has_no_accuracy_and_no_interval():
    row = evaluation.accuracy_row("any", "test", np.zeros(0, bool)).iloc[0]
    assert row["n"] == 0
    assert row[["accuracy", "low", "high"]].isna().all()


def answers(both, only_a, only_b, none):
    """Two networks' hits on the same pictures, from how often which of them is right."""
    pairs = [(1, 1)] * both + [(1, 0)] * only_a + [(0, 1)] * only_b + [(0, 0)] * none
    return np.array(pairs, bool).T


def test_one_picture_of_difference_in_60_is_open_and_twins_count_once():
    a, b = answers(59, 1, 0, 0).astype(float)
    difference, low, high = evaluation.interval(a - b)
    assert difference == pytest.approx(1 / 60) and low < 0 < high
    assert evaluation.verdict((difference, low, high), 0.01) == "open"
    twice = np.repeat(a - b, 2), np.repeat(np.arange(60), 2)
    np.testing.assert_allclose(evaluation.interval(*twice), (difference, low, high))


def test_an_estimate_has_wilsons_interval_for_hits_and_students_for_other_values():
    assert evaluation.estimate([1, 1, 1, np.nan]) == evaluation.accuracy_interval([1, 1, 1])
    values = np.linspace(0, 2, 30)
    assert evaluation.estimate(values) == evaluation.interval(values)
    row = evaluation.summary_row("any", 3, (0.5, 0.4, 0.6)).iloc[0]
    assert row.to_dict() == {"quantity": "any", "value": 0.5, "low": 0.4, "high": 0.6, "n": 3}


# ---------------------------------------------------------------- where a map points


@pytest.mark.parametrize(
    ("heatmap", "hit", "energy"),
    [
        ([[3, 1], [0, 0]], 1.0, 0.75),
        ([[1, 3], [0, 0]], 0.0, 0.25),
        ([[1, -9], [0, 0]], 1.0, 1.0),  # what is negative is no evidence
        ([[0, 0], [0, 0]], 0.0, 0.0),  # a map that is nowhere positive points at nothing
        ([[-1, -2], [-3, -4]], 0.0, 0.0),
        ([[2, 0], [2, 0]], 1.0, 1.0),  # both peaks are left
        ([[2, 2], [0, 0]], 0.0, 0.5),  # one is not, and argmax alone would not see it
    ],
)
@pytest.mark.parametrize("mask", [LEFT, LEFT * np.uint8(255)])
def test_peak_and_energy_by_hand(heatmap, hit, energy, mask):
    maps = picture_of(*heatmap)
    assert evaluation.peak_inside(maps, mask) == [hit]
    assert evaluation.energy_inside(maps, mask) == [energy]
    assert evaluation.lift(maps, mask) == [energy / 0.5]


def test_a_flat_map_is_a_miss_even_where_all_is_mask():
    everywhere = np.ones((1, 2, 2), bool)
    assert evaluation.peak_inside(np.ones((1, 2, 2)), everywhere) == [0.0]
    assert evaluation.peak_inside(picture_of([1, 2], [1, 1]), everywhere) == [1.0]


def test_an_empty_mask_is_undefined_and_no_hit():
    maps = picture_of([3, 1], [0, 0])
    for measure in (evaluation.peak_inside, evaluation.energy_inside, evaluation.lift):
        assert np.isnan(measure(maps, NO_MASK)).all()
    assert np.isnan(evaluation.peak_inside(maps, NO_MASK, tolerance=5)).all()


def test_a_map_with_a_nan_is_undefined_and_its_neighbour_is_not():
    maps, masks = np.concatenate([NAN_MAP, picture_of([3, 1], [0, 0])]), np.repeat(LEFT, 2, 0)
    np.testing.assert_array_equal(evaluation.peak_inside(maps, masks), [np.nan, 1])
    np.testing.assert_array_equal(evaluation.energy_inside(maps, masks), [np.nan, 0.75])
    np.testing.assert_array_equal(evaluation.lift(maps, masks), [np.nan, 1.5])


@pytest.mark.parametrize(("tolerance", "hit"), [(0, 0.0), (4.9, 0.0), (5, 1.0)])
def test_a_peak_counts_within_the_tolerance_of_the_mask(tolerance, hit):
    maps, masks = np.zeros((1, 6, 6)), np.zeros((1, 6, 6), bool)
    maps[0, 3, 4], masks[0, 0, 0] = 1, True  # 3 down and 4 across: 5 pixels
    assert evaluation.peak_inside(maps, masks, tolerance) == [hit]


def test_a_coarse_map_does_not_meet_the_mask_of_a_picture():
    with pytest.raises(ValueError, match="enlarge"):
        evaluation.energy_inside(np.ones((1, 1, 1)), LEFT)


def test_a_blur_takes_the_peak_from_a_lone_pixel_to_a_bright_area():
    maps = np.zeros((1, 50, 50))
    maps[0, 5, 5] = 2
    maps[0, 30:40, 30:40] = 1
    right = np.zeros((1, 50, 50), bool)
    right[0, :, 25:] = True
    assert not evaluation.peak_inside(maps, right)
    assert evaluation.peak_inside(evaluation.blurred(maps, 0.04), right)


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
    numbers = row[["n", "pointing", "energy", "area", "lift", "baseline"]].tolist()
    assert numbers == [2, 0.5, 0.5, 0.5, 1.0, 0.5]


def test_localisation_without_baselines_defined_pictures_or_masks_has_no_numbers():
    row = evaluation.localisation("any", NAN_MAP, {"left": LEFT}).iloc[0]
    assert row["n"] == 0
    assert row[["pointing", "low", "high", "energy", "area", "baseline"]].isna().all()
    table = evaluation.localisation("any", np.ones((3, 4, 4)), {})
    assert len(table) == 0 and "pointing" in table


# ---------------------------------------------------------------- one map, and two


def test_total_variation_by_hand_and_its_independence_of_scale():
    stripes = picture_of([0, 2], [0, 2])  # across: 2, down: 0; mean 1
    assert evaluation.total_variation(stripes) == [2.0]
    assert evaluation.total_variation(7 * stripes) == [2.0]
    for flat in (0, 1, -3):
        assert evaluation.total_variation(np.full((1, 3, 3), flat)) == [0.0]
    assert np.isnan(evaluation.total_variation(NAN_MAP)).all()


def test_averaging_keeps_the_mean_of_equal_tiles():
    maps = np.arange(16.0).reshape(1, 4, 4)
    np.testing.assert_array_equal(evaluation.averaged(maps, 2), [[[2.5, 4.5], [10.5, 12.5]]])
    np.testing.assert_array_equal(evaluation.averaged(maps, 4), maps)
    with pytest.raises(ValueError, match="choose 4 or fewer"):
        evaluation.averaged(maps, 9)


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


def test_agreement_is_one_with_itself_and_minus_one_with_the_reverse():
    maps = np.random.default_rng(0).random((5, 3, 3))
    table = evaluation.agreement({"a": maps, "b": maps**3, "c": -maps})
    np.testing.assert_allclose(table, [[1, 1, -1], [1, 1, -1], [-1, -1, 1]])


def test_agreement_with_other_pictures_finds_what_all_maps_share():
    middle = np.zeros((4, 3, 3))
    middle[:, 1, 1] = 1
    shifted = evaluation.agreement({"a": middle, "b": middle}, shift=1)
    assert shifted.loc["a", "b"] == pytest.approx(1)
    noise = np.random.default_rng(1).random((500, 3, 3))
    assert abs(evaluation.agreement({"a": noise}, shift=1).loc["a", "a"]) < 0.05


# ---------------------------------------------------------------- intervals and verdicts


def test_the_interval_of_three_pictures_by_hand():
    # mean 1, standard error 1 / sqrt(3), Student's t with two degrees of freedom 4.303
    np.testing.assert_allclose(evaluation.interval([0, 1, 2]), [1, 1 - 2.484, 1 + 2.484], atol=1e-3)


def test_the_interval_over_trainings_and_scenes_by_hand():
    # scenes 9, trainings 4, rest 1: the error is sqrt((9 + 4 - 1) / 4), freedom 144 / 98 = 1.469
    low = 3 - 3**0.5 * 6.194
    np.testing.assert_allclose(evaluation.interval([[1, 3], [2, 6]])[:2], [3, low], rtol=2e-3)


def test_a_twin_pair_counts_once():
    values = np.random.default_rng(0).random(30)
    twins, scenes = np.repeat(values, 2), np.repeat(np.arange(30), 2)
    once = evaluation.interval(values)
    np.testing.assert_allclose(evaluation.interval(twins, scenes), once)
    assert np.ptp(evaluation.interval(twins)[1:]) < 0.75 * np.ptp(once[1:])  # what was published


def test_hits_of_twins_that_go_together_are_worth_half():
    hits = np.random.default_rng(0).random(50) < 0.8
    twins, scenes = np.repeat(hits, 2), np.repeat(np.arange(50), 2)
    once = evaluation.accuracy_interval(hits)
    np.testing.assert_allclose(evaluation.accuracy_interval(twins, scenes), once, atol=0.003)


def test_what_is_undefined_is_left_out_of_an_interval():
    values = np.random.default_rng(0).random(10)
    with_nan = evaluation.interval(np.insert(values, 3, np.nan))
    np.testing.assert_allclose(with_nan, evaluation.interval(values))
    np.testing.assert_array_equal(evaluation.interval([3.0]), [3, np.nan, np.nan])
    assert np.isnan(evaluation.interval([np.nan])).all()


def simulated(trainings, effect, seed):
    """Values (T, 60) of 30 pairs of twins with an effect, about as ours vary."""
    draw = np.random.default_rng(seed).normal
    scenes, training = np.repeat(draw(0, 0.1, 30), 2), draw(0, 0.02, (trainings, 1))
    return effect + scenes + training + draw(0, 0.03, (trainings, 60))


TWINS = np.repeat(np.arange(30), 2)


@pytest.mark.parametrize("trainings", [2, 3, 10])
def test_of_a_thousand_intervals_hardly_any_miss_the_truth(trainings):
    drawn = [simulated(trainings, 0.0, seed) for seed in range(1000)]
    ends = np.array([evaluation.interval(values, TWINS)[1:] for values in drawn])
    missed = np.mean((ends[:, 0] > 0) | (ends[:, 1] < 0))
    assert missed < 0.08


@pytest.mark.parametrize(
    ("effect", "least", "most"), [(0.0, 0, 0.05), (0.05, 0, 0.05), (0.15, 0.8, 1)]
)
def test_how_often_a_claim_holds_without_at_and_beyond_the_smallest_effect(effect, least, most):
    drawn = (simulated(3, effect, seed) for seed in range(1000))
    said = [evaluation.verdict(evaluation.interval(values, TWINS), 0.05) for values in drawn]
    assert least <= np.mean(np.array(said) == "holds") <= most


@pytest.mark.parametrize(
    ("values", "smallest", "said"),
    [
        ([2.0, 3.0, 2.0, 3.0, 2.0, 3.0], 1, "holds"),
        ([2.0, 3.0, 2.0, 3.0, 2.0, 3.0], 4, "fails"),
        ([2.0, 3.0, 2.0, 3.0, 2.0, 3.0], 2.5, "open"),
        ([9.0], 1, "open"),  # one picture
        ([9.0, 9.0, 9.0], 1, "open"),  # without any spread nothing is known of it
        ([np.nan], 1, "open"),
        ([], 1, "open"),
        ([1.0] + 59 * [0.0], 0, "open"),  # one discordant picture of 60: the old rule said "holds"
    ],
)
def test_a_claim_holds_or_fails_if_its_whole_interval_lies_on_one_side(values, smallest, said):
    row = evaluation.judged([evaluation.measured(values, smallest=smallest)]).iloc[0]
    assert row["verdict"] == said and row["scenes"] == np.isfinite(values).sum()
    assert evaluation.verdict(evaluation.interval(values), smallest) == said


def test_one_discordant_picture_says_nothing_and_six_on_one_side_do():
    right = np.ones(60, bool)
    one, six = np.arange(60) >= 1, np.arange(60) >= 6
    assert evaluation.mcnemar(right, one) == 1 and evaluation.mcnemar(right, right) == 1
    assert evaluation.mcnemar(right, six) == pytest.approx(2 / 64)


def test_the_interval_of_a_share_never_passes_1():
    shares = [1.0, 1.0, 0.9, 1.0]
    assert evaluation.interval(shares)[2] > 1
    assert evaluation.measured(shares, within=(0, 1))["high"] == 1
    all_right = evaluation.measured(np.ones((3, 20)), smallest=0.5, within=(0, 1))
    assert all_right["low"] == evaluation.accuracy_interval(np.ones(20))[1]
    assert evaluation.accuracy_interval([True] * 59 + [False])[2] < 1  # printed was 0.977 to 1.033


def test_holms_correction_by_hand():
    rows = [dict(effect=1.0, low=0.5, high=1.5, smallest=0.0, p=p) for p in (0.01, 0.04, 0.03)]
    table = evaluation.judged(rows)
    np.testing.assert_allclose(table["p"], [0.03, 0.06, 0.06])
    assert table["verdict"].tolist() == ["holds", "open", "open"]


def test_p_and_interval_say_the_same():
    values = np.random.default_rng(0).random((3, 20))
    low = evaluation.interval(values)[1]
    assert evaluation.measured(values, smallest=low)["p"] == pytest.approx(0.05)


def test_a_row_in_words_has_its_own_verdict_or_that_of_its_interval():
    row = dict(scenes=4, effect=0.5, low=0.41, high=0.59, smallest=0.4)
    assert evaluation.in_words(row) == "0.500 (0.410 to 0.590), holds"
    assert evaluation.in_words(row | {"verdict": "open"}) == "0.500 (0.410 to 0.590), open"
    assert evaluation.in_words(row | {"scenes": 0}) == "no masks"
    assert evaluation.in_words(row | {"scenes": np.nan}) == "no masks"
