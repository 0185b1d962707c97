"""Where each data set comes from, and how it becomes one table, one array and nothing else.

    prepare()      the pictures as files under data/<dataset>/, and pictures.csv, written last
    build_table()  every picture decoded once: images-150.npy, unreadable.csv, images.csv
    load_table(), load_examples(), load_images(), load_masks()   for the notebooks after the first

A data set is one entry of DATASETS; all else here holds for each of them.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from utils import drawn_pets, drawn_scenes, drawn_shapes, settings
from utils.downloads import (
    DataError,
    disk_full,
    fetch,
    fetch_from_kaggle,
    natural,
    shown,
    unfinished,
    unpack,
)
from utils.files import read, whole
from utils.images import BadImage, picture_size, read_image, read_mask
from utils.progress import progress
from utils.settings import SIZE

NOTEBOOK = "01_download_data"
KAGGLE_INPUT = Path("/kaggle/input")  # where Kaggle's own notebooks find their data

DRAWN_SCENES, DRAWN_BOTH = 200, 3  # a scene is a cat and a dog; pictures with one of each
SMOKE_SCENES, SMOKE_BOTH = 8, 1
SMOKE_PICTURES = 24  # of each class
LEAST_TEST = 3  # of each class: the report shows three pictures
COLUMNS = ["image", "label", "split", "animal_mask", "head_mask", "width", "height", "bytes"]

DATASETS = {
    "drawn-pets": {
        "drawn": (drawn_pets, drawn_scenes, drawn_shapes),  # the first draws with the others' help
        "title": "Cats and dogs drawn by code, with masks of the animal and of its head",
        "licence": "as the project",
        "classes": ("cat", "dog"),
        "validation": 0.10,
        "test": 0.15,
    },
    "dogs-vs-cats": {
        "title": "Photographs of cats and dogs, from Kaggle's competition Dogs vs. Cats",
        "licence": "non-commercial research; the pictures must not be re-published",
        "classes": ("cat", "dog"),
        "validation": 0.10,
        "test": 0.10,
        "pictures": 25_000,
        "kaggle": "dogs-vs-cats",
        "archives": ("dogs-vs-cats.zip", "train.zip", "kagglecatsanddogs_*.zip"),
        "patterns": (
            r"(?:.*/)?(?P<label>cat|dog)\.(?P<name>[0-9]+\.jpg)",
            r"(?:.*/)?PetImages/(?P<label>Cat|Dog)/(?P<name>[0-9]+\.jpg)",
        ),
        "microsoft": {
            "url": "https://download.microsoft.com/download/3/E/1/"
            "3E1C3F21-ECDB-4869-8368-6DEBA77B919F/kagglecatsanddogs_5340.zip",
            "size": 824_887_076,
            "sha256": "b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9",
        },
        "ways": "The other ways in: put dogs-vs-cats.zip or train.zip "
        "(https://www.kaggle.com/c/dogs-vs-cats/data) or Microsoft's kagglecatsanddogs_5340.zip "
        "into data/; or name one with ARCHIVE=<file>; or set DOWNLOAD=microsoft, which fetches "
        "825 MB and needs no account. data/README.md shows each step; DATASET=drawn-pets needs "
        "no download at all.",
    },
}


def record():
    """The entry of DATASETS that the setting DATASET names."""
    return DATASETS[settings.DATASET]


def class_names():
    """The classes, in the order of the network's outputs."""
    return record()["classes"]


# ------------------------------------------------------------------------------- the pictures


def prepare():
    """Make data/<dataset>/ complete unless it is, and return the table of its pictures.

    One row per (picture, question): image, label, kind, animal_mask, head_mask, bytes, source.
    The table is pictures.csv, written last: with it, and with each file at the size it tells, the
    data set is whole. Raises DataError, with what to do next.
    """
    pictures = _finished()
    if pictures is None:
        for stale in ("pictures.csv", "images.csv"):
            (settings.DATA_DIR / stale).unlink(missing_ok=True)
        with disk_full(settings.DATA_DIR):
            rows, source = _draw() if "drawn" in record() else _collect()
            pictures = _inventory(rows, source)
            _write_csv("pictures", pictures)
    return pictures


def _finished():
    """The table of a finished preparation; None when there is none, or when files differ."""
    path = settings.DATA_DIR / "pictures.csv"
    if not path.exists():
        return None
    pictures = _read_csv(path)
    if "drawn" in record() and set(pictures["source"]) != {_drawing()[2]}:
        return None
    there = [_bytes(image) == size for image, size in pictures[["image", "bytes"]].to_numpy()]
    masks = pictures[["animal_mask", "head_mask"]].to_numpy().ravel()
    there += [_bytes(mask) > 0 for mask in masks if mask]
    return pictures if len(there) and all(there) else None


def _inventory(rows, source):
    """The table of the pictures, in natural order, with their sizes in bytes."""
    rows = sorted(rows, key=lambda row: (natural(row["image"]), row["label"]))
    columns = ["image", "label", "kind", "animal_mask", "head_mask"]
    pictures = pd.DataFrame(rows).reindex(columns=columns, fill_value="")
    return pictures.assign(bytes=pictures["image"].map(_bytes), source=source)


def _bytes(image):
    """The size of a picture's file, -1 when there is none."""
    try:
        return (settings.DATA_DIR / image).stat().st_size
    except OSError:
        return -1


def _drawing():
    """How many scenes to draw, how many with both, and the name of exactly this drawing."""
    scenes, both = (SMOKE_SCENES, SMOKE_BOTH) if settings.SMOKE else (DRAWN_SCENES, DRAWN_BOTH)
    code = b"".join(Path(module.__file__).read_bytes() for module in record()["drawn"])
    name = hashlib.sha256(code).hexdigest()[:12]
    return scenes, both, f"drawn by code {name}: {scenes} scenes, {both} with both"


def _draw():
    """Draw the pictures; their rows and their source."""
    scenes, both, source = _drawing()
    return record()["drawn"][0].write_pets(settings.DATA_DIR, scenes, both), source


def _collect():
    """Unpack the photographs from the first source that has them; their rows and their source."""
    try:
        source = _at_hand() or _download()
        limit = SMOKE_PICTURES if settings.SMOKE else None
        names = unpack(source, settings.DATA_DIR / "train", record()["patterns"], limit=limit)
        labels = [name.split(".")[0] for name in names]
        if set(labels) != set(class_names()):
            raise DataError(f"{shown(source)} holds pictures of one class only.")
    except DataError as error:
        raise DataError(f"{error} {record()['ways']}") from None
    rows = [
        {"image": f"train/{name}", "label": label, "kind": "train"}
        for name, label in zip(names, labels, strict=True)
    ]
    return rows, source.name


def _at_hand():
    """The first source that is here: pictures unpacked by hand, Kaggle's input, an archive."""
    slug, data = record()["kaggle"], settings.ROOT / "data"
    unpacked = data / settings.DATASET / "train"
    if sum(len(list(unpacked.glob(f"{name}.*"))) for name in class_names()) == record()["pictures"]:
        return unpacked
    folders = [KAGGLE_INPUT / slug, KAGGLE_INPUT / "competitions" / slug]
    if found := next(filter(None, map(_in_kaggle_input, folders)), None):
        return found
    if named := settings.environ("ARCHIVE"):
        archive = settings.ROOT / Path(named).expanduser()
        if not archive.exists():
            raise DataError(f"ARCHIVE names {named}, and there is no such file.")
        return archive
    return next(filter(None, map(_archive_in, (data, data / settings.DATASET))), None)


def _in_kaggle_input(folder):
    """The archive in a folder of Kaggle's, or the folder itself where it is unpacked there."""
    if not folder.is_dir():
        return None
    return _archive_in(folder) or (folder if any(folder.rglob("cat.*.jpg")) else None)


def _archive_in(folder):
    """The first archive of the data set in a folder; one still being downloaded does not count."""
    found = (path for name in record()["archives"] for path in sorted(folder.glob(name)))
    return next((path for path in found if not unfinished(path)), None)


def _download():
    """The archive, from Microsoft on request, else from Kaggle."""
    folder = settings.ROOT / "data" / settings.DATASET
    if settings.environ("DOWNLOAD") == "microsoft":
        file = record()["microsoft"]
        return fetch(path=folder / file["url"].rsplit("/", 1)[-1], **file)
    return fetch_from_kaggle(record()["kaggle"], folder)


# ---------------------------------------------------------------------------------- the table


def build_table():
    """Decode every picture once; write images-150.npy, unreadable.csv and, last, images.csv.

    Returns the table of images.csv: image, label, split, animal_mask, head_mask, and width,
    height, bytes. Pictures that cannot be decoded are listed in unreadable.csv and left out.
    """
    pictures = _finished()
    if pictures is None:
        raise DataError("The pictures are not complete: call prepare() first.")
    planned = split_table(pictures)
    if (table := _built(planned)) is not None:
        return table
    (settings.DATA_DIR / "images.csv").unlink(missing_ok=True)
    with disk_full(settings.DATA_DIR):
        sizes, reasons = _write_images(planned["image"])
        _write_csv("unreadable", pd.DataFrame(reasons.items(), columns=["image", "reason"]))
        table = planned[~planned["image"].isin(reasons)].copy()
        table[["width", "height"]] = np.reshape(sizes, (-1, 2))
        _write_csv("images", table[COLUMNS])
    return load_table()


def split_table(pictures):
    """The pictures with a column `split`: train, validation, test, or both.

    Stratified: each class gives the same shares. The classes' pictures, in natural order, are
    dealt by one and the same permutation, so where picture K of one class is the twin of picture K
    of the other, the two stay together.
    """
    split = pictures["kind"].copy()
    for label in class_names():
        rows = np.flatnonzero((pictures["label"] == label) & (pictures["kind"] == "train"))
        validation, test = _share("validation", len(rows)), _share("test", len(rows))
        if len(rows) < validation + test + 1:
            raise DataError(f"There are {len(rows)} pictures of a {label}: too few to split.")
        rows = rows[np.random.default_rng(settings.SEED).permutation(len(rows))]
        split.iloc[rows[:validation]] = "validation"
        split.iloc[rows[validation : validation + test]] = "test"
    return pictures.assign(split=split)


def _share(split, count):
    """How many pictures of a class go to a split."""
    least = {"validation": 1, "test": LEAST_TEST}[split]
    return max(least, round(record()[split] * count))


def _built(planned):
    """The table of an earlier call, if it holds for these pictures and this split; else None."""
    try:
        table, bad = load_table(), _read_csv(settings.DATA_DIR / "unreadable.csv")
        rows = len(_images())
    except (OSError, ValueError):
        return None
    columns = ["image", "label", "split", "bytes"]
    planned = planned.loc[~planned["image"].isin(bad["image"]), columns].reset_index(drop=True)
    return table if rows == len(table) and planned.equals(table[columns]) else None


def _write_images(names):
    """Write the pictures that can be decoded to images-150.npy, one after the other.

    Returns a list of their sizes (width, height), and the reasons of the others by name.
    """
    sizes, reasons = [], {}
    with whole(_images_path()) as path, path.open("wb") as file:
        _write_header(file, 0)
        for name, image, size in progress(_decoded(names), "Decoding pictures", len(names)):
            if size is None:
                reasons[name] = str(image)
            else:
                file.write(image.tobytes())
                sizes.append(size)
        file.seek(0)
        _write_header(file, len(sizes))  # as long as the first: NumPy leaves room for the count
    return sizes, reasons


def _write_header(file, count):
    shape = (count, SIZE, SIZE, 3)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _decoded(names, ahead=256):
    """What _decode gives for each name, in order; threads are a few hundred pictures ahead."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(names), ahead):
            yield from pool.map(_decode, names[start : start + ahead])


def _decode(name):
    """Name, picture (SIZE, SIZE, 3) and (width, height); of a bad one name, BadImage and None."""
    path = settings.DATA_DIR / name
    try:
        return name, read_image(path, SIZE), picture_size(path)
    except BadImage as reason:
        return name, reason, None


# -------------------------------------------------------------------------------------- loading


def load_table(split=None):
    """images.csv as a pandas table; only the rows of one split, if it is named.

    Raises FileNotFoundError, with the notebook to run, when there is none.
    """
    table = _read_csv(read(settings.DATA_DIR / "images.csv", NOTEBOOK))
    return table if split is None else table[table["split"] == split].reset_index(drop=True)


def load_images(table):
    """The pictures of a table's rows, uint8 RGB, (N, 150, 150, 3)."""
    every = load_table()["image"]
    rows = pd.Series(every.index, index=every).groupby(level=0).first()
    return np.array(_images()[rows.loc[table["image"]].to_numpy()])


def load_examples(table):
    """The pictures of a table's rows (N, 150, 150, 3) and their class indices, int32 (N,)."""
    return load_images(table), table["label"].map(class_names().index).to_numpy("int32")


def load_masks(table, column):
    """The masks in "animal_mask" or "head_mask" of a table's rows, bool, (N, 150, 150).

    Raises DataError where there are none: photographs come without.
    """
    if (table[column] == "").any():
        raise DataError(f"{settings.DATASET} has pictures without a {column.replace('_', ' ')}.")
    masks = [read_mask(settings.DATA_DIR / name, SIZE) for name in table[column]]
    return np.reshape(masks, (-1, SIZE, SIZE)).astype(bool)


def has_masks(table):
    """Whether every row of a table comes with a mask of the animal and of its head."""
    return bool((table[["animal_mask", "head_mask"]] != "").all(axis=None))


def load_regions(table):
    """The masks of a table's rows by region, {"animal": ..., "head": ...}; {} without masks."""
    if not has_masks(table):
        return {}
    return {region: load_masks(table, f"{region}_mask") for region in ("animal", "head")}


def report_pictures(table):
    """The rows that every notebook shows: a dog, a cat, a dog, and the first picture with both.

    The first of each in the test split whose number is not taken yet, so that no two are twins.
    The picture with both, where there is one, gives a row for each of its animals.
    """
    test, chosen = table[table["split"] == "test"], []
    for label in (class_names()[i] for i in (1, 0, 1)):
        rows = test[test["label"] == label]
        if rows.empty:
            raise DataError(f"The test split has no picture of a {label}.")
        taken = rows["image"].map(scene).isin(table["image"].loc[chosen].map(scene))
        chosen.append((rows if taken.all() else rows[~taken]).index[0])
    both = table[table["split"] == "both"]
    both = both[both["image"] == both["image"].head(1).squeeze()]
    return table.loc[[*chosen, *both.index]].reset_index(drop=True)


def twins(table):
    """The rows of the first scene that a table holds for every class; none without masks.

    The twins of drawn sets are equal but for the head. Photographs only share a number.
    """
    if not has_masks(table):
        return table[:0]
    numbers = table["image"].map(scene)
    complete = numbers.map(numbers.value_counts()) == len(class_names())
    return table[complete & (numbers == numbers[complete].head(1).squeeze())]


def scene(image):
    """The number in a picture's name: twins, train/cat.7.jpg and train/dog.7.jpg, share it."""
    return PurePosixPath(image).stem.split(".", 1)[-1]


def _images():
    return np.load(read(_images_path(), NOTEBOOK), mmap_mode="r")


def _images_path():
    return settings.DATA_DIR / f"images-{SIZE}.npy"


def _read_csv(path):
    """A table in which an empty field is an empty text."""
    return pd.read_csv(path, keep_default_na=False)


def _write_csv(name, table):
    with whole(settings.DATA_DIR / f"{name}.csv") as path:
        table.to_csv(path, index=False)
