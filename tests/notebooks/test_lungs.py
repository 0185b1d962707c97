"""Facts about the masks: on squares that a person can check, and on drawn slices."""

import numpy as np
import pytest

from covid.lungs import bodies, foreign, lungs
from covid.measures import dice
from data.drawing.ct import draw_slice

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


def test_two_dark_squares_in_a_body_are_the_lungs_in_grey_and_in_rgb(slice_of_squares):
    image, truth = slice_of_squares
    assert differing(image[None], truth) < 0.01
    assert differing(np.stack([image] * 3, axis=-1)[None], truth) < 0.01


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


def test_a_letter_and_a_table_in_the_air_are_foreign_and_the_body_is_not(slice_of_squares):
    image, _ = slice_of_squares
    wide = np.pad(image, 10, constant_values=AIR)
    assert not foreign(wide[None]).any()
    truth = np.zeros(wide.shape, bool)
    truth[3:8, 5] = truth[7, 5:9] = True  # an L of lines one pixel wide
    truth[112:115] = True  # from side to side
    wide[truth] = FLESH
    np.testing.assert_array_equal(foreign(wide[None])[0], truth)


@pytest.mark.parametrize("segment", (lungs, bodies, foreign))
def test_no_slices_give_no_masks(segment):
    assert segment(np.empty((0, 20, 30))).shape == (0, 20, 30)


def test_on_drawn_slices_dice_with_the_truth_is_above_0_93():
    for scene in range(8):
        image, truth, _ = draw_slice(scene, "COVID", 0.5)
        assert dice(lungs(image[None]), truth[None]) > 0.93
