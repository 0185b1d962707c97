"""Could a network be right without the evidence? Pictures that lack it, and a quick classifier.

Maguolo and Nanni 2021 blacked the lungs out of chest X-rays, and networks still told which of the
sources they came from. What a classifier knows without the evidence, it knows by a shortcut.
"""

import numpy as np
from scipy.ndimage import binary_dilation, find_objects
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from utils import model, runtime, settings
from utils.runtime import keras

CROSS = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]])  # grows each mask of a stack by itself


def blacked_out(images, masks):
    """Pictures (N, H, W, 3) that are black inside the masks (N, H, W)."""
    return np.where(masks[..., None], np.uint8(0), images)


def with_margin(masks, pixels=3):
    """Masks (N, H, W) grown by so many pixels: a blur carries what is inside a little way out."""
    return binary_dilation(masks, iterations=pixels, structure=CROSS)


def boxes(masks):
    """Each mask (N, H, W) filled up to the upright box around it: its outline tells no more."""
    filled = np.zeros_like(masks)
    for mask, box in zip(masks, filled, strict=True):
        for place in find_objects(mask.astype(int)):
            box[place] = True
    return filled


def features(images):
    """What VGG-16's convolutions make of pictures before any fine-tuning, float32 (N, 1280).

    The means of the last maps of blocks 3, 4 and 5 over their places: the finer ones know textures,
    of which the coarse ones may have made nothing.
    """
    network = model.in_policy(model.build("gap"), runtime.policy())
    last = [network.get_layer(f"block{block}_conv3").output for block in (3, 4, 5)]
    means = [keras.layers.GlobalAveragePooling2D(dtype="float32")(output) for output in last]
    pooled = keras.layers.Concatenate(dtype="float32")(means)
    return model.logits(keras.Model(network.inputs, pooled), images)


def probe(features, labels, groups, folds=5, dealings=5):
    """Which pictures a linear classifier gets right that learned from other groups, bool (D, N).

    features (N, K), labels (N,), groups (N,): no group is on both sides. Logistic regression, cross
    validated in each of D random dealings of the groups, in fewer folds where a class is smaller.
    It learns in a second what fine-tuning would take minutes for, and knows less.
    """
    folds = max(2, min(folds, np.unique(labels, return_counts=True)[1].min()))
    correct = np.zeros((dealings, len(labels)), bool)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    with threadpool_limits(1):  # with more, small matrices wait for one another
        for seed, right in enumerate(correct):
            splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=settings.SEED + seed)
            for train, test in splitter.split(features, labels, groups):
                classifier.fit(features[train], labels[train])
                right[test] = classifier.predict(features[test]) == labels[test]
    return correct
