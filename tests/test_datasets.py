"""From archives to images.csv, on a handful of tiny pictures."""

import hashlib
import io
import runpy
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.test_downloads import Quiet, serving
from utils import datasets, downloads, drawn_pets, settings
from utils.datasets import DataError, build_table, load_images, load_masks, load_table, prepare

COUNT = 12  # photographs of each class


def jpeg(k):
    """A small picture whose grey is k."""
    file = io.BytesIO()
    Image.new("RGB", (20 + k, 16), (k, k, k)).save(file, "JPEG", quality=95)
    return file.getvalue()


def photographs(name="train/{}.{}.jpg", labels=("cat", "dog")):
    return {name.format(label, k): jpeg(k) for label in labels for k in range(COUNT)}


def archive(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def zip_in_zip(path):
    train = archive(path.with_name("inner.zip"), photographs())
    archive(
        path, {"test1.zip": b"x", "train.zip": train.read_bytes(), "sampleSubmission.csv": b"x"}
    )
    train.unlink()


@pytest.fixture
def house(tmp_path, monkeypatch):
    """An empty project whose data set is dogs-vs-cats; nothing is to be had from Kaggle."""

    def nothing(*_):
        raise DataError("Nothing from Kaggle.")

    for name in ("ARCHIVE", "DOWNLOAD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(datasets, "fetch_from_kaggle", nothing)
    monkeypatch.setattr(datasets, "KAGGLE_INPUT", tmp_path / "kaggle" / "input")
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    choose(monkeypatch, "dogs-vs-cats")
    return tmp_path


def choose(monkeypatch, dataset, smoke=False):
    name = dataset + ("-smoke" if smoke else "")
    monkeypatch.setattr(settings, "DATASET", dataset)
    monkeypatch.setattr(settings, "SMOKE", smoke)
    monkeypatch.setattr(settings, "DATA_DIR", settings.ROOT / "data" / name)


def assert_complete(source):
    pictures = prepare()
    assert len(pictures) == 2 * COUNT and set(pictures["source"]) == {source}
    assert (settings.DATA_DIR / "train/dog.3.jpg").read_bytes() == jpeg(3)


# ------------------------------------------------------------------------------- the ways in


def test_kaggles_zip_in_zip_in_data(house):
    zip_in_zip(house / "data/dogs-vs-cats.zip")
    assert_complete("dogs-vs-cats.zip")


def test_train_zip_in_the_folder_of_the_data_set(house):
    archive(house / "data/dogs-vs-cats/train.zip", photographs())
    assert_complete("train.zip")


def test_microsofts_archive(house):
    others = {"PetImages/Cat/Thumbs.db": b"x", "readme[1].txt": b"x"}
    pets = photographs("PetImages/{}/{}.jpg", ("Cat", "Dog"))
    archive(house / "data/kagglecatsanddogs_5340.zip", pets | others)
    assert_complete("kagglecatsanddogs_5340.zip")


def test_an_archive_that_the_user_names(house, monkeypatch, tmp_path_factory):
    path = tmp_path_factory.mktemp("elsewhere") / "any name.zip"
    zip_in_zip(path)
    monkeypatch.setenv("ARCHIVE", str(path))
    assert_complete("any name.zip")


@pytest.mark.parametrize("folder", ["dogs-vs-cats", "competitions/dogs-vs-cats"])
def test_kaggle_input_comes_before_an_archive_in_data(house, folder):
    archive(house / "data/train.zip", {})
    archive(datasets.KAGGLE_INPUT / folder / "train.zip", photographs())
    assert_complete("train.zip")


def test_kaggle_input_unpacked(house):
    for name, content in photographs().items():
        path = datasets.KAGGLE_INPUT / "dogs-vs-cats/train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert_complete("dogs-vs-cats")


def test_all_pictures_unpacked_by_hand(house, monkeypatch):
    monkeypatch.setitem(datasets.record(), "pictures", 2 * COUNT)
    (settings.DATA_DIR / "train").mkdir(parents=True)
    for name, content in photographs().items():
        (settings.DATA_DIR / name).write_bytes(content)
    assert_complete("train")


@pytest.mark.fault("an archive that Kaggle's package has half downloaded", "is not taken for one")
def test_kaggle_is_asked_last_and_its_unfinished_download_is_no_archive(house, monkeypatch):
    def fetched(slug, folder):
        (folder / f"{slug}.zip.kaggle-partial").unlink()
        return archive(folder / f"{slug}.zip", photographs())

    part = archive(settings.DATA_DIR / "dogs-vs-cats.zip", {"train/cat.0.jpg": jpeg(0)})
    part.with_name(part.name + ".kaggle-partial").touch()
    monkeypatch.setattr(datasets, "fetch_from_kaggle", fetched)
    assert_complete("dogs-vs-cats.zip")


def test_microsoft_is_asked_on_request(house, monkeypatch):
    def fetched(path, url, size, sha256):
        assert url.endswith(path.name) and size == 824_887_076 and len(sha256) == 64
        return archive(path, photographs("PetImages/{}/{}.jpg", ("Cat", "Dog")))

    monkeypatch.setattr(datasets, "fetch", fetched)
    with pytest.raises(DataError):
        prepare()
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
        archive(house / "data/train.zip", files)
    with pytest.raises(DataError, match=message) as error:
        prepare()
    for way in ("data/", "ARCHIVE=", "DOWNLOAD=microsoft", "kaggle.com", "DATASET=drawn-pets"):
        assert way in str(error.value)
    assert not (settings.DATA_DIR / "pictures.csv").exists()


@pytest.mark.fault("ARCHIVE names no file", "is said")
def test_a_named_archive_that_is_not_there_is_said(house, monkeypatch):
    monkeypatch.setenv("ARCHIVE", "nowhere.zip")
    with pytest.raises(DataError, match="ARCHIVE names nowhere.zip"):
        prepare()


def test_smoke_takes_a_few_pictures_of_each_class(house, monkeypatch):
    monkeypatch.setattr(datasets, "SMOKE_PICTURES", 5)
    choose(monkeypatch, "dogs-vs-cats", smoke=True)
    zip_in_zip(house / "data/dogs-vs-cats.zip")
    assert sorted(prepare()["image"])[:5] == [f"train/cat.{k}.jpg" for k in range(5)]
    assert len(load_images(build_table())) == 10


# --------------------------------------------------------------- what is whole, and what is not


@pytest.fixture
def unpacked(house):
    """The project with its pictures complete, and the archive they came from."""
    archive(house / "data/train.zip", photographs())
    prepare()
    return house / "data/train.zip"


def test_what_is_complete_is_not_fetched_again(unpacked):
    unpacked.unlink()
    assert_complete("train.zip")


@pytest.mark.parametrize("damage", ["missing", "shorter"])
@pytest.mark.fault("a picture {damage} after the data were complete", "is put back")
def test_a_picture_that_is_missing_or_of_another_size_is_put_back(unpacked, damage):
    picture = settings.DATA_DIR / "train/dog.3.jpg"
    picture.unlink() if damage == "missing" else picture.write_bytes(b"x")
    with pytest.raises(DataError, match="not complete"):
        build_table()
    assert_complete("train.zip")


@pytest.mark.fault("an unpacking that is interrupted", "is not whole, and goes on")
def test_an_interrupted_unpacking_is_not_whole_and_goes_on(house, monkeypatch):
    archive(house / "data/train.zip", photographs())
    write, written = downloads._write, []

    def killed(path, content):
        written.append(path.name)
        if len(written) == 6:
            raise KeyboardInterrupt
        write(path, content)

    monkeypatch.setattr(downloads, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare()
    assert not (settings.DATA_DIR / "pictures.csv").exists()
    assert len(list((settings.DATA_DIR / "train").iterdir())) == 5
    monkeypatch.setattr(downloads, "_write", write)
    assert_complete("train.zip")


@pytest.mark.fault(
    "a table whose making is interrupted",
    "is not there, and the notebook to run is named",
    "the step",
)
def test_a_killed_build_leaves_no_table(unpacked, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    build_table()
    (settings.DATA_DIR / "unreadable.csv").unlink()
    monkeypatch.setattr(datasets, "read_image", killed)
    with pytest.raises(KeyboardInterrupt):
        build_table()
    with pytest.raises(FileNotFoundError, match="run notebooks/01_download_data.ipynb first"):
        load_table()


def test_a_second_build_decodes_nothing(unpacked, monkeypatch):
    table = build_table()
    monkeypatch.setattr(datasets, "read_image", None)
    pd.testing.assert_frame_equal(build_table(), table)


@pytest.mark.fault("another seed", "another split is written")
def test_another_split_is_written_anew(unpacked, monkeypatch):
    build_table()
    monkeypatch.setattr(settings, "SEED", 1)
    table = build_table()
    assert (settings.DATA_DIR / "images.csv").exists()
    assert table["split"].tolist() == datasets.split_table(prepare())["split"].tolist()


# ---------------------------------------------------------------------------------- the table


@pytest.mark.fault(
    "empty, HTML and cut pictures in an archive",
    "are listed with their reasons, and in no table or array",
    "themselves",
)
def test_bad_pictures_are_listed_and_left_out(house):
    bad = {
        "train/cat.3.jpg": b"",
        "train/dog.0.jpg": b"<html>not found</html>",
        "train/dog.7.jpg": jpeg(7)[:-40],
    }
    archive(house / "data/train.zip", photographs() | bad)
    prepare()
    table = build_table()
    unreadable = pd.read_csv(settings.DATA_DIR / "unreadable.csv")
    assert unreadable["image"].tolist() == list(bad) and unreadable["reason"].notna().all()
    assert len(table) == 2 * COUNT - 3 and not table["image"].isin(bad).any()


def test_the_rows_of_the_array_are_the_rows_of_the_table(house):
    archive(house / "data/train.zip", photographs() | {"train/cat.0.jpg": b""})
    prepare()
    table = build_table()
    assert np.load(settings.DATA_DIR / "images-150.npy").shape == (len(table), 150, 150, 3)
    some = table.iloc[[7, 2, 20]]
    numbers = [int(image.split(".")[1]) for image in some["image"]]
    assert np.abs(load_images(some)[:, 75, 75, 0].astype(int) - numbers).max() <= 1
    assert (table["width"] - 20).tolist() == [
        int(datasets.scene(image)) for image in table["image"]
    ]


def test_the_table_and_the_empty_selection_have_the_agreed_form(unpacked):
    table = build_table()
    assert list(table)[:5] == ["image", "label", "split", "animal_mask", "head_mask"]
    assert table["image"][9:12].tolist() == [
        "train/cat.9.jpg",
        "train/cat.10.jpg",
        "train/cat.11.jpg",
    ]
    assert load_images(table[:0]).shape == (0, 150, 150, 3)
    assert set(load_table("test")["split"]) == {"test"}
    assert not datasets.has_masks(table)
    with pytest.raises(DataError, match="without a mask of the head"):
        load_masks(table, "head")


def pictures(count, both=0):
    """A table as prepare() gives it."""
    rows = [
        (f"train/{label}.{k}.jpg", label, "train") for label in ("cat", "dog") for k in range(count)
    ]
    rows += [(f"both/{k}.jpg", label, "both") for k in range(both) for label in ("cat", "dog")]
    return pd.DataFrame(rows, columns=["image", "label", "kind"])


@pytest.mark.parametrize(
    ("dataset", "count", "sizes"),
    [
        ("drawn-pets", datasets.DATASETS["drawn-pets"]["scenes"], (150, 20, 30)),
        ("drawn-pets", datasets.SMOKE_SCENES, (4, 1, 3)),
        ("dogs-vs-cats", 12500, (10000, 1250, 1250)),
        ("dogs-vs-cats", datasets.SMOKE_PICTURES, (19, 2, 3)),
    ],
)
def test_the_split_is_stratified(monkeypatch, dataset, count, sizes):
    monkeypatch.setattr(settings, "DATASET", dataset)
    counts = datasets.split_table(pictures(count)).groupby(["split", "label"]).size()
    for split, size in zip(("train", "validation", "test"), sizes, strict=True):
        assert counts[split].to_dict() == {"cat": size, "dog": size}


def test_twins_are_in_the_same_split(monkeypatch):
    monkeypatch.setattr(settings, "DATASET", "drawn-pets")
    table = datasets.split_table(pictures(200, both=3))
    train = table[table["kind"] == "train"]
    assert train.groupby(train["image"].map(datasets.scene))["split"].nunique().max() == 1
    assert set(table["split"][table["kind"] == "both"]) == {"both"}


def test_the_split_is_the_same_each_time_and_the_seed_changes_it(monkeypatch):
    monkeypatch.setattr(settings, "DATASET", "dogs-vs-cats")
    first = datasets.split_table(pictures(50))["split"]
    assert first.equals(datasets.split_table(pictures(50))["split"])
    monkeypatch.setattr(settings, "SEED", 1)
    assert not first.equals(datasets.split_table(pictures(50))["split"])


@pytest.mark.fault(
    "Microsoft's archive with its known bad files", "are listed with their reasons", "themselves"
)
def test_the_known_bad_files_of_microsofts_archive_are_listed_and_left_out(house):
    pets = photographs("PetImages/{}/{}.jpg", ("Cat", "Dog"))
    pets |= {"PetImages/Cat/666.jpg": b"", "PetImages/Dog/11702.jpg": b""}
    pets |= {"PetImages/Dog/2317.jpg": jpeg(1)[:30], "PetImages/Cat/Thumbs.db": b"\xd0\xcf\x11\xe0"}
    archive(house / "data/kagglecatsanddogs_5340.zip", pets)
    prepare()
    table = build_table()
    unreadable = pd.read_csv(settings.DATA_DIR / "unreadable.csv").set_index("image")["reason"]
    assert (
        unreadable["train/cat.666.jpg"] == unreadable["train/dog.11702.jpg"] == "The file is empty."
    )
    assert len(unreadable) == 3 and len(table) == 2 * COUNT
    assert load_images(table).shape == (2 * COUNT, 150, 150, 3)


@pytest.mark.fault("too few pictures", "is said")
def test_too_few_pictures_to_split_is_said(monkeypatch):
    monkeypatch.setattr(settings, "DATASET", "dogs-vs-cats")
    with pytest.raises(DataError, match="4 pictures of a cat"):
        datasets.split_table(pictures(4))


@pytest.mark.parametrize("count", [8, 200])
def test_the_report_shows_a_dog_a_cat_a_dog_no_two_of_them_twins_and_one_with_both(
    monkeypatch, count
):
    monkeypatch.setattr(settings, "DATASET", "drawn-pets")
    chosen = datasets.report_pictures(datasets.split_table(pictures(count, both=2)))
    assert chosen["label"].tolist() == ["dog", "cat", "dog", "cat", "dog"]
    assert chosen["split"].tolist() == ["test"] * 3 + ["both"] * 2
    assert chosen["image"][:3].map(datasets.scene).is_unique
    assert set(chosen["image"][3:]) == {"both/0.jpg"}


# ------------------------------------------------------------------------------- drawn pictures


def draw(folder, scenes, both):
    """A stand-in for drawn_pets.write_scenes: grey pictures, masks of their left halves."""
    rows = []
    for kind, k, label in [("train", k, c) for k in range(scenes) for c in ("cat", "dog")] + [
        ("both", k, c) for k in range(both) for c in ("cat", "dog")
    ]:
        image = f"both/{k}.jpg" if kind == "both" else f"train/{label}.{k}.jpg"
        masks = {
            f"{part}_mask": f"masks/{kind}.{label}.{k}.{part}.png" for part in ("animal", "head")
        }
        for name in (image, *masks.values()):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.repeat([[255, 0]], [30], axis=0).astype("uint8")).save(folder / name)
        rows.append({"image": image, "label": label, "kind": kind} | masks)
    return rows


@pytest.fixture
def drawn(house, monkeypatch):
    choose(monkeypatch, "drawn-pets", smoke=True)
    monkeypatch.setattr(drawn_pets, "write_scenes", draw)
    prepare()
    return build_table()


def test_drawn_pictures_come_with_masks_and_pictures_with_both_have_two_rows(drawn):
    assert len(drawn) == 2 * datasets.SMOKE_SCENES + 2 * datasets.SMOKE_BOTH
    assert datasets.has_masks(drawn)
    masks = load_masks(drawn, "head")
    assert masks.shape == (len(drawn), 150, 150) and masks.dtype == bool
    assert masks[:, :, :75].all() and not masks[:, :, 75:].any()
    both = load_table("both")
    assert both["label"].tolist() == ["cat", "dog"] and both["head_mask"].is_unique
    images, labels = datasets.load_examples(both)
    assert images.shape == (2, 150, 150, 3) and labels.tolist() == [0, 1]
    assert len(load_images(datasets.report_pictures(drawn))) == 5


def test_twins_share_their_scene_and_photographs_have_none(drawn):
    train = drawn[drawn["split"] == "train"]
    pair = datasets.twins(train)
    assert pair["label"].tolist() == ["cat", "dog"]
    assert pair["image"].map(datasets.scene).nunique() == 1
    assert datasets.twins(train.assign(head_mask="")).empty


def test_twins_have_the_union_of_their_masks(drawn):
    pair, other = datasets.twins(drawn), drawn[:1]
    cat, dog = (settings.DATA_DIR / name for name in pair["head_mask"])
    Image.new("L", (30, 2)).save(cat)
    assert not load_masks(pair, "head")[0].any()
    np.testing.assert_array_equal(
        datasets.load_twin_masks(pair, "head"), load_masks(pair, "head")[[1, 1]]
    )
    assert datasets.load_twin_masks(other[:0], "head").shape == (0, 150, 150)


def test_another_drawing_is_drawn_anew(drawn, monkeypatch):
    monkeypatch.setattr(datasets, "SMOKE_SCENES", 9)
    prepare()
    assert not (settings.DATA_DIR / "images.csv").exists()
    assert len(build_table()) == 20


@pytest.mark.fault("a mask that is lost", "is drawn again")
def test_a_missing_mask_is_drawn_again(drawn):
    mask = settings.DATA_DIR / drawn["head_mask"][0]
    mask.unlink()
    prepare()
    assert mask.exists()


# ------------------------------------------------------------------------------- slices of a chest


def slices():
    """Slices as Kaggle names them: the labels in the folders, numbers in brackets."""
    folders = {"COVID": "Covid", "non-COVID": "Non-Covid"}
    return {f"{label}/{name} ({k}).png": jpeg(k) for label, name in folders.items()
            for k in range(1, COUNT + 1)}  # fmt: skip


@pytest.fixture
def slice_house(house, monkeypatch):
    choose(monkeypatch, "sarscov2-ct")
    return house


def assert_slices(source):
    pictures = prepare()
    assert pictures["label"].value_counts().to_dict() == {"COVID": COUNT, "non-COVID": COUNT}
    assert set(pictures["source"]) == {source}
    assert (settings.DATA_DIR / "train/non-COVID.3.png").read_bytes() == jpeg(3)


def test_slices_from_an_archive_in_data_get_their_labels_from_the_folders(slice_house):
    archive(slice_house / "data/sarscov2-ctscan-dataset.zip", slices())
    assert_slices("sarscov2-ctscan-dataset.zip")


@pytest.mark.parametrize(
    "folder", ["sarscov2-ctscan-dataset", "datasets/plameneduardo/sarscov2-ctscan-dataset"]
)
def test_slices_unpacked_in_kaggle_input(slice_house, folder):
    for name, content in slices().items():
        path = datasets.KAGGLE_INPUT / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert_slices("sarscov2-ctscan-dataset")


def test_slices_from_kaggle_are_a_data_set_and_no_competition(slice_house, monkeypatch):
    def fetched(slug, folder):
        assert slug == "plameneduardo/sarscov2-ctscan-dataset"
        return archive(folder / "sarscov2-ctscan-dataset.zip", slices())

    monkeypatch.setattr(datasets, "fetch_from_kaggle", fetched)
    monkeypatch.setenv("DOWNLOAD", "microsoft")  # which has photographs of pets only
    assert_slices("sarscov2-ctscan-dataset.zip")


def test_slices_have_columns_for_the_masks_of_lung_and_opacity_and_covid_is_class_1(slice_house):
    archive(slice_house / "data/sarscov2-ctscan-dataset.zip", slices())
    prepare()
    table = build_table()
    assert list(table)[:5] == ["image", "label", "split", "lung_mask", "opacity_mask"]
    assert datasets.load_regions(table) == {}
    labels = datasets.load_examples(table)[1]
    assert (labels == (table["label"] == "COVID")).all()
    shown = datasets.report_pictures(table)["label"]
    assert shown.tolist() == ["COVID", "non-COVID", "COVID"]


def test_drawn_slices_say_whose_they_are_and_real_ones_do_not(monkeypatch):
    names = [f"train/{label}.{k}.png" for k in (6, 7, 8) for label in ("COVID", "non-COVID")]
    table = pd.DataFrame({"image": names})
    monkeypatch.setattr(settings, "DATASET", "drawn-ct")
    assert datasets.patients(table).tolist() == [6, 6, 6, 6, 8, 8]
    monkeypatch.setattr(settings, "DATASET", "sarscov2-ct")
    assert datasets.patients(table) is None


# ------------------------------------------------------------------------------- Oxford's pets


BREEDS = ("Abyssinian", "Bombay", "beagle", "pug")  # two of cats, two of dogs
PETS = [f"{breed}_{k}" for breed in BREEDS for k in (1, 2, 3, 10)]
BOX = """<annotation><object><bndbox>
<xmin>1</xmin><ymin>5</ymin><xmax>10</xmax><ymax>20</ymax></bndbox></object></annotation>"""


def encoded(pixels, kind="JPEG"):
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels, "uint8")).save(file, kind)
    return file.getvalue()


def oxford():
    """Oxford's two archives as dicts, for pictures of 30 x 20: 15 columns of animal, 3 of border.

    The first picture is a PNG, beagle_1 has no box, Bombay_1 one that cannot be read, pug_1 is not
    as large as its trimap; one picture is not in the list, and macOS left something behind.
    """
    trimap = np.tile(np.repeat([1, 3, 2], [15, 3, 12]), (20, 1))
    picture = np.full((20, 30, 3), 100)
    images = {f"images/{name}.jpg": encoded(picture) for name in [*PETS, "pug_99"]}
    images["images/Abyssinian_1.jpg"] = encoded(picture, "PNG")
    images["images/pug_1.jpg"] = encoded(picture[:, :20])
    lines = ["#Image CLASS-ID SPECIES BREED ID", *(f"{name} 1 1 1" for name in PETS[::-1])]
    annotations = {"annotations/list.txt": "\n".join(lines).encode()}
    annotations |= {f"annotations/trimaps/{name}.png": encoded(trimap, "PNG") for name in PETS}
    annotations |= {f"annotations/xmls/{name}.xml": BOX.encode() for name in PETS}
    annotations["annotations/xmls/Bombay_1.xml"] = BOX.encode()[:-60]
    annotations["annotations/trimaps/._pug_1.png"] = b"macOS"
    del annotations["annotations/xmls/beagle_1.xml"]
    return {"images.tar.gz": images, "annotations.tar.gz": annotations}


def tarred(files):
    """The bytes of a plain tar file, as Oxford's are said to be in spite of their names."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def pets(house, monkeypatch):
    """The project on oxford-pets, Dogs vs. Cats at hand, two test pictures a breed; its data/."""
    archive(house / "data/train.zip", photographs())
    for name, files in oxford().items():
        (house / "data" / name).write_bytes(tarred(files))
    monkeypatch.setattr(datasets, "BREED_TEST", 2)
    choose(monkeypatch, "oxford-pets")
    return house / "data"


def names_of(split):
    return [image.removeprefix("images/")[:-4] for image in load_table(split)["image"]]


def test_the_first_pets_of_each_breed_with_both_masks_are_to_test_the_others_rest(pets):
    pictures = prepare()
    assert set(pictures["source"]) == {"train.zip, images.tar.gz, annotations.tar.gz"}
    build_table()
    assert names_of("test") == [
        *("Abyssinian_1", "Abyssinian_2", "Bombay_2", "Bombay_3"),
        *("beagle_2", "beagle_3", "pug_2", "pug_3"),
    ]
    assert sorted(names_of("test") + names_of("rest")) == sorted(PETS)
    test = load_table("test")
    assert test["label"].tolist() == ["cat"] * 4 + ["dog"] * 4
    assert datasets.has_masks(test) and datasets.twins(test).empty
    rest = load_table("rest").set_index("image")
    assert rest.loc["images/beagle_1.jpg", ["animal_mask", "head_mask"]].tolist() == [
        "masks/beagle_1.animal.png",
        "",
    ]
    assert not rest.loc["images/pug_1.jpg", "animal_mask"], "of another size than its trimap"


def test_the_network_for_oxfords_pets_learns_from_the_very_arrays_of_dogs_vs_cats(
    pets, monkeypatch
):
    prepare()
    build_table()
    learned = [datasets.load_examples(load_table(split)) for split in ("train", "validation")]
    choose(monkeypatch, "dogs-vs-cats")
    build_table()
    for split, arrays in zip(("train", "validation"), learned, strict=True):
        for ours, theirs in zip(arrays, datasets.load_examples(load_table(split)), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_the_network_for_oxfords_pets_is_that_of_dogs_vs_cats(monkeypatch):
    monkeypatch.setenv("DATASET", "oxford-pets")
    monkeypatch.setenv("SMOKE", "1")
    chosen = runpy.run_path(settings.__file__)
    assert chosen["MODELS"].relative_to(chosen["ROOT"] / "results").parts == (
        "dogs-vs-cats-smoke",
        "models",
    )
    assert chosen["MAPS"].parent.name == "oxford-pets-smoke"


def test_the_animal_ends_before_its_border_and_the_head_is_the_box_with_both_its_ends(pets):
    prepare()
    build_table()
    regions = datasets.load_regions(load_table("test"))
    assert regions["animal"][:, :, :75].all() and not regions["animal"][:, :, 75:].any()
    rows, columns = np.arange(150)[:, None], np.arange(150)
    assert (regions["head"] == ((rows >= 30) & (columns < 50))).all()


def test_the_report_shows_pets_that_are_not_trained_on(pets):
    prepare()
    chosen = datasets.report_pictures(build_table())
    shown = ["beagle_2", "Abyssinian_1", "beagle_3"]
    assert chosen["image"].tolist() == [f"images/{name}.jpg" for name in shown]


BILLION_LAUGHS = (
    "<!DOCTYPE a ["
    + '<!ENTITY a0 "ha">'
    + "".join(f'<!ENTITY a{k + 1} "{f"&a{k};" * 10}">' for k in range(9))
    + "]><annotation><object><bndbox><xmin>&a9;</xmin></bndbox></object></annotation>"
)


@pytest.mark.fault("an XML bomb as a box", "is not expanded; the picture has no box", "the box")
def test_an_xml_bomb_is_no_box(tmp_path):
    (tmp_path / "a.xml").write_text(BILLION_LAUGHS)
    assert not datasets._box(tmp_path / "a.xml", (20, 30)).any()


def test_smoke_takes_few_pets(pets, monkeypatch):
    monkeypatch.setattr(datasets, "SMOKE_PICTURES", 5)
    choose(monkeypatch, "oxford-pets", smoke=True)
    prepare()
    assert len(build_table()) == 2 * (5 - datasets.LEAST_TEST) + 2 * 5
    assert len(list((pets / "oxford-pets-smoke/images").iterdir())) == 10


def test_pets_that_are_complete_are_not_unpacked_again_and_lost_ones_are(pets):
    prepare()
    (settings.DATA_DIR / "masks/pug_2.head.png").unlink()
    prepare()
    assert (settings.DATA_DIR / "masks/pug_2.head.png").exists()
    for name in oxford():
        (pets / name).unlink()
    assert len(prepare()) == 2 * (COUNT - datasets.LEAST_TEST) + len(PETS)


class Oxford(Quiet):
    """Gives Oxford's two archives away; `wrong` ones are not the files expected."""

    def do_GET(self):
        content = tarred(oxford()[self.path.rsplit("/", 1)[-1]])
        self.answer(200, content[::-1] if "wrong" in self.path else content)


@pytest.fixture(scope="module")
def server():
    with serving(Oxford) as url:
        yield url


@pytest.fixture
def far(pets, server, monkeypatch):
    """Oxford's archives are not at hand, but on a server in the folder that one says."""

    def on_server(folder):
        files = []
        for name, content in oxford().items():
            (pets / name).unlink()
            content = tarred(content)
            file = {"url": f"{server}/{folder}/{name}", "size": len(content)}
            files.append(file | {"sha256": hashlib.sha256(content).hexdigest()})
        monkeypatch.setitem(datasets.record(), "files", files)

    return on_server


def test_oxfords_archives_are_downloaded_where_they_are_not_at_hand(far):
    far("right")
    prepare()
    assert len(build_table().query("split == 'test'")) == 8
    assert (settings.DATA_DIR / "images.tar.gz").exists()


@pytest.mark.fault(
    "a download with another checksum", "is thrown away, and the other way named", "the download"
)
def test_a_download_that_is_not_oxfords_is_thrown_away(far):
    far("wrong")
    with pytest.raises(DataError, match="images.tar.gz is not the file expected.*other way in"):
        prepare()
    assert not (settings.DATA_DIR / "images.tar.gz").exists()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("images.tar.gz", lambda files: files | {"../x.jpg": b"x"}, "not safe to unpack"),
        ("images.tar.gz", lambda files: {"images/tulip_1.jpg": b"x"}, "has no images/Abyssinian_1"),
        ("annotations.tar.gz", lambda files: {"a.txt": b"x"}, "has no annotations/list.txt"),
    ],
)
def test_an_archive_that_is_not_oxfords_is_said_with_the_other_way(pets, name, change, message):
    (pets / name).write_bytes(tarred(change(oxford()[name])))
    with pytest.raises(DataError, match=message) as error:
        prepare()
    assert "put images.tar.gz and annotations.tar.gz" in str(error.value)
    assert not (settings.DATA_DIR / "pictures.csv").exists()


@pytest.mark.parametrize("name", ["images.tar.gz", "annotations.tar.gz"])
@pytest.mark.fault("half of {name}", "is called damaged", "the archive")
def test_half_an_archive_is_called_damaged(pets, name):
    content = (pets / name).read_bytes()
    (pets / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="damaged or not downloaded to its end"):
        prepare()


def test_without_dogs_vs_cats_its_ways_in_are_named_and_nothing_is_downloaded(far, pets):
    far("right")
    (pets / "train.zip").unlink()
    with pytest.raises(DataError, match="Nothing from Kaggle.*DOWNLOAD=microsoft"):
        prepare()
    assert not (settings.DATA_DIR / "images.tar.gz").exists()
