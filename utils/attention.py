"""The techniques, in one shape: `method(model, images, class_index, *, ...) -> maps`.

images (N, H, W, C), in the units of the network's input: here RGB in 0..255. class_index: the class
that a map explains, one for all pictures or one for each (N,). maps: float32 (N, h, w), **raw**:
not normalised, not clipped, not enlarged. The score S_c is the logit of class c, of any Keras
classifier: `networks.flat` finds it. `batch` bounds the memory and leaves the maps as they are. A
class, layer or network that does not fit is a ValueError that says what would.

Precision is the network's own. `model.fast(network)` computes in bfloat16 where the machine gains
by it; its docstring says which techniques bear that.
"""

from functools import lru_cache, reduce
from itertools import product

import numpy as np

from utils.files import progress
from utils.networks import flat, has_maps, sources
from utils.runtime import keras, tf

CHANNELS = {  # from the gradient's absolute values (..., C) to one value per pixel
    "max": lambda g: tf.reduce_max(g, -1),
    "sum": lambda g: tf.reduce_sum(g, -1),
    "mean": lambda g: tf.reduce_mean(g, -1),
    "norm": lambda g: tf.norm(g, axis=-1),
}
AVERAGES = {  # what is averaged over the samples, and how that becomes one value per pixel
    "maps": (lambda g: tf.reduce_max(tf.abs(g), -1), lambda mean: mean),
    "absolute": (tf.abs, lambda mean: mean.max(-1)),
    "signed": (lambda g: g, lambda mean: np.abs(mean).max(-1)),
    "squared": (tf.square, lambda mean: mean.max(-1)),
}
POOLED = {"mean": tf.reduce_mean, "sum": tf.reduce_sum}


def saliency_map(model, images, class_index, *, channels="max", batch=16):
    """max_k |dS_c/dI_k| over the colour channels k, (N, H, W): how much each pixel moves the score.

    channels: "max" (the report and the paper), "sum", "mean" or "norm", always after the absolute
    value. With two classes that a softmax tells apart, the maps of both can be the same picture:
    what differs is the gradient's sign, and it is gone.
    Report section 3.1.3; Simonyan et al. 2013, section 3.1.
    """
    heatmap = _saliency(model := flat(model), _choice(CHANNELS, channels=channels))
    return in_batches(heatmap, model, images, class_index, batch, "saliency")


def smoothgrad(
    model, images, class_index, *, n=50, sigma=0.2, absolute=False, average="maps", seed=0, batch=25
):
    """(1/n) sum_s M(I + N(0, sigma^2)), (N, H, W): the mean of n saliency maps M under noise.

    sigma: the noise's standard deviation as a share of each picture's range (max - min), or in the
    picture's units if `absolute`. average: "maps", the report's mean of max_k |g|; "absolute",
    max_k of mean |g| (tf-keras-vis); "signed", max_k of |mean g| (the paper); "squared", max_k of
    mean g^2. Sample s is the same noise for every picture: a map depends on `seed`, not on the
    pictures beside it. Report section 3.2.2; Smilkov et al. 2017.
    """
    images, class_index = checked(model := flat(model), images, class_index)
    each, finish = _choice(AVERAGES, average=average)
    total = compiled(_total(model, each), images)
    sums = [0.0] * len(images)
    parts = list(product(range(0, n, batch), range(len(images))))  # of one noise for all pictures
    for start, i in progress(parts, f"SmoothGrad, parts of {batch} samples"):
        noise = _noise(seed, start, min(start + batch, n), images.shape[1:])
        scale = sigma if absolute else sigma * np.ptp(np.float32(images[i]))
        noisy = tf.constant(images[i], tf.float32) + np.float32(scale) * noise
        sums[i] += total(noisy, tf.fill(len(noise), class_index[i])).numpy()
    return np.stack([finish(part / n) for part in sums])


def cam(model, images, class_index, *, batch=32):
    """sum_k w_k^c f_k(x, y), (N, h, w): the class's weights, spread over the last feature maps.

    Only for a network that ends in global average pooling and one linear layer; the mean of the map
    is then the logit without its bias. Report section 3.3.3; Zhou et al. 2016, eq. 2.
    """
    heatmap = _cam(model := flat(model))
    return in_batches(heatmap, model, images, class_index, batch, "CAM")


def grad_cam(model, images, class_index, *, layer=None, pooled="mean", batch=32):
    """ReLU(sum_k a_k^c f_k), (N, h, w), a_k^c the pooled gradient dS_c/df_k of feature map k.

    layer: name of the layer whose output is f, by default the last convolution. pooled: "mean", or
    the "sum" of the report's formula: 1/Z, which any normalisation of the map cancels.
    Report section 3.4.2; Selvaraju et al. 2017, eq. 1 and 2.
    """
    heatmap = _grad_cam(model := flat(model), layer, _choice(POOLED, pooled=pooled))
    return in_batches(heatmap, model, images, class_index, batch, "Grad-CAM")


def hires_cam(model, images, class_index, *, layer=None, batch=32):
    """sum_k dS_c/df_k(x, y) f_k(x, y), (N, h, w): the gradient is not pooled, the sign is kept.

    For a head that is linear in f the map sums to the logit without its bias, which makes it the
    yardstick for Grad-CAM on heads that are not. Draelos and Carin 2020.
    """
    heatmap = _hires_cam(model := flat(model), layer)
    return in_batches(heatmap, model, images, class_index, batch, "HiResCAM")


# ------------------------------------------------ functions of pictures x and classes c

kept = lru_cache(maxsize=2)  # the same function again has its graph already


@kept
def _saliency(model, reduce):
    gradient = input_gradient(model)
    return lambda x, c: reduce(tf.abs(gradient(x, c)))


@kept
def _total(model, each):
    """The sum of `each` over samples."""
    gradient = input_gradient(model)
    return lambda x, c: tf.reduce_sum(each(gradient(x, c)), 0)


@kept
def _cam(model):
    pooling, *dense = _pooling_head(model)
    features = keras.Model(model.inputs, pooling.input)

    def heatmap(x, c):
        feature_maps = tf.cast(features([x], training=False), tf.float32)
        weights = reduce(tf.matmul, [tf.cast(layer.kernel, tf.float32) for layer in dense])
        return tf.einsum("nijk,kn->nij", feature_maps, tf.gather(weights, c, axis=1))

    return heatmap


@kept
def _grad_cam(model, layer, pool):
    gradient = _feature_gradient(model, layer)

    def heatmap(x, c):
        feature_maps, gradients = gradient(x, c)
        return tf.nn.relu(tf.einsum("nijk,nk->nij", feature_maps, pool(gradients, (1, 2))))

    return heatmap


@kept
def _hires_cam(model, layer):
    gradient = _feature_gradient(model, layer)

    def heatmap(x, c):
        feature_maps, gradients = gradient(x, c)
        return tf.reduce_sum(feature_maps * gradients, -1)

    return heatmap


def input_gradient(model):
    """A function of pictures x and classes c: dS_c/dx, float32, in the shape of x."""
    logits = keras.Model(model.inputs, model.outputs[0])

    def gradient(x, c):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            score = tf.gather(logits([x], training=False), c, batch_dims=1)
        return tape.gradient(score, x)

    return gradient


def _feature_gradient(model, layer):
    """A function of pictures x and classes c: feature maps f of the layer and dS_c/df, float32."""
    both = keras.Model(model.inputs, [feature_layer(model, layer).output, model.outputs[0]])

    def gradient(x, c):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            feature_maps, scores = both([x], training=False)
            score = tf.gather(scores, c, batch_dims=1)
        return [tf.cast(a, tf.float32) for a in (feature_maps, tape.gradient(score, feature_maps))]

    return gradient


def _pooling_head(model):
    """The global average pooling that a network ends in, and the linear layers after it."""
    head = [model.layers[-1]]
    while isinstance(head[0], keras.layers.Dense | keras.layers.Dropout) and _is_linear(head[0]):
        head = sources(head[0]) + head
    if not isinstance(head[0], keras.layers.GlobalAveragePooling2D):
        raise ValueError(
            f"CAM needs global average pooling right before the output, and {model.name} has "
            f"{head[0].name} there: use grad_cam, or a network with that head."
        )
    return [layer for layer in head if not isinstance(layer, keras.layers.Dropout)]


def _is_linear(layer):
    return getattr(layer, "activation", keras.activations.linear) is keras.activations.linear


def feature_layer(model, name):
    """The layer of that name, or the last convolution; it has to have maps (h, w, K) as output."""
    maps = {layer.name: layer for layer in model.layers if has_maps(layer)}
    convolutions = [key for key, layer in maps.items() if isinstance(layer, keras.layers.Conv2D)]
    if name is None and not convolutions:
        raise ValueError(f"{model.name} has no convolution, so there are no feature maps to weigh.")
    name = name or convolutions[-1]
    if name not in maps:
        raise ValueError(f"layer={name!r} has no feature maps; choose one of: {', '.join(maps)}.")
    return maps[name]


# -------------------------------------------------------------------------- running them


def in_batches(function, model, images, class_index, batch, label):
    """The maps of all pictures, `batch` at a time, by a function of pictures and classes."""
    images, class_index = checked(model, images, class_index)
    graph = compiled(function, images)
    maps = []
    for i in progress(range(0, len(images), batch), f"{label}, batches"):
        x, c = images[i : i + batch], class_index[i : i + batch]
        maps.append(graph(tf.constant(x, tf.float32), tf.constant(c)).numpy())
    return np.concatenate(maps)


def compiled(function, images):
    """`function` of pictures and classes as one graph for any number of pictures like `images`."""
    return _graph(function, images.shape[1:])


@lru_cache(maxsize=8)
def _graph(function, shape):
    pictures, classes = tf.TensorSpec((None, *shape), tf.float32), tf.TensorSpec((None,), tf.int32)
    return tf.function(function, input_signature=[pictures, classes], autograph=False)


def checked(model, images, class_index):
    """The pictures and one class index for each, or a ValueError that says what is wrong."""
    images, given = np.asanyarray(images), np.asarray(class_index)
    shape, classes = tuple(model.input_shape[1:]), model.output_shape[-1]
    if not tf.TensorShape(shape).is_compatible_with(images.shape[1:]) or len(images) == 0:
        raise ValueError(
            f"{model.name} needs pictures of shape {shape}, at least one; got {images.shape}."
        )
    if given.shape not in ((), (len(images),)):
        raise ValueError(f"{given.size} classes for {len(images)} pictures: give one, or one each.")
    if given.dtype.kind not in "iu" or given.min() < 0 or given.max() >= classes:
        raise ValueError(f"class_index takes whole numbers from 0 to {classes - 1}, not {given}.")
    for i in np.flatnonzero(~np.isfinite(images).all((1, 2, 3)))[:1]:
        raise ValueError(f"Picture {i} holds nan or infinite values: mend it or leave it out.")
    return images, np.broadcast_to(given, len(images)).astype("int32")


def _choice(table, **given):
    """table[value] for the one keyword `name=value`, or an error with the values there are."""
    ((name, value),) = given.items()
    if value not in table:
        raise ValueError(f"{name}={value!r} is not known; choose one of {tuple(table)}.")
    return table[value]


@lru_cache(maxsize=1)
def _noise(seed, start, stop, shape):
    """The noise of the samples from `start` up to `stop`, kept until others are asked for."""
    return tf.constant(np.stack([noise_of(seed, sample, shape) for sample in range(start, stop)]))


def noisy(images, sigma, seed=0):
    """One copy I + N(0, sigma^2) of each picture, unclipped, float32 like `images` (N, H, W, C).

    sigma: as a share of each picture's range, as in `smoothgrad`. Each picture has its own noise.
    """
    images = np.float32(images)
    scales = np.float32(sigma) * np.ptp(images, axis=(1, 2, 3))
    noise = (scale * noise_of(seed, i, images.shape[1:]) for i, scale in enumerate(scales))
    return np.stack([image + some for image, some in zip(images, noise, strict=True)])


def noise_of(seed, sample, shape):
    """Standard normal noise of one sample, the same for every picture."""
    return np.random.default_rng((seed, sample)).standard_normal(shape, "float32")
