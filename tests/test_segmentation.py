"""Facts about the lung masks: on squares that a person can check, and on drawn slices."""

import numpy as np
import pytest

from utils.drawn_ct import draw_slice
from utils.segmentation import bodies, lungs

AIR, FLESH = 80, 220


@pytest.fixture
def slice_of_squares():
    """A body in air with two lungs, 100 x 100, and the true mask of these lungs."""
    image, truth = np.full((100, 100), AIR), np.zeros((100, 100), bool)
    image[5:95, 5:95] = FLESH
    truth[30:70, 15:40] = truth[30:70, 60:85] = True
    image[truth] = AIR
    return image, truth


def differing(images, truth):
    return (lungs(images) != truth).mean()


def test_two_dark_squares_in_a_body_are_the_lungs(slice_of_squares):
    image, truth = slice_of_squares
    assert differing(image[None], truth) < 0.01


def test_grey_and_rgb_give_the_same_mask(slice_of_squares):
    image, _ = slice_of_squares
    rgb = np.repeat(image[None, ..., None], 3, axis=-1)
    np.testing.assert_array_equal(lungs(rgb), lungs(image[None]))


def test_a_vessel_and_an_opacity_at_the_wall_belong_to_the_lung(slice_of_squares):
    image, truth = slice_of_squares
    image[45:55, 22:30] = FLESH
    image[50:56, 81:85] = FLESH
    assert differing(image[None], truth) < 0.01


def test_the_windpipe_is_no_lung(slice_of_squares):
    image, truth = slice_of_squares
    truth[:, 60:] = False
    image[30:70, 60:85] = FLESH
    image[40:48, 46:54] = AIR
    assert differing(image[None], truth) < 0.01


def test_a_lung_that_the_frame_cuts_is_still_a_lung(slice_of_squares):
    image, truth = slice_of_squares
    assert differing(image[None, :, 20:], truth[:, 20:]) < 0.01


def test_what_lies_between_two_lungs_that_touch_is_no_lung(slice_of_squares):
    image, truth = slice_of_squares
    truth[30:70, 15:46] = truth[30:70, 54:85] = truth[30:34] = True
    truth[:, :15] = truth[:, 85:] = False
    image[truth] = AIR
    assert differing(image[None], truth) < 0.01


@pytest.mark.parametrize("air", (AIR, FLESH))
def test_a_slice_without_lungs_gives_an_empty_mask(slice_of_squares, air):
    image = np.full((100, 100), air)
    image[5:95, 5:95] = np.random.default_rng(0).normal(FLESH, 5, (90, 90))
    assert not lungs(image[None]).any()


def test_the_body_is_all_but_the_air_around_it(slice_of_squares):
    image, truth = slice_of_squares
    body = bodies(image[None])[0]
    assert body[truth].all() and body[10:90, 10:90].all()
    assert not body[:4].any() and not body[:, 96:].any()


def test_no_slices_give_no_masks():
    assert lungs(np.empty((0, 20, 30))).shape == (0, 20, 30)


@pytest.mark.parametrize("label", ("COVID", "non-COVID"))
def test_on_drawn_slices_dice_with_the_truth_is_above_0_93(label):
    for scene in range(8):
        image, truth, _ = draw_slice(scene, label, 0.5)
        mask = lungs(image[None])[0]
        assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.93
