"""From arrays to figures, in one style: here raw maps are enlarged, scaled and coloured."""

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from IPython import get_ipython
from IPython.core.pylabtools import print_figure
from matplotlib_inline.backend_inline import set_matplotlib_formats

from utils import settings

COLOURS = "inferno"  # one perceptual colour map for every magnitude
STYLE = {
    "figure.dpi": 150,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "image.interpolation": "bilinear",
}
SMALL = {"image.interpolation": "antialiased"}  # of pictures that are shown below their size
WORDS = {  # of Figure 1, the comparison and the pages: in English, in Portuguese
    "original": ("Original picture", "Imagem original"),
    "saliency": ("Saliency map", "Mapa de saliência"),
    "smoothgrad": ("SmoothGrad", "SmoothGrad"),
    "cam": ("CAM", "CAM"),
    "grad_cam": ("Grad-CAM", "Grad-CAM"),
    "none": ("no positive\nevidence", "sem evidência\npositiva"),
    "no map": ("this network\nhas no such map", "esta rede não\ntem esse mapa"),
    "strange": (
        "Unlike what the network learned from: its answer may mean nothing.",
        "Imagem diferente das que a rede viu: a resposta pode não significar nada.",
    ),
    "cat": ("cat", "gato"),
    "dog": ("dog", "cachorro"),
    "both": ("cat and dog", "gato e cachorro"),
    "non-COVID": ("non-COVID", "não COVID"),
    "class": ("class:", "classe:"),
    "outlined": {
        "head": (
            "Outlined: the head, of a cat or a dog.",
            "Contorno: a cabeça, de gato ou cachorro.",
        ),
        "opacity": ("Outlined: the opacities.", "Contorno: as opacidades."),
    }[settings.REGIONS[1]],
    ".": (".", ","),  # before the decimals
    "low": ("low", "baixa"),
    "high": ("high", "alta"),
    "legend": (
        "sensitivity of the score (saliency map, SmoothGrad) or evidence for the class (CAM, "
        "Grad-CAM);\neach map has its own scale",
        "sensibilidade do escore (mapa de saliência, SmoothGrad) ou evidência a favor da classe "
        "(CAM, Grad-CAM);\ncada mapa em sua própria escala",
    ),
    "figure 1": (
        "Figure 1: Attention maps for the classification of",
        "Figura 1: Mapas de atenção gerados para o problema de classificação entre",
    ),
    "animals": ("dogs and cats", "cachorros e gatos"),
    "slices": ("CT slices with and without COVID-19", "cortes de TC com e sem COVID-19"),
    "drawn": (
        "The pictures are drawn by code; they are not those of the report.",
        "As imagens foram desenhadas por um programa; não são as do relatório.",
    ),
}


def word(key):
    """The words for `key` in the language of the figures (setting LANGUAGE), or `key` itself."""
    english, portuguese = WORDS.get(key, (key, key))
    return portuguese if settings.LANGUAGE == "pt" else english


def use_style(quality=80):
    """Set the one style of all figures; `quality` is that of those which notebooks keep as JPEG."""
    plt.rcParams.update(STYLE)
    if shell := get_ipython():
        set_matplotlib_formats()  # none but this:
        bundles = shell.display_formatter.mimebundle_formatter
        bundles.for_type(plt.Figure, partial(_compact, quality=quality))


def _compact(fig, quality, **_):
    """A figure for a notebook: as PNG, or as JPEG where that is far smaller, as it is for noise."""
    png = print_figure(fig, "png", base64=True)
    jpeg = print_figure(fig, "jpeg", base64=True, pil_kwargs={"quality": quality})
    return {"image/png": png} if len(png) < 2 * len(jpeg) else {"image/jpeg": jpeg}


def grid(rows, columns, side=1.6, width=None):
    """A figure and its (rows, columns) axes for pictures, without ticks or frames."""
    size = ((width or side) * columns, side * rows)
    fig, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    return fig, axes


def caption(fig, text="", ours=True):
    """Write a caption under the figure; of the data set's pictures it says if they are drawn."""
    drawn = word("drawn") if ours and settings.DRAWN else ""
    fig.supxlabel(f"{text}\n{drawn}".strip(), fontsize=8, color="0.35")


def contact_sheet(images, titles, columns=8):
    """Pictures (N, H, W, 3) in rows of `columns`, each under its title."""
    fig, axes = grid(-(-len(images) // columns), columns, side=1.35)
    for ax, image, title in zip(axes.flat, images, titles, strict=False):
        ax.imshow(image)
        ax.set_title(title, fontsize=8)
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


def overlay(image, heatmap, colours=COLOURS, strength=0.8):
    """A coarse map (h, w) in colours over its picture (H, W, 3); RGB in 0..1.

    Where the map is cold the picture stays as it is; where it is hottest, a share of 1 - strength.
    """
    heat = scaled(enlarge(heatmap[None], image.shape[0])[0], percentile=100)
    alpha = strength * heat[..., None]
    return (1 - alpha) * (image / 255) + alpha * plt.get_cmap(colours)(heat)[..., :3]


def outline(ax, mask):
    """Draw the border of a mask (H, W), if it has one."""
    if mask.any():
        ax.contour(mask, [0.5], colors="cyan", linewidths=0.8)


def row_of_maps(maps, titles, image=None, mask=None):
    """Raw maps side by side under their titles; coarse ones over `image` (H, W, 3).

    mask: (H, W), of what is to be outlined in every map.
    """
    fig, axes = grid(1, len(maps), side=2.2)
    for ax, heatmap, text in zip(axes[0], maps, titles, strict=True):
        draw_map(ax, heatmap, image)
        ax.set_title(text)
        if mask is not None:
            outline(ax, mask)
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
        return f"{word('both')}, {word('class')} {word(row.explained)}"
    share = f"{row.probability:.1%}".replace(".", word("."))
    return f"{word(row.label)} → {word(row.predicted)}, {share}"


def pairs(images, maps, rows, masks=None):
    """Pictures above, their maps below.

    masks: (N, H, W), of what is to be outlined in every map.
    """
    fig, axes = grid(2, len(images), side=2)
    masks = [None] * len(images) if masks is None else masks
    for column, image, heatmap, row, mask in zip(axes.T, images, maps, rows, masks, strict=True):
        column[0].imshow(image)
        column[0].set_title(title(row).replace(", ", "\n"))
        draw_map(column[1], heatmap, image)
        if mask is not None:
            outline(column[1], mask)
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
    what = word("slices" if settings.SLICES else "animals")
    caption(fig, f"{word('figure 1')} {what}")
    return fig


def comparison(images, maps, rows, masks=None):
    """A row for each picture, a column for each technique, one legend.

    `maps` is a dict from technique to raw maps, `rows` the pictures' predictions, `masks` (N, H,
    W) what is to be outlined in every panel.
    """
    fig, axes = grid(len(images), 1 + len(maps), side=1.8)
    for ax, technique in zip(axes[0], ["original", *maps], strict=True):
        ax.set_title(word(technique))
    for i, (line, image, row) in enumerate(zip(axes, images, rows, strict=True)):
        line[0].imshow(image)
        text = title(row).replace(", ", "\n")
        line[0].text(-0.06, 0.5, text, transform=line[0].transAxes, ha="right", va="center")
        for ax, technique in zip(line[1:], maps, strict=True):
            draw_map(ax, maps[technique][i], image)
        for ax in line if masks is not None else ():
            outline(ax, masks[i])
    heat = plt.cm.ScalarMappable(plt.Normalize(0, 1), COLOURS)
    bar = fig.colorbar(heat, ax=axes, orientation="horizontal", shrink=0.3, aspect=40, pad=0.02)
    bar.set_ticks([0, 1], labels=[word("low"), word("high")])
    bar.set_label(word("legend"))
    caption(fig, word("outlined") if masks is not None else "")
    return fig


def curve(ax, x, values, label=""):
    """One line of effects, from (k, 3) effects with their low and high ends, which are a band."""
    effect, low, high = np.transpose(values)
    (line,) = ax.plot(x, effect, "o-", markersize=3.5, label=label)
    ax.fill_between(x, low, high, color=line.get_color(), alpha=0.18, linewidth=0)


def above_and_below(shape, panels, heights, sharey=False):
    """A figure, its axes for pictures above, (rows, columns) = `shape`, and its panels below.

    heights: of both halves, in inches.
    """
    fig = plt.figure(figsize=(7.6, sum(heights)))
    above, below = fig.subfigures(2, 1, height_ratios=heights)
    pictures = above.subplots(*shape, squeeze=False)
    for ax in pictures.flat:
        ax.axis("off")
    return fig, pictures, below.subplots(1, panels, sharey=sharey, squeeze=False)[0]
