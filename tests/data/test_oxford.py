"""Oxford's pets, from two tiny archives like theirs."""

import io

import numpy as np
import pytest
from PIL import Image

from data import oxford, sources
from data.prepare import build_table, prepare
from tests.data.conftest import choose, put, tarred
from utils import loading, settings
from utils.files import DataError

BREEDS = ("Abyssinian", "Bombay", "beagle", "pug")  # two of cats, two of dogs
PETS = [f"{breed}_{k}" for breed in BREEDS for k in (1, 2, 3, 10)]
BOX = """<annotation><object><bndbox>
<xmin>1</xmin><ymin>5</ymin><xmax>10</xmax><ymax>20</ymax></bndbox></object></annotation>"""


def encoded(pixels, kind="JPEG"):
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels, "uint8")).save(file, kind)
    return file.getvalue()


def archives():
    """Oxford's two archives as dicts, for pictures of 30 x 20: 15 columns of animal, 3 of border.

    beagle_1 has no box, Bombay_1 one that cannot be read, pug_1 is not as large as its trimap; one
    picture is not in the list, and macOS left something behind.
    """
    trimap = np.tile(np.repeat([1, 3, 2], [15, 3, 12]), (20, 1))
    picture = np.full((20, 30, 3), 100)
    images = {f"images/{name}.jpg": encoded(picture) for name in [*PETS, "pug_99"]}
    images["images/pug_1.jpg"] = encoded(picture[:, :20])
    lines = ["#Image CLASS-ID SPECIES BREED ID", *(f"{name} 1 1 1" for name in PETS[::-1])]
    annotations = {"annotations/list.txt": "\n".join(lines).encode()}
    annotations |= {f"annotations/trimaps/{name}.png": encoded(trimap, "PNG") for name in PETS}
    annotations |= {f"annotations/xmls/{name}.xml": BOX.encode() for name in PETS}
    annotations["annotations/xmls/Bombay_1.xml"] = BOX.encode()[:-60]
    annotations["annotations/trimaps/._pug_1.png"] = b"macOS"
    del annotations["annotations/xmls/beagle_1.xml"]
    return {"images.tar.gz": images, "annotations.tar.gz": annotations}


@pytest.fixture
def pets(house, monkeypatch):
    """The project on oxford-pets, two test pictures of each breed; its data/."""
    for name, files in archives().items():
        put(house / "data" / name, tarred(files))
    monkeypatch.setattr(oxford, "BREED_TEST", 2)
    choose(monkeypatch, "oxford-pets")
    return house / "data"


def names_of(rows):
    return [image.removeprefix("images/")[:-4] for image in rows["image"]]


def test_the_first_pets_of_each_breed_with_both_masks_are_to_test_the_others_rest(pets):
    pictures = prepare()
    assert set(pictures["source"]) == {"images.tar.gz, annotations.tar.gz"}
    table = build_table().set_index("split", drop=False)
    assert names_of(table.loc["test"]) == [
        *("Abyssinian_1", "Abyssinian_2", "Bombay_2", "Bombay_3"),
        *("beagle_2", "beagle_3", "pug_2", "pug_3"),
    ]
    assert table.loc["test", "label"].tolist() == ["cat"] * 4 + ["dog"] * 4
    assert sorted(names_of(table.loc[["test", "rest"]])) == sorted(PETS)
    masks = table.set_index("image")[["animal_mask", "head_mask"]]
    assert masks.loc["images/beagle_1.jpg"].tolist() == ["masks/beagle_1.animal.png", ""]
    assert masks.loc["images/pug_1.jpg"].tolist() == ["", ""], "of another size than its trimap"


def test_the_animal_ends_before_its_border_and_the_head_is_the_box_with_both_its_ends(pets):
    regions = loading.load_regions(build_table().query("split == 'test'"))
    assert regions["animal"][:, :, :75].all() and not regions["animal"][:, :, 75:].any()
    rows, columns = np.arange(150)[:, None], np.arange(150)
    assert (regions["head"] == ((rows >= 30) & (columns < 50))).all()


def test_archives_that_are_not_at_hand_are_downloaded(pets, monkeypatch):
    def fetched(path, url, size, sha256):
        assert url == f"https://thor.robots.ox.ac.uk/~vgg/data/pets/{path.name}"
        return put(path, tarred(archives()[path.name]))

    for name in archives():
        (pets / name).unlink()
    monkeypatch.setattr(sources, "fetch", fetched)
    assert (build_table()["split"] == "test").sum() == 8
    assert (settings.DATA_DIR / "images.tar.gz").exists()


def test_an_archive_that_is_not_oxfords_is_said_with_the_other_way(pets):
    put(pets / "images.tar.gz", tarred({"images/tulip_1.jpg": b"x"}))
    with pytest.raises(DataError, match="has no images/Abyssinian_1.*put images.tar.gz and"):
        prepare()
    assert not (settings.DATA_DIR / "pictures.csv").exists()
