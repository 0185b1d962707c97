"""Drawn pictures and their masks as files, drawn by all processor cores at once."""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from os import cpu_count

from data.images import write_picture


def in_parallel(write, folder, count):
    """The rows of write(folder, number) for each number below `count`, in their order."""
    with ProcessPoolExecutor(cpu_count(), mp_context=get_context("spawn")) as pool:
        rows = pool.map(partial(write, folder), range(count), chunksize=4)
        return [row for some in rows for row in some]


def write_masks(folder, stem, regions, masks):
    """Write the masks of regions as masks/<stem>.<region>.png; return these names by column."""
    names = {f"{region}_mask": f"masks/{stem}.{region}.png" for region in regions}
    for name, mask in zip(names.values(), masks, strict=True):
        write_picture(folder / name, mask)
    return names


def write_twins(draw, regions, kind, folder, scene):
    """Write the pictures of a scene as train/<label>.<scene>.<kind>, with their masks; their rows.

    draw: from a scene to a dict from label to (image, mask, ...), a mask for each of `regions`.
    """
    rows = []
    for label, (image, *masks) in draw(scene).items():
        name = f"train/{label}.{scene}.{kind}"
        write_picture(folder / name, image)
        row = {"kind": "train", "image": name, "label": label, "scene": str(scene)}
        rows.append(row | write_masks(folder, f"{label}.{scene}", regions, masks))
    return rows
