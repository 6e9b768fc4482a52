"""sktime forecasters date their forecasts also where sktime itself finds no frequency."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sktime.forecasting.base import ForecastingHorizon

import stmest
from stmest.exceptions import DataError
from stmest.sktime import RidgeForecaster, from_sklearn

N_TIMES = 80
INDEXES = {
    "days": pd.date_range("2024-01-01", periods=N_TIMES),
    "days in a zone": pd.date_range("2024-02-20", periods=N_TIMES, tz="Europe/Berlin"),
    "business days": pd.date_range("2024-01-01", periods=N_TIMES, freq="B"),
    "months": pd.date_range("2015-01-01", periods=N_TIMES, freq="MS"),
    "middles of months": pd.date_range("2015-01-01", periods=N_TIMES, freq="MS") + pd.Timedelta(14, "D"),
    "5 minutes": pd.date_range("2024-01-01", periods=N_TIMES, freq="5min"),
    "months as periods": pd.period_range("2015-01", periods=N_TIMES, freq="M"),
    "numbers": pd.Index(range(N_TIMES)),
    "epochs": pd.Index(1_700_000_000 + 900 * np.arange(N_TIMES)),
}


def table(index):
    t = np.arange(N_TIMES)
    index = pd.DatetimeIndex(index, freq=None) if isinstance(index, pd.DatetimeIndex) else index
    return pd.DataFrame({"a": np.sin(t / 5), "b": t + 0.5}, index=index)


@pytest.mark.parametrize("case", INDEXES)
@pytest.mark.parametrize("missing", [[], [30], [30, 72]])
def test_forecasts_after_a_gap(case, missing):
    index = INDEXES[case]
    y = table(index).drop(index[missing])
    train, later = y[: 75 - len(missing)], y[75 - len(missing) :]
    model = RidgeForecaster(input_length=6).fit(train, fh=[1, 3])
    assert list(model.predict().index) == list(index[[75, 77]])
    assert list(model.predict_interval(coverage=0.5).index) == list(index[[75, 77]])
    model.update(later[:3], update_params=False)
    assert list(model.predict(fh=[1, 2]).index) == list(index[78:80])
    assert model.forecaster_.n_filled_rows_ == len(missing)


def test_absolute_horizons_after_a_gap():
    index = INDEXES["5 minutes"]
    model = RidgeForecaster(input_length=6, horizon=3).fit(table(index)[:75].drop(index[20]))
    absolute = ForecastingHorizon(index[[76]], is_relative=False, freq="5min")
    pd.testing.assert_frame_equal(model.predict(fh=absolute), model.predict(fh=[2]), check_freq=False)
    with pytest.raises(DataError, match="06:21:00, which does not follow 2024-01-01 06:10:00"):
        model.predict(
            fh=ForecastingHorizon(index[[76]] + pd.Timedelta(1, "min"), is_relative=False, freq="min")
        )


def test_a_panel_with_missing_rows():
    index = INDEXES["days"]
    y = pd.concat({node: table(index)[["a"]].drop(index[[30]]) for node in "uv"}, names=["node", "time"])
    assert list(RidgeForecaster(input_length=6, horizon=2).fit(y).predict(fh=[1, 2]).loc["u"].index) == list(
        pd.date_range("2024-03-21", periods=2)
    )


def test_jittered_stamps():
    index = pd.DatetimeIndex(
        INDEXES["5 minutes"].to_numpy() + np.random.default_rng(0).integers(-20, 21, N_TIMES).astype("m8[s]")
    )
    model = RidgeForecaster(input_length=6).fit(table(index)[:70], fh=[1, 2])
    model.update(table(index)[70:78], update_params=False)
    assert len(model.forecaster_.context_.index) == model.forecaster_.context_length_
    assert abs(model.predict(fh=[1, 2]).index - INDEXES["5 minutes"][78:]).max() < pd.Timedelta(30, "s")


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(40),
        pd.date_range("2024-01-01", periods=40, freq="h"),
        pd.period_range("2024-01", periods=40, freq="M"),
    ],
)
def test_names_of_index_and_columns_come_back(index):
    y = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 2)), index=index.rename("t"))
    y.columns = pd.Index(["a", "b"], name="station")
    model = RidgeForecaster(input_length=4).fit(y, fh=[1, 2])
    forecast = model.predict()
    tables = [forecast, model.predict_interval(coverage=0.5), model.predict_quantiles(alpha=[0.1])]
    model.update(forecast.rename_axis(index=None, columns=None), update_params=False)
    for table in (*tables, model.predict()):
        assert (table.index.name, table.columns.names[0]) == ("t", "station")


def test_names_of_a_fitted_model_come_along():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 2)), index=pd.RangeIndex(40, name="t"))
    X.columns = pd.Index(["a", "b"], name="station")
    forecast = from_sklearn(stmest.RidgeForecaster(input_length=4, horizon=2).fit(X)).predict(fh=[1])
    assert (forecast.index.name, forecast.columns.name) == ("t", "station")


def test_instances_without_a_name_are_refused():
    rows = pd.MultiIndex.from_arrays(
        [["a"] * 20 + [np.nan] * 20, [*range(20), *range(20)]], names=["node", "time"]
    )
    with pytest.raises(DataError, match="an instance without a name"):
        RidgeForecaster(input_length=4).fit(pd.DataFrame({"y": np.arange(40.0)}, index=rows), fh=[1])
