"""Text as times: dates in any order that makes a regular axis, with times of day, UTC offsets, names of months.

Builds on `time_numbers` and `time_frequency`; used by `times` and `time_columns`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import DataError
from .time_frequency import breaks
from .time_numbers import NO_DATE, Times, days_of, read_numbers

__all__ = ["TIME_OF_DAY", "all_match", "read_text"]

_DAY_FIRST, _MONTH_FIRST, _YEAR_FIRST, _DAY_BEFORE_MONTH = (
    "day first",
    "month first",
    "year first",
    "year, day, month",
)
_CLOCK = (
    r"(?P<hour>\d{1,2})(?:[:.h](?P<minute>\d{2}))?(?:[:.](?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9})\d*)?)?"
    r"\s*(?P<half>[ap]\.?m\.?)?"
    r"\s*(?P<zone>z|utc|gmt|(?:utc|gmt)?[+-]\d{2}:?(?:\d{2})?)?(?:\[[\w/+-]+\])?"
)
_NUMERIC_DATE = re.compile(
    r"(?P<one>\d{1,4})(?P<mark>[-/.])\s?(?P<two>\d{1,2})(?P=mark)\s?(?P<three>\d{1,4})\.?(?:[T ,_]\s*"
    + _CLOCK
    + ")?",
    re.IGNORECASE,
)
_COMPACT_DATE = re.compile(
    r"(?P<one>\d{4})(?P<two>\d{2})(?P<three>\d{2})(?:[T _-]\s*(?P<hour>\d{2}):?(?P<minute>\d{2})?:?(?P<second>\d{2})?"
    r"(?:\.(?P<fraction>\d{1,9}))?(?P<zone>z|[+-]\d{2}:?(?:\d{2})?)?)?",
    re.IGNORECASE,
)
TIME_OF_DAY = re.compile(
    r"\d{1,2}[:h]\d{2}(:\d{2}([.,]\d+)?)?\s*([ap]\.?m\.?)?|\d{1,2}\s*[ap]m|\d{1,2}\.\d{2}\.\d{2}",
    re.IGNORECASE,
)
_WEEKDAY = re.compile(r"^(mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+(?=\d)", re.IGNORECASE)
_MONTH_NAME = re.compile(r"jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec", re.IGNORECASE)
_WITH_YEAR = re.compile(r"(?<!\d)\d{4}(?!\d)|\d{1,2}[- ][a-z]{3,9}\.?[- ]\d{2}(?!\d)", re.IGNORECASE)
_ISO_MONTH = re.compile(r"\d{4}[-/]\d{1,2}")
_MONTH_OF_YEAR = re.compile(r"\d{1,2}[-/.]\d{4}")
_SHORT_MONTH = re.compile(r"[a-z]{3}[- ']\d{2}", re.IGNORECASE)
_WEEK = re.compile(r"\d{4}-?W\d{2}(-?[1-7])?", re.IGNORECASE)
_QUARTER = re.compile(r"\d{4}[- ]?Q[1-4]|Q[1-4][- ]\d{4}", re.IGNORECASE)
_ORDERS = {_DAY_FIRST: "dmy", _MONTH_FIRST: "mdy", _YEAR_FIRST: "ymd", _DAY_BEFORE_MONTH: "ydm"}


def read_text(index: pd.Index, reading: str | None) -> Times:
    """Read text as times, each different text once; as numbers where all are.

    Parameters
    ----------
    index : Index
        Text.
    reading : str or None
        How the times of the training data were read; it is tried first.

    Returns
    -------
    Times
        Those with UTC offsets that change are in UTC.

    Raises
    ------
    DataError
        If they are no times of one format, or can be read in two ways that are equally good.
    """
    places, distinct = pd.factorize(index)
    texts = pd.Series(distinct, dtype=object).str.strip().str.replace(r"\s+", " ", regex=True)
    numbers = pd.to_numeric(texts, errors="coerce")
    as_numbers = pd.Index(numbers, name=index.name)
    read = read_numbers(as_numbers, reading) if numbers.notna().all() else _of_dates(texts, reading)
    return Times(read.index.take(places).rename(index.name), read.reading)


def _of_dates(texts: pd.Series, reading: str | None) -> Times:
    if reading != _DAY_BEFORE_MONTH and texts.str.match(r"\d{4}-\d{2}(?!\d)").all():  # much the fastest
        try:
            times = pd.DatetimeIndex(pd.to_datetime(texts, format="ISO8601"))
            if (times.day > 12).any() or not any(_irregularity(times)):
                return Times(times, None)
        except (ValueError, TypeError, OverflowError):
            pass  # several UTC offsets, hours of 24, and the like
    if all_match(texts, TIME_OF_DAY):
        raise DataError(NO_DATE.format(texts.iloc[0]))
    bare = texts.str.replace(_WEEKDAY, "", regex=True)
    fields = _extracted(bare, _COMPACT_DATE)
    if fields is not None:
        return Times(_one_reading(fields, "ymd", texts), None)
    fields = _extracted(bare, _NUMERIC_DATE)
    if fields is not None:
        return _of_fields(fields, texts, reading)
    for pattern, read in _OTHERS:
        if all_match(texts, pattern):
            try:
                return Times(pd.DatetimeIndex(read(texts)), None)
            except (ValueError, TypeError, OverflowError) as error:
                raise _no_dates(texts, error) from error
    if (texts.str.contains(_MONTH_NAME) & texts.str.contains(_WITH_YEAR)).all():
        try:
            return Times(pd.DatetimeIndex(pd.to_datetime(texts, format="mixed")), None)
        except (ValueError, TypeError, OverflowError) as error:
            raise _no_dates(texts, error) from error
    raise _no_dates(texts)


def _week(texts: pd.Series) -> Any:
    day = texts.str.upper().str.replace("-", "")
    return pd.to_datetime(day.where(day.str.len() > 7, day + "1"), format="%GW%V%u")


def _quarter(texts: pd.Series) -> Any:
    parts = texts.str.upper().str.extract(r"(?:(?P<y>\d{4})[- ]?)?Q(?P<q>\d)(?:[- ](?P<z>\d{4}))?")
    year, quarter = parts["y"].fillna(parts["z"]).astype(int), parts["q"].astype(int)
    return pd.to_datetime({"year": year, "month": 3 * quarter - 2, "day": 1})


_OTHERS: tuple[tuple[re.Pattern[str], Callable[[pd.Series], Any]], ...] = (
    (_ISO_MONTH, lambda texts: pd.to_datetime(texts.str.replace("/", "-"), format="%Y-%m")),
    (
        _MONTH_OF_YEAR,
        lambda texts: pd.to_datetime(texts.str.replace(r"[/.]", "-", regex=True), format="%m-%Y"),
    ),
    (_SHORT_MONTH, lambda texts: pd.to_datetime(texts.str.replace(r"[ ']", "-", regex=True), format="%b-%y")),
    (_WEEK, _week),
    (_QUARTER, _quarter),
)


def all_match(texts: pd.Series, pattern: re.Pattern[str]) -> bool:
    """Whether a pattern describes all of some texts."""
    return bool(texts.str.fullmatch(pattern).all())


def _extracted(texts: pd.Series, pattern: re.Pattern[str]) -> pd.DataFrame | None:
    """The groups of a pattern that every text has to match; None where one does not."""
    found = texts.str.extract(re.compile(f"^{pattern.pattern}$", re.IGNORECASE))
    return None if found["one"].isna().any() else found


def _of_fields(fields: pd.DataFrame, texts: pd.Series, reading: str | None) -> Times:
    """Dates of three numbers: the order that makes a regular axis."""
    lengths = {name: fields[name].str.len() for name in ("one", "three")}
    if (lengths["one"] == 4).all():
        return _year_first(fields, texts, reading)
    if (lengths["three"] == 4).all() and (lengths["one"] <= 2).all():
        orders = [_DAY_FIRST, _MONTH_FIRST]
    elif (lengths["one"] <= 2).all() and (lengths["three"] <= 2).all():
        orders = [_DAY_FIRST, _MONTH_FIRST, _YEAR_FIRST]
    else:
        raise _no_dates(texts)
    if reading in orders and (known := _fields_in_order(fields, _ORDERS[reading])) is not None:
        return Times(known, reading)
    found = {
        order: read for order in orders if (read := _fields_in_order(fields, _ORDERS[order])) is not None
    }
    if not found:
        raise _no_dates(texts, wrong=_first_wrong(fields, _ORDERS[orders[0]]))
    if (fields["mark"] == ".").all() or len(found) == 1:  # with dots the day is first, where it can be
        order = next(iter(found))
        return Times(found[order], order)
    scores = {order: _irregularity(read) for order, read in found.items()}
    best = min(scores.values())
    good = [order for order in found if scores[order] == best]
    if len(good) > 1 and any(not found[good[0]].equals(found[order]) for order in good[1:]):
        one, other = good[:2]
        raise DataError(
            f"the times such as {texts.iloc[-1]!r} can be read in two ways that are equally good: {one} "
            f"({found[one][-1]}) or {other} ({found[other][-1]}). Say which: write the year first, for instance with "
            f"pandas.to_datetime(times, dayfirst={one == _DAY_FIRST}) for the former."
        )
    return Times(found[good[0]], good[0])


def _year_first(fields: pd.DataFrame, texts: pd.Series, reading: str | None) -> Times:
    """Dates with the year in front: the month comes next, unless only the day there makes a regular axis."""
    usual = None if reading == _DAY_BEFORE_MONTH else _fields_in_order(fields, "ymd")
    if usual is not None and not any(_irregularity(usual)):
        return Times(usual, None)
    other = _fields_in_order(fields, "ydm")
    if other is not None and (usual is None or not any(_irregularity(other))):
        return Times(other, _DAY_BEFORE_MONTH)
    return Times(_one_reading(fields, "ymd", texts), None)


def _irregularity(times: pd.DatetimeIndex) -> tuple[bool, int]:
    """Whether times are out of order, and how many steps between them are not the usual one."""
    ordered = times.is_monotonic_increasing or times.is_monotonic_decreasing
    return not ordered, breaks(times.unique().sort_values())


def _one_reading(fields: pd.DataFrame, order: str, texts: pd.Series) -> pd.DatetimeIndex:
    read = _fields_in_order(fields, order)
    if read is None:
        raise _no_dates(texts, wrong=_first_wrong(fields, order))
    return read


def _first_wrong(fields: pd.DataFrame, order: str) -> int:
    """Position of the first row that is no date."""
    fine, wrong = 0, len(fields)  # so many rows are dates; so many are not all dates
    while wrong - fine > 1:
        middle = (fine + wrong) // 2
        if _fields_in_order(fields.iloc[:middle], order) is None:
            wrong = middle
        else:
            fine = middle
    return wrong - 1


def _fields_in_order(fields: pd.DataFrame, order: str) -> pd.DatetimeIndex | None:
    """The times, if year, month and day come in that order; None where one is no date."""
    numbers = {
        part: fields[name].astype(np.int64).to_numpy()
        for part, name in zip(order, ("one", "two", "three"), strict=True)
    }
    year = numbers["y"]
    year = np.where(year >= 100, year, np.where(year < 69, 2000 + year, 1900 + year))
    days = days_of(year, numbers["m"], numbers["d"])
    clock = _clock(fields)
    if days is None or clock is None:
        return None
    times = pd.DatetimeIndex(days.astype("M8[us]") + clock)
    return _zoned(times, fields["zone"]) if "zone" in fields else times


def _clock(fields: pd.DataFrame) -> np.ndarray | None:
    """The time of day of each row, up to 24:00; 0 where there is none."""
    hour, minute, second = (
        pd.to_numeric(fields[name]).fillna(0).to_numpy(np.int64) for name in ("hour", "minute", "second")
    )
    if "half" in fields:
        half = fields["half"].str.lower().str[0].to_numpy(dtype=object)
        given = np.array([h in ("a", "p") for h in half])
        if given.any() and ((hour[given] < 1) | (hour[given] > 12)).any():
            return None
        hour = np.where(given, hour % 12 + 12 * np.array([h == "p" for h in half]), hour)
    fraction = fields["fraction"].fillna("0").str.pad(6, "right", "0").str[:6].astype(np.int64).to_numpy()
    clock = ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction
    if (minute > 59).any() or (second > 59).any() or (clock > 86_400_000_000).any():
        return None
    return clock.astype("m8[us]")


def _zoned(times: pd.DatetimeIndex, zones: pd.Series) -> pd.DatetimeIndex:
    """Local times with their UTC offset: in that zone if it is the same for all, else in UTC."""
    if zones.isna().all():
        return times
    if zones.isna().any():
        row = int(zones.isna().argmax())
        raise DataError(
            f"some of the times have a UTC offset and others, such as {times[row]}, have none; give all of them in the same way."
        )
    offsets = zones.str.upper().str.replace(r"UTC|GMT|Z|:", "", regex=True).str.strip()
    sign = np.where(offsets.str.startswith("-"), -1, 1)
    digits = offsets.str.lstrip("+-").str.pad(4, "right", "0")
    minutes = sign * (digits.str[:2].astype(int) * 60 + digits.str[2:4].astype(int)).to_numpy()
    utc = (times - minutes.astype("m8[m]")).tz_localize("UTC")
    first = int(minutes[0])
    if (minutes != first).any() or first == 0:
        return utc
    return utc.tz_convert(timezone(timedelta(minutes=first)))


def _no_dates(texts: pd.Series, error: BaseException | None = None, wrong: int = 0) -> DataError:
    reason = "" if error is None else f" ({_one_line(error)})"
    return DataError(
        f"the times such as {texts.iloc[wrong]!r} do not read as dates of one format{reason}; needed: dates such as 2024-01-31 "
        "23:00, or numbers. Convert them, for instance with pandas.to_datetime."
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
