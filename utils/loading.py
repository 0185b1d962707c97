"""The table of the pictures that notebook 01 made, the pictures themselves, and their masks."""

import numpy as np
import pandas as pd
from PIL import Image

from utils import settings
from utils.files import DataError, read


def load_table(split=None):
    """images.csv as a pandas table; only the rows of one split, if it is named.

    Raises FileNotFoundError, with the notebook to run, when there is none.
    """
    path = read(settings.DATA_DIR / "images.csv")
    table = pd.read_csv(path, keep_default_na=False, dtype={"scene": str})
    return table if split is None else table[table["split"] == split].reset_index(drop=True)


def load_images(table):
    """The pictures of a table's rows, uint8 RGB, (N, 150, 150, 3)."""
    every = load_table()["image"]
    rows = pd.Series(every.index, index=every).groupby(level=0).first()
    images = np.load(read(images_path()), mmap_mode="r")
    return np.array(images[rows.loc[table["image"]].to_numpy()])


def images_path():
    """The file with all pictures as one array, one after the other as in images.csv."""
    return settings.DATA_DIR / f"images-{settings.SIZE}.npy"


def load_examples(table):
    """The pictures of a table's rows (N, 150, 150, 3) and their class indices, int32 (N,)."""
    return load_images(table), table["label"].map(settings.CLASSES.index).to_numpy("int32")


def mask_columns():
    """The columns of the tables that name the masks, in the order of settings.REGIONS."""
    return [f"{region}_mask" for region in settings.REGIONS]


def load_masks(table, region):
    """The masks of a region, one of settings.REGIONS, for a table's rows, bool, (N, 150, 150).

    Raises DataError where there are none: most photographs come without.
    """
    names = table[f"{region}_mask"]
    if (names == "").any():
        raise DataError(f"{settings.DATASET} has pictures without a mask of the {region}.")
    masks = [_small_mask(settings.DATA_DIR / name) for name in names]
    return np.reshape(masks, (-1, settings.SIZE, settings.SIZE)).astype(bool)


def _small_mask(path):
    """The mask in a file, its nearest pixels, bool (150, 150)."""
    with Image.open(path) as mask:
        side = (settings.SIZE, settings.SIZE)
        return np.asarray(mask.convert("L").resize(side, Image.Resampling.NEAREST)) > 127


def load_twin_masks(table, region):
    """As `load_masks`, each with those of its twins in the table: where their scene can differ."""
    masks, scenes = load_masks(table, region), table["scene"].to_numpy()
    together = [masks[scenes == scene].any(axis=0) for scene in scenes]
    return np.reshape(together, masks.shape).astype(bool)


def has_masks(table):
    """Whether every row of a table comes with a mask of each region."""
    return bool((table[mask_columns()] != "").all(axis=None))


def load_regions(table):
    """The masks of a table's rows by region, {"animal": ..., "head": ...}; {} without masks."""
    if not has_masks(table):
        return {}
    return {region: load_masks(table, region) for region in settings.REGIONS}


def report_pictures(table):
    """The rows that every notebook shows: a dog, a cat, a dog, and the first picture with both.

    Of other classes, in the same order: the second, the first, the second. The first of each in
    the test split whose scene is not taken yet, so that no two are twins.
    The picture with both, where there is one, gives a row for each of its animals.
    """
    test, chosen = table[table["split"] == "test"], []
    for label in (settings.CLASSES[i] for i in (1, 0, 1)):
        rows = test[test["label"] == label]
        if rows.empty:
            raise DataError(f"The test split has no picture of a {label}.")
        taken = rows["scene"].isin(table["scene"].loc[chosen])
        chosen.append((rows if taken.all() else rows[~taken]).index[0])
    both = table[table["split"] == "both"]
    both = both[both["image"] == both["image"].head(1).squeeze()]
    return table.loc[[*chosen, *both.index]]


def twins(table):
    """The rows of the first scene that a table holds for every class; none without masks.

    The twins of drawn sets are equal but for the head. Photographs only share a number.
    """
    if not has_masks(table):
        return table[:0]
    complete = table.groupby("scene")["label"].transform("size") == len(settings.CLASSES)
    return table[complete & table["scene"].isin(table.loc[complete, "scene"].head(1))]


def spread(rows, most):
    """At most that many rows of a table, evenly spread over it."""
    return rows.iloc[np.unique(np.linspace(0, len(rows) - 1, most).astype(int))]
