"""Notebook 09 alone: the report's claims, what is measured of each training, and its figures."""

from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.fft import dctn, idctn

from utils import attention, evaluation, files, model, settings
from utils.evaluation import energy_inside, total_variation
from utils.plotting import SMALL, above_and_below, caption, curve, enlarge

memory = files.kept(__file__)  # of what is measured of a network

PART = "a twentieth of the map"
SHARE = "a fifth"
WAY = "a fifth of the way from unrelated to equal"
CLAIMS = pd.DataFrame(
    [  # claim, section of the report, what is measured, its smallest effect that matters, why
        ("1", "The saliency map lies on the animal", "3.1, 3.5",
         "energy on the animal, minus the strongest baseline's", 0.05, PART),
        ("2a", "The saliency map lies on the head", "3.5",
         "energy on the head, minus the strongest baseline's", 0.05, PART),
        ("2b", "Grad-CAM lies on the head", "3.5",
         "energy on the head, minus the strongest baseline's", 0.05, PART),
        ("3a", "SmoothGrad is less noisy than the saliency map", "3.2, 3.5",
         "by what share the total variation is lower", 0.2, SHARE),
        ("3b", "SmoothGrad finds more than a blur of the saliency map would", "3.2, 3.5",
         "energy on the head, minus that of the blurred saliency map", 0.05, PART),
        ("4a", "With n = 50 samples, other noise changes little", "3.2.3",
         "correlation of two maps of 50 samples each", 0.95, "a twentieth short of equal maps"),
        ("4b", "The n needed for that is about 50", "3.2.3",
         "n at which two maps correlate to 0.95", 25.0, "half of 50"),
        ("5a", "σ = 0.2 is good: the network still knows the picture", "3.2.3",
         "share of the noisy copies that keep their class", 0.95, "one copy of twenty may change"),
        ("5b", "σ = 0.3 is good: the network still knows the picture", "3.2.3",
         "share of the noisy copies that keep their class", 0.95, "one copy of twenty may change"),
        ("6", "The classifier that CAM needs costs accuracy", "3.3.4",
         "accuracy of the dense network, minus the pooling network's", 0.01, "one picture of 100"),
        ("7", "Grad-CAM shows what CAM shows, without changing the network", "3.4",
         "rank correlation on one picture, minus that on two pictures", 0.2, WAY),
        ("8", "The techniques agree", "3.5",
         "the same, for the pair of techniques that agrees least", 0.2, WAY),
    ],
    columns=["key", "claim", "section", "measured", "smallest", "why"],
).set_index("key")  # fmt: skip


VERDICT_COLOURS = {"holds": "#1b7837", "fails": "#b2182b", "open": "#7f7f7f"}


# ---------------------------------------------------------------- measured of many networks


def maps_of(network, pooling, images, class_index, n, sigma):
    """The maps of the report's four techniques on two networks, a dict; n, sigma: SmoothGrad's."""
    return {
        "saliency": attention.saliency_map(network, images, class_index),
        "smoothgrad": attention.smoothgrad(network, images, class_index, n=n, sigma=sigma),
        "cam": attention.cam(pooling, images, class_index),
        "grad_cam": attention.grad_cam(network, images, class_index),
    }


@memory.cache(ignore=["network", "pooling"])
def of_training(known, network, pooling, images, class_index, masks, n, sigma):
    """What the claims ask of one training of both networks: (energies, noise, coarse maps).

    known: the networks' fingerprints. masks: a dict from region to (N, H, W). energies: a dict from
    (technique, region) to two rows (2, N), of the map itself and of another picture's map; noise:
    see `noise`; coarse: a dict from technique to maps on the grid of the last convolution.
    """
    maps = maps_of(network, pooling, images, class_index, n, sigma)
    energies = {
        (technique, region): [energy_inside(np.roll(large, k, 0), mask) for k in (0, 1)]
        for technique, large in ((t, enlarge(m)) for t, m in maps.items())
        for region, mask in masks.items()
    }
    coarse = {technique: evaluation.averaged(m, settings.GRID) for technique, m in maps.items()}
    return energies, noise(maps, masks[settings.REGIONS[-1]]), coarse


def noisy_copies(image, n, sigma):
    """The n pictures I + N(0, sigma^2) of one picture (H, W, C) that SmoothGrad sees, unclipped."""
    noise = np.stack([attention.noise_of(0, sample, image.shape) for sample in range(n)])
    return image + np.float32(sigma * np.ptp(np.float32(image))) * noise


@memory.cache(ignore=["network"])
def split_half(known, network, images, class_index, counts, sigma):
    """How two SmoothGrad maps of n samples each, none in common, correlate: (N, k) and (N,).

    The correlation at each n of counts, from 2 max(counts) samples of each picture; and r_1, the
    mean over as many pairs of single samples. known: the network's fingerprint.
    """
    measured, single = [], []
    for image, c in zip(images, class_index, strict=True):
        copies = noisy_copies(image, 2 * max(counts), sigma)
        samples = attention.saliency_map(network, copies, c)
        halves = samples[0::2], samples[1::2]
        grown = [np.stack([half[:n].mean(0) for n in counts]) for half in halves]
        measured.append(evaluation.correlation(*grown))
        single.append(evaluation.correlation(*halves).mean())
    return np.array(measured), np.array(single)


def foretold(single, counts):
    """What one pair of samples foretells of n: r = n r_1 / (1 + (n - 1) r_1), (N, k).

    single: r_1, (N,). Spearman 1910; Brown 1910.
    """
    n, r = np.array(counts), single[:, None]
    return n * r / (1 + (n - 1) * r)


def enough(single, r=0.95):
    """The n at which two maps of n samples correlate to r, the same formula solved for n, (N,)."""
    return r * (1 - single) / ((1 - r) * single)


@memory.cache(ignore=["network"])
def retention(known, network, images, n, sigma):
    """The share of each picture's n noisy copies that the network answers as the picture, (N,)."""
    answer = model.logits(network, images).argmax(1)
    copies = (attention.noisy(images, sigma, seed) for seed in range(n))
    return np.mean([model.logits(network, c).argmax(1) == answer for c in copies], axis=0)


@memory.cache(ignore=["network"])
def under_noise(known, network, images, class_index, masks, n, sigma):
    """What sigma does to SmoothGrad's maps: their total variation and energy in masks, (N, 2)."""
    maps = attention.smoothgrad(network, images, class_index, n=n, sigma=sigma)
    return np.stack([total_variation(maps), energy_inside(maps, masks)], axis=1)


# ---------------------------------------------------------------- measures of maps


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


def noise(maps, heads):
    """What claim 3 asks of maps: how much less SmoothGrad varies, and its energy beyond a blur.

    maps: "saliency" and "smoothgrad" (N, H, W); heads: masks (N, H, W). Each is (N,).
    """
    variation = total_variation(maps["smoothgrad"])
    blur = same_variation_blur(maps["saliency"], variation)
    beyond = energy_inside(maps["smoothgrad"], heads) - energy_inside(blur, heads)
    return {"3a": 1 - variation / total_variation(maps["saliency"]), "3b": beyond}


def agreement(coarse, shift=0):
    """Rank correlation of each two techniques' maps of one picture, {(a, b): (N,)}.

    coarse: maps (N, h, w) on one grid. Saliency with SmoothGrad is left out: one is made of the
    other. With a shift, of picture i with picture i + shift.
    """
    pairs = [("saliency", "cam"), ("saliency", "grad_cam"), ("smoothgrad", "cam")]
    pairs += [("smoothgrad", "grad_cam"), ("cam", "grad_cam")]
    return {
        (a, b): evaluation.rank_correlation(coarse[a], np.roll(coarse[b], -shift, 0))
        for a, b in pairs
    }


def rehearsed(values, scenes, smallest, draws=1000, seed=settings.SEED):
    """How often the verdict would be "holds", were the effect 0, `smallest`, and twice that.

    Drawn from normal trainings, scenes and pictures that vary as `values` (T, N) do.
    """
    values = np.atleast_2d(values)
    mean = pd.DataFrame(values.T).groupby(np.asarray(scenes)).transform("mean").to_numpy().T
    spread = values.mean(1).std(ddof=1) if len(values) > 1 else 0.0
    of_scene, of_picture = mean.mean(0).std(ddof=1), (values - mean).std()
    rng, index = np.random.default_rng(seed), np.unique(scenes, return_inverse=True)[1]
    said = {effect: 0 for effect in (0.0, smallest, 2 * smallest)}
    for _ in range(draws):
        drawn = rng.normal(0, spread, (len(values), 1)) + rng.normal(0, of_picture, values.shape)
        drawn = drawn + rng.normal(0, of_scene, index.max() + 1)[index]
        effect, low, high = evaluation.interval(drawn, scenes)
        for truth in said:
            said[truth] += low + truth > smallest
    return {truth: count / draws for truth, count in said.items()}


def published(name):
    """The claims that have an answer in figures/<name>.csv, by key; none without such a file."""
    path = settings.ROOT / "figures" / f"{name}.csv"
    if not path.exists():
        return pd.DataFrame(columns=["effect", "low", "high", "verdict"]).rename_axis("key")
    table = pd.read_csv(path, dtype={"key": str}).set_index("key")
    return table[table["scenes"] > 0]


# ---------------------------------------------------------------- figures


def dot_plot(rows, dots, photographs):
    """Every claim's effect with its interval and trainings, beside its smallest effect, a line.

    rows: a table from a claim's key to claim, effect, low, high, smallest, verdict, on drawn
    pictures; photographs: the same of photographs, for some of the keys; dots: from a key to one
    value for each training. Each claim has a scale of its own.
    """
    fig, ax = plt.subplots(figsize=(8, 0.52 * len(rows) + 0.9))
    for y, row in enumerate(rows.itertuples()):
        lines = [(y - 0.13, "o", row)]
        if row.Index in photographs.index:
            lines.append((y + 0.17, "D", photographs.loc[row.Index]))
        ends = [end for *_, line in lines for end in (line.low, line.high, line.effect)]
        scale = np.nanmax(np.abs(np.subtract([*ends, *dots.get(row.Index, [])], row.smallest)))
        for at, marker, line in lines:
            colour = VERDICT_COLOURS.get(line.verdict, "0.5")
            low, effect, high = (
                np.subtract((line.low, line.effect, line.high), row.smallest) / scale
            )
            ax.plot([low, high], [at, at], color=colour, linewidth=2)
            ax.plot(effect, at, marker, color=colour, markersize=5)
            ax.text(1.06, at, f"{line.effect:.3f}, {line.verdict}", color=colour, va="center")
        trained = np.subtract(dots.get(row.Index, []), row.smallest) / scale
        ax.plot(trained, np.full(len(trained), y - 0.13), ".", color="0.2", markersize=3)
    ax.axvline(0, color="0.4", linewidth=0.8)
    names = [fill(f"{key}. {claim}", 36) for key, claim in rows["claim"].items()]
    ax.set_yticks(range(len(rows)), names, fontsize=8)
    ax.set(xlim=(-1.05, 1.05), xticks=[0], xticklabels=["smallest effect\nthat matters"])
    ax.invert_yaxis()
    ax.set_title("← short of it      beyond it →", fontsize=8)
    caption(
        fig,
        "● drawn pictures, a dot for each training; ◆ photographs. Lines: 95 % intervals.",
        ours=False,
    )
    return fig


def reliability(counts, measured, predicted):
    """How well two maps of n samples each agree, (k, 3) with intervals, and what was foretold."""
    fig, ax = plt.subplots(figsize=(4.8, 2.8))
    curve(ax, counts, measured, "measured, 95 % interval")
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
    fig, (top,), bottom = above_and_below((1, len(images)), len(panels), (1.1, 2.1))
    for ax, image, text in zip(top, images, titles, strict=True):
        ax.imshow(image)
        ax.set_title(text)
    for ax, (name, values) in zip(bottom, panels.items(), strict=True):
        curve(ax, x, values)
        ax.set(title=name, xlabel=label, ylim=0)
    return fig
