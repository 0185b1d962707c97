"""Facts about the measures of notebook 10."""

import numpy as np
import pytest

from covid import measures
from utils.evaluation import judged


def test_precision_and_recall_are_those_of_the_covid_class():
    """4 slices are COVID, 3 of them are called so, and 2 that are not: 3 of 5, and 3 of 4."""
    labels = ["COVID"] * 4 + ["non-COVID"] * 6
    predicted = ["COVID"] * 3 + ["non-COVID"] + ["COVID"] * 2 + ["non-COVID"] * 4
    table = measures.precision_recall(labels, predicted, "COVID").set_index("measure")
    assert table["n"].to_dict() == {"precision": 5, "recall": 4}
    assert table["share"].to_dict() == {"precision": 3 / 5, "recall": 3 / 4}
    other = measures.precision_recall(labels, predicted, "non-COVID")["share"]
    assert other.tolist() == [4 / 5, 4 / 6]


def test_precision_of_slices_that_are_right_or_wrong_together_is_less_certain():
    """Eight slices of four patients: the interval is that of four answers, 3 of them right."""
    labels, predicted = ["COVID"] * 6 + ["non-COVID"] * 2, ["COVID"] * 8
    table = measures.precision_recall(labels, predicted, "COVID", [1, 1, 2, 2, 3, 3, 4, 4])
    alone = measures.precision_recall(labels, predicted, "COVID")
    assert table["share"].tolist() == alone["share"].tolist() == [3 / 4, 1]
    assert table["low"][0] < alone["low"][0] and table["n"].tolist() == [8, 6]


def test_a_share_of_right_answers_has_an_interval_where_all_are_right():
    """Ten slices of five patients: by a coin all five are right once in 32, or all wrong."""
    row = measures.measured_share(np.ones(10, bool), np.repeat(range(5), 2), 0.5)
    assert row["effect"] == row["high"] == 1 and 0.5 < row["low"] < 0.6
    assert row["scenes"] == 5 and row["p"] == pytest.approx(2 / 32)


def test_no_right_answers_at_all_are_open_and_no_error():
    row = measures.measured_share(np.empty(0, bool), np.empty(0, int), 0.5)
    assert row["scenes"] == 0 and np.isnan(row["low"])
    assert judged([row])["verdict"].tolist() == ["open"]


def test_a_stranger_is_of_another_patient():
    assert measures.strangers([1, 2, 3]) == 1
    assert measures.strangers([1, 1, 2, 2]) == 2  # one further is the same patient
    assert measures.strangers([1, 2, 1, 2]) == 1
    assert measures.strangers([1, 1]) == measures.strangers([]) == 1  # there is none


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
