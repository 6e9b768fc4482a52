"""Classical models: what they forecast is what statsmodels forecasts, and what is missing is left out."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sktime.forecasting.theta import ThetaForecaster

from stmest.exceptions import DataError
from stmest.linear.classical_models import Arima, Level, Smoothing, Theta, candidates, choose
from stmest.linear.state_space import stacked

STEPS = 5
MODELS = [
    Smoothing(),
    Smoothing(trend=True),
    Smoothing(trend=True, damped=True),
    Arima((0, 0, 0)),
    Arima((2, 0, 1)),
    Arima((1, 1, 2)),
]


@pytest.fixture(scope="module")
def series():
    """A walk that comes back."""
    rng, y = np.random.default_rng(0), np.zeros(300)
    for t in range(1, 300):
        y[t] = 0.9 * y[t - 1] + rng.normal()
    return y / y.std()


def fitted(model, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(y)


def forecast(space, y):
    return space.forecast(np.asarray(y)[None, :, None])[0, :, 0]


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("missing", [[], [0, 1, 2, 150]], ids=["complete", "gaps"])
def test_over_all_rows_the_forecast_is_that_of_statsmodels(model, missing, series):
    y = series.copy()
    y[missing] = np.nan
    results = fitted(model, y)
    found = forecast(model.space(results, len(y), STEPS), y)
    np.testing.assert_allclose(found, results.forecast(STEPS), atol=2e-3)


def test_theta_is_smoothing_and_half_of_the_line(series):
    y = series + 0.05 * np.arange(len(series))
    space = Theta().space(fitted(Theta(), y), len(y), STEPS)
    classical = ThetaForecaster(deseasonalize=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = classical.fit(y, fh=np.arange(1, STEPS + 1)).predict().ravel()
    # sktime's drift is one step ahead of that of Hyndman and Billah
    np.testing.assert_allclose(forecast(space, y)[1:], wanted[:-1], rtol=1e-3)


def test_a_look_back_that_begins_late_counts_from_its_first_observation(series):
    space = Smoothing().space(fitted(Smoothing(), series), 24, STEPS)
    late = np.r_[np.full(20, np.nan), 5.0, 5.0, 5.0, 5.0]
    np.testing.assert_allclose(forecast(space, late), 5.0, atol=1e-4)


def test_without_an_observation_the_mean_is_forecast(series):
    space = Arima((2, 0, 1)).space(fitted(Arima((2, 0, 1)), series), 6, STEPS)
    assert forecast(space, np.full(6, np.nan)).tolist() == [0.0] * STEPS


def test_models_of_different_sizes_forecast_together_as_each_alone(series):
    models = [Arima((3, 1, 2)), Smoothing(), Level(follows=True), Level(follows=False)]
    spaces = [model.space(fitted(model, series), 24, STEPS) for model in models]
    x = np.stack([series[k : k + 24] for k in range(4)], axis=-1)[None]
    found = stacked(spaces).forecast(x)[0]
    for number, space in enumerate(spaces):
        np.testing.assert_allclose(found[:, number], forecast(space, x[0, :, number]), rtol=1e-12)
    assert found[:, 2].tolist() == [x[0, -1, 2]] * STEPS
    assert found[:, 3].tolist() == [0.0] * STEPS


def test_orders_have_a_difference_where_the_level_moves():
    noise = np.random.default_rng(0).normal(size=300)
    assert {model.order[1] for model in candidates("auto-arima", (0, 0, 0), noise)} == {0}
    walk = noise.cumsum()
    assert {model.order[1] for model in candidates("auto-arima", (0, 0, 0), walk)} == {1}


def test_the_least_aicc_is_chosen(series):
    model, results = choose(series, [Arima((0, 0, 0)), Arima((1, 0, 0)), Arima((0, 0, 1))])
    assert str(model) == "ARIMA(1,0,0)"
    assert results.params[0] == pytest.approx(0.9, abs=0.1)


@pytest.mark.parametrize("y", [[1.0] * 50, [np.nan] * 50, [1.0, 2.0, np.nan]], ids=["still", "never", "few"])
def test_what_nothing_can_be_estimated_from_is_its_mean(y):
    assert list(map(str, candidates("ets", (1, 0, 0), np.array(y)))) == ["mean"]


def test_a_model_that_cannot_be_fitted_says_why():
    with pytest.raises(DataError, match=r"ARIMA\(2,0,1\) could not be fitted: .*"):
        choose(np.full(40, np.inf), [Arima((2, 0, 1))])
