"""Regressors on lagged windows: what their table holds, what they can follow, and any estimator in their place."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from stmest import EnsembleForecaster, LastValue, RegressorForecaster, make_sensor_network
from stmest.exceptions import DataError, ModelFileError, ParameterError
from stmest.forecasters import regressor, window_table

from .common import expected_failures

TREES = HistGradientBoostingRegressor(max_iter=3, early_stopping=False)
WINDOW = {"input_length": 4, "horizon": 2}


class Recorder(DecisionTreeRegressor):
    """Keeps what it is fitted to."""

    def fit(self, X, y):
        self.table_, self.y_ = X, y
        return super().fit(X, y)


class Filled(Recorder):
    """Takes no missing values."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = False
        return tags


class Endless(DecisionTreeRegressor):
    """Predicts no finite number."""

    def predict(self, X):
        return np.full(len(X), np.inf)


@pytest.fixture(scope="module")
def data():
    return make_sensor_network(n_nodes=4, n_times=24 * 18, random_state=0)


@pytest.fixture(scope="module")
def X(data):
    return data.values


def recorded(values, adj=None, kind=Recorder, **parameters):
    """The fitted forecaster, and its table by the names of the columns."""
    model = RegressorForecaster(kind(random_state=0), **{**WINDOW, **parameters}).fit(values, adj=adj)
    return model, pd.DataFrame(model.estimators_[0].table_, columns=list(model.input_names_))


def row_of(table, window, step, node, n_nodes=3, horizon=2):
    return table.iloc[(window * horizon + step) * n_nodes + node]


# ---------------------------------------------------------------- the table


@pytest.fixture
def walk():
    return np.random.default_rng(0).normal(size=(60, 3)).cumsum(0)


def test_a_row_holds_the_look_back_of_its_node(walk):
    model, table = recorded(walk, seasonal_profile=None)
    scaled = (walk - walk.mean(0)) / walk.std(0)
    row = row_of(table, window=7, step=1, node=2)
    assert list(table) == ["node", "step", "last", "lag 4", "lag 3", "lag 2"]
    np.testing.assert_allclose(row, [2 / 3, 1, scaled[10, 2], *(scaled[7:10, 2] - scaled[10, 2])], rtol=1e-5)
    rest = scaled[12, 2] - model.persistence_[1, 0] * scaled[10, 2]
    assert model.estimators_[0].y_[(7 * 2 + 1) * 3 + 2] == pytest.approx(rest, rel=1e-4)


def test_neighbours_are_those_whose_edges_lead_to_the_node(walk):
    adjacency = np.array([[5, 0, 1], [0, 0, 3], [0, 0, 0]])  # 0 -> 2 and 1 -> 2
    holey = walk.copy()
    holey[20:, 0] = np.nan
    _, table = recorded(holey, adjacency, seasonal_profile=None)
    scaled = (holey - np.nanmean(holey, 0)) / np.nanstd(holey, 0)
    assert list(table)[-4:] == [f"neighbours lag {lag}" for lag in (4, 3, 2, 1)]
    both = row_of(table, 7, 0, 2)
    assert both["neighbours lag 1"] == pytest.approx((scaled[10, 0] + 3 * scaled[10, 1]) / 4, rel=1e-4)
    assert row_of(table, 7, 0, 1).filter(like="neighbours").isna().all()
    unseen = table[(table["node"] == np.float32(2 / 3))].iloc[-1]  # node 0 is missing in all of its look-back
    assert unseen["neighbours lag 1"] == pytest.approx(scaled[57, 1], rel=1e-4)
    model, table = recorded(walk, adjacency, neighbours=False, seasonal_profile=None)
    assert not any("neighbours" in name for name in model.input_names_)


def test_what_is_known_of_the_target_step(X):
    model, table = recorded(X, seasonal_profile="time_of_day", time_features=["time_of_day"])
    season = ["season", "day before", "week before"]
    assert list(model.input_names_[-3:]) == season
    assert "time_of_day 6" in model.input_names_
    assert table["week before"].isna().sum() == pytest.approx(4 * 2 * (7 * 24 - 5), rel=0.1)
    assert table["day before"].std() == pytest.approx(1, abs=0.3)
    noon = table[table["step"] == 1].groupby("node")["season"].nunique()
    assert (noon <= 6 * 24).all()  # of each of six blocks one cycle


def test_seasonal_means_have_not_seen_what_is_learnt():
    noise = np.random.default_rng(0).normal(size=(7 * 24, 2))
    index = pd.date_range("2024-01-01", periods=len(noise), freq="h")
    model, _ = recorded(pd.DataFrame(noise, index), seasonal_profile="time_of_day", time_features=None)
    # a mean over seven days that holds the value itself would leave a variance of 6 / 7, and here it is 1 + 1 / 6
    assert np.var(model.estimators_[0].y_) > 1.05


@pytest.mark.parametrize(("kind", "missing"), [(Recorder, True), (Filled, False)])
def test_missing_values_stay_where_the_estimator_takes_them(walk, kind, missing):
    walk[np.random.default_rng(1).random(walk.shape) < 0.3] = np.nan
    model, table = recorded(walk, kind=kind)
    assert table.isna().any(axis=None) == missing
    assert np.isfinite(model.predict()).all()
    assert np.isfinite(model.predict(np.full((4, 3), np.nan))).all()
    assert np.isfinite(model.estimators_[0].y_).all()


def test_the_number_of_rows_is_bounded_and_they_are_even(X, monkeypatch):
    monkeypatch.setattr(regressor, "_MOST_ROWS", 600)
    monkeypatch.setattr(window_table, "_ROWS_PER_WINDOW", 2)
    model, table = recorded(X, seasonal_profile=None)
    assert 580 <= len(table) <= 600
    assert table["node"].value_counts().min() > 100
    assert table["step"].value_counts().min() > 250
    assert model.estimators_[0].n_features_in_ == len(model.input_names_)
    monkeypatch.setattr(regressor, "_MOST_NUMBERS", 100 * len(model.input_names_))
    assert 90 <= len(recorded(X, seasonal_profile=None)[1]) <= 100


def test_rows_do_not_depend_on_how_many_windows_are_read_at_once(X, data, monkeypatch):
    once, whole = recorded(X, data.graph)
    forecast = once.predict_windows(X)[1]
    monkeypatch.setattr(window_table, "_NUMBERS_AT_ONCE", 500)
    monkeypatch.setattr(regressor, "_WINDOWS_AT_ONCE", 7)
    often, parts = recorded(X, data.graph)
    pd.testing.assert_frame_equal(parts, whole)
    np.testing.assert_array_equal(often.predict_windows(X)[1], forecast)


def test_several_features_have_a_regressor_each(walk):
    values = np.stack([walk, 10 * walk**2, walk[::-1]], axis=-1)
    model, table = recorded(values, target=[0, 2], seasonal_profile=12)
    assert len(model.estimators_) == 2
    assert model.predict().shape == (2, 3, 2)
    assert model.persistence_.shape == (2, 2)
    assert [name for name in table if name.startswith("last")] == [f"last of feature {i}" for i in range(3)]
    assert list(table)[-4:-2] == ["season of feature 0", "season of feature 2"]
    with pytest.raises(DataError, match=r"none of the .* values to learn from is observed"):
        recorded(np.where(np.arange(3) == 2, np.nan, values))


# ---------------------------------------------------------------- forecasts


def test_forecasts_follow_a_level_that_was_never_seen():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2)).cumsum(0)
    model = RegressorForecaster(TREES, **WINDOW, random_state=0).fit(X)
    assert (model.persistence_ > 0.9).all()
    high = X[-4:] + 50
    np.testing.assert_allclose(model.predict(high), np.tile(high[-1], (2, 1)), atol=8)
    noise = RegressorForecaster(TREES, **WINDOW, random_state=0).fit(rng.normal(size=(400, 2)))
    assert (noise.persistence_ < 0.2).all()


def test_it_learns_what_the_last_value_does_not_know(data, X):
    model = RegressorForecaster(
        HistGradientBoostingRegressor(max_iter=30), input_length=12, horizon=6, random_state=0
    )
    past, future = X[: 24 * 14], X[24 * 14 :]
    assert model.fit(past, data.graph).score(future) > LastValue(horizon=6).fit(past).score(future) + 0.3


def test_the_validation_part_is_learnt_in_the_end_and_intervals_come_from_before(X):
    model = RegressorForecaster(TREES, **WINDOW, random_state=0).fit(X)
    before = model.calibration_.predictor.rule
    assert before is not model.predictor_.rule
    assert not np.array_equal(before.table.scaler.center, model.scaler_.center)
    lower, upper = model.predict_interval()
    assert (lower < model.predict()).all(axis=None)
    assert (upper > model.predict()).all(axis=None)


def test_all_methods_and_steps_beyond_the_horizon(data, X):
    past, later = X[:-30], X[-30:]
    model = RegressorForecaster(TREES, **WINDOW, random_state=0).fit(past, data.graph)
    assert model.predict(steps=5).shape == (5, 4)
    assert model.context_length_ == 7 * 24
    assert np.isfinite(model.score(later))
    pd.testing.assert_frame_equal(model.predict(X), model.update(later).predict())


# ---------------------------------------------------------------- estimators


@pytest.mark.parametrize(
    "estimator",
    [
        None,
        RandomForestRegressor(n_estimators=2, max_depth=3),
        make_pipeline(StandardScaler(), LinearRegression()),
        GridSearchCV(LinearRegression(), {"fit_intercept": [True, False]}, cv=2),
    ],
    ids=["default", "forest", "pipeline", "search"],
)
def test_any_regressor(estimator, data, X):
    X = X[:100]
    model = RegressorForecaster(estimator, **WINDOW, random_state=0).fit(X, data.graph)
    assert np.isfinite(model.predict()).all(axis=None)
    assert estimator is None or not hasattr(estimator, "n_features_in_")
    same = pickle.loads(pickle.dumps(model))
    pd.testing.assert_frame_equal(same.predict(), model.predict(), check_exact=True)


def test_nodes_are_categories_where_there_is_room(X):
    def fitted(**parameters):
        trees = HistGradientBoostingRegressor(max_iter=1, **parameters)
        model = RegressorForecaster(trees, **WINDOW).fit(X)
        return model.estimators_[0].is_categorical_, model.predictor_.rule.table.numbers_nodes

    categories, numbered = fitted()
    assert categories.tolist() == [True] + [False] * (len(categories) - 1)
    assert numbered
    assert fitted(max_bins=3) == (None, False)
    assert fitted(categorical_features=None) == (None, True)


def test_the_seed_reaches_the_estimator_and_its_parts(X):
    def fitted(seed, own=None):
        tree = DecisionTreeRegressor(max_features=2, random_state=own)
        model = RegressorForecaster(make_pipeline(StandardScaler(), tree), **WINDOW, random_state=seed)
        return model.fit(X).predict().to_numpy()

    np.testing.assert_array_equal(fitted(0, own=1), fitted(0, own=2))
    assert not np.array_equal(fitted(0), fitted(1))
    np.testing.assert_array_equal(fitted(None, own=1), fitted(None, own=1))
    assert not np.array_equal(fitted(None, own=1), fitted(None, own=2))


def test_one_thread_or_two_give_equal_bits(X):
    forecasts = []
    for number in (1, 2):
        with threadpool_limits(number):
            forecasts.append(RegressorForecaster(TREES, **WINDOW, random_state=0).fit(X).predict())
    pd.testing.assert_frame_equal(*forecasts, check_exact=True)


def test_nested_parameters_in_clones_and_searches(X):
    model = RegressorForecaster(TREES, **WINDOW, random_state=0)
    assert model.get_params()["estimator__max_iter"] == 3
    other = clone(model).set_params(estimator__max_iter=1)
    assert (other.estimator.max_iter, TREES.max_iter) == (1, 3)
    grid = {"estimator__max_iter": [1, 2], "neighbours": [True]}
    search = GridSearchCV(model, grid, cv=TimeSeriesSplit(2), error_score="raise").fit(X)
    assert search.best_estimator_.estimators_[0].n_iter_ == search.best_params_["estimator__max_iter"]
    with pytest.raises(ParameterError, match="estimator__max_iter cannot be set, as estimator is None"):
        RegressorForecaster().set_params(estimator__max_iter=1)
    with pytest.raises(TypeError, match="takes its other parameters by name only, got 1 without a name"):
        RegressorForecaster(TREES, 4)
    with pytest.raises(TypeError, match="no parameter 'horizn'; did you mean 'horizon'"):
        RegressorForecaster(horizn=3)
    both = RegressorForecaster().set_params(estimator=clone(TREES), estimator__max_iter=2)
    assert both.estimator.max_iter == 2


def test_what_is_no_regressor_is_refused(X):
    with pytest.raises(ParameterError, match="'estimator' parameter of RegressorForecaster must be"):
        RegressorForecaster(StandardScaler(), **WINDOW).fit(X)
    model = RegressorForecaster(Endless(), **WINDOW).fit(X)
    with pytest.raises(DataError, match="forecast of node 's0' is no finite number"):
        model.predict()


def test_model_files_do_not_hold_it(X, tmp_path):
    model = RegressorForecaster(TREES, **WINDOW, random_state=0).fit(X)
    ensemble = EnsembleForecaster([("trees", model), ("last", LastValue(horizon=2))]).fit(X)
    assert ensemble.n_parameters_ is None
    for unsaved in (model, ensemble):
        with pytest.raises(ModelFileError, match=r"RegressorForecaster cannot be saved.*pickle\.dump"):
            unsaved.save(tmp_path / "model")
        pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(unsaved)).predict(), unsaved.predict())
    assert list(tmp_path.iterdir()) == []


@parametrize_with_checks(
    [RegressorForecaster(DecisionTreeRegressor(), horizon=1, input_length=2, random_state=0)],
    expected_failed_checks=expected_failures,
)
def test_common_checks(estimator, check):
    check(estimator)
