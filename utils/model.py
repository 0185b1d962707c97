"""VGG-16 with the report's dense head and with the pooling head of CAM; training that resumes."""

import hashlib
import json
import shutil
import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from utils import settings
from utils.files import WRITTEN_BY, progress, read, shown, whole
from utils.networks import flat
from utils.runtime import keras, policy, set_seed, strategy, tf

HEADS = ("dense", "gap")
SHIPPED = {  # networks that have seen photographs of cats and dogs, see data/README.md
    head: settings.ROOT / "data" / f"vgg16_photographs_{head}.npz" for head in HEADS
}
IMAGENET_MEAN = (123.68, 116.779, 103.939)  # red, green, blue; what VGG-16's authors subtract


def build(head, weights=settings.VGG16_WEIGHTS, side=settings.SIZE):
    """The report's VGG-16 for two classes, in float32; RGB pictures in 0..255 to two logits.

    head "dense": max pooling, a dense layer of 256 with dropout 0.5, the output (report, section
    3.5). "gap": global average pooling of block5_conv3 and one linear layer (section 3.3.2).
    weights: "photographs", "imagenet", a file of VGG-16 without its top or of `make base` (.npz),
    or None (random).
    side: of the pictures, in pixels. The graph is flat, so that any layer can be reached. Raises
    ValueError for another head.
    """
    if head not in HEADS:
        raise ValueError(f"head={head!r} is not known; choose one of {HEADS}.")
    layers = keras.layers
    image = keras.Input((side, side, 3), name="image")
    x = layers.Rescaling(1.0, [-mean for mean in IMAGENET_MEAN], name="subtract_mean")(image)
    base = keras.applications.VGG16(include_top=False, weights=None, input_tensor=x)
    if weights is not None:
        base.set_weights(base_weights(weights))
    if head == "dense":
        x = layers.Flatten(name="flatten")(base.output)
        x = layers.Dense(256, "relu", kernel_initializer="he_normal", name="dense")(x)
        x = layers.Dropout(0.5, name="dropout")(x)
    else:
        x = layers.GlobalAveragePooling2D(name="gap")(base.get_layer("block5_conv3").output)
    logits = layers.Dense(2, dtype="float32", name="logits")(x)
    return keras.Model([image], logits, name=f"vgg16_{head}")


def base_weights(source):
    """The kernels and biases of VGG-16's thirteen convolutions, for RGB input, as a list.

    source: as `weights` of `build`, with a path from the project's folder or from the current one.
    Raises ValueError for a file that holds something else.
    """
    if str(source) == "photographs":
        return unpack_weights(SHIPPED["gap"])[:-2]
    path = _file(source)
    try:
        if path.suffix == ".npz":
            base = keras.applications.VGG16(include_top=False, weights=None)
            base.set_weights(unpack_weights(path)[: len(base.weights)])  # the rest is a head
            return base.get_weights()
        base = keras.applications.VGG16(
            include_top=False, weights=path if path.is_file() else source
        )
    except Exception as error:
        if source != "imagenet":
            raise ValueError(
                f"VGG16_WEIGHTS={source} is no file with the weights of VGG-16 without its top: "
                f"{str(error).split('. ')[0]}"  # its first sentence
            ) from error
        raise RuntimeError(
            f"ImageNet's weights could not be fetched ({str(error).splitlines()[0]}). With a "
            "network, run this again. Without one, put the file "
            "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5 into ~/.keras/models/, or set "
            "VGG16_WEIGHTS to such a file, or to photographs for the base that comes with this."
        ) from None
    kernel, *rest = base.get_weights()
    return [kernel[:, :, ::-1], *rest]  # Keras' files expect blue, green, red


def _file(weights):
    """Where a file with weights is: relative to the project, however deep a notebook runs in it."""
    inside = settings.ROOT / weights
    return inside if inside.is_file() else Path(weights)


def shipped(head):
    """The network of that head that comes with this: it has seen photographs, see data/README.md.

    Cat or dog, from RGB pictures of 150 x 150 in 0..255 to two logits, in float32.
    """
    network = build(head, None, 150)
    network.set_weights(unpack_weights(SHIPPED[head]))
    return network


def unpack_weights(path):
    """The arrays in a file: 8-bit kernels times one step per output channel, biases as they are."""
    with np.load(path) as packed:
        count = len(packed.files) // 2
        return [np.float32(packed[f"array_{i}"] * packed[f"step_{i}"]) for i in range(count)]


def pack_weights(path, weights):
    """Write arrays so that `unpack_weights` reads them: kernels (..., channels), and biases."""
    arrays = {}
    for i, array in enumerate(weights):
        step = np.float32(1)
        if array.ndim > 1:
            most = np.abs(array).max(axis=tuple(range(array.ndim - 1)))
            step = np.float32(np.where(most > 0, most, 1) / 127)
            array = np.round(array / step).astype("int8")
        arrays |= {f"array_{i}": array, f"step_{i}": step}
    with whole(path) as part:
        np.savez_compressed(part, **arrays)


def in_policy(model, name):
    """The same network, same weights, computing in the dtype policy `name`."""

    def same_layer(layer):
        config = layer.get_config()
        if layer.name != "logits":  # the score stays in float32 in any policy
            config["dtype"] = name
        return type(layer).from_config(config)

    twin = keras.models.clone_model(model, clone_function=same_layer)
    twin.set_weights(model.get_weights())
    return keras.Model(twin.inputs, twin.outputs[0], name=model.name)


def fast(model):
    """The same network in the precision that is best here for maps: itself, where that is float32.

    In bfloat16, weights included, where a trial shows the machine to gain by it. SmoothGrad, CAM
    and Grad-CAM bear that: their maps change less than by another noise seed, or not to be seen. A
    saliency map is one gradient with nothing to average its rounding out: give it `model` itself.
    """
    if policy() == "float32":
        return model
    return in_policy(flat(model), "bfloat16")


def load(name):
    """The trained network of that name ("dense", "gap"), in float32, as its notebook wrote it.

    Raises ValueError for a damaged file, and for one that holds code: none is run.
    """
    name = f"vgg16_{name}"
    path, notebook = settings.MODELS / f"{name}.keras", WRITTEN_BY[name]
    try:
        return keras.models.load_model(read(path, name), compile=False)  # in safe mode
    except (ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:  # OSError is the disk's
        code = "Lambda" in str(error)
        reason = "it holds code, and none is run" if code else "it is damaged, or not of this Keras"
        raise ValueError(
            f"{shown(path)} cannot be used: {reason}. Remove it and run notebooks/{notebook}.ipynb."
        ) from None


def randomised(model, seed=settings.SEED + 1000):
    """Yield (layer name, network), one layer after another made random, from the logits down.

    Each layer with weights gets new ones from its own initialiser and keeps them; the last network
    has learnt nothing. It is one and the same network all along, `copied`: use it before asking for
    the next. The seed must be no training's: with that it would draw again the very weights that
    the training began with. Cascading randomisation, Adebayo et al. 2018.
    """
    set_seed(seed)
    fresh, network = keras.models.clone_model(model), copied(model)
    for layer in reversed(network.layers):
        if layer.weights:
            layer.set_weights(fresh.get_layer(layer.name).get_weights())
            yield layer.name, network


def copied(model):
    """A copy of the network, the same at each call, so that what it is asked is compiled once."""
    twin = _twin(model)
    twin.set_weights(model.get_weights())
    return twin


@lru_cache(maxsize=4)
def _twin(model):
    twin = keras.models.clone_model(model)
    return keras.Model(twin.inputs, twin.outputs[0], name=model.name)


def logits(model, images, batch=32):
    """The network's scores before the softmax, float32 (N, classes); images (N, 150, 150, 3)."""
    score = _score(model)
    parts = [np.empty((0, model.output_shape[-1]), "float32")]
    for i in progress(range(0, len(images), batch), "prediction, batches"):
        parts.append(score(tf.constant(images[i : i + batch], tf.float32)).numpy())
    return np.concatenate(parts)


@lru_cache(maxsize=2)
def _score(model):
    """The network as one graph for any number of pictures, which is there when asked for again."""

    def score(x):
        if not isinstance(model, keras.Sequential):  # Keras warns where a list is expected
            x = keras.tree.map_structure(lambda _: x, model.input)
        return model(x, training=False)

    pictures = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
    return tf.function(score, autograph=False).get_concrete_function(pictures)


def probabilities(scores):
    """Softmax of logits (N, classes)."""
    return np.exp(scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True))


def predictions(model, images, rows, classes):
    """What the network says of each picture, and which class its maps are to explain, as a table.

    rows: their table from `loading.load_table`. Adds predicted and probability; class_index,
    the predicted class, or the row's label where the picture holds both; and that class's logit.
    """
    scores = logits(model, images)
    predicted = scores.argmax(1)
    asked = rows["label"].map(classes.index).to_numpy()
    class_index = np.where(rows["split"] == "both", asked, predicted).astype("int32")
    each = np.arange(len(rows))
    return rows.filter(regex="^(image|label|split|scene|.*_mask)$").assign(
        predicted=np.array(classes)[predicted],
        probability=probabilities(scores)[each, predicted],
        class_index=class_index,
        explained=np.array(classes)[class_index],
        logit=scores[each, class_index],
    )


def train(
    head,
    images,
    labels,
    validation,
    *,
    name=None,
    seed=settings.SEED,
    epochs=settings.EPOCHS,
    batch=16,
    learning_rate=settings.LEARNING_RATE,
):
    """Fine-tune all parameters of `build(head)`, or load what an equal training left behind.

    First the classifier alone, on the base as it is; then everything, mirrored at random, with a
    rate that rises to `learning_rate` and falls to nothing. images (N, 150, 150, 3) uint8, labels
    (N,) int, validation a pair of the same. name: of the file vgg16_<name>.keras, the head's unless
    given. seed: of first weights, order and dropout. Returns the network in float32 and the
    history, a table with a row for each epoch; 0 is the classifier alone. A training that was
    stopped goes on after its last epoch. Networks are known by a fingerprint of settings and data,
    so that none is mistaken for another. Without pictures to learn from it is the shipped network
    as it is. Raises FloatingPointError when the loss is not a number.
    """
    name = name or head
    recipe = dict(head=head, weights=str(settings.VGG16_WEIGHTS), policy=policy(), seed=seed)
    recipe |= dict(epochs=epochs, batch=batch, learning_rate=learning_rate)
    known = _fingerprint(recipe, _bytes_of(settings.VGG16_WEIGHTS), images, labels, *validation)
    trained = settings.MODELS / f"vgg16_{name}.keras"
    if (found := _record(trained)) and found["fingerprint"] == known:
        return keras.models.load_model(trained, compile=False), pd.DataFrame(found["history"])

    unfinished = settings.MODELS / f"unfinished-{name}-{known}"
    set_seed(seed)
    if not len(images):
        model = build(head) if settings.SMOKE else shipped(head)
        history = pd.DataFrame(columns=["epoch", "loss", "accuracy", "val_loss", "val_accuracy"])
        _save(trained, model, recipe | dict(fingerprint=known, history=history.to_dict("list")))
        return model, history
    model = in_policy(build(head, recipe["weights"]), recipe["policy"])
    if not _kept(unfinished):
        _warm_up(model, images, labels)
    training = _batches(images, labels, batch, seed)
    model = _on_all_devices(model, learning_rate, epochs * len(training))
    history = _fitted(model, training, _batches(*validation, 2 * batch), epochs, unfinished)
    finite = np.isfinite(history["loss"][1:]).all()
    if finite:
        model = in_policy(model, "float32")
        _save(trained, model, recipe | dict(fingerprint=known, history=history.to_dict("list")))
    for folder in settings.MODELS.glob(f"unfinished-{name}-*"):
        shutil.rmtree(folder)
    if not finite:
        raise FloatingPointError(
            f"The loss of {name} is not a number. Try a smaller learning_rate, or "
            "PRECISION=float32."
        )
    return model, history


def fingerprint(name):
    """What the training of the network of that name is known by, from the file beside it."""
    return _record(settings.MODELS / f"vgg16_{name}.keras")["fingerprint"]


def _fingerprint(recipe, *arrays):
    """A short name for a training: its settings, its base and every byte of its data."""
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()[:12]


def _bytes_of(weights):
    """The content of the file with the weights; nothing for ImageNet, which never changes."""
    path = SHIPPED["gap"] if weights == "photographs" else _file(weights)
    return np.fromfile(path, "uint8") if path.is_file() else np.empty(0, "uint8")


def _warm_up(model, images, labels, epochs=6):
    """Train the classifier alone, on the features of the base, which are computed once.

    A random classifier would send large, meaningless gradients down into the trained base.
    """
    first = next(i for i, layer in enumerate(model.layers) if isinstance(layer, keras.layers.Dense))
    base = keras.Model(model.inputs, model.layers[first - 1].output)
    features = logits(base, images)
    x = given = keras.Input(features.shape[1:])
    for layer in model.layers[first:]:
        x = layer(x)
    classifier = keras.Model(given, x)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile(keras.optimizers.Adam(1e-3), loss, jit_compile=False)
    classifier.fit(features, labels, batch_size=32, epochs=epochs, verbose=0)


def _on_all_devices(model, learning_rate, steps):
    """The network ready to train, at a rate that rises in a tenth of the steps, then falls."""
    first = steps // 10
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - first, warmup_target=learning_rate, warmup_steps=first
    )
    with strategy().scope():
        model = in_policy(model, model.layers[1].dtype_policy.name)
        model.compile(
            keras.optimizers.Adam(rate, clipnorm=1.0),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            jit_compile=False,  # XLA's convolutions are slow on processors
        )
    return model


def _batches(images, labels, batch, seed=None):
    """Pictures and labels in batches, in memory once.

    With a seed, to train: in a new order each epoch, mirrored at random. Several devices share a
    batch evenly, so that they train without the last pictures of an epoch.
    """
    training, devices = seed is not None, strategy().num_replicas_in_sync
    batch = max(1, min(batch, len(images)) // devices) * devices  # Keras fails on an uneven first
    with tf.device("CPU"):
        images, labels = tf.constant(images), tf.constant(labels)

    def fetch(places, numbers):
        pictures = tf.gather(images, places)
        if training:
            odd = tf.reshape(numbers % 2 == 1, (-1, 1, 1, 1))
            pictures = tf.where(odd, pictures[:, :, ::-1], pictures)
        return tf.cast(pictures, tf.float32), tf.gather(labels, places)

    places = tf.data.Dataset.range(len(images))
    if training:
        places = places.shuffle(len(images), seed)
    numbered = tf.data.Dataset.zip(places, tf.data.Dataset.random(seed))
    return numbered.batch(batch, drop_remainder=training and devices > 1).map(fetch).prefetch(2)


def _kept(folder):
    """Whether a state is kept there: a kill in the first epoch leaves none, or half of one."""
    return (folder / "state" / "training_metadata.json").exists()


def _fitted(model, training, validation, epochs, folder):
    """Train a network, from the end of its last epoch in the folder on; the history as a table."""
    log, state = folder / "history.csv", folder / "state"
    folder.mkdir(parents=True, exist_ok=True)
    if not _kept(folder):
        shutil.rmtree(state, ignore_errors=True)
    steps = progress(range(epochs * len(training)), "training, batches")
    columns = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]

    def note(epoch, logs):
        row = pd.DataFrame([{"epoch": epoch + 1} | logs], columns=columns)
        row.to_csv(log, mode="a", header=not log.exists(), index=False)

    if not log.exists():
        found = model.evaluate(validation, return_dict=True, verbose=0)
        note(-1, {f"val_{key}": value for key, value in found.items()})

    model.fit(
        training,
        validation_data=validation,
        epochs=epochs,
        verbose=0,
        shuffle=False,  # the pipeline has done it
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs: next(steps, None), on_epoch_end=note
            ),
            keras.callbacks.TerminateOnNaN(),
            keras.callbacks.BackupAndRestore(
                state, double_checkpoint=True, delete_checkpoint=False
            ),
        ],
    )
    steps.close()
    history = pd.read_csv(log)  # where an epoch stands twice, it was killed before it was kept
    return history.drop_duplicates("epoch", keep="last").reset_index(drop=True)


def _save(path, model, record):
    """Write a network, and beside it, as .json, what it is and the checksum of its file."""
    with whole(path) as part:
        model.save(part)
        record = record | dict(sha256=_checksum(part))
    with whole(path.with_suffix(".json")) as beside:
        beside.write_text(json.dumps(record, indent=1))


def _record(path):
    """What is written beside a network; None if there is none, or it tells of another file."""
    record = path.with_suffix(".json")
    if not (path.exists() and record.exists()):
        return None
    content = json.loads(record.read_text())
    return content if content["sha256"] == _checksum(path) else None


def _checksum(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
