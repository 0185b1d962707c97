import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest

from utils import files, settings
from utils.progress import progress

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def results(monkeypatch, tmp_path):
    for name in ("MAPS", "TABLES", "FIGURES", "MODELS"):
        monkeypatch.setattr(settings, name, tmp_path / name.lower())
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    return tmp_path


def test_a_file_appears_whole(tmp_path):
    with files.whole(tmp_path / "new" / "a.txt") as part:
        part.write_text("half")
        assert part.suffix == ".txt"
        assert not (tmp_path / "new" / "a.txt").exists()
    assert (tmp_path / "new" / "a.txt").read_text() == "half"


@pytest.mark.fault("an error while a file is written", "the old file stays, nothing else")
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(ZeroDivisionError), files.whole(tmp_path / "a.txt") as part:
        part.write_text("new")
        1 / 0  # noqa: B018
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("number", "free"), [(errno.ENOSPC, 10**9), (errno.EDQUOT, 10**9), (None, 0)]
)
@pytest.mark.fault(
    "a disk full while a file is written (error number {number}, {free} bytes free)",
    "is said, and the old file stays",
    "the new file",
)
def test_a_full_disk_is_said_and_leaves_the_old_file(tmp_path, monkeypatch, number, free):
    (tmp_path / "a.npy").write_text("old")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(free, 0, free))
    said = pytest.raises(files.DiskFull, match="The disk is full: .* nothing half-done counts")
    with said, files.whole(tmp_path / "a.npy") as part:
        part.write_text("half")
        raise OSError(number, "45000 requested and 4096 written")  # NumPy's own has no number
    assert (tmp_path / "a.npy").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


def in_another_process(code, *arguments, **options):
    """Start Python code that knows `files`, `settings`, `pd` and its arguments."""
    start = "import sys; import pandas as pd; from pathlib import Path\n"
    start += "from utils import files, settings; settings.TABLES = Path(sys.argv[1])\n"
    root = Path(files.__file__).parents[1]
    return subprocess.Popen(
        [sys.executable, "-c", start + code, *map(str, arguments)], cwd=root, **options
    )


KILLED = """
import os
with files.whole(Path(sys.argv[1]) / "a.txt") as part:
    part.write_text("half")
    os.kill(os.getpid(), 9)
"""


@pytest.mark.fault("SIGKILL while a file is written", "the old file stays", "the new file")
def test_a_kill_leaves_the_old_file_and_the_next_writer_clears_up(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    assert in_another_process(KILLED, tmp_path).wait() == -9
    assert (tmp_path / "a.txt").read_text() == "old"
    with files.whole(tmp_path / "a.txt") as part:
        part.write_text("new")
    assert (tmp_path / "a.txt").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


ADDING = """
for k in range(20):
    row = {"technique": f"{sys.argv[2]} {k}", "n": k}
    files.save_rows("localisation", pd.DataFrame([row]), key="technique")
"""


@pytest.mark.fault("two notebooks that put rows into one table at once", "no row is lost")
def test_two_notebooks_lose_no_rows_of_one_table(results):
    folder = results / "tables"
    writers = [in_another_process(ADDING, folder, name) for name in ("cam", "saliency")]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert len(files.load_table("localisation")) == 40
    assert [path.name for path in folder.iterdir()] == ["localisation.csv"]


def test_rows_take_the_place_of_those_with_the_same_key():
    files.save_rows("accuracy", pd.DataFrame({"model": ["a", "b"], "n": [1, 2]}), key="model")
    files.save_rows("accuracy", pd.DataFrame({"model": ["a"], "n": [3]}), key="model")
    table = files.load_table("accuracy")
    assert table.to_dict("records") == [{"model": "a", "n": 3}, {"model": "b", "n": 2}]


def test_empty_fields_stay_texts_and_missing_numbers_numbers():
    frame = pd.DataFrame({"head_mask": ["", "x"], "accuracy": [np.nan, 1.0]})
    files.save_table("accuracy", frame)
    pd.testing.assert_frame_equal(files.load_table("accuracy"), frame, check_dtype=False)


ROWS = pd.DataFrame(
    {
        "image": ["a", "both", "both"],
        "label": ["cat", "cat", "dog"],
        "class_index": [1, 0, 1],
        "logit": [0.5, 1.5, 2.5],
    }
)


def test_maps_come_back_raw_and_by_picture_and_question():
    maps = np.arange(12).reshape(3, 2, 2) - 6
    files.save_maps("cam", maps, ROWS)
    archive = files.load_maps("cam")
    assert archive["maps"].dtype == np.float32
    np.testing.assert_array_equal(archive["maps"], maps)
    np.testing.assert_array_equal(archive["class_index"], [1, 0, 1])
    np.testing.assert_array_equal(files.maps_of("cam", ROWS.iloc[[2, 0]]), maps[[2, 0]])


def explain(rows):
    """A map (2, 2) of the row's logit for each row."""
    return np.ones((len(rows), 2, 2)) * rows["logit"].to_numpy()[:, None, None]


def stopped(rows):
    """`explain`, killed at the last row."""
    if rows.index[-1] == 2:
        raise KeyboardInterrupt
    return explain(rows)


def test_streamed_maps_are_those_that_are_saved_at_once(results):
    files.save_maps("cam", explain(ROWS), ROWS)
    files.stream_maps("grad_cam", explain, ROWS, part=2)
    once, streamed = (
        (results / "maps" / f"{name}.npz").read_bytes() for name in ("cam", "grad_cam")
    )
    assert once == streamed
    assert [path.name for path in (results / "maps").iterdir()] == ["cam.npz", "grad_cam.npz"]


@pytest.mark.fault(
    "a notebook stopped among its maps", "goes on after the last part", "a part of the maps"
)
def test_streaming_goes_on_where_it_was_stopped():
    asked = []
    with pytest.raises(KeyboardInterrupt):
        files.stream_maps("cam", stopped, ROWS, part=1, n=50)
    files.stream_maps(
        "cam", lambda rows: asked.append(rows.index[0]) or explain(rows), ROWS, part=1, n=50
    )
    assert asked == [2]
    np.testing.assert_array_equal(files.load_maps("cam")["maps"], explain(ROWS))


@pytest.mark.fault("parts of maps of another network or recipe", "are not used")
def test_parts_of_another_network_or_recipe_are_not_used():
    for rows, recipe in ((ROWS, {"n": 5}), (ROWS.assign(logit=0.0), {"n": 50})):
        with pytest.raises(KeyboardInterrupt):
            files.stream_maps("cam", stopped, rows, part=1, **recipe)
    asked = []
    files.stream_maps(
        "cam", lambda rows: asked.append(rows.index[0]) or explain(rows), ROWS, part=1, n=50
    )
    assert asked == [0, 1, 2]


@pytest.mark.fault("maps that are missing for a picture", "an error names the notebook to run")
def test_maps_that_are_asked_for_and_missing_are_an_error():
    files.save_maps("cam", np.zeros((3, 2, 2)), ROWS)
    with pytest.raises(KeyError, match="05_cam"):
        files.maps_of("cam", ROWS.assign(image="other"))


@pytest.mark.fault("a notebook run before the one it reads", "an error names the notebook to run")
def test_what_is_missing_names_the_notebook_to_run():
    with pytest.raises(FileNotFoundError, match="run notebooks/04_smoothgrad.ipynb first"):
        files.load_maps("smoothgrad")


class Trap:
    """What a stranger may hide in an array: unpickled, it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.fault("maps from a stranger, with code in a pickle", "are refused, nothing is run")
def test_nothing_in_a_file_of_maps_is_unpickled(results):
    (results / "maps").mkdir()
    trap = np.array([Trap(results / "trapped")], dtype=object)
    np.savez(results / "maps" / "cam.npz", maps=trap)
    with pytest.raises(ValueError, match=r"cam.npz .* more than numbers .*05_cam.ipynb"):
        files.load_maps("cam")
    assert not (results / "trapped").exists()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
@pytest.mark.fault("a file of maps cut short", "an error names the notebook to run", "the maps")
def test_a_damaged_file_of_maps_names_the_notebook_to_run(results, share):
    files.save_maps("cam", explain(ROWS), ROWS)
    path = results / "maps" / "cam.npz"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"cam.npz is damaged.*run notebooks/05_cam.ipynb"):
        files.load_maps("cam")


def test_a_figure_is_the_same_bytes_each_time(results):
    written = []
    for _ in range(2):
        fig = matplotlib.pyplot.figure()
        fig.add_subplot().plot([1, 2])
        files.save_figure(fig, "lines")
        paths = [results / "figures" / f"lines.{kind}" for kind in ("png", "pdf")]
        written.append([path.read_bytes() for path in paths])
    assert written[0] == written[1]


def test_progress_passes_everything_on_and_says_how_far_it_is(capsys, monkeypatch):
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    assert list(progress([1, 2, 3, 4, 5], "pictures")) == [1, 2, 3, 4, 5]
    assert capsys.readouterr().out == "pictures: 3 of 5, 0.25 a second, 8 s left\n"


def test_progress_of_short_work_is_silent(capsys):
    assert list(progress("ab", "letters")) == ["a", "b"]
    assert capsys.readouterr().out == ""


def test_progress_within_progress_is_silent(capsys, monkeypatch):
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    for _ in progress([1, 2], "parts"):
        assert list(progress([1, 2, 3], "batches")) == [1, 2, 3]
    assert capsys.readouterr().out == "parts: 1 of 2, 0.05 a second, 20 s left\n"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A place without an environment of make's, where one notebook writes the file `found`."""
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    monkeypatch.setattr(settings, "RESULTS_DIR", tmp_path / "results" / "set")
    recipe = "results/set/notebooks/02_b.ipynb:\n\t@test $$MAKING = 1 && touch found\n"
    (tmp_path / "Makefile").write_text(recipe)
    return tmp_path / "found"


def test_a_missing_file_elsewhere_runs_the_notebook_that_writes_it(elsewhere):
    assert files.read(elsewhere, "02_b").exists()


def test_a_notebook_that_make_runs_does_not_ask_make_for_its_own_files(elsewhere, monkeypatch):
    monkeypatch.setenv("MAKING", "1")
    with pytest.raises(FileNotFoundError, match="run notebooks/02_b.ipynb first"):
        files.read(elsewhere, "02_b")


def test_where_make_has_set_up_its_environment_nothing_is_run(elsewhere):
    (elsewhere.parent / ".venv").mkdir()
    with pytest.raises(FileNotFoundError, match="run notebooks/02_b.ipynb first"):
        files.read(elsewhere, "02_b")
