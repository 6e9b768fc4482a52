"""Values of earlier days and weeks in the linear forecast: used where they help, and only there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stmest import RidgeForecaster, STIDForecaster, load

SIZES = {"input_length": 4, "horizon": 2}


def weekly(n_weeks=14, memory=1.0, seed=0):
    """Two nodes whose hours resemble those of the week before, by so much; what is new each week is noise."""
    rng = np.random.default_rng(seed)
    rows = [rng.normal(size=(168, 2))]
    for _ in range(n_weeks - 1):
        rows.append(memory * rows[-1] + 0.3 * rng.normal(size=(168, 2)))
    values = np.concatenate(rows)
    return pd.DataFrame(
        values, index=pd.date_range("2024-01-01", periods=len(values), freq="h"), columns=["a", "b"]
    )


@pytest.fixture(scope="module")
def X():
    return weekly()


@pytest.fixture(scope="module")
def fitted(X):
    return RidgeForecaster(**SIZES).fit(X.iloc[: 12 * 168])


def test_a_week_that_resembles_the_last_one_is_looked_up(X, fitted):
    assert fitted.predictor_.history == ("day", "week", "four_weeks")
    assert fitted.context_length_ == fitted.context_.n_times == 4 * 168
    truth, forecast = fitted.predict_windows(X.iloc[12 * 168 :])
    assert len(truth) == 2 * 168 - 1
    assert np.abs(truth - forecast).mean() < 0.45  # of a mean deviation of 0.8 from the seasonal mean
    day, week, _ = fitted.ridge_.past[0].T
    assert (week > 0.4).all()
    assert (np.abs(day) < 0.2).all()


def test_noise_is_not_looked_up():
    rng = np.random.default_rng(0)
    index = pd.date_range("2024-01-01", periods=14 * 168, freq="h")
    model = RidgeForecaster(**SIZES).fit(pd.DataFrame(rng.normal(size=(len(index), 2)), index=index))
    assert model.predictor_.history == ()
    assert model.ridge_.past is None
    assert model.context_length_ == 4


def test_nothing_observed_is_not_looked_up():
    index = pd.date_range("2024-01-01", periods=14 * 168, freq="h")
    model = RidgeForecaster(**SIZES).fit(pd.DataFrame(np.nan, index=index, columns=["a"]))
    assert model.predictor_.history == ()


def test_no_forecast_sees_what_comes_after_its_origin(X, fitted):
    test = X.iloc[12 * 168 : 12 * 168 + 60]
    _, before = fitted.predict_windows(test, steps=30)
    spoilt = test.copy()
    spoilt.iloc[20:] = 1e3
    _, after = fitted.predict_windows(spoilt, steps=30)
    np.testing.assert_array_equal(before[:21], after[:21])
    assert not np.allclose(before[21:], after[21:])


def test_all_ways_to_a_forecast_agree(X, fitted, tmp_path):
    cut = 12 * 168
    expected = fitted.predict()
    # the time steps that fit saw last complete a short look-back
    for recent in (X.iloc[:cut], X.iloc[cut - 672 : cut], X.iloc[cut - 4 : cut]):
        pd.testing.assert_frame_equal(fitted.predict(recent), expected)
    _, windows = fitted.predict_windows(X.iloc[cut:])
    np.testing.assert_allclose(windows[0], expected)
    _, overlapping = fitted.predict_windows(X.iloc[cut - 4 :])
    np.testing.assert_allclose(overlapping, windows)
    fitted.save(tmp_path / "ridge.safetensors")
    again = load(tmp_path / "ridge.safetensors")
    pd.testing.assert_frame_equal(again.predict(), expected)
    pd.testing.assert_frame_equal(again.predict_interval()[0], fitted.predict_interval()[0])
    again.update(X.iloc[cut : cut + 50])
    np.testing.assert_allclose(again.predict(), windows[50])
    assert again.context_.n_times == 672


def test_a_short_look_back_without_times_is_forecast_without_the_past(X, fitted):
    short = fitted.predict(X.iloc[:4])
    assert np.isfinite(short.to_numpy()).all()


def test_a_missing_week_counts_as_usual(X, fitted):
    cut = 12 * 168
    lost = X.iloc[:cut].copy()
    lost.iloc[cut - 168 : cut - 4] = np.nan
    assert np.isfinite(fitted.predict(lost).to_numpy()).all()


def test_a_period_of_data_without_dates(X):
    values = X.to_numpy()
    model = RidgeForecaster(**SIZES, seasonal_profile=168).fit(values[: 12 * 168])
    assert model.predictor_.history == (168,)
    truth, forecast = model.predict_windows(values[12 * 168 - 168 :])
    assert np.abs(truth - forecast).mean() < 0.5


def test_networks_see_what_the_linear_forecast_sees(X):
    model = STIDForecaster(**SIZES, d_model=4, n_layers=1, max_epochs=1, batch_size=256, random_state=0)
    model.fit(X.iloc[: 12 * 168])
    assert model.predictor_.history == ("day", "week", "four_weeks")
    assert model.network_.n_ahead == 5
    _, windows = model.predict_windows(X.iloc[12 * 168 :])
    np.testing.assert_allclose(model.predict(), windows[0], rtol=1e-4, atol=1e-4)
    model.fit(X.iloc[: 12 * 168 + 24])  # and again
    assert model.context_.n_times == 672


def test_sktime_forecasts_from_the_same_origin(X, fitted):
    pytest.importorskip("sktime")
    from stmest.sktime import RidgeForecaster as Sktime

    model = Sktime(**{"input_length": 4}).fit(X.iloc[: 12 * 168], fh=[1, 2])
    assert model.forecaster_.context_.n_times == 672
    np.testing.assert_allclose(model.predict(), fitted.predict())
