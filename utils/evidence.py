"""What the report's claims are tested with: maps of many networks and of many noisy copies."""

from itertools import permutations

import numpy as np
import pandas as pd

from utils import attention, evaluation, model


def spread(rows, most):
    """At most that many rows of a table, evenly spread over it."""
    return rows.iloc[np.unique(np.linspace(0, len(rows) - 1, most).astype(int))]


def quick_maps(network, images, class_index, n=5, sigma=0.2):
    """Maps of the three techniques that explain any network, as a dict; n, sigma: SmoothGrad's."""
    return {
        "saliency": attention.saliency_map(network, images, class_index),
        "smoothgrad": attention.smoothgrad(network, images, class_index, n=n, sigma=sigma),
        "grad_cam": attention.grad_cam(network, images, class_index),
    }


def cascade(network, steps, draw):
    """What `draw` makes of a network as it is, and made random down to each of the layers `steps`.

    A list, one entry longer than steps. A layer that the network lacks changes nothing.
    """
    drawn = {None: draw(network)}
    drawn |= {name: draw(n) for name, n in model.randomised(network) if name in steps}
    return list(pd.Series(drawn).reindex([None, *steps]).ffill())


def noisy_copies(image, n, sigma):
    """The n pictures I + N(0, sigma^2) of one picture (H, W, C) that SmoothGrad sees, unclipped."""
    noise = np.stack([attention.noise_of(0, sample, image.shape) for sample in range(n)])
    return image + np.float32(sigma * np.ptp(np.float32(image))) * noise


def split_half(network, image, class_index, counts, sigma):
    """How two SmoothGrad maps of n samples each, none in common, correlate: (r(n), r_1).

    r(n) at each n of counts, from 2 max(counts) samples of one picture; r_1 is the mean over as
    many pairs of single samples.
    """
    copies = noisy_copies(image, 2 * max(counts), sigma)
    samples = attention.saliency_map(network, copies, class_index)
    a, b = samples[0::2], samples[1::2]
    grown = [np.stack([half[:n].mean(0) for n in counts]) for half in (a, b)]
    return evaluation.correlation(*grown), evaluation.correlation(a, b).mean()


def retention(network, images, class_index, n, sigma):
    """The share of each picture's n noisy copies that the network takes for the class, (N,)."""
    spans = np.float32(sigma) * np.ptp(np.float32(images), axis=(1, 2, 3), keepdims=True)
    noises = (attention.noise_of(0, sample, images.shape[1:]) for sample in range(n))
    scores = [model.logits(network, images + spans * noise) for noise in noises]
    return np.mean([s.argmax(1) == class_index for s in scores], axis=0)


def under_noise(network, images, class_index, masks, n, sigma):
    """What sigma does to pictures and to their SmoothGrad maps, (N, 4).

    The share of the n copies that keep their class, the share of their values that leave 0..255,
    the map's energy in the masks (N, H, W), and its total variation.
    """
    kept = retention(network, images, class_index, n, sigma)
    copies = np.stack([noisy_copies(image, n, sigma) for image in images])
    outside = ((copies < 0) | (copies > 255)).mean((1, 2, 3, 4))
    maps = attention.smoothgrad(network, images, class_index, n=n, sigma=sigma)
    energy, variation = evaluation.energy_inside(maps, masks), evaluation.total_variation(maps)
    return np.stack([kept, outside, energy, variation], axis=1)


def over_seeds(seeded, a, b):
    """Mean rank correlation of technique a on one training with b on another, over all such pairs.

    seeded: for each training a dict from technique to maps (N, h, w) of the same pictures.
    """
    return np.mean(
        [
            evaluation.rank_correlation(one[a], other[b]).mean()
            for one, other in permutations(seeded, 2)
        ]
    )
