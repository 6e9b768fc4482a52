"""One reader of times for all borders: files, frames, xarray, and what comes out of other libraries.

A column of times can mean several things: ``03/04/2024``, ``45292``, ``1700000000``. `read_times` tries the readings that a
column allows, takes the one that makes a regular axis, and refuses where two are equally good. Numbers that count steps stay
numbers.
Builds on `time_index`; used by `containers`, `fields` and the readers of files.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, time, timedelta, timezone
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..exceptions import DataError
from .time_index import breaks

__all__ = ["STEP_NAMES", "TIME_NAMES", "Times", "join_time_columns", "looks_like_times", "read_times"]

# Names, lower case, by which a column, a level or a dimension of times is known
TIME_NAMES = (
    "time", "ds", "timestamp", "date", "datetime", "valid_time", "date_time", "utc_time", "datum", "zeit", "zeitstempel", "fecha",
)  # fmt: skip
# and those that mean a time where no column has one of the names above
STEP_NAMES = (
    "timepoints",
    "timepoint",
    "time_idx",
    "time_index",
    "period",
    "step",
    "t",
    "hour",
    "day",
    "month",
    "year",
)
# Those among them under which a whole number may be a day of a spreadsheet, and those under which it may or may not
_DAY_NAMES = ("date", "datum", "fecha", "day", "datetime", "date_time", "excel", "serial")
_UNCLEAR_NAMES = ("time", "timestamp", "zeit")

_DAY_FIRST, _MONTH_FIRST, _YEAR_FIRST = "day first", "month first", "year first"
_NUMBERS = "numbers"
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


def read_times(column: Any, reading: str | None = None) -> Times:
    """Read a column of times, whatever they are written as.

    Parameters
    ----------
    column : pandas.Index, Series or array-like
        Datetimes, periods, numbers, dates, text, or times of a model calendar (cftime); of numpy, pandas (also nullable) or Arrow
        type. A name such as ``"date"`` helps where numbers can be days of a spreadsheet.
    reading : str, optional
        How the times of the training data were read. It is tried first.

    Returns
    -------
    Times
        The index, under the name of the column, and how it was read. Times with UTC offsets that change are in UTC.

    Raises
    ------
    DataError
        If they are no times, or can be read in two ways that are equally good.

    Examples
    --------
    >>> read_times(["13.02.2024", "14.02.2024"]).index[0]
    Timestamp('2024-02-13 00:00:00')
    >>> read_times([1700000000, 1700003600]).index[0]
    Timestamp('2023-11-14 22:13:20')
    >>> read_times([0, 5, 10]).index.tolist()
    [0, 5, 10]
    """
    index = column if isinstance(column, pd.Index) else pd.Index(column)
    if isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex)):
        return Times(index, None)
    plain = _plain(index)
    if isinstance(plain, (pd.DatetimeIndex, pd.PeriodIndex)):
        return Times(plain, None)
    if plain.dtype.kind in "iuf":
        return _of_numbers(plain, reading)
    if plain.dtype.kind == "O" and len(plain):
        if all(isinstance(value, str) for value in plain):
            return _of_text(plain, reading)
        return Times(_of_objects(plain), None)
    raise DataError(
        f"the time index holds {index.dtype} values{_such_as(index)}; needed: datetimes, periods or numbers. Convert it, for "
        "instance with pandas.to_datetime."
    )


def looks_like_times(column: Any) -> bool:
    """Whether a column of a table is one of times by its type.

    Parameters
    ----------
    column : Series
        Any.

    Returns
    -------
    bool
        True for datetimes, periods and dates, also of Arrow type, and objects of these kinds.
    """
    dtype = column.dtype
    if isinstance(dtype, (pd.DatetimeTZDtype, pd.PeriodDtype)) or getattr(dtype, "kind", "") == "M":
        return True
    if str(dtype).startswith("date"):  # of Arrow
        return True
    first = next((value for value in column if value is not None), None) if dtype.kind == "O" else None
    return isinstance(first, (date, pd.Period)) or _is_model_time(first)


def join_time_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """One column of times in the place of several: year, month, day, hour, or date and time of day.

    Parameters
    ----------
    frame : DataFrame
        Any table; the columns are known by their names, in upper or lower case.

    Returns
    -------
    DataFrame
        The same table where there are no such columns; else with a first column ``"time"`` instead of them.

    Raises
    ------
    DataError
        If they hold no dates.

    Examples
    --------
    >>> join_time_columns(pd.DataFrame({"Year": [2024], "Month": [2], "Day": [29], "Hour": [24], "a": [1.0]})).iloc[0, 0]
    Timestamp('2024-03-01 00:00:00')
    """
    lower = {str(name).strip().lower(): name for name in frame.columns}
    names = {part: lower[key] for part, keys in _PARTS.items() for key in keys if key in lower}
    day = next((lower[name] for name in ("date", "datum", "fecha") if name in lower), None)
    clock = next((lower[name] for name in _CLOCK_NAMES if name in lower), None)
    if "year" in names and "month" in names:
        if day is not None or any(lower[name] != clock for name in TIME_NAMES if name in lower):
            return frame  # they describe times that are in a column of their own
        parts = [part for part in _PARTS if part in names]
        parts = parts[: next((i for i, part in enumerate(_PARTS) if part not in names), len(parts))]
        used = [names[part] for part in parts]
        times: Any = _from_parts({part: frame[name] for part, name in zip(parts, used, strict=True)})
        if clock is not None and clock not in used:
            times, used = _with_time_of_day(times, frame[clock]), [*used, clock]
    elif day is not None and clock is not None:
        times, used = _with_time_of_day(frame[day], frame[clock]), [day, clock]
    else:
        return frame
    if times is None:
        return frame
    rest = frame.drop(columns=used)
    rest.insert(0, "time" if "time" not in rest.columns else "date and time", times)
    return rest


# ---------------------------------------------------------------- types


def _plain(index: pd.Index) -> pd.Index:
    """The same values without nullable or Arrow types."""
    dtype = index.dtype
    if isinstance(dtype, np.dtype) or isinstance(index, pd.CategoricalIndex) or not len(index):
        return index
    if isinstance(dtype, pd.ArrowDtype):
        kind = dtype.kind
        if kind == "M" or str(dtype).startswith("date"):
            zone = getattr(dtype.pyarrow_dtype, "tz", None)
            if zone is not None:
                return pd.DatetimeIndex(list(index), name=index.name)
            return pd.DatetimeIndex(index.astype("datetime64[us]" if kind == "O" else dtype.numpy_dtype))
        if pd.api.types.is_numeric_dtype(dtype) and kind in "iuf":
            return _numpy_numbers(index)
        return pd.Index(list(index), dtype=object, name=index.name)
    if pd.api.types.is_bool_dtype(dtype):
        return index
    if pd.api.types.is_numeric_dtype(dtype) and getattr(dtype, "kind", "") in "iuf":
        return _numpy_numbers(index)
    if isinstance(dtype, pd.StringDtype):
        return pd.Index(index.to_numpy(dtype=object), dtype=object, name=index.name)
    return index


def _numpy_numbers(index: pd.Index) -> pd.Index:
    if index.isna().any():
        return pd.Index(index.to_numpy(dtype=np.float64, na_value=np.nan), name=index.name)
    return pd.Index(index.to_numpy(dtype=index.dtype.numpy_dtype), name=index.name)


def _such_as(index: pd.Index) -> str:
    return f" such as {index[0]!r}" if len(index) else ""


def _of_objects(index: pd.Index) -> pd.Index:
    """Times from objects: dates, datetimes in several zones, periods, Decimals, times of a model calendar."""
    known = [value for value in index if value is not None and value is not pd.NaT]
    first = known[0] if known else None
    if isinstance(first, time):
        raise DataError(_NO_DATE.format(str(first)))
    try:
        if _is_model_time(first):
            return _of_model_calendar(index)
        if isinstance(first, pd.Period):
            return pd.PeriodIndex(index, name=index.name)
        if isinstance(first, (date, np.datetime64)) and all(
            isinstance(value, (date, np.datetime64)) for value in known
        ):
            zones = {getattr(value, "tzinfo", None) is None for value in known}
            if len(zones) > 1:
                raise DataError(
                    "some of the times have a time zone and others have none; give all of them in the same way."
                )
            several = len({value.utcoffset() for value in known}) > 1 if zones == {False} else False
            read = pd.to_datetime(index, utc=True) if several else pd.DatetimeIndex(index)
            return read.rename(index.name)
        if isinstance(first, bytes):
            return read_times(pd.Index([value.decode() for value in index], name=index.name)).index
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"the times such as {first!r} cannot be read ({_one_line(error)}).") from error
    kind = f"{type(first).__name__} " if first is not None else ""
    raise DataError(
        f"the time index holds {kind}values such as {first!r} (type {index.dtype}); needed: datetimes, periods or numbers. "
        "Convert it, for instance with pandas.to_datetime."
    )


def _is_model_time(value: Any) -> bool:
    return hasattr(value, "calendar") and hasattr(value, "isoformat") and hasattr(value, "year")


def _of_model_calendar(index: pd.Index) -> pd.Index:
    """Times of cftime as dates, where all of them exist in the calendar of the world."""
    calendar = index[0].calendar
    microseconds = [
        ((t.hour * 60 + t.minute) * 60 + t.second) * 1_000_000 + getattr(t, "microsecond", 0) for t in index
    ]
    fields = [np.array([getattr(t, name) for t in index]) for name in ("year", "month", "day")]
    days = _days(*fields)
    if days is None:
        missing = next(
            t for t, *ymd in zip(index, *fields, strict=True) if _days(*(np.array([v]) for v in ymd)) is None
        )
        raise DataError(
            f"the times are of the calendar {calendar!r} and hold {missing}, which is no date of the standard calendar. Convert "
            "them: X.convert_calendar('standard', align_on='date') of xarray."
        )
    times = pd.DatetimeIndex(days.astype("M8[us]") + np.array(microseconds, dtype="m8[us]"), name=index.name)
    return times


# ---------------------------------------------------------------- numbers

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
# 1980 and 2100 as days of a spreadsheet, whose day 0 is this one
_DAY_ZERO = np.datetime64("1899-12-30", "us")
_FIRST_DAY, _LAST_DAY = 29_221, 73_051


def _of_numbers(index: pd.Index, reading: str | None) -> Times:
    values = index.to_numpy()
    stay = Times(index, _NUMBERS)
    if isinstance(index, pd.RangeIndex) and index.start < _FIRST_DAY:
        return stay
    if reading == _NUMBERS or not len(values) or (values.dtype.kind == "f" and not np.isfinite(values).all()):
        return stay
    if reading is not None:
        read = _number_reading(values, reading)
        if read is not None:
            return Times(read.rename(index.name), reading)
    for name in (*_COMPACT, *_SECOND):
        read = _number_reading(values, name)
        if read is not None and not (name in _SECOND and not _surely_epoch(values, _SECOND[name])):
            return Times(read.rename(index.name), name)
    months = _number_reading(values, _MONTHS)
    if months is not None and _turns_of_the_year(values):
        return Times(months.rename(index.name), _MONTHS)
    days = _number_reading(values, _EXCEL)
    if days is not None and len(values) > 1 and _are_days(values, index):
        return Times(days.rename(index.name), _EXCEL)
    return stay


def _number_reading(values: np.ndarray, name: str) -> pd.DatetimeIndex | None:
    """The times that numbers stand for under one reading; None where they do not fit it."""
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
    if n_digits is None or low < 19 * 10.0 ** (n_digits - 2) or high >= 21 * 10.0 ** (n_digits - 2):
        return None
    whole = values.astype(np.int64)
    if values.dtype.kind == "f" and (whole != values).any():
        return None
    return _from_digits(whole, n_digits)


def _from_digits(whole: np.ndarray, n_digits: int) -> pd.DatetimeIndex | None:
    """Dates that are written as one number, such as 202401312300."""
    clock = np.zeros(len(whole), dtype=np.int64)
    for digits, size, limit in ((14, 1, 60), (12, 60, 60), (10, 3600, 25)):
        if n_digits >= digits:
            part = whole % 100
            if (part >= limit).any():
                return None
            clock, whole = clock + size * part, whole // 100
    if (clock > 86_400).any():
        return None
    year, month, day = (whole // 100, whole % 100, np.ones_like(whole)) if n_digits == 6 else (
        whole // 10_000, whole // 100 % 100, whole % 100
    )  # fmt: skip
    days = _days(year, month, day)
    return (
        None
        if days is None
        else pd.DatetimeIndex((days.astype("M8[s]") + clock.astype("m8[s]")).astype("M8[us]"))
    )


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
    known = str(index.name).strip().lower()
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
        first = _number_reading(values[:1], _EXCEL)
        assert first is not None
        raise DataError(
            f"the times such as {values[0]:g} can be read in two ways that are equally good: as numbers that count steps, or as "
            f"days of a spreadsheet ({first[0]}). Say which by the name of the column: 'step' or 'date'."
        )
    return False


# ---------------------------------------------------------------- text

_NO_DATE = (
    "the times such as {!r} are times of day without a date; needed: the date too, which says the weekday. Add it, for instance "
    "pandas.to_datetime('2024-01-31 ' + times)."
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
_TIME_OF_DAY = re.compile(
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
_ORDERS = {_DAY_FIRST: "dmy", _MONTH_FIRST: "mdy", _YEAR_FIRST: "ymd", "year, day, month": "ydm"}


def _of_text(index: pd.Index, reading: str | None) -> Times:
    """Each different text is read once."""
    places, distinct = pd.factorize(index)
    texts = pd.Series(distinct, dtype=object).str.strip().str.replace(r"\s+", " ", regex=True)
    numbers = pd.to_numeric(texts, errors="coerce")
    as_numbers = pd.Index(numbers, name=index.name)
    read = _of_numbers(as_numbers, reading) if numbers.notna().all() else _of_dates(texts, reading)
    return Times(read.index.take(places).rename(index.name), read.reading)


def _of_dates(texts: pd.Series, reading: str | None) -> Times:
    if texts.str.match(r"\d{4}-\d{2}(?!\d)").all():  # much the fastest
        try:
            return Times(pd.DatetimeIndex(pd.to_datetime(texts, format="ISO8601")), None)
        except (ValueError, TypeError, OverflowError):
            pass  # several UTC offsets, hours of 24, and the like
    if _all(texts, _TIME_OF_DAY):
        raise DataError(_NO_DATE.format(texts.iloc[0]))
    bare = texts.str.replace(_WEEKDAY, "", regex=True)
    fields = _extracted(bare, _COMPACT_DATE)
    if fields is not None:
        return Times(_one_reading(fields, "ymd", texts), None)
    fields = _extracted(bare, _NUMERIC_DATE)
    if fields is not None:
        return _of_fields(fields, texts, reading)
    for pattern, read in _OTHERS:
        if _all(texts, pattern):
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


def _all(texts: pd.Series, pattern: re.Pattern[str]) -> bool:
    return bool(texts.str.fullmatch(pattern).all())


def _extracted(texts: pd.Series, pattern: re.Pattern[str]) -> pd.DataFrame | None:
    """The groups of a pattern that every text has to match; None where one does not."""
    found = texts.str.extract(re.compile(f"^{pattern.pattern}$", re.IGNORECASE))
    return None if found["one"].isna().any() else found


def _of_fields(fields: pd.DataFrame, texts: pd.Series, reading: str | None) -> Times:
    """Dates of three numbers: the order that makes a regular axis."""
    lengths = {name: fields[name].str.len() for name in ("one", "three")}
    if (lengths["one"] == 4).all():
        read = _fields_in_order(fields, "ymd")
        order = "ymd" if read is not None else "ydm"
        return Times(_one_reading(fields, order, texts), None)
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
        raise _no_dates(texts)
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


def _irregularity(times: pd.DatetimeIndex) -> tuple[bool, int]:
    """Whether times are out of order, and how many steps between them are not the usual one."""
    ordered = times.is_monotonic_increasing or times.is_monotonic_decreasing
    return not ordered, breaks(times.unique().sort_values())


def _one_reading(fields: pd.DataFrame, order: str, texts: pd.Series) -> pd.DatetimeIndex:
    read = _fields_in_order(fields, order)
    if read is None:
        raise _no_dates(texts)
    return read


def _fields_in_order(fields: pd.DataFrame, order: str) -> pd.DatetimeIndex | None:
    """The times, if year, month and day come in that order; None where one is no date."""
    numbers = {
        part: fields[name].astype(np.int64).to_numpy()
        for part, name in zip(order, ("one", "two", "three"), strict=True)
    }
    year = numbers["y"]
    year = np.where(year >= 100, year, np.where(year < 69, 2000 + year, 1900 + year))
    days = _days(year, numbers["m"], numbers["d"])
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


def _no_dates(texts: pd.Series, error: BaseException | None = None) -> DataError:
    reason = "" if error is None else f" ({_one_line(error)})"
    return DataError(
        f"the times such as {texts.iloc[0]!r} do not read as dates of one format{reason}; needed: dates such as 2024-01-31 "
        "23:00, or numbers. Convert them, for instance with pandas.to_datetime."
    )


# ---------------------------------------------------------------- several columns

_PARTS = {
    "year": ("year", "yyyy", "yr", "jahr"),
    "month": ("month", "mm", "mo", "mon", "monat"),
    "day": ("day", "dd", "tag"),
    "hour": ("hour", "hh", "hr", "stunde"),
    "minute": ("minute", "min"),
    "second": ("second", "sec"),
}


def _from_parts(columns: dict[str, pd.Series]) -> pd.Series:
    """Times from whole numbers for year, month and so on; an hour of 24 belongs to the next day."""
    numbers = {part: pd.to_numeric(column, errors="coerce") for part, column in columns.items()}
    for part, column in numbers.items():
        if column.isna().any() or (column != np.floor(column)).any():
            row = int((column.isna() | (column != np.floor(column))).argmax())
            raise DataError(
                f"column {columns[part].name!r} holds {columns[part].iloc[row]} in row {row + 1}; needed: the {part} of "
                "each row as a whole number."
            )
    whole = {part: column.to_numpy(np.int64) for part, column in numbers.items()}
    days = _days(whole["year"], whole["month"], whole.get("day", np.ones_like(whole["year"])))
    limits = {"hour": 24, "minute": 59, "second": 59}
    wrong = [
        part
        for part, most in limits.items()
        if part in whole and ((whole[part] < 0) | (whole[part] > most)).any()
    ]
    if days is None or wrong:
        raise DataError(
            f"the columns {', '.join(str(c.name) for c in columns.values())} hold no dates in every row."
        )
    clock = sum(
        whole[part] * size for part, size in (("hour", 3600), ("minute", 60), ("second", 1)) if part in whole
    )
    times = days.astype("M8[s]") + np.asarray(clock, dtype=np.int64).astype("m8[s]")
    return pd.Series(times, index=next(iter(columns.values())).index)


_CLOCK_NAMES = ("time", "hour", "zeit", "uhrzeit", "hora", "time_of_day")


def _with_time_of_day(days: pd.Series, clock: pd.Series) -> pd.Series | None:
    """Dates and times of day as texts or numbers of hours, joined; None where they are something else."""
    if clock.isna().any() or days.isna().any():
        return None
    if pd.api.types.is_datetime64_any_dtype(days):
        complete = (days != days.dt.normalize()).any()
    else:
        complete = days.astype(str).str.contains(":", regex=False).any()
    if complete or (pd.api.types.is_numeric_dtype(clock) and days.is_unique):
        return None  # the hour is a reading like others
    hours = clock.astype(str).str.strip()
    if pd.api.types.is_numeric_dtype(clock):
        if (clock % 1 != 0).any() or clock.min() < 0 or clock.max() > 24:
            return None
        hours = clock.astype(int).astype(str) + ":00"
    elif not _all(hours, _TIME_OF_DAY):
        return None
    if pd.api.types.is_datetime64_any_dtype(days):
        days = days.dt.strftime("%Y-%m-%d")
    elif pd.api.types.is_numeric_dtype(days):
        read = _number_reading(days.to_numpy(), "yyyymmdd")
        if read is None:
            return None
        days = pd.Series(read.strftime("%Y-%m-%d"), index=days.index)
    return days.astype(str).str.strip() + " " + hours


def _days(year: np.ndarray, month: np.ndarray, day: np.ndarray) -> np.ndarray | None:
    """Days as datetime64[D]; None where one does not exist."""
    if (month < 1).any() or (month > 12).any() or (day < 1).any() or (year < 1).any() or (year > 9999).any():
        return None
    months = ((year - 1970) * 12 + month - 1).astype(np.int64).astype("M8[M]")
    days = months.astype("M8[D]") + (day - 1).astype("m8[D]")
    return days if (days.astype("M8[M]") == months).all() else None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
