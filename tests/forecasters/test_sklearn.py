"""The forecasters inside scikit-learn: grid search, splits, pipelines, scorers, metadata routing, parallel work."""

from __future__ import annotations

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, KFold, TimeSeriesSplit, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, RobustScaler, StandardScaler

from stmest import (
    ForecastSplit,
    Graph,
    LastValue,
    RidgeForecaster,
    STM3Forecaster,
    forecast_scorer,
    make_sensor_network,
)
from stmest.exceptions import DataError, GraphError, ParameterError

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
    with pytest.warns(UserWarning, match="units that its step 'scale' makes"):
        pipeline.fit(X, forecast__adj=adjacency)
    scaled = pipeline.predict(X)
    forecast = pipeline[:-1].inverse_transform(scaled)
    # not equal bits: the first steps of Adam take the sign of gradients that are hardly more than rounding
    np.testing.assert_allclose(forecast, model.fit(X, adjacency).predict(), rtol=1e-2)


def test_scorers_speak_in_the_units_of_the_data(X):
    pipeline = make_pipeline(StandardScaler().set_output(transform="pandas"), TinyForecaster(random_state=0))
    with pytest.warns(UserWarning, match="inverse_transform"):
        pipeline.fit(X)
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


# ---------------------------------------------------------------- habits that do not suit time series


@pytest.mark.parametrize("cv", [5, KFold(3, shuffle=True, random_state=0)])
@pytest.mark.parametrize("times", [True, False])
def test_folds_that_go_back_in_time_are_told(X, cv, times):
    with pytest.warns(UserWarning, match="ForecastSplit") as found:
        cross_val_score(LastValue(horizon=2), X if times else X.to_numpy(), cv=cv, error_score="raise")
    assert len(found) >= 2
    assert len({str(one.message) for one in found}) == 1  # so that Python shows it once


def test_a_search_with_folds_that_go_back_is_told(X):
    with pytest.warns(UserWarning, match="ForecastSplit"):
        GridSearchCV(LastValue(), {"horizon": [2, 3]}, cv=KFold(2), n_jobs=1).fit(X)


@pytest.mark.parametrize("rows", [slice(0, 60), slice(60, 100), slice(10, 150, 7)])
def test_rows_before_training_rows_are_told_without_a_search(X, rows):
    test = np.zeros(len(X), dtype=bool)
    test[rows] = True
    model = LastValue(horizon=2).fit(X[~test])
    with pytest.warns(UserWarning, match="ForecastSplit"):
        model.score(X[test])


def test_folds_that_go_forward_are_not_told(X):
    gaps = X.drop(X.index[[20, 21, 50]])
    model = LastValue(horizon=2).fit(gaps.iloc[:100])
    for scored in (gaps.iloc[:100], gaps.iloc[40:], gaps.iloc[100:], X.iloc[100:]):
        assert np.isfinite(model.score(scored))
    model.update(X.loc[X.index > gaps.index[99]])
    assert np.isfinite(model.score(X.iloc[110:]))
    for split in (TimeSeriesSplit(3), ForecastSplit(3), ForecastSplit(3, gap=2)):
        scores = cross_validate(
            LastValue(horizon=2), X, cv=split, return_train_score=True, error_score="raise"
        )
        assert np.isfinite(scores["train_score"]).all()


@pytest.mark.parametrize("scoring", ["neg_mean_absolute_error", "r2", ["r2", "neg_mean_squared_error"]])
def test_scorers_that_need_a_target_are_refused(X, scoring):
    split = ForecastSplit(2)
    with pytest.raises(ParameterError, match="forecast_scorer"):
        cross_validate(LastValue(), X, cv=split, scoring=scoring, error_score="raise")
    with pytest.raises(ValueError, match="forecast_scorer"):  # also where scikit-learn goes on after an error
        cross_validate(LastValue(), X, X, cv=split, scoring=scoring)
    search = GridSearchCV(
        make_pipeline(LastValue()), {"lastvalue__horizon": [2]}, cv=split, scoring=scoring, refit=False
    )
    with pytest.raises(ValueError, match="forecast_scorer"):
        search.fit(X)


def test_scorers_by_the_names_of_scikit_learn(X):
    model = LastValue(horizon=2).fit(X)
    for name, metric in {
        "neg_mean_absolute_error": "mae",
        "neg_root_mean_squared_error": "rmse",
        "r2": "r2",
    }.items():
        assert forecast_scorer(name)(model, X) == forecast_scorer(metric)(model, X)
    scoring = {name: forecast_scorer(name) for name in ("mae", "neg_mean_squared_error")}
    assert set(cross_validate(model, X, cv=ForecastSplit(2), scoring=scoring)) > {"test_mae"}


@pytest.mark.parametrize("y", ["X", "one column"])
def test_a_transformed_target_is_refused(X, y):
    model = TransformedTargetRegressor(LastValue(), func=np.log1p, inverse_func=np.expm1)
    with pytest.raises(DataError, match="learn from X alone"):
        model.fit(X, X if y == "X" else X.iloc[:, 0])


@pytest.mark.parametrize(
    "step",
    [StandardScaler(), MinMaxScaler(), RobustScaler(), PCA(2), FunctionTransformer(np.log1p, np.expm1)],
)
def test_a_pipeline_in_other_units_says_so(X, step):
    for before in ([step], [SimpleImputer(), step, FunctionTransformer()]):
        with pytest.warns(UserWarning, match=f"its step '{type(step).__name__.lower()}"):
            make_pipeline(*before, LastValue(horizon=2)).fit(X)


def test_a_pipeline_in_the_units_of_the_data_is_silent(X):
    pipeline = make_pipeline(
        SimpleImputer(), FunctionTransformer(np.abs), "passthrough", RidgeForecaster(input_length=4)
    )
    assert pipeline.fit(X).predict(X).shape == (12, 5)
    assert LastValue().fit(StandardScaler().fit_transform(X)).predict().shape == (12, 5)
