"""The tables of README.md that a run makes."""

import json

import pandas as pd
import pytest

from utils import readme

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
