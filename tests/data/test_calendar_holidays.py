"""Holidays as calendar channels: the dates, the days around them, whatever the index; and what is refused."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stmest.data.calendar import (
    calendar_channels,
    calendar_features,
    n_calendar_channels,
    n_event_channels,
    wanted_calendar,
)
from stmest.exceptions import MissingDependencyError, ParameterError

pytest.importorskip("holidays")

HOURS = pd.date_range("2024-01-01", periods=24 * 21, freq="h")


def _days(kind, first, last):
    """The days from `first` to `last` that are holidays, before one, after one."""
    index = pd.date_range(first, last)
    features = calendar_features(index, [kind])
    return [[str(day.date()) for day in index[channel > 0]] for channel in features.T]


@pytest.mark.parametrize(
    ("kind", "first", "last", "holidays"),
    [
        ("holidays:US", "2024-07-01", "2024-07-10", ["2024-07-04"]),
        ("holidays:US", "2025-12-10", "2025-12-30", ["2025-12-25"]),
        ("holidays:US", "2024-11-20", "2024-12-10", ["2024-11-28"]),  # the fourth Thursday
        (
            "holidays:US",
            "2026-07-01",
            "2026-07-06",
            ["2026-07-03", "2026-07-04"],
        ),  # of a Saturday: observed too
        ("holidays:DE", "2024-12-20", "2024-12-29", ["2024-12-25", "2024-12-26"]),
        ("holidays:DE", "2024-05-25", "2024-06-05", []),
        ("holidays:DE-BY", "2024-05-25", "2024-06-05", ["2024-05-30"]),  # Corpus Christi
        ("holidays:DE-BE", "2024-05-25", "2024-06-05", []),
    ],
)
def test_dates_that_are_known(kind, first, last, holidays):
    assert _days(kind, first, last)[0] == holidays


def test_the_days_before_and_after():
    assert _days("holidays:DE", "2024-12-20", "2024-12-29") == [
        ["2024-12-25", "2024-12-26"],
        ["2024-12-24", "2024-12-25"],
        ["2024-12-26", "2024-12-27"],
    ]


def test_a_holiday_beyond_the_ends_of_the_index_counts_too():
    eve = calendar_features(pd.DatetimeIndex(["2023-12-31"]), ["holidays:DE"])
    assert eve.tolist() == [[0, 1, 0]]
    after = calendar_features(pd.DatetimeIndex(["2024-01-02 17:00"]), ["holidays:DE"])
    assert after.tolist() == [[0, 0, 1]]


@given(
    first=st.datetimes(pd.Timestamp("1990-01-01"), pd.Timestamp("2035-01-01")),
    minutes=st.sampled_from([7, 60, 1440]),
    n=st.integers(1, 400),
    cut=st.integers(0, 400),
    kind=st.sampled_from(["holidays:US", "holidays:DE-BY", "holidays:JP", "holidays:CN", "holidays:SA"]),
)
def test_channels_are_a_function_of_the_date(first, minutes, n, cut, kind):
    """Whatever other times there are: those of a forecast are those of training."""
    index = pd.date_range(first, periods=n, freq=f"{minutes}min")
    all_at_once = calendar_features(index, [kind])
    parts = [calendar_features(part, [kind]) for part in (index[:cut], index[cut:])]
    np.testing.assert_array_equal(np.concatenate(parts), all_at_once)
    np.testing.assert_array_equal(calendar_features(index[::-1], [kind]), all_at_once[::-1])
    np.testing.assert_array_equal(calendar_features(index.normalize(), [kind]), all_at_once)
    assert set(np.unique(all_at_once)) <= {0.0, 1.0}
    day, before, _ = all_at_once.T
    if minutes == 1440:
        np.testing.assert_array_equal(before[:-1], day[1:])


def test_the_date_is_the_local_one():
    kind = ["holidays:US"]
    utc = pd.date_range("2024-07-03", periods=72, freq="h", tz="UTC")
    local = utc.tz_convert("America/Los_Angeles")
    assert calendar_features(utc, kind)[:, 0].nonzero()[0].tolist() == list(range(24, 48))
    assert calendar_features(local, kind)[:, 0].nonzero()[0].tolist() == list(range(31, 55))


@pytest.mark.parametrize("freq", ["h", "15min", "D"])
def test_periods_count_as_their_start(freq):
    times = pd.date_range("2024-12-20", periods=200, freq=freq)
    kind = ["holidays:DE-BY"]
    np.testing.assert_array_equal(
        calendar_features(times.to_period(freq), kind), calendar_features(times, kind)
    )


def test_channels_beside_others():
    kinds = ("time_of_day", "day_of_week", "holidays:US", "holidays:DE-BY")
    assert n_calendar_channels(kinds) == 6 + 7 + 3 + 3
    assert n_event_channels(kinds) == 6
    assert n_event_channels(kinds[:2]) == 0
    features, where = calendar_features(HOURS, kinds), calendar_channels(kinds)
    for kind in kinds:
        np.testing.assert_array_equal(features[:, where[kind]], calendar_features(HOURS, [kind]))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (["auto"], ("time_of_day", "day_of_week")),
        (["auto", "holidays:US"], ("time_of_day", "day_of_week", "holidays:US")),
        (
            ["holidays:US", "day_of_year", "auto"],
            ("day_of_year", "time_of_day", "day_of_week", "holidays:US"),
        ),
        (["day_of_week", "auto", "day_of_week"], ("day_of_week", "time_of_day")),
        (("holidays:DE", "holidays:DE-BY"), ("holidays:DE", "holidays:DE-BY")),
        ([], ()),
    ],
)
def test_what_is_wanted(wanted, expected):
    assert wanted_calendar(wanted, HOURS) == expected
    assert wanted_calendar(wanted, HOURS.to_period("h")) == expected


@pytest.mark.parametrize("index", [None, pd.RangeIndex(100)])
def test_without_dates(index):
    assert wanted_calendar(["auto"], index) == ()
    with pytest.raises(ParameterError, match=r"need dates.*DatetimeIndex"):
        wanted_calendar(["auto", "holidays:US"], index)


@pytest.mark.parametrize("freq", ["D", "B", "8h"])
def test_holidays_of_days(freq):
    index = pd.date_range("2024", periods=50, freq=freq)
    assert wanted_calendar(["holidays:US"], index) == ("holidays:US",)


@pytest.mark.parametrize(
    "index",
    [
        pd.date_range("2024", periods=50, freq="W"),
        pd.date_range("2024", periods=50, freq="36h"),
        pd.period_range("2024-01", periods=50, freq="M"),
    ],
)
def test_a_holiday_of_more_than_a_day_is_refused(index):
    with pytest.raises(ParameterError, match=r"'holidays:US'.*a holiday is a day.*days.*apart"):
        wanted_calendar(["day_of_year", "holidays:US"], index)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("holiday:US", "'holiday:US'; known are.*'day_of_year'.*'holidays:DE-BY'"),
        ("holidays", "'holidays'; known are.*such as 'holidays:US'"),
        ("holidays:", "no country ''"),
        ("holidays:XX", "no country 'XX'.*known are AD, .*, US, .*ZW"),
        ("holidays:us", "no country 'us'.*two capitals"),
        ("holidays:HolidayBase", "no country"),
        ("holidays:DE-XX", "no subdivision 'XX' of DE; known are .*BY.*write 'holidays:DE'"),
        ("holidays:DE-", "no subdivision '' of DE"),
        ("holidays:DK-1", "no subdivision '1' of DK; it knows none there"),
    ],
)
def test_errors_name_what_is_known(kind, words):
    for made in (wanted_calendar, lambda kinds, index: calendar_features(index, kinds)):
        with pytest.raises(ParameterError, match=words):
            made([kind], HOURS)


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "holidays", None)
    assert wanted_calendar(["auto"], HOURS) == ("time_of_day", "day_of_week")
    with pytest.raises(MissingDependencyError, match=r"stmest\[calendar\]"):
        wanted_calendar(["holidays:US"], HOURS)
