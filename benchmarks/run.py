"""What a map costs: ours, tf-keras-vis and, where they are installed, two libraries of PyTorch.

    python benchmarks/run.py                all cases; writes benchmarks/benchmark.csv
    python benchmarks/run.py saliency       one technique, once; writes nothing

All have the same network, weights, pictures and machine. Each case has a process of its own, so
that the peak memory is its own too. A machine is now fast, now slow: all cases take turns for a few
rounds, and the best time of each counts.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import timeit
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from utils import files, loading, model, runtime, settings
from utils.runtime import keras, tf

HERE = Path(__file__).parent
PEERS = settings.ROOT / ".venv-peers" / "bin" / "python"
ROUNDS = 3
SAMPLES = {"saliency": 1, "smoothgrad": 50, "grad_cam": 1}  # n
IMAGES = {"saliency": 16, "smoothgrad": 4, "grad_cam": 16}  # N
PASSES = {"saliency": 2, "smoothgrad": 100, "grad_cam": 1}  # forward passes' worth of work
LIBRARY, PYTORCH = "tf-keras-vis", ("captum", "pytorch-grad-cam")
CASE = ["technique", "by", "precision", "images", "samples"]
SHOWN = [*CASE[:3], "maps a second", "times tf-keras-vis", "share of limit", "machine"]


def main(*techniques):
    """Measure every case, or only some techniques' once; print the table, write the whole one."""
    with tempfile.TemporaryDirectory() as folder:
        _write_input(Path(folder))
        cases = [case for technique in techniques or IMAGES for case in _cases(technique)]
        rows = [_measured(case, Path(folder)) for case in (1 if techniques else ROUNDS) * cases]
    table = _compared(pd.DataFrame(rows).sort_values("seconds").drop_duplicates(CASE))
    print(table.drop(columns="machine").to_string(index=False))
    if not techniques:
        files.save_table("benchmark", table)
        with files.whole(HERE / "benchmark.csv") as path:
            table.to_csv(path, columns=SHOWN, index=False, float_format="%.3g")


def _cases(technique):
    """What is measured of a technique, (technique, by, precision, images, samples)."""
    precisions = ["float32", *(["bfloat16"] if runtime.policy() != "float32" else [])]
    by = [(LIBRARY, "float32"), *(("ours", precision) for precision in precisions)]
    if PEERS.exists():
        by += [("captum", precision) for precision in precisions]
        if technique == "grad_cam":  # all that it has of the three, and not in bfloat16
            by += [("pytorch-grad-cam", "float32")]
    return [(technique, *who, IMAGES[technique], SAMPLES[technique]) for who in by]


def _write_input(folder):
    """The pictures (N, 150, 150, 3), the classes and the network's weights, for all processes."""
    rows = files.load_table("predictions_dense").head(max(IMAGES.values()))
    images = np.float32(loading.load_images(rows))
    np.savez(folder / "input.npz", images=images, class_index=rows["class_index"])
    network = model.load("dense")
    np.savez(folder / "weights.npz", *network.get_weights())
    np.save(folder / "logits.npy", model.logits(network, images))


def _measured(case, folder):
    """One row of the table: the case, its cost, and how like tf-keras-vis' its maps are."""
    technique, by, *_ = case
    python, script = (PEERS, "case_torch.py") if by in PYTORCH else (sys.executable, "case.py")
    command = [python, HERE / script, folder, *map(str, case)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"The case {case} failed:\n{run.stderr[-2000:]}")
    row = dict(zip(CASE, case, strict=True)) | json.loads(run.stdout.splitlines()[-1])
    print(*case, f"{row['seconds']:.2f} s", flush=True)
    maps = np.load(folder / "maps.npy")
    if by == LIBRARY:
        np.save(folder / f"{technique}.npy", maps)
    reference = np.load(folder / f"{technique}.npy")
    likeness = np.nan  # of maps on another grid
    if maps.shape == reference.shape:
        pairs = zip(maps, reference, strict=True)
        likeness = np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs])
    return row | {"correlation with tf-keras-vis": likeness}


def _compared(rows):
    """The rows with their speed, beside that of tf-keras-vis and that of the arithmetic alone."""
    rows["maps a second"] = rows["images"] / rows["seconds"]
    baseline = rows[rows["by"] == LIBRARY].set_index("technique")["maps a second"]
    rows["times tf-keras-vis"] = rows["maps a second"] / rows["technique"].map(baseline)
    work = rows["technique"].map(PASSES) * operations(model.load("dense"))
    rows["share of limit"] = rows["maps a second"] * work / rows["precision"].map(limit)
    rows["machine"] = _processor()
    return rows.sort_values(["technique", "precision", "maps a second"])


def operations(network):
    """Multiplications and additions of one forward pass through the convolutions."""
    layers = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    return 2 * sum(np.prod(c.kernel.shape) * np.prod(c.output.shape[1:3]) for c in layers)


@lru_cache
def limit(precision, batch=25):
    """The operations per second of the convolution of VGG-16 that this machine is fastest at."""

    def speed(side, width):
        x = tf.ones((batch, side, side, width), precision)
        kernel = tf.ones((3, 3, width, width), precision)
        convolve = tf.function(lambda: tf.nn.conv2d(x, kernel, 1, "SAME"), autograph=False)
        seconds = min(timeit.repeat(lambda: convolve().numpy(), number=1, repeat=9))
        return 2 * batch * side**2 * 9 * width**2 / seconds

    return max(speed(37, 256), speed(18, 512))


def _processor():
    """The processor's name and the number of its cores."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(": ")[1] for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main(*sys.argv[1:])
