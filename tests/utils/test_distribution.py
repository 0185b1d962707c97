"""Two devices train along the curve of one. Two need a process of its own, which has them."""

import json
import subprocess
import sys

import numpy as np

from utils import model, settings
from utils.runtime import keras, strategy, tf

GENERATOR = np.random.default_rng(0)
HALVES, LABELS = GENERATOR.integers(0, 255, (12, 8, 4, 3), "uint8"), GENERATOR.integers(0, 2, 12)
IMAGES = np.concatenate([HALVES, HALVES[:, :, ::-1]], axis=2)  # which mirroring leaves as they are


def small(head, weights=None):
    """A network on pictures (8, 8, 3) in 0..255 whose gradients are too small to be clipped."""
    layers = keras.layers
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 2550)(image))
    return keras.Model([image], layers.Dense(2, name="logits")(layers.Flatten()(x)), name=head)


def losses(devices, folder):
    """Train with 12 pictures in one batch and 5 to validate, of which two devices cannot halve."""
    model.build, model.strategy, settings.PRECISION = small, lambda: devices, "float32"
    settings.MODELS = folder
    _, history = model.train(
        "dense", IMAGES, LABELS, (IMAGES[:5], LABELS[:5]), epochs=2, batch=12, learning_rate=0.01
    )
    return history.to_dict("list")


def one_and_two(folder):
    """Print the curves of one device and of two."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    devices = {"one": tf.distribute.get_strategy(), "two": two}
    print(json.dumps([losses(each, folder / name) for name, each in devices.items()]))


def test_two_devices_train_along_the_curve_of_one(tmp_path):
    code = "from pathlib import Path; from tests.utils import test_distribution as t; "
    process = subprocess.run(
        [sys.executable, "-c", f"{code} t.one_and_two(Path({str(tmp_path)!r}))"],
        cwd=settings.ROOT,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    one, two = json.loads(process.stdout.splitlines()[-1])
    for key, curve in one.items():
        np.testing.assert_allclose(two[key], curve, rtol=1e-4)
    assert one["epoch"] == [0, 1, 2]


def test_a_machine_with_one_device_shares_nothing(monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["one"])
    assert strategy.__wrapped__() is tf.distribute.get_strategy()
