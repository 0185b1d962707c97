"""More techniques, in the shape of those in `attention`, with the same pictures, classes and maps.

What tf-keras-vis has and has right is asked of it, one picture at a time; the rest follows the
papers' formulas. `baseline` is the colour (C,) that counts as "nothing there", by default each
picture's own mean colour: what a map says, it says by comparison with that.
"""

from functools import partial
from itertools import product

import numpy as np

from utils.attention import checked, compiled, feature_layer, in_batches, input_gradient
from utils.files import progress
from utils.networks import flat
from utils.runtime import keras, tf

# isort: split
# The library imports TensorFlow, which starts quietly only in `runtime`.
from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
from tf_keras_vis.layercam import Layercam
from tf_keras_vis.scorecam import Scorecam
from tf_keras_vis.utils.model_modifiers import GuidedBackpropagation
from tf_keras_vis.utils.scores import CategoricalScore


def gradient_x_input(model, images, class_index, *, baseline=None, batch=16):
    """sum_k (I_k - I'_k) dS_c/dI_k, (N, H, W), signed: the gradient times the way from baseline I'.

    For a network that is linear in I the map sums to S_c(I) - S_c(I'). Another baseline is another
    map. Shrikumar et al. 2016, where I' is black; here see `baseline`.
    """
    model = flat(model)
    gradient = input_gradient(model)

    def heatmap(x, c):
        return tf.reduce_sum((x - _colour(x, baseline)) * gradient(x, c), -1)

    return in_batches(heatmap, model, images, class_index, batch, "Gradient x Input")


def integrated_gradients(model, images, class_index, *, steps=100, baseline=None, batch=20):
    """sum_k (I_k - I'_k) mean_a dS_c/dI_k at I' + a (I - I'), (N, H, W), signed.

    a takes the middles of `steps` equal parts of 0..1, so the map sums to S_c(I) - S_c(I') as
    exactly as they sample the way: compare, and take more steps where it does not.
    Sundararajan, Taly and Yan 2017, eq. 1 and 3.
    """
    model = flat(model)
    images, class_index = checked(model, images, class_index)
    gradient, maps = input_gradient(model), np.zeros(images.shape[:3], "float32")
    total = compiled(lambda x, c: tf.reduce_sum(gradient(x, c), 0), images)
    middles = (np.arange(steps, dtype="float32") + 0.5) / steps
    parts = list(product(range(len(images)), range(0, steps, batch)))
    for i, start in progress(parts, f"Integrated Gradients, parts of {batch} steps"):
        origin = _colour(tf.constant(images[i], tf.float32), baseline)
        way, a = images[i] - origin, middles[start : start + batch, None, None, None]
        gradients = total(origin + a * way, tf.fill(len(a), class_index[i]))
        maps[i] += tf.reduce_sum(way * gradients, -1) / steps
    return maps


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


def grad_cam_plus_plus(model, images, class_index, *, layer=None):
    """ReLU(sum_k w_k^c f_k), (N, h, w), w_k^c = sum_xy a_k^c(x, y) ReLU(dS_c/df_k(x, y)).

    The shares a (they sum to 1) favour places with a small gradient, so that a second, weaker
    object counts too. The library's score is exp(S_c), beyond float32 from S_c = 89 on: it is asked
    for S_c minus its own value, which divides the map by exp(S_c) and changes nothing else. In
    float32 only. Chattopadhay et al. 2018.
    """
    model = flat(model)

    def score(c):
        return lambda scores: scores[:, c] - tf.stop_gradient(scores[:, c])

    layer, ask = feature_layer(model, layer), GradcamPlusPlus(_in_float32(model))
    return _asked(ask, score, model, images, class_index, layer, "Grad-CAM++")


def layer_cam(model, images, class_index, *, layer=None):
    """ReLU(sum_k ReLU(dS_c/df_k(x, y)) f_k(x, y)), (N, h, w): a weight for each place.

    HiResCAM without what speaks against the class, which makes the maps of early layers readable.
    From tf-keras-vis, in float32 only. Jiang et al. 2021.
    """
    model = flat(model)
    layer, ask = feature_layer(model, layer), Layercam(_in_float32(model))
    return _asked(ask, CategoricalScore, model, images, class_index, layer, "LayerCAM")


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
    ask = partial(Scorecam(asked), max_N=feature_maps)
    return _asked(ask, CategoricalScore, model, images, class_index, single, "Score-CAM")


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

    def score(x, c):
        return tf.gather(model([x], training=False), c, batch_dims=1)

    ask = compiled(score, images)

    def scores(i, masks):
        image = tf.constant(images[i], tf.float32)
        colour = _colour(image, baseline)
        shown = colour + masks[..., None] * (image - colour)
        return ask(shown, tf.fill(len(masks), class_index[i])).numpy()

    return scores


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


def _asked(ask, score, model, images, class_index, layer, label):
    """The raw maps that tf-keras-vis gives, one picture at a time: it holds many copies of each.

    ask: its technique. score: from a class to the score that it is asked for.
    """
    images, class_index = checked(model, images, class_index)
    options = dict(seek_penultimate_conv_layer=False, expand_cam=False, normalize_cam=False)
    maps = []
    for i in progress(range(len(images)), f"{label}, pictures"):
        picture = np.float32(images[i : i + 1])
        maps.append(ask(score(int(class_index[i])), picture, layer, **options))
    return np.concatenate(maps)


def _in_float32(model):
    """The network, or a ValueError where tf-keras-vis would fail on its precision."""
    if any(layer.compute_dtype != "float32" for layer in model.layers):
        raise ValueError(
            f"tf-keras-vis takes gradients in float32 only, and {model.name} computes in another "
            "precision: give the network in float32."
        )
    return model
