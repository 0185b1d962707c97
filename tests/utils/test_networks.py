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
    with pytest.raises(ValueError, match="takes pictures of any size"):
        networks.geometry(network)


# ------------------------------------------------------------------------------- geometry


def vgg16(side):
    return keras.applications.VGG16(include_top=False, weights=None, input_shape=(side, side, 3))


def test_at_150_pooling_never_reads_17_of_81_units_of_vgg16_and_at_160_it_reads_all():
    network = vgg16(150)
    row = networks.geometry(network).set_index("layer").loc["block5_conv3"]
    assert row["unread"] == pytest.approx(17 / 81)
    assert dict(row.drop("unread")) == dict(units=9, stride=16, first=7.5, field=196)
    read = networks.read_places(network)["block5_conv3"]
    assert read[:8, :8].all() and not read[8].any() and not read[:, 8].any()
    assert networks.read_places(vgg16(160))["block5_conv3"].all()


def strided(x):
    return layers.Conv2D(3, 3, strides=2, padding="same")(x)


def dilated(x):
    return layers.Conv2D(3, 3, dilation_rate=2, activation="tanh")(x)


def padded(x):
    return layers.Conv2D(3, 4, strides=3)(layers.ZeroPadding2D(((2, 0), (0, 1)))(x))


def depthwise(x):
    return layers.SeparableConv2D(3, 3)(layers.DepthwiseConv2D(2, strides=2, padding="same")(x))


def cropped(x):
    return layers.Conv2D(3, 2, padding="same")(layers.Cropping2D(((1, 2), (0, 1)))(x))


def pooled(x):
    x = layers.AveragePooling2D(3, 2)(layers.Conv2D(3, 3, padding="same")(x))
    return layers.AveragePooling2D(2)(layers.BatchNormalization()(x))


def two_branches(x):
    x = strided(x)
    wide = layers.Conv2D(3, 5, padding="same")(x)
    return layers.Add()([layers.Conv2D(3, 1)(x), layers.Activation("tanh")(wide)])


def gated(x):
    x = layers.Conv2D(3, 3, padding="same")(x)
    gate = layers.Dense(3, "sigmoid")(layers.GlobalAveragePooling2D()(x))
    return layers.Multiply()([x, layers.Reshape((1, 1, 3))(gate)])


BODIES = [strided, dilated, padded, depthwise, cropped, pooled, two_branches]


def network_of(body, side):
    """Layers to look at between two convolutions; the second one leaves out what it can."""
    keras.utils.set_random_seed(0)
    image = keras.Input((side, side, 3), name="image")
    x = body(layers.Conv2D(4, 2, padding="same", name="first")(image))
    last = layers.Conv2D(2, 2, strides=2, name="last")(x)
    return keras.Model(image, layers.Flatten()(last))


def gradients(network, outputs=slice(None)):
    """By layer: where some channel has a gradient, bool (h, w), of a random sum of the outputs."""
    inner = [layer for layer in network.layers if networks.has_maps(layer)]
    everything = keras.Model(network.inputs, [*(layer.output for layer in inner), network.output])
    image = tf.constant(pictures(1, network.input_shape[1]))
    with tf.GradientTape() as tape:
        tape.watch(image)
        *maps, scores = everything([image])
        score = tf.reduce_sum((scores * tf.random.normal(scores.shape))[:, outputs])
    found = tape.gradient(score, [image, *maps[1:]])
    return {a.name: (b[0].numpy() != 0).any(-1) for a, b in zip(inner, found, strict=True)}


@pytest.mark.parametrize("body", [*BODIES, gated])
@pytest.mark.parametrize("side", [19, 20])
def test_the_places_that_are_read_are_those_with_a_gradient(body, side):
    network = network_of(body, side)
    measured = gradients(network)
    for layer, read in networks.read_places(network).items():
        np.testing.assert_array_equal(read, measured[layer], err_msg=layer)


@pytest.mark.parametrize("body", BODIES)
def test_a_units_field_is_where_its_gradient_is_not_zero(body):
    network = network_of(body, 60)
    row = networks.geometry(network).set_index("layer").loc["last"]
    unit, across = int(row["units"]) // 2, network.get_layer("last").output.shape[2]
    entry = 2 * (unit * across + across // 2)  # of its two channels the first
    seen = np.flatnonzero(gradients(network, slice(entry, entry + 1))["image"].any(1))
    assert seen.max() - seen.min() + 1 == row["field"]
    assert (seen.max() + seen.min()) / 2 == row["first"] + unit * row["stride"]


def test_a_gate_that_looks_at_all_of_the_picture_has_no_row():
    table = networks.geometry(network_of(gated, 20)).set_index("layer")
    assert [name for name in table.index if "reshape" in name] == []
    assert table.loc["last", "field"] == 5


def test_a_layer_of_unknown_reach_is_named():
    with pytest.raises(ValueError, match=r"the layer larger \(UpSampling2D\) reads is not known"):
        networks.geometry(network_of(layers.UpSampling2D(name="larger"), 20))


def test_a_nested_network_has_the_geometry_of_its_layers():
    table = networks.geometry(nested()).set_index("layer")
    assert table.loc["conv", "field"] == 3
    assert table.loc["conv", "first"] == 1
