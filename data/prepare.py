"""How a data set becomes whole on the disk: its pictures, one table and one array of them all."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd

from data import oxford, sets, sources
from data.downloads import natural
from data.images import BadImage, picture_size, read_image
from utils import loading, settings
from utils.files import DataError, progress, whole

DRAWING = Path(__file__).parent / "drawing"


def prepare(dataset=None):
    """Make data/<dataset>/ complete unless it is, and return the table of its pictures.

    dataset: its name, or else what the setting DATASET says. One row per (picture, question):
    image, label, kind, scene, patient where it is known, a mask for each region, bytes, source.
    The table is pictures.csv, written last: with it, and with each file at the size it tells, the
    data set is whole. Raises DataError, with what to do next.
    """
    dataset = dataset or settings.DATASET
    folder = settings.ROOT / "data" / settings.run(dataset)
    pictures = _finished(dataset, folder)
    if pictures is None:
        (folder / "images.csv").unlink(missing_ok=True)
        rows, source = _make(dataset, folder)
        pictures = _inventory(folder, rows).assign(source=source)
        _write_csv(folder / "pictures.csv", pictures)
    return pictures


def _finished(dataset, folder):
    """The table of a finished preparation; None when there is none, or when files differ."""
    known = sets.record(dataset)
    if not (folder / "pictures.csv").exists():
        return None
    pictures = pd.read_csv(folder / "pictures.csv", keep_default_na=False, dtype={"scene": str})
    another = "drawn" in known and set(pictures["source"]) != {_drawing(known)[2]}
    if another or "scene" not in pictures:
        return None
    there = [_bytes(folder / row.image) == row.bytes for row in pictures.itertuples()]
    masks = pictures[loading.mask_columns()].to_numpy().ravel()
    there += [_bytes(folder / mask) > 0 for mask in masks if mask]
    return pictures if len(there) and all(there) else None


def _make(dataset, folder):
    """Draw, or get, the pictures of a data set; their rows and their source."""
    known = sets.record(dataset)
    if "drawn" in known:
        scenes, both, source = _drawing(known)
        artist = import_module(f"data.drawing.{known['drawn']}")
        return artist.write_scenes(folder, scenes, both), source
    if dataset == "oxford-pets":
        return oxford.collect(dataset, folder)
    return sources.collect(dataset, folder)


def _drawing(known):
    """How many scenes to draw, how many with both, and the name of exactly this drawing."""
    scenes, both = known["scenes"], known["both"]
    code = b"".join(file.read_bytes() for file in sorted(DRAWING.glob("*.py")))
    name = hashlib.sha256(code).hexdigest()[:12]
    return scenes, both, f"drawn by code {name}: {scenes} scenes, {both} with both"


def _inventory(folder, rows):
    """The table of the pictures, in natural order, with their sizes in bytes."""
    rows = pd.DataFrame(sorted(rows, key=lambda row: (natural(row["image"]), row["label"])))
    pictures = rows.reindex(columns=_columns(rows, "kind"), fill_value="").fillna("")
    return pictures.assign(bytes=[_bytes(folder / image) for image in pictures["image"]])


def _columns(table, part):
    """The columns of a table in their order: what is known of each picture, then its masks."""
    patient = table.columns.intersection(["patient"])
    return ["image", "label", part, "scene", *patient, *loading.mask_columns()]


def _bytes(path):
    """The size of a file, -1 when there is none."""
    return path.stat().st_size if path.exists() else -1


def build_table():
    """Decode every picture; write images-150.npy, unreadable.csv and, last, images.csv.

    Returns the table of images.csv: image, label, split, scene (twins share it), patient where it
    is known, a mask for each region, and width, height, bytes. Pictures that cannot be decoded are
    listed in unreadable.csv and left out.
    """
    planned, folder = split_table(prepare()), settings.DATA_DIR
    (folder / "images.csv").unlink(missing_ok=True)
    sizes, reasons = _write_images(planned["image"])
    unreadable = pd.DataFrame(reasons.items(), columns=["image", "reason"])
    _write_csv(folder / "unreadable.csv", unreadable)
    table = planned[~planned["image"].isin(reasons)].copy()
    table[["width", "height"]] = np.reshape(sizes, (-1, 2))
    columns = [*_columns(table, "split"), "width", "height", "bytes"]
    _write_csv(folder / "images.csv", table[columns])
    return loading.load_table()


def split_table(pictures, dataset=None):
    """The pictures with a column `split`: train, validation, test, both, or rest.

    Stratified: each class gives the same shares. The classes' pictures, in natural order, are
    dealt by one and the same permutation, so where picture K of one class is the twin of picture K
    of the other, the two stay together. Oxford's pictures only test.
    """
    dataset, split = dataset or settings.DATASET, pictures["kind"].copy()
    if dataset == "oxford-pets":
        return pictures.assign(split=split)
    for label in settings.CLASSES:
        rows = np.flatnonzero((pictures["label"] == label) & (pictures["kind"] == "train"))
        validation = max(1, round(sets.record(dataset)["validation"] * len(rows)))
        test = max(sets.LEAST_TEST, round(sets.record(dataset)["test"] * len(rows)))
        if len(rows) < validation + test + 1:
            raise DataError(f"There are {len(rows)} pictures of a {label}: too few to split.")
        rows = rows[np.random.default_rng(settings.SEED).permutation(len(rows))]
        split.iloc[rows[:validation]] = "validation"
        split.iloc[rows[validation : validation + test]] = "test"
    return pictures.assign(split=split)


def _write_images(names):
    """Write the pictures that can be decoded to images-150.npy, one after the other.

    Returns a list of their sizes (width, height), and the reasons of the others by name.
    """
    images = np.empty((len(names), settings.SIZE, settings.SIZE, 3), np.uint8)
    sizes, reasons = [], {}
    with ThreadPoolExecutor() as pool:
        decoded = progress(pool.map(_decode, names), "Decoding pictures", len(names))
        for name, (image, size) in zip(names, decoded, strict=True):
            if size is None:
                reasons[name] = str(image)
            else:
                images[len(sizes)] = image
                sizes.append(size)
    with whole(loading.images_path()) as path:
        np.save(path, images[: len(sizes)])
    return sizes, reasons


def _decode(name):
    """The picture (SIZE, SIZE, 3) and its (width, height); of a bad one BadImage and None."""
    path = settings.DATA_DIR / name
    try:
        return read_image(path, settings.SIZE), picture_size(path)
    except BadImage as reason:
        return reason, None


def _write_csv(path, table):
    with whole(path) as part:
        table.to_csv(part, index=False)
