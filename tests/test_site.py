"""The site: its pages as text, and, where there is a Chromium, as a visitor meets them."""

import base64
import io
import json
import re

import matplotlib
import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests import browser
from utils import gallery, settings, site

CELLS = [
    ("markdown", "# A page\n\n**Is it read?** As $S_c$ says, see [02](02_b.ipynb#A-part).", {}, ""),
    (
        "markdown",
        "## A part\n\n$$ \\max_k \\left| w_k \\right| + \\mathcal N(0, \\sigma^2) $$",
        {},
        "",
    ),
    ("code", "print('a line that is long' + '" + "x" * 200 + "')", {}, "text/plain"),
    ("code", "def f(x):\n    return None  # a comment", {}, "text/html"),
    ("code", "draw()", {"alt": "Two bars, of which the left one is <higher>."}, "image/png"),
]
OUTPUTS = {
    "text/plain": "word " * 100,
    "text/html": pd.DataFrame([range(40)]).to_html(),
    "image/png": gallery._address(np.zeros((9, 9), "uint8"), "PNG").split(",")[1],
}
ROWS = [  # image, label, split, predicted, probability, class_index, explained, logit
    ("train/cat.0.png", "cat", "test", "cat", 0.75, 0, "cat", 1.5),
    ("train/dog.0.png", "dog", "test", "dog", 0.99, 1, "dog", 4.25),
    ("both/0.png", "cat", "both", "dog", 0.6, 0, "cat", -0.5),
    ("both/0.png", "dog", "both", "dog", 0.6, 1, "dog", 0.5),
]
COLUMNS = ["image", "label", "split", "predicted", "probability", "class_index", "explained"]


def notebook(path):
    """Write an executed notebook with a formula, a long line, a wide table and a figure."""
    cells = []
    for kind, source, metadata, output in CELLS:
        cell = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}[kind](
            source, metadata=metadata
        )
        if output:
            cell.outputs = [nbformat.v4.new_output("display_data", {output: OUTPUTS[output]})]
        cells.append(cell)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


def results(folder, generator):
    """Write pictures, masks, predictions and maps as a run leaves them; the maps by technique."""
    rows = pd.DataFrame(ROWS, columns=[*COLUMNS, "logit"])
    for name in rows["image"].unique():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 255, (150, 150, 3), "uint8")).save(folder / name)
    mask = np.zeros((150, 150), bool)
    mask[:30] = True
    Image.fromarray(mask).save(folder / "mask.png")
    rows[["animal_mask", "head_mask"]] = "mask.png"
    sides = {"saliency": 150, "smoothgrad": 150, "cam": 9, "grad_cam": 9}
    maps = {t: generator.random((len(rows), s, s), "float32") for t, s in sides.items()}
    maps["grad_cam"][1] = 0
    for network in ("dense", "gap"):
        site.files.save_table(f"predictions_{network}", rows)
    for technique, found in maps.items():
        site.files.save_maps(technique, found, rows)
    return maps


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small site: its folder, and the maps in its gallery."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "DATA_DIR", folder)
        for name in ("MAPS", "TABLES", "FIGURES"):
            patch.setattr(settings, name, folder / name.lower())
        patch.setattr(site, "NOTEBOOKS", folder)
        maps = results(folder, np.random.default_rng(0))
        paths = [folder / "01_download_data.ipynb", folder / "02_b.ipynb"]
        for path in paths:
            notebook(path)
        site.write(folder / "site", paths)
    return folder / "site", maps


def test_each_notebook_is_a_page_between_the_one_before_and_the_one_after(made):
    page = (made[0] / "01_download_data.html").read_text()
    assert 'rel="prev" href="gallery.html"' in page
    assert 'rel="next" href="02_b.html"' in page
    assert '<a href="#A-part">A part</a>' in page
    assert "<b>01 A page</b>Is it read?" in (made[0] / "index.html").read_text()


def test_links_between_notebooks_lead_to_pages_that_are_there(made):
    folder = made[0]
    for page in folder.glob("*.html"):
        for link in re.findall(r'(?:href|src)="([^":#]+)(?:#[^"]*)?"', page.read_text()):
            assert (folder / link).exists(), link


@pytest.mark.parametrize(
    ("link", "page"),
    [
        ("02_b.ipynb#A-part", "02_b.html#A-part"),
        ("../data/README.md", "data.html"),
        ("../notebooks/01_download_data.ipynb", "01_download_data.html"),
        ("https://arxiv.org/abs/1312.6034", "https://arxiv.org/abs/1312.6034"),
    ],
)
def test_a_link_to_a_notebook_leads_to_its_page(link, page):
    assert site.local(link) == page


def test_a_link_to_what_the_site_has_not_is_its_text():
    assert "href" not in site.markdown("[code](../utils/drawn_pets.py)")


def test_formulas_are_mathml_and_no_tex_is_left(made):
    page = (made[0] / "01_download_data.html").read_text()
    assert page.count("<math ") == 2
    assert "<munder><mo>max</mo><mi>k</mi></munder>" in page
    assert "𝒩" in page
    assert "$" not in re.sub("<script.*?</script>", "", page)


def formulas():
    for path in sorted((settings.ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
        yield from re.findall(r"<math.*?</math>", site.markdown(text), re.DOTALL)


def test_every_formula_of_the_notebooks_is_understood():
    found = list(formulas())
    assert len(found) > 100
    assert [f for f in found if "\\" in f] == []


def test_a_figure_has_the_text_of_its_cell(made):
    page = (made[0] / "01_download_data.html").read_text()
    assert 'alt="Two bars, of which the left one is &lt;higher&gt;."' in page


def test_levels_are_the_map_as_the_figures_show_it():
    fine = np.zeros((150, 150))
    fine[0, 0], fine[0, 1] = 1, -1
    assert gallery.levels(fine)[0, :2].tolist() == [255, 0]
    assert gallery.levels(np.ones((9, 9))).tolist() == np.full((150, 150), 255).tolist()
    assert not gallery.levels(-np.ones((9, 9))).any()


def test_a_gallery_is_bounded_and_spread_over_all_pictures():
    assert gallery._spread(range(1000), 3) == [0, 500, 999]
    assert gallery._spread("ab", 3) == ["a", "b"]


# ------------------------------------------------------------------------- as a visitor meets it

needs_chromium = pytest.mark.skipif(
    browser.CHROMIUM is None, reason="no Chromium here: install the package chromium"
)


@pytest.fixture(scope="module")
def page():
    with browser.browser() as opened:
        yield opened


def complaints(page):
    """What a page has asked of others, and what went wrong on it."""
    found = []
    for event in page.events:
        what = event["params"]
        if event["method"] == "Network.requestWillBeSent":
            address = what["request"]["url"]
            found += [] if address.startswith(("file:", "data:")) else [address[:80]]
        elif event["method"] == "Runtime.exceptionThrown":
            found.append(what["exceptionDetails"]["exception"]["description"])
        elif event["method"] == "Log.entryAdded" and what["entry"]["level"] == "error":
            found.append(what["entry"]["text"])
    return found


@needs_chromium
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["index", "gallery", "01_download_data", "data"])
def test_a_page_is_whole_without_a_network_legible_and_fits_a_phone(made, page, name, dark):
    page.visit(made[0] / f"{name}.html", width=390, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate(browser.FAINT) == []
    images = page.evaluate("[...document.images].map(i => [i.alt, i.naturalWidth > 0])")
    assert all(alt and there for alt, there in images)
    assert complaints(page) == []


@needs_chromium
def test_the_button_changes_the_colours_and_the_next_page_keeps_them(made, page):
    background = "getComputedStyle(document.body).backgroundColor"
    page.visit(made[0] / "index.html")
    before = page.evaluate(background)
    page.click("#theme")
    assert page.evaluate(background) != before
    page.visit(made[0] / "data.html")
    assert page.evaluate(background) != before
    page.click("#theme")
    assert page.evaluate(background) == before


def drawn(page, side):
    """The pixels of one of the gallery's canvases, (300, 300, 3)."""
    address = page.evaluate(f"document.getElementById('{side}').toDataURL()")
    with Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))) as image:
        return np.asarray(image.convert("RGB"))


def coloured(heatmap):
    """A raw map in colours, as large as the gallery's canvas."""
    colours = matplotlib.colormaps["inferno"](np.arange(256), bytes=True)[:, :3]
    return colours[np.kron(gallery.levels(heatmap), np.ones((2, 2), "uint8"))]


def press(page, selector, *keys):
    page.evaluate(f"document.querySelector('{selector}').focus()")
    for key in keys:
        page.press(key)


@needs_chromium
def test_the_gallery_draws_the_stored_map_of_what_was_clicked_and_its_numbers(made, page):
    folder, maps = made
    page.visit(folder / "gallery.html")
    page.click(".film label:nth-of-type(3)")  # the picture with both animals
    page.until("document.getElementById('caption').textContent.startsWith('cat and dog')")
    page.click("#classes label:nth-of-type(2)")
    press(page, "[name=strength]", "End")
    np.testing.assert_array_equal(drawn(page, "left"), coloured(maps["saliency"][3]))
    np.testing.assert_array_equal(drawn(page, "right"), coloured(maps["grad_cam"][3]))
    press(page, "[name=left]", "ArrowDown", "ArrowDown")  # SmoothGrad, CAM
    np.testing.assert_array_equal(drawn(page, "left"), coloured(maps["cam"][3]))
    rows = page.evaluate(
        "[...document.querySelectorAll('#numbers tbody tr')].map(r => r.innerText)"
    )
    assert rows[0].split() == ["probability", "60.0", "%", "60.0", "%"]
    assert rows[1].split() == ["logit", "0.50", "0.50"]
    inside = gallery.plotting.enlarge(maps["cam"][3:])[0]
    energy = 100 * inside[:30].sum() / inside.sum()
    assert float(rows[3].split()[-4]) == pytest.approx(energy, abs=0.06)
    assert "area 20.0 %" in rows[3]


@needs_chromium
def test_at_no_strength_the_gallery_shows_the_picture_and_by_keyboard_the_next(made, page):
    page.visit(made[0] / "gallery.html")
    page.until("document.getElementById('caption').textContent.startsWith('cat → cat')")
    press(page, ".film input", "ArrowRight")
    page.until("document.getElementById('caption').textContent.startsWith('dog → dog')")
    press(page, "[name=strength]", "Home")
    np.testing.assert_array_equal(drawn(page, "left"), drawn(page, "right"))
    assert "no positive evidence" in page.evaluate("document.getElementById('caption').textContent")


@needs_chromium
def test_the_line_between_two_techniques_moves_by_keyboard(made, page):
    page.visit(made[0] / "gallery.html")
    press(page, "#divider", "ArrowRight")
    clip = "getComputedStyle(document.getElementById('right')).clipPath"
    assert page.evaluate(clip) == "inset(0px 0px 0px 51%)"


@needs_chromium
def test_a_view_of_the_gallery_has_an_address(made, page):
    asked = "#picture=2&class=dog&left=cam&right=original"
    page.visit(made[0] / "gallery.html", hash=asked)
    page.until("document.getElementById('caption').textContent !== ''")
    assert page.evaluate("location.hash") == asked
    caption = page.evaluate("document.getElementById('caption').textContent")
    assert caption == "cat and dog. CAM, evidence for dog · Original picture"
