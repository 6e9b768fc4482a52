"""DLinear and NLinear as forecasters: parameters, missing values, pickles, search, and that they find linear laws."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from stmest import DLinearForecaster, ForecastSplit, NLinearForecaster, RidgeForecaster, make_sensor_network
from stmest.datasets import mask_gaps
from stmest.exceptions import ParameterError

KINDS = [DLinearForecaster, NLinearForecaster]
SMALL = {"input_length": 24, "horizon": 4, "max_epochs": 2, "random_state": 0}


@pytest.fixture(scope="module")
def X():
    return make_sensor_network(n_nodes=4, n_times=160, random_state=0).values


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_is(kind, X):
    model = kind(**SMALL).fit(X)
    assert model.predict().shape == (4, 4)
    assert model.n_parameters_ == (2 if kind is DLinearForecaster else 1) * 4 * 25
    assert kind(**SMALL, per_node=True).fit(X).n_parameters_ == 4 * model.n_parameters_
    assert len(model.history_) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_each_node_on_its_own(kind, X):
    model = kind(**SMALL).fit(X)
    other = X.copy()
    other.iloc[-10:, 1] += 1.0
    assert (model.predict(other) != model.predict(X)).any().tolist() == [False, True, False, False]


def test_the_trend_window_matters(X):
    forecasts = [DLinearForecaster(**SMALL, trend_window=window).fit(X).predict() for window in (5, 25)]
    assert not np.allclose(*forecasts)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_values(kind, X):
    holey = mask_gaps(X, 0.3, random_state=0)
    model = kind(**SMALL).fit(holey)
    assert np.isfinite(model.predict()).all(axis=None)
    assert np.isfinite(model.predict(X)).all(axis=None)


@pytest.mark.parametrize("kind", KINDS)
def test_several_features_one_target(kind, X):
    both = np.stack([X, X**2], axis=-1)
    assert kind(**SMALL, target=[1]).fit(both).predict().shape == (4, 4, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_they_have_no_ridge_below_them(kind, X):
    assert kind(**SMALL).fit(X).linear_ is None
    with pytest.raises(ParameterError, match="linear_skip"):
        kind(**SMALL, linear_skip=True).fit(X)


@pytest.mark.parametrize("kind", KINDS)
def test_a_seasonal_profile_can_go_first(kind, X):
    model = kind(**SMALL, seasonal_profile="time_of_day").fit(X)
    assert model.profile_ is not None
    assert not np.allclose(model.predict(), kind(**SMALL).fit(X).predict())


@pytest.mark.parametrize("kind", KINDS)
def test_a_calendar_is_refused_rather_than_ignored(kind, X):
    with pytest.raises(ParameterError, match="time_features"):
        kind(**SMALL, time_features="auto").fit(X)


@pytest.mark.parametrize("kind", KINDS)
def test_pickles_and_search(kind, X):
    model = kind(**SMALL).fit(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(), model.predict())
    split = ForecastSplit(n_splits=2, test_size=30)
    search = GridSearchCV(kind(**SMALL), {"per_node": [True, False]}, cv=split).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_they_come_near_ridge_on_a_linear_law(kind):
    t, n = np.ogrid[:800, :3]
    X = np.sin(2 * np.pi * (t / 12 + n / 5)) + 0.1 * np.random.default_rng(0).normal(size=(800, 3))
    errors = []
    for model in (
        kind(**{**SMALL, "max_epochs": 40, "patience": None}, learning_rate=1e-2),
        RidgeForecaster(input_length=24, horizon=4, seasonal_profile=None),
    ):
        y_true, y_pred = model.fit(X[:600]).predict_windows(X[600:])
        errors.append(float(np.square(y_true - y_pred).mean()))
    assert errors[0] < 1.1 * errors[1]
