"""Facts about the measures of notebook 10."""

import numpy as np
import pytest

from covid import measures


def test_precision_and_recall_are_those_of_the_covid_class():
    """4 slices are COVID, 3 of them are called so, and 2 that are not: 3 of 5, and 3 of 4."""
    labels = ["COVID"] * 4 + ["non-COVID"] * 6
    predicted = ["COVID"] * 3 + ["non-COVID"] + ["COVID"] * 2 + ["non-COVID"] * 4
    table = measures.precision_recall(labels, predicted, "COVID").set_index("measure")
    assert table["n"].to_dict() == {"precision": 5, "recall": 4}
    assert table["share"].to_dict() == {"precision": 3 / 5, "recall": 3 / 4}
    other = measures.precision_recall(labels, predicted, "non-COVID")["share"]
    assert other.tolist() == [4 / 5, 4 / 6]


def test_the_interval_of_a_difference_of_accuracies_is_newcombes():
    """56 of 70 and 48 of 80: the example of the paper's table II, 0.0524 to 0.3339."""
    a, b = np.arange(70) < 56, np.arange(80) < 48
    expected = (0.2, 0.0524, 0.3339)
    np.testing.assert_allclose(measures.accuracy_difference(a, b), expected, atol=5e-5)
    assert measures.accuracy_difference(b, a)[1:] == pytest.approx((-0.3339, -0.0524), abs=5e-5)


def test_dice_is_twice_the_shared_part_over_both():
    a, b = np.zeros((2, 4, 4), bool), np.zeros((2, 4, 4), bool)
    a[0, :2], b[0, 1:2] = True, True  # 8 and 4 pixels, 4 of them shared
    assert measures.dice(a, b)[0] == 8 / 12
    assert np.isnan(measures.dice(a, b)[1])


def test_the_depth_of_a_mask_is_largest_in_its_middle():
    mask = np.zeros((1, 7, 7), bool)
    mask[0, 1:6, 1:6] = True
    depth = measures.depth(mask)[0]
    assert np.unravel_index(depth.argmax(), depth.shape) == (3, 3)
    assert depth[3, 3] == 3 and depth[1, 3] == 1 and depth[0, 3] == 0
