"""Outlines, painted layers and light: the tools with which the pictures are drawn.

Shapes are lists of points on a plane of their own, y down; a layer knows where they fall in the
frame of the picture.
"""

from collections import namedtuple
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

PIXELS = 2  # drawn per pixel of the finished picture, along each side

# ------------------------------------------------------------------------------------ shapes

TURN = np.linspace(0, 2 * np.pi, 29)[:-1]
CIRCLE = np.stack([np.cos(TURN), np.sin(TURN)], axis=1)


def ellipse(x, y, width, height, angle=0.0):
    """The outline of an ellipse with the given centre and half axes; the angle in degrees."""
    return turn(CIRCLE * (width, height), angle) + (x, y)


def turn(points, angle):
    """Points turned about the origin by an angle in degrees."""
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return np.asarray(points, float) @ ((cosine, sine), (-sine, cosine))


CAP = np.stack([turn(np.eye(2), angle) for angle in (-45, -90, -135)])


@cache
def corner_cutter(count, rounds):
    """The matrix that turns `count` corners into a rounded outline."""
    cutter = np.eye(count)
    for _ in range(rounds):
        after = np.roll(cutter, -1, axis=0)
        cutter = np.stack([0.75 * cutter + 0.25 * after, 0.25 * cutter + 0.75 * after], axis=1)
        cutter = cutter.reshape(-1, count)
    return cutter


def rounded(points, rounds=3):
    """A closed outline with its corners cut off again and again (Chaikin 1974)."""
    return corner_cutter(len(points), rounds) @ np.asarray(points, float)


@cache
def line_maker(count):
    """The matrices that turn `count` points into 12 on a smooth line, and into its direction."""
    at, knots = np.linspace(0, 1, 12), np.linspace(0, 1, count)
    line = np.stack([np.interp(at, knots, row) for row in np.eye(count)], axis=1)
    for _ in range(2):
        line[1:-1] = (line[:-2] + 2 * line[1:-1] + line[2:]) / 4
    return line, np.gradient(line, axis=0), 1 - at[:, None], at[:, None]


def stroke(points, start, end):
    """The outline of a curved line through points, `start` wide at one end, `end` at the other."""
    line, along, first, last = line_maker(len(points))
    line, along = line @ points, along @ points
    across = along[:, ::-1] * (-0.5, 0.5) / (np.hypot(*along.T)[:, None] + 1e-9)
    across *= start * first + end * last
    first_cap, last_cap = line[0] - across[0] @ CAP, line[-1] + across[-1] @ CAP
    return np.concatenate([first_cap, line + across, last_cap, (line - across)[::-1]])


def mirrored(half):
    """A closed symmetric outline from its right half, listed from top to bottom."""
    half = np.asarray(half, float)
    return np.concatenate([half, (half * (-1, 1))[::-1]])


# ------------------------------------------------------------------------------------ layers

Layer = namedtuple("Layer", "left top colours cover place pens")


def new_layer(size, points, reach, colour, place):
    """A sheet over all within `reach` of the points: colours, cover, and where unit points fall."""
    box = np.concatenate([np.min(points, axis=0) - reach, np.max(points, axis=0) + reach])
    left, top, right, bottom = np.clip(np.round(box), 0, size).astype(int)
    sheet = (max(right - left, 1) * PIXELS, max(bottom - top, 1) * PIXELS)
    colours, cover = Image.new("RGB", sheet, tint(colour)), Image.new("L", sheet)
    pens = ImageDraw.Draw(colours), ImageDraw.Draw(cover)
    return Layer(min(left, size - 1), min(top, size - 1), colours, cover, place, pens)


def tint(colour, tone=1.0):
    """A colour, lighter or darker, as Pillow wants it."""
    return tuple(int(min(max(value * tone, 0), 255)) for value in colour)


def paint(layer, points, colour, tone=1.0, cover=True):
    """Fill an outline; with cover=False only where something is drawn already shows it."""
    points = (layer.place(points) - (layer.left, layer.top)) * PIXELS
    points = points.ravel().tolist()
    layer.pens[0].polygon(points, fill=tint(colour, tone))
    if cover:
        layer.pens[1].polygon(points, fill=255)


def placing(centre, radius, angle=0.0, flip=1):
    """The map from unit points to pixels of the frame."""
    scale = np.multiply((flip, 1), radius)
    return lambda points: turn(np.multiply(points, scale), angle) + centre


def smooth(rng, height, width, cell, cell_x=None):
    """A field of soft hills, mean 0 and about N(0, 1), with hills of `cell` pixels."""
    grid = (int(height / cell) + 2, int(width / (cell_x or cell)) + 2)
    hills = Image.fromarray(rng.standard_normal(grid, dtype=np.float32))
    return np.asarray(hills.resize((width, height), Image.Resampling.BICUBIC))


def fluffy(layer, rng, radius):
    """Opacity in 0..1 with an edge of fur, and the texture of that fur, as float arrays."""
    edge = ImageFilter.BoxBlur(float(1 + radius / 12))
    cover = np.asarray(layer.cover.filter(edge).reduce(PIXELS))
    hairs = smooth(rng, *cover.shape, max(radius / 5, 2), max(radius / 16, 1))
    alpha = np.clip((cover / np.float32(255) - 0.5 + 0.1 * hairs) * 3 + 0.5, 0, 1)
    return alpha * (cover > 8), hairs


def roundness(layer, light, radius):
    """Shading between about -1 and 1: how far the surface of a soft body turns to the light."""
    height, width = layer.cover.height, layer.cover.width
    step = max(int(radius * PIXELS / 6), 1)
    small = layer.cover.reduce(step) if min(height, width) > 3 * step else layer.cover
    soft = np.asarray(small.filter(ImageFilter.BoxBlur(2)).filter(ImageFilter.BoxBlur(2)), float)
    down, right = np.gradient(soft / 255)
    lit = Image.fromarray((-4 * (right * light[0] + down * light[1])).astype(np.float32))
    size = (width // PIXELS, height // PIXELS)
    return np.asarray(lit.resize(size, Image.Resampling.BICUBIC))


def lay(canvas, layer, rng, light, radius, shadow=None):
    """Paint a layer with fur and shading on the canvas; return its opacity over the frame."""
    alpha, hairs = fluffy(layer, rng, radius)
    rows = slice(layer.top, layer.top + alpha.shape[0])
    columns = slice(layer.left, layer.left + alpha.shape[1])
    shade = 1 + 0.33 * roundness(layer, light, radius) + 0.055 * hairs
    if shadow is not None:
        shade = shade * shadow[rows, columns]
    colours = np.asarray(layer.colours.reduce(PIXELS), np.float32) * shade[..., None]
    opacity = np.zeros(canvas.shape[:2], np.float32)
    under = canvas[rows, columns]
    under += alpha[..., None] * (np.clip(colours, 0, 255) - under)
    opacity[rows, columns] = alpha
    return opacity


def cast_shadow(canvas, place, extent, radius):
    """Darken the ground under an animal or a thing that reaches from left to right."""
    left, right, ground = extent
    (x, y), half = place([((left + right) / 2, ground)])[0], (right - left) / 2 * radius
    rows = np.arange(canvas.shape[0], dtype=np.float32)[:, None]
    columns = np.arange(canvas.shape[1], dtype=np.float32)
    away = ((columns - x) / (half * 0.95)) ** 2 + ((rows - y) / (0.3 * radius)) ** 2
    canvas *= (1 - 0.5 * np.exp(-away))[..., None]


# ------------------------------------------------------------------------------------ light


def draw_light(rng):
    """Where the light comes from: a direction, mostly from above."""
    angle = np.radians(rng.uniform(-160, -20))
    return float(np.cos(angle)), float(np.sin(angle))


def photograph(canvas, rng, light, grain):
    """Expose, tint, darken the corners, blur now and then, add grain; (uint8 image, blur)."""
    size = canvas.shape[0]
    rows, columns = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    slope = rng.uniform(0, 0.22) * (columns * light[0] + rows * light[1])
    corners = rng.uniform(0, 0.2) * (rows**2 + columns**2)
    warmth = rng.normal(0, 0.06)
    colour = np.array((1 + warmth, 1 + rng.normal(0, 0.015), 1 - warmth), np.float32)
    contrast = rng.uniform(0.7, 1.2)
    exposure = rng.normal(0, 16)
    canvas = canvas * ((1 + slope - corners)[..., None] * colour)
    canvas = (canvas - 122) * np.float32(contrast) + np.float32(122 + exposure)
    blur = int(rng.random() < 0.25) * max(1, round(size * rng.uniform(0.003, 0.012)))
    image = Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))
    image = image.filter(ImageFilter.BoxBlur(blur))
    noise = rng.standard_normal(canvas.shape, dtype=np.float32) * np.float32(grain)
    return np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8), blur


def draw_grain(rng):
    """The standard deviation of the grain: 2 to 12 of 255, in every other picture up to 60."""
    low, high = (12, 60) if rng.random() < 0.5 else (2, 12)
    return np.exp(rng.uniform(np.log(low), np.log(high)))


def grown(mask, pixels):
    """A mask grown by some pixels to all sides."""
    wide = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.BoxBlur(pixels))
    return np.asarray(wide) > 0
