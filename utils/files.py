"""Files are written whole or not at all; what a notebook hands to a later one."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd

from utils import settings
from utils.progress import progress

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

WRITTEN_BY = {  # the notebook that writes a technique's maps, a network or a table
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
    "verdicts": "09_evidence",
}


class DiskFull(OSError):
    """A file could not be written for want of room; the text says where and what to do."""


@contextmanager
def whole(path):
    """Yield a path beside `path` to write to, and move it into place when all went well.

    Killed at any moment, either the old file or the new one is there. Who writes the same file at
    the same time waits its turn, so inside, `path` may be read to write it anew. What a killed run
    left behind is written over. Raises DiskFull.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    with _alone_with(part):
        try:
            with disk_full(path.parent):
                yield part
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        os.replace(part, path)


@contextmanager
def _alone_with(part):
    """Make an empty file that no other process writes; the lock ends with the process."""
    if fcntl is None:  # Windows
        part.write_bytes(b"")
        yield
        return
    while True:
        file = part.open("ab")
        with suppress(OSError):  # some network drives know no locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if _is_at(file, part):  # else whoever held it has moved it into place meanwhile
            break
        file.close()
    with file:
        file.truncate(0)
        yield


def _is_at(file, path):
    """Whether a path still leads to an open file."""
    return path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())


@contextmanager
def disk_full(folder):
    """Turn a full disk into a DiskFull. Not all writers tell it by its number: NumPy does not."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        if isinstance(error, DiskFull) or not (full or _no_room(folder)):
            raise
        raise DiskFull(
            f"The disk is full: {shown(folder)} could not be written. Make room, then run this "
            "again; nothing half-done counts as done."
        ) from None


def _no_room(folder):
    return Path(folder).exists() and shutil.disk_usage(folder).free < 2**20


def shown(path):
    """A path as it may be printed: relative to the project, or the bare name outside of it."""
    path = Path(path)
    inside = path.is_relative_to(settings.ROOT)
    return path.relative_to(settings.ROOT).as_posix() if inside else path.name


def read(path, notebook):
    """`path` itself if the file exists, else an error that names the notebook that writes it.

    Where make has set up no environment (Colab, Kaggle), that notebook is run instead.
    """
    unmade = (settings.ROOT / "Makefile").exists() and not (settings.ROOT / ".venv").exists()
    if unmade and not Path(path).exists():
        _run(notebook)
    if not Path(path).exists():
        raise FileNotFoundError(f"{shown(path)} is missing: run notebooks/{notebook}.ipynb first.")
    return path


def _run(notebook):
    """Run a notebook after those that it builds on, with the Python that runs this."""
    target = (settings.RESULTS_DIR / "notebooks" / f"{notebook}.ipynb").relative_to(settings.ROOT)
    print(f"Running notebooks/{notebook}.ipynb first, since what it writes is missing ...")
    make = ["make", "-s", "-o", ".venv/ready", f"BIN={Path(sys.executable).parent}", str(target)]
    subprocess.run(make, cwd=settings.ROOT, check=True)


def save_table(name, frame):
    """Write the pandas table `frame` to tables/<name>.csv."""
    with whole(settings.TABLES / f"{name}.csv") as part:
        frame.to_csv(part, index=False, na_rep="nan")


def load_table(name):
    """The table that an earlier notebook wrote as tables/<name>.csv."""
    return _read_table(read(settings.TABLES / f"{name}.csv", WRITTEN_BY[name]))


def _read_table(path):
    """A table whose empty fields are empty texts: that is what a picture without masks has."""
    return pd.read_csv(path, keep_default_na=False, na_values=["nan"])


def save_rows(name, frame, key):
    """Put rows into tables/<name>.csv, in place of those with the same value in column `key`."""
    path = settings.TABLES / f"{name}.csv"
    with whole(path) as part:  # read inside, so that no row of another notebook's is lost
        if path.exists():
            old = _read_table(path)
            frame = pd.concat([old[~old[key].isin(frame[key])], frame])
            frame = frame.sort_values(key, kind="stable")
        frame.to_csv(part, index=False, na_rep="nan")


def stream_maps(technique, explain, rows, *, part=16, **recipe):
    """Write maps/<technique>.npz from explain(rows), a part of the rows at a time.

    explain: a function of some rows to their raw maps (n, h, w). rows: as in `save_maps`. recipe:
    what else the maps depend on. Only one part is in memory, and each is a file of its own until
    all are there: a run that was stopped goes on where it was, for the same network, pictures and
    recipe.
    """
    asked = rows[["image", "label", "class_index", "logit"]].to_csv(index=False)
    name = hashlib.sha256(f"{part} {sorted(recipe.items())} {asked}".encode()).hexdigest()[:12]
    folder = settings.MAPS / f"unfinished-{technique}-{name}"
    parts = {start: folder / f"{start}.npy" for start in range(0, len(rows), part)}
    missing = [start for start, path in parts.items() if not path.exists()]
    for start in progress(missing, f"{technique}, parts of {part} maps"):
        with whole(parts[start]) as file:
            np.save(file, np.float32(explain(rows.iloc[start : start + part])))
    _write_maps(technique, map(np.load, parts.values()), rows)
    for unfinished in settings.MAPS.glob(f"unfinished-{technique}-*"):
        shutil.rmtree(unfinished)


def save_maps(technique, maps, rows):
    """Write raw maps (N, h, w) to maps/<technique>.npz, with what they explain.

    rows: their table of predictions (N rows), with image, label, class_index and logit.
    """
    _write_maps(technique, [np.float32(maps)], rows)


def _write_maps(technique, parts, rows):
    """Write the file of maps from parts (n, h, w), of which one is held at a time."""
    columns = {name: rows[name].to_numpy() for name in ("class_index", "logit")}
    columns |= {name: rows[name].to_numpy(dtype=str) for name in ("image", "label")}
    with (
        whole(settings.MAPS / f"{technique}.npz") as path,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, column in columns.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, column)
        with archive.open("maps.npy", "w", force_zip64=True) as file:
            for i, maps in enumerate(parts):
                if i == 0:
                    shape = (len(rows), *maps.shape[1:])
                    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(maps.tobytes())


def load_maps(technique):
    """A dict with raw `maps` (N, h, w), and `image`, `label`, `class_index`, `logit`, each (N,).

    Raises ValueError for a damaged file, and for one with pickled objects: none is loaded.
    """
    path, notebook = settings.MAPS / f"{technique}.npz", WRITTEN_BY[technique]
    try:
        with read(path, notebook).open("rb") as file, np.load(file) as archive:
            return dict(archive)
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        raise ValueError(
            f"{shown(path)} is damaged, or holds more than numbers and names: remove it and run "
            f"notebooks/{notebook}.ipynb."
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
    """Write a figure to figures/<name>.png (300 dpi) and .pdf, the same bytes each time."""
    with whole(settings.FIGURES / f"{name}.png") as path:
        fig.savefig(path, dpi=300)
    with whole(settings.FIGURES / f"{name}.pdf") as path:
        fig.savefig(path, metadata={"CreationDate": None})
