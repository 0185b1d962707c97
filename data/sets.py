"""Where each data set comes from. A data set is one entry of SETS; all code holds for each."""

from utils import settings

LIMIT = settings.LIMIT or None  # photographs of each class, the first in natural order
LEAST_TEST = 3  # of each class: the report shows three pictures

SETS = {
    "drawn-pets": {
        "drawn": "pets",  # the module of data.drawing that draws it
        "scenes": 8 if settings.SMOKE else 300,  # of two pictures, twins but for the class
        "both": 1 if settings.SMOKE else 3,  # pictures with one animal of each class
        "title": "Cats and dogs drawn by code, with masks of the animal and of its head",
        "licence": "as the project",
        "validation": 0.10,
        "test": 1 / 3,
    },
    "dogs-vs-cats": {
        "title": "Photographs of cats and dogs, from Kaggle's competition Dogs vs. Cats",
        "licence": "non-commercial research; the pictures must not be re-published",
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
        "test the networks that come with this",
        "licence": "CC BY-SA 4.0",
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
        "drawn": "ct",
        "scenes": 8 if settings.SMOKE else 240,
        "both": 0,
        "title": "Slices through a chest drawn by code, half of them with ground-glass opacities, "
        "with masks of the lungs and of the opacities",
        "licence": "as the project",
        "validation": 0.05,
        "test": 0.10,
    },
    "sarscov2-ct": {
        "title": "CT slices with and without COVID-19, the SARS-CoV-2 CT-scan dataset from Kaggle",
        "licence": "CC BY-NC-SA 4.0",
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
    """The entry of SETS with that name, or else the one that the setting DATASET names."""
    return SETS[dataset or settings.DATASET]
