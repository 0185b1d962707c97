"""Facts about near-duplicates: on made pictures, and on drawn slices whose twins are known."""

import numpy as np
import pytest
from PIL import Image

from utils import segmentation
from utils.drawn_ct import draw_slice, patient_of
from utils.duplicates import (
    alike,
    cluster_split,
    clusters,
    expected_false,
    near_duplicates,
    small_pictures,
)
from utils.images import resize

PATIENTS = [scene for scene in range(16) if patient_of(scene) == scene]  # one slice of each
SCENES = len(PATIENTS)


@pytest.fixture(scope="module")
def noise():
    """Twenty pictures of soft noise that have nothing in common, uint8 (20, 40, 40)."""
    small = np.random.default_rng(0).integers(0, 256, (20, 10, 10), dtype=np.uint8)
    return np.kron(small, np.ones((4, 4), np.uint8))


@pytest.fixture(scope="module")
def scanned_twice():
    """Drawn slices, uint8 (2 SCENES, 150, 150, 3): each scene once, then all of them again."""
    slices = [draw_slice(scene, "COVID", 0.5)[0] for scene in PATIENTS]
    rng = np.random.default_rng(0)
    again = [scanned_again(rng, image) for image in slices]
    grey = [np.repeat(image[..., None], 3, axis=-1) for image in slices + again]
    return np.stack([resize(image, 150) for image in grey])


def scanned_again(rng, image, shift=0.02, zoom=1.03, contrast=1.1, sigma=6):
    """A slice (h, w) 2 % further, 3 % larger, in another window and with other noise."""
    height, width = image.shape
    centre = np.array((width, height)) * (0.5 + shift) + 20
    half = np.array((width, height)) / 2 / zoom
    padded = Image.fromarray(np.pad(image, 20, mode="edge"))
    box = (*(centre - half), *(centre + half))
    moved = padded.resize((width, height), Image.Resampling.BILINEAR, box=box)
    grey = (np.asarray(moved, float) - 128) * contrast + 120 + rng.normal(0, sigma, image.shape)
    return np.clip(grey, 0, 255).astype(np.uint8)


def test_a_slice_scanned_again_is_found_and_no_other_patient(scanned_twice):
    pairs = near_duplicates(scanned_twice, segmentation.lungs(scanned_twice[:, ::2, ::2]))
    assert pairs.tolist() == [[scene, scene + SCENES] for scene in range(SCENES)]


def test_twins_with_and_without_ground_glass_are_near_duplicates():
    twins = [draw_slice(s, label, 0.4)[0] for s in PATIENTS[:8] for label in ("COVID", "non-COVID")]
    twins = np.stack([resize(np.repeat(image[..., None], 3, axis=-1), 100) for image in twins])
    pairs = near_duplicates(twins, segmentation.lungs(twins))
    assert pairs.tolist() == [[k, k + 1] for k in range(0, 16, 2)]


def test_equal_pictures_agree_wholly_and_strangers_not_at_all(noise):
    pairs, scores = alike(np.concatenate([noise, noise]))
    assert pairs.tolist() == [[k, k + 20] for k in range(20)]
    np.testing.assert_allclose(scores, 1, atol=1e-4)


def test_another_window_is_the_same_picture(noise):
    assert near_duplicates(np.concatenate([noise, noise // 2 + 90])).tolist() == [
        [k, k + 20] for k in range(20)
    ]


def test_a_pair_needs_both_measures(noise):
    both = np.concatenate([noise, noise])
    assert near_duplicates(both, bits=1.01).size == 0
    assert near_duplicates(both, correlation=1.01).size == 0
    loose, scores = alike(both, bits=0, correlation=-2)
    assert len(loose) == 40 * 39 / 2 and scores.shape == (len(loose), 2)


def test_pairs_are_found_across_blocks(noise, monkeypatch):
    both = np.concatenate([noise, noise])
    pairs = near_duplicates(both)
    monkeypatch.setattr("utils.duplicates.BLOCK", 7)
    np.testing.assert_array_equal(near_duplicates(both), pairs)


@pytest.mark.parametrize("count", (0, 1, 2))
def test_a_few_grey_pictures_without_any_contrast_are_no_error(count):
    pairs = near_duplicates(np.full((count, 20, 30), 7, np.uint8))
    assert pairs.shape == (0, 2)


def test_a_mask_of_any_resolution_crops_to_its_box():
    image = np.zeros((1, 400, 600), np.uint8)
    image[0, 100:300, 120:360] = 200
    mask = np.zeros((1, 20, 30), bool)
    mask[0, 5:15, 6:18] = True
    assert (small_pictures(image, mask)[0, 1:-1, 1:-1] == 200).all()


def test_an_empty_mask_crops_nothing(noise):
    empty = np.zeros((20, 5, 5), bool)
    np.testing.assert_array_equal(small_pictures(noise, empty), small_pictures(noise))


def test_the_connected_are_one_cluster():
    labels = clusters(6, np.array([[0, 2], [2, 5], [3, 4]]))
    assert labels[0] == labels[2] == labels[5] and labels[3] == labels[4]
    assert len(set(labels)) == 3
    assert len(set(clusters(4, np.empty((0, 2), int)))) == 4


def test_false_pairs_within_are_expected_as_often_as_found_across():
    classes = ["a", "a", "b", "b"]  # two pairs within a class, four across
    assert expected_false(np.array([[0, 1], [0, 2], [1, 3]]), classes) == 1.0
    assert np.isnan(expected_false(np.array([[0, 1]]), ["a", "a"]))


@pytest.fixture
def forty():
    """Classes and clusters of 40 pictures: some clusters of two to five, one with both classes."""
    classes = np.repeat(["a", "b"], 20)
    cluster = np.arange(40)
    cluster[[0, 1, 2, 3, 4]], cluster[[10, 11]], cluster[[18, 19, 20, 21]] = 0, 10, 18
    cluster[[30, 33, 36]] = 30
    return classes, cluster


SHARES = {"validation": 0.2, "test": 0.3}


@pytest.mark.parametrize("seed", range(20))
def test_no_cluster_is_on_two_sides(forty, seed):
    classes, cluster = forty
    side = cluster_split(classes, cluster, SHARES, seed)
    assert all(len(set(side[cluster == k])) == 1 for k in set(cluster))


@pytest.mark.parametrize("seed", range(20))
def test_sides_have_the_sizes_of_a_stratified_split_within_one_cluster(forty, seed):
    classes, cluster = forty
    side = cluster_split(classes, cluster, SHARES, seed)
    for label in ("a", "b"):
        for name, size in (("validation", 4), ("test", 6)):
            assert size - 5 < (side[classes == label] == name).sum() <= size


def test_with_clusters_of_one_the_split_is_stratified(forty):
    classes, _ = forty
    side = cluster_split(classes, np.arange(40), SHARES, 3)
    for label in ("a", "b"):
        names, sizes = np.unique(side[classes == label], return_counts=True)
        assert dict(zip(names, sizes, strict=True)) == {"test": 6, "train": 10, "validation": 4}


def test_the_same_seed_splits_the_same_and_another_otherwise(forty):
    first, again, other = (cluster_split(*forty, SHARES, seed) for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


def test_every_cluster_is_tested_in_some_split(forty):
    classes, cluster = forty
    tested = [cluster[cluster_split(classes, cluster, SHARES, s) == "test"] for s in range(60)]
    assert set(np.concatenate(tested)) == set(cluster)


def test_a_cluster_larger_than_a_side_is_trained_on():
    side = cluster_split(["a"] * 9, [0] * 8 + [1], {"test": 0.3})
    assert side.tolist() == ["train"] * 8 + ["test"]
