"""How make runs a notebook with nbconvert: what the terminal shows meanwhile, and at a failure."""

import atexit
import re
import sys
import threading
import time

from nbclient.exceptions import DeadKernelError

GO_ON = "What was made before is still there. Put that right and run make again: it goes on there."
DIED = (
    "The cause: its Python died without a word. Mostly that is the system's answer to a full "
    "memory: close other programs, or take a machine with more."
)
begun, total, start = [], [], time.monotonic()


def started(notebook):
    """Count the cells, and show a line about them from now on, where someone looks."""
    total[:] = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source]
    threading.Thread(target=keep_showing, daemon=True).start()


def keep_showing():
    """Write the line anew each second, until this process ends."""
    while sys.stdout.isatty():
        say(f"  cell {len(begun)} of {len(total)}, {time.monotonic() - start:.0f} s", end="")
        time.sleep(1)


def say(text, end="\n"):
    """Print over the line, if there is one."""
    print("\r\033[K" * sys.stdout.isatty() + text, end=end, flush=True)


def failed(cell, cell_index, execute_reply):
    """Print what the kernel says of a cell's failure, then in which cell it was and why."""
    error = execute_reply["content"]
    text = "\n".join(error["traceback"])
    say(text if sys.stdout.isatty() else re.sub(r"\x1b\[[0-9;]*m", "", text))  # without colours
    where(f"The cause: {error['ename']}: {' '.join(error['evalue'].split())}")


def where(cause):
    """Print which cell was running, the cause, and what to do then."""
    line = begun[-1].source.strip().splitlines()[0]
    say(f"The notebook stopped at cell [{len(begun)}], which begins with: {line}\n{cause}\n{GO_ON}")


def finished():
    """Print how long it took."""
    say(f"  {len(begun)} cells, {time.monotonic() - start:.0f} s")


def ended(kind, error, trace):
    """Name the cell too when there is no reply to it any more; nbconvert's own words follow."""
    atexit.unregister(finished)
    if kind is DeadKernelError:
        where(DIED)
    sys.__excepthook__(kind, error, trace)


sys.excepthook = ended
atexit.register(finished)
c = get_config()  # noqa: F821, nbconvert's own
c.KernelManager.transport_encryption = "auto"
c.ExecutePreprocessor.kernel_name = "python3"
c.ExecutePreprocessor.record_timing = False
c.ExecutePreprocessor.on_notebook_start = started
c.ExecutePreprocessor.on_cell_execute = lambda cell, cell_index: begun.append(cell)
c.ExecutePreprocessor.on_cell_error = failed
