"""Learned graphs: the matrix, and the links on the map."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch

from stmest import DataError, Graph, LastValue, ParameterError, STM3Forecaster, make_sensor_network
from stmest.plotting import GraphDisplay, plot_graph_map, plot_graph_matrix
from stmest.plotting._canvas import COLOURS

NAMES = ["a", "b", "c"]
# a listens to b most, b to c, c to nobody but itself
WEIGHTS = pd.DataFrame([[0.6, 0.3, 0.1], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]], index=NAMES, columns=NAMES)
PLACES = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])


def _arrows(axis):
    return [patch for patch in axis.patches if isinstance(patch, FancyArrowPatch)]


def _ends(arrow):
    (x0, y0), (x1, y1) = arrow._posA_posB
    return (x0, y0), (x1, y1)


def test_matrix_shows_the_weights_with_the_names_and_a_scale_between_nodes():
    (axis,) = plot_graph_matrix(WEIGHTS)
    (image,) = axis.images
    np.testing.assert_array_equal(image.get_array(), WEIGHTS.to_numpy())
    assert image.get_clim() == (0.0, 0.5)
    assert [label.get_text() for label in axis.get_xticklabels()] == NAMES
    assert [label.get_text() for label in axis.get_yticklabels()] == NAMES
    assert "listens" in axis.get_ylabel()
    assert axis.figure.axes[-1].get_ylabel() == "weight"


def test_arrows_lead_to_the_node_that_listens():
    (axis,) = plot_graph_map(WEIGHTS, PLACES, n_links=1)
    ends = {_ends(arrow) for arrow in _arrows(axis)}
    assert ends == {((1.0, 0.0), (0.0, 0.0)), ((0.0, 2.0), (1.0, 0.0))}  # b -> a and c -> b
    assert {_ends(arrow) for arrow in _arrows(plot_graph_map(WEIGHTS, PLACES, n_links=2)[0])} == ends
    assert [text.get_text() for text in axis.texts] == NAMES


def test_links_that_do_not_stand_out_are_not_drawn():
    even = pd.DataFrame(np.full((4, 4), 0.25))
    places = np.random.default_rng(0).random((4, 2))
    assert _arrows(plot_graph_map(even, places)[0]) == []
    even.iloc[2, 0] = 0.5
    assert len(_arrows(plot_graph_map(even, places)[0])) == 1
    two = pd.DataFrame([[0.5, 0.5], [0.5, 0.5]])
    assert len(_arrows(plot_graph_map(two, places[:2])[0])) == 2


def test_links_of_the_given_graph_are_told_from_others():
    given = Graph([[0, 0, 0], [1, 0, 0], [0, 0, 0]], NAMES)  # b -> a
    (axis,) = plot_graph_map(WEIGHTS, PLACES, given=given, n_links=1)
    colours = {_ends(arrow)[1]: to_hex(arrow.get_edgecolor()).upper() for arrow in _arrows(axis)}
    assert colours == {(0.0, 0.0): COLOURS[0], (1.0, 0.0): COLOURS[1]}
    legend = [text.get_text() for text in axis.figure.legends[0].get_texts()]
    assert legend == ["also in the given graph", "not in the given graph"]


def test_latitude_goes_up_and_longitude_across():
    (axis,) = plot_graph_map(WEIGHTS, [[48.0, -4.0], [49.0, -3.0], [48.0, -2.0]], geographic=True)
    np.testing.assert_array_equal(axis.get_lines()[0].get_xdata(), [-4, -3, -2])
    assert axis.get_xlabel() == "longitude (degrees)"
    assert axis.get_aspect() == pytest.approx(1 / np.cos(np.radians(145 / 3)))


def test_display_draws_matrix_alone_or_with_the_map():
    assert len(GraphDisplay(WEIGHTS).plot().axes_) == 1
    display = GraphDisplay(WEIGHTS, given=Graph(np.eye(3), NAMES, PLACES)).plot(title="learned")
    assert len(display.axes_) == 2
    assert display.figure_.get_suptitle() == "learned"


def test_display_of_a_forecaster_shows_its_graph():
    data = make_sensor_network(n_nodes=5, n_times=200, random_state=0)
    model = STM3Forecaster(
        input_length=8, horizon=2, max_epochs=1, n_experts=0, linear_skip=False, random_state=0
    )
    display = GraphDisplay.from_estimator(model.fit(data.values, data.graph), n_links=1)
    np.testing.assert_array_equal(
        display.axes_[0].images[0].get_array(), model.graph_.to_numpy().astype(float)
    )
    assert 1 <= len(_arrows(display.axes_[1])) <= 5


@pytest.mark.parametrize(
    ("draw", "error", "words"),
    [
        (lambda: plot_graph_matrix(WEIGHTS.iloc[:2]), DataError, "n_nodes, n_nodes"),
        (lambda: plot_graph_map(WEIGHTS, PLACES[:2]), DataError, r"needed: \(3, 2\)"),
        (lambda: plot_graph_map(WEIGHTS, PLACES, given=Graph(np.eye(2))), DataError, "2 nodes"),
        (lambda: plot_graph_map(WEIGHTS, PLACES, n_links=0), ParameterError, "n_links=0"),
        (lambda: GraphDisplay.from_estimator(LastValue().fit(np.ones((30, 2)))), DataError, "no graph_"),
    ],
)
def test_what_does_not_fit_is_told(draw, error, words):
    with pytest.raises(error, match=words):
        draw()
