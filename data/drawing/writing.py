"""Drawn pictures and their masks as files, drawn by all processor cores at once."""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from os import cpu_count

from PIL import Image

from data.images import write_mask


def in_parallel(write, folder, count):
    """The rows of write(folder, number) for each number below `count`, in their order."""
    with ProcessPoolExecutor(cpu_count(), mp_context=get_context("spawn")) as pool:
        rows = pool.map(partial(write, folder), range(count), chunksize=4)
        return [row for some in rows for row in some]


def write_picture(folder, name, image):
    """Write a picture, uint8 (h, w) or (h, w, 3), to folder/name; return that name."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, quality=95)
    return name


def write_masks(folder, stem, regions, masks):
    """Write the masks of regions as masks/<stem>.<region>.png; return these names by column."""
    names = {f"{region}_mask": f"masks/{stem}.{region}.png" for region in regions}
    for name, mask in zip(names.values(), masks, strict=True):
        write_mask(folder / name, mask)
    return names


def write_twins(folder, scene, twins, regions, kind):
    """Write the pictures of a scene as train/<label>.<scene>.<kind>, with their masks; their rows.

    twins: a dict from label to (image, mask, ...), with a mask for each of `regions`.
    """
    rows = []
    for label, (image, *masks) in twins.items():
        name = write_picture(folder, f"train/{label}.{scene}.{kind}", image)
        row = {"kind": "train", "image": name, "label": label, "scene": str(scene)}
        rows.append(row | write_masks(folder, f"{label}.{scene}", regions, masks))
    return rows
