import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

import evidence
from utils import attention, evaluation, model, settings

matplotlib.use("agg")
HALF = np.zeros((4, 4), bool)
HALF[:2] = True
NAN_MAP = np.array([[[1.0, np.nan], [0.0, 0.0]]])


@pytest.fixture(autouse=True)
def closed():
    """No figure stays open: from the twentieth on there would be a warning."""
    yield
    plt.close("all")


# ---------------------------------------------------------------- maps of many networks


def test_the_mean_saliency_of_noisy_copies_is_smoothgrad(dense_network, images):
    copies = evidence.noisy_copies(images[0], n=4, sigma=0.3)
    mean = attention.saliency_map(dense_network, copies, 1).mean(0)
    smooth = attention.smoothgrad(dense_network, images[:1], 1, n=4, sigma=0.3)[0]
    np.testing.assert_allclose(mean, smooth, rtol=1e-4)


def test_maps_of_a_linear_network_agree_whatever_the_noise(linear_network, images):
    measured, single = evidence.split_half(linear_network, images[0], 0, [1, 2], sigma=0.2)
    np.testing.assert_allclose([*measured, single], 1)


def test_more_samples_agree_better(dense_network, images):
    (one, many), single = evidence.split_half(dense_network, images[0], 0, [1, 50], sigma=0.3)
    assert many > max(one, single)


def test_without_noise_nothing_leaves_its_class_or_its_range(linear_network, images):
    masks, c = np.broadcast_to(HALF, (6, 4, 4)), linear_network.predict_on_batch(images).argmax(1)
    rows = evidence.under_noise(linear_network, images, c, masks, n=2, sigma=0.0)
    np.testing.assert_array_equal(rows[:, :2], [[1, 0]] * 6)
    saliency = attention.saliency_map(linear_network, images, c)
    expected = saliency[:, :2].sum((1, 2)) / saliency.sum((1, 2))
    np.testing.assert_allclose(rows[:, 2], expected, rtol=1e-4)


def test_copies_of_another_class_are_not_counted_as_kept(linear_network, images):
    other = linear_network.predict_on_batch(images).argmin(1)
    assert not evidence.retention(linear_network, images, other, n=3, sigma=1e-6).any()


def test_a_cascade_begins_with_the_trained_network_and_skips_what_is_not_there(dense_network):
    names = [layer.name for layer in dense_network.layers if layer.weights]
    top, missing, bottom = names[-1], "no_such_layer", names[0]
    first = dense_network.get_weights()[0]
    seen = evidence.cascade(dense_network, [top, missing, bottom], lambda n: n.get_weights()[0])
    kept = [np.array_equal(first, kernel) for kernel in seen]
    assert kept == [True, True, True, False]


def test_over_seeds_compares_different_trainings_only():
    up = np.arange(9.0).reshape(1, 3, 3)
    seeded = [{"a": up, "b": up}, {"a": -up, "b": up}]
    assert evidence.over_seeds(seeded, "a", "a") == pytest.approx(-1)
    assert evidence.over_seeds(seeded, "a", "b") == pytest.approx(0)  # +1 one way, -1 the other


# ---------------------------------------------------------------- measures of a map


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


@pytest.mark.parametrize(
    ("wavelength", "share"),
    [(4, 1.0), (8, 0.0), (16, 0.0)],  # a quarter of Nyquist is a wave of 8 pixels
)
def test_a_wave_shorter_than_8_pixels_is_high_frequency(wavelength, share):
    wave = 5 + np.cos(2 * np.pi * np.arange(32) / wavelength)
    maps = np.stack([np.tile(wave, (32, 1)), np.tile(wave[:, None], 32)])
    np.testing.assert_allclose(evidence.high_frequency_share(maps), share, atol=1e-6)


def test_the_frequency_is_the_length_of_its_two_parts():
    # 1/16 and 2/16 of a cycle per pixel: 0.14 together, above 1/8, which neither part is
    phase = 2 * np.pi * np.arange(32)
    wave = np.cos(phase[:, None] / 16 + phase / 8)
    np.testing.assert_allclose(evidence.high_frequency_share(wave[None]), 1.0, atol=1e-6)


@pytest.mark.parametrize(
    ("heatmap", "expected"),
    [
        ([[1, 2], [3, 4]], 0.25),  # (-3 - 2 + 3 + 12) / (4 * 10)
        ([[0, 0], [0, -5]], 0.75),  # one pixel of four: 1 - 1/4
        ([[3, 3], [3, 3]], 0.0),
    ],
)
def test_gini_by_hand(heatmap, expected):
    assert evidence.gini(np.array([heatmap])) == [expected]


@pytest.mark.parametrize("value", [0.0, 0.1, -3.0])
def test_a_flat_map_has_no_noise_and_no_peak_and_one_with_a_nan_has_no_measure(value):
    for measure in (evidence.high_frequency_share, evidence.gini):
        np.testing.assert_allclose(measure(np.full((1, 150, 150), value)), [0], atol=1e-12)
        assert np.isnan(measure(NAN_MAP)).all()


# ---------------------------------------------------------------- deletion


@pytest.fixture
def bright(monkeypatch):
    """A margin that is how much brighter the left column of 2 x 2 cells is."""
    monkeypatch.setattr(settings, "GRID", 2)

    def logits(network, images):
        left, right = (images[:, :, k].mean((1, 2)) for k in (0, 1))
        return np.stack([left - right, np.zeros(len(images))], axis=1)

    monkeypatch.setattr(model, "logits", logits)


LEFT = np.zeros((1, 2, 2, 3), "uint8")
LEFT[:, :, 0] = 200  # so that the picture's mean colour is 100


def test_deletion_follows_the_margin_while_the_first_cells_vanish(bright):
    first = np.array([[[4.0, 2], [3, 1]]])
    curve = evidence.deletion(None, LEFT, first, 0, steps=4)
    np.testing.assert_allclose(curve, [[0.75, 0.5, 0.25, 0]])
    np.testing.assert_allclose(evidence.deletion(None, LEFT, first, 0, steps=2), [[0.5, 0]])


def test_deletion_is_asked_for_each_pictures_own_class(bright):
    maps, images = np.repeat([[[4.0, 2], [3, 1]]], 2, axis=0), np.repeat(LEFT, 2, axis=0)
    own, other = evidence.deletion(None, images, maps, [0, 1], steps=2)
    np.testing.assert_allclose(own, other)  # both are shares of their own margin


def test_a_flat_map_deletes_in_one_random_order(bright):
    flat, images = np.ones((3, 2, 2)), np.repeat(LEFT, 3, axis=0)
    curves = evidence.deletion(None, images, flat, 0, steps=4)
    assert (curves == curves[0]).all() and curves[0, -1] == 0


# ---------------------------------------------------------------- the planted cue

LABELS = np.array([0, 1, 1, 0, 1, 1])


@pytest.fixture
def grey():
    return np.full((6, 150, 150, 3), 128, "uint8")


def has_tag(images):
    return (images != 128).any((1, 2, 3))


def test_the_tag_is_four_by_four_squares_half_black_half_white():
    tag = evidence.tag()
    assert tag.shape == (16, 16, 3)
    assert (tag[:4, :4] == 0).all()
    assert (tag[:4, 4:8] == 255).all()
    assert tag.mean() == 127.5


def test_the_tag_changes_its_region_of_a_copy_and_nothing_else(grey):
    changed = (evidence.tagged(grey) != grey).all(-1)
    np.testing.assert_array_equal(changed, evidence.region(grey))
    assert evidence.region(grey)[0].sum() == 16 * 16
    assert not has_tag(grey).any()


def test_only_the_chosen_pictures_are_tagged(grey):
    assert has_tag(evidence.tagged(grey, LABELS == 0)).tolist() == (LABELS == 0).tolist()


def test_a_dose_is_a_share_of_one_class_and_a_larger_one_tags_the_same_and_more(grey):
    doses = [evidence.dosed(grey, LABELS, dose, class_index=1) for dose in (0, 0.25, 0.5, 0.75, 1)]
    tags = np.array([has_tag(images) for images in doses])
    assert tags.sum(1).tolist() == [0, 1, 2, 3, 4]
    assert not tags[:, LABELS == 0].any()
    assert (tags[1:] >= tags[:-1]).all()


# ---------------------------------------------------------------- figures

LINE = [(0.5, 0.4, 0.6), (1.0, 0.9, 1.0)]  # two values with their intervals


def texts(fig):
    return {text.get_text() for text in fig.findobj(matplotlib.text.Text)}


def test_the_planted_cue_has_a_map_for_each_technique_and_dose_and_both_accuracies(grey):
    mask = evidence.region(grey)[0]
    maps = {"saliency": np.ones((2, 150, 150)), "grad_cam": np.ones((2, 9, 9))}
    accuracy = {"tag on the other class": LINE}
    fig = evidence.planted_cue(grey[0], mask, maps, [0.0, 1.0], accuracy, dict.fromkeys(maps, LINE))
    assert {"Saliency map, 0%", "Grad-CAM, 100%", "the tag, enlarged"} <= texts(fig)
    assert {"tag on the other class", "a map that knows nothing"} <= texts(fig)
    assert any("drawn by code" in text for text in texts(fig))


def test_the_randomisation_has_a_row_of_maps_and_a_panel_for_each_technique(grey):
    maps = {"saliency": np.ones((2, 150, 150)), "cam": np.ones((2, 9, 9))}
    levels, similarity = dict.fromkeys(maps, (0.1, 0.2)), dict.fromkeys(maps, LINE)
    fig = evidence.randomisation(grey[0], maps, ["trained", "logits"], similarity, levels)
    assert len(fig.findobj(matplotlib.axes.Axes)) == 2 * 2 + 2
    assert {"map of another picture", "edges of the picture", "CAM"} <= texts(fig)


def test_the_curve_of_reliability_shows_what_was_measured_and_what_was_foretold():
    ax = evidence.reliability([1, 50], LINE, [0.5, 0.98]).axes[0]
    assert [list(line.get_ydata()) for line in ax.lines] == [[0.5, 1.0], [0.5, 0.98]]


def test_a_sweep_has_a_picture_for_each_value_and_a_panel_for_each_measure(grey):
    fig = evidence.sweep(grey[:2], ["s = 0", "s = 1"], [0, 1], {"kept": LINE}, "s")
    assert {"s = 0", "s = 1", "kept"} <= texts(fig)
