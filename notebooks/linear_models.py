"""Perceptron, linear regression, logistic regression and a two-layer network, from their formulas.

Examples are the rows of x (N, d), their classes y (N,) are -1 or +1. A model's score S is above 0
for +1; for the first three it is linear, S = x @ weights + bias. `descend` trains the last two.
Losses and gradients take what stays fixed first and the parameters last, so that
partial(logistic_gradient, x, y, decay) is a function of the parameters alone.
Derived term by term in notebooks/A1_from_linear_models_to_saliency.ipynb, on the two sets below.
"""

from collections import namedtuple
from functools import partial

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from data.drawing.pets import draw_pet
from utils.settings import SIZE

# ------------------------------------------------------------------------------------ two sets

Split = namedtuple("Split", "x y x_test y_test")


def split(x, y, x_test, y_test):
    """A training and a test set, centred on the mean of the first."""
    return Split(x - x.mean(axis=0), y, x_test - x.mean(axis=0), y_test)


def draw(scenes):
    """Pictures (2 n, SIZE, SIZE, 3) and masks of the heads: a cat and a dog for each scene."""
    drawn = [draw_pet(scene, name, SIZE) for scene in scenes for name in ("cat", "dog")]
    images, _, heads = (np.array(part) for part in zip(*drawn, strict=True))
    return images, heads


def reduced(images, masks, side):
    """What lies around each mask, as rows (N, side * side) of grey values in 0..1."""
    rows = []
    for image, mask in zip(images, masks, strict=True):
        down, right = np.nonzero(mask)
        box = right.min(), down.min(), right.max() + 1, down.max() + 1
        grey = Image.fromarray(image).convert("L")
        rows.append(np.ravel(grey.resize((side, side), Image.Resampling.BOX, box)) / 255)
    return np.array(rows)


def cats_and_dogs(training, test, side):
    """A split from two (images, masks): a cat is -1, its twin the dog +1."""
    classes = [np.tile([-1, 1], len(images) // 2) for images, _ in (training, test)]
    return split(reduced(*training, side), classes[0], reduced(*test, side), classes[1])


def three_or_eight(test=90):
    """A split of scikit-learn's handwritten digits of 8 x 8 pixels: a 3 is -1, an 8 is +1."""
    digits = load_digits()
    chosen = np.isin(digits.target, (3, 8))
    x, y = digits.data[chosen] / 16, np.where(digits.target[chosen] == 8, 1, -1)
    return split(x[:-test], y[:-test], x[-test:], y[-test:])


def draw_square(ax, values, signed=True):
    """Draw values (d,) as a square: grey, or red above and blue below zero."""
    square = values.reshape(int(len(values) ** 0.5), -1)
    limit = np.abs(values).max()
    look = dict(cmap="RdBu_r", vmin=-limit, vmax=limit) if signed else dict(cmap="gray")
    ax.imshow(square, interpolation="nearest", **look)


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


# --------------------------------------------------------------------------- linear regression


def linear_regression(x, y):
    """(weights (d,), bias) of least squares, by the normal equation on centred examples.

    Where many weights are equally good (a column that never changes, or fewer examples than
    columns) the shortest ones.
    """
    centred = x - x.mean(axis=0)
    weights = np.linalg.pinv(centred.T @ centred, hermitian=True) @ (centred.T @ (y - y.mean()))
    return weights, y.mean() - x.mean(axis=0) @ weights


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


def logistic_regression(x, y, decay):
    """(weights (d,), bias) where `logistic_loss` is least."""
    gradient = partial(logistic_gradient, x, y, decay)
    return descend(gradient, (np.zeros(x.shape[1]), 0.0), rate=0.05, momentum=0.98, steps=3000)


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


def two_layer_network(x, y, hidden, decay):
    """The four parameters after 1000 steps downhill from `network_start`."""
    gradient = partial(network_gradient, x, y, decay)
    start = network_start(x.shape[1], hidden)
    return descend(gradient, start, rate=0.1, momentum=0.9, steps=1000)


def referee_network(x, y, hidden, decay, steps):
    """The parameters of scikit-learn's network after its first step, and after `steps` more."""
    recipe = dict(solver="sgd", momentum=0, batch_size=len(y), alpha=decay * len(y))
    referee = MLPClassifier(hidden, learning_rate_init=0.1, random_state=0, **recipe)
    states = []
    for _ in range(steps + 1):
        referee.partial_fit(x, y, classes=(-1, 1))
        (first, second), (first_bias, bias) = referee.coefs_, referee.intercepts_
        states.append([part.copy() for part in (first.T, first_bias, second[:, 0], bias[0])])
    return states[0], states[-1]


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
