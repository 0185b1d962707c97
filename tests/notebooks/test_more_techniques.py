import numpy as np
import pytest
from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
from tf_keras_vis.layercam import Layercam
from tf_keras_vis.scorecam import Scorecam
from tf_keras_vis.utils.scores import CategoricalScore

import more_techniques
from tests.conftest import SIDE
from utils import attention, model
from utils.runtime import keras

SMALL = {  # what suits pictures of 4 x 4 pixels
    more_techniques.gradient_x_input: {},
    more_techniques.integrated_gradients: {},
    more_techniques.guided_backpropagation: {},
    more_techniques.lrp: {},
    more_techniques.contrast_cam: {},
    more_techniques.grad_cam_plus_plus: {},
    more_techniques.layer_cam: {},
    more_techniques.score_cam: {},
    more_techniques.occlusion: dict(size=2, stride=1),
}
every_method = pytest.mark.parametrize("method", SMALL, ids=lambda method: method.__name__)
RAW = dict(expand_cam=False, normalize_cam=False)


def explain(method, network, images, class_index, **options):
    return method(network, images, class_index, **SMALL[method], **options)


def scores(network, images):
    return network.predict_on_batch(np.float32(images))


def mean_coloured(images):
    return np.broadcast_to(images.mean((1, 2), keepdims=True), images.shape)


# ------------------------------------------------------------------------------ what all share


@every_method
def test_a_network_inside_another_with_a_softmax_has_the_maps_of_its_logits(
    method, dense_network, images
):
    image, softmax = keras.Input((SIDE, SIDE, 3)), keras.layers.Softmax()
    nested = keras.Sequential([image, dense_network, softmax])
    maps, expected = (explain(method, each, images, 1) for each in (nested, dense_network))
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)


@every_method
def test_a_map_is_that_of_its_picture_and_class_alone(method, dense_network, images):
    classes = np.array([0, 1, 1, 0, 1, 0])
    among = explain(method, dense_network, images, classes, batch=4)
    alone = [explain(method, dense_network, images[i : i + 1], classes[i])[0] for i in range(6)]
    np.testing.assert_allclose(among, alone, rtol=1e-4, atol=1e-6)


@every_method
def test_maps_are_float32_the_same_each_time_and_leave_no_trace(
    method, dense_network, images, capfd
):
    before = np.random.get_state()[1].copy()
    first, again = (explain(method, dense_network, images, 0) for _ in range(2))
    assert first.dtype == np.float32
    assert first.shape == (6, SIDE, SIDE)
    assert np.array_equal(first, again)
    assert np.array_equal(before, np.random.get_state()[1])
    assert capfd.readouterr() == ("", "")


@every_method
def test_classes_and_pictures_that_do_not_fit_are_refused(method, dense_network, images):
    with pytest.raises(ValueError, match="class"):
        explain(method, dense_network, images, 2)
    with pytest.raises(ValueError, match=r"\(4, 4, 3\)"):
        explain(method, dense_network, images[:, :3], 0)


# ------------------------------------------------------------------------- the gradient's family


def test_gradient_x_input_by_hand(pooling_network):
    image = np.zeros((1, SIDE, SIDE, 3), "float32")
    image[0, 1, 2, 0] = 3  # dS_0/dI is 2 / 16 where it is red: 3 * 2 / 16
    heatmap = more_techniques.gradient_x_input(pooling_network, image, 0, baseline=(0, 0, 0))[0]
    assert heatmap[1, 2] == 0.375
    assert np.count_nonzero(heatmap) == 1


@pytest.mark.parametrize("baseline", [None, (0.2, 0.5, 0.1)])
def test_in_a_linear_network_integrated_gradients_is_exact_in_one_step_and_is_gradient_x_input(
    baseline, linear_network, images
):
    weights = linear_network.get_weights()[0][:, 1].reshape(SIDE, SIDE, 3)
    origin = mean_coloured(images) if baseline is None else baseline
    expected = ((images - origin) * weights).sum(-1)
    options = dict(baseline=baseline)
    for maps in (
        more_techniques.gradient_x_input(linear_network, images, 1, **options),
        more_techniques.integrated_gradients(linear_network, images, 1, steps=1, **options),
    ):
        np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("class_index", [0, 1])
def test_integrated_gradients_sums_to_the_difference_of_the_logits(
    class_index, dense_network, images
):
    maps = more_techniques.integrated_gradients(dense_network, images, class_index)
    ends = scores(dense_network, images), scores(dense_network, mean_coloured(images))
    difference = (ends[0] - ends[1])[:, class_index]
    one_percent = 0.01 * np.abs(difference).max()
    np.testing.assert_allclose(maps.sum((1, 2)), difference, rtol=0, atol=one_percent)


def test_guided_back_propagation_drops_what_speaks_against_the_class(pooling_network):
    both = np.ones((1, SIDE, SIDE, 3), "float32")  # gradients 2 / 16 for red, -1 / 16 for green
    opposite = np.array([[-2.0, 2.0], [-1.0, 1.0]]), np.zeros(2)
    guided, plain = more_techniques.guided_backpropagation, attention.saliency_map
    assert (guided(pooling_network, both, 0) == 2 / 16).all()
    assert (guided(pooling_network, both, 1) == 1 / 16).all()  # the -2 / 16 of red is cut off
    assert (plain(pooling_network, both, 1) == 2 / 16).all()
    pooling_network.get_layer("logits").set_weights(opposite)
    assert (guided(pooling_network, both, 0) == 0).all()


# ------------------------------------------------------------------------------------------ LRP


def vgg_like(classifier, seed=3):
    """Convolutions and a pooling on pictures minus their mean, biases, then a classifier."""
    layers = keras.layers
    image = keras.Input((8, 8, 3))
    x = layers.Rescaling(1.0, [-0.5] * 3)(image)
    for filters in (4, 6):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D()(x)
    network = keras.Model([image], classifier(x))
    generator = np.random.default_rng(seed)
    network.set_weights([generator.normal(size=w.shape) * 0.4 for w in network.get_weights()])
    return network


def dense(x):
    layers = keras.layers
    x = layers.Dropout(0.5)(layers.Dense(10, "relu")(layers.Flatten()(x)))
    return layers.Dense(2)(x)


def pooled(x):
    return keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))


@pytest.fixture
def pictures():
    return np.random.default_rng(5).random((6, 8, 8, 3), "float32")


@pytest.mark.parametrize("classifier", [dense, pooled])
@pytest.mark.parametrize("class_index", [0, 1])
def test_relevances_sum_to_the_logit(classifier, class_index, pictures):
    network = vgg_like(classifier)
    sums = more_techniques.lrp(network, pictures, class_index).sum((1, 2))
    logits = scores(network, pictures)[:, class_index]
    assert np.abs(network.layers[-1].bias.numpy()).max() > 0.1  # yet it takes nothing
    np.testing.assert_allclose(sums, logits, rtol=0.02)


def test_what_biases_and_epsilon_take_is_missing_in_the_sum(pictures):
    network = vgg_like(pooled)
    means = keras.Model(network.inputs, network.layers[-1].input).predict_on_batch(pictures)
    kernel, bias = network.layers[-1].get_weights()
    z = (means @ kernel)[:, 0]
    logits = z + bias[0]
    taken = more_techniques.lrp(network, pictures, 0, biases=True).sum((1, 2))
    np.testing.assert_allclose(taken, logits * z / logits, rtol=1e-3)
    taken = more_techniques.lrp(network, pictures, 0, epsilon=0.25).sum((1, 2))
    np.testing.assert_allclose(taken, logits * z / (z + np.where(z < 0, -0.25, 0.25)), rtol=1e-3)


def test_lrp_by_hand_in_one_convolution_gives_to_what_is_positive_in_the_sum(pooling_network):
    kernel, bias = pooling_network.get_layer("conv").get_weights()
    kernel[0, 0, :, 0] = [
        1,
        -3,
        1,
    ]  # the first feature map: red - 3 green + blue, and 7 for nothing
    pooling_network.get_layer("conv").set_weights([kernel, bias + [7, 0]])
    pooling_network.get_layer("logits").set_weights([np.array([[16.0, 0], [0, 0]]), np.zeros(2)])
    image = np.zeros((1, SIDE, SIDE, 3), "float32")
    image[0, 1, 2] = [3, 2, 1]  # 3 - 6 + 1 + 7 = 5 is shared by red and blue alone
    heatmap = more_techniques.lrp(pooling_network, image, 0)[0]
    np.testing.assert_allclose(heatmap[1, 2], 5, rtol=1e-5)


def test_lrp_of_a_linear_network_is_gradient_x_input_from_black_over_what_no_bias_has(
    linear_network, images
):
    maps = more_techniques.lrp(linear_network, images, 1)
    black = more_techniques.gradient_x_input(linear_network, images, 1, baseline=(0, 0, 0))
    share = scores(linear_network, images)[:, 1] / black.sum((1, 2))
    np.testing.assert_allclose(maps, black * share[:, None, None], rtol=1e-3, atol=1e-5)


def test_lrp_refuses_layers_that_it_has_no_rule_for(images):
    layers = keras.layers
    x = image = keras.Input((SIDE, SIDE, 3))
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(3, 1)(x))
    with pytest.raises(ValueError, match="no rule here for norm"):
        more_techniques.lrp(keras.Model([image], pooled(x)), images, 0)
    x = layers.Add()([image, layers.Conv2D(3, 1)(image)])
    with pytest.raises(ValueError, match="layers that meet"):
        more_techniques.lrp(keras.Model([image], pooled(x)), images, 0)


# ---------------------------------------------------------------------- maps of feature maps


def test_the_margin_of_two_classes_is_the_log_odds(dense_network, images):
    odds = scores(more_techniques.margins(dense_network), images)
    p = model.probabilities(scores(dense_network, images))
    np.testing.assert_allclose(odds, np.log(p / p[:, ::-1]), rtol=1e-3, atol=1e-5)


def test_the_margin_is_to_the_largest_other_class(images):
    image = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.GlobalAveragePooling2D()(image)
    network = keras.Model([image], keras.layers.Dense(3)(x))
    network.layers[-1].set_weights([np.zeros((3, 3)), np.array([1.0, 5.0, 2.0])])
    found = scores(more_techniques.margins(network), images[:1])
    np.testing.assert_allclose(found, [[-4, 3, -3]])


@pytest.mark.parametrize("c", [0, 1])
def test_the_contrast_map_of_a_pooling_network_is_that_of_the_difference_of_cams(
    c, pooling_network, images
):
    own, other = (attention.cam(pooling_network, images, k) for k in (c, 1 - c))
    maps = more_techniques.contrast_cam(pooling_network, images, c)
    expected = np.maximum(own - other, 0) / own[0].size
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)


def test_layer_cam_by_hand_keeps_what_speaks_for_the_class(pooling_network):
    image = np.zeros((1, SIDE, SIDE, 3), "float32")
    image[0, 1, 2] = [3, 1, 0]  # red counts 2 / 16 for class 0; green speaks against it
    heatmap = more_techniques.layer_cam(pooling_network, image, 0)[0]
    assert heatmap[1, 2] == 0.375
    assert np.count_nonzero(heatmap) == 1


def test_layer_cam_and_score_cam_are_those_of_tf_keras_vis(dense_network, images):
    quiet = keras.Model(dense_network.inputs, dense_network.outputs[0])
    quiet.predict = lambda x, batch_size: dense_network.predict_on_batch(x[0])
    for ours, theirs in (
        (more_techniques.layer_cam, Layercam(dense_network)),
        (more_techniques.score_cam, Scorecam(quiet)),
    ):
        expected = theirs(CategoricalScore([0, 1]), images[:2], penultimate_layer="conv", **RAW)
        maps = ours(dense_network, images[:2], np.array([0, 1]))
        np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)


def test_grad_cam_plus_plus_is_that_of_tf_keras_vis_over_the_exponential_of_the_logit(
    dense_network, images
):
    expected = GradcamPlusPlus(dense_network)(
        CategoricalScore([1] * 6), images, penultimate_layer="conv", **RAW
    )
    maps = more_techniques.grad_cam_plus_plus(dense_network, images, 1)
    exponential = np.exp(scores(dense_network, images)[:, 1])
    np.testing.assert_allclose(maps * exponential[:, None, None], expected, rtol=1e-3, atol=1e-6)


def test_grad_cam_plus_plus_is_finite_where_the_exponential_of_the_logit_is_not(
    dense_network, images
):
    small = more_techniques.grad_cam_plus_plus(dense_network, images, 0)
    kernel, bias = dense_network.layers[-1].get_weights()
    dense_network.layers[-1].set_weights([kernel, bias + 1000])
    assert (scores(dense_network, images) > 89).all()
    np.testing.assert_array_equal(
        more_techniques.grad_cam_plus_plus(dense_network, images, 0), small
    )


def test_score_cam_can_do_with_the_feature_maps_that_vary_most(pooling_network, images):
    images[..., 1] *= 0.1  # the green feature map hardly varies
    maps = more_techniques.score_cam(pooling_network, images, 0, feature_maps=1)
    ratio = maps / images[..., 0]
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1, :1], ratio.shape), rtol=1e-4)


def test_score_cam_works_in_bfloat16(dense_network, images):
    fast = model.in_policy(dense_network, "mixed_bfloat16")
    np.testing.assert_allclose(
        more_techniques.score_cam(fast, images, 0),
        more_techniques.score_cam(dense_network, images, 0),
        rtol=0.05,
    )


# ------------------------------------------------------------------------ the network as a box


@pytest.fixture
def square_network():
    """S_0 is the red inside rows 2-3 and columns 4-5 of pictures (8, 8, 3), S_1 = 1 - S_0."""
    image = keras.Input((8, 8, 3))
    logits = keras.layers.Dense(2)
    network = keras.Model([image], logits(keras.layers.Flatten()(image)))
    kernel = np.zeros((8, 8, 3, 2), "float32")
    kernel[2:4, 4:6, 0] = [1, -1]
    logits.set_weights([kernel.reshape(-1, 2), np.array([0.0, 1.0])])
    return network


@pytest.fixture
def red_square():
    """A black picture (1, 8, 8, 3) with that square in red."""
    picture = np.zeros((1, 8, 8, 3), "float32")
    picture[0, 2:4, 4:6, 0] = 1
    return picture


def test_occlusion_finds_the_planted_square_and_what_it_is_worth(square_network, red_square):
    black = dict(baseline=(0, 0, 0))
    heatmap = more_techniques.occlusion(square_network, red_square, 0, size=2, stride=2, **black)
    expected = np.zeros((1, 4, 4))
    expected[0, 1, 2] = 4  # four pixels of red
    np.testing.assert_allclose(heatmap, expected, atol=1e-6)
    against = more_techniques.occlusion(square_network, red_square, 1, size=2, stride=2, **black)
    np.testing.assert_allclose(against, -expected, atol=1e-6)


def test_the_square_of_occlusion_has_the_mean_colour_of_the_picture(square_network, red_square):
    heatmap = more_techniques.occlusion(square_network, red_square, 0, size=2, stride=2)
    np.testing.assert_allclose(heatmap[0, 1, 2], 4 * (1 - 4 / 64), rtol=1e-6)


def test_squares_larger_than_the_stride_overlap_and_are_cut_at_the_edges():
    masks = more_techniques._without_squares((8, 8), size=4, stride=2)
    assert masks.shape == (4, 4, 8, 8)
    assert list(np.flatnonzero(masks[0, 0, 0] == 0)) == [0, 1, 2]  # around 0.5, from -1 to 2
    assert list(np.flatnonzero(masks[0, 1, 0] == 0)) == [1, 2, 3, 4]


@pytest.mark.parametrize(("size", "stride"), [(2, 5), (2, 0), (0, 1)])
def test_squares_that_do_not_fit_are_refused(size, stride, dense_network, images):
    with pytest.raises(ValueError, match="the stride at most 4"):
        more_techniques.occlusion(dense_network, images, 0, size=size, stride=stride)


# ------------------------------------------------------------------------- asked of all of them


def test_in_a_pooling_network_a_place_is_worth_what_hires_cam_says(pooling_network, images):
    losses = more_techniques.place_losses(pooling_network, images, 1)
    maps = attention.hires_cam(pooling_network, images, 1)
    np.testing.assert_allclose(losses, maps, rtol=1e-3, atol=1e-5)


def test_a_network_that_forgets_keeps_its_convolutions_and_draws_anew(dense_network):
    convolution, *_, logits = (
        layer.get_weights() for layer in dense_network.layers if layer.weights
    )
    drawn = []
    for twin in more_techniques.forgetful(dense_network, 2):
        np.testing.assert_array_equal(twin.get_layer("conv").get_weights()[0], convolution[0])
        drawn.append(twin.layers[-1].get_weights()[0])
    assert not np.allclose(drawn[0], logits[0])
    assert not np.allclose(*drawn)
    again = [
        twin.layers[-1].get_weights()[0] for twin in more_techniques.forgetful(dense_network, 2)
    ]
    np.testing.assert_array_equal(drawn, again)
    np.testing.assert_array_equal(dense_network.layers[-1].get_weights()[0], logits[0])


def test_maps_that_stay_fail_and_maps_that_turn_pass():
    maps = np.random.default_rng(0).random((6, 9, 9))
    scenes = np.arange(6)
    stays, each = more_techniques.forgotten(maps, np.stack([maps] * 4), scenes, 0.1)
    turns, _ = more_techniques.forgotten(maps, np.stack([-maps] * 4), scenes, 0.1)
    assert (stays["random"], turns["random"]) == pytest.approx((1, -1))
    assert (stays["randomisation"], turns["randomisation"]) == ("fails", "passes")
    assert each.shape == (4,)
