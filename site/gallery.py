"""The gallery: what its page has to know of a picture and of the maps that the notebooks made.

A page opened from a file may load scripts but fetch nothing, so each picture is a script that
hands its data over: gallery/<number>.js, beside a thumbnail gallery/<number>.jpg.
"""

import base64
import io
import json
from collections import defaultdict

import matplotlib
import numpy as np
from PIL import Image

from data.images import read_image
from utils import evaluation, files, loading, plotting, settings

SIDE = 2 * settings.SIZE  # of the pictures on the page
THUMBNAIL = 96
MOST = 80  # pictures on the page: enough to look at, and a bound on its size
TECHNIQUES = {  # technique: the network whose predictions its maps explain
    "saliency": "dense",
    "smoothgrad": "dense",
    "cam": "gap",
    "grad_cam": "dense",
}


def page(folder):
    """What the template needs, as a dict; the data of each picture are written into `folder`.

    None where the notebooks have not made all four techniques' maps yet.
    """
    if not all((settings.MAPS / f"{technique}.npz").exists() for technique in TECHNIQUES):
        return None
    keys = ("original", *TECHNIQUES, *settings.CLASSES, "class", "none")
    words = {key: plotting.word(key).replace("\n", " ") for key in keys}
    pictures = _write(folder)
    return {
        "address": "gallery.html",
        "title": "Gallery",
        "action": f"Look at {len(pictures)} pictures and their maps",
        "pictures": pictures,
        "side": SIDE,
        "words": words,
        "techniques": ["original", *TECHNIQUES],
        "classes": settings.CLASSES,
    }


def table():
    """The colours of the pages' maps: red, green and blue of 256 levels, uint8 (256, 3)."""
    return matplotlib.colormaps[plotting.COLOURS](np.arange(256), bytes=True)[:, :3]


def levels(heatmap):
    """A raw map (h, w) as the figures show it: uint8 (SIZE, SIZE), from no evidence to most."""
    fine = heatmap.shape == (settings.SIZE, settings.SIZE)
    large = plotting.enlarge(heatmap[None])[0]
    share = plotting.scaled(large, 99 if fine else 100)  # as `plotting.draw_map` cuts them
    return np.uint8(np.round(255 * share))


def address(array, kind, **options):
    """An array as a picture that stands in its own address (data:)."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _write(folder):
    """Write the script and the thumbnail of each picture; a list of dicts (title, alt)."""
    folder.mkdir()
    pictures = files.load_table("predictions_dense").drop_duplicates("image")
    pictures = loading.spread(pictures, MOST)
    maps = _maps(pictures["image"])
    return [_write_picture(folder, i, row, maps) for i, row in enumerate(pictures.itertuples())]


def _write_picture(folder, number, row, maps):
    """Write one picture's script and thumbnail; its title and what is to be seen."""
    picture = read_image(settings.DATA_DIR / row.image, SIDE)
    title = plotting.word("both") if row.split == "both" else plotting.title(row)
    image = address(picture, "JPEG", quality=85)
    data = {"title": title, "image": image, "maps": maps[row.image]}
    script = f"received({number}, {json.dumps(data)});\n"
    (folder / f"{number}.js").write_text(script, encoding="utf-8")
    small = Image.fromarray(picture).resize((THUMBNAIL, THUMBNAIL))
    small.save(folder / f"{number}.jpg", quality=80)
    return {"title": title, "alt": f"{row.image.split('/')[-1].rsplit('.', 1)[0]}, {title}"}


def _maps(images):
    """The maps of some pictures as the page has them: a list for each picture's name."""
    found = defaultdict(list)
    for technique, network in TECHNIQUES.items():
        rows = files.load_table(f"predictions_{network}")
        rows = rows[rows["image"].isin(images)]
        for i, heatmap in enumerate(files.maps_of(technique, rows)):
            found[rows["image"].iloc[i]].append(_map(technique, heatmap, rows.iloc[[i]]))
    return found


def _map(technique, heatmap, table):
    """One map: its levels as a picture, its class, and its numbers from its row of predictions."""
    row, masks = next(table.itertuples()), loading.load_regions(table)
    masks = {region: mask for region, mask in masks.items() if mask.any()}
    large = plotting.enlarge(heatmap[None])
    predicted = row.explained == row.predicted  # of two classes, what the other leaves
    return {
        "technique": technique,
        "class": row.explained,
        "map": address(levels(heatmap), "PNG"),
        "empty": not bool((heatmap > 0).any()),
        "logit": float(row.logit),
        "probability": float(row.probability if predicted else 1 - row.probability),
        "energy": {r: float(evaluation.energy_inside(large, m)[0]) for r, m in masks.items()},
        "area": {region: float(mask.mean()) for region, mask in masks.items()},
    }
