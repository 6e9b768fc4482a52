"""The predictor: several threads at once, the clock of a panel, the frequency of the training data."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from stmest import LastValue, RidgeForecaster
from stmest.data.containers import as_panel
from stmest.exceptions import ParameterError
from tests.forecasters.tiny import TinyForecaster


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    return 10 + 5 * np.sin(np.arange(300) * 2 * np.pi / 12)[:, None] + 0.1 * rng.normal(size=(300, 3))


@pytest.fixture(scope="module")
def fitted(X):
    return TinyForecaster(input_length=4, horizon=2, seasonal_profile=12, random_state=0).fit(X)


def test_threads_forecast_the_same(fitted, X):
    panel = fitted.input_.read(X)
    origins = [np.arange(first, first + 40) for first in (0, 50, 100, 150)] * 4
    alone = [fitted.predictor_.forecast(panel, starts, 5) for starts in origins]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda starts: fitted.predictor_.forecast(panel, starts, 5), origins))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_forecasts_of_all_steps_come_from_one_way(fitted, X):
    panel, starts = fitted.input_.read(X), np.arange(0, 60, 7)
    long = fitted.predictor_.forecast(panel, starts, 7)
    np.testing.assert_array_equal(long[:, :2], fitted.predictor_.forecast(panel, starts))
    np.testing.assert_array_equal(long[:, :3], fitted.predictor_.forecast(panel, starts, 3))


@pytest.mark.parametrize("start", [280, 283, 291])
def test_the_clock_of_a_panel_says_where_in_the_cycle_it_begins(fitted, X, start):
    """Constant values fit the seasonal mean equally well everywhere: only the clock can tell."""
    flat = as_panel(np.full((300, 3), 10.0))
    known = replace(flat, clock=0).rows(start, start + 4)
    assert known.clock == start
    ahead = fitted.predict(replace(known, values=known.values.copy()))
    season = fitted.profile_.table[(start + 4 + np.arange(2)) % 12, :, 0]
    nothing = fitted.profile_.table[(start + np.arange(4)) % 12, :, 0]
    residual = fitted.linear_.forecast((10.0 - nothing)[None, ..., None])[0, ..., 0]
    network = fitted.predictor_.with_networks(fitted.networks_, fitted.device_, (0.0,))
    linear = network.forecast(known, np.zeros(1, int))[0, ..., 0]
    np.testing.assert_allclose(linear, residual + season, rtol=1e-5)
    assert ahead.shape == (2, 3)


def test_the_future_has_the_frequency_of_the_training_data():
    months = pd.date_range("2020-01-31", periods=24, freq="ME")
    model = LastValue(horizon=3).fit(pd.DataFrame(np.arange(24.0)[:, None], index=months, columns=["a"]))
    last = pd.DataFrame([[1.0]], index=pd.DatetimeIndex(["2023-02-28"]), columns=["a"])
    assert list(model.predict(last).index) == list(pd.date_range("2023-03-31", periods=3, freq="ME"))


def test_weeks_that_end_on_another_day_go_on_by_their_own_days():
    sundays = pd.date_range("2024-01-07", periods=20, freq="W-SUN")
    model = LastValue(horizon=2).fit(pd.DataFrame(np.arange(20.0)[:, None], index=sundays, columns=["a"]))
    mondays = pd.date_range("2024-06-03", periods=4, freq="W-MON")
    later = pd.DataFrame(np.arange(4.0)[:, None], index=mondays, columns=["a"])
    assert list(model.predict(later).index) == list(pd.date_range("2024-07-01", periods=2, freq="W-MON"))


@pytest.mark.parametrize("steps", [0, True, 1.5, "3"])
def test_steps_that_cannot_be(fitted, steps):
    with pytest.raises(ParameterError, match="needed: an integer of at least 1"):
        fitted.predictor_.steps(steps)


def test_a_predictor_of_a_ridge_needs_no_estimator(X):
    model = RidgeForecaster(input_length=4, horizon=2).fit(X)
    predictor = model.predictor_
    recent = predictor.last_rows(predictor.spec.read(X))
    np.testing.assert_array_equal(predictor.forecast(recent, np.zeros(1, int))[0, ..., 0], model.predict(X))
