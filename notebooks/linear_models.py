"""Perceptron, linear regression, logistic regression and a two-layer network, from their formulas.

Examples are the rows of x (N, d), their classes y (N,) are -1 or +1. A model's score S is above 0
for +1; for the first three it is linear, S = x @ weights + bias. `descend` trains each of them that
has a gradient. Losses and gradients take what stays fixed first and the parameters last, so that
partial(logistic_gradient, x, y, decay) is a function of the parameters alone.
Derived term by term in notebooks/A1_from_linear_models_to_saliency.ipynb.
"""

import numpy as np

# ---------------------------------------------------------------------------------- perceptron


def perceptron(x, y, epochs=1000):
    """(weights (d,), bias, mistakes): every example on the wrong side is added to the weights.

    `mistakes` counts them, one number per pass; the last is 0 when all examples are on their
    side, at most after `epochs` passes. Rosenblatt 1958.
    """
    weights, bias, mistakes = np.zeros(x.shape[1]), 0.0, []
    while len(mistakes) < epochs and 0 not in mistakes:
        mistakes.append(0)
        for example, side in zip(x, y, strict=True):
            if side * (weights @ example + bias) <= 0:
                weights, bias = weights + side * example, bias + side
                mistakes[-1] += 1
    return weights, bias, mistakes


def mistake_bound(x, y, weights, bias):
    """R^2 / gamma^2: a perceptron makes no more mistakes than this, whatever the order.

    R is the length of the longest example and gamma the least distance to the plane of weights
    and bias, which has to separate the examples; the 1 that the bias multiplies counts as one more
    coordinate. The plane of the widest margin gives the sharpest bound. Novikoff 1962.
    """
    distances = y * (x @ weights + bias) / np.sqrt(weights @ weights + bias**2)
    if distances.min() <= 0:
        raise ValueError("These weights do not separate the examples, so they bound nothing.")
    return (np.sum(x**2, axis=1).max() + 1) / distances.min() ** 2


# --------------------------------------------------------------------------- linear regression


def linear_regression(x, y):
    """(weights (d,), bias) of least squares, by the normal equation on centred examples.

    Where many weights are equally good (a column that never changes, or fewer examples than
    columns) the shortest ones.
    """
    centred = x - x.mean(axis=0)
    weights = np.linalg.pinv(centred.T @ centred, hermitian=True) @ (centred.T @ (y - y.mean()))
    return weights, y.mean() - x.mean(axis=0) @ weights


def squared_error_gradient(x, y, weights, bias):
    """(1/N) sum (S - y) x and (1/N) sum (S - y): the slope of half the mean squared error."""
    error = (x @ weights + bias - y) / len(y)
    return x.T @ error, error.sum()


def descend(gradient, start, *, rate, momentum=0.0, steps=1000):
    """The parameters after `steps` steps downhill from `start`, as a list of arrays.

    `gradient` is a function of the parameters and returns one array for each. A step is `momentum`
    times the step before, minus `rate` times the gradient.
    """
    parameters = [np.asarray(parameter, float) for parameter in start]
    step = [np.zeros_like(parameter) for parameter in parameters]
    for _ in range(steps):
        slopes = gradient(*parameters)
        step = [momentum * s - rate * slope for s, slope in zip(step, slopes, strict=True)]
        parameters = [p + s for p, s in zip(parameters, step, strict=True)]
    return parameters


# ------------------------------------------------------------------------- logistic regression


def sigmoid(score):
    """1 / (1 + exp(-score)), the probability of class +1, without overflow."""
    return (1 + np.tanh(np.asarray(score) / 2)) / 2


def cross_entropy(score, y):
    """The mean of -log of the probability that the scores (N,) give to the true classes."""
    return np.logaddexp(0, -y * score).mean()


def logistic_loss(x, y, decay, weights, bias):
    """Cross-entropy plus decay/2 times the squared length of the weights."""
    return cross_entropy(x @ weights + bias, y) + decay / 2 * (weights @ weights)


def logistic_gradient(x, y, decay, weights, bias):
    """(1/N) sum (p - t) x + decay w, and (1/N) sum (p - t); t is 1 for y = +1 and 0 for y = -1."""
    error = (sigmoid(x @ weights + bias) - (y > 0)) / len(y)
    return x.T @ error + decay * weights, error.sum()


# --------------------------------------------------------------------------- two-layer network


def network_start(inputs, hidden, seed=0):
    """Random weights (hidden, inputs) and (hidden,), each with its bias 0. He et al. 2015."""
    rng = np.random.default_rng(seed)
    first = rng.normal(0, np.sqrt(2 / inputs), (hidden, inputs))
    second = rng.normal(0, np.sqrt(1 / hidden), hidden)
    return first, np.zeros(hidden), second, 0.0


def network_score(x, first, first_bias, second, bias):
    """S = second . ReLU(first x + first_bias) + bias, (N,)."""
    return np.maximum(x @ first.T + first_bias, 0) @ second + bias


def network_loss(x, y, decay, first, first_bias, second, bias):
    """Cross-entropy of the network plus decay/2 times the squares of both layers' weights."""
    score = network_score(x, first, first_bias, second, bias)
    return cross_entropy(score, y) + decay / 2 * (np.sum(first**2) + second @ second)


def network_gradient(x, y, decay, first, first_bias, second, bias):
    """The gradient of `network_loss` by all four parameters, by back-propagation."""
    hidden = np.maximum(x @ first.T + first_bias, 0)
    error = (sigmoid(hidden @ second + bias) - (y > 0)) / len(y)
    back = np.outer(error, second) * (hidden > 0)
    return (
        back.T @ x + decay * first,
        back.sum(axis=0),
        hidden.T @ error + decay * second,
        error.sum(),
    )


def score_gradient(x, first, first_bias, second, bias):
    """dS/dx of the network, (N, d): the weights of the units that each example switches on."""
    active = x @ first.T + first_bias > 0
    return (active * second) @ first


def difference_quotients(function, parameters, step=1e-6):
    """The gradient of `function` of the parameters by central differences, one array for each."""
    parameters = [np.array(parameter, float) for parameter in parameters]
    gradients = [np.empty_like(parameter) for parameter in parameters]
    for parameter, slopes in zip(parameters, gradients, strict=True):
        for index, value in np.ndenumerate(parameter):
            parameter[index] = value + step
            above = function(*parameters)
            parameter[index] = value - step
            slopes[index] = (above - function(*parameters)) / (2 * step)
            parameter[index] = value
    return gradients
