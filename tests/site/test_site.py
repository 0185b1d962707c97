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
from utils import files, settings

TEXTS = (
    "# A page\n\n**Is it read?** As $S_c$ says, see [09](09_evidence.ipynb#A-part).",
    "## A part\n\n$$ \\max_k \\left| w_k \\right| + \\mathcal N(0, \\sigma^2) $$",
)


def png(array):
    """An array as a PNG in base64, as notebooks have it."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


OUTPUTS = (  # each wider than a phone
    {"text/plain": "word " * 100},
    {"text/html": pd.DataFrame([range(40)]).to_html()},
    {"image/png": png(np.zeros((9, 900), "uint8"))},
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
    quantities = ["right, no tag", "right, only cats tagged", *(f"{t}, cats" for t in techniques)]
    rows = [(d, q, 0.9 - d / 100, 0, 1) for d in doses for q in quantities]
    files.save_table(
        "cue", pd.DataFrame(rows, columns=["dose", "quantity", "value", "low", "high"])
    )
    settings.FIGURES.mkdir()
    Image.fromarray(pictures[0]).resize((3000, 3000)).save(settings.FIGURES / "claims.png")
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


def test_each_notebook_is_a_page_that_leads_to_the_others_and_to_its_own_sections(made):
    page = (made[0] / "01_download_data.html").read_text()
    assert '<a href="09_evidence.html">' in page
    assert '<a href="#A-part">A part</a>' in page


def test_the_index_leads_to_notebooks_and_gallery_and_shows_the_claims(made):
    page = (made[0] / "index.html").read_text()
    assert "<b>01 A page</b>Is it read?" in page
    assert re.search(r'href="gallery.html">Look at 3 pictures', page)
    assert '<img src="claims.webp" width="1600" height="1600"' in page
    assert "comparison.webp" not in page  # this run has none


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


def test_a_layer_over_a_picture_shows_the_more_of_a_map_the_hotter_it_is():
    heatmap = np.linspace(0, 1, 150 * 150).reshape(150, 150)
    levels, picture = gallery.levels(heatmap), Image.new("RGBA", (150, 150), (10, 200, 30))
    mixed = np.asarray(Image.alpha_composite(picture, gallery.layer(heatmap)))[..., :3]
    share = levels[..., None] / 255
    expected = (1 - share) * [10, 200, 30] + share * gallery.table()[levels]
    np.testing.assert_allclose(mixed, expected, atol=1)


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


SHOWN = "[...document.querySelectorAll('.stage img:not([hidden])')].map(i => i.getAttribute('src'))"


@needs_chromium
def test_the_gallery_shows_the_stored_map_of_what_was_clicked_and_its_numbers(made, page):
    page.visit(made[0] / "gallery.html")
    page.click(".film label:nth-of-type(3)")  # the picture with both animals
    page.until(f"{CAPTION}.startsWith('cat and dog')")
    page.click("#classes label:nth-of-type(2)")
    assert page.evaluate(CAPTION) == "cat and dog. Saliency map, class: dog · Grad-CAM, class: dog"
    names = ["2.jpg", "2-dog-saliency.webp", "2-dog-grad_cam.webp"]
    assert page.evaluate(SHOWN) == [f"gallery/{name}" for name in names]
    for name, technique in zip(names[1:], ("saliency", "grad_cam"), strict=True):
        stored = np.asarray(Image.open(made[0] / "gallery" / name))
        np.testing.assert_array_equal(stored[..., 3], gallery.levels(made[1][technique][3]))
    cells = page.evaluate("[...document.querySelectorAll('tbody tr')].map(r => r.innerText)")
    assert cells[0].split("\t") == ["probability", "60.0%", "60.0%"]
    assert cells[1].split("\t") == ["logit", "0.50", "0.50"]
    assert cells[3].split("\t")[:2] == ["energy on the head, area 20.0%", "100.0%"]


@needs_chromium
def test_strength_line_and_techniques_of_the_gallery_can_be_set(made, page):
    page.visit(made[0] / "gallery.html")
    page.click(".film label:nth-of-type(2)")
    page.until(f"{CAPTION}.startsWith('dog → dog')")
    assert "no positive evidence" in page.evaluate(CAPTION)
    page.set("[name=left]", "original")
    assert page.evaluate(SHOWN) == ["gallery/1.jpg", "gallery/1-dog-grad_cam.webp"]
    page.set("[name=strength]", 40)
    page.set("#divider", 51)
    style = "getComputedStyle(document.getElementById('right'))"
    assert page.evaluate(f"{style}.opacity") == "0.4"
    assert page.evaluate(f"{style}.clipPath") == "inset(0px 0px 0px 51%)"


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
