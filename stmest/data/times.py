"""One reader of times for all borders: files, frames, xarray, and what comes out of other libraries.

A column of times can mean several things: ``03/04/2024``, ``45292``, ``1700000000``. `read_times` tries the readings that a
column allows, takes the one that makes a regular axis, and refuses where two are equally good. Numbers that count steps stay
numbers.
Builds on `time_numbers` and `time_text`; used by `containers`, `fields` and the readers of files.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from datetime import date, time
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import DataError
from .time_numbers import NO_DATE, Times, days_of, read_numbers
from .time_text import read_text

__all__ = ["STEP_NAMES", "Times", "looks_like_times", "names_times", "read_times"]

# Words of which one has to be in the name of a column, a level or a dimension of times, and those that may stand beside them
_TIME_WORDS = {
    "time", "ds", "timestamp", "date", "datetime", "datum", "zeit", "zeitstempel", "fecha", "epoch", "unix", "unixtime",
}  # fmt: skip
_BESIDE_TIMES = {"utc", "gmt", "local", "valid", "stamp", "iso", "seconds", "sec", "s", "ms"}
# Names, lower case, that mean a time where no column has such a name
STEP_NAMES = (
    "timepoints", "timepoint", "time_idx", "time_index", "period", "step", "t", "hour", "day", "month", "year",
)  # fmt: skip


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
    if plain.dtype.kind == "u" and plain.max() < 2**63:  # numpy adds signed and unsigned numbers as floats
        plain = plain.astype(np.int64)
    if isinstance(plain, (pd.DatetimeIndex, pd.PeriodIndex)):
        return Times(plain, None)
    if plain.dtype.kind in "iuf":
        return read_numbers(plain, reading)
    if plain.dtype.kind == "O" and len(plain):
        if all(isinstance(value, str) for value in plain):
            return read_text(plain, reading)
        numbered = all(isinstance(value, (int, float, np.number, Decimal)) for value in plain)
        if (
            numbered
            and not isinstance(plain, pd.CategoricalIndex)
            and not any(isinstance(value, bool) for value in plain)
        ):
            return read_numbers(pd.Index(pd.to_numeric(plain), name=plain.name), reading)
        return Times(_of_objects(plain), None)
    way_out = "Convert it, for instance with pandas.to_datetime."
    if plain.dtype.kind == "m":
        way_out = "Add the time of the start: pandas.Timestamp('2024-01-31 00:00') + times."
    raise DataError(
        f"the time index holds {index.dtype} values{_such_as(index)}; needed: datetimes, periods or numbers. {way_out}"
    )


def names_times(name: Hashable) -> bool:
    """Whether a name says that a column, a level or a dimension holds times.

    Parameters
    ----------
    name : hashable
        Any; in upper or lower case, and with a unit in brackets.

    Returns
    -------
    bool
        False for names that mean a step, such as ``"hour"``, which may be a value like others (`STEP_NAMES`).

    Examples
    --------
    >>> [names_times(name) for name in ("time", "Date/Time (UTC)", "timestamp_utc", "travel_time", "hour")]
    [True, True, True, False, False]
    """
    text = re.sub(r"\(.*?\)|\[.*?\]", " ", str(name))
    words = re.findall(r"[^\W\d_]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower())
    return any(word in _TIME_WORDS for word in words) and {*words} <= _TIME_WORDS | _BESIDE_TIMES


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
        raise DataError(NO_DATE.format(str(first)))
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
    days = days_of(*fields)
    if days is None:
        missing = next(
            t
            for t, *ymd in zip(index, *fields, strict=True)
            if days_of(*(np.array([v]) for v in ymd)) is None
        )
        raise DataError(
            f"the times are of the calendar {calendar!r} and hold {missing}, which is no date of the standard calendar. Convert "
            "them: X.convert_calendar('standard', align_on='date') of xarray."
        )
    times = pd.DatetimeIndex(days.astype("M8[us]") + np.array(microseconds, dtype="m8[us]"), name=index.name)
    return times


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
