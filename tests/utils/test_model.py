import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from utils import model, settings
from utils.runtime import keras, set_seed

SIDES = {"block1": 150, "block2": 75, "block3": 37, "block4": 18, "block5": 9}
CHANNELS = {"block1": 64, "block2": 128, "block3": 256, "block4": 512, "block5": 512}


@pytest.fixture(scope="module")
def dense():
    keras.utils.set_random_seed(0)
    return model.build("dense", weights=None)


def test_the_network_is_the_reports_layer_by_layer(dense):
    convolutions = [layer for layer in dense.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(convolutions) == 13
    for layer in convolutions:
        block = layer.name.split("_")[0]
        assert tuple(layer.output.shape[1:]) == (SIDES[block], SIDES[block], CHANNELS[block])
    after = dense.layers[dense.layers.index(convolutions[-1]) + 1 :]
    shapes = [(layer.name, tuple(layer.output.shape[1:])) for layer in after]
    assert shapes == [
        ("block5_pool", (4, 4, 512)),
        ("flatten", (8192,)),
        ("dense", (256,)),
        ("dropout", (256,)),
        ("logits", (2,)),
    ]
    assert dense.get_layer("dropout").rate == 0.5
    assert dense.get_layer("logits").activation is keras.activations.linear
    assert dense.input_shape == (None, 150, 150, 3)


def test_all_16_812_610_parameters_are_trained(dense):
    assert dense.count_params() == 16_812_610
    assert sum(int(np.prod(w.shape)) for w in dense.trainable_weights) == 16_812_610


def test_the_pooling_head_ties_the_last_convolution_to_the_output():
    gap = model.build("gap", weights=None)
    assert [layer.name for layer in gap.layers[-3:]] == ["block5_conv3", "gap", "logits"]
    assert gap.layers[-3].output.shape[1:] == (9, 9, 512)


def test_an_unknown_head_lists_the_known_ones():
    with pytest.raises(ValueError, match="'attention' is not known; choose one of .*gap"):
        model.build("attention")


def test_preprocessing_inside_equals_keras_own_outside(tmp_path):
    keras.utils.set_random_seed(1)
    theirs = keras.applications.VGG16(include_top=False, weights=None, input_shape=(150, 150, 3))
    path = tmp_path / "base.weights.h5"
    theirs.save_weights(path)
    ours = model.build("dense", weights=path)
    inside = keras.Model(ours.inputs, ours.get_layer("block5_pool").output)
    images = np.random.default_rng(0).integers(0, 255, (2, 150, 150, 3)).astype("float32")
    expected = theirs.predict_on_batch(keras.applications.vgg16.preprocess_input(images.copy()))
    np.testing.assert_allclose(
        inside.predict_on_batch(images), expected, rtol=1e-3, atol=1e-4 * expected.max()
    )


def test_a_file_without_weights_is_named(tmp_path):
    path = tmp_path / "other.weights.h5"
    path.write_text("no weights")
    with pytest.raises(ValueError, match="other.weights.h5 is no file with the weights"):
        model.build("dense", weights=path)


def test_without_a_network_the_imagenet_error_says_where_to_put_which_file(monkeypatch):
    def fail(**_):
        raise Exception("URL fetch failure on https://example.org: None -- Name not known")

    monkeypatch.setattr(keras.applications, "VGG16", fail)
    with pytest.raises(RuntimeError, match=r"put the file vgg16_\w+_notop.h5 into .*VGG16_WEIGHTS"):
        model.base_weights("imagenet")


def test_packed_weights_are_steps_of_their_channel(tmp_path):
    kernel, step = np.array([[1, -2], [3, 4]], "int8"), np.float32([0.5, 10])
    arrays = {
        "array_0": kernel,
        "step_0": step,
        "array_1": np.float32([7]),
        "step_1": np.float32(1),
    }
    np.savez(tmp_path / "packed.npz", **arrays)
    back, bias = model.unpack_weights(tmp_path / "packed.npz")
    np.testing.assert_array_equal(back, [[0.5, -20], [1.5, 40]])
    np.testing.assert_array_equal(bias, [7])


def test_packing_costs_kernels_half_a_step_of_their_channel_and_biases_nothing(tmp_path):
    kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 4)).astype("float32") * [0, 1, 10, 1e-3]
    bias = np.float32([0.1, -1e6, 0, 3])
    model.pack_weights(tmp_path / "packed.npz", [np.float32(kernel), bias])
    back, same = model.unpack_weights(tmp_path / "packed.npz")
    step = np.abs(kernel).max(axis=(0, 1, 2)) / 127
    assert (np.abs(back - kernel) <= step * 0.501).all() and back.any()
    np.testing.assert_array_equal(same, bias)


@pytest.mark.parametrize("head", model.HEADS)
def test_a_shipped_network_fits_and_is_the_file_that_the_page_on_the_data_names(head):
    path = model.SHIPPED[head]
    shapes = [weights.shape for weights in model.build(head, weights=None).get_weights()]
    assert [array.shape for array in model.unpack_weights(path)] == shapes
    content, page = path.read_bytes(), settings.ROOT / "data" / "README.md"
    (line,) = [line for line in page.read_text().splitlines() if f"`{path.name}` |" in line]
    assert f"| {len(content):,} | `{hashlib.sha256(content).hexdigest()}` |" in line


def test_with_nothing_to_learn_from_a_training_gives_the_shipped_network(monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "MODELS", tmp_path)
    nothing = np.empty((0, 150, 150, 3), "uint8"), np.empty(0, "int32")
    network, history = model.train("gap", *nothing, nothing)
    assert same_weights(network, model.shipped("gap")) and not len(history)
    assert same_weights(network, model.load("gap")), "and it is there for the other notebooks"


def test_the_shipped_base_is_the_convolutions_of_the_pooling_network():
    base = model.base_weights("photographs")
    assert sum(array.size for array in base) == 14_714_688
    np.testing.assert_array_equal(base[0], model.unpack_weights(model.SHIPPED["gap"])[0])


@pytest.mark.parametrize("head", model.HEADS)
def test_the_file_of_a_packed_network_is_a_base_by_its_path_in_the_project(
    head, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)  # as notebooks run elsewhere than make
    base = model.base_weights(f"data/vgg16_photographs_{head}.npz")
    expected = model.unpack_weights(model.SHIPPED[head])[:26]  # a kernel and a bias of each of 13
    assert all(map(np.array_equal, base, expected)) and len(base) == 26


@pytest.mark.parametrize("content", ["no file", "no archive", "other arrays"])
def test_a_packed_file_without_a_base_is_named(content, tmp_path):
    path = tmp_path / "other.npz"
    if content == "no archive":
        path.write_text(content)
    elif content == "other arrays":
        np.savez(path, array_0=np.ones(2), step_0=1)
    with pytest.raises(ValueError, match="other.npz is no file with the weights of VGG-16"):
        model.base_weights(path)


def test_a_base_made_anew_is_another_one(monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    (tmp_path / "base.npz").write_bytes(b"12")
    np.testing.assert_array_equal(model._bytes_of("base.npz"), list(b"12"))


def test_another_precision_keeps_the_weights_and_float32_the_scores(dense):
    twin = model.in_policy(dense, "mixed_bfloat16")
    assert twin.get_layer("block1_conv1").compute_dtype == "bfloat16"
    assert twin.get_layer("logits").compute_dtype == "float32"
    for a, b in zip(dense.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    back = model.in_policy(twin, "float32")
    images = np.random.default_rng(0).integers(0, 255, (1, 150, 150, 3))
    np.testing.assert_array_equal(model.logits(dense, images), model.logits(back, images))


def test_randomising_goes_from_the_logits_down_and_keeps_what_is_below(dense_network):
    before = dense_network.get_weights()
    seen = [(name, network.get_weights()) for name, network in model.randomised(dense_network)]
    layers = [layer.name for layer in dense_network.layers if layer.weights]
    assert [name for name, _ in seen] == layers[::-1]
    for i, (_, after) in enumerate(seen, 1):  # each layer has a kernel and a bias
        kept = [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
        assert kept[: -2 * i] == [True] * (len(before) - 2 * i)
        assert not any(kept[-2 * i :: 2])
    assert all(map(np.array_equal, before, dense_network.get_weights()))


def test_randomising_draws_new_weights_that_only_its_seed_decides(dense_network):
    def last(**seed):
        return [network.get_weights() for _, network in model.randomised(dense_network, **seed)][-1]

    assert all(map(np.array_equal, last(seed=0), last(seed=0)))
    set_seed()
    before_training = keras.models.clone_model(dense_network).get_weights()
    assert not np.array_equal(before_training[0], last()[0])


def test_scores_follow_the_weights(dense_network, images):
    first = model.logits(dense_network, images, batch=4)
    np.testing.assert_allclose(first, dense_network.predict_on_batch(images), rtol=1e-5)
    assert model.logits(dense_network, images[:0]).shape == (0, 2)
    dense_network.set_weights([2 * w for w in dense_network.get_weights()])
    assert not np.allclose(model.logits(dense_network, images), first)


def test_a_network_built_layer_on_layer_is_scored_too(images):
    layers = keras.layers
    network = keras.Sequential([keras.Input((4, 4, 3)), layers.Flatten(), layers.Dense(2)])
    expected = network.predict_on_batch(images)
    np.testing.assert_allclose(model.logits(network, images), expected, rtol=1e-5)


def test_probabilities_of_even_and_of_huge_logits():
    scores = np.array([[0.0, 0.0], [1000.0, 0.0]])
    np.testing.assert_allclose(model.probabilities(scores), [[0.5, 0.5], [1, 0]])


def test_maps_are_to_explain_what_was_predicted_or_each_animal_of_a_picture_with_both(
    pooling_network,
):
    red, green = np.eye(3)[[0, 1]]
    pictures = np.ones((4, 4, 4, 3)) * np.stack([red, green, red, red])[:, None, None]
    rows = pd.DataFrame({"image": list("abcc"), "label": ["cat", "cat", "cat", "dog"], "extra": 0})
    rows["split"] = ["test", "test", "both", "both"]
    table = model.predictions(pooling_network, pictures, rows, ("cat", "dog"))
    assert table["predicted"].tolist() == ["cat", "dog", "cat", "cat"]
    assert table["explained"].tolist() == ["cat", "dog", "cat", "dog"]
    assert table["class_index"].tolist() == [0, 1, 0, 1]
    # red 2 + 0.5 and -2 - 0.5, green -1 + 0.5 and 1 - 0.5
    np.testing.assert_allclose(table["logit"], [2.5, 0.5, 2.5, -2.5])
    np.testing.assert_allclose(table["probability"][1], 1 / (1 + np.exp(-1)))
    assert "extra" not in table


# ---------------------------------------------------------------------------------- training


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Three epochs of a small network with dropout; returns (train, the folder of its files)."""

    def build(head, weights):
        layers = keras.layers
        image = keras.Input((4, 4, 3))
        x = layers.Dropout(0.5)(layers.Flatten()(layers.Rescaling(1 / 255)(image)))
        return keras.Model([image], layers.Dense(2, name="logits")(x), name=f"vgg16_{head}")

    monkeypatch.setattr(model, "build", build)
    monkeypatch.setattr(settings, "PRECISION", "float32")
    monkeypatch.setattr(settings, "MODELS", tmp_path)
    generator = np.random.default_rng(0)
    images = generator.integers(0, 255, (8, 4, 4, 3), "uint8")
    labels = generator.integers(0, 2, 8).astype("int32")

    def train(**changes):
        options = dict(epochs=3, batch=4, learning_rate=0.01, validation=(images[:4], labels[:4]))
        return model.train("dense", images, labels, **options | changes)

    return train, tmp_path


def same_weights(one, other):
    return all(map(np.array_equal, one.get_weights(), other.get_weights()))


def test_only_the_classifier_learns_on_the_features_of_the_base(dense_network):
    images, labels = np.random.default_rng(0).random((8, 4, 4, 3)), np.arange(8) % 2
    before = dense_network.get_weights()
    model._warm_up(dense_network, images, labels)
    same = [np.array_equal(a, b) for a, b in zip(before, dense_network.get_weights(), strict=True)]
    assert same == [True, True, False, False, False, False]  # a convolution and two dense layers


def test_to_train_pictures_come_in_random_order_and_mirrored_at_random_else_as_they_are():
    row = np.arange(20 * 2, dtype="uint8").reshape(20, 1, 2, 1)
    batches = model._batches(row, np.arange(20), 8, seed=0)
    seen = [(tuple(x.numpy().ravel()), int(y)) for x, y in batches.unbatch()]
    mirrored = [picture == (2 * k + 1, 2 * k) for picture, k in seen]
    assert all(sorted(picture) == [2 * k, 2 * k + 1] for picture, k in seen)
    assert any(mirrored) and not all(mirrored)
    order = [k for _, k in seen]
    assert order != sorted(order) == list(range(20))
    np.testing.assert_array_equal(np.concatenate([x for x, _ in model._batches(row, row, 8)]), row)


class Killed(Exception):
    pass


@pytest.fixture
def begun(monkeypatch):
    """The epochs that have begun, counted from 0."""
    epochs = []
    at_the_start_of_an_epoch(monkeypatch, lambda callback, k: epochs.append(k))
    return epochs


def at_the_start_of_an_epoch(patch, call):
    patch.setattr(keras.callbacks.TerminateOnNaN, "on_epoch_begin", lambda it, k, logs: call(it, k))


def killed(train, epoch, **changes):
    """Train until it dies in that epoch, counted from 0; what was in memory then."""
    memory = []

    def die(callback, k):
        if k == epoch:
            memory.extend(state(callback.model))
            raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        at_the_start_of_an_epoch(patch, die)
        train(**changes)
    return memory


def state(network):
    return [*network.get_weights(), *map(np.array, network.optimizer.variables)]


def test_a_killed_training_goes_on_at_its_last_epoch(small, begun):
    train, folder = small
    killed(train, 2)
    _, history = train()
    assert begun == [2]
    assert history["epoch"].tolist() == [0, 1, 2, 3] and history[1:].notna().all(axis=None)
    assert {path.name for path in folder.iterdir()} == {"vgg16_dense.json", "vgg16_dense.keras"}


def test_a_training_goes_on_with_the_weights_and_the_optimizer_that_it_had(small):
    train, _ = small
    before, after = killed(train, 2), killed(train, 2)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_of_a_damaged_last_checkpoint_the_one_before_is_used(small, begun):
    train, folder = small
    killed(train, 2)
    (checkpoint,) = folder.glob("unfinished*/state/latest.weights.h5")
    cut(checkpoint)
    _, history = train()
    assert begun == [1, 2]
    assert history["epoch"].tolist() == [0, 1, 2, 3]


def test_a_training_killed_while_it_keeps_its_first_epoch_begins_anew(small, begun):
    train, folder = small
    killed(train, 1)
    (state,) = folder.glob("unfinished*/state")
    (state / "training_metadata.json").unlink()
    cut(state / "latest.weights.h5")
    _, history = train()
    assert begun == [0, 1, 2]
    assert history["epoch"].tolist() == [0, 1, 2, 3]


def test_a_training_killed_before_its_first_state_starts_from_a_trained_classifier(small):
    train, _ = small
    for one, other in zip(killed(train, 0), killed(train, 0), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_trained_network_is_loaded_with_its_history_and_not_trained_again(small, begun):
    train, folder = small
    first, history = train()
    again, same = train()
    assert begun == [0, 1, 2]
    assert same_weights(first, again)
    pd.testing.assert_frame_equal(same, history, check_index_type=False)
    record = json.loads((folder / "vgg16_dense.json").read_text())
    assert {"head", "weights", "policy", "seed", "epochs"} <= set(record)


def test_other_settings_pictures_or_base_weights_train_anew(small, monkeypatch, tmp_path):
    train, _ = small
    base = tmp_path / "base.weights.h5"
    base.write_text("one")
    monkeypatch.setattr(settings, "VGG16_WEIGHTS", str(base))
    train(epochs=1)
    others = np.ones((4, 4, 4, 3), "uint8"), np.zeros(4, "int32")
    for change in (dict(learning_rate=0.02), dict(batch=5), dict(seed=1), dict(validation=others)):
        killed(train, 0, epochs=1, **change)
    killed(train, 0, epochs=2)
    base.write_text("two")
    killed(train, 0, epochs=1)


def test_networks_of_two_names_lie_side_by_side(small, begun):
    train, _ = small
    first, _ = train(epochs=1)
    second, _ = train(epochs=1, name="seed_1", seed=1)
    assert not same_weights(first, second)
    assert same_weights(first, train(epochs=1)[0])
    assert same_weights(second, train(epochs=1, name="seed_1", seed=1)[0])
    assert begun == [0, 0]
    known = model.fingerprint("dense"), model.fingerprint("seed_1")
    assert known[0] != known[1] and known[0] == model.fingerprint("dense")


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_damaged_network_names_the_notebook_to_run_and_is_trained_again(small):
    train, folder = small
    train(epochs=1)
    for damage in (flip, cut):
        damage(folder / "vgg16_dense.keras")
        with pytest.raises(ValueError, match="it is damaged.*run notebooks/02_fine_tune_vgg16"):
            model.load("dense")
    killed(train, 0, epochs=1)


def test_a_missing_network_names_the_notebook_to_run(small):
    with pytest.raises(FileNotFoundError, match="run notebooks/05_cam.ipynb first"):
        model.load("gap")


def test_a_network_that_holds_code_is_refused(small, monkeypatch):
    _, folder = small
    image = keras.Input((4, 4, 3))
    trap = keras.layers.Lambda(lambda x: __import__("os").mkdir("trapped") or x)
    monkeypatch.chdir(folder)
    keras.Model([image], trap(image)).save(folder / "vgg16_dense.keras")
    (folder / "trapped").rmdir()  # building it has run it here
    with pytest.raises(ValueError, match="holds code, and none is run.*02_fine_tune_vgg16"):
        model.load("dense")
    assert not (folder / "trapped").exists()


def test_a_loss_that_is_no_number_stops_with_what_to_try_and_leaves_no_network(small, begun):
    train, folder = small
    with pytest.raises(FloatingPointError, match="smaller learning_rate"):
        train(learning_rate=float("nan"))
    assert begun == [0]
    assert list(folder.iterdir()) == []
