"""Windows hold the right time steps, validation shares no target with training, missing values are forward-filled."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import TimeSeriesSplit

from stmest.data.forecast_split import ForecastSplit
from stmest.data.history import History
from stmest.data.splits import temporal_split, window_starts
from stmest.data.windows import Windows, forward_filled
from stmest.exceptions import ParameterError


def ramp(n_times=20, n_nodes=3, n_features=2):
    """Values that encode their own place: row + node / 10 + feature / 100."""
    t, n, f = np.ogrid[:n_times, :n_nodes, :n_features]
    return t + n / 10 + f / 100


def test_gather_returns_inputs_targets_and_calendar():
    values = ramp()
    calendar = np.arange(25, dtype=np.float32)[:, None]
    windows = Windows(values, 4, 3, np.arange(14), time=calendar, target=[1])
    batch = windows.gather([0, 5])
    np.testing.assert_allclose(batch.x, np.stack([values[0:4], values[5:9]]), rtol=1e-6)
    np.testing.assert_allclose(batch.y, np.stack([values[4:7, :, 1:], values[9:12, :, 1:]]), rtol=1e-6)
    np.testing.assert_array_equal(batch.time[1, :, 0], np.arange(5, 12))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_windows_are_as_precise_as_the_data(dtype):
    values = (ramp() + 123456789).astype(dtype)
    batch = Windows(values, 4, 3, [2]).gather([0])
    assert batch.x.dtype == batch.y.dtype == dtype
    np.testing.assert_array_equal(batch.x[0], values[2:6])


def test_windows_at_the_end_of_the_data_have_no_targets():
    batch = Windows(ramp(6), 4, 3, [2], with_targets=False).gather(slice(0, 1))
    assert batch.x.shape == (1, 4, 3, 2)
    assert batch.y.shape == (1, 0, 3, 1)


def test_older_time_steps_are_those_of_the_same_trajectory():
    values, calendar = ramp(), np.arange(1, 24, dtype=np.float32)[:, None]
    windows = Windows(values, 4, 3, [7, 10], time=calendar, n_older=5, bounds=np.array([0, 9, 20]))
    older = windows.gather([0, 1]).older
    np.testing.assert_array_equal(older.values[0], values[2:7])
    np.testing.assert_array_equal(older.values[1, 4:], values[9:10])
    assert np.isnan(older.values[1, :4]).all()  # the trajectory before
    np.testing.assert_array_equal(older.time[..., 0], [[3, 4, 5, 6, 7], [0, 0, 0, 0, 10]])
    first = Windows(values, 4, 3, [1], n_older=2).gather([0]).older
    np.testing.assert_array_equal(first.values[0, :, 0, 0], [np.nan, 0])
    assert first.time is None
    assert Windows(values, 4, 3, [1]).gather([0]).older is None


def test_hidden_nodes_lose_what_was_observed_before_the_origin():
    values = ramp()
    history = History((2,), [(None, 20)])
    windows = Windows(values, 4, 3, [8, 9], target=[1], history=history, n_older=3)
    before = windows.gather([0, 1])
    hidden = np.array([[False, True, False], [False, False, False]])
    after = before.hiding(hidden)
    for name in ("x", "older"):
        was, now = (getattr(batch, name) for batch in (before, after))
        was, now = (was.values, now.values) if name == "older" else (was, now)
        assert np.isnan(now[0, :, 1]).all()
        np.testing.assert_array_equal(now[0, :, [0, 2]], was[0, :, [0, 2]])
        np.testing.assert_array_equal(now[1], was[1])
    assert np.isnan(after.ahead[0, :, 1, 1]).all()  # what was looked up
    np.testing.assert_array_equal(after.ahead[..., 0], before.ahead[..., 0])  # the seasonal mean
    np.testing.assert_array_equal(after.y, before.y)


def test_values_are_not_copied_before_they_are_asked_for():
    values = ramp()
    assert Windows(values, 4, 3, np.arange(3)).values is values


def test_observed_needs_an_input_and_a_target():
    values = ramp(12, 2, 2)
    values[0:4] = np.nan  # window 0 has no input
    values[8:11, :, 1] = np.nan  # windows 4 and 5 have no target of feature 1
    windows = Windows(values, 4, 3, np.arange(6), target=[1])
    naive = []
    for start in windows.starts:
        inputs, targets = values[start : start + 4], values[start + 4 : start + 7, :, 1]
        naive.append(np.isfinite(inputs).any() and np.isfinite(targets).any())
    np.testing.assert_array_equal(windows.observed(), naive)
    assert list(windows.observed()) == [False, True, True, True, False, True]


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**20), share=st.floats(0, 1))
def test_missing_values_take_the_last_observation(seed, share):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3, 6, 2, 1)).astype(np.float32)
    x[rng.random(x.shape) < share] = np.nan
    filled, both_ways = forward_filled(x, 1), forward_filled(x, 1, backward=True)
    for b, n in np.ndindex(3, 2):
        series = pd.Series(x[b, :, n, 0])
        np.testing.assert_array_equal(filled[b, :, n, 0], series.ffill())
        np.testing.assert_array_equal(both_ways[b, :, n, 0], series.ffill().bfill())


@settings(deadline=None, max_examples=80)
@given(
    n_rows=st.integers(1, 60), length=st.integers(1, 8), horizon=st.integers(1, 6), fraction=st.floats(0, 0.9)
)
def test_training_and_validation_share_no_target(n_rows, length, horizon, fraction):
    train, validation, cut = temporal_split(n_rows, length, horizon, fraction)
    starts = window_starts(n_rows, length + horizon)
    assert len(starts) == max(0, n_rows - length - horizon + 1)
    if not len(validation):
        np.testing.assert_array_equal(train, starts)
        assert cut == n_rows
        return
    train_targets = {row for start in train for row in range(start + length, start + length + horizon)}
    validation_targets = {
        row for start in validation for row in range(start + length, start + length + horizon)
    }
    assert max(train_targets) < cut <= min(validation_targets)
    assert len(train) + len(validation) <= len(starts)
    assert len(starts) - len(train) - len(validation) <= horizon - 1


def test_forecast_split_carries_the_look_back():
    X = np.zeros((60, 2))
    ours = list(ForecastSplit(4, input_length=5, test_size=8).split(X))
    theirs = list(TimeSeriesSplit(4, test_size=8).split(X))
    for (train, test), (same_train, later) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(train, same_train)
        np.testing.assert_array_equal(test[5:], later)
        np.testing.assert_array_equal(test[:5], later[0] - np.arange(5, 0, -1))


def test_forecast_split_needs_room_for_the_look_back():
    with pytest.raises(ParameterError, match="input_length=30"):
        list(ForecastSplit(4, input_length=30).split(np.zeros((60, 1))))
