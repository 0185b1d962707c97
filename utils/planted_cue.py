"""A small tag in the corner of pictures of one class: evidence whose place is known for certain.

A network that learns from tagged pictures may look at the tag, like the one that knew horses by a
photographer's mark (Lapuschkin et al. 2019). Whether it does, its accuracy tells; whether a map
shows it, the energy in the tag's region tells.
"""

import numpy as np

from utils import settings

SIDE, SQUARE = 16, 4  # of the tag and of its squares, in pixels of a picture of side 150
EDGE = 4  # pixels left free: at the very edge the zero padding drowns the tag
PLACE = np.s_[:, EDGE : EDGE + SIDE, EDGE : EDGE + SIDE]  # top left, in arrays (N, H, W, ...)


def tag():
    """The tag, uint8 (SIDE, SIDE, 3): a small chess board in black and white."""
    down, across = np.indices((SIDE, SIDE)) // SQUARE
    return np.repeat(((down + across) % 2 * 255)[..., None], 3, axis=2).astype("uint8")


def tagged(images, chosen=True):
    """A copy of pictures (N, H, W, 3) with the tag in the top left corner where `chosen` (N,)."""
    images = np.array(images)
    images[PLACE] = np.where(np.reshape(chosen, (-1, 1, 1, 1)), tag(), images[PLACE])
    return images


def region(images):
    """Where the tag is or would be in pictures (N, H, W, 3), bool (N, H, W)."""
    mask = np.zeros(images.shape[:3], bool)
    mask[PLACE] = True
    return mask


def dosed(images, labels, dose, class_index, seed=settings.SEED):
    """The pictures with the tag on a share `dose` (0..1) of one class, the same each time.

    A larger dose tags the same pictures and more. The number of tagged pictures is rounded.
    """
    candidates = np.random.default_rng(seed).permutation(np.flatnonzero(labels == class_index))
    chosen = np.isin(np.arange(len(labels)), candidates[: round(dose * len(candidates))])
    return tagged(images, chosen)
