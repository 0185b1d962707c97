"""Chromium for tests, spoken to in its DevTools protocol: no driver, and no network."""

import json
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from urllib.request import urlopen

import websocket

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--remote-debugging-port=0", "--no-first-run", "--disable-background-networking"),
)
KEYS = {"End": 35, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39, "ArrowDown": 40}

# The texts of a page whose contrast with what is behind them is below 4.5, as "text: ratio".
FAINT = """(() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => numbers(colour).slice(0, 3).reduce((sum, v, i) => {
    const part = v <= 10 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
    return sum + [0.2126, 0.7152, 0.0722][i] * part;
  }, 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if ((numbers(colour)[3] ?? 1) > 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement, text = walk.currentNode.data.trim();
    if (!text || !element.checkVisibility({ opacityProperty: true })) continue;
    const both = [getComputedStyle(element).color, behind(element)].map(light);
    const ratio = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    if (ratio < 4.5) found.push(`${text.slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return found;
})()"""


@contextmanager
def browser():
    """Yield one page of a headless Chromium without a network, as functions; see `_page`."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            connection = websocket.create_connection(
                _address(Path(profile) / "DevToolsActivePort"), suppress_origin=True, timeout=30
            )
            yield _page(connection)
            connection.close()
        finally:
            process.terminate()
            process.wait()


def _address(file, patience=30):
    """Where the browser's first page listens, once the browser has written its port to a file."""
    end = time.monotonic() + patience
    while not (file.exists() and file.read_text().count("\n")):
        assert time.monotonic() < end, "Chromium does not start."
        time.sleep(0.05)
    port = file.read_text().split()[0]
    with urlopen(f"http://127.0.0.1:{port}/json") as answer:
        return next(t for t in json.load(answer) if t["type"] == "page")["webSocketDebuggerUrl"]


def _page(connection):
    """The page's hands and eyes: call, evaluate, visit, until, press, click; and its events."""
    events, count = [], iter(range(1, 10**9))

    def call(method, **parameters):
        number = next(count)
        connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (message := json.loads(connection.recv())).get("id") != number:
            events.append(message)
        assert "error" not in message, message
        return message["result"]

    def evaluate(script):
        answer = call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def visit(path, width=1280, dark=False, hash=""):
        """Open a file's page from nothing, and wait until all of it is there."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        call("Emulation.setEmulatedMedia", features=scheme)
        size = dict(width=width, height=800, deviceScaleFactor=1, mobile=False)
        call("Emulation.setDeviceMetricsOverride", **size)
        call("Page.navigate", url="about:blank")
        del events[:]
        call("Page.navigate", url=Path(path).as_uri() + hash)
        until("document.readyState === 'complete' && location.protocol === 'file:'")

    def until(condition, patience=20):
        end = time.monotonic() + patience
        while not evaluate(condition):
            assert time.monotonic() < end, f"In vain: {condition}"
            time.sleep(0.02)

    def press(key):
        for kind in ("keyDown", "keyUp"):
            code = dict(key=key, code=key, windowsVirtualKeyCode=KEYS[key])
            call("Input.dispatchKeyEvent", type=kind, **code)

    def click(selector):
        place = evaluate(f"""(() => {{
            const element = document.querySelector({json.dumps(selector)});
            element.scrollIntoView({{ block: "center", behavior: "instant" }});
            const box = element.getBoundingClientRect();
            return {{ x: box.x + box.width / 2, y: box.y + box.height / 2 }};
        }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    for domain in ("Page", "Runtime", "Network", "Log"):
        call(f"{domain}.enable")
    offline = dict(offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    call("Network.emulateNetworkConditions", **offline)
    return SimpleNamespace(
        call=call, evaluate=evaluate, visit=visit, until=until, press=press, click=click,
        events=events,
    )  # fmt: skip
