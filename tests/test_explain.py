"""A picture of the reader's own: every odd input is a picture or one clear sentence."""

import numpy as np
import pandas as pd
import pytest
from PIL import ExifTags, Image

from tests.conftest import SIDE
from utils import datasets, drawn_ct, explain, images, model, settings
from utils.runtime import keras


@pytest.fixture
def pooling(pooling_network):
    return pooling_network


def saved(folder, name, image, **options):
    path = folder / name
    image.save(path, **options)
    return path


def phone(folder):
    """A picture that is upright only once it is turned as the camera says: red is on top."""
    picture = Image.new("RGB", (40, 20), "blue")
    picture.paste("red", (0, 0, 20, 20))
    exif = picture.getexif()
    exif[ExifTags.Base.Orientation] = 6
    return saved(folder, "phone.jpg", picture, exif=exif)


ODD = {
    "phone": phone,
    "cmyk": lambda folder: saved(folder, "a.jpg", Image.new("CMYK", (30, 30))),
    "gif": lambda folder: saved(folder, "a.gif", Image.new("P", (30, 30))),
    "grey": lambda folder: saved(folder, "a.png", Image.new("L", (30, 50))),
    "tiny": lambda folder: saved(folder, "a.png", Image.new("RGB", (20, 20))),
    "large": lambda folder: saved(folder, "a.png", Image.new("1", (6000, 5000))),
}


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_an_odd_picture_becomes_a_square(pooling, tmp_path, make):
    pixels = explain.prepared(make(tmp_path), pooling)
    assert (pixels.shape, pixels.dtype) == ((SIDE, SIDE, 3), np.uint8)


def test_a_picture_from_a_phone_is_upright(pooling, tmp_path):
    top, bottom = explain.prepared(phone(tmp_path), pooling)[[0, -1], 0]
    assert top[0] > 200 > top[2]
    assert bottom[2] > 200 > bottom[0]


def text_file(folder):
    path = folder / "a.jpg"
    path.write_text("no picture")
    return path


def huge(folder):
    return saved(folder, "huge.png", Image.new("1", (9000, 9000)))


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        (lambda folder: "", "No picture is named"),
        (lambda folder: folder, "is a folder"),
        (lambda folder: "https://example.org/a.jpg", "is an address"),
        (lambda folder: folder / "none.jpg", "There is no such file"),
        (text_file, "It is no picture of a known kind"),
        (huge, "9000 x 9000 pixels: too large"),
    ],
)
def test_what_is_no_picture_is_one_sentence(pooling, tmp_path, what, sentence):
    path = what(tmp_path)
    with pytest.raises(ValueError, match=sentence) as error:
        explain._check_path(path)
        explain.prepared(path, pooling)
    assert "\n" not in str(error.value)


def test_a_network_of_grey_pictures_gets_grey_ones(tmp_path):
    grey = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    path = saved(tmp_path, "a.png", Image.new("RGB", (20, 20), (30, 60, 90)))
    assert explain.prepared(path, grey).shape == (8, 8, 1)
    assert (explain.prepared(path, grey) == 60).all()


PICTURE = np.arange(6 * 10 * 3, dtype="uint8").reshape(6, 10, 3)


@pytest.mark.parametrize(
    ("crop", "expected"),
    [("", PICTURE), ("centre", PICTURE[:, 2:8]), ("1,2,4,6", PICTURE[2:6, 1:4])],
)
def test_a_picture_is_cropped_as_asked(crop, expected):
    np.testing.assert_array_equal(explain.cropped(PICTURE, crop), expected)


@pytest.mark.parametrize(
    ("crop", "sentence"),
    [("middle", "neither centre nor"), ("0,0,11,6", "which is 10 x 6"), ("3,0,3,6", "leaves")],
)
def test_a_crop_that_cannot_be_is_one_sentence(crop, sentence):
    with pytest.raises(ValueError, match=sentence):
        explain.cropped(PICTURE, crop)


def test_the_class_is_the_predicted_one_unless_another_is_named():
    names, logits = ["cat", "dog"], np.array([1.0, 2.0])
    assert explain.chosen("", names, logits) == 1
    assert explain.chosen("cat", names, logits) == explain.chosen("0", names, logits) == 0
    with pytest.raises(ValueError, match="CLASS=cow is not known; choose one of: cat, dog"):
        explain.chosen("cow", names, logits)


def test_a_file_that_holds_no_network_is_one_sentence(tmp_path):
    (tmp_path / "a.keras").write_text("nothing")
    for name in ("a.keras", "b.keras", "a.h5"):
        with pytest.raises(ValueError, match=f"MODEL=.*{name}"):
            explain.load(tmp_path / name)


def test_code_in_a_file_is_not_run(tmp_path):
    network = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Lambda(lambda x: x + 1)])
    network.save(tmp_path / "code.keras")
    with pytest.raises(ValueError, match="Lambda"):
        explain.load(tmp_path / "code.keras")


def test_a_network_of_someone_else_is_explained_without_a_word_on_what_it_knows(
    pooling_network, dense_network, tmp_path
):
    path = saved(tmp_path, "a.png", Image.new("RGB", (20, 20), "red"))
    for network, has_cam in ((pooling_network, True), (dense_network, False)):
        network.save(tmp_path / "theirs.keras")
        shown = explain.explain(path, tmp_path / "theirs.keras", "1")
        assert shown["classes"] == [1, 0]
        assert shown["maps"]["saliency"].shape == (2, SIDE, SIDE)
        assert (shown["maps"]["cam"][0] is not None) == has_cam
        assert "Nothing is known of what this network learned from" in explain.report(shown)
        assert ("this network\nhas no such map" in texts(shown)) != has_cam


def texts(shown):
    """All that stands in the figure of what was explained."""
    figure = explain.figure(shown)
    return [each.get_text() for each in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def test_only_a_picture_of_the_drawn_set_is_called_drawn(pooling_network, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path / "drawn-pets")
    pooling_network.save(tmp_path / "theirs.keras")
    (tmp_path / "drawn-pets" / "train").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "drawn-pets" / "train"):
        path = saved(folder, "a.png", Image.new("RGB", (20, 20), "red"))
        shown = explain.explain(path, tmp_path / "theirs.keras")
        assert any("drawn by code" in text for text in texts(shown)) == (folder != tmp_path)


def test_distances_are_one_minus_the_cosine_to_the_nearest():
    known = np.repeat([[1.0, 0.0], [0.0, 1.0]], 5, axis=0)
    found = np.array([[0.0, 1.0], [0.6, 0.8]])
    np.testing.assert_allclose(explain.distances(found, known), [0.0, 0.2])


@pytest.fixture
def calibrated(tmp_path, monkeypatch):
    """A network of our kind that never learned, and pictures of one colour that it 'knows'."""
    monkeypatch.setattr(settings, "MODELS", tmp_path)
    network = model.build("dense", weights="drawn")
    (tmp_path / "vgg16_dense.json").write_text('{"fingerprint": "abc"}')
    table = pd.DataFrame({"split": ["train"] * 12 + ["validation"] * 8})
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 60, (20, settings.SIZE, settings.SIZE, 3), "uint8")
    monkeypatch.setattr(datasets, "load_table", lambda: table)
    monkeypatch.setattr(datasets, "load_images", lambda rows: noise[rows.index])
    return network, tmp_path / "vgg16_dense.json", noise


def test_a_slice_of_a_chest_is_warned_of_and_what_was_learned_is_not(calibrated):
    network, record, noise = calibrated
    chest = images.resize(np.repeat(drawn_ct.draw_slice(0, "COVID")[0][..., None], 3, -1), 150)
    distance, limit = explain.familiarity(network, record, chest)
    assert distance > limit
    shown = {"distance": distance, "limit": limit}
    assert "unlike those that the network learned from" in explain.warning(shown)
    distance, again = explain.familiarity(network, record, noise[0])
    assert (distance <= limit, again) == (True, limit)
    assert explain.warning({"distance": distance, "limit": limit}) == ""
