"""Ten thousand mutated files: none may crash the loader, none may pass for what it is not."""

import io

import numpy as np
import pytest
from PIL import Image

from utils.images import BadImage, picture_size, read_image

COUNT = 10_000
SEEDS = [
    *(("JPEG", "RGB", options) for options in ({}, {"progressive": True}, {"optimize": True})),
    ("JPEG", "RGB", {"restart_marker_blocks": 2}),
    *(("JPEG", mode, {}) for mode in ("L", "CMYK")),
    *(("PNG", mode, {}) for mode in ("RGB", "RGBA", "P", "L", "1", "I;16")),
    *(("GIF", "P", {}), ("WEBP", "RGB", {}), ("WEBP", "RGB", {"lossless": True})),
    *(
        ("BMP", "RGB", {}),
        ("BMP", "P", {}),
        ("TIFF", "RGB", {}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    ),
]
ENDS = {"JPEG": b"\xff\xd9", "PNG": b"\0\0\0\0IEND\xaeB`\x82", "GIF": b"\0;"}


def seed(kind, mode, options):
    """The bytes of a picture of noise, 32 x 24, in a format."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    image = Image.fromarray(noise)
    image = (
        Image.fromarray(noise[..., 0] * np.uint16(257)) if mode == "I;16" else image.convert(mode)
    )
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def flipped(content, at, generator, kind):
    changed = bytearray(content)
    for place in generator.integers(len(content), size=generator.integers(1, 9)):
        changed[place] = generator.integers(256)
    return bytes(changed)


def cut(content, at, generator, kind):
    return content[:at]


def cut_and_closed(content, at, generator, kind):
    return content[:at] + ENDS.get(kind, b"")


def without_a_piece(content, at, generator, kind):
    return content[:at] + content[at + int(generator.integers(1, 200)) :]


def with_a_piece_twice(content, at, generator, kind):
    return content[: at + int(generator.integers(1, 200))] + content[at:]


def with_zeros(content, at, generator, kind):
    length = int(generator.integers(1, 200))
    return content[:at] + bytes(length) + content[at + length :]


def with_junk(content, at, generator, kind):
    return content[:at] + generator.bytes(int(generator.integers(1, 200))) + content[at:]


MUTATIONS = [
    *(flipped, cut, cut_and_closed, without_a_piece, with_a_piece_twice, with_zeros, with_junk)
]


def check(path, size, expected):
    """Read a file; what is accepted has the right form, and shows `expected` if that is given."""
    try:
        image = read_image(path, size)
    except BadImage as error:
        assert str(error).endswith(".") and "\n" not in str(error)
        return
    assert image.dtype == np.uint8
    assert image.shape == ((size, size, 3) if size else (*picture_size(path)[::-1], 3))
    if expected is not None:
        np.testing.assert_array_equal(image, expected)


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
@pytest.mark.fault(
    "10,000 mutated files, a seventh of them {mutation.__name__}",
    "no crash; RGB of the head's size or a reason; a cut one is whole or refused",
    "at most itself",
)
def test_no_mutated_file_crashes_the_loader_or_passes_for_what_it_is_not(tmp_path, mutation):
    generator, path = np.random.default_rng(MUTATIONS.index(mutation)), tmp_path / "a.jpg"
    seeds = [(kind, seed(kind, mode, options)) for kind, mode, options in SEEDS]
    originals = {}
    for i, (_, content) in enumerate(seeds):
        path.write_bytes(content)
        originals |= {(i, size): read_image(path, size) for size in (None, 16)}
    for k in range(-(-COUNT // len(MUTATIONS))):
        i, size = k % len(seeds), (None, 16)[k // len(seeds) % 2]
        kind, content = seeds[i]
        path.write_bytes(
            mutation(content, int(generator.integers(1, len(content))), generator, kind)
        )
        shown = originals[i, size] if mutation in (cut, cut_and_closed) else None
        check(path, size, shown)
