"""Errors against plain loops, and the scorer inside scikit-learn."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from sklearn.base import BaseEstimator
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from stmest import DataError, ForecastSplit, ParameterError, SeasonalNaive, forecast_scorer
from stmest.evaluation import horizon_errors, mae, mase, origin_errors, r2, rmse

numbers = st.floats(-1e3, 1e3, width=32)
shapes = array_shapes(min_dims=3, max_dims=4, max_side=4)


@st.composite
def forecasts(draw):
    """Truth with missing values, and forecasts of the same shape."""
    shape = draw(shapes)
    truth = draw(arrays(np.float64, shape, elements=st.one_of(numbers, st.just(float("nan")))))
    return truth, draw(arrays(np.float64, shape, elements=numbers))


def _loop(truth, forecast):
    """Observed pairs, one at a time, with their node."""
    for place in np.ndindex(truth.shape):
        if not math.isnan(truth[place]):
            yield place, truth[place], forecast[place]


def _same(found, wanted):
    return (math.isnan(found) and math.isnan(wanted)) or found == pytest.approx(wanted, rel=1e-9, abs=1e-9)


@given(forecasts())
@settings(deadline=None)
def test_mae_and_rmse_equal_a_loop_over_observed_targets(pair):
    errors = [t - f for _, t, f in _loop(*pair)]
    count = len(errors)
    assert _same(mae(*pair), sum(map(abs, errors)) / count if count else math.nan)
    assert _same(rmse(*pair), math.sqrt(sum(e * e for e in errors) / count) if count else math.nan)


@given(forecasts())
@settings(deadline=None)
def test_origin_errors_equal_the_mae_of_each_window(pair):
    found = origin_errors(*pair)
    assert len(found) == len(pair[0])
    assert all(_same(found[i], mae(pair[0][[i]], pair[1][[i]])) for i in range(len(found)))


def test_a_missing_forecast_cannot_hide_among_the_origins():
    assert origin_errors([[[1.0]], [[2.0]]], [[[math.nan]], [[2.0]]]).tolist() == [math.inf, 0.0]


@given(forecasts())
@settings(deadline=None)
def test_r2_equals_a_loop_over_nodes(pair):
    of_node: dict = {}
    for place, t, f in _loop(*pair):
        of_node.setdefault(place[2:], []).append((t, f))
    error = spread = 0.0
    for rows in of_node.values():
        mean = sum(t for t, _ in rows) / len(rows)
        deviation = sum((t - mean) ** 2 for t, _ in rows)
        if len({t for t, _ in rows}) > 1:
            error, spread = error + sum((t - f) ** 2 for t, f in rows), spread + deviation
    # Nearly constant nodes are at the mercy of rounding in either form.
    if spread == 0 or spread > 1e-6:
        assert _same(r2(*pair), 1 - error / spread if spread else math.nan)


@given(st.data(), forecasts(), st.integers(1, 3))
@settings(deadline=None)
def test_mase_equals_a_loop_over_nodes(data, pair, season):
    truth, forecast = pair
    train_shape = (data.draw(st.integers(season + 1, 8)), *truth.shape[2:])
    whole = st.one_of(st.integers(-9, 9).map(float), st.just(math.nan))
    train = data.draw(arrays(np.float64, train_shape, elements=whole))
    ratios = []
    for node in np.ndindex(truth.shape[2:]):
        steps = [abs(train[(t, *node)] - train[(t - season, *node)]) for t in range(season, len(train))]
        steps = [s for s in steps if not math.isnan(s)]
        errors = [abs(t - f) for place, t, f in _loop(truth, forecast) if place[2:] == node]
        if steps and sum(steps) > 0 and errors:
            ratios.append(sum(errors) / len(errors) / (sum(steps) / len(steps)))
    assert _same(mase(truth, forecast, train, season), sum(ratios) / len(ratios) if ratios else math.nan)


@given(forecasts())
@settings(deadline=None)
def test_errors_by_step_equal_those_of_each_step(pair):
    truth, forecast = pair
    by_step = horizon_errors(truth, forecast, "rmse")
    assert by_step.shape == (truth.shape[1],)
    for i, found in enumerate(by_step):
        assert _same(float(found), rmse(truth[:, i], forecast[:, i]))


def test_r2_is_that_of_scikit_learn_where_nothing_is_missing():
    rng = np.random.default_rng(0)
    truth, forecast = rng.normal(size=(2, 20, 3, 4)) * [1, 10, 100, 0]
    wanted = r2_score(truth.reshape(-1, 4), forecast.reshape(-1, 4), multioutput="variance_weighted")
    assert r2(truth, forecast) == pytest.approx(wanted)


@pytest.mark.parametrize("factor", [1e-300, 1e-170, 1e-9, 1e15])
def test_errors_have_the_unit_of_the_data(factor):
    """Also where squares are 0 in float64."""
    truth, forecast = np.random.default_rng(0).normal(size=(2, 20, 3, 2))
    scaled = truth * factor, forecast * factor
    assert rmse(*scaled) == pytest.approx(rmse(truth, forecast) * factor, rel=1e-12, abs=0)
    assert mae(*scaled) == pytest.approx(mae(truth, forecast) * factor, rel=1e-12, abs=0)
    assert r2(*scaled) == pytest.approx(r2(truth, forecast), rel=1e-12)


def test_a_level_changes_no_error():
    truth, forecast = np.round(np.random.default_rng(0).normal(size=(2, 20, 3, 2)) * 64) / 64
    for error in (mae, rmse, r2):
        assert error(truth + 1e12, forecast + 1e12) == pytest.approx(error(truth, forecast), rel=1e-4)
    constant = np.full((5, 2, 1), 123456789.1)
    assert math.isnan(r2(constant, constant))  # round-off is no variance


def test_pooled_rmse_is_not_the_mean_of_the_rmse_of_batches():
    truth, forecast = np.zeros((2, 1, 1)), np.array([[[0.0]], [[2.0]]])
    assert rmse(truth, forecast) == pytest.approx(math.sqrt(2))
    assert np.mean([rmse(t, f) for t, f in zip(truth, forecast, strict=True)]) == 1.0


def test_a_missing_forecast_of_an_observed_target_cannot_hide():
    truth, forecast = np.ones((2, 1, 1)), np.array([[[1.0]], [[np.nan]]])
    train = np.arange(4.0)[:, None]
    for value in (mae(truth, forecast), rmse(truth, forecast), r2([*truth, [[3.0]]], [*forecast, [[3.0]]])):
        assert math.isnan(value)
    assert math.isnan(mase(truth, forecast, train))


def test_float32_errors_are_summed_in_float64():
    truth = np.full((200_000, 1, 1), 0.1, dtype=np.float32)
    assert mae(truth, np.zeros_like(truth)) == pytest.approx(float(np.float32(0.1)), rel=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: mae(np.zeros(3), np.zeros(4)), DataError, "shape"),
        (lambda: horizon_errors(np.zeros((2, 3)), np.zeros((2, 3))), DataError, "n_windows, horizon"),
        (
            lambda: horizon_errors(np.zeros((2, 3, 1)), np.zeros((2, 3, 1)), "mape"),
            ParameterError,
            "mae, mse, rmse, r2",
        ),
        (lambda: mase(np.zeros((1, 1, 2)), np.zeros((1, 1, 2)), np.zeros((5, 3))), DataError, "y_train"),
        (
            lambda: mase(np.zeros((1, 1, 2)), np.zeros((1, 1, 2)), np.zeros((5, 2)), 5),
            ParameterError,
            "1 to 4",
        ),
        (
            lambda: mase(np.zeros((1, 1, 2)), np.zeros((1, 1, 2)), np.zeros((5, 2)), 1.5),
            ParameterError,
            "season=1.5",
        ),
        (lambda: forecast_scorer("neg_mae"), ParameterError, "'neg_mae'"),
    ],
)
def test_what_does_not_fit_is_told(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.fixture(scope="module")
def cycle():
    rng = np.random.default_rng(1)
    return (
        np.sin(np.arange(120) * np.pi / 6)[:, None] * [1.0, 50.0] + rng.normal(scale=0.1, size=(120, 2)) + 7
    )


@pytest.mark.filterwarnings("ignore:the forecasts of this pipeline")
@pytest.mark.parametrize("metric", ["mae", "rmse", "r2"])
def test_scores_of_a_pipeline_are_those_without_it_in_raw_units(cycle, metric):
    scorer = forecast_scorer(metric)
    alone = SeasonalNaive(horizon=3, season=12).fit(cycle)
    piped = make_pipeline(StandardScaler(), SeasonalNaive(horizon=3, season=12)).fit(cycle)
    assert scorer(piped, cycle) == pytest.approx(scorer(alone, cycle), rel=1e-6)
    truth, forecast = alone.predict_windows(cycle)
    wanted = {"mae": -mae(truth, forecast), "rmse": -rmse(truth, forecast), "r2": r2(truth, forecast)}
    assert scorer(alone, cycle) == pytest.approx(wanted[metric])


@pytest.mark.filterwarnings("ignore:the forecasts of this pipeline")
def test_scorer_in_a_search_over_scalers_picks_by_raw_error_and_can_be_pickled(cycle):
    search = GridSearchCV(
        make_pipeline(StandardScaler(), SeasonalNaive(horizon=3)),
        {"seasonalnaive__season": [5, 12]},
        cv=ForecastSplit(3, input_length=24),
        scoring=forecast_scorer("mae"),
    ).fit(cycle)
    assert search.best_params_ == {"seasonalnaive__season": 12}
    assert search.best_score_ < 0
    again = pickle.loads(pickle.dumps(search))
    assert again.score(cycle) == pytest.approx(forecast_scorer("mae")(search.best_estimator_, cycle))
    assert forecast_scorer("mae")(search, cycle) == pytest.approx(again.score(cycle))
    assert repr(forecast_scorer("mae")) == "forecast_scorer('mae')"


@pytest.mark.filterwarnings("ignore:the forecasts of this pipeline")
def test_scorer_says_when_a_step_cannot_be_turned_back(cycle):
    class OneWay(BaseEstimator):
        def fit(self, X, y=None):
            self.fitted_ = True
            return self

        def transform(self, X):
            return X

    one_way = make_pipeline(OneWay(), SeasonalNaive(horizon=3, season=12)).fit(cycle)
    with pytest.raises(ParameterError, match=r"OneWay.*inverse_transform"):
        forecast_scorer("mae")(one_way, cycle)
    there_and_back = make_pipeline(
        FunctionTransformer(np.log, np.exp), SeasonalNaive(horizon=3, season=12)
    ).fit(np.abs(cycle) + 1)
    assert forecast_scorer("mae")(there_and_back, np.abs(cycle) + 1) < 0
