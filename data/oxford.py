"""Oxford's pets: which of them are to test a network, and the masks of the animal and its head."""

import re
from collections import Counter
from contextlib import suppress
from xml.etree import ElementTree

import numpy as np

from data import sets
from data.downloads import natural, unpack
from data.images import BadImage, picture_size, read_trimap, write_picture
from data.sources import fetched, other_ways
from utils import settings
from utils.files import progress

# Of each of the 37 breeds: SmoothGrad on all would take hours without a GPU.
BREED_TEST = sets.LEAST_TEST if settings.SMOKE else 10
ANIMAL = 1  # in the trimaps; 2 is background, 3 the border, which is neither for certain


def collect(dataset, folder):
    """Unpack the pictures to a folder and write their masks; their rows and their source."""
    with other_ways(dataset):
        images, annotations = (fetched(dataset, file) for file in sets.record(dataset)["files"])
        names = _listed(annotations, folder)
        trimaps = [f"annotations/trimaps/{name}.png" for name in names]
        boxes = {f"annotations/xmls/{name}.xml" for name in names}
        unpack(annotations, folder, lambda paths: _same([*trimaps, *boxes.intersection(paths)]))
        unpack(images, folder, lambda _: _same(f"images/{name}.jpg" for name in names))
    return _rows(folder, names), f"{images.name}, {annotations.name}"


def _same(paths):
    """What is unpacked keeps its name."""
    return {path: path for path in paths}


def _listed(archive, folder):
    """The pictures in Oxford's list.txt, in natural order; for a smoke test a few of each class."""
    unpack(archive, folder, lambda _: _same(["annotations/list.txt"]))
    text = (folder / "annotations" / "list.txt").read_text(encoding="utf-8", errors="replace")
    names = sorted(set(re.findall(r"^([A-Za-z_]+_[0-9]+)\s", text, re.MULTILINE)), key=natural)
    cats, dogs = ([name for name in names if _species(name) == label] for label in ("cat", "dog"))
    return cats[: sets.LIMIT] + dogs[: sets.LIMIT]


def _species(name):
    """Oxford's breeds of cats are written with a capital letter, those of dogs without."""
    return "cat" if name[0].isupper() else "dog"


def _rows(folder, names):
    """The rows of the pictures with their masks: the first of each breed are to test.

    Those that lack a mask, and those beyond the first BREED_TEST, are of the kind `rest`.
    """
    rows, count = [], Counter()
    for name in progress(names, "Writing masks"):
        masks, breed = _write_masks(folder, name), name.rpartition("_")[0]
        test = all(masks.values()) and count[breed] < BREED_TEST
        count[breed] += test
        row = {"image": f"images/{name}.jpg", "label": _species(name), "scene": name}
        rows.append(row | masks | {"kind": "test" if test else "rest"})
    return rows


def _write_masks(folder, name):
    """Write the masks of one picture; their names by column, "" for an empty one.

    The animal is what the trimap is certain of: its border counts as outside. The head is the box,
    where there is one. A trimap of another size than its picture is of no use.
    """
    masks = {"animal_mask": "", "head_mask": ""}
    with suppress(BadImage):
        trimap = read_trimap(folder / f"annotations/trimaps/{name}.png")
        if picture_size(folder / f"images/{name}.jpg") == trimap.shape[::-1]:
            head = _box(folder / f"annotations/xmls/{name}.xml", trimap.shape)
            for region, mask in (("animal", trimap == ANIMAL), ("head", head)):
                if mask.any():
                    masks[f"{region}_mask"] = f"masks/{name}.{region}.png"
                    write_picture(folder / f"masks/{name}.{region}.png", mask)
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
