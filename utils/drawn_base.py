"""Pre-train VGG-16's convolutions on drawn scenes: `python -m utils.drawn_base`, or `make base`.

What ImageNet does for photographs, these scenes do for drawn pictures, and the same lesson holds:
many kinds of animal, several in one picture, anywhere in it, and a network that has to say which
heads are there. Trained on one large animal in the middle of each picture, the convolutions would
see the whole picture wherever they look, and an attention map could point anywhere.
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from utils import settings
from utils.drawn_pets import SPECIES, draw_crowd, draw_pet
from utils.model import DRAWN_BASE, IMAGENET_MEAN, pack_weights
from utils.progress import progress
from utils.runtime import keras, policy, set_seed, tf

BATCH = 32
BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))  # convolutions and channels
FIRST = 1_000_000  # number of the first scene: none of the data set's pictures is among them


def single(number, size):
    """One animal of any species, large in the picture; (image, present)."""
    kind = number % len(SPECIES)
    return draw_pet(number, SPECIES[kind], size)[0], np.eye(len(SPECIES), dtype="float32")[kind]


def either(number, size):
    """One large animal or a crowd, in turn: heads of every size; (image, present)."""
    return (single if number % 2 else draw_crowd)(number // 2, size)


STAGES = (  # easy things first: a head that is hard to find is not learned from nothing
    dict(draw=single, size=64, count=6000, epochs=2),
    dict(draw=draw_crowd, size=96, count=5000, epochs=3),
    dict(draw=either, size=144, count=6000, epochs=1),
)


def scenes(draw, size, count, first):
    """Drawn scenes (count, size, size, 3) uint8 and which species are in each (count, 6)."""
    numbers = range(first, first + count)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        drawn = pool.map(draw, numbers, [size] * count, chunksize=50)
        images, present = zip(*progress(drawn, "scenes drawn", total=count), strict=True)
    return np.stack(images), np.stack(present)


def normalised_vgg16():
    """VGG-16's convolutions with batch normalisation, pooled into one logit for each species."""
    layers = keras.layers
    image = keras.Input((None, None, 3))
    x = layers.Rescaling(1.0, [-mean for mean in IMAGENET_MEAN])(image)
    for block, (depth, channels) in enumerate(BLOCKS, 1):
        if block > 1:
            x = layers.MaxPooling2D()(x)
        for _ in range(depth):
            conv = layers.Conv2D(channels, 3, padding="same", kernel_initializer="he_normal")
            x = layers.ReLU()(layers.BatchNormalization(momentum=0.95)(conv(x)))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(len(SPECIES), dtype="float32")(x))


def train(model, draw, size, count, epochs):
    """One stage: `epochs` rounds over `count` drawn scenes, the rate falling to nearly nothing."""
    images, present = scenes(draw, size, count, FIRST)
    rate = keras.optimizers.schedules.CosineDecay(
        1e-4, count // BATCH * epochs, alpha=0.02, warmup_target=1e-3, warmup_steps=60
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-3, clipnorm=1.0),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.AUC(multi_label=True, num_labels=len(SPECIES), from_logits=True)],
    )
    dataset = tf.data.Dataset.from_tensor_slices((images, present))
    dataset = dataset.shuffle(count, seed=settings.SEED).batch(BATCH, drop_remainder=True)
    dataset = dataset.map(lambda x, y: (tf.cast(x, tf.float32), y)).prefetch(2)
    x, y = scenes(draw, size, 300, FIRST + count)
    validation = np.float32(x), y
    model.fit(dataset, epochs=epochs, validation_data=validation, verbose=2, shuffle=False)


def folded(model):
    """Kernels and biases that compute what each convolution and its normalisation compute."""
    kinds = keras.layers.Conv2D, keras.layers.BatchNormalization
    convolutions, normalisations = ([la for la in model.layers if isinstance(la, k)] for k in kinds)
    weights = []
    for convolution, normalisation in zip(convolutions, normalisations, strict=True):
        kernel, bias = convolution.get_weights()
        gamma, beta, mean, variance = normalisation.get_weights()
        gain = gamma / np.sqrt(variance + normalisation.epsilon)
        weights += [kernel * gain, (bias - mean) * gain + beta]
    return weights


def main():
    """Train through the stages, fold the normalisation into the kernels and pack them."""
    set_seed()
    keras.config.set_dtype_policy(policy())
    model = normalised_vgg16()
    for stage in STAGES:
        train(model, **stage)
        pack_weights(DRAWN_BASE, folded(model))
    print(f"{DRAWN_BASE.name}: {DRAWN_BASE.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
