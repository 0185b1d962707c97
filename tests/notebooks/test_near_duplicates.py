"""Facts about near-duplicates: on made pictures, and on drawn slices whose twins are known."""

import numpy as np
import pytest

from covid import near_duplicates
from covid.lungs import lungs
from covid.near_duplicates import alike, cluster_split, clusters, small_pictures
from data.drawing.ct import draw_slice, patient_of
from data.images import resize

PATIENTS = [scene for scene in range(16) if patient_of(scene) == scene]  # 12, one slice of each


@pytest.fixture(scope="module")
def noise():
    """Twenty pictures of soft noise that have nothing in common, uint8 (20, 40, 40)."""
    small = np.random.default_rng(0).integers(0, 256, (20, 10, 10), dtype=np.uint8)
    return np.kron(small, np.ones((4, 4), np.uint8))


def scanned_again(rng, image):
    """A slice (h, w) cut at two borders, in another window and with other noise."""
    grey = (image[3:, 5:] - 128.0) * 1.1 + 120
    return np.clip(grey + rng.normal(0, 6, grey.shape), 0, 255).astype(np.uint8)


def rgb(slices, side):
    """Grey slices as RGB pictures of one size, uint8 (N, side, side, 3)."""
    return np.stack([resize(np.repeat(image[..., None], 3, axis=-1), side) for image in slices])


def test_a_slice_scanned_again_is_found_and_no_other_patient():
    slices = [draw_slice(scene, "COVID", 0.5)[0] for scene in PATIENTS]
    rng = np.random.default_rng(0)
    twice = rgb(slices + [scanned_again(rng, image) for image in slices], 150)
    pairs, _ = alike(twice, lungs(twice[:, ::2, ::2]))
    assert pairs.tolist() == [[k, k + 12] for k in range(12)]


def test_twins_with_and_without_ground_glass_are_near_duplicates():
    twins = [draw_slice(s, label, 0.4)[0] for s in PATIENTS[:8] for label in ("COVID", "non-COVID")]
    twins = rgb(twins, 100)
    pairs, _ = alike(twins, lungs(twins))
    assert pairs.tolist() == [[k, k + 1] for k in range(0, 16, 2)]


@pytest.mark.parametrize("block", (7, 512))
def test_equal_pictures_agree_wholly_and_strangers_not_at_all(noise, monkeypatch, block):
    monkeypatch.setattr(near_duplicates, "BLOCK", block)
    pairs, scores = alike(np.concatenate([noise, noise]))
    assert pairs.tolist() == [[k, k + 20] for k in range(20)]
    np.testing.assert_allclose(scores, 1, atol=1e-4)


def test_a_pair_needs_both_measures(noise):
    both = np.concatenate([noise, noise])
    assert len(alike(both, bits=1.01)[0]) == len(alike(both, correlation=1.01)[0]) == 0
    assert len(alike(both, bits=0, correlation=-2)[0]) == 40 * 39 / 2


@pytest.mark.parametrize("count", (0, 1, 2))
def test_a_few_grey_pictures_without_any_contrast_are_no_error(count):
    pairs, scores = alike(np.full((count, 20, 30), 7, np.uint8))
    assert pairs.shape == scores.shape == (0, 2)


def test_a_mask_of_any_resolution_crops_to_its_box_and_an_empty_one_crops_nothing():
    image, mask = np.zeros((1, 400, 600), np.uint8), np.zeros((1, 20, 30), bool)
    image[0, 100:300, 120:360] = 200
    mask[0, 5:15, 6:18] = True
    assert (small_pictures(image, mask)[0, 1:-1, 1:-1] == 200).all()
    np.testing.assert_array_equal(small_pictures(image, mask & False), small_pictures(image))


def test_pairs_become_clusters_and_who_has_none_stays_alone():
    labels = clusters(6, np.array([[0, 2], [2, 5], [3, 4]]))
    assert labels[0] == labels[2] == labels[5] and labels[3] == labels[4]
    assert len(set(labels)) == 3
    assert len(set(clusters(4, np.empty((0, 2), int)))) == 4


def test_a_row_of_four_neighbours_is_one_cluster():
    """Between its halves 1 of 4 pairs is alike: a quarter, which is just enough."""
    assert len(set(clusters(4, np.array([[0, 1], [1, 2], [2, 3]])))) == 1


def test_one_pair_of_strangers_does_not_join_two_patients():
    """Two patients of three slices each, and one pair between them, of nine."""
    pairs = np.array([[0, 1], [0, 2], [1, 2], [3, 4], [3, 5], [4, 5], [2, 3]])
    labels = clusters(6, pairs)
    assert len(set(labels[:3])) == len(set(labels[3:])) == 1 and labels[0] != labels[5]


@pytest.fixture
def forty():
    """Classes and clusters of 40 pictures: some clusters of two to five, one with both classes."""
    classes = np.repeat(["a", "b"], 20)
    cluster = np.arange(40)
    cluster[[0, 1, 2, 3, 4]], cluster[[10, 11]], cluster[[18, 19, 20, 21]] = 0, 10, 18
    cluster[[30, 33, 36]] = 30
    return classes, cluster


SHARES = {"validation": 0.2, "test": 0.3}


@pytest.mark.parametrize("seed", range(5))
def test_no_cluster_is_on_two_sides_and_each_side_lacks_less_than_one_cluster(forty, seed):
    classes, cluster = forty
    side = cluster_split(classes, cluster, SHARES, seed)
    assert all(len(set(side[cluster == k])) == 1 for k in set(cluster))
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


def test_a_cluster_larger_than_a_side_is_trained_on():
    side = cluster_split(["a"] * 9, [0] * 8 + [1], {"test": 0.3})
    assert side.tolist() == ["train"] * 8 + ["test"]
