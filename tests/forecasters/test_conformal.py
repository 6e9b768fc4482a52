"""Prediction intervals of every forecaster: coverage, containers, which rows they are calibrated on."""

from __future__ import annotations

import os
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest

from stmest import LastValue, MeanProfile, RidgeForecaster, SeasonalNaive, load, load_panel
from stmest.exceptions import DataError, ParameterError

from .tiny import TinyForecaster

FORECASTERS = [
    TinyForecaster(input_length=6, horizon=3, max_epochs=3, random_state=0),
    RidgeForecaster(input_length=6, horizon=3),
    LastValue(horizon=3),
    SeasonalNaive(horizon=3, season=4),
    MeanProfile(horizon=3, season=4, n_seasons=2),
]


@pytest.fixture
def frame():
    """Autoregressive series of three nodes with spreads 1, 2 and 4."""
    rng = np.random.default_rng(0)
    values = np.zeros((1500, 3))
    for t in range(1, len(values)):
        values[t] = 0.8 * values[t - 1] + rng.normal(size=3)
    index = pd.date_range("2024-01-01", periods=len(values), freq="h")
    return pd.DataFrame(values * [1, 2, 4], index=index, columns=list("abc"))


@pytest.mark.parametrize("forecaster", FORECASTERS, ids=lambda f: type(f).__name__)
@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_intervals_hold_the_promised_share(forecaster, coverage, frame):
    model = forecaster.fit(frame.iloc[:1000])
    held = []
    for origin in range(1000, 1490, 10):
        lower, upper = model.predict_interval(frame.iloc[:origin], coverage=coverage)
        truth = frame.iloc[origin : origin + 3]
        held.append((truth >= lower) & (truth <= upper))
    assert np.mean(held) == pytest.approx(coverage, abs=0.07)


def test_intervals_come_as_forecasts_do_and_lie_around_them(frame):
    model = FORECASTERS[0].fit(frame)
    lower, upper = model.predict_interval()
    pd.testing.assert_frame_equal((lower + upper) / 2, model.predict())
    assert (lower < upper).all(axis=None)
    inner_lower, inner_upper = model.predict_interval(coverage=0.5)
    assert ((inner_lower > lower) & (inner_upper < upper)).all(axis=None)
    width = (upper - lower).to_numpy()
    assert (np.diff(width, axis=1) > 0).all()  # the noisier the node, the wider
    as_arrays = model.predict_interval(frame.to_numpy()[-6:]) if not model.time_features_ else None
    assert as_arrays is None or isinstance(as_arrays[0], np.ndarray)


def test_several_targets_have_several_intervals(frame):
    X = np.stack([frame.to_numpy(), -3 * frame.to_numpy()], axis=2)
    lower, upper = RidgeForecaster(input_length=6, horizon=3).fit(X).predict_interval()
    assert lower.shape == (3, 3, 2)
    np.testing.assert_allclose((upper - lower)[..., 1], 3 * (upper - lower)[..., 0], rtol=1e-3)


def test_a_look_back_of_larger_scale_widens_them(frame):
    model = RidgeForecaster(input_length=6, horizon=3).fit(frame)
    small, large = (model.predict_interval(frame.iloc[-6:] * factor) for factor in (0.5, 2.0))
    assert ((large[1] - large[0]) > 1.5 * (small[1] - small[0])).all(axis=None)


def test_networks_are_calibrated_on_the_validation_part(frame):
    model = TinyForecaster(input_length=6, horizon=3, validation_fraction=0.2, random_state=0).fit(frame)
    assert list(model.calibration_.rows.index) == list(frame.index[1200 - 6 :])
    assert not model.calibration_.learnt_from
    # the linear forecast, which learns from all time steps in the end, is calibrated as it was before
    before = model.calibration_.predictor
    assert not np.array_equal(before.rule.linear.weights, model.linear_.weights)
    assert before.rule.network is model.network_
    plain = TinyForecaster(linear_skip=False, random_state=0).fit(frame)
    assert plain.calibration_.predictor is plain.predictor_


def test_ridge_is_calibrated_without_the_last_time_steps(frame):
    model = RidgeForecaster(input_length=6, horizon=3, seasonal_profile=None).fit(frame)
    cut = 1500 - round(1500 / 8)
    assert list(model.calibration_.rows.index) == list(frame.index[cut - 6 :])
    before = RidgeForecaster(input_length=6, horizon=3, alpha=model.ridge_.alpha, seasonal_profile=None).fit(
        frame.iloc[:cut]
    )
    np.testing.assert_allclose(model.calibration_.predictor.rule.linear.weights, before.ridge_.weights)
    assert not np.allclose(model.ridge_.weights, before.ridge_.weights)


def test_fitting_again_is_calibrated_as_the_first_time(frame):
    model = RidgeForecaster(input_length=6, horizon=3).fit(frame)
    first = model.predict_interval()
    for a, b in zip(first, model.fit(frame).predict_interval(), strict=True):
        pd.testing.assert_frame_equal(a, b)


def test_seasonal_means_are_calibrated_without_the_last_time_steps_too(frame):
    season = 20 * np.sin(np.arange(1500) * 2 * np.pi / 24)[:, None]
    model = RidgeForecaster(input_length=6, horizon=3, seasonal_profile=None).fit(frame[:1490])
    noise = _width(model.update(frame[1490:]))
    for X in (frame + season, (frame + season).to_numpy()):  # also where no index gives the seasonal index
        model = RidgeForecaster(input_length=6, horizon=3).fit(X[:1490])
        assert model.profile_ is not None
        assert model.calibration_.predictor.season is not model.profile_
        assert _width(model.update(X[1490:])) == pytest.approx(noise, rel=0.1)


def _width(model):
    lower, upper = model.predict_interval()
    return float(np.mean(np.asarray(upper) - np.asarray(lower)))


def test_without_a_validation_part_a_warning_says_so(frame):
    model = TinyForecaster(input_length=6, horizon=3, patience=None, random_state=0).fit(frame)
    with pytest.warns(UserWarning, match="learnt from and are too narrow"):
        model.predict_interval()


def test_update_moves_the_rows_that_count(frame):
    model = RidgeForecaster(input_length=6, horizon=3).fit(frame.iloc[:1000])
    calm = model.predict_interval()
    wild = frame.iloc[1000:1300] * 5
    model.update(wild)
    assert list(model.calibration_.rows.index) == list(wild.index[-model.calibration_.rows.n_times :])
    loud = model.predict_interval()
    assert ((loud[1] - loud[0]).to_numpy() > 2 * (calm[1] - calm[0]).to_numpy()).all()


def test_training_on_keeps_rows_that_were_not_learnt_from(frame):
    model = TinyForecaster(input_length=6, horizon=3, random_state=0).fit(frame.iloc[:1000])
    rows, before = model.calibration_.rows, model.predict_interval(frame.iloc[:1000])
    model.set_params(warm_start=True, learning_rate=0.1).fit(frame.iloc[1000:1010])
    assert model.calibration_.rows is rows
    after = model.predict_interval(frame.iloc[:1000])
    assert not np.allclose(before[1] - before[0], after[1] - after[0])  # the weights are others


def test_pickles_and_predicting_changes_nothing(frame):
    model = FORECASTERS[1].fit(frame)
    fresh = pickle.loads(pickle.dumps(model))
    before = {name: id(value) for name, value in vars(model).items()}
    lower, upper = model.predict_interval()
    assert {name: id(value) for name, value in vars(model).items()} == before
    for a, b in zip((lower, upper), fresh.predict_interval(), strict=True):
        pd.testing.assert_frame_equal(a, b)


def test_model_files_keep_them(frame, tmp_path):
    model = RidgeForecaster(input_length=6, horizon=3).fit(frame)
    expected = model.predict_interval()
    model.save(tmp_path / "ridge.safetensors")
    for a, b in zip(expected, load(tmp_path / "ridge.safetensors").predict_interval(), strict=True):
        pd.testing.assert_frame_equal(a, b)


def test_trajectories_are_calibrated_each_by_itself(frame):
    parts = [frame.to_numpy()[first : first + 100] for first in range(0, 1500, 100)]
    model = RidgeForecaster(input_length=6, horizon=3, seasonal_profile=None).fit(parts)
    bounds = model.calibration_.bounds
    starts = model.calibration_.origins(3)
    assert (np.searchsorted(bounds, starts, "right") == np.searchsorted(bounds, starts + 8, "right")).all()
    lower, upper = model.predict_interval(parts[:2])
    assert [end.shape for end in lower] == [(3, 3), (3, 3)]
    one_lower, one_upper = model.predict_interval(parts[1])
    np.testing.assert_allclose(lower[1], one_lower)
    np.testing.assert_allclose(upper[1], one_upper)


def test_missing_values_are_left_out(frame):
    holes = frame.mask(np.random.default_rng(1).random(frame.shape) < 0.3)
    lower, upper = RidgeForecaster(input_length=6, horizon=3).fit(holes).predict_interval()
    assert np.isfinite(lower).all(axis=None)
    assert np.isfinite(upper).all(axis=None)


@pytest.mark.parametrize("coverage", [0, 1, 1.5, -0.1, "0.9", None])
def test_impossible_coverages_are_refused(coverage, frame):
    with pytest.raises(ParameterError, match="between 0 and 1"):
        LastValue(horizon=3).fit(frame).predict_interval(coverage=coverage)


def test_too_short_a_series_is_an_error_that_says_what_to_do():
    model = MeanProfile(horizon=3, season=4, n_seasons=2).fit(np.arange(16.0).reshape(8, 2))
    with pytest.raises(DataError, match="give fit more rows"):
        model.predict_interval()


def test_steps_beyond_the_horizon_have_widths_of_their_own(frame):
    model = RidgeForecaster(input_length=6, horizon=3).fit(frame)
    widths = model.calibration_.half_widths(model.context_, 7, 0.8)[0]
    assert widths.shape == (7, 3, 1)
    assert (widths[6] > widths[0]).all()


def test_steps_without_an_observed_error_grow_like_a_random_walk():
    X = np.random.default_rng(0).normal(size=(40, 2))
    model = RidgeForecaster(input_length=3, horizon=2).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few rows
        widths = model.calibration_.half_widths(model.context_, 50, 0.5)[0]
    n_calibrated = (5 + 3 - 3) // 2  # five rows after the look-back
    np.testing.assert_allclose(widths[49] / widths[n_calibrated - 1], np.sqrt(50 / n_calibrated), rtol=1e-6)


@pytest.mark.skipif("STMEST_DATA" not in os.environ, reason="needs the folder of real data")
@pytest.mark.parametrize(("name", "horizon"), [("nyc_taxi_69zones_60min", 12), ("molene_brittany_temp", 6)])
def test_coverage_on_held_out_real_data(name, horizon):
    panel = load_panel(name)
    X = panel.frame(panel.channels[0])
    X = X[X.index.year == 2019] if "taxi" in name else X
    cut, stride = int(0.8 * len(X)), 29 if "taxi" in name else 1
    model = RidgeForecaster(horizon=horizon).fit(X.iloc[:cut])
    for coverage in (0.5, 0.8, 0.9, 0.95):
        held = []
        for origin in range(cut, len(X) - horizon + 1, stride):
            lower, upper = model.predict_interval(X.iloc[origin - 24 : origin], coverage)
            truth = X.iloc[origin : origin + horizon]
            held.append(((truth >= lower) & (truth <= upper)).to_numpy().mean())
        assert np.mean(held) == pytest.approx(coverage, abs=0.03)
