"""The gallery's data: what a page has to know of a picture and of the maps that the notebooks made.

A page opened from a file may load scripts but fetch nothing, so each picture is a script that
hands its data over: gallery/<number>.js, beside a thumbnail gallery/<number>.jpg.
"""

import base64
import io
import json

import matplotlib
import numpy as np
from PIL import Image

from utils import datasets, evaluation, files, plotting, settings
from utils.images import read_image

SIDE = 2 * settings.SIZE  # of the pictures on the page
THUMBNAIL = 96
MOST = 80  # pictures on the page: enough to look at, and a bound on its size
TECHNIQUES = {  # technique: the network whose predictions its maps explain
    "saliency": "dense",
    "smoothgrad": "dense",
    "cam": "gap",
    "grad_cam": "dense",
}
COARSE = 100  # the percentile at which a map of a few units is cut, as in `plotting.overlay`


def write(folder):
    """Write the data of each picture into a folder; a list of dicts (title, alt) for the page."""
    tables = {name: files.load_table(f"predictions_{name}") for name in set(TECHNIQUES.values())}
    images = _spread(tables["dense"]["image"].drop_duplicates(), MOST)
    rows = {name: table[table["image"].isin(images)] for name, table in tables.items()}
    maps = {t: files.maps_of(t, rows[network]) for t, network in TECHNIQUES.items()}
    folder.mkdir(parents=True, exist_ok=True)
    return [_write_picture(folder, i, image, rows, maps) for i, image in enumerate(images)]


def levels(heatmap):
    """A raw map (h, w) as the figures show it: uint8 (SIZE, SIZE), from no evidence to most."""
    fine = heatmap.shape == (settings.SIZE, settings.SIZE)
    large = plotting.enlarge(heatmap[None])[0]
    return np.uint8(np.round(255 * plotting.scaled(large, 99 if fine else COARSE)))


def colours():
    """The colours of the 256 levels as one text of hexadecimal digits, six for each."""
    rgb = matplotlib.colormaps[plotting.COLOURS](np.arange(256), bytes=True)[:, :3]
    return rgb.tobytes().hex()


def words():
    """What the page calls techniques and classes, in the language of the figures."""
    keys = ("original", *TECHNIQUES, *datasets.class_names(), "evidence for", "none")
    return {key: plotting.word(key).replace("\n", " ") for key in keys}


def _spread(values, most):
    """At most that many of some values, evenly spread over them, as a list."""
    values = list(values)
    places = np.linspace(0, len(values) - 1, min(most, len(values)))
    return [values[i] for i in places.round().astype(int)]


def _write_picture(folder, number, name, rows, maps):
    """Write one picture's script and thumbnail; its title and what is to be seen."""
    picture = read_image(settings.DATA_DIR / name, SIDE)
    first = next(rows["dense"][rows["dense"]["image"] == name].itertuples())
    title = _title(first)
    image = _address(picture, "JPEG", quality=85)
    data = {"title": title, "image": image, "maps": _explained(name, rows, maps)}
    with files.whole(folder / f"{number}.js") as path:
        path.write_text(f"received({number}, {json.dumps(data)});\n", encoding="utf-8")
    small = Image.fromarray(picture).resize((THUMBNAIL, THUMBNAIL))
    with files.whole(folder / f"{number}.jpg") as path:
        small.save(path, quality=80)
    return {"title": title, "alt": f"{name.split('/')[-1].rsplit('.', 1)[0]}, {title}"}


def _title(row):
    """Truth, prediction and probability; of a picture with several animals, what it holds."""
    return plotting.word("both") if row.split == "both" else plotting.title(row)


def _explained(name, rows, maps):
    """The maps of one picture, each with its numbers."""
    found = []
    for technique, network in TECHNIQUES.items():
        for i in np.flatnonzero(rows[network]["image"] == name):
            found.append(_map(technique, maps[technique][i], rows[network].iloc[[i]]))
    return found


def _map(technique, heatmap, table):
    """One map as the page needs it: its levels as a picture, its class and its numbers.

    table: the one row of the predictions that it belongs to.
    """
    row, masks = next(table.itertuples()), datasets.load_regions(table)
    masks = {region: mask for region, mask in masks.items() if mask.any()}
    large = plotting.enlarge(heatmap[None])
    return {
        "technique": technique,
        "class": row.explained,
        "map": _address(levels(heatmap), "PNG"),
        "empty": not bool((heatmap > 0).any()),
        "logit": float(row.logit),
        "probability": _probability(row),
        "energy": {r: float(evaluation.energy_inside(large, m)[0]) for r, m in masks.items()},
        "area": {region: float(mask.mean()) for region, mask in masks.items()},
    }


def _probability(row):
    """The probability of the class that the maps explain: of two classes, what the other leaves."""
    return float(row.probability if row.explained == row.predicted else 1 - row.probability)


def _address(array, kind, **options):
    """An array as a picture that stands in its own address (data:)."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
