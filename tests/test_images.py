"""Pictures of every kind, good and bad, each made here."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageCms

from utils import images
from utils.images import BadImage, picture_size, read_image, read_mask, resize

RED, BLUE = (200, 30, 30), (30, 30, 200)


def half_and_half():
    """90 x 60 pixels, red on the left, blue on the right."""
    image = np.empty((60, 90, 3), np.uint8)
    image[:, :45], image[:, 45:] = RED, BLUE
    return image


@pytest.fixture
def picture():
    return Image.fromarray(half_and_half())


def assert_half_and_half(image, tolerance=4):
    assert image.shape == (60, 90, 3) and image.dtype == np.uint8
    assert np.abs(image[30, 10].astype(int) - RED).max() <= tolerance
    assert np.abs(image[30, 80].astype(int) - BLUE).max() <= tolerance


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
@pytest.mark.fault(
    "a {kind} called .jpg, in a name with an accent and a newline", "read by its content"
)
def test_the_content_tells_the_format_whatever_the_name(tmp_path, picture, kind):
    path = tmp_path / "é an odd\nname.jpg"
    picture.save(path, kind, quality=95)
    assert_half_and_half(read_image(path))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("CMYK", "JPEG"),
        ("CMYK", "TIFF"),
        ("RGBA", "PNG"),
        ("RGBA", "WEBP"),
        ("P", "PNG"),
        ("P", "TIFF"),
    ],
)
@pytest.mark.fault("{mode} colours in a {kind}", "become RGB")
def test_every_colour_mode_becomes_rgb(tmp_path, picture, mode, kind):
    picture.convert(mode, palette=Image.Palette.ADAPTIVE).save(tmp_path / "a", kind, quality=95)
    assert_half_and_half(read_image(tmp_path / "a"))


@pytest.mark.fault("a grey picture", "becomes three equal channels")
def test_grey_becomes_three_equal_channels(tmp_path, picture):
    picture.convert("L").save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.shape == (60, 90, 3) and np.ptp(image, axis=2).max() == 0


@pytest.mark.fault("a YCCK JPEG", "becomes RGB")
def test_ycck_is_read_as_the_cmyk_it_holds(tmp_path, picture):
    path = tmp_path / "a.jpg"
    picture.convert("CMYK").save(path, quality=95)
    plain = path.read_bytes()
    marker = plain.index(b"Adobe") + 11  # the transform: 0 is CMYK, 2 is YCCK
    path.write_bytes(plain[:marker] + b"\x02" + plain[marker + 1 :])
    assert read_image(path).shape == (60, 90, 3)


@pytest.mark.fault("a transparent picture", "is shown on white")
def test_what_is_transparent_is_white(tmp_path):
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == 255).all()


@pytest.mark.fault("16 bits a channel", "are scaled to 8", "half of the bits")
def test_sixteen_bits_are_scaled_to_eight(tmp_path):
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png")[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
@pytest.mark.fault("an animated {kind}", "gives its first frame", "its other frames")
def test_an_animation_gives_its_first_frame(tmp_path, picture, kind):
    other = Image.new("RGB", picture.size, (0, 255, 0))
    picture.save(tmp_path / "a", kind, save_all=True, append_images=[other], lossless=True)
    assert_half_and_half(read_image(tmp_path / "a"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.fault("a picture lying on its side, as EXIF says ({kind})", "is turned upright")
def test_exif_orientation_is_undone(tmp_path, picture, orientation, kind):
    stored = picture
    if orientation in images.TURNS:
        inverse = {6: 8, 8: 6}.get(orientation, orientation)
        stored = picture.transpose(images.TURNS[inverse])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a", kind, exif=exif, quality=95)
    assert_half_and_half(read_image(tmp_path / "a"))
    assert picture_size(tmp_path / "a") == (90, 60)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.fault(
    "a broken EXIF block and a broken colour profile", "the pixels are read all the same"
)
def test_a_broken_exif_block_and_a_broken_profile_do_no_harm(tmp_path, picture):
    picture.save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*junk", icc_profile=b"junk", quality=95)
    assert_half_and_half(read_image(tmp_path / "a.jpg"))


@pytest.mark.fault("an sRGB colour profile", "changes nothing")
def test_an_srgb_profile_changes_nothing(tmp_path, picture):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture.save(tmp_path / "a.png", icc_profile=profile)
    assert_half_and_half(read_image(tmp_path / "a.png"), tolerance=1)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (30000, 2)])
@pytest.mark.fault("a picture of {size} pixels", "becomes a square")
def test_tiny_and_long_pictures_become_squares(tmp_path, size):
    Image.new("RGB", size, RED).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png", 150) == RED).all()


def test_resize_squashes_to_the_square_and_equals_reading_at_that_size(tmp_path, picture):
    picture.save(tmp_path / "a.png")
    squashed = resize(half_and_half(), 30)
    assert squashed.shape == (30, 30, 3)
    assert np.abs(squashed.astype(int) - read_image(tmp_path / "a.png", 30)).max() == 0


def test_a_mask_is_bool_and_keeps_hard_edges(tmp_path):
    mask = np.zeros((300, 300), np.uint8)
    mask[:, 150:] = 255
    Image.fromarray(mask).save(tmp_path / "a.png")
    small = read_mask(tmp_path / "a.png", 150)
    assert small.shape == (150, 150) and small.dtype == bool
    assert not small[:, :75].any() and small[:, 75:].all()


# ---------------------------------------------------------------------------------- bad files


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><title>404</title>", "begins with b'<!DOCTYPE ht'"),
        (b"not a picture\n", "no picture"),
        (b"\xff\xd8\xff", "no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture"),  # runs no program
    ],
)
@pytest.mark.fault("a file with {content!r:.12} ...", "is refused with the reason", "itself")
def test_what_is_no_picture_is_refused_with_the_reason(tmp_path, content, reason):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(BadImage, match=reason):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("size", [None, 150])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
@pytest.mark.fault("a {kind} that breaks off", "is refused wherever it does", "itself")
def test_a_truncated_picture_is_refused_wherever_it_breaks_off(tmp_path, kind, size):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    path = tmp_path / "a.jpg"
    Image.fromarray(noise).save(path, kind)
    content = path.read_bytes()
    for kept in np.linspace(1, len(content) - 30, 25).astype(int):
        path.write_bytes(content[:kept])
        with pytest.raises(BadImage):
            read_image(path, size)


JPEGS = [{}, {"progressive": True}, {"restart_marker_blocks": 2}, {"optimize": True}]


def noise_as(path, kind="JPEG", mode="RGB", **options):
    """Write noise of 48 x 40 pixels in some format; the bytes of the file."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    Image.fromarray(noise).convert(mode).save(path, kind, **options)
    return path.read_bytes()


@pytest.mark.parametrize("size", [None, 32])
@pytest.mark.parametrize("options", [*JPEGS, {"mode": "L"}, {"mode": "CMYK"}], ids=str)
@pytest.mark.fault(
    "a cut JPEG with its end put back, saved with {options}",
    "is refused, where libjpeg fills up with grey",
    "itself",
)
def test_a_jpeg_that_lacks_data_before_its_end_is_refused(tmp_path, options, size):
    path = tmp_path / "a.jpg"
    content = noise_as(path, **options)
    start = content.index(b"\xff\xda") + 14  # in the first scan's data
    for kept in np.linspace(start, len(content) - 40, 25).astype(int):
        path.write_bytes(content[:kept] + b"\xff\xd9")
        with pytest.raises(BadImage):
            read_image(path, size)


@pytest.mark.parametrize("size", [None, 32])
@pytest.mark.parametrize("options", JPEGS, ids=str)
@pytest.mark.fault("bytes too many in or behind a JPEG", "are passed over")
def test_bytes_too_many_do_no_harm_to_a_jpeg(tmp_path, options, size):
    path = tmp_path / "a.jpg"
    content = noise_as(path, **options)
    expected = read_image(path, size)
    for longer in (content + b"more", content[:-2] + b"more" + content[-2:]):
        path.write_bytes(longer)
        np.testing.assert_array_equal(read_image(path, size), expected)


@pytest.mark.fault(
    "a decompression bomb, 400 million pixels in a small file", "is refused, not decoded", "itself"
)
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path):
    Image.new("1", (20000, 20000)).save(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size < 100_000
    with pytest.raises(BadImage, match="20000 x 20000|bomb"):
        read_image(tmp_path / "a.png")


@pytest.mark.fault("a file of more than 100 MB", "is not read", "itself")
def test_a_file_too_large_to_be_a_picture_is_not_read(tmp_path):
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(images.MAX_BYTES + 1)
    with pytest.raises(BadImage, match="larger than"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.fault("a picture of fractions", "is refused", "itself")
def test_fractions_are_refused(tmp_path):
    Image.fromarray(np.ones((3, 3), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(BadImage, match="fractions"):
        read_image(tmp_path / "a.tif")


@pytest.mark.fault("no file, or a folder", "is refused", "itself")
def test_no_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.jpg", tmp_path):
        with pytest.raises(BadImage, match="no such file"):
            read_image(path)


@pytest.mark.fault("a file that may not be read", "is refused and its permissions named", "itself")
def test_permissions_are_named_as_the_reason(tmp_path, picture, monkeypatch):
    def forbidden(path):
        raise PermissionError(13, "Permission denied")

    picture.save(tmp_path / "a.jpg")
    monkeypatch.setattr(images.Path, "read_bytes", forbidden)
    with pytest.raises(BadImage, match="permissions"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.fault("a disk that cannot read", "is an error, and no bad picture", "the step")
def test_an_error_of_the_disk_is_not_blamed_on_the_picture(tmp_path, picture, monkeypatch):
    def failing(path):
        raise OSError(5, "Input/output error")

    picture.save(tmp_path / "a.jpg")
    monkeypatch.setattr(images.Path, "read_bytes", failing)
    with pytest.raises(OSError, match="Input/output"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.fault(
    "bytes changed at random ({kind})", "an array or a reason, in one sentence", "at most itself"
)
def test_a_mutated_file_gives_an_array_or_a_reason(tmp_path, picture, kind):
    rng = np.random.default_rng(1)
    path = tmp_path / "a"
    picture.save(path, kind)
    content = np.frombuffer(path.read_bytes(), np.uint8)
    for _ in range(150):
        mutated = content.copy()
        mutated[rng.integers(len(content), size=4)] = rng.integers(256, size=4)
        path.write_bytes(mutated.tobytes())
        try:
            image = read_image(path, 32)
        except BadImage as error:
            assert str(error).endswith(".") and "\n" not in str(error)
        else:
            assert image.shape == (32, 32, 3) and image.dtype == np.uint8


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_warning_of_a_broken_exif_block_is_printed(tmp_path, picture):
    picture.save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03")
    code = "import sys; from utils.images import read_image; read_image(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.jpg"], capture_output=True, check=True
    )
    assert done.stderr == b""


@pytest.mark.parametrize(("kind", "end"), [("PNG", b"\0\0\0\0IEND\xaeB`\x82"), ("GIF", b"\0;")])
@pytest.mark.fault("a {kind} that lacks its last data, closed again", "is refused", "itself")
def test_a_picture_without_its_last_data_that_was_closed_again_is_refused(tmp_path, kind, end):
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    Image.fromarray(noise).save(file, kind)
    whole = file.getvalue()
    for lost in range(5, 40):  # the last four bytes of a PNG's data are a checksum
        (tmp_path / "a").write_bytes(whole[: -len(end) - lost] + end)
        with pytest.raises(BadImage):
            read_image(tmp_path / "a")
