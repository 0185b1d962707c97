"""One picture of yours, explained by one network: `make explain IMAGE=path`, and notebook 11.

    IMAGE   a picture in any common format; it is turned upright, and squashed to a square
    CROP    centre, the largest square in its middle, or left,top,right,bottom in pixels
    MODEL   a trained classifier in Keras' format; by default the network of this data set
    CLASS   the class to explain; by default the one that the network predicts

What cannot be used is a ValueError, whose text is one sentence that says why.
"""

import json
import sys
from pathlib import Path

import numpy as np

from data.images import BadImage, read_image, resize
from utils import attention, files, loading, model, plotting, settings
from utils.networks import flat
from utils.runtime import keras

N_SAMPLES = 8  # SmoothGrad's n: two maps of so many correlate by 0.95, and nobody has to wait
FINE = ("block2_conv2", "block3_conv3", "block4_conv3")  # the last block knows cats and dogs only
NEIGHBOURS = 5
KNOWN = 300  # training pictures that a new one is compared with, at most
USUAL = 0.95  # of the validation pictures count as like the training's


def main():
    """Explain the picture that IMAGE names: print what the network says and where the figure is."""
    plotting.use_style()
    try:
        shown = explain(settings.IMAGE, settings.MODEL, settings.CLASS, settings.CROP)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(str(error))
    name = f"explained-{Path(settings.IMAGE).stem}"
    files.save_figure(figure(shown), name)
    print(report(shown))
    print("The figure:", (settings.FIGURES / f"{name}.png").relative_to(settings.ROOT))


def explain(image, network="", class_name="", crop=""):
    """What a network says of a picture, and its maps for the class and its strongest rival.

    image, network, class_name, crop: as IMAGE, MODEL, CLASS and CROP. Returns a dict: `image`,
    uint8 (S, S, 3); `ours`, whether it is the data set's; `names` of all classes; `logits`
    (classes,); `classes`, the indices of the two that are explained; `maps`, from technique to two
    maps (h, w), or to None for each where the network has no such map; `distance` and `limit`, see
    `familiarity`, None for a network of someone else.
    """
    if not image or "://" in str(image) or Path(image).is_dir():
        raise ValueError(f"IMAGE={image} names no picture on this machine: add IMAGE=photo.jpg.")
    path = Path(network or settings.MODELS / "vgg16_dense.keras")
    known = path.resolve().parent == settings.MODELS.resolve()
    trained = load(network) if network else model.load("dense")
    numbers = [f"class {c}" for c in range(trained.output_shape[-1])]
    names = list(settings.CLASSES) if known else numbers
    pixels = prepared(image, trained, crop)
    logits = model.logits(trained, pixels[None])[0]
    first = chosen(class_name, names, logits)
    rival = max((c for c in range(len(names)) if c != first), key=lambda c: logits[c])
    pooling = trained if network else model.load("gap")
    shown = {"image": pixels, "names": names, "logits": logits, "classes": [first, rival]}
    shown["ours"] = settings.DATA_DIR.resolve() in Path(image).resolve().parents
    shown["maps"] = maps(trained, pooling, pixels, shown["classes"])
    found = familiarity(trained, path.with_suffix(".json"), pixels) if known else (None, None)
    shown["distance"], shown["limit"] = found
    return shown


# ------------------------------------------------------------------------- what was asked for


def load(path):
    """The classifier in a .keras file; code that a file carries is never run."""
    path = Path(path)
    if path.suffix != ".keras" or not path.is_file():
        raise ValueError(f"MODEL={path} is no file that ends in .keras.")
    try:
        return flat(keras.models.load_model(path, compile=False, safe_mode=True))
    except Exception as error:  # Keras meets a bad file with almost any exception
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"MODEL={path} cannot be used: {reason}") from None


def chosen(name, names, logits):
    """The index of the class of that name or number; of the predicted class, if none is given."""
    if not name:
        return int(np.argmax(logits))
    if name in names:
        return names.index(name)
    if name.isdecimal() and int(name) < len(names):
        return int(name)
    raise ValueError(f"CLASS={name} is not known; choose one of: {', '.join(names)}.")


def prepared(path, network, crop=""):
    """The picture in a file, upright, cropped and squashed to what the network takes, (S, S, C)."""
    height, width, channels = network.input_shape[1:]
    if height != width or channels not in (1, 3):
        raise ValueError(
            f"{network.name} takes pictures of shape {(height, width, channels)}; only squares in "
            "colour or grey can be made here."
        )
    try:
        picture = cropped(read_image(path), crop)
    except BadImage as reason:
        raise ValueError(f"IMAGE={path} cannot be used. {reason}") from None
    square = resize(picture, height or settings.SIZE)
    return square if channels == 3 else square.mean(-1, keepdims=True).astype("uint8")


def cropped(picture, crop):
    """A part of a picture (H, W, 3): "centre", "left,top,right,bottom" in pixels, or "" for all."""
    height, width = picture.shape[:2]
    if not crop:
        return picture
    if crop == "centre":
        side = min(height, width)
        left, top = (width - side) // 2, (height - side) // 2
        return picture[top : top + side, left : left + side]
    try:
        left, top, right, bottom = (int(value) for value in crop.split(","))
    except ValueError:
        raise ValueError(f"CROP={crop} is neither centre nor left,top,right,bottom.") from None
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ValueError(f"CROP={crop} leaves the picture, which is {width} x {height} pixels.")
    return picture[top:bottom, left:right]


# ------------------------------------------------------------------------------ the answers


def maps(network, pooling, image, classes):
    """The four techniques' maps (k, h, w) of one picture for k classes, see `explain`.

    pooling: the network that CAM is asked of. All in float32: bfloat16 pays only for many pictures.
    """
    images, classes = np.repeat(image[None], len(classes), 0), np.array(classes)
    return {
        "saliency": attention.saliency_map(network, images, classes),
        "smoothgrad": attention.smoothgrad(network, images, classes, n=N_SAMPLES),
        "cam": _or_none(attention.cam, pooling, images, classes),
        "grad_cam": _or_none(attention.grad_cam, network, images, classes),
    }


def _or_none(technique, network, images, classes):
    """The technique's maps, or None for each where the network lacks the head or layer it needs."""
    try:
        return technique(network, images, classes)
    except ValueError:
        return [None] * len(images)


def familiarity(network, record, image):
    """How far a picture is from those the network learned from, and the usual limit: two floats.

    The distance is 1 - the mean cosine similarity of its features to those of its nearest training
    pictures; 95 % of the validation pictures are within the limit. After Sun et al. 2022,
    "Out-of-distribution detection with deep nearest neighbors". record: the file beside a network
    that says how it was trained; what is known of the training pictures is kept beside it.
    """
    known, limit = calibration(network, record)
    (distance,) = distances(features(network, image[None]), known)
    return float(distance), limit


def calibration(network, record):
    """The features (n, K) of training pictures, and the limit that validation pictures set."""
    path = settings.MODELS / f"known-{json.loads(record.read_text())['fingerprint']}.npz"
    if not path.exists():
        rows = [loading.spread(loading.load_table(s), KNOWN) for s in ("train", "validation")]
        training, validation = (features(network, loading.load_images(some)) for some in rows)
        limit = np.quantile(distances(validation, training), USUAL)
        with files.whole(path) as part:
            np.savez(part, features=training, limit=limit)
    with np.load(path) as known:
        return known["features"], float(known["limit"])


def features(network, images):
    """The means of the feature maps in FINE, each layer of one length; rows of length 1, (N, K)."""
    layers = keras.layers
    means = [layers.GlobalAveragePooling2D()(network.get_layer(name).output) for name in FINE]
    rows = layers.Concatenate()([layers.UnitNormalization()(mean) for mean in means])
    return model.logits(keras.Model(network.inputs, rows), images) / len(FINE) ** 0.5


def distances(found, known):
    """1 - the mean cosine similarity of each row to its nearest rows of `known`, (N,)."""
    nearest = np.sort(found @ known.T, axis=1)[:, -NEIGHBOURS:]
    return 1 - nearest.mean(axis=1)


# ------------------------------------------------------------------------------ for the eye


def report(shown):
    """What the network says of a picture, and the warning where there is reason for one."""
    names, logits, shares = shown["names"], shown["logits"], model.probabilities(shown["logits"])
    best = np.argsort(-logits, kind="stable")[:5]
    answer = ", ".join(f"{names[c]} {shares[c]:.1%} (logit {logits[c]:.2f})" for c in best)
    lines = answer, warning(shown), f"SmoothGrad is the mean of {N_SAMPLES} samples."
    return "\n".join(filter(None, lines))


def warning(shown):
    """The sentence on a picture that is unlike what the network knows; else nothing."""
    if shown["limit"] is None:
        return "Nothing is known of what this network learned from, so it may be asked in vain."
    if shown["distance"] <= shown["limit"]:
        return ""
    return (
        "This picture is unlike those that the network learned from: distance "
        f"{shown['distance']:.2g}, while {USUAL:.0%} of the validation pictures stay within "
        f"{shown['limit']:.2g}. Its answer and its maps may mean nothing."
    )


def figure(shown):
    """The picture and its four maps, a row for each of the two classes."""
    shares = model.probabilities(shown["logits"])
    titles = [f"{plotting.word(shown['names'][c])}\n{shares[c]:.1%}" for c in shown["classes"]]
    picture = np.broadcast_to(shown["image"], (*shown["image"].shape[:2], 3))  # grey has one
    fig = plotting.comparison([picture] * len(titles), shown["maps"], titles)
    strange = shown["limit"] is not None and shown["distance"] > shown["limit"]
    plotting.caption(fig, plotting.word("strange") if strange else "", shown["ours"])
    return fig


if __name__ == "__main__":
    main()
