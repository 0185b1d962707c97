"""From pictures to images.csv, on a handful of tiny ones."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data import downloads, prepare, sets
from data.drawing import ct, pets
from data.prepare import build_table, split_table
from tests.data.conftest import COUNT, choose, jpeg, photographs, put, zipped
from utils import loading, settings
from utils.files import DataError


@pytest.fixture
def unpacked(house):
    """The project with its pictures complete, and the archive they came from."""
    source = put(house / "data/train.zip", zipped(photographs()))
    prepare.prepare()
    return source


def test_what_is_complete_is_not_fetched_again(unpacked):
    unpacked.unlink()
    assert len(prepare.prepare()) == 2 * COUNT


@pytest.mark.parametrize("damage", ["missing", "shorter"])
def test_a_picture_that_is_missing_or_of_another_size_is_put_back(unpacked, damage):
    picture = settings.DATA_DIR / "train/dog.3.jpg"
    picture.unlink() if damage == "missing" else picture.write_bytes(b"x")
    prepare.prepare()
    assert picture.read_bytes() == jpeg(3)


def test_an_interrupted_unpacking_is_not_whole_and_goes_on(house, monkeypatch):
    put(house / "data/train.zip", zipped(photographs()))
    write, written = downloads._write, []

    def killed(path, member):
        written.append(path.name)
        if len(written) == 6:
            raise KeyboardInterrupt
        write(path, member)

    monkeypatch.setattr(downloads, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare.prepare()
    assert len(list((settings.DATA_DIR / "train").iterdir())) == 5
    monkeypatch.setattr(downloads, "_write", write)
    assert len(prepare.prepare()) == 2 * COUNT
    assert (settings.DATA_DIR / "train/dog.11.jpg").read_bytes() == jpeg(11)


def test_a_killed_build_leaves_no_table(unpacked, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    build_table()
    monkeypatch.setattr(prepare, "read_image", killed)
    with pytest.raises(KeyboardInterrupt):
        build_table()
    assert not (settings.DATA_DIR / "images.csv").exists()


def test_bad_pictures_are_listed_with_their_reasons_and_left_out(house):
    bad = {
        "train/cat.3.jpg": b"",
        "train/dog.0.jpg": b"<html>not found</html>",
        "train/dog.7.jpg": jpeg(7)[:-40],
    }
    put(house / "data/train.zip", zipped(photographs() | bad))
    table = build_table()
    unreadable = pd.read_csv(settings.DATA_DIR / "unreadable.csv")
    assert unreadable["image"].tolist() == list(bad)
    assert unreadable["reason"][0] == "The file is empty."
    assert unreadable["reason"].str.endswith(".").all()
    assert len(table) == 2 * COUNT - 3 and not table["image"].isin(bad).any()


def test_the_rows_of_the_array_are_the_rows_of_the_table(house):
    put(house / "data/train.zip", zipped(photographs() | {"train/cat.0.jpg": b""}))
    table = build_table()
    images = np.load(settings.DATA_DIR / "images-150.npy")
    assert images.shape == (2 * COUNT - 1, 150, 150, 3) and images.dtype == np.uint8
    greys = table["scene"].astype(int)
    assert np.abs(images[:, 75, 75, 0] - greys).max() <= 1
    assert (table["width"] == 20 + greys).all() and (table["height"] == 16).all()


def test_the_table_has_the_agreed_columns_in_natural_order(unpacked):
    table = build_table()
    assert list(table) == [
        *("image", "label", "split", "scene", "animal_mask", "head_mask"),
        *("width", "height", "bytes"),
    ]
    assert table["image"][9:12].tolist() == [f"train/cat.{k}.jpg" for k in (9, 10, 11)]
    assert table["scene"][9:12].tolist() == ["9", "10", "11"]
    assert (table[["animal_mask", "head_mask"]] == "").all(axis=None)
    assert table["bytes"][3] == len(jpeg(3))


def pictures(count, both=0):
    """A table as prepare() gives it."""
    rows = [(f"{label}.{k}", label, "train") for label in ("cat", "dog") for k in range(count)]
    rows += [(f"{k}", label, "both") for k in range(both) for label in ("cat", "dog")]
    return pd.DataFrame(rows, columns=["image", "label", "kind"])


@pytest.mark.parametrize(
    ("dataset", "count", "sizes"),
    [
        ("drawn-pets", 300, (170, 30, 100)),
        ("drawn-pets", 8, (4, 1, 3)),
        ("dogs-vs-cats", 12500, (10000, 1250, 1250)),
    ],
)
def test_the_split_is_stratified(dataset, count, sizes):
    counts = split_table(pictures(count), dataset).groupby(["split", "label"]).size()
    for split, size in zip(("train", "validation", "test"), sizes, strict=True):
        assert counts[split].to_dict() == {"cat": size, "dog": size}


def test_twins_are_in_the_same_split_and_pictures_with_both_in_none_of_them():
    split = split_table(pictures(200, both=3), "drawn-pets")["split"]
    assert split[:200].tolist() == split[200:400].tolist()
    assert split[400:].tolist() == ["both"] * 6


def test_the_split_is_the_same_on_every_machine_and_another_with_another_seed(monkeypatch):
    def tested():
        table = split_table(pictures(20), "dogs-vs-cats")
        return table.loc[table["split"] == "test", "image"].tolist()

    expected = [f"{label}.{k}" for label in ("cat", "dog") for k in (2, 6, 13)]
    assert tested() == expected
    monkeypatch.setattr(settings, "SEED", 1)
    assert tested() != expected


def test_too_few_pictures_to_split_are_said():
    with pytest.raises(DataError, match="4 pictures of a cat"):
        split_table(pictures(4), "dogs-vs-cats")


def draw(folder, scenes, both):
    """A stand-in for write_scenes: grey pictures, masks of their left halves."""
    rows = [("train", k, label) for k in range(scenes) for label in settings.CLASSES]
    rows += [("both", k, label) for k in range(both) for label in settings.CLASSES]
    return [_draw(folder, *row) for row in rows]


def _draw(folder, kind, k, label):
    masks = {f"{r}_mask": f"masks/{kind}.{label}.{k}.{r}.png" for r in settings.REGIONS}
    image = f"both/{k}.jpg" if kind == "both" else f"train/{label}.{k}.jpg"
    for name in (image, *masks.values()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.repeat([[255, 0]], [30], axis=0).astype("uint8")).save(folder / name)
    return {"image": image, "label": label, "kind": kind, "scene": str(k)} | masks


@pytest.fixture
def drawn(house, monkeypatch):
    choose(monkeypatch, "drawn-pets")
    monkeypatch.setattr(pets, "write_scenes", draw)
    monkeypatch.setitem(sets.record(), "scenes", 8)
    return build_table()


def test_drawn_pictures_have_masks_and_those_with_both_have_a_row_for_each_animal(drawn):
    assert len(drawn) == 2 * 8 + 2 * 3 and loading.has_masks(drawn)
    both = drawn[drawn["image"] == "both/1.jpg"]
    assert both["label"].tolist() == ["cat", "dog"] and both["scene"].tolist() == ["1", "1"]
    assert both["head_mask"].tolist() == ["masks/both.cat.1.head.png", "masks/both.dog.1.head.png"]


def test_another_drawing_is_drawn_anew(drawn, monkeypatch, tmp_path):
    monkeypatch.setattr(prepare, "DRAWING", tmp_path)
    before = prepare._drawing(sets.record())
    (tmp_path / "pets.py").write_text("another line")
    assert prepare._drawing(sets.record()) != before
    (settings.DATA_DIR / drawn["image"][0]).write_bytes(b"what the other code drew")
    prepare.prepare()
    assert not (settings.DATA_DIR / "images.csv").exists()
    pd.testing.assert_frame_equal(build_table(), drawn)


def test_a_missing_mask_is_drawn_again(drawn):
    mask = settings.DATA_DIR / drawn["head_mask"][0]
    mask.unlink()
    prepare.prepare()
    assert mask.exists()


def test_drawn_slices_say_whose_they_are(house, monkeypatch):
    def draw_slices(*counts):
        return [row | {"patient": int(row["scene"]) // 4} for row in draw(*counts)]

    choose(monkeypatch, "drawn-ct")
    monkeypatch.setattr(ct, "write_scenes", draw_slices)
    monkeypatch.setitem(sets.record(), "scenes", 8)
    table = build_table()
    assert list(table)[3:7] == ["scene", "patient", "lung_mask", "opacity_mask"]
    assert table["patient"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1] * 2
