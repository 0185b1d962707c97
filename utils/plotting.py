"""From arrays to figures, in one style: here raw maps are enlarged, scaled and coloured."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython import get_ipython
from matplotlib import get_data_path
from matplotlib.font_manager import fontManager
from matplotlib.text import Text
from matplotlib_inline.backend_inline import set_matplotlib_formats

from utils import settings
from utils.portuguese import translated

COLOURS = "inferno"  # one perceptual colour map for every magnitude
STYLE = {
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "image.interpolation": "nearest",
}
WORDS = {
    "en": {
        "original": "Original picture",
        "saliency": "Saliency map",
        "smoothgrad": "SmoothGrad",
        "cam": "CAM",
        "grad_cam": "Grad-CAM",
        "none": "no positive\nevidence",
        "no map": "this network\nhas no such map",
        "strange": "Unlike what the network learned from: its answer may mean nothing.",
        "cat": "cat",
        "dog": "dog",
        "both": "cat and dog",
        "evidence for": "evidence for",
        "training": "training",
        "validation": "validation",
        "epoch": "epoch",
        "loss": "loss",
        "accuracy": "accuracy",
        "worst": "The test pictures that the network was least sure of: truth → prediction.",
        "low": "low",
        "high": "high",
        "legend": "evidence for the class, each map on its own scale",
        "drawn": "The pictures are drawn by code; they are not those of the report.",
        "tag": "the tag, enlarged",
        "dose": "pictures of the class that wear the tag in training",
        "clean": "no tag",
        "swapped": "tag on the other class",
        "lift": "energy on the tag over its area",
        "knows nothing": "a map that knows nothing",
        "trained": "trained",
        "similarity": "rank correlation with\nthe trained network's map",
        "other picture": "map of another picture",
        "edges": "edges of the picture",
        "randomised": "randomised from the logits down to",
        "baseline": "best baseline",
        "interval": "mean, 95 % interval over pictures",
        "seed": "trainings with different seeds",
        "samples": "number of samples n",
        "reliability": "correlation of two maps",
        "measured": "measured",
        "predicted": "foretold by single samples",
        "non-COVID": "non-COVID",
    },
    "pt": {
        "original": "Imagem original",
        "saliency": "Mapa de saliência",
        "smoothgrad": "SmoothGrad",
        "cam": "CAM",
        "grad_cam": "Grad-CAM",
        "none": "nenhuma evidência\npositiva",
        "no map": "esta rede não\ntem tal mapa",
        "strange": "Diferente do que a rede aprendeu: sua resposta pode não dizer nada.",
        "cat": "gato",
        "dog": "cachorro",
        "worst": "As imagens de teste de que a rede esteve menos segura: verdade → predição.",
        "both": "gato e cachorro",
        "evidence for": "evidência para",
        "training": "treino",
        "validation": "validação",
        "epoch": "época",
        "loss": "perda",
        "accuracy": "acurácia",
        "low": "baixa",
        "high": "alta",
        "legend": "evidência para a classe, cada mapa em sua própria escala",
        "drawn": "As imagens são desenhadas por código; não são as do relatório.",
        "tag": "a etiqueta, ampliada",
        "dose": "imagens da classe que levam a etiqueta no treino",
        "clean": "sem etiqueta",
        "swapped": "etiqueta na outra classe",
        "lift": "energia na etiqueta sobre sua área",
        "knows nothing": "um mapa que nada sabe",
        "trained": "treinada",
        "similarity": "correlação de postos com\no mapa da rede treinada",
        "other picture": "mapa de outra imagem",
        "edges": "bordas da imagem",
        "randomised": "aleatória, dos logits até",
        "baseline": "melhor referência",
        "interval": "média, intervalo de 95 % sobre imagens",
        "seed": "treinos com sementes diferentes",
        "samples": "número de amostras n",
        "reliability": "correlação de dois mapas",
        "measured": "medida",
        "predicted": "prevista por amostras únicas",
        "non-COVID": "não COVID",
    },
}


def word(key):
    """The word for `key` in the language of the figures (setting LANGUAGE), or `key` itself."""
    return WORDS[settings.LANGUAGE].get(key, key)


def use_style(quality=85):
    """Set the one style of all figures; in notebooks as JPEG, since noise makes PNG large.

    With LANGUAGE=pt, every text that a figure is given from now on goes through `translated`.
    """
    plt.rcParams.update(STYLE)
    _take_own_fonts()
    if settings.LANGUAGE == "pt":
        Text.set_text = _set_portuguese
    if get_ipython():
        set_matplotlib_formats("jpeg", pil_kwargs={"quality": quality})


def _take_own_fonts():
    """Let figures use the fonts that come with matplotlib, and none of the machine's.

    It depends on the machine which copy of a font is found first, and so does the PDF.
    """
    fontManager.ttflist.clear()
    for path in sorted(Path(get_data_path(), "fonts", "ttf").glob("*.ttf")):
        fontManager.addfont(path)


_set_text = Text.set_text


def _set_portuguese(self, text):
    _set_text(self, translated(text) if isinstance(text, str) else text)


def grid(rows, columns, side=1.6, width=None):
    """A figure and its (rows, columns) axes for pictures, without ticks or frames."""
    size = ((width or side) * columns, side * rows)
    fig, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    return fig, axes


def caption(fig, text="", ours=True):
    """Write a caption under the figure; of the data set's pictures it says if they are drawn."""
    drawn = word("drawn") if ours and settings.DATASET.startswith("drawn") else ""
    fig.supxlabel(f"{text}\n{drawn}".strip(), fontsize=8, color="0.35")


def contact_sheet(images, titles, columns=8):
    """Pictures (N, H, W, 3) in rows of `columns`, each under its title."""
    fig, axes = grid(-(-len(images) // columns), columns, side=1.35)
    for ax, image, title in zip(axes.flat, images, titles, strict=False):
        ax.imshow(image)
        ax.set_title(title, fontsize=8)
    return fig


def learning_curves(history):
    """Loss and accuracy by epoch, on training and validation pictures, from `model.train`."""
    fig, axes = plt.subplots(1, 2, figsize=(7, 2.4))
    epochs = [row["epoch"] for row in history]
    for ax, key in zip(axes, ("loss", "accuracy"), strict=True):
        for name, style in ((key, "o-"), (f"val_{key}", "s--")):
            label = word("validation" if name.startswith("val") else "training")
            ax.plot(epochs, [row[name] for row in history], style, label=label)
        ax.set(xlabel=word("epoch"), ylabel=word(key), xticks=epochs)
    axes[0].legend(frameon=False)
    return fig


def enlarge(maps, side=settings.SIZE, geometry="true"):
    """Maps (N, h, w) as (N, side, side), bilinear; beyond the outermost units their values hold.

    geometry "true": each unit stands where its field of view is centred. After poolings that halved
    the side to one s-th, unit i is at pixel s i + (s - 1) / 2: for block5_conv3, 16 i + 7.5.
    "corners": the first and last unit on the first and last pixel, as in tf-keras-vis;
    "half-pixel": a tile of equal size for each, as in most others.
    """
    pixel = np.arange(side)

    def positions(units):
        stride = 2 ** round(np.log2(side / units))
        return {
            "true": (pixel - (stride - 1) / 2) / stride,
            "corners": pixel * (units - 1) / (side - 1),
            "half-pixel": (pixel + 0.5) * units / side - 0.5,
        }[geometry]

    down, right = (_linear(positions(units), units) for units in maps.shape[1:])
    return np.einsum("ij,njk,lk->nil", down, maps, right, optimize=True)


def _linear(positions, units):
    """Matrix (len(positions), units) that interpolates linearly between whole positions."""
    return np.stack([np.interp(positions, np.arange(units), row) for row in np.eye(units)], axis=1)


def scaled(heatmap, percentile=99):
    """A map (H, W) as 0..1: negative values are 0, the percentile and all above it are 1."""
    positive = np.maximum(heatmap, 0)
    top = np.percentile(positive, percentile) or positive.max()
    return np.clip(positive / top, 0, 1) if top > 0 else positive


def draw_map(ax, heatmap, image=None, colours=COLOURS):
    """Draw a raw map: alone if fine, over `image` if coarse; say so if it is empty or None."""
    if heatmap is None or not (heatmap > 0).any():
        ax.imshow(np.full((2, 2, 3), 0.8))
        ax.text(0.5, 0.5, word("no map" if heatmap is None else "none"), ha="center", va="center")
    elif image is None or heatmap.shape == image.shape[:2]:
        ax.imshow(scaled(heatmap), cmap=colours, vmin=0, vmax=1)
    else:
        ax.imshow(overlay(image, heatmap, colours))


def overlay(image, heatmap, colours=COLOURS, strength=0.55):
    """A coarse map (h, w) in colours over its picture (H, W, 3); RGB in 0..1."""
    heat = scaled(enlarge(heatmap[None], image.shape[0])[0], percentile=100)
    picture = image / 255
    return (1 - strength) * picture + strength * plt.get_cmap(colours)(heat)[..., :3]


def row_of_maps(maps, titles, image=None):
    """Raw maps side by side under their titles; coarse ones over `image` (H, W, 3)."""
    fig, axes = grid(1, len(maps), side=1.9)
    for ax, heatmap, text in zip(axes[0], maps, titles, strict=True):
        draw_map(ax, heatmap, image)
        ax.set_title(text)
    return fig


def signed_channels(gradients):
    """The three colours of a signed array (H, W, 3) side by side, red above zero, blue below."""
    fig, axes = grid(1, 3, side=1.9)
    limit = np.percentile(np.abs(gradients), 99.5)
    for k, (ax, colour) in enumerate(zip(axes[0], ("red", "green", "blue"), strict=True)):
        ax.imshow(gradients[..., k], cmap="RdBu_r", vmin=-limit, vmax=limit)
        ax.set_title(f"k = {k} ({colour})")
    return fig


def title(row):
    """What a picture shows and what the network says of it, from a row of the predictions.

    For a picture with both animals: which of the two the maps are asked for. A text stays itself.
    """
    if isinstance(row, str):
        return row
    if row.split == "both":
        return f"{word('both')}, {word('evidence for')} {word(row.explained)}"
    return f"{word(row.label)} → {word(row.predicted)}, {row.probability:.1%}"


def pairs(images, maps, rows):
    """The figure that every technique notebook ends in: pictures above, their maps below."""
    fig, axes = grid(2, len(images), side=1.75)
    for column, image, heatmap, row in zip(axes.T, images, maps, rows, strict=True):
        column[0].imshow(image)
        column[0].set_title(title(row).replace(", ", "\n"))
        draw_map(column[1], heatmap, image)
    return fig


def figure_1(images, maps):
    """The report's Figure 1: three columns of pictures, a row for each technique, (a) to (l).

    `maps` is a dict from technique to three raw maps. Heat maps are in jet, as in the report.
    """
    rows = ["original", *maps]
    fig, axes = grid(len(rows), len(images), side=2.3, width=2.1)
    for i, technique in enumerate(rows):
        for j, ax in enumerate(axes[i]):
            if technique == "original":
                ax.imshow(images[j])
            else:
                colours = "jet" if technique == "grad_cam" else "gray"
                draw_map(ax, maps[technique][j], images[j], colours)
            letter = "abcdefghijklmnopqrstuvwxyz"[i * len(images) + j]
            ax.set_title(f"({letter}) {word(technique)}", y=-0.14)
    caption(fig)
    return fig


def comparison(images, maps, rows, outlines=None):
    """A row for each picture, a column for each technique, one legend.

    `maps` is a dict from technique to raw maps, `rows` the pictures' predictions, `outlines` masks
    (N, H, W) of what is to be outlined in every panel.
    """
    fig, axes = grid(len(images), 1 + len(maps), side=1.8)
    for ax, technique in zip(axes[0], ["original", *maps], strict=True):
        ax.set_title(word(technique))
    for i, (line, image, row) in enumerate(zip(axes, images, rows, strict=True)):
        line[0].imshow(image)
        line[0].text(-0.06, 0.5, title(row).replace(" → ", "\n→ ").replace(", ", "\n"),
                     transform=line[0].transAxes, ha="right", va="center")  # fmt: skip
        for ax, technique in zip(line[1:], maps, strict=True):
            draw_map(ax, maps[technique][i], image)
        for ax in line if outlines is not None and outlines[i].any() else ():
            ax.contour(outlines[i], [0.5], colors="cyan", linewidths=0.7)
    heat = plt.cm.ScalarMappable(plt.Normalize(0, 1), COLOURS)
    bar = fig.colorbar(heat, ax=axes, orientation="horizontal", shrink=0.3, aspect=40, pad=0.02)
    bar.set_ticks([0, 1], labels=[word("low"), word("high")])
    bar.set_label(word("legend"))
    caption(fig)
    return fig


def explanation(image, maps, titles, text="", ours=False):
    """One picture in a row for each title, with its maps for it; `text` stands below.

    `maps` is a dict from technique to a raw map for each title, or to None for each; `ours` tells
    whether the picture is one of the data set's.
    """
    fig = comparison([image] * len(titles), maps, titles)
    caption(fig, text, ours)
    return fig


SMALL = {"image.interpolation": "antialiased"}  # of pictures that are shown below their size


def curve(ax, x, values, label=""):
    """One line of effects, from (k, 3) effects with their low and high ends, which are a band."""
    effect, low, high = np.transpose(values)
    (line,) = ax.plot(x, effect, "o-", markersize=3.5, label=label)
    ax.fill_between(x, low, high, color=line.get_color(), alpha=0.18, linewidth=0)


@plt.rc_context(SMALL)
def planted_cue(image, mask, maps, doses, accuracy, lifts):
    """What a tag in training does to maps of a tagged picture, above, and to the network, below.

    image (H, W, 3) with the tag in mask (H, W); maps a dict from technique to a map for each dose;
    accuracy and lifts dicts from a line's name to (doses, 3) values with their interval.
    """
    fig = plt.figure(figsize=(7.6, 1.25 * len(maps) + 2.8))
    above, below = fig.subfigures(2, 1, height_ratios=(1.25 * len(maps), 2.8))
    _maps_by_dose(above, image, mask, maps, doses)
    left, right = below.subplots(1, 2)
    for ax, lines in ((left, accuracy), (right, lifts)):
        for name, values in lines.items():
            curve(ax, doses, values, word(name))
        ax.set_xticks(doses, [f"{dose:.0%}" for dose in doses])
    right.axhline(1, color="0.5", linewidth=0.8, linestyle=":", label=word("knows nothing"))
    left.set(ylabel=word("accuracy"), ylim=(-0.02, 1.02))
    right.set(ylabel=word("lift"), ylim=0)
    for ax, place in ((left, "lower left"), (right, "upper left")):
        ax.legend(frameon=False, loc=place)
    caption(fig, word("dose"))
    return fig


def _maps_by_dose(figure, image, mask, maps, doses):
    """The picture and its tag in the first column, then a row of maps for each technique."""
    axes = figure.subplots(len(maps), 1 + len(doses), squeeze=False)
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    corner = image[: rows[-1] + rows[0] + 1, : columns[-1] + columns[0] + 1]
    for ax, picture, name in zip(axes[:, 0], (image, corner), ("original", "tag"), strict=False):
        ax.imshow(picture)
        ax.set_title(word(name))
    for line, (technique, row) in zip(axes[:, 1:], maps.items(), strict=True):
        for ax, dose, heatmap in zip(line, doses, row, strict=True):
            draw_map(ax, heatmap, image)
            ax.contour(mask, [0.5], colors="white", linewidths=0.6)
            ax.set_title(f"{word(technique)}, {dose:.0%}", fontsize=8)
    for ax in axes.flat:
        ax.axis("off")


@plt.rc_context(SMALL)
def randomisation(image, maps, layers, similarity, baselines):
    """Maps of one picture, and how alike all maps stay, while a network is made random.

    maps: a dict from technique to the picture's map at each step; layers: the steps, the trained
    network first; similarity: a dict from technique to (steps, 3) values with their interval;
    baselines: a dict from technique to the similarity of maps of different pictures and to edges.
    """
    fig = plt.figure(figsize=(7.6, 0.9 * len(maps) + 3.5))
    above, below = fig.subfigures(2, 1, height_ratios=(0.9 * len(maps), 3.5))
    axes = above.subplots(len(maps), len(layers), squeeze=False)
    for line, (technique, row) in zip(axes, maps.items(), strict=True):
        line[0].text(-0.08, 0.5, word(technique), transform=line[0].transAxes, ha="right")
        for ax, heatmap, layer in zip(line, row, layers, strict=True):
            draw_map(ax, heatmap, image)
            ax.axis("off")
            ax.set_title(layer.replace("_", "\n") if ax in axes[0] else "", fontsize=7)
    _similarities(below, layers, similarity, baselines)
    caption(fig, word("randomised"))
    return fig


def _similarities(figure, layers, similarity, baselines):
    """A panel for each technique: its curve and the two similarities that need no knowledge."""
    axes = figure.subplots(1, len(similarity), sharey=True, squeeze=False)[0]
    names, steps = [layer.replace("_", " ") for layer in layers], np.arange(len(layers))
    for ax, (technique, values) in zip(axes, similarity.items(), strict=True):
        curve(ax, steps, values)
        known = zip(("other picture", "edges"), ("--", ":"), baselines[technique], strict=True)
        for name, style, value in known:
            ax.axhline(value, color="0.4", linewidth=0.9, linestyle=style, label=word(name))
        ax.set_title(word(technique))
        ax.set_xticks(steps, names, rotation=90, fontsize=7)
    axes[0].set_ylabel(word("similarity"))
    axes[-1].legend(frameon=False, fontsize=7)


def forest(rows, seeds, label):
    """One line per row: the value with its interval, its best baseline, and other seeds as dots.

    rows: a table with name, effect, low, high, baseline; seeds: a dict from name to other values.
    """
    fig, ax = plt.subplots(figsize=(7, 0.3 * len(rows) + 1))
    y = np.arange(len(rows))
    dots = [(value, i) for i, name in enumerate(rows["name"]) for value in seeds.get(name, [])]
    ax.hlines(y, rows["low"], rows["high"], color="C0", linewidth=2)
    ax.plot(rows["effect"], y, "o", color="C0", label=word("interval"))
    if dots:
        ax.plot(*np.transpose(dots), "o", color="C1", ms=4, mec="white", label=word("seed"))
    ax.plot(rows["baseline"], y, "|", color="0.3", ms=13, mew=2, label=word("baseline"))
    ax.set_yticks(y, rows["name"])
    ax.invert_yaxis()
    ax.set(xlabel=label, xlim=0)
    fig.legend(frameon=False, loc="outside upper center", ncols=3, fontsize=8)
    return fig


def reliability(counts, measured, predicted):
    """How well two maps of n samples each agree, (k, 3) with intervals, and what was foretold."""
    fig, ax = plt.subplots(figsize=(4.8, 2.8))
    curve(ax, counts, measured, word("measured"))
    ax.plot(counts, predicted, "--", color="0.3", label=word("predicted"))
    ax.set(xscale="log", xlabel=word("samples"), ylabel=word("reliability"))
    ax.set_xticks(counts, counts)
    ax.minorticks_off()
    ax.legend(frameon=False)
    return fig


@plt.rc_context(SMALL)
def sweep(images, titles, x, panels, label):
    """Pictures in a row, one for each x; below, a panel with a line for each measure over x.

    panels: a dict from the measure's name to (len(x), 3) values with their interval.
    """
    fig = plt.figure(figsize=(7.6, 3.2))
    above, below = fig.subfigures(2, 1, height_ratios=(1.1, 2.1))
    (top,), (bottom,) = (
        part.subplots(1, len(shown), squeeze=False)
        for part, shown in ((above, images), (below, panels))
    )
    for ax, image, text in zip(top, images, titles, strict=True):
        ax.imshow(image)
        ax.set_title(text)
        ax.axis("off")
    for ax, (name, values) in zip(bottom, panels.items(), strict=True):
        curve(ax, x, values)
        ax.set(title=name, xlabel=label, ylim=0)
    return fig
