"""Rooms, gardens, fields and things, drawn by code: what stands around an animal.

A scene is painted on a plane whose unit is the side of the frame, a thing on one whose unit is half
its own width.
"""

import numpy as np
from PIL import Image, ImageColor, ImageFilter

from data.drawing.shapes import (
    PIXELS,
    cast_shadow,
    ellipse,
    lay,
    new_layer,
    paint,
    placing,
    rounded,
    smooth,
    stroke,
    turn,
)

# ------------------------------------------------------------------------------------ scenes

COLOURS = (  # of walls, cloth and things
    "#cec4b2 #a4b2aa #b09480 #788a9e #c4ac82 #965c50 #5c705c "
    "#d6cec8 #6c5c6a #bc7858 #526080 #deb460 #8c9c6e #cc9696"
)
SKIES = ((150, 186, 222), (196, 208, 216), (232, 206, 176), (118, 152, 198))


def any_colour(rng):
    """One of the colours, a little changed."""
    colours = COLOURS.split()
    return np.add(ImageColor.getrgb(colours[rng.integers(len(colours))]), rng.normal(0, 12, 3))


def strip(left, top, right, bottom):
    """An upright rectangle."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def room(sheet, rng):
    """A wall and a floor, with a window, curtains, a picture, a sofa or a carpet."""
    wall, floor, horizon = any_colour(rng), any_colour(rng) * 0.85, rng.uniform(0.42, 0.72)
    paint(sheet, strip(0, 0, 1, 1), wall)
    if rng.random() < 0.4:
        for x in np.arange(0, 1, rng.uniform(0.06, 0.16)):
            paint(sheet, strip(x, 0, x + 0.03, horizon), wall, 0.93)
    paint(sheet, strip(0, horizon, 1, 1), floor)
    if rng.random() < 0.5:
        for x in np.arange(-1, 2, 0.18):
            board = stroke([(0.5 + (x - 0.5) * 0.6, horizon), (x, 1)], 0.006, 0.012)
            paint(sheet, board, floor, 0.8)
    paint(sheet, strip(0, horizon - 0.025, 1, horizon + 0.005), wall, 1.15)
    for furnish in (window, picture, sofa, carpet):
        if rng.random() < 0.5:
            furnish(sheet, rng, horizon)


def window(sheet, rng, horizon):
    """A window with panes, a view of the sky and a pair of curtains."""
    x, width = rng.uniform(-0.1, 0.75), rng.uniform(0.25, 0.45)
    bottom, cloth = horizon - rng.uniform(0.08, 0.2), any_colour(rng)
    paint(sheet, strip(x, 0.02, x + width, bottom), (236, 232, 224))
    sky = SKIES[rng.integers(len(SKIES))]
    for left in (x + 0.02, x + width / 2 + 0.01):
        paint(sheet, strip(left, 0.04, left + width / 2 - 0.03, bottom - 0.02), sky, 1.08)
    for k, left in enumerate((x - 0.06, x - 0.02, x + width - 0.06, x + width - 0.02)):
        fold = [(left, 0), (left + 0.08, 0), (left + 0.07, bottom + 0.06), (left, bottom + 0.06)]
        paint(sheet, fold, cloth, 1.05 - 0.2 * (k % 2))


def picture(sheet, rng, horizon):
    """A framed picture on the wall."""
    x, y, side = rng.uniform(0, 0.8), rng.uniform(0.03, 0.15), rng.uniform(0.12, 0.2)
    paint(sheet, strip(x, y, x + side * 1.2, y + side), any_colour(rng), 0.6)
    paint(sheet, strip(x + 0.02, y + 0.02, x + side * 1.2 - 0.02, y + side - 0.02), any_colour(rng))
    paint(sheet, ellipse(x + side * 0.6, y + side * 0.5, side * 0.3, side * 0.2), any_colour(rng))


def sofa(sheet, rng, horizon):
    """A sofa before the wall."""
    x, width, cloth = rng.uniform(-0.3, 0.5), rng.uniform(0.5, 0.8), any_colour(rng)
    paint(sheet, rounded(strip(x, horizon - 0.28, x + width, horizon + 0.1), 2), cloth, 0.8)
    for left in (x + 0.08, x + width / 2):
        seat = strip(left, horizon - 0.08, left + width / 2 - 0.08, horizon + 0.06)
        paint(sheet, rounded(seat, 2), cloth, 1.05)
    for left in (x - 0.04, x + width - 0.08):
        paint(sheet, rounded(strip(left, horizon - 0.17, left + 0.12, horizon + 0.13)), cloth, 0.92)


def carpet(sheet, rng, horizon):
    """An oval carpet with a border."""
    x, y, cloth = rng.uniform(0.2, 0.8), (1 + horizon) / 2 + 0.03, any_colour(rng)
    for grow, tone in ((1, 0.7), (0.9, 1), (0.62, 0.86), (0.56, 1.08)):
        paint(sheet, ellipse(x, y, 0.5 * grow, 0.17 * grow), cloth, tone)


def land(sheet, rng, ground, trees=True):
    """Sky, hills and a ground; trees on the horizon, a path."""
    sky, horizon = np.array(SKIES[rng.integers(len(SKIES))]), rng.uniform(0.28, 0.62)
    for k, top in enumerate(np.linspace(0, horizon, 7)):
        paint(sheet, strip(0, top, 1, 1), sky, 0.88 + 0.04 * k)
    for _ in range(rng.integers(0, 4)):
        x, y = rng.uniform(0, 1), rng.uniform(0, horizon * 0.7)
        paint(sheet, ellipse(x, y, rng.uniform(0.08, 0.2), 0.04), (240, 240, 238))
    for tone in (0.95, 0.8):
        y = horizon - rng.uniform(0.0, 0.12, 5)
        ridge = [(-0.3, 1.2), *zip((-0.3, 0.2, 0.5, 0.8, 1.3), y, strict=True), (1.3, 1.2)]
        paint(sheet, rounded(ridge), 0.45 * sky + 0.55 * np.array(ground), tone)
    for x in rng.uniform(0, 1, rng.integers(1, 6) if trees else 0):
        tree(sheet, rng, x, horizon + 0.02)
    for k, top in enumerate(np.linspace(horizon, 1, 6)):
        paint(sheet, strip(0, top, 1, 1), ground, 0.9 + 0.04 * k)
    if rng.random() < 0.35:
        at, low = rng.uniform(0.2, 0.8), rng.uniform(0, 1)
        way = [(at, horizon), (at + 0.03, horizon), (low + 0.3, 1.05), (low - 0.2, 1.05)]
        paint(sheet, way, (186, 168, 140))
    return horizon


def tree(sheet, rng, x, foot):
    """A round tree or a fir."""
    height, leaf = rng.uniform(0.18, 0.42), np.add((74, 104, 62), rng.normal(0, 18, 3))
    paint(sheet, strip(x - 0.016, foot - height, x + 0.016, foot), (94, 72, 54))
    if rng.random() < 0.4:
        for k in range(3):
            y, half = foot - height * (0.15 + 0.3 * k), height * (0.3 - 0.07 * k)
            tier = [(x - half, y), (x + half, y), (x, y - 0.45 * height)]
            paint(sheet, tier, leaf, 0.7 + 0.1 * k)
        return
    for k in range(5):
        dx, dy = rng.normal(0, 0.05, 2)
        paint(sheet, ellipse(x + dx, foot - height + dy, 0.09, 0.08), leaf, 0.75 + 0.1 * k)


def garden(sheet, rng):
    """Grass with blades, and flowers now and then."""
    grass = np.add((112, 142, 76), rng.normal(0, 16, 3))
    horizon = land(sheet, rng, grass)
    for _ in range(45):
        x, y = rng.uniform(0, 1), rng.uniform(horizon, 1.05)
        long = 0.1 * (y - horizon) + 0.01
        blade = [(x, y), (x + rng.normal(0, 0.01), y - long)]
        paint(sheet, stroke(blade, 0.012, 0.002), grass, rng.uniform(0.75, 1.2))
    for x in rng.uniform(0, 1, rng.integers(0, 9)):
        paint(sheet, ellipse(x, rng.uniform(horizon, 1), 0.011, 0.011), any_colour(rng), 1.2)


def snow(sheet, rng):
    """A snowy field."""
    land(sheet, rng, np.add((222, 226, 234), rng.normal(0, 5, 3)))


def beach(sheet, rng):
    """Sand, and the sea behind it."""
    sand = np.add((214, 190, 146), rng.normal(0, 8, 3))
    horizon = land(sheet, rng, sand, trees=rng.random() < 0.3)
    if rng.random() < 0.6:
        paint(sheet, strip(0, horizon - 0.1, 1, horizon + 0.02), (88, 138, 160))
        paint(sheet, strip(0, horizon + 0.01, 1, horizon + 0.03), (228, 230, 226))


def woods(sheet, rng):
    """Between the trunks of a wood."""
    paint(sheet, strip(0, 0, 1, 1), np.add((96, 118, 88), rng.normal(0, 14, 3)))
    floor, horizon = np.add((134, 112, 78), rng.normal(0, 12, 3)), rng.uniform(0.4, 0.65)
    for k, x in enumerate(rng.uniform(0, 1, 9)):
        wide = 0.012 + 0.006 * k
        trunk = strip(x - wide, 0, x + wide, horizon + 0.02 * k)
        paint(sheet, trunk, (104, 86, 70), 1.25 - 0.08 * k)
    edge = [(-1, horizon), (0.5, horizon + rng.normal(0, 0.04)), (2, horizon)]
    paint(sheet, rounded([(-1, 2), *edge, (2, 2)]), floor)
    for x, y in rng.uniform((0, horizon), (1, 1), (50, 2)):
        leaf = ellipse(x, y, 0.02, 0.008, rng.uniform(0, 180))
        paint(sheet, leaf, (176, 120, 66), rng.uniform(0.6, 1.2))


def cloth(sheet, rng):
    """A plain or striped cloth that fills the frame."""
    colour, slope = any_colour(rng), rng.uniform(-0.5, 0.5)
    paint(sheet, strip(0, 0, 1, 1), colour)
    for y in np.arange(-0.5, 1.5, rng.uniform(0.08, 0.4)):
        paint(sheet, stroke([(0, y), (1, y + slope)], 0.03, 0.04), colour, rng.uniform(0.85, 1.15))


SCENES = (room, garden, room, snow, beach, room, woods, cloth, garden)
OUTDOORS = (garden, snow, beach, woods)


def pick_scene(rng):
    """One of SCENES at random."""
    return SCENES[rng.integers(len(SCENES))]


def paint_scene(rng, size):
    """A room, garden, field ... as a float canvas, textured, the far parts sometimes soft."""
    corners, grey = [(0, 0), (size, size)], (128, 128, 128)
    sheet = new_layer(size, corners, 0, grey, lambda at: np.multiply(at, size))
    pick_scene(rng)(sheet, rng)
    dabs(sheet, rng, 60 if size > 150 else 12)
    colours = sheet.colours.reduce(PIXELS)
    softness = rng.uniform(0, size / 100) * (rng.random() < 0.6)
    canvas = np.array(colours.filter(ImageFilter.BoxBlur(softness)), np.float32)
    for cell, depth in ((size / 3, 0.07), (size / 14, 0.04), (size / 60, 0.03)):
        canvas *= 1 + depth * rng.uniform(0.4, 1.6) * smooth(rng, size, size, cell)[..., None]
    canvas += 4 * smooth(rng, size, size, size / 4)[..., None] * rng.normal(0, 1, 3)
    return np.clip(canvas, 0, 255).astype(np.float32)


def dabs(sheet, rng, count):
    """Strokes of the brush: each takes the colour under it and spreads it a little."""
    under = np.asarray(sheet.colours.resize((24, 24), Image.Resampling.BOX), float)
    for x, y in rng.uniform(0, 1, (count, 2)):
        colour = under[int(y * 24), int(x * 24)] + rng.normal(0, 7)
        dab = ellipse(x, y, rng.uniform(0.02, 0.06), rng.uniform(0.006, 0.018), rng.normal(0, 40))
        paint(sheet, dab, colour)


# ------------------------------------------------------------------------------------ things


def ball(layer, rng):
    """A ball with a band."""
    colour = any_colour(rng)
    paint(layer, ellipse(0, 0, 1, 1), colour, 1.1)
    paint(layer, ellipse(0, 0, 1, 0.3, rng.uniform(0, 180)), any_colour(rng), 1, False)
    paint(layer, ellipse(-0.35, -0.4, 0.2, 0.16), (250, 248, 240), 1, False)


def box(layer, rng):
    """A box, its lid seen from above."""
    colour = any_colour(rng)
    paint(layer, strip(-1, -0.4, 1, 1), colour)
    paint(layer, [(-1, -0.4), (-0.7, -0.85), (0.8, -0.85), (1, -0.4)], colour, 1.25)
    paint(layer, strip(-0.12, -0.4, 0.12, 1), any_colour(rng), 1, False)


def plant(layer, rng):
    """Leaves in a pot."""
    leaf, pot = np.add((84, 122, 70), rng.normal(0, 16, 3)), any_colour(rng)
    for angle in np.linspace(-65, 65, 9) + rng.normal(0, 6, 9):
        blade = turn(ellipse(0, -0.75, 0.16, 0.62), angle) + (0, 0.3)
        paint(layer, blade, leaf, rng.uniform(0.7, 1.2))
    paint(layer, [(-0.55, 0.2), (0.55, 0.2), (0.4, 1), (-0.4, 1)], pot)
    paint(layer, strip(-0.62, 0.15, 0.62, 0.35), pot, 1.15)


def cushion(layer, rng):
    """A cushion with a button or stripes."""
    colour = any_colour(rng)
    paint(layer, rounded(turn(strip(-1.1, -0.8, 1.1, 0.9), rng.normal(0, 8)), 2), colour, 1.05)
    for y in (-0.4, 0, 0.4)[: rng.integers(0, 4)]:
        paint(layer, strip(-1.2, y - 0.08, 1.2, y + 0.08), any_colour(rng), 1, False)


def books(layer, rng):
    """A pile of books."""
    for k in range(4):
        left, right = -1 + rng.uniform(0, 0.3), 1 - rng.uniform(0, 0.3)
        top, colour = 0.55 - 0.45 * k, any_colour(rng)
        paint(layer, strip(left, top, right, top + 0.45), colour, 0.9)
        paint(layer, strip(left + 0.1, top + 0.1, right + 0.05, top + 0.35), (232, 226, 210))
        paint(layer, strip(left, top, left + 0.3, top + 0.45), colour, 1.1)


def bush(layer, rng):
    """A low leafy bush."""
    leaf = np.add((86, 116, 72), rng.normal(0, 18, 3))
    for x, y in rng.uniform((-1, -0.5), (1, 0.8), (22, 2)):
        leaves = ellipse(x, y + 0.3, 0.3, 0.17, rng.uniform(0, 180))
        paint(layer, leaves, leaf, rng.uniform(0.7, 1.3))


THINGS = (ball, box, plant, cushion, books, bush)


def put_thing(canvas, rng, centre, radius, light):
    """Put a ball, box, plant ... with its shadow on the canvas; return its opacity."""
    place = placing(np.asarray(centre, float), radius)
    cast_shadow(canvas, place, (-1, 1, 1), radius)
    layer = new_layer(canvas.shape[0], [centre], 1.6 * radius, (120, 120, 120), place)
    THINGS[rng.integers(len(THINGS))](layer, rng)
    return lay(canvas, layer, rng, light, radius)


def clutter(canvas, rng, most, light):
    """Up to `most` things anywhere behind the animals."""
    size = canvas.shape[0]
    for x, y in rng.uniform((0, 0.45), (1, 1), (rng.integers(0, most + 1), 2)):
        put_thing(canvas, rng, (x * size, y * size), rng.uniform(0.04, 0.11) * size, light)
