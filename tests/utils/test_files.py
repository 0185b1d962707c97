import os

import matplotlib
import numpy as np
import pandas as pd
import pytest

from utils import files, settings

CLEAR = "\033[2K\r"  # what IPython prints to clear a line where there is no notebook


@pytest.fixture(autouse=True)
def results(monkeypatch, tmp_path):
    for name in ("MAPS", "TABLES", "FIGURES"):
        monkeypatch.setattr(settings, name, tmp_path / name.lower())
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    return tmp_path


def test_a_file_appears_whole(tmp_path):
    with files.whole(tmp_path / "new" / "a.txt") as part:
        part.write_text("half")
        assert part.suffix == ".txt"
        assert not (tmp_path / "new" / "a.txt").exists()
    assert (tmp_path / "new" / "a.txt").read_text() == "half"


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(ZeroDivisionError), files.whole(tmp_path / "a.txt") as part:
        part.write_text("new")
        1 / 0  # noqa: B018
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_what_a_kill_left_behind_is_written_over(tmp_path):
    with files.whole(tmp_path / "a.txt") as part:
        part.write_text("whole")
    part.write_text("half of a longer text")
    with files.whole(tmp_path / "a.txt") as part:
        part.write_text("new")
    assert (tmp_path / "a.txt").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


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


def test_maps_come_back_raw_and_by_image_and_label():
    maps = np.arange(12).reshape(3, 2, 2) - 6
    files.save_maps("cam", maps, ROWS)
    archive = files.load_maps("cam")
    assert archive["maps"].dtype == np.float32
    np.testing.assert_array_equal(archive["maps"], maps)
    for name in ROWS:
        np.testing.assert_array_equal(archive[name], ROWS[name])
    np.testing.assert_array_equal(files.maps_of("cam", ROWS.iloc[[2, 0]]), maps[[2, 0]])
    with pytest.raises(KeyError, match="no cam map of other: run notebooks/05_cam.ipynb"):
        files.maps_of("cam", ROWS.assign(image=["a", "other", "both"]))


def test_a_missing_file_names_the_notebook_to_run():
    with pytest.raises(FileNotFoundError, match="run notebooks/04_smoothgrad.ipynb first"):
        files.load_maps("smoothgrad")
    with pytest.raises(FileNotFoundError, match="^tables/verdicts.csv .*/09_evidence.ipynb first"):
        files.load_table("verdicts")


class Trap:
    """What a stranger may hide in an array: unpickled, it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_nothing_in_a_file_of_maps_is_unpickled(results):
    (results / "maps").mkdir()
    trap = np.array([Trap(results / "trapped")], dtype=object)
    np.savez(results / "maps" / "cam.npz", maps=trap)
    with pytest.raises(ValueError, match=r"cam.npz .* more than numbers .*05_cam.ipynb"):
        files.load_maps("cam")
    assert not (results / "trapped").exists()


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_file_of_maps_cut_short_names_the_notebook_to_run(results, share):
    files.save_maps("cam", np.zeros((3, 2, 2)), ROWS)
    path = results / "maps" / "cam.npz"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"cam.npz is damaged.*run notebooks/05_cam.ipynb"):
        files.load_maps("cam")


def test_a_figure_is_written_for_the_screen_and_for_print(results):
    files.save_figure(matplotlib.figure.Figure(), "empty")
    assert (results / "figures" / "empty.png").read_bytes().startswith(b"\x89PNG")
    assert (results / "figures" / "empty.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("items", ["abc", iter("abc")])
def test_progress_passes_everything_on_and_is_silent_about_short_work(capsys, items):
    assert list(files.progress(items, "letters", total=3)) == ["a", "b", "c"]
    assert capsys.readouterr().out == ""


def test_progress_of_long_work_says_how_far_it_is_and_leaves_nothing(capsys, monkeypatch):
    clock = iter([0, 3, 6, 9])  # at the start and after each item
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    assert list(files.progress([1, 2, 3], "pictures")) == [1, 2, 3]
    said = capsys.readouterr().out
    lines = [line for line in said.split(CLEAR) if line]
    assert lines[:2] == ["pictures: 1 of 3, 6 s left\r", "pictures: 2 of 3, 3 s left\r"]
    assert said.endswith(CLEAR)


def test_what_is_kept_is_made_again_when_its_code_or_that_of_utils_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    monkeypatch.setattr(settings, "RESULTS_DIR", tmp_path)
    module, technique = tmp_path / "measures.py", tmp_path / "utils" / "attention.py"
    technique.parent.mkdir()
    module.write_text("one")
    technique.write_text("one")
    calls = []

    def asked():
        return files.kept(module).cache(calls.append)(0)

    for path in (module, technique):
        asked(), asked()
        path.write_text("two")
    asked()
    assert len(calls) == 3
