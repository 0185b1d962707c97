"""Facts about reading what notebook 01 made: here pictures of 4 x 4, of one grey each."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from utils import loading, settings
from utils.files import DataError

TOP, BOTTOM = [[255, 255], [0, 0]], [[0, 0], [255, 255]]  # masks of 2 x 2, where the head is


@pytest.fixture
def table(monkeypatch, tmp_path):
    """Three scenes of a cat and a dog, one to train and two to test, and a picture with both.

    The picture in row i is of grey i. A cat's head is above, a dog's below; the animal is all.
    """
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)
    monkeypatch.setattr(settings, "SIZE", 4)
    rows = [
        (f"train/{label}.{scene}.jpg", label, split, f"{scene:02}")
        for scene, split in enumerate(("train", "test", "test"))
        for label in ("cat", "dog")
    ]
    rows += [("both/0.jpg", label, "both", "both 0") for label in ("cat", "dog")]
    table = pd.DataFrame(rows, columns=["image", "label", "split", "scene"])
    table["animal_mask"] = "all.png"
    table["head_mask"] = table["label"] + ".png"
    table.to_csv(tmp_path / "images.csv", index=False)
    greys = np.array([0, 1, 2, 3, 4, 5, 6, 6], "uint8")
    np.save(tmp_path / "images-4.npy", np.broadcast_to(greys[:, None, None, None], (8, 4, 4, 3)))
    for name, mask in (("all", [[255]]), ("cat", TOP), ("dog", BOTTOM)):
        Image.fromarray(np.array(mask, "uint8")).save(tmp_path / f"{name}.png")
    return table


def test_the_table_comes_back_whole_or_by_split(table):
    pd.testing.assert_frame_equal(loading.load_table(), table)
    both = loading.load_table("both")
    assert both.index.tolist() == [0, 1]
    assert both["label"].tolist() == ["cat", "dog"]
    assert both["scene"].tolist() == ["both 0"] * 2


def test_a_scene_is_a_text_and_a_missing_mask_an_empty_one(table):
    table.assign(head_mask="").to_csv(settings.DATA_DIR / "images.csv", index=False)
    again = loading.load_table()
    assert again["scene"][0] == "00"
    assert (again["head_mask"] == "").all()


def test_without_a_table_the_notebook_to_run_is_named(table):
    (settings.DATA_DIR / "images.csv").unlink()
    with pytest.raises(FileNotFoundError, match="run notebooks/01_download_data.ipynb first"):
        loading.load_table()


def test_pictures_are_found_by_name_in_the_order_asked_for(table):
    some = table.iloc[[5, 0, 7, 5]].reset_index(drop=True)
    images, labels = loading.load_examples(some)
    assert images.dtype == np.uint8 and images.shape == (4, 4, 4, 3)
    assert images[:, 0, 0, 0].tolist() == [5, 0, 6, 5]
    assert labels.tolist() == [1, 0, 1, 1] and labels.dtype == np.int32
    assert loading.load_images(table[:0]).shape == (0, 4, 4, 3)


def test_masks_are_enlarged_to_the_pictures_size(table):
    heads = loading.load_masks(table[:2], "head")
    assert heads.dtype == bool and heads.shape == (2, 4, 4)
    assert heads[0, :2].all() and not heads[0, 2:].any()
    np.testing.assert_array_equal(heads[1], ~heads[0])
    assert loading.load_masks(table[:0], "head").shape == (0, 4, 4)


def test_twins_have_the_union_of_their_masks_and_others_their_own(table):
    assert loading.load_twin_masks(table[:2], "head").all()
    np.testing.assert_array_equal(
        loading.load_twin_masks(table[1:3], "head"), loading.load_masks(table[1:3], "head")
    )
    assert loading.load_twin_masks(table[:0], "head").shape == (0, 4, 4)


def test_regions_are_there_if_every_picture_has_every_mask(table):
    regions = loading.load_regions(table)
    assert list(regions) == ["animal", "head"]
    assert regions["animal"].all()
    np.testing.assert_array_equal(regions["head"], loading.load_masks(table, "head"))
    table.loc[3, "head_mask"] = ""
    assert not loading.has_masks(table)
    assert loading.load_regions(table) == {}
    with pytest.raises(DataError, match="pictures without a mask of the head"):
        loading.load_masks(table, "head")


def test_the_report_shows_a_dog_a_cat_a_dog_no_two_of_them_twins_and_one_with_both(table):
    third = table.iloc[[4, 5]].assign(image=["test/cat.jpg", "test/dog.jpg"], scene="03")
    table = pd.concat([table, third], ignore_index=True)
    shown = loading.report_pictures(table)
    assert shown["label"].tolist() == ["dog", "cat", "dog", "cat", "dog"]
    assert shown["scene"].tolist() == ["01", "02", "03", "both 0", "both 0"]
    pd.testing.assert_frame_equal(shown, table.loc[shown.index])  # arrays take the same index
    with pytest.raises(DataError, match="no picture of a dog"):
        loading.report_pictures(table[table["label"] == "cat"])


def test_twins_are_the_first_scene_with_every_class_and_photographs_have_none(table):
    assert loading.twins(table)["image"].tolist() == ["train/cat.0.jpg", "train/dog.0.jpg"]
    assert loading.twins(table[1:])["scene"].tolist() == ["01", "01"]
    assert loading.twins(table.assign(head_mask="")).empty


@pytest.mark.parametrize(("most", "expected"), [(1, [0]), (3, [0, 4, 9]), (50, list(range(10)))])
def test_rows_are_spread_from_the_first_to_the_last(most, expected):
    assert loading.spread(pd.DataFrame(index=range(10)), most).index.tolist() == expected
