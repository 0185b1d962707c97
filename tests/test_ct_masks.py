"""Facts about volumes with masks: on small ones that are written here, good and bad."""

import gzip
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from utils.ct_masks import (
    ARCHIVES,
    directions,
    load_slices,
    pick_slices,
    read_volume,
    slices_of,
    turned,
    write_cases,
)
from utils.downloads import DataError
from utils.images import BadImage, read_mask

CODES = {"uint8": 2, "int16": 4, "int32": 8, "float32": 16, "float64": 64, "uint16": 512}
LPS = ((-1, 0, 0), (0, -1, 0), (0, 0, 1))  # the sides of most CT: to the left, the back, and up
RAS = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def nifti(values, steps=LPS, order="<", slope=0.0, intercept=0.0, qform=None, **changed):
    """A volume (x, y, z) as the bytes of a .nii; `changed` are fields to spoil."""
    field = {"size": 348, "dim": (3, *values.shape, 1, 1, 1, 1), "offset": 352.0, "magic": b"n+1"}
    field |= {"datatype": CODES[values.dtype.name], "sform": 0 if qform else 1} | changed
    header = bytearray(352)
    put = {0: ("i", field["size"]), 40: ("8h", *field["dim"]), 70: ("h", field["datatype"])}
    put |= {76: ("4f", *(qform[0] if qform else (1, 1, 1, 1))), 108: ("f", field["offset"])}
    put |= {112: ("2f", slope, intercept), 252: ("2h", int(bool(qform)), field["sform"])}
    put |= {256: ("3f", *(qform[1] if qform else (0, 0, 0))), 344: ("4s", field["magic"])}
    rows = np.pad(np.array(steps, float), ((0, 0), (0, 1)))
    put |= {280: ("12f", *rows.ravel())}
    for offset, (kind, *numbers) in put.items():
        struct.pack_into(order + kind, header, offset, *numbers)
    return bytes(header) + values.astype(values.dtype.newbyteorder(order)).tobytes(order="F")


def steps_of(**arguments):
    return directions(read_volume(nifti(np.zeros((2, 3, 4), np.int16), **arguments))[1])


@pytest.fixture
def volume():
    """A CT (6, 8, 20) in HU, its lungs and its infections, the sides LPS.

    Air with a bright table at the back; lungs in every slice; infections in slices 5 to 14, at the
    patient's right.
    """
    ct = np.full((6, 8, 20), -1000, np.int16)
    ct[:, 7] = 250  # the last step to the back
    lung, infection = np.zeros((2, *ct.shape), np.uint8)
    lung[1:5, 2:6] = 1
    lung[3:5, 2:6] *= 2
    infection[1, 2:4, 5:15] = 1
    ct[infection == 1] = -500
    return ct, lung, infection


def archives(folder, cases, compress=gzip.compress, suffix=".nii.gz"):
    """Three archives in a folder with (ct, lung, infection) of bytes by case; their paths."""
    paths = {part: folder / name for part, name in ARCHIVES.items()}
    for k, path in enumerate(paths.values()):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "no volume")
            for case, contents in cases.items():
                archive.writestr(f"{path.stem}/{case}{suffix}", compress(contents[k]))
    return paths


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("order", "<>")
def test_values_are_read_as_they_were_written(kind, order):
    values = np.arange(24).reshape(2, 3, 4).astype(kind)
    read, _ = read_volume(nifti(values, order=order))
    np.testing.assert_array_equal(read, values)


def test_packed_and_not_packed_are_the_same_volume():
    content = nifti(np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    np.testing.assert_array_equal(read_volume(gzip.compress(content))[0], read_volume(content)[0])


BAD = {
    "no NIfTI-1 file": {"size": 540},
    "in one piece": {"magic": b"ni1"},
    "no volume of three sides": {"dim": (4, 2, 3, 4, 7, 1, 1, 1)},
    "its shape is [-2": {"dim": (3, -2, 3, 4, 1, 1, 1, 1)},
    "too large": {"dim": (3, 32767, 32767, 32767, 1, 1, 1, 1)},
    "NIfTI's type 128": {"datatype": 128},
    "no place where": {"offset": float("nan")},
    "breaks off": {"dim": (3, 2, 3, 5, 1, 1, 1, 1)},
}


@pytest.mark.parametrize("reason", BAD)
def test_what_is_not_understood_is_a_bad_image(reason):
    with pytest.raises(BadImage) as error:
        read_volume(nifti(np.zeros((2, 3, 4), np.int16), **BAD[reason]))
    assert reason in str(error.value)


@pytest.mark.parametrize("content", (b"", b"x" * 400, b"\x1f\x8b" + b"\0" * 30))
def test_what_is_no_volume_at_all_is_a_bad_image(content):
    with pytest.raises(BadImage):
        read_volume(content)


def test_a_packed_volume_cut_off_is_a_bad_image():
    noise = np.random.default_rng(0).integers(0, 999, (9, 9, 9), dtype=np.int16)
    content = gzip.compress(nifti(noise))
    with pytest.raises(BadImage):
        read_volume(content[: len(content) // 2])


def test_a_quaternion_of_nothing_is_no_turn_and_a_negative_factor_flips_the_last_side():
    np.testing.assert_allclose(steps_of(qform=((1, 2, 3, 4), (0, 0, 0))), np.diag([2, 3, 4]))
    np.testing.assert_allclose(steps_of(qform=((-1, 1, 1, 1), (0, 0, 0))), np.diag([1, 1, -1]))


def test_a_half_turn_about_the_last_side_turns_the_first_two():
    np.testing.assert_allclose(
        steps_of(qform=((1, 1, 1, 1), (0, 0, 1))), np.diag([-1, -1, 1]), atol=1e-6
    )


def test_a_volume_that_does_not_say_how_the_patient_lies_is_refused():
    with pytest.raises(BadImage, match="how the patient lies"):
        steps_of(sform=0)
    with pytest.raises(BadImage, match="no clear way"):
        steps_of(steps=((1, 1, 0), (0, 0, 0), (0, 0, 1)))


@pytest.mark.parametrize("sides", ((0, 1, 2), (2, 0, 1), (1, 2, 0), (1, 0, 2)))
@pytest.mark.parametrize("flips", ((1, 1, 1), (-1, -1, 1), (-1, 1, -1)))
def test_every_way_to_store_a_volume_gives_the_same_slices(sides, flips):
    values = np.arange(60).reshape(3, 4, 5)  # steps to the right, to the front, and up
    stored = np.transpose(values, sides)[tuple(slice(None, None, way) for way in flips)]
    steps = np.eye(3)[:, sides] * flips
    np.testing.assert_array_equal(turned(stored, steps), turned(values, np.eye(3)))


def test_the_back_is_at_the_bottom_and_the_right_hand_at_the_left():
    values = np.zeros((3, 4, 5))  # RAS: the last step is to the right, the front, the head
    values[2, 0, 4] = 1  # right, back, head
    assert np.argwhere(turned(values, np.array(RAS))).tolist() == [[4, 3, 0]]


def test_hounsfield_units_are_put_into_the_lung_window(volume):
    ct, lung, infection = map(nifti, volume)
    _, images, _, infections = slices_of(ct, lung, infection)
    assert images.dtype == np.uint8 and images.shape[1:] == (8, 6)
    assert (images[:, -1] == 255).all()  # 250 HU, at the back
    assert (images[:, 0] == round(250 / 1500 * 255)).all()  # air
    assert (images[infections] == round(750 / 1500 * 255)).all()


def test_a_slope_and_an_intercept_lead_to_hounsfield_units(volume):
    ct, lung, infection = volume
    stored = nifti(((ct + 1024) // 2).astype(np.uint16), slope=2.0, intercept=-1024.0)
    expected = slices_of(*map(nifti, volume))[1]
    np.testing.assert_array_equal(slices_of(stored, nifti(lung), nifti(infection))[1], expected)


def test_what_is_in_the_window_already_stays_as_it_is(volume):
    ct, lung, infection = volume
    grey = np.where(ct == -500, 130, np.where(ct == 250, 255, 40)).astype(np.float32)
    _, images, _, infections = slices_of(nifti(grey), nifti(lung), nifti(infection))
    assert set(np.unique(images)) == {40, 130, 255} and (images[infections] == 130).all()


@pytest.mark.parametrize("low, high", ((0, 3000), (-100, 200), (np.nan, 0)))
def test_values_that_are_neither_are_refused(volume, low, high):
    ct = np.full(volume[0].shape, low, np.float32)
    ct[0] = high
    with pytest.raises(BadImage, match="neither HU nor 0 to 255"):
        slices_of(nifti(ct), *map(nifti, volume[1:]))


def test_masks_lie_on_the_ct_whatever_their_own_headers_say(volume):
    ct, lung, infection = volume
    strange = slices_of(nifti(ct), nifti(lung, steps=RAS), nifti(infection, sform=0))
    for one, other in zip(strange, slices_of(*map(nifti, volume)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_lungs_of_any_number_are_lung_and_hold_their_infections(volume):
    ct, lung, infection = volume
    lung[infection == 1] = 0
    _, _, lungs, infections = slices_of(nifti(ct), nifti(lung), nifti(infection))
    assert (lungs.sum((1, 2)) == 16).all()
    assert (infections <= lungs).all()
    assert infections[infections.any(axis=(1, 2))][..., 1].any(axis=1).all()  # the right hand


def test_a_mask_of_another_shape_is_refused(volume):
    ct, lung, infection = volume
    with pytest.raises(BadImage, match="not of one shape"):
        slices_of(nifti(ct), nifti(lung[:, :, 1:]), nifti(infection))


def test_slices_are_picked_evenly_among_the_infected_and_the_clear():
    lung, infection = np.zeros((2, 100, 10, 10), bool)
    lung[10:90, :5] = True
    lung[5:10, 0, 0] = True  # the tip of a lung: no clear slice
    infection[50:90, 0, :2] = True  # 4 % of the lungs
    infection[40:50, 0, 0] = lung[40:50, 5:7] = True  # 1 in 70: neither infected nor clear
    picked = pick_slices(lung, infection, infected=4, clear=2)
    assert picked.tolist() == [17, 32, 55, 65, 75, 85]


def test_a_volume_without_lungs_gives_no_slices():
    nothing = np.zeros((9, 5, 5), bool)
    assert pick_slices(nothing, nothing).tolist() == []


def test_written_files_are_the_ones_the_rows_name(tmp_path, volume):
    contents = [nifti(part) for part in volume]
    rows, reasons = write_cases(archives(tmp_path, {"coronacases_001": contents}), tmp_path / "set")
    assert reasons == {} and len(rows) == 7
    picked, images, lungs, infections = slices_of(*contents)
    assert [row["image"] for row in rows] == [f"images/coronacases_001.{k}.png" for k in picked]
    for row, image, lung, infection in zip(rows, images, lungs, infections, strict=True):
        assert (row["kind"], row["label"]) == ("rest", "COVID")
        with Image.open(tmp_path / "set" / row["image"]) as picture:
            np.testing.assert_array_equal(picture, image)
        for column, mask in (("lung_mask", lung), ("opacity_mask", infection)):
            np.testing.assert_array_equal(read_mask(tmp_path / "set" / row[column]), mask)


def test_files_that_are_not_packed_are_read_too(tmp_path, volume):
    cases = {"radiopaedia_10_85902_1": [nifti(part) for part in volume]}
    rows, _ = write_cases(archives(tmp_path, cases, bytes, ".nii"), tmp_path / "set")
    assert len(rows) == 7


def test_a_bad_volume_costs_only_itself(tmp_path, volume):
    good = [nifti(part) for part in volume]
    cases = {"coronacases_001": [good[0][:500], *good[1:]], "coronacases_002": good}
    rows, reasons = write_cases(archives(tmp_path, cases), tmp_path / "set")
    assert {row["image"].split(".")[0] for row in rows} == {"images/coronacases_002"}
    assert list(reasons) == ["coronacases_001"] and "breaks off" in reasons["coronacases_001"]


def test_damage_within_an_archive_costs_only_one_volume(tmp_path, volume):
    good = [nifti(part) for part in volume]
    paths = archives(tmp_path, {"coronacases_001": good, "coronacases_002": good})
    content = bytearray(paths["lung"].read_bytes())
    content[len(content) // 2 - 150] ^= 255  # in the second member, which is stored as it is
    paths["lung"].write_bytes(content)
    rows, reasons = write_cases(paths, tmp_path / "set")
    assert len(rows) == 7 and len(reasons) == 1
    assert "cannot be unpacked" in next(iter(reasons.values()))


def test_a_volume_without_its_mask_is_left_out(tmp_path, volume):
    good = [nifti(part) for part in volume]
    paths = archives(tmp_path, {"coronacases_001": good, "coronacases_002": good})
    (tmp_path / "less").mkdir()
    paths["infection"] = archives(tmp_path / "less", {"coronacases_002": good})["infection"]
    rows, reasons = write_cases(paths, tmp_path / "set")
    assert len(rows) == 7 and "masks is missing" in reasons["coronacases_001"]


def test_an_archive_that_is_none_or_holds_no_volume_is_one_sentence(tmp_path, volume):
    paths = archives(tmp_path, {"other_001": [nifti(part) for part in volume]})
    with pytest.raises(DataError, match="holds no volume"):
        write_cases(paths, tmp_path / "set")
    paths["lung"].write_bytes(b"PK nothing")
    with pytest.raises(DataError, match="Lung_Mask.zip is damaged"):
        write_cases(paths, tmp_path / "set")
    paths["lung"].unlink()
    with pytest.raises(DataError, match="There is no Lung_Mask.zip"):
        write_cases(paths, tmp_path / "set")


def test_archives_in_data_become_pictures_and_masks_of_the_networks_size(tmp_path, volume, capsys):
    good = [nifti(part) for part in volume]
    cases = {"coronacases_001": [good[0][:500], *good[1:]], "coronacases_002": good}
    for part, path in archives(tmp_path, cases).items():
        path.rename(tmp_path / ARCHIVES[part])
    images, lungs, infections = load_slices(tmp_path)
    assert images.shape == (7, 150, 150, 3) and images.dtype == np.uint8
    assert lungs.shape == infections.shape == (7, 150, 150)
    assert lungs.any((1, 2)).all() and not (infections & ~lungs).any()
    assert infections.any((1, 2)).sum() == 5
    assert "coronacases_001 is left out. It breaks off" in capsys.readouterr().out


def test_without_all_three_archives_there_are_no_slices(tmp_path, volume):
    paths = archives(tmp_path, {"coronacases_001": [nifti(part) for part in volume]})
    paths["lung"].unlink()
    assert load_slices(tmp_path) is None
