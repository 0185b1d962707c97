"""How good a network or a map is, as a number with an interval.

maps (N, h, w): raw, as the techniques return them. masks (N, H, W): bool, of the pictures' size; so
maps are enlarged before they meet a mask. What has no answer for a picture, because its map
holds a nan or its mask is empty, is nan there and is left out of every mean; n counts what is left.
"""

import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt, gaussian_filter, sobel
from scipy.stats import binomtest, norm, rankdata, t

from utils import settings


def accuracy_interval(correct, scenes=None):
    """(accuracy, low, high): share of True in `correct` (N,), with Wilson's 95 % interval.

    Unlike the normal approximation it stays within 0..1 and is not empty at 100 %. scenes: whose
    picture each is, (N,). What is right or wrong together counts less than so many pictures: n is
    then that of as many independent ones (Franco et al. 2019). Nothing counted gives nan.
    """
    correct = np.asarray(correct, float)
    if not len(correct):
        return (np.nan,) * 3
    share, n = correct.mean(), len(correct)
    if scenes is not None:
        _, error, _ = _mean_and_error(correct, scenes)
        several = len(np.unique(scenes))
        n = min(n, share * (1 - share) / error**2) if error > 0 else several
    z = norm.ppf(0.975)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return share, max(0.0, middle - reach), min(1.0, middle + reach)


def accuracy_row(model, split, correct, scenes=None):
    """One row for accuracy.csv: model, split, n, accuracy, low, high; nothing counted gives nan."""
    share, low, high = accuracy_interval(correct, scenes)
    row = dict(model=model, split=split, n=len(correct), accuracy=share, low=low, high=high)
    return pd.DataFrame([row])


def mcnemar(a, b):
    """The exact p of McNemar's test, for answers a and b (N,) on the same pictures, True if right.

    Only pictures count on which just one of the two is right: the chance that they fall at least as
    unevenly if each side were as likely. 1 where there is none.
    """
    a, b = np.asarray(a, bool), np.asarray(b, bool)
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(~a & b))
    return binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0


def interval(values, scenes=None):
    """(effect, low, high): the mean of values with its 95 % interval, over scenes and trainings.

    values: one for each picture, (N,), or for each training and picture, (T, N). scenes: whose
    picture each is, (N,); the pictures of a scene are one unit, their mean, so that twins count
    once. Without scenes each picture is its own. Two techniques on the same pictures are compared
    by their differences: interval(a - b). What is nan is left out; a scene with nothing left, too.

    The error is that of a mean over two crossed samples, trainings and scenes: the variance of the
    trainings' means and that of the scenes' means each add to it. Student's t with Satterthwaite's
    degrees of freedom makes it wide where trainings are few (Brennan 2001, chapter 6). A bootstrap
    of three trainings would be too narrow. Nothing that varies, or one scene, has no interval: nan.
    """
    effect, error, freedom = _mean_and_error(values, scenes)
    reach = error * t.ppf(0.975, freedom) if error > 0 else np.nan
    return effect, effect - reach, effect + reach


def measured(values, scenes=None, smallest=0.0, within=(-np.inf, np.inf)):
    """What a claim rests on, as a dict: scenes, trainings, effect, low, high, smallest, p.

    values, scenes: see `interval`, which is cut where no value can be: a share is `within` (0, 1),
    and has Wilson's interval over scenes where all are 0 or 1, as nothing varies. p, two-sided: how
    likely so large a distance from `smallest` is, if the effect were just that; 1 where there is no
    interval.
    """
    effect, error, freedom = _mean_and_error(values, scenes)
    trainings, count = _by_scene(values, scenes).shape
    p = 2 * t.sf(abs(effect - smallest) / error, freedom) if error > 0 else 1.0
    ends = np.clip(interval(values, scenes), *within)
    if within == (0, 1) and effect in within:
        ends = accuracy_interval(np.full(count, effect))
    row = dict(zip(("effect", "low", "high"), ends, strict=True))
    return dict(scenes=count, trainings=trainings) | row | dict(smallest=smallest, p=p)


def judged(rows):
    """A table of `measured` rows with what they say: p after Holm's correction, and the verdict.

    "holds": the whole interval lies above `smallest`, the smallest effect that would matter;
    "fails": the whole interval lies below it; "open": neither, or no interval, or p above 0.05.
    Holm 1979: among m claims the least p counts m times, the next m - 1 times, and so on.
    """
    table = pd.DataFrame(rows)
    order = np.argsort(table["p"].to_numpy(), kind="stable")
    times = np.arange(len(table), 0, -1)
    p = np.minimum(np.maximum.accumulate(table["p"].to_numpy()[order] * times), 1)
    table["p"] = pd.Series(p, table.index[order])
    said = [verdict((row.effect, row.low, row.high), row.smallest) for row in table.itertuples()]
    return table.assign(verdict=np.where(table["p"] <= 0.05, said, "open"))


def verdict(estimate, smallest=0.0):
    """The outcome for (effect, low, high) alone, as in `judged`: "holds", "fails" or "open"."""
    _, low, high = estimate
    return "holds" if low > smallest else "fails" if high < smallest else "open"


def in_words(row):
    """A row of `measured` or `judged` as text: effect, interval and verdict, or that no masks are.

    A row that is not judged has the verdict of its interval alone.
    """
    numbers = row["effect"], row["low"], row["high"]
    said = row["verdict"] if "verdict" in row else verdict(numbers, row["smallest"])
    known = "{:.3f} ({:.3f} to {:.3f}), {}".format(*numbers, said)
    return known if row["scenes"] > 0 else "no masks"


def estimate(values, scenes=None):
    """(mean, low, high) from one value for each picture: Wilson's for hits and misses (0, 1)."""
    values = np.asarray(values, float)
    known = ~np.isnan(values)
    values, scenes = values[known], None if scenes is None else np.asarray(scenes)[known]
    hits = np.isin(values, (0, 1)).all()
    return accuracy_interval(values, scenes) if hits else interval(values, scenes)


def summary_row(quantity, n, estimate):
    """One row for summary.csv: quantity, value, low, high, n; estimate: (value, low, high)."""
    value, low, high = estimate
    return pd.DataFrame([dict(quantity=quantity, value=value, low=low, high=high, n=n)])


def blurred(maps, share=0.02):
    """Maps (N, h, w) under a Gaussian of that share of the side: what one pixel says is noise."""
    return gaussian_filter(maps, (0, share * maps.shape[1], share * maps.shape[2]))


def peak_inside(maps, masks, tolerance=0):
    """1.0 for each map (N, H, W) whose largest value lies in the mask (N, H, W), else 0.0; (N,).

    tolerance: how far from the mask, in pixels, still counts; the usual 15 at a side of 224 are 10
    at 150. Where several pixels share the largest value, all of them have to be inside. A map that
    is flat, or nowhere positive, points at nothing: a miss. nan for an empty mask.
    The pointing game: Zhang et al. 2016.
    """
    masks, defined = _checked(maps, masks)
    if tolerance:
        masks = np.stack([distance_transform_edt(~mask) <= tolerance for mask in masks])
    largest = maps.max((1, 2), keepdims=True)
    outside = ((maps == largest) & ~masks).any((1, 2))
    points = (largest.ravel() > 0) & (maps.min((1, 2)) < largest.ravel())
    return np.where(defined, points & ~outside, np.nan)


def energy_inside(maps, masks):
    """The share of each map's positive values that lies in the mask, (N,); 0 if it has none.

    nan for an empty mask. The energy-based pointing game: Wang et al. 2020 (Score-CAM).
    """
    masks, defined = _checked(maps, masks)
    positive = np.where(defined[:, None, None], np.maximum(maps, 0), np.nan)
    inside = np.sum(positive, (1, 2), dtype=float, where=masks)
    return ratio(inside, positive.sum((1, 2), dtype=float))


def lift(maps, masks):
    """`energy_inside` over the mask's share of the picture, (N,); 1 if a map knows nothing."""
    return energy_inside(maps, masks) / _area(masks)


def baseline_maps(images, seed=settings.SEED):
    """Maps (N, H, W) that know no network: a dict of "centre", "edges" and "random".

    centre: a Gaussian in the middle, its standard deviation a quarter of the side, the same for all
    pictures; edges: the gradient of the mean colour by Sobel's filter; random: uniform noise. A
    fourth is another picture's map, np.roll(maps, 1, 0).
    """
    grey = np.mean(images, -1, dtype="float32")
    y, x = (np.linspace(-2, 2, side, dtype="float32") for side in grey.shape[1:])
    centre = np.exp(-(y[:, None] ** 2 + x**2) / 2)
    return {
        "centre": np.broadcast_to(centre, grey.shape),
        "edges": np.hypot(sobel(grey, 1), sobel(grey, 2)),
        "random": np.random.default_rng(seed).random(grey.shape, "float32"),
    }


def localisation(technique, maps, masks, *, blur=0.0, baselines=None, tolerance=0, scenes=None):
    """How well maps (N, H, W) point at each region, as a table with one row for each.

    masks: a dict from the region's name to its masks (N, H, W); none, no row. pointing is the share
    of maps with their peak in the region, with its interval (low, high), after a blur of that share
    of the side; scenes as for `accuracy_interval`. energy is the mean share of the map in it, area
    the region's share of the picture, and lift their ratio, 1 for a map that knows nothing.
    baseline: the best pointing among the maps of the dict `baselines`, blurred alike; nan without.
    """
    pointed = [blurred(m, blur) for m in (maps, *(baselines or {}).values())]
    rows = []
    for region, mask in masks.items():
        hits, *others = (peak_inside(m, mask, tolerance) for m in pointed)
        defined = ~np.isnan(hits)
        energy, area = _mean(energy_inside(maps, mask)), _mean(_area(mask)[defined])
        best = max((_mean(other[defined]) for other in others), default=np.nan)
        where = None if scenes is None else np.asarray(scenes)[defined]
        share = accuracy_interval(hits[defined], where)
        rows.append((technique, region, defined.sum(), *share, energy, area, energy / area, best))
    columns = ["technique", "region", "n", "pointing", "low", "high", "energy", "area", "lift"]
    return pd.DataFrame(rows, columns=[*columns, "baseline"])


def total_variation(maps):
    """How much each map (N, H, W) changes from pixel to pixel, over its sum; (N,).

    The mean absolute difference of neighbours, down and across, divided by the map's mean.
    """
    down = np.abs(np.diff(maps, axis=1)).mean((1, 2))
    across = np.abs(np.diff(maps, axis=2)).mean((1, 2))
    return (down + across) / np.maximum(np.abs(maps).mean((1, 2)), np.finfo("float32").tiny)


def averaged(maps, cells):
    """Maps (N, H, W) as float32 means over cells x cells tiles, or cells = (rows, columns).

    They stay as they are if they have that grid; maps of fewer values are a ValueError.
    """
    sums, areas = maps, np.ones((1, *maps.shape[1:]))
    for axis, count in enumerate(np.broadcast_to(cells, 2), 1):
        edges = tile_edges(maps.shape[axis], count)
        sums, areas = (np.add.reduceat(a, edges, axis, dtype=float) for a in (sums, areas))
    return np.float32(sums / areas)  # float32, so that the means of equal values are equal


def correlation(a, b):
    """Pearson's correlation of each picture's two maps, (N,), on the coarser of their grids.

    0 where one of the maps is flat: it agrees with nothing.
    """
    return _row_correlation(*_rows_on_one_grid(a, b))


def rank_correlation(a, b):
    """Spearman's correlation of each picture's two maps, (N,), on the coarser of their grids.

    The finer maps are averaged, never the coarser ones enlarged: interpolated pixels are no
    evidence. Ties have their mean rank. 0 where one of the maps is flat: it agrees with nothing.
    """
    return _row_correlation(*(rankdata(rows, axis=1) for rows in _rows_on_one_grid(a, b)))


def agreement(maps, shift=0):
    """Mean rank correlation of each pair of techniques, as a square table.

    maps: a dict from technique to maps (N, h, w) on one grid. With a shift, picture i of one is
    compared with picture i + shift of the other: what is left comes from no picture.
    """
    ranks = {name: rankdata(m.reshape(len(m), -1), axis=1) for name, m in maps.items()}
    table = [
        [_mean(_row_correlation(a, np.roll(b, -shift, 0))) for b in ranks.values()]
        for a in ranks.values()
    ]
    return pd.DataFrame(table, index=list(maps), columns=list(maps))


def _checked(maps, masks):
    """Masks as bool, and for which pictures (N,) there is an answer; maps (N, H, W) as masks."""
    if maps.shape != masks.shape:
        raise ValueError(
            f"Maps {maps.shape} and masks {masks.shape} differ in shape: enlarge the maps first."
        )
    masks = masks.astype(bool)
    return masks, np.isfinite(maps).all((1, 2)) & masks.any((1, 2))


def _area(masks):
    """Each mask's share of its picture, (N,); nan for an empty mask."""
    return np.where(masks.any((1, 2)), (masks != 0).mean((1, 2)), np.nan)


def _by_scene(values, scenes):
    """Values (N,) or (T, N) as one mean for each training and scene, (T, S), without nan."""
    values = np.atleast_2d(np.asarray(values, float))
    scenes = np.arange(values.shape[1]) if scenes is None else np.asarray(scenes)
    return pd.DataFrame(values.T).groupby(scenes).mean().dropna().to_numpy().T


def _mean_and_error(values, scenes):
    """The mean of values over scenes and trainings, its standard error and degrees of freedom."""
    table = _by_scene(values, scenes)
    trainings, count = table.shape
    if count < 2:
        return (table.mean() if count else np.nan), np.nan, np.nan
    by_training, by_scene, mean = table.mean(1), table.mean(0), table.mean()
    squares, freedoms = [trainings * by_scene.var(ddof=1)], [count - 1]
    if trainings > 1:
        rest = table - by_training[:, None] - by_scene + mean
        freedoms += [trainings - 1, (trainings - 1) * (count - 1)]
        squares += [count * by_training.var(ddof=1), (rest**2).sum() / freedoms[2]]
    total = max(sum(squares[:2]) - sum(squares[2:]), *squares[:2])
    if total < 1e-20:  # nothing varies but the last digit
        return mean, 0.0, np.nan
    freedom = total**2 / sum(s**2 / f for s, f in zip(squares, freedoms, strict=True))
    return mean, np.sqrt(total / table.size), freedom


def _mean(values):
    """The mean of what is not nan; nan if there is nothing."""
    values = values[~np.isnan(values)]
    return values.mean() if len(values) else np.nan


def ratio(part, whole):
    """part / whole, 0 where the whole is 0; nan stays nan."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole != 0)


def tile_edges(side, cells):
    """Where each of that many tiles begins along a side."""
    if cells > side:
        raise ValueError(f"A side of {side} values has no {cells} tiles: choose {side} or fewer.")
    return np.linspace(0, side, cells + 1).round().astype(int)[:-1]


def _rows_on_one_grid(a, b):
    """Two stacks of maps as rows (N, cells) on the coarser of their grids."""
    grid = np.minimum(a.shape[1:], b.shape[1:])
    return [averaged(m, grid).reshape(len(m), -1).astype(float) for m in (a, b)]


def _row_correlation(a, b):
    """The correlation of each row of a with that of b, (N,); constant rows count as 0."""
    a, b = (m - m.mean(1, keepdims=True) for m in (a, b))
    return ratio((a * b).sum(1), np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
