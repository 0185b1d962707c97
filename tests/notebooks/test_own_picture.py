"""Pictures of the reader's own: every odd input is a picture or one clear sentence."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import familiar
import own_picture
from data import images
from data.drawing import ct
from tests.conftest import SIDE
from utils import loading, settings
from utils.runtime import keras

PICTURE = np.arange(6 * 10 * 3, dtype="uint8").reshape(6, 10, 3)
layers = keras.layers


@pytest.fixture
def asked(pooling_network):
    """Two classes; nothing is known of the network."""
    return own_picture.Networks(pooling_network, pooling_network, ["cat", "dog"])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, where a.png is a red picture, twice as wide as high."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 20), "red").save("a.png")
    return tmp_path


# ------------------------------------------------------------------------------- the pictures


def test_a_picture_becomes_the_square_in_the_colours_that_the_network_takes(asked, folder):
    colour = own_picture.prepared("a.png", asked.scores)
    np.testing.assert_array_equal(colour, np.full((SIDE, SIDE, 3), [255, 0, 0]))
    grey = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten()])
    np.testing.assert_array_equal(own_picture.prepared("a.png", grey), np.full((8, 8, 1), 85))


def test_image_names_a_file_several_a_pattern_or_a_folder(folder):
    (folder / "more é").mkdir()
    for name in ("b c.png", "more é/d.png", "more é/notes.txt", "more é/.e.png", "it's.png"):
        (folder / name).write_bytes(b"")
    here = str(folder)
    for text, expected in {
        "a.png": ["a.png"],
        "b c.png": ["b c.png"],
        "it's.png": ["it's.png"],
        "a.png 'b c.png' none.png": ["a.png", "b c.png", "none.png"],
        "[ab]*.png": ["a.png", "b c.png"],
        f"'{here}/more é'": [f"{here}/more é/d.png"],
        "no such.png": ["no such.png"],
    }.items():
        assert own_picture.pictures(text) == expected, text
    with pytest.raises(ValueError, match="add IMAGE=photo.jpg"):
        own_picture.pictures("")


def test_what_is_no_picture_is_one_sentence(asked, folder):
    (folder / "text.jpg").write_text("no picture")
    (folder / "empty.jpg").write_text("")
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:60])
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 99)
    for name, reason in {
        "none.jpg": "there is no such file",
        "text.jpg": "it is no picture of a known kind",
        "phone.heic": "it is no picture of a known kind",
        "empty.jpg": "the file is empty",
        "cut.png": "it cannot be decoded",
        ".": "it is a folder without pictures",
        "https://example.org/a.jpg": "it is an address on the web",
    }.items():
        with pytest.raises(ValueError, match=f"^{name} cannot be used: {reason}.*; give") as error:
            own_picture.explain(name, asked)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 2000, 3)])
def test_a_picture_of_an_odd_shape_is_explained(asked, shape):
    shown = own_picture.explain(np.full(shape, 9, "uint8"), asked)
    assert np.isfinite(shown["maps"]["smoothgrad"]).all()


@pytest.mark.parametrize(
    ("crop", "expected"),
    [("", PICTURE), ("centre", PICTURE[:, 2:8]), ("1,2,4,6", PICTURE[2:6, 1:4])],
)
def test_a_picture_is_cropped_as_asked(crop, expected):
    np.testing.assert_array_equal(own_picture.cropped(PICTURE, crop), expected)


@pytest.mark.parametrize(
    ("crop", "sentence"),
    [("middle", "neither centre nor"), ("0,0,11,6", "which is 10 x 6"), ("3,0,3,6", "leaves")],
)
def test_a_crop_that_cannot_be_is_one_sentence(crop, sentence):
    with pytest.raises(ValueError, match=sentence):
        own_picture.cropped(PICTURE, crop)


def test_the_class_is_found_by_name_or_number():
    names = ["cat", "dog"]
    assert own_picture.chosen("", names) is None
    assert own_picture.chosen("dog", names) == own_picture.chosen("1", names) == 1
    with pytest.raises(ValueError, match="CLASS=cow is not known; choose one of: cat, dog"):
        own_picture.chosen("cow", names)


# -------------------------------------------------------------------------------- the answers


def test_a_bad_picture_costs_only_itself(asked, folder, monkeypatch, capsys):
    (folder / "b").mkdir()
    Image.new("RGB", (9, 9), "green").save("b/a.png")
    monkeypatch.setattr(own_picture, "EXPLAINED", folder / "explained")
    monkeypatch.setattr(own_picture, "networks", lambda name: asked)
    monkeypatch.setattr(settings, "IMAGE", "a.png none.png b")
    own_picture.main()
    said = capsys.readouterr().out.splitlines()
    assert [line.split(" ")[0] for line in said[:3]] == ["a.png:", "none.png", "b/a.png:"]
    assert {p.name for p in Path("explained").iterdir()} == {"a.png", "a-2.png", "answers.csv"}
    table = pd.read_csv("explained/answers.csv", keep_default_na=False)
    assert table["answer"].tolist() == ["cat", "", "dog"]
    assert table["error"].astype(bool).tolist() == [False, True, False]
    monkeypatch.setattr(settings, "IMAGE", "none.png")
    with pytest.raises(SystemExit):
        own_picture.main()


def test_of_a_network_of_someone_else_nothing_is_known(asked, dense_network, folder):
    for network, has_cam in ((asked.scores, True), (dense_network, False)):
        shown = own_picture.explain(
            "a.png", own_picture.Networks(network, network, ["x", "y"]), "1"
        )
        assert shown["classes"] == [1, 0]
        assert shown["maps"]["saliency"].shape == (2, SIDE, SIDE)
        assert "No picture that this network learned from" in own_picture.report(shown)
        assert ("this network\nhas no such map" in texts(shown)) != has_cam


def texts(shown):
    """All that stands in the figure of what was explained."""
    figure = own_picture.figure(shown)
    return [each.get_text() for each in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


@pytest.mark.parametrize("name", ["drawn-pets", "elsewhere"])
def test_only_a_picture_of_the_drawn_set_is_called_drawn(asked, folder, monkeypatch, name):
    monkeypatch.setattr(settings, "DATA_DIR", folder / "drawn-pets")
    (folder / name).mkdir()
    (folder / "a.png").rename(folder / name / "a.png")
    shown = own_picture.explain(folder / name / "a.png", asked)
    assert any("drawn by code" in text for text in texts(shown)) == (name == "drawn-pets")


def test_distances_are_one_minus_the_cosine_to_the_nearest():
    found = np.array([[0.0, 1.0], [0.6, 0.8]])
    np.testing.assert_allclose(familiar.distances(found, np.eye(2)), [0.0, 0.2])


def test_the_photographs_that_the_shipped_networks_know_are_rows_of_length_one():
    training, limit = familiar.known(familiar.PHOTOGRAPHS)
    assert training.shape == (300, 256 + 512 + 512) and 0 < limit < 1
    np.testing.assert_allclose(np.linalg.norm(training, axis=1), 1, atol=0.01)


def test_a_slice_of_a_chest_is_warned_of_and_what_was_learned_is_not(tmp_path, monkeypatch):
    keras.utils.set_random_seed(0)
    stem = [keras.Input((24, 24, 3)), layers.Conv2D(16, 3, activation="relu", name="conv")]
    monkeypatch.setattr(familiar, "COMPARED", ["conv", "conv"])
    network = keras.Sequential([*stem, layers.Flatten(), layers.Dense(2)])
    noise = np.random.default_rng(0).integers(0, 60, (20, 24, 24, 3), "uint8")
    numbers = {"train": np.arange(12), "validation": np.arange(12, 20)}
    monkeypatch.setattr(loading, "load_table", lambda split: pd.DataFrame({"n": numbers[split]}))
    monkeypatch.setattr(loading, "load_images", lambda rows: noise[rows["n"]])
    monkeypatch.setattr(settings, "MODELS", tmp_path)
    (tmp_path / "vgg16_dense.json").write_text('{"fingerprint": "abc"}')
    chest = images.resize(np.dstack([ct.draw_slice(0, "COVID")[0]] * 3), 24)
    asked = own_picture.Networks(network, network, ["a", "b"], familiar.calibrated(network))
    for picture, unlike in ((chest, True), (noise[0], False)):
        shown = own_picture.explain(picture, asked)
        assert ("This picture is unlike those" in own_picture.report(shown)) == unlike
        assert any(text.startswith("Unlike what") for text in texts(shown)) == unlike
