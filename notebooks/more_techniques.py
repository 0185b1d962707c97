"""More techniques, in the shape of those in `attention`, with the same pictures, classes and maps.

Score-CAM is that of tf-keras-vis, one picture at a time; the rest follows the papers' formulas.
`baseline` is the colour (C,) that counts as "nothing there", by default each picture's own mean
colour: what a map says, it says by comparison with that. Then what notebook 08 asks of all
techniques, and its figures.
"""

from functools import partial
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from utils import attention, evaluation, loading, plotting, settings
from utils.attention import checked, compiled, feature_layer, in_batches, input_gradient, kept
from utils.files import progress
from utils.model import copied
from utils.networks import flat, sources
from utils.runtime import keras, set_seed, tf

# isort: split
# The library imports TensorFlow, which starts quietly only in `runtime`.
from tf_keras_vis.scorecam import Scorecam
from tf_keras_vis.utils.model_modifiers import GuidedBackpropagation
from tf_keras_vis.utils.scores import CategoricalScore


def gradient_x_input(model, images, class_index, *, baseline=None, batch=16):
    """sum_k (I_k - I'_k) dS_c/dI_k, (N, H, W), signed: the gradient times the way from baseline I'.

    For a network that is linear in I the map sums to S_c(I) - S_c(I'). Another baseline is another
    map. Shrikumar et al. 2016, where I' is black; here see `baseline`.
    """
    heatmap = _gradient_x_input(model := flat(model), baseline)
    return in_batches(heatmap, model, images, class_index, batch, "Gradient x Input")


@kept
def _gradient_x_input(model, baseline):
    gradient = input_gradient(model)
    return lambda x, c: tf.reduce_sum((x - _colour(x, baseline)) * gradient(x, c), -1)


def integrated_gradients(model, images, class_index, *, steps=100, baseline=None, batch=20):
    """sum_k (I_k - I'_k) mean_a dS_c/dI_k at I' + a (I - I'), (N, H, W), signed.

    a takes the middles of `steps` equal parts of 0..1, so the map sums to S_c(I) - S_c(I') as
    exactly as they sample the way: compare, and take more steps where it does not.
    Sundararajan, Taly and Yan 2017, eq. 1 and 3.
    """
    model = flat(model)
    images, class_index = checked(model, images, class_index)
    total, maps = compiled(_sum_of_gradients(model), images), np.zeros(images.shape[:3], "float32")
    middles = (np.arange(steps, dtype="float32") + 0.5) / steps
    parts = list(product(range(len(images)), range(0, steps, batch)))
    for i, start in progress(parts, f"Integrated Gradients, parts of {batch} steps"):
        origin = _colour(tf.constant(images[i], tf.float32), baseline)
        way, a = images[i] - origin, middles[start : start + batch, None, None, None]
        gradients = total(origin + a * way, tf.fill(len(a), class_index[i]))
        maps[i] += tf.reduce_sum(way * gradients, -1) / steps
    return maps


@kept
def _sum_of_gradients(model):
    gradient = input_gradient(model)
    return lambda x, c: tf.reduce_sum(gradient(x, c), 0)


def guided_backpropagation(model, images, class_index, *, batch=16):
    """max_k |R_k|, (N, H, W), R the gradient of S_c with negative parts cut off at every ReLU.

    A warning, not a tool: the cutting rebuilds the picture's edges from the first layers, hardly
    asks for the class, and stays when the layers above are random. The rule is tf-keras-vis's, for
    each layer whose `activation` is ReLU. Springenberg et al. 2015; Nie et al. 2018.
    """
    model = flat(model)
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    GuidedBackpropagation()(twin)
    gradient = input_gradient(keras.Model(twin.inputs, twin.outputs[0]))

    def heatmap(x, c):
        return tf.reduce_max(tf.abs(gradient(x, c)), -1)

    return in_batches(heatmap, model, images, class_index, batch, "Guided back-propagation")


def lrp(model, images, class_index, *, epsilon=1e-6, biases=False, batch=8):
    """sum_k R_k, (N, H, W), signed: S_c handed back layer by layer, so that the map sums to S_c.

    A unit hands its relevance R to its inputs, each by its share: in a dense layer of z = sum_i x_i
    w_i, from which `epsilon` keeps it away from 0; in a convolution of what is positive in that sum
    (z+), also for inputs below 0, as the picture minus its mean. What epsilon takes is missing in
    the sum, and what the biases of dense layers take, which only do so if `biases`. For a chain of
    convolutions, dense layers and what has no weights. In float32. Bach et al. 2015; composite of
    rules as in Montavon et al. 2019.
    """
    heatmap = _lrp(model := flat(model), epsilon, biases)
    return in_batches(heatmap, model, images, class_index, batch, "LRP")


@kept
def _lrp(model, epsilon, biases):
    layers = model.layers[1:]
    linear = keras.layers.Conv2D | keras.layers.Dense
    chain = all(sources(b) == [a] for a, b in zip(model.layers, layers, strict=False))
    strange = [layer.name for layer in layers if layer.weights and not isinstance(layer, linear)]
    if strange or not chain:
        raise ValueError(
            f"{model.name} is no chain of convolutions and dense layers: LRP has no rule here for "
            f"{', '.join(strange) or 'layers that meet'}."
        )
    convolutions = (i for i, a in enumerate(layers) if isinstance(a, keras.layers.Conv2D))
    first = next(convolutions, 0)
    before = keras.Model(model.inputs, layers[first].input)

    def heatmap(x, c):
        y = x = before([x], training=False)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            for layer in layers[first:]:
                y = _shared_out(layer, y, epsilon, biases)
            score = tf.gather(y, c, batch_dims=1)
        return tf.reduce_sum(x * tape.gradient(score, x), -1)

    return heatmap


def _shared_out(layer, x, epsilon, biases):
    """The layer's output y, written as z times y / z, where only z depends on x.

    So x dS/dx is the share in z of each x, times the relevance y dS/dy: LRP by back-propagation.
    """
    y = layer(x)
    if isinstance(layer, keras.layers.Conv2D):
        signs = (1.0, -1.0)
        z = sum(
            layer.convolution_op(tf.nn.relu(s * x), tf.nn.relu(s * layer.kernel)) for s in signs
        )
    elif isinstance(layer, keras.layers.Dense):
        z = x @ layer.kernel + (layer.bias if biases else 0)
        z += tf.where(z < 0, -epsilon, epsilon)
    else:
        return y
    return z * tf.stop_gradient(tf.math.divide_no_nan(y, z))


@kept
def margins(model):
    """The network, each of its outputs the logit minus the largest other one.

    With two classes that is the log-odds, log p_c / p_other. Any technique can be asked for them.
    """
    logits = (model := flat(model)).outputs[0]
    own = 1e9 * np.eye(logits.shape[-1], dtype="float32")
    others = keras.ops.max(logits[:, None] - own, axis=-1)
    return keras.Model(model.inputs, logits - others, name=model.name)


def contrast_cam(model, images, class_index, *, layer=None, batch=32):
    """ReLU(sum_k a_k f_k), (N, h, w), a_k the mean gradient of S_c minus the largest other logit.

    Grad-CAM of `margins`: what both classes have in common falls out. Finer-CAM with strength 1 and
    one other class, Zhang et al. 2025.
    """
    return attention.grad_cam(margins(model), images, class_index, layer=layer, batch=batch)


def grad_cam_plus_plus(model, images, class_index, *, layer=None, batch=32):
    """ReLU(sum_k w_k^c f_k), (N, h, w), w_k^c = sum_xy a_k^c(x, y) ReLU(dS_c/df_k(x, y)).

    The shares a (they sum to 1) favour places with a small gradient, so that a second, weaker
    object counts too. That of tf-keras-vis over exp(S_c), which is the score there and too large
    for float32 from S_c = 89 on. Chattopadhay et al. 2018.
    """
    heatmap = _grad_cam_plus_plus(model := flat(model), layer)
    return in_batches(heatmap, model, images, class_index, batch, "Grad-CAM++")


@kept
def _grad_cam_plus_plus(model, layer):
    gradient = _feature_gradient(model, layer)

    def heatmap(x, c):
        f, g = gradient(x, c)
        a = tf.math.divide_no_nan(g**2, 2 * g**2 + g**3 * tf.reduce_sum(f, (1, 2), True))
        a = tf.math.divide_no_nan(a, tf.reduce_sum(a, (1, 2), True))
        weights = tf.reduce_sum(a * tf.nn.relu(g), (1, 2))
        return tf.nn.relu(tf.einsum("nijk,nk->nij", f, weights))

    return heatmap


def layer_cam(model, images, class_index, *, layer=None, batch=32):
    """ReLU(sum_k ReLU(dS_c/df_k(x, y)) f_k(x, y)), (N, h, w): a weight for each place.

    HiResCAM without what speaks against the class, which makes the maps of early layers readable.
    Jiang et al. 2021.
    """
    heatmap = _layer_cam(model := flat(model), layer)
    return in_batches(heatmap, model, images, class_index, batch, "LayerCAM")


@kept
def _layer_cam(model, layer):
    gradient = _feature_gradient(model, layer)

    def heatmap(x, c):
        f, g = gradient(x, c)
        return tf.nn.relu(tf.reduce_sum(tf.nn.relu(g) * f, -1))

    return heatmap


def _feature_gradient(model, layer):
    """A function of pictures x and classes c: feature maps f of the layer and dS_c/df, float32."""
    maps = feature_layer(model, layer).output
    features, after = keras.Model(model.inputs, maps), keras.Model([maps], model.outputs[0])

    def gradient(x, c):
        f = features([x], training=False)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(f)
            score = tf.gather(after([f], training=False), c, batch_dims=1)
        return [tf.cast(a, tf.float32) for a in (f, tape.gradient(score, f))]

    return gradient


def score_cam(model, images, class_index, *, layer=None, feature_maps=None, batch=32):
    """ReLU(sum_k p_c(I H_k) f_k), (N, h, w): f_k weighs what the class gets where f_k is bright.

    H_k: f_k enlarged and scaled to 0..1; where it is 0, the picture I is black. p_c: the softmax of
    the logits, so that weights near 1 differ little. feature_maps: take only so many, those that
    vary most. No gradient, one forward pass for each. From tf-keras-vis, which does not subtract
    the score of a black picture, as the paper does. Wang et al. 2020.
    """
    model = flat(model)

    def predict(x, batch_size):
        starts = range(0, len(x[0]), batch)
        return np.concatenate([model.predict_on_batch(x[0][i : i + batch]) for i in starts])

    asked = keras.Model(model.inputs, model.outputs[0])
    asked.predict = predict  # Keras' own prints a bar for each picture
    single = keras.layers.Activation("linear", dtype="float32")  # SciPy enlarges no bfloat16
    single(feature_layer(model, layer).output)
    images, class_index = checked(model, images, class_index)
    ask, raw = Scorecam(asked), dict(expand_cam=False, normalize_cam=False, max_N=feature_maps)
    raw |= dict(seek_penultimate_conv_layer=False)
    maps = []
    for i in progress(range(len(images)), "Score-CAM, pictures"):  # it holds many copies of each
        picture, score = np.float32(images[i : i + 1]), CategoricalScore(int(class_index[i]))
        maps.append(ask(score, picture, single, **raw))
    return np.concatenate(maps)


def occlusion(model, images, class_index, *, size=32, stride=16, baseline=None, batch=32):
    """S_c(I) - S_c(I with a square hidden), (N, h, w), signed: what each place is worth.

    Value (i, j) is that of the square of side `size` around pixel stride (i, j) + (stride - 1) / 2,
    which is where `plotting.enlarge` puts it; edges cut it. The square has the baseline's colour.
    Zeiler and Fergus 2014, section 4.2, there with probabilities.
    """
    model = flat(model)
    images, class_index = checked(model, images, class_index)
    masks = _without_squares(images.shape[1:3], size, stride)
    hidden, drops = masks.reshape(-1, *images.shape[1:3]), []
    scores = _scores_of_parts(model, images, class_index, baseline)
    for i in progress(range(len(images)), "Occlusion, pictures"):
        parts = [scores(i, hidden[k : k + batch]) for k in range(0, len(hidden), batch)]
        drops.append(scores(i, np.ones_like(hidden[:1])) - np.concatenate(parts))
    return np.stack(drops).reshape(-1, *masks.shape[:2])


def _colour(images, baseline):
    """The baseline's colour, or the mean colour of each picture (..., H, W, C), to broadcast."""
    if baseline is None:
        return tf.reduce_mean(images, (-3, -2), keepdims=True)
    return tf.constant(baseline, tf.float32)


def _scores_of_parts(model, images, class_index, baseline):
    """A function of i and masks (n, H, W): the logits S_c (n,) of picture i where they are 1.

    Where a mask is 0 the picture has the baseline's colour.
    """

    ask = compiled(_score(model), images)

    def scores(i, masks):
        image = tf.constant(images[i], tf.float32)
        colour = _colour(image, baseline)
        shown = colour + masks[..., None] * (image - colour)
        return ask(shown, tf.fill(len(masks), class_index[i])).numpy()

    return scores


@kept
def _score(model):
    return lambda x, c: tf.gather(model([x], training=False), c, batch_dims=1)


def _without_squares(sides, size, stride):
    """Masks (h, w, H, W), float32: 0 in one square, 1 elsewhere; see `occlusion` for the places."""
    if not 0 < stride <= min(sides) or size < 1:
        raise ValueError(
            f"size={size}, stride={stride} puts no square on pictures of {sides} pixels: both are "
            f"at least 1, and the stride at most {min(sides)}."
        )
    hidden = []
    for side in sides:
        centres = stride * np.arange(side // stride)[:, None] + (stride - 1) / 2
        away = np.arange(side) - centres
        hidden.append((-size / 2 <= away) & (away < size / 2))
    return 1 - np.einsum("ay,bx->abyx", *np.float32(hidden))


# ------------------------------------------------------------------------- asked of all of them


def methods(*, n, steps, feature_maps, size, stride):
    """All fourteen by name, as (which network they ask, the technique, the cost of one map).

    The settings are those of SmoothGrad, Integrated Gradients, Score-CAM and occlusion. "fast" is
    the dense network in the fast precision, for techniques that take many passes.
    """
    noisy = partial(attention.smoothgrad, n=n)
    way = partial(integrated_gradients, steps=steps)
    hide = partial(occlusion, size=size, stride=stride)
    weigh = partial(score_cam, feature_maps=feature_maps)
    return {
        "Saliency map": ("dense", attention.saliency_map, "1 gradient"),
        "SmoothGrad": ("fast", noisy, f"{n} gradients"),
        "Gradient × Input": ("dense", gradient_x_input, "1 gradient"),
        "Integrated Gradients": ("fast", way, f"{steps} gradients"),
        "Guided back-propagation": ("dense", guided_backpropagation, "1 gradient"),
        "LRP": ("dense", lrp, "1 gradient"),
        "Occlusion": ("fast", hide, f"{(settings.SIZE // stride) ** 2 + 1} scores"),
        "CAM": ("pooling", attention.cam, "1 score"),
        "Grad-CAM": ("dense", attention.grad_cam, "1 gradient"),
        "Contrast map": ("dense", contrast_cam, "1 gradient"),
        "HiResCAM": ("dense", attention.hires_cam, "1 gradient"),
        "Grad-CAM++": ("dense", grad_cam_plus_plus, "1 gradient"),
        "LayerCAM": ("dense", layer_cam, "1 gradient"),
        "Score-CAM": ("fast", weigh, f"{feature_maps + 1} scores"),
    }


def place_losses(model, images, class_index):
    """What the logit S_c loses when one place of the last feature maps is set to 0, (N, h, w)."""
    model, images, class_index = flat(model), *checked(model, images, class_index)
    maps = feature_layer(model, None).output
    features = keras.Model(model.inputs, maps).predict_on_batch(np.float32(images))
    after, places = keras.Model(maps, model.outputs[0]), features[0, ..., 0].size
    hidden = 1 - np.eye(places, dtype="float32").reshape(places, *maps.shape[1:3], 1)
    losses = []
    for f, c in zip(features, class_index, strict=True):
        scores = after.predict_on_batch(np.concatenate([f[None], f * hidden]))[:, c]
        losses.append((scores[0] - scores[1:]).reshape(maps.shape[1:3]))
    return np.stack(losses)


def forgetful(model, draws):
    """Yield the network with new random dense layers, `draws` times: one copy, changed each time.

    Use it before asking for the next. The same draws for the same network in any precision.
    """
    twin = copied(model)
    for draw in range(draws):
        set_seed(1000 + draw)  # the seed of no training
        fresh = keras.models.clone_model(model)
        for layer in twin.layers:
            if isinstance(layer, keras.layers.Dense):
                layer.set_weights(fresh.get_layer(layer.name).get_weights())
        yield twin


def found_in_head(maps, images, table, blur):
    """How well maps and `baseline_maps` find the head, a row each; no column without masks."""
    heads = {region: m for region, m in loading.load_regions(table).items() if region == "head"}
    blank = evaluation.baseline_maps(images)
    options = dict(blur=blur, baselines=blank, scenes=table["scene"].to_numpy())
    rows = [
        evaluation.localisation(name, plotting.enlarge(m), heads, **options)
        for name, m in (maps | blank).items()
    ]
    columns = ["pointing", "low", "high", "baseline", "energy"]
    return pd.concat(rows).set_index("technique")[columns].dropna(axis=1, how="all")


def forgotten(before, after, scenes, smallest):
    """What is left of maps (N, h, w) in those after (draws, N, h, w), as a dict, and each draw's.

    random: mean rank correlation with the map after; other: with other pictures' maps; difference:
    random - other, with its 95 % interval over pictures and draws; randomisation: the map passes if
    the whole interval lies below `smallest`, fails if all of it lies above, else it is open.
    """
    random = np.stack([evaluation.rank_correlation(before, m) for m in after])
    turns = [np.roll(before, k, axis=0) for k in range(1, len(before))]
    other = np.mean([evaluation.rank_correlation(before, m) for m in turns], axis=0)
    estimate = evaluation.interval(random - other, scenes)
    still_there = evaluation.verdict(estimate, smallest)
    row = dict(random=random.mean(), other=other.mean())
    row |= dict(zip(["difference", "difference_low", "difference_high"], estimate, strict=True))
    row["randomisation"] = {"fails": "passes", "holds": "fails", "open": "open"}[still_there]
    return row, (random - other).mean(1)


def in_turn(table, most):
    """At most so many rows, spread over the table, the classes in turn, no scene twice."""
    chosen = table[:0]
    for label in settings.CLASSES:
        rows = table[(table["label"] == label) & ~table["scene"].isin(chosen["scene"])]
        rows = loading.spread(rows.drop_duplicates("scene"), most // len(settings.CLASSES))
        chosen = pd.concat([chosen, rows])
    return chosen.iloc[np.argsort(chosen.groupby("label").cumcount(), kind="stable")]


# ------------------------------------------------------------------------------------- figures

SIGNED = {"Gradient × Input", "Integrated Gradients", "LRP", "Occlusion", "CAM", "HiResCAM"}


def draw(ax, heatmap, image, mask=None, signed=False):
    """A map over its picture (H, W, 3): red for and blue against if signed, else in heat colours.

    mask: (H, W), of what is to be outlined.
    """
    heatmap = plotting.enlarge(heatmap[None], len(image))[0]
    strength = plotting.scaled(np.abs(heatmap), 99.5)
    if signed:
        limit = np.percentile(np.abs(heatmap), 99.5) or 1
        ax.imshow(image.mean(-1), cmap="gray", vmin=-500, vmax=255)
        ax.imshow(heatmap, cmap="RdBu_r", vmin=-limit, vmax=limit, alpha=strength**0.5)
    else:
        ax.imshow(image.mean(-1), cmap="gray", vmin=0, vmax=500)
        ax.imshow(strength, cmap=plotting.COLOURS, vmin=0, vmax=1, alpha=strength**0.5)
    if mask is not None and mask.any():
        ax.contour(mask, [0.5], colors="black" if signed else "cyan", linewidths=0.7)


def family(maps, images, titles=None, masks=None, side=1.9):
    """Techniques in columns, pictures in rows; before them the pictures themselves, if titled.

    maps: a dict from a column's title to maps (N, h, w). r, over each map below the first: their
    rank correlation.
    """
    fig, axes = plotting.grid(len(images), len(maps) + bool(titles), side=side)
    masks = [None] * len(images) if masks is None else masks
    for ax, image, text in zip(axes[:, 0], images, titles or (), strict=False):
        ax.imshow(image)
        ax.set_title(text)
    for column, (name, some) in zip(axes[:, bool(titles) :].T, maps.items(), strict=True):
        alike = evaluation.rank_correlation(np.stack([some[0]] * len(some)), some)
        for i, (ax, *what) in enumerate(zip(column, some, images, masks, strict=True)):
            ax.set_title(f"r = {alike[i]:.2f}" if i else name)
            draw(ax, *what, signed=name.split(":")[0] in SIGNED)
    key = "Where a map has signs, red is for the class and blue against it. "
    plotting.caption(fig, key + "r: rank correlation with the top map.")
    return fig


def forgetting_figure(table, dots, smallest, edges):
    """The energy in the head, if known, and what is left after forgetting, a row each technique.

    table: its rows from `found_in_head` and `forgotten`; dots: from a technique to each draw's;
    edges: the energy of the picture's edges.
    """
    colours = {"passes": "C0", "open": "0.5", "fails": "C3"}
    fig, (left, ax) = plt.subplots(1, 2, figsize=(8.4, 4.2), sharey=True, width_ratios=(1, 1.8))
    for y, (name, row) in enumerate(table.iterrows()):
        colour = colours[row["randomisation"]]
        left.plot(row.get("energy", np.nan), y, "D", color="0.2", ms=6)
        ax.hlines(y, row["difference_low"], row["difference_high"], color=colour, linewidth=3)
        ax.plot(row["difference"], y, "o", color=colour, ms=8)
        ax.plot(dots[name], [y] * len(dots[name]), "o", color="black", ms=3)
        ax.text(1.15, y, row["randomisation"], va="center", color=colour)
    left.axvline(edges, color="black", linestyle="--", linewidth=1)
    left.set(xlim=(0, 1), title="share of the map in the head\n(dashed: an edge detector)")
    ax.axvline(smallest, color="black", linestyle="--", linewidth=1)
    ax.set(xlim=(-1.5, 1.1), title="likeness after forgetting\nminus that of other pictures")
    ax.set_xlabel(f"small: each draw; large: mean, 95 % interval; dashed: limit {smallest}")
    ax.set_yticks(range(len(table)), table.index)
    ax.invert_yaxis()
    return fig
