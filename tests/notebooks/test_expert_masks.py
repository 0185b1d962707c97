"""Facts about volumes with masks: on small ones that are written here, good and bad."""

import gzip
import zipfile

import numpy as np
import pytest
from nibabel import Nifti1Header, Nifti1Image
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from covid import expert_masks
from covid.expert_masks import ARCHIVES, load_slices, pick_slices, read_volume, slices_of
from data.images import BadImage
from utils.files import DataError

LPS = np.diag([-1, -1, 1, 1])  # the sides of most CT: to the left, the back, and up
RAS = np.eye(4)


def nifti(values, affine=LPS, sides=None, scale=None):
    """A volume (x, y, z) as the bytes of a .nii; stored along other `sides`, if they are given."""
    image = Nifti1Image(values, affine)
    if sides is not None:
        turn = ornt_transform(io_orientation(affine), axcodes2ornt(sides))
        image = image.as_reoriented(turn)
    if scale is not None:
        image.header.set_slope_inter(*scale)
    return image.to_bytes()


@pytest.fixture
def volume():
    """A CT (6, 8, 20) in HU, its lungs and its infections, the sides LPS.

    Air with a bright table at the back, and a corner that is brighter the higher it lies; lungs in
    every slice; infections in slices 5 to 14, at the patient's right.
    """
    ct = np.full((6, 8, 20), -1000, np.int16)
    ct[:, 7] = 250  # the last step to the back
    ct[5, 0] = np.arange(-1000, 0, 50)
    lung, infection = np.zeros((2, *ct.shape), np.uint8)
    lung[1:5, 2:6] = 1
    lung[3:5, 2:6] *= 2
    infection[1, 2:4, 5:15] = 1
    ct[infection == 1] = -500
    return ct, lung, infection


def write_archives(folder, cases):
    """Write the three archives with (ct, lung, infection) of bytes by case; None is left out."""
    for k, name in enumerate(ARCHIVES):
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("readme.txt", "no volume")
            for case, contents in cases.items():
                if contents[k] is not None:
                    content = gzip.compress(contents[k])
                    archive.writestr(f"{name[:-4]}/{case}.nii.gz", content)


def test_the_lung_window_makes_hounsfield_units_grey(volume):
    images, _, infections = slices_of(*map(nifti, volume))
    assert images.dtype == np.uint8 and images.shape == (7, 8, 6)
    assert (images[:, 0, 0] == round(250 / 1500 * 255)).all()  # air
    assert (images[infections] == round(750 / 1500 * 255)).all()


def test_the_back_is_at_the_bottom_the_right_hand_at_the_left_and_the_lowest_slice_is_first(volume):
    images, _, infections = slices_of(*map(nifti, volume))
    assert (images[:, -1] == 255).all()
    assert np.flatnonzero(infections.any((0, 1))).tolist() == [1]
    assert (np.diff(images[:, 0, -1].astype(int)) > 0).all()


@pytest.mark.parametrize("sides", ("RAS", "LPI", "SLP", "PIR"))
def test_every_way_to_store_a_volume_gives_the_same_slices(volume, sides):
    stored = slices_of(*(nifti(part, sides=sides) for part in volume))
    for one, other in zip(stored, slices_of(*map(nifti, volume)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_slope_and_an_intercept_lead_to_hounsfield_units(volume):
    ct, *masks = volume
    stored = nifti(((ct + 1024) // 2).astype(np.uint16), scale=(2, -1024))
    images = slices_of(stored, *map(nifti, masks))[0]
    np.testing.assert_array_equal(images, slices_of(*map(nifti, volume))[0])


def test_what_is_in_the_window_already_stays_as_it_is(volume):
    ct, *masks = volume
    grey = np.where(ct == 250, 255, 40).astype(np.float32)
    assert set(np.unique(slices_of(nifti(grey), *map(nifti, masks))[0])) == {40, 255}


@pytest.mark.parametrize("low, high", ((0, 3000), (-100, 200), (np.nan, 0)))
def test_values_that_are_neither_are_refused(volume, low, high):
    ct = np.full(volume[0].shape, low, np.float32)
    ct[0] = high
    with pytest.raises(BadImage, match="neither HU nor 0 to 255"):
        slices_of(nifti(ct), *map(nifti, volume[1:]))


def test_masks_lie_on_the_ct_whatever_their_own_headers_say(volume):
    ct, lung, infection = volume
    strange = slices_of(nifti(ct), nifti(lung, RAS), nifti(infection, None))
    for one, other in zip(strange, slices_of(*map(nifti, volume)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_lungs_of_any_number_are_lung_and_hold_their_infections(volume):
    ct, lung, infection = volume
    lung[infection == 1] = 0
    _, lungs, infections = slices_of(nifti(ct), nifti(lung), nifti(infection))
    assert (lungs.sum((1, 2)) == 16).all()
    assert (infections <= lungs).all()


def test_a_mask_of_another_shape_is_refused(volume):
    ct, lung, infection = volume
    with pytest.raises(BadImage, match="not of one shape"):
        slices_of(nifti(ct), nifti(lung[:, :, 1:]), nifti(infection))


@pytest.mark.parametrize("steps, code", (((1, 1, 1), "unknown"), ((1, 1, 0), "scanner")))
def test_a_volume_that_does_not_say_clearly_how_the_patient_lies_is_refused(volume, steps, code):
    ct, *masks = volume
    image = Nifti1Image(ct, LPS)
    image.set_sform(np.diag([*steps, 1]), code)
    with pytest.raises(BadImage, match="how the patient lies"):
        slices_of(image.to_bytes(), *map(nifti, masks))


def test_a_volume_of_four_sides_or_of_too_many_voxels_is_refused():
    header = Nifti1Header()
    with pytest.raises(BadImage, match="no volume of three sides"):
        read_volume(nifti(np.zeros((2, 3, 4, 5), np.uint8)))
    header.set_data_shape((32767, 32767, 32767))
    with pytest.raises(BadImage, match="32767 voxels: too large"):
        read_volume(header.binaryblock + bytes(4))


def test_slices_are_picked_evenly_among_the_infected_and_the_clear():
    lung, infection = np.zeros((2, 100, 10, 10), bool)
    lung[10:90, :5] = True
    lung[5:10, 0, 0] = True  # the tip of a lung: no clear slice
    infection[50:90, 0, :2] = True  # 4 % of the lungs
    infection[40:50, 0, 0] = lung[40:50, 5:7] = True  # 1 in 70: neither infected nor clear
    picked = pick_slices(lung, infection, infected=4, clear=2)
    assert picked.tolist() == [17, 32, 55, 65, 75, 85]
    assert pick_slices(lung & False, infection & False).tolist() == []


def test_archives_become_pictures_and_masks_of_the_networks_size(tmp_path, volume):
    write_archives(tmp_path, {"radiopaedia_10_85902_1": list(map(nifti, volume))})
    images, lungs, infections, volumes = load_slices(tmp_path)
    assert volumes.tolist() == ["radiopaedia_10_85902_1"] * 7
    assert images.shape == (7, 150, 150, 3) and images.dtype == np.uint8
    assert lungs.shape == infections.shape == (7, 150, 150)
    assert lungs[:, 75, 75].all() and not lungs[:, 20].any()
    assert infections.any((1, 2)).sum() == 5
    assert (images[:, 145] == 255).all()  # the table


def test_a_volume_that_is_damaged_or_lacks_a_mask_costs_only_itself(tmp_path, volume, capsys):
    good = ct, lung, infection = list(map(nifti, volume))
    cases = {"coronacases_001": (ct[:500], lung, infection), "coronacases_002": (ct, lung, None)}
    write_archives(tmp_path, cases | {"coronacases_003": good, "coronacases_004": good})
    archive = bytearray((tmp_path / ARCHIVES[1]).read_bytes())
    archive[archive.index(b"coronacases_003") + 100] ^= 255  # within its data
    (tmp_path / ARCHIVES[1]).write_bytes(archive)
    assert len(load_slices(tmp_path)[0]) == 7
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("coronacases_001 is left out. It cannot be read: ")
    assert said[1] == "coronacases_002 is left out. One of its two masks is missing."
    assert said[2].startswith("coronacases_003 is left out. It cannot be read: ")


def test_a_file_too_large_for_the_memory_is_not_unpacked(tmp_path, volume, monkeypatch, capsys):
    write_archives(tmp_path, {"coronacases_001": list(map(nifti, volume))})
    monkeypatch.setattr(expert_masks, "MAX_VOXELS", 10)
    with pytest.raises(DataError, match="holds no volume that can be used"):
        load_slices(tmp_path)
    assert "MB: too large" in capsys.readouterr().out


def test_an_archive_that_is_damaged_as_a_whole_is_one_sentence(tmp_path, volume):
    write_archives(tmp_path, {"coronacases_001": list(map(nifti, volume))})
    (tmp_path / "Lung_Mask.zip").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match="Lung_Mask.zip is damaged"):
        load_slices(tmp_path)


def test_without_all_three_archives_there_are_no_slices(tmp_path, volume):
    write_archives(tmp_path, {"coronacases_001": list(map(nifti, volume))})
    (tmp_path / "Lung_Mask.zip").unlink()
    assert load_slices(tmp_path) is None
