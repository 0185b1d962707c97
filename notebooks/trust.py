"""Notebook 12 alone: causes that are known, what maps make of them, and its figures.

The causes: the parts of a head, whose exact Shapley values follow from drawing every mixture of a
cat's and a dog's head; the place of a scene, which another network learned from the same pictures;
and a tag that is planted on pictures of one class, like the photographer's mark by which a network
once knew horses (Lapuschkin et al. 2019).
"""

from functools import lru_cache, partial
from itertools import combinations
from math import factorial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from data.drawing import pets
from data.images import resize
from utils import attention, evaluation, files, model, settings
from utils.plotting import (
    SMALL,
    above_and_below,
    caption,
    curve,
    draw_map,
    enlarge,
    grid,
    outline,
    word,
)

memory = files.kept(__file__)  # of what is measured of a network

CLAIMS = pd.DataFrame(
    [  # what a map should do, what is measured, the smallest effect that matters, why
        ("parts", "ranks the parts of the head as the network does",
         "rank correlation with the sizes of the Shapley values, minus the edges'", 0.2,
         "a fifth of the way from unrelated to equal"),
        ("leaves", "leaves the head when the answer lies elsewhere",
         "energy on the head, networks of animals minus networks of places", 0.05,
         "a twentieth of the map"),
        ("random", "changes when the weights are random",
         "likeness of another picture's map, minus that of the random network's",
         -0.1, "0.10 more likeness is allowed"),
        ("quiet", "does not show the tag if the network is innocent",
         "share of tagged dogs whose map does not show it; no dog tagged in training", 0.95,
         "one false alarm in twenty"),
        ("warns", "shows the tag if the network uses it",
         "share of tagged dogs whose map shows it, with all dogs tagged in training, minus without",
         0.5, "every second picture"),
    ],
    columns=["key", "a map that can be trusted", "measured", "smallest", "why"],
).set_index("key")  # fmt: skip
QUICK = {
    "saliency": attention.saliency_map,
    "smoothgrad": partial(attention.smoothgrad, n=5),
    "cam": attention.cam,
    "grad_cam": attention.grad_cam,
}
CHANGED = 12  # by so much of 255 a pixel differs when a part is swapped, or more
SIDE, SQUARE = 16, 4  # of the tag and of its squares, in pixels of a picture of side 150
EDGE = 4  # pixels left free: at the very edge the zero padding drowns the tag
PLACE = np.s_[:, EDGE : EDGE + SIDE, EDGE : EDGE + SIDE]  # top left, in arrays (N, H, W, ...)


@memory.cache(ignore=["network"])
def energies_of(known, network, images, class_index, masks, n=5, sigma=0.2):
    """What lies where in the maps of the three techniques that explain any network.

    A dict from (technique, region) to the energy in the masks, (N,), and the maps of the first two
    pictures, a dict from technique to (2, H, W). masks: a dict from region to bool (N, H, W);
    known: the network's fingerprint; n, sigma: SmoothGrad's.
    """
    maps = {
        "saliency": attention.saliency_map(network, images, class_index),
        "smoothgrad": attention.smoothgrad(network, images, class_index, n=n, sigma=sigma),
        "grad_cam": enlarge(attention.grad_cam(network, images, class_index)),
    }
    return in_regions(maps, masks), {technique: m[:2] for technique, m in maps.items()}


def in_regions(maps, masks):
    """The energy of maps (N, H, W) in masks (N, H, W), a dict from (technique, region) to (N,)."""
    return {
        (technique, region): evaluation.energy_inside(m, mask)
        for technique, m in maps.items()
        for region, mask in masks.items()
    }


# ---------------------------------------------------------------- parts of the head


@lru_cache(maxsize=64)
def hybrids(scene):
    """Pictures of a scene with every mixture of the parts of a cat's and of a dog's head.

    A dict from the set of the parts that are the dog's, a frozenset, to uint8 (H, W, 3).
    """
    drawn = pets.draw_twins(scene, heads=pets.hybrid_heads())
    return {parts: resize(image, settings.SIZE) for parts, (image, *_) in drawn.items()}


def shapley(values):
    """The exact Shapley value of each part, as a Series: they sum to v(all) - v(none).

    values: v of every set of parts, a dict from frozenset. A part's value is what adding it
    changes, the mean over all orders in which the parts can be added. Shapley 1953.
    """
    parts = sorted(max(values, key=len))
    k = len(parts)

    def value(part):
        others = [p for p in parts if p != part]
        sets = [frozenset(s) for size in range(k) for s in combinations(others, size)]
        orders = [factorial(len(s)) * factorial(k - len(s) - 1) for s in sets]
        gains = [values[s | {part}] - values[s] for s in sets]
        return np.dot(orders, gains) / factorial(k)

    return pd.Series({part: value(part) for part in parts})


@memory.cache(ignore=["network"])
def worth(known, network, scenes):
    """The Shapley values of the parts for the dog's logit minus the cat's, (scenes, parts)."""
    rows = []
    for scene in scenes:
        pictures = hybrids(scene)
        scores = np.float64(model.logits(network, np.stack(list(pictures.values()))))
        rows.append(shapley(dict(zip(pictures, scores[:, 1] - scores[:, 0], strict=True))))
    return pd.DataFrame(rows)


def part_regions(pictures):
    """Where each part is: a dict to bool (H, W), the pixels that change when it is swapped."""
    signed = {parts: np.int16(image) for parts, image in pictures.items()}
    return {
        part: np.any(
            [
                np.abs(image - signed[parts - {part}]).max(-1) >= CHANGED
                for parts, image in signed.items()
                if part in parts
            ],
            axis=0,
        )
        for part in sorted(max(signed, key=len))
    }


def parts_of(scenes):
    """Where each part is in the pictures of each of the scenes: a dict to bool (N, H, W)."""
    found = [part_regions(hybrids(scene)) for scene in scenes]
    return {part: np.stack([regions[part] for regions in found]) for part in found[0]}


# ---------------------------------------------------------------- another cause


def outdoors(table):
    """Whether each row's picture is outdoors (1) or indoors (0), int32 (N,)."""
    return np.array([pets.is_outdoors(int(scene)) for scene in table["scene"]], "int32")


# ---------------------------------------------------------------- random weights


@memory.cache(ignore=["network"])
def cascade(known, network, techniques, images, class_index, steps, seed):
    """How alike maps stay while a network is made random down to each of the layers `steps`.

    A dict from technique, one of QUICK, to the rank correlations with the trained network's maps,
    (1 + steps, N), and the first picture's maps, (1 + steps, h, w). A layer that the network lacks
    changes nothing. Adebayo et al. 2018.
    """

    def drawn(some):
        return {t: QUICK[t](some, images, class_index) for t in techniques}

    found = {None: drawn(network)}
    for name, changed in model.randomised(network, seed):
        if name in steps:
            found[name] = drawn(changed)
    found = list(pd.Series(found).reindex([None, *steps]).ffill())
    return {
        t: (
            np.stack([evaluation.rank_correlation(maps[t], found[0][t]) for maps in found]),
            np.stack([maps[t][0] for maps in found]),
        )
        for t in techniques
    }


# ---------------------------------------------------------------- what hiding costs


def paint_over(images, masks):
    """Pictures (N, H, W, 3) with their masked pixels (N, H, W) in the picture's mean colour."""
    mean = images.mean((1, 2), keepdims=True).round().astype(images.dtype)
    return np.where(masks[..., None], mean, images)


def deletion(network, images, maps, class_index, steps=9, seed=settings.SEED):
    """The margin while the cells that a map ranks first vanish, (N, 1 + steps); first, with all.

    Maps are averaged to the grid of the last convolution, so that all delete cells of one shape; a
    cell vanishes in the picture's mean colour. margin: the class's logit minus the largest other.
    Ties fall in one random order. After Petsiuk et al. 2018, who take the probability, which says
    little while it stays near 1.
    """
    cells = settings.GRID**2
    values = evaluation.averaged(maps, settings.GRID).reshape(len(maps), cells)
    shuffled = np.random.default_rng(seed).permutation(cells)
    ranks = np.argsort(shuffled[np.argsort(-values[:, shuffled], axis=1, kind="stable")], axis=1)
    where = np.arange(images.shape[1]) * settings.GRID // images.shape[1]
    ranks = ranks.reshape(-1, settings.GRID, settings.GRID)[:, where][:, :, where]
    gone = (ranks < cells * k / steps for k in range(steps + 1))
    pictures = (paint_over(images, masks) for masks in gone)
    return np.stack([_margins(network, some, class_index) for some in pictures], axis=1)


def asked_of(network, maps, images, class_index, places, sizes):
    """What deletion and the parts say of maps (N, h, w): two numbers, more is better.

    The share of the margin that hiding costs; the rank correlation of the energies on the parts
    with the sizes of their Shapley values, (N, parts). places: a dict from part to (N, H, W).
    """
    margins = deletion(network, images, maps, class_index)
    energies = in_regions({"": np.maximum(enlarge(maps), 0)}, places)
    energies = np.stack([energies["", part] for part in places], axis=1)
    ranked = evaluation.rank_correlation(energies[..., None], sizes[..., None])
    return 1 - margins[:, 1:].mean() / margins[:, 0].mean(), ranked.mean()


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


@memory.cache(ignore=["network"])
def leaning(known, network, images):
    """The second class's logit minus the first's, without the tag and with it, (2, N)."""
    scores = [model.logits(network, some) for some in (images, tagged(images))]
    return np.stack([s[:, 1] - s[:, 0] for s in scores])


def share(values, scenes):
    """(share, low, high) of what is 0 or 1, (T, N)."""
    row = evaluation.measured(values, scenes, within=(0, 1))
    return row["effect"], row["low"], row["high"]


def over_doses(found, scenes):
    """What is found at each dose: a dict from a line's name to (doses, 3) shares with their
    interval, and (doses, T) shares, one for each training.

    found: a dict from (name, dose) to what is 0 or 1, (T, N).
    """
    lines = {name: [v for (n, _), v in found.items() if n == name] for name, _ in found}
    return {
        name: (np.array([share(v, scenes) for v in values]), np.stack([v.mean(1) for v in values]))
        for name, values in lines.items()
    }


def save_cue(found, images, maps):
    """Write tables/cue.csv, and maps/cue.npz with tagged pictures and their maps over the doses,
    each as a share of its largest value.

    found: see `over_doses`; maps: a dict from dose to a dict from technique to (P, H, W).
    """
    techniques = list(next(iter(maps.values())))
    stacked = np.array([[m[t] for t in techniques] for m in maps.values()])  # (doses, k, P, H, W)
    most = stacked.max(axis=(-2, -1), keepdims=True)
    stacked = np.float16(np.divide(stacked, most, out=np.zeros(stacked.shape), where=most > 0))
    with files.whole(settings.MAPS / "cue.npz") as path:
        arrays = {"image": images, "maps": stacked.swapaxes(1, 2)}
        np.savez_compressed(path, techniques=techniques, doses=list(maps), **arrays)
    rows = [
        (dose, name, *line)
        for name, (lines, _) in found.items()
        for dose, line in zip(maps, lines, strict=True)
    ]
    columns = ["dose", "quantity", "value", "low", "high"]
    files.save_table("cue", pd.DataFrame(rows, columns=columns))


# ---------------------------------------------------------------- figures


def parts_figure(pictures, values, energies):
    """Pictures above; below, what each part is worth beside what each map has on it.

    pictures: a dict from title to (H, W, 3). values: Shapley's as a Series of shares; energies: a
    dict from a map's name to a Series of shares on the same parts.
    """
    fig, axes, (left, right) = above_and_below((1, len(pictures)), 2, (1.5, 2.3))
    for ax, (name, image) in zip(axes[0], pictures.items(), strict=True):
        ax.imshow(image)
        ax.set_title(name, fontsize=8)
    left.barh(values.index, values, color="C0")
    left.invert_yaxis()
    left.set(title="what the network uses of each", xlabel="share of the Shapley values' sizes")
    energies = pd.DataFrame(energies).loc[values.index]
    for k, name in enumerate(energies):
        y = np.arange(len(values)) + (k - (energies.shape[1] - 1) / 2) * 0.2
        right.barh(y, energies[name], height=0.18, label=name, color=f"C{k + 1}")
    right.set_yticks(range(len(values)), values.index)
    right.invert_yaxis()
    right.set(title="what the maps show there", xlabel="share of the energy on the parts")
    right.legend(frameon=False, fontsize=7)
    caption(fig)
    return fig


def causes_figure(image, mask, maps, outlined="the head"):
    """One picture's maps by several networks: from a row's name to a dict of technique to map.

    mask: (H, W), of what is `outlined` in every panel.
    """
    techniques = list(next(iter(maps.values())))
    fig, axes = grid(len(maps), 1 + len(techniques), side=1.8)
    for line, (name, row) in zip(axes, maps.items(), strict=True):
        line[0].imshow(image)
        line[0].text(-0.06, 0.5, name, transform=line[0].transAxes, ha="right", va="center")
        for ax, technique in zip(line[1:], techniques, strict=True):
            draw_map(ax, np.float32(row[technique]), image)
            ax.set_title(word(technique))
        for ax in line:
            outline(ax, mask)
    caption(fig, f"Outlined: {outlined}.")
    return fig


@plt.rc_context(SMALL)
def randomisation(image, maps, layers, similarity, baselines):
    """Maps of one picture, and how alike all maps stay, while a network is made random.

    maps: a dict from technique to the picture's map at each step; layers: the steps, the trained
    network first; similarity: a dict from technique to (steps, 3) values with their interval;
    baselines: a dict from technique to the similarity of maps of different pictures and to edges.
    """
    shape, heights = (len(maps), len(layers)), (0.9 * len(maps), 3.5)
    fig, axes, panels = above_and_below(shape, len(similarity), heights, sharey=True)
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
    caption(fig, "Axes: from the logits down to this layer, all is random. CAM has no dense layer.")
    return fig


def rank_figure(ranks):
    """Each technique's rank by each measure, 1 the best: a table that fades from best to worst.

    ranks: a table with a row for each technique and a column for each measure.
    """
    fig, ax = plt.subplots(figsize=(7.6, 0.3 * len(ranks) + 0.5))
    ax.imshow(ranks, "Blues_r", aspect="auto", interpolation="nearest", vmax=1.2 * len(ranks))
    for (y, x), rank in np.ndenumerate(ranks.to_numpy()):
        colour = "white" if rank < len(ranks) / 2 else "black"
        ax.text(x, y, f"{rank:.0f}", ha="center", va="center", color=colour)
    ax.set_xticks(range(ranks.shape[1]), ranks.columns)
    ax.set_yticks(range(len(ranks)), ranks.index)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return fig


def cue_figure(title, doses, found):
    """Over the doses: what the network does, and how often each technique's map shows the tag.

    found: see `over_doses`; names that end in ", dogs" or ", cats" are those of a technique's maps.
    """
    panels = {
        "": "what the network does",
        ", dogs": "maps of tagged dogs that show the tag",
        ", cats": "maps of tagged cats that show the tag",
    }
    fig, axes = plt.subplots(1, len(panels), figsize=(9.4, 3.3), sharey=True)
    axes = dict(zip(panels, axes, strict=True))
    axes[""].set_prop_cycle(color=["0.2", "0.55", "crimson"])
    for name, (values, dots) in found.items():
        kind = next(kind for kind in reversed(panels) if name.endswith(kind))
        curve(axes[kind], doses, values, name.removesuffix(kind))
        axes[kind].plot(doses, dots, ".", color=axes[kind].lines[-1].get_color(), ms=3)
    for kind, ax in axes.items():
        ax.set_xticks(doses, [f"{dose} %" for dose in doses])
        ax.set(ylim=(-0.03, 1.03), xlabel="dogs that wear the tag in training")
        ax.set_title(panels[kind], fontsize=8)
    axes[""].legend(frameon=False, fontsize=7, loc="center left")
    axes[", cats"].legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    fig.suptitle(title, fontsize=9, fontweight="bold")
    caption(fig, "A dot for each training; bands: 95 % intervals.")
    return fig
