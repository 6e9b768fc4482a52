"""The forecasters inside sktime: evaluation, benchmarks, searches, pipelines, ensembles."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import StandardScaler
from sktime.benchmarking.forecasting import ForecastingBenchmark
from sktime.forecasting.compose import EnsembleForecaster, MultiplexForecaster, TransformedTargetForecaster
from sktime.forecasting.model_evaluation import evaluate
from sktime.forecasting.model_selection import ForecastingGridSearchCV
from sktime.forecasting.naive import NaiveForecaster
from sktime.forecasting.stream import UpdateRefitsEvery
from sktime.forecasting.var import VAR
from sktime.performance_metrics.forecasting import MeanAbsoluteError
from sktime.split import ExpandingWindowSplitter
from sktime.transformations.adapt import TabularToSeriesAdaptor
from sktime.transformations.detrend import Deseasonalizer, Detrender

from stmest.sktime import RidgeForecaster, STM3Forecaster

FH = np.arange(1, 7)


@pytest.fixture(scope="module")
def y():
    rng = np.random.default_rng(0)
    hours = np.arange(240)[:, None]
    values = 10 + np.sin(hours / 24 * 2 * np.pi + np.arange(3)) + 0.2 * rng.normal(size=(240, 3))
    return pd.DataFrame(
        values, index=pd.period_range("2024-01-01", periods=240, freq="h"), columns=list("abc")
    )


@pytest.fixture(scope="module")
def folds():
    return ExpandingWindowSplitter(initial_window=180, step_length=18, fh=FH)


def network(**parameters):
    return STM3Forecaster(
        **{"input_length": 12, "scales": (1,), "d_model": 3, "d_state": 1, "n_experts": 0, "max_epochs": 2},
        **{"random_state": 0, "linear_skip": False, "seasonal_profile": None, **parameters},
    )


def _evaluated(forecaster, y, folds, strategy):
    result = evaluate(
        forecaster,
        folds,
        y,
        strategy=strategy,
        scoring=MeanAbsoluteError(),
        error_score="raise",
        return_data=True,
    )
    return result.reset_index(drop=True)


@pytest.mark.parametrize("forecaster", [network(), RidgeForecaster(input_length=12)], ids=["STM3", "ridge"])
def test_evaluate_by_every_strategy(forecaster, y, folds):
    results = {s: _evaluated(forecaster, y, folds, s) for s in ("refit", "update", "no-update_params")}
    for result in results.values():
        assert len(result) == 4
        assert result["test_MeanAbsoluteError"].max() < 1
    for fold in range(4):  # update moves the look-back on, as it should
        for strategy in ("update", "no-update_params"):
            assert results[strategy]["y_pred"][fold].index.equals(results["refit"]["y_pred"][fold].index)
        pd.testing.assert_frame_equal(
            results["update"]["y_pred"][fold], results["no-update_params"]["y_pred"][fold]
        )
    assert not results["update"]["y_pred"][1].equals(results["refit"]["y_pred"][1])


def test_updates_that_train_change_the_weights(y, folds):
    moved = _evaluated(network(), y, folds, "update")
    trained = _evaluated(network(update_epochs=1), y, folds, "update")
    pd.testing.assert_frame_equal(moved["y_pred"][0], trained["y_pred"][0])
    assert not np.allclose(moved["y_pred"][1], trained["y_pred"][1])


def test_ridge_learns_anew_where_sktime_is_told_to(y, folds):
    refit = _evaluated(RidgeForecaster(input_length=12), y, folds, "refit")
    stream = _evaluated(
        UpdateRefitsEvery(RidgeForecaster(input_length=12), refit_interval=0), y, folds, "update"
    )
    np.testing.assert_allclose(stream["y_pred"][3], refit["y_pred"][3], rtol=1e-6)


@pytest.mark.filterwarnings("default")  # statsmodels warns of the series
def test_benchmark_beside_classical_forecasters(y, folds, tmp_path):
    benchmark = ForecastingBenchmark()
    benchmark.add_estimator(network(), estimator_id="STM3")
    benchmark.add_estimator(RidgeForecaster(input_length=24), estimator_id="ridge")
    benchmark.add_estimator(NaiveForecaster(strategy="last", sp=24), estimator_id="naive")
    benchmark.add_estimator(VAR(maxlags=4), estimator_id="VAR")
    benchmark.add_task(lambda: y, folds, [MeanAbsoluteError()], task_id="waves")
    results = benchmark.run(str(tmp_path / "results.csv")).set_index("model_id")["MeanAbsoluteError_mean"]
    assert sorted(results.index) == ["STM3", "VAR", "naive", "ridge"]
    assert results["ridge"] < results["naive"]


def test_grid_search(y, folds):
    grid = {"input_length": [1, 24]}
    search = ForecastingGridSearchCV(
        RidgeForecaster(), folds, grid, scoring=MeanAbsoluteError(), backend="None"
    )
    search.fit(y, fh=FH)
    assert search.best_params_ == {"input_length": 24}
    assert search.predict().shape == (6, 3)


@pytest.mark.slow
def test_grid_search_in_two_processes(y, folds):
    grid = {"learning_rate": [1e-5, 0.003]}
    search = ForecastingGridSearchCV(
        network(), folds, grid, scoring=MeanAbsoluteError(), backend="loky", backend_params={"n_jobs": 2}
    )
    search.fit(y, fh=FH)
    alone = ForecastingGridSearchCV(network(), folds, grid, scoring=MeanAbsoluteError(), backend="None")
    alone.fit(y, fh=FH)
    assert search.best_params_ == alone.best_params_ == {"learning_rate": 0.003}
    assert search.best_score_ == pytest.approx(alone.best_score_, rel=1e-5)


def test_pipelines_of_the_target(y):
    scaled = TransformedTargetForecaster(
        [("scale", TabularToSeriesAdaptor(StandardScaler())), ("forecast", RidgeForecaster(input_length=24))]
    ).fit(y, fh=FH)
    np.testing.assert_allclose(
        scaled.predict(), RidgeForecaster(input_length=24).fit(y, fh=FH).predict(), rtol=1e-3
    )
    interval = scaled.predict_interval(coverage=0.8)
    assert (interval["a", 0.8, "lower"] < interval["a", 0.8, "upper"]).all()
    detrended = (Deseasonalizer(sp=24) * Detrender() * network()).fit(y, fh=FH)
    assert np.abs(detrended.predict() - 10).max(axis=None) < 3


def test_ensembles_and_multiplexers(y, folds):
    ridge, naive = RidgeForecaster(input_length=24), NaiveForecaster(sp=24)
    both = EnsembleForecaster([("ridge", ridge), ("naive", naive)]).fit(y, fh=FH).predict()
    mean = (ridge.fit(y, fh=FH).predict() + naive.fit(y, fh=FH).predict()) / 2
    np.testing.assert_allclose(both, mean)
    chooser = MultiplexForecaster([("network", network()), ("ridge", ridge)])
    search = ForecastingGridSearchCV(
        chooser, folds, {"selected_forecaster": ["network", "ridge"]}, backend="None"
    )
    assert search.fit(y, fh=FH).best_params_ == {"selected_forecaster": "ridge"}


def test_columns_can_be_chosen(y):
    adj = pd.DataFrame(np.ones((3, 3)) - np.eye(3), list("abc"), list("abc"))
    chosen = network(adj=adj)[:, ["c", "a"]].fit(y, fh=FH)
    assert list(chosen.predict().columns) == ["c", "a"]


def test_update_predict_walks_through_a_series(y):
    model = RidgeForecaster(input_length=24, horizon=6).fit(y.iloc[:200])
    walk = ExpandingWindowSplitter(initial_window=10, step_length=10, fh=[1])
    forecasts = model.update_predict(y.iloc[200:], cv=walk, update_params=False)
    assert list(forecasts.index) == list(y.index[210::10])
    assert model.cutoff[0] == y.index[199]  # left as it was
