"""What a technique has to know of any Keras classifier: its logits, and where its units look."""

import numpy as np
import pandas as pd

from utils.runtime import keras

SQUASHING = (keras.activations.softmax, keras.activations.sigmoid)
EVERY_PLACE = {"Flatten", "GlobalAveragePooling2D", "GlobalMaxPooling2D"}
SAME_PLACE = {  # unit (i, j) of such a layer reads the units (i, j) before it
    *("Activation", "Add", "Average", "BatchNormalization", "Concatenate", "Dense", "Dropout"),
    *(
        "ELU",
        "GaussianNoise",
        "Identity",
        "LayerNormalization",
        "LeakyReLU",
        "Maximum",
        "Minimum",
        "Multiply",
    ),
    *("Normalization", "PReLU", "ReLU", "Rescaling", "Softmax", "SpatialDropout2D", "Subtract"),
}


def flat(model):
    """The classifier as one graph of layers, from pictures to logits.

    Models inside it (a pre-trained base) and Sequential ones are taken apart; a softmax or sigmoid
    at the end is left out, since the score is the logit. One sigmoid output stands for two classes,
    with the logits -z and z. A network that is so already is returned itself, any other copied with
    its weights. Raises ValueError for a network that has no graph of layers.
    """
    if not getattr(model, "outputs", None):
        raise ValueError(
            f"{model.name} has no graph of layers to read. Build it with keras.Model(inputs, "
            "outputs), or with keras.Sequential and an input shape."
        )
    nested = isinstance(model, keras.Sequential) or any(map(_is_model, model.layers))
    if not nested and not _squashes(model.layers[-1]):
        return model
    image, twins = keras.Input(model.input_shape[1:], name="image"), {}
    logits = _unrolled(twins, model, image)
    for layer, twin in twins.items():
        if getattr(layer, "weights", None):
            twin.set_weights(layer.get_weights())
    activation = getattr(list(twins)[-1], "activation", None)
    if activation is keras.activations.sigmoid and logits.shape[-1] == 1:
        logits = keras.layers.Concatenate(name="both_classes")([-logits, logits])
    return keras.Model([image], logits, name=model.name)


def _is_model(layer):
    return isinstance(layer, keras.Model)


def _squashes(layer):
    """Whether a layer ends in a softmax or a sigmoid."""
    return isinstance(layer, keras.layers.Softmax) or getattr(layer, "activation", 0) in SQUASHING


def _unrolled(twins, layer, *inputs, top=True, **options):
    """The output for symbolic inputs of a layer's copy, or of the copies of a model's layers.

    twins: a dict from each layer to its copy, which this fills. top: whether the output is that of
    the whole network, which has to be linear.
    """
    if isinstance(layer, keras.Sequential):
        for part in layer.layers:
            inputs = [_unrolled(twins, part, *inputs, top=top and part is layer.layers[-1])]
        return inputs[0]
    if not _is_model(layer):
        twins[layer] = twins.get(layer) or _twin(layer, linear=top and _squashes(layer))
        return twins[layer](*inputs, **options)
    outputs, last = {}, layer.layers[-1]

    def call(part, *inputs, **options):
        outputs[part] = _unrolled(twins, part, *inputs, top=top and part is last, **options)
        return outputs[part]

    # Only the calls are of use: the model that this returns has lost its ties to `inputs`.
    keras.models.clone_model(layer, *inputs, clone_function=lambda p: p, call_function=call)
    return outputs[last]


def _twin(layer, linear):
    """A copy of a layer without its weights; `linear`: and without its softmax or sigmoid."""
    if linear and isinstance(layer, keras.layers.Softmax):
        return keras.layers.Identity(name=layer.name)
    config = layer.get_config() | ({"activation": "linear"} if linear else {})
    return type(layer).from_config(config)


def geometry(model):
    """Where the units of each layer with maps (h, w, K) look in the picture, as a table.

    layer; units: h; stride: pixels from one unit to the next; first: the pixel on which the field
    of view of unit 0 is centred; field: its side in pixels (these four down the height); unread:
    the share of the places that no later layer reads, whatever the weights. Raises ValueError at a
    layer whose reach is not known.
    """
    model, rows = flat(model), {}
    for name, read in read_places(model).items():
        layer = model.get_layer(name)
        before = [rows[source.name] for source in _sources(layer) if source.name in rows]
        (size, step, padding, dilation), _ = _windows(layer) if before else ((1, 1, 0, 1), None)
        last = max(before, key=lambda row: row["field"], default=dict(stride=1, first=0, field=1))
        reach = (size - 1) * dilation
        rows[name] = dict(layer=name, units=len(read), stride=step * last["stride"])
        rows[name]["first"] = last["first"] + (reach / 2 - padding) * last["stride"]
        rows[name] |= dict(field=last["field"] + reach * last["stride"], unread=1 - read.mean())
    return pd.DataFrame(rows.values())


def read_places(model):
    """Which places of each layer's maps (h, w, K) a later layer reads: a dict to bool (h, w).

    The gradient of what is not read is zero for any weights: row 8 of 9 before a pooling of 2 x 2.
    """
    model = flat(model)
    layers = [layer for layer in model.layers if len(layer.output.shape) == 4]
    places = {layer.name: np.zeros(layer.output.shape[1:3], bool) for layer in layers}
    for layer in reversed(model.layers):
        if layer is model.layers[-1] and layer.name in places:
            places[layer.name][:] = True
        for source in _sources(layer):
            if source.name in places:
                places[source.name] |= _read_by(layer, source, places)
    return places


def _sources(layer):
    """The layers whose outputs go into a layer."""
    if isinstance(layer, keras.layers.InputLayer):
        return []
    inputs = layer.input if isinstance(layer.input, list) else [layer.input]
    return [tensor._keras_history.operation for tensor in inputs]


def _read_by(layer, source, places):
    """Which places of a source a layer reads, bool (h, w), where `places` of its own are read."""
    if layer.name not in places or type(layer).__name__ in EVERY_PLACE:
        return np.ones_like(places[source.name])
    read, axes = np.zeros_like(places[source.name]), []
    for index, (size, step, padding, dilation) in zip(
        np.nonzero(places[layer.name]), _windows(layer), strict=True
    ):
        axes.append(index[:, None] * step - padding + dilation * np.arange(size))
    rows, columns = (axis.clip(-1, side) + 1 for axis, side in zip(axes, read.shape, strict=True))
    framed = np.pad(read, 1)  # what lies outside falls on the frame
    framed[rows[:, :, None], columns[:, None, :]] = True
    return framed[1:-1, 1:-1]


def _windows(layer):
    """What one unit of a layer reads, down and across: (size, step, padding before, dilation)."""
    kind = type(layer).__name__
    if kind in SAME_PLACE:
        return ((1, 1, 0, 1),) * 2
    if kind in {"ZeroPadding2D", "Cropping2D"}:
        amounts = getattr(layer, "padding" if kind == "ZeroPadding2D" else "cropping")
        return tuple((1, 1, pair[0] * (1 if kind[0] == "Z" else -1), 1) for pair in amounts)
    sizes = getattr(layer, "kernel_size", getattr(layer, "pool_size", None))
    if sizes is None or kind.endswith("Transpose"):
        raise ValueError(f"What the layer {layer.name} ({kind}) reads is not known here.")
    dilations = getattr(layer, "dilation_rate", (1, 1))
    dilations = dilations if isinstance(dilations, tuple) else (dilations,) * 2
    windows = []
    for side, size, step, dilation in zip(
        layer.input.shape[1:3], sizes, layer.strides, dilations, strict=True
    ):
        missing = (-(-side // step) - 1) * step + (size - 1) * dilation + 1 - side
        padding = max(missing, 0) // 2 if layer.padding == "same" else 0
        windows.append((size, step, padding, dilation))
    return tuple(windows)
