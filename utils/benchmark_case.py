"""One case of the benchmark in TensorFlow, in a process of its own; see `benchmark`."""

import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils import attention, model

# isort: split
# The library imports TensorFlow, which starts quietly only in `runtime`.
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.saliency import Saliency
from tf_keras_vis.utils.scores import CategoricalScore


def ours(technique, precision, samples):
    """A function of pictures and classes that gives our maps."""
    network = model.load("dense")
    network = model.fast(network) if precision == "bfloat16" else network
    options = dict(n=samples, average="absolute")  # the library's order
    options["batch"] = 50 if precision == "bfloat16" else 25  # as much memory in half the bytes
    return {
        "saliency": lambda x, c: attention.saliency_map(network, x, c),
        "smoothgrad": lambda x, c: attention.smoothgrad(network, x, c, **options),
        "grad_cam": lambda x, c: attention.grad_cam(network, x, c),
    }[technique]


def library(technique, precision, samples):
    """A function of pictures and classes that gives tf-keras-vis' maps."""
    network = model.load("dense")
    saliency, grad_cam = Saliency(network), Gradcam(network)
    raw = dict(expand_cam=False, normalize_cam=False)
    return {
        "saliency": lambda x, c: saliency(CategoricalScore(list(c)), x, normalize_map=False),
        "smoothgrad": lambda x, c: saliency(CategoricalScore(list(c)), x, samples, 0.2),
        "grad_cam": lambda x, c: np.asarray(grad_cam(CategoricalScore(list(c)), x, **raw)),
    }[technique]


def seconds(function, technique, images, classes):
    """The maps, and the best time of a few calls after a short one that is not counted."""
    function(images[:1], classes[:1])
    times = []
    while len(times) < 3 and sum(times) < 5:
        start = time.perf_counter()
        maps = function(images, classes)
        times.append(time.perf_counter() - start)
    return maps, min(times)


def main(folder, technique, implementation, precision, images, samples):
    """Run the case; print its cost as JSON and leave its maps in maps.npy."""
    with np.load(Path(folder) / "input.npz") as given:
        x, c = given["images"][: int(images)], given["class_index"][: int(images)].tolist()
    make = {"ours": ours, "tf-keras-vis": library}[implementation]
    maps, cost = seconds(make(technique, precision, int(samples)), technique, x, c)
    np.save(Path(folder) / "maps.npy", maps)
    status = Path("/proc/self/status").read_text()  # getrusage would count the parent's memory too
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    print("\n" + json.dumps({"seconds": cost, "peak_memory_mb": round(peak)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
