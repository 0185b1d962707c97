"""The gallery: its pictures, and the maps that the notebooks made, as pictures to lay over them."""

import matplotlib
import numpy as np
from PIL import Image

from data.images import read_image
from utils import evaluation, files, loading, plotting, settings

SIDE = 2 * settings.SIZE  # of the pictures on the page
MOST = 80  # pictures on the page: enough to look at, and a bound on its size
TECHNIQUES = {  # technique: the network whose predictions its maps explain
    "saliency": "dense",
    "smoothgrad": "dense",
    "cam": "gap",
    "grad_cam": "dense",
}


def page(folder):
    """What the template needs, as a dict; pictures and maps are written into `folder`.

    None where the notebooks have not made all four techniques' maps yet.
    """
    if not all((settings.MAPS / f"{technique}.npz").exists() for technique in TECHNIQUES):
        return None
    folder.mkdir()
    pictures = files.load_table("predictions_dense").drop_duplicates("image")
    pictures = loading.spread(pictures, MOST).set_index("image", drop=False)
    shown = [_picture(folder, i, row) for i, row in enumerate(pictures.itertuples())]
    for technique, network in TECHNIQUES.items():
        rows = files.load_table(f"predictions_{network}")
        rows = rows[rows["image"].isin(pictures["image"])]
        for i, heatmap in enumerate(files.maps_of(technique, rows)):
            row = rows.iloc[[i]]
            number, name = pictures.index.get_loc(row["image"].item()), row["explained"].item()
            layer(heatmap).save(folder / f"{number}-{name}-{technique}.webp", quality=90)
            shown[number]["maps"].setdefault(name, {})[technique] = _numbers(heatmap, row)
    keys = ("original", *TECHNIQUES, *settings.CLASSES, "class", "none")
    return {
        "address": "gallery.html",
        "title": "Gallery",
        "action": f"Look at {len(shown)} pictures and their maps",
        "pictures": shown,
        "words": {key: plotting.word(key).replace("\n", " ") for key in keys},
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


def layer(heatmap):
    """A raw map (h, w) as a picture to lay over its picture: the colder, the less is seen of it."""
    heat = levels(heatmap)
    return Image.fromarray(np.dstack([table()[heat], heat]))


def _picture(folder, number, row):
    """Write a picture and its thumbnail; its title, what is to be seen, and room for its maps."""
    picture = Image.fromarray(read_image(settings.DATA_DIR / row.image, SIDE))
    picture.save(folder / f"{number}.jpg", quality=85)
    picture.resize((96, 96)).save(folder / f"{number}-small.jpg", quality=80)
    title = plotting.word("both") if row.split == "both" else plotting.title(row)
    name = row.image.split("/")[-1].rsplit(".", 1)[0]
    return {"title": title, "alt": f"{name}, {title}", "maps": {}}


def _numbers(heatmap, table):
    """What the page says of a map, from its row of predictions: names and numbers as text."""
    row, masks = next(table.itertuples()), loading.load_regions(table)
    large = plotting.enlarge(heatmap[None])
    predicted = row.explained == row.predicted  # of two classes, what the other leaves
    probability = row.probability if predicted else 1 - row.probability
    numbers = {"probability": f"{probability:.1%}", "logit": f"{row.logit:.2f}"}
    for region, mask in masks.items():
        if mask.any():
            energy = evaluation.energy_inside(large, mask)[0]
            numbers[f"energy on the {region}, area {mask.mean():.1%}"] = f"{energy:.1%}"
    return {"empty": not bool((heatmap > 0).any()), "numbers": numbers}
