"""Pictures of yours, explained: `make explain IMAGE=photo.jpg`, and notebook 11.

    IMAGE   a picture in any common format, several of them, a pattern as *.jpg, or a folder
    MODEL   photographs, the networks that come with this; imagenet, Keras' own VGG-16; a file of
            a trained classifier, .keras or .h5; empty for the networks trained on DATASET
    CLASS   the class to explain; by default the one that the network predicts
    CROP    centre, the largest square in the middle, or left,top,right,bottom in pixels

What cannot be used is an error whose text says in a sentence what is wrong, and what to do.
"""

import glob
import io
import mimetypes
import shlex
import sys
from contextlib import nullcontext, redirect_stdout, suppress
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from data.images import BadImage, read_image, resize
from familiar import PHOTOGRAPHS, USUAL, calibrated, distances, features, known
from keras_files import imagenet, load
from utils import files, model, plotting, settings
from utils.attention import cam, grad_cam, saliency_map, smoothgrad
from utils.runtime import keras

EXPLAINED = settings.ROOT / "results" / "explained"
N_SAMPLES = 8  # SmoothGrad's n: two maps of so many correlate by 0.95, and nobody has to wait
WANTED = "the path of a whole picture, as JPEG, PNG, GIF, WebP, BMP or TIFF"
FEW = 10  # classes that a table has a column each for


class Networks(NamedTuple):
    """Whom a picture is shown to; `networks` makes it."""

    scores: keras.Model  # for the answer, saliency, SmoothGrad and Grad-CAM
    pooling: keras.Model  # for CAM; may be the same
    names: list  # of the classes
    known: tuple | None = None  # what is known of the training pictures, see `familiar.known`


def main():
    """Explain the pictures that IMAGE names: maps into results/explained/, answers into a table."""
    plotting.use_style()
    live = sys.stdout.isatty()
    silent = nullcontext if live else lambda: redirect_stdout(io.StringIO())
    try:
        paths = pictures(settings.IMAGE)
        with silent():
            asked = networks(settings.MODEL)
        chosen(settings.CLASS, asked.names)
    except (ValueError, RuntimeError, FileNotFoundError) as error:
        sys.exit(str(error))
    rows, taken = [], set()
    for path in files.progress(paths, "pictures") if live else paths:
        with silent():
            row, said = explained(path, asked, len(paths) == 1, taken)
        rows.append(row)
        print("\r\033[K" * live + said, flush=True)
    with files.whole(EXPLAINED / "answers.csv") as part:
        table = pd.DataFrame(rows, columns=max(rows, key=len))
        table.to_csv(part, index=False, float_format="%.4g")
    if not taken:
        sys.exit("No picture could be explained." if len(rows) > 1 else 1)
    figures = f"{len(taken)} figures" if len(taken) > 1 else f"{taken.pop()}.png"
    print(f"In {files.shown(EXPLAINED)}/: {figures} and answers.csv")


def explained(path, asked, alone, taken):
    """Explain one file: draw its figure; return its row of the table, and what to print of it.

    taken: the names of figures so far, to which this adds one.
    """
    try:
        shown = explain(path, asked, settings.CLASS, settings.CROP)
    except ValueError as error:
        return {"image": path, "error": str(error)}, str(error)
    name = Path(path).stem
    while name in taken:
        name += "-2"
    taken.add(name)
    with files.whole(EXPLAINED / f"{name}.png") as part:
        figure(shown).savefig(part, dpi=200)
    plt.close("all")
    said = report(shown) if alone else f"{path}: {report(shown, short=True)}"
    return {"image": path} | answers(shown), said


def explain(image, asked, class_name="", crop=""):
    """What the networks say of a picture, and their maps for the class and its strongest rival.

    image: a file, or an array, uint8 (H, W, 3); asked: from `networks`; class_name, crop: as CLASS
    and CROP. Returns a dict: `image`, uint8 (S, S, C), what the network was shown; `ours`, whether
    it is the data set's; `names` of all classes; `logits` and `probabilities`, (classes,);
    `classes`, the indices of the two that are explained; `maps`, from technique to two maps
    (h, w), or to None for each where the network has no such map; `distance`, `limit` and `unlike`,
    None where nothing is known of the training pictures. Raises ValueError, see above.
    """
    pixels = prepared(image, asked.scores, crop)
    logits = model.logits(asked.scores, pixels[None])[0]
    first = chosen(class_name, asked.names)
    first = int(np.argmax(logits)) if first is None else first
    rival = max((c for c in range(len(logits)) if c != first), key=lambda c: logits[c])
    shown = {"image": pixels, "names": asked.names, "logits": logits, "classes": [first, rival]}
    of_one = asked.scores.layers[-1].name == "both_classes"  # a sigmoid's z, here as -z and z
    shown["probabilities"] = model.probabilities(logits / 2 if of_one else logits)
    file = Path() if isinstance(image, np.ndarray) else Path(image)
    shown["ours"] = settings.DATA_DIR.resolve() in file.resolve().parents
    shown["maps"] = maps(asked, pixels, shown["classes"])
    shown |= dict.fromkeys(("distance", "limit", "unlike"))
    if asked.known:
        training, shown["limit"] = asked.known
        found = features(asked.scores, pixels[None])
        shown["distance"] = float(distances(found, training)[0])
        shown["unlike"] = shown["distance"] > shown["limit"]
    return shown


# ------------------------------------------------------------------------------- the pictures


def pictures(asked):
    """The files that IMAGE names, as texts; a missing one among them is left to `prepared`."""
    if not asked:
        raise ValueError("IMAGE names no picture: add IMAGE=photo.jpg.")
    words = [asked]
    if not Path(asked).expanduser().exists():
        with suppress(ValueError):  # a quotation mark in a name
            words = shlex.split(asked)
    found = [files_of(Path(word).expanduser()) for word in words]
    if not any(found):
        return [asked]
    return [path for word, some in zip(words, found, strict=True) for path in some or [word]]


def files_of(path):
    """The pictures in a folder, by their names, the files that fit a pattern, or the one file."""
    if path.is_dir():
        inside = [file for file in path.iterdir() if file.is_file() and file.name[0] != "."]
        kinds = {str(file): mimetypes.guess_type(file)[0] or "image/?" for file in inside}
        return sorted(file for file in kinds if kinds[file].startswith("image/"))
    return [str(path)] if path.exists() else sorted(glob.glob(str(path)))


def prepared(image, network, crop=""):
    """A file or array, upright, cropped and squashed to what the network takes, (S, S, C)."""
    try:
        picture = image if isinstance(image, np.ndarray) else read_image(image)
    except BadImage as error:
        reason = str(error)[0].lower() + str(error)[1:].rstrip(".")
        reason = "it is a folder without pictures" if Path(image).is_dir() else reason
        reason = "it is an address on the web" if "://" in str(image) else reason
        raise ValueError(f"{image} cannot be used: {reason}; give {WANTED}.") from None
    height, _, channels = network.input_shape[1:]
    square = resize(cropped(picture, crop), height or settings.SIZE)
    return square if channels == 3 else square.mean(-1, keepdims=True).astype("uint8")


def cropped(picture, crop):
    """A part of a picture (H, W, 3): "centre", "left,top,right,bottom" in pixels, or "" for all."""
    height, width = picture.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    box = {"": (0, 0, width, height), "centre": (left, top, left + side, top + side)}.get(crop)
    try:
        left, top, right, bottom = box or (int(value) for value in crop.split(","))
    except ValueError:
        raise ValueError(f"CROP={crop} is neither centre nor left,top,right,bottom.") from None
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ValueError(f"CROP={crop} leaves the picture, which is {width} x {height} pixels.")
    return picture[top:bottom, left:right]


# ------------------------------------------------------------------------------- the networks


def networks(name):
    """The networks that MODEL names, as `Networks`."""
    if name == "photographs":
        return Networks(*map(model.shipped, model.HEADS), ["cat", "dog"], known(PHOTOGRAPHS))
    if not name:
        dense, gap = map(model.load, model.HEADS)
        return Networks(dense, gap, list(settings.CLASSES), calibrated(dense))
    network, names = imagenet() if name == "imagenet" else (load(name), None)
    names = names or [f"class {c}" for c in range(network.output_shape[-1])]
    return Networks(network, network, names)


def chosen(name, names):
    """The index of the class of that name or number; None if no name is given."""
    if not name:
        return None
    if name in names:
        return names.index(name)
    if name.isdecimal() and int(name) < len(names):
        return int(name)
    some = ", ".join(names[:FEW]) + ", ..." * (len(names) > FEW)
    raise ValueError(f"CLASS={name} is not known; choose one of: {some}.")


# -------------------------------------------------------------------------------- the answers


def maps(asked, image, classes):
    """The four techniques' maps (k, h, w) of one picture for k classes, see `explain`.

    All in float32: bfloat16 pays only for many pictures.
    """
    images, found = np.repeat(image[None], len(classes), 0), {}
    for technique in (saliency_map, smoothgrad, cam, grad_cam):
        network = asked.pooling if technique is cam else asked.scores
        options = {"n": N_SAMPLES} if technique is smoothgrad else {}
        found[technique.__name__] = [None] * len(classes)
        with suppress(ValueError):  # the network lacks the head or the layer that this needs
            found[technique.__name__] = technique(network, images, np.array(classes), **options)
    return {"saliency": found.pop("saliency_map")} | found


# ------------------------------------------------------------------------------ for the eye


def answers(shown):
    """What the table of answers holds of a picture."""
    shares, names = shown["probabilities"], shown["names"]
    row = {"answer": names[shares.argmax()], "probability": shares.max()}
    row |= zip(names, shares, strict=True) if len(names) <= FEW else ()
    return row | {key: shown[key] for key in ("distance", "limit", "unlike")} | {"error": ""}


def report(shown, short=False):
    """What the network says of a picture, and a warning where there is reason for one."""
    best = np.argsort(-shown["logits"], kind="stable")[: 1 if short else 5]
    said = ", ".join(f"{shown['names'][c]} {shown['probabilities'][c]:.1%}" for c in best)
    if short:
        return said + ", unlike what the network learned from" * bool(shown["unlike"])
    if shown["unlike"] is None:
        said += (
            "\nNo picture that this network learned from is stored here. It is shown RGB in "
            "0..255: if it expects something else, its answer means nothing."
        )
    if shown["unlike"]:
        said += (
            "\nThis picture is unlike those that the network learned from: distance "
            f"{shown['distance']:.2g}, while {USUAL:.0%} of new pictures of their kind stay "
            f"within {shown['limit']:.2g}. Its answer and its maps may mean nothing."
        )
    return said


def figure(shown):
    """The picture under the answer; beside it the four maps, a row for each of the two classes."""
    word, shares = plotting.word, shown["probabilities"]
    says = [
        f"{word(name)}, {share:.1%}" for name, share in zip(shown["names"], shares, strict=True)
    ]
    picture = np.broadcast_to(shown["image"], (*shown["image"].shape[:2], 3))  # grey has one
    fig = plt.figure(figsize=(12.5, 5.3))
    axes = fig.subplot_mosaic([["", "", *(f"{name} {i}" for name in shown["maps"])] for i in "01"])
    for ax in axes.values():
        ax.axis("off")
    axes[""].imshow(picture, interpolation="bicubic")
    axes[""].set_title(says[shares.argmax()], fontsize=14)
    warned = word("strange") if shown["unlike"] else ""
    axes[""].text(
        0.5, -0.02, warned, color="C3", ha="center", va="top", transform=axes[""].transAxes
    )
    for key in filter(None, axes):
        name, i = key.split()[0], int(key.split()[1])
        plotting.draw_map(axes[key], shown["maps"][name][i], picture)
        samples = f", n = {N_SAMPLES}" * (name == "smoothgrad")
        axes[key].set_title(f"{word(name)}{samples}\n{says[shown['classes'][i]]}")
    plotting.caption(fig, word("legend"), shown["ours"])
    return fig


if __name__ == "__main__":
    main()
