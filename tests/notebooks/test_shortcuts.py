"""Facts about pictures without their evidence, and about the quick classifier."""

import numpy as np

from covid import shortcuts

IMAGES = np.full((1, 10, 10, 3), 200, np.uint8)
MASK = np.zeros((1, 10, 10), bool)
MASK[0, 2:5, 3:4] = MASK[0, 4, 3:8] = True  # an L


def test_blacked_out_is_black_in_the_mask_and_only_there():
    out = shortcuts.blacked_out(IMAGES, MASK)
    assert not out[MASK].any() and (out[~MASK] == 200).all()
    assert out.dtype == np.uint8


def test_a_margin_grows_each_mask_by_itself():
    masks = np.zeros((2, 9, 9), bool)
    masks[0, 4, 4] = True
    grown = shortcuts.with_margin(masks, 2)
    assert grown[0].sum() == 1 + 4 + 8 and not grown[1].any()


def test_the_box_of_a_mask_hides_its_outline_and_an_empty_mask_has_none():
    box = shortcuts.boxes(np.concatenate([MASK, np.zeros_like(MASK)]))
    assert box[0].sum() == 3 * 5 and box[0, 2:5, 3:8].all()
    assert not box[1].any()


def test_a_probe_of_a_class_of_three_is_cross_validated_in_three_parts(recwarn):
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 1])
    right = shortcuts.probe(np.eye(8), labels, np.arange(8))
    assert right.shape == (5, 8) and not recwarn.list


def test_a_group_that_the_probe_has_learned_from_does_not_test_it():
    """Two copies of each picture, whose label is a coin's: known by heart if a copy was learned."""
    rng = np.random.default_rng(1)
    features = np.repeat(rng.normal(size=(60, 200)), 2, axis=0)
    labels = np.repeat(rng.integers(0, 2, 60), 2)
    known = shortcuts.probe(features, labels, np.arange(120))
    unknown = shortcuts.probe(features, labels, np.repeat(np.arange(60), 2))
    assert known.mean() > 0.8 > 0.7 > unknown.mean()
    assert known.shape == (5, 120) and (known[0] != known[1]).any()  # dealt anew each time
