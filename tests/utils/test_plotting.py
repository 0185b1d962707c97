"""Facts about enlarging and scaling maps, and about what the figures say."""

from types import SimpleNamespace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.ndimage

from utils import plotting, settings
from utils.runtime import tf


def test_true_geometry_puts_unit_i_at_pixel_16_i_plus_7_5():
    maps = np.zeros((1, 9, 9))
    maps[0, 4, 4] = 1  # between pixels 71 and 72
    large = plotting.enlarge(maps)[0]
    assert large.shape == (150, 150)
    assert large[71, 71] == large[72, 72] == large.max()
    assert large[71, 55] == pytest.approx(0)  # the next unit's centre is 16 pixels away


@pytest.mark.parametrize(("units", "stride"), [(75, 2), (37, 4), (18, 8), (9, 16), (4, 32)])
def test_every_layer_of_vgg16_has_its_own_stride(units, stride):
    maps = np.zeros((1, units, units))
    maps[0, 1, 1] = 1
    first, second = stride + (stride - 1) / 2, 2 * stride + (stride - 1) / 2
    large = plotting.enlarge(maps)[0]
    assert large[int(first), int(first)] == large.max()
    assert large[int(np.ceil(second)), int(first)] == 0


def test_a_map_of_the_pictures_size_stays_as_it_is():
    maps = np.random.default_rng(0).random((2, 150, 150))
    np.testing.assert_allclose(plotting.enlarge(maps), maps)


def test_the_outermost_units_are_held_to_the_edge():
    maps = np.zeros((1, 9, 9))
    maps[0, 0, 0] = 1
    assert plotting.enlarge(maps)[0, :8, :8].min() == 1


def test_aligned_corners_are_those_of_tf_keras_vis():
    maps = np.random.default_rng(0).random((1, 9, 9))
    theirs = scipy.ndimage.zoom(maps[0], 150 / 9, order=1)
    np.testing.assert_allclose(plotting.enlarge(maps, geometry="corners")[0], theirs, atol=1e-6)


def test_half_pixels_are_those_of_tf_image_resize():
    maps = np.random.default_rng(0).random((1, 9, 9)).astype("float32")
    theirs = tf.image.resize(maps[..., None], (150, 150)).numpy()[..., 0]
    np.testing.assert_allclose(plotting.enlarge(maps, geometry="half-pixel"), theirs, atol=1e-5)


def test_a_constant_stays_constant_in_any_geometry():
    for geometry in ("true", "corners", "half-pixel"):
        np.testing.assert_allclose(plotting.enlarge(np.ones((2, 9, 9)), geometry=geometry), 1)


def test_scaling_drops_the_negative_and_cuts_at_the_percentile():
    np.testing.assert_allclose(
        plotting.scaled(np.array([[-1.0, 0], [2, 4]]), 100), [[0, 0], [0.5, 1]]
    )
    assert not plotting.scaled(np.zeros((2, 2))).any()
    assert not plotting.scaled(-np.ones((2, 2))).any()


def test_a_map_of_one_bright_pixel_is_not_lost():
    maps = np.zeros((100, 100))
    maps[3, 3] = 5
    assert plotting.scaled(maps)[3, 3] == 1


@pytest.fixture
def pictures():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 255, (3, 150, 150, 3), "uint8")
    row = SimpleNamespace(label="dog", predicted="cat", probability=0.75, split="test")
    return images, [row] * 3


def texts(fig):
    return [text.get_text() for text in fig.findobj(matplotlib.text.Text)]


def test_figure_1_is_lettered_a_to_l_and_says_that_the_pictures_are_drawn(pictures):
    images, _ = pictures
    fine, coarse = np.ones((3, 150, 150)), np.ones((3, 9, 9))
    fig = plotting.figure_1(images, {"saliency": fine, "smoothgrad": fine, "grad_cam": coarse})
    titles = [ax.get_title() for ax in fig.axes]
    assert [title[1] for title in titles] == list("abcdefghijkl")
    assert titles[3] == "(d) Saliency map"
    (caption,) = (text for text in texts(fig) if text.startswith("Figure 1: "))
    assert "dogs and cats\n" in caption and "drawn by code" in caption


def test_photographs_are_not_said_to_be_drawn(pictures, monkeypatch):
    monkeypatch.setattr(settings, "DRAWN", False)
    fig = plotting.figure_1(pictures[0], {"saliency": np.ones((3, 150, 150))})
    assert not any("drawn by code" in text for text in texts(fig))


def test_figure_1_and_the_comparison_speak_portuguese(pictures, monkeypatch):
    monkeypatch.setattr(settings, "LANGUAGE", "pt")
    images, rows = pictures
    maps = {"saliency": np.ones((3, 150, 150))}
    fig = plotting.figure_1(images, maps)
    assert fig.axes[0].get_title() == "(a) Imagem original"
    assert fig.axes[3].get_title() == "(d) Mapa de saliência"
    assert {"Mapa de saliência", "cachorro → gato\n75,0%"} <= set(
        texts(plotting.comparison(images, maps, rows))
    )


def test_a_word_without_a_translation_is_itself(monkeypatch):
    monkeypatch.setattr(settings, "LANGUAGE", "pt")
    assert plotting.word("score_cam") == "score_cam"


def test_the_title_of_a_picture_tells_truth_prediction_and_probability_or_what_was_asked():
    row = SimpleNamespace(label="dog", predicted="cat", probability=0.75, split="test")
    assert plotting.title(row) == "dog → cat, 75.0%"
    both = SimpleNamespace(split="both", explained="dog")
    assert plotting.title(both) == "cat and dog, class: dog"
    assert plotting.title("as it is") == "as it is"


def test_a_map_without_positive_evidence_and_one_that_is_not_there_say_so(pictures):
    images, rows = pictures
    fig = plotting.pairs(images, [np.zeros((9, 9)), -np.ones((150, 150)), None], rows)
    assert sum("no positive" in text for text in texts(fig)) == 2
    assert sum("has no such map" in text for text in texts(fig)) == 1


def test_a_cold_place_of_a_coarse_map_shows_the_picture_as_it_is():
    image, heatmap = np.full((150, 150, 3), 100, "uint8"), np.zeros((9, 9))
    heatmap[0, 0] = 1
    over = plotting.overlay(image, heatmap)
    np.testing.assert_allclose(over[75:], 100 / 255)
    hottest = 0.2 * 100 / 255 + 0.8 * np.array(plt.get_cmap(plotting.COLOURS)(1.0)[:3])
    np.testing.assert_allclose(over[0, 0], hottest)


def test_a_notebook_keeps_lines_as_png_and_noise_as_jpeg():
    (lines, noise), axes = zip(*[plt.subplots() for _ in range(2)], strict=True)
    axes[0].plot([0, 1])
    axes[1].imshow(np.random.default_rng(0).random((300, 300, 3)))
    kinds = [list(plotting._compact(fig, quality=80)) for fig in (lines, noise)]
    assert kinds == [["image/png"], ["image/jpeg"]]


def test_a_fine_map_is_drawn_alone_and_a_coarse_one_over_its_picture():
    image, (left, right) = np.full((150, 150, 3), 100, "uint8"), plotting.grid(1, 2)[1][0]
    plotting.draw_map(left, np.ones((150, 150)), image)
    plotting.draw_map(right, np.ones((9, 9)), image)
    assert left.images[0].get_array().shape == (150, 150)
    assert right.images[0].get_array().shape == (150, 150, 3)


def test_the_comparison_outlines_a_region_in_every_panel(pictures):
    images, rows = pictures
    masks = np.zeros((3, 150, 150), bool)
    masks[0, 50:90, 50:90] = True
    fig = plotting.comparison(images, {"cam": np.ones((3, 9, 9))}, rows, masks)
    panels = [ax for ax in fig.axes if ax.images]
    assert [bool(ax.collections) for ax in panels] == [True] * 2 + [False] * 4


def test_the_colours_of_a_signed_array_have_one_scale_around_zero():
    gradients = np.zeros((4, 4, 3))
    gradients[..., 0], gradients[..., 2] = 1, -3
    limits = [ax.images[0].get_clim() for ax in plotting.signed_channels(gradients).axes]
    assert limits == [(-3, 3)] * 3


def test_a_contact_sheet_begins_a_row_where_one_is_full(pictures):
    fig = plotting.contact_sheet(pictures[0], ["a", "b", "c"], columns=2)
    assert [ax.get_title() for ax in fig.axes] == ["a", "b", "c", ""]
