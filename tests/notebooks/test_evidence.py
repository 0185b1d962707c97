import matplotlib
import numpy as np
import pandas as pd
import pytest

import evidence
from utils import attention, evaluation, settings


def direct(function):
    """A function of notebook 09 without what it keeps on disk."""
    return function.func


# ---------------------------------------------------------------- measured of networks


def test_the_mean_saliency_of_noisy_copies_is_smoothgrad(dense_network, images):
    copies = evidence.noisy_copies(images[0], n=4, sigma=0.3)
    mean = attention.saliency_map(dense_network, copies, 1).mean(0)
    smooth = attention.smoothgrad(dense_network, images[:1], 1, n=4, sigma=0.3)[0]
    np.testing.assert_allclose(mean, smooth, rtol=1e-4)


def test_maps_of_a_linear_network_agree_whatever_the_noise(linear_network, images):
    halves = direct(evidence.split_half)("", linear_network, images[:2], [0, 1], [1, 2], 0.2)
    assert halves[0].shape == (2, 2)
    np.testing.assert_allclose(halves[0], 1)
    np.testing.assert_allclose(halves[1], 1)


def test_more_samples_agree_better(dense_network, images):
    asked = ("", dense_network, images[:1], [0], [1, 50], 0.3)
    ((one, many),), (single,) = direct(evidence.split_half)(*asked)
    assert many > max(one, single)


def test_single_samples_foretell_by_hand():
    # r_1 = 0.5: two samples give 2 * 0.5 / 1.5, and 0.95 takes 0.95 * 0.5 / (0.05 * 0.5) = 19
    np.testing.assert_allclose(evidence.foretold(np.array([0.5]), [1, 2]), [[0.5, 2 / 3]])
    np.testing.assert_allclose(evidence.enough(np.array([0.5])), [19])


def test_without_noise_a_map_is_the_saliency_map_and_all_copies_keep_their_class(
    linear_network, images
):
    masks = np.zeros((6, 4, 4), bool)
    masks[:, :2] = True
    asked = ("", linear_network, images)
    rows = direct(evidence.under_noise)(*asked, 0, masks, n=2, sigma=0.0)
    saliency = attention.saliency_map(linear_network, images, 0)
    np.testing.assert_allclose(rows[:, 1], evaluation.energy_inside(saliency, masks), rtol=1e-4)
    assert (direct(evidence.retention)(*asked, n=3, sigma=0.0) == 1).all()
    assert (direct(evidence.retention)(*asked, n=9, sigma=9.0) < 1).any()


def test_a_training_is_measured_as_its_maps_are(dense_network, pooling_network, images):
    masks = {region: np.ones((6, 4, 4), bool) for region in settings.REGIONS}
    asked = ("", dense_network, pooling_network, images, 0, masks, 2, 0.1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "GRID", 2)
        patch.setattr(evidence, "enlarge", lambda maps: maps)
        energies, noise, coarse = direct(evidence.of_training)(*asked)
    np.testing.assert_allclose(energies["saliency", "head"], 1)
    assert set(noise) == {"3a", "3b"} and coarse["cam"].shape == (6, 2, 2)


# ---------------------------------------------------------------- measures


def test_the_blur_of_equal_variation_reaches_its_target_and_keeps_the_sum():
    maps = np.random.default_rng(0).random((3, 30, 20), "float32")
    target = np.array([0.1, 0.2, 0.3])
    smooth = evidence.same_variation_blur(maps, target)
    np.testing.assert_allclose(evaluation.total_variation(smooth), target, rtol=1e-3)
    np.testing.assert_allclose(smooth.sum((1, 2)), maps.sum((1, 2)), rtol=1e-6)
    assert smooth.min() > 0


def test_a_map_smoother_than_its_target_is_left_as_it_is():
    maps = np.stack([np.random.default_rng(0).random((8, 8)), np.zeros((8, 8)), np.ones((8, 8))])
    smooth = evidence.same_variation_blur(maps, np.array([9.0, 0.5, 0.5]))
    np.testing.assert_allclose(smooth, maps, atol=1e-12)


def test_agreement_leaves_out_saliency_with_smoothgrad_and_compares_pictures_or_trainings():
    maps = np.random.default_rng(0).random((3, 4, 4))
    coarse = dict.fromkeys(("saliency", "smoothgrad", "cam", "grad_cam"), maps)
    same = evidence.agreement(coarse)
    assert len(same) == 5 and ("saliency", "smoothgrad") not in same
    np.testing.assert_allclose(same["cam", "grad_cam"], 1)
    other = evidence.agreement(coarse, shift=1)["cam", "grad_cam"]
    expected = evaluation.rank_correlation(maps, np.roll(maps, -1, 0))
    np.testing.assert_allclose(other, expected)


def test_a_rehearsal_hardly_holds_at_the_smallest_effect_and_mostly_at_twice_that():
    values = np.random.default_rng(0).normal(0, 0.1, (3, 200))
    said = evidence.rehearsed(values, np.repeat(np.arange(100), 2), 0.05, draws=300)
    assert list(said) == [0.0, 0.05, 0.1]
    assert said[0.0] == 0 and said[0.05] < 0.06 and said[0.1] > 0.8


def test_every_claim_has_a_smallest_effect_and_a_reason():
    assert evidence.CLAIMS.index.is_unique and evidence.CLAIMS["smallest"].notna().all()
    assert (evidence.CLAIMS["why"].str.len() > 5).all()


# ---------------------------------------------------------------- figures

LINE = [(0.5, 0.4, 0.6), (1.0, 0.9, 1.0)]  # two values with their intervals


def texts(fig):
    return {text.get_text() for text in fig.findobj(matplotlib.text.Text)}


def test_the_dot_plot_has_a_line_for_each_claim_and_one_for_photographs():
    columns = ["key", "claim", "effect", "low", "high", "smallest", "verdict"]
    rows = pd.DataFrame([("1", "so", 0.5, 0.4, 0.6, 0.1, "holds")], columns=columns)
    rows = rows.set_index("key")
    fig = evidence.dot_plot(rows, {"1": [0.45, 0.55]}, rows.assign(effect=0.2, verdict="open"))
    assert {"1. so", "0.500, holds", "0.200, open"} <= texts(fig)
    (interval, *_) = fig.axes[0].lines
    np.testing.assert_allclose(interval.get_xdata(), [0.6, 1])  # 0.3 and 0.5 beyond 0.1


def test_the_curve_of_reliability_shows_what_was_measured_and_what_was_foretold():
    ax = evidence.reliability([1, 50], LINE, [0.5, 0.98]).axes[0]
    assert [list(line.get_ydata()) for line in ax.lines] == [[0.5, 1.0], [0.5, 0.98]]


def test_a_sweep_has_a_picture_for_each_value_and_a_panel_for_each_measure():
    fig = evidence.sweep(
        np.full((2, 9, 9, 3), 128, "uint8"), ["s = 0", "s = 1"], [0, 1], {"kept": LINE}, "s"
    )
    assert {"s = 0", "s = 1", "kept"} <= texts(fig)
