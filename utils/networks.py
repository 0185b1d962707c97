"""What a technique has to know of any Keras classifier: its logits, and where its units look."""

import numpy as np
import pandas as pd

from utils.runtime import keras


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
    of view of unit 0 is centred; field: its side in pixels (these four down the height). For a
    chain of layers; raises ValueError where layers meet, or one reads in another way.
    """
    rows, stride, first, field = [], 1, 0.0, 1
    for layer in filter(has_maps, flat(model).layers):
        size, step, before = _window(layer)
        first += stride * ((size - 1) / 2 - before)
        field += stride * (size - 1)
        stride *= step
        rows.append((layer.name, layer.output.shape[1], stride, first, field))
    return pd.DataFrame(rows, columns=["layer", "units", "stride", "first", "field"])


def _window(layer):
    """How many rows a unit of a layer reads, how far apart units read, and the zeros before."""
    inputs = keras.tree.flatten(layer.input) or [layer.output]  # the picture's own layer has none
    size = (getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None) or (1,))[0]
    step, rows = getattr(layer, "strides", (1,))[0], inputs[0].shape[1]
    if getattr(layer, "padding", "") == "same":
        units = rows and -(-rows // step)
        before = rows and max((units - 1) * step + size - rows, 0) // 2  # TensorFlow puts fewer
    else:
        units, before = rows and (rows - size) // step + 1, 0
    if len(inputs) > 1 or not units or units != layer.output.shape[1]:
        raise ValueError(f"Where the units of {layer.name} look is not known here.")
    return size, step, before
