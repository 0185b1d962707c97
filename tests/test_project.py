"""The repository as a whole: its two lists of packages, its notebooks, its settings."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FIRST_CELL = """\
import sys
from pathlib import Path

REPOSITORY = "{}"  # its address on the web, for Colab and Kaggle
places = [Path.cwd(), *Path.cwd().parents, Path.cwd() / "attention-maps"]
ROOT = next((p for p in places if (p / "environment.yml").exists()), places[-1])
if not ROOT.exists():
    !git clone -q --depth=1 {{REPOSITORY}} {{ROOT}} && pip install -q tf-keras-vis
sys.path.insert(0, str(ROOT))"""


def cells(path, kind):
    content = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in content["cells"] if cell["cell_type"] == kind]


def repository():
    """The address that the first notebook was told by `make address`; nothing before."""
    return re.search(r'REPOSITORY = "(.*)"', "".join(cells(NOTEBOOKS[0], "code")[0]["source"]))[1]


def test_the_readme_links_to_where_the_notebooks_fetch_the_repository():
    assert f"({repository() or 'README.pt-BR.md'}" in (ROOT / "README.md").read_text()


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
    assert path.stat().st_size < 500_000
    assert "".join(cells(path, "code")[0]["source"]) == FIRST_CELL.format(repository())
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
    code = "from utils import settings as s; print(s.DATASET, s.VGG16_WEIGHTS, s.DATA_DIR.name)"
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
        ({}, "drawn-pets drawn drawn-pets"),
        ({"SMOKE": "1"}, "drawn-pets drawn drawn-pets-smoke"),
        ({"DATASET": "dogs-vs-cats"}, "dogs-vs-cats imagenet dogs-vs-cats"),
        ({"DATASET": "dogs-vs-cats", "VGG16_WEIGHTS": "a.h5"}, "dogs-vs-cats a.h5 dogs-vs-cats"),
    ],
)
def test_settings_come_from_the_environment(environment, expected):
    assert settings_with(**environment).stdout.strip() == expected


@pytest.mark.fault("a setting that is not known", "the known ones are named")
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


@pytest.mark.fault("no Python that fits", "says which would")
def test_without_a_python_that_fits_make_says_which_would(tmp_path):
    (tmp_path / "requirements.txt").write_text("")
    run = make(tmp_path, "figures", "CANDIDATES=false no-such-python")
    assert run.returncode != 0
    assert "No Python 3.11, 3.12 or 3.13 with its venv module was found" in run.stdout


@pytest.mark.fault(
    "packages that cannot be installed", "one sentence, and the next make tries again"
)
def test_packages_that_cannot_be_installed_are_one_sentence_and_tried_again(tmp_path):
    (tmp_path / "requirements.txt").write_text("./no-such-package.whl")
    for _ in range(2):
        run = make(tmp_path, "figures", f"PYTHON={sys.executable}")
        assert run.returncode != 0
        assert "The packages could not be installed." in run.stdout
        assert "Traceback" not in run.stdout + run.stderr
    assert not (tmp_path / ".venv" / "ready").exists()


FAKE_PYTHON = f"""#!/bin/sh
# "Runs" a notebook by copying it, or fails where it says so; locks in earnest; makes no site.
case "$2" in
utils.alone) shift 2; exec {sys.executable} {ROOT}/utils/alone.py "$@" ;;
utils.site) echo site; cd results/$DATASET; mkdir -p site; exec touch site/index.html ;;
esac
grep -q waits "$3" && {{ echo waiting; read line < go; }}
grep -q broken "$3" && {{ echo "ValueError: the cause"; exit 1; }}
mkdir -p $(dirname "$4") && cp "$3" "$4"
"""


@pytest.fixture
def workplace(tmp_path):
    """The Makefile among stand-ins for everything that it runs and reads; returns `figures`."""
    for folder in (".venv/bin", "notebooks", "utils"):
        (tmp_path / folder).mkdir(parents=True)
    for path in [*NOTEBOOKS, *(ROOT / "utils").glob("*.py")]:
        (tmp_path / path.relative_to(ROOT)).write_text("content")
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "README.md").write_text("content")
    (tmp_path / ".venv" / "ready").write_text("")
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())

    def figures(*arguments):
        run = make(tmp_path, "figures", *DEFAULTS, *arguments)
        return run, [line[18:20] for line in run.stdout.splitlines() if "Running" in line]

    return figures, tmp_path


DEFAULTS = ("DATASET=drawn-pets", "SMOKE=", "PRECISION=", "LANGUAGE=", "VGG16_WEIGHTS=")
ALL = ["01", "02", "03", "04", "05", "06", "07", "08", "09", "11"]


def touch(path):
    """Make a file newer than everything that was made so far."""
    later = max(p.stat().st_mtime for p in path.parents[1].rglob("*")) + 1
    os.utime(path, (later, later))


def test_figures_runs_all_notebooks_in_order_and_then_has_nothing_to_do(workplace):
    figures, folder = workplace
    first, ran = figures()
    assert ran == ALL
    assert "results/drawn-pets/figures/figure_1.png" in first.stdout
    assert "results/drawn-pets/site/index.html" in first.stdout
    assert "site" in first.stdout.splitlines()
    second, ran = figures()
    assert ran == []
    assert "Nothing to do" in second.stdout
    assert "site" not in second.stdout.splitlines()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("notebooks/09_evidence.ipynb", ["09"]),
        ("notebooks/07_comparison.ipynb", ["07", "08", "09"]),
        ("notebooks/05_cam.ipynb", ["05", "06", "07", "08", "09", "11"]),
        ("utils/attention.py", ALL[2:]),
        ("utils/images.py", ALL),
    ],
)
def test_a_change_runs_what_depends_on_it_and_no_more(workplace, changed, expected):
    figures, folder = workplace
    figures()
    touch(folder / changed)
    assert figures()[1] == expected


@pytest.mark.fault("another setting, all files unchanged", "runs all again")
def test_another_setting_is_another_run(workplace):
    figures, _ = workplace
    figures()
    assert figures("LANGUAGE=pt")[1] == ALL
    assert figures("LANGUAGE=pt")[1] == []


@pytest.mark.fault("make figures twice at once", "no notebook runs twice; the second waits")
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
        assert first.stdout.read().count("Running") == 6, "the rest, after the four before"


@pytest.mark.slow
@pytest.mark.fault(
    "a stranger at JupyterLab's door", "is refused without the token, on this machine"
)
def test_the_lab_listens_to_this_machine_only_and_wants_its_token(tmp_path):
    command = ["make", "-n", "lab"]
    said = subprocess.check_output(command, cwd=ROOT, env=environment(), text=True)
    (line,) = (line for line in said.splitlines() if "jupyter lab" in line)
    command = line.removesuffix("notebooks").split()
    command += ["--no-browser", "--allow-root", "--ServerApp.port=0", tmp_path]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as lab:
        try:
            text = iter(lab.stderr.readline, "")
            url, token = next(filter(None, map(LAB_URL.search, text))).groups()
            with requests.Session() as stranger:
                stranger.mount(url, HTTPAdapter(max_retries=Retry(connect=10, backoff_factor=0.1)))
                assert stranger.get(f"{url}api/contents").status_code == 403
                assert stranger.get(f"{url}api/contents?token={token}").status_code == 200
            doors = psutil.Process(lab.pid).net_connections()
            assert {door.laddr.ip for door in doors if door.status == "LISTEN"} == {"127.0.0.1"}
        finally:
            lab.terminate()


LAB_URL = re.compile(r"(http://127\.0\.0\.1:[0-9]+/).*token=([0-9a-f]{32,})")


@pytest.mark.fault(
    "a notebook that fails within make",
    "make fails, earlier results stay, and it goes on there once mended",
    "the notebook",
)
def test_a_failing_notebook_is_named_and_what_was_made_before_stays(workplace):
    figures, folder = workplace
    figures()
    (folder / "notebooks" / "04_smoothgrad.ipynb").write_text("broken")
    touch(folder / "notebooks" / "04_smoothgrad.ipynb")
    run, ran = figures()
    assert run.returncode != 0
    assert ran == ["04"]
    assert "ValueError: the cause" in run.stdout
    executed = folder / "results" / "drawn-pets" / "notebooks" / "04_smoothgrad.ipynb"
    assert executed.read_text() == "content"
    (folder / "notebooks" / "04_smoothgrad.ipynb").write_text("mended")
    assert figures()[1] == ["04", "07", "08", "09"]
