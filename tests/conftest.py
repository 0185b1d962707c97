"""Small networks that a person can compute in the head, and the table of faults.

A test that injects a fault is marked `@pytest.mark.fault(fault, what happens, what is lost)`.
"""

from collections import defaultdict

import numpy as np
import pytest

from utils.runtime import keras

SIDE = 4


def small_network(head, convolution=None):
    """A flat network on pictures (4, 4, 3), with one 1 x 1 convolution of two maps if given."""
    image = keras.Input((SIDE, SIDE, 3))
    x = image
    if convolution is not None:
        x = keras.layers.Conv2D(2, 1, activation="relu", name="conv")(x)
    model = keras.Model([image], head(x), name="small")
    if convolution is not None:
        model.get_layer("conv").set_weights(convolution)
    return model


@pytest.fixture
def linear_network():
    """S_c = w_c . I + b_c for two classes."""
    model = small_network(lambda x: keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    generator = np.random.default_rng(0)
    model.set_weights([generator.normal(size=w.shape) for w in model.get_weights()])
    return model


def _pooling_head(x):
    pooled = keras.layers.GlobalAveragePooling2D(name="gap")(x)
    return keras.layers.Dense(2, name="logits")(pooled)


@pytest.fixture
def pooling_network():
    """Two feature maps, red and green; class 0 wants red and not green, class 1 the reverse."""
    kernel = np.zeros((1, 1, 3, 2))
    kernel[0, 0, 0, 0] = kernel[0, 0, 1, 1] = 1
    model = small_network(_pooling_head, [kernel, np.zeros(2)])
    weights = np.array([[2.0, -2.0], [-1.0, 1.0]]), np.array([0.5, -0.5])
    model.get_layer("logits").set_weights(weights)
    return model


@pytest.fixture
def dense_network():
    """A convolution, a hidden layer and two logits with random weights: nothing is linear."""
    layers = keras.layers

    def head(x):
        return layers.Dense(2)(layers.Dense(8, "tanh")(layers.Flatten()(x)))

    generator = np.random.default_rng(1)
    model = small_network(head, [generator.normal(size=(1, 1, 3, 2)), np.ones(2)])
    for layer in model.layers[-2:]:
        layer.set_weights([generator.normal(size=w.shape) * 0.3 for w in layer.get_weights()])
    return model


@pytest.fixture
def images():
    """Six pictures (6, 4, 4, 3) in 0..1."""
    return np.random.default_rng(2).random((6, SIDE, SIDE, 3), "float32")


# ------------------------------------------------------------------------- the table of faults


def pytest_addoption(parser):
    parser.addoption("--faults", action="store_true", help="all tests of faults, and their table")


def pytest_collection_modifyitems(config, items):
    """With --faults only the tests of faults, slow ones too; without, all but the slow ones."""
    mark, wanted = ("fault", True) if config.option.faults else ("slow", False)
    kept = [item for item in items if bool(item.get_closest_marker(mark)) is wanted]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept
    for item in items:
        if marker := item.get_closest_marker("fault"):
            values = getattr(getattr(item, "callspec", None), "params", {})
            item.user_properties.append(("fault", _row(*marker.args, values=values)))


def _row(fault, then, lost="nothing", *, values):
    return fault.format(**values), then, lost


def pytest_terminal_summary(terminalreporter, config):
    """A row for each fault whose tests have run, with what they found and how many they are."""
    if not config.option.faults:
        return
    results = defaultdict(list)
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.getreports(outcome):
            for name, row in report.user_properties:
                if name == "fault" and (report.when == "call" or outcome != "passed"):
                    results[report.nodeid.split("::")[0], row].append(outcome)
    for line in _table(results):
        terminalreporter.write_line(line)


def _table(results):
    """The lines of the table: area, fault, what happened, what was lost, and in how many tests."""
    yield f"{'fault':72}  {'what happened':62}  {'lost':18}  tests"
    area = ""
    for (file, (fault, then, lost)), outcomes in sorted(
        results.items(), key=lambda pair: pair[0][0]
    ):
        if file != area:
            area = file
            yield f"--- {area.removeprefix('tests/test_').removesuffix('.py')}"
        bad = [outcome for outcome in outcomes if outcome != "passed"]
        then = f"NOT SO ({bad[0]}): {then}" if bad else then
        yield f"{fault:72}  {then:62}  {lost:18}  {len(outcomes)}"
    held = sum(set(outcomes) == {"passed"} for outcomes in results.values())
    tests = sum(map(len, results.values()))
    yield f"{len(results)} faults, {tests} tests; what is said above was found for {held} of them."
