"""Where the repository is on the web: `make address REPOSITORY=https://github.com/owner/name`.

The address goes into the first cell of every notebook, which fetches the repository where it is
missing, and into the links of the READMEs that open the notebooks elsewhere.
"""

import re
import sys

from utils import files, readme, settings

IN_CELL = r'(REPOSITORY = \\")[^"\\]*(\\")'  # as a notebook's JSON spells it
SERVICES = {
    "Colab": "https://colab.research.google.com/github/{name}/blob/HEAD/notebooks/{notebook}",
    "Kaggle": "https://kaggle.com/kernels/welcome?src={address}/blob/HEAD/notebooks/{notebook}",
}
BINDER = "[Binder](https://mybinder.org/v2/gh/{name}/HEAD?urlpath=lab/tree/notebooks)"


def main(address):
    """Write an address on GitHub into all notebooks and READMEs; ValueError for another."""
    known = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", address)
    if not known:
        raise ValueError(f"REPOSITORY={address} is no https://github.com/owner/name.")
    address = f"https://github.com/{known[1]}"
    notebooks = sorted((settings.ROOT / "notebooks").glob("*.ipynb"))
    for path in notebooks:
        _rewrite(path, lambda text: re.sub(IN_CELL, rf"\g<1>{address}\g<2>", text))
    for path in readme.READMES:
        shown = links(address, known[1], [path.name for path in notebooks])
        _rewrite(path, lambda text, shown=shown: readme.put(text, "elsewhere", shown))


def links(address, name, notebooks):
    """A line for each service that opens notebooks from GitHub, in Markdown."""
    lines = [
        f"{service}: " + " ".join(
            f"[{notebook[:2]}]({link.format(name=name, address=address, notebook=notebook)})"
            for notebook in notebooks
        )
        for service, link in SERVICES.items()
    ]  # fmt: skip
    return "\n\n".join([*lines, BINDER.format(name=name)])


def _rewrite(path, change):
    text = change(path.read_text(encoding="utf-8"))
    with files.whole(path) as part:
        part.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        main(settings.environ("REPOSITORY"))
    except ValueError as error:
        sys.exit(str(error))
