"""Measures of notebook 10 alone: of the class that is the disease, and of masks."""

import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt
from scipy.stats import binomtest

from utils.evaluation import accuracy_interval


def precision_recall(labels, predicted, positive, scenes=None):
    """A table of the precision and the recall of the class `positive`, each with Wilson's interval.

    labels, predicted: class names (N,). precision: of what is called positive, the share that is;
    recall: of what is positive, the share that is called so. n is what each is a share of. scenes:
    whose picture each is, (N,), as for `accuracy_interval`.
    """
    truth, called = (np.asarray(names) == positive for names in (labels, predicted))
    scenes = np.arange(len(truth)) if scenes is None else np.asarray(scenes)
    hits = {"precision": (truth[called], scenes[called]), "recall": (called[truth], scenes[truth])}
    rows = [(name, len(hit), *accuracy_interval(hit, of)) for name, (hit, of) in hits.items()]
    return pd.DataFrame(rows, columns=["measure", "n", "share", "low", "high"])


def measured_share(correct, scenes, smallest):
    """A row for `evaluation.judged` of answers, right or wrong, (N,), with Wilson's interval.

    So there is one where all are right, and none passes 1. p: of the exact binomial test against
    `smallest`, with as many independent answers as there are scenes (N,), which is cautious.
    """
    share, low, high = accuracy_interval(correct, scenes)
    count = len(np.unique(scenes))
    p = binomtest(round(share * count), count, smallest).pvalue if count else 1.0
    row = dict(effect=share, low=low, high=high, smallest=smallest, p=p)
    return dict(scenes=count, trainings=1) | row


def strangers(scenes):
    """The least k such that picture i and picture i + k never share a scene (N,), round the end.

    `np.roll(maps, -k, 0)` then gives each picture a stranger's map. 1 where there is no such k.
    """
    scenes = np.asarray(scenes)
    shifts = range(1, len(scenes))
    return next((k for k in shifts if (scenes != np.roll(scenes, -k)).all()), 1)


def dice(a, b):
    """How much each two masks (N, H, W) overlap, (N,): 1 if they are one, 0 if they are apart.

    Twice what they share over the sum of both; nan where both are empty. Dice 1945.
    """
    total = a.sum((1, 2)) + b.sum((1, 2))
    return 2 * (a & b).sum((1, 2)) / np.where(total > 0, total, np.nan)


def depth(masks):
    """How deep each pixel lies in its mask, in pixels, (N, H, W): a map that is brightest there."""
    return np.stack([distance_transform_edt(mask) for mask in masks]).astype("float32")
