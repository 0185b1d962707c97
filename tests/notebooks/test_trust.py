from itertools import permutations

import matplotlib
import numpy as np
import pandas as pd
import pytest

import trust
from data.drawing.pets import PARTS
from utils import attention, evaluation, model, settings

# ---------------------------------------------------------------- parts of the head


def test_shapley_values_by_hand():
    # a adds 1 to nothing and 3 to b; b adds 2 to nothing and 4 to a
    values = {frozenset(): 0.0, frozenset("a"): 1.0, frozenset("b"): 2.0, frozenset("ab"): 5.0}
    assert trust.shapley(values).to_dict() == {"a": 2.0, "b": 3.0}


def test_shapley_values_are_the_mean_over_all_orders():
    generator = np.random.default_rng(0)
    values = {
        frozenset(name for k, name in enumerate("abcd") if bits >> k & 1): generator.random()
        for bits in range(16)
    }
    gains = pd.DataFrame(
        {p: values[frozenset(o[: i + 1])] - values[frozenset(o[:i])] for i, p in enumerate(o)}
        for o in permutations("abcd")
    )
    np.testing.assert_allclose(trust.shapley(values), gains.mean()[list("abcd")])


@pytest.fixture
def opinion(monkeypatch):
    """Logits that are no sum of parts: the mean and the largest of a square of pixels."""

    def logits(network, images):
        pixels = np.float32(images) / 255
        return np.stack([(pixels**3).mean((1, 2, 3)), pixels[:, 40:80].std((1, 2, 3))], axis=1)

    monkeypatch.setattr(model, "logits", logits)
    return logits


def test_the_values_of_a_picture_sum_to_the_difference_of_its_twins_logits(opinion):
    scenes = [0, 1, 2, 3]
    worth = trust.worth.func("", None, scenes)
    for scene, row in zip(scenes, worth.to_numpy(), strict=True):
        pictures = trust.hybrids(scene)
        cat, dog = opinion(None, np.stack([pictures[frozenset()], pictures[frozenset(PARTS)]]))
        assert row.sum() == pytest.approx((dog[1] - dog[0]) - (cat[1] - cat[0]), abs=1e-4)


def test_a_part_is_where_its_swap_changes_the_picture():
    picture, changed = np.zeros((4, 4, 3), "uint8"), np.zeros((4, 4, 3), "uint8")
    changed[0, :2, 1] = 12, 11
    both = changed.copy()
    both[3, 3] = 255
    pictures = {frozenset(): picture, frozenset("a"): changed, frozenset("ab"): both}
    regions = trust.part_regions(pictures | {frozenset("b"): both})
    assert np.argwhere(regions["a"]).tolist() == [[0, 0]]
    assert [3, 3] in np.argwhere(regions["b"]).tolist()


def test_energies_of_a_network_are_those_of_its_maps(dense_network, images, monkeypatch):
    monkeypatch.setattr(trust, "enlarge", lambda maps: maps)
    masks = {"left": np.broadcast_to(np.arange(4) < 2, (6, 4, 4))}
    energies, first = trust.energies_of.func("", dense_network, images, 0, masks, n=2)
    saliency = attention.saliency_map(dense_network, images, 0)
    expected = evaluation.energy_inside(saliency, masks["left"])
    np.testing.assert_allclose(energies["saliency", "left"], expected, rtol=1e-5)
    np.testing.assert_allclose(first["saliency"], saliency[:2], rtol=1e-5)


# ---------------------------------------------------------------- random weights


def test_a_cascade_begins_with_the_trained_network_and_skips_what_is_not_there(
    dense_network, images
):
    names = [layer.name for layer in dense_network.layers if layer.weights]
    steps = [names[-1], "no_such_layer", names[0]]
    asked = ("", dense_network, ("saliency",), images, 0, steps, 1000)
    similar, maps = trust.cascade.func(*asked)["saliency"]
    assert similar.shape == (4, 6) and maps.shape == (4, 4, 4)
    np.testing.assert_allclose(similar[0], 1)
    np.testing.assert_array_equal(similar[1], similar[2])
    assert similar[3].mean() < 0.9


# ---------------------------------------------------------------- deletion


@pytest.fixture
def bright(monkeypatch):
    """A margin that is how much brighter the left column of 2 x 2 cells is."""
    monkeypatch.setattr(settings, "GRID", 2)

    def logits(network, images):
        left, right = (images[:, :, k].mean((1, 2)) for k in (0, 1))
        return np.stack([left - right, np.zeros(len(images))], axis=1)

    monkeypatch.setattr(model, "logits", logits)


LEFT = np.zeros((1, 2, 2, 3), "uint8")
LEFT[:, :, 0] = 200  # so that the picture's mean colour is 100


def test_deletion_follows_the_margin_while_the_first_cells_vanish(bright):
    first = np.array([[[4.0, 2], [3, 1]]])
    curve = trust.deletion(None, LEFT, first, 0, steps=4)
    np.testing.assert_allclose(curve, [[200, 150, 100, 50, 0]])
    np.testing.assert_allclose(trust.deletion(None, LEFT, first, 0, steps=2), [[200, 100, 0]])


def test_deletion_is_asked_for_each_pictures_own_class(bright):
    maps, images = np.repeat([[[4.0, 2], [3, 1]]], 2, axis=0), np.repeat(LEFT, 2, axis=0)
    own, other = trust.deletion(None, images, maps, [0, 1], steps=2)
    np.testing.assert_allclose(own, -other)


def test_a_flat_map_deletes_in_one_random_order(bright):
    flat, images = np.ones((3, 2, 2)), np.repeat(LEFT, 3, axis=0)
    curves = trust.deletion(None, images, flat, 0, steps=4)
    assert (curves == curves[0]).all() and curves[0, -1] == 0


def test_painting_over_leaves_nothing_of_what_was_there():
    images = np.random.default_rng(0).integers(0, 255, (2, 4, 4, 3), "uint8")
    masks = np.zeros((2, 4, 4), bool)
    masks[:, :2] = True
    painted = trust.paint_over(images, masks)
    assert painted.dtype == np.uint8
    assert (painted[:, :2] == painted[:, :1, :1]).all()
    np.testing.assert_array_equal(painted[:, 2:], images[:, 2:])


# ---------------------------------------------------------------- the planted cue

LABELS = np.array([0, 1, 1, 0, 1, 1])


@pytest.fixture
def grey():
    return np.full((6, 150, 150, 3), 128, "uint8")


def has_tag(images):
    return (images != 128).any((1, 2, 3))


def test_the_tag_is_four_by_four_squares_half_black_half_white():
    tag = trust.tag()
    assert tag.shape == (16, 16, 3)
    assert (tag[:4, :4] == 0).all()
    assert (tag[:4, 4:8] == 255).all()
    assert tag.mean() == 127.5


def test_the_tag_changes_its_region_of_a_copy_and_nothing_else(grey):
    changed = (trust.tagged(grey) != grey).all(-1)
    np.testing.assert_array_equal(changed, trust.region(grey))
    assert trust.region(grey)[0].sum() == 16 * 16
    assert not has_tag(grey).any()


def test_only_the_chosen_pictures_are_tagged(grey):
    assert has_tag(trust.tagged(grey, LABELS == 0)).tolist() == (LABELS == 0).tolist()


def test_a_dose_is_a_share_of_one_class_and_a_larger_one_tags_the_same_and_more(grey):
    doses = [trust.dosed(grey, LABELS, dose, class_index=1) for dose in (0, 0.25, 0.5, 0.75, 1)]
    tags = np.array([has_tag(images) for images in doses])
    assert tags.sum(1).tolist() == [0, 1, 2, 3, 4]
    assert not tags[:, LABELS == 0].any()
    assert (tags[1:] >= tags[:-1]).all()


def test_the_leaning_without_and_with_the_tag(grey, monkeypatch):
    monkeypatch.setattr(model, "logits", lambda network, x: np.eye(2)[has_tag(x).astype(int)])
    np.testing.assert_array_equal(trust.leaning.func("", None, grey), [[-1] * 6, [1] * 6])


# ---------------------------------------------------------------- figures

LINE = [(0.5, 0.4, 0.6), (1.0, 0.9, 1.0)]  # two values with their intervals


def texts(fig):
    return {text.get_text() for text in fig.findobj(matplotlib.text.Text)}


def test_the_parts_stand_beside_what_the_maps_have_on_them(grey):
    values = pd.Series({"ears": 0.7, "eyes": 0.3})
    fig = trust.parts_figure({"cat": grey[0], "dog": grey[1]}, values, {"edges": values})
    assert {"cat", "dog", "ears", "eyes", "edges"} <= texts(fig)


def test_two_networks_have_a_row_of_maps_each(grey):
    rows = dict.fromkeys(("of animals", "of places"), {"saliency": np.ones((150, 150))})
    fig = trust.causes_figure(grey[0], trust.region(grey)[0], rows)
    assert {"of animals", "of places", "Saliency map"} <= texts(fig) and len(fig.axes) == 4


def test_the_randomisation_has_a_row_of_maps_and_a_panel_for_each_technique(grey):
    maps = {"saliency": np.ones((2, 150, 150)), "cam": np.ones((2, 9, 9))}
    levels, similarity = dict.fromkeys(maps, (0.1, 0.2)), dict.fromkeys(maps, LINE)
    fig = trust.randomisation(grey[0], maps, ["trained", "logits"], similarity, levels)
    assert len(fig.findobj(matplotlib.axes.Axes)) == 2 * 2 + 2
    assert {"map of another picture", "edges of the picture", "CAM"} <= texts(fig)


def test_ranks_are_a_table_with_a_row_for_each_technique():
    ranks = pd.DataFrame({"energy": [1, 2], "Shapley": [2, 1]}, index=["CAM", "other"])
    ax = trust.rank_figure(ranks).axes[0]
    assert [text.get_text() for text in ax.texts] == ["1", "2", "2", "1"]
    assert {"CAM", "other", "energy", "Shapley"} <= texts(ax.figure)


@pytest.fixture
def found():
    """Two scenes at two doses by two trainings: of the accuracy, and of two techniques' alarms."""
    values = {("right, no tag", dose): np.ones((2, 4)) for dose in (0, 100)}
    for name in ("CAM, dogs", "CAM, cats"):
        values |= {(name, 0): np.zeros((2, 4)), (name, 100): np.array([[1, 1, 0, 0], [1, 1, 1, 1]])}
    return trust.over_doses(values, ["a", "a", "b", "b"])


def test_over_the_doses_there_are_shares_with_intervals_and_one_for_each_training(found):
    values, dots = found["CAM, dogs"]
    assert values[:, 0].tolist() == [0, 0.75]
    assert np.all((values >= 0) & (values <= 1)) and values[1, 1] < 0.75
    assert dots.tolist() == [[0, 0], [0.5, 1]]


def test_the_cue_has_a_panel_with_lines_and_a_dot_for_each_training(found):
    fig = trust.cue_figure("A finding", [0, 100], found)
    assert {"A finding", "right, no tag", "CAM", "maps of tagged cats that show the tag"} <= texts(
        fig
    )
    assert [len(ax.lines) for ax in fig.axes] == [3] * 3  # a curve, and the dots of two trainings


def test_the_cue_is_saved_with_its_pictures_maps_and_numbers(found, monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "MAPS", tmp_path)
    monkeypatch.setattr(settings, "TABLES", tmp_path)
    images, some = np.zeros((2, 4, 4, 3), "uint8"), {"cam": np.ones((2, 4, 4))}
    trust.save_cue(found, images, {0: some, 100: {"cam": np.zeros((2, 4, 4))}})
    with np.load(tmp_path / "cue.npz") as saved:
        assert saved["maps"].shape == (2, 2, 1, 4, 4)  # doses, pictures, techniques
        assert saved["maps"][0].min() == 1 and not saved["maps"][1].any()  # also of empty maps
        assert saved["doses"].tolist() == [0, 100] and saved["techniques"].tolist() == ["cam"]
    table = pd.read_csv(tmp_path / "cue.csv").set_index(["quantity", "dose"])
    assert table.loc[("CAM, dogs", 100), "value"] == 0.75
