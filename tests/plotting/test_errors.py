"""Errors by step and by node: what is drawn for whom."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stmest import DataError, LastValue, SeasonalNaive, compare
from stmest.plotting import ErrorDisplay, plot_error_by_horizon, plot_error_by_node

RNG = np.random.default_rng(0)
X = pd.DataFrame(
    np.sin(np.arange(200) * np.pi / 12)[:, None] * [1, 2, 3] + RNG.normal(scale=0.1, size=(200, 3)),
    columns=list("abc"),
)


def test_one_line_per_forecaster_over_whole_steps():
    errors = {"first": [1.0, 2.0, 3.0], "second": [2.0, 2.0, 2.0]}
    (axis,) = plot_error_by_horizon(errors, unit="mph")
    first, second = axis.get_lines()
    assert (first.get_label(), second.get_label()) == ("first", "second")
    np.testing.assert_array_equal(first.get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(second.get_ydata(), [2, 2, 2])
    assert axis.get_xlabel() == "steps ahead"
    assert axis.get_ylabel() == "mean absolute error (mph)"
    assert axis.get_ylim()[0] == 0
    assert len({(line.get_color(), line.get_marker()) for line in axis.get_lines()}) == 2


def test_nodes_are_in_order_of_the_first_forecasters_errors():
    errors = {"first": [3.0, 1.0, np.nan, 2.0], "second": [1.0, 2.0, 3.0, 4.0]}
    (axis,) = plot_error_by_node(errors, node_names=["w", "x", "y", "z"])
    first, second = axis.get_lines()
    assert first.get_ydata().tolist() == [1, 2, 3]
    assert second.get_ydata().tolist() == [2, 4, 1]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["x", "z", "w"]
    assert "first" in axis.get_xlabel()


def test_many_nodes_are_not_named_and_a_wide_spread_is_logarithmic():
    (axis,) = plot_error_by_node({"a": 10.0 ** np.linspace(0, 3, 50)})
    assert axis.get_yscale() == "log"
    assert len(axis.get_xticks()) < 50
    (axis,) = plot_error_by_node({"a": [1e-6, *np.linspace(1, 3, 49)]})
    assert axis.get_yscale() == "linear"


def test_display_of_a_report_has_all_that_succeeded_best_first():
    models = {
        "last": LastValue(horizon=4),
        "season": SeasonalNaive(horizon=4, season=24),
        "bad": SeasonalNaive(horizon=4, season=999),
    }
    report = compare(models, X, season=24, unit="mph")
    display = ErrorDisplay.from_report(report, title="errors")
    lines = display.axes_[0].get_lines()
    assert [line.get_label() for line in lines] == ["season", "last"]
    np.testing.assert_array_equal(lines[0].get_ydata(), report["season"].horizon_mae)
    np.testing.assert_array_equal(
        np.sort(report["season"].node_mae), display.axes_[1].get_lines()[0].get_ydata()
    )
    assert display.figure_.get_suptitle() == "errors"
    assert [text.get_text() for text in display.figure_.legends[0].get_texts()] == ["season", "last"]


def test_display_of_estimators_equals_that_of_their_predictions():
    models = {
        "last": LastValue(horizon=4).fit(X[:150]),
        "season": SeasonalNaive(horizon=4, season=24).fit(X[:150]),
    }
    one = ErrorDisplay.from_estimator(models, X[150:], unit="mph")
    truth, last = models["last"].predict_windows(X[150:])
    other = ErrorDisplay.from_predictions(truth, {"last": last}, node_names=list("abc"), unit="mph")
    for a, b in zip(one.axes_, other.axes_, strict=True):
        np.testing.assert_array_equal(a.get_lines()[0].get_ydata(), b.get_lines()[0].get_ydata())
    np.testing.assert_allclose(other.horizon_errors["last"], np.abs(truth - last).mean((0, 2)))
    np.testing.assert_allclose(other.node_errors["last"], np.abs(truth - last).mean((0, 1)))


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: plot_error_by_horizon({}), "at least one vector"),
        (lambda: plot_error_by_horizon({"a": [1, 2], "b": [1]}), "shapes"),
        (lambda: plot_error_by_node({"a": [1, 2]}, node_names="a"), "1 node_names"),
        (
            lambda: ErrorDisplay.from_predictions(np.ones((3, 2)), np.ones((3, 2))),
            "n_windows, horizon, n_nodes",
        ),
    ],
)
def test_what_does_not_fit_is_told(draw, words):
    with pytest.raises(DataError, match=words):
        draw()
