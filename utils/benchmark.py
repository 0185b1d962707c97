"""What a map costs: ours, tf-keras-vis and, where they are installed, two libraries of PyTorch.

`make benchmark` runs it; `make peers` installs PyTorch, Captum and pytorch-grad-cam for it. All
have the same network, weights, pictures and machine. Each case has a process of its own, so that
the peak memory is its own too. A machine is now fast, now slow: all cases take turns for a few
rounds, and the best time of each counts.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from utils import datasets, files, model, plotting, runtime, settings
from utils.images import read_image
from utils.runtime import keras, tf

PEERS = settings.ROOT / ".venv-peers" / "bin" / "python"
ROUNDS = 3
SAMPLES = 50  # n
IMAGES = {"saliency": 16, "smoothgrad": 4, "grad_cam": 16}  # N of the comparison
COUNTS, DEPTHS = (2, 5, 10, 20), (10, 25, 50, 100)  # N and n of the curves
LARGE = 200  # the N whose memory is compared with that of 10
LIBRARY = "tf-keras-vis"
CASE = ["technique", "implementation", "precision", "images", "samples"]


def main():
    """Run every case; write tables/benchmark.csv, tables/throughput.csv and figures/benchmark."""
    stages = throughput()
    files.save_table("throughput", stages)
    print(stages.round(1).to_string(index=False))
    with tempfile.TemporaryDirectory() as folder:
        _write_input(Path(folder))
        compared, ours = _cases()
        measured = [_measured(case, Path(folder)) for case in [*ROUNDS * compared, *ours]]
    rows = pd.DataFrame(measured).sort_values("seconds").drop_duplicates(CASE).sort_index()
    rows["maps_per_second"] = rows["images"] / rows["seconds"]
    baseline = rows[rows["implementation"] == LIBRARY].set_index("technique")["maps_per_second"]
    ratio = rows["maps_per_second"] / rows["technique"].map(baseline)
    rows["ratio_to_tf_keras_vis"] = ratio.where(rows["images"] == rows["technique"].map(IMAGES))
    work = rows["samples"] * rows["technique"].map({"grad_cam": 1}).fillna(
        2
    )  # forward passes' worth
    speed = rows["maps_per_second"] * work * operations(model.load("dense"))
    rows["share_of_limit"] = speed / rows["precision"].map(limit)
    files.save_table("benchmark", rows.assign(machine=_processor()))
    files.save_figure(curves(rows), "benchmark")
    print(rows.round(3).to_string(index=False))


def _cases():
    """What is measured, (technique, implementation, precision, images, samples): all, and ours."""
    precisions = ["float32", *(["bfloat16"] if runtime.policy() != "float32" else [])]
    implementations = [(LIBRARY, "float32"), *(("ours", p) for p in precisions)]
    if PEERS.exists():
        implementations += [("captum", p) for p in precisions]
    compared = [(t, *i, images, SAMPLES if t == "smoothgrad" else 1)
                for t, images in IMAGES.items() for i in implementations]  # fmt: skip
    if PEERS.exists():  # which has no bfloat16
        compared.append(("grad_cam", "pytorch-grad-cam", "float32", IMAGES["grad_cam"], 1))
    best = ("smoothgrad", "ours", precisions[-1])
    curves = [(*best, 2, n) for n in DEPTHS] + [(*best, count, SAMPLES) for count in COUNTS]
    return compared, [*curves, (*best, LARGE, SAMPLES)]


def _write_input(folder):
    """The pictures (N, 150, 150, 3), the classes and the network's weights, for all processes."""
    rows = files.load_table("predictions_dense")
    rows = rows.iloc[np.arange(LARGE) % len(rows)]
    images, classes = np.float32(datasets.load_images(rows)), rows["class_index"].to_numpy()
    np.savez(folder / "input.npz", images=images, class_index=classes)
    network = model.load("dense")
    np.savez(folder / "weights.npz", *network.get_weights())
    np.save(folder / "logits.npy", model.logits(network, images[:20]))


def _measured(case, folder):
    """One row of the table: the case, its cost, and how like tf-keras-vis' its maps are."""
    technique, implementation = case[:2]
    python, script = sys.executable, "benchmark_case.py"
    if implementation in ("captum", "pytorch-grad-cam"):
        python, script = PEERS, "benchmark_torch.py"
    command = [python, settings.ROOT / "utils" / script, folder, *map(str, case)]
    run = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    if run.returncode:
        raise RuntimeError(f"The case {case} failed:\n{run.stderr[-2000:]}")
    row = dict(zip(CASE, case, strict=True)) | json.loads(run.stdout.splitlines()[-1])
    maps = np.load(folder / "maps.npy")
    if implementation == LIBRARY:
        np.save(folder / f"{technique}.npy", maps)
    reference = np.load(folder / f"{technique}.npy")
    row["correlation"] = np.nan
    if maps.shape == reference.shape:
        row["correlation"] = np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1]
                                      for a, b in zip(maps, reference, strict=True)])  # fmt: skip
    print(*case, f"{row['seconds']:.2f} s", flush=True)
    return row


def operations(network):
    """Multiplications and additions of one forward pass through the convolutions."""
    layers = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    return sum(
        2 * np.prod(layer.kernel.shape) * np.prod(layer.output.shape[1:3]) for layer in layers
    )


@lru_cache
def limit(precision):
    """The operations per second of the convolution of VGG-16 that this machine is fastest at."""
    return max(_convolving(side, width, precision) for side, width in ((37, 256), (18, 512)))


def _convolving(side, width, precision, batch=25):
    """Operations per second of a 3 x 3 convolution of `width` maps to as many."""
    x = tf.ones((batch, side, side, width), precision)
    kernel = tf.ones((3, 3, width, width), precision)
    convolve = tf.function(lambda: tf.nn.conv2d(x, kernel, 1, "SAME"), autograph=False)
    return 2 * batch * side**2 * 9 * width**2 / _best(lambda: convolve().numpy(), rounds=9)


def throughput(batch=16):
    """Pictures per second of each stage on the way to the network, and of training, as a table."""
    rows = datasets.load_table("train").head(8 * batch)
    images, labels = datasets.load_examples(rows)
    paths = [settings.DATA_DIR / name for name in rows["image"]]
    network = model.in_policy(model.build("dense"), runtime.policy())
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    pool = ThreadPoolExecutor(os.cpu_count())

    def batches(step):
        for i in range(0, len(rows), batch):
            step(np.float32(images[i : i + batch]), labels[i : i + batch])

    stages = {
        "decode and resize": lambda: list(pool.map(partial(read_image, size=settings.SIZE), paths)),
        "from the cache": lambda: batches(lambda x, y: None),
        "train": lambda: batches(network.train_on_batch),
    }
    speeds = {stage: len(rows) / _best(function) for stage, function in stages.items()}
    table = pd.DataFrame(speeds.items(), columns=["stage", "pictures_per_second"])
    return table.assign(times_training=table["pictures_per_second"] / speeds["train"])


def _best(function, rounds=3):
    """The shortest time of a few calls, in seconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def _processor():
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = "processor of unknown name"
    return f"{name}, {os.cpu_count()} cores"


def curves(rows):
    """Seconds against n and against N for SmoothGrad, with the straight lines that fit best."""
    ours = rows[(rows["technique"] == "smoothgrad") & (rows["implementation"] == "ours")]
    best = ours[ours["precision"] == ours["precision"].iloc[-1]]
    fig, axes = plt.subplots(1, 2, figsize=(7, 2.6))
    panels = (("samples", "n", best[best["images"] == 2]),
              ("images", "N", best[(best["samples"] == SAMPLES)]))  # fmt: skip
    for ax, (column, symbol, points) in zip(axes, panels, strict=True):
        x, y = points[column], points["seconds"]
        slope, start = np.polyfit(x, y, 1)
        fit = 1 - np.var(y - slope * x - start) / np.var(y)
        ax.plot(x, y, "o")
        ax.plot(np.sort(x), start + slope * np.sort(x), "-", color="0.6", zorder=0)
        ax.set(xlabel=symbol, ylabel="seconds", title=f"{slope:.3g} s for each, R² = {fit:.4f}")
    plotting.caption(fig)
    return fig


if __name__ == "__main__":
    plotting.use_style()
    main()
