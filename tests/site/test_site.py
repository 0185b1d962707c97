"""The site: its pages as text, and, where there is a Chromium, as a visitor meets them."""

import base64
import io
import json
import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import build
import gallery
from tests.site import browser
from utils import evaluation, files, settings

TEXTS = (
    "# A page\n\n**Is it read?** As $S_c$ says, see [09](09_evidence.ipynb#A-part).",
    "## A part\n\n$$ \\max_k \\left| w_k \\right| + \\mathcal N(0, \\sigma^2) $$",
)
OUTPUTS = (  # each wider than a phone
    {"text/plain": "word " * 100},
    {"text/html": pd.DataFrame([range(40)]).to_html()},
    {"image/png": gallery.address(np.zeros((9, 900), "uint8"), "PNG").split(",")[1]},
)
PREDICTIONS = """\
image,label,split,predicted,probability,class_index,explained,logit,animal_mask,head_mask
train/cat.0.png,cat,test,cat,0.75,0,cat,1.5,mask.png,mask.png
train/dog.0.png,dog,test,dog,0.99,1,dog,4.25,mask.png,mask.png
both/0.png,cat,both,dog,0.6,0,cat,-0.5,mask.png,mask.png
both/0.png,dog,both,dog,0.6,1,dog,0.5,mask.png,mask.png
"""


def executed_notebook():
    """A notebook with formulas, a link, a long line, a wide table and a figure."""
    code, alt = "print('" + "x" * 200 + "')", {"alt": "Two bars, the left one <higher>."}
    cells = [nbformat.v4.new_markdown_cell(text) for text in TEXTS]
    for data in OUTPUTS:
        outputs = [nbformat.v4.new_output("display_data", data)]
        cells.append(nbformat.v4.new_code_cell(code, metadata=alt, outputs=outputs))
    return nbformat.v4.new_notebook(cells=cells)


def write_results(folder, generator):
    """Write pictures, masks, tables and maps as a run leaves them; the maps by technique."""
    rows = pd.read_csv(io.StringIO(PREDICTIONS))
    for name in rows["image"].unique():
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(generator.integers(0, 255, (150, 150, 3), "uint8")).save(folder / name)
    mask = np.zeros((150, 150), bool)
    mask[:30] = True
    Image.fromarray(mask).save(folder / "mask.png")
    sides = {"saliency": 150, "smoothgrad": 150, "cam": 9, "grad_cam": 9}
    maps = {t: generator.random((len(rows), s, s), "float32") for t, s in sides.items()}
    maps["saliency"][:, 30:] = 0  # so all of it lies in the mask
    maps["grad_cam"][1] = 0
    for network in ("dense", "gap"):
        files.save_table(f"predictions_{network}", rows)
    for technique, found in maps.items():
        files.save_maps(technique, found, rows)
    doses, techniques = (0, 50), ("saliency", "smoothgrad", "grad_cam")
    cue = generator.random((2, 2, 3, 150, 150), "float32")
    cue[..., :16, :16] = 2  # the tag
    pictures = generator.integers(0, 255, (2, 150, 150, 3), "uint8")
    np.savez(
        settings.MAPS / "cue.npz", image=pictures, techniques=techniques, doses=doses, maps=cue
    )
    quantities = ["right, no tag", "right, tag on cats", *(f"{t}, cats" for t in techniques)]
    rows = [(d, q, 0.9 - d / 100, 0, 1) for d in doses for q in quantities]
    files.save_table(
        "cue", pd.DataFrame(rows, columns=["dose", "quantity", "value", "low", "high"])
    )
    row = evaluation.measured([0.7, 0.70098, 0.7], smallest=0.5)
    files.save_table("verdicts", evaluation.judged([row]).assign(claim="so", measured="much"))
    return maps


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small site: its folder, and the maps in its gallery."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "DATA_DIR", folder)
        for name in ("MAPS", "TABLES", "FIGURES"):
            patch.setattr(settings, name, folder / name.lower())
        patch.setattr(build, "NOTEBOOKS", folder)
        patch.setattr(build, "SITE", folder / "site")
        maps = write_results(folder, np.random.default_rng(0))
        for name in ("01_download_data", "09_evidence"):
            nbformat.write(executed_notebook(), folder / f"{name}.ipynb")
        build.main()
    return folder / "site", maps


def test_each_notebook_is_a_page_between_the_one_before_and_the_one_after(made):
    page = (made[0] / "01_download_data.html").read_text()
    assert 'rel="prev" href="cue.html"' in page
    assert 'rel="next" href="09_evidence.html"' in page
    assert '<a href="#A-part">A part</a>' in page


def test_the_index_leads_to_notebooks_and_gallery_and_shows_the_verdicts(made):
    page = (made[0] / "index.html").read_text()
    assert "<b>01 A page</b>Is it read?" in page
    assert re.search(r'href="gallery.html">Look at 3 pictures', page)
    cells = re.findall("<t[hd]>(.*?)</t[hd]>", page)
    assert {"claim", "measured", "so", "much", "3", "0.7", "holds"} <= set(cells)


def test_links_between_pages_lead_to_pages_that_are_there(made):
    for page in made[0].glob("*.html"):
        for link in re.findall(r'(?:href|src)="([^":#]+)(?:#[^"]*)?"', page.read_text()):
            assert (made[0] / link).exists(), link


def test_a_link_leads_to_the_page_of_what_it_names_or_is_mere_text():
    assert build.local("05_cam.ipynb#A-part") == "05_cam.html#A-part"
    assert build.local("../notebooks/05_cam.ipynb") == "05_cam.html"
    assert build.local("../data/README.md") == "data.html"
    assert build.local("https://arxiv.org/05_cam.ipynb") == "https://arxiv.org/05_cam.ipynb"
    assert build.markdown("[code](../data/prepare.py)").strip() == "<p>code</p>"


def test_a_page_has_formulas_as_mathml_and_figures_with_the_text_of_their_cell(made):
    page = (made[0] / "01_download_data.html").read_text()
    assert 'alt="Two bars, the left one &lt;higher&gt;."' in page
    assert page.count("<math ") == 2
    assert "<munder><mo>max</mo><mi>k</mi></munder>" in page
    assert "𝒩" in page
    assert "$" not in re.sub("<script.*?</script>", "", page)


def test_every_formula_of_the_notebooks_is_understood():
    found = []
    for path in (settings.ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
        found += re.findall(r"<math.*?</math>", build.markdown(text), re.DOTALL)
    assert len(found) > 100
    assert [formula for formula in found if "\\" in formula] == []


def test_levels_are_the_map_as_the_figures_show_it():
    fine = np.zeros((150, 150))
    fine[0, 0], fine[0, 1] = 1, -1
    assert gallery.levels(fine)[0, :2].tolist() == [255, 0]
    assert (gallery.levels(np.ones((9, 9))) == np.full((150, 150), 255)).all()
    assert not gallery.levels(-np.ones((9, 9))).any()


# ------------------------------------------------------------------------- as a visitor meets it

needs_chromium = pytest.mark.skipif(
    browser.CHROMIUM is None, reason="no Chromium here: install the package chromium"
)
CAPTION = "document.getElementById('caption').textContent"


@pytest.fixture(scope="module")
def page():
    with browser.browser() as opened:
        yield opened


@needs_chromium
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["index", "gallery", "cue", "01_download_data", "data"])
def test_a_page_is_whole_without_a_network_legible_and_fits_a_phone(made, page, name, dark):
    page.visit(made[0] / f"{name}.html", width=390, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate(browser.FAINT) == []
    images = "[...document.images].filter((i) => i.checkVisibility())"
    assert page.evaluate(f"{images}.every((i) => i.alt && i.naturalWidth > 0)")
    fields = "[...document.querySelectorAll('input, select')]"
    assert page.evaluate(f"{fields}.every((i) => i.labels.length || i.ariaLabel)")
    assert page.complaints() == []


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


def overlaid(picture, heatmap):
    """A raw map at full strength over a picture of the gallery (300, 300, 3)."""
    levels = np.kron(gallery.levels(heatmap), np.ones((2, 2), "uint8"))
    share = levels[..., None] / 255
    return (1 - share) * picture + share * gallery.table()[levels]


@needs_chromium
def test_the_gallery_draws_the_stored_map_of_what_was_clicked_and_its_numbers(made, page):
    page.visit(made[0] / "gallery.html")
    page.click(".film label:nth-of-type(3)")  # the picture with both animals
    page.until(f"{CAPTION}.startsWith('cat and dog')")
    page.click("#classes label:nth-of-type(2)")
    page.set("[name=strength]", 0)
    picture = drawn(page, "left")
    page.set("[name=strength]", 100)
    for side, technique in (("left", "saliency"), ("right", "grad_cam")):
        expected = overlaid(picture, made[1][technique][3])
        np.testing.assert_allclose(drawn(page, side), expected, atol=0.6)
    cells = page.evaluate("[...document.querySelectorAll('tbody tr')].map(r => r.innerText)")
    assert cells[0].split("\t") == ["probability", "60.0 %", "60.0 %"]
    assert cells[1].split("\t") == ["logit", "0.50", "0.50"]
    assert cells[3].split("\t")[:2] == ["energy on the head, area 20.0 %", "100.0 %"]


@needs_chromium
def test_strength_and_line_of_the_gallery_can_be_set(made, page):
    page.visit(made[0] / "gallery.html", hash="#picture=1")
    page.until(f"{CAPTION}.startsWith('dog → dog')")
    assert "no positive evidence" in page.evaluate(CAPTION)
    page.set("[name=strength]", 0)
    np.testing.assert_array_equal(drawn(page, "left"), drawn(page, "right"))
    page.set("#divider", 51)
    clip = "getComputedStyle(document.getElementById('right')).clipPath"
    assert page.evaluate(clip) == "inset(0px 0px 0px 51%)"


@needs_chromium
def test_a_view_of_the_gallery_has_an_address(made, page):
    asked = "#picture=2&class=dog&left=cam&right=original"
    page.visit(made[0] / "gallery.html", hash=asked)
    page.until(f"{CAPTION} === 'cat and dog. CAM, class: dog · Original picture'")
    assert page.evaluate("location.hash") == asked


@needs_chromium
def test_the_cue_s_slider_shows_a_dose_with_its_maps_and_says_its_numbers(made, page):
    page.visit(made[0] / "cue.html")
    text = "document.querySelector('[aria-live]').innerText"
    assert "on 90% of pictures without a tag" in page.evaluate(text)
    page.set(".dose input", 1)
    assert "With the tag on 50 % of the dogs" in page.evaluate(text)
    assert "these show it: Saliency map 40%, SmoothGrad 40%, Grad-CAM 40%." in page.evaluate(text)
    seen = "[...document.images].filter(i => i.checkVisibility()).map(i => i.getAttribute('src'))"
    assert page.evaluate(seen)[0] == "cue/saliency-0-50.webp"
    assert len(page.evaluate(seen)) == 6
