"""The frequency of an index, which times are missing and come next, and which cycles of the calendar it covers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stmest.data.calendar import calendar_cycles, choose_calendar, slots_per_day
from stmest.data.time_frequency import breaks, frequency, positions, usual_step, wall_clock
from stmest.data.time_index import follows, future_index, rows_are_missing, whole_index
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


# ---------------------------------------------------------------- frequency


def _holed(index, *missing):
    return (
        pd.DatetimeIndex(index.delete(list(missing)), freq=None)
        if hasattr(index, "tz")
        else index.delete(list(missing))
    )


def _jittered(index, seconds):
    beside = np.random.default_rng(0).integers(-seconds, seconds + 1, len(index)).astype("m8[s]")
    return pd.DatetimeIndex(index.to_numpy() + beside)


# the whole index, and its name or step
REGULAR = {
    "minutes": (pd.date_range("2024-01-01", periods=60, freq="5min"), pd.Timedelta(5, "min")),
    "hours in a zone": (
        pd.date_range("2024-03-30", periods=60, freq="h", tz="Europe/Berlin"),
        pd.Timedelta(1, "h"),
    ),
    "days": (pd.date_range("2024-01-01", periods=60), "D"),
    "days in a zone": (pd.date_range("2024-03-01", periods=60, tz="Europe/Berlin"), "D"),
    "five days": (pd.date_range("2024-01-01", periods=60, freq="5D"), "5D"),
    "business days": (pd.date_range("2024-01-01", periods=60, freq="B"), "B"),
    "business days at noon": (pd.date_range("2024-01-01 12:00", periods=60, freq="B"), "B"),
    "shop without Sundays": (
        pd.bdate_range("2024-01-01", periods=60, freq="C", weekmask="Mon Tue Wed Thu Fri Sat"),
        "days of Mon Tue Wed Thu Fri Sat",
    ),
    "weekends on Friday": (
        pd.bdate_range("2024-01-01", periods=60, freq="C", weekmask="Mon Tue Wed Thu Sun"),
        "days of Mon Tue Wed Thu Sun",
    ),
    "Sundays": (pd.date_range("2024-01-01", periods=60, freq="W"), "W-SUN"),
    "Mondays in a zone": (
        pd.date_range("2024-01-01", periods=60, freq="W-MON", tz="America/New_York"),
        "W-MON",
    ),
    "months": (pd.date_range("2015-01-01", periods=60, freq="MS"), "MS"),
    "ends of months": (pd.date_range("2015-01-31", periods=60, freq="ME"), "ME"),
    "middles of months": (
        pd.date_range("2015-01-01", periods=60, freq="MS") + pd.Timedelta(14, "D"),
        "1 months",
    ),
    "quarters": (pd.date_range("2015-01-01", periods=60, freq="QS"), "QS-OCT"),
    "years": (pd.date_range("1950-01-01", periods=60, freq="YS"), "YS-JAN"),
    "third Fridays": (pd.date_range("2015-01-01", periods=60, freq="WOM-3FRI"), "WOM-3FRI"),
    "periods": (pd.period_range("2015-01", periods=60, freq="M"), "M"),
    "steps": (pd.RangeIndex(0, 300, 5), 5),
    "fractions": (pd.Index(np.arange(60) * 0.25), 0.25),
}


@pytest.mark.parametrize("case", REGULAR)
@pytest.mark.parametrize("missing", [(), (20,), (20, 21, 40), (57,)])
def test_the_frequency_is_found_where_rows_are_missing_and_dates_what_comes_next(case, missing):
    whole, freq = REGULAR[case]
    index = _holed(whole[:58], *(place for place in missing if place < 57))
    found = frequency(index)
    if len(index) < 58:
        assert found == freq
    for n_last in (1, 2, 30):
        assert list(future_index(index[-n_last:], 2, found)) == list(whole[58:])
    places = positions(index, found)
    assert places.tolist() == [place for place in range(58) if place == 57 or place not in missing]
    assert list(whole_index(index, found, places)) == list(whole[:58])
    assert rows_are_missing(index, places) == (len(index) < 58)


@pytest.mark.parametrize(("step", "seconds"), [("5min", 20), ("1h", 300), ("30s", 2), ("10min", 60)])
def test_jittered_stamps_have_the_step_that_they_mean(step, seconds):
    index = _jittered(pd.date_range("2024-01-01", periods=300, freq=step), seconds)
    assert frequency(index) == pd.Timedelta(step)
    assert positions(index, frequency(index)).tolist() == list(range(300))
    assert frequency(index.delete([40, 41])) == pd.Timedelta(step)
    assert usual_step(index) == pd.Timedelta(step)
    assert slots_per_day(index, most=10**6) == pd.Timedelta(1, "D") / pd.Timedelta(step)


def test_a_jittered_step_that_no_clock_keeps():
    index = _jittered(pd.date_range("2024-01-01", periods=2000, freq="73s"), 5)
    assert abs(frequency(index) - pd.Timedelta(73, "s")) < pd.Timedelta(0.1, "s")


_OFFICE = _offices(range(8, 18))
_MONTH = pd.date_range("2024-01-01", periods=24 * 30, freq="h")
_QUARTER = pd.date_range("2024-01-01", periods=90)
_SPRING = pd.date_range("2024-01-01", periods=24 * 120, freq="h")
_RANDOM = np.random.default_rng(0)
OPEN = {
    "business hours": _OFFICE[_OFFICE.dayofweek < 5],
    "nights": _offices(range(6, 22)),
    "an hour at night": _offices([hour for hour in range(24) if hour != 3]),
    "weekends": _MONTH[_MONTH.dayofweek < 5],
    "daylight": _SPRING[np.abs(_SPRING.hour - 12) <= 4 + _SPRING.dayofyear / 60],
    "most are missing": _MONTH[_RANDOM.random(720) < 0.3],
    "events": pd.DatetimeIndex(np.sort(_RANDOM.integers(0, 10**6, 200)).astype("M8[s]")).unique(),
}


@pytest.mark.parametrize("case", OPEN)
def test_rows_that_are_missing_by_rule_are_not_filled(case):
    index = pd.DatetimeIndex(OPEN[case], freq=None)
    places = positions(index, frequency(index))
    assert places is None or not rows_are_missing(index, places)


def test_a_few_rows_missing_at_random_are_filled():
    index = pd.date_range("2024-01-01", periods=24 * 30, freq="h")[
        np.random.default_rng(0).random(720) < 0.95
    ]
    places = positions(index, frequency(index))
    assert rows_are_missing(index, places)
    assert len(whole_index(index, frequency(index), places)) == places[-1] + 1


def test_breaks_count_what_is_no_step_of_the_calendar():
    for case, (whole, _) in REGULAR.items():
        assert breaks(whole) == 0, case
        assert breaks(_holed(whole, 20, 21, 40)) == 2, case


# ---------------------------------------------------------------- what continues what


def test_rows_continue_within_half_a_step():
    hours = pd.date_range("2024-01-01", periods=5, freq="h")
    for minutes, continues in {-29: True, 0: True, 29: True, 30: False, 45: False, -45: False}.items():
        assert follows(hours, hours[-1:] + pd.Timedelta(60 + minutes, "min")) is continues
    assert follows(pd.RangeIndex(5), pd.Index([5, 6]))
    assert follows(pd.Index([0, 5, 10]), pd.RangeIndex(15, 30, 5))
    assert not follows(pd.RangeIndex(5), pd.Index([6, 7]))
    friday = pd.DatetimeIndex(["2024-01-05"])
    assert follows(friday, pd.DatetimeIndex(["2024-01-08"]), "B")
    assert not follows(friday, pd.DatetimeIndex(["2024-01-06"]), "B")
    assert not follows(hours, hours.to_period("h") + 5)


def test_offsets_whose_name_does_not_say_all():
    holidays = pd.bdate_range("2024-01-01", periods=60, freq="C", holidays=["2024-02-01"])
    assert frequency(holidays) == "B"
    shop = pd.date_range(
        "2024-01-01 08:00", periods=60, freq=pd.offsets.BusinessHour(start="08:00", end="12:00")
    )
    assert frequency(shop) == pd.Timedelta(1, "h")


def test_names_of_an_index_come_along():
    for index in (
        pd.RangeIndex(3, name="t"),
        pd.period_range("2024", periods=3, freq="Y", name="t"),
        pd.Index([1, 2], name="t"),
    ):
        assert future_index(index, 2).name == "t"


@pytest.mark.parametrize("freq", ["SMS-15", "SMS-10", "SME-15", "LWOM-FRI", "WOM-3TUE"])
@pytest.mark.parametrize("gone", [[], [20]])
def test_two_days_of_a_month_and_its_last_week(freq, gone):
    index = pd.DatetimeIndex(list(pd.date_range("2019-01-01", periods=63, freq=freq)))
    assert frequency(index[:60].delete(gone)) == freq
    assert list(future_index(index[:60].delete(gone), 3, freq)) == list(index[60:])


@pytest.mark.parametrize(
    "late", [np.arange(300) % 5, np.arange(300) % 2, np.random.default_rng(0).integers(0, 9, 300)]
)
@pytest.mark.parametrize("step", ["15min", "1h", "5min"])
def test_stamps_that_are_a_little_late(late, step):
    index = pd.date_range("2024-01-01", periods=300, freq=step) + pd.to_timedelta(late, "s")
    for given in (index, index.delete([7, 8, 100])):
        assert frequency(pd.DatetimeIndex(given)) == pd.Timedelta(step)
