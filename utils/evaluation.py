"""How good a network or a map is, as a number with an interval."""

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata


def accuracy_interval(correct, confidence_z=1.96):
    """(accuracy, low, high): share of True in `correct` (N,), with Wilson's 95 % interval.

    Unlike the normal approximation it stays within 0..1 and is not empty at 100 %.
    """
    n, share = len(correct), float(np.mean(correct))
    z2 = confidence_z**2 / n
    middle = (share + z2 / 2) / (1 + z2)
    half = np.sqrt(z2 * (share * (1 - share) + z2 / 4)) / (1 + z2)
    return share, middle - half, middle + half


def blurred(maps, share=0.02):
    """Maps (N, h, w) under a Gaussian of that share of the side: what one pixel says is noise."""
    return gaussian_filter(maps, (0, share * maps.shape[1], share * maps.shape[2]))


def peak_inside(maps, masks):
    """For each map (N, H, W) whether its largest value lies in the mask (N, H, W); (N,) bool.

    A map that is nowhere positive points at nothing: a miss.
    """
    rows = np.arange(len(maps))
    peaks = maps.reshape(len(maps), -1).argmax(1)
    return masks.reshape(len(masks), -1)[rows, peaks] & (maps.max((1, 2)) > 0)


def energy_inside(maps, masks):
    """The share of each map's positive values that lies in the mask, (N,); 0 if it has none."""
    positive = np.maximum(maps, 0)
    total = positive.sum((1, 2))
    return np.divide(
        (positive * masks).sum((1, 2)), total, out=np.zeros_like(total), where=total > 0
    )


def total_variation(maps):
    """How much each map (N, H, W) changes from pixel to pixel, over its sum; (N,).

    The mean absolute difference of neighbours, down and across, divided by the map's mean.
    """
    down = np.abs(np.diff(maps, axis=1)).mean((1, 2))
    across = np.abs(np.diff(maps, axis=2)).mean((1, 2))
    return (down + across) / np.maximum(np.abs(maps).mean((1, 2)), np.finfo("float32").tiny)


def averaged(maps, cells):
    """Maps (N, H, W) as means over a grid of cells x cells tiles; as they are if they have that."""
    edges = [np.linspace(0, side, cells + 1).round().astype(int)[:-1] for side in maps.shape[1:]]
    sums, areas = maps, np.ones((1, *maps.shape[1:]))
    for axis, edge in enumerate(edges, 1):
        sums, areas = (np.add.reduceat(a, edge, axis=axis) for a in (sums, areas))
    return sums / areas


def agreement(maps, shift=0):
    """Mean rank correlation of each pair of techniques, as a square table.

    maps: a dict from technique to maps (N, h, w) on one grid. With a shift, picture i of one is
    compared with picture i + shift of the other: what is left comes from no picture.
    """
    ranks = {name: rankdata(m.reshape(len(m), -1), axis=1) for name, m in maps.items()}
    table = [
        [_row_correlation(a, np.roll(b, -shift, 0)) for b in ranks.values()] for a in ranks.values()
    ]
    return pd.DataFrame(table, index=list(maps), columns=list(maps))


def _row_correlation(a, b):
    """The mean over rows of the correlation of a's row with b's; constant rows count as 0."""
    a, b = (m - m.mean(1, keepdims=True) for m in (a, b))
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    products = (a * b).sum(1)
    return np.divide(products, norms, out=np.zeros_like(norms), where=norms > 0).mean()


def accuracy_row(model, split, correct):
    """One row for accuracy.csv: model, split, n, accuracy, low, high; nothing counted gives nan."""
    low = high = share = float("nan")
    if len(correct):
        share, low, high = accuracy_interval(correct)
    row = dict(model=model, split=split, n=len(correct), accuracy=share, low=low, high=high)
    return pd.DataFrame([row])


def paint_over(images, masks):
    """Pictures (N, H, W, 3) with their masked pixels (N, H, W) in the picture's mean colour."""
    mean = images.mean((1, 2), keepdims=True).round().astype(images.dtype)
    return np.where(masks[..., None], mean, images)


def localisation(technique, maps, masks, blur=0.0):
    """How well maps (N, H, W) point at each region, as a table with one row for each.

    masks: a dict from the region's name to its masks (N, H, W); none, no row. pointing is the share
    of maps with their peak in the region, with Wilson's interval (low, high), after a blur of that
    share of the side; energy the mean share of the map in it, area the region's share of the
    picture, and lift their ratio, 1 for a map that knows nothing.
    """
    rows = []
    for region, mask in masks.items():
        hits = peak_inside(blurred(maps, blur) if blur else maps, mask)
        share, low, high = accuracy_interval(hits)
        energy, area = energy_inside(maps, mask).mean(), mask.mean()
        rows.append((technique, region, len(maps), share, low, high, energy, area, energy / area))
    columns = ["technique", "region", "n", "pointing", "low", "high", "energy", "area", "lift"]
    return pd.DataFrame(rows, columns=columns)
