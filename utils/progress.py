"""Progress of long work as plain lines, readable live and in an executed notebook."""

import time


def progress(items, label, total=None):
    """Yield `items`; after 10 s, 20 s, 40 s, ... print a line with count, speed and time left.

    The pauses grow to five minutes and no further, so a long run has few lines and never none.
    """
    total = len(items) if total is None else total
    start, due = time.monotonic(), 10
    for done, item in enumerate(items, 1):
        yield item
        elapsed = time.monotonic() - start
        if elapsed >= due and done < total:
            speed, due = done / elapsed, elapsed + min(elapsed, 300)
            left = (total - done) / speed
            print(
                f"{label}: {done} of {total}, {speed:.3g} a second, {left:.0f} s left", flush=True
            )
