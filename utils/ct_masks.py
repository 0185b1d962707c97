"""Real CT slices with masks of lung and infection: 20 volumes of Ma et al. (2020), made pictures.

J. Ma et al. Towards data-efficient learning: a benchmark for COVID-19 CT lung and infection
segmentation. arXiv:2004.12537, doi:10.1002/mp.14676; data: doi:10.5281/zenodo.3757476.

Three archives hold a file of the same name for each volume: the CT, its lungs, its infections.
What is wrong with one volume costs that volume only. Knows as much of NIfTI-1 as these files need:
https://niftilib.sourceforge.net/c_api_html/nifti1_h-source.html
"""

import contextlib
import gzip
import io
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from utils import settings
from utils.downloads import DataError, disk_full, natural, shown
from utils.files import whole
from utils.images import BadImage, read_image, read_mask, write_mask
from utils.progress import progress

ARCHIVES = {  # part: the archive's name at Zenodo
    "ct": "COVID-19-CT-Seg_20cases.zip",
    "lung": "Lung_Mask.zip",
    "infection": "Infection_Mask.zip",
}
CASE = re.compile(r"(?:.*/)?((?:coronacases|radiopaedia)_[\w-]+)\.nii(?:\.gz)?")
WINDOW = (-1250, 250)  # HU: black and white, as the ten volumes are that come as 0..255
MAX_VOXELS = 250_000_000  # more than 630 x 630 x 600; half a gigabyte as 16 bits each
INFECTED = 0.02  # share of the lungs in a slice from which on it counts as infected
FULL = 0.5  # of the area of the lungs in the volume's largest slice: where a clear one is taken

TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
FIELDS = {  # of a NIfTI-1 header: type, count, offset in bytes
    "size": ("i4", 1, 0),
    "dim": ("i2", 8, 40),
    "datatype": ("i2", 1, 70),
    "pixdim": ("f4", 8, 76),
    "offset": ("f4", 1, 108),
    "slope": ("f4", 1, 112),
    "intercept": ("f4", 1, 116),
    "qform": ("i2", 1, 252),
    "sform": ("i2", 1, 254),
    "quaternion": ("f4", 3, 256),
    "rows": ("f4", 12, 280),
    "magic": ("S4", 1, 344),
}
HEADER_BYTES = 348

# ------------------------------------------------------------------------------------ NIfTI-1


def read_volume(content):
    """The volume in the bytes of a .nii or .nii.gz: (values (x, y, z) as stored, header).

    The header is a dict of FIELDS, and `order`, its byte order. Raises BadImage for what is
    damaged, larger than any volume here, or of a kind that is not understood.
    """
    file = io.BytesIO(content)
    file = gzip.GzipFile(fileobj=file) if content[:2] == b"\x1f\x8b" else file
    try:
        header = read_header(file.read(HEADER_BYTES))
        shape = _shape(header)
        count = int(np.prod(shape))
        kind = np.dtype(header["order"] + TYPES[int(header["datatype"])])
        file.read(max(0, min(int(header["offset"]), 2**20) - HEADER_BYTES))
        values = file.read(count * kind.itemsize)
    except (OSError, EOFError, zlib.error) as error:
        raise BadImage(f"It cannot be unpacked: {error}.") from None
    if len(values) < count * kind.itemsize:
        raise BadImage("It breaks off before its end.")
    return np.frombuffer(values, kind).reshape(shape, order="F"), header


def read_header(content):
    """The FIELDS of a header of 348 bytes, as a dict; BadImage if it is no NIfTI-1 header."""
    for order in "<>":
        fields = {
            name: np.frombuffer(content, order + kind, count, offset).squeeze()
            for name, (kind, count, offset) in FIELDS.items()
            if len(content) == HEADER_BYTES
        }
        if fields and fields["size"] == HEADER_BYTES and fields["magic"] == b"n+1":
            return fields | {"order": order}
    raise BadImage("It is no NIfTI-1 file in one piece.")


def _shape(header):
    """The three sides of a volume; BadImage if it is none, too large, or of a foreign type."""
    dim = [int(side) for side in header["dim"]]
    rank, shape = dim[0], tuple(dim[1:4])
    if not 3 <= rank <= 7 or min(shape) < 1 or any(side != 1 for side in dim[4 : rank + 1]):
        raise BadImage(f"It is no volume of three sides: its shape is {dim[1 : rank + 1]}.")
    if np.prod(shape, dtype=float) > MAX_VOXELS:
        raise BadImage(f"It would be {' x '.join(map(str, shape))} voxels: too large.")
    if int(header["datatype"]) not in TYPES:
        raise BadImage(f"Its numbers are of NIfTI's type {header['datatype']}, which is not read.")
    if not HEADER_BYTES <= header["offset"] < 2**20:
        raise BadImage("Its header says no place where the values begin.")
    return shape


def directions(header):
    """Where the steps along the three sides lead, (3, 3): rows right, front, up; columns sides.

    From sform, else from qform; BadImage if the file has neither, or steps along no axis.
    """
    if header["sform"] > 0:
        steps = header["rows"].reshape(3, 4)[:, :3].astype(float)
    elif header["qform"] > 0:
        steps = _rotation(header["quaternion"].astype(float)) * header["pixdim"][1:4]
        steps[:, 2] *= -1 if header["pixdim"][0] < 0 else 1
    else:
        raise BadImage("It does not say how the patient lies in it.")
    if not np.isfinite(steps).all() or sorted(np.abs(steps).argmax(axis=0)) != [0, 1, 2]:
        raise BadImage("It says in no clear way how the patient lies in it.")
    return steps


def _rotation(bcd):
    """The rotation (3, 3) of a unit quaternion whose first number is left out, as NIfTI does."""
    b, c, d = bcd
    a = np.sqrt(max(0.0, 1 - bcd @ bcd))
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )


# ------------------------------------------------------------------------------------ slices


def turned(values, steps):
    """A volume as axial slices (slices, rows, columns), from the feet up, as radiologists see them.

    The patient's back is at the bottom, the right hand at the left; `steps` as of `directions`.
    """
    axes = np.abs(steps).argmax(axis=0)  # right, front, up: which one each side goes along
    right, front, up = np.argsort(axes)
    slices = np.transpose(values, (up, front, right))
    for axis, (side, way) in enumerate(((up, -1), (front, 1), (right, 1))):
        if steps[axes[side], side] * way > 0:
            slices = np.flip(slices, axis)
    return slices


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


def _scaled(values, header):
    """What stored values stand for: themselves, where the slope is 0 or no number."""
    slope, intercept = float(header["slope"]), float(header["intercept"])
    if not np.isfinite([slope, intercept]).all() or slope == 0:
        return values.astype(float)
    return values * slope + intercept


def pick_slices(lung, infection, infected=5, clear=2):
    """Which slices of a volume to take, from masks (slices, h, w): indices in ascending order.

    At most `infected`, evenly among those with infection in at least INFECTED of the lungs, so that
    no two are neighbours where there is room, and at most `clear` among those without any, with
    lungs of at least FULL of the largest.
    """
    areas, ill = (np.count_nonzero(mask, axis=(1, 2)) for mask in (lung, infection))
    shown = np.flatnonzero((ill > 0) & (ill >= INFECTED * areas))
    without = np.flatnonzero((ill == 0) & (areas > 0) & (areas >= FULL * areas.max(initial=0)))
    return np.sort(np.concatenate([_evenly(shown, infected), _evenly(without, clear)]))


def _evenly(indices, count):
    """At most `count` of the indices, each from the middle of its share of them."""
    places = (np.arange(count) + 0.5) * len(indices) / count
    return indices[np.unique(places.astype(int))] if len(indices) else indices


def slices_of(ct, lung, infection):
    """The picked slices of one volume: (indices, images uint8 (n, h, w), lungs, infections).

    ct, lung, infection: the bytes of the three files. The masks are turned as the CT is, voxel by
    voxel, whatever their own headers say. The lungs hold their infections. Raises BadImage.
    """
    values, header = read_volume(ct)
    lung, infection = (read_volume(content)[0] != 0 for content in (lung, infection))
    if not values.shape == lung.shape == infection.shape:
        raise BadImage("The CT and its masks are not of one shape.")
    steps = directions(header)
    slices, lung, infection = (turned(volume, steps) for volume in (values, lung, infection))
    low, high = sorted(_scaled(np.array([values.min(), values.max()]), header))
    picked = pick_slices(lung, infection)
    images = in_lung_window(_scaled(slices[picked], header), low, high)
    return picked, images, (lung | infection)[picked], infection[picked]


# ------------------------------------------------------------------------------------ files


def write_cases(archives, folder):
    """Write the picked slices of all volumes and their masks; (rows, reasons).

    archives: the paths of ARCHIVES' three parts. rows: as those of `drawn_ct.write_slices`, of the
    kind "rest", all of patients with COVID. reasons: by name, why a volume is left out. Raises
    DataError when an archive is missing, damaged as a whole, or holds no volume.
    """
    folder, rows, reasons = Path(folder), [], {}
    with disk_full(folder), contextlib.ExitStack() as stack:
        opened = {part: stack.enter_context(_open(Path(archives[part]))) for part in ARCHIVES}
        members = {part: _cases(archive) for part, archive in opened.items()}
        for case in progress(sorted(members["ct"], key=natural), "Cutting volumes into slices"):
            try:
                contents = [_member(opened[part], members[part].get(case)) for part in ARCHIVES]
                rows += _write(folder, case, *slices_of(*contents))
            except BadImage as reason:
                reasons[case] = str(reason)
    if not rows and not reasons:
        raise DataError(f"{shown(archives['ct'])} holds no volume: it is another archive.")
    return rows, reasons


def _open(path):
    """A zip file, opened; DataError if it is none."""
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise DataError(f"There is no {shown(path)}: see data/README.md for where it is.") from None
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(
            f"{shown(path)} is damaged or not downloaded to its end ({error}): delete it and fetch "
            "it again."
        ) from None


def _cases(archive):
    """The members of an archive that are volumes, by the name of their case."""
    matches = ((CASE.fullmatch(info.filename), info) for info in archive.infolist())
    return {match[1]: info for match, info in matches if match}


def _member(archive, info):
    """The bytes of a member; BadImage if it is missing, damaged or too large."""
    if info is None:
        raise BadImage("One of its two masks is missing.")
    if info.file_size > 4 * MAX_VOXELS:
        raise BadImage(f"It would be {info.file_size / 1e6:.0f} MB: too large.")
    try:
        return archive.read(info)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError) as error:
        raise BadImage(f"It cannot be unpacked: {error}.") from None


def _write(folder, case, picked, images, lungs, infections):
    """Write the slices of one volume; return their rows."""
    rows = []
    for k, image, lung, infection in zip(picked, images, lungs, infections, strict=True):
        row = {"kind": "rest", "image": f"images/{case}.{k}.png", "label": "COVID"}
        with whole(folder / row["image"]) as part:
            Image.fromarray(image).save(part, "PNG")
        for region, mask in (("lung", lung), ("opacity", infection)):
            row[f"{region}_mask"] = f"masks/{case}.{k}.{region}.png"
            write_mask(folder / row[f"{region}_mask"], mask)
        rows.append(row)
    return rows


def load_slices(data=settings.ROOT / "data"):
    """Slices uint8 (N, 150, 150, 3), lungs and infections bool (N, 150, 150), of the archives.

    They are looked for in the folder `data`; None where not all three are there. A volume that
    cannot be used is printed with its reason.
    """
    archives = {part: Path(data) / name for part, name in ARCHIVES.items()}
    if not all(path.exists() for path in archives.values()):
        return None
    folder = Path(data) / "covid-19-ct-seg"
    rows, reasons = write_cases(archives, folder)
    for case, reason in reasons.items():
        print(f"{case} is left out. {reason}")
    images = np.stack([read_image(folder / row["image"], settings.SIZE) for row in rows])
    masks = (
        np.stack([read_mask(folder / row[f"{region}_mask"], settings.SIZE) for row in rows])
        for region in ("lung", "opacity")
    )
    return images, *masks
