import errno
import hashlib
import json
from itertools import product

import numpy as np
import pytest

from utils import files, model, settings
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
    assert dense.input_shape == (None, 150, 150, 3)


def test_all_16_812_610_parameters_are_trained(dense):
    assert dense.count_params() == 16_812_610
    assert sum(int(np.prod(w.shape)) for w in dense.trainable_weights) == 16_812_610


def test_the_output_is_linear_and_nothing_is_nested(dense):
    assert dense.get_layer("logits").activation is keras.activations.linear
    assert not any(isinstance(layer, keras.Model) for layer in dense.layers)


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


@pytest.mark.fault("VGG16_WEIGHTS names a file without weights", "is said")
def test_a_file_without_weights_is_named(tmp_path):
    path = tmp_path / "other.weights.h5"
    path.write_text("no weights")
    with pytest.raises(ValueError, match="other.weights.h5 is no file with the weights"):
        model.build("dense", weights=path)


@pytest.mark.fault("no network for ImageNet's weights", "which file to put where")
def test_without_a_network_the_imagenet_error_says_where_to_put_which_file(monkeypatch):
    def fail(**_):
        raise Exception("URL fetch failure on https://example.org: None -- Name not known")

    monkeypatch.setattr(keras.applications, "VGG16", fail)
    with pytest.raises(RuntimeError, match=r"put the file vgg16_\w+_notop.h5 into .*VGG16_WEIGHTS"):
        model.base_weights("imagenet")


def test_packed_weights_come_back_to_within_half_a_step(tmp_path):
    generator = np.random.default_rng(0)
    kernel, bias = generator.normal(size=(3, 3, 4, 5)), generator.normal(size=5)
    kernel[..., 2] *= 1000  # a channel of its own scale
    kernel[..., 3] = 0
    kernel, bias = np.float32(kernel), np.float32(bias)
    model.pack_weights(tmp_path / "packed.npz", [kernel, bias])
    back, same = model.unpack_weights(tmp_path / "packed.npz")
    np.testing.assert_array_equal(same, bias)
    assert (np.abs(back - kernel) <= np.abs(kernel).max((0, 1, 2)) / 127 * 0.501).all()


@pytest.mark.parametrize("name", ["vgg16_drawn.npz", "vgg16_drawn_ct.npz"])
def test_a_drawn_base_is_the_file_that_the_page_on_the_data_names(name):
    page = (settings.ROOT / "data" / "README.md").read_text()
    base = settings.ROOT / "data" / name
    assert hashlib.sha256(base.read_bytes()).hexdigest() in page
    assert f"`{name}` | {base.stat().st_size:,} |" in page


@pytest.mark.parametrize("name", ["vgg16_drawn.npz", "vgg16_drawn_ct.npz"])
def test_a_drawn_base_is_small_enough_to_ship_and_fits(monkeypatch, name):
    monkeypatch.setattr(settings, "DRAWN_BASE", settings.ROOT / "data" / name)
    assert settings.DRAWN_BASE.stat().st_size <= 16e6
    weights = model.base_weights("drawn")
    assert sum(array.size for array in weights) == 14_714_688


def test_another_precision_keeps_the_weights_and_nearly_the_scores(dense):
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


def test_randomising_does_not_lead_back_to_the_weights_before_training(dense_network):
    set_seed()
    fresh = keras.models.clone_model(dense_network).get_weights()
    *_, (_, last) = model.randomised(dense_network)
    assert not np.array_equal(fresh[0], last.get_weights()[0])


def test_randomising_is_the_same_for_the_same_seed_only(dense_network):
    def last(seed):
        return [network.get_weights() for _, network in model.randomised(dense_network, seed)][-1]

    assert all(map(np.array_equal, last(0), last(0)))
    assert not np.array_equal(last(0)[0], last(1)[0])


def test_scores_follow_the_weights(dense_network, images):
    first = model.logits(dense_network, images)
    np.testing.assert_allclose(first, dense_network.predict_on_batch(images), rtol=1e-5)
    dense_network.set_weights([2 * w for w in dense_network.get_weights()])
    assert not np.allclose(model.logits(dense_network, images), first)


def test_a_network_built_layer_on_layer_is_scored_too(images):
    layers = keras.layers
    network = keras.Sequential([keras.Input((4, 4, 3)), layers.Flatten(), layers.Dense(2)])
    expected = network.predict_on_batch(images)
    np.testing.assert_allclose(model.logits(network, images), expected, rtol=1e-5)


def test_no_pictures_have_no_scores(dense):
    assert model.logits(dense, np.zeros((0, 150, 150, 3), "uint8")).shape == (0, 2)


def test_probabilities_of_even_and_of_huge_logits():
    scores = np.array([[0.0, 0.0], [1000.0, 0.0]])
    np.testing.assert_allclose(model.probabilities(scores), [[0.5, 0.5], [1, 0]])


# ---------------------------------------------------------------------------------- training


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Training of a small network with dropout, in a folder of its own; returns (train, folder)."""

    def build(head, weights):
        layers = keras.layers
        image = keras.Input((4, 4, 3))
        x = layers.Dense(8, "relu")(layers.Flatten()(layers.Rescaling(1 / 255)(image)))
        logits = layers.Dense(2, name="logits")(layers.Dropout(0.5)(x))
        return keras.Model([image], logits, name=f"vgg16_{head}")

    monkeypatch.setattr(model, "build", build)
    monkeypatch.setattr(settings, "PRECISION", "float32")
    generator = np.random.default_rng(0)
    images = generator.integers(0, 255, (10, 4, 4, 3), "uint8")
    labels = generator.integers(0, 2, 10).astype("int32")

    def train(folder="a", **changes):
        monkeypatch.setattr(settings, "MODELS", tmp_path / folder)
        options = dict(epochs=3, batch=4, learning_rate=0.01, validation=(images[:4], labels[:4]))
        return model.train("dense", images, labels, **options | changes)

    return train, tmp_path


def same_weights(one, other):
    return all(map(np.array_equal, one.get_weights(), other.get_weights()))


class Killed(Exception):
    pass


def kill_in_epoch(monkeypatch, number):
    """Let training die in the middle of that epoch."""
    one_epoch = model._one_epoch

    def dying(network, epoch, *data):
        if epoch == number:
            network.optimizer.learning_rate = 1.0  # whatever was in memory is lost
            raise Killed
        return one_epoch(network, epoch, *data)

    monkeypatch.setattr(model, "_one_epoch", dying)


@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.fault(
    "a training that ends in epoch {epoch}", "goes on to the same weights, bit by bit", "the epoch"
)
def test_a_killed_training_goes_on_to_the_same_weights_bit_by_bit(small, monkeypatch, epoch):
    train, folder = small
    whole, history = train("whole")
    with monkeypatch.context() as patch:
        kill_in_epoch(patch, epoch)
        with pytest.raises(Killed):
            train("killed")
    resumed, resumed_history = train("killed")
    assert same_weights(whole, resumed)
    assert history == resumed_history
    assert [path.name for path in (folder / "killed").glob("unfinished*")] == []


def test_a_trained_network_is_loaded_and_not_trained_again(small, monkeypatch):
    train, _ = small
    first, history = train()
    kill_in_epoch(monkeypatch, 0)
    again, same = train()
    assert same == history
    assert same_weights(first, again)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def damage_record(path):
    path.with_suffix(".json").write_text("{")


def lose_record(path):
    path.with_suffix(".json").unlink()


DAMAGES = [flip, cut, damage_record, lose_record]


@pytest.mark.parametrize(
    ("damage", "epochs"),
    [
        (flip, [2]),
        *(
            pytest.param(damage, epochs, marks=pytest.mark.slow)
            for damage, epochs in product(DAMAGES, ([2], [1, 2]))
            if (damage, epochs) != (flip, [2])
        ),
    ],
)
@pytest.mark.fault(
    "damaged checkpoints of epochs {epochs}, of two ({damage.__name__})",
    "the one before is used, to the same weights",
    "the epochs",
)
def test_a_damaged_checkpoint_is_not_used_but_the_one_before(
    small, monkeypatch, capsys, damage, epochs
):
    train, folder = small
    whole, history = train("whole")
    with monkeypatch.context() as patch:
        kill_in_epoch(patch, 2)
        with pytest.raises(Killed):
            train("killed")
    for epoch in epochs:
        (checkpoint,) = (folder / "killed").glob(f"unfinished-dense-*-000{epoch}.keras")
        damage(checkpoint)
    capsys.readouterr()
    resumed, resumed_history = train("killed")
    said = capsys.readouterr().out
    assert said.count("is damaged") == (0 if damage is lose_record else len(epochs))
    assert said.count("validation loss") == 1 + len(epochs), "epochs trained again, and the last"
    assert same_weights(whole, resumed) and history == resumed_history


@pytest.mark.slow
@pytest.mark.parametrize("damage", [flip, cut])
@pytest.mark.fault("a damaged trained network ({damage.__name__})", "is trained again", "itself")
def test_a_damaged_network_is_trained_again(small, capsys, damage):
    train, folder = small
    first, _ = train()
    damage(folder / "a" / "vgg16_dense.keras")
    again, _ = train()
    assert "vgg16_dense.keras is damaged" in capsys.readouterr().out
    assert same_weights(first, again)


@pytest.mark.slow
@pytest.mark.fault("another network beside the record of the right one", "is not taken for it")
def test_a_network_is_not_taken_for_another_by_its_name(small):
    train, folder = small
    first, _ = train()
    train("b", learning_rate=0.02)
    (folder / "b" / "vgg16_dense.keras").replace(folder / "a" / "vgg16_dense.keras")
    again, _ = train()
    assert same_weights(first, again)


@pytest.mark.parametrize("share", [0.5, pytest.param(0, marks=pytest.mark.slow)])
@pytest.mark.fault(
    "a disk full while a network is saved", "is said; the last good network stays", "the epoch"
)
def test_a_full_disk_keeps_the_last_good_network(small, monkeypatch, share):
    train, folder = small
    good, _ = train()
    save = keras.Model.save

    def fill(network, path):
        save(network, path)
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "save", fill)
        with pytest.raises(files.DiskFull, match="The disk is full"):
            train(learning_rate=0.02)
    kill_in_epoch(monkeypatch, 0)
    again, _ = train()
    assert same_weights(good, again)


@pytest.mark.fault("pictures that changed", "trains anew")
def test_other_pictures_train_anew(small, monkeypatch):
    train, _ = small
    train()
    kill_in_epoch(monkeypatch, 0)
    with pytest.raises(Killed):
        train(validation=(np.ones((4, 4, 4, 3), "uint8"), np.zeros(4, "int32")))


@pytest.mark.fault("a network from a stranger, with code in a Lambda layer", "is refused, not run")
def test_a_network_that_holds_code_is_refused(small, monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "MODELS", tmp_path)
    image = keras.Input((4, 4, 3))
    trap = keras.layers.Lambda(lambda x: __import__("os").mkdir("trapped") or x)
    monkeypatch.chdir(tmp_path)
    keras.Model([image], trap(image)).save(tmp_path / "vgg16_dense.keras")
    (tmp_path / "trapped").rmdir()  # building it has run it here
    with pytest.raises(ValueError, match="holds code, and none is run.*02_fine_tune_vgg16"):
        model.load("dense")
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("damage", [flip, cut], ids=lambda damage: damage.__name__)
@pytest.mark.fault(
    "a damaged network in a later notebook ({damage.__name__})", "names the notebook to run"
)
def test_a_damaged_network_cannot_be_loaded(small, damage):
    train, folder = small
    train()
    damage(folder / "a" / "vgg16_dense.keras")
    with pytest.raises(ValueError, match="vgg16_dense.keras cannot be used: it is damaged"):
        model.load("dense")


def test_safe_mode_stays_on():
    sources = [path.read_text() for path in (settings.ROOT / "utils").glob("*.py")]
    assert not any(
        word in source
        for source in sources
        for word in ("safe_mode=False", "unsafe_deserialization", "allow_pickle", "import pickle")
    )


@pytest.mark.parametrize(
    "change", [{"epochs": 4}, {"learning_rate": 0.02}, {"batch": 5}, {"seed": 1}]
)
@pytest.mark.fault("another setting: {change}", "trains anew")
def test_a_setting_that_matters_trains_anew(small, monkeypatch, change):
    train, _ = small
    train()
    kill_in_epoch(monkeypatch, 0)
    with pytest.raises(Killed):
        train(**change)


@pytest.mark.fault("another base in a file of the same name", "trains anew")
def test_another_base_under_the_same_name_trains_anew(small, monkeypatch, tmp_path):
    train, _ = small
    base = tmp_path / "base.weights.h5"
    monkeypatch.setattr(settings, "VGG16_WEIGHTS", str(base))
    base.write_text("one")
    train()
    base.write_text("two")
    kill_in_epoch(monkeypatch, 0)
    with pytest.raises(Killed):
        train()


def test_another_seed_is_another_network_under_a_name_of_its_own(small):
    train, folder = small
    first, _ = train()
    second, _ = train(name="seed_1", seed=1)
    assert not same_weights(first, second)
    assert {"vgg16_dense.keras", "vgg16_seed_1.keras"} <= {p.name for p in (folder / "a").iterdir()}


def test_the_first_network_stays_when_another_is_trained_beside_it(small, monkeypatch):
    train, _ = small
    first, _ = train()
    train(name="seed_1", seed=1)
    kill_in_epoch(monkeypatch, 0)
    again, _ = train()
    other, _ = train(name="seed_1", seed=1)
    assert same_weights(first, again)
    assert not same_weights(first, other)


def test_a_killed_training_of_another_seed_goes_on_to_the_same_weights(small, monkeypatch):
    train, _ = small
    whole, _ = train("whole", name="seed_1", seed=1)
    with monkeypatch.context() as patch:
        kill_in_epoch(patch, 1)
        with pytest.raises(Killed):
            train("killed", name="seed_1", seed=1)
    resumed, _ = train("killed", name="seed_1", seed=1)
    assert same_weights(whole, resumed)


@pytest.mark.fault("a trained network whose file is gone", "is trained again", "the training")
def test_a_network_whose_file_is_gone_is_trained_again(small):
    train, folder = small
    first, _ = train()
    (folder / "a" / "vgg16_dense.keras").unlink()
    again, _ = train()
    assert same_weights(first, again)


def test_the_record_tells_how_the_network_came_to_be(small):
    train, folder = small
    train()
    record = json.loads((folder / "a" / "vgg16_dense.json").read_text())
    assert record["epochs"] == 3
    assert len(record["history"]) == 3
    assert {"head", "weights", "policy", "seed", "fingerprint"} <= set(record)


def test_the_history_tells_means_over_all_batches_and_not_the_last(small, monkeypatch):
    train, _ = small
    losses = iter([4.0, 4.0, 1.0] + [0.0])  # batches of 4, 4 and 2 pictures; then validation

    def step(*_, return_dict):
        return {"loss": next(losses), "accuracy": 0.5}

    monkeypatch.setattr(keras.Model, "train_on_batch", step)
    monkeypatch.setattr(keras.Model, "test_on_batch", step)
    _, history = train(epochs=1)
    assert history[0]["loss"] == pytest.approx((4 * 4 + 4 * 4 + 2 * 1) / 10)


@pytest.mark.fault("a loss that is no number", "stops, with what to try", "the epoch")
def test_a_loss_that_is_no_number_stops_with_what_to_try(small):
    train, _ = small
    with pytest.raises(FloatingPointError, match="smaller learning_rate"):
        train(learning_rate=float("nan"))
