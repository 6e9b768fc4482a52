"""Values of earlier days and weeks: the right rows, and none that is not known yet."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stmest.data.history import History, choose_history, history_length

HOUR, DAY = pd.Timedelta(1, "h"), pd.Timedelta(1, "D")


def hours(n, start="2024-01-01", **kwargs):
    return pd.date_range(start, periods=n, freq="h", **kwargs)


def expected_rows(times, target, origin, lag, looks):
    """By trying all rows."""
    wanted, found = times[target] - lag, []
    while wanted >= times[origin]:
        wanted -= lag
    for _ in range(looks):
        same = np.flatnonzero(times == wanted)
        found.append(int(same[0]) if len(same) else -1)
        wanted -= lag
        if found[-1] == -1:  # the way back leads over every row
            return found + [-1] * (looks - len(found))
    return found


@settings(deadline=None, max_examples=40)
@given(
    dropped=st.sets(st.integers(0, 899), max_size=40),
    origin=st.integers(1, 840),
    horizon=st.integers(1, 60),
)
def test_rows_are_those_of_the_same_time_before_the_origin(dropped, origin, horizon):
    times = hours(900).delete(sorted(dropped))
    origin = min(origin, len(times) - horizon)
    history = History(("day", "week", "four_weeks"), [(times, len(times))])
    targets = np.arange(origin, origin + horizon)[None]
    for kind, rows in zip(history.kinds, history.rows(targets, np.array([origin])), strict=True):
        assert (rows < origin).all()
        lag, looks = (DAY, 1) if kind == "day" else (7 * DAY, 1 if kind == "week" else 4)
        for target, found in zip(targets[0], rows[0], strict=True):
            row = history._earlier[lag][target]
            if row == -1 or row >= origin:
                continue  # a missing row on the way is tested below
            assert list(found) == expected_rows(times, target, origin, lag, looks)


def test_a_horizon_longer_than_the_lag_goes_further_back():
    history = History(("day",), [(hours(200), 200)])
    (rows,) = history.rows(np.arange(100, 160)[None], np.array([100]))
    np.testing.assert_array_equal(rows[0, :, 0], [*range(76, 100), *range(76, 100), *range(76, 88)])


def test_what_is_missing_is_nan_and_means_are_of_what_is_there():
    values = np.arange(168 * 5, dtype=float)[:, None, None]
    values[168 * 2] = np.nan
    history = History(("week", "four_weeks"), [(hours(len(values)), len(values))])
    at = np.array([[168 * 4, 168 * 1 - 1]])
    found = history.look_up(values, at, np.array([168 * 4]), [0])[0, :, 0]
    np.testing.assert_allclose(found[0], [168 * 3, np.mean([168 * 3, 168, 0])])
    assert np.isnan(found[1]).all()


def test_the_clock_on_the_wall_counts():
    times = hours(24 * 6, "2024-03-29", tz="Europe/Berlin")  # clocks go forward on the 31st
    history = History(("day",), [(times, len(times))])
    origin = int(np.flatnonzero(times == pd.Timestamp("2024-04-01 08:00", tz="Europe/Berlin"))[0])
    (rows,) = history.rows(np.array([[origin]]), np.array([origin]))
    assert times[rows[0, 0, 0]] == pd.Timestamp("2024-03-31 08:00", tz="Europe/Berlin")
    # 02:30 did not exist on the 31st
    half = pd.date_range("2024-03-29", periods=48 * 6, freq="30min", tz="Europe/Berlin")
    at = int(np.flatnonzero(half == pd.Timestamp("2024-04-01 02:30", tz="Europe/Berlin"))[0])
    (rows,) = History(("day",), [(half, len(half))]).rows(np.array([[at]]), np.array([at]))
    assert rows[0, 0, 0] == -1


@pytest.mark.parametrize("offset", [-20, 20])
def test_a_time_within_half_a_step_counts(offset):
    times = hours(24 * 20) + pd.to_timedelta(np.arange(24 * 20) % 2 * offset, "min")
    (rows,) = History(("day",), [(times, len(times))]).rows(np.array([[241]]), np.array([241]))
    assert rows[0, 0, 0] == 217


def test_nights_without_rows_do_not_shift_the_days():
    times = hours(24 * 10)
    times = times[times.hour >= 6]
    (rows,) = History(("day",), [(times, len(times))]).rows(np.array([[100]]), np.array([100]))
    assert times[rows[0, 0, 0]] == times[100] - DAY


def test_trajectories_do_not_look_into_each_other():
    history = History((5,), [(None, 8), (None, 9)])
    (rows,) = history.rows(np.array([[6, 9, 14]]), np.array([20]))
    np.testing.assert_array_equal(rows[0, :, 0], [1, -1, 9])


@pytest.mark.parametrize(
    ("index", "period", "kinds"),
    [
        (hours(24 * 3), None, ("day",)),
        (hours(24 * 21), None, ("day", "week")),
        (hours(24 * 70), None, ("day", "week", "four_weeks")),
        (pd.date_range("2020-01-01", periods=100, freq="D"), None, ("week", "four_weeks")),
        (pd.period_range("2020-01-01", periods=24 * 30, freq="h"), None, ("day", "week")),
        (pd.date_range("2020-01-01", periods=60, freq="MS"), None, ()),
        (pd.RangeIndex(500), 12, (12,)),
        (None, None, ()),
        (None, "time_of_day", ()),
    ],
)
def test_what_is_looked_up(index, period, kinds):
    assert choose_history(index, period) == kinds


def test_length_of_the_history():
    index = hours(24 * 70)
    assert history_length((), index, 12) == 0
    assert history_length(("day",), index, 24) == 24
    assert history_length(("day",), index, 25) == 48
    assert history_length(("day", "week", "four_weeks"), index, 12) == 4 * 168
    assert history_length((12,), None, 30) == 36
