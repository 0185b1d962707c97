"""A notebook that fails or dies, and runs that want the same results at the same time."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from utils import run_notebook, settings

ALONE = [sys.executable, Path(run_notebook.__file__).with_name("alone.py")]


def written(path, *cells):
    """Write a notebook of a heading and these cells of code, and say where."""
    cells = [v4.new_markdown_cell("# A notebook"), *map(v4.new_code_cell, cells)]
    nbformat.write(v4.new_notebook(cells=cells), path)
    return path


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    (tmp_path / "out.ipynb").write_text("earlier results")
    return tmp_path


@pytest.mark.fault(
    "a cell that fails", "the notebook, the cell and the cause in the last lines", "the notebook"
)
def test_a_failing_cell_is_named_with_its_notebook_and_the_cause(place, capfd):
    source = written(place / "a.ipynb", "x = 1", "# why\nx / 0")
    failure = run_notebook.run(source, place / "out.ipynb").splitlines()
    assert failure[0] == "a.ipynb stopped at cell [2], which begins with: # why"
    assert failure[1] == "The cause: ZeroDivisionError: division by zero"
    assert failure[2].endswith("run make again: it goes on there.")
    assert "x / 0" in capfd.readouterr().out, "the cell and its traceback stand above"
    assert (place / "out.ipynb").read_text() == "earlier results"


@pytest.mark.slow
@pytest.mark.fault(
    "a notebook whose Python is killed, as by a full memory",
    "is said in a sentence",
    "the notebook",
)
def test_a_dead_kernel_is_said_with_its_notebook_and_cell(place):
    source = written(place / "a.ipynb", "x = 1", "import os\nos.kill(os.getpid(), 9)")
    failure = run_notebook.run(source, place / "out.ipynb").splitlines()
    assert failure[0] == "a.ipynb stopped at cell [2], which begins with: import os"
    assert "its Python died without a word" in failure[1] and "full memory" in failure[1]
    assert (place / "out.ipynb").read_text() == "earlier results"


@pytest.mark.slow
def test_a_notebook_that_runs_takes_the_place_of_the_old_one(place):
    source = written(place / "a.ipynb", "print(1 + 1)")
    assert run_notebook.run(source, place / "out.ipynb") == ""
    (_, cell) = nbformat.read(place / "out.ipynb", as_version=4).cells
    assert (cell.execution_count, cell.outputs[0].text) == (1, "2\n")
    assert sorted(path.name for path in place.iterdir()) == ["a.ipynb", "out.ipynb"]


def locked(path, *command):
    """Start a command that waits for the lock of a file."""
    return subprocess.Popen([*ALONE, path, *command], stdin=-1, stdout=-1, text=True)


@pytest.mark.fault("two runs of a data set at once", "the second says so, and waits")
def test_a_second_run_says_that_it_waits_and_goes_on_when_the_first_ends(tmp_path):
    lock = tmp_path / "drawn-pets.lock"
    with locked(lock, "sh", "-c", "echo first; read line; echo end") as first:
        assert first.stdout.readline() == "first\n"
        with locked(lock, "echo", "second") as second:
            message = f"drawn-pets is being made by another run (process {first.pid}): waiting.\n"
            assert second.stdout.readline() == message
            assert first.poll() is None
            assert first.communicate("\n")[0] == "end\n"
            assert second.stdout.read() == "second\n"


@pytest.mark.fault("SIGKILL of the run that another one waits for", "the other goes on")
def test_the_lock_of_a_killed_run_is_gone(tmp_path):
    lock = tmp_path / "drawn-pets.lock"
    with locked(lock, "cat") as first:
        first.stdin.write("x\n")
        first.stdin.flush()
        assert first.stdout.readline() == "x\n"
        with locked(lock, "echo", "second") as second:
            assert "waiting" in second.stdout.readline()
            first.kill()
            assert second.stdout.read() == "second\n"


@pytest.mark.fault(
    "SIGKILL of make alone, while its notebook goes on", "the lock stays till its end"
)
def test_what_a_killed_run_has_started_keeps_the_lock(tmp_path):
    lock = tmp_path / "drawn-pets.lock"
    with locked(lock, "sh", "-c", "exec 9<&0; cat <&9 & echo $!; wait") as first:
        first.stdout.readline()
        first.kill()
        first.wait()
        with locked(lock, "echo", "second") as second:
            assert "waiting" in second.stdout.readline()
            first.stdin.close()  # which ends the cat
            assert second.stdout.read() == "second\n"
