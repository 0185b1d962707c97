"""Pictures of cats and dogs drawn by code, in which only the head tells the class.

Everything outside the head (room or garden, body, coat, pose, clutter, light, grain) is drawn from
numbers that know nothing of the species. So the same scene with a cat and with a dog gives *twins*:
two pictures that are equal pixel by pixel outside one small region, the head mask.

Shapes are lists of points on a plane whose unit is the head's radius, y down, head at the origin.
"""

from collections import namedtuple
from copy import deepcopy
from functools import partial
from itertools import compress, product

import numpy as np

from data.drawing.scenes import OUTDOORS, clutter, paint_scene, pick_scene, put_thing
from data.drawing.shapes import (
    cast_shadow,
    draw_grain,
    draw_light,
    ellipse,
    grown,
    lay,
    mirrored,
    new_layer,
    paint,
    photograph,
    placing,
    rounded,
    stroke,
    turn,
)
from data.drawing.writing import in_parallel, write_masks, write_twins
from data.images import write_picture

REGIONS = ("animal", "head")
SEED = 20

# ------------------------------------------------------------------------------------ coats

COATS = {  # fur, second colour
    "ginger": ((214, 142, 74), (250, 226, 190)),
    "cream": ((232, 208, 170), (252, 242, 224)),
    "white": ((236, 232, 226), (190, 180, 170)),
    "grey": ((142, 146, 154), (212, 214, 218)),
    "slate": ((92, 98, 112), (168, 174, 184)),
    "black": ((54, 50, 54), (226, 222, 216)),
    "brown": ((122, 84, 58), (214, 182, 146)),
    "chocolate": ((88, 58, 42), (180, 134, 96)),
    "fawn": ((190, 154, 116), (84, 64, 54)),
    "russet": ((168, 86, 46), (244, 224, 204)),
}
PATTERNS = ("plain", "stripes", "patches", "spots", "two tones", "plain")
EYES = ((196, 146, 44), (112, 146, 62), (92, 140, 178), (112, 70, 36), (70, 46, 32))
NOSES = ((44, 34, 36), (92, 62, 54), (206, 128, 124))


def draw_coat(rng):
    """A coat at random: fur, second colour, pattern, and how dark the markings are."""
    fur, second = list(COATS.values())[rng.integers(len(COATS))]
    jitter = rng.normal(0, 9) + rng.normal(0, 5, 3)
    return {
        "fur": np.add(fur, jitter),
        "second": np.add(second, jitter / 2),
        "pattern": PATTERNS[rng.integers(len(PATTERNS))],
        "dark": rng.uniform(0.55, 0.8),
    }


def paint_pattern(layer, coat, rng, box):
    """Stripes, patches or spots over a box of the body; only the body's own surface takes them."""
    left, top, right, bottom = box
    x = rng.uniform(left, right, 16)
    y = rng.uniform(top, bottom, 16)
    grow = rng.uniform(0.7, 1.3, 16)
    if coat["pattern"] == "stripes":
        for k, at in enumerate(np.arange(left, right, 0.42)):
            bend = 0.25 * grow[k % 16]
            line = [(at, top - 0.3), (at + bend, (top + bottom) / 2 - 0.2), (at + bend / 2, bottom)]
            paint(layer, stroke(line, 0.22 * grow[k % 16], 0.02), coat["fur"], coat["dark"], False)
    elif coat["pattern"] == "patches":
        for k in range(5):
            patch = rounded(ellipse(x[k], y[k], 0.7 * grow[k], 0.55)[::4] + 0.2 * grow[:7, None])
            paint(layer, patch, coat["second"], cover=False)
    elif coat["pattern"] == "spots":
        for k in range(16):
            spot = ellipse(x[k], y[k], 0.16 * grow[k], 0.13)
            paint(layer, spot, coat["fur"], coat["dark"], False)
    elif coat["pattern"] == "two tones":
        low = bottom - 0.33 * (bottom - top)
        edge = [(left - 1, low), ((left + right) / 2, low - 0.3), (right + 1, low)]
        belly = rounded([*edge, (right + 1, bottom + 1), (left - 1, bottom + 1)])
        paint(layer, belly, coat["second"], cover=False)


# ------------------------------------------------------------------------------------ bodies

Body = namedtuple("Body", "far trunk near tail ground")  # lists of outlines; ground = lowest y


def leg(x, top, bottom, bend=0.0, width=0.46):
    """A leg with its paw."""
    line = stroke([(x, top), (x + bend, (top + bottom) / 2), (x, bottom)], width * 1.25, width)
    paw = ellipse(x + 0.08, bottom, width * 0.72, width * 0.46)
    return [line, paw]


def sitting_front():
    """Sitting, seen from the front."""
    trunk = mirrored([(0, 0.2), (0.62, 0.3), (0.95, 1.3), (1.2, 2.3), (0.9, 3.0), (0, 3.05)])
    haunches = [ellipse(side * 0.98, 2.5, 0.48, 0.55) for side in (-1, 1)]
    paws = [ellipse(side * 1.1, 2.98, 0.38, 0.2) for side in (-1, 1)]
    near = leg(-0.34, 1.5, 2.95) + leg(0.34, 1.5, 2.95)
    return Body(paws, [*haunches, rounded(trunk)], near, (-1.0, 2.75), 3.15)


def sitting_side():
    """Sitting, seen from the side."""
    chest = [(-0.6, 0.1), (0.5, 0.3), (0.62, 1.4), (0.3, 2.4)]
    rump = [(0.1, 3.0), (-1.5, 3.05), (-1.95, 2.4), (-1.35, 1.2)]
    haunch = ellipse(-1.05, 2.4, 0.72, 0.68)
    near = [*leg(0.15, 1.4, 2.98), haunch, ellipse(-0.55, 2.96, 0.5, 0.2)]
    return Body(leg(0.42, 1.5, 2.85), [rounded(chest + rump)], near, (-1.75, 2.85), 3.15)


def standing():
    """Standing, seen from the side."""
    chest = [(-0.5, 0.1), (0.55, 0.3), (0.6, 1.2), (0.1, 1.85), (-1.6, 1.75)]
    rump = [(-2.9, 1.8), (-3.2, 1.2), (-2.8, 0.72), (-1.4, 0.8)]
    far = leg(0.25, 1.3, 2.75) + leg(-2.5, 1.3, 2.75, -0.15)
    near = leg(-0.2, 1.2, 2.9) + [ellipse(-2.7, 1.5, 0.5, 0.6)] + leg(-2.85, 1.4, 2.9, -0.2)
    return Body(far, [rounded(chest + rump)], near, (-3.0, 1.0), 3.1)


def lying():
    """Lying on its belly, seen from the side."""
    chest = [(-0.6, 0.1), (0.5, 0.3), (0.75, 1.2), (0.6, 1.85)]
    rump = [(-3.0, 1.9), (-3.4, 1.3), (-2.8, 0.6), (-1.5, 0.65)]
    arms = [
        stroke([(-0.2, 1.4), (0.5, 1.75), (1.3, 1.78)], 0.55, 0.42),
        stroke([(-0.4, 1.5), (0.2, 1.85), (1.0, 1.9)], 0.55, 0.42),
    ]
    haunch = [ellipse(-2.6, 1.35, 0.72, 0.62), ellipse(-2.1, 1.86, 0.55, 0.2)]
    return Body(arms[:1], [rounded(chest + rump)], [arms[1], *haunch], (-3.3, 1.65), 2.05)


def curled():
    """Lying rolled up, the head in front."""
    back = [(-0.7, 0.0), (0.5, 0.0), (1.6, 0.5), (1.9, 1.2)]
    belly = [(1.2, 1.75), (-1.2, 1.75), (-1.9, 1.2), (-1.6, 0.4)]
    paws = [ellipse(-0.5, 1.6, 0.5, 0.22), ellipse(0.35, 1.62, 0.5, 0.22)]
    near = [ellipse(1.05, 1.15, 0.72, 0.6), *paws]
    return Body([], [rounded(back + belly)], near, (1.5, 1.5), 1.85)


def standing_front():
    """Standing, seen from the front."""
    trunk = mirrored([(0, 0.2), (0.6, 0.3), (0.92, 1.1), (0.85, 1.9), (0.4, 2.15), (0, 2.2)])
    far = leg(-0.62, 1.5, 2.6) + leg(0.62, 1.5, 2.6)
    near = leg(-0.42, 1.3, 2.85) + leg(0.42, 1.3, 2.85)
    return Body(far, [rounded(trunk)], near, (-0.75, 1.1), 3.0)


POSES = (sitting_front, sitting_side, standing, lying, curled, standing_front)
TAILS = (  # from the root outwards
    ((0, 0), (-0.6, -0.1), (-1.0, -0.7), (-0.8, -1.4)),
    ((0, 0), (-0.7, 0.1), (-1.3, 0.05), (-1.7, -0.25)),
    ((0, 0), (-0.3, -0.7), (-0.5, -1.3), (-1.0, -1.5)),
    ((0, 0), (-0.4, 0.1), (-0.7, 0.2), (-1.0, 0.1)),
)


def draw_animal(rng, radius, centre):
    """Everything about an animal but its head: where it is, its pose, coat, tail and numbers."""
    return {
        "centre": np.asarray(centre, float),
        "radius": radius,
        "coat": draw_coat(rng),
        "pose": POSES[rng.integers(len(POSES))](),
        "flip": int(rng.choice((-1, 1))),
        "tail": TAILS[rng.integers(len(TAILS))],
        "build": rng.uniform(0.88, 1.12),
        "thick": rng.uniform(0.26, 0.5),
        "lean": rng.normal(0, 2.5),
        "seed": int(rng.integers(2**31)),
    }


def paint_body(canvas, animal, light):
    """Paint shadow, tail, legs and trunk; return the opacity of the body."""
    rng = np.random.default_rng(animal["seed"])
    pose, coat, radius = animal["pose"], animal["coat"], animal["radius"] * animal["build"]
    place = placing(animal["centre"], radius, animal["lean"], animal["flip"])
    parts = np.concatenate([*pose.far, *pose.trunk, *pose.near])
    tail = np.add(animal["tail"], pose.tail)
    left, top, right, bottom = (*parts.min(0), *parts.max(0))
    cast_shadow(canvas, place, (left, right, pose.ground), radius)
    points = place(np.concatenate([parts, tail]))
    layer = new_layer(canvas.shape[0], points, 0.4 * radius, coat["fur"], place)
    for part in (stroke(tail, animal["thick"], animal["thick"] * 0.7), *pose.far):
        paint(layer, part, coat["fur"], 0.8)
    for part in pose.trunk:
        paint(layer, part, coat["fur"])
    paint_pattern(layer, coat, rng, (left, top, right, bottom))
    for part in pose.near:
        paint(layer, part + (0.06, 0.03), coat["fur"], 0.76, False)
        paint(layer, part, coat["fur"], 1.04)
    chin = chin_shadow(canvas, animal["centre"], animal["radius"])
    return lay(canvas, layer, rng, light, radius, chin)


def chin_shadow(canvas, centre, radius):
    """The soft shadow that a head, whatever its species, throws on the body under it, (h, w)."""
    y, x = np.ogrid[: canvas.shape[0], : canvas.shape[1]]
    away = (x - centre[0]) ** 2 + (y - centre[1] - 0.4 * radius) ** 2
    return (1 - 0.45 * np.exp(-away / (1.1 * radius) ** 2)).astype(np.float32)


# ------------------------------------------------------------------------------------ heads

Head = namedtuple("Head", "face ear inner muzzle nose eye pupil whiskers mouth")

HEADS = {  # right halves; the left ones are mirrored
    "cat": Head(
        face=[(0, -0.86), (0.45, -0.86), (0.9, -0.5), (1.04, 0.12)]
        + [(0.86, 0.58), (0.4, 0.9), (0, 0.94)],
        ear=[(0.2, -0.7), (0.5, -1.12), (0.84, -1.5), (0.9, -1.48), (1.02, -0.9), (0.96, -0.2)],
        inner=[(0.42, -0.75), (0.82, -1.32), (0.9, -0.6)],
        muzzle=[ellipse(0.2, 0.45, 0.28, 0.22), ellipse(0.08, 0.68, 0.18, 0.16)],
        nose=[(-0.14, 0.2), (0.14, 0.2), (0.03, 0.36), (-0.03, 0.36)],
        eye=(0.42, -0.06, 0.23, 0.19),
        pupil=(0.06, 0.18),
        whiskers=3,
        mouth=0.5,
    ),
    "dog": Head(
        face=[(0, -0.86), (0.5, -0.84), (0.82, -0.45), (0.8, 0.1)]
        + [(0.62, 0.55), (0.55, 0.95), (0.3, 1.16), (0, 1.2)],
        ear=[(0.42, -0.86), (0.8, -0.95), (1.12, -0.5), (1.26, 0.25)]
        + [(1.05, 0.78), (0.8, 0.55), (0.76, -0.1), (0.6, -0.5)],
        inner=None,  # its ears hang, in front of the face
        muzzle=[ellipse(0.0, 0.42, 0.36, 0.5), ellipse(0.24, 0.66, 0.32, 0.34)],
        nose=ellipse(0, 0.28, 0.27, 0.18),
        eye=(0.38, -0.2, 0.16, 0.15),
        pupil=(0.1, 0.1),
        whiskers=0,
        mouth=0.85,
    ),
}
PARTS = {  # of a head, and what each is made of
    "face": ("face",),
    "ears": ("ear", "inner"),
    "eyes": ("eye", "pupil"),
    "muzzle": ("muzzle", "nose", "mouth", "whiskers"),
}
MARKINGS = ("plain", "blaze", "mask", "patch", "stripes")


def hybrid_heads():
    """Every head that takes each of its parts from the cat or the dog, by the dog's parts.

    A dict from a frozenset of names of PARTS, none (the cat) to all (the dog), to the head.
    """
    subsets = (compress(PARTS, bits) for bits in product((0, 1), repeat=len(PARTS)))
    heads = {}
    for names in map(frozenset, subsets):
        fields = {field: getattr(HEADS["dog"], field) for name in names for field in PARTS[name]}
        heads[names] = HEADS["cat"]._replace(**fields)
    return heads


def draw_look(rng):
    """The numbers of a head, the same for every species: tilt, proportions, eyes, nose, marking."""
    return {
        "tilt": rng.uniform(-40, 40),
        "wide": rng.uniform(0.75, 1.06),
        "tall": rng.uniform(0.94, 1.06),
        "ear": rng.normal(0, 5),
        "eyes": np.add(EYES[rng.integers(len(EYES))], rng.normal(0, 10, 3)),
        "nose": np.add(NOSES[rng.integers(len(NOSES))], rng.normal(0, 6, 3)),
        "marking": MARKINGS[rng.integers(len(MARKINGS))],
        "side": int(rng.choice((-1, 1))),
        "gaze": rng.uniform(-0.03, 0.03, 2),
        "muzzle": rng.uniform(0.2, 0.8),
        "ear_tone": rng.uniform(0.7, 0.95),
        "inner": rng.uniform(0.3, 0.9),
        "seed": int(rng.integers(2**31)),
    }


def paint_head(canvas, animal, look, head, light):
    """Paint a head, one of HEADS, on the canvas; return its opacity over the frame.

    From far to near: ears that stand, face, marking, muzzle and nose, eyes, ears that hang.
    """
    centre, radius, coat = animal["centre"], animal["radius"], animal["coat"]
    place = placing(centre, radius * np.array((look["wide"], look["tall"])), look["tilt"])
    reach = 1.2 * radius * np.linalg.norm(head.ear, axis=1).max()
    layer = new_layer(canvas.shape[0], [centre], reach, coat["fur"], place)
    hanging = head.inner is None
    if not hanging:
        paint_ears(layer, head, coat, look)
    paint(layer, rounded(mirrored(head.face)), coat["fur"])
    paint_marking(layer, coat, look)
    paint_muzzle(layer, head, coat, look)
    for side in (-1, 1):
        paint_eye(layer, head, look, side)
    if hanging:
        paint_ears(layer, head, coat, look)
    return lay(canvas, layer, np.random.default_rng(look["seed"]), light, radius)


def paint_ears(layer, head, coat, look):
    """Both ears, each with a soft dark rim and, where the species shows it, its inside."""
    root = np.array((0.6, -0.6))
    pink = np.add(coat["fur"], look["inner"] * np.subtract((226, 150, 146), coat["fur"]))
    for side in (-1, 1):
        ear = rounded(turn(np.subtract(head.ear, root), side * look["ear"]) + root, 2)
        if head.inner is None:
            paint(layer, (ear + (-0.06, 0.04)) * (side, 1), coat["fur"], 0.5, False)
        paint(layer, ear * (side, 1), coat["fur"], look["ear_tone"])
        if head.inner is not None:
            inner = turn(np.subtract(head.inner, root), side * look["ear"]) + root
            paint(layer, rounded(inner, 2) * (side, 1), pink, 0.9)


def paint_marking(layer, coat, look):
    """A blaze, a dark mask, a patch over one eye, or stripes on the forehead."""
    fur, second, dark = coat["fur"], coat["second"], coat["dark"]
    if look["marking"] == "blaze":
        blaze = mirrored([(0, -0.95), (0.12, -0.9), (0.1, -0.2), (0.4, 0.4), (0.3, 1.2)])
        paint(layer, blaze, second, cover=False)
    elif look["marking"] == "mask":
        for side in (-1, 1):
            paint(layer, ellipse(side * 0.42, -0.1, 0.4, 0.34, side * 20), fur, dark, False)
    elif look["marking"] == "patch":
        paint(layer, ellipse(look["side"] * 0.52, -0.25, 0.5, 0.56), second, cover=False)
    elif look["marking"] == "stripes":
        for x in (-0.34, -0.12, 0.12, 0.34):
            paint(layer, stroke([(x * 1.3, -0.95), (x, -0.4)], 0.13, 0.02), fur, dark, False)
        for side in (-1, 1):
            for y in (0.2, 0.42):
                line = [(side * 1.1, y), (side * 0.62, y + 0.1)]
                paint(layer, stroke(line, 0.12, 0.02), fur, dark, False)


def paint_muzzle(layer, head, coat, look):
    """Muzzle, mouth, whiskers (inside the face only) and nose."""
    light = np.add(coat["second"], [10, 8, 4]) * look["muzzle"] + coat["fur"] * (1 - look["muzzle"])
    for down, colour, tone in ((0.05, coat["fur"], 0.72), (0, light, 1.05)):
        for part, side in product(head.muzzle, (-1, 1)):
            paint(layer, (part + (0, down)) * (side, 1), colour, tone, False)
    low = np.max(head.nose, axis=0)[1]
    ink = coat["fur"] * 0.3
    paint(layer, stroke([(0, low - 0.05), (0, head.mouth)], 0.05, 0.05), ink, 1, False)
    for side in (-1, 1):
        smile = [(0, head.mouth), (side * 0.13, head.mouth + 0.09), (side * 0.28, head.mouth)]
        paint(layer, stroke(smile, 0.06, 0.03), ink, 1, False)
        for k in range(head.whiskers):
            y = head.mouth - 0.08 + 0.09 * k
            hair = [(side * 0.28, y), (side * 0.7, y - 0.06 + 0.05 * k), (side * 1.2, y + 0.12 * k)]
            paint(layer, stroke(hair, 0.035, 0.012), (244, 242, 238), 1, False)
    paint(layer, head.nose, look["nose"])
    paint(layer, np.multiply(head.nose, 0.4) + (-0.04, low * 0.6 - 0.06), look["nose"], 1.4, False)


def paint_eye(layer, head, look, side):
    """One eye: dark lid, iris, pupil and a glint."""
    x, y, width, height = head.eye
    slant = side * 12
    gaze_x, gaze_y = look["gaze"]
    paint(layer, ellipse(side * x, y, width * 1.22, height * 1.25, -slant), (34, 26, 26), 1, False)
    paint(layer, ellipse(side * x, y, width, height, -slant), look["eyes"], 1.08, False)
    pupil = ellipse(side * x + gaze_x, y + gaze_y, *head.pupil)
    paint(layer, pupil, (14, 12, 14), 1, False)
    glint = ellipse(side * x - 0.05, y - height * 0.4, 0.045, 0.045)
    paint(layer, glint, (250, 250, 250), 1, False)


# ------------------------------------------------------------------------------------ pictures


def draw_pet(scene, species, size=300):
    """One animal in a scene.

    Returns (image, animal_mask, head_mask): RGB uint8 of shape (size, size, 3) and two boolean
    masks. The animal mask holds the visible pixels of body and head. The head mask holds every
    pixel that can differ between the cat and the dog of the same scene: outside it they are equal.
    """
    return draw_twins(scene, size)[species]


def draw_twins(scene, size=300, heads=HEADS):
    """The animals of one scene: a dict from each of `heads` to what `draw_pet` returns.

    Some heads are small, turned, cut by the frame, half hidden by a thing, or out of focus.
    """
    rng, light, radius, centre = _begin(scene, size)
    look = draw_look(np.random.default_rng((SEED, scene, 1)))
    canvas = paint_scene(rng, size)
    clutter(canvas, rng, 4, light)
    animal = draw_animal(rng, radius, centre)
    body = paint_body(canvas, animal, light)
    if rng.random() < 0.45:
        at = np.add(centre, radius * np.array((rng.uniform(-2, 2), rng.uniform(1.7, 2.8))))
        body = body * (1 - put_thing(canvas, rng, at, radius * rng.uniform(0.5, 0.9), light))
    pictures = {name: canvas.copy() for name in heads}
    painted = {name: paint_head(pictures[name], animal, look, heads[name], light) for name in heads}
    before = hide(pictures.values(), rng, centre, radius, light)
    region = np.any([head > 0 for head in painted.values()], axis=0) & (before < 1)
    grain, twins = draw_grain(rng), {}
    for name, head in painted.items():  # each from the same random numbers
        image, blur = photograph(pictures[name], deepcopy(rng), light, grain)
        animal_mask = np.maximum(body, head) * (1 - before) > 0.5
        twins[name] = image, animal_mask, grown(region, blur)
    return twins


def is_outdoors(scene):
    """Whether a scene is a garden, beach, snow or woods, and not a room or a cloth."""
    rng, *_ = _begin(scene, 1)
    return pick_scene(rng) in OUTDOORS


def _begin(scene, size):
    """What is drawn by lot first: the generator after it, the light, the head's radius, centre."""
    rng = np.random.default_rng((SEED, scene))
    light, radius = draw_light(rng), rng.uniform(0.11, 0.25) * size
    return rng, light, radius, (rng.uniform(0.13, 0.87) * size, rng.uniform(0.18, 0.62) * size)


def hide(canvases, rng, centre, radius, light):
    """Now and then put the same thing before the head on each canvas; return its opacity."""
    away = turn([(rng.uniform(0.5, 1.1), 0)], rng.uniform(-30, 210))[0]
    large, often, seed = rng.uniform(0.45, 0.8), rng.random() < 0.3, rng.integers(2**31)
    opacity = np.zeros(1, np.float32)
    for canvas in canvases if often else ():
        thing = np.random.default_rng(seed)
        opacity = put_thing(canvas, thing, centre + radius * away, radius * large, light)
    return opacity


def draw_both(scene, size=300):
    """A cat and a dog side by side, which is left and which is right at random.

    Returns (image, masks): the RGB uint8 picture, and {"cat": (animal_mask, head_mask), "dog": ...}
    as from draw_pet. The heads are painted last, apart from each other: neither is covered.
    """
    rng, looks = np.random.default_rng((SEED, scene, 2)), np.random.default_rng((SEED, scene, 3))
    light, canvas = draw_light(rng), paint_scene(rng, size)
    clutter(canvas, rng, 3, light)
    animals, bodies = [], []
    for left in (0.21, 0.69):
        centre = (rng.uniform(left, left + 0.1) * size, rng.uniform(0.26, 0.55) * size)
        animals.append(draw_animal(rng, rng.uniform(0.12, 0.15) * size, centre))
        bodies.append(paint_body(canvas, animals[-1], light))
    bodies[0] = bodies[0] * (1 - bodies[1])
    names = ("cat", "dog") if rng.random() < 0.5 else ("dog", "cat")
    faces = [draw_look(looks) for _ in names]
    both = zip(animals, faces, (HEADS[name] for name in names), strict=True)
    heads = [paint_head(canvas, *painted, light) for painted in both]
    image, blur = photograph(canvas, rng, light, draw_grain(rng))
    masks = {}
    for k, name in enumerate(names):
        visible = np.maximum(bodies[k] * (1 - heads[1 - k]), heads[k]) > 0.5
        other = paint_head(np.zeros_like(canvas), animals[k], faces[k], HEADS[names[1 - k]], light)
        masks[name] = (visible, grown((heads[k] > 0) | (other > 0), blur))
    return image, masks


# ------------------------------------------------------------------------------------ files


def write_scenes(folder, scenes, both):
    """Write cat.K and dog.K for K below `scenes`, and `both` pictures with one of each.

    Returns one dict per (picture, question): kind ("train" or "both"), label, scene, and the names
    of image, animal_mask and head_mask in the folder. The same numbers write the same files.
    """
    twins = partial(write_twins, draw_twins, REGIONS, "jpg")
    return in_parallel(twins, folder, scenes) + in_parallel(write_both, folder, both)


def write_both(folder, scene):
    """Write one picture of a cat and a dog with the masks of each; return its two rows."""
    image, masks = draw_both(scene)
    write_picture(folder / f"both/{scene}.jpg", image)
    return [
        {"kind": "both", "image": f"both/{scene}.jpg", "label": label, "scene": str(scene)}
        | write_masks(folder, f"both.{scene}.{label}", REGIONS, masks[label])
        for label in masks
    ]
