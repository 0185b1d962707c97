"""How good a network or a map is, as a number with an interval.

maps (N, h, w): raw, as the techniques return them. masks (N, H, W): bool, of the pictures' size; so
maps are enlarged before they meet a mask. What has no answer for a picture, because its map
holds a nan or its mask is empty, is nan there and is left out of every mean; n counts what is left.
"""

import numpy as np
import pandas as pd
from scipy.fft import dctn, idctn
from scipy.ndimage import distance_transform_edt, gaussian_filter, sobel
from scipy.stats import rankdata

from utils import settings
from utils.progress import progress

GREY = (123.68, 116.779, 103.939)  # ImageNet's mean colour: zero once VGG-16 has prepared it
SUBSTRATES = {  # what stands where evidence is missing; "blur" is RISE's, 11 pixels wide at 224
    "grey": lambda images: np.array(GREY),
    "blur": lambda images: gaussian_filter(
        images, 5 / 224 * images.shape[1], output="float32", truncate=1, axes=(1, 2)
    ),
}
AT_ONCE = 512  # pictures that deletion and insertion hand to the network in one call


def accuracy_interval(correct, confidence_z=1.96):
    """(accuracy, low, high): share of True in `correct` (N,), with Wilson's 95 % interval.

    Unlike the normal approximation it stays within 0..1 and is not empty at 100 %. Nothing counted
    gives nan.
    """
    n = len(correct)
    if not n:
        return (np.nan,) * 3
    share, z2 = float(np.mean(correct)), confidence_z**2 / n
    middle = (share + z2 / 2) / (1 + z2)
    half = np.sqrt(z2 * (share * (1 - share) + z2 / 4)) / (1 + z2)
    return share, middle - half, middle + half


def accuracy_difference(a, b):
    """(a - b, low, high): the difference of the shares of True in a (N,) and b (M,), 95 % interval.

    Of two test sets without a picture in common. Newcombe 1998, method 10, on Wilson's intervals.
    """
    (p, p_low, p_high), (q, q_low, q_high) = accuracy_interval(a), accuracy_interval(b)
    below, above = np.hypot(p - p_low, q_high - q), np.hypot(p_high - p, q - q_low)
    return p - q, p - q - below, p - q + above


def accuracy_row(model, split, correct):
    """One row for accuracy.csv: model, split, n, accuracy, low, high; nothing counted gives nan."""
    share, low, high = accuracy_interval(correct)
    row = dict(model=model, split=split, n=len(correct), accuracy=share, low=low, high=high)
    return pd.DataFrame([row])


def precision_recall(labels, predicted, positive):
    """A table of the precision and the recall of the class `positive`, each with Wilson's interval.

    labels, predicted: class names (N,). precision: of what is called positive, the share that is;
    recall: of what is positive, the share that is called so. n is what each is a share of.
    """
    truth, called = (pd.Series(names).to_numpy() == positive for names in (labels, predicted))
    hits = {"precision": truth[called], "recall": called[truth]}
    rows = [(measure, len(hit), *accuracy_interval(hit)) for measure, hit in hits.items()]
    return pd.DataFrame(rows, columns=["measure", "n", "share", "low", "high"])


def bootstrap(values, statistic=np.mean, replicates=2000, seed=settings.SEED):
    """(effect, low, high): a statistic of the rows of `values`, with its 95 % percentile interval.

    Rows (N, ...) are pictures, and pictures are what is drawn again; rows with nan are left out.
    Two techniques on the same pictures are compared by their paired difference, bootstrap(a - b).
    One picture has no interval: low and high are nan. Efron and Tibshirani 1993, chapter 13.
    """
    values = _defined_rows(values)
    if len(values) < 2:
        return (statistic(values) if len(values) else np.nan), np.nan, np.nan
    generator, n = np.random.default_rng(seed), len(values)
    drawn = [statistic(values[generator.integers(0, n, n)]) for _ in range(replicates)]
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    return statistic(values), low, high


def verdict(claim, section, test, values, baseline, *, expect="above"):
    """One row on a claim, see `judged`, from one value for each picture.

    effect: the mean of `values`, with its 95 % interval: Wilson's where they are hits and misses,
    as a bootstrap of n hits in n has no width, else the bootstrap's. baseline: a number, or one for
    each picture: then the interval is that of the paired difference, laid around the effect.
    """
    if np.ndim(baseline):
        level = _mean(np.asarray(baseline, float))
        values, baseline = values - (baseline - level), level
    values = _defined_rows(values)
    hits = values.ndim == 1 and np.isin(values, (0, 1)).all()
    effect = accuracy_interval(values) if hits else bootstrap(values)
    return judged(claim, section, test, len(values), effect, baseline, expect=expect)


def judged(claim, section, test, n, effect, baseline, *, expect="above"):
    """One row on a claim: claim, section, test, n, effect, low, high, baseline, verdict.

    effect: (effect, low, high). "holds": the interval lies wholly on the expected side of the
    baseline, "above" or "below"; "fails": wholly on the other; "open": neither, or no interval.
    """
    if expect not in ("above", "below"):
        raise ValueError(f"expect={expect!r} is not known; choose one of: above, below.")
    effect, low, high = effect
    sides = {"above": low > baseline, "below": high < baseline}
    holds, fails = sides.pop(expect), *sides.values()
    said = "holds" if holds else "fails" if fails else "open"
    row = dict(claim=claim, section=section, test=test, n=n, effect=effect)
    return pd.DataFrame([row | dict(low=low, high=high, baseline=baseline, verdict=said)])


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
    return _ratio(inside, positive.sum((1, 2), dtype=float))


def depth(masks):
    """How deep each pixel lies in its mask, in pixels, (N, H, W): a map that is brightest there."""
    return np.stack([distance_transform_edt(mask) for mask in masks]).astype("float32")


def dice(a, b):
    """How much each two masks (N, H, W) overlap, (N,): 1 if they are one, 0 if they are apart.

    Twice what they share over the sum of both; nan where both are empty. Dice 1945.
    """
    total = a.sum((1, 2)) + b.sum((1, 2))
    return 2 * (a & b).sum((1, 2)) / np.where(total > 0, total, np.nan)


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


def localisation(technique, maps, masks, blur=0.0, baselines=None, tolerance=0):
    """How well maps (N, H, W) point at each region, as a table with one row for each.

    masks: a dict from the region's name to its masks (N, H, W); none, no row. pointing is the share
    of maps with their peak in the region, with Wilson's interval (low, high), after a blur of that
    share of the side; energy the mean share of the map in it, area the region's share of the
    picture, and lift their ratio, 1 for a map that knows nothing. baseline: the best pointing among
    the maps of the dict `baselines`, blurred alike; nan without.
    """
    pointed = [blurred(m, blur) for m in (maps, *(baselines or {}).values())]
    rows = []
    for region, mask in masks.items():
        hits, *others = (peak_inside(m, mask, tolerance) for m in pointed)
        defined = ~np.isnan(hits)
        energy, area = _mean(energy_inside(maps, mask)), _mean(_area(mask)[defined])
        best = max((_mean(other[defined]) for other in others), default=np.nan)
        share = accuracy_interval(hits[defined])
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


def same_variation_blur(maps, target):
    """Maps (N, H, W) blurred until the total variation of each is `target` (N,): the control.

    A technique that lowers the variation has to do better than a blur that lowers it as much. A map
    that varies less than its target is left as it is. The blur is the discrete Gaussian with
    mirrored borders (Lindeberg 1990): of a map that is nowhere negative it keeps the sum and can
    only lower the variation, so halving the interval of the standard deviation finds it.
    """
    spectrum = dctn(maps.astype(float), axes=(1, 2))
    rows, columns = (1 - np.cos(np.pi * np.arange(side) / side) for side in maps.shape[1:])
    decay = rows[:, None] + columns
    low, high = np.zeros((len(maps), 1, 1)), np.full((len(maps), 1, 1), max(maps.shape[1:]))
    for _ in range(20):
        middle = (low + high) / 2
        smooth = idctn(spectrum * np.exp(-(middle**2) * decay), axes=(1, 2))
        rough = (total_variation(smooth) > target)[:, None, None]
        low, high = np.where(rough, middle, low), np.where(rough, high, middle)
    return idctn(spectrum * np.exp(-(high**2) * decay), axes=(1, 2))


def high_frequency_share(maps):
    """The share of each map's energy above a quarter of the Nyquist frequency, (N,).

    Energy: the squared 2-D Fourier transform without the mean. The frequency is radial, the length
    of (down, across): above 1/8 of a cycle per pixel, waves shorter than 8 pixels. 0 for a flat
    map; 1 - pi / 64, or 0.95, for white noise.
    """
    maps = np.float32(maps)  # whose mean in float64 is exact if they are flat
    maps = maps - maps.mean((1, 2), keepdims=True, dtype=float)
    energy = np.abs(np.fft.fft2(maps)) ** 2
    down, across = (np.fft.fftfreq(side) for side in maps.shape[1:])
    fast = np.hypot(down[:, None], across) > 1 / 8
    return _ratio(np.sum(energy, (1, 2), where=fast), energy.sum((1, 2)))


def gini(maps):
    """How unequal each map's absolute values are, (N,): 0 if all are equal, 1 - 1/n for one pixel.

    sum_i (2i - n - 1) x_i / (n sum_i x_i) over the n values x_i in ascending order. It grows with
    n: compare maps of one grid only. Hurley and Rickard 2009.
    """
    values = np.sort(np.abs(maps).reshape(len(maps), -1).astype(float), axis=1)
    n = values.shape[1]
    return _ratio(values @ (2.0 * np.arange(1, n + 1) - n - 1), n * values.sum(1))


def averaged(maps, cells):
    """Maps (N, H, W) as float32 means over cells x cells tiles, or cells = (rows, columns).

    They stay as they are if they have that grid; maps of fewer values are a ValueError.
    """
    sums, areas = maps, np.ones((1, *maps.shape[1:]))
    for axis, count in enumerate(np.broadcast_to(cells, 2), 1):
        edges = _edges(maps.shape[axis], count)
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


def spearman_brown(r, n):
    """n r / (1 + (n - 1) r): how two means of n samples correlate if two single samples do by r.

    r, a number or an array, in 0..1. Spearman 1910; Brown 1910.
    """
    return n * r / (1 + (n - 1) * r)


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


def paint_over(images, masks):
    """Pictures (N, H, W, 3) with their masked pixels (N, H, W) in the picture's mean colour."""
    mean = images.mean((1, 2), keepdims=True).round().astype(images.dtype)
    return np.where(masks[..., None], mean, images)


def deletion(
    predict,
    images,
    maps,
    class_index,
    *,
    steps=28,
    substrate="grey",
    cells=None,
    seed=settings.SEED,
):
    """The class's probability while the pixels that the map ranks first vanish: (N, steps + 1).

    predict: pictures (M, H, W, 3) to probabilities (M, classes). class_index: for all pictures or
    one each; in the paper, the class predicted for the clean picture. substrate: what stands where
    a pixel was, "grey" (ImageNet's mean, of 0..255), "blur", or an array in the pictures' units.
    cells: maps are averaged to that grid first and whole tiles vanish, so that coarse and fine maps
    delete the same shapes. Ties fall in one random order, the same for all pictures.
    RISE: Petsiuk et al. 2018.
    """
    bare = _bare(images, substrate)
    return _curves(predict, images, bare, maps, class_index, steps, cells, seed)


def insertion(
    predict,
    images,
    maps,
    class_index,
    *,
    steps=28,
    substrate="blur",
    cells=None,
    seed=settings.SEED,
):
    """As `deletion`, from the substrate to the picture: pixels appear that the map ranks first.

    The paper's substrate is the blurred picture, on which an appearing pixel draws no edge.
    """
    bare = _bare(images, substrate)
    return _curves(predict, bare, images, maps, class_index, steps, cells, seed)


def area_under(curves):
    """The area under each curve (N, steps + 1) over 0..1, (N,), by the trapezoid rule."""
    return (curves[:, :-1] + curves[:, 1:]).mean(1) / 2


def normalised(curves, clean):
    """Curves with 0 at the bare substrate and 1 at the clean picture; nan where these are equal.

    clean: where the clean picture stands, 0 for deletion and -1 for insertion. With two classes the
    bare substrate has a probability near 0.5 or that of the favoured class, which no map changes.
    """
    clean, bare = curves[:, [clean]], curves[:, [-1 - clean]]
    return (curves - bare) / np.where(clean == bare, np.nan, clean - bare)


def tie_share(maps):
    """The share of each map's pixels whose value another pixel has too, (N,): order left to chance.

    Grad-CAM, whose ReLU makes zeros, has many.
    """
    counts = (np.unique(m, return_counts=True)[1] for m in maps)
    shared = np.array([count[count > 1].sum() for count in counts]) / maps[0].size
    return np.where(np.isfinite(maps).all((1, 2)), shared, np.nan)


def _curves(predict, before, after, maps, class_index, steps, cells, seed):
    """Probabilities (N, steps + 1) of pictures that turn from `before` to `after` in map order."""
    turns = _turns(maps, before.shape[1:3], steps, cells, seed)
    classes = np.broadcast_to(class_index, len(before))
    curves, some = np.full((len(before), steps + 1), np.nan), max(1, AT_ONCE // (steps + 1))
    for start in progress(range(0, len(before), some), f"curves, parts of {some} pictures"):
        part = slice(start, start + some)
        turned = turns[part, None] <= np.arange(steps + 1)[:, None, None]
        pictures = np.where(turned[..., None], after[part, None], before[part, None])
        scores = _probabilities(predict, pictures.reshape(-1, *before.shape[1:]))
        scores = scores.reshape(*turned.shape[:2], -1)
        curves[part] = np.take_along_axis(scores, classes[part, None, None], 2)[..., 0]
    curves[~np.isfinite(maps).all((1, 2))] = np.nan
    return curves


def _turns(maps, shape, steps, cells, seed):
    """The step, 1..steps, at which each pixel turns, (N, *shape): the largest map values first."""
    if cells is None and maps.shape[1:] != shape:
        raise ValueError(
            f"Maps of {maps.shape[1:]} cannot rank the pixels of pictures of {shape}: enlarge the "
            "maps, or give `cells`."
        )
    grid = np.broadcast_to(shape if cells is None else cells, 2)
    values = averaged(maps, grid).reshape(len(maps), -1)
    shuffled = np.random.default_rng(seed).permutation(grid.prod())
    order = shuffled[np.argsort(-values[:, shuffled], axis=1, kind="stable")]
    ends = np.linspace(0, grid.prod(), steps + 1).round()
    turns = np.searchsorted(ends, np.argsort(order, axis=1), side="right")
    row, column = (_tile_of_each(*pair) for pair in zip(shape, grid, strict=True))
    return turns.reshape(-1, *grid)[:, row[:, None], column]


def _bare(images, substrate):
    """Pictures of nothing but the substrate, in the shape and type of `images`."""
    if isinstance(substrate, str):
        if substrate not in SUBSTRATES:
            known = ", ".join(SUBSTRATES)
            raise ValueError(f"substrate={substrate!r} is not known; choose one of: {known}.")
        substrate = SUBSTRATES[substrate](images)
    if np.issubdtype(images.dtype, np.integer):
        substrate = np.round(substrate)
    return np.broadcast_to(np.asarray(substrate).astype(images.dtype), images.shape)


def _probabilities(predict, pictures):
    """What `predict` says of pictures, (M, classes); a ValueError if it is no probability."""
    scores = np.asarray(predict(pictures))
    if scores.min() < 0 or scores.max() > 1.001:
        raise ValueError(
            f"predict returned values in {scores.min():.3g}..{scores.max():.3g}, not "
            "probabilities: wrap it in model.probabilities."
        )
    return scores


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


def _defined_rows(values):
    """Values (N, ...) as float, without the rows that hold a nan."""
    values = np.asarray(values, float)
    return values[~np.isnan(values).any(tuple(range(1, values.ndim)))]


def _mean(values):
    """The mean of what is not nan; nan if there is nothing."""
    values = values[~np.isnan(values)]
    return values.mean() if len(values) else np.nan


def _ratio(part, whole):
    """part / whole, 0 where the whole is 0; nan stays nan."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole != 0)


def _edges(side, cells):
    """Where each of that many tiles begins along a side."""
    if cells > side:
        raise ValueError(f"A side of {side} values has no {cells} tiles: choose {side} or fewer.")
    return np.linspace(0, side, cells + 1).round().astype(int)[:-1]


def _tile_of_each(side, cells):
    """In which of that many tiles each place along a side lies."""
    return np.searchsorted(_edges(side, cells), np.arange(side), side="right") - 1


def _rows_on_one_grid(a, b):
    """Two stacks of maps as rows (N, cells) on the coarser of their grids."""
    grid = np.minimum(a.shape[1:], b.shape[1:])
    return [averaged(m, grid).reshape(len(m), -1).astype(float) for m in (a, b)]


def _row_correlation(a, b):
    """The correlation of each row of a with that of b, (N,); constant rows count as 0."""
    a, b = (m - m.mean(1, keepdims=True) for m in (a, b))
    return _ratio((a * b).sum(1), np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
