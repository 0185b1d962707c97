"""Notebook 09 alone: measures of many networks and noisy copies, a planted cue, and its figures.

The cue is a small tag in the corner of pictures of one class: evidence whose place is known for
certain. A network that learns from tagged pictures may look at the tag, like the one that knew
horses by a photographer's mark (Lapuschkin et al. 2019). Whether it does, its accuracy tells;
whether a map shows it, the energy in the tag's region tells.
"""

from itertools import permutations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.fft import dctn, idctn

from utils import attention, evaluation, model, settings
from utils.plotting import caption, draw_map, word

SIDE, SQUARE = 16, 4  # of the tag and of its squares, in pixels of a picture of side 150
EDGE = 4  # pixels left free: at the very edge the zero padding drowns the tag
PLACE = np.s_[:, EDGE : EDGE + SIDE, EDGE : EDGE + SIDE]  # top left, in arrays (N, H, W, ...)
SMALL = {"image.interpolation": "antialiased"}  # of pictures that are shown below their size


# ---------------------------------------------------------------- maps of many networks


def quick_maps(network, images, class_index, n=5, sigma=0.2):
    """Maps of the three techniques that explain any network, as a dict; n, sigma: SmoothGrad's."""
    return {
        "saliency": attention.saliency_map(network, images, class_index),
        "smoothgrad": attention.smoothgrad(network, images, class_index, n=n, sigma=sigma),
        "grad_cam": attention.grad_cam(network, images, class_index),
    }


def cascade(network, steps, draw):
    """What `draw` makes of a network as it is, and made random down to each of the layers `steps`.

    A list, one entry longer than steps. A layer that the network lacks changes nothing.
    """
    drawn = {None: draw(network)}
    drawn |= {name: draw(n) for name, n in model.randomised(network) if name in steps}
    return list(pd.Series(drawn).reindex([None, *steps]).ffill())


def noisy_copies(image, n, sigma):
    """The n pictures I + N(0, sigma^2) of one picture (H, W, C) that SmoothGrad sees, unclipped."""
    noise = np.stack([attention.noise_of(0, sample, image.shape) for sample in range(n)])
    return image + np.float32(sigma * np.ptp(np.float32(image))) * noise


def split_half(network, image, class_index, counts, sigma):
    """How two SmoothGrad maps of n samples each, none in common, correlate: (r(n), r_1).

    r(n) at each n of counts, from 2 max(counts) samples of one picture; r_1 is the mean over as
    many pairs of single samples.
    """
    copies = noisy_copies(image, 2 * max(counts), sigma)
    samples = attention.saliency_map(network, copies, class_index)
    a, b = samples[0::2], samples[1::2]
    grown = [np.stack([half[:n].mean(0) for n in counts]) for half in (a, b)]
    return evaluation.correlation(*grown), evaluation.correlation(a, b).mean()


def retention(network, images, class_index, n, sigma):
    """The share of each picture's n noisy copies that the network takes for the class, (N,)."""
    copies = (attention.noisy(images, sigma, seed) for seed in range(n))
    return np.mean([model.logits(network, c).argmax(1) == class_index for c in copies], axis=0)


def under_noise(network, images, class_index, masks, n, sigma):
    """What sigma does to pictures and to their SmoothGrad maps, (N, 4).

    The share of the n copies that keep their class, the share of their values that leave 0..255,
    the map's energy in the masks (N, H, W), and its total variation.
    """
    kept = retention(network, images, class_index, n, sigma)
    copies = np.stack([noisy_copies(image, n, sigma) for image in images])
    outside = ((copies < 0) | (copies > 255)).mean((1, 2, 3, 4))
    maps = attention.smoothgrad(network, images, class_index, n=n, sigma=sigma)
    energy, variation = evaluation.energy_inside(maps, masks), evaluation.total_variation(maps)
    return np.stack([kept, outside, energy, variation], axis=1)


def over_seeds(seeded, a, b):
    """Mean rank correlation of technique a on one training with b on another, over all such pairs.

    seeded: for each training a dict from technique to maps (N, h, w) of the same pictures.
    """
    pairs = permutations(seeded, 2)
    return np.mean([evaluation.rank_correlation(one[a], other[b]).mean() for one, other in pairs])


# ---------------------------------------------------------------- measures of a map


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
        rough = (evaluation.total_variation(smooth) > target)[:, None, None]
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
    return evaluation.ratio(np.sum(energy, (1, 2), where=fast), energy.sum((1, 2)))


def gini(maps):
    """How unequal each map's absolute values are, (N,): 0 if all are equal, 1 - 1/n for one pixel.

    sum_i (2i - n - 1) x_i / (n sum_i x_i) over the n values x_i in ascending order. It grows with
    n: compare maps of one grid only. Hurley and Rickard 2009.
    """
    values = np.sort(np.abs(maps).reshape(len(maps), -1).astype(float), axis=1)
    n = values.shape[1]
    return evaluation.ratio(values @ (2.0 * np.arange(1, n + 1) - n - 1), n * values.sum(1))


def deletion(network, images, maps, class_index, steps=9, seed=settings.SEED):
    """How much of the margin is left while the cells that a map ranks first vanish, (N, steps).

    Maps are averaged to the grid of the last convolution, so that all delete cells of one shape; a
    cell vanishes in the picture's mean colour. margin: the class's logit minus the largest other,
    as a share of the clean picture's. Ties fall in one random order. After Petsiuk et al. 2018, who
    take the probability, which says little while it stays near 1.
    """
    cells = settings.GRID**2
    values = evaluation.averaged(maps, settings.GRID).reshape(len(maps), cells)
    shuffled = np.random.default_rng(seed).permutation(cells)
    ranks = np.argsort(shuffled[np.argsort(-values[:, shuffled], axis=1, kind="stable")], axis=1)
    where = np.arange(images.shape[1]) * settings.GRID // images.shape[1]
    ranks = ranks.reshape(-1, settings.GRID, settings.GRID)[:, where][:, :, where]
    gone = (ranks < cells * k / steps for k in range(steps + 1))
    pictures = (evaluation.paint_over(images, masks) for masks in gone)
    clean, *left = (_margins(network, some, class_index) for some in pictures)
    return np.stack(left, axis=1) / clean[:, None]


def _margins(network, images, class_index):
    """The class's logit minus the largest other, (N,)."""
    scores = model.logits(network, images)
    classes = np.broadcast_to(class_index, len(images))
    own = np.arange(scores.shape[1]) == classes[:, None]
    return scores[own] - np.where(own, -np.inf, scores).max(axis=1)


# ---------------------------------------------------------------- the planted cue


def tag():
    """The tag, uint8 (SIDE, SIDE, 3): a small chess board in black and white."""
    down, across = np.indices((SIDE, SIDE)) // SQUARE
    return np.repeat(((down + across) % 2 * 255)[..., None], 3, axis=2).astype("uint8")


def tagged(images, chosen=True):
    """A copy of pictures (N, H, W, 3) with the tag in the top left corner where `chosen` (N,)."""
    images = np.array(images)
    images[PLACE] = np.where(np.reshape(chosen, (-1, 1, 1, 1)), tag(), images[PLACE])
    return images


def region(images):
    """Where the tag is or would be in pictures (N, H, W, 3), bool (N, H, W)."""
    mask = np.zeros(images.shape[:3], bool)
    mask[PLACE] = True
    return mask


def dosed(images, labels, dose, class_index, seed=settings.SEED):
    """The pictures with the tag on a share `dose` (0..1) of one class, the same each time.

    A larger dose tags the same pictures and more. The number of tagged pictures is rounded.
    """
    candidates = np.random.default_rng(seed).permutation(np.flatnonzero(labels == class_index))
    chosen = np.isin(np.arange(len(labels)), candidates[: round(dose * len(candidates))])
    return tagged(images, chosen)


# ---------------------------------------------------------------- figures


def curve(ax, x, values, label=""):
    """One line of effects, from (k, 3) effects with their low and high ends, which are a band."""
    effect, low, high = np.transpose(values)
    (line,) = ax.plot(x, effect, "o-", markersize=3.5, label=label)
    ax.fill_between(x, low, high, color=line.get_color(), alpha=0.18, linewidth=0)


def _above_and_below(shape, panels, heights, sharey=False):
    """A figure, its axes for pictures above, (rows, columns) = `shape`, and its panels below.

    heights: of both halves, in inches.
    """
    fig = plt.figure(figsize=(7.6, sum(heights)))
    above, below = fig.subfigures(2, 1, height_ratios=heights)
    pictures = above.subplots(*shape, squeeze=False)
    for ax in pictures.flat:
        ax.axis("off")
    return fig, pictures, below.subplots(1, panels, sharey=sharey, squeeze=False)[0]


@plt.rc_context(SMALL)
def planted_cue(image, mask, maps, doses, accuracy, lifts):
    """What a tag in training does to maps of a tagged picture, above, and to the network, below.

    image (H, W, 3) with the tag in mask (H, W); maps a dict from technique to a map for each dose;
    accuracy and lifts dicts from a line's name to (doses, 3) values with their interval.
    """
    shape, heights = (len(maps), 1 + len(doses)), (1.25 * len(maps), 2.8)
    fig, axes, (left, right) = _above_and_below(shape, 2, heights)
    _maps_by_dose(axes, image, mask, maps, doses)
    for ax, lines in ((left, accuracy), (right, lifts)):
        for name, values in lines.items():
            curve(ax, doses, values, word(name))
        ax.set_xticks(doses, [f"{dose:.0%}" for dose in doses])
    right.axhline(1, color="0.5", linewidth=0.8, linestyle=":", label="a map that knows nothing")
    left.set(ylabel="accuracy", ylim=(-0.02, 1.02))
    right.set(ylabel="energy on the tag over its area", ylim=0)
    for ax, place in ((left, "lower left"), (right, "upper left")):
        ax.legend(frameon=False, loc=place)
    caption(fig, "pictures of the class that wear the tag in training")
    return fig


def _maps_by_dose(axes, image, mask, maps, doses):
    """The picture and its tag in the first column, then a row of maps for each technique."""
    corner = image[: SIDE + 2 * EDGE, : SIDE + 2 * EDGE]
    names = word("original"), "the tag, enlarged"
    for ax, picture, name in zip(axes[:, 0], (image, corner), names, strict=False):
        ax.imshow(picture)
        ax.set_title(name)
    for line, (technique, row) in zip(axes[:, 1:], maps.items(), strict=True):
        for ax, dose, heatmap in zip(line, doses, row, strict=True):
            draw_map(ax, heatmap, image)
            ax.contour(mask, [0.5], colors="white", linewidths=0.6)
            ax.set_title(f"{word(technique)}, {dose:.0%}", fontsize=8)


@plt.rc_context(SMALL)
def randomisation(image, maps, layers, similarity, baselines):
    """Maps of one picture, and how alike all maps stay, while a network is made random.

    maps: a dict from technique to the picture's map at each step; layers: the steps, the trained
    network first; similarity: a dict from technique to (steps, 3) values with their interval;
    baselines: a dict from technique to the similarity of maps of different pictures and to edges.
    """
    shape, heights = (len(maps), len(layers)), (0.9 * len(maps), 3.5)
    fig, axes, panels = _above_and_below(shape, len(similarity), heights, sharey=True)
    for line, (technique, row) in zip(axes, maps.items(), strict=True):
        line[0].text(-0.08, 0.5, word(technique), transform=line[0].transAxes, ha="right")
        for ax, heatmap in zip(line, row, strict=True):
            draw_map(ax, heatmap, image)
    for ax, layer in zip(axes[0], layers, strict=True):
        ax.set_title(layer.replace("_", "\n"), fontsize=7)
    for ax, (technique, values) in zip(panels, similarity.items(), strict=True):
        curve(ax, [layer.replace("_", " ") for layer in layers], values)
        names = "map of another picture", "edges of the picture"
        for name, style, value in zip(names, ("--", ":"), baselines[technique], strict=True):
            ax.axhline(value, color="0.4", linewidth=0.9, linestyle=style, label=name)
        ax.set_title(word(technique))
        ax.tick_params("x", labelrotation=90, labelsize=7)
    panels[0].set_ylabel("rank correlation with\nthe trained network's map")
    panels[-1].legend(frameon=False, fontsize=7)
    caption(fig, "randomised from the logits down to")
    return fig


def reliability(counts, measured, predicted):
    """How well two maps of n samples each agree, (k, 3) with intervals, and what was foretold."""
    fig, ax = plt.subplots(figsize=(4.8, 2.8))
    curve(ax, counts, measured, "measured")
    ax.plot(counts, predicted, "--", color="0.3", label="foretold by single samples")
    ax.set(xscale="log", xlabel="number of samples n", ylabel="correlation of two maps")
    ax.set_xticks(counts, counts)
    ax.minorticks_off()
    ax.legend(frameon=False)
    return fig


@plt.rc_context(SMALL)
def sweep(images, titles, x, panels, label):
    """Pictures in a row, one for each x; below, a panel with a line for each measure over x.

    panels: a dict from the measure's name to (len(x), 3) values with their interval.
    """
    fig, (top,), bottom = _above_and_below((1, len(images)), len(panels), (1.1, 2.1))
    for ax, image, text in zip(top, images, titles, strict=True):
        ax.imshow(image)
        ax.set_title(text)
    for ax, (name, values) in zip(bottom, panels.items(), strict=True):
        curve(ax, x, values)
        ax.set(title=name, xlabel=label, ylim=0)
    return fig
