"""`python -m utils.alone FILE COMMAND ...`: run a command while no other one holds the file's lock.

Nothing but the standard library: every run starts with it. The lock belongs to the command and to
what that starts, and is gone when they are, however they ended.
"""

import os
import sys
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


def hold(path):
    """Open a file and lock it, or say who holds it and wait; it stays open in what this starts."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    if fcntl:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder, name = os.pread(file, 20, 0).decode(), Path(path).stem
            print(f"{name} is being made by another run (process {holder}): waiting.", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # some network drives know no locks
            pass
    os.truncate(file, 0)
    os.pwrite(file, str(os.getpid()).encode(), 0)
    os.set_inheritable(file, True)


if __name__ == "__main__":
    _, path, *command = sys.argv
    hold(path)
    os.execvp(command[0], command)
