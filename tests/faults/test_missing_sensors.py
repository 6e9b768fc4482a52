"""Promise: missing values are normal. Whatever is missing, forecasts are finite, or one clear error says why not."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stmest import load
from stmest.exceptions import DataError
from stmest.forecasters.registry import entries
from stmest.metrics.point import r2
from tests.crossing import REPRESENTATIVES, crossed
from tests.forecasters.small import FIELD_NAMES, small

from .common import FORECASTERS, N_TIMES, NETWORKS, fitted, make, observations


def _with_nan(rows: object, columns: object) -> pd.DataFrame:
    X = observations()
    X.iloc[rows, columns] = np.nan
    return X


def _cells(share: float) -> pd.DataFrame:
    X = observations()
    return X.mask(np.random.default_rng(1).random(X.shape) < share)


EVERY_NODE = slice(None)
PATTERNS = {
    "single cells": _cells(0.1),
    "most cells": _cells(0.9),
    "a gap of one node": _with_nan(slice(20, 40), 1),
    "a sensor dead for all rows": _with_nan(slice(None), 2),
    "all sensors but one dead": _with_nan(slice(None), [0, 1, 3]),
    "a sensor that came late": _with_nan(slice(0, 50), 0),
    "a sensor that died": _with_nan(slice(50, None), 0),
    "all sensors for a day": _with_nan(slice(24, 48), EVERY_NODE),
    "all sensors at the beginning": _with_nan(slice(0, 30), EVERY_NODE),
    "all sensors at the end": _with_nan(slice(60, None), EVERY_NODE),
}


# Every baseline fills holes in its own way; in networks one place does it for all
OF_THEIR_OWN = (*REPRESENTATIVES, "SeasonalNaive", "MeanProfile")


def later(X: pd.DataFrame) -> pd.DataFrame:
    """The same rows, one span later: what `update` may be given after a fit on X."""
    return X.set_axis(X.index + pd.Timedelta(N_TIMES, "h"))


@pytest.mark.parametrize("name", crossed(FORECASTERS, OF_THEIR_OWN))
def test_holes_before_and_after_a_fit(name):
    holey = PATTERNS["single cells"]
    for model in (make(name).fit(holey), fitted(name)):
        assert np.isfinite(model.predict(holey)).all(axis=None)
        assert np.isfinite(model.predict_windows(holey)[1]).all()


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("name", crossed(FORECASTERS, OF_THEIR_OWN))
def test_fit_on_holes_forecasts_finite_numbers(name, pattern):
    X = PATTERNS[pattern]
    model = make(name).fit(X)
    assert np.isfinite(model.predict()).all(axis=None)
    assert np.isfinite(model.predict(observations())).all(axis=None)
    assert np.isfinite(model.predict_windows(X)[1]).all()
    assert np.isfinite(model.score(X))
    assert np.isfinite(model.update(later(X)).predict()).all(axis=None)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("name", crossed(FORECASTERS, OF_THEIR_OWN))
def test_holes_after_a_fit_on_complete_values(name, pattern):
    X, model = PATTERNS[pattern], fitted(name)
    assert np.isfinite(model.predict(X)).all(axis=None)
    y_true, y_pred = model.predict_windows(X)
    assert np.isfinite(y_pred).all()
    assert np.isnan(y_true).any()  # the truth stays missing: nothing is filled in for the comparison
    assert np.isfinite(model.score(X))
    assert np.isfinite(copy.deepcopy(model).update(later(X)).predict()).all(axis=None)


@pytest.mark.parametrize("name", crossed(FORECASTERS, OF_THEIR_OWN))
def test_nothing_but_missing_values(name):
    nothing = observations() * np.nan
    if name in NETWORKS:
        with pytest.raises(DataError, match="none of the 55 training windows"):
            make(name).fit(nothing)
    model = fitted(name)
    assert np.isfinite(model.predict(nothing)).all(axis=None)
    assert np.isfinite(copy.deepcopy(model).update(later(nothing)).predict()).all(axis=None)
    with pytest.raises(DataError, match=r"none of the .* target values in X is observed"):
        model.score(nothing)


# ------------------------------------------------------------------ sensors without history


def _levels(**others: float) -> pd.DataFrame:
    """Four sensors at levels of their own; the second was never observed."""
    X = observations() + pd.Series({"a": 10.0, "b": 0.0, "c": 200.0, "d": -40.0} | others)
    X["b"] = np.nan
    return X


_NEVER_OBSERVED: dict[str, Any] = {}


def never_observed(name: str) -> Any:
    """A forecaster fitted to `_levels`, once per session; not to be changed."""
    if name not in _NEVER_OBSERVED:
        _NEVER_OBSERVED[name] = make(name).fit(_levels())
    return _NEVER_OBSERVED[name]


@pytest.mark.parametrize("name", FORECASTERS)
def test_a_sensor_never_observed_is_forecast_as_the_average_of_the_others(name, tmp_path):
    model, others = never_observed(name), list("acd")
    forecasts = [
        model.predict(),
        model.predict(steps=7),
        model.predict(_levels()),
        *model.predict_interval(coverage=0.8),
    ]
    # of the ensemble a member is no forecaster of stmest
    if name in entries() and name != "EnsembleForecaster" and entries()[name].saves:
        model.save(tmp_path / "model.safetensors")
        forecasts.append(load(tmp_path / "model.safetensors", device="cpu").predict())
    forecasts.append(copy.deepcopy(model).update(later(_levels())).predict())
    within = 1e-2 if name == "RegressorForecaster" else 1e-6  # whose trees know the nodes
    for forecast in forecasts:
        np.testing.assert_allclose(forecast["b"], forecast[others].mean(axis=1), rtol=within)
    _, y_pred = model.predict_windows(_levels())
    np.testing.assert_allclose(y_pred[..., 1], y_pred[..., [0, 2, 3]].mean(-1), rtol=within)


# trees learn how much of a level persists, from sensors that stay where they are: it is less than all of it
@pytest.mark.parametrize("name", [name for name in FORECASTERS if name != "RegressorForecaster"])
def test_a_sensor_that_begins_to_report_is_forecast_at_its_own_level(name):
    """And does not disturb the others: it lay 900 above them in every look-back."""
    model, X = never_observed(name), _levels()
    X["b"] = observations()["b"] + 1000
    forecast = model.predict(X)
    assert (abs(forecast["b"] - 1010) < 5).all()
    usual = model.predict(_levels())
    assert np.abs(forecast - usual)[list("acd")].max(axis=None) < 3
    assert (abs(model.predict(X, steps=9)["b"] - 1010) < 8).all()


@pytest.mark.parametrize("name", FORECASTERS)
def test_a_sensor_that_was_seen_is_forecast_from_its_own_history_when_it_is_silent(name):
    X = _levels()
    X["b"] = observations()["b"] + 1000
    model = make(name).fit(X)
    X.iloc[-40:, 1] = np.nan
    assert (abs(model.predict(X)["b"] - 1010) < 10).all()


@pytest.mark.parametrize("name", FORECASTERS)
def test_a_sensor_seen_in_the_validation_part_only_is_forecast_at_its_own_level(name):
    X = _levels()
    X.iloc[-8:, 1] = observations().iloc[-8:, 1] + 1000
    assert (abs(make(name).fit(X).predict()["b"] - 1010) < 5).all()


@pytest.mark.parametrize("name", crossed([*FIELD_NAMES, "MADForecaster"], (*FIELD_NAMES, "MADForecaster")))
def test_cells_without_observations_are_the_mean_of_the_field(name):
    waves = 10 + np.sin(np.arange(60)[:, None, None] / 4 + np.arange(6).reshape(2, 3))
    field = np.stack([waves, waves + 100], axis=-1)
    field[:, 0, 1] = np.nan
    forecast = small(name).fit(field).predict()
    sea = np.ones((2, 3), dtype=bool)
    sea[0, 1] = False
    np.testing.assert_allclose(forecast[:, 0, 1], forecast[:, sea].mean(1))


def test_the_node_record_names_what_is_special():
    X = _levels()
    X["d"] = 7.25
    record = make("LastValue").fit(X).predictor_.record
    assert record.seen[:, 0].tolist() == [True, False, True, True]
    assert record.constant[3, 0] == 7.25
    assert np.isnan(record.constant[:3]).all()
    assert record.level[1, 0] == pytest.approx(X[list("acd")].mean().mean())
    assert make("LastValue").fit(observations()).predictor_.record is None
    assert make("LastValue").fit(observations() * np.nan).predictor_.record is None


def test_masked_entries_of_a_masked_array_are_missing():
    X = observations().to_numpy()
    hidden = np.random.default_rng(0).random(X.shape) < 0.2
    masked = np.ma.masked_array(np.where(hidden, -9999.0, X), hidden)
    expected = make("RidgeForecaster").fit(np.where(hidden, np.nan, X)).predict()
    np.testing.assert_array_equal(make("RidgeForecaster").fit(masked).predict(), expected)


@pytest.mark.parametrize("name", [name for name in FORECASTERS if name not in NETWORKS])
def test_a_baseline_fills_a_hole_from_the_same_sensor_only(name):
    holey = observations()
    holey.iloc[-4:, 0] = np.nan
    model = make(name).fit(_cells(0.05))
    pd.testing.assert_frame_equal(
        model.predict(holey)[list("bcd")], model.predict(observations())[list("bcd")]
    )


@pytest.mark.parametrize("name", crossed(NETWORKS))
def test_networks_have_a_channel_for_missing_values(name):
    """A channel per feature says so. Where training had none, there is no such channel, and they are forward-filled."""
    assert make(name).fit(_cells(0.1)).has_gaps_
    model = make(name, seasonal_profile=None).fit(observations())
    assert not model.has_gaps_
    holey, filled = observations(), observations()
    holey.iloc[-2:, 1] = np.nan
    filled.iloc[-2:, 1] = filled.iloc[-3, 1]
    pd.testing.assert_frame_equal(model.predict(holey), model.predict(filled))


@pytest.mark.parametrize("name", crossed(FORECASTERS))
def test_the_score_counts_what_was_observed_and_constant_sensors_not_at_all(name):
    """The same number as the metric of the reports, with and without holes."""
    model, X = fitted(name), observations()
    for pattern in ("single cells", "a sensor dead for all rows"):
        holey = PATTERNS[pattern].copy()
        assert model.score(holey) == pytest.approx(r2(*model.predict_windows(holey)))
    X["d"] = 5.0
    complete = model.score(X)
    X.iloc[0, 0] = np.nan  # was never a target, so that the observed targets are the same
    y_true, y_pred = model.predict_windows(X)
    assert np.isfinite(y_true).all()
    X.iloc[-1, 3] = np.nan  # one target of the constant sensor less: it never counted
    assert model.score(X) == pytest.approx(r2(y_true, y_pred))
    assert model.score(X) == pytest.approx(complete, abs=0.05)
