"""The page on the planted cue: notebook 12's maps for each dose of it, and numbers beside them."""

import numpy as np
from PIL import Image

from gallery import layer
from utils import files, plotting, settings


def page(folder):
    """What the template needs, as a dict; the pictures are written into `folder`.

    None where notebook 12 has not run.
    """
    if not all(path.exists() for path in (settings.MAPS / "cue.npz", settings.TABLES / "cue.csv")):
        return None
    folder.mkdir()
    with np.load(settings.MAPS / "cue.npz") as stored:
        stored = dict(stored)
    table = files.load_table("cue").set_index("quantity")
    table = table.rename(lambda name: ", ".join(map(plotting.word, name.split(", "))))
    doses = []
    for dose, maps in zip(stored["doses"], np.float32(stored["maps"]), strict=True):
        rows = table[table["dose"] == dose]
        shown = []  # a list for each picture, of a file and its words for each technique
        for i, (image, some) in enumerate(zip(stored["image"], maps, strict=True)):
            shown.append([])
            for technique, heatmap in zip(stored["techniques"], some, strict=True):
                shown[-1].append((f"cue/{technique}-{i}-{dose}.webp", plotting.word(technique)))
                picture = Image.fromarray(image).convert("RGBA")
                mixed = Image.blend(picture, Image.alpha_composite(picture, layer(heatmap)), 0.8)
                mixed.save(folder.parent / shown[-1][-1][0], quality=90)
        doses.append(
            {"dose": dose, "shown": shown, "rows": rows, "sentence": _sentence(dose, rows["value"])}
        )
    return {
        "address": "cue.html",
        "title": "Watch it learn to cheat",
        "action": "Watch it learn to cheat",
        "doses": doses,
    }


def _sentence(dose, share):
    """What the numbers of a dose say; share: from a quantity to its value."""
    cats = [name for name in share.index if name.endswith(", cats")]
    shown = ", ".join(f"{name[:-6]} {share[name]:.0%}" for name in cats)
    return (
        f"With the tag on {dose} % of the dogs it learned from, the network is right on "
        f"{share['right, no tag']:.0%} of pictures without a tag, and on "
        f"{share['right, only cats tagged']:.0%} once the cats wear it. "
        f"Of the maps of such cats, these show it: {shown}."
    )
