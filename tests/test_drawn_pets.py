"""Facts about the drawn pictures: only the head tells the class, and the masks say where it is."""

from functools import lru_cache

import numpy as np
import pytest
from PIL import Image

from utils.drawn_pets import SPECIES, draw_both, draw_crowd, draw_pet, write_scenes

SMALL = 72
pet = lru_cache(maxsize=None)(draw_pet)


def painted_over(image, mask):
    return np.where(mask[..., None], 128, image)


@pytest.mark.parametrize("scene", range(12))
def test_twins_are_identical_outside_the_head_mask(scene):
    cat, _, cat_head = pet(scene, "cat", SMALL)
    dog, _, dog_head = pet(scene, "dog", SMALL)
    np.testing.assert_array_equal(cat_head, dog_head)
    np.testing.assert_array_equal(painted_over(cat, cat_head), painted_over(dog, dog_head))


@pytest.mark.parametrize("scene", (1, 2))
def test_twins_are_identical_outside_the_head_mask_at_full_size(scene):
    (cat, _, head), (dog, _, _) = draw_pet(scene, "cat"), draw_pet(scene, "dog")
    assert cat.shape == (300, 300, 3) and cat.dtype == np.uint8
    np.testing.assert_array_equal(painted_over(cat, head), painted_over(dog, head))


@pytest.mark.parametrize("species", SPECIES)
def test_every_species_has_the_same_body(species):
    image, _, head = pet(3, species, SMALL)
    cat, _, _ = pet(3, "cat", SMALL)
    np.testing.assert_array_equal(painted_over(image, head), painted_over(cat, head))


@pytest.mark.parametrize("scene", range(12))
def test_twins_differ_inside_the_head_mask(scene):
    cat, _, head = pet(scene, "cat", SMALL)
    dog, _, _ = pet(scene, "dog", SMALL)
    assert (cat != dog).any(axis=-1)[head].mean() > 0.4


def test_the_same_scene_gives_the_same_bytes():
    assert draw_pet(5, "dog", SMALL)[0].tobytes() == draw_pet(5, "dog", SMALL)[0].tobytes()
    assert draw_both(5, SMALL)[0].tobytes() == draw_both(5, SMALL)[0].tobytes()
    assert draw_crowd(5, SMALL)[0].tobytes() == draw_crowd(5, SMALL)[0].tobytes()


def test_another_scene_gives_another_picture():
    assert pet(6, "dog", SMALL)[0].tobytes() != pet(7, "dog", SMALL)[0].tobytes()


@pytest.mark.parametrize("species", ("cat", "dog"))
def test_masks_have_a_sane_share_of_the_picture(species):
    drawn = (pet(scene, species, SMALL) for scene in range(30))
    _, animals, heads = zip(*drawn, strict=True)
    shares = np.mean(heads, axis=(1, 2))
    assert shares.min() > 0.04 and shares.max() < 0.35
    assert all(animal.mean() > 0.05 for animal in animals)


@pytest.mark.parametrize("species", ("cat", "dog"))
def test_the_head_mask_is_mostly_animal(species):
    for scene in range(30):
        _, animal, head = pet(scene, species, SMALL)
        assert (animal & head).sum() > 0.6 * head.sum()


def test_a_body_shows_outside_the_head_mask_in_most_pictures():
    outside = [
        (animal & ~head).mean()
        for _, animal, head in (pet(scene, "cat", SMALL) for scene in range(30))
    ]
    assert np.median(outside) > 0.05


def test_every_picture_has_grain():
    for scene in range(10):
        image = pet(scene, "cat", SMALL)[0].astype(float)
        assert np.abs(np.diff(image[..., 0] - image[..., 1], axis=0)).mean() > 0.5


def test_painted_over_pictures_of_other_scenes_stay_at_chance():
    """Nearest class mean on 24 x 24 reductions: without the head there is nothing to learn."""
    labels = np.arange(240) % 2
    pictures = np.stack([reduced(scene, SPECIES[k]) for scene, k in enumerate(labels, start=1000)])
    train, test = slice(0, 140), slice(140, 240)
    means = [pictures[train][labels[train] == k].mean(axis=0) for k in (0, 1)]
    away = [np.square(pictures[test] - mean).sum(axis=(1, 2, 3)) for mean in means]
    right = (np.argmin(away, axis=0) == labels[test]).sum()
    assert abs(right - 50) <= 15  # three standard deviations of a fair coin, 100 tosses


def reduced(scene, species):
    image, _, head = draw_pet(scene, species, SMALL)
    over = Image.fromarray(painted_over(image, head).astype(np.uint8))
    return np.asarray(over.resize((24, 24), Image.Resampling.BOX), float)


def test_the_two_heads_of_a_both_picture_are_disjoint():
    for scene in range(20):
        image, masks = draw_both(scene, SMALL)
        assert image.shape == (SMALL, SMALL, 3) and set(masks) == {"cat", "dog"}
        (cat, cat_head), (dog, dog_head) = masks["cat"], masks["dog"]
        assert cat_head.any() and dog_head.any() and cat.any() and dog.any()
        assert not (cat_head & dog_head).any() and not (cat & dog).any()


def test_the_cat_is_left_in_some_both_pictures_and_right_in_others():
    sides = set()
    for scene in range(12):
        masks = draw_both(scene, SMALL)[1]
        cat, dog = (np.argwhere(masks[label][1])[:, 1].mean() for label in ("cat", "dog"))
        sides.add(bool(cat < dog))
    assert sides == {True, False}


def test_a_crowd_marks_one_to_three_species():
    counts = []
    for scene in range(40):
        image, present = draw_crowd(scene)
        assert image.shape == (96, 96, 3) and image.dtype == np.uint8
        assert present.shape == (6,) and present.dtype == np.float32
        assert set(present) <= {0.0, 1.0}
        counts.append(present.sum())
    assert set(counts) == {1, 2, 3}


def test_written_files_are_the_ones_the_rows_name(tmp_path):
    rows = write_scenes(tmp_path, scenes=2, both=1)
    assert [row["label"] for row in rows[:4]] == ["cat", "dog"] * 2
    assert [row["kind"] for row in rows] == ["train"] * 4 + ["both"] * 2
    assert {row["label"] for row in rows[4:]} == {"cat", "dog"}
    assert rows[0]["image"] == "train/cat.0.jpg" and rows[1]["head_mask"] == "masks/dog.0.head.png"
    for row in rows:
        image = pixels(tmp_path / row["image"])
        for part in ("animal_mask", "head_mask"):
            mask = pixels(tmp_path / row[part])
            assert mask.shape == image.shape[:2] and set(np.unique(mask)) == {0, 255}


def pixels(path):
    with Image.open(path) as picture:
        return np.array(picture)
