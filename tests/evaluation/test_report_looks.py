"""What a report knows beside its table: intervals by their coverage, errors by node, the future, places, and how it looks."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from stmest import Graph, LastValue, MissingDependencyError, RidgeForecaster, SeasonalNaive, compare
from stmest.evaluation import mase

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def observations():
    rng = np.random.default_rng(0)
    index = pd.date_range("2024-03-01", periods=200, freq="1h")
    cycle = 5 * np.sin(np.arange(200) * np.pi / 12)[:, None]
    return pd.DataFrame(cycle + rng.normal(size=(200, 3)), index=index, columns=["a", "<b>", "c"])


MODELS = {"last": LastValue(horizon=6), "ridge": RidgeForecaster(horizon=6, input_length=12)}


@pytest.fixture(scope="module")
def report(observations):
    return compare({**MODELS, "bad": SeasonalNaive(horizon=6, season=999)}, observations)


def test_the_scaled_error_of_a_node_is_that_of_its_own_column(observations, report):
    truth, forecast = report["ridge"].forecaster.predict_windows(observations[160:])
    by_hand = [
        mase(truth[..., [i]], forecast[..., [i]], observations.to_numpy()[:160, [i]], 24) for i in range(3)
    ]
    np.testing.assert_allclose(report["ridge"].node_mase, by_hand)
    assert np.mean(by_hand) == pytest.approx(report["ridge"].scores["MASE"])


def test_coverage_counts_the_targets_within_the_intervals(observations, report):
    model, values = report["ridge"].forecaster, observations.to_numpy()
    inside = []
    for origin in range(160, 195):  # fewer than fifty: all
        lower, upper = model.predict_interval(observations[:origin])
        truth = values[origin : origin + 6]
        inside.append((truth >= lower.to_numpy()) & (truth <= upper.to_numpy()))
    assert report.settings["interval_origins"] == 35
    assert report["ridge"].coverage == pytest.approx(np.mean(inside))
    np.testing.assert_allclose(report["ridge"].node_coverage, np.mean(inside, axis=(0, 1)))
    assert report["bad"].coverage is None


def test_a_node_without_targets_has_no_coverage(observations):
    gappy = observations.copy()
    gappy.iloc[160:, 1] = np.nan
    row = compare(MODELS, gappy)["ridge"]
    assert np.isnan(row.node_coverage).tolist() == np.isnan(row.node_mase).tolist() == [False, True, False]
    assert 0 < row.coverage < 1


@pytest.mark.parametrize("indexed", [True, False])
def test_the_future_is_what_predict_says_after_the_last_row(observations, indexed):
    X = observations if indexed else observations.to_numpy()
    report = compare({**MODELS, "bad": SeasonalNaive(horizon=6, season=999)}, X, season=24)
    future, model = report.future, report["ridge"].forecaster
    assert list(future.forecasts) == ["last", "ridge"]
    np.testing.assert_allclose(future.forecasts["ridge"], np.asarray(model.predict(X)))
    for mine, bound in zip(future.intervals["ridge"], model.predict_interval(X), strict=True):
        np.testing.assert_allclose(mine, np.asarray(bound))
    assert np.isnan(future.truth).all()
    assert future.row == 200
    if indexed:
        assert future.time[-7:].tolist() == pd.date_range("2024-03-09 07:00", periods=7, freq="1h").tolist()
        assert len(future.time) == len(future.history) + 6


def test_no_future_where_every_forecaster_failed(observations):
    assert compare({"bad": SeasonalNaive(horizon=6, season=999)}, observations).future is None


def test_places_are_those_of_the_data_or_else_of_the_graph(observations):
    graph = Graph(np.eye(3), list(observations.columns), [[1.0, 2], [3, 4], [5, 6]])
    assert compare(MODELS, observations).coordinates is None
    report = compare(MODELS, observations, graph)
    np.testing.assert_array_equal(report.coordinates, graph.coordinates)
    assert report.graph == graph
    placed = observations.copy()
    placed.attrs["coordinates"] = {"c": (48.1, -4.5), "a": (47.9, -3.4), "elsewhere": (0, 0)}
    np.testing.assert_array_equal(
        compare(MODELS, placed, graph).coordinates, [[47.9, -3.4], [np.nan, np.nan], [48.1, -4.5]]
    )


def test_a_notebook_shows_the_table_and_nothing_in_it_is_code(observations):
    broken = {"<script>": SeasonalNaive(horizon=6, season=999), "last": LastValue(horizon=6)}
    shown = compare(broken, observations, unit="<i>m</i>")._repr_html_()
    assert shown.count("<tr>") == 3
    assert "<script>" not in shown
    assert "<i>" not in shown
    assert "&lt;script&gt; failed: DataError" in shown


def test_a_report_draws_the_best_forecaster_first(report):
    display = report.plot(nodes=["c"], title="Three")
    assert list(display.forecasts) == ["ridge", "last"]
    assert list(display.intervals) == ["ridge"]
    assert [axis.get_title(loc="left") for axis in display.axes_] == ["c"]
    assert display.figure_.get_suptitle() == "Three"
    assert len(report.plot().axes_) == 3


def test_without_matplotlib_a_report_names_the_extra(monkeypatch, report):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"stmest\[plot\]"):
        report.plot()
