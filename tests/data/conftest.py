"""An empty project, and archives of tiny photographs for it."""

import io
import tarfile
import zipfile

import pytest
from PIL import Image

from data import sources
from utils import settings
from utils.files import DataError

COUNT = 12  # photographs of each class


def jpeg(k):
    """A small picture, 20 + k pixels wide, whose grey is k."""
    file = io.BytesIO()
    Image.new("RGB", (20 + k, 16), (k, k, k)).save(file, "JPEG", quality=95)
    return file.getvalue()


def photographs(name="train/{}.{}.jpg", labels=("cat", "dog")):
    """COUNT pictures of each class by their path; the grey of picture k is k."""
    return {name.format(label, k): jpeg(k) for label in labels for k in range(COUNT)}


def zipped(files):
    """The bytes of a zip file of some files, a dict from path to content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files, mode="w", link=None):
    """The bytes of a tar file of some files, of a folder, and of a link, if its type is given."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        info = tarfile.TarInfo("last")
        info.type, info.linkname = link or tarfile.DIRTYPE, "first" if link else ""
        archive.addfile(info)
    return buffer.getvalue()


def put(path, content):
    """Write a file and the folders that it is in; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def unpack_by_hand(folder, files):
    """The files of a dict in a folder."""
    for name, content in files.items():
        put(folder / name, content)


def choose(monkeypatch, dataset):
    """Set all that the variable DATASET sets."""
    slices = dataset.endswith("-ct")
    monkeypatch.setattr(settings, "DATASET", dataset)
    monkeypatch.setattr(settings, "DATA_DIR", settings.ROOT / "data" / dataset)
    monkeypatch.setattr(settings, "CLASSES", ("non-COVID", "COVID") if slices else ("cat", "dog"))
    monkeypatch.setattr(settings, "REGIONS", ("lung", "opacity") if slices else ("animal", "head"))


@pytest.fixture
def house(tmp_path, monkeypatch):
    """An empty project whose data set is dogs-vs-cats; nothing is to be had from Kaggle."""

    def nothing(*_):
        raise DataError("Nothing from Kaggle.")

    for name in ("ARCHIVE", "DOWNLOAD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sources, "fetch_from_kaggle", nothing)
    monkeypatch.setattr(sources, "KAGGLE_INPUT", tmp_path / "kaggle" / "input")
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    monkeypatch.setattr(settings, "SMOKE", False)
    choose(monkeypatch, "dogs-vs-cats")
    return tmp_path
