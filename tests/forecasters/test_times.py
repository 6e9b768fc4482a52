"""The frequency of the training data dates every forecast; rows that are missing in the middle become visible."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import stmest
from stmest import EnsembleForecaster, LastValue, RidgeForecaster, SeasonalNaive, compare
from stmest.exceptions import DataError

from .small import small

N_TRAIN, N_TIMES = 50, 62
# as read from a file: without a name of the frequency
INDEXES = {
    "days": pd.date_range("2024-01-01", periods=N_TIMES),
    "days in a zone": pd.date_range("2024-02-25", periods=N_TIMES, tz="Europe/Berlin"),
    "business days": pd.date_range("2024-01-01", periods=N_TIMES, freq="B"),
    "5 minutes": pd.date_range("2024-01-01", periods=N_TIMES, freq="5min"),
    "hours in a zone": pd.date_range("2024-03-29", periods=N_TIMES, freq="h", tz="Europe/Berlin"),
    "weeks": pd.date_range("2024-01-01", periods=N_TIMES, freq="W-WED"),
    "months": pd.date_range("2015-01-01", periods=N_TIMES, freq="MS"),
    "ends of months": pd.date_range("2015-01-01", periods=N_TIMES, freq="ME"),
    "middles of months": pd.date_range("2015-01-01", periods=N_TIMES, freq="MS") + pd.Timedelta(14, "D"),
    "quarters": pd.date_range("2001-01-01", periods=N_TIMES, freq="QS"),
    "years as periods": pd.period_range("1950", periods=N_TIMES, freq="Y"),
    "steps of five": pd.RangeIndex(0, 5 * N_TIMES, 5),
    "numbers": pd.Index(range(10, 10 + N_TIMES)),
}  # fmt: skip
MODELS = {
    "last": lambda: LastValue(horizon=3),
    "season of 1": lambda: SeasonalNaive(horizon=3, season=1),
    "ridge": lambda: RidgeForecaster(input_length=6, horizon=3),
    "ensemble": lambda: EnsembleForecaster(
        [("a", LastValue(horizon=3)), ("b", RidgeForecaster(input_length=6, horizon=3))]
    ),
}


def table(index):
    if isinstance(index, pd.DatetimeIndex):
        index = pd.DatetimeIndex(index, freq=None)
    t = np.arange(len(index))
    return pd.DataFrame({"a": np.sin(t / 3), "b": t + 0.5}, index=index)


def blanked(X, *rows):
    """The same rows, some without values."""
    X = X.copy()
    X.iloc[list(rows)] = np.nan
    return X


CASES = [(case, "last") for case in INDEXES] + [("business days", kind) for kind in MODELS if kind != "last"]


@pytest.mark.parametrize(("case", "kind"), CASES)
def test_forecasts_are_dated_by_the_frequency_of_the_training_data(case, kind, tmp_path):
    X = table(INDEXES[case])
    model = MODELS[kind]().fit(X[:N_TRAIN])
    model.save(tmp_path / "model.safetensors")
    assert model.n_filled_rows_ == 0
    for one in (model, stmest.load(tmp_path / "model.safetensors")):
        assert list(one.predict().index) == list(X.index[N_TRAIN : N_TRAIN + 3])
        assert list(one.predict_interval(coverage=0.5)[1].index) == list(X.index[N_TRAIN : N_TRAIN + 3])
        assert list(one.predict(X[10:30]).index) == list(X.index[30:33])
        truth, _ = one.predict_windows(X[N_TRAIN:])
        np.testing.assert_array_equal(truth[:, 0], X[N_TRAIN : N_TIMES - 2])
        for row in range(N_TRAIN, N_TRAIN + 3):
            one.update(X[row : row + 1])
        assert list(one.predict(steps=4).index) == list(X.index[N_TRAIN + 3 : N_TRAIN + 7])


@pytest.mark.parametrize("case", INDEXES)
@pytest.mark.parametrize("missing", [(20,), (46,), (30, 31, 48)])
def test_rows_that_are_missing_are_filled_with_nan(case, missing):
    X = table(INDEXES[case])
    holed = X[:N_TRAIN].drop(X.index[list(missing)])
    model = RidgeForecaster(input_length=6, horizon=3).fit(holed)
    whole = RidgeForecaster(input_length=6, horizon=3).fit(blanked(X[:N_TRAIN], *missing))
    assert model.n_filled_rows_ == len(missing)
    assert list(model.context_.index) == list(X.index[N_TRAIN - model.context_.n_times : N_TRAIN])
    assert list(model.predict().index) == list(X.index[N_TRAIN : N_TRAIN + 3])
    np.testing.assert_allclose(model.predict(), whole.predict())
    # later rows are filled in the same way
    later = X.drop(X.index[55])
    np.testing.assert_allclose(model.predict(later), whole.predict(blanked(X, 55)))
    assert np.isnan(model.predict_windows(later[N_TRAIN - 3 :])[0]).any()


@pytest.mark.parametrize("name", ["DLinearForecaster", "STM3Forecaster"])
def test_networks_date_their_forecasts_after_a_gap(name):
    X = table(INDEXES["months"])
    model = small(name).fit(X[:N_TRAIN].drop(X.index[N_TRAIN - 3]))
    assert list(model.predict().index) == list(X.index[N_TRAIN : N_TRAIN + model.horizon])


def test_hours_of_a_shop_are_not_filled():
    days = pd.date_range("2024-01-01", periods=40, freq="B")
    X = table(pd.DatetimeIndex([day + pd.Timedelta(hour, "h") for day in days for hour in range(8, 18)]))
    model = RidgeForecaster(input_length=6, horizon=3).fit(X[:300])
    assert model.n_filled_rows_ == 0
    assert model.context_.index.equals(X.index[300 - model.context_.n_times : 300])
    assert len(model.predict_windows(X)[0]) == len(X) - 8


def test_jittered_stamps_are_continued_within_half_a_step():
    exact = pd.date_range("2024-01-01", periods=100, freq="5min")
    X = table(
        pd.DatetimeIndex(exact.to_numpy() + np.random.default_rng(0).integers(-20, 21, 100).astype("m8[s]"))
    )
    model = RidgeForecaster(input_length=6, horizon=3).fit(X[:80])
    assert abs(model.predict().index - exact[80:83]).max() < pd.Timedelta(30, "s")
    assert len(model.predict_windows(X[80:])[0]) == 18
    model.update(X[80:90].drop(X.index[85]))
    assert model.context_.n_filled == 0
    assert abs(model.predict().index - exact[90:93]).max() < pd.Timedelta(30, "s")
    with pytest.raises(DataError, match="begins at 2024-01-01 07:5"):
        model.update(X[95:])


def test_a_range_and_numbers_continue_each_other():
    X = table(pd.RangeIndex(72))
    model = RidgeForecaster(input_length=6, horizon=3).fit(X)
    for index in (
        list(range(72, 90)),
        pd.RangeIndex(72, 90),
        pd.Index(range(72, 90), dtype="Int64"),
        np.arange(72.0, 90.0),
    ):
        new = table(pd.Index(index))
        assert len(model.predict_windows(new)[0]) == 16
        one = RidgeForecaster(input_length=6, horizon=3).fit(X).update(new)
        assert one.predict().index.tolist() == [90, 91, 92]


def test_epochs_have_the_season_of_their_dates():
    t = np.arange(400)
    X = pd.DataFrame({"a": 10 * np.sin(2 * np.pi * t / 96)}, index=1_700_000_000 + 900 * t)
    report = compare({"season": SeasonalNaive(horizon=3, season=96)}, X)
    assert report.settings["season"] == 96
    model = SeasonalNaive(horizon=3, season=96).fit(X[:300])
    assert model.predict().index[0] == pd.Timestamp(1_700_000_000 + 900 * 300, unit="s")
    np.testing.assert_allclose(model.predict(), X[300:303])
    assert len(model.predict_windows(X[300:])[0]) == 98


def test_later_text_is_read_as_that_of_the_training_data(tmp_path):
    index = pd.date_range("2024-03-01", periods=N_TIMES, freq="h")
    for form in ("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"):
        X = table(pd.Index([f"{time:{form}}" for time in index]))
        model = LastValue(horizon=2).fit(X[:N_TRAIN])
        model.save(tmp_path / "model.safetensors")
        for one in (model, stmest.load(tmp_path / "model.safetensors")):
            assert list(one.update(X[N_TRAIN : N_TRAIN + 1]).predict().index) == list(
                index[N_TRAIN + 1 : N_TRAIN + 3]
            )


def test_older_files_date_by_the_frequency_that_they_hold():
    X = table(INDEXES["business days"])
    model = LastValue(horizon=2).fit(X[:N_TRAIN])
    vars(model.context_).update(freq=None)  # as files were written before
    assert list(model.predict().index) == list(X.index[N_TRAIN : N_TRAIN + 2])
    assert list(model.update(X[N_TRAIN : N_TRAIN + 1]).predict().index) == list(
        X.index[N_TRAIN + 1 : N_TRAIN + 3]
    )


def test_trajectories_are_filled_one_by_one():
    X = table(INDEXES["days"])
    model = RidgeForecaster(input_length=6, horizon=3).fit([X.drop(X.index[20]), X])
    assert model.n_filled_rows_ == 1
    assert [list(forecast.index) for forecast in model.predict([X, X.drop(X.index[58])])] == [
        list(pd.date_range("2024-03-03", periods=3))
    ] * 2


def test_a_report_says_how_many_rows_are_missing():
    X = table(INDEXES["days"])
    models = {"last": LastValue(horizon=3)}
    report = compare(models, X.drop(X.index[[20, 21]]))
    assert report.data["filled_rows"] == 2
    assert (
        "2 rows between the first and the last time are missing in the data, and filled with NaN."
        in report.to_text()
    )
    assert report["last"].forecaster.n_filled_rows_ == 2
    assert "filled" not in compare(models, X).to_text()
