"""Classifiers that others have written, for own_picture.py: .keras, .h5 of Keras 2 or 3, ImageNet.

No code that a file carries is run. What cannot be used is a ValueError of one sentence.
"""

import inspect
import json
import warnings
from pathlib import Path

import h5py
import numpy as np

from utils.model import IMAGENET_MEAN
from utils.networks import flat
from utils.runtime import keras, tf

CODE = ("Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")
TRAINING = ("_initializer", "_regularizer", "_constraint", "rng_type")  # options of layers


def imagenet():
    """Keras' own VGG-16 of ImageNet, and the names of its 1,000 classes.

    It goes from RGB in 0..255, (224, 224, 3), to logits. RuntimeError where it is neither in
    ~/.keras nor to be fetched.
    """
    image = keras.Input((224, 224, 3), name="image")
    x = keras.layers.Rescaling(1.0, [-mean for mean in IMAGENET_MEAN])(image)
    vgg16 = keras.applications.vgg16
    try:
        network = keras.applications.VGG16(input_tensor=x, classifier_activation=None)
        names = [best[0][1] for best in vgg16.decode_predictions(np.eye(1000), top=1)]
    except Exception as error:
        raise RuntimeError(
            f"MODEL=imagenet could not be fetched ({str(error).splitlines()[0]}): run this again "
            "with a network, or put vgg16_weights_tf_dim_ordering_tf_kernels.h5 and "
            "imagenet_class_index.json into ~/.keras/models/."
        ) from None
    first = network.get_layer("block1_conv1")
    kernel, bias = first.get_weights()
    first.set_weights([kernel[:, :, ::-1], bias])  # the file expects blue, green, red
    return network, names


def load(path):
    """The classifier in a file, as `networks.flat` gives it: one graph from a picture to logits."""
    path = Path(path).expanduser()
    readers = {".keras": _read_keras, ".h5": _read_hdf5, ".hdf5": _read_hdf5}
    if path.suffix not in readers or not path.is_file():
        raise ValueError(
            f"MODEL={path} is no file that ends in .keras or .h5: name one, or photographs, or "
            "imagenet."
        )
    try:
        with warnings.catch_warnings():  # Keras 3 warns of how Keras 2 wrote its layers
            warnings.simplefilter("ignore")
            network = flat(readers[path.suffix](path))
            if network.output_shape[-1] == 1:  # a score without its sigmoid
                share = keras.layers.Activation("sigmoid")(network.outputs[0])
                network = flat(keras.Model(network.inputs, share))
        shapes = network.input_shape[1:], network.output_shape[1:]
        (height, width, channels), classes = shapes
        if height != width or channels not in (1, 3) or len(classes) != 1:
            raise ValueError("it goes from {} to {}, not from a square to classes".format(*shapes))
    except Exception as error:  # Keras meets a bad file with almost any exception
        reason = " ".join(str(error).split()).split(". ")[0][:200].rstrip(".")
        raise ValueError(
            f"MODEL={path} cannot be used: {reason}; name a classifier of square pictures, best "
            "as Keras 3 saves it in a .keras file."
        ) from None
    return network


def _read_keras(path):
    return keras.models.load_model(path, compile=False, safe_mode=True)


def _read_hdf5(path):
    """The network in an .h5 file; its description is checked before any of it is used."""
    try:
        with h5py.File(path) as file:
            text = file.attrs.get("model_config")
    except OSError:
        raise ValueError("it is damaged, or no HDF5 file") from None
    if text is None:
        raise ValueError("it holds weights without their network, which network.save writes too")
    found = modern(json.loads(text))
    kind = "Sequential" if found["class_name"] == "Sequential" else "Model"
    config = {"module": "keras", "class_name": kind, "config": found["config"]}
    network = keras.saving.deserialize_keras_object(
        config | {"registered_name": None},
        custom_objects=dict.fromkeys(("TFOpLambda", "SlicingOpLambda"), Operation),
        safe_mode=True,
    )
    network.load_weights(path)
    return network


def modern(node):
    """The description of a network in an .h5 file, as Keras 3 reads it, or any part of it.

    What only training needs is left out. Raises ValueError where it holds code.
    """
    if isinstance(node, list):
        return [modern(each) for each in node]
    if not isinstance(node, dict):
        return node
    name = str(node.get("class_name")).replace(">", ".").split(".")[-1]
    if name in CODE:
        raise ValueError(f"it holds code in a {name.strip('_')} layer, and none is run")
    if name in ("Policy", "DTypePolicy"):
        return "float32"
    new = {key: modern(value) for key, value in node.items() if not key.endswith(TRAINING)}
    if new.get("groups") == 1:  # some layers have no groups in Keras 3
        del new["groups"]
    layer = getattr(keras.layers, name, None)
    if layer and "kwargs" not in (taken := inspect.signature(layer).parameters):
        new["config"] = {key: value for key, value in new["config"].items() if key in taken}
    if name in ("TFOpLambda", "SlicingOpLambda"):
        new["inbound_nodes"] = [_inputs(*call) for call in new["inbound_nodes"]]
    if layer and name != "InputLayer" and "batch_input_shape" in new["config"]:
        new["config"]["input_shape"] = new["config"].pop("batch_input_shape")[1:]
    if name == "Sequential" and isinstance(new["config"], list):  # until Keras 2.2
        new["config"] = {"name": "sequential", "layers": new["config"]}
    if "output_layers" in new:
        _count_calls_from_zero(new)
    for key in ("axis", "input_layers", "output_layers"):  # a list of one is another thing there
        if isinstance(new.get(key), list) and len(new[key]) == 1:
            new[key] = new[key][0]
    return new


def _inputs(layer, call, output, options):
    """What one step of arithmetic is called on: a tensor, or two if its y is a tensor too."""
    y = options.get("y")
    if isinstance(y, list) and y and isinstance(y[0], str):
        return [[layer, call, output, {}], [*y, {}]]
    return [[layer, call, output, options]]


def _count_calls_from_zero(graph):
    """Keras 2 counts a model's own making as its first call, Keras 3 does not."""
    calls = [layer["inbound_nodes"] for layer in graph["layers"]]
    references = list(_references([calls, graph["output_layers"]]))
    for layer, made in zip(graph["layers"], calls, strict=True):
        mine = [each for each in references if each[0] == layer["name"]]
        surplus = max((each[1] + 1 for each in mine), default=0) - max(len(made), 1)
        for each in mine:
            each[1] -= max(surplus, 0)


def _references(node):
    """The lists [layer, call, output, ...] in a part of a graph's description."""
    if isinstance(node, list) and [type(each) for each in node[:3]] == [str, int, int]:
        yield node
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _references(each)


class Operation(keras.layers.Layer):
    """One step of arithmetic that Keras 2 wrote as a layer, as those of preprocess_input."""

    def __init__(self, function, **options):
        super().__init__(**options)
        if function not in OPERATIONS:
            raise ValueError(f"its step tf.{function}, of Keras 2, is not known here")
        self.function = function

    def get_config(self):
        return super().get_config() | {"function": self.function}

    def call(self, x, **given):
        values = [given[key] for key in ("y", "bias", "slice_spec") if key in given]
        return OPERATIONS[self.function](*(x if isinstance(x, list) else [x]), *values)


def _part(x, spec):
    """x[..., ::-1] and the like, as Keras 2 wrote it."""
    return x[tuple(... if "class_name" in each else slice(*each.values()) for each in spec)]


OPERATIONS = {
    "math.truediv": tf.truediv,
    "math.multiply": tf.multiply,
    "math.subtract": tf.subtract,
    "math.add": tf.add,
    "__operators__.add": tf.add,
    "__operators__.getitem": _part,
    "nn.bias_add": tf.add,
    "cast": tf.identity,
}
