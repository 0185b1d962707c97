"""Pictures of every kind, good and bad, each made here."""

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.Image import Transpose

from data import images
from data.images import BadImage, picture_size, read_image, read_trimap, resize, write_picture

RED, BLUE = (200, 30, 30), (30, 30, 200)
KINDS = ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"]


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


@pytest.mark.parametrize("kind", KINDS)
def test_the_content_tells_the_format_whatever_the_name(tmp_path, picture, kind):
    path = tmp_path / "é an odd\nname.jpg"
    picture.save(path, kind, quality=95)
    assert_half_and_half(read_image(path))


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "JPEG"), ("RGBA", "PNG"), ("P", "PNG")])
def test_every_colour_mode_becomes_rgb(tmp_path, picture, mode, kind):
    picture.convert(mode, palette=Image.Palette.ADAPTIVE).save(tmp_path / "a", kind, quality=95)
    assert_half_and_half(read_image(tmp_path / "a"))


@pytest.mark.parametrize("white", [np.uint8(255), np.uint16(65535)])
def test_grey_of_8_or_16_bits_becomes_three_equal_channels_of_8(tmp_path, white):
    Image.fromarray(np.array([[0 * white, white // 5, white]])).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").tolist() == [[[0] * 3, [51] * 3, [255] * 3]]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(tmp_path, mode):
    clear = {"transparency": 0} if mode == "P" else {}
    Image.new(mode, (4, 4), 0).save(tmp_path / "a.png", **clear)
    assert (read_image(tmp_path / "a.png") == 255).all()


def test_an_animation_gives_its_first_frame(tmp_path, picture):
    other = Image.new("RGB", picture.size, (0, 255, 0))
    picture.save(tmp_path / "a.gif", save_all=True, append_images=[other])
    assert_half_and_half(read_image(tmp_path / "a.gif"))


LYING = {  # EXIF orientation: how the picture is stored then
    1: None,
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", LYING)
@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_a_picture_lying_on_its_side_is_turned_upright(tmp_path, picture, orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = picture if orientation == 1 else picture.transpose(LYING[orientation])
    stored.save(tmp_path / "a", kind, exif=exif, quality=95)
    assert_half_and_half(read_image(tmp_path / "a"))
    assert picture_size(tmp_path / "a") == (90, 60)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_broken_exif_block_and_a_broken_profile_do_no_harm(tmp_path, picture):
    picture.save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*junk", icc_profile=b"junk", quality=95)
    assert_half_and_half(read_image(tmp_path / "a.jpg"))
    assert picture_size(tmp_path / "a.jpg") == (90, 60)


def test_an_srgb_profile_changes_nothing(tmp_path, picture):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture.save(tmp_path / "a.png", icc_profile=profile)
    assert_half_and_half(read_image(tmp_path / "a.png"), tolerance=1)


def test_resize_squashes_to_the_square_and_equals_reading_at_that_size(tmp_path, picture):
    picture.save(tmp_path / "a.png")
    squashed = resize(half_and_half(), 30)
    assert squashed.shape == (30, 30, 3)
    np.testing.assert_array_equal(squashed, read_image(tmp_path / "a.png", 30))


def test_a_mask_is_written_as_black_and_white(tmp_path):
    write_picture(tmp_path / "masks/a.png", np.array([[True, False]]))
    with Image.open(tmp_path / "masks/a.png") as mask:
        assert np.asarray(mask.convert("L")).tolist() == [[255, 0]]


def test_a_trimap_keeps_its_numbers_whatever_colours_its_palette_gives_them(tmp_path):
    trimap = Image.fromarray(np.uint8([[1, 2, 3]])).convert("P")
    trimap.putpalette([200, 100, 50] * 4)
    trimap.save(tmp_path / "a.png")
    assert read_trimap(tmp_path / "a.png").tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "The file is empty."),
        (b"<!DOCTYPE html><title>404</title>", "begins with b'<!DOCTYPE ht'"),
        (b"\xff\xd8\xff", "no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture"),  # runs no program
    ],
)
def test_what_is_no_picture_is_refused_with_the_reason(tmp_path, content, reason):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(BadImage, match=reason):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_truncated_picture_is_refused_wherever_it_breaks_off(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    path = tmp_path / "a.jpg"
    Image.fromarray(noise).save(path, kind)
    content = path.read_bytes()
    for kept in np.linspace(1, len(content) - 30, 25).astype(int):
        path.write_bytes(content[:kept])
        for size in (None, 16):
            with pytest.raises(BadImage) as error:
                read_image(path, size)
            assert str(error.value).endswith(".") and "\n" not in str(error.value)


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path):
    Image.new("1", (8000, 8000)).save(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size < 10_000
    with pytest.raises(BadImage, match="8000 x 8000 pixels"):
        read_image(tmp_path / "a.png")


def test_a_file_too_large_to_be_a_picture_is_not_read(tmp_path):
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(images.MAX_BYTES + 1)
    with pytest.raises(BadImage, match="larger than 100 MB"):
        read_image(tmp_path / "a.jpg")


def test_values_that_no_one_says_the_white_of_are_refused(tmp_path):
    Image.fromarray(np.ones((3, 3), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(BadImage, match="neither 8 nor 16 bits"):
        read_image(tmp_path / "a.tif")


def test_no_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.jpg", tmp_path):
        with pytest.raises(BadImage, match="no such file"):
            read_image(path)
