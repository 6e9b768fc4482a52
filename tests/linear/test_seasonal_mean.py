"""Seasonal profiles: the right phase for every kind of time, what was never seen, and lazy subtraction."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stmest.data.time_index import future_index
from stmest.exceptions import DataError
from stmest.linear.seasonal_mean import Residuals, SeasonalProfile, detect_period, supported_cycles


def hours(n, **kwargs):
    return pd.date_range("2024-01-01 05:00", periods=n, freq="h", **kwargs)


@pytest.mark.parametrize(
    ("cycle", "phase"),
    [("time_of_day", lambda t: t.hour), ("time_of_week", lambda t: t.dayofweek * 24 + t.hour)],
)
def test_the_mean_of_each_phase(cycle, phase):
    index = hours(24 * 21)
    rng = np.random.default_rng(0)
    values = rng.normal(size=(len(index), 2, 1))
    profile = SeasonalProfile(cycle).fit(values, index)
    expected = pd.DataFrame(values[..., 0]).groupby(np.asarray(phase(index))).mean().to_numpy()
    np.testing.assert_allclose(profile.table[..., 0], expected)
    np.testing.assert_array_equal(profile.seasonal_index(index, len(index)), phase(index))


def test_day_of_year_is_smoothed_and_covers_leap_days():
    index = pd.date_range("2020-01-01", periods=3 * 366, freq="D")
    values = np.sin(np.asarray(index.dayofyear) / 365.25 * 2 * np.pi)[:, None, None]
    profile = SeasonalProfile("day_of_year").fit(values, index)
    assert profile.table.shape == (366, 1, 1)
    left = np.asarray(Residuals(values, profile.seasonal_index(index, len(index)), profile))
    assert np.abs(left).max() < 0.02


@pytest.mark.parametrize("tz", [None, "Europe/Paris"])
def test_days_of_23_and_25_hours(tz):
    index = pd.date_range("2024-03-20", "2024-11-05", freq="h", tz=tz)
    positions = (
        SeasonalProfile("time_of_day")
        .fit(np.zeros((len(index), 1, 1)), index)
        .seasonal_index(index, len(index))
    )
    np.testing.assert_array_equal(positions, index.hour)


def test_periods_and_irregular_days():
    months = pd.period_range("2020-01", periods=48, freq="M")
    values = np.arange(48.0)[:, None, None] % 12
    profile = SeasonalProfile(12).fit(values, months)
    np.testing.assert_allclose(np.asarray(Residuals(values, profile.seasonal_index(months, 48), profile)), 0)
    opening = [t for t in pd.date_range("2024-01-01", periods=6 * 24 * 14, freq="10min") if t.hour >= 6]
    metro = pd.DatetimeIndex(opening)
    by_clock = SeasonalProfile("time_of_day").fit(np.zeros((len(metro), 1, 1)), metro)
    np.testing.assert_array_equal(
        by_clock.seasonal_index(metro, len(metro)), metro.hour * 6 + metro.minute // 10
    )


def test_a_period_in_rows_counts_on():
    values = np.tile([1.0, 5.0, 3.0], 10)[:, None, None]
    profile = SeasonalProfile(3).fit(values, None)
    np.testing.assert_allclose(profile.table[:, 0, 0], [1, 5, 3])
    assert profile.seasonal_index(None, 4, first=2).tolist() == [2, 0, 1, 2]
    numbered = pd.RangeIndex(30, 90, 2)
    profile = SeasonalProfile(3).fit(values, numbered)
    np.testing.assert_array_equal(
        profile.seasonal_index(future_index(numbered, 3), 3),
        profile.seasonal_index(numbered, len(numbered))[:3],
    )


def test_rows_without_time_are_placed_where_they_fit():
    rng = np.random.default_rng(1)
    cycle = rng.normal(size=(24, 3, 1))
    profile = SeasonalProfile(24).fit(np.tile(cycle, (5, 1, 1)), None)
    rows = np.roll(cycle, -7, axis=0)[:10] + 0.1 * rng.normal(size=(10, 3, 1))
    rows[2] = np.nan
    assert profile.matched_index(rows) == 7
    assert profile.matched_index(np.full((4, 3, 1), np.nan)) == 0


def test_positions_and_nodes_that_were_never_seen():
    values = np.tile(np.arange(4.0), 5)[:, None, None] * np.ones((1, 3, 1))
    values[2::4, 1] = np.nan
    values[:, 2] = np.nan
    profile = SeasonalProfile(4).fit(values, None)
    np.testing.assert_allclose(profile.table[:, 0, 0], [0, 1, 2, 3])
    np.testing.assert_allclose(profile.table[:, 1, 0], [0, 1, 4 / 3, 3])
    np.testing.assert_allclose(profile.table[:, 2, 0], (profile.table[:, 0, 0] + profile.table[:, 1, 0]) / 2)
    assert (SeasonalProfile(4).fit(values[:, 2:], None).table == 0).all()


def test_dates_are_needed_for_the_calendar():
    with pytest.raises(DataError, match="needs dates"):
        SeasonalProfile("time_of_day").fit(np.zeros((50, 1, 1)), None)


@pytest.mark.parametrize(
    "key",
    [
        5, slice(3, 9), Ellipsis, (Ellipsis, 0), (slice(None), 1), (slice(2, 8), slice(None), 0),
        np.array([1, 4]), np.array([[1, 2], [4, 5]]), (np.array([1, 4]), 1),
    ],
    ids=str,
)  # fmt: skip
def test_residuals_are_indexed_like_the_differences(key):
    values = np.random.default_rng(2).normal(size=(30, 3, 2))
    profile = SeasonalProfile(7).fit(values, None)
    positions = profile.seasonal_index(None, 34)
    residuals = Residuals(values, positions, profile)
    whole = values - profile.table[positions[:30]]
    np.testing.assert_allclose(np.asarray(residuals[key]), whole[key])
    np.testing.assert_allclose(np.asarray(residuals[4:][2:]), whole[6:])


@pytest.mark.parametrize("period", [7, 24, 168])
def test_the_period_of_a_plain_array(period):
    rng = np.random.default_rng(period)
    cycle = rng.normal(size=(period, 4, 1)).cumsum(0)
    cycle -= np.linspace(0, 1, period)[:, None, None] * (cycle[-1:] - cycle[:1])
    values = np.tile(cycle, (6, 1, 1)) + 0.3 * rng.normal(size=(6 * period, 4, 1))
    values[rng.random(values.shape) < 0.1] = np.nan
    values[:, 3] = 2.0
    assert detect_period(values) == period
    assert supported_cycles(values, None) == [period]


@pytest.mark.parametrize(("level", "factor"), [(1e12, 1.0), (0.0, 1e-300), (0.0, 1e-170), (0.0, 1e15)])
def test_period_and_place_in_it_at_any_level_and_scale(level, factor):
    rng = np.random.default_rng(0)
    cycle = rng.integers(0, 99, size=(24, 3, 1)) / 8
    values = np.tile(cycle, (6, 1, 1)) + rng.integers(0, 9, size=(144, 3, 1)) / 8
    values[rng.random(values.shape) < 0.1] = np.nan
    values = values * factor + level
    assert detect_period(values) == 24
    profile = SeasonalProfile(24).fit(values, None)
    assert profile.matched_index(values[7:50]) == 7
    left = (profile.table - level) / factor - cycle
    np.testing.assert_allclose(left, np.broadcast_to(left.mean(0), left.shape), atol=1.0)


def test_a_mean_of_equal_values_is_that_value():
    values = np.broadcast_to([0.1, 2.0**53 - 1, -123456789.1], (50, 3))[..., None].copy()
    values[::7, 0] = np.nan
    for cycle in (3, 24):
        profile = SeasonalProfile(cycle).fit(values, None)
        assert (profile.table == values[1]).all()
        assert (profile.deviation == 0).all()


def test_what_has_no_period():
    rng = np.random.default_rng(3)
    for values in (
        rng.normal(size=(300, 2, 1)),
        rng.normal(size=(300, 2, 1)).cumsum(0),
        np.ones((300, 2, 1)),
    ):
        assert detect_period(values) is None
    assert detect_period(np.arange(6.0)[:, None, None]) is None


def test_cycles_that_the_rows_cover_twice():
    def cycles(index):
        return supported_cycles(np.zeros((len(index), 1, 1)), index)

    assert cycles(hours(40)) == []
    assert cycles(hours(24 * 4)) == ["time_of_day"]
    assert cycles(hours(24 * 15)) == ["time_of_day", "time_of_week"]
    assert cycles(pd.date_range("2020", periods=900, freq="D")) == ["time_of_week", "day_of_year"]
    assert cycles(pd.period_range("2000-01", periods=60, freq="M")) == ["day_of_year"]
