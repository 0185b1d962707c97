"""`python -m tests.random_kills [REFERENCE]`: a run that is killed again and again ends the same.

A copy of the project makes the figures of DATASET (with SMOKE=1, on a handful of pictures). It is
killed KILLS times, 20 by default, at moments drawn evenly over the time that an undisturbed run
takes, and each time `make figures` goes on. In the end its figures, tables and maps have to be
those of REFERENCE, the results of an undisturbed run, byte for byte, and nothing else may be left.
Without REFERENCE such a run is made first.

Every second kill spares the notebook's Python, which has to notice by itself that it is alone.
"""

import atexit
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil

from utils import settings

KILLS = int(os.environ.get("KILLS", 20))
COMPARED = ("figures", "tables", "maps")


def copy_of_project(folder):
    """A copy of the project's own files and of archives in data/; it shares the environment."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=settings.ROOT, capture_output=True, text=True, check=True)
    for name in names.stdout.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(settings.ROOT / name, folder / name)
    for archive in [*(settings.ROOT / "data").glob("*.zip"), *settings.ROOT.glob("data/*.tar.gz")]:
        (folder / "data" / archive.name).symlink_to(archive.resolve())
    (folder / ".venv").symlink_to((settings.ROOT / ".venv").resolve())
    return folder


class Run:
    """`make figures` in a folder: which notebook it is at, and since when."""

    def __init__(self, folder):
        self.process = subprocess.Popen(
            ["make", "--no-print-directory", "figures"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines = queue.Queue()
        self.said = []
        threading.Thread(target=self._listen, daemon=True).start()
        atexit.register(self.kill)  # in a session of its own, it would not hear of a Ctrl-C

    def _listen(self):
        for line in self.process.stdout:
            self.said.append(line)
            if line.startswith("Running notebooks/"):
                self.lines.put(line.split()[1])
        self.lines.put(None)

    def reaches(self, notebook, seconds):
        """Wait until it has been at that notebook for so long, or is beyond; False at its end."""
        at = ""
        while at is not None and at < notebook:
            at = self.lines.get()
        if at == notebook:
            try:
                at = self.lines.get(timeout=seconds)
            except queue.Empty:
                return True
        return at is not None

    def kill(self, spare_kernel=False):
        """End make and all that it started at once; the notebook's own Python if not spared."""
        if self.process.poll() is not None:
            return
        children = psutil.Process(self.process.pid).children(recursive=True)
        os.killpg(self.process.pid, signal.SIGKILL)
        for child in [] if spare_kernel else children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        self.process.wait()


def undisturbed(folder):
    """The results of a run to its end in a copy of the project."""
    run = Run(folder)
    if run.process.wait():
        sys.exit("".join(run.said[-20:]))
    return folder / "results" / settings.RESULTS_DIR.name


def moments(reference):
    """Pairs (notebook, seconds from its start), evenly drawn over the time of a run, in order."""
    ran = sorted(
        (reference / "notebooks").glob("[0-9]*.ipynb"), key=lambda path: path.stat().st_mtime
    )
    ends = np.array([path.stat().st_mtime for path in ran])
    starts = np.array([(reference / "notebooks" / "settings").stat().st_mtime, *ends[:-1]])
    for moment in np.sort(
        np.random.default_rng(time.time_ns()).uniform(starts[0], ends[-1], KILLS)
    ):
        k = int(np.searchsorted(ends, moment))
        yield f"notebooks/{ran[k].name}", moment - starts[k]


def disturb(folder, number, notebook, seconds):
    """Let a run come to that moment and kill it."""
    while True:
        run = Run(folder)
        if run.reaches(notebook, seconds):
            break
        (folder / notebook).touch()  # it was quicker this time: run it again, and kill it earlier
        seconds /= 2
    run.kill(spare_kernel=number % 2 == 0)
    print(f"kill {number}: {notebook}, {seconds:.1f} s after its start", flush=True)


def differences(results, reference):
    """What is not the same in two folders of results, as lines."""
    names = {
        path.relative_to(root).as_posix()
        for root in (results, reference)
        for folder in COMPARED
        for path in (root / folder).rglob("*")
        if path.is_file()
    }
    contents = [
        [(root / name).read_bytes() if (root / name).exists() else None for name in sorted(names)]
        for root in (results, reference)
    ]
    different = [n for n, a, b in zip(sorted(names), *contents, strict=True) if a != b]
    left = [
        path for path in results.rglob("*") if ".part" in path.name or "unfinished" in path.name
    ]
    return [f"{name} differs" for name in different] + [f"{path.name} was left" for path in left]


def main():
    with tempfile.TemporaryDirectory() as folder:
        copies = [copy_of_project(Path(folder) / name) for name in ("whole", "killed")]
        reference = Path(sys.argv[1]).resolve() if sys.argv[1:] else undisturbed(copies[0])
        start = time.monotonic()
        for number, (notebook, seconds) in enumerate(moments(reference), 1):
            disturb(copies[1], number, notebook, seconds)
        results = undisturbed(copies[1])
        found = differences(results, reference)
        compared = sum(1 for name in COMPARED for _ in (reference / name).rglob("*.*"))
    print("\n".join(found))
    print(f"{KILLS} kills, {time.monotonic() - start:.0f} s; {compared} files compared")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
