import numpy as np
import pytest

from utils import planted_cue

LABELS = np.array([0, 1, 1, 0, 1, 1])


@pytest.fixture
def grey():
    return np.full((6, 150, 150, 3), 128, "uint8")


def has_tag(images):
    return (images != 128).any((1, 2, 3))


def test_the_tag_is_four_by_four_squares_half_black_half_white():
    tag = planted_cue.tag()
    assert tag.shape == (16, 16, 3)
    assert (tag[:4, :4] == 0).all()
    assert (tag[:4, 4:8] == 255).all()
    assert tag.mean() == 127.5


def test_the_tag_changes_its_region_and_nothing_else(grey):
    changed = (planted_cue.tagged(grey) != grey).all(-1)
    np.testing.assert_array_equal(changed, planted_cue.region(grey))
    assert planted_cue.region(grey)[0].sum() == 16 * 16


def test_tagging_leaves_the_given_pictures_as_they_are(grey):
    planted_cue.tagged(grey)
    assert not has_tag(grey).any()


def test_only_the_chosen_pictures_are_tagged(grey):
    assert has_tag(planted_cue.tagged(grey, LABELS == 0)).tolist() == (LABELS == 0).tolist()


@pytest.mark.parametrize(("dose", "count"), [(0, 0), (0.25, 1), (0.5, 2), (0.75, 3), (1, 4)])
def test_a_dose_is_a_share_of_one_class(grey, dose, count):
    tags = has_tag(planted_cue.dosed(grey, LABELS, dose, class_index=1))
    assert tags.sum() == count
    assert not tags[LABELS == 0].any()


def test_a_larger_dose_tags_the_same_pictures_and_more(grey):
    half, most = (has_tag(planted_cue.dosed(grey, LABELS, d, class_index=1)) for d in (0.5, 0.75))
    assert (most >= half).all()
