"""Weeks of history in patches: what lies before the look-back counts, as far as it is asked for and no further."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stmest import STM3Forecaster, STMambaForecaster, load
from stmest.exceptions import ModelFileError, ParameterError
from stmest.storage.tensor_file import read_tensor_file, write_tensor_file
from tests.forecasters.small import small

FORECASTERS = ["STM3Forecaster", "STMambaForecaster"]
SIZES = {"input_length": 4, "horizon": 2, "long_input_length": 16}  # three patches of four
CUT = 240

both = pytest.mark.parametrize("name", FORECASTERS)


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    index = pd.date_range("2024-01-01", periods=300, freq="h")
    values = np.sin(np.arange(300)[:, None] / 4 + np.arange(3)) + 0.1 * rng.normal(size=(300, 3))
    return pd.DataFrame(values, index=index, columns=list("abc"))


@pytest.fixture(scope="module")
def fitted(X):
    """Each with the network alone, so that nothing but the network looks back."""
    settings = {**SIZES, "linear_skip": False, "seasonal_profile": None}
    return {name: small(name, **settings).fit(X.iloc[:CUT]) for name in FORECASTERS}


@both
def test_the_context_grows(fitted, name):
    assert fitted[name].context_length_ == fitted[name].context_.n_times == 16
    assert fitted[name].network_.older.patch == 4


@both
def test_what_lies_within_counts_and_what_lies_before_does_not(X, fitted, name):
    model = fitted[name]
    recent = X.iloc[CUT - 30 : CUT]
    before = model.predict(recent)
    for row in range(len(recent)):
        changed = recent.copy()
        changed.iloc[row, 0] += 5
        same = np.array_equal(model.predict(changed), before)
        assert same == (row < len(recent) - 16), row


@both
@pytest.mark.parametrize("steps", [2, 7])
def test_no_forecast_sees_what_comes_after_its_origin(X, fitted, name, steps):
    test = X.iloc[CUT : CUT + 50]
    _, before = fitted[name].predict_windows(test, steps=steps)
    spoilt = test.copy()
    spoilt.iloc[20:] = 1e3
    _, after = fitted[name].predict_windows(spoilt, steps=steps)
    np.testing.assert_array_equal(before[:21], after[:21])
    assert not np.allclose(before[21:], after[21:])


@both
def test_beyond_the_horizon_forecasts_become_history(X, fitted, name):
    """Forecasting on from forecasts is forecasting anew from rows that end with them."""
    model, recent = fitted[name], X.iloc[CUT - 16 : CUT]
    expected = recent
    for _ in range(10):  # past the look-back and into the patches
        expected = pd.concat([expected, model.predict(expected)])
    np.testing.assert_allclose(model.predict(recent, steps=20), expected.iloc[16:], rtol=1e-4, atol=1e-5)


@both
def test_all_ways_to_a_forecast_agree(X, fitted, name, tmp_path):
    model = fitted[name]
    expected = model.predict()
    # the time steps that fit saw last complete a short look-back
    for recent in (X.iloc[:CUT], X.iloc[CUT - 16 : CUT], X.iloc[CUT - 4 : CUT]):
        np.testing.assert_allclose(model.predict(recent), expected, rtol=1e-5, atol=1e-6)
    _, windows = model.predict_windows(X.iloc[CUT:])
    np.testing.assert_allclose(windows[0], expected, rtol=1e-5, atol=1e-6)
    _, overlapping = model.predict_windows(X.iloc[CUT - 4 :])
    np.testing.assert_allclose(overlapping, windows, rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model", device="cpu")
    pd.testing.assert_frame_equal(again.predict(), expected)
    for ours, theirs in zip(again.predict_interval(), model.predict_interval(), strict=True):
        pd.testing.assert_frame_equal(ours, theirs)
    again.update(X.iloc[CUT : CUT + 30])
    np.testing.assert_allclose(again.predict(), windows[30], rtol=1e-5, atol=1e-6)
    assert again.context_.n_times == 16


@both
def test_after_a_gap_the_time_steps_between_count_as_missing(X, fitted, name):
    """The rows that fit saw are as far away as their dates say."""
    model = fitted[name]
    recent = X.iloc[CUT + 6 : CUT + 10]
    whole = X.iloc[CUT - 6 : CUT + 10].copy()
    whole.iloc[6:12] = np.nan
    np.testing.assert_allclose(model.predict(recent), model.predict(whole), rtol=1e-5, atol=1e-6)
    _, windows = model.predict_windows(X.iloc[CUT + 6 : CUT + 12])
    np.testing.assert_allclose(windows[0], model.predict(whole), rtol=1e-5, atol=1e-6)
    next_year = recent.set_axis(recent.index + pd.Timedelta(365, "D"))
    assert np.isfinite(model.predict(next_year).to_numpy()).all()


@both
def test_missing_values_and_a_short_context_are_no_hindrance(X, fitted, name):
    model = fitted[name]
    years_before = X.set_axis(X.index - pd.Timedelta(3650, "D"))  # what fit saw does not complete it
    short = model.predict(years_before.iloc[CUT - 4 : CUT])
    lost = years_before.iloc[CUT - 16 : CUT].copy()
    lost.iloc[:12] = np.nan
    np.testing.assert_allclose(model.predict(lost), short, rtol=1e-5, atol=1e-6)
    lost["b"] = np.nan
    assert np.isfinite(model.predict(lost).to_numpy()).all()
    gappy = X.iloc[:CUT].mask(np.random.default_rng(1).random((CUT, 3)) < 0.2)
    again = small(name, **SIZES).fit(gappy)
    assert np.isfinite(again.predict().to_numpy()).all()


@both
def test_trajectories_do_not_look_into_each_other(X, name):
    values = X.to_numpy()
    model = small(name, **SIZES, linear_skip=False).fit([values[:60], values[60:140], values[140:220]])
    alone = model.predict_windows(values[40:70])[1]
    together = model.predict_windows([values[:30], values[40:70]])[1]
    np.testing.assert_allclose(together[-len(alone) :], alone, rtol=1e-5, atol=1e-6)


@both
def test_with_linear_forecast_season_and_calendar(X, name):
    model = small(name, **SIZES, seasonal_profile=24, time_features=["time_of_day"])
    model.fit(X.iloc[:CUT])
    assert model.network_.older.lift_time is not None
    _, windows = model.predict_windows(X.iloc[CUT:])
    np.testing.assert_allclose(model.predict(), windows[0], rtol=1e-4, atol=1e-4)
    model.fit(X)  # and again
    assert model.context_.n_times == model.context_length_


def lagged(lag, n_rows, n_nodes=2, seed=0):
    """Each value is that of `lag` rows before, and a little noise: nothing nearer says what comes."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n_rows, n_nodes))
    for row in range(lag, n_rows):
        values[row] = 0.97 * values[row - lag] + 0.25 * values[row]
    return values


@both
def test_what_only_the_past_of_five_days_ago_says_is_learnt(name):
    """Days of six rows: the answer lies 30 rows before the target."""
    values = lagged(30, n_rows=1200)
    settings = {
        "input_length": 6, "horizon": 2, "linear_skip": False, "seasonal_profile": None, "max_epochs": 7,
        "learning_rate": 1e-2, "batch_size": 32, "head_width": 32, "random_state": 0,
    }  # fmt: skip

    def error(**more):
        model = small(name, **settings, **more).fit(values[:900])
        truth, forecast = model.predict_windows(values[900 - 36 :])
        return np.abs(truth - forecast).mean() / np.abs(truth).mean()

    assert error() > 0.95
    assert error(long_input_length=36) < 0.6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"long_input_length": 24}, "leaves 0 time steps before input_length=24.*Use long_input_length=48"),
        ({"long_input_length": 10}, "leaves -14 time steps"),
        ({"long_input_length": 100}, "leaves 76 .* patches of 24.*Use long_input_length=96 or 120"),
        ({"long_input_length": 30, "long_patch_length": 5}, "leaves 6 .*Use long_input_length=29 or 34"),
        ({"long_patch_length": 5}, "long_patch_length=5 needs a long_input_length"),
        ({"long_input_length": 48.0}, "long_input_length"),
        ({"node_dropout": 1.0}, "node_dropout"),
        ({"node_dropout": -0.1}, "node_dropout"),
    ],
)
@pytest.mark.parametrize("kind", [STM3Forecaster, STMambaForecaster])
def test_lengths_that_make_no_patches(kind, settings, message):
    with pytest.raises(ParameterError, match=message):
        kind(**settings).fit(np.zeros((200, 2)))


@both
def test_a_file_whose_lengths_differ_is_refused(fitted, name, tmp_path):
    path = tmp_path / "model"
    fitted[name].save(path)
    document, arrays = read_tensor_file(path)
    document["parameters"]["long_input_length"] = 12
    write_tensor_file(path, document, arrays)
    with pytest.raises(ModelFileError, match="long_input_length=16, but its parameter says 12"):
        load(path)
