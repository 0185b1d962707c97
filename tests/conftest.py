"""Small networks that a person can compute in the head."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from utils.runtime import keras

SIDE = 4
matplotlib.use("agg")


@pytest.fixture(autouse=True)
def closed():
    """No figure stays open: from the twentieth on there would be a warning."""
    yield
    plt.close("all")


def small_network(head, convolution=None):
    """A flat network on pictures (4, 4, 3), with one 1 x 1 convolution of two maps if given."""
    image = keras.Input((SIDE, SIDE, 3))
    x = image
    if convolution is not None:
        x = keras.layers.Conv2D(2, 1, activation="relu", name="conv")(x)
    model = keras.Model([image], head(x), name="small")
    if convolution is not None:
        model.get_layer("conv").set_weights(convolution)
    return model


@pytest.fixture
def linear_network():
    """S_c = w_c . I + b_c for two classes."""
    model = small_network(lambda x: keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    generator = np.random.default_rng(0)
    model.set_weights([generator.normal(size=w.shape) for w in model.get_weights()])
    return model


def _pooling_head(x):
    pooled = keras.layers.GlobalAveragePooling2D(name="gap")(x)
    return keras.layers.Dense(2, name="logits")(pooled)


@pytest.fixture
def pooling_network():
    """Two feature maps, red and green; class 0 wants red and not green, class 1 the reverse."""
    kernel = np.zeros((1, 1, 3, 2))
    kernel[0, 0, 0, 0] = kernel[0, 0, 1, 1] = 1
    model = small_network(_pooling_head, [kernel, np.zeros(2)])
    weights = np.array([[2.0, -2.0], [-1.0, 1.0]]), np.array([0.5, -0.5])
    model.get_layer("logits").set_weights(weights)
    return model


@pytest.fixture
def dense_network():
    """A convolution, a hidden layer and two logits with random weights: nothing is linear."""
    layers = keras.layers

    def head(x):
        return layers.Dense(2)(layers.Dense(8, "tanh")(layers.Flatten()(x)))

    generator = np.random.default_rng(1)
    model = small_network(head, [generator.normal(size=(1, 1, 3, 2)), np.ones(2)])
    for layer in model.layers[-2:]:
        layer.set_weights([generator.normal(size=w.shape) * 0.3 for w in layer.get_weights()])
    return model


@pytest.fixture
def images():
    """Six pictures (6, 4, 4, 3) in 0..1."""
    return np.random.default_rng(2).random((6, SIDE, SIDE, 3), "float32")
