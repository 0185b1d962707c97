"""One image file to one RGB array, and every way that a file can be bad.

A picture is uint8, (H, W, 3), upright, in sRGB, without transparency. The file's content says what
it is, never its name. What cannot become such an array is a `BadImage`, whose text says why.
"""

import io
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps

from utils.files import whole

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
MAX_PIXELS = 60_000_000  # more than any camera's picture here; 180 MB once decoded
MAX_BYTES = 100_000_000

# Pillow warns of a broken EXIF block, which harms nobody, and warns of what is refused here anyway.
warnings.filterwarnings("ignore", module=r"PIL\.")


class BadImage(ValueError):
    """A file that holds no usable picture; the text is one sentence that says why."""


def read_image(path, size=None):
    """The picture in a file as uint8 RGB, (H, W, 3), or squashed to (size, size, 3).

    Of an animation, the first frame. Raises BadImage when the file cannot be read, is no picture,
    breaks off, or would fill the memory.
    """
    return _decoded(path, lambda image: _rgb(image, size))


def write_picture(path, pixels):
    """Write a picture, uint8 (H, W) or (H, W, 3), or a mask, bool (H, W), in black and white."""
    with whole(path) as part:
        Image.fromarray(pixels).save(part, quality=95)


def read_trimap(path):
    """The numbers in a picture of one channel as they are stored, (H, W): they are no shades."""
    return _decoded(path, np.asarray)


def picture_size(path):
    """Width and height of the upright picture in pixels, from the head of the file."""
    return _decoded(path, _size)


def resize(image, size):
    """An RGB array squashed to the square, uint8 (size, size, 3), as Keras' own loader does."""
    return np.asarray(_square(Image.fromarray(image), size))


def _decoded(path, decode):
    """`decode` applied to the opened picture; whatever goes wrong there is a BadImage.

    An error of the machine, and not of the file, is raised as it is.
    """
    path = Path(path)
    if not path.is_file():
        raise BadImage("There is no such file.")
    if path.stat().st_size > MAX_BYTES:
        raise BadImage(f"The file is larger than {MAX_BYTES // 10**6} MB.")
    content = path.read_bytes()
    if not content:
        raise BadImage("The file is empty.")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise BadImage(f"It would be {image.width} x {image.height} pixels: too large.")
            return decode(image)
    except BadImage:
        raise
    except Image.UnidentifiedImageError:
        start = content[:12]
        raise BadImage(f"It is no picture of a known kind: it begins with {start}.") from None
    except Exception as error:  # decoders meet damage with almost any exception
        text = " ".join(str(error).split()) or type(error).__name__
        raise BadImage(f"It cannot be decoded: {text.rstrip('.')[:200]}.") from None


def _rgb(image, size):
    """A Pillow picture as an RGB array."""
    if size:
        image.draft(None, (2 * size, 2 * size))  # a JPEG is decoded at the scale that is needed
    image.load()
    with suppress(Exception):  # a broken EXIF block; the pixels themselves are sound
        ImageOps.exif_transpose(image, in_place=True)
    image = _opaque(_srgb(_eight_bit(image)))
    return np.asarray(_square(image, size) if size else image)


def _square(image, size):
    """A Pillow picture squashed to the square."""
    return image.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=3)


def _size(image):
    """Width and height as they are once the picture is upright."""
    orientation = 1
    with suppress(Exception):  # a broken EXIF block
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    turned = orientation in range(5, 9) and image.format != "TIFF"  # Pillow turns that by itself
    return image.size[::-1] if turned else image.size


def _eight_bit(image):
    """16 bits per channel scaled to 8, a palette replaced by its colours."""
    if image.mode[0] in "IF":
        values = np.asarray(image)
        if image.mode == "F" or values.min() < 0 or values.max() > 65535:
            raise BadImage("Its values are neither 8 nor 16 bits wide.")
        return Image.fromarray((values / 257).round().astype("uint8"))
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
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
