"""One case of the benchmark in PyTorch, by Captum or pytorch-grad-cam; see `benchmark`.

Runs in the environment of `make peers`, with nothing of ours but this file. The network is the same
one, weights carried over, and its logits are compared before anything is measured. Both libraries
get what suits them best here: channels last, and bfloat16 by autocast.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from captum.attr import LayerGradCam, NoiseTunnel, Saliency
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

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


def technique_of(net, technique, implementation, samples, spread):
    """A function of pictures and classes that gives the library's maps."""
    last = net[29]  # the ReLU after block5_conv3, as in Keras' layer
    gradient, grad_cam = Saliency(net), LayerGradCam(net, last)
    noisy = NoiseTunnel(gradient)
    if implementation == "pytorch-grad-cam":
        ask = GradCAM(model=net, target_layers=[last])
        return lambda x, c: ask(x, [ClassifierOutputTarget(k) for k in c.tolist()])
    return {
        "saliency": lambda x, c: gradient.attribute(x, target=c).amax(1),
        "smoothgrad": lambda x, c: noisy.attribute(
            x, nt_samples=samples, nt_samples_batch_size=10, stdevs=spread, target=c
        ).amax(1),
        "grad_cam": lambda x, c: grad_cam.attribute(x, target=c, relu_attributions=True)[:, 0],
    }[technique]


def main(folder, technique, implementation, precision, images, samples):
    """Run the case; print its cost as JSON and leave its maps in maps.npy."""
    folder, count = Path(folder), int(images)
    with np.load(folder / "weights.npz") as weights, np.load(folder / "input.npz") as given:
        net = network(weights.values())
        pictures, classes = given["images"][:count], torch.tensor(given["class_index"][:count])
    x = (
        torch.tensor(pictures - MEAN)
        .permute(0, 3, 1, 2)
        .contiguous(memory_format=torch.channels_last)
    )
    difference = np.abs(net(x).detach().numpy() - np.load(folder / "logits.npy")[:count]).max()
    assert difference < 1e-2, f"not the same network: logits differ by {difference}"
    spread = 0.2 * float(np.ptp(pictures))  # one number for all pictures is what Captum takes
    ask = technique_of(net, technique, implementation, int(samples), spread)
    times, low = [], precision == "bfloat16"
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
        ask(x[:1], classes[:1])
        while len(times) < 3 and sum(times) < 5:
            start = time.perf_counter()
            maps = ask(x, classes)
            times.append(time.perf_counter() - start)
    maps = maps if isinstance(maps, np.ndarray) else maps.detach().float().numpy()
    np.save(folder / "maps.npy", maps)
    status = Path("/proc/self/status").read_text()  # getrusage would count the parent's memory too
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    print("\n" + json.dumps({"seconds": min(times), "peak_memory_mb": round(peak)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
