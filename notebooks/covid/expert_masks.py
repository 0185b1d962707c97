"""Real CT slices with masks of lung and infection: 20 volumes of Ma et al. (2020), made pictures.

J. Ma et al. Towards data-efficient learning: a benchmark for COVID-19 CT lung and infection
segmentation. arXiv:2004.12537, doi:10.1002/mp.14676; data: doi:10.5281/zenodo.3757476.

Three archives hold a file of the same name for each volume: the CT, its lungs, its infections.
What is wrong with one volume costs that volume only.
"""

import gzip
import io
import math
import re
import zipfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from nibabel import Nifti1Image
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform
from PIL import Image

from data.images import BadImage, resize
from utils import settings
from utils.files import DataError, progress, shown

ARCHIVES = ("COVID-19-CT-Seg_20cases.zip", "Lung_Mask.zip", "Infection_Mask.zip")  # at Zenodo
CASE = re.compile(r"(?:.*/)?((?:coronacases|radiopaedia)_[\w-]+)\.nii(?:\.gz)?")
WINDOW = (-1250, 250)  # HU: black and white, as the ten volumes are that come as 0..255
MAX_VOXELS = 250_000_000  # more than 630 x 630 x 600; a gigabyte as 32 bits each
INFECTED = 0.02  # share of the lungs in a slice from which on it counts as infected
FULL = 0.5  # of the area of the lungs in the volume's largest slice: where a clear one is taken


def load_slices(data=settings.ROOT / "data"):
    """Slices uint8 (N, 150, 150, 3), lungs and infections bool (N, 150, 150), and volumes, (N,).

    Volumes are names; the slices of one are of one patient. The archives are looked for in the
    folder `data`; None where not all three are there. A volume that cannot be used is printed with
    its reason. Raises DataError where an archive is damaged as a whole, or no volume can be used.
    """
    paths = [Path(data) / name for name in ARCHIVES]
    if not all(path.exists() for path in paths):
        return None
    for path in paths:
        if not zipfile.is_zipfile(path):
            raise DataError(f"{shown(path)} is damaged: fetch it again.")
    slices, reasons = [], {}
    with ExitStack() as stack:
        archives = [stack.enter_context(zipfile.ZipFile(path)) for path in paths]
        members = [_cases(archive) for archive in archives]
        for case in progress(sorted(members[0]), "Cutting volumes into slices"):
            try:
                contents = [_member(*pair, case) for pair in zip(archives, members, strict=True)]
                slices += [(*_small(*one), case) for one in zip(*slices_of(*contents), strict=True)]
            except BadImage as reason:
                reasons[case] = str(reason)
            except Exception as error:  # zipfile and nibabel meet damage with almost any
                reasons[case] = f"It cannot be read: {' '.join(str(error).split())}."
    for case, reason in reasons.items():
        print(f"{case} is left out. {reason}")
    if not slices:
        raise DataError(f"{shown(paths[0])} holds no volume that can be used.")
    return tuple(np.stack(part) for part in zip(*slices, strict=True))


def slices_of(ct, lung, infection):
    """The picked slices of one volume: (images uint8 (n, h, w), lungs, infections bool (n, h, w)).

    ct, lung, infection: the bytes of the three files. The masks are turned as the CT is, voxel by
    voxel, whatever their own headers say. The lungs hold their infections. A slice is seen as
    radiologists see it, the back at the bottom and the right hand at the left; the first is the
    lowest. Raises BadImage.
    """
    values, sides = read_volume(ct)
    masks = [read_volume(content)[0] != 0 for content in (lung, infection)]
    if sides is None:
        raise BadImage("It says in no clear way how the patient lies in it.")
    if not values.shape == masks[0].shape == masks[1].shape:
        raise BadImage("The CT and its masks are not of one shape.")
    turn = ornt_transform(sides, axcodes2ornt("LPS"))  # to the left, the back, and up
    slices, lung, infection = (apply_orientation(volume, turn).T for volume in (values, *masks))
    picked = pick_slices(lung, infection)
    images = in_lung_window(slices[picked].astype(float), values.min(), values.max())
    return images, (lung | infection)[picked], infection[picked]


def read_volume(content):
    """The volume in the bytes of a .nii or .nii.gz: (values float32 (x, y, z), its sides).

    Sides: nibabel's orientation (3, 2); None if the file has none, or one that is not clear. Raises
    BadImage for what is larger than any volume here.
    """
    file = io.BytesIO(content)
    file = gzip.GzipFile(fileobj=file) if content[:2] == b"\x1f\x8b" else file
    image = Nifti1Image.from_stream(file)
    if len(image.shape) != 3 or min(image.shape) < 1:
        raise BadImage(f"It is no volume of three sides: its shape is {image.shape}.")
    if math.prod(image.shape) > MAX_VOXELS:
        raise BadImage(f"It would be {' x '.join(map(str, image.shape))} voxels: too large.")
    said = image.header["sform_code"] > 0 or image.header["qform_code"] > 0
    sides = io_orientation(image.affine)  # nibabel makes one up where nothing is said
    clear = said and np.isfinite(sides).all()
    return np.asanyarray(image.dataobj, np.float32), sides if clear else None


def in_lung_window(slices, low, high):
    """Slices of a volume that runs from `low` to `high` as grey uint8 in WINDOW.

    Air makes HU negative; what lies in 0..255 is in the window already. Raises BadImage for others.
    """
    if low >= 0 and high <= 255:
        grey = slices
    elif low < WINDOW[0] / 2:
        grey = (slices - WINDOW[0]) / (WINDOW[1] - WINDOW[0]) * 255
    else:
        raise BadImage(f"Its values, {low:g} to {high:g}, are neither HU nor 0 to 255.")
    return np.clip(np.round(grey), 0, 255).astype(np.uint8)


def pick_slices(lung, infection, infected=5, clear=2):
    """Which slices of a volume to take, from masks (slices, h, w): indices in ascending order.

    At most `infected`, evenly among those with infection in at least INFECTED of the lungs, so that
    no two are neighbours where there is room, and at most `clear` among those without any, with
    lungs of at least FULL of the largest.
    """
    areas, ill = (np.count_nonzero(mask, axis=(1, 2)) for mask in (lung, infection))
    with_any = np.flatnonzero((ill > 0) & (ill >= INFECTED * areas))
    without = np.flatnonzero((ill == 0) & (areas > 0) & (areas >= FULL * areas.max(initial=0)))
    return np.sort(np.concatenate([_evenly(with_any, infected), _evenly(without, clear)]))


def _evenly(indices, count):
    """At most `count` of the indices, each from the middle of its share of them."""
    places = (np.arange(count) + 0.5) * len(indices) / count
    return indices[np.unique(places.astype(int))] if len(indices) else indices


def _small(image, *masks):
    """A grey slice and its masks as an RGB picture and masks of the network's size."""
    square, nearest = (settings.SIZE, settings.SIZE), Image.Resampling.NEAREST
    masks = [np.asarray(Image.fromarray(mask).resize(square, nearest)) for mask in masks]
    return resize(np.repeat(image[..., None], 3, axis=-1), settings.SIZE), *masks


def _cases(archive):
    """The members of an archive that are volumes, by the name of their case."""
    matches = ((CASE.fullmatch(info.filename), info) for info in archive.infolist())
    return {match[1]: info for match, info in matches if match}


def _member(archive, cases, case):
    """The bytes of a case's file; BadImage if it is missing or too large."""
    if case not in cases:
        raise BadImage("One of its two masks is missing.")
    if cases[case].file_size > 4 * MAX_VOXELS:
        raise BadImage(f"Its file would be of {cases[case].file_size / 1e6:.0f} MB: too large.")
    return archive.read(cases[case])
