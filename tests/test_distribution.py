"""Several devices give what one gives. Each case runs in a process of its own, which has them."""

import json
import os
import socket
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


def small(head, weights=None):
    """A network on pictures (8, 8, 3) in 0..255 whose gradients are too small to be clipped."""
    layers = keras.layers
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 2550)(image))
    x = layers.Flatten()(x) if head == "dense" else layers.GlobalAveragePooling2D()(x)
    return keras.Model([image], layers.Dense(2, name="logits")(x), name=head)


def measured(devices, folder):
    """Maps of 5 pictures and the losses of a training with 13, in batches of 4, by `devices`."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 255, (13, 8, 8, 3), "uint8")
    labels = generator.integers(0, 2, 13).astype("int32")
    keras.utils.set_random_seed(0)
    with devices.scope():
        network = small("gap")
        nested = keras.Sequential([keras.Input((8, 8, 3)), network, keras.layers.Softmax()])
    found = {
        f"{name} {batch}": technique(network, images[:5], 1, batch=batch)
        for name, technique in TECHNIQUES.items()
        for batch in BATCHES
    }
    assert networks.flat(nested).distribute_strategy is devices
    found["nested"] = attention.cam(nested, images[:5], 1)
    found["logits"] = model.logits(network, images)
    model.build, model.strategy, settings.PRECISION = small, lambda: devices, "float32"
    settings.MODELS = folder
    validation = images[:5], labels[:5]
    trained, history = model.train("dense", images, labels, validation, epochs=2, batch=4)
    assert trained.distribute_strategy is devices
    return found | {key: [row[key] for row in history] for key in history[0]}


def two_virtual_devices(path):
    """Write what one device and what two devices of this process measure."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for name, devices in (("one", tf.distribute.get_strategy()), ("two", two)):
        folder = Path(path) / name
        np.savez(folder.with_suffix(".npz"), **measured(devices, folder))


def one_worker():
    """Say how a machine that TF_CONFIG names shares its work."""
    print(type(strategy()) is tf.distribute.MultiWorkerMirroredStrategy)


def in_a_process_of_its_own(call, **environment):
    code = f"from tests import test_distribution as t; t.{call}"
    process = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
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
def test_two_devices_train_along_the_curve_of_one_with_an_odd_last_batch_too(one_and_two, key):
    one, two = (found[key] for found in one_and_two)
    np.testing.assert_allclose(two, one, rtol=1e-5)
    assert len(one) == 2


def test_a_machine_named_in_tf_config_shares_its_work_with_the_others_named():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    task = {"cluster": {"worker": [address]}, "task": {"type": "worker", "index": 0}}
    assert in_a_process_of_its_own("one_worker()", TF_CONFIG=json.dumps(task)) == "True\n"


def test_a_machine_with_one_device_shares_nothing(monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["one"])
    assert strategy.__wrapped__() is tf.distribute.get_strategy()
