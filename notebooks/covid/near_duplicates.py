"""Pictures that are nearly the same, and a split in which no two of them are on two sides.

Neighbouring slices of one patient, or one slice saved twice in two windows, make a test easy: the
network has seen the answer. Two measures that look at different things have to agree on a pair: a
perceptual hash (its coarse shape) and the correlation of its fine texture. In both, what all
pictures of the set have in common says nothing.
"""

import numpy as np
from PIL import Image
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter

from utils import settings

SIDE = 64  # pixels of the small square pictures that are compared
FREQUENCIES = 16  # of the cosines along each side that the hash looks at
FINE, COARSE = 0.7, 2.0  # pixels of a small picture: the texture lies between these two blurs
PRIOR = 10  # pictures without any texture that are added to the mean; it matters for small sets
BITS = 0.70  # the share of a hash that near-duplicates have in common; by chance it is 0.5
CORRELATION = 0.45  # of the texture of near-duplicates; by chance it is 0
JOINED = 0.25  # the share of the pairs between two clusters that have to be near-duplicates
BLOCK = 512  # rows of the table of all pairs that are in memory at a time


def alike(images, masks=None, *, bits=BITS, correlation=CORRELATION):
    """Near-duplicates: pairs i < j of pictures, int (M, 2), and the two measures of each, (M, 2).

    images: uint8 (N, h, w) or (N, h, w, 3). Each is cropped to the box around its mask, bool
    (N, ...) of any resolution, if there are masks: with the lungs' masks (`lungs.lungs`) neither
    the frame nor the size of the patient matters. Kept are the pairs of which each measure, the
    share of equal bits and the correlation, is at least its threshold. Time grows with N^2, memory
    with N.

    The thresholds were chosen on SARS-CoV-2 CT, as low as they can be without any pair of two
    classes, which are never of one patient. Most pairs that are missed there are slices of one
    patient further apart: no gap divides these from strangers.
    """
    pictures = small_pictures(images, masks)
    measures = [(hashes(pictures), 2 * bits - 1), (textures(pictures), correlation)]
    pairs, scores = [np.empty((0, 2), int)], [np.empty((0, 2))]
    for start in range(0, len(pictures), BLOCK):
        found = [rows[start : start + BLOCK] @ rows.T for rows, _ in measures]
        enough = np.all([a >= least for a, (_, least) in zip(found, measures, strict=True)], axis=0)
        i, j = np.nonzero(np.triu(enough, start + 1))
        pairs.append(np.stack([i + start, j], axis=1))
        scores.append(np.stack([(found[0][i, j] + 1) / 2, found[1][i, j]], axis=1))
    return np.concatenate(pairs), np.concatenate(scores)


def small_pictures(images, masks=None):
    """Grey pictures squashed to the same small square, float32 (N, SIDE, SIDE)."""
    small = np.empty((len(images), SIDE, SIDE), np.float32)
    for k, image in enumerate(images):
        grey = Image.fromarray(image).convert("L")
        box = None if masks is None else _box(masks[k], grey.size)
        small[k] = grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box)
    return small


def _box(mask, size):
    """The box (left, top, right, bottom) around a mask, in pixels of a picture (width, height)."""
    box = Image.fromarray(mask).getbbox()  # None for an empty mask
    return box and tuple(box * np.tile(np.divide(size, mask.shape[::-1]), 2))


def hashes(pictures):
    """A perceptual hash of each picture (N, SIDE, SIDE): bits -1 or 1 over their root, (N, B).

    So a product of two is 2 s - 1, with s the share of equal bits. A bit says whether a coefficient
    of the discrete cosine transform is above its median in the set; brightness and contrast cancel.
    """
    waves = dctn(pictures, axes=(1, 2), norm="ortho")[:, :FREQUENCIES, :FREQUENCIES]
    waves = waves.reshape(-1, FREQUENCIES**2)[:, 1:]  # the first is the brightness
    waves = waves / (np.linalg.norm(waves, axis=1, keepdims=True) + 1e-6)
    above = waves > (np.median(waves, axis=0) if len(waves) else 0)
    return (2 * above - 1).astype(np.float32) / np.float32(np.sqrt(waves.shape[1]))


def textures(pictures):
    """What is fine in each picture (N, SIDE, SIDE), less the set's mean: unit rows (N, SIDE^2).

    So a product of two is their correlation. A vessel counts as much as the edge of the body: the
    texture is divided by its own strength around each pixel.
    """
    fine = _blurred(pictures, FINE)
    fine = fine - _blurred(fine, COARSE)
    strength = np.sqrt(_blurred(fine**2, COARSE))
    fine = fine / (strength + 0.3 * strength.mean(axis=(1, 2), keepdims=True) + 1e-6)
    rows = _unit(fine.reshape(-1, SIDE**2))
    return _unit(rows - rows.sum(axis=0) / (len(rows) + PRIOR))


def _blurred(pictures, radius):
    return gaussian_filter(pictures, (0, radius, radius))


def _unit(rows):
    rows = rows - rows.mean(axis=1, keepdims=True)
    return rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-6)


def clusters(count, pairs):
    """In which cluster each of `count` pictures is, (count,): numbers from 1.

    Two clusters become one as long as a quarter of the pairs between them are near-duplicates
    (JOINED). So a row of four neighbours is one cluster, and one pair of strangers that look alike
    does not join two patients.
    """
    apart = np.ones((count, count), np.float32)
    apart[tuple(np.transpose(pairs))] = 0
    tree = linkage(apart[np.triu_indices(count, 1)], "average")
    return fcluster(tree, 1 - JOINED, "distance")


def cluster_split(classes, cluster, shares, seed=settings.SEED):
    """A side for each picture, text (N,): "train", or one of those that `shares` names.

    classes, cluster: (N,), the class and the cluster of each. shares: {"validation": 0.2, ...},
    of each class. In random order, a cluster goes to the first side that has room for all of it,
    else to train; so no cluster is on two sides, and a side lacks less than one cluster. With
    every picture a cluster of its own this is the ordinary stratified split.
    """
    names, index = np.unique(cluster, return_inverse=True)
    kinds, kind = np.unique(classes, return_inverse=True)
    counts = np.zeros((len(names), len(kinds)), int)
    np.add.at(counts, (index, kind), 1)
    room = {side: np.round(share * counts.sum(axis=0)) for side, share in shares.items()}
    sides = np.full(len(names), "train", dtype=f"U{max(map(len, ['train', *shares]))}")
    for k in np.random.default_rng(seed).permutation(len(names)):
        for side, left in room.items():
            if (counts[k] <= left).all():
                left -= counts[k]
                sides[k] = side
                break
    return sides[index]
