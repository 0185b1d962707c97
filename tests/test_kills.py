"""A training that is killed in earnest, by SIGKILL in a process of its own, and what is left."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from utils import model, settings
from utils.runtime import keras


def small(head, weights):
    """A network on pictures (4, 4, 3) with dropout."""
    layers = keras.layers
    image = keras.Input((4, 4, 3))
    x = layers.Dense(8, "relu")(layers.Flatten()(layers.Rescaling(1 / 255)(image)))
    logits = layers.Dense(2, name="logits")(layers.Dropout(0.5)(x))
    return keras.Model([image], logits, name=f"vgg16_{head}")


def trained():
    """The network and the history of three epochs, of three steps each."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 255, (10, 4, 4, 3), "uint8")
    labels = generator.integers(0, 2, 10).astype("int32")
    options = dict(epochs=3, batch=4, learning_rate=0.01)
    return model.train("dense", images, labels, (images[:4], labels[:4]), **options)


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def in_the_middle_of_epoch_2():
    step, steps = keras.Model.train_on_batch, []

    def dying(network, *batch, **options):
        steps.append(1)
        return die() if len(steps) == 5 else step(network, *batch, **options)

    keras.Model.train_on_batch = dying


def while_the_checkpoint_of_epoch_2_is_written(name="0002"):
    save = keras.Model.save

    def dying(network, path):
        save(network, path)
        if name in str(path):
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            die()

    keras.Model.save = dying


def while_the_trained_network_is_written():
    while_the_checkpoint_of_epoch_2_is_written("vgg16_dense")


def between_the_record_of_epoch_2_and_its_network():
    replace = os.replace

    def dying(part, path):
        replace(part, path)
        if str(path).endswith("0002.json"):
            die()

    os.replace = dying


MOMENTS = [
    in_the_middle_of_epoch_2,
    while_the_checkpoint_of_epoch_2_is_written,
    while_the_trained_network_is_written,
    between_the_record_of_epoch_2_and_its_network,
]


def killed(folder, moment):
    """Train in `folder` and die at that moment: called in a process of its own."""
    settings.MODELS, settings.PRECISION, model.build = Path(folder), "float32", small
    globals()[moment]()
    trained()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Weights and history of a training that nothing disturbs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "MODELS", tmp_path_factory.mktemp("whole"))
        patch.setattr(settings, "PRECISION", "float32")
        patch.setattr(model, "build", small)
        network, history = trained()
    return network.get_weights(), history


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
@pytest.mark.fault(
    "SIGKILL of a training with dropout, {moment.__name__}",
    "goes on to the same weights, bit by bit; nothing is left behind",
    "the epoch",
)
def test_a_killed_training_ends_in_the_weights_of_one_that_was_not(
    undisturbed, tmp_path, monkeypatch, moment
):
    code = f"from tests import test_kills as t; t.killed({str(tmp_path)!r}, {moment.__name__!r})"
    died = subprocess.run([sys.executable, "-c", code], cwd=settings.ROOT, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert list(tmp_path.glob("unfinished-*.keras")), "it got beyond the first epoch"
    monkeypatch.setattr(settings, "MODELS", tmp_path)
    monkeypatch.setattr(settings, "PRECISION", "float32")
    monkeypatch.setattr(model, "build", small)
    network, history = trained()
    assert all(map(np.array_equal, network.get_weights(), undisturbed[0]))
    assert history == undisturbed[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "vgg16_dense.json",
        "vgg16_dense.keras",
    ]
