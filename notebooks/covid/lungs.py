"""Lungs, body and foreign things in a CT slice, by thresholding: real slices come without masks."""

from functools import wraps

import numpy as np
from scipy import ndimage

BETWEEN = 0.7  # of the way from the grey of air to that of flesh; ground-glass lies below
AIR = 0.7  # of the grey of flesh; fat and muscle are closer to each other than that
LEAST = 0.01  # share of the frame below which air is a windpipe, and no lung
REACH = 0.05  # radius of the closing, as a share of the frame's shorter side
NECKS = (0.005, 0.01, 0.02, 0.03, 0.045, 0.06, 0.08)  # half of how wide lungs touch, of that side
ALIKE = 0.25  # share of a lung below which no region is the other lung


def of_each(segment):
    """A function of slices, from one of a single grey slice (h, w) that gives its mask."""

    @wraps(segment)
    def masks(images):
        grey = np.asarray(images, np.float32)
        grey = grey.mean(axis=-1) if grey.ndim == 4 else grey
        return np.reshape([segment(image) for image in grey], grey.shape).astype(bool)

    return masks


@of_each
def lungs(image):
    """Masks of the lungs, bool (N, h, w), of grey (N, h, w) or RGB (N, h, w, 3) slices in 0..255.

    In lung window air is dark and flesh is bright. Air that lies along the border is outside the
    body: it touches it on more pixels than a square region with two sides on the border. Of the
    rest the two largest regions are lungs, or the largest is both, where they touch. Each lung is
    closed and filled, so that vessels and opacities belong to it. A slice without any gives an
    empty mask. Lost is what is as bright as flesh, wider than twice the closing's radius, and
    touches the chest wall.
    """
    regions, sizes = _air(image)
    mask = np.zeros(image.shape, bool)
    second, first = np.argsort(sizes)[-2:]
    touching = sizes[second] < ALIKE * sizes[first]
    for region in (first, second):
        if sizes[region] >= LEAST * image.size:
            air = regions == region
            for lung in _parted(air) if touching and region == first else [air]:
                mask |= _closed(lung, REACH * min(image.shape))
    return mask


@of_each
def bodies(image):
    """Masks of the body, bool (N, h, w), of slices as in `lungs`, with the air inside of it.

    It is the largest part that is not air along the border; other parts may be `foreign`.
    """
    regions, sizes = _air(image)
    parts, areas = _parts((regions == 0) | (sizes[regions] > 0))
    return parts == 1 + areas[1:].argmax()


@of_each
def foreign(image):
    """Masks of what lies in the air around the body, bool (N, h, w), of slices as in `lungs`.

    The table, clothes, and letters or arrows that were burned in. What touches the body, or was
    written over it, is not found.
    """
    near = ndimage.binary_dilation(bodies(image[None])[0], np.ones((3, 3)))
    return (image >= _threshold(image)) & ~near


def _air(image):
    """Regions of air in a slice, numbered from 1 (h, w), and their sizes: 0 outside of the body."""
    regions, sizes = _parts(ndimage.gaussian_filter(image, 0.7) < _threshold(image))
    border = np.concatenate([regions[[0, -1]].ravel(), regions[:, [0, -1]].ravel()])
    sizes[np.bincount(border, minlength=len(sizes)) > 2 * np.sqrt(sizes)] = 0
    return regions, sizes


def _parts(mask):
    """The connected parts of a mask, numbered from 1 (h, w), and their sizes; that of 0 is 0."""
    parts, _ = ndimage.label(mask)
    sizes = np.bincount(parts.ravel(), minlength=3)
    sizes[0] = 0
    return parts, sizes


def _parted(region):
    """The two lungs of a region (h, w) in which they touch in front of the heart, else itself.

    Closed as one, they would swallow what lies between them.
    """
    depth = ndimage.distance_transform_edt(region)
    for neck in NECKS:
        cores, sizes = _parts(depth > neck * min(region.shape))
        two = np.argsort(sizes)[-2:]
        if sizes[two[0]] > ALIKE * sizes[two[1]]:
            away = [ndimage.distance_transform_edt(cores != core) for core in two]
            nearer = away[0] < away[1]
            return [region & nearer, region & ~nearer]
    return [region]


def _threshold(image):
    """A grey between air and flesh, by Otsu's two groups (1979); 0 where there is no air."""
    counts = np.bincount(image.astype(np.uint8).ravel(), minlength=256)
    below, darker = np.cumsum(counts), np.cumsum(counts * np.arange(256))
    above = image.size - below
    low = darker / np.maximum(below, 1)
    high = (darker[-1] - darker) / np.maximum(above, 1)
    best = np.argmax(below * above * (high - low) ** 2.0)
    if low[best] > AIR * high[best]:
        return 0.0
    return low[best] + BETWEEN * (high[best] - low[best])


def _closed(region, radius):
    """A region (h, w) closed by a disc of that radius in pixels, its holes filled."""
    pad = int(radius) + 2
    apart = ndimage.distance_transform_edt(~np.pad(region, pad))
    wide = ndimage.distance_transform_edt(apart <= radius) > radius
    return ndimage.binary_fill_holes(wide[pad:-pad, pad:-pad] | region)
