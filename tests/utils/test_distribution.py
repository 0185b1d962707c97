"""Several devices give what one gives. Each case runs in a process of its own, which has them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from utils import attention, model, networks, settings
from utils.runtime import keras, strategy, tf

TECHNIQUES = {
    "saliency": attention.saliency_map,
    "smoothgrad": lambda *given, batch: attention.smoothgrad(*given, n=7, batch=batch),
    "grad_cam": attention.grad_cam,
    "cam": attention.cam,
}
BATCHES = (1, 3)  # fewer pictures than devices, and a number that two devices cannot halve
GENERATOR = np.random.default_rng(0)
IMAGES, LABELS = GENERATOR.integers(0, 255, (12, 8, 8, 3), "uint8"), GENERATOR.integers(0, 2, 12)


def small(head, weights=None):
    """A network on pictures (8, 8, 3) in 0..255 whose gradients are too small to be clipped."""
    layers = keras.layers
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 2550)(image))
    x = layers.Flatten()(x) if head == "dense" else layers.GlobalAveragePooling2D()(x)
    return keras.Model([image], layers.Dense(2, name="logits")(x), name=head)


def trained(devices, folder):
    """Train with 12 pictures in one batch and 5 to validate, of which two devices cannot halve."""
    model.build, model.strategy, settings.PRECISION = small, lambda: devices, "float32"
    settings.MODELS = Path(folder)
    validation = IMAGES[:5], LABELS[:5]
    network, history = model.train(
        "dense", IMAGES, LABELS, validation, epochs=2, batch=12, learning_rate=0.01
    )
    assert network.distribute_strategy is devices
    return history.to_dict("list")


def measured(devices, folder):
    """Maps of 5 pictures, scores, and the curves of a training, by `devices`."""
    keras.utils.set_random_seed(0)
    with devices.scope():
        network = small("gap")
        nested = keras.Sequential([keras.Input((8, 8, 3)), network, keras.layers.Softmax()])
    found = {
        f"{name} {batch}": technique(network, IMAGES[:5], 1, batch=batch)
        for name, technique in TECHNIQUES.items()
        for batch in BATCHES
    }
    assert networks.flat(nested).distribute_strategy is devices
    found["nested"] = attention.cam(nested, IMAGES[:5], 1)
    found["logits"] = model.logits(network, IMAGES)
    return found | trained(devices, folder)


def two_virtual_devices(path):
    """Write what one device and what two devices of this process measure."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for name, devices in (("one", tf.distribute.get_strategy()), ("two", two)):
        folder = Path(path) / name
        np.savez(folder.with_suffix(".npz"), **measured(devices, folder))


def in_a_process_of_its_own(call):
    code = f"from tests.utils import test_distribution as t; t.{call}"
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=settings.ROOT,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


@pytest.fixture(scope="module")
def one_and_two(tmp_path_factory):
    path = tmp_path_factory.mktemp("devices")
    in_a_process_of_its_own(f"two_virtual_devices({str(path)!r})")
    return np.load(path / "one.npz"), np.load(path / "two.npz")


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("technique", TECHNIQUES)
def test_two_devices_make_the_maps_of_one(one_and_two, technique, batch):
    one, two = (found[f"{technique} {batch}"] for found in one_and_two)
    np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-5 * np.abs(one).max())
    assert len(one) == 5


@pytest.mark.parametrize("key", ["nested", "logits"])
def test_two_devices_find_the_logits_of_one_and_its_maps_of_a_nested_network(one_and_two, key):
    one, two = (found[key] for found in one_and_two)
    np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-5 * np.abs(one).max())


@pytest.mark.parametrize("key", ["loss", "val_loss", "accuracy", "val_accuracy"])
def test_two_devices_train_along_the_curve_of_one(one_and_two, key):
    one, two = (found[key] for found in one_and_two)
    np.testing.assert_allclose(two, one, rtol=1e-4)
    assert len(one) == 2


def test_a_machine_with_one_device_shares_nothing(monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["one"])
    assert strategy.__wrapped__() is tf.distribute.get_strategy()
