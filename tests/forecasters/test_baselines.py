"""The baselines: exact on what they can represent, sound with missing values, and the known figures on ETTh1."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from stmest import LastValue, MeanProfile, RidgeForecaster, SeasonalNaive
from stmest.data.windows import forward_filled
from stmest.exceptions import DataError, ParameterError

ROWS_ARE_TIME_STEPS = {
    "check_methods_sample_order_invariance": "rows are time steps: their order is the data",
    "check_methods_subset_invariance": "rows are time steps: a forecast needs them together",
}
SMALL = [
    LastValue(horizon=1),
    SeasonalNaive(horizon=1, season=2),
    MeanProfile(horizon=1, season=2, n_seasons=2),
    RidgeForecaster(horizon=1, input_length=2),
]


@pytest.fixture
def gappy():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)).cumsum(0) + 10
    X[rng.random(X.shape) < 0.2] = np.nan
    return X


# ---------------------------------------------------------------- last value


def test_last_value_repeats_the_last_row():
    X = np.arange(12.0).reshape(6, 2)
    model = LastValue(horizon=3).fit(X)
    np.testing.assert_array_equal(model.predict(), [[10, 11]] * 3)
    np.testing.assert_array_equal(model.predict(X[:1]), [[0, 1]] * 3)
    assert model.context_length_ == 1
    assert model.n_parameters_ == 0


def test_last_value_looks_back_over_gaps():
    X = np.array([[1.0, 2.0, np.nan], [3.0, np.nan, np.nan], [np.nan, np.nan, np.nan]])
    X = np.vstack([np.full((30, 3), [7.0, 8.0, 9.0]), X])
    np.testing.assert_array_equal(LastValue(horizon=1).fit(X).predict(), [[3, 2, 9]])
    X[-20:, 2] = np.nan
    X[:-20, 2] = [4.0, 6.0] * 6 + [5.0]
    X[:, 0] = np.nan
    X[0, 0] = 5.0  # seen, but not within the look-back: the training mean
    X[:3, 1] = np.nan
    assert LastValue(horizon=1).fit(X).predict()[0].tolist() == [5, 2, 5]


# ---------------------------------------------------------------- seasons


def test_seasonal_naive_repeats_the_season():
    X = np.arange(20.0).reshape(10, 2)
    model = SeasonalNaive(horizon=5, season=3).fit(X)
    np.testing.assert_array_equal(model.predict()[:, 0], [14, 16, 18, 14, 16])
    assert model.context_length_ == 3


def test_seasonal_naive_falls_back_to_earlier_seasons_then_to_the_mean():
    X = np.tile(np.array([[1.0], [2.0], [3.0]]), (6, 1)) + np.repeat(np.arange(6.0), 3)[:, None] * 10
    X[-3] = np.nan  # one season missing at seasonal index 0
    X[[-2, -5, -8], 0] = np.nan  # all three at seasonal index 1
    model = SeasonalNaive(horizon=3, season=3).fit(X)
    assert model.context_length_ == 9
    np.testing.assert_allclose(model.predict()[:, 0], [41, np.nanmean(X), 53], rtol=1e-6)


def test_mean_profile_averages_what_was_observed():
    X = np.arange(12.0)[:, None]
    X[9] = np.nan
    model = MeanProfile(horizon=4, season=3, n_seasons=3).fit(X)
    np.testing.assert_allclose(model.predict()[:, 0], [4.5, 7, 8, 4.5])
    X[[3, 6]] = np.nan
    model = MeanProfile(horizon=1, season=3, n_seasons=3).fit(X)
    np.testing.assert_allclose(model.predict()[0], np.nanmean(X))


def test_a_cycle_is_forecast_without_error():
    t = np.arange(240)
    X = np.column_stack([np.sin(t * 2 * np.pi / 24), np.cos(t * 2 * np.pi / 24) * 5])
    for model in (SeasonalNaive(season=24), MeanProfile(season=24), RidgeForecaster(alpha=1e-6)):
        assert model.fit(X[:200]).score(X) > 0.9999


# ---------------------------------------------------------------- ridge


def direct_solution(X, input_length, horizon, alpha, nodes):
    """The same regression with the whole window matrix, written out; the last row is the drift."""
    scale, inputs, targets = X.std(0), [], []
    for node in nodes:
        for t in range(len(X) - input_length - horizon + 1):
            x, y = X[t : t + input_length, node], X[t + input_length : t + input_length + horizon, node]
            inputs.append(np.append((x - x[-1])[:-1] / scale[node], 1.0))
            targets.append((y - x[-1]) / scale[node])
    A, B = np.array(inputs), np.array(targets)
    return np.linalg.solve(A.T @ A + alpha * np.eye(input_length), A.T @ B)


@pytest.mark.parametrize("per_node", [False, True])
def test_ridge_solves_its_objective(per_node, monkeypatch):
    monkeypatch.setattr("stmest.linear.normal_equations._NUMBERS_AT_ONCE", 50)  # many small chunks
    X = np.random.default_rng(1).normal(size=(40, 3)).cumsum(0) * [1, 10, 100]
    model = RidgeForecaster(
        input_length=4, horizon=2, alpha=3.0, per_node=per_node, seasonal_profile=None
    ).fit(X)
    for group, nodes in enumerate([[0], [1], [2]] if per_node else [[0, 1, 2]]):
        expected = direct_solution(X, 4, 2, 3.0, nodes)
        of_group = model.ridge_.weights[0, group] if per_node else model.ridge_.weights[0]
        np.testing.assert_allclose(of_group, expected, atol=1e-9)
    assert model.n_parameters_ == (3 if per_node else 1) * 4 * 2
    last, scale = X[-1], X.std(0)
    centred = (X[-4:-1] - last) / scale
    weights = np.broadcast_to(model.ridge_.weights[0], (3, 4, 2))
    drift = np.einsum("tn,nth->hn", centred, weights[:, :-1]) + weights[:, -1].T
    forecast = last + scale * drift
    np.testing.assert_allclose(model.predict(), forecast, rtol=1e-4)


def test_ridge_with_a_huge_penalty_is_the_last_value():
    X = np.random.default_rng(2).normal(size=(80, 2)).cumsum(0) + 50
    ridge = RidgeForecaster(input_length=5, horizon=3, alpha=1e12).fit(X)
    np.testing.assert_allclose(ridge.predict(), LastValue(horizon=3).fit(X).predict(), atol=1e-4)


def test_ridge_does_not_depend_on_units():
    X = np.random.default_rng(3).normal(size=(80, 2)).cumsum(0)
    model = RidgeForecaster(input_length=5, horizon=3)
    expected = model.fit(X).predict()
    np.testing.assert_allclose(
        model.fit(X * [1000, 1] + [5, -7]).predict(), expected * [1000, 1] + [5, -7], rtol=1e-3
    )


def test_ridge_leaves_out_a_missing_target_for_its_step_only():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(50, 1)).cumsum(0)
    X[-3] = np.nan
    model = RidgeForecaster(input_length=4, horizon=3, alpha=2.0, seasonal_profile=None).fit(X)
    scale = np.nanstd(X)
    for step in range(3):
        A, B = [], []
        for t in range(50 - 7 + 1):
            x, y = forward_filled(X[t : t + 4, 0], 0, backward=True), X[t + 4 + step, 0]
            if not np.isnan(y):
                A.append(np.append((x - x[-1])[:3] / scale, 1.0))
                B.append((y - x[-1]) / scale)
        A, B = np.array(A), np.array(B)
        expected = np.linalg.solve(A.T @ A + 2 * np.eye(4), A.T @ B)
        np.testing.assert_allclose(model.ridge_.weights[0, :, step], expected, atol=1e-9)


def test_ridge_with_gaps_in_blocks_of_steps(gappy, monkeypatch):
    whole = RidgeForecaster(input_length=4, horizon=5).fit(gappy).ridge_
    monkeypatch.setattr("stmest.linear.normal_equations._NUMBERS_OF_GRAMS", 40)
    in_blocks = RidgeForecaster(input_length=4, horizon=5).fit(gappy).ridge_
    np.testing.assert_array_equal(in_blocks.weights, whole.weights)


def test_ridge_survives_alpha_zero_and_constant_or_dead_nodes():
    X = np.random.default_rng(5).normal(size=(60, 3)).cumsum(0)
    X[:, 1] = 4.0
    for alpha in (0.0, 1e-30):
        prediction = RidgeForecaster(input_length=6, horizon=2, alpha=alpha, per_node=True).fit(X).predict()
        assert np.isfinite(prediction).all()
        np.testing.assert_allclose(prediction[:, 1], 4.0)
    X[:, 1] = np.nan
    for per_node in (False, True):
        assert np.isfinite(
            RidgeForecaster(input_length=6, horizon=2, per_node=per_node).fit(X).predict()
        ).all()


def test_ridge_takes_a_memory_map(tmp_path):
    X = np.random.default_rng(6).normal(size=(200, 2)).cumsum(0)
    np.save(tmp_path / "x.npy", X)
    model = RidgeForecaster(input_length=6, horizon=2)
    expected = model.fit(X).ridge_.weights
    np.testing.assert_array_equal(
        model.fit(np.load(tmp_path / "x.npy", mmap_mode="r")).ridge_.weights, expected
    )


# ---------------------------------------------------------------- all of them


@pytest.mark.parametrize("model", SMALL)
def test_gaps_are_never_an_error(model, gappy):
    model = clone(model).set_params(horizon=3).fit(gappy)
    assert np.isfinite(model.predict()).all()
    y_true, y_pred = model.predict_windows(gappy)
    assert np.isfinite(y_pred).all()
    assert np.isnan(y_true).any()
    assert np.isfinite(model.score(gappy))
    blind = gappy.copy()
    blind[-30:] = np.nan
    assert np.isfinite(model.predict(blind)).all()


@pytest.mark.parametrize("model", SMALL)
def test_features_targets_frames_and_pickles(model):
    rng = np.random.default_rng(7)
    X = rng.normal(size=(40, 3, 2)).cumsum(0)
    model = clone(model)
    both = model.fit(X).predict()
    assert both.shape == (1, 3, 2)
    for feature in (0, 1):
        np.testing.assert_allclose(model.fit(X[:, :, feature]).predict(), both[..., feature], rtol=1e-5)
    frame = pd.DataFrame(X[:, :, 0], pd.date_range("2024", periods=40, freq="h"), list("abc"))
    out = model.fit(frame, np.ones((3, 3))).predict()
    assert list(out.columns) == list("abc")
    assert out.index[0] == pd.Timestamp("2024-01-02 16:00")
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(model)).predict(), out)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (SeasonalNaive(season=24), "n_samples = 10 rows; SeasonalNaive needs at least 24"),
        (MeanProfile(season=3, n_seasons=4), "needs at least 12"),
        (RidgeForecaster(input_length=8, horizon=3), "needs at least 11"),
    ],
)
def test_too_short(model, message):
    with pytest.raises(DataError, match=message):
        model.fit(np.zeros((10, 2)))


@pytest.mark.parametrize(
    "model",
    [
        LastValue(horizon=0),
        SeasonalNaive(season=0),
        MeanProfile(n_seasons=1.5),
        RidgeForecaster(alpha=-1),
        RidgeForecaster(per_node="yes"),
    ],
)
def test_bad_parameters(model):
    with pytest.raises(ParameterError):
        model.fit(np.zeros((300, 2)))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(SMALL, expected_failed_checks=lambda estimator: ROWS_ARE_TIME_STEPS)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# ---------------------------------------------------------------- known figures

# Mean squared error at horizon 96, 192, 336 and 720, and mean absolute error at 720, measured independently
# with numpy: ETTh1, z-scored on the training data, all windows of the test part.
ETTH1 = [
    (LastValue(), (1.294, 1.325, 1.330, 1.335), 0.755),
    (SeasonalNaive(season=24), (0.512, 0.581, 0.650, 0.655), 0.514),
    (SeasonalNaive(season=168), (0.657, 0.662, 0.683, 0.658), 0.521),
    (MeanProfile(season=24, n_seasons=14), (0.404, 0.423, 0.425, 0.424), 0.437),
    (RidgeForecaster(input_length=96, alpha=100, seasonal_profile=None), (0.383, 0.434, 0.476, 0.470), 0.462),
    pytest.param(
        RidgeForecaster(input_length=336, alpha=1000, seasonal_profile=None),
        (0.370, 0.403, 0.427, 0.433),
        0.450,
        marks=pytest.mark.exhaustive,
    ),
    pytest.param(
        RidgeForecaster(input_length=512, alpha=1000, seasonal_profile=None),
        (0.366, 0.400, 0.426, 0.438),
        0.454,
        marks=pytest.mark.exhaustive,
    ),
]


@pytest.mark.parametrize(("model", "squared", "absolute"), ETTH1)
def test_known_figures_on_etth1(model, squared, absolute, etth1):
    train, test = etth1[:8640], (11520, 14400)
    for horizon, expected in zip((96, 192, 336, 720), squared, strict=True):
        model = clone(model).set_params(horizon=horizon).fit(train)
        error = np.subtract(*model.predict_windows(etth1[test[0] - model.context_length_ : test[1]]))
        assert len(error) == 2880 - horizon + 1
        assert round(float(np.mean(error.astype(float) ** 2)), 3) == expected
    assert round(float(np.mean(np.abs(error))), 3) == absolute


@pytest.fixture(scope="module")
def etth1():
    """Rows of ETTh1 in standard deviations of the training part."""
    import os

    if "STMEST_DATA" not in os.environ:
        pytest.skip("STMEST_DATA is not set: it names the folder that holds ltsf/ETTh1.csv")
    from stmest.datasets.real import load_panel

    values = load_panel("ETTh1").frame().to_numpy(dtype=float)
    return (values - values[:8640].mean(0)) / values[:8640].std(0)


@pytest.mark.parametrize("baseline", [LastValue(horizon=2), SeasonalNaive(horizon=2, season=4)])
def test_who_learns_from_no_windows_makes_none(baseline, monkeypatch):
    monkeypatch.setattr("stmest.data.splits.window_starts", None)  # a call fails
    assert baseline.fit(np.ones((100, 3)))
    with pytest.raises(TypeError):
        RidgeForecaster(input_length=4, horizon=2).fit(np.ones((100, 3)))
