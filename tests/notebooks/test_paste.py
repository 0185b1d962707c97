"""The functions that a reader may paste elsewhere run alone, and are those of `utils.attention`."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest

from utils import attention

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def pasted(number):
    """What the tagged cell of a notebook defines, alone in an empty notebook."""
    (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    (code,) = ("".join(c["source"]) for c in cells if "paste" in c["metadata"].get("tags", ()))
    imports = [n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Import | ast.ImportFrom)]
    assert all(isinstance(node, ast.Import) for node in imports)
    names = {alias.name for node in imports for alias in node.names}
    assert names <= {"numpy", "tensorflow", "keras"}
    namespace = {}
    exec(code, namespace)
    return namespace


@pytest.mark.parametrize(
    ("number", "name", "network", "options"),
    [
        ("03", "saliency_map", "dense_network", {}),
        ("04", "smoothgrad", "dense_network", {"n": 3, "sigma": 0.1}),
        ("05", "cam", "pooling_network", {}),
        ("06", "grad_cam", "dense_network", {}),
    ],
)
@pytest.mark.parametrize("class_index", [1, [0, 1, 0, 1, 0, 1]], ids=["one class", "many"])
def test_a_pasted_function_is_that_of_utils(
    number, name, network, options, class_index, images, request
):
    network = request.getfixturevalue(network)
    asked = network, images, class_index
    expected = getattr(attention, name)(*asked, **options)
    found = pasted(number)[name](*asked, **options)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_the_relevances_of_the_pasted_lrp_sum_to_the_logit(pooling_network, images):
    relevance = pasted("08")["lrp"](pooling_network, images, 0)
    logits = np.asarray(pooling_network([images]))[:, 0]
    assert relevance.shape == images.shape[:3]
    np.testing.assert_allclose(relevance.sum((1, 2)), logits, rtol=0.02, atol=1e-4)
