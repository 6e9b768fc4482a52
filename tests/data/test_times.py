"""Columns of times in every form that files and other libraries have: one reading, or a refusal that names two."""

from __future__ import annotations

import datetime as dt
from collections import namedtuple
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from stmest.data.time_columns import join_time_columns
from stmest.data.times import looks_like_times, names_times, read_times
from stmest.exceptions import DataError

HOURS = pd.date_range("2024-03-01", periods=8 * 24, freq="h")  # no day exceeds 12
DAYS = pd.date_range("2024-03-01", periods=40, freq="D")


def _same(column, expected, reading=None):
    read = read_times(column, reading)
    assert list(read.index) == list(expected)
    return read.reading


# ---------------------------------------------------------------- text

FORMATS = [
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%d-%m-%Y %H:%M",
    "%d/%m/%y %H.%M.%S",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %I:%M %p",
    "%m-%d-%Y %H:%M",
    "%m/%d/%y %H:%M",
    "%y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y.%m.%d %H:%M",
    "%Y%m%d %H:%M",
    "%Y%m%dT%H%M%S",
    "%Y%m%d%H",
    "%Y%m%d%H%M",
    "%Y%m%d%H%M%S",
    "%d-%b-%Y %H:%M",
    "%d %B %Y %H:%M",
    "%b %d, %Y %H:%M",
    "%a %d/%m/%Y %H:%M",
]


@pytest.mark.parametrize("form", FORMATS)
def test_hours_of_a_week_in_any_format(form):
    texts = [f"{time:{form}}" for time in HOURS]
    _same(texts, HOURS)
    _same(pd.Series(texts, dtype="string"), HOURS)
    _same(pd.Index(texts).astype("string[pyarrow]"), HOURS)


@pytest.mark.parametrize(
    "form", ["%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%Y-%m-%d", "%Y%m%d", "%d-%b-%y"]
)
def test_days_of_two_months_in_any_format(form):
    _same([f"{time:{form}}" for time in DAYS], DAYS)


@pytest.mark.parametrize(
    ("form", "months"),
    [
        ("%Y-%m", 30),
        ("%m/%Y", 30),
        ("%b %Y", 30),
        ("%b-%y", 30),
        ("%d/%m/%Y", 14),
        ("%m/%d/%Y", 14),
        ("%d.%m.%Y", 5),
    ],
)
def test_months_in_any_format(form, months):
    times = pd.date_range("2015-01-01", periods=months, freq="MS")
    _same([f"{time:{form}}" for time in times], times)


def test_weeks_and_quarters():
    _same(["2024-W01", "2024-W02"], pd.to_datetime(["2024-01-01", "2024-01-08"]))
    _same(["2024Q1", "2024Q2"], pd.to_datetime(["2024-01-01", "2024-04-01"]))


def test_the_order_of_later_rows_is_that_of_the_training_rows():
    for form, reading in {"%d/%m/%Y %H:%M": "day first", "%m/%d/%Y %H:%M": "month first"}.items():
        assert _same([f"{time:{form}}" for time in HOURS], HOURS) == reading
        later = HOURS[-1:] + pd.Timedelta(1, "h")
        _same([f"{time:{form}}" for time in later], later, reading)


@pytest.mark.parametrize("mark", ["/", "-"])
def test_two_readings_that_are_equally_good_are_refused(mark):
    texts = [f"{day:%d{mark}%m{mark}%Y}" for day in pd.date_range("2024-01-01", periods=12)]
    with pytest.raises(
        DataError, match=r"equally good: day first .2024-01-12.* or month first .2024-12-01.*dayfirst=True"
    ):
        read_times(texts)
    _same(
        [text.replace(mark, ".") for text in texts], pd.date_range("2024-01-01", periods=12)
    )  # dots: the day is first


def test_offsets_that_change_are_read_in_utc():
    local = pd.date_range("2024-03-30", periods=60, freq="h", tz="Europe/Berlin")
    for texts in ([time.isoformat() for time in local], [str(time) for time in local]):
        index = read_times(texts).index
        assert str(index.tz) == "UTC"
        assert list(index) == list(local)
    one_offset = local[:20]
    assert read_times([time.isoformat() for time in one_offset]).index.tz.utcoffset(None) == dt.timedelta(
        hours=1
    )
    objects = pd.Index([time.to_pydatetime() for time in local], dtype=object)
    assert list(read_times(objects).index) == list(local)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (
            ["2024-01-01 23:00:00", "2024-01-02", "2024-01-02 01:00:00"],
            ["2024-01-01 23:00", "2024-01-02 00:00", "2024-01-02 01:00"],
        ),
        (
            ["01.03.2024 23:00", "02.03.2024", "02.03.2024 01:00"],
            ["2024-03-01 23:00", "2024-03-02 00:00", "2024-03-02 01:00"],
        ),
        (["2024-12-31 23:00", "2024-12-31 24:00"], ["2024-12-31 23:00", "2025-01-01 00:00"]),
        (["31.12.2024 23:00", "31.12.2024 24:00"], ["2024-12-31 23:00", "2025-01-01 00:00"]),
        (["2024-01-01 00:00:00", "2024-01-01 00:00:00.5"], ["2024-01-01 00:00", "2024-01-01 00:00:00.5"]),
        (["2024-01-01T00:00:00Z", "2024-01-01T01:00Z"], ["2024-01-01 00:00Z", "2024-01-01 01:00Z"]),
        (
            ["1/2/2024 12:00 AM", "1/2/2024 12:00 PM", "1/13/2024 1:00 am"],
            ["2024-01-02 00:00", "2024-01-02 12:00", "2024-01-13 01:00"],
        ),
    ],
)
def test_rows_that_are_written_differently(texts, expected):
    _same(texts, [pd.Timestamp(time) for time in expected])


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["00:00", "00:30"], "times of day without a date"),
        (["1:00 PM", "2:00 PM"], "times of day without a date"),
        (pd.Index([dt.time(0), dt.time(1)]), "times of day without a date"),
        (["a", "b"], "'a' do not read as dates"),
        (["2024-01-01", "later"], "do not read as dates"),
        (["2024-01-01", "01/02/2024"], "do not read as dates"),
        (["2024-02-30", "2024-03-01"], "do not read as dates"),
        (["13/13/2024", "14/13/2024"], "do not read as dates"),
        (["2024-01-01 25:00", "2024-01-01 26:00"], "do not read as dates"),
        (["2024-01-01 00:00+01:00", "2024-01-01 01:00"], "UTC offset and others"),
        (["2024-03-31 01:00 CET", "2024-03-31 03:00 CEST"], "do not read as dates"),
        (pd.Index([True, False]), "bool"),
        (pd.to_timedelta([1, 2], unit="h"), "timedelta64"),
        (pd.Index([(1, 2), [3]], dtype=object, tupleize_cols=False), "needed: datetimes"),
    ],
)
def test_what_is_no_time_is_refused(texts, words):
    with pytest.raises(DataError, match=words):
        read_times(texts)


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("kind", [np.int64, "Int64", "int64[pyarrow]", str])
def test_epochs_of_any_unit_and_type(unit, kind):
    numbers = pd.Index(HOURS.as_unit(unit).asi8).astype(kind)
    assert "epoch" in _same(numbers, HOURS)
    _same(numbers[:1], HOURS[:1])


@pytest.mark.parametrize("start", [10**9, 1_609_459_200])
def test_epochs_with_fractions_of_seconds(start):
    index = read_times(start + 0.5 * np.arange(6)).index
    assert list(np.diff(index)) == [pd.Timedelta(500, "ms")] * 5


@pytest.mark.parametrize("form", ["%Y%m%d", "%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S"])
def test_dates_written_as_one_number(form):
    times = DAYS if form == "%Y%m%d" else HOURS[:24]
    for kind in (np.int64, np.float64, "Int64"):
        _same(pd.Index([int(f"{time:{form}}") for time in times]).astype(kind), times)


def test_months_written_as_one_number_are_known_by_the_turn_of_the_year():
    _same([202411, 202412, 202501, 202502], pd.date_range("2024-11-01", periods=4, freq="MS"))
    assert read_times([202401, 202402, 202403]).index.tolist() == [202401, 202402, 202403]


def test_days_of_a_spreadsheet():
    times = pd.date_range("2024-01-01", periods=50, freq="h")
    serials = 45292 + np.arange(50) / 24
    assert _same(serials, times) == "days of a spreadsheet"
    for digits in (5, 6, 8):
        _same(serials.round(digits), times)
    _same(serials[24:25], times[24:25], "days of a spreadsheet")
    _same(pd.Index(range(45292, 45300), name="Date"), pd.date_range("2024-01-01", periods=8))
    with pytest.raises(
        DataError,
        match=r"numbers that count steps, or as days of a spreadsheet .2024-01-01.*'step' or 'date'",
    ):
        read_times(pd.Index([45292, 45293], name="time"))


@pytest.mark.parametrize(
    "numbers",
    [
        range(5),
        range(0, 50, 5),
        range(1000, 1862),
        range(45292, 45300),
        range(1_000_000, 1_000_010),
        [0.5, 1.5],
        [-3, -2],
        [20241301, 20241302],
        [2020, 2021, 2022],
        [45292.5, 45293.0],
        range(500_000_001, 500_000_009),
    ],
)
def test_numbers_that_count_steps_stay_numbers(numbers):
    read = read_times(pd.Index(numbers))
    assert read.index.tolist() == list(numbers)
    assert read.reading == "numbers"


def test_later_numbers_stay_what_the_training_rows_were():
    numbers = pd.Index(range(1_700_000_000, 1_700_000_010))
    assert read_times(numbers, "numbers").index.equals(numbers)


# ---------------------------------------------------------------- types

ModelTime = namedtuple("ModelTime", "year month day hour minute second calendar isoformat")


def model_times(calendar, *dates):
    """What xarray makes of a model calendar, as far as it is looked at."""
    return pd.Index(
        [ModelTime(*date, 0, 0, 0, calendar, str) for date in dates], dtype=object, tupleize_cols=False
    )


@pytest.mark.parametrize(
    "column",
    [
        pd.Index(DAYS.date),
        pd.Series(DAYS.date),
        pd.Index(DAYS.to_pydatetime(), dtype=object),
        DAYS.astype("timestamp[us][pyarrow]"),
        DAYS.astype("timestamp[s][pyarrow]"),
        pd.Index(DAYS.date).astype("date32[pyarrow]"),
        DAYS.to_numpy(),
        DAYS.to_numpy().astype("M8[D]"),
        pd.Index([str(day).encode() for day in DAYS]),
    ],
)
def test_dates_of_any_type(column):
    _same(column, DAYS)


def test_zones_of_arrow_and_nullable_numbers():
    zoned = HOURS.tz_localize("Europe/Berlin")
    assert read_times(zoned.astype("timestamp[us, tz=Europe/Berlin][pyarrow]")).index.equals(zoned)
    assert (
        read_times(pd.Index([1, 2, 3], dtype="UInt8")).index.dtype == np.int64
    )  # so that 255 goes on with 256
    assert read_times(pd.Index([1.5, 2.5], dtype="Float64")).index.tolist() == [1.5, 2.5]
    assert list(read_times(pd.Index([pd.Period("2024-01", "M")], dtype=object)).index) == [
        pd.Period("2024-01", "M")
    ]


def test_model_calendars_are_read_where_the_dates_exist():
    months = [(2001, month, 1) for month in range(1, 13)]
    _same(model_times("360_day", *months), pd.date_range("2001-01-01", periods=12, freq="MS"))
    _same(model_times("noleap", (2004, 2, 28), (2004, 3, 1)), pd.to_datetime(["2004-02-28", "2004-03-01"]))
    with pytest.raises(DataError, match=r"'360_day'.*convert_calendar"):
        read_times(model_times("360_day", (2001, 2, 28), (2001, 2, 29)))


def test_columns_of_times_are_known_by_their_type():
    for column in (
        DAYS,
        DAYS.date,
        DAYS.astype("timestamp[us][pyarrow]"),
        DAYS.tz_localize("UTC"),
        DAYS.to_period("D"),
    ):
        assert looks_like_times(pd.Series(column))
    for column in ([1, 2], [1.5, 2.5], ["2024", "2025"], [None, None], [True, False]):
        assert not looks_like_times(pd.Series(column))


# ---------------------------------------------------------------- several columns


def _parts(times, **more):
    return pd.DataFrame({"year": times.year, "month": times.month, "day": times.day, **more, "a": 1.0})


@pytest.mark.parametrize(
    "frame",
    [
        _parts(HOURS, hour=HOURS.hour),
        _parts(HOURS, HOUR=HOURS.hour, Minute=HOURS.minute),
        _parts(HOURS, time=HOURS.strftime("%H:%M")),
        pd.DataFrame({"Date": HOURS.strftime("%d/%m/%Y"), "Time": HOURS.strftime("%H.%M.%S"), "a": 1.0}),
        pd.DataFrame({"date": HOURS.normalize(), "hour": HOURS.hour, "a": 1.0}),
        pd.DataFrame({"date": [int(f"{h:%Y%m%d}") for h in HOURS], "hour": HOURS.hour, "a": 1.0}),
    ],
)
def test_times_in_several_columns(frame):
    joined = join_time_columns(frame)
    assert list(joined.columns) == ["time", "a"]
    _same(joined["time"], HOURS)


def test_months_without_days_and_hours_that_end_with_24():
    assert list(
        join_time_columns(pd.DataFrame({"Year": [2024, 2024], "Month": [1, 2], "a": 1.0}))["time"]
    ) == list(pd.date_range("2024-01-01", periods=2, freq="MS"))
    frame = _parts(pd.DatetimeIndex(["2024-12-31"] * 2), hour=[23, 24])
    assert list(join_time_columns(frame)["time"]) == [
        pd.Timestamp("2024-12-31 23:00"),
        pd.Timestamp("2025-01-01"),
    ]


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"time": HOURS, "hour": HOURS.hour, "a": 1.0}),
        pd.DataFrame(
            {"date": HOURS.astype(str), "hour": HOURS.hour, "month": HOURS.month, "year": HOURS.year}
        ),
        pd.DataFrame({"time": [1, 2], "node": ["a", "b"], "value": 1.0}),
        pd.DataFrame({"date": DAYS, "hour": 12, "a": 1.0}),
    ],
)
def test_columns_that_describe_times_are_readings(frame):
    assert join_time_columns(frame) is frame


def test_columns_that_hold_no_dates_are_refused():
    with pytest.raises(DataError, match="hold no dates"):
        join_time_columns(_parts(DAYS).assign(day=31))
    with pytest.raises(DataError, match=r"'month' holds 1\.5 in row 1"):
        join_time_columns(_parts(DAYS).assign(month=1.5))


@pytest.mark.parametrize(
    "form", ["%d%m%Y", "%m%d%Y", "%y%m%d", "%Y%j", "%d%m%Y%H", "%d%m%Y%H%M", "%y%m%d%H%M%S", "%Y%j%H"]
)
@pytest.mark.parametrize("kind", ["text", "numbers"])
def test_figures_in_another_order(form, kind):
    times = pd.date_range("2024-02-20", periods=400, freq="h" if "%H" in form else "D")
    written = [time.strftime(form) for time in times]
    read = read_times(written if kind == "text" else [int(text) for text in written])
    assert list(read.index) == list(times)
    later = read_times([int(times[-1].strftime(form))], read.reading)
    assert later.index[0] == times[-1]


@pytest.mark.parametrize(
    "numbers",
    [[0, 1, 2, 5, 6], [10101, 10102, 10104, 10110], [240101, 240103, 240104, 240199], [5, 7, 30, 31]],
)
def test_uneven_numbers_that_are_no_dates_stay_numbers(numbers):
    assert read_times(numbers).index.tolist() == numbers


def test_figures_that_are_times_of_day_are_refused():
    with pytest.raises(DataError, match="times of day without a date"):
        read_times([0, 30, 100, 130, 200])
    with pytest.raises(DataError, match=r"equally good: as ddmmyyyy .* or as mmddyyyy"):
        read_times([10320240000 + clock for clock in (0, 15, 30, 45, 100, 115)])


def test_the_day_before_the_month_after_the_year():
    times = pd.date_range("2024-03-01", periods=8 * 24, freq="h")
    read = read_times([f"{time:%Y-%d-%m %H:%M}" for time in times])
    assert list(read.index) == list(times)
    assert list(read_times([f"{times[0]:%Y-%d-%m %H:%M}"], read.reading).index) == [times[0]]
    months = pd.date_range("2024-01-01", periods=9, freq="MS")  # as good in the usual order, which is taken
    assert list(read_times([f"{time:%Y-%m-%d}" for time in months]).index) == list(months)
    gap = times.delete([5, 6])
    assert list(read_times([f"{time:%Y-%m-%d %H:%M}" for time in gap]).index) == list(gap)


@pytest.mark.parametrize("wrong", ["2024-02-30", "30.02.2024", "30/02/2024"])
def test_the_message_names_the_time_that_is_none(wrong):
    form = "%Y-%m-%d" if wrong.startswith("2024") else "%d.%m.%Y" if "." in wrong else "%d/%m/%Y"
    days = [day.strftime(form) for day in pd.date_range("2024-02-10", periods=30)]
    with pytest.raises(DataError, match=f"such as '{wrong}'"):
        read_times([*days[:20], wrong, *days[20:]])


def test_numbers_among_objects_and_spans():
    assert read_times(pd.Index([0, 1, Decimal(2)], dtype=object)).index.tolist() == [0, 1, 2]
    assert read_times(np.arange(3, dtype="uint64")).index.dtype == np.int64
    with pytest.raises(DataError, match=r"Add the time of the start: pandas.Timestamp"):
        read_times(pd.to_timedelta([1, 2], "h"))


@pytest.mark.parametrize(
    ("name", "is_time"),
    [
        ("Time", True), ("DateTime (UTC)", True), ("Date/Time", True), ("time_stamp", True), ("valid_time", True),
        ("epoch", True), ("unix_time", True), ("travel_time", False), ("update", False), ("utc", False), (7, False),
    ],
)  # fmt: skip
def test_names_of_times(name, is_time):
    assert names_times(name) is is_time
