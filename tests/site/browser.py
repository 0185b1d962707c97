"""Chromium for tests, spoken to in its DevTools protocol: no driver, and no network."""

import json
import shutil
import subprocess
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.request import urlopen

import websocket

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--remote-debugging-port=0", "--no-first-run", "--disable-background-networking"),
)
FAINT = Path(__file__).with_name("contrast.js").read_text()  # texts of too little contrast


@contextmanager
def browser():
    """Yield the one Page of a headless Chromium."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", "about:blank"]
        quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with subprocess.Popen(command, **quiet) as process:
            try:
                address = _address(Path(profile) / "DevToolsActivePort")
                with closing(websocket.create_connection(address, suppress_origin=True)) as there:
                    yield Page(there)
            finally:
                process.terminate()


def _address(file):
    """Where the browser's first page listens, once the browser has written its port to a file."""
    _wait(lambda: file.exists() and "\n" in file.read_text(), "Chromium does not start.")
    with urlopen(f"http://127.0.0.1:{file.read_text().split()[0]}/json") as answer:
        return next(t for t in json.load(answer) if t["type"] == "page")["webSocketDebuggerUrl"]


def _wait(condition, otherwise):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, otherwise
        time.sleep(0.02)


class Page:
    """A page without a network: what a visitor does on it, and what can be seen there."""

    def __init__(self, connection):
        self.connection, self.calls, self.events = connection, 0, []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        offline = dict(offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)
        self.call("Network.emulateNetworkConditions", **offline)

    def call(self, method, **parameters):
        self.calls += 1
        self.connection.send(json.dumps(dict(id=self.calls, method=method, params=parameters)))
        while (message := json.loads(self.connection.recv())).get("id") != self.calls:
            self.events.append(message)
        assert "error" not in message, message
        return message["result"]

    def evaluate(self, script):
        """The value of an expression in JavaScript."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def visit(self, path, width=1280, dark=False):
        """Open a file's page from nothing, and wait until all of it is there."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        size = dict(width=width, height=800, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url="about:blank")
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        self.until("document.readyState === 'complete' && location.protocol === 'file:'")

    def until(self, condition):
        _wait(lambda: self.evaluate(condition), f"In vain: {condition}")

    def click(self, selector):
        self.evaluate(f"document.querySelector('{selector}').click()")

    def set(self, selector, value):
        """Give a range or a choice another value, as a hand or a key does."""
        self.evaluate(f"""(() => {{
            const input = document.querySelector('{selector}');
            input.value = '{value}';
            for (const kind of ["input", "change"])
                input.dispatchEvent(new Event(kind, {{ bubbles: true }}));
        }})()""")

    def choose(self, selector, path):
        """Give a file to a field for files."""
        answer = self.call("Runtime.evaluate", expression=f"document.querySelector('{selector}')")
        there = answer["result"]["objectId"]
        self.call("DOM.setFileInputFiles", objectId=there, files=[str(path)])

    def requests(self):
        """The addresses on a network that were asked for since the page was opened."""
        sent = [e["params"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [s["request"]["url"] for s in sent if s["request"]["url"].startswith("http")]

    def complaints(self):
        """What went wrong on the page since it was opened, requests to the network among it."""
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded")
        return [event["params"] for event in self.events if event["method"] in kinds]
