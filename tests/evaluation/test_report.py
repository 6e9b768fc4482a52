"""All forecasters on the same windows, failures kept, results as text and JSON."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from sklearn.base import BaseEstimator

from stmest import (
    DataError,
    DLinearForecaster,
    GraphError,
    LastValue,
    MeanProfile,
    ParameterError,
    RidgeForecaster,
    SeasonalNaive,
    UNetForecaster,
    compare,
)
from stmest.data.calendar import season_length
from stmest.data.containers import as_panel
from stmest.evaluation import mae, mase
from stmest.evaluation.tables import plain


@pytest.fixture
def observations():
    rng = np.random.default_rng(0)
    index = pd.date_range("2024-03-01", periods=200, freq="1h")
    cycle = 5 * np.sin(np.arange(200) * np.pi / 12)[:, None]
    return pd.DataFrame(cycle + rng.normal(size=(200, 3)), index=index, columns=["a", "b", "c"])


class Failing(BaseEstimator):
    """Learns well, forecasts never."""

    context_length_ = 4

    def __init__(self, *, horizon=6):
        self.horizon = horizon

    def fit(self, X, y=None, adj=None):
        self.fitted_ = True
        return self

    def predict_windows(self, X, stride=1):
        raise RuntimeError("the sensor\nis asleep")


class Cheating(Failing):
    """Forecasts fewer windows than the others, easier ones perhaps."""

    def predict_windows(self, X, stride=1):
        values = X.values[-self.horizon :, :, 0][None]
        return values, values


def _models(**more):
    return {
        "last": LastValue(horizon=6),
        "day": SeasonalNaive(horizon=6, season=24),
        "profile": MeanProfile(horizon=6, season=24, n_seasons=3),
        "ridge": RidgeForecaster(horizon=6, input_length=12),
        **more,
    }


def test_every_forecaster_is_scored_on_all_windows_of_the_test_part(observations):
    report = compare(_models(), observations, test_fraction=0.3)
    values = observations.to_numpy()
    cut = 140
    truth = np.stack([values[row : row + 6] for row in range(cut, 200 - 6 + 1)])
    naive = {
        "last": np.stack([np.repeat(values[row - 1 : row], 6, 0) for row in range(cut, 195)]),
        "day": np.stack([values[row - 24 : row - 18] for row in range(cut, 195)]),
        "profile": np.stack(
            [sum(values[row - 24 * k :][:6] for k in (1, 2, 3)) / 3 for row in range(cut, 195)]
        ),
    }
    assert report.settings["windows"] == len(truth) == 55
    assert report.settings["train_rows"] == cut
    for name, forecast in naive.items():
        scores = report[name].scores
        assert scores["MAE"] == pytest.approx(mae(truth, forecast), rel=1e-6)
        assert scores["MASE"] == pytest.approx(mase(truth, forecast, values[:cut], 24), rel=1e-6)
        assert report[name].node_mae == pytest.approx(np.abs(truth - forecast).mean((0, 1)), rel=1e-6)
        assert report[name].horizon_mae == pytest.approx(np.abs(truth - forecast).mean((0, 2)), rel=1e-6)
        assert report[name].origin_mae == pytest.approx(np.abs(truth - forecast).mean((1, 2)), rel=1e-6)
    assert report.settings["season"] == 24
    assert report.settings["first_test_time"] == str(observations.index[cut])


def test_nothing_after_the_cut_is_learnt_from(observations):
    changed = observations.copy()
    changed.iloc[160:] += 1000.0
    before = compare({"ridge": RidgeForecaster(horizon=6, input_length=12)}, observations)
    after = compare({"ridge": RidgeForecaster(horizon=6, input_length=12)}, changed)
    np.testing.assert_array_equal(
        before["ridge"].forecaster.ridge_.weights, after["ridge"].forecaster.ridge_.weights
    )


def test_array_frame_and_third_axis_give_the_same_table(observations):
    plain_array = compare(_models(), observations.to_numpy(), season=24).to_frame()
    for other in (observations, observations.to_numpy()[:, :, None], observations.reset_index(drop=True)):
        frame = compare(_models(), other, season=24).to_frame()
        errors = ["MAE", "RMSE", "MASE", "R2", "MAE@2", "MAE@4", "MAE@6"]
        pd.testing.assert_frame_equal(frame[errors], plain_array[errors])


@pytest.mark.parametrize("kind", ["wide", "long", "array", "tensor", "xarray"])
def test_every_container_is_scored_and_forecast_as_by_hand(observations, kind):
    X = {
        "wide": observations,
        "long": observations.rename_axis("time")
        .melt(ignore_index=False, var_name="node")
        .set_index("node", append=True),
        "array": observations.to_numpy(),
        "tensor": torch.tensor(observations.to_numpy()),
        "xarray": xr.DataArray(
            observations.to_numpy(), {"time": observations.index, "node": list("abc")}, ["time", "node"]
        ),
    }[kind]
    first, past = (as_panel(X).rows(start, stop) for start, stop in ((0, 160), (148, 160)))
    report = compare({"ridge": RidgeForecaster(horizon=6, input_length=12)}, X)
    by_hand = RidgeForecaster(horizon=6, input_length=12).fit(
        first.restore(first.shaped(first.values), first.index, first)
    )
    forecast = by_hand.predict()
    assert type(report["ridge"].forecaster.predict()) is type(forecast) is type(X)
    sample = report.samples[0]
    np.testing.assert_array_equal(sample.forecasts["ridge"], as_panel(forecast).values[..., 0])
    bounds = by_hand.predict_interval(past.restore(past.shaped(past.values), past.index, past), coverage=0.9)
    for mine, bound in zip(sample.intervals["ridge"], bounds, strict=True):
        np.testing.assert_array_equal(mine, as_panel(bound).values[..., 0])


def test_forecasters_given_stay_unfitted_and_fitted_ones_are_kept(observations):
    models = _models()
    report = compare(models, observations)
    assert all(not hasattr(model, "n_features_in_") for model in models.values())
    assert report["ridge"].forecaster.predict(observations).shape == (6, 3)
    with pytest.raises(KeyError):
        report["absent"]


def test_a_forecaster_that_fails_or_cheats_keeps_its_row_with_the_reason(observations):
    lines: list[str] = []
    report = compare(
        _models(asleep=Failing(), few=Cheating(), far=SeasonalNaive(horizon=6, season=190)),
        observations,
        progress=lines.append,
    )
    frame = report.to_frame()
    assert frame.index.tolist() == ["last", "day", "profile", "ridge", "asleep", "few", "far"]
    assert frame.loc["asleep", "error"] == "RuntimeError: the sensor is asleep"
    assert "not for all of the" in frame.loc["few", "error"]
    assert "190" in frame.loc["far", "error"]
    assert frame.loc[["asleep", "few", "far"], "MAE"].isna().all()
    assert frame.loc["ridge", "error"] is None
    text = report.to_text()
    assert "asleep failed: RuntimeError: the sensor is asleep" in text
    assert [line for line in lines if "asleep" in line and "failed" in line]
    assert len([line for line in lines if "fitting" in line]) == 7
    assert "asleep" not in report.samples[0].forecasts


def test_a_first_forecaster_with_too_few_windows_does_not_set_the_targets(observations):
    report = compare({"few": Cheating(), "last": LastValue(horizon=6)}, observations)
    assert report["few"].error is not None
    assert report["last"].error is None


def test_interruption_is_not_a_failure_of_one_row(observations):
    class Interrupted(Failing):
        def fit(self, X, y=None, adj=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare({"x": Interrupted()}, observations)


def test_missing_values_are_left_out_of_the_errors(observations):
    gappy = observations.copy()
    gappy.iloc[170:180, 1] = np.nan
    report = compare(_models(), gappy)
    assert report.data["missing_share"] == pytest.approx(10 / 600)
    assert all(math.isfinite(row.scores["MAE"]) for row in report.rows)


def test_graph_is_given_to_every_forecaster_and_checked_before_any_fit(observations):
    seen = []

    class Watching(Failing):
        def fit(self, X, y=None, adj=None):
            seen.append(adj.n_edges)
            return self

    ring = pd.DataFrame(np.roll(np.eye(3), 1, axis=1), index=list("abc"), columns=list("abc"))
    report = compare({"watching": Watching()}, observations, ring)
    assert seen == [3]
    assert report.settings["graph_edges"] == 3
    with pytest.raises(GraphError):
        compare({"watching": Watching()}, observations, np.eye(5))
    assert seen == [3]


def test_text_is_aligned_and_names_units_and_steps(observations):
    lines = compare(_models(), observations, unit="vehicles per hour").to_text().splitlines()
    assert lines[0].startswith("35 test windows, 6 steps ahead")
    assert "vehicles per hour" in lines[1]
    table = lines[3 : lines.index("", 3)]
    assert len({len(line) for line in table}) == 1
    assert table[0].split() == (
        [
            "model",
            "MAE",
            "RMSE",
            "MAE@2",
            "MAE@4",
            "MAE@6",
            "MASE",
            "R2",
            "fit",
            "s",
            "ms/window",
            "parameters",
        ]
    )
    assert [line.split()[0] for line in table[2:]] == ["last", "day", "profile", "ridge"]


@pytest.mark.parametrize(("horizon", "steps"), [(1, [1]), (2, [1, 2]), (12, [4, 8, 12]), (10, [4, 7, 10])])
def test_steps_of_the_table(observations, horizon, steps):
    report = compare({"last": LastValue(horizon=horizon)}, observations)
    assert report.steps == steps


def test_json_holds_what_is_needed_to_repeat_the_run(observations):
    report = compare(_models(asleep=Failing()), observations, unit="m/s")
    written = json.loads(report.to_json())
    assert written["models"]["ridge"]["parameters"]["input_length"] == 12
    assert written["models"]["ridge"]["scores"]["MAE"] == report["ridge"].scores["MAE"]
    assert written["models"]["asleep"]["horizon_mae"] is None
    assert written["data"] == {
        "n_times": 200, "n_nodes": 3, "n_features": 1, "missing_share": 0.0, "gaps": 0,
        "first_time": "2024-03-01 00:00:00", "last_time": "2024-03-09 07:00:00", "step": "0 days 01:00:00",
        "missing_by_node": [0.0] * 3, "longest_missing_run": 0, "constant_nodes": [], "unobserved_nodes": [],
    }  # fmt: skip
    assert {"numpy", "torch", "python"} <= set(written["machine"]["versions"])
    assert written["machine"]["cores"] >= 1
    assert written["unit"] == "m/s"


def test_samples_are_spread_over_the_test_part(observations):
    report = compare(_models(), observations)
    assert [sample.row for sample in report.samples] == [160, 168, 177, 186, 194]
    sample = report.samples[-1]
    np.testing.assert_array_equal(sample.truth, observations.to_numpy()[194:])
    np.testing.assert_array_equal(sample.history, observations.to_numpy()[170:194])
    assert sample.time.equals(observations.index[170:])
    assert {name: values.shape for name, values in sample.forecasts.items()} == dict.fromkeys(
        _models(), (6, 3)
    )


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"models": {}}, ParameterError, "empty"),
        (
            {"models": {"a": LastValue(horizon=2), "b": LastValue(horizon=3)}},
            ParameterError,
            "different horizons",
        ),
        ({"test_fraction": 1.0}, ParameterError, "test_fraction=1.0"),
        ({"test_fraction": 0.01}, DataError, "2 to forecast"),
        ({"test_fraction": 0.999}, DataError, "0 to learn"),
        ({"season": 160}, ParameterError, "1 to 159"),
        ({"season": 0}, ParameterError, "season=0"),
    ],
)
def test_what_cannot_be_compared_is_an_error_before_any_fit(observations, arguments, error, words):
    with pytest.raises(error, match=words):
        compare(**{"models": _models(), "X": observations, **arguments})


@pytest.mark.parametrize(
    ("index", "season"),
    [
        (None, 24),
        (pd.RangeIndex(9), 24),
        (pd.date_range("2024-01-01", periods=300, freq="1h"), 24),
        (pd.period_range("2024-01-01", periods=300, freq="h"), 24),
        (pd.date_range("2024-01-01", periods=50, freq="1D"), 7),
        (pd.date_range("2024-01-01", periods=50, freq="MS"), 1),
        (
            pd.DatetimeIndex(
                [d + pd.Timedelta(h, "h") for d in pd.date_range("2024", periods=9) for h in range(6, 24)]
            ),
            18,
        ),
    ],
)
def test_season_is_a_day_of_rows_also_where_nights_are_left_out(index, season):
    assert season_length(index) == season


def test_plain_values_for_json():
    assert plain({"a": np.float32(1.5), "b": (1, None, np.arange(2)), "c": np.zeros((2, 2))}) == {
        "a": 1.5,
        "b": [1, None, [0, 1]],
        "c": "ndarray(2, 2)",
    }


@pytest.mark.parametrize("kind", ["array", "xarray"])
def test_fields_are_compared_cell_by_cell(kind):
    t, y, x = np.ogrid[:120, :3, :4]
    waves = 5 + np.sin(0.4 * t + y - x)
    index = pd.date_range("2024-01-01", periods=120, freq="h")
    X = waves[..., None] if kind == "array" else xr.DataArray(waves, {"time": index}, ["time", "lat", "lon"])
    models = {
        "last": LastValue(horizon=3),
        "ridge": RidgeForecaster(input_length=6, horizon=3),
        "unet": UNetForecaster(input_length=6, horizon=3, channels=4, depth=1, max_epochs=1, random_state=0),
    }
    report = compare(models, X, season=24)
    assert [row.error for row in report.rows] == [None] * 3
    assert report.nodes[:5] == ["0,0", "0,1", "0,2", "0,3", "1,0"]
    assert report["ridge"].node_mae.shape == (12,)
    assert report.data["grid"] == [3, 4]
    assert report.samples[0].truth.reshape(3, -1).shape == (3, 12)
    cells = compare({"ridge": models["ridge"]}, waves.reshape(120, 12), season=24)
    assert report["ridge"].scores == pytest.approx(cells["ridge"].scores)


def test_trajectories_cannot_be_compared():
    with pytest.raises(DataError, match="2 trajectories; needed: one series"):
        compare({"last": LastValue()}, np.zeros((2, 50, 3, 4, 1)))


@pytest.mark.parametrize(
    ("part", "words"), [(slice(40, None), "to score on"), (slice(0, 40), "to learn from")]
)
def test_a_part_without_observations_is_refused_before_the_first_fit(part, words):
    X = np.arange(100.0).reshape(50, 2)
    X[part] = np.nan
    with pytest.raises(DataError, match=f"the (10|40) rows {words} hold no observation"):
        compare({"last": LastValue(horizon=2)}, X, season=2)


def test_a_target_without_observations_fails_its_row():
    X = np.arange(200.0).reshape(50, 2, 2)
    X[40:, :, 1] = np.nan
    report = compare({"last": LastValue(horizon=2)}, X, season=2)
    assert report["last"].error is None
    report = compare(
        {"dlinear": DLinearForecaster(horizon=2, input_length=3, target=1, max_epochs=1)}, X, season=2
    )
    assert "nothing to score" in report["dlinear"].error
