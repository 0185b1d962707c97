"""The live page: in Chromium, against what utils.attention makes of the same pictures."""

import json

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
    if lacking := live.missing():
        pytest.skip(lacking)
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
