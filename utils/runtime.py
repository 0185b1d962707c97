"""A quiet start of TensorFlow, its seeds, and what this machine is good at."""

import os
import platform
import tempfile
import time
from contextlib import contextmanager, suppress
from functools import lru_cache

import numpy as np

from utils import settings


@contextmanager
def _quiet():
    """Keep TensorFlow's C++ start-up lines from file descriptor 2; show them if the start fails."""
    # 3: at 2 each training would tell of an attribute of tf.data; what fails raises in Python
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # TensorFlow leaves oneDNN off where the processor lacks AVX-512; a map costs a third less there
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with tempfile.TemporaryFile() as caught:
        stderr = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            yield
        except BaseException:
            caught.seek(0)
            os.write(stderr, caught.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


with _quiet():
    import keras
    import tensorflow as tf

    tf.config.list_physical_devices("GPU")  # the lines come at the first look for devices
    tf.get_logger().setLevel("ERROR")  # it warns of one graph for each network, which is meant


def set_seed(seed=settings.SEED):
    """Seed Python, NumPy and TensorFlow, and let TensorFlow use deterministic kernels only."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def _seconds(convolve):
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    convolve().numpy()
    return time.perf_counter() - start


@lru_cache
def _gain(rounds=9):
    """How many times as fast as in float32 a middle layer of VGG-16 runs in bfloat16, or 0.

    The median over rounds, each a call in both: on a busy machine the fastest call of one kind may
    be the only one that nothing disturbed, and two notebooks of one run would choose differently.
    """

    def layer(dtype):
        x, kernel = tf.ones((2, 37, 37, 256), dtype), tf.ones((3, 3, 256, 256), dtype)
        return tf.function(lambda: tf.nn.conv2d(x, kernel, 1, "SAME"))

    with _quiet(), suppress(tf.errors.OpError):  # oneDNN complains of processors without AVX-512
        layers = [layer("float32"), layer("bfloat16")]
        times = [[_seconds(convolve) for convolve in layers] for _ in range(rounds)]
        return float(np.median([float32 / bfloat16 for float32, bfloat16 in times]))
    return 0  # some processors have no bfloat16 convolution at all


def policy(precision=None):
    """The Keras dtype policy to compute in: "float32" or "mixed_bfloat16".

    `precision` is a value of the setting PRECISION. "auto" tries one layer in both and takes
    bfloat16 only for a clear gain: where the processor has no units for it, it is the slower one.
    """
    precision = precision or settings.PRECISION
    if precision == "auto":
        precision = "bfloat16" if _gain() > 1.25 else "float32"
    return {"float32": "float32", "bfloat16": "mixed_bfloat16"}[precision]


@lru_cache(maxsize=1)
def strategy():
    """How a training is shared among devices: a tf.distribute strategy, to build networks in.

    All GPUs of this machine, where it has more than one (MirroredStrategy); else the default, which
    shares nothing. Several machines are left out: Keras 3.15's `fit` fails on them.
    """
    several = len(tf.config.list_logical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()


def machine():
    """One line on the versions and the hardware that a notebook ran on."""
    gpus = len(tf.config.list_physical_devices("GPU"))
    return (
        f"Python {platform.python_version()}, TensorFlow {tf.__version__}, "
        f"Keras {keras.__version__}, {platform.machine()}, {os.cpu_count()} cores, {gpus} GPUs"
    )
