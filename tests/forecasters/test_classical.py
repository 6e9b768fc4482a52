"""Classical forecasts: one model for each node, whose parameters stay as they are; and what happens where none can be fitted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stmest import ClassicalForecaster, load, make_sensor_network
from stmest.exceptions import DataError, MissingDependencyError, ParameterError
from stmest.linear import classical_models


@pytest.fixture(scope="module")
def X():
    return make_sensor_network(n_nodes=3, n_times=24 * 10, missing=0.1, random_state=0).values.to_numpy()


@pytest.mark.parametrize("method", ["ets", "theta", "arima", "auto-arima"])
def test_every_origin_is_forecast_as_predict_does(method, X, monkeypatch):
    monkeypatch.setattr(classical_models, "_TERMS", range(2))
    model = ClassicalForecaster(method=method, horizon=3).fit(X[:160])
    truth, forecast = model.predict_windows(X[160:])
    np.testing.assert_array_equal(truth[4], X[204:207])
    np.testing.assert_allclose(model.predict(X[:204]), forecast[4], rtol=1e-10)
    assert len(model.forms_) == 3
    lower, upper = model.predict_interval(coverage=0.9)
    assert (np.asarray(lower) < np.asarray(upper)).all()


@pytest.mark.parametrize("method", ["ets", "theta", "arima"])
def test_a_season_that_a_long_look_back_would_show_is_taken_away(method):
    index = pd.date_range("2024-01-01", periods=400, freq="h")
    t, noise = np.arange(400)[:, None], np.random.default_rng(0).normal(size=(400, 2))
    X = pd.DataFrame(20 + 5 * np.sin(t * 2 * np.pi / 24 + np.arange(2)) + noise, index)
    model = ClassicalForecaster(method=method).fit(X[:320])
    truth, forecast = model.predict_windows(X[320:])
    assert model.profile_.cycle == "time_of_day"
    assert np.abs(forecast - truth).mean() < 1.0  # the noise alone has 0.8


def test_what_was_observed_last_counts_without_a_new_fit():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2)).cumsum(0)
    model = ClassicalForecaster(method="ets", horizon=2, seasonal_profile=None).fit(X)
    model.update(X[-1:] + 50 + rng.normal(size=(40, 2)))
    assert (model.predict() > X[-1] + 40).all()


def test_a_node_is_forecast_as_it_is_alone(X):
    together = ClassicalForecaster(method="arima", horizon=3, seasonal_profile=24).fit(X)
    alone = ClassicalForecaster(method="arima", horizon=3, seasonal_profile=24).fit(X[:, 1:2])
    np.testing.assert_allclose(together.predict()[:, 1:2], alone.predict(), rtol=1e-6)


def test_several_features_are_series_of_their_own(X):
    both = np.stack([X, 10 - 2 * X], axis=-1)
    model = ClassicalForecaster(method="theta", horizon=3).fit(both)
    found = model.predict()
    np.testing.assert_allclose(found[..., 1], 10 - 2 * found[..., 0], rtol=1e-4)
    assert len(model.forms_) == 6
    one = ClassicalForecaster(method="theta", horizon=3, target=1).fit(both)
    np.testing.assert_allclose(one.predict()[..., 0], found[..., 1], rtol=1e-6)


def test_a_node_that_cannot_be_fitted_repeats_its_last_value(X, monkeypatch):
    fit = classical_models.Arima.fit

    def failing(self, y):
        if not failing.calls:
            failing.calls = 1
            raise np.linalg.LinAlgError("singular matrix")
        return fit(self, y)

    failing.calls = 0
    monkeypatch.setattr(classical_models.Arima, "fit", failing)
    frame = pd.DataFrame(np.nan_to_num(X), columns=["north", "south", "east"])
    model = ClassicalForecaster(method="arima", horizon=3, seasonal_profile=None)
    with pytest.warns(
        UserWarning, match=r"1 of 3 nodes are forecast by their last value \(north\): ARIMA.*singular"
    ):
        model.fit(frame)
    assert model.forms_ == ("last value", "ARIMA(2,0,1)", "ARIMA(2,0,1)")
    np.testing.assert_allclose(model.predict()["north"], frame["north"].iloc[-1], rtol=1e-12)


def test_dead_and_short_nodes_are_their_mean(X):
    values = X.copy()
    values[:, 0] = np.nan
    values[:5, 0] = [1.0, 2.0, 3.0, 4.0, 5.0]
    model = ClassicalForecaster(method="theta", horizon=3, seasonal_profile=None).fit(values)
    assert model.forms_ == ("mean", "Theta", "Theta")
    np.testing.assert_allclose(model.predict()[:, 0], 3.0)


def test_trajectories_are_learnt_from_with_gaps_between_them(X):
    parts = [np.nan_to_num(X[:100]), np.nan_to_num(X[100:220])]
    model = ClassicalForecaster(method="arima", horizon=2, seasonal_profile=None).fit(parts)
    assert [part.shape for part in model.predict(parts)] == [(2, 3), (2, 3)]


def test_a_file_holds_all_of_it(X, tmp_path):
    model = ClassicalForecaster(method="arima", horizon=3).fit(X)
    model.save(tmp_path / "arima.safetensors")
    again = load(tmp_path / "arima.safetensors")
    np.testing.assert_array_equal(again.predict(), model.predict())
    assert again.forms_ == model.forms_


@pytest.mark.parametrize("order", [(1, 0), (1, 0, -1), (True, 0, 0), (0.5, 0, 0)])
def test_orders_that_are_none(order, X):
    with pytest.raises(ParameterError, match=r"order=.*; needed: three integers from 0 to 24"):
        ClassicalForecaster(method="arima", order=order).fit(X)


def test_too_few_rows(X):
    with pytest.raises(DataError, match="n_samples = 4 rows; ClassicalForecaster needs at least 14"):
        ClassicalForecaster().fit(X[:4])


def test_without_statsmodels_the_extra_is_named(X, monkeypatch):
    def missing(name, extra):
        raise MissingDependencyError(f'{name} is missing; pip install "stmest[{extra}]"')

    monkeypatch.setattr(classical_models, "require", missing)
    with pytest.raises(MissingDependencyError, match=r"stmest\[classical\]"):
        ClassicalForecaster().fit(X)
