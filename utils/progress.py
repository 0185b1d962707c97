"""Progress of long work as plain lines, readable live and in an executed notebook."""

import time

_reporting = False


def progress(items, label, total=None):
    """Yield `items`; after 10 s, 20 s, 40 s, ... print a line with count, speed and time left.

    The pauses grow to five minutes and no further, so a long run has few lines and never none.
    Work within work is silent: only the outermost reports.
    """
    global _reporting
    if _reporting:
        yield from items
        return
    total = len(items) if total is None else total
    start, due, _reporting = time.monotonic(), 10, True
    try:
        for done, item in enumerate(items, 1):
            yield item
            elapsed = time.monotonic() - start
            if elapsed >= due and done < total:
                speed, due = done / elapsed, elapsed + min(elapsed, 300)
                pace = f"{speed:.3g} a second, {(total - done) / speed:.0f} s left"
                print(f"{label}: {done} of {total}, {pace}", flush=True)
    finally:
        _reporting = False
