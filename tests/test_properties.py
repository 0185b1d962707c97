"""What holds for every input, tried on those that Hypothesis thinks of."""

import re
import tempfile
import zipfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data.downloads import unpack
from data.images import BadImage, read_image
from data.sources import _pictures
from tests.conftest import small_network
from utils import attention, evaluation
from utils.files import DataError
from utils.runtime import keras

settings.register_profile(
    "tests",
    max_examples=60,
    derandomize=True,  # a test that passes once passes always
    deadline=None,  # on a busy machine too
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tests")


HEADS = [
    b"",
    b"\xff\xd8\xff\xe0",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"RIFF\0\0\0\0WEBP",
    b"BM",
    b"II*\0",
]


@given(head=st.sampled_from(HEADS), rest=st.binary(max_size=300))
def test_any_bytes_are_an_rgb_array_or_a_bad_image(head, rest):
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(head + rest)
        try:
            image = read_image(file.name)
        except BadImage as error:
            assert str(error).endswith(".")
        else:
            assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


PARTS = st.sampled_from(
    ["..", ".", "", "a", "cat.1.jpg", "C:", "~", "\\", "..\\", "dog.2.JPG", "é\n"]
)
NAMES = st.lists(
    st.lists(PARTS, min_size=1, max_size=4).map("/".join) | st.text(max_size=12), max_size=5
)
PATTERN = r"(?:.*/)?(?P<label>cat|dog)\.(?P<number>[0-9]+)\.(?P<kind>jpg)"


@given(names=NAMES)
@settings(max_examples=30)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_no_name_in_a_zip_leads_out_of_the_folder(names):
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        with zipfile.ZipFile(place / "a.zip", "w") as archive:
            for name in names:
                archive.writestr(zipfile.ZipInfo(name or "x"), b"content")
        with suppress(DataError):
            unpack(place / "a.zip", place / "in/train", lambda paths: _pictures(paths, [PATTERN]))
        written = [
            path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()
        ]
        assert all(re.fullmatch(r"a.zip|in/train/(cat|dog)\.[0-9]+\.jpg", name) for name in written)


@lru_cache
def network():
    """A convolution and a pooling head, so that every technique explains it."""
    layers = keras.layers

    def head(x):
        return layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(x))

    generator = np.random.default_rng(0)
    return small_network(head, [generator.normal(size=(1, 1, 3, 2)), np.ones(2)])


METHODS = [
    *(attention.saliency_map, attention.smoothgrad, attention.cam),
    *(attention.grad_cam, attention.hires_cam),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
@given(data=st.data())
@settings(max_examples=15)
def test_every_map_has_its_pictures_shape_and_is_finite(method, data):
    count = data.draw(st.integers(1, 5))
    images = data.draw(arrays(np.float32, (count, 4, 4, 3), elements=st.floats(0, 255, width=32)))
    classes = data.draw(st.integers(0, 1) | arrays(np.int32, count, elements=st.integers(0, 1)))
    options = {"n": 2} if method is attention.smoothgrad else {}
    maps = method(network(), images, classes, batch=data.draw(st.integers(1, 6)), **options)
    assert maps.shape == (count, 4, 4) and maps.dtype == np.float32
    assert np.isfinite(maps).all()


VALUES = st.floats(-100, 100, width=32)
MAPS = arrays(np.float32, (2, 5, 6), elements=VALUES)
MASKS = arrays(bool, (2, 5, 6))


@given(maps=MAPS, masks=MASKS, scale=st.sampled_from([0.5, 4.0]))
def test_the_energy_is_a_share_that_no_scale_changes_and_both_sides_make_one(maps, masks, scale):
    inside, outside = (evaluation.energy_inside(maps, mask) for mask in (masks, ~masks))
    np.testing.assert_array_equal(np.isnan(inside), ~masks.any((1, 2)))
    defined = ~np.isnan(inside)
    assert ((inside[defined] >= 0) & (inside[defined] <= 1 + 1e-12)).all()
    np.testing.assert_allclose(evaluation.energy_inside(scale * maps, masks), inside)
    both = defined & ~np.isnan(outside) & (maps > 0).any((1, 2))
    np.testing.assert_allclose((inside + outside)[both], 1)


@given(maps=MAPS, masks=MASKS)
def test_a_peak_is_inside_or_not_and_never_on_both_sides(maps, masks):
    inside, outside = (evaluation.peak_inside(maps, mask) for mask in (masks, ~masks))
    assert np.isin(inside[~np.isnan(inside)], (0, 1)).all()
    assert not ((inside == 1) & (outside == 1)).any()


@given(a=MAPS, b=MAPS)
def test_a_rank_correlation_is_symmetric_bounded_and_blind_to_doubling(a, b):
    r = evaluation.rank_correlation(a, b)
    assert (np.abs(r) <= 1 + 1e-9).all()
    np.testing.assert_allclose(evaluation.rank_correlation(b, a), r, atol=1e-12)
    np.testing.assert_allclose(evaluation.rank_correlation(2 * a, b), r, atol=1e-12)


@given(correct=st.lists(st.booleans(), min_size=1, max_size=60))
def test_wilsons_interval_holds_the_share_and_stays_within_0_and_1(correct):
    share, low, high = evaluation.accuracy_interval(np.array(correct))
    assert low + 1e-12 >= 0 and low - 1e-12 <= share <= high + 1e-12 and high <= 1 + 1e-12
