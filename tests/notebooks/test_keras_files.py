"""Networks of the reader's own: those of Keras 2 and 3 work, and others are one clear sentence."""

import json

import h5py
import numpy as np
import pytest

import keras_files
import own_picture
from utils import model
from utils.runtime import keras

layers = keras.layers


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_that_holds_no_network_or_code_is_one_sentence(folder):
    code = keras.Sequential([keras.Input((4, 4, 3)), layers.Lambda(lambda x: x + 1)])
    nested = keras.Sequential([keras.Input((4, 4, 3)), code, layers.Flatten()])
    for name in ("damaged.keras", "damaged.h5", "other.txt"):
        (folder / name).write_text("nothing")
    code.save("code.keras")
    code.save("code.h5")
    nested.save("nested.h5")
    with h5py.File("weights.h5", "w") as file:
        file["kernel"] = 1
    keras.Sequential([keras.Input((8, 9, 3)), layers.Flatten()]).save("wide.h5")
    for name, reason in {
        "none.keras": "no file that ends in .keras or .h5: name one",
        "other.txt": "no file that ends in .keras or .h5: name one",
        "damaged.keras": "cannot be used",
        "damaged.h5": "it is damaged, or no HDF5 file",
        "code.keras": "cannot be used: .*Lambda",
        "code.h5": "it holds code in a Lambda layer, and none is run",
        "nested.h5": "it holds code in a Lambda layer, and none is run",
        "weights.h5": "it holds weights without their network",
        "wide.h5": r"it goes from \(8, 9, 3\) to \(216,\), not from a square to classes",
    }.items():
        with pytest.raises(ValueError, match=f"MODEL={name} .*{reason}") as error:
            keras_files.load(name)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("output", [(1, "sigmoid"), (1, None), (2, "softmax"), (2, None)])
def test_every_output_of_a_classifier_gives_its_probabilities(folder, output):
    base = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(2, 3), layers.Flatten()])
    network = keras.Sequential([base, layers.Dense(*output)])
    network.save("theirs.h5")
    asked = own_picture.networks("theirs.h5")
    shown = own_picture.explain(np.full((9, 9, 3), 77, "uint8"), asked)
    score = network(shown["image"][None].astype("float32")).numpy()[0]
    if output[1] is None:
        score = (1 + np.tanh(score / 2)) / 2 if len(score) == 1 else model.probabilities(score)
    np.testing.assert_allclose(shown["probabilities"][-1], score[-1], rtol=1e-4, atol=1e-6)


def test_what_keras_2_wrote_is_read_as_it_was_meant(folder):
    """Its steps of arithmetic, calls counted from one, lists of one, and idle options."""
    inner = {"name": "inner", "layers": [entry(0, "image"), entry(1, "norm", "image", 0)]}
    inner |= {"input_layers": [["image", 0, 0]], "output_layers": [["norm", 0, 0]]}
    body = {"class_name": "Functional", "name": "inner", "config": inner}
    outer = [entry(0, "picture"), entry(2, "divide", "picture", 0, {"y": 2.0, "name": None})]
    outer[1]["inbound_nodes"] = outer[1]["inbound_nodes"][0]
    outer += [body | {"inbound_nodes": [[["divide", 0, 0, {}]]]}, entry(3, "flat", "inner", 1)]
    config = {"name": "outer", "layers": outer, "input_layers": [["picture", 0, 0]]}
    config |= {"output_layers": [["flat", 0, 0]]}
    with h5py.File("old.h5", "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Model", "config": config})
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"inner"]
        group.create_group("inner").attrs["weight_names"] = [b"g", b"b", b"m", b"v"]
        for name, value in zip("gbmv", (3, 0, 0, 1 - 1e-3), strict=True):
            group["inner"][name] = np.full(3, value, "float32")
    network = keras_files.load("old.h5")
    np.testing.assert_allclose(model.logits(network, np.full((1, 1, 1, 3), 8)), [[12] * 3])


def test_a_sequential_of_early_keras_2_is_a_list_of_layers(folder):
    config = {"name": "flat", "batch_input_shape": [None, 1, 1, 3], "trainable": True}
    old = {"class_name": "Sequential", "config": [{"class_name": "Flatten", "config": config}]}
    with h5py.File("old.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(old)
        file.create_group("model_weights").attrs["layer_names"] = np.array([], "S1")
    network = keras_files.load("old.h5")
    np.testing.assert_array_equal(model.logits(network, np.full((1, 1, 1, 3), 8)), [[8] * 3])


def entry(kind, name, *source):
    """A layer as Keras 2 describes it, with what it is called on."""
    name_of = ("InputLayer", "BatchNormalization", "TFOpLambda", "Flatten")[kind]
    policy = {"class_name": "Policy", "config": {"name": "mixed_float16"}}
    config = {"name": name, "dtype": policy} | [
        {"batch_input_shape": [None, 1, 1, 3], "dtype": "float32"},
        {"axis": [3], "gamma_initializer": {"class_name": "Theirs", "config": {}}},
        {"function": "math.truediv"},
        {},
    ][kind]
    calls = [[[source[0], source[1], 0, dict(*source[2:])]]] if source else []
    return {"class_name": name_of, "name": name, "config": config, "inbound_nodes": calls}


def test_imagenet_takes_rgb_and_says_what_to_do_without_a_network(monkeypatch):
    def vgg16(input_tensor, classifier_activation):
        blue = layers.Conv2D(1, 1, name="block1_conv1", bias_initializer="zeros")
        score = layers.GlobalAveragePooling2D()(blue(input_tensor))
        blue.set_weights([np.reshape([1.0, 0, 0], (1, 1, 3, 1)), np.zeros(1)])  # of B, G, R
        return keras.Model(keras.utils.get_source_inputs(input_tensor), score)

    named = [[("n0", "tench", 1.0)]]
    monkeypatch.setattr(keras.applications, "VGG16", vgg16)
    monkeypatch.setattr(keras.applications.vgg16, "decode_predictions", lambda *_, top: named)
    network, names = keras_files.imagenet()
    picture = np.full((1, 224, 224, 3), [0, 0, 200])
    np.testing.assert_allclose(model.logits(network, picture), [[200 - 103.939]], rtol=1e-5)
    assert names == ["tench"]
    monkeypatch.setattr(keras.applications, "VGG16", None)
    with pytest.raises(RuntimeError, match="again with a network, or put vgg16_weights.* into ~"):
        own_picture.networks("imagenet")
