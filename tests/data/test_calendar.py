"""Calendar channels repeat with their cycle and are chosen by what the index supports."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stmest.data.calendar import (
    CALENDAR_FEATURES,
    calendar_channels,
    calendar_features,
    choose_calendar,
    n_calendar_channels,
    slots_per_day,
)
from stmest.exceptions import ParameterError


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (None, ()),
        (pd.RangeIndex(1000), ()),
        (pd.date_range("2024", periods=24 * 3, freq="h"), ("time_of_day",)),
        (pd.date_range("2024", periods=24 * 15, freq="h"), ("time_of_day", "day_of_week")),
        (pd.date_range("2024", periods=800, freq="D"), ("day_of_week", "day_of_year")),
        (pd.period_range("2020-01", periods=40, freq="M"), ("day_of_year",)),
    ],
)
def test_auto_takes_what_the_index_supports(index, expected):
    assert choose_calendar(index) == expected


def test_channels_repeat_with_their_cycles():
    index = pd.date_range("2023-01-01", periods=24 * 400, freq="h")
    day, week, year = (calendar_features(index, [kind]) for kind in CALENDAR_FEATURES)
    np.testing.assert_allclose(day[:24], day[24:48], atol=1e-6)
    np.testing.assert_array_equal(week[:-168], week[168:])
    np.testing.assert_allclose(year[0], year[24 * 365], atol=0.01)
    assert len(np.unique(day[:24].round(5), axis=0)) == 24
    assert np.abs(year[0] - year[24 * 182]).max() > 0.5


def test_weekday_channels_are_one_hot():
    monday = pd.DatetimeIndex(["2024-01-01"])
    np.testing.assert_array_equal(calendar_features(monday, ["day_of_week"])[0], [1, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("kinds", [(), ("time_of_day",), ("day_of_week", "time_of_day"), CALENDAR_FEATURES])
def test_number_of_channels(kinds):
    features = calendar_features(pd.date_range("2024", periods=3, freq="h"), kinds)
    assert features.shape == (3, n_calendar_channels(kinds))
    assert features.dtype == np.float32


@pytest.mark.parametrize(
    "kinds", [("time_of_day", "day_of_week"), ("day_of_week", "day_of_year", "time_of_day")]
)
def test_channels_are_where_they_are_said_to_be(kinds):
    index = pd.date_range("2024-01-06 05:00", periods=50, freq="h")
    features, where = calendar_features(index, kinds), calendar_channels(kinds)
    for kind in kinds:
        np.testing.assert_array_equal(features[:, where[kind]], calendar_features(index, [kind]))
    day = features[:, where["time_of_day"]]
    angle = 2 * np.pi * index.hour.to_numpy() / 24
    np.testing.assert_allclose(day[:, [0, 3]], np.stack([np.sin(angle), np.cos(angle)], axis=1), atol=1e-6)


def test_hours_without_rows_have_slots_too_and_slots_have_a_shortest_length():
    day = pd.date_range("2024-01-01 06:00", "2024-01-01 23:50", freq="10min")
    index = day.append([day + pd.Timedelta(k, "D") for k in range(1, 5)])
    assert slots_per_day(index, most=288) == 144
    assert slots_per_day(index.to_period("10min"), most=288) == 144
    assert slots_per_day(pd.date_range("2024-01-01", periods=100, freq="1s"), most=288) == 288
    assert slots_per_day(pd.date_range("2024-01-01", periods=100, freq="D"), most=288) == 1
    assert slots_per_day(pd.RangeIndex(100), most=288) == 1
    assert slots_per_day(None, most=288) == 1


def test_errors_name_what_is_known():
    with pytest.raises(ParameterError, match=r"time_of_dy.*time_of_day"):
        calendar_features(pd.date_range("2024", periods=3), ["time_of_dy"])
    with pytest.raises(ParameterError, match="RangeIndex"):
        calendar_features(pd.RangeIndex(3), ["time_of_day"])
