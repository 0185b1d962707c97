"""The tables of README.md that a run makes."""

import json
import re

import pandas as pd
import pytest

from utils import address, readme

VERDICT = dict(claim="3. less noise", section="3.5", test="variation; baseline: plain", n=60)
VERDICT |= dict(effect=0.25, low=0.2, high=0.3, baseline=0.5, verdict="holds")


def test_a_table_takes_the_place_of_what_was_between_its_landmarks():
    text = "a\n<!-- verdicts -->\nold\n<!-- /verdicts -->\nb"
    assert readme.put(text, "verdicts", "new") == text.replace("old", "new")
    with pytest.raises(ValueError, match="<!-- benchmark -->"):
        readme.put(text, "benchmark", "new")


def test_a_verdict_links_to_the_section_that_measures_it(tmp_path):
    cell = {"cell_type": "markdown", "source": ["## Claims 1 and 2\n", "## Claim 3: less noise?"]}
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": [cell]}))
    titles = readme.headings(tmp_path / "a.ipynb")
    (line,) = readme.verdicts(pd.DataFrame([VERDICT]), titles).splitlines()[2:]
    assert line == (
        "| [3. less noise](notebooks/09_evidence.ipynb#Claim-3:-less-noise?) "
        "| variation; baseline: plain (0.5) | 0.25 (0.2 to 0.3) | 60 | **holds** |"
    )


def test_the_costs_shown_are_those_that_were_compared():
    rows = pd.DataFrame(
        {
            "technique": ["saliency", "saliency"],
            "implementation": ["ours", "ours"],
            "precision": ["float32", "float32"],
            "maps_per_second": [12.0, 11.0],
            "ratio_to_tf_keras_vis": [1.5, float("nan")],
            "share_of_limit": [0.5, 0.5],
            "machine": ["a processor", "a processor"],
        }
    )
    shown = readme.benchmark(rows).splitlines()
    assert shown[0] == "Measured on: a processor."
    assert shown[4:] == ["| saliency | ours | float32 | 12 | 1.5 | 50% |"]


ENGLISH, PORTUGUESE = (path.read_text(encoding="utf-8") for path in readme.READMES)


@pytest.mark.parametrize(
    "part",
    [
        r"```\n.*?```",  # commands
        r"<!-- (?:verdicts|benchmark|elsewhere) -->.*?<!-- /",  # what a run or make writes
        r"`[A-Z][A-Z_0-9]+`",  # settings
        r"\]\(((?!README)[^)#]+)",  # links
        r"\$.+?\$",  # formulas
        r"`make [a-z]+[^`]*`",
    ],
)
def test_both_readmes_have_the_same(part):
    english, portuguese = (re.findall(part, text, re.DOTALL) for text in (ENGLISH, PORTUGUESE))
    assert len(english) >= 3 or part.startswith("<")
    assert set(english) <= set(portuguese)


def test_both_readmes_have_sections_and_tables_of_one_shape():
    sections = [
        re.findall(r"^(#+) |^(\|.*)$", text, re.MULTILINE) for text in (ENGLISH, PORTUGUESE)
    ]
    rows = [[(level, row.count("|")) for level, row in found] for found in sections]
    assert [r for r in rows[0] if r[0]] == [r for r in rows[1] if r[0]]
    assert len(rows[0]) == len(rows[1])


def test_an_address_is_written_into_every_notebook_and_readme(tmp_path, monkeypatch):
    monkeypatch.setattr(address.settings, "ROOT", tmp_path)
    monkeypatch.setattr(readme, "READMES", [tmp_path / "README.md"])
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "README.md").write_text("<!-- elsewhere -->\nnone\n<!-- /elsewhere -->")
    page = tmp_path / "notebooks" / "01_a.ipynb"
    page.write_text(json.dumps({"source": ['REPOSITORY = ""  # its address']}))
    for owner in ("me", "you"):  # a second address takes the place of the first
        address.main(f"https://github.com/{owner}/it.git")
    assert json.loads(page.read_text())["source"][0].startswith(
        'REPOSITORY = "https://github.com/you/it"'
    )
    text = (tmp_path / "README.md").read_text()
    assert "research.google.com/github/you/it/blob/HEAD/notebooks/01_a.ipynb" in text
    assert "mybinder.org/v2/gh/you/it/HEAD" in text
    assert "none" not in text


def test_only_an_address_on_github_is_taken():
    with pytest.raises(ValueError, match="is no https://github.com/owner/name"):
        address.main("ftp://example.org/it")
