"""Every switch of a run, read from the environment once; and where a run reads and writes."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SEED = 0

_CHOICES = {
    "DATASET": ("drawn-pets", "dogs-vs-cats", "oxford-pets", "drawn-ct", "sarscov2-ct"),
    "PRECISION": ("auto", "float32", "bfloat16"),
    "LANGUAGE": ("en", "pt"),
    "SMOKE": ("", "0", "1"),
}


def environ(name, default=""):
    """The value of the environment variable `name`, checked where only some values make sense.

    Raises ValueError with the values that exist.
    """
    value = os.environ.get(name, default).strip() or default
    if value not in _CHOICES.get(name, (value,)):
        known = ", ".join(choice for choice in _CHOICES[name] if choice)
        raise ValueError(f"{name}={value} is not known; choose one of: {known}.")
    return value


def number(name, default=0):
    """The value of the environment variable `name` as a whole number; ValueError if it is none."""
    value = environ(name, str(default))
    if not value.isdecimal():
        raise ValueError(f"{name}={value} is no number; give one like {name}=10.")
    return int(value)


DATASET = environ("DATASET", "drawn-pets")
PRECISION = environ("PRECISION", "auto")
LANGUAGE = environ("LANGUAGE", "en")
SMOKE = environ("SMOKE") == "1"  # the same path on a handful of small pictures
SIZE = 48 if SMOKE else 150  # side of the network's input, in pixels; the report's is 150
GRID = SIZE // 16  # rows and columns of the maps of VGG-16's last convolution, 9
DRAWN = DATASET.startswith("drawn")  # the pictures are drawn by code
SEEN = DATASET == "dogs-vs-cats"  # whose pictures the shipped networks learned from
VGG16_WEIGHTS = environ("VGG16_WEIGHTS", "imagenet" if SEEN else "photographs")
IMAGE, CROP = environ("IMAGE"), environ("CROP")  # a picture to explain, and which part of it
MODEL, CLASS = environ("MODEL"), environ("CLASS")  # a network to ask, and for which class
LIMIT = 24 if SMOKE else number("LIMIT")  # photographs of each class, at most; 0 for all

SLICES = DATASET.endswith("-ct")
CLASSES = ("non-COVID", "COVID") if SLICES else ("cat", "dog")  # in the order of the outputs
REGIONS = ("lung", "opacity") if SLICES else ("animal", "head")  # what masks may exist for: the
# object, and the part of it that tells its class
# Trainings that the evidence compares; oxford-pets has none, it tests the networks shipped.
_SEEDS = 2 if SMOKE else max(1, number("SEEDS", 3 if DRAWN else 1))
SEEDS = 1 if DATASET == "oxford-pets" else _SEEDS
EPOCHS = 4 if SLICES else 3 if DRAWN else 2  # of fine-tuning; slices are far from the base
LEARNING_RATE = 5e-5 if SLICES else 2e-5


def run(dataset):
    """The name of the folders of a data set, in data/ and in results/."""
    return dataset + ("-smoke" if SMOKE else "")


DATA_DIR = ROOT / "data" / run(DATASET)
RESULTS_DIR = ROOT / "results" / run(DATASET)
MODELS = RESULTS_DIR / "models"
MAPS = RESULTS_DIR / "maps"
FIGURES = RESULTS_DIR / "figures"
TABLES = RESULTS_DIR / "tables"


def few(count):
    """So many pictures or passes; on a handful (SMOKE) a sixteenth of them, at least two."""
    return max(2, count // 16) if SMOKE else count
