"""The executed notebooks, an index and the gallery as pages that need no server and no network.

    python site/build.py        writes results/<dataset>/site/

nbconvert turns a notebook's cells into HTML; formulas become MathML, which browsers draw by
themselves; the templates beside this file put the pages around it. A figure's text for those who do
not see it is the metadata `alt` of its cell.
"""

import re
import shutil
from pathlib import Path

import nbformat
from jinja2 import Environment, FileSystemLoader
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from PIL import Image

import cue
import gallery
import live
from data import sets
from utils import files, plotting, settings

NAME = "What does a CNN look at?"
TEMPLATES = Path(__file__).parent
NOTEBOOKS = settings.RESULTS_DIR / "notebooks"
SITE = settings.RESULTS_DIR / "site"
STATIC = ("style.css", "gallery.js", "formulas.woff2")
FIGURES = {  # on the index: what there is to see for those who do not
    "comparison": "Pictures in rows; beside each, its saliency map, SmoothGrad, CAM and Grad-CAM, "
    "lighter where the technique finds more evidence for the class.",
    "claims": "The report's claims, each with its effect and interval left or right of the "
    "smallest effect that matters, and whether it holds; notebook 09 has them as a table.",
}


def main():
    """Write the site of the executed notebooks, whole or not at all, and say where it is."""
    part = SITE.with_name(".site.part")
    shutil.rmtree(part, ignore_errors=True)
    write(part, sorted(NOTEBOOKS.glob("*.ipynb")))
    shutil.rmtree(SITE, ignore_errors=True)
    part.rename(SITE)
    print(f"Pages to open in a browser: {files.shown(SITE / 'index.html')}")


def write(folder, notebooks):
    """Write the pages of executed notebooks (paths) into a folder, with the index and gallery."""
    folder.mkdir(parents=True)
    for name in STATIC:
        shutil.copy(TEMPLATES / name, folder)
    alive = live.page(folder / "live")
    pages = [_index(folder), alive, gallery.page(folder / "gallery"), cue.page(folder / "cue")]
    readme = markdown((settings.ROOT / "data" / "README.md").read_text(encoding="utf-8"))
    data = {"address": "data.html", "title": "Data", "body": readme}
    pages = [page for page in [*pages, *map(_notebook, notebooks), data] if page]
    templates = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=False)
    templates.policies["json.dumps_kwargs"] = {}  # by default it sorts the keys
    common = {"name": NAME, "pages": pages, "note": _note(), "words": plotting.WORDS}
    common["colours"] = gallery.table().tobytes().hex()
    common["gradient"] = ", ".join(f"rgb({r}, {g}, {b})" for r, g, b in gallery.table()[::51])
    common["addresses"] = [page["address"] for page in pages]
    if alive:
        apart = {"address": "live_offline.html", "inside": live.inside(folder, alive)}
        pages = [*pages, alive | apart]
    for page in pages:
        template = "page.html" if "body" in page else page["address"].replace("_offline", "")
        html = templates.get_template(f"{template}.j2").render(common | page)
        (folder / page["address"]).write_text(html, encoding="utf-8")


# ------------------------------------------------------------------------------- the pages


def _index(folder):
    """The first page: what the run found, and the way to all others."""
    figures = [settings.FIGURES / f"{name}.png" for name in FIGURES]
    return {
        "address": "index.html",
        "title": NAME,
        "short": "Overview",
        "classes": settings.CLASSES,
        "figures": [_figure(folder, path) for path in figures if path.exists()],
    }


def _notebook(path):
    """The page of an executed notebook: its cells as HTML, its title, question and sections."""
    notebook = nbformat.read(path, as_version=4)
    exporter = HTMLExporter(template_name="basic", filters={"markdown2html": markdown})
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    body, _ = exporter.from_notebook_node(notebook)
    source = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    title = re.search(r"^# (.+)$", source, re.MULTILINE)[1]
    question = re.search(r"\*\*(.+?)\*\*", source, re.DOTALL)
    return {
        "address": f"{path.stem}.html",
        "title": title,
        "short": f"{path.stem.split('_')[0]} {title}",
        "question": question[1].replace("\n", " ") if question else "",
        "body": body,
        "sections": re.findall(r'<h2 id="([^"]+)">(.+?)<a class="anchor-link"', body),
    }


def _note():
    """What a visitor has to know of the pictures: that they are drawn, or may not be shown."""
    record = sets.record()
    if settings.DRAWN:
        return f"{record['title']}. {plotting.WORDS['drawn'][0]}"
    return f"{record['title']}. Licence: {record['licence']}. Keep this site on your machine."


def _figure(folder, path):
    """A figure of the run for the index, smaller than for print."""
    with Image.open(path) as image:
        image = image.convert("RGB")
        image.thumbnail((1600, 6400))
        image.save(folder / f"{path.stem}.webp", quality=85)
    return {"file": f"{path.stem}.webp", "alt": FIGURES[path.stem], "size": image.size}


# --------------------------------------------------------------------------- from Markdown


class _Renderer(IPythonRenderer):
    """nbconvert's own, with formulas as MathML and links that lead to pages of the site."""

    def block_math(self, body):
        return convert(_tex(body).replace(r"\max_", r"\max\limits_"), display="block")

    def inline_math(self, body):
        return convert(_tex(body))

    def link(self, text, url, title=None):
        there = re.search(r"^(https?:|#|\w+\.html)", url := local(url))
        return super().link(text, url, title) if there else text

    def table(self, text):
        return f'<div class="scroll" tabindex="0"><table>{text}</table></div>'


def _tex(body):
    """A formula with the letter itself for the one that browsers make of no variant: 𝒩."""
    return body.replace(r"\mathcal N", "𝒩")


def markdown(source):
    """Markdown with formulas as HTML."""
    return MarkdownWithMath(renderer=_Renderer(escape=False)).render(source)


def local(url):
    """Where a link of a notebook or a README leads on the site; addresses elsewhere stay."""
    url = re.sub(r"^(\.\./)?data/README\.md", "data.html", url)
    return re.sub(r"^(?:(?:\.\./)?notebooks/)?(\w+)\.ipynb", r"\1.html", url)


if __name__ == "__main__":
    main()
