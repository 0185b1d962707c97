"""The live page: in Chromium, against what utils.attention makes of the same pictures."""

import functools
import http.server
import json
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

import build
import live
from data.drawing import pets
from data.images import read_image, resize
from tests.site import browser
from utils import attention, model, settings

SAID = "document.getElementById('said').innerText"
ANSWER = "document.getElementById('answer').innerText"
COUNT = "Number(document.getElementById('count').value)"
SAMPLES = 2


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site of the live page alone: its folder."""
    if not (live.LIBRARY / live.WASM).exists():
        pytest.skip("no library here: with npm and a network, make site gets it")
    folder = tmp_path_factory.mktemp("live")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MAPS", "TABLES", "FIGURES"):
            patch.setattr(settings, name, folder)
        build.write(folder / "site", [])
    return folder / "site"


@pytest.fixture(scope="module")
def page(site):
    """The page that has all inside, opened once, as a small window."""
    if browser.CHROMIUM is None:
        pytest.skip("no Chromium here: install the package chromium")
    with browser.browser() as opened:
        opened.visit(site / "live_offline.html", width=390)
        opened.set("[name=n]", SAMPLES)
        yield opened


def shown(page, path):
    """Give a file to the page, and wait for the answer and all maps."""
    before = page.evaluate("now.number")
    page.choose("[type=file]", path)
    page.until(f"now.number > {before} && now.logits && {COUNT} === {SAMPLES} && "
               "now.maps['smoothgrad ' + now.chosen]")  # fmt: skip


def values(page, expression):
    return np.array(json.loads(page.evaluate(f"JSON.stringify(Array.from({expression}))")))


@pytest.fixture(scope="module")
def noise(page):
    """The noise of the page's samples."""
    source = (live.HERE / "worker.js").read_text()
    made = [
        values(page, f"(() => {{ {source}; return normal({s}, 67500) }})()") for s in range(SAMPLES)
    ]
    return np.float32(made).reshape(SAMPLES, 150, 150, 3)


@pytest.fixture(scope="module")
def network():
    return model.shipped("gap")


def pictures(folder):
    """Three files: a photograph, a drawing as large as the network's input, and a large one."""
    large = Image.fromarray(pets.draw_pet(22, "dog")[0]).resize((1637, 1181))
    drawn = {"drawn": Image.fromarray(pets.draw_pet(9, "cat", 150)[0]), "large": large}
    for name, image in drawn.items():
        image.save(folder / f"{name}.png")
    return [live.CHELSEA, *(folder / f"{name}.png" for name in drawn)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("pictures"))


@pytest.mark.parametrize("which", range(3), ids=["photograph", "drawn", "large"])
def test_the_numbers_are_those_of_python(page, network, noise, files, which, monkeypatch):
    shown(page, files[which])
    image = resize(read_image(files[which]), settings.SIZE)[None]
    logits = model.logits(network, image)[0]
    np.testing.assert_allclose(values(page, "now.logits"), logits, atol=1e-3)
    best = int(logits.argmax())
    assert page.evaluate(ANSWER).startswith(["cat", "dog"][best])
    for c in (0, 1):
        for technique in (attention.cam, attention.grad_cam):
            ours = values(page, f"now.maps['{technique.__name__} {c}'].values").reshape(9, 9)
            theirs = technique(network, image, c)[0]
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3 * np.abs(theirs).max())
    monkeypatch.setattr(attention, "_noise", lambda seed, start, stop, shape: noise[start:stop])
    maps = {
        "saliency": attention.saliency_map(network, image, best)[0],
        "smoothgrad": attention.smoothgrad(network, image, best, n=SAMPLES)[0],
    }
    for technique, theirs in maps.items():
        ours = values(page, f"now.maps['{technique} {best}'].values")
        assert np.corrcoef(ours, theirs.ravel())[0, 1] >= 0.999, technique
        assert ours.max() == pytest.approx(theirs.max(), rel=0.02)


ODD = {  # ten files, and a word of what is said of each
    "empty.jpg": (b"", "empty"),
    "letter.jpg": (b"Dear cat,", "no picture"),
    "paper.pdf": (b"%PDF-1.7\n", "no picture"),
    "archive.png": (b"PK\x03\x04" + bytes(99), "no picture"),
    "film.mp4": (b"\0\0\0\x18ftypmp42" + bytes(99), "no picture"),
    "begun.jpg": (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "no picture"),
    "damaged.png": (b"\x89PNG\r\n\x1a\n" + bytes(99), "no picture"),
    "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture"),
    "phone.heic": (b"\0\0\0\x18ftypheic" + bytes(99), "HEIC"),
    "huge.png": (None, "too large"),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_file_gets_a_sentence(page, tmp_path, name):
    content, word = ODD[name]
    path = tmp_path / name
    path.write_bytes(content or b"")
    if content is None:
        with path.open("wb") as file:
            file.truncate(100_000_001)
    page.evaluate("say('said')")
    page.choose("[type=file]", path)
    page.until(f"{SAID} !== ''")
    assert word in page.evaluate(SAID)
    assert page.evaluate(SAID).endswith(".")


def test_what_is_dropped_or_pasted_is_taken(page, files):
    content = list(files[1].read_bytes())
    page.evaluate(f"""window.carried = new DataTransfer();
        carried.items.add(new File([Uint8Array.from({content})], "a.png"));""")
    for event in (
        "new DragEvent('drop', { dataTransfer: carried })",
        "new ClipboardEvent('paste', { clipboardData: carried })",
    ):
        before = page.evaluate("now.number")
        page.evaluate(f"dispatchEvent({event})")
        page.until(f"now.number === {before} + 1 && now.logits")
        assert page.evaluate(ANSWER).startswith("cat")
    page.evaluate("dispatchEvent(new DragEvent('drop', { dataTransfer: new DataTransfer() }))")
    page.until(f"{SAID}.startsWith('No picture came with that')")


def test_class_noise_and_samples_act_at_once_and_sampling_can_be_stopped(page):
    page.click(".examples button:nth-child(3)")
    page.until("now.maps['smoothgrad 1']")
    assert page.evaluate(ANSWER).startswith("dog")
    page.click("[name=class]")
    page.until("now.maps['smoothgrad 0']")
    page.set("[name=sigma]", 0)  # no noise: then SmoothGrad is the saliency map
    same = "now.maps['smoothgrad 0'].values.every((v, i) => v === now.maps['saliency 0'].values[i])"
    page.until(same)
    page.set("[name=n]", 50)
    page.until(f"{COUNT} >= 3")
    page.click("[name=stop]")
    page.until("fields.stop.hidden")
    assert 3 <= page.evaluate("Number(fields.n.value)") < 50
    page.set("[name=n]", SAMPLES)
    page.until(f"{COUNT} === {SAMPLES}")
    page.set("[name=sigma]", 0.2)


def test_the_page_speaks_english_and_portuguese(page):
    assert "nothing is uploaded" in page.evaluate("document.body.innerText")
    page.click("#language")
    text = page.evaluate("document.body.innerText")
    assert "nada é enviado" in text
    assert "nothing is uploaded" not in text
    assert page.evaluate(ANSWER).startswith("cachorro")
    page.click("#language")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone_is_legible_and_all_has_a_name(page, scheme):
    colours = [{"name": "prefers-color-scheme", "value": scheme}]
    page.call("Emulation.setEmulatedMedia", features=colours)
    page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate(browser.FAINT) == []
    named = """[...document.querySelectorAll("canvas")].every((canvas) =>
        canvas.getAttribute("aria-labelledby").split(" ")
            .map((id) => document.getElementById(id).innerText).join("").trim())"""
    assert page.evaluate(named)
    assert page.evaluate("[...document.querySelectorAll('input')].every((i) => i.labels.length)")


def test_nothing_left_the_machine_and_nothing_went_wrong(page):
    """The last of the tests that share the page."""
    assert page.requests() == []
    assert page.complaints() == []


@contextmanager
def served(folder):
    """The address of a server for a folder, and the list of what it is asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, form, *values):
            asked.append(self.path)

    handler = functools.partial(Handler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium here: install chromium")
def test_from_a_server_the_network_is_fetched_once(site):
    with browser.browser() as page, served(site) as (address, asked):
        online = dict(offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1)
        page.call("Network.emulateNetworkConditions", **online)
        for _ in range(2):
            page.call("Page.navigate", url="about:blank")
            page.call("Page.navigate", url=f"{address}/live.html")
            page.until("location.protocol === 'http:' && document.readyState === 'complete'")
            page.until(f"{ANSWER}.startsWith('cat')")
        assert sum("network-" in path for path in asked) == 1
        assert all(url.startswith((address, f"blob:{address}")) for url in page.requests())
        assert page.complaints() == []
    assert sum(path.stat().st_size for path in (site / "live").glob("*.bin")) < 15e6


def test_without_the_library_the_rest_stands_and_it_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(live, "LIBRARY", tmp_path)
    for name in ("MAPS", "TABLES", "FIGURES"):
        monkeypatch.setattr(settings, name, tmp_path)
    build.write(tmp_path / "site", [])
    assert "install npm" in capsys.readouterr().out
    assert not list((tmp_path / "site").glob("live*.html"))
    assert "live.html" not in (tmp_path / "site" / "index.html").read_text()
