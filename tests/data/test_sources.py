"""The ways in: each gives the same pictures, and a failure names the others."""

import pytest

from data import sets, sources
from data.prepare import prepare
from tests.data.conftest import COUNT, choose, jpeg, photographs, put, unpack_by_hand, zipped
from utils import settings
from utils.files import DataError

PLAIN = zipped(photographs())
NESTED = zipped({"test1.zip": b"x", "train.zip": PLAIN, "sampleSubmission.csv": b"x"})
OTHERS = {"PetImages/Cat/Thumbs.db": b"x", "readme[1].txt": b"x"}
MICROSOFT = zipped(photographs("PetImages/{}/{}.jpg", ("Cat", "Dog")) | OTHERS)


def assert_complete(source):
    pictures = prepare()
    assert len(pictures) == 2 * COUNT and set(pictures["source"]) == {source}
    assert (settings.DATA_DIR / "train/dog.3.jpg").read_bytes() == jpeg(3)


@pytest.mark.parametrize(
    ("place", "content"),
    [
        ("data/dogs-vs-cats.zip", NESTED),
        ("data/dogs-vs-cats/train.zip", PLAIN),
        ("data/kagglecatsanddogs_5340.zip", MICROSOFT),
        ("kaggle/input/dogs-vs-cats/train.zip", PLAIN),
        ("kaggle/input/competitions/dogs-vs-cats/dogs-vs-cats.zip", NESTED),
    ],
)
def test_an_archive_is_found_in_data_and_in_kaggles_input(house, place, content):
    assert_complete(put(house / place, content).name)


def test_an_archive_that_the_user_names_comes_before_one_in_data(house, monkeypatch):
    put(house / "data/train.zip", b"")
    monkeypatch.setenv("ARCHIVE", str(put(house / "elsewhere/any name.zip", NESTED)))
    assert_complete("any name.zip")


def test_kaggle_input_unpacked(house):
    unpack_by_hand(sources.KAGGLE_INPUT / "dogs-vs-cats/train", photographs())
    assert_complete("dogs-vs-cats")


def test_all_pictures_unpacked_by_hand(house, monkeypatch):
    monkeypatch.setitem(sets.record(), "pictures", 2 * COUNT)
    unpack_by_hand(settings.DATA_DIR, photographs())
    assert_complete("train")


def test_kaggle_is_asked_last_and_its_unfinished_download_is_no_archive(house, monkeypatch):
    def fetched(slug, folder):
        (folder / f"{slug}.zip.kaggle-partial").unlink()
        return put(folder / f"{slug}.zip", PLAIN)

    part = put(settings.DATA_DIR / "dogs-vs-cats.zip", PLAIN[:500])
    part.with_name(part.name + ".kaggle-partial").touch()
    monkeypatch.setattr(sources, "fetch_from_kaggle", fetched)
    assert_complete("dogs-vs-cats.zip")


def test_microsoft_is_asked_on_request(house, monkeypatch):
    def fetched(path, url, size, sha256):
        assert url.endswith(path.name) and size == 824_887_076 and len(sha256) == 64
        return put(path, MICROSOFT)

    monkeypatch.setattr(sources, "fetch", fetched)
    monkeypatch.setenv("DOWNLOAD", "microsoft")
    assert_complete("kagglecatsanddogs_5340.zip")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, "Nothing from Kaggle"),
        ({"readme.txt": b"x"}, "holds none of the pictures"),
        ({"train/cat.0.jpg": jpeg(0)}, "one class only"),
    ],
)
def test_a_failure_says_what_is_wrong_and_names_the_other_ways(house, files, message):
    if files:
        put(house / "data/train.zip", zipped(files))
    with pytest.raises(DataError, match=message) as error:
        prepare()
    for way in ("data/", "ARCHIVE=", "DOWNLOAD=microsoft", "kaggle.com", "DATASET=drawn-pets"):
        assert way in str(error.value)
    assert not (settings.DATA_DIR / "pictures.csv").exists()


def test_a_named_archive_that_is_not_there_is_said(house, monkeypatch):
    monkeypatch.setenv("ARCHIVE", "nowhere.zip")
    with pytest.raises(DataError, match="ARCHIVE names nowhere.zip"):
        prepare()


def test_smoke_takes_the_first_pictures_of_each_class_in_natural_order(house, monkeypatch):
    monkeypatch.setattr(sets, "LIMIT", 11)
    put(house / "data/train.zip", PLAIN)
    numbers = prepare().groupby("label")["scene"].agg(list)
    assert numbers["cat"] == numbers["dog"] == [str(k) for k in range(11)]


def test_slices_from_kaggle_are_a_data_set_and_get_their_labels_from_the_folders(
    house, monkeypatch
):
    def fetched(slug, folder):
        assert slug == "plameneduardo/sarscov2-ctscan-dataset"
        names = {"COVID": "Covid", "non-COVID": "Non-Covid"}
        files = {f"{a}/{b} ({k}).png": jpeg(k) for a, b in names.items() for k in range(COUNT)}
        return put(folder / "sarscov2-ctscan-dataset.zip", zipped(files))

    choose(monkeypatch, "sarscov2-ct")
    monkeypatch.setattr(sources, "fetch_from_kaggle", fetched)
    monkeypatch.setenv("DOWNLOAD", "microsoft")  # which has photographs of pets only
    assert prepare()["label"].value_counts().to_dict() == {"COVID": COUNT, "non-COVID": COUNT}
    assert (settings.DATA_DIR / "train/non-COVID.3.png").read_bytes() == jpeg(3)
