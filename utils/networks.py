"""What a technique has to know of any Keras classifier: its logits, and where its units look."""

import numpy as np
import pandas as pd

from utils.runtime import keras

WINDOWED = (  # a unit reads a window of rows and columns
    *(keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D),
    *(keras.layers.AveragePooling2D, keras.layers.MaxPooling2D),
)
EVERY_PLACE = {"Flatten", "GlobalAveragePooling2D", "GlobalMaxPooling2D"}
SAME_PLACE = {  # a unit reads the units in the same row and column
    *("Activation", "Add", "Average", "BatchNormalization", "Concatenate", "Dense", "Dropout"),
    *("ELU", "GaussianDropout", "GaussianNoise", "Identity", "LayerNormalization", "LayerScale"),
    *("LeakyReLU", "Maximum", "Minimum", "Multiply", "Negative", "Normalization", "PReLU", "ReLU"),
    *("Relu", "Rescaling", "Sigmoid", "Silu", "Softmax", "SpatialDropout2D", "StochasticDepth"),
    *("Subtract", "Tanh", "TrueDivide"),
}


def flat(model):
    """The classifier as one graph of layers, from pictures to logits.

    Models inside it (a pre-trained base) and Sequential ones are taken apart; a softmax or sigmoid
    at the end is left out, since the score is the logit. One sigmoid output stands for two classes,
    with the logits -z and z. A network that is so already is returned itself, any other copied with
    its weights at each call: to call often, flatten it once. Raises ValueError for a network that
    has no such graph.
    """
    if not _is_graph(model) or len(model.inputs) > 1:
        raise ValueError(
            f"{model.name} is no graph of layers with one input and one output. Build it with "
            "keras.Model(inputs, outputs), or with keras.Sequential and an input shape."
        )
    nested = isinstance(model, keras.Sequential) or any(map(_is_graph, model.layers))
    if not nested and not _squashing(_source(model.outputs[0])):
        return model
    copies = {}
    with model.distribute_strategy.scope():
        image = keras.Input(model.input_shape[1:], name=model.inputs[0].name)
        logits = _linear(_called(copies, model, image))
        _take_weights(copies)
        return keras.Model([image], logits, name=model.name)


def has_maps(layer):
    """Whether a layer's output is feature maps (h, w, K)."""
    return len(getattr(layer.output, "shape", ())) == 4


def sources(layer):
    """The layers whose outputs go into a layer."""
    return [_source(tensor) for tensor in keras.tree.flatten(layer.input)]


def _source(tensor):
    return tensor._keras_history.operation


def _is_graph(layer):
    """Whether a layer is a model that can be taken apart into layers."""
    return isinstance(layer, keras.Model) and len(getattr(layer, "outputs", None) or []) == 1


def _called(copies, layer, *inputs, **options):
    """The output for symbolic inputs of a layer's copy, or of the copies of a model's layers.

    copies: a dict from each layer to its copy, which this fills.
    """
    if not _is_graph(layer):
        copies[layer] = copies.get(layer) or _copy(layer, [copy.name for copy in copies.values()])
        return copies[layer](*inputs, **options)
    if isinstance(layer, keras.Sequential):
        for part in layer.layers:
            inputs = [_called(copies, part, *inputs)]
        return inputs[0]
    outputs = []

    def call(part, *inputs, **options):
        outputs.append(_called(copies, part, *inputs, **options))
        return outputs[-1]

    # Only the calls are of use, the last of which gives the output: the model that this returns
    # has lost its ties to `inputs`.
    inputs = keras.tree.pack_sequence_as(layer.input, keras.tree.flatten(inputs))
    keras.models.clone_model(layer, inputs, lambda part: part, call)
    return outputs[-1]


def _copy(layer, taken):
    """A copy of a layer without its weights, under a name that is not taken."""
    config = layer.get_config()
    if layer.name in taken:  # one in the base and one in the head
        config["name"] = f"{layer.name}_{len(taken)}"
    return type(layer).from_config(config)


def _take_weights(copies):
    """Give each copy its layer's weights."""
    for layer, copy in copies.items():
        if getattr(layer, "weights", None):
            copy.set_weights(layer.get_weights())
        if hasattr(copy, "finalize_state"):  # Normalization computes with what this derives
            copy.finalize_state()


def _squashing(layer):
    """What a layer does last, if that is "softmax" or "sigmoid"; else ""."""
    last = getattr(layer, "activation", layer)
    name = getattr(last, "__name__", type(last).__name__).lower()
    return name if name in {"softmax", "sigmoid"} else ""


def _linear(output):
    """The logits of a symbolic output: what its softmax or sigmoid takes in."""
    layer = _source(output)
    squashing = _squashing(layer)
    if hasattr(layer, "activation") and squashing:
        layer.activation = keras.activations.linear
    elif squashing:
        output = layer.input
    if squashing == "sigmoid" and output.shape[-1] == 1:
        both = keras.layers.Dense(2, use_bias=False, name="both_classes")
        output = both(output)
        both.set_weights([np.array([[-1, 1]])])
    return output


def geometry(model):
    """Where the units of each layer with maps (h, w, K) look in the picture, as a table.

    layer; units: h; stride: pixels from one unit to the next; first: the pixel on which the field
    of view of unit 0 is centred; field: its side in pixels (these four down the height); unread:
    the share of the places that no later layer reads, whatever the weights. A gate that looks at
    all of the picture has no row, and leaves the field of what it opens as it is. Raises ValueError
    at a layer whose reach is not known.
    """
    model, rows = flat(model), []
    read = read_places(model)
    for name, (stride, low, high) in _views(model).items():
        rows.append(dict(layer=name, units=len(read[name]), stride=stride, first=(low + high) / 2))
        rows[-1] |= dict(field=high - low + 1, unread=1 - read[name].mean())
    return pd.DataFrame(rows)


def _views(model):
    """By layer: pixels from one unit to the next, and the first and last that unit 0 looks at."""
    views = {}
    for layer in model.operations:
        before = [views[source.name] for source in sources(layer) if source.name in views]
        if isinstance(layer, keras.layers.InputLayer):
            views[layer.name] = 1, 0, 0
        elif before and has_maps(layer) and type(layer).__name__ not in EVERY_PLACE:
            (size, step, padding, dilation), _ = _windows(layer)
            (stride, *_), lows, highs = zip(*before, strict=True)
            low = min(lows) - padding * stride
            high = max(highs) + ((size - 1) * dilation - padding) * stride
            views[layer.name] = step * stride, low, high
    return views


def read_places(model):
    """Which places of each layer's maps (h, w, K) a later layer reads: a dict to bool (h, w).

    The gradient of what is not read is zero for any weights: row 8 of 9 before a pooling of 2 x 2.
    """
    model = flat(model)
    if None in model.input_shape[1:]:
        raise ValueError(
            f"{model.name} takes pictures of any size, and what is read depends on the size: build "
            "it with one, as in keras.Input((150, 150, 3))."
        )
    layers = [layer for layer in model.operations if has_maps(layer)]
    places = {layer.name: np.zeros(layer.output.shape[1:3], bool) for layer in layers}
    if (output := _source(model.outputs[0]).name) in places:
        places[output][:] = True
    for layer in reversed(model.operations):
        for source in sources(layer):
            if source.name in places:
                places[source.name] |= _read_by(layer, places[source.name].shape, places)
    return places


def _read_by(layer, shape, places):
    """Which places of a source (h, w) a layer reads where `places` of its own are read, bool."""
    kind, own = type(layer).__name__, places.get(layer.name)
    if own is None or kind in EVERY_PLACE or (kind in SAME_PLACE and own.shape != shape):
        return np.ones(shape, bool)
    rows, columns = map(_read_along, own.shape, shape, _windows(layer))
    return rows.T @ own @ columns > 0


def _read_along(units, side, window):
    """Which of `side` places each unit reads along one axis, 1 or 0 (units, side)."""
    size, step, padding, dilation = window
    offset = np.arange(side) - (step * np.arange(units)[:, None] - padding)
    inside = (offset >= 0) & (offset < size * dilation) & (offset % dilation == 0)
    return inside.astype("float32")


def _windows(layer):
    """What a unit of a layer reads, down and across: (size, step, padding before, dilation)."""
    kind = type(layer).__name__
    if kind in SAME_PLACE:
        return [(1, 1, 0, 1)] * 2
    if kind == "ZeroPadding2D":
        return [(1, 1, before, 1) for before, _ in layer.padding]
    if kind == "Cropping2D":
        return [(1, 1, -before, 1) for before, _ in layer.cropping]
    if not isinstance(layer, WINDOWED):
        raise ValueError(f"What the layer {layer.name} ({kind}) reads is not known here.")
    sizes = getattr(layer, "kernel_size", None) or layer.pool_size
    dilations = getattr(layer, "dilation_rate", (1, 1))
    return [
        (size, step, _padding(layer.padding, side, size, step, dilation), dilation)
        for side, size, step, dilation in zip(
            layer.input.shape[1:3], sizes, layer.strides, dilations, strict=True
        )
    ]


def _padding(kind, side, size, step, dilation):
    """The zeros before the first of `side` places; of an odd number TensorFlow puts fewer there."""
    missing = (-(-side // step) - 1) * step + (size - 1) * dilation + 1 - side
    return max(missing, 0) // 2 if kind == "same" else 0
