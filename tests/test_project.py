"""The repository as a whole: its two lists of packages, its notebooks, its settings."""

import ast
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FIRST_CELL = 'import sys\n\nsys.path.insert(0, "..")'
OURS = {"utils", "data", "covid"}
OURS |= {
    path.stem for room in ("notebooks", "site", "benchmarks") for path in ROOT.glob(f"{room}/*.py")
}


def code_of(path):
    """All code of a notebook, without what only IPython understands."""
    lines = "\n".join("".join(cell["source"]) for cell in cells(path, "code")).splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith(("!", "%")))


def cells(path, kind):
    content = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in content["cells"] if cell["cell_type"] == kind]


def imported(code):
    """The names of our modules and packages that some code imports, without what is in them."""
    for node in ast.walk(ast.parse(code)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        yield from OURS.intersection(name.split(".")[0] for name in names)


@pytest.mark.parametrize(
    ("room", "allowed"), [("utils", {"utils"}), ("data", {"data", "utils"})], ids=["utils", "data"]
)
def test_a_room_imports_only_those_below_it(room, allowed):
    for path in (ROOT / room).rglob("*.py"):
        assert set(imported(path.read_text())) <= allowed, path


def test_code_beside_the_notebooks_serves_one_of_them_each():
    shared = {"utils", "data"}
    uses = [set(imported(code_of(path))) - shared for path in NOTEBOOKS]
    assert not [a & b for a, b in itertools.combinations(uses, 2) if a & b]


def test_the_comparison_loads_few_modules_and_none_that_draws_or_downloads():
    lines = [line for line in code_of(NOTEBOOKS[6]).splitlines() if "import" in line]
    code = "\n".join([*lines, "import sys; print(*[m for m in sys.modules if m[:4] in OURS])"])
    code = code.replace("OURS", "('util', 'data')")
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    loaded = {name for name in run.stdout.split() if name.split(".")[0] in OURS}
    assert "utils.plotting" in loaded
    assert len(loaded) <= 8 and not [name for name in loaded if name.startswith("data")]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_figure_has_a_sentence_for_those_who_do_not_see_it(path):
    for cell in cells(path, "code"):
        if any(kind.startswith("image/") for o in cell["outputs"] for kind in o.get("data", {})):
            assert re.fullmatch(r"[A-Z].{20,}\.", cell["metadata"].get("alt", "")), cell["source"]


def test_conda_and_pip_install_the_same_versions():
    pip = (ROOT / "requirements.txt").read_text().split()
    conda = re.findall(r"^ {6}- (\S+)$", (ROOT / "environment.yml").read_text(), re.MULTILINE)
    assert conda == pip
    assert all("==" in line for line in pip)


def test_the_seven_notebooks_of_the_report_are_there():
    names = [path.name[:2] for path in NOTEBOOKS]
    assert names[:7] == ["01", "02", "03", "04", "05", "06", "07"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_starts_as_agreed(path):
    assert path.stat().st_size < 700_000
    assert "".join(cells(path, "code")[0]["source"]) == FIRST_CELL
    headings = re.findall(
        r"^# ", "".join("".join(c["source"]) + "\n" for c in cells(path, "markdown")), re.M
    )
    assert len(headings) == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_was_run_in_order_without_error_warning_or_machine_path(path):
    code = [cell for cell in cells(path, "code") if cell["source"]]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]
    texts = json.dumps(
        [
            {**o, "data": {k: v for k, v in o.get("data", {}).items() if "image" not in k}}
            for o in outputs
        ]
    )
    assert str(ROOT) not in texts
    assert not re.search(r"/(root|home|tmp|Users)/\w", texts)
    assert "Warning" not in texts


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_links_of_a_notebook_lead_somewhere(path):
    text = "".join("".join(cell["source"]) for cell in cells(path, "markdown"))
    for link in re.findall(r"\]\(([\w./-]+)\)", text):
        assert (path.parent / link).exists(), link


def settings_with(**environment):
    shown = "s.DATASET, s.VGG16_WEIGHTS, s.DATA_DIR.name, s.SEEDS"
    code = f"from utils import settings as s; print({shown})"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "drawn-pets photographs drawn-pets 3"),
        ({"SMOKE": "1"}, "drawn-pets photographs drawn-pets-smoke 2"),
        ({"SEEDS": "10"}, "drawn-pets photographs drawn-pets 10"),
        ({"DATASET": "dogs-vs-cats"}, "dogs-vs-cats imagenet dogs-vs-cats 1"),
        ({"DATASET": "dogs-vs-cats", "VGG16_WEIGHTS": "a.h5"}, "dogs-vs-cats a.h5 dogs-vs-cats 1"),
        ({"DATASET": "oxford-pets", "SEEDS": "3"}, "oxford-pets photographs oxford-pets 1"),
    ],
)
def test_settings_come_from_the_environment(environment, expected):
    assert settings_with(**environment).stdout.strip() == expected


def test_an_unknown_setting_names_the_known_ones():
    error = settings_with(DATASET="cats").stderr.splitlines()[-1]
    assert (
        "DATASET=cats is not known; choose one of: drawn-pets, dogs-vs-cats, oxford-pets" in error
    )


def test_utils_start_without_a_word():
    run = subprocess.run(
        [sys.executable, "-c", "from utils import runtime; runtime.set_seed(); runtime.policy()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def environment():
    """The variables of this process without those of a make that it may be run by."""
    return {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}


def make(folder, *arguments):
    """Run make in a folder that holds only this project's Makefile and a list of packages."""
    (folder / "Makefile").write_text((ROOT / "Makefile").read_text())
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)


def test_make_alone_prints_help(tmp_path):
    run = make(tmp_path)
    assert run.returncode == 0
    assert "make figures" in run.stdout


def test_without_a_python_that_fits_make_says_which_would(tmp_path):
    (tmp_path / "requirements.txt").write_text("")
    run = make(tmp_path, "figures", "CANDIDATES=false no-such-python")
    assert run.returncode != 0
    assert "No Python 3.11, 3.12 or 3.13 with its venv module was found" in run.stdout


def test_packages_that_cannot_be_installed_are_one_sentence_and_tried_again(tmp_path):
    (tmp_path / "requirements.txt").write_text("./no-such-package.whl")
    for _ in range(2):
        run = make(tmp_path, "figures", f"PYTHON={sys.executable}")
        assert run.returncode != 0
        assert "The packages could not be installed." in run.stdout
        assert "Traceback" not in run.stdout + run.stderr
    assert not (tmp_path / ".venv" / "ready").exists()


FAKE_PYTHON = """#!/bin/sh
# "Runs" a notebook by copying it, or fails where it says so.
test "$2" = nbconvert || exit 1
while [ "$1" != --execute ]; do shift; done
grep -q waits "$2" && { echo waiting; read line < go; }
grep -q broken "$2" && { echo "ValueError: the cause"; exit 1; }
cp "$2" "$4"
"""


@pytest.fixture
def workplace(tmp_path):
    """The Makefile among stand-ins for everything that it runs and reads; returns `figures`."""
    for path in [*NOTEBOOKS, *(p for room in CODE for p in (ROOT / room).rglob("*.py"))]:
        (tmp_path / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path.relative_to(ROOT)).write_text("content")
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "ready").write_text("")
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())

    def making(goal="figures", *arguments):
        run = make(tmp_path, goal, *DEFAULTS, *arguments)
        return run, re.findall(r"^notebooks/(..)_.* on .* \.\.\.$", run.stdout, re.MULTILINE)

    return making, tmp_path


CODE = ("utils", "data", "notebooks")
DEFAULTS = ("DATASET=drawn-pets", "SMOKE=", "PRECISION=", "LANGUAGE=", "VGG16_WEIGHTS=", "SEEDS=")
REPORT = ["01", "02", "03", "04", "05", "06", "07", "11"]
EVIDENCE = ["08", "09", "12"]


def touch(path):
    """Make a file newer than everything that was made so far."""
    later = max(p.stat().st_mtime for p in path.parents[1].rglob("*")) + 1
    os.utime(path, (later, later))


def test_each_goal_runs_its_notebooks_in_order_and_then_has_nothing_to_do(workplace):
    making, _ = workplace
    first, ran = making()
    assert ran == REPORT
    assert "results/drawn-pets/figures/figure_1.png" in first.stdout
    assert making("evidence")[1] == EVIDENCE
    assert making("covid")[1] == [*REPORT[:7], "10"]
    for goal in ("figures", "evidence", "covid"):
        again, ran = making(goal)
        assert ran == [] and "Nothing to do" in again.stdout


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("notebooks/09_evidence.ipynb", ["09"]),
        ("notebooks/evidence.py", ["09"]),
        ("notebooks/trust.py", ["12"]),
        ("notebooks/05_cam.ipynb", ["05", "06", "07", *EVIDENCE]),
        ("utils/attention.py", [*REPORT, *EVIDENCE]),
        ("data/drawing/pets.py", [*REPORT, *EVIDENCE]),
    ],
)
def test_a_change_runs_what_depends_on_it_and_no_more(workplace, changed, expected):
    making, folder = workplace
    making(), making("evidence")
    for path in folder.rglob("*"):
        os.utime(path, (path.stat().st_mtime - 60,) * 2)
    os.utime(folder / changed)
    assert making()[1] + making("evidence")[1] == expected


def test_another_setting_is_another_run(workplace):
    making, _ = workplace
    making()
    assert making("figures", "LANGUAGE=pt")[1] == REPORT
    assert making("figures", "LANGUAGE=pt")[1] == []
    making("evidence", "LANGUAGE=pt")
    assert making("evidence", "LANGUAGE=pt", "SEEDS=5")[1] == ["09", "12"]


def test_a_second_make_waits_for_the_first_and_then_has_nothing_to_do(workplace):
    _, folder = workplace
    os.mkfifo(folder / "go")
    (folder / "notebooks" / "04_smoothgrad.ipynb").write_text("waits")
    command = ["make", "--no-print-directory", "figures", *DEFAULTS]
    options = dict(cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True)
    with subprocess.Popen(command, **options) as first:
        while "waiting" not in first.stdout.readline():
            pass
        with subprocess.Popen(command, **options) as second:
            assert "drawn-pets is being made by another run" in second.stdout.readline()
            (folder / "go").write_text("on\n")
            assert "Nothing to do" in second.stdout.read()
        assert first.wait() == second.returncode == 0
        assert first.stdout.read().count("on drawn-pets") == 4, "the rest, after the four before"


def test_a_failing_notebook_is_named_and_what_was_made_before_stays(workplace):
    making, folder = workplace
    making()
    (folder / "notebooks" / "04_smoothgrad.ipynb").write_text("broken")
    run, ran = making()
    assert run.returncode != 0
    assert ran == ["04"]
    assert "ValueError: the cause\nnotebooks/04_smoothgrad.ipynb did not end" in run.stdout
    executed = folder / "results" / "drawn-pets" / "notebooks" / "04_smoothgrad.ipynb"
    assert executed.read_text() == "content"
    (folder / "notebooks" / "04_smoothgrad.ipynb").write_text("mended")
    assert making()[1] == ["04", "07"]


FAILURES = {
    "1 / 0": "The cause: ZeroDivisionError: division by zero",
    "import os; os.kill(os.getpid(), 9)": "The cause: its Python died without a word.",
}


@pytest.mark.parametrize("code", FAILURES)
def test_nbconvert_names_the_failing_cell_and_the_cause(tmp_path, code):
    cells = [nbformat.v4.new_code_cell(source) for source in ("a = 1", code)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "a.ipynb")
    command = [sys.executable, "-m", "nbconvert", "--config", CONFIG, "--to", "notebook"]
    command += ["--execute", tmp_path / "a.ipynb", "--output-dir", tmp_path / "out"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode != 0
    where, cause, then = run.stdout.splitlines()[-3:]
    assert where == f"The notebook stopped at cell [2], which begins with: {code}"
    assert cause.startswith(FAILURES[code])
    assert then.startswith("What was made before is still there.")
    assert not (tmp_path / "out" / "a.ipynb").exists()


CONFIG = ROOT / "notebooks" / "nbconvert_config.py"


def test_both_readmes_have_the_same_sections_links_and_commands_and_stay_short():
    english, portuguese = ((ROOT / f"README{end}.md").read_text() for end in ("", ".pt-BR"))
    assert len(english.split()) <= 900
    for pattern in (r"^## ", r"^```$", r"^\| ", r"^- \*\*"):
        counts = [len(re.findall(pattern, text, re.M)) for text in (english, portuguese)]
        assert counts[0] == counts[1], pattern
    links = [set(re.findall(r"\]\(([^)]+)\)", text)) for text in (english, portuguese)]
    assert links[0] - links[1] == {"README.pt-BR.md"}
    assert links[1] - links[0] == {"README.md", "notebooks/RESUMO.pt-BR.md"}
    for link in set.union(*links):
        assert link.startswith("https://") or (ROOT / link).exists(), link
