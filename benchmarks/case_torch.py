"""One case of the benchmark in PyTorch, by Captum or pytorch-grad-cam; `run.py` starts it.

Runs in the environment of `make peers`. The network is the same one: its weights are carried over,
its logits compared. Both libraries get what suits them: channels last, and bfloat16 by autocast.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from captum.attr import LayerGradCam, NoiseTunnel, Saliency
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

import measure

VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)  # 0: pool
MEAN = np.float32([123.68, 116.779, 103.939])


def network(weights):
    """The report's VGG-16 from the weights of the Keras model, in Keras' order."""
    layers, channels, weights = [], 3, list(weights)
    for width in VGG16:
        if not width:
            layers.append(torch.nn.MaxPool2d(2))
            continue
        layers += [torch.nn.Conv2d(channels, width, 3, padding=1), torch.nn.ReLU()]
        _fill(layers[-2], weights.pop(0).transpose(3, 2, 0, 1), weights.pop(0))
        channels = width
    hidden, output = torch.nn.Linear(8192, 256), torch.nn.Linear(256, 2)
    kernel = weights.pop(0).reshape(4, 4, 512, 256).transpose(3, 2, 0, 1).reshape(256, -1)
    _fill(hidden, kernel, weights.pop(0))
    _fill(output, weights.pop(0).T, weights.pop(0))
    head = [torch.nn.Flatten(), hidden, torch.nn.ReLU(), torch.nn.Dropout(0.5), output]
    return torch.nn.Sequential(*layers, *head).eval().to(memory_format=torch.channels_last)


def _fill(layer, kernel, bias):
    layer.weight.data = torch.tensor(np.ascontiguousarray(kernel))
    layer.bias.data = torch.tensor(bias)


def technique_of(net, technique, by, samples, spread):
    """A function of pictures and classes that gives the library's maps, a tensor or an array."""
    last = net[29]  # the ReLU after block5_conv3, as in Keras' layer
    gradient, grad_cam = Saliency(net), LayerGradCam(net, last)
    noisy = NoiseTunnel(gradient)
    noise = dict(nt_samples=samples, nt_samples_batch_size=10, stdevs=spread)
    if by == "pytorch-grad-cam":
        ask = GradCAM(model=net, target_layers=[last])
        return lambda x, c: ask(x, [ClassifierOutputTarget(k) for k in c.tolist()])
    return {
        "saliency": lambda x, c: gradient.attribute(x, target=c).amax(1),
        "smoothgrad": lambda x, c: noisy.attribute(x, target=c, **noise).amax(1),
        "grad_cam": lambda x, c: grad_cam.attribute(x, target=c, relu_attributions=True)[:, 0],
    }[technique]


def main(folder, technique, by, precision, images, samples):
    """Run the case; see `measure.report`."""
    pictures, classes = measure.given(folder, int(images))
    with np.load(Path(folder) / "weights.npz") as weights:
        net = network(weights.values())
    x, c = torch.tensor(pictures - MEAN).permute(0, 3, 1, 2), torch.tensor(classes)
    x = x.contiguous(memory_format=torch.channels_last)
    logits = np.load(Path(folder) / "logits.npy")[: len(x)]
    np.testing.assert_allclose(net(x).detach(), logits, 0, 1e-2, err_msg="not the same network")
    spread = 0.2 * float(np.ptp(pictures))  # one number for all pictures is what Captum takes
    ask = technique_of(net, technique, by, int(samples), spread)

    def maps(x, c):
        return torch.as_tensor(ask(x, c)).detach().float().numpy()

    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        measure.report(folder, maps, x, c)


if __name__ == "__main__":
    main(*sys.argv[1:])
