"""What `make base` writes is the network that it trained, and one that the project can use."""

import numpy as np
import pytest

from data import base
from tests.data.conftest import photographs, unpack_by_hand
from utils import model, settings
from utils.runtime import keras


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """In place of VGG-16's thirteen convolutions two of eight channels, on pictures of 32 x 32."""

    def vgg16(include_top, weights, input_tensor=None):
        x = image = keras.Input((32, 32, 3)) if input_tensor is None else input_tensor
        for name in ("block1_conv1", "block5_conv3"):
            x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name=name)(x)
            x = keras.layers.MaxPooling2D()(x)
        return keras.Model(keras.utils.get_source_inputs(image), x)

    monkeypatch.setattr(keras.applications, "VGG16", vgg16)
    monkeypatch.setattr(settings, "PRECISION", "float32")
    monkeypatch.setattr(settings, "SIZE", 32)
    keras.utils.set_random_seed(0)


def outputs(pictures, colours=(1, 1, 1)):
    """Of a network with random normalisation, whose first kernels see `colours`, and folded."""
    network, folded = base.normalised(), model.build("gap", None, 32)
    network.weights[0].assign(network.weights[0] * np.reshape(colours, (3, 1)))
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights(np.random.default_rng(0).uniform(0.1, 0.5, (4, 8)))
    folded.set_weights(base.folded(network))
    return network.predict_on_batch(pictures), folded.predict_on_batch(pictures)


def test_folded_it_computes_the_same():
    pictures = np.random.default_rng(1).uniform(0, 255, (9, 32, 32, 3)).astype("float32")
    expected, found = outputs(pictures)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.ptp(expected, axis=0).min())


def test_folded_a_kernel_that_looks_at_red_only_still_does():
    grey, red, other = pictures = np.full((3, 32, 32, 3), 99, "float32")
    red[..., 0], other[..., 1:] = 200, 200
    of_grey, of_red, of_other = outputs(pictures, colours=(1, 0, 0))[1]
    assert (of_other == of_grey).all() and (of_red != of_grey).all()


def test_six_pictures_of_ten_get_noise_each_of_its_own_deviation_up_to_80():
    found = base.noisy(np.zeros((1000, 16, 16, 3), "float32")).numpy().std(axis=(1, 2, 3))
    some = np.unique(found[found > 0])
    assert 550 < len(some) < 650 and 75 < some.max() < 90 and abs(some.mean() - 40) < 3


def test_a_handful_of_pictures_gives_two_files_even_after_a_stop(house, monkeypatch, capsys):
    monkeypatch.setattr(settings, "RESULTS_DIR", house / "results")
    monkeypatch.setenv("ARCHIVE", "photographs")
    unpack_by_hand(house, photographs("photographs/{}.{}.jpg"))
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(model, "pack_weights", lambda *_: 1 / 0)
        base.base((1, 1, 1))
    base.base((1, 1, 1))
    assert capsys.readouterr().out.count("loss:") == 3, "nothing is trained again"
    for head in model.HEADS:
        path = house / f"results/base/vgg16_{head}.npz"
        model.build(head, path, 32).set_weights(model.unpack_weights(path))
