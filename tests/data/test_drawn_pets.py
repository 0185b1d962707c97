"""Facts about the drawn pictures: only the head tells the class, and the masks say where it is."""

from functools import lru_cache, partial

import numpy as np
import pytest
from PIL import Image

from data.drawing import pets
from data.drawing.pets import (
    PARTS,
    draw_both,
    draw_pet,
    draw_twins,
    hide,
    hybrid_heads,
    is_outdoors,
    write_scenes,
)
from data.drawing.scenes import OUTDOORS, pick_scene
from data.drawing.shapes import photograph
from data.images import read_image

SMALL = 72
twins = lru_cache(maxsize=None)(draw_twins)


def painted_over(image, mask):
    return np.where(mask[..., None], 128, image)


@pytest.mark.parametrize(("scene", "size"), [(1, 300), (2, 300), *((k, SMALL) for k in range(12))])
def test_twins_differ_inside_the_head_mask_and_nowhere_else(scene, size):
    (cat, _, head), (dog, _, dog_head) = twins(scene, size).values()
    assert cat.shape == (size, size, 3) and cat.dtype == np.uint8
    np.testing.assert_array_equal(head, dog_head)
    np.testing.assert_array_equal(painted_over(cat, head), painted_over(dog, head))
    assert (cat != dog).any(axis=-1)[head].mean() > 0.4


def test_some_heads_are_small_some_cut_some_half_hidden_and_some_out_of_focus():
    heads = np.stack([twins(scene, SMALL)["cat"][2] for scene in range(60)])
    areas = heads.mean((1, 2))
    assert np.percentile(areas, 10) < 0.09 and np.percentile(areas, 90) > 0.16
    border = np.concatenate([heads[:, [0, -1]], heads[:, :, [0, -1]].swapaxes(1, 2)], axis=1)
    assert 0.1 < border.any((1, 2)).mean() < 0.6
    canvas = np.zeros((SMALL, SMALL, 3), np.float32)
    opacity = [hide([canvas], np.random.default_rng(k), (36, 36), 12, (0, -1)) for k in range(60)]
    assert 0.15 < np.mean([some.any() for some in opacity]) < 0.45
    blurs = [photograph(canvas, np.random.default_rng(k), (0, -1), 5)[1] for k in range(60)]
    assert 0.1 < np.mean([blur > 0 for blur in blurs]) < 0.4


def test_the_same_scene_gives_the_same_bytes_and_another_scene_others():
    for draw in (partial(draw_pet, species="dog", size=SMALL), partial(draw_both, size=SMALL)):
        first, again, other = (draw(scene)[0].tobytes() for scene in (5, 5, 6))
        assert first == again != other


@pytest.mark.parametrize("label", ("cat", "dog"))
def test_masks_have_a_sane_share_of_the_picture_and_a_body_shows_outside_the_head(label):
    drawn = [twins(scene, SMALL)[label] for scene in range(30)]
    animals, heads = (np.array([masks[k] for masks in drawn]) for k in (1, 2))
    shares = heads.mean((1, 2))
    assert shares.min() > 0.01 and shares.max() < 0.35
    assert animals.mean((1, 2)).min() > 0.05
    assert ((animals & heads).sum((1, 2)) > 0.6 * heads.sum((1, 2))).all()
    assert np.median((animals & ~heads).mean((1, 2))) > 0.05


def test_hybrids_go_from_the_cat_to_the_dog_part_by_part():
    drawn = draw_twins(0, SMALL, hybrid_heads())
    pictures = {parts: image for parts, (image, *_) in drawn.items()}
    assert len(pictures) == 2 ** len(PARTS)
    np.testing.assert_array_equal(pictures[frozenset()], twins(0, SMALL)["cat"][0])
    np.testing.assert_array_equal(pictures[frozenset(PARTS)], twins(0, SMALL)["dog"][0])
    for part in PARTS:
        assert (pictures[frozenset([part])] != pictures[frozenset()]).any()


def test_a_scene_is_outdoors_if_such_a_place_is_painted(monkeypatch):
    picked = []

    def stop(rng, size):
        picked.append(pick_scene(rng) in OUTDOORS)
        raise StopIteration

    monkeypatch.setattr(pets, "paint_scene", stop)
    for scene in range(8):
        with pytest.raises(StopIteration):
            draw_twins(scene, SMALL)
    assert picked == [is_outdoors(scene) for scene in range(8)] and len(set(picked)) == 2


def test_every_picture_has_grain():
    for scene in range(10):
        image = twins(scene, SMALL)["cat"][0].astype(float)
        assert np.abs(np.diff(image[..., 0] - image[..., 1], axis=0)).mean() > 0.5


def test_painted_over_pictures_of_other_scenes_stay_at_chance():
    """Nearest class mean on 24 x 24 reductions: without the head there is nothing to learn."""
    labels = np.arange(240) % 2
    pictures = np.stack([reduced(scene, k) for scene, k in enumerate(labels, start=1000)])
    train, test = slice(0, 140), slice(140, 240)
    means = [pictures[train][labels[train] == k].mean(axis=0) for k in (0, 1)]
    away = [np.square(pictures[test] - mean).sum(axis=(1, 2, 3)) for mean in means]
    right = (np.argmin(away, axis=0) == labels[test]).sum()
    assert abs(right - 50) <= 15  # three standard deviations of a fair coin, 100 tosses


def reduced(scene, label):
    image, _, head = draw_pet(scene, ("cat", "dog")[label], SMALL)
    over = Image.fromarray(painted_over(image, head).astype(np.uint8))
    return np.asarray(over.resize((24, 24), Image.Resampling.BOX), float)


def test_the_two_heads_of_a_both_picture_are_disjoint_and_the_cat_is_on_either_side():
    sides = set()
    for scene in range(20):
        image, masks = draw_both(scene, SMALL)
        assert image.shape == (SMALL, SMALL, 3) and set(masks) == {"cat", "dog"}
        (cat, cat_head), (dog, dog_head) = masks["cat"], masks["dog"]
        assert cat_head.any() and dog_head.any() and cat.any() and dog.any()
        assert not (cat_head & dog_head).any() and not (cat & dog).any()
        middles = [np.argwhere(head)[:, 1].mean() for head in (cat_head, dog_head)]
        sides.add(bool(middles[0] < middles[1]))
    assert sides == {True, False}


def test_written_files_are_the_ones_the_rows_name(tmp_path):
    rows = write_scenes(tmp_path, scenes=2, both=1)
    assert [row["label"] for row in rows[:4]] == ["cat", "dog"] * 2
    assert [row["kind"] for row in rows] == ["train"] * 4 + ["both"] * 2
    assert {row["label"] for row in rows[4:]} == {"cat", "dog"}
    assert rows[0]["image"] == "train/cat.0.jpg" and rows[1]["head_mask"] == "masks/dog.0.head.png"
    drawn = [draw_pet(int(row["scene"]), row["label"])[1:] for row in rows[:4]]
    drawn += [draw_both(0)[1][row["label"]] for row in rows[4:]]
    for row, masks in zip(rows, drawn, strict=True):
        assert read_image(tmp_path / row["image"]).shape == (300, 300, 3)
        for column, mask in zip(("animal_mask", "head_mask"), masks, strict=True):
            np.testing.assert_array_equal(read_image(tmp_path / row[column])[..., 0] > 127, mask)
