"""A slice through a chest, drawn by code: skin, fat, muscle, bones, heart, great vessels, airways.

Lengths are cm: x to the reader's right (the patient's left), y to the back, the chest's centre at
the origin. Densities are Hounsfield units (HU): air -1000, water 0. The level of a slice goes from
0, at the collar bones, to 1, at the diaphragm.
"""

from collections import namedtuple

import numpy as np
from PIL import Image, ImageDraw

from data.drawing.shapes import PIXELS, ellipse, mirrored, rounded, stroke

AIR, FAT, FLUID, MUSCLE, CARTILAGE, MARROW, BONE = -1000, -95, 30, 55, 120, 230, 650

LEVELS = (0.0, 0.22, 0.42, 0.6, 1.0)  # great vessels, arch of the aorta, hila, heart, diaphragm
WIDE = (0.74, 0.93, 1.0, 1.03, 1.05)  # the chest at these levels, as a share of its size below
DEEP = (0.74, 0.9, 1.0, 1.02, 1.03)
CAVITY = [(0, -8.3), (3.6, -8.8), (7.9, -7.0), (11.7, -2.6), (12.6, 2.8), (11.0, 7.0)]
CAVITY += [(7.6, 9.5), (4.6, 8.9), (2.5, 6.6), (1.9, 3.8), (0, 3.2)]  # right half, front to back
WALL = [(0, -9.0), (5, -9.5), (10, -7.4), (13.2, -2), (13.4, 3.5), (11, 8.6), (6.5, 10.8), (0, 11)]
ROWS = (0.0, 0.1, 0.25, 0.45, 0.65, 0.85, 1.0)  # between the lungs, from front to back
RIGHT = (  # how far what lies between the lungs reaches to a side in these rows, at each level
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
    """A number or a row between the two of `frames`, one for each of LEVELS, around a level."""
    return np.array([np.interp(level, LEVELS, column) for column in np.transpose(frames)])


def draw_patient(rng):
    """The numbers of a patient and of the slice: level, size, fat, densities, slab in cm."""
    level = rng.uniform(0.02, 0.97)
    size = rng.uniform(0.86, 1.1) * rng.uniform((0.95, 0.9), (1.05, 1.1))
    return {
        "level": level,
        "chest": size * (np.interp(level, LEVELS, WIDE), np.interp(level, LEVELS, DEEP)),
        "fat": rng.gamma(2.5, 0.5),
        "blood": rng.uniform(80, 190) if rng.random() < 0.3 else rng.uniform(30, 60),
        "lung": rng.uniform(-900, -820),
        "slab": np.exp(rng.uniform(np.log(0.12), np.log(0.6))),
    }


# ------------------------------------------------------------------------------------ painting

Sheet = namedtuple("Sheet", "tissue lung place pens")


def new_sheet(width, height, place):
    """Air over the whole frame, in HU, the cover of the lungs, and where points in cm fall."""
    size = (width * PIXELS, height * PIXELS)
    tissue, lung = Image.new("F", size, AIR), Image.new("L", size)
    return Sheet(tissue, lung, place, (ImageDraw.Draw(tissue), ImageDraw.Draw(lung)))


def fill(sheet, points, density, lung=0):
    """Fill an outline with a density; it is no lung unless `lung` is 255."""
    points = (sheet.place(points) * PIXELS).ravel().tolist()
    sheet.pens[0].polygon(points, fill=float(density))
    sheet.pens[1].polygon(points, fill=lung)


def bone(sheet, line, start, end):
    """A long bone, dense at its surface, from `start` to `end` cm wide."""
    fill(sheet, stroke(line, start, end), BONE)
    fill(sheet, stroke(line, start * 0.4, end * 0.4), MARROW)


def outline(rng, half, chest, grow=0.0, jitter=0.12):
    """A closed smooth outline in cm from its right half, `grow` cm wider, a little irregular."""
    points = mirrored(half) * chest
    points += grow * points / np.linalg.norm(points, axis=1, keepdims=True)
    return rounded(points + rng.normal(0, jitter, points.shape))


def along(ring, first, count):
    """Every second of `count` points of a closed outline, from one on."""
    return ring.take(range(first, first + count, 2), axis=0, mode="wrap")


# ------------------------------------------------------------------------------------ anatomy


def paint_body(sheet, rng, patient):
    """Paint all but what is inside the lungs: these are left as even air spaces."""
    paint_table(sheet, rng, patient)
    paint_wall(sheet, rng, patient)
    paint_ribs(sheet, rng, patient)
    paint_shoulders(sheet, rng, patient)
    paint_spine(sheet, rng, patient)
    fill(sheet, outline(rng, CAVITY, patient["chest"], jitter=0.16), patient["lung"], lung=255)
    paint_middle(sheet, rng, patient)
    paint_airways(sheet, rng, patient)


def paint_table(sheet, rng, patient):
    """The curved table under the patient with its mattress, and folds of cloth at the sides."""
    back = 11 * patient["chest"][1] + patient["fat"] + rng.uniform(1.6, 2.6)
    x = np.linspace(-24, 24, 9)
    curve = np.stack([x, back + 1 - (x / rng.uniform(11, 15)) ** 2], axis=1)
    for shift, width, density in ((0.9, 1.8, -900), (0, 0.25, -350), (1.9, 0.25, -450)):
        fill(sheet, stroke(curve + (0, shift), width, width), density)
    for side in (-1, 1):
        x, y = rng.uniform(13, 18, 4), np.sort(rng.uniform(-8, 8, 4))
        fill(sheet, stroke(np.stack([side * x, y], axis=1), 0.06, 0.06), -820)


def paint_wall(sheet, rng, patient):
    """Skin, fat, the muscles of chest, shoulders and back with fat between them."""
    chest, level, fat = patient["chest"], patient["level"], patient["fat"]
    shoulders = chest * (1 + 0.32 * max(0.3 - level, 0), 1)
    bulk = 0.9 + 1.5 * max(0.4 - level, 0)
    for grow, density in ((bulk + fat + 0.25, FLUID), (bulk + fat, FAT), (bulk, MUSCLE)):
        fill(sheet, outline(rng, WALL, shoulders, grow, 0.15), density)
    ring = outline(rng, WALL, chest, 0.55)
    for start in rng.integers(0, len(ring), 8):
        fill(sheet, stroke(along(ring, start, 12) * rng.uniform(1.0, 1.08), 0.25, 0.1), FAT)
    for side in (-1, 1):
        x, y = chest * (side * rng.uniform(2.9, 3.4), rng.uniform(10.0, 10.6))
        fill(sheet, ellipse(x, y, 2.6, 1.7, side * 15), FAT)
        fill(sheet, ellipse(x, y, 2.4, 1.45, side * 15), MUSCLE)


def paint_ribs(sheet, rng, patient):
    """Ribs, which a slice cuts at a slant as they run down to the front, and their cartilage."""
    ring = rounded(mirrored(WALL) * patient["chest"] * 0.985)
    angles = np.degrees(np.arctan2(ring[:, 0], -ring[:, 1]))
    for side in (-1, 1):
        for at in np.arange(rng.uniform(35, 60), 165, rng.uniform(30, 45)):
            middle = np.abs(angles - side * at - rng.normal(0, 4)).argmin()
            long = rng.integers(4, 14)
            line = along(ring, middle - long // 2, long + 1)
            slant = np.linspace(0.98, rng.uniform(1.0, 1.05), len(line))[::side, None]
            bone(sheet, line * slant, *rng.uniform(0.5, 0.85, 2))
        gristle = np.array([(1.9, -9.2), (3.2, -9.5), (4.8, -9.3)]) * patient["chest"] * (side, 1)
        fill(sheet, stroke(gristle, 0.8, 0.9), CARTILAGE)


def paint_shoulders(sheet, rng, patient):
    """The breast bone, broad at the top, and in upper slices the shoulder blades."""
    chest, level = patient["chest"], patient["level"]
    wide = 2.9 - 1.6 * min(level / 0.35, 1)
    fill(sheet, ellipse(0, -9.15 * chest[1], wide, 0.6), BONE)
    fill(sheet, ellipse(0, -9.15 * chest[1], 0.8 * wide, 0.4), CARTILAGE)
    blade = np.array([(9.5, 11.2), (12.1, 9.4), (14.3, 6.2), (15.2, 3.2)]) * chest
    for side in (-1, 1) if level < 0.42 else ():
        reach = rng.integers(3, 5)
        bone(sheet, blade[:reach] * (side, 1) + rng.normal(0, 0.25, 2), 0.7, 1.1)


def paint_spine(sheet, rng, patient):
    """A vertebra: body, arch around the canal, transverse and spinous processes."""
    at = np.array((rng.normal(0, 0.15), 5.3 * patient["chest"][1]))
    size = rng.uniform(0.95, 1.15) * (0.9 + 0.2 * patient["level"])
    fill(sheet, at + size * ellipse(0, 0.4, 2.9, 2.6), MUSCLE)
    for side in (-1, 1):
        process = np.array([(0.9, 1.9), (2.0, 2.5), (3.3, rng.uniform(2.7, 3.3))]) * (side, 1)
        bone(sheet, at + size * process, size, 0.8 * size)
        lamina = np.array([(1.35, 1.2), (1.25, 2.2), (0.1, 3.2)]) * (side, 1)
        fill(sheet, at + size * stroke(lamina, 0.8, 0.7), BONE)
    fill(sheet, at + size * stroke([(0, 2.9), (0, rng.uniform(3.6, 5))], 0.8, 0.5), BONE)
    body = mirrored([(0, -1.55), (1.0, -1.4), (1.75, -0.4), (1.7, 0.6), (1.2, 1.0), (0, 0.85)])
    fill(sheet, at + size * rounded(body), BONE)
    fill(sheet, at + size * rounded(0.86 * body), rng.uniform(180, 330))
    fill(sheet, at + size * ellipse(0, 1.75, 0.98, 0.82), FLUID)


def paint_middle(sheet, rng, patient):
    """What lies between the lungs: fat, heart or great vessels, gullet."""
    level, chest = patient["level"], patient["chest"]
    y = np.interp(ROWS, (0, 1), (-9.2, 4.4)) * chest[1]
    grow = rng.uniform(0.85, 1.1) * rng.uniform(0.92, 1.08, (2, len(ROWS))) * chest[0]
    right = np.stack([-grow[0] * at_level(RIGHT, level), y], axis=1)
    left = np.stack([grow[1] * at_level(LEFT, level), y], axis=1)
    fill(sheet, rounded(np.concatenate([left, right[::-1]])), FAT + 45)
    for points in heart(rng, level) if level > 0.52 else great_vessels(rng, level):
        fill(sheet, points * (grow.mean(), chest[1]), patient["blood"] + rng.normal(0, 8))
    fill(sheet, ellipse(rng.uniform(0, 0.8), 2.6, 0.8, 0.55) * chest, MUSCLE - 20)


def heart(rng, level):
    """Outlines of heart, aorta and lower caval vein below the hila."""
    low = (level - 0.52) / 0.48
    wide, high = np.array((5.4 + 1.2 * low, 4.1 + 0.5 * low)) * rng.uniform(0.9, 1.04)
    shapes = [rounded(ellipse(1.0 + 0.9 * low, -3.7, wide, high, rng.uniform(18, 34))[::3])]
    for _ in range(3):  # chambers, told from the muscle only by the scatter of densities
        x, y, *half = rng.uniform((-1.5, -5, 1, 1), (3.5, -1.5, 2.4, 2.4))
        shapes.append(ellipse(x, y, *half, 30))
    shapes.append(ellipse(-3.0, -1.2, 2.3, 2.6 - 0.8 * low))
    shapes.append(ellipse(rng.uniform(1.2, 2.0), 3.2, *rng.uniform(1.15, 1.4, 2)))
    return [*shapes, ellipse(0.4, 0.2, 4.3, 1.7)] if low < 0.45 else shapes


def great_vessels(rng, level):
    """Outlines of arteries and veins from the collar bones down to the hila."""
    vein = ellipse(-2.2, -2.6, *rng.uniform(0.75, 1.1, 2))
    if level < 0.13:
        at = [(-1.9, -3.2), (1.2, -3.8), (-1.0, -2.2), (1.9, -1.4), (2.5, 0.3), (-2.6, -4.4)]
        return [ellipse(*spot + rng.normal(0, 0.2, 2), *rng.uniform(0.5, 0.9, 2)) for spot in at]
    if level < 0.3:
        arch = [(-1.5, -4.0), (0.3, -2.9), (1.9, -0.6), (2.4, 2.0)]
        return [vein, stroke(arch + rng.normal(0, 0.15, (4, 2)), 2.6, 2.4)]
    trunk = stroke([(2.0, -4.2), (2.5, -2.4), (1.0, -1.2), (-3.2, -0.8)], 2.8, 2.0)
    ascending = ellipse(-1.2, -3.6, *rng.uniform(1.4, 1.8, 2))
    descending = ellipse(2.2, 3.0, *rng.uniform(1.15, 1.4, 2))
    pulmonary = trunk if level > 0.36 else ellipse(3.0, -1.0, 1.4, 1.8)
    return [pulmonary, vein, ascending, descending]


def paint_airways(sheet, rng, patient):
    """The windpipe, or the bronchi into which it parts below the arch of the aorta."""
    level, wide = patient["level"], rng.uniform(0.85, 1.1)
    pipes = [ellipse(-0.1, 0.4, 0.95 * wide, 1.05 * rng.uniform(0.85, 1.15))]
    if level >= 0.34:
        apart = np.interp(level, (0.3, 0.46, 0.5, 0.7), (1.0, 2.1, 2.1, 4.3))
        size = (0.95, 0.75) if level < 0.52 else (0.5, 0.4)
        pipes = [ellipse(x, min(apart, 2.1) - 0.7, *size, x * 6) for x in (-apart, apart)]
    for pipe in pipes if level < 0.66 else ():
        middle = pipe.mean(axis=0)
        fill(sheet, middle + (pipe - middle) * 1.22, MUSCLE)
        fill(sheet, pipe, AIR + 5)
