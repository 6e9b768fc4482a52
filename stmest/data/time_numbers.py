"""Numbers as times: seconds since 1970, dates written as one number, days of a spreadsheet; or numbers that count steps.

Builds on numpy and pandas; used by `times`, `time_text` and `time_columns`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from ..exceptions import DataError
from .time_frequency import breaks

__all__ = ["NO_DATE", "NUMBERS", "Times", "days_of", "number_reading", "read_numbers"]

NO_DATE = (
    "the times such as {!r} are times of day without a date; needed: the date too, which says the weekday. Add it, for instance "
    "pandas.to_datetime('2024-01-31 ' + times)."
)

# Those among them under which a whole number may be a day of a spreadsheet, and those under which it may or may not
_DAY_NAMES = ("date", "datum", "fecha", "day", "datetime", "date_time", "excel", "serial")
_MONTH_NAMES = ("month", "date", "datum", "fecha", "period", "yyyymm", "year_month")
_UNCLEAR_NAMES = ("time", "timestamp", "zeit")

NUMBERS = "numbers"
_EXCEL = "days of a spreadsheet"


class Times(NamedTuple):
    """Times, and how they were read.

    Attributes
    ----------
    index : pandas.Index
        Datetimes, periods or numbers, in the order of the column.
    reading : str or None
        Which of several readings was taken, for `read_times` of later rows; None where there was one only.
    """

    index: pd.Index
    reading: str | None


_SECOND = {
    "epoch seconds": 1,
    "epoch milliseconds": 10**3,
    "epoch microseconds": 10**6,
    "epoch nanoseconds": 10**9,
}
_UNIT = dict(zip(_SECOND, ("s", "ms", "us", "ns"), strict=True))
# 1973, 2000 and 2100 in seconds. Before 2000 such a number counts as a time if it is a whole minute.
_FIRST, _CERTAIN, _LAST = 100_000_000, 946_684_800, 4_102_444_800
# Digits of dates that are written as one number
_COMPACT = {"yyyymmdd": 8, "yyyymmddhh": 10, "yyyymmddhhmm": 12, "yyyymmddhhmmss": 14}
_MONTHS = "yyyymm"
# Orders of figures that are tried where numbers do not rise by equal steps, and the digits of the time of day behind them
_ORDERS = ("yymmdd", "ddmmyyyy", "mmddyyyy", "yyyyddd")
_CLOCKS = {"": 0, " hh": 2, " hhmm": 4, " hhmmss": 6}
# 1980 and 2100 as days of a spreadsheet, whose day 0 is this one
_DAY_ZERO = np.datetime64("1899-12-30", "us")
_FIRST_DAY, _LAST_DAY = 29_221, 73_051


def read_numbers(index: pd.Index, reading: str | None) -> Times:
    """Read numbers as times, where they are.

    Parameters
    ----------
    index : Index
        Numbers; its name helps where they can be days of a spreadsheet.
    reading : str or None
        How the times of the training data were read; it is tried first.

    Returns
    -------
    Times
        The numbers themselves where they count steps.

    Raises
    ------
    DataError
        If they can be read in two ways that are equally good, or are times of day without a date.
    """
    values = index.to_numpy()
    stay = Times(index, NUMBERS)
    if isinstance(index, pd.RangeIndex) and index.start < _FIRST_DAY:
        return stay
    if reading == NUMBERS or not len(values) or (values.dtype.kind == "f" and not np.isfinite(values).all()):
        return stay
    if reading is not None:
        read = number_reading(values, reading)
        if read is not None:
            return Times(read.rename(index.name), reading)
    for name in (*_COMPACT, *_SECOND):
        read = number_reading(values, name)
        if read is not None and not (name in _SECOND and not _surely_epoch(values, _SECOND[name])):
            return Times(read.rename(index.name), name)
    months = number_reading(values, _MONTHS)
    if months is not None and (_turns_of_the_year(values) or _word(index) in _MONTH_NAMES):
        return Times(months.rename(index.name), _MONTHS)
    days = number_reading(values, _EXCEL)
    if days is not None and len(values) > 1 and _are_days(values, index):
        return Times(days.rename(index.name), _EXCEL)
    return _of_uneven_numbers(index) or stay


def _of_uneven_numbers(index: pd.Index) -> Times | None:
    """Dates in another order of their figures, if they make a regular axis and the numbers themselves do not."""
    values = index.to_numpy()
    whole = values.astype(np.int64)
    if len(values) < 3 or (whole != values).any() or not (np.diff(whole) != whole[1] - whole[0]).any():
        return None
    distinct = pd.Index(np.unique(whole))
    if not breaks(distinct):
        return None
    minutes = distinct // 100 * 60 + distinct % 100
    of_day = whole.min() >= 0 and whole.max() < 2400 and bool((whole % 100 < 60).all())
    if of_day and len(distinct) > 3 and not breaks(minutes):
        raise DataError(NO_DATE.format(str(whole[-1])))
    found: dict[str, pd.DatetimeIndex] = {}
    for name in (order + clock for order in _ORDERS for clock in _CLOCKS):
        read = number_reading(values, name)
        if read is None or breaks(read.unique().sort_values()):
            continue
        if read.is_monotonic_increasing or not np.array_equal(whole, np.sort(whole)):
            found[name] = read
    if len(found) > 1:
        one, other = list(found)[:2]
        raise DataError(
            f"the times such as {whole[-1]} can be read in two ways that are equally good: as {one} ({found[one][-1]}) or as "
            f"{other} ({found[other][-1]}). Write them as 2024-01-31 23:00."
        )
    return next((Times(read.rename(index.name), name) for name, read in found.items()), None)


def number_reading(values: np.ndarray, name: str) -> pd.DatetimeIndex | None:
    """The times that numbers stand for under one reading; None where they do not fit it."""
    order, _, clock = name.partition(" ")
    if order in _ORDERS:
        return _from_order(values.astype(np.int64), order, len(clock))
    low, high = values.min(), values.max()
    if name in _SECOND:
        per_second = _SECOND[name]
        if low < _FIRST * per_second or high > _LAST * per_second:
            return None
        if values.dtype.kind == "f":
            return pd.DatetimeIndex(np.round(values * (1e6 / per_second)).astype(np.int64).view("M8[us]"))
        times = pd.DatetimeIndex(values.astype(np.int64).view(f"M8[{_UNIT[name]}]"))
        return times if _UNIT[name] == "ns" else times.as_unit("us")
    if name == _EXCEL:
        if low < _FIRST_DAY or high > _LAST_DAY:
            return None
        seconds = values.astype(np.float64) * 86_400
        # files keep five or six decimals of a day, which are good to half a second and to a twentieth
        exact = ((60, 0.5), (1, 0.05), (0.001, 1.0))
        unit = next(
            unit for unit, error in exact if np.abs(seconds - unit * np.round(seconds / unit)).max() <= error
        )
        times = np.round(1e6 * unit * np.round(seconds / unit)).astype(np.int64)
        return pd.DatetimeIndex(_DAY_ZERO + times.astype("m8[us]"))
    n_digits = 6 if name == _MONTHS else _COMPACT.get(name)
    if n_digits is None:
        return None
    if low < 19 * 10.0 ** (n_digits - 2) or high >= 21 * 10.0 ** (n_digits - 2):
        return None
    whole = values.astype(np.int64)
    if values.dtype.kind == "f" and (whole != values).any():
        return None
    return _from_digits(whole, n_digits)


def _from_digits(whole: np.ndarray, n_digits: int) -> pd.DatetimeIndex | None:
    """Dates that are written as one number, such as 202401312300."""
    if n_digits == 6:
        return _joined(days_of(whole // 100, whole % 100, np.ones_like(whole)), np.zeros_like(whole))
    clock = _clock_of_digits(whole, n_digits - 8)
    whole = whole // 10 ** (n_digits - 8)
    return _joined(days_of(whole // 10_000, whole // 100 % 100, whole % 100), clock)


def _from_order(whole: np.ndarray, order: str, n_clock: int) -> pd.DatetimeIndex | None:
    """Dates whose figures have another order than year, month, day, or two figures for the year."""
    if whole.min() < 0:
        return None
    clock, date = _clock_of_digits(whole, n_clock), whole // 10**n_clock
    if order == "yymmdd":
        year, month, day = 2000 + date // 10_000, date // 100 % 100, date % 100
        return None if (year > 2099).any() else _joined(days_of(year, month, day), clock)
    if order == "yyyyddd":
        year, day = date // 1000, date % 1000
        first = days_of(year, np.ones_like(year), np.ones_like(year))
        if first is None or not _recent(year) or (day < 1).any() or (day > 366).any():
            return None
        return _joined(first + (day - 1).astype("m8[D]"), clock)
    year, front, back = date % 10_000, date // 1_000_000, date // 10_000 % 100
    month, day = (back, front) if order == "ddmmyyyy" else (front, back)
    return _joined(days_of(year, month, day), clock) if _recent(year) else None


def _recent(year: np.ndarray) -> bool:
    return bool((year >= 1900).all() and (year < 2100).all())


def _clock_of_digits(whole: np.ndarray, n_digits: int) -> np.ndarray | None:
    """Seconds from the last figures of numbers: hours, minutes, seconds; None where there is no such time of day."""
    clock = np.zeros(len(whole), dtype=np.int64)
    for size, limit, digits in ((1, 60, 6), (60, 60, 4), (3600, 25, 2)):
        if n_digits >= digits:
            part = whole % 100
            if (part >= limit).any():
                return None
            clock, whole = clock + size * part, whole // 100
    return None if (clock > 86_400).any() else clock


def _joined(days: np.ndarray | None, clock: np.ndarray | None) -> pd.DatetimeIndex | None:
    if days is None or clock is None:
        return None
    return pd.DatetimeIndex((days.astype("M8[s]") + clock.astype("m8[s]")).astype("M8[us]"))


def _surely_epoch(values: np.ndarray, per_second: int) -> bool:
    if values.min() >= _CERTAIN * per_second:
        return True
    return bool((values % (60 * per_second) == 0).all())


def _turns_of_the_year(values: np.ndarray) -> bool:
    """Whether numbers such as 202412, 202501 pass from one year to the next as months do."""
    months = np.unique(values.astype(np.int64))
    months = months // 100 * 12 + months % 100
    steps = np.diff(months)
    return len(months) > 2 and months[0] // 12 != (months[-1] - 1) // 12 and bool((steps == steps[0]).all())


def _are_days(values: np.ndarray, index: pd.Index) -> bool:
    """Whether numbers between 29221 and 73051 are days of a spreadsheet, by their fractions, else by their name."""
    known = _word(index)
    values = values.astype(np.float64)
    minutes, hundredths = values * 1440, values * 100
    whole_minutes = np.abs(minutes - np.round(minutes)).max() < 0.02
    if (
        whole_minutes and np.abs(hundredths - np.round(hundredths)).max() > 1e-3
    ):  # thirds of a day, such as 45292.0416667
        return True
    if known in _DAY_NAMES or any(
        known.startswith(f"{word}_") or known.startswith(f"{word} ") for word in ("date", "datum")
    ):
        return True
    numbered = isinstance(index, pd.RangeIndex)  # by pandas, as the rows of a part of a table are
    if (
        known in _UNCLEAR_NAMES
        and not numbered
        and whole_minutes
        and values.min() >= 36_526
        and values.max() <= 55_153
    ):
        first = number_reading(values[:1], _EXCEL)
        assert first is not None
        raise DataError(
            f"the times such as {values[0]:g} can be read in two ways that are equally good: as numbers that count steps, or as "
            f"days of a spreadsheet ({first[0]}). Say which by the name of the column: 'step' or 'date'."
        )
    return False


def _word(index: pd.Index) -> str:
    """The name of an index, in lower case."""
    return str(index.name).strip().lower()


def days_of(year: np.ndarray, month: np.ndarray, day: np.ndarray) -> np.ndarray | None:
    """Days as datetime64[D]; None where one does not exist."""
    if (month < 1).any() or (month > 12).any() or (day < 1).any() or (year < 1).any() or (year > 9999).any():
        return None
    months = ((year - 1970) * 12 + month - 1).astype(np.int64).astype("M8[M]")
    days = months.astype("M8[D]") + (day - 1).astype("m8[D]")
    return days if (days.astype("M8[M]") == months).all() else None
