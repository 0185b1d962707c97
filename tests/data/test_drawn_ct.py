"""Facts about the drawn slices: only ground-glass tells the class, and masks say where it is."""

from functools import lru_cache

import numpy as np
import pytest
from PIL import Image
from scipy.stats import rankdata

from data.drawing.chest import LEVELS, at_level
from data.drawing.ct import draw_slice, draw_twins, in_slab, patient_of, write_scenes
from data.drawing.shapes import grown
from data.images import read_image

SMALL = 0.3
twins = lru_cache(maxsize=None)(draw_twins)


def painted_over(image, mask):
    return np.where(mask, 128, image)


@pytest.mark.parametrize(("scene", "scale"), [(1, 1.0), *((k, SMALL) for k in range(8))])
def test_twins_differ_inside_the_opacity_mask_and_nowhere_else(scene, scale):
    (positive, lung, opacity), (negative, same_lung, none) = twins(scene, scale).values()
    assert positive.dtype == np.uint8 and 280 * scale <= positive.shape[1] <= 430 * scale
    np.testing.assert_array_equal(painted_over(positive, opacity), painted_over(negative, opacity))
    np.testing.assert_array_equal(lung, same_lung)
    assert not none.any()


@pytest.mark.parametrize("scene", range(8))
def test_ground_glass_lies_in_the_lungs_and_is_brighter_than_the_same_lung_without_it(scene):
    (positive, lung, opacity), (negative, _, _) = twins(scene, SMALL).values()
    added = positive[opacity].astype(int) - negative[opacity]
    assert added.min() >= 0 and (added > 0).mean() > 0.8 and added.mean() > 10
    assert not (opacity & ~grown(lung, 2)).any()


def test_masks_have_a_sane_share_of_the_picture():
    drawn = [twins(scene, SMALL)["COVID"] for scene in range(30)]
    lungs, opacities = ([masks[k].mean() for masks in drawn] for k in (1, 2))
    assert min(lungs) > 0.15 and max(lungs) < 0.75
    assert min(opacities) > 0.01 and max(opacities) < 0.3


def test_the_brightness_of_a_slice_does_not_tell_its_class():
    """The share of pairs of two scenes in which the positive slice is the brighter one."""
    labels = np.arange(60) % 2 == 0
    names = np.where(labels, "COVID", "non-COVID")
    grey = [twins(scene % 30, SMALL)[name][0].mean() for scene, name in enumerate(names)]
    ranks = rankdata(grey)[labels].sum() - 30 * 31 / 2
    assert 0.35 < ranks / 30**2 < 0.65


def test_the_same_scene_gives_the_same_bytes_and_another_scene_others():
    first, again, other = (draw_slice(k, "COVID", SMALL)[0].tobytes() for k in (5, 5, 6))
    assert first == again != other


def test_neighbours_are_the_same_patient_under_other_noise():
    """Scene 3 is a neighbour of scene 2: alike to the eye, and equal in hardly a pixel."""
    assert patient_of(3) == 2 and [patient_of(k) for k in (0, 1, 2, 4)] == [0, 1, 2, 4]
    first, second, stranger = (twins(k, SMALL)["non-COVID"][0] for k in (2, 3, 4))
    assert first.shape == second.shape and (first != second).mean() > 0.5
    assert correlation(first, second) > 0.85 > correlation(first, stranger)


def correlation(a, b):
    a, b = (Image.fromarray(image).resize((32, 32)) for image in (a, b))
    return np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]


def test_half_way_between_two_levels_lies_their_mean():
    middle = (LEVELS[0] + LEVELS[1]) / 2
    np.testing.assert_allclose(at_level([(0, 2), (4, 4), (9, 9), (9, 9), (9, 9)], middle), (2, 3))


def test_a_slab_keeps_what_lies_in_it_and_cuts_what_crosses_it():
    starts = np.array([(0, 0, 0), (0, 0, -4), (0, 0, 5)], float)
    ends = np.array([(8, 0, 0), (8, 0, 4), (8, 0, 6)], float)
    pieces, widths = in_slab(starts, ends, np.ones(3), height=0, half=1)
    np.testing.assert_allclose(pieces, [[(0, 0), (8, 0)], [(3, 0), (5, 0)]], atol=1e-6)
    np.testing.assert_allclose(widths, [(1, 1), (0.4, 0.4)])


def test_written_files_are_the_ones_the_rows_name(tmp_path):
    rows = write_scenes(tmp_path, scenes=1, both=3)
    assert [(row["kind"], row["label"]) for row in rows] == [("train", k) for k in draw_twins(0)]
    assert {(row["scene"], row["patient"]) for row in rows} == {("0", 0)}
    assert rows[0]["image"] == "train/COVID.0.png"
    assert rows[1]["opacity_mask"] == "masks/non-COVID.0.opacity.png"
    for row in rows:
        image, *masks = draw_slice(0, row["label"])
        np.testing.assert_array_equal(read_image(tmp_path / row["image"])[..., 0], image)
        for column, mask in zip(("lung_mask", "opacity_mask"), masks, strict=True):
            np.testing.assert_array_equal(read_image(tmp_path / row[column])[..., 0] > 127, mask)
