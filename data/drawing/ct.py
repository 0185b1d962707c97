"""Slices through a chest as a CT scanner shows them, in which only ground-glass tells the class.

Everything else (patient, level, vessels, consolidations, nodules, collapsed lung, dose, window,
frame) is drawn from numbers that know nothing of the class. So the same scene with and without
ground-glass gives *twins*, equal pixel by pixel outside one region, the opacity mask. That a
picture is bright, or has something solid in a lung, says nothing.

Some scenes are a neighbour of the scene before, as in data sets that hold several slices of a
patient: the same patient and ground-glass, other vessels in the slab, other noise, a breath apart.

Lengths are cm and densities Hounsfield units (HU), as in `chest`.
"""

from collections import namedtuple
from functools import partial

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt, gaussian_filter, zoom

from data.drawing.chest import AIR, FAT, draw_patient, new_sheet, paint_body
from data.drawing.shapes import PIXELS, placing, smooth
from data.drawing.writing import in_parallel, write_twins

CLASSES = ("COVID", "non-COVID")
SEED = 21
SEEN = 40  # HU; what ground-glass adds less than that is left out
EVERY = 4  # one scene of so many is a neighbour of the scene before
APART = 0.25  # cm between neighbours
BREATH = 0.02  # how much larger the chest is in a neighbour

# ------------------------------------------------------------------------------------ vessels


def vessel_tree(rng, side, roots=22, generations=7):
    """Branches of a lung's vessels: starts and ends (n, 3) in cm, widths (n,).

    They leave the hilum to all sides, bend, and part in two at the end of each generation. The
    third coordinate is the height above the hilum.
    """
    turns, heights = rng.uniform(-2.0, 2.0, roots), np.linspace(-2.6, 1.6, roots)
    at = np.stack([np.full(roots, side * 3.9), 0.8 * np.sin(turns), 0.7 * heights], axis=1)
    along = np.stack([side * np.cos(turns), np.sin(turns), heights], axis=1)
    wide, pieces = rng.uniform(0.35, 0.7, roots), []
    for generation in range(generations):
        for _ in range(3):
            along += rng.normal(0, 0.16, along.shape)
            along /= np.linalg.norm(along, axis=1, keepdims=True)
            start, at = at, at + along * rng.uniform(0.4, 1.0, (len(at), 1)) * 0.92**generation
            pieces.append((start, at, wide))
        fork = rng.normal(0, 0.45, along.shape)
        at, along = np.tile(at, (2, 1)), np.concatenate([along + fork, along - fork])
        wide = np.tile(wide, 2) * rng.uniform(0.6, 0.85, len(at))
    return [np.concatenate(part) for part in zip(*pieces, strict=True)]


def in_slab(starts, ends, widths, height, half):
    """The parts of branches within `half` cm of a height: (n, 2, 2) in cm, their widths (n, 2).

    Where a branch leaves the slab it is cut at a slant, so it is thin there.
    """
    rise = ends[:, 2] - starts[:, 2] + 1e-9
    bounds = np.sort((height + np.array([[-half], [half]]) - starts[:, 2]) / rise, axis=0)
    first, last = np.clip(bounds, 0, 1)
    inside = last > first
    cut = [starts + at[:, None] * (ends - starts) for at in (first, last)]
    taper = np.where([first > 0, last < 1], 0.4, 1.0) * widths
    return np.stack(cut, axis=1)[inside, :, :2], taper.T[inside]


def paint_vessels(rng, patient, sheet):
    """How much of each pixel is vessel, 0..1, (h, w); below 0 in the bronchi beside thick ones."""
    (rng,) = rng.spawn(1)  # how many numbers are drawn depends on the height
    cover = Image.new("F", sheet.tissue.size)
    pen, height = ImageDraw.Draw(cover), (0.47 - patient["level"]) * 21 + patient["apart"]
    scale = PIXELS * np.linalg.norm(sheet.place((1, 0)) - sheet.place((0, 0)))
    for side in (-1, 1):
        pieces, widths = in_slab(*vessel_tree(rng, side), height, patient["slab"])
        lines, thick = sheet.place(pieces * patient["chest"]) * PIXELS, widths.max(axis=1)
        shown = np.sqrt(np.minimum(0.6 * thick / patient["slab"], 1))
        for k in np.argsort(thick):
            if thick[k] > 0.25 and rng.random() < 0.2:
                beside = lines[k] + scale * thick[k] * rng.choice((-0.7, 0.7), 2)
                branch(pen, beside, widths[k] * scale, 0.5)
                branch(pen, beside, widths[k] * scale * 0.6, -0.15)
            branch(pen, lines[k], widths[k] * scale, shown[k])
    return np.asarray(cover.reduce(PIXELS))


def branch(pen, line, widths, value):
    """A short tapering line with round ends; one thinner than a pixel is as much fainter."""
    if widths.max() < 1.6:
        pen.line(line.ravel().tolist(), fill=value * min(widths.max(), 1.0), width=1)
        return
    along = line[1] - line[0]
    across = along[::-1] * (-0.5, 0.5) / (np.hypot(*along) + 1e-9) * widths[:, None]
    pen.polygon(np.concatenate([line + across, (line - across)[::-1]]).ravel().tolist(), fill=value)
    for (x, y), half in zip(line, widths / 2, strict=True):
        pen.ellipse((x - half, y - half, x + half, y + half), fill=value)


# ------------------------------------------------------------------------------------ lungs

Lungs = namedtuple("Lungs", "cover depth x y pixel")


def measure(sheet, patient, centre, pixel):
    """The lungs' cover 0..1, how deep in cm each pixel lies in them, and its place x, y; (h, w)."""
    cover = np.asarray(sheet.lung.reduce(PIXELS), np.float32) / 255
    coarse = distance_transform_edt(cover[::2, ::2] > 0.5).astype(np.float32) * 2 / pixel
    share = np.divide(cover.shape, coarse.shape)
    depth = zoom(coarse, share, order=1, grid_mode=True, mode="nearest")
    y, x = np.indices(cover.shape, np.float32)
    x = (x - centre[0]) / pixel / patient["chest"][0]
    return Lungs(cover, depth, x, (y - centre[1]) / pixel / patient["chest"][1], pixel)


def hills(rng, lungs, cell):
    """Soft hills of `cell` cm over the frame, about N(0, 1)."""
    return smooth(rng, *lungs.cover.shape, max(cell * lungs.pixel, 1.5))


def spots(rng, lungs, count, weight):
    """`count` places (count, 2) in the lungs, in cm, more of them where the weight (h, w) is."""
    share = (weight * (lungs.cover > 0.5)).ravel().cumsum(dtype=float)
    picked = np.searchsorted(share, rng.uniform(0, 0.999, count) * share[-1])
    return np.stack([lungs.x.ravel()[picked], lungs.y.ravel()[picked]], axis=1)


def patch(rng, lungs, at, long, wide, ragged):
    """A ragged oval along the chest wall, (h, w): 1 in its middle, 0 at its edge, then below."""
    angle = np.arctan2(at[1], at[0] - np.sign(at[0]) * 4) + np.pi / 2 + rng.normal(0, 0.3)
    dx, dy = lungs.x - at[0], lungs.y - at[1]
    u = (dx * np.cos(angle) + dy * np.sin(angle)) / long
    v = (dy * np.cos(angle) - dx * np.sin(angle)) / wide
    return 1 - np.hypot(u, v) + ragged * hills(rng, lungs, 0.45 * wide)


def ground_glass(rng, lungs, free):
    """How many HU ground-glass adds to each pixel, (h, w): 0 outside the lungs.

    Two to eight patches, mostly in both lungs, under their surface and to the back. Only the share
    of a pixel that is free of vessels and other solids takes it, so that these show through.
    """
    back = 1 / (1 + np.exp(rng.uniform(-4, 3) - lungs.y))
    sides = rng.permutation((1, rng.choice((0.02, 0.5, 1))))
    weight = np.exp(-lungs.depth / 0.7) * (np.abs(lungs.x) > 5) * back
    weight *= np.where(lungs.x < 0, *sides)
    added = np.zeros(free.shape, np.float32)
    for k, at in enumerate(spots(rng, lungs, rng.integers(2, 9), weight)):
        long = rng.uniform(4.0 if k == 0 else 1.5, 5.5)
        field = patch(rng, lungs, at, long, long * rng.uniform(0.45, 0.65), 0.2)
        density = rng.uniform(300 if k == 0 else 200, 520)
        added = np.maximum(added, density * np.clip(field * rng.uniform(2, 5), 0, 1))
    return added * glass_texture(rng, lungs) * free * lungs.cover


def glass_texture(rng, lungs):
    """Grain, now and then the fine net called crazy paving, and the fading to the inside."""
    net = np.exp(-((hills(rng, lungs, 0.35) / 0.3) ** 2)) * rng.choice((0, 0.25, 0.5))
    grain = np.clip(0.9 + rng.uniform(0.05, 0.25) * hills(rng, lungs, 0.35) + net, 0.3, 1.8)
    reach = rng.uniform(2.2, 3.8) + 0.5 * hills(rng, lungs, 1.2)
    return grain * np.clip((reach - lungs.depth) / 0.8, 0, 1)


def solids(rng, lungs):
    """How much of each pixel is consolidation, nodule or collapsed lung, 0..1; of both classes."""
    shapes = [np.zeros_like(lungs.cover)]
    for at in spots(rng, lungs, rng.choice((0, 0, 0, 1, 2)), np.exp(-lungs.depth)):
        long = rng.uniform(0.6, 2.4)
        field = patch(rng, lungs, at, long, long * rng.uniform(0.4, 0.9), 0.16)
        shapes.append(rng.uniform(0.8, 1) * np.clip(field * rng.uniform(3, 6), 0, 1))
    for at in spots(rng, lungs, rng.choice((0, 0, 0, 1, 4)), np.ones_like(lungs.cover)):
        field = patch(rng, lungs, at, *(0.2 + rng.gamma(1.5, 0.16, 2)), 0.1)
        shapes.append(np.clip(field * 8, 0, 1))
    if rng.random() < 0.4:  # lung that its own weight presses together, in a band at the back
        low = np.clip(lungs.y - rng.uniform(5.5, 8), 0, 2) * rng.uniform(0.2, 0.6)
        band = np.exp(-((lungs.depth / rng.uniform(0.3, 0.8)) ** 2))
        shapes.append(low * band * (1 + 0.3 * hills(rng, lungs, 0.8)))
    return np.clip(np.max(shapes, axis=0), 0, 1)


def domes(rng, lungs, level):
    """How much of each pixel is liver or spleen that the diaphragm lifts into the lung, 0..1."""
    cover = np.zeros_like(lungs.cover)
    for side, top in ((-1, 0.78), (1, 0.88)):
        size = 0.6 + 26 * (level - top + rng.normal(0, 0.02))
        if size > 0.6:
            at = (side * rng.uniform(5.8, 7.2), rng.uniform(-2, 1))
            field = patch(rng, lungs, at, size, 0.8 * size, 0.03)
            cover = np.maximum(cover, np.clip(field * size / rng.uniform(0.3, 0.8), 0, 1))
    return cover


def fissure(rng, lungs):
    """The faint line where two lobes touch, 0..1; in some slices there is none to see."""
    out, slope, bend = np.abs(lungs.x) - 7, rng.uniform(-0.5, 0.5), rng.uniform(-0.08, 0.05)
    away = lungs.y - rng.uniform(-4, 6) - slope * out - bend * out**2
    return rng.choice((0, 0.1, 0.22)) * np.exp(-((away / rng.uniform(0.06, 0.15)) ** 2))


def fill_lungs(rng, patient, sheet, lungs):
    """Fill the lungs with all but ground-glass: (densities in HU, share free of solids, mask)."""
    dome = domes(rng, lungs, patient["level"])
    vessels = paint_vessels(rng, patient, sheet) * np.clip(lungs.depth / 0.5, 0.15, 1)
    solid = np.max([vessels, fissure(rng, lungs), solids(rng, lungs)], axis=0)
    texture = rng.uniform(6, 22) * hills(rng, lungs, 0.25)
    inside = patient["lung"] + rng.uniform(0, 7) * lungs.y + texture
    inside += solid * (patient["blood"] - 10 - inside)
    inside += dome * (0.5 * patient["blood"] + 60 - inside)
    tissue = np.asarray(sheet.tissue.reduce(PIXELS))
    tissue = tissue + lungs.cover * (inside - patient["lung"])
    return tissue, (1 - np.clip(solid, 0, 1)) * (1 - dome), lungs.cover * (1 - dome) > 0.5


# ------------------------------------------------------------------------------------ pictures


def patient_of(scene):
    """The number of a scene's patient: that of the first of its scenes."""
    return scene - (scene % EVERY == EVERY - 1)


def draw_slice(scene, label, scale=1.0):
    """One slice; (image, lung_mask, opacity_mask): grey uint8 (h, w) and two boolean masks.

    The lung mask holds the air spaces and all that lies in them; the opacity mask the pixels in
    which the COVID and the non-COVID slice of the scene differ, none for non-COVID. Slices are
    about 350 pixels wide, times `scale`.
    """
    return draw_twins(scene, scale)[label]


def draw_twins(scene, scale=1.0):
    """The slices of one scene: a dict from label to what `draw_slice` returns."""
    first = patient_of(scene)
    rng, glass, scanner = np.random.default_rng((SEED, first)).spawn(3)
    patient = draw_patient(rng) | {"apart": APART * (scene - first)}
    sheet, centre, pixel = frame_slice(rng, patient, scale, 1 + BREATH * (scene - first))
    paint_body(sheet, rng, patient)
    lungs = measure(sheet, patient, centre, pixel)
    tissue, free, lung_mask = fill_lungs(rng, patient, sheet, lungs)
    added = ground_glass(glass, lungs, free)
    settings = set_scanner(scanner, np.random.default_rng((SEED, scene, 1)), tissue, patient)
    seen = (scan(settings, tissue, extra) for extra in (added, np.zeros_like(added)))
    return {
        label: (image, lung_mask, mask) for label, (image, mask) in zip(CLASSES, seen, strict=True)
    }


def frame_slice(rng, patient, scale, breath):
    """An empty sheet of some size, field of view and turn; (sheet, centre, pixels in a cm).

    breath: how many times as large the chest is as in the patient's first slice.
    """
    width = round(rng.uniform(280, 430) * scale)
    view = 27 * patient["chest"][0] * (1 + 0.3 * rng.beta(1, 2.2))
    pixel = width / view
    height = round(rng.uniform(19.5, 23) * patient["chest"][1] * pixel * (view / 28) ** 0.5)
    centre = np.array((width / 2, height / 2)) + rng.normal((0, -0.3), 0.35) * pixel
    place = placing(centre, pixel * breath, rng.normal(0, 2.5))
    return new_sheet(width, height, place), centre, pixel * breath


def set_scanner(rng, noises, tissue, patient):
    """What a scanner is set to for a patient, and what is random in the slice, as a dict.

    Its lens blurs or sharpens, the dose decides the noise, the window what is black and white.
    """
    return {
        "blur": rng.uniform(0.5, 1.1),
        "sharp": rng.choice((0, 0.4, 0.9)),
        "middle": rng.uniform(-600, -500),
        "width": rng.uniform(1350, 1650),
        "marble": 9 * smooth(rng, *tissue.shape, 5),
        "noise": np.exp(rng.uniform(np.log(8), np.log(35)))
        * noise(rng.uniform(0.4, 0.9), noises, tissue.shape, patient["level"]),
    }


def scan(scanner, tissue, added):
    """What a scanner shows of densities, and of what is added to them; (uint8 image, mask).

    The mask holds the pixels where the addition is seen; in all others it is left out.
    """
    blur, sharp = scanner["blur"], scanner["sharp"]
    seen = gaussian_filter(tissue + scanner["marble"] * (tissue > 2 * FAT), blur)
    seen += sharp * (seen - gaussian_filter(seen, 1.2))
    extra = np.maximum(gaussian_filter(added, blur) - SEEN, 0)
    seen += scanner["noise"] * (tissue > AIR + 60)
    grey = 255 * ((seen + extra - scanner["middle"]) / scanner["width"] + 0.5)
    return np.clip(grey, 0, 255).astype(np.uint8), extra > 0


def noise(fine, rng, shape, level):
    """Noise of neighbours that know of each other, about N(0, 1); streaks across the shoulders."""
    white = rng.standard_normal((2, *shape), dtype=np.float32)
    grain = gaussian_filter(white[0], fine) - gaussian_filter(white[0], 2.5 * fine)
    streaks = gaussian_filter(white[1], (0.5, 7))
    return grain / grain.std() + max(1.5 - 7.5 * level, 0) * streaks / streaks.std()


# ------------------------------------------------------------------------------------ files


def write_scenes(folder, scenes, both=0):
    """Write COVID.K and non-COVID.K for K below `scenes`; return one dict for each picture.

    Its keys: kind ("train"), label, scene, patient, and the names of image, lung_mask and
    opacity_mask in the folder. No slice is both classes, so `both` adds none. The same numbers
    write the same files.
    """
    twins = partial(write_twins, draw_twins, ("lung", "opacity"), "png")
    rows = in_parallel(twins, folder, scenes)
    return [row | {"patient": patient_of(int(row["scene"]))} for row in rows]
