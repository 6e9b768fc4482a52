"""What training leaves to be looked at: routing, embeddings, history."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stmest import DataError, LastValue, STM3Forecaster, make_sensor_network
from stmest.plotting import (
    EmbeddingDisplay,
    HistoryDisplay,
    RoutingDisplay,
    plot_embedding,
    plot_history,
    plot_routing,
    plot_routing_change,
)

ROUTING = pd.DataFrame([[0.1, 0.9], [0.8, 0.2], [0.4, 0.6], [0.7, 0.3]], index=list("wxyz"))


@pytest.fixture(scope="module")
def data():
    return make_sensor_network(n_nodes=5, n_times=200, random_state=0).values


@pytest.fixture(scope="module")
def fitted(data):
    model = STM3Forecaster(
        linear_skip=False,
        input_length=8,
        horizon=2,
        max_epochs=2,
        n_experts=2,
        d_model=3,
        scales=(1, 3),
        random_state=0,
    )
    return model.fit(data)


def test_nodes_of_one_expert_stand_side_by_side():
    (axis,) = plot_routing(ROUTING)
    assert [label.get_text() for label in axis.get_xticklabels()] == ["x", "z", "w", "y"]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["0", "1"]
    np.testing.assert_array_equal(axis.images[0].get_array(), ROUTING.loc[["x", "z", "w", "y"]].T)
    (border,) = axis.get_lines()
    assert border.get_xdata()[0] == 1.5
    assert axis.figure.axes[-1].get_ylabel() == "probability"


def test_change_of_routing_is_in_percent_of_the_nodes():
    (axis,) = plot_routing_change([0.5, 0.25, 0.0])
    assert axis.get_lines()[0].get_ydata().tolist() == [50, 25, 0]
    assert axis.get_lines()[0].get_xdata().tolist() == [1, 2, 3]
    assert "%" in axis.get_ylabel()


def test_routing_of_a_forecaster(fitted):
    display = RoutingDisplay.from_estimator(fitted, title="routing")
    assert display.axes_[0].images[0].get_array().shape == (2, 5)
    assert len(display.axes_[1].get_lines()[0].get_ydata()) == 2
    assert display.figure_.get_suptitle() == "routing"


def test_points_are_drawn_by_group():
    points = np.arange(12.0).reshape(6, 2)
    (axis,) = plot_embedding(points, [1, 3, 1, 3, 5, 5], name="scale")
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["scale 1", "scale 3", "scale 5"]
    np.testing.assert_array_equal(axis.collections[1].get_offsets(), points[[1, 3]])
    assert len({tuple(c.get_facecolor()[0]) for c in axis.collections}) == 3


def test_embeddings_of_experts_and_scales(fitted, data):
    display = EmbeddingDisplay.from_estimator(fitted, data[-20:], n_points=40)
    assert list(display.points_) == ["expert", "scale"]
    assert all(points.shape == (40, 2) for points in display.points_.values())
    scales = [text.get_text() for text in display.axes_[1].get_legend().get_texts()]
    assert scales == ["scale 1", "scale 3"]
    again = EmbeddingDisplay.from_estimator(fitted, data[-20:], n_points=40)
    np.testing.assert_array_equal(again.points_["expert"], display.points_["expert"])


def test_groups_that_lie_apart_stay_apart():
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1], 30)
    points = rng.normal(size=(60, 5)) + 20 * groups[:, None]
    placed = EmbeddingDisplay({"expert": (points, groups)}, random_state=0).plot().points_["expert"]
    nearest = np.array([np.argsort(((placed - p) ** 2).sum(1))[1] for p in placed])
    assert (groups[nearest] == groups).mean() > 0.95


def test_history_has_losses_rate_and_the_best_epoch(fitted):
    losses, rate = HistoryDisplay.from_estimator(fitted, title="training").axes_
    lines = {line.get_label(): line for line in losses.get_lines()}
    np.testing.assert_array_equal(lines["training loss"].get_ydata(), fitted.history_["train_loss"])
    np.testing.assert_array_equal(lines["validation loss"].get_ydata(), fitted.history_["valid_loss"])
    (kept,) = [line for name, line in lines.items() if name.startswith("weights that are kept")]
    assert kept.get_xdata()[0] == fitted.best_epoch_
    np.testing.assert_array_equal(rate.get_lines()[0].get_ydata(), fitted.history_["learning_rate"])
    assert (rate.get_xlabel(), rate.get_ylabel()) == ("epoch", "learning rate")


def test_history_without_validation_or_best_epoch():
    history = pd.DataFrame({"epoch": [1, 2], "train_loss": [2.0, 1.0], "learning_rate": [0.1, 0.1]})
    losses, _ = plot_history(history)
    assert [line.get_label() for line in losses.get_lines()] == ["training loss"]
    losses, _ = plot_history(history, best_epoch=0)
    assert losses.get_lines()[1].get_label() == "weights that are kept (the start)"
    assert losses.get_lines()[1].get_xdata()[0] == 0


def test_history_of_several_members_has_lines_of_each():
    rows = {"member": [0, 0, 1, 1, 1], "epoch": [1, 2, 1, 2, 3], "train_loss": [5.0, 4.0, 3.0, 2.0, 1.0]}
    losses, rate = plot_history(pd.DataFrame({**rows, "learning_rate": 0.1}))
    assert [list(line.get_ydata()) for line in losses.get_lines()] == [[5.0, 4.0], [3.0, 2.0, 1.0]]
    assert losses.get_legend_handles_labels()[1] == ["training loss"]
    assert [list(line.get_xdata()) for line in rate.get_lines()] == [[1, 2], [1, 2, 3]]


def test_a_display_is_a_picture_in_notebooks(fitted):
    assert 'src="data:image/png;base64,' in HistoryDisplay.from_estimator(fitted)._repr_html_()
    assert "HistoryDisplay" in HistoryDisplay(fitted.history_)._repr_html_()


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: plot_routing(pd.DataFrame(index=[1, 2])), "n_nodes, n_experts"),
        (lambda: plot_routing_change([]), "n_epochs"),
        (lambda: plot_embedding(np.ones((3, 3)), [1, 2, 3]), "n_points, 2"),
        (lambda: EmbeddingDisplay({"expert": (np.ones((3, 2)), np.ones(3))}).plot(), "at least 10"),
        (lambda: plot_history(pd.DataFrame({"epoch": []})), "train_loss"),
        (lambda: HistoryDisplay.from_estimator(LastValue().fit(np.ones((30, 2)))), "no history_"),
        (lambda: RoutingDisplay.from_estimator(LastValue().fit(np.ones((30, 2)))), "no experts"),
        (
            lambda: EmbeddingDisplay.from_estimator(LastValue().fit(np.ones((30, 2))), np.ones((30, 2))),
            "no scales",
        ),
    ],
)
def test_what_does_not_fit_is_told(draw, words):
    with pytest.raises(DataError, match=words):
        draw()
