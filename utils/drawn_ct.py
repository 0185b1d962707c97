"""Slices through a chest as a CT scanner shows them, drawn by code, and only ground-glass tells.

Everything but the ground-glass (build, level of the slice, heart, vessels, bones, consolidations,
nodules, dose, window, frame) is drawn from numbers that know nothing of the class. So the same
scene with and without it gives *twins*, equal pixel by pixel outside one region, the opacity mask.

Lengths are cm: x to the reader's right (the patient's left), y to the back, the chest's centre at
the origin. Densities are Hounsfield units (HU): air -1000, water 0.
"""

from collections import namedtuple
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt, gaussian_filter, zoom

from utils.drawn_shapes import PIXELS, ellipse, mirrored, placing, rounded, smooth, stroke

CLASSES = ("COVID", "non-COVID")
SEED = 21
AIR, FAT, FLUID, MUSCLE, CARTILAGE, MARROW, BONE = -1000, -95, 10, 55, 120, 230, 650

# ------------------------------------------------------------------------------------ anatomy

LEVELS = (0.0, 0.22, 0.42, 0.6, 1.0)  # great vessels, aortic arch, hila, left atrium, diaphragm
WIDE = (0.74, 0.93, 1.0, 1.03, 1.05)  # the chest there, as a share of its largest
DEEP = (0.74, 0.9, 1.0, 1.02, 1.03)
CAVITY = ((0, -8.3), (3.6, -8.8), (8.4, -7.6), (12.0, -2.8), (12.6, 2.6), (10.9, 7.2))
CAVITY += ((7.6, 9.5), (4.6, 8.9), (2.5, 6.6), (1.9, 3.8), (0, 3.2))  # right half, front to back
WALL = ((0, -9.0), (5, -9.5), (10, -7.4), (13.2, -2), (13.4, 3.5), (11, 8.6), (6.5, 10.8), (0, 11))
ROWS = (0.0, 0.1, 0.25, 0.45, 0.65, 0.85, 1.0)  # of the mediastinum, from the sternum to the spine
RIGHT = (  # its reach to each side in these rows, for each of LEVELS
    (2.4, 2.8, 3.2, 3.2, 2.6, 2.0, 2.0),
    (0.1, 0.4, 1.6, 2.7, 2.1, 1.4, 1.6),
    (0.1, 0.7, 2.3, 3.7, 3.9, 1.3, 1.4),
    (0.4, 1.8, 3.6, 4.4, 3.4, 0.8, 1.2),
    (2.0, 3.8, 4.4, 3.6, 1.4, 0.7, 1.2),
)
LEFT = (
    (2.4, 2.8, 3.2, 3.4, 2.8, 2.2, 2.0),
    (0.1, 0.6, 1.8, 2.9, 3.4, 2.6, 1.8),
    (0.2, 1.0, 2.6, 4.0, 4.0, 1.6, 1.8),
    (0.8, 2.8, 5.0, 5.2, 3.2, 1.4, 1.6),
    (4.5, 7.0, 7.6, 5.8, 2.4, 1.2, 1.5),
)


def at_level(frames, level):
    """A number or table between the two of `frames` that stand for the LEVELS around a level."""
    frames = np.asarray(frames, float)
    at = np.interp(level, LEVELS, range(len(LEVELS)))
    low = min(int(at), len(LEVELS) - 2)
    return frames[low] + (at - low) * (frames[low + 1] - frames[low])


def draw_patient(rng):
    """The numbers of a patient and of the slice: level 0..1, size, wall, contrast, lung density."""
    level = rng.uniform(0.02, 0.97)
    size = rng.uniform(0.86, 1.1) * rng.uniform((0.95, 0.9), (1.05, 1.1))
    return {
        "level": level,
        "chest": size * (at_level(WIDE, level), at_level(DEEP, level)),
        "fat": rng.gamma(2.5, 0.5),
        "blood": rng.uniform(80, 190) if rng.random() < 0.3 else rng.uniform(30, 60),
        "lung": rng.uniform(-900, -790),
        "heart": rng.uniform(0.86, 1.12),
        "slab": np.exp(rng.uniform(np.log(0.12), np.log(0.6))),
    }


Sheet = namedtuple("Sheet", "tissue lung place pens")


def new_sheet(width, height, place):
    """Air over the whole frame, in HU, the lung's cover, and where points in cm fall."""
    size = (width * PIXELS, height * PIXELS)
    tissue, lung = Image.new("F", size, AIR), Image.new("L", size)
    return Sheet(tissue, lung, place, (ImageDraw.Draw(tissue), ImageDraw.Draw(lung)))


def fill(sheet, points, density, lung=0):
    """Fill an outline with a density; it is no lung unless `lung` is 255."""
    points = (sheet.place(points) * PIXELS).ravel().tolist()
    sheet.pens[0].polygon(points, fill=float(density))
    sheet.pens[1].polygon(points, fill=lung)


def outline(rng, half, chest, grow=0.0, jitter=0.12):
    """A closed smooth outline in cm from its right half, `grow` cm wider, a little irregular."""
    points = mirrored(half) * chest
    points += grow * points / np.linalg.norm(points, axis=1, keepdims=True)
    return rounded(points + rng.normal(0, jitter, points.shape))


def paint_table(sheet, rng, patient):
    """The curved table under the patient, its cover, and a fold of cloth now and then."""
    back = 11 * patient["chest"][1] + patient["fat"] + rng.uniform(1.6, 2.6)
    x = np.linspace(-24, 24, 9)
    curve = np.stack([x, back + rng.uniform(0.5, 1.5) - (x / rng.uniform(11, 15)) ** 2], axis=1)
    for shift, width, density in ((0.9, 1.8, -900), (0, 0.25, -350), (1.9, 0.25, -450)):
        fill(sheet, stroke(curve + (0, shift), width, width), density)
    for side in (-1, 1):
        cloth = [(side * rng.uniform(13, 18), rng.uniform(-8, 8)) for _ in range(4)]
        fill(sheet, stroke(sorted(cloth, key=lambda at: at[1]), 0.06, 0.06), -820)


def paint_wall(sheet, rng, patient):
    """Skin, fat, the muscles of chest, shoulder and back with fat between them."""
    chest, level, fat = patient["chest"], patient["level"], patient["fat"]
    shoulders = chest * (1 + 0.32 * np.clip(0.3 - level, 0, 1), 1)
    bulk = 0.9 + 1.5 * np.clip(0.4 - level, 0, 1)
    for grow, density in ((bulk + fat + 0.25, FLUID), (bulk + fat, FAT), (bulk, MUSCLE)):
        fill(sheet, outline(rng, WALL, shoulders, grow, 0.15), density)
    ring = outline(rng, WALL, chest, 0.55)
    for start in rng.integers(0, len(ring), 8):  # clefts of fat between the layers of muscle
        cleft = ring.take(range(start, start + 12, 3), axis=0, mode="wrap")
        fill(sheet, stroke(cleft * rng.uniform(1.0, 1.08), 0.25, 0.1), FAT)
    for side in (-1, 1):
        back = chest * (side * rng.uniform(2.9, 3.4), rng.uniform(10.0, 10.6))
        fill(sheet, ellipse(*back, 2.6, 1.7, side * 15), FAT)
        fill(sheet, ellipse(*back, 2.4, 1.45, side * 15), MUSCLE)


def bone(sheet, points, thin=0.72, marrow=MARROW):
    """An outline of dense bone with marrow inside."""
    points = np.asarray(points)
    middle = points.mean(axis=0)
    fill(sheet, points, BONE)
    fill(sheet, middle + (points - middle) * thin, marrow)


def paint_ribs(sheet, rng, patient):
    """Ribs, cut obliquely as they run forward and down, sternum, shoulder blades, collar bones."""
    chest, level = patient["chest"], patient["level"]
    ring = rounded(mirrored(WALL) * chest * 0.985)
    angles = np.degrees(np.arctan2(ring[:, 0], -ring[:, 1]))
    for side in (-1, 1):
        for at in np.arange(rng.uniform(35, 60), 165, rng.uniform(30, 45)):
            first = np.argmin(np.abs(angles - side * (at + rng.normal(0, 4))))
            long = rng.integers(4, 14)
            line = ring.take(range(first - long // 2, first + long // 2 + 1, 2), axis=0, mode="wrap")
            slip = line * np.linspace(0.98, rng.uniform(1.0, 1.05), len(line))[:: side, None]
            fill(sheet, stroke(slip, *rng.uniform(0.5, 0.85, 2)), BONE)
            fill(sheet, stroke(slip, 0.22, 0.36), MARROW)
        if level < 0.42:
            blade = np.array([(8.6, 10.4), (11.2, 8.6), (13.4, 5.4), (14.3, 2.4)]) * chest + (0.9, 0.8)
            line = blade[: 2 + int(rng.integers(1, 3))] * (side, 1) + rng.normal(0, 0.25, 2)
            fill(sheet, stroke(line, 0.7, 1.1), BONE)
            fill(sheet, stroke(line, 0.3, 0.5), MARROW)
        gristle = np.array([(1.9, -9.2), (3.2, -9.5), (4.8, -9.3)]) * chest * (side, 1)
        fill(sheet, stroke(gristle, 0.8, 0.9), CARTILAGE)
    wide = 2.9 - 1.6 * min(level / 0.35, 1)
    bone(sheet, rounded(ellipse(0, -9.15 * chest[1], wide, 0.62)[::3]), 0.75, 120)


def paint_spine(sheet, rng, patient):
    """A vertebra: body, arch around the canal, transverse and spinous processes."""
    at = np.array((rng.normal(0, 0.15), 5.3 * patient["chest"][1]))
    size = rng.uniform(0.95, 1.15) * (0.9 + 0.2 * patient["level"])
    fill(sheet, ellipse(*at, 2.9 * size, 2.6 * size) + (0, 1.0), MUSCLE)
    for side in (-1, 1):
        process = [(0.9, 1.9), (2.0, 2.5), (3.3, rng.uniform(2.7, 3.3))]
        fill(sheet, at + size * stroke(np.multiply(process, (side, 1)), 1.0, 0.8), BONE)
        fill(sheet, at + size * stroke(np.multiply(process, (side, 1)), 0.35, 0.35), MARROW)
        lamina = [(1.35, 1.2), (1.25, 2.2), (0.1, 3.2)]
        fill(sheet, at + size * stroke(np.multiply(lamina, (side, 1)), 0.8, 0.7), BONE)
    fill(sheet, at + size * stroke([(0, 2.9), (0, rng.uniform(3.6, 5))], 0.8, 0.5), BONE)
    body = mirrored([(0, -1.55), (1.0, -1.4), (1.75, -0.4), (1.7, 0.6), (1.2, 1.0), (0, 0.85)])
    bone(sheet, at + size * rounded(body), 0.86, rng.uniform(180, 330))
    fill(sheet, at + size * ellipse(0, 1.75, 0.98, 0.82), FLUID + 25)


def paint_middle(sheet, rng, patient):
    """What lies between the lungs: fat, heart, great vessels, gullet."""
    level, chest, blood = patient["level"], patient["chest"], patient["blood"]
    y = np.interp(ROWS, (0, 1), (-9.2 * chest[1], 4.4 * chest[1]))
    grow = rng.uniform(0.85, 1.1) * rng.uniform(0.92, 1.08, (2, len(ROWS)))
    reach = grow * (at_level(RIGHT, level), at_level(LEFT, level)) * chest[0]
    right, left = np.stack([-reach[0], y], axis=1), np.stack([reach[1], y], axis=1)
    fill(sheet, rounded(np.concatenate([left, right[::-1]])), FAT + 45)
    vessels = heart(rng, level) if level > 0.52 else great_vessels(rng, level)
    for points in vessels:
        fill(sheet, points * chest * (grow.mean(), 1), blood + rng.normal(0, 8))
    gullet = ellipse(rng.uniform(0, 0.8), 2.6, 0.8, 0.55)
    fill(sheet, gullet * chest, MUSCLE - 20)


def heart(rng, level):
    """Outlines of heart, aorta and lower caval vein below the hila."""
    low = (level - 0.52) / 0.48
    size = np.array((5.4 + 1.2 * low, 4.1 + 0.5 * low)) * rng.uniform(0.9, 1.04)
    shapes = [rounded(ellipse(1.0 + 0.9 * low, -3.7, *size, rng.uniform(18, 34))[::3])]
    for _ in range(3):  # chambers, told from the muscle only by the scatter of densities
        shapes.append(ellipse(*rng.uniform((-1.5, -5), (3.5, -1.5)), *rng.uniform(1, 2.4, 2), 30))
    shapes.append(ellipse(-3.0, -1.2, 2.3, 2.6 - 0.8 * low))
    shapes.append(ellipse(rng.uniform(1.2, 2.0), 3.2, *rng.uniform(1.15, 1.4, 2)))
    if low < 0.45:
        shapes.append(ellipse(0.4, 0.2, 4.3, 1.7))
    return shapes


def great_vessels(rng, level):
    """Outlines of arteries and veins from the collar bones down to the hila."""
    vein = ellipse(-2.2, -2.6, *rng.uniform(0.75, 1.1, 2))
    if level < 0.13:
        at = [(-1.9, -3.2), (1.2, -3.8), (-1.0, -2.2), (1.9, -1.4), (2.5, 0.3), (-2.6, -4.4)]
        return [ellipse(*spot + rng.normal(0, 0.2, 2), *rng.uniform(0.5, 0.9, 2)) for spot in at]
    if level < 0.3:
        arch = [(-1.5, -4.0), (0.3, -2.9), (1.9, -0.6), (2.4, 2.0)]
        return [vein, stroke(np.add(arch, rng.normal(0, 0.15, (4, 2))), 2.6, 2.4)]
    trunk = stroke([(2.0, -4.2), (2.5, -2.4), (1.0, -1.2), (-3.2, -0.8)], 2.8, 2.0)
    pulmonary = [trunk] if level > 0.36 else [ellipse(3.0, -1.0, 1.4, 1.8)]
    ascending = ellipse(-1.2, -3.6, *rng.uniform(1.4, 1.8, 2))
    descending = ellipse(2.2, 3.0, *rng.uniform(1.15, 1.4, 2))
    return [*pulmonary, vein, ascending, descending]


def paint_airways(sheet, rng, patient):
    """The windpipe, or the bronchi into which it parts below the arch of the aorta."""
    level, wide = patient["level"], rng.uniform(0.85, 1.1)
    if level < 0.34:
        pipes = [ellipse(-0.1, 0.4, 0.95 * wide, 1.05 * rng.uniform(0.85, 1.15))]
    else:
        apart = min((level - 0.3) / 0.16, 1)
        size = (0.95, 0.75) if level < 0.52 else (0.5, 0.4)
        gap = 1.0 + 1.1 * apart + 2.2 * np.clip((level - 0.5) / 0.2, 0, 1)
        pipes = [ellipse(x, 0.6 + 0.8 * apart, *size, x * 6) for x in (-gap, gap)]
    for pipe in pipes if level < 0.66 else []:
        middle = pipe.mean(axis=0)
        fill(sheet, middle + (pipe - middle) * 1.22, MUSCLE)
        fill(sheet, pipe, AIR + 5)


def paint_body(sheet, rng, patient):
    """Paint all but what is inside the lungs."""
    paint_table(sheet, rng, patient)
    paint_wall(sheet, rng, patient)
    paint_ribs(sheet, rng, patient)
    paint_spine(sheet, rng, patient)
    fill(sheet, outline(rng, CAVITY, patient["chest"], jitter=0.16), patient["lung"], 255)
    paint_middle(sheet, rng, patient)
    paint_airways(sheet, rng, patient)


# ------------------------------------------------------------------------------------ lungs


def vessel_tree(rng, side, generations=7):
    """Branches of a lung's vessels from the hilum: starts and ends (n, 3) in cm, widths (n,).

    The third coordinate is the height above the hilum. Each generation parts in two.
    """
    turns, heights = rng.uniform(-2.0, 2.0, 22), np.linspace(-2.6, 1.6, 22)
    at = np.stack([np.full(22, side * 3.9), 0.8 * np.sin(turns), 0.7 * heights], axis=1)
    along = np.stack([side * np.cos(turns), np.sin(turns), heights], axis=1)
    wide, starts, ends, widths = rng.uniform(0.35, 0.7, 22), [], [], []
    for generation in range(generations):
        for _ in range(3):
            along += rng.normal(0, 0.16, along.shape)
            along /= np.linalg.norm(along, axis=1, keepdims=True)
            step = along * rng.uniform(0.4, 1.0, (len(at), 1)) * 0.92**generation
            starts, ends, widths = [*starts, at], [*ends, at + step], [*widths, wide]
            at = at + step
        fork = rng.normal(0, 0.45, along.shape)
        at, along = np.tile(at, (2, 1)), np.concatenate([along + fork, along - fork])
        wide = np.concatenate([wide, wide]) * rng.uniform(0.6, 0.85, 2 * len(wide))
    return np.concatenate(starts), np.concatenate(ends), np.concatenate(widths)


def in_slab(starts, ends, widths, height, half):
    """The parts of branches within `half` cm of a height: (n, 2, 2) in cm, their widths (n, 2).

    Where a branch leaves the slab its end is cut at a slant: it fades to a point.
    """
    rise = ends[:, 2] - starts[:, 2]
    rise = np.where(np.abs(rise) < 1e-6, 1e-6, rise)
    bounds = np.sort((height + np.array([[-half], [half]]) - starts[:, 2]) / rise, axis=0)
    first, last = np.clip(bounds, 0, 1)
    inside = last > first
    cut = [starts + at[:, None] * (ends - starts) for at in (first, last)]
    taper = np.where([first > 0, last < 1], 0.4, 1.0) * widths
    return np.stack(cut, axis=1)[inside, :, :2], taper.T[inside]


def paint_vessels(rng, patient, sheet):
    """How much of each pixel is vessel, 0..1, float32; bronchi beside the thick ones below 0."""
    cover = Image.new("F", sheet.tissue.size)
    pen, height = ImageDraw.Draw(cover), (0.47 - patient["level"]) * 21
    scale = PIXELS * np.linalg.norm(np.subtract(*sheet.place(np.eye(2)))) / np.sqrt(2)
    for side in (-1, 1):
        pieces, widths = in_slab(*vessel_tree(rng, side), height, patient["slab"])
        lines, widths = sheet.place(pieces * patient["chest"]) * PIXELS, widths * scale
        full = np.sqrt(np.minimum(0.6 * widths.max(axis=1) / scale / patient["slab"], 1))
        for k in np.argsort(widths.max(axis=1)):
            if widths[k].max() > 0.25 * scale and rng.random() < 0.2:
                beside = lines[k] + widths[k].max() * rng.choice((-1, 1), 2) * 0.7
                branch(pen, beside, widths[k], 0.5)
                branch(pen, beside, widths[k] * 0.6, -0.15)
            branch(pen, lines[k], widths[k], full[k])
    return np.asarray(cover.reduce(PIXELS))


def branch(pen, line, widths, value):
    """A short tapering line with round ends; one thinner than a pixel is as much fainter."""
    thick = widths.max()
    if thick < 1.6:
        pen.line(line.ravel().tolist(), fill=value * min(thick, 1.0), width=1)
        return
    along = line[1] - line[0]
    across = along[::-1] * (-0.5, 0.5) / (np.hypot(*along) + 1e-9)
    sides = line + widths[:, None] * across, line - widths[:, None] * across
    pen.polygon(np.concatenate([sides[0], sides[1][::-1]]).ravel().tolist(), fill=value)
    for (x, y), half in zip(line, widths / 2, strict=True):
        pen.ellipse((x - half, y - half, x + half, y + half), fill=value)


Lungs = namedtuple("Lungs", "cover depth x y pixel")  # depth: cm from the surface; x, y in cm


def measure(sheet, patient, frame):
    """Where the lungs are, how deep each pixel lies in them, and its place, as (h, w) arrays."""
    centre, pixel = frame
    cover = np.asarray(sheet.lung.reduce(PIXELS), np.float32) / 255
    y, x = np.indices(cover.shape, np.float32)
    coarse = distance_transform_edt(cover[::2, ::2] > 0.5) * 2 / pixel
    depth = zoom(coarse, np.divide(cover.shape, coarse.shape), order=1, grid_mode=True, mode="nearest")
    x, y = (x - centre[0]) / pixel, (y - centre[1]) / pixel
    return Lungs(cover, depth, x / patient["chest"][0], y / patient["chest"][1], pixel)


def spots(rng, lungs, count, weight):
    """`count` places (n, 2) in the lungs, in cm, more often where the weight (h, w) is large."""
    share = (weight * (lungs.cover > 0.5)).ravel().cumsum(dtype=float)
    picked = np.searchsorted(share, rng.uniform(0, 1, count) * share[-1])
    picked = np.minimum(picked, share.size - 1)
    return np.stack([lungs.x.ravel()[picked], lungs.y.ravel()[picked]], axis=1)


def patch(rng, lungs, at, long, wide, ragged):
    """A ragged oval along the chest wall: positive inside, 1 in its middle; (h, w)."""
    outwards = np.subtract(at, (np.sign(at[0]) * 4.0, 0))
    angle = np.arctan2(outwards[1], outwards[0]) + np.pi / 2 + rng.normal(0, 0.4)
    dx, dy = lungs.x - at[0], lungs.y - at[1]
    u = (dx * np.cos(angle) + dy * np.sin(angle)) / long
    v = (dy * np.cos(angle) - dx * np.sin(angle)) / wide
    hills = smooth(rng, *dx.shape, max(0.45 * wide * lungs.pixel, 2))
    return 1 - np.hypot(u, v) + ragged * hills


def ground_glass(rng, lungs, free):
    """How many HU ground-glass adds to the lung, 0 outside it, (h, w).

    One to eight patches, mostly in both lungs, at their surface and to the back; what is solid
    (`free` is the share that is not) stays as it is.
    """
    outer = np.exp(-lungs.depth / rng.uniform(0.6, 3)) * (np.abs(lungs.x) > 4)
    back = 1 / (1 + np.exp(-(lungs.y - rng.uniform(-4, 3))))
    sides = rng.permutation((1, rng.choice((0.02, 0.5, 1))))
    weight = (outer + 0.02) * back * np.where(lungs.x < 0, *sides)
    added = np.zeros(free.shape, np.float32)
    for k, at in enumerate(spots(rng, lungs, rng.integers(1, 9), weight)):
        long = rng.uniform(2.0 if k == 0 else 0.7, 4.2)
        field = patch(rng, lungs, at, long, long * rng.uniform(0.45, 0.85), 0.22)
        density = rng.uniform(170, 420) if k == 0 else rng.uniform(110, 420)
        added = np.maximum(added, density * np.clip(field * rng.uniform(1.5, 4), 0, 1))
    grain = smooth(rng, *free.shape, max(0.35 * lungs.pixel, 2))
    net = np.exp(-((smooth(rng, *free.shape, max(0.35 * lungs.pixel, 2)) / 0.3) ** 2))
    texture = 0.9 + rng.uniform(0.05, 0.25) * grain + rng.choice((0, 0.25, 0.5)) * net
    return added * np.clip(texture, 0.3, 1.8) * free * lungs.cover


def solids(rng, lungs):
    """How much of each pixel is consolidation, nodule or collapsed lung, 0..1; both classes'."""
    cover = np.zeros(lungs.cover.shape, np.float32)
    for at in spots(rng, lungs, rng.choice((0, 0, 0, 1, 2)), np.exp(-lungs.depth)):
        long = rng.uniform(0.6, 2.4)
        field = patch(rng, lungs, at, long, long * rng.uniform(0.4, 0.9), 0.16)
        cover = np.maximum(cover, rng.uniform(0.8, 1) * np.clip(field * rng.uniform(3, 6), 0, 1))
    for at in spots(rng, lungs, rng.choice((0, 0, 1, 2, 5)), np.ones_like(cover)):
        field = patch(rng, lungs, at, *(0.2 + rng.gamma(1.5, 0.16, 2)), 0.1)
        cover = np.maximum(cover, np.clip(field * 8, 0, 1))
    if rng.random() < 0.4:
        low = np.clip(lungs.y - rng.uniform(5.5, 8), 0, 2) * rng.uniform(0.2, 0.6)
        hills = 1 + 0.3 * smooth(rng, *cover.shape, 0.8 * lungs.pixel)
        cover = np.maximum(cover, low * hills * np.exp(-((lungs.depth / rng.uniform(0.3, 0.8)) ** 2)))
    return np.clip(cover, 0, 1)


def domes(rng, lungs, level):
    """How much of each pixel is liver, or spleen, that the diaphragm lifts into the lung; 0..1."""
    cover = np.zeros(lungs.cover.shape, np.float32)
    for side, from_level in ((-1, 0.78), (1, 0.88)):
        reach = (level - from_level + rng.normal(0, 0.02)) * 26
        if reach > 0:
            at = (side * rng.uniform(5.8, 7.2), rng.uniform(-2, 1))
            field = patch(rng, lungs, at, 0.6 + reach, 0.6 + 0.8 * reach, 0.03)
            cover = np.maximum(cover, np.clip(field * (0.6 + reach) / rng.uniform(0.3, 0.8), 0, 1))
    return cover


def fissure(rng, lungs):
    """The faint line where two lobes touch, 0..1; in some slices there is none to see."""
    bend = rng.uniform(-0.05, 0.08) * (np.abs(lungs.x) - 7) ** 2
    line = lungs.y - rng.uniform(-3, 6) - rng.uniform(-0.5, 0.5) * np.abs(lungs.x) + bend
    thick = rng.uniform(0.06, 0.15)
    return rng.choice((0, 0.1, 0.22)) * np.exp(-((line / thick) ** 2))


def fill_lungs(rng, patient, sheet, lungs, tissue):
    """Air spaces, vessels, solids and domes; (tissue in HU, share free of them, lung mask)."""
    dome = domes(rng, lungs, patient["level"])
    inside = lungs.cover * (1 - dome)
    fading = np.clip(lungs.depth / 0.5, 0.15, 1)
    vessels = np.maximum(paint_vessels(rng, patient, sheet) * fading, fissure(rng, lungs))
    solid = np.maximum(np.clip(vessels, -0.2, 1), solids(rng, lungs))
    texture = rng.uniform(6, 22) * smooth(rng, *tissue.shape, max(0.25 * lungs.pixel, 1.5))
    air = patient["lung"] + rng.uniform(0, 7) * lungs.y + texture
    filled = air + solid * (patient["blood"] - 10 - air)
    filled += dome * (0.5 * patient["blood"] + 60 - filled)
    tissue = tissue + lungs.cover * (filled - patient["lung"])
    return tissue, (1 - np.clip(solid, 0, 1)) * (1 - dome), inside > 0.5


# ------------------------------------------------------------------------------------ pictures


def frame_slice(rng, patient, scale):
    """An empty sheet for a slice: its size, field of view, a small turn; (sheet, frame)."""
    width = round(rng.uniform(280, 430) * scale)
    view = 26.6 * patient["chest"][0] * (1 + 0.3 * rng.beta(1, 2.2))
    pixel = width / view
    height = round(rng.uniform(19.5, 23) * patient["chest"][1] * pixel * (view / 28) ** 0.5)
    centre = np.array((width / 2, height / 2 - 0.3 * pixel)) + rng.normal(0, 0.35, 2) * pixel
    place = placing(centre, pixel, rng.normal(0, 2.5))
    return new_sheet(width, height, place), (centre, pixel)


def noise(rng, shape, level):
    """Scanner noise, mean 0 and about N(0, 1), correlated; streaked across the shoulders."""
    white = rng.standard_normal(shape, dtype=np.float32)
    fine = rng.uniform(0.4, 0.9)
    field = gaussian_filter(white, fine) - gaussian_filter(white, 2.5 * fine)
    streaks = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), (0.5, 7))
    field = field / field.std() + 1.5 * max(0.2 - level, 0) / 0.2 * streaks / streaks.std()
    return field


def scan(rng, tissue, added, level):
    """What the scanner shows of densities, and of what is added to them; (uint8 image, mask).

    Blurs, sharpens, adds noise, windows. The mask holds the pixels where the addition counts; in
    all others it is left out, so that a slice with and without it is equal there.
    """
    blur, sharp = rng.uniform(0.5, 1.1), rng.choice((0, 0.4, 0.9))
    marbled = tissue + 9 * smooth(rng, *tissue.shape, 5) * (tissue > 2 * FAT)
    seen = tissue_blur(marbled, blur, sharp)
    extra = np.maximum(gaussian_filter(added, blur) - 40, 0) if added.any() else 0 * added
    dose = np.exp(rng.uniform(np.log(8), np.log(45)))
    seen = seen + dose * noise(rng, tissue.shape, level) * (tissue > AIR + 60)
    width, middle = rng.uniform(1300, 1750), rng.uniform(-620, -480)
    grey = 255 * ((seen + extra - middle) / width + 0.5)
    return np.clip(grey, 0, 255).astype(np.uint8), extra > 0


def tissue_blur(tissue, blur, sharp):
    """Densities under the scanner's point spread, with the overshoot of a sharp kernel."""
    seen = gaussian_filter(tissue, blur)
    return seen + sharp * (seen - gaussian_filter(seen, 1.2)) if sharp else seen


def draw_slice(scene, label, scale=1.0):
    """One slice; (image, lung_mask, opacity_mask): grey uint8 (h, w) and two boolean masks.

    The lung mask holds air spaces, vessels and opacities, the opacity mask every pixel in which
    the COVID and the non-COVID slice of a scene differ; it is empty for non-COVID.
    """
    rng, glass = np.random.default_rng((SEED, scene)), np.random.default_rng((SEED, scene, 1))
    patient = draw_patient(rng)
    sheet, frame = frame_slice(rng, patient, scale)
    paint_body(sheet, rng, patient)
    lungs = measure(sheet, patient, frame)
    tissue = np.asarray(sheet.tissue.reduce(PIXELS))
    tissue, free, mask = fill_lungs(rng, patient, sheet, lungs, tissue)
    added = ground_glass(glass, lungs, free) if label == "COVID" else np.zeros_like(tissue)
    image, opacity = scan(rng, tissue, added, patient["level"])
    return image, mask, opacity


# ------------------------------------------------------------------------------------ files


def write_slices(folder, scenes, both=0):
    """Write COVID.K and non-COVID.K for K below `scenes`; return one dict per picture.

    Each has kind "train", label, and the paths image, lung_mask and opacity_mask relative to the
    folder. A slice is never both classes, so `both` adds none. The same numbers write the same
    files; the work is shared between all processor cores.
    """
    folder = Path(folder)
    for name in ("train", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(cpu_count(), mp_context=get_context("spawn")) as pool:
        pairs = list(pool.map(partial(write_twins, folder), range(scenes), chunksize=8))
    return [row for pair in pairs for row in pair]


def write_twins(folder, scene):
    """Write the two slices of one scene with their masks; return their two rows."""
    rows = []
    for label in CLASSES:
        image, *masks = draw_slice(scene, label)
        row = {"kind": "train", "image": f"train/{label}.{scene}.png", "label": label}
        Image.fromarray(image).save(folder / row["image"])
        for region, mask in zip(("lung", "opacity"), masks, strict=True):
            row[f"{region}_mask"] = f"masks/{label}.{scene}.{region}.png"
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / row[f"{region}_mask"])
        rows.append(row)
    return rows
