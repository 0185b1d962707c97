"""A picture of the reader's own: every odd input is a picture or one clear sentence."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import own_picture
from data import images
from data.drawing import ct
from tests.conftest import SIDE
from utils import loading, settings
from utils.runtime import keras


@pytest.fixture
def red(tmp_path):
    """A file with a red picture, twice as wide as high."""
    path = tmp_path / "a.png"
    Image.new("RGB", (40, 20), "red").save(path)
    return path


def test_a_picture_becomes_the_square_in_the_colours_that_the_network_takes(pooling_network, red):
    colour = own_picture.prepared(red, pooling_network)
    np.testing.assert_array_equal(colour, np.full((SIDE, SIDE, 3), [255, 0, 0]))
    grey = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    np.testing.assert_array_equal(own_picture.prepared(red, grey), np.full((8, 8, 1), 85))
    wide = keras.Sequential([keras.Input((8, 9, 3)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match="only squares"):
        own_picture.prepared(red, wide)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "names no picture on this machine: add IMAGE=photo.jpg"),
        (".", "names no picture"),
        ("https://example.org/a.jpg", "names no picture"),
        ("none.jpg", "There is no such file"),
        ("text.jpg", "It is no picture of a known kind"),
    ],
)
def test_what_is_no_picture_is_one_sentence(pooling_network, tmp_path, monkeypatch, name, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.jpg").write_text("no picture")
    pooling_network.save("theirs.keras")
    with pytest.raises(ValueError, match=sentence) as error:
        own_picture.explain(name, "theirs.keras")
    assert "\n" not in str(error.value)


PICTURE = np.arange(6 * 10 * 3, dtype="uint8").reshape(6, 10, 3)


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


def test_the_class_is_the_predicted_one_unless_another_is_named():
    names, logits = ["cat", "dog"], np.array([1.0, 2.0])
    assert own_picture.chosen("", names, logits) == 1
    assert own_picture.chosen("cat", names, logits) == own_picture.chosen("0", names, logits) == 0
    with pytest.raises(ValueError, match="CLASS=cow is not known; choose one of: cat, dog"):
        own_picture.chosen("cow", names, logits)


@pytest.mark.parametrize("name", ["a.keras", "none.keras", "a.h5", "code.keras"])
def test_a_file_that_holds_no_network_or_code_is_one_sentence(tmp_path, name):
    (tmp_path / "a.keras").write_text("nothing")
    (tmp_path / "a.h5").write_text("nothing")
    code = keras.layers.Lambda(lambda x: x + 1, name="code")
    keras.Sequential([keras.Input((4, 4, 3)), code]).save(tmp_path / "code.keras")
    with pytest.raises(ValueError, match=f"MODEL=.*{name}") as error:
        own_picture.load(tmp_path / name)
    assert ("Lambda" in str(error.value)) == (name == "code.keras")


def test_a_network_of_someone_else_is_explained_without_a_word_on_what_it_knows(
    pooling_network, dense_network, red, tmp_path
):
    for network, has_cam in ((pooling_network, True), (dense_network, False)):
        network.save(tmp_path / "theirs.keras")
        shown = own_picture.explain(red, tmp_path / "theirs.keras", "1")
        assert shown["classes"] == [1, 0]
        assert shown["maps"]["saliency"].shape == (2, SIDE, SIDE)
        assert (shown["maps"]["cam"][0] is not None) == has_cam
        assert "Nothing is known of what this network learned from" in own_picture.report(shown)
        assert ("this network\nhas no such map" in texts(shown)) != has_cam


def texts(shown):
    """All that stands in the figure of what was explained."""
    figure = own_picture.figure(shown)
    return [each.get_text() for each in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


@pytest.mark.parametrize("folder", ["drawn-pets", "elsewhere"])
def test_only_a_picture_of_the_drawn_set_is_called_drawn(
    pooling_network, red, tmp_path, monkeypatch, folder
):
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path / "drawn-pets")
    pooling_network.save(tmp_path / "theirs.keras")
    path = tmp_path / folder / "train" / "a.png"
    path.parent.mkdir(parents=True)
    red.rename(path)
    shown = own_picture.explain(path, tmp_path / "theirs.keras")
    assert any("drawn by code" in text for text in texts(shown)) == (folder == "drawn-pets")


def test_distances_are_one_minus_the_cosine_to_the_nearest():
    known = np.repeat([[1.0, 0.0], [0.0, 1.0]], 5, axis=0)
    found = np.array([[0.0, 1.0], [0.6, 0.8]])
    np.testing.assert_allclose(own_picture.distances(found, known), [0.0, 0.2])


def test_a_slice_of_a_chest_is_warned_of_and_what_was_learned_is_not(tmp_path, monkeypatch):
    layers, side = keras.layers, 24
    keras.utils.set_random_seed(0)
    stem = [keras.Input((side, side, 3)), layers.Conv2D(16, 3, activation="relu", name="conv")]
    monkeypatch.setattr(own_picture, "FINE", ["conv", "conv"])
    network = keras.Sequential([*stem, layers.Flatten(), layers.Dense(2)])
    noise = np.random.default_rng(0).integers(0, 60, (20, side, side, 3), "uint8")
    numbers = {"train": np.arange(12), "validation": np.arange(12, 20)}
    monkeypatch.setattr(loading, "load_table", lambda split: pd.DataFrame({"n": numbers[split]}))
    monkeypatch.setattr(loading, "load_images", lambda rows: noise[rows["n"]])
    monkeypatch.setattr(settings, "MODELS", tmp_path)
    record = tmp_path / "vgg16_dense.json"
    record.write_text('{"fingerprint": "abc"}')
    chest = images.resize(np.repeat(ct.draw_slice(0, "COVID")[0][..., None], 3, -1), side)
    for picture, start in ((chest, "This picture is unlike those"), (noise[0], "")):
        distance, limit = own_picture.familiarity(network, record, picture)
        warning = own_picture.warning({"distance": distance, "limit": limit})
        assert warning.partition(" that the network")[0] == start
