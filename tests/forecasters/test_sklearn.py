"""The forecasters inside scikit-learn: grid search, splits, pipelines, scorers, metadata routing, parallel work."""

from __future__ import annotations

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from stmest import ForecastSplit, Graph, STM3Forecaster, forecast_scorer, make_sensor_network
from stmest.exceptions import DataError, GraphError

from .tiny import TinyForecaster


@pytest.fixture(scope="module")
def data():
    return make_sensor_network(n_nodes=5, n_times=150, random_state=0)


@pytest.fixture(scope="module")
def X(data):
    return data.values


@pytest.fixture(scope="module")
def adjacency(data):
    return data.graph.to_dense()


def small_stm3(**parameters):
    return STM3Forecaster(
        input_length=6,
        horizon=2,
        d_model=4,
        n_layers=1,
        d_state=4,
        max_epochs=1,
        random_state=0,
        **parameters,
    )


def test_grid_search_with_either_splitter(X, adjacency):
    grid = {"learning_rate": [1e-3, 1e-2]}
    for split in (TimeSeriesSplit(3), ForecastSplit(3, input_length=6)):
        search = GridSearchCV(small_stm3(), grid, cv=split, error_score="raise").fit(X, adj=adjacency)
        assert set(search.best_params_) == {"learning_rate"}
        assert search.best_estimator_.given_graph_ is not None
        assert list(search.predict(X).columns) == list(X.columns)


def test_scores_do_not_depend_on_the_number_of_jobs(X, data):
    grid = {"d_model": [4, 6]}
    split = ForecastSplit(2, input_length=6)
    scores = [
        # other processes do not know that these tests believe networks: here they stand alone
        GridSearchCV(small_stm3(adj=data.graph, linear_skip=False), grid, cv=split, n_jobs=jobs)
        .fit(X)
        .cv_results_["mean_test_score"]
        for jobs in (1, 2)
    ]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-5)


def test_frames_and_forecast_split_score_the_same_rows(X):
    """A frame that continues the training index brings its look-back itself; an array gets it from ForecastSplit."""
    model = TinyForecaster(random_state=0, time_features=None, seasonal_profile=None)
    from_frame = cross_val_score(model, X, cv=TimeSeriesSplit(4))
    from_array = cross_val_score(model, X.to_numpy(), cv=ForecastSplit(4, input_length=4))
    np.testing.assert_allclose(from_frame, from_array, rtol=1e-6)


def test_folds_that_are_too_short_say_what_helps():
    with pytest.raises(DataError, match="ForecastSplit"):
        cross_val_score(
            TinyForecaster(), np.zeros((60, 2)), cv=TimeSeriesSplit(5, test_size=5), error_score="raise"
        )


def test_searching_over_graphs(X, adjacency):
    graphs = [None, adjacency, Graph(adjacency.T)]
    search = GridSearchCV(TinyForecaster(random_state=0), {"adj": graphs}, cv=TimeSeriesSplit(2)).fit(X)
    assert len(np.unique(search.cv_results_["mean_test_score"])) == 3


def test_a_graph_of_as_many_nodes_as_rows_is_not_sliced():
    rng = np.random.default_rng(0)
    X, adjacency = rng.normal(size=(40, 40)), (rng.random((40, 40)) < 0.1).astype(float)
    split = ForecastSplit(2, input_length=4)
    search = GridSearchCV(
        TinyForecaster(random_state=0), {"learning_rate": [1e-3]}, cv=split, error_score="raise"
    )
    with pytest.raises(GraphError, match="scikit-learn"):
        search.fit(X, adj=adjacency)
    assert np.isfinite(search.fit(X, adj=Graph(adjacency)).best_score_)


def test_pipeline_with_a_scaler(X, adjacency):
    # in scaled units the nodes are equal anyway; without a choice of experts, which a last digit can decide
    model = small_stm3(node_weights="equal", n_experts=0)
    pipeline = Pipeline(
        [("scale", StandardScaler().set_output(transform="pandas")), ("forecast", clone(model))]
    )
    pipeline.fit(X, forecast__adj=adjacency)
    scaled = pipeline.predict(X)
    forecast = pipeline[:-1].inverse_transform(scaled)
    # not equal bits: the first steps of Adam take the sign of gradients that are hardly more than rounding
    np.testing.assert_allclose(forecast, model.fit(X, adjacency).predict(), rtol=1e-2)


def test_scorers_speak_in_the_units_of_the_data(X):
    pipeline = make_pipeline(
        StandardScaler().set_output(transform="pandas"), TinyForecaster(random_state=0)
    ).fit(X)
    y_true, y_pred = pipeline[-1].predict_windows(pipeline[:-1].transform(X))
    scale = pipeline[0].scale_
    assert forecast_scorer("mae")(pipeline, X) == pytest.approx(
        -(np.abs(y_true - y_pred) * scale).mean(), rel=1e-4
    )
    scores = cross_val_score(
        TinyForecaster(random_state=0), X, cv=TimeSeriesSplit(2), scoring=forecast_scorer("rmse")
    )
    assert (scores < 0).all()


def test_metadata_routing(X, adjacency):
    expected = TinyForecaster(random_state=0).fit(X, adjacency).predict()
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(TinyForecaster(random_state=0)).fit(X, adj=adjacency)
        pd.testing.assert_frame_equal(pipeline.predict(X), expected)
        search = GridSearchCV(TinyForecaster(random_state=0), {"horizon": [2]}, cv=TimeSeriesSplit(2))
        assert search.fit(X, adj=adjacency).best_estimator_.given_graph_ is not None
        scores = cross_validate(
            TinyForecaster(random_state=0), X, cv=TimeSeriesSplit(2), params={"adj": adjacency}
        )
        assert np.isfinite(scores["test_score"]).all()


def test_threads_give_the_same_scores(X):
    model, split = small_stm3(dropout=0.2), ForecastSplit(4, input_length=6)
    alone = cross_val_score(model, X, cv=split)
    with joblib.parallel_backend("threading"):
        np.testing.assert_allclose(cross_val_score(model, X, cv=split, n_jobs=2), alone, rtol=1e-5)
