"""One case of the benchmark in TensorFlow, in a process of its own; `run.py` starts it."""

import sys

from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.saliency import Saliency
from tf_keras_vis.utils.scores import CategoricalScore

import measure
from utils import attention, model


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
    ask = {
        "saliency": lambda score, x: saliency(score, x, normalize_map=False),
        "smoothgrad": lambda score, x: saliency(score, x, samples, 0.2),
        "grad_cam": lambda score, x: grad_cam(score, x, expand_cam=False, normalize_cam=False),
    }[technique]
    return lambda x, c: ask(CategoricalScore(c.tolist()), x)


def main(folder, technique, by, precision, images, samples):
    """Run the case; see `measure.report`."""
    maker = {"ours": ours, "tf-keras-vis": library}[by]
    ask = maker(technique, precision, int(samples))
    measure.report(folder, ask, *measure.given(folder, int(images)))


if __name__ == "__main__":
    main(*sys.argv[1:])
