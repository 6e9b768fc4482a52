"""Times that a table has in several columns, as one: year, month, day, hour; or date and time of day.

Builds on `times`; used by `containers` and the readers of files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import DataError
from .time_numbers import days_of, number_reading
from .time_text import TIME_OF_DAY, all_match
from .times import names_times

__all__ = ["join_time_columns"]

_PARTS = {
    "year": ("year", "yyyy", "yr", "jahr"),
    "month": ("month", "mm", "mo", "mon", "monat"),
    "day": ("day", "dd", "tag"),
    "hour": ("hour", "hh", "hr", "stunde"),
    "minute": ("minute", "min"),
    "second": ("second", "sec"),
}
_CLOCK_NAMES = ("time", "hour", "zeit", "uhrzeit", "hora", "time_of_day")


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
        if day is not None or any(names_times(name) and name != clock for name in frame.columns):
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
    days = days_of(whole["year"], whole["month"], whole.get("day", np.ones_like(whole["year"])))
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
    elif not all_match(hours, TIME_OF_DAY):
        return None
    if pd.api.types.is_datetime64_any_dtype(days):
        days = days.dt.strftime("%Y-%m-%d")
    elif pd.api.types.is_numeric_dtype(days):
        read = number_reading(days.to_numpy(), "yyyymmdd")
        if read is None:
            return None
        days = pd.Series(read.strftime("%Y-%m-%d"), index=days.index)
    return days.astype(str).str.strip() + " " + hours
