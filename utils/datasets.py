"""Where each data set comes from, and how it becomes one table, one array and nothing else.

    prepare()      the pictures as files under data/<dataset>/, and pictures.csv, written last
    build_table()  every picture decoded once: images-150.npy, unreadable.csv, images.csv
    load_table(), load_examples(), load_images(), load_masks()   for the notebooks after the first

A data set is one entry of DATASETS; all else here holds for each of them.
"""

import hashlib
import os
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from utils import drawn_chest, drawn_ct, drawn_pets, drawn_scenes, drawn_shapes, settings
from utils.downloads import (
    DataError,
    extract,
    fetch,
    fetch_from_kaggle,
    natural,
    unfinished,
    unpack,
)
from utils.files import disk_full, read, shown, whole
from utils.images import (
    BadImage,
    picture_size,
    read_image,
    read_mask,
    read_trimap,
    write_mask,
)
from utils.progress import progress
from utils.settings import SIZE

NOTEBOOK = "01_download_data"
KAGGLE_INPUT = Path("/kaggle/input")  # where Kaggle's own notebooks find their data

SMOKE_SCENES, SMOKE_BOTH = 8, 1
SMOKE_PICTURES = 24  # of each class
LEAST_TEST = 3  # of each class: the report shows three pictures
BREED_TEST = 10  # of each of Oxford's 37 breeds: SmoothGrad on all would take hours without a GPU
ANIMAL = 1  # in Oxford's trimaps; 2 is background, 3 the border, which is neither for certain

DATASETS = {
    "drawn-pets": {
        "drawn": (drawn_pets, drawn_scenes, drawn_shapes),  # the first draws with the others' help
        "scenes": 200,  # a scene is a picture of each class, twins but for what tells them apart
        "both": 3,  # pictures with one animal of each class
        "title": "Cats and dogs drawn by code, with masks of the animal and of its head",
        "licence": "as the project",
        "classes": ("cat", "dog"),
        "regions": ("animal", "head"),
        "validation": 0.10,
        "test": 0.15,
    },
    "dogs-vs-cats": {
        "title": "Photographs of cats and dogs, from Kaggle's competition Dogs vs. Cats",
        "licence": "non-commercial research; the pictures must not be re-published",
        "classes": ("cat", "dog"),
        "regions": ("animal", "head"),
        "validation": 0.10,
        "test": 0.10,
        "pictures": 25_000,
        "kaggle": "dogs-vs-cats",
        "archives": ("dogs-vs-cats.zip", "train.zip", "kagglecatsanddogs_*.zip"),
        "patterns": (
            r"(?:.*/)?(?P<label>cat|dog)\.(?P<number>[0-9]+)\.(?P<kind>jpg)",
            r"(?:.*/)?PetImages/(?P<label>Cat|Dog)/(?P<number>[0-9]+)\.(?P<kind>jpg)",
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
    "oxford-pets": {
        "title": "The Oxford-IIIT Pet photographs, with masks of the animal and of its head, to "
        "test the network that learned from Dogs vs. Cats",
        "licence": "CC BY-SA 4.0 for Oxford's; those of Dogs vs. Cats must not be re-published",
        "classes": ("cat", "dog"),
        "regions": ("animal", "head"),
        "files": (
            {
                "url": "https://thor.robots.ox.ac.uk/~vgg/data/pets/images.tar.gz",
                "size": 791_918_971,
                "sha256": "67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d",
            },
            {
                "url": "https://thor.robots.ox.ac.uk/~vgg/data/pets/annotations.tar.gz",
                "size": 19_173_078,
                "sha256": "52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91",
            },
        ),
        "ways": "The other way in: put images.tar.gz and annotations.tar.gz "
        "(https://www.robots.ox.ac.uk/~vgg/data/pets/) into data/. data/README.md shows each step; "
        "DATASET=drawn-pets needs no download at all.",
    },
    "drawn-ct": {
        "drawn": (drawn_ct, drawn_chest, drawn_shapes),
        "scenes": 240,
        "both": 0,
        "patient_of": drawn_ct.patient_of,
        "title": "Slices through a chest drawn by code, half of them with ground-glass opacities, "
        "with masks of the lungs and of the opacities",
        "licence": "as the project",
        "classes": ("non-COVID", "COVID"),
        "regions": ("lung", "opacity"),
        "validation": 0.05,
        "test": 0.10,
    },
    "sarscov2-ct": {
        "title": "CT slices with and without COVID-19, the SARS-CoV-2 CT-scan dataset from Kaggle",
        "licence": "CC BY-NC-SA 4.0",
        "classes": ("non-COVID", "COVID"),
        "regions": ("lung", "opacity"),
        "validation": 0.10,
        "test": 0.10,
        "pictures": 2_482,
        "kaggle": "plameneduardo/sarscov2-ctscan-dataset",
        "archives": ("sarscov2-ctscan-dataset.zip",),
        "patterns": (
            r"(?:.*/)?(?P<label>COVID|non-COVID)/[^/]*\((?P<number>[0-9]+)\)\.(?P<kind>png)",
        ),
        "ways": "The other ways in: put sarscov2-ctscan-dataset.zip "
        "(https://www.kaggle.com/datasets/plameneduardo/sarscov2-ctscan-dataset) into data/, or "
        "name it with ARCHIVE=<file>. data/README.md shows each step; DATASET=drawn-ct needs no "
        "download at all.",
    },
}


def record(dataset=None):
    """The entry of DATASETS with that name, or else the one that the setting DATASET names."""
    return DATASETS[dataset or settings.DATASET]


def class_names():
    """The classes, in the order of the network's outputs."""
    return record()["classes"]


def regions():
    """The parts of a picture that masks exist for: the object, and what tells its class."""
    return record()["regions"]


def mask_columns(dataset=None):
    """The columns of the tables that name the masks, in the order of `regions`."""
    return [f"{region}_mask" for region in record(dataset)["regions"]]


# ------------------------------------------------------------------------------- the pictures


def prepare(dataset=None):
    """Make data/<dataset>/ complete unless it is, and return the table of its pictures.

    dataset: its name, or else what the setting DATASET says. One row per (picture, question):
    image, label, kind, a mask for each region, bytes, source. The table is pictures.csv, written
    last: with it, and with each file at the size it tells, the data set is whole. Raises DataError,
    with what to do next.
    """
    dataset = dataset or settings.DATASET
    folder, pictures = _folder(dataset), _finished(dataset)
    if pictures is None:
        for stale in ("pictures.csv", "images.csv"):
            (folder / stale).unlink(missing_ok=True)
        with disk_full(folder):
            pictures = _inventory(dataset, *_make(dataset))
            _write_csv(folder / "pictures.csv", pictures)
    return pictures


def _folder(dataset):
    """Where the pictures of a data set are."""
    return settings.ROOT / "data" / settings.run(dataset)


def _finished(dataset):
    """The table of a finished preparation; None when there is none, or when files differ."""
    folder = _folder(dataset)
    if not (folder / "pictures.csv").exists():
        return None
    pictures = _read_csv(folder / "pictures.csv")
    if "drawn" in record(dataset) and set(pictures["source"]) != {_drawing()[2]}:
        return None
    sizes = pictures[["image", "bytes"]].to_numpy()
    there = [_bytes(folder / image) == size for image, size in sizes]
    masks = pictures[mask_columns(dataset)].to_numpy().ravel()
    there += [_bytes(folder / mask) > 0 for mask in masks if mask]
    return pictures if len(there) and all(there) else None


def _make(dataset):
    """Draw, or get, the pictures of a data set; their rows and their source."""
    if "drawn" in record(dataset):
        return _draw()
    return _collect_annotated(dataset) if "files" in record(dataset) else _collect(dataset)


def _inventory(dataset, rows, source):
    """The table of the pictures, in natural order, with their sizes in bytes."""
    rows = sorted(rows, key=lambda row: (natural(row["image"]), row["label"]))
    columns = ["image", "label", "kind", *mask_columns(dataset)]
    pictures = pd.DataFrame(rows).reindex(columns=columns, fill_value="").fillna("")
    sizes = [_bytes(_folder(dataset) / image) for image in pictures["image"]]
    return pictures.assign(bytes=sizes, source=source)


def _bytes(path):
    """The size of a file, -1 when there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _drawing():
    """How many scenes to draw, how many with both, and the name of exactly this drawing."""
    known = record()
    scenes, both = known["scenes"], known["both"]
    if settings.SMOKE:
        scenes, both = SMOKE_SCENES, min(SMOKE_BOTH, both)
    code = b"".join(Path(module.__file__).read_bytes() for module in known["drawn"])
    name = hashlib.sha256(code).hexdigest()[:12]
    return scenes, both, f"drawn by code {name}: {scenes} scenes, {both} with both"


def _draw():
    """Draw the pictures; their rows and their source."""
    scenes, both, source = _drawing()
    return record()["drawn"][0].write_scenes(settings.DATA_DIR, scenes, both), source


def _collect(dataset):
    """Unpack the photographs from the first source that has them; their rows and their source."""
    with _other_ways(dataset):
        source = _at_hand(dataset) or _download(dataset)
        limit = SMOKE_PICTURES if settings.SMOKE else None
        patterns, classes = (record(dataset)[key] for key in ("patterns", "classes"))
        names = unpack(source, _folder(dataset) / "train", patterns, classes, limit=limit)
        labels = [name.split(".")[0] for name in names]
        if set(labels) != set(classes):
            raise DataError(f"{shown(source)} holds pictures of one class only.")
    rows = [
        {"image": f"train/{name}", "label": label, "kind": "train"}
        for name, label in zip(names, labels, strict=True)
    ]
    return rows, source.name


@contextmanager
def _other_ways(dataset):
    """Add to what went wrong on the way to a data set which other ways there are."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{error} {record(dataset)['ways']}") from None


def _at_hand(dataset):
    """The first source that is here: pictures unpacked by hand, Kaggle's input, an archive."""
    known = record(dataset)
    unpacked = settings.ROOT / "data" / dataset / "train"
    count = sum(len(list(unpacked.glob(f"{label}.*"))) for label in known["classes"])
    if count == known["pictures"]:
        return unpacked
    slug = known["kaggle"]
    for place in (slug.split("/")[-1], f"competitions/{slug}", f"datasets/{slug}"):
        if found := _in_kaggle_input(KAGGLE_INPUT / place, known):
            return found
    if named := settings.environ("ARCHIVE"):
        archive = settings.ROOT / Path(named).expanduser()
        if not archive.exists():
            raise DataError(f"ARCHIVE names {named}, and there is no such file.")
        return archive
    return _in_data(dataset, known["archives"])


def _in_kaggle_input(folder, known):
    """The archive in a folder of Kaggle's, or the folder itself where it is unpacked there."""
    if not folder.is_dir():
        return None
    files = (path.as_posix() for path in folder.rglob("*.*"))
    unpacked = any(re.fullmatch(pattern, file) for file in files for pattern in known["patterns"])
    return _archive_in(folder, known["archives"]) or (folder if unpacked else None)


def _in_data(dataset, archives):
    """The first of some archives in data/ or data/<dataset>/; None when there is none."""
    data = settings.ROOT / "data"
    return _archive_in(data, archives) or _archive_in(data / dataset, archives)


def _archive_in(folder, archives):
    """The first of some archives in a folder; one still being downloaded does not count."""
    found = (path for name in archives for path in sorted(folder.glob(name)))
    return next((path for path in found if not unfinished(path)), None)


def _download(dataset):
    """The archive, from Microsoft on request, else from Kaggle."""
    if settings.environ("DOWNLOAD") == "microsoft" and "microsoft" in record(dataset):
        return _fetched(dataset, record(dataset)["microsoft"])
    return fetch_from_kaggle(record(dataset)["kaggle"], settings.ROOT / "data" / dataset)


def _fetched(dataset, file):
    """A file of a data set, downloaded under its own name and verified."""
    return fetch(path=settings.ROOT / "data" / dataset / _name(file), **file)


def _name(file):
    return file["url"].rsplit("/", 1)[-1]


# ----------------------------------------------------------------- Oxford's pictures and masks


def _collect_annotated(dataset):
    """The pictures that a network learns from, and Oxford's to test it; rows and source."""
    folder, (rows, source) = _folder(dataset), _lessons(settings.LEARNS_FROM[dataset])
    with _other_ways(dataset):
        images, annotations = (
            _in_data(dataset, [_name(file)]) or _fetched(dataset, file)
            for file in record(dataset)["files"]
        )
        names = _listed(annotations, folder)
        boxes = [f"annotations/xmls/{name}.xml" for name in names]
        trimaps = [f"annotations/trimaps/{name}.png" for name in names]
        extract(annotations, folder, trimaps, optional=boxes)
        extract(images, folder, [f"images/{name}.jpg" for name in names])
    return rows + _annotated(folder, names), f"{source}, {images.name}, {annotations.name}"


def _lessons(dataset):
    """The rows of another data set's training and validation pictures, and their source."""
    pictures = split_table(prepare(dataset), dataset)
    pictures = pictures[pictures["split"].isin(["train", "validation"])]
    image = f"../{settings.run(dataset)}/" + pictures["image"]
    rows = pd.DataFrame({"image": image, "label": pictures["label"], "kind": pictures["split"]})
    return rows.to_dict("records"), pictures["source"].iloc[0]


def _listed(archive, folder):
    """The pictures in Oxford's list.txt, in natural order; for a smoke test a few of each class."""
    extract(archive, folder, ["annotations/list.txt"])
    text = (folder / "annotations" / "list.txt").read_text(encoding="utf-8", errors="replace")
    names = sorted(set(re.findall(r"^([A-Za-z_]+_[0-9]+)\s", text, re.MULTILINE)), key=natural)
    cats, dogs = ([name for name in names if _species(name) == label] for label in ("cat", "dog"))
    limit = SMOKE_PICTURES if settings.SMOKE else None
    return cats[:limit] + dogs[:limit]


def _species(name):
    """Oxford's breeds of cats are written with a capital letter, those of dogs without."""
    return "cat" if name[0].isupper() else "dog"


def _annotated(folder, names):
    """The rows of Oxford's pictures with their masks: the first of each breed are to test.

    Those that lack a mask, and those beyond the first BREED_TEST, are of the kind `rest`.
    """
    rows, count = [], Counter()
    enough = LEAST_TEST if settings.SMOKE else BREED_TEST
    for name in progress(names, "Writing masks"):
        masks, breed = _write_masks(folder, name), name.rpartition("_")[0]
        test = all(masks.values()) and count[breed] < enough
        count[breed] += test
        kind = "test" if test else "rest"
        rows.append({"image": f"images/{name}.jpg", "label": _species(name), "kind": kind} | masks)
    return rows


def _write_masks(folder, name):
    """Write the masks of one of Oxford's pictures; their names by column, "" for an empty one.

    The animal is what the trimap is certain of: its border counts as outside. The head is the box,
    where there is one. A trimap of another size than its picture is of no use.
    """
    try:
        trimap = read_trimap(folder / f"annotations/trimaps/{name}.png")
        fits = picture_size(folder / f"images/{name}.jpg") == trimap.shape[::-1]
    except BadImage:
        fits = False
    if not fits:
        return {"animal_mask": "", "head_mask": ""}
    head = _box(folder / f"annotations/xmls/{name}.xml", trimap.shape)
    masks = {}
    for region, mask in (("animal", trimap == ANIMAL), ("head", head)):
        masks[f"{region}_mask"] = f"masks/{name}.{region}.png" if mask.any() else ""
        if mask.any():
            write_mask(folder / f"masks/{name}.{region}.png", mask)
    return masks


def _box(path, shape):
    """The boxes in a file of PASCAL VOC's kind as a mask of that shape; empty if there is none.

    Such boxes count pixels from 1 and hold both of their ends.
    """
    mask = np.zeros(shape, bool)
    with suppress(FileNotFoundError, ElementTree.ParseError, TypeError, ValueError):
        for box in ElementTree.parse(path).iter("bndbox"):
            sides = (box.findtext(side) for side in ("xmin", "ymin", "xmax", "ymax"))
            left, top, right, bottom = (max(0, int(float(side))) for side in sides)
            mask[max(0, top - 1) : bottom, max(0, left - 1) : right] = True
    return mask


# ---------------------------------------------------------------------------------- the table


def build_table():
    """Decode every picture once; write images-150.npy, unreadable.csv and, last, images.csv.

    Returns the table of images.csv: image, label, split, a mask for each region, and width,
    height, bytes. Pictures that cannot be decoded are listed in unreadable.csv and left out.
    """
    pictures = _finished(settings.DATASET)
    if pictures is None:
        raise DataError("The pictures are not complete: call prepare() first.")
    planned = split_table(pictures)
    if (table := _built(planned)) is not None:
        return table
    (settings.DATA_DIR / "images.csv").unlink(missing_ok=True)
    with disk_full(settings.DATA_DIR):
        sizes, reasons = _write_images(planned["image"])
        unreadable = pd.DataFrame(reasons.items(), columns=["image", "reason"])
        _write_csv(settings.DATA_DIR / "unreadable.csv", unreadable)
        table = planned[~planned["image"].isin(reasons)].copy()
        table[["width", "height"]] = np.reshape(sizes, (-1, 2))
        columns = ["image", "label", "split", *mask_columns(), "width", "height", "bytes"]
        _write_csv(settings.DATA_DIR / "images.csv", table[columns])
    return load_table()


def split_table(pictures, dataset=None):
    """The pictures with a column `split`: train, validation, test, both, or rest.

    Stratified: each class gives the same shares. The classes' pictures, in natural order, are
    dealt by one and the same permutation, so where picture K of one class is the twin of picture K
    of the other, the two stay together. What comes from another data set was dealt there.
    """
    dataset, split = dataset or settings.DATASET, pictures["kind"].copy()
    if dataset in settings.LEARNS_FROM:
        return pictures.assign(split=split)
    for label in record(dataset)["classes"]:
        rows = np.flatnonzero((pictures["label"] == label) & (pictures["kind"] == "train"))
        validation, test = (_share(dataset, part, len(rows)) for part in ("validation", "test"))
        if len(rows) < validation + test + 1:
            raise DataError(f"There are {len(rows)} pictures of a {label}: too few to split.")
        rows = rows[np.random.default_rng(settings.SEED).permutation(len(rows))]
        split.iloc[rows[:validation]] = "validation"
        split.iloc[rows[validation : validation + test]] = "test"
    return pictures.assign(split=split)


def _share(dataset, split, count):
    """How many pictures of a class go to a split."""
    least = {"validation": 1, "test": LEAST_TEST}[split]
    return max(least, round(record(dataset)[split] * count))


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


def load_masks(table, region):
    """The masks of a region, one of `regions`, for a table's rows, bool, (N, 150, 150).

    Raises DataError where there are none: most photographs come without.
    """
    names = table[f"{region}_mask"]
    if (names == "").any():
        raise DataError(f"{settings.DATASET} has pictures without a mask of the {region}.")
    masks = [read_mask(settings.DATA_DIR / name, SIZE) for name in names]
    return np.reshape(masks, (-1, SIZE, SIZE)).astype(bool)


def load_twin_masks(table, region):
    """As `load_masks`, each with those of its twins in the table: where their scene can differ."""
    masks, scenes = load_masks(table, region), table["image"].map(scene).to_numpy()
    together = [masks[scenes == number].any(axis=0) for number in scenes]
    return np.reshape(together, masks.shape).astype(bool)


def has_masks(table):
    """Whether every row of a table comes with a mask of each region."""
    return bool((table[mask_columns()] != "").all(axis=None))


def load_regions(table):
    """The masks of a table's rows by region, {"animal": ..., "head": ...}; {} without masks."""
    return {region: load_masks(table, region) for region in regions()} if has_masks(table) else {}


def report_pictures(table):
    """The rows that every notebook shows: a dog, a cat, a dog, and the first picture with both.

    Of other classes, in the same order: the second, the first, the second. The first of each in
    the test split whose number is not taken yet, so that no two are twins.
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
    return table[complete & numbers.isin(numbers[complete].head(1))]


def patients(table):
    """Whose slice each row of a table is, as a number, where the data set tells; else None."""
    patient_of = record().get("patient_of")
    return patient_of and table["image"].map(scene).astype(int).map(patient_of)


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


def _write_csv(path, table):
    with whole(path) as part:
        table.to_csv(part, index=False)
