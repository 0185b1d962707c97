"""`python -m utils.run_notebook IN OUT`: run a notebook; OUT appears whole or not at all.

A failure is told by the notebook, the cell and the cause, in the last lines.
"""

import sys
from pathlib import Path

import nbformat
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbconvert.preprocessors import ExecutePreprocessor
from traitlets.config import Config

from utils.files import shown, whole

GO_ON = "What was made before is still there. Put that right and run make again: it goes on there."
DIED = (
    "its Python died without a word. Mostly that is the system's answer to a full memory: close "
    "other programs, or take a machine with more"
)


def run(source, target):
    """Execute the notebook `source` in its folder and write it to `target`; the failure, or ""."""
    notebook, begun = nbformat.read(source, as_version=4), []
    settings = Config(KernelManager={"transport_encryption": "auto"})
    executor = ExecutePreprocessor(
        kernel_name="python3",
        record_timing=False,
        on_cell_execute=lambda cell, cell_index: begun.append(cell),
        config=settings,
    )
    try:
        executor.preprocess(notebook, {"metadata": {"path": source.parent}})
    except CellExecutionError as error:
        print(error.traceback)
        return _failure(source, begun, f"{error.ename}: {' '.join(error.evalue.split())}")
    except DeadKernelError:
        return _failure(source, begun, DIED)
    with whole(target) as part:
        nbformat.write(notebook, part)
    return ""


def _failure(source, begun, cause):
    """Three lines: which notebook and which cell, why, and what to do then."""
    line = begun[-1]["source"].strip().splitlines()[0]
    where = f"{shown(source)} stopped at cell [{len(begun)}], which begins with: {line}"
    return "\n".join([where, f"The cause: {cause}", GO_ON])


if __name__ == "__main__":
    if failure := run(*(Path(name).resolve() for name in sys.argv[1:])):
        print(failure, flush=True)
        sys.exit(1)
