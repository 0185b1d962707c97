"""Measures of notebook 10 alone: of the class that is the disease, and of masks."""

import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt

from utils.evaluation import accuracy_interval


def precision_recall(labels, predicted, positive):
    """A table of the precision and the recall of the class `positive`, each with Wilson's interval.

    labels, predicted: class names (N,). precision: of what is called positive, the share that is;
    recall: of what is positive, the share that is called so. n is what each is a share of.
    """
    truth, called = (np.asarray(names) == positive for names in (labels, predicted))
    hits = {"precision": truth[called], "recall": called[truth]}
    rows = [(measure, len(hit), *accuracy_interval(hit)) for measure, hit in hits.items()]
    return pd.DataFrame(rows, columns=["measure", "n", "share", "low", "high"])


def accuracy_difference(a, b):
    """(a - b, low, high): the difference of the shares of True in a (N,) and b (M,), 95 % interval.

    Of two test sets without a picture in common. Newcombe 1998, method 10, on Wilson's intervals.
    """
    (p, p_low, p_high), (q, q_low, q_high) = accuracy_interval(a), accuracy_interval(b)
    below, above = np.hypot(p - p_low, q_high - q), np.hypot(p_high - p, q - q_low)
    return p - q, p - q - below, p - q + above


def dice(a, b):
    """How much each two masks (N, H, W) overlap, (N,): 1 if they are one, 0 if they are apart.

    Twice what they share over the sum of both; nan where both are empty. Dice 1945.
    """
    total = a.sum((1, 2)) + b.sum((1, 2))
    return 2 * (a & b).sum((1, 2)) / np.where(total > 0, total, np.nan)


def depth(masks):
    """How deep each pixel lies in its mask, in pixels, (N, H, W): a map that is brightest there."""
    return np.stack([distance_transform_edt(mask) for mask in masks]).astype("float32")
