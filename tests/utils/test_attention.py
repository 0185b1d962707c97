import numpy as np
import pytest
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.saliency import Saliency
from tf_keras_vis.utils.scores import CategoricalScore

from tests.conftest import SIDE, small_network
from utils import attention, model
from utils.runtime import keras, tf

METHODS = [attention.saliency_map, attention.smoothgrad, attention.grad_cam, attention.hires_cam]


def weights_of(linear_network, class_index):
    return linear_network.get_weights()[0][:, class_index].reshape(SIDE, SIDE, 3)


def test_the_saliency_of_a_linear_model_is_its_weights(linear_network, images):
    maps = attention.saliency_map(linear_network, images, 1)
    expected = np.abs(weights_of(linear_network, 1)).max(-1)
    np.testing.assert_allclose(maps, np.broadcast_to(expected, maps.shape), rtol=1e-6)


def test_each_noisy_copy_has_its_own_noise_of_a_share_of_its_pictures_range(images):
    pictures = np.stack([np.zeros((64, 64, 3)), np.zeros((64, 64, 3))])
    pictures[:, 0, 0, 0] = 100, 200
    noise = attention.noisy(pictures, 0.2) - pictures
    np.testing.assert_allclose(noise.std((1, 2, 3)), [20, 40], rtol=0.03)
    assert abs(np.corrcoef(*noise.reshape(2, -1))[0, 1]) < 0.05
    np.testing.assert_array_equal(attention.noisy(images, 0), np.float32(images))


@pytest.mark.parametrize("average", ["maps", "absolute", "signed", "squared"])
def test_smoothgrad_of_a_linear_model_is_its_weights_for_any_noise(linear_network, images, average):
    maps = attention.smoothgrad(linear_network, images, 0, n=7, sigma=0.9, average=average)
    expected = np.abs(weights_of(linear_network, 0)).max(-1) ** (2 if average == "squared" else 1)
    np.testing.assert_allclose(maps, np.broadcast_to(expected, maps.shape), rtol=1e-5)


def test_smoothgrad_without_noise_is_the_saliency_map(dense_network, images):
    np.testing.assert_allclose(
        attention.smoothgrad(dense_network, images, 0, n=3, sigma=0),
        attention.saliency_map(dense_network, images, 0),
        rtol=1e-5,
    )


@pytest.fixture
def quadratic():
    """S_0 = sum(R^2) / 2 and S_1 = sum(G^2 + B^2) / 2: the gradients are the colours themselves."""
    image = keras.Input((SIDE, SIDE, 3))
    halves = tf.constant([[0.5, 0.0], [0.0, 0.5], [0.0, 0.5]])
    scores = keras.layers.Lambda(lambda x: tf.reduce_sum(x * x, (1, 2)) @ halves)(image)
    return keras.Model([image], scores)


@pytest.mark.parametrize(("class_index", "colours"), [(0, slice(0, 1)), (1, slice(1, 3))])
def test_the_saliency_of_a_quadratic_is_the_picture(quadratic, images, class_index, colours):
    maps = attention.saliency_map(quadratic, images - 0.5, class_index)
    np.testing.assert_allclose(maps, np.abs(images - 0.5)[..., colours].max(-1), rtol=1e-6)


@pytest.mark.parametrize(
    ("average", "expected"),
    [("maps", 2 / np.pi**0.5), ("absolute", (2 / np.pi) ** 0.5), ("signed", 0), ("squared", 1)],
)
def test_smoothgrad_of_a_quadratic_is_a_moment_of_two_normal_numbers(quadratic, average, expected):
    # On black, the gradients by green and blue are N(0, 1): the mean of the larger absolute value
    # is 2 / sqrt(pi), that of either sqrt(2 / pi).
    black = np.zeros((1, SIDE, SIDE, 3), "float32")
    options = dict(n=4000, sigma=1, absolute=True, average=average, batch=500)
    maps = attention.smoothgrad(quadratic, black, 1, **options)
    np.testing.assert_allclose(maps.mean(), expected, atol=0.03)


def test_absolute_noise_is_in_the_units_of_the_picture(dense_network, images):
    shared = dict(n=3, seed=1)
    span = float(np.ptp(images[0]))
    maps = [
        attention.smoothgrad(dense_network, images[:1], 0, sigma=sigma, absolute=absolute, **shared)
        for sigma, absolute in ((0.2, False), (0.2 * span, True))
    ]
    np.testing.assert_allclose(*maps, rtol=1e-5)


def test_the_same_seed_gives_the_same_map_and_another_seed_another(dense_network, images):
    first, again, other = (
        attention.smoothgrad(dense_network, images, 0, seed=s) for s in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("batch", [1, 4, 64])
def test_a_map_is_that_of_its_picture_and_class_alone(method, batch, dense_network, images):
    classes = np.array([0, 1, 1, 0, 1, 0])
    alone = [method(dense_network, images[i : i + 1], classes[i])[0] for i in range(6)]
    among = method(dense_network, images, classes, batch=batch)
    np.testing.assert_allclose(among, alone, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("channels", ["max", "sum", "mean", "norm"])
def test_the_absolute_value_comes_before_the_channels_are_joined(channels, linear_network, images):
    g = np.abs(weights_of(linear_network, 0))
    norm = np.linalg.norm(g, axis=-1)
    expected = {"max": g.max(-1), "sum": g.sum(-1), "mean": g.mean(-1), "norm": norm}[channels]
    maps = attention.saliency_map(linear_network, images[:1], 0, channels=channels)
    np.testing.assert_allclose(maps[0], expected, rtol=1e-5)


def test_grad_cam_pools_the_gradient_and_hires_cam_does_not(images):
    weights = np.random.default_rng(0).normal(size=(SIDE, SIDE, 2, 2))  # dS_c/df of a linear head
    red_and_green = np.eye(3)[None, None, :, :2]
    network = small_network(
        lambda x: keras.layers.Dense(2)(keras.layers.Flatten()(x)), [red_and_green, np.zeros(2)]
    )
    network.layers[-1].set_weights([weights.reshape(-1, 2), np.zeros(2)])
    feature_maps, gradient = images[..., :2], weights[..., 1]
    np.testing.assert_allclose(
        attention.grad_cam(network, images, 1),
        np.maximum(feature_maps @ gradient.mean((0, 1)), 0),
        rtol=1e-4,
        atol=1e-7,
    )
    np.testing.assert_allclose(
        attention.hires_cam(network, images, 1),
        (feature_maps * gradient).sum(-1),
        rtol=1e-4,
        atol=1e-6,
    )


def test_cam_by_hand(pooling_network):
    image = np.zeros((1, SIDE, SIDE, 3), "float32")
    image[0, 1, 2] = [3, 1, 0]  # one reddish pixel: 2 * 3 - 1 * 1 for class 0, the opposite for 1
    for class_index, value in ((0, 5), (1, -5)):
        heatmap = attention.cam(pooling_network, image, class_index)[0]
        assert heatmap[1, 2] == value
        assert np.count_nonzero(heatmap) == 1


def test_the_mean_of_cam_is_the_logit_without_its_bias(pooling_network, images):
    logits = pooling_network.predict_on_batch(images)
    means = attention.cam(pooling_network, images, 0).mean((1, 2))
    np.testing.assert_allclose(means, logits[:, 0] - 0.5, rtol=1e-5)


@pytest.mark.parametrize("class_index", [0, 1])
def test_on_a_pooling_head_grad_cam_is_the_positive_part_of_cam_over_z(
    pooling_network, images, class_index
):
    cam = attention.cam(pooling_network, images, class_index)
    np.testing.assert_allclose(
        attention.grad_cam(pooling_network, images, class_index),
        np.maximum(cam, 0) / SIDE**2,
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        attention.hires_cam(pooling_network, images, class_index), cam / SIDE**2, rtol=1e-5
    )


def test_the_sum_of_the_reports_formula_is_z_times_the_mean(dense_network, images):
    np.testing.assert_allclose(
        attention.grad_cam(dense_network, images, 0, pooled="sum"),
        SIDE**2 * attention.grad_cam(dense_network, images, 0),
        rtol=1e-5,
    )


def test_a_map_without_positive_evidence_is_zero_and_not_nan(pooling_network):
    green = np.zeros((1, SIDE, SIDE, 3), "float32")
    green[..., 1] = 1
    heatmap = attention.grad_cam(pooling_network, green, 0)
    assert np.array_equal(heatmap, np.zeros((1, SIDE, SIDE)))


def test_saliency_and_grad_cam_agree_with_tf_keras_vis(dense_network, images):
    classes = [0, 1, 0, 1, 0, 1]
    theirs = Saliency(dense_network)(CategoricalScore(classes), images)
    ours = attention.saliency_map(dense_network, images, np.array(classes))
    for a, b in zip(theirs, ours, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.999
    theirs = Gradcam(dense_network)(
        CategoricalScore(classes),
        images,
        penultimate_layer="conv",
        expand_cam=False,
        normalize_cam=False,
    )
    ours = attention.grad_cam(dense_network, images, np.array(classes))
    np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-7)


def test_smoothgrad_differs_from_tf_keras_vis_as_from_another_seed(dense_network, images):
    options = dict(n=100, sigma=0.2, average="absolute")
    ours, reseeded = (
        attention.smoothgrad(dense_network, images, 0, seed=s, **options) for s in (0, 1)
    )
    theirs = Saliency(dense_network)(
        CategoricalScore([0] * 6), images, smooth_samples=100, smooth_noise=0.2, normalize_map=False
    )
    assert np.abs(theirs - ours).mean() < 1.5 * np.abs(reseeded - ours).mean()


def test_cam_asked_of_a_dense_head_says_what_to_do_instead(dense_network, images):
    with pytest.raises(ValueError, match="use grad_cam"):
        attention.cam(dense_network, images, 0)


def test_a_wrong_layer_lists_the_right_ones(dense_network, images):
    with pytest.raises(ValueError, match="choose one of: .*conv"):
        attention.grad_cam(dense_network, images, 0, layer="block9")


def test_a_network_without_convolutions_has_no_grad_cam(linear_network, images):
    with pytest.raises(ValueError, match="no convolution"):
        attention.grad_cam(linear_network, images, 0)


@pytest.mark.parametrize("class_index", [2, -1, 0.5, [0, 1], True])
@pytest.mark.parametrize("method", METHODS)
def test_classes_that_do_not_fit_are_refused(method, dense_network, images, class_index):
    with pytest.raises(ValueError, match="class"):
        method(dense_network, images, class_index)


@pytest.mark.parametrize("shape", [(0, 4, 4, 3), (4, 4, 3), (2, 5, 4, 3), (2, 4, 4, 1)])
def test_pictures_that_do_not_fit_are_refused_with_the_shape_that_would(dense_network, shape):
    with pytest.raises(ValueError, match=r"\(4, 4, 3\)"):
        attention.saliency_map(dense_network, np.zeros(shape, "float32"), 0)


def test_an_unknown_choice_lists_the_known_ones(dense_network, images):
    with pytest.raises(ValueError, match="average='median' is not known; choose one of .*signed"):
        attention.smoothgrad(dense_network, images, 0, average="median")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("method", METHODS)
def test_a_picture_that_is_no_number_somewhere_is_refused(method, dense_network, images, value):
    images[4, 1, 2, 0] = value
    with pytest.raises(ValueError, match="Picture 4 holds nan or infinite values"):
        method(dense_network, images, 0)


def test_whole_numbers_do_as_pictures(dense_network):
    whole = np.random.default_rng(0).integers(0, 255, (2, SIDE, SIDE, 3), "uint8")
    np.testing.assert_array_equal(
        attention.saliency_map(dense_network, whole, 0),
        attention.saliency_map(dense_network, np.float32(whole), 0),
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_dead_network_and_an_even_picture_have_maps_of_zeros(method, dense_network):
    for weights in dense_network.weights:
        weights.assign(0 * weights)
    assert not method(dense_network, np.zeros((1, SIDE, SIDE, 3)), 0).any()


# ------------------------------------------------------------------------------ precision


def photo_network(pooling):
    """Two convolutions with random weights on pictures (16, 16, 3) in 0..255, and a head."""
    layers = keras.layers
    keras.utils.set_random_seed(2)  # positive evidence for class 1 in each photo
    stem = [layers.Rescaling(1 / 255), layers.Conv2D(16, 3, activation="relu", padding="same")]
    stem += [layers.MaxPooling2D(), layers.Conv2D(16, 3, activation="relu", padding="same")]
    head = [layers.Flatten(), layers.Dense(8, "relu")]
    head = [layers.GlobalAveragePooling2D()] if pooling else head
    return keras.Sequential([keras.Input((16, 16, 3)), *stem, *head, layers.Dense(2, "softmax")])


@pytest.fixture
def photos():
    return np.random.default_rng(0).integers(0, 255, (4, 16, 16, 3), "uint8")


def test_without_gain_the_fast_network_is_the_network_itself(monkeypatch, dense_network):
    monkeypatch.setattr(model, "policy", lambda: "float32")
    assert model.fast(dense_network) is dense_network


@pytest.mark.parametrize(
    ("method", "pooling"),
    [(attention.smoothgrad, False), (attention.grad_cam, False), (attention.cam, True)],
)
def test_bfloat16_hardly_changes_smoothgrad_cam_and_grad_cam(monkeypatch, method, pooling, photos):
    monkeypatch.setattr(model, "policy", lambda: "mixed_bfloat16")
    network = photo_network(pooling)
    fast = model.fast(network)
    assert fast.layers[2].compute_dtype == "bfloat16"
    maps = method(network, photos, 1)
    assert maps.any((1, 2)).all()
    for exact, rounded in zip(maps, method(fast, photos, 1), strict=True):
        assert np.corrcoef(exact.ravel(), rounded.ravel())[0, 1] > 0.99
