import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest

from utils import plotting
from utils.portuguese import translated

matplotlib.use("agg")


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
    scipy = pytest.importorskip("scipy.ndimage")
    maps = np.random.default_rng(0).random((1, 9, 9))
    theirs = scipy.zoom(maps[0], 150 / 9, order=1)
    np.testing.assert_allclose(plotting.enlarge(maps, geometry="corners")[0], theirs, atol=1e-6)


def test_half_pixels_are_those_of_tf_image_resize():
    from utils.runtime import tf

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
    assert [t[1] for t in titles] == list("abcdefghijkl")
    assert titles[3] == "(d) Saliency map"
    assert any("drawn by code" in text for text in texts(fig))


def test_figure_1_speaks_portuguese(pictures, monkeypatch):
    monkeypatch.setattr(plotting.settings, "LANGUAGE", "pt")
    fig = plotting.figure_1(pictures[0], {"saliency": np.ones((3, 150, 150))})
    assert fig.axes[0].get_title() == "(a) Imagem original"
    assert fig.axes[3].get_title() == "(d) Mapa de saliência"


def test_both_languages_have_the_same_words():
    assert set(plotting.WORDS["en"]) == set(plotting.WORDS["pt"])


@pytest.mark.parametrize(
    ("english", "portuguese"),
    [
        ("σ = 0.1\n93% kept", "σ = 0.1\n93% mantidas"),
        ("n = 10\nsum +4.7%", "n = 10\nsoma +4.7%"),
        ("from 0.29 to 0.90", "de 0.29 a 0.90"),
        ("linear\nregression", "regressão\nlinear"),
        ("Grad-CAM++", "Grad-CAM++"),
    ],
)
def test_what_notebooks_write_in_figures_is_translated(english, portuguese):
    assert translated(english) == portuguese


def test_with_the_setting_any_text_of_a_figure_is_portuguese(monkeypatch):
    monkeypatch.setattr(plotting.settings, "LANGUAGE", "pt")
    monkeypatch.setattr(matplotlib.text.Text, "set_text", matplotlib.text.Text.set_text)
    with matplotlib.rc_context():
        plotting.use_style()
        fig, ax = plotting.plt.subplots()
        ax.set(xlabel="thousand steps", title="no noise")
    assert (ax.get_xlabel(), ax.get_title()) == ("milhares de passos", "sem ruído")


def test_a_font_of_the_machine_does_not_take_the_place_of_matplotlibs_own(monkeypatch, tmp_path):
    """Another DejaVu Sans may number its glyphs otherwise: the same figure, other bytes."""
    fonts, own = matplotlib.font_manager.fontManager, matplotlib.get_data_path()
    monkeypatch.setattr(fonts, "ttflist", [])
    for path in Path(own, "fonts", "ttf").glob("DejaVuSans*.ttf"):
        fonts.addfont(shutil.copy(path, tmp_path))
    with matplotlib.rc_context():
        plotting.use_style()
        for name in ("DejaVu Sans", "DejaVu Sans:bold", "STIXGeneral"):
            assert fonts.findfont(name, fallback_to_default=False).startswith(own)


def figure_texts():
    """The texts that notebooks pass to figures as they are: titles in a list, labels, captions."""
    for path in sorted((plotting.settings.ROOT / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            if "alt" in cell["metadata"]:
                yield from re.findall(r'(?:label|title)\(?=?"([a-z][a-z ,]+)"', source)
                yield from re.findall(r'caption\(\s*fig, "([^"]+)"', source)


def test_every_label_and_caption_in_a_notebook_has_its_portuguese():
    found = set(figure_texts()) - {"HiResCAM"}
    assert len(found) > 8
    assert [text for text in found if translated(text) == text] == []


@pytest.mark.fault("a map of zeros in a figure", "says that there is no positive evidence")
def test_a_map_without_positive_evidence_says_so(pictures):
    images, rows = pictures
    fig = plotting.pairs(images, np.zeros((3, 9, 9)), rows)
    assert sum("no positive" in text for text in texts(fig)) == 3


def test_the_comparison_names_truth_prediction_and_probability(pictures):
    images, rows = pictures
    maps = {"saliency": np.ones((3, 150, 150)), "cam": np.ones((3, 9, 9))}
    fig = plotting.comparison(images, maps, rows)
    assert any("dog" in text and "cat" in text and "75.0%" in text for text in texts(fig))


LINE = [(0.5, 0.4, 0.6), (1.0, 0.9, 1.0)]  # two values with their intervals


def test_the_planted_cue_has_a_map_for_each_technique_and_dose_and_both_accuracies(pictures):
    image, mask = pictures[0][0], np.zeros((150, 150), bool)
    mask[4:20, 4:20] = True
    maps = {"saliency": np.ones((2, 150, 150)), "grad_cam": np.ones((2, 9, 9))}
    lines = {"clean": LINE, "swapped": LINE}, {"saliency": LINE, "grad_cam": LINE}
    fig = plotting.planted_cue(image, mask, maps, [0.0, 1.0], *lines)
    assert {"Saliency map, 0%", "Grad-CAM, 100%", "the tag, enlarged"} <= set(texts(fig))
    assert {"no tag", "tag on the other class", "a map that knows nothing"} <= set(texts(fig))
    assert any("drawn by code" in text for text in texts(fig))


def test_the_randomisation_has_a_row_of_maps_and_a_panel_for_each_technique(pictures):
    maps = {"saliency": np.ones((2, 150, 150)), "cam": np.ones((2, 9, 9))}
    levels = {"saliency": (0.1, 0.2), "cam": (0.3, 0.4)}
    similarity = dict.fromkeys(maps, LINE)
    fig = plotting.randomisation(pictures[0][0], maps, ["trained", "logits"], similarity, levels)
    assert len(fig.findobj(matplotlib.axes.Axes)) == 2 * 2 + 2
    assert {"map of another picture", "edges of the picture", "CAM"} <= set(texts(fig))


def test_a_forest_has_an_effect_the_dots_a_baseline_and_an_interval_in_each_row():
    rows = pd.DataFrame(
        [("a", 0.5, 0.4, 0.6, 0.2)], columns=["name", "effect", "low", "high", "baseline"]
    )
    ax = plotting.forest(rows, {"a": [0.45, 0.55]}, "energy").axes[0]
    assert [list(line.get_xdata()) for line in ax.lines] == [[0.5], [0.45, 0.55], [0.2]]
    assert ax.collections[0].get_segments()[0][:, 0].tolist() == [0.4, 0.6]
    assert ax.get_yticklabels()[0].get_text() == "a"


def test_the_curve_of_reliability_shows_what_was_measured_and_what_was_foretold():
    ax = plotting.reliability([1, 50], LINE, [0.5, 0.98]).axes[0]
    assert [list(line.get_ydata()) for line in ax.lines] == [[0.5, 1.0], [0.5, 0.98]]


def test_a_sweep_has_a_picture_for_each_value_and_a_panel_for_each_measure(pictures):
    fig = plotting.sweep(pictures[0][:2], ["s = 0", "s = 1"], [0, 1], {"kept": LINE}, "s")
    assert {"s = 0", "s = 1", "kept"} <= set(texts(fig))
