"""Holidays among the time features: every network takes them, a forecast knows those of its target steps, files keep them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import stmest
from stmest import STIDForecaster
from stmest.data.calendar import calendar_features
from stmest.exceptions import ParameterError
from tests.crossing import crossed

from .small import network_names, small
from .tiny import TinyForecaster

pytest.importorskip("holidays")

WANTED = ["auto", "holidays:US"]
WITH_CALENDAR = [name for name in network_names() if name not in ("DLinearForecaster", "NLinearForecaster")]


def _hours(first="2024-06-17", n_days=17, **zone):
    index = pd.date_range(first, periods=24 * n_days, freq="h", **zone)
    values = 5 + np.random.default_rng(0).normal(size=(len(index), 3))
    return pd.DataFrame(values, index, ["a", "b", "c"])


@pytest.mark.parametrize("name", crossed(WITH_CALENDAR, ["STIDForecaster", "STM3Forecaster"]))
def test_networks_take_holidays_and_files_keep_them(name, tmp_path):
    X = _hours()
    model = small(name, time_features=WANTED, patience=None).fit(X)  # until 3 July
    assert model.time_features_ == ("time_of_day", "day_of_week", "holidays:US")
    assert (model.network_.n_time_features, model.network_.n_events) == (16, 3)
    forecast = model.predict()
    assert np.isfinite(forecast).all(axis=None)
    model.save(tmp_path / "model")
    loaded = stmest.load(tmp_path / "model")
    assert loaded.get_params()["time_features"] == WANTED
    pd.testing.assert_frame_equal(loaded.predict(), forecast)


@pytest.mark.parametrize("zone", [None, "America/New_York"])
def test_what_is_learnt_of_holidays_is_forecast_for_those_to_come(zone):
    """Noise, and 10 less on every holiday: nothing but the calendar of the target step says so."""
    days = pd.date_range("2019-01-01", "2024-07-02", tz=zone)
    is_holiday = calendar_features(days, ["holidays:US"])[:, :1]
    X = pd.DataFrame(0.1 * np.random.default_rng(0).normal(size=(len(days), 2)) - 10 * is_holiday, days)
    settings = {"seasonal_profile": None, "learning_rate": 0.05, "loss": "mse", "random_state": 0}
    learnt = TinyForecaster(**settings, max_epochs=15, horizon=3, time_features=["holidays:US"]).fit(X)
    forecast = learnt.predict()  # 3, 4 and 5 July
    assert str(forecast.index[1].date()) == "2024-07-04"
    np.testing.assert_allclose(forecast.to_numpy(), [[0, 0], [-10, -10], [0, 0]], atol=2)
    year = learnt.predict(X.loc["2023-12-20":"2023-12-30"])  # the first of a year that the rows do not reach
    np.testing.assert_allclose(year.to_numpy(), [[0, 0], [-10, -10], [0, 0]], atol=2)
    beyond = learnt.predict(X.loc[:"2024-06-29"], steps=6)  # in the second horizon
    assert beyond.to_numpy().argmin(axis=0).tolist() == [4, 4]


def test_holidays_of_weeks_are_refused_and_the_forecaster_stays_as_it_was():
    X = pd.DataFrame(np.ones((60, 2)), pd.date_range("2023", periods=60, freq="W"))
    model = TinyForecaster(time_features=WANTED)
    before = dict(vars(model))
    with pytest.raises(ParameterError, match=r"a holiday is a day.*7 days"):
        model.fit(X)
    assert vars(model) == before


def test_stid_leaves_the_day_of_year_out_of_auto():
    index = pd.date_range("2021", periods=800, freq="D")
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(800, 2)), index)
    model = small("STIDForecaster", time_features=["holidays:DE-BY", "auto"], seasonal_profile=None).fit(X)
    assert model.time_features_ == ("day_of_week", "holidays:DE-BY")
    with pytest.raises(ParameterError, match="tables for 'time_of_day' and 'day_of_week' only"):
        STIDForecaster(time_features=["day_of_year", "holidays:DE-BY"]).fit(X)
