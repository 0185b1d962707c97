"""How far a picture is from those that a network learned from, for own_picture.py.

After Sun et al. 2022, "Out-of-distribution detection with deep nearest neighbors".
"""

import json
from functools import lru_cache

import numpy as np

from utils import files, loading, model, settings
from utils.runtime import keras

PHOTOGRAPHS = settings.ROOT / "data" / "familiar_photographs.npz"  # see data/README.md
COMPARED = ("block3_conv3", "block4_conv3", "block5_conv3")  # the layers that see what is unlike
COUNT = 300  # training pictures that a new one is compared with, at most
USUAL = 0.95  # of the pictures of their kind that the network did not learn from, within the limit


def distances(found, training):
    """1 - the cosine similarity of each row (N, K) to the nearest row of training (n, K), (N,)."""
    return 1 - (found @ training.T).max(axis=1)


def features(network, images):
    """The means of the feature maps of COMPARED for pictures (N, H, W, 3), (N, K).

    Each layer's part has the same length, and each row the length 1.
    """
    return model.logits(_means(network), images) / len(COMPARED) ** 0.5


@lru_cache(maxsize=2)
def _means(network):
    layers = keras.layers
    means = [layers.GlobalAveragePooling2D()(network.get_layer(name).output) for name in COMPARED]
    rows = layers.Concatenate()([layers.UnitNormalization()(mean) for mean in means])
    return keras.Model(network.inputs, rows)


def known(path):
    """The features (n, K) of training pictures in a file, and the limit of what is like them."""
    with np.load(path) as stored:
        return np.float32(stored["features"] * stored["step"]), float(stored["limit"])


def calibrated(network):
    """What is `known` for the dense network of this data set; made once, and kept beside it.

    The limit is what 95 % of the validation pictures stay within.
    """
    record = json.loads((settings.MODELS / "vgg16_dense.json").read_text())
    path = settings.MODELS / f"familiar-{record['fingerprint']}.npz"
    if not path.exists():
        rows = [loading.spread(loading.load_table(s), COUNT) for s in ("train", "validation")]
        training, validation = (features(network, loading.load_images(some)) for some in rows)
        limit = np.quantile(distances(validation, training), USUAL)
        with files.whole(path) as part:
            np.savez(part, features=training, step=1, limit=limit)
    return known(path)
