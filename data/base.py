"""VGG-16 from random weights on the photographs of a data set: `make base`, see data/README.md."""

import shutil

import numpy as np

from data.prepare import build_table
from utils import loading, model, settings
from utils.files import DataError, shown
from utils.runtime import keras, policy, tf

layers = keras.layers
EPOCHS = (71, 13, 21)  # with batch normalisation, with the pooling head, with the dense head
SCALE = 58.0  # about the standard deviation of the values of photographs
# PyTorch's decay of 5e-4 goes through the momentum, which makes it tenfold; Keras's does not.
SGD = dict(rule=keras.optimizers.SGD, momentum=0.9, nesterov=True, weight_decay=5e-3)
FIRST = SGD | dict(rate=0.06, batch=256, crop=0.4, smoothing=0.05, sides=[96, 128, 150])
THEN = dict(rule=keras.optimizers.AdamW, rate=4e-5, batch=64, crop=0.13, smoothing=0, sides=[150])


def base(epochs=EPOCHS):
    """Write vgg16_gap.npz and vgg16_dense.npz to results/<dataset>/base/; print their accuracy.

    epochs: of the three trainings; a stopped one goes on. DataError without pictures to train on.
    """
    table, folder = build_table(), settings.RESULTS_DIR / "base"
    if not (table["split"] == "train").any():
        raise DataError(f"{settings.DATASET} has no training pictures: choose another DATASET.")
    data = loading.load_examples(table[table["split"] == "train"])
    unseen, truth = loading.load_examples(table[table["split"].isin(["validation", "test"])])
    unfinished = folder / f"unfinished-{len(data[0])}-{'-'.join(map(str, epochs))}"
    keras.utils.set_random_seed(settings.SEED)  # a GPU may lack deterministic kernels
    weights = folded(fit(normalised(), data, epochs[0], unfinished / "normalised", **FIRST))
    for head, count, end in ("gap", epochs[1], None), ("dense", epochs[2], -2):  # its head is new
        network = model.build(head, None, settings.SIZE)
        network.set_weights(weights[:end] + network.get_weights()[len(weights[:end]) :])
        weights = fit(network, data, count, unfinished / head, **THEN).get_weights()
        model.pack_weights(path := folder / f"vgg16_{head}.npz", weights)
        network.set_weights(model.unpack_weights(path))
        right = (model.logits(network, unseen).argmax(1) == truth).mean()
        print(f"{shown(path)}: accuracy {right:.3f} on {len(truth)} pictures it never saw")
    shutil.rmtree(unfinished)
    print(f"To start from it: VGG16_WEIGHTS={shown(folder / 'vgg16_gap.npz')} make figures")


def normalised():
    """VGG-16 with batch normalisation and a pooling head, for RGB in 0..255 of any size."""
    x = image = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / SCALE, [-mean / SCALE for mean in model.IMAGENET_MEAN])(x)
    for layer in model.build("gap", None).layers:
        if isinstance(layer, layers.Conv2D):
            x = layers.Conv2D(layer.filters, 3, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x))
        elif isinstance(layer, layers.MaxPooling2D):
            x = layers.MaxPooling2D()(x)
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model([image], layers.Dense(2, name="logits")(x))


def folded(network):
    """The weights with which `build("gap")` computes what a `normalised` network does, a list."""
    weights = []
    for layer in network.layers:
        weights += layer.get_weights()
        if isinstance(layer, layers.BatchNormalization):
            *weights, kernel, gamma, beta, mean, variance = weights
            factor = gamma / np.sqrt(variance + layer.epsilon)
            weights += [kernel * factor, beta - mean * factor]
    return [weights[0] / SCALE, *weights[1:]]


def fit(network, data, epochs, state, *, rule, rate, batch, crop, sides, smoothing, **own):
    """The network, trained on changed pictures, with each of `sides` (of 150 pixels) in turn.

    data: pictures (N, S, S, 3), classes (N,). crop: part of a side that may go. state: a folder.
    """
    steps = epochs * -(-len(data[0]) // batch)
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps, 0.0, "rate", rate, steps // 20)
    mean = dict(use_ema=True, ema_momentum=max(0.0, 1 - 10 / steps))  # of the weights, over a tenth
    optimizer = rule(rate, global_clipnorm=2.0, **mean, **own)
    sizes = np.repeat(np.multiply(sides, settings.SIZE) // 150, -(-steps // len(sides)))
    flip, turn = layers.RandomFlip("horizontal"), layers.RandomRotation(crop / 10)
    shift = layers.RandomTranslation(crop / 2, crop / 2)
    zoom = layers.RandomZoom((-crop, 0), (-crop, 0))
    hole = layers.RandomErasing((crop, crop), (0.09, 0.09), list(model.IMAGENET_MEAN))
    size = layers.Lambda(lambda x: tf.image.resize(x, [tf.gather(sizes, optimizer.iterations)] * 2))
    colour = layers.RandomColorJitter((0, 255), 0.14, 0.4, (0.2, 0.58), 0.04)
    changes = [flip, turn, shift, zoom, hole, size, colour, layers.Lambda(noisy)]
    network = model.in_policy(network, policy())
    learner = keras.Sequential([keras.Input(data[0].shape[1:]), *changes, network])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    learner.compile(optimizer, loss, jit_compile=False)
    kept = keras.callbacks.BackupAndRestore(state, double_checkpoint=True, delete_checkpoint=False)
    print(f"Training: {state.name}")
    learner.fit(data[0], np.eye(2)[data[1]], batch, epochs, verbose=2, callbacks=[kept])
    return network


def noisy(images):
    """Pictures with Gaussian noise in six of ten, each of its own deviation, up to 80 levels."""
    each = (tf.shape(images)[0], 1, 1, 1)
    sigma = tf.random.uniform(each, 0, 80) * tf.cast(tf.random.uniform(each) < 0.6, "float32")
    return images + sigma * tf.random.normal(tf.shape(images))


if __name__ == "__main__":
    try:
        base([max(1, round(n * settings.number("EPOCHS", 71) / 71)) for n in EPOCHS])
    except (DataError, ValueError) as error:
        raise SystemExit(str(error)) from None
