import numpy as np
import pandas as pd
import pytest

from utils import attention, evidence

HALF = np.zeros((4, 4), bool)
HALF[:2] = True


@pytest.mark.parametrize(("most", "expected"), [(1, [0]), (3, [0, 4, 9]), (50, list(range(10)))])
def test_rows_are_spread_from_the_first_to_the_last(most, expected):
    assert evidence.spread(pd.DataFrame(index=range(10)), most).index.tolist() == expected


def test_the_mean_saliency_of_noisy_copies_is_smoothgrad(dense_network, images):
    copies = evidence.noisy_copies(images[0], n=4, sigma=0.3)
    mean = attention.saliency_map(dense_network, copies, 1).mean(0)
    smooth = attention.smoothgrad(dense_network, images[:1], 1, n=4, sigma=0.3)[0]
    np.testing.assert_allclose(mean, smooth, rtol=1e-4)


def test_maps_of_a_linear_network_agree_whatever_the_noise(linear_network, images):
    measured, single = evidence.split_half(linear_network, images[0], 0, [1, 2], sigma=0.2)
    np.testing.assert_allclose([*measured, single], 1)


def test_more_samples_agree_better(dense_network, images):
    (one, many), single = evidence.split_half(dense_network, images[0], 0, [1, 50], sigma=0.3)
    assert many > max(one, single)


def test_without_noise_nothing_leaves_its_class_or_its_range(linear_network, images):
    masks, c = np.broadcast_to(HALF, (6, 4, 4)), linear_network.predict_on_batch(images).argmax(1)
    rows = evidence.under_noise(linear_network, images, c, masks, n=2, sigma=0.0)
    np.testing.assert_array_equal(rows[:, :2], [[1, 0]] * 6)
    saliency = attention.saliency_map(linear_network, images, c)
    expected = saliency[:, :2].sum((1, 2)) / saliency.sum((1, 2))
    np.testing.assert_allclose(rows[:, 2], expected, rtol=1e-4)


def test_noise_that_changes_the_class_is_seen(linear_network, images):
    masks, c = np.ones((6, 4, 4), bool), linear_network.predict_on_batch(images).argmin(1)
    kept, outside, *_ = evidence.under_noise(linear_network, images, c, masks, n=3, sigma=1e-6).T
    assert not kept.any()
    assert (outside < 0.1).all()


def test_a_cascade_begins_with_the_trained_network_and_skips_what_is_not_there(dense_network):
    names = [layer.name for layer in dense_network.layers if layer.weights]
    top, missing, bottom = names[-1], "no_such_layer", names[0]
    first = dense_network.get_weights()[0]
    seen = evidence.cascade(dense_network, [top, missing, bottom], lambda n: n.get_weights()[0])
    kept = [np.array_equal(first, kernel) for kernel in seen]
    assert kept == [True, True, True, False]


def test_over_seeds_compares_different_trainings_only():
    up = np.arange(9.0).reshape(1, 3, 3)
    seeded = [{"a": up, "b": up}, {"a": -up, "b": up}]
    assert evidence.over_seeds(seeded, "a", "a") == pytest.approx(-1)
    assert evidence.over_seeds(seeded, "a", "b") == pytest.approx(0)  # +1 one way, -1 the other
