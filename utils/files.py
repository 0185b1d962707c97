"""Files are written whole or not at all; what a notebook hands to a later one; progress."""

import hashlib
import os
import time
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import clear_output
from joblib import Memory

from utils import settings

WRITTEN_BY = {  # the notebook that writes the pictures, a technique's maps, a network or a table
    "images": "01_download_data",
    "saliency": "03_saliency_maps",
    "smoothgrad": "04_smoothgrad",
    "cam": "05_cam",
    "grad_cam": "06_grad_cam",
    "vgg16_dense": "02_fine_tune_vgg16",
    "vgg16_gap": "05_cam",
    "accuracy": "02_fine_tune_vgg16",
    "predictions_dense": "02_fine_tune_vgg16",
    "predictions_gap": "05_cam",
    "localisation": "03_saliency_maps",
    "techniques": "08_more_techniques",
    "verdicts": "09_evidence",
}


class DataError(RuntimeError):
    """The data cannot be had: the text says what is wrong, where, and what to do next."""


@contextmanager
def whole(path):
    """Yield a path beside `path` to write to, and move it into place when all went well.

    Killed at any moment, either the old file or the new one is there, and the next call writes
    over what was left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield part
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    os.replace(part, path)


def shown(path):
    """A path as it may be printed: relative to the project, or the bare name outside of it."""
    path = Path(path)
    inside = path.is_relative_to(settings.ROOT)
    return path.relative_to(settings.ROOT).as_posix() if inside else path.name


def read(path, written="images"):
    """`path` itself if the file exists, else an error that names the notebook that writes it.

    written: a key of WRITTEN_BY.
    """
    if not Path(path).exists():
        notebook = WRITTEN_BY[written]
        raise FileNotFoundError(f"{shown(path)} is missing: run notebooks/{notebook}.ipynb first.")
    return path


def progress(items, label, total=None, every=1.0):
    """Yield `items`; a live line says how many are done, and is gone when the last one is.

    What the cell printed before goes with the line. Work of less than two seconds has none.
    """
    total = len(items) if total is None else total
    start = time.monotonic()
    due = start + 2
    try:
        for done, item in enumerate(items, 1):
            yield item
            if (now := time.monotonic()) > due:
                left = (total - done) * (now - start) / done
                clear_output(wait=True)
                print(f"{label}: {done} of {total}, {left:.0f} s left", end="\r", flush=True)
                due = now + every
    finally:
        if due > start + 2:
            clear_output()


def save_table(name, frame):
    """Write the pandas table `frame` to tables/<name>.csv."""
    with whole(settings.TABLES / f"{name}.csv") as part:
        frame.to_csv(part, index=False, na_rep="nan")


def load_table(name):
    """The table that an earlier notebook wrote as tables/<name>.csv."""
    return _read_table(read(settings.TABLES / f"{name}.csv", name))


def kept(module):
    """A joblib memory on disk for the functions of a file: a run that was stopped goes on there.

    It starts anew when the file, `utils` or what draws pictures changes, so that no number outlives
    the code that made it.
    """
    rooms = (settings.ROOT / "utils").glob("*.py"), (settings.ROOT / "data/drawing").glob("*.py")
    sources = [Path(module), *sorted(path for room in rooms for path in room)]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    return Memory(settings.RESULTS_DIR / "kept" / f"{Path(module).stem}-{digest}", verbose=0)


def photographs():
    """What the same notebooks found on the report's photographs: figures/photographs.csv."""
    return pd.read_csv(settings.ROOT / "figures" / "photographs.csv").set_index("quantity")


def _read_table(path):
    """A table whose empty fields are empty texts: that is what a picture without masks has."""
    return pd.read_csv(path, keep_default_na=False, na_values=["nan"])


def save_rows(name, frame, key):
    """Put rows into tables/<name>.csv, in place of those with the same value in column `key`."""
    path = settings.TABLES / f"{name}.csv"
    if path.exists():
        old = _read_table(path)
        frame = pd.concat([old[~old[key].isin(frame[key])], frame])
    save_table(name, frame.sort_values(key, kind="stable"))


def save_maps(technique, maps, rows):
    """Write raw maps (N, h, w) to maps/<technique>.npz, with what they explain.

    rows: their table of predictions (N rows), with image, label, class_index and logit.
    """
    columns = {name: rows[name].to_numpy() for name in ("class_index", "logit")}
    columns |= {name: rows[name].to_numpy(dtype=str) for name in ("image", "label")}
    with whole(settings.MAPS / f"{technique}.npz") as path:
        np.savez_compressed(path, maps=np.float32(maps), **columns)


def load_maps(technique):
    """A dict with raw `maps` (N, h, w), and `image`, `label`, `class_index`, `logit`, each (N,).

    Raises ValueError for a damaged file, and for one with pickled objects: none is loaded.
    """
    path = settings.MAPS / f"{technique}.npz"
    try:
        with read(path, technique).open("rb") as file, np.load(file) as archive:
            return dict(archive)
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        raise ValueError(
            f"{shown(path)} is damaged, or holds more than numbers and names: remove it and run "
            f"notebooks/{WRITTEN_BY[technique]}.ipynb."
        ) from None


def maps_of(technique, rows):
    """The raw maps (N, h, w) for some rows of a table of predictions, by their image and label."""
    archive = load_maps(technique)
    known = pd.MultiIndex.from_arrays([archive["image"], archive["label"]])
    places = known.get_indexer(pd.MultiIndex.from_frame(rows[["image", "label"]]))
    if (places < 0).any():
        missing = rows["image"].iloc[int(places.argmin())]
        notebook = WRITTEN_BY[technique]
        raise KeyError(f"There is no {technique} map of {missing}: run notebooks/{notebook}.ipynb.")
    return archive["maps"][places]


def save_figure(fig, name):
    """Write a figure to figures/<name>.png (150 dpi) and .pdf."""
    with whole(settings.FIGURES / f"{name}.png") as path:
        fig.savefig(path, dpi=150)
    with whole(settings.FIGURES / f"{name}.pdf") as path:
        fig.savefig(path, metadata={"CreationDate": None})
