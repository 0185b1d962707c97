"""Gates, points on a line, and networks small enough to work out in the head."""

from functools import partial

import numpy as np
import pytest

from linear_models import (
    cross_entropy,
    descend,
    difference_quotients,
    linear_regression,
    logistic_gradient,
    logistic_loss,
    network_gradient,
    network_loss,
    network_score,
    network_start,
    perceptron,
    score_gradient,
    sigmoid,
)

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
AND, OR, XOR = (np.array(gate) for gate in ([-1, -1, -1, 1], [-1, 1, 1, 1], [-1, 1, 1, -1]))
LINE = np.array([[0.0], [1.0], [2.0]])  # y = 2 x + 1 at 0, 1 and 2
# |x| - 1/2 as a network: one unit for each sign of x
DISTANCE = np.array([[1.0], [-1.0]]), np.zeros(2), np.ones(2), np.array(-0.5)


@pytest.mark.parametrize("gate", [AND, OR], ids=["and", "or"])
def test_a_perceptron_learns_a_gate(gate):
    weights, bias, mistakes = perceptron(CORNERS, gate)
    assert mistakes[-1] == 0
    assert (np.sign(CORNERS @ weights + bias) == gate).all()


def test_the_first_mistake_makes_the_first_example_the_weights():
    weights, bias, mistakes = perceptron(np.array([[3.0, 4.0]]), np.array([1]))
    assert weights.tolist() == [3, 4]
    assert bias == 1
    assert mistakes == [1, 0]


def test_a_perceptron_never_learns_xor():
    *_, mistakes = perceptron(CORNERS, XOR, epochs=50)
    assert len(mistakes) == 50
    assert min(mistakes) > 0


def test_three_points_off_the_line_give_the_line_between():
    weights, bias = linear_regression(LINE, np.array([0.0, 3.0, 0.0]))
    assert weights == pytest.approx([0])
    assert bias == pytest.approx(1)


def test_a_column_that_never_changes_gets_no_weight():
    x = np.hstack([LINE, np.full((3, 1), 7.0)])
    weights, bias = linear_regression(x, np.array([1.0, 3.0, 5.0]))
    assert weights == pytest.approx([2, 0])
    assert bias == pytest.approx(1)


def test_gradient_descent_finds_the_bottom():
    (at,) = descend(lambda x: [x - [3.0, -1.0]], [np.zeros(2)], rate=0.3, steps=500)
    assert at == pytest.approx([3, -1])


def test_momentum_repeats_the_last_step():
    (at,) = descend(lambda x: [np.sign(x)], [10.0], rate=1.0, momentum=0.5, steps=2)
    assert at == 10 - 1 - (0.5 + 1)


def test_sigmoid_of_log_three_is_three_quarters():
    assert sigmoid(np.log(3)) == pytest.approx(0.75)
    assert sigmoid(np.array([-1e4, 0, 1e4])).tolist() == [0, 0.5, 1]


def test_cross_entropy_is_minus_the_log_of_the_probability():
    assert cross_entropy(np.zeros(3), np.array([1, -1, 1])) == pytest.approx(np.log(2))
    assert cross_entropy(np.array([np.log(3)]), np.array([1])) == pytest.approx(-np.log(0.75))
    assert cross_entropy(np.array([-1e4]), np.array([1])) == pytest.approx(1e4)


def test_logistic_gradient_at_zero_weights():
    gradient, slope = logistic_gradient(np.array([[4.0]]), np.array([1]), 0.0, np.zeros(1), 0.0)
    assert gradient == pytest.approx([-2])  # (1/2 - 1) 4
    assert slope == pytest.approx(-0.5)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_logistic_gradient_is_the_slope_of_the_loss(decay):
    at = np.array([0.3, -0.7]), 0.2
    slopes = difference_quotients(partial(logistic_loss, CORNERS, OR, decay), at)
    for ours, theirs in zip(logistic_gradient(CORNERS, OR, decay, *at), slopes, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-8)


def test_two_units_make_the_distance_from_zero():
    x = np.array([[-2.0], [0.0], [0.25], [3.0]])
    assert network_score(x, *DISTANCE).tolist() == [1.5, -0.5, -0.25, 2.5]


def test_the_slope_of_the_distance_is_the_sign():
    assert score_gradient(np.array([[-2.0], [3.0]]), *DISTANCE).tolist() == [[-1], [1]]


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_back_propagation_is_the_slope_of_the_loss(decay):
    parameters = network_start(2, 3)
    slopes = difference_quotients(partial(network_loss, CORNERS + 0.1, XOR, decay), parameters)
    ours = network_gradient(CORNERS + 0.1, XOR, decay, *parameters)
    for back_propagated, slope in zip(ours, slopes, strict=True):
        np.testing.assert_allclose(back_propagated, slope, atol=1e-8)


def test_a_network_learns_xor():
    slope = partial(network_gradient, CORNERS, XOR, 0.0)
    parameters = descend(slope, network_start(2, 8), rate=0.3, momentum=0.9, steps=500)
    assert (np.sign(network_score(CORNERS, *parameters)) == XOR).all()
