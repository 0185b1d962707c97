"""One image file to one RGB array, and every way that a file can be bad.

A picture is uint8, (H, W, 3), upright, in sRGB, without transparency. The file's content says what
it is, never its name. What cannot become such an array is a `BadImage`, whose text says why.
"""

import io
import re
import warnings
import zlib
from itertools import product
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms
from PIL.Image import Transpose

from utils.files import whole

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
MAX_PIXELS = 60_000_000  # more than any camera's picture here; 180 MB once decoded
MAX_BYTES = 100_000_000
MARKER = re.compile(rb"\xff+[\x01-\xfe]")  # in a JPEG
FILLER = bytes(89 * k % 251 for k in range(1, 129))
RESTARTS = b"".join(bytes([0xFF, 0xD0 + k]) + FILLER for k in range(8))  # and data behind each
WHITE = (255, 255, 255, 255)
TURNS = {  # EXIF orientation: what turns the picture upright
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}

# Pillow warns of a broken EXIF block, which harms nobody, and warns of what is refused here anyway.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class BadImage(ValueError):
    """A file that holds no usable picture; the text is one sentence that says why."""


def read_image(path, size=None):
    """The picture in a file as uint8 RGB, (H, W, 3), or squashed to (size, size, 3).

    Of an animation, the first frame. Raises BadImage when the file cannot be read, is no picture,
    breaks off, or would fill the memory.
    """
    return _decoded(path, lambda image: _rgb(image, size))


def read_mask(path, size=None):
    """The mask in a file as bool, (H, W), or its nearest pixels as (size, size)."""
    return _decoded(path, lambda image: _mask(image, size))


def write_mask(path, mask):
    """Write a bool array (H, W) as a black and white picture, for `read_mask`."""
    with whole(path) as part:
        Image.fromarray(mask).save(part)


def read_trimap(path):
    """The numbers in a picture of one channel as they are stored, (H, W): they are no shades."""
    return _decoded(path, _numbers)


def picture_size(path):
    """Width and height of the upright picture in pixels, from the head of the file."""
    return _decoded(path, _size)


def resize(image, size):
    """An RGB array squashed to the square, uint8 (size, size, 3), as Keras' own loader does."""
    return np.asarray(_square(Image.fromarray(image), size))


def _decoded(path, decode):
    """`decode` applied to the opened picture; whatever goes wrong there is a BadImage."""
    content = _content(path)
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise BadImage(f"It would be {image.width} x {image.height} pixels: too large.")
            decoded = decode(image)
            if image.format in ("JPEG", "GIF", "PNG") and _breaks_off(
                content, image.format, decode, decoded
            ):
                raise BadImage("It breaks off: its data end before the picture does.")
            return decoded
    except BadImage:
        raise
    except Image.UnidentifiedImageError:
        raise BadImage(
            f"It is no picture of a known kind: it begins with {content[:12]}."
        ) from None
    except Exception as error:  # decoders meet damage with almost any exception
        raise BadImage(f"It cannot be decoded: {_sentence(error)}") from None


def _content(path):
    """The bytes of a file. An error of the machine, and not of the file, is raised as it is."""
    path = Path(path)
    try:
        if not path.is_file():
            raise BadImage("There is no such file.")
        if path.stat().st_size > MAX_BYTES:
            raise BadImage(f"The file is larger than {MAX_BYTES // 10**6} MB.")
        content = path.read_bytes()
    except PermissionError:
        raise BadImage("The permissions of the file forbid reading it.") from None
    if not content:
        raise BadImage("The file is empty.")
    return content


def _breaks_off(content, kind, decode, decoded):
    """Whether a JPEG, GIF or PNG lacks data, where its decoder says nothing and fills it up.

    More data behind what is complete are skipped; where something lacks, they change the picture.
    """
    if kind == "PNG":
        return not _is_whole_png(content)
    segments = list(_segments(content)) if kind == "JPEG" else []
    if kind == "JPEG":
        filler, ends = FILLER, [end for *_, ends in segments for end in ends]
    else:
        filler, ends = bytes([len(FILLER)]) + FILLER, [_end_of_gif(content)]
    pieces = [content[i:j] for i, j in zip([0, *ends], [*ends, None], strict=True)]
    if kind == "JPEG" and ends:
        pieces[-1] = RESTARTS + pieces[-1]
    with Image.open(io.BytesIO(filler.join(pieces)), formats=[kind]) as image:
        return _lacks_scans(segments) or not np.array_equal(decode(image), decoded)


def _is_whole_png(content):
    """Whether the compressed data of a PNG come to their end, checksum included."""
    inflate, at = zlib.decompressobj(), 8
    while at < len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4])
        data = content[at + 8 : end] if content[at + 4 : at + 8] == b"IDAT" else b""
        while data and not inflate.eof:
            inflate.decompress(data, 2**20)  # a part at a time, and none of it kept
            data = inflate.unconsumed_tail
        at = end + 4
    return inflate.eof


def _end_of_gif(content):
    """Where the data of a GIF's first picture end: at a block of no bytes. GIF89a, 15 to 23."""

    def colours(flags):
        return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0

    def end_of_blocks(at):
        while content[at]:
            at += 1 + content[at]
        return at

    try:
        at = 13 + colours(content[10])
        while content[at] == 0x21:  # an extension: its kind, then blocks
            at = end_of_blocks(at + 2) + 1
        return end_of_blocks(at + 11 + colours(content[at + 9]))
    except IndexError:
        raise BadImage("It breaks off: its data end before the picture does.") from None


def _segments(content):
    """Yield (kind, body, ends) of each segment of a JPEG: ITU T.81, annex B.

    ends: where each stretch of the data behind it ends, at a restart or at the next segment; none
    for an arithmetic code, whose end may be left out.
    """
    at, coded = 2, True
    while marker := MARKER.search(content, at):
        kind, body = content[marker.end() - 1], marker.end() + 2
        if kind == 0xD9:
            return
        at = marker.end() + int.from_bytes(content[marker.end() : body])
        coded &= not 0xC9 <= kind <= 0xCB
        ends = []
        while kind == 0xDA and (end := MARKER.search(content, at)):
            ends, at = [*ends, end.start()], end.end()
            if not 0xD0 <= content[at - 1] <= 0xD7:  # no restart: the next segment
                at = end.start()
                break
        yield kind, content[body:at], ends if coded else []


def _lacks_scans(segments):
    """Whether a progressive JPEG ends before all bits of its 64 coefficients are there."""
    wanted, sent = set(), set()
    for kind, body, _ in segments:
        if kind == 0xC2:
            wanted |= set(product(body[6::3][: body[5]], range(64)))
        if kind == 0xDA and wanted:
            parts, (first, last, bits) = body[1:][: 2 * body[0] : 2], body[1 + 2 * body[0] :][:3]
            sent |= set() if bits & 15 else set(product(parts, range(first, last + 1)))
    return not wanted <= sent


def _sentence(error):
    """What an exception says, as the end of a sentence on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.rstrip(".")[:200] + "."


def _rgb(image, size):
    """A Pillow picture as an RGB array."""
    if size:
        image.draft(None, (2 * size, 2 * size))  # a JPEG is decoded at the scale that is needed
    image.load()
    image = _opaque(_srgb(_eight_bit(_upright(image))))
    return np.asarray(_square(image, size) if size else image)


def _mask(image, size):
    """A Pillow picture as a bool array."""
    image = image.convert("L")
    return np.asarray(image.resize((size, size), Image.Resampling.NEAREST) if size else image) > 127


def _numbers(image):
    """The stored values of a Pillow picture of one channel, be they greys or a palette's."""
    values = np.asarray(image)
    if values.ndim != 2:
        raise BadImage("It has colours, where one number for each pixel is expected.")
    return values


def _square(image, size):
    """A Pillow picture squashed to the square."""
    return image.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=3)


def _size(image):
    """Width and height as they are once the picture is upright."""
    turned = image.format != "TIFF" and _orientation(image) >= 5  # Pillow turns a TIFF by itself
    return image.size[::-1] if turned else image.size


def _orientation(image):
    """The EXIF orientation, 1 to 8; 1 when the EXIF block is broken."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # of whatever kind; the pixels themselves are sound
        return 1


def _upright(image):
    """The picture turned as its EXIF orientation says."""
    turn = TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _eight_bit(image):
    """16 bits per channel scaled to 8, a palette replaced by its colours."""
    if image.mode.startswith("I"):
        values = np.asarray(image, "int64")
        if values.min() < 0 or values.max() > 65535:
            raise BadImage("Its values are neither 8 nor 16 bits wide.")
        return Image.fromarray((values / 257).round().astype("uint8"))
    if image.mode == "F":
        raise BadImage("Its values are fractions, and no one says which of them is white.")
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image


def _srgb(image):
    """Colours turned into sRGB where the file carries a colour profile that can be used."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA", "CMYK"):
        return image
    mode = "RGB" if image.mode == "CMYK" else image.mode
    try:
        source, srgb = io.BytesIO(profile), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, source, srgb, outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError):  # a broken or a foreign profile
        return image


def _opaque(image):
    """RGB, with what is transparent shown on white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image).convert("RGB")
