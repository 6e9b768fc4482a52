"""The usual step of an index, and which cycles of the calendar it covers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stmest.data.calendar import calendar_cycles, choose_calendar, slots_per_day
from stmest.data.time_index import usual_step, wall_clock
from stmest.linear.seasonal_mean import supported_cycles


def _offices(hours):
    """Three weeks of hourly rows during some hours of the day."""
    days = pd.date_range("2024-01-01", periods=21)
    return pd.DatetimeIndex([day + pd.Timedelta(hour, "h") for day in days for hour in hours])


@pytest.mark.parametrize(
    ("index", "step"),
    [
        (pd.RangeIndex(0, 50, 5), 5),
        (pd.Index([1, 3, 5, 8, 11]), 2),
        (pd.Index([7]), None),
        (pd.date_range("2024-01-01", periods=3, freq="15min"), pd.Timedelta(15, "min")),
        (_offices([8, 9, 10, 16]), pd.Timedelta(1, "h")),
    ],
)
def test_usual_step_is_the_most_frequent_one_and_the_smallest_of_these(index, step):
    assert usual_step(index) == step


def test_the_wall_clock_goes_on_from_midnight_to_midnight():
    days = pd.date_range("2024-03-29", periods=4, freq="D", tz="Europe/Berlin")  # the third has 23 hours
    assert list(np.diff(wall_clock(days)) / np.timedelta64(1, "h")) == [24, 24, 24]
    assert wall_clock(pd.period_range("2024-01", periods=2, freq="M"))[1] == pd.Timestamp("2024-02-01")
    assert wall_clock(pd.RangeIndex(3)) is None
    assert wall_clock(None) is None


# Rows every hour of the morning, but most gaps are longer: median and mode of the steps differ
_IRREGULAR = pd.DatetimeIndex(
    [
        pd.Timestamp("2024-01-01") + pd.Timedelta(h, "h")
        for w in range(3)
        for h in w * 168 + np.array([0, 1, 2, 30, 59, 90])
    ]
)


def test_network_and_seasonal_mean_see_the_same_cycles_in_an_irregular_index():
    assert calendar_cycles(_IRREGULAR) == ("day", "week")
    assert choose_calendar(_IRREGULAR) == ("time_of_day", "day_of_week")
    assert supported_cycles(np.zeros((len(_IRREGULAR), 1, 1)), _IRREGULAR) == ["time_of_day", "time_of_week"]
    assert slots_per_day(_IRREGULAR, most=288) == 24
