"""Pre-train VGG-16's convolutions on drawn scenes: `python -m data.base`, or `make base`.

What ImageNet does for photographs, these scenes do for drawn pictures, and the same lesson holds:
many kinds of animal, several in one picture, anywhere in it, and a network that has to say which
heads are there. Trained on one large animal in the middle of each picture, the convolutions would
see the whole picture wherever they look, and an attention map could point anywhere.

None of it knows what ground-glass is: for DATASET=drawn-ct the convolutions go on from there and
learn which slices of other patients hold some.
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from PIL import Image

from data.drawing import ct
from data.drawing.pets import SPECIES, draw_crowd, draw_pet
from utils import settings
from utils.files import progress
from utils.model import IMAGENET_MEAN, pack_weights, unpack_weights
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


def chest(number, size):
    """One slice through a chest; (image, whether it holds ground-glass)."""
    label = ct.CLASSES[number % 2]
    image, _, _ = ct.draw_slice(number // 2, label, 0.6)
    grey = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    return np.repeat(np.asarray(grey)[..., None], 3, axis=-1), np.float32([label == "COVID"])


BASES = {  # the file to go on from, how many questions, learning rates, stages
    "drawn-pets": dict(
        start=None,
        questions=len(SPECIES),
        rates=(1e-4, 1e-3, 60),
        stages=(  # easy things first: a head that is hard to find is not learned from nothing
            dict(draw=single, size=64, count=6000, epochs=2),
            dict(draw=draw_crowd, size=96, count=5000, epochs=3),
            dict(draw=either, size=144, count=6000, epochs=1),
        ),
    ),
    "drawn-ct": dict(
        start=settings.ROOT / "data" / "vgg16_drawn.npz",
        questions=1,
        rates=(1e-5, 3e-4, 20),
        stages=(dict(draw=chest, size=80, count=2400, epochs=1),),
    ),
}


def scenes(draw, size, count, first):
    """Drawn scenes (count, size, size, 3) uint8 and what is in each (count, questions)."""
    numbers = range(first, first + count)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        drawn = pool.map(draw, numbers, [size] * count, chunksize=50)
        images, present = zip(*progress(drawn, "scenes drawn", total=count), strict=True)
    return np.stack(images), np.stack(present)


def normalised_vgg16(questions, start=None):
    """VGG-16's convolutions with batch normalisation, pooled into one logit for each question.

    start: a file of `pack_weights` whose kernels they begin with.
    """
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
    model = keras.Model(image, layers.Dense(questions, dtype="float32")(x))
    if start:
        weights = iter(unpack_weights(start))
        for convolution in kind(model, layers.Conv2D):
            convolution.set_weights([next(weights), next(weights)])
    return model


def kind(model, of):
    """The layers of one kind, from the input up."""
    return [layer for layer in model.layers if isinstance(layer, of)]


def train(model, rates, draw, size, count, epochs):
    """One stage: `epochs` rounds over `count` drawn scenes, the rate falling to nearly nothing.

    rates: the first, the highest, and how many steps lie between them.
    """
    first, highest, warmup = rates
    images, present = scenes(draw, size, count, FIRST)
    questions = present.shape[1]
    rate = keras.optimizers.schedules.CosineDecay(
        first, count // BATCH * epochs, alpha=0.02, warmup_target=highest, warmup_steps=warmup
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-3, clipnorm=1.0),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.AUC(multi_label=True, num_labels=questions, from_logits=True)],
    )
    dataset = tf.data.Dataset.from_tensor_slices((images, present))
    dataset = dataset.shuffle(count, seed=settings.SEED).batch(BATCH, drop_remainder=True)
    dataset = dataset.map(lambda x, y: (tf.cast(x, tf.float32), y)).prefetch(2)
    x, y = scenes(draw, size, 300, FIRST + count)
    validation = np.float32(x), y
    model.fit(dataset, epochs=epochs, validation_data=validation, verbose=2, shuffle=False)


def folded(model):
    """Kernels and biases that compute what each convolution and its normalisation compute."""
    pairs = kind(model, keras.layers.Conv2D), kind(model, keras.layers.BatchNormalization)
    weights = []
    for convolution, normalisation in zip(*pairs, strict=True):
        kernel, bias = convolution.get_weights()
        gamma, beta, mean, variance = normalisation.get_weights()
        gain = gamma / np.sqrt(variance + normalisation.epsilon)
        weights += [kernel * gain, (bias - mean) * gain + beta]
    return weights


def main():
    """Train through the stages, fold the normalisation into the kernels and pack them."""
    set_seed()
    keras.config.set_dtype_policy(policy())
    base = BASES[settings.DATASET]
    model = normalised_vgg16(base["questions"], base["start"])
    for stage in base["stages"]:
        train(model, base["rates"], **stage)
        pack_weights(settings.DRAWN_BASE, folded(model))
    print(f"{settings.DRAWN_BASE.name}: {settings.DRAWN_BASE.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
