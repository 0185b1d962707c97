from functools import partial

import numpy as np
import pytest

from utils import attention, model, networks
from utils.runtime import keras, tf

layers = keras.layers
SIDE = 12


def pictures(count=3, side=SIDE):
    return np.random.default_rng(0).random((count, side, side, 3), "float32")


def base(inputs=lambda image: image):
    """A network from pictures to maps, to be nested; its names are taken again by the heads."""
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    x = layers.Add(name="sum")([x, layers.Conv2D(4, 1, name="dense")(x)])
    return keras.Model(inputs(image), x * 2.0, name="base")


def nested(activation="softmax", units=3, inputs=lambda image: image):
    """A base as one layer, as the examples on transfer learning build it."""
    image = keras.Input((SIDE, SIDE, 3))
    x = base(inputs)(inputs(image), training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(units, activation, name="dense")(layers.Dropout(0.5)(x))
    return keras.Model(image, x, name="nested")


def sequential(activation="softmax", units=3):
    head = [layers.GlobalAveragePooling2D(), layers.Dense(units, activation)]
    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers.Conv2D(4, 3), *head])


def sequential_in_functional(head):
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    return keras.Model(image, keras.Sequential([layers.Dense(3), head])(x))


def operation_at_the_end():
    image = keras.Input((SIDE, SIDE, 3))
    return keras.Model(image, keras.ops.softmax(layers.Dense(3)(layers.Flatten()(image))))


def adapted():
    """Its first layer has learnt the pictures' mean and variance."""
    normalise = layers.Normalization()
    normalise.adapt(5 * pictures() + 2)
    end = [layers.Flatten(), layers.Dense(3, "softmax")]
    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), normalise, *end])


def pretrained_nested_twice():
    body = keras.Sequential([keras.Input((SIDE, SIDE, 3)), base(), layers.ReLU()])
    end = [layers.GlobalAveragePooling2D(), layers.Dense(3), layers.Activation("softmax")]
    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), body, *end])


SOFTMAX = {
    "nested base": nested,
    "nested base with a list": lambda: nested(inputs=lambda image: [image]),
    "Sequential": sequential,
    "Sequential in functional": lambda: sequential_in_functional(layers.Softmax()),
    "activation layer": lambda: sequential_in_functional(layers.Activation("softmax")),
    "operation": operation_at_the_end,
    "base in Sequential in Sequential": pretrained_nested_twice,
    "adapted preprocessing": adapted,
}


@pytest.mark.parametrize("build", SOFTMAX.values(), ids=SOFTMAX)
def test_the_softmax_of_the_flat_network_is_the_networks_output(build):
    network = build()
    flat = networks.flat(network)
    assert not any(isinstance(layer, keras.Model) for layer in flat.layers)
    logits = flat.predict_on_batch(pictures())
    np.testing.assert_allclose(
        model.probabilities(logits), network.predict_on_batch(pictures()), atol=1e-6
    )


@pytest.mark.parametrize("build", [nested, sequential])
@pytest.mark.parametrize("units", [1, 3])
def test_the_sigmoid_of_the_flat_networks_logits_is_the_networks_output(build, units):
    network = build("sigmoid", units)
    logits = networks.flat(network).predict_on_batch(pictures())
    shares = 1 / (1 + np.exp(-logits))
    expected = network.predict_on_batch(pictures())
    if units == 1:  # it stands for two classes
        expected = np.hstack([1 - expected, expected])
    np.testing.assert_allclose(shares, expected, atol=1e-6)


def test_a_flat_network_with_linear_outputs_is_returned_itself(dense_network):
    assert networks.flat(dense_network) is dense_network


def test_new_weights_show_in_the_next_map():
    network = sequential()
    before = attention.grad_cam(network, pictures(), 0, pooled="sum")
    convolution = network.layers[0]
    convolution.set_weights([2 * weights for weights in convolution.get_weights()])
    after = attention.grad_cam(network, pictures(), 0, pooled="sum")
    np.testing.assert_allclose(after, 2 * before, rtol=1e-5)


class Subclassed(keras.Model):
    def call(self, images):
        return images


def two_outputs():
    image = keras.Input((SIDE, SIDE, 3))
    return keras.Model(image, [layers.Flatten()(image), layers.ReLU()(image)])


@pytest.mark.parametrize(
    "build", [Subclassed, two_outputs, lambda: keras.Sequential([layers.Dense(2)])]
)
def test_a_network_without_one_graph_is_refused_with_how_to_build_one(build):
    with pytest.raises(ValueError, match="no graph of layers .* Build it with keras.Model"):
        attention.saliency_map(build(), pictures(), 0)


def written_out(network):
    """`nested` with a softmax, built flat and linear by hand."""
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    x = layers.Add()([x, layers.Conv2D(4, 1)(x)]) * 2.0
    x = layers.GlobalAveragePooling2D()(x)
    flat = keras.Model(image, layers.Dense(3)(x), name="by_hand")
    flat.set_weights(network.get_weights())
    return flat


TECHNIQUES = [
    *(attention.saliency_map, attention.smoothgrad, attention.cam),
    *(attention.grad_cam, attention.hires_cam),
]


@pytest.mark.parametrize("technique", [*TECHNIQUES, partial(attention.grad_cam, layer="conv")])
def test_a_nested_network_has_the_maps_of_the_same_network_built_flat(technique):
    network = nested()
    expected = technique(written_out(network), pictures(), 2)
    np.testing.assert_allclose(technique(network, pictures(), 2), expected, rtol=1e-5, atol=1e-6)


def test_with_one_sigmoid_the_classes_share_the_saliency_map_and_not_grad_cam():
    network = sequential("sigmoid", 1)
    saliency = [attention.saliency_map(network, pictures(), c) for c in (0, 1)]
    np.testing.assert_array_equal(*saliency)
    cams = [attention.cam(network, pictures(), c) for c in (0, 1)]
    np.testing.assert_allclose(cams[0], -cams[1], rtol=1e-6)
    heatmaps = [attention.grad_cam(network, pictures(), c) for c in (0, 1)]
    assert not ((heatmaps[0] > 0) & (heatmaps[1] > 0)).any()
    assert heatmaps[0].any() or heatmaps[1].any()


def test_one_input_and_one_output_may_stand_in_lists_or_not():
    network = written_out(nested())
    listed = keras.Model([network.input], [network.output])
    for technique in TECHNIQUES:
        expected = technique(network, pictures(), 0)
        np.testing.assert_array_equal(technique(listed, pictures(), 0), expected)


def test_a_network_for_any_size_takes_pictures_of_any_size():
    head = [layers.GlobalAveragePooling2D(), layers.Dense(2)]
    network = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(4, 3), *head])
    for side in (6, 9):
        maps = attention.saliency_map(network, pictures(side=side), 0)
        assert maps.shape == (3, side, side)
    with pytest.raises(ValueError, match="is not known here"):
        networks.geometry(network)


# ------------------------------------------------------------------------------- geometry


def test_a_unit_of_vgg16s_last_convolution_sees_196_pixels_around_pixel_16_i_plus_7_5():
    network = keras.applications.VGG16(include_top=False, weights=None, input_shape=(150, 150, 3))
    row = networks.geometry(network).set_index("layer").loc["block5_conv3"]
    assert dict(row) == dict(units=9, stride=16, first=7.5, field=196)


def strided(x):
    return layers.Conv2D(3, 3, strides=2, padding="same")(x)


def depthwise(x):
    return layers.SeparableConv2D(3, 3)(layers.DepthwiseConv2D(2, strides=2, padding="same")(x))


def pooled(x):
    x = layers.AveragePooling2D(3, 2)(layers.Conv2D(3, 3, padding="same")(x))
    return layers.AveragePooling2D(2)(layers.BatchNormalization()(x))


def network_of(body, side=60):
    """Layers to look at between two convolutions; the second one leaves out what it can."""
    keras.utils.set_random_seed(0)
    image = keras.Input((side, side, 3), name="image")
    x = body(layers.Conv2D(4, 2, padding="same", name="first")(image))
    last = layers.Conv2D(2, 2, strides=2, name="last")(x)
    return keras.Model(image, last)


@pytest.mark.parametrize("body", [strided, depthwise, pooled])
def test_a_units_field_is_where_its_gradient_is_not_zero(body):
    network = network_of(body)
    row = networks.geometry(network).set_index("layer").loc["last"]
    unit, image = int(row["units"]) // 2, tf.constant(pictures(1, 60))
    with tf.GradientTape() as tape:
        tape.watch(image)
        score = network(image)[0, unit, unit, 0]
    seen = np.flatnonzero(tape.gradient(score, image)[0].numpy().any((1, 2)))
    assert seen.max() - seen.min() + 1 == row["field"]
    assert (seen.max() + seen.min()) / 2 == row["first"] + unit * row["stride"]


@pytest.mark.parametrize(
    "body",
    [
        layers.UpSampling2D(),
        layers.ZeroPadding2D(1),
        layers.Conv2D(3, 3, dilation_rate=2),
        lambda x: layers.Add()([x, x]),
    ],
)
def test_a_layer_that_reads_in_another_way_is_named(body):
    with pytest.raises(ValueError, match=r"Where the units of \w+ look is not known here"):
        networks.geometry(network_of(body))
