"""Photographs from the first source that has them: here, in Kaggle's notebooks, on the web."""

import re
from contextlib import contextmanager
from itertools import product
from pathlib import Path

from data import sets
from data.downloads import fetch, fetch_from_kaggle, natural, unfinished, unpack
from utils import settings
from utils.files import DataError, shown

KAGGLE_INPUT = Path("/kaggle/input")  # where Kaggle's own notebooks find their data


def collect(dataset, folder):
    """Unpack the photographs of a data set to <folder>/train; their rows and their source."""
    patterns = sets.record(dataset)["patterns"]
    with other_ways(dataset):
        source = _at_hand(dataset) or _download(dataset)
        names = unpack(source, folder / "train", lambda paths: _pictures(paths, patterns))
        rows = [_row(name) for name in names]
        if {row["label"] for row in rows} != set(settings.CLASSES):
            raise DataError(f"{shown(source)} holds pictures of one class only.")
    return rows, source.name


def _pictures(paths, patterns):
    """The new names, <label>.<number>.<kind>, of those paths that match one of some patterns.

    In natural order, for a smoke test the first few of each class. The label is spelled as in
    settings.CLASSES, and nothing else of a path is followed.
    """
    spelled = {label.lower(): label for label in settings.CLASSES}
    found = {label: {} for label in settings.CLASSES}
    for path, pattern in product(paths, patterns):
        if match := re.fullmatch(pattern, path):
            label = spelled[match["label"].lower()]
            found[label].setdefault(f"{label}.{match['number']}.{match['kind']}", path)
    return {
        names[name]: name
        for names in found.values()
        for name in sorted(names, key=natural)[: sets.LIMIT]
    }


def _row(name):
    label, number, _ = name.split(".")
    return {"image": f"train/{name}", "label": label, "kind": "train", "scene": number}


@contextmanager
def other_ways(dataset):
    """Add to what went wrong on the way to a data set which other ways there are."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{error} {sets.record(dataset)['ways']}") from None


def _at_hand(dataset):
    """The first source that is here: pictures unpacked by hand, Kaggle's input, an archive."""
    known = sets.record(dataset)
    unpacked = settings.ROOT / "data" / dataset / "train"
    count = sum(len(list(unpacked.glob(f"{label}.*"))) for label in settings.CLASSES)
    if count == known["pictures"]:
        return unpacked
    slug = known["kaggle"]
    for place in (slug.split("/")[-1], f"competitions/{slug}", f"datasets/{slug}"):
        folder = KAGGLE_INPUT / place
        if archive := _archive(known["archives"], folder):
            return archive
        if _pictures([path.as_posix() for path in folder.rglob("*.*")], known["patterns"]):
            return folder
    if named := settings.environ("ARCHIVE"):
        archive = settings.ROOT / Path(named).expanduser()
        if not archive.exists():
            raise DataError(f"ARCHIVE names {named}, and there is no such file.")
        return archive
    return _archive(known["archives"], *_folders(dataset))


def _archive(names, *folders):
    """The first archive of some names; None if there is none. A download cut off is not one."""
    found = (path for folder in folders for name in names for path in sorted(folder.glob(name)))
    return next((path for path in found if not unfinished(path)), None)


def _folders(dataset):
    """Where a data set's archives may lie; the second is where they are fetched to."""
    return settings.ROOT / "data", settings.ROOT / "data" / dataset


def _download(dataset):
    """The archive, from Microsoft on request, else from Kaggle."""
    known = sets.record(dataset)
    if settings.environ("DOWNLOAD") == "microsoft" and "microsoft" in known:
        return fetched(dataset, known["microsoft"])
    return fetch_from_kaggle(known["kaggle"], _folders(dataset)[1])


def fetched(dataset, file):
    """A file of a data set under its own name: where it is at hand, or downloaded and verified.

    file: its url, size and sha256.
    """
    name = file["url"].rsplit("/", 1)[-1]
    folders = _folders(dataset)
    return _archive([name], *folders) or fetch(path=folders[1] / name, **file)
