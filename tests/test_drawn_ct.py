"""Facts about the drawn slices: only ground-glass tells the class, and masks say where it is."""

from functools import lru_cache

import numpy as np
import pytest
from PIL import Image
from scipy.stats import rankdata

from utils.drawn_chest import LEVELS, at_level
from utils.drawn_ct import draw_slice, in_slab, patient_of, write_scenes
from utils.drawn_shapes import grown

SMALL = 0.3
ct_slice = lru_cache(maxsize=None)(draw_slice)


def painted_over(image, mask):
    return np.where(mask, 128, image)


@pytest.mark.parametrize("scene", range(8))
def test_twins_are_identical_outside_the_opacity_mask(scene):
    positive, lung, opacity = ct_slice(scene, "COVID", SMALL)
    negative, same_lung, _ = ct_slice(scene, "non-COVID", SMALL)
    np.testing.assert_array_equal(painted_over(positive, opacity), painted_over(negative, opacity))
    np.testing.assert_array_equal(lung, same_lung)


def test_twins_are_identical_outside_the_opacity_mask_at_full_size():
    (positive, _, opacity), (negative, _, _) = draw_slice(1, "COVID"), draw_slice(1, "non-COVID")
    assert positive.dtype == np.uint8 and 280 <= positive.shape[1] <= 430
    np.testing.assert_array_equal(painted_over(positive, opacity), painted_over(negative, opacity))


@pytest.mark.parametrize("scene", range(8))
def test_ground_glass_is_brighter_than_the_same_lung_without_it(scene):
    positive, _, opacity = ct_slice(scene, "COVID", SMALL)
    negative, _, _ = ct_slice(scene, "non-COVID", SMALL)
    added = positive[opacity].astype(int) - negative[opacity]
    assert added.min() >= 0 and (added > 0).mean() > 0.8 and added.mean() > 10


def test_a_slice_without_ground_glass_has_an_empty_opacity_mask():
    assert not any(ct_slice(scene, "non-COVID", SMALL)[2].any() for scene in range(8))


def test_opacities_lie_in_the_lungs():
    for scene in range(8):
        _, lung, opacity = ct_slice(scene, "COVID", SMALL)
        assert opacity.any() and not (opacity & ~grown(lung, 2)).any()


def test_masks_have_a_sane_share_of_the_picture():
    drawn = [ct_slice(scene, "COVID", SMALL) for scene in range(30)]
    lungs, opacities = ([masks[k].mean() for masks in drawn] for k in (1, 2))
    assert min(lungs) > 0.15 and max(lungs) < 0.75
    assert min(opacities) > 0.01 and max(opacities) < 0.3


def test_the_brightness_of_a_slice_does_not_tell_its_class():
    """The share of pairs of two scenes in which the positive slice is the brighter one."""
    labels = np.arange(60) % 2 == 0
    names = np.where(labels, "COVID", "non-COVID")
    grey = [ct_slice(scene % 30, name, SMALL)[0].mean() for scene, name in enumerate(names)]
    ranks = rankdata(grey)[labels].sum() - 30 * 31 / 2
    assert 0.35 < ranks / 30**2 < 0.65


def test_the_same_scene_gives_the_same_bytes_and_another_scene_others():
    first, again = (draw_slice(5, "COVID", SMALL)[0].tobytes() for _ in range(2))
    assert first == again != ct_slice(6, "COVID", SMALL)[0].tobytes()


def test_neighbours_are_the_same_patient_under_other_noise():
    """Scene 3 is a neighbour of scene 2: alike to the eye, and equal in hardly a pixel."""
    assert patient_of(3) == 2 and [patient_of(k) for k in (0, 1, 2, 4)] == [0, 1, 2, 4]
    first, second, stranger = (ct_slice(k, "non-COVID", SMALL)[0] for k in (2, 3, 4))
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
    assert [(row["kind"], row["label"]) for row in rows] == [
        ("train", "COVID"),
        ("train", "non-COVID"),
    ]
    assert rows[0]["image"] == "train/COVID.0.png"
    assert rows[1]["opacity_mask"] == "masks/non-COVID.0.opacity.png"
    for row, (image, *masks) in zip(rows, (draw_slice(0, r["label"]) for r in rows), strict=True):
        np.testing.assert_array_equal(pixels(tmp_path / row["image"]), image)
        for column, mask in zip(("lung_mask", "opacity_mask"), masks, strict=True):
            np.testing.assert_array_equal(pixels(tmp_path / row[column]), mask * 255)


def pixels(path):
    with Image.open(path) as picture:
        return np.array(picture)
