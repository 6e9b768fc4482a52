"""Forecasts do not depend on where the values lie: at high levels, at tiny scales, and on series that never change."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stmest import LastValue, RidgeForecaster, load
from tests.crossing import crossed

from .small import FIELD_NAMES, names, small

ALL = [*names(), *FIELD_NAMES]
GRID = 2.0**-10  # values on this grid are exact in float64 up to a level of 2**42
LEVELS = np.array([1e12, -3e9, 2.0**40])
CONSTANTS = np.array([123456789.0, 2.0**53 - 1, -0.1])


def series(seed=0, n_times=96):
    """Three nodes with a daily cycle, on a grid of numbers that survive a shift."""
    rng = np.random.default_rng(seed)
    t = np.arange(n_times)[:, None]
    values = 5 * np.sin(2 * np.pi * t / 24 + np.arange(3)) + rng.normal(size=(n_times, 3)).cumsum(0) / 4
    return np.round(values / GRID) * GRID


def read_by(name, values):
    """The values as hourly rows, or as a field of one row of cells."""
    if name in FIELD_NAMES:
        return values[:, None, :, None]
    index = pd.date_range("2024-01-01", periods=len(values), freq="h")
    return pd.DataFrame(values, index=index, columns=list("abc")[: values.shape[1]])


def forecast(name, values):
    """Forecasts, both ends of the interval, and the score, of a forecaster fitted to the values."""
    X = read_by(name, values)
    model = small(name).fit(X)
    ends = model.predict_interval(coverage=0.8)
    out = [np.asarray(one, dtype=np.float64).reshape(-1, values.shape[1]) for one in (model.predict(), *ends)]
    return *out, model.score(X)


# ---------------------------------------------------------------- constants


@pytest.mark.parametrize("name", ALL)
def test_constants_are_forecast_exactly(name):
    """Up to 2**53, as integers are; the interval has no width and the score is that of exact forecasts."""
    predicted, lower, upper, score = forecast(name, np.tile(CONSTANTS, (96, 1)))
    for found in (predicted, lower, upper):
        np.testing.assert_array_equal(found, np.broadcast_to(CONSTANTS, found.shape))
    assert score == 1.0


@pytest.mark.parametrize("name", ALL)
def test_a_sensor_that_never_changed_is_forecast_as_it_is(name):
    """Also among others that change; other sensors' drift is not its own."""
    values = series() + np.arange(96)[:, None] / 8
    values[:, 1] = 2.0**53 - 1
    predicted, lower, upper, _ = forecast(name, values)
    for found in (predicted, lower, upper):
        assert (found[:, 1] == 2.0**53 - 1).all()


def test_a_counter_is_not_rounded():
    counter = np.arange(60.0)[:, None]
    for model in (LastValue(horizon=1), RidgeForecaster(input_length=6, horizon=1)):
        expected = model.fit(counter).predict() + 1.2e8
        np.testing.assert_allclose(model.fit(counter + 1.2e8).predict(), expected, rtol=1e-15)


# ---------------------------------------------------------------- level and scale


@pytest.mark.parametrize("name", crossed(ALL))
def test_sensors_of_any_unit_side_by_side(name):
    """Each is forecast in its own unit: an error of another sensor's size would be absurd."""
    units = np.array([1e-300, 1e-9, 1e12])
    predicted, lower, upper, _ = forecast(name, series() * units)
    for found in (predicted, lower, upper):
        assert (np.abs(found / units) < 30).all()
    assert (lower <= upper).all()


@pytest.mark.parametrize("name", crossed(ALL))
def test_a_sensor_may_change_its_unit_after_training(name):
    """Values near 0 in training and of usual size later are no numbers of float32 in units of the scale."""
    X, later = series(), series()
    X[:, 1] *= 1e-250
    model = small(name).fit(read_by(name, X))
    assert np.isfinite(np.asarray(model.predict(read_by(name, later)))).all()


RIDGES = {
    "neighbours": {"neighbours": "adj", "adj": np.roll(np.eye(3), 1, axis=0)},
    "all nodes": {"neighbours": "all"},
    "ensemble": {"neighbours": "blend"},
    "per node": {"per_node": True},
    "no penalty": {"alpha": 0.0},
    "no season": {"seasonal_profile": None},
    "season": {"seasonal_profile": 24},
    "day of year": {"seasonal_profile": "day_of_year"},
}


@pytest.mark.parametrize("settings", RIDGES.values(), ids=RIDGES.keys())
def test_level_and_factor_of_every_ridge(settings):
    def forecasts(values):
        index = pd.date_range("2024-01-01", periods=len(values), freq="h")
        model = RidgeForecaster(input_length=4, horizon=2, **settings).fit(pd.DataFrame(values, index=index))
        return np.stack([model.predict(), *model.predict_interval(coverage=0.8)])

    values = series(n_times=200)
    plain = forecasts(values)
    np.testing.assert_allclose(forecasts(values + LEVELS) - LEVELS, plain, atol=2e-3)
    for power in (-996, -530, 40):
        np.testing.assert_allclose(forecasts(values * 2.0**power) / 2.0**power, plain, rtol=1e-6)


def test_level_and_factor_of_earlier_weeks():
    rng = np.random.default_rng(0)
    week = rng.normal(size=(168, 2))
    values = np.concatenate([week := week + 0.3 * rng.normal(size=week.shape) for _ in range(14)])
    values = np.round(values / GRID) * GRID
    index = pd.date_range("2024-01-01", periods=len(values), freq="h")

    def fitted(values):
        return RidgeForecaster(input_length=4, horizon=2).fit(pd.DataFrame(values, index=index))

    plain = fitted(values)
    assert "week" in plain.predictor_.history
    for found, level, factor in (
        (fitted(values + 1e12), 1e12, 1.0),
        (fitted(values * 2.0**-996), 0.0, 2.0**-996),
    ):
        assert found.predictor_.history == plain.predictor_.history
        np.testing.assert_allclose((found.predict() - level) / factor, plain.predict(), atol=2e-3)


# trees jump where rounding moves a value across a threshold
@pytest.mark.parametrize("name", [name for name in ALL if name != "RegressorForecaster"])
def test_a_level_is_added_to_the_forecast(name):
    plain, low, high, score = forecast(name, series())
    found = forecast(name, series() + LEVELS)
    # float64 has a resolution of 1e-4 there; networks learn on from such differences
    for one, other in zip((plain, low, high), found[:3], strict=True):
        np.testing.assert_allclose(other - LEVELS, one, atol=0.02)
    assert found[3] == pytest.approx(score, abs=2e-3)


@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 99), level=st.sampled_from([-1e12, 1e6, 1e9, 2.0**41]))
@pytest.mark.parametrize("name", ["LastValue", "SeasonalNaive", "MeanProfile", "RidgeForecaster"])
def test_any_level_and_any_data(name, seed, level):
    plain, *_, score = forecast(name, series(seed))
    found, *_, its_score = forecast(name, series(seed) + level)
    np.testing.assert_allclose(found - level, plain, atol=2e-3)
    assert its_score == pytest.approx(score, abs=1e-3)


@pytest.mark.parametrize("power", [-996, -530, -140, 40])
@pytest.mark.parametrize(
    "name", crossed(ALL, ("LastValue", "MeanProfile", "RidgeForecaster", "STIDForecaster"))
)
def test_a_factor_is_a_factor_of_the_forecast(name, power):
    """From 1e-300 on, where squares are 0 in float64, and far below what float32 can hold."""
    factor = 2.0**power
    plain, low, high, score = forecast(name, series())
    found = forecast(name, series() * factor)
    for one, other in zip((plain, low, high), found[:3], strict=True):
        np.testing.assert_allclose(other / factor, one, rtol=1e-4, atol=1e-4)
    assert found[3] == pytest.approx(score, abs=1e-4)


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 99), power=st.integers(-300, 16))
@pytest.mark.parametrize("name", ["LastValue", "SeasonalNaive", "MeanProfile", "RidgeForecaster"])
def test_any_factor_and_any_data(name, seed, power):
    factor = 10.0**power
    plain, *_, score = forecast(name, series(seed))
    found, *_, its_score = forecast(name, series(seed) * factor)
    np.testing.assert_allclose(found / factor, plain, rtol=1e-6, atol=1e-6)
    assert its_score == pytest.approx(score, abs=1e-6)


# ---------------------------------------------------------------- containers, files, types


@pytest.mark.parametrize("name", crossed(names()))
def test_a_level_survives_files_updates_and_longer_forecasts(name, tmp_path):
    values = series() + LEVELS
    X = read_by(name, values)
    model = small(name).fit(X.iloc[:80])
    model.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors", device="cpu")
    assert again.calibration_.rows.values.dtype == np.float64
    for one in (model, again):
        one.update(X.iloc[80:])
        assert np.abs(np.asarray(one.predict(steps=7)) - values[-1]).max() < 40
    pd.testing.assert_frame_equal(again.predict(steps=7), model.predict(steps=7))
    for one, other in zip(model.predict_interval(), again.predict_interval(), strict=True):
        pd.testing.assert_frame_equal(one, other)
        assert np.abs(np.asarray(one) - values[-1]).max() < 60


def test_single_precision_stays_as_it_is():
    """Memory does not double; what the level is taken from is not copied."""
    values = series().astype(np.float32)
    model = RidgeForecaster(input_length=4, horizon=2).fit(values)
    assert model.predict().dtype == np.float32
    assert model.context_.values.dtype == np.float32
    assert model.calibration_.rows.values.dtype == np.float32
