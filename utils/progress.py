"""Progress of long work as plain lines, readable live and in an executed notebook."""

import time


def progress(items, label, total=None, every=10.0):
    """Yield `items`, printing a line with count, speed and time left each `every` seconds."""
    total = len(items) if total is None else total
    start = said = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - said >= every and done < total:
            said, speed = now, done / (now - start)
            left = (total - done) / speed
            print(
                f"{label}: {done} of {total}, {speed:.3g} a second, {left:.0f} s left", flush=True
            )
