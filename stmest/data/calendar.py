"""Time of day, day of week and day of year as input channels.

Builds on `time_index`; used by the forecasters where the data have dates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from ..exceptions import ParameterError
from .time_index import usual_step, wall_clock

__all__ = [
    "CALENDAR_FEATURES",
    "calendar_channels",
    "calendar_cycles",
    "calendar_features",
    "choose_calendar",
    "n_calendar_channels",
    "season_length",
    "slots_per_day",
]

CalendarFeature = Literal["time_of_day", "day_of_week", "day_of_year"]
CALENDAR_FEATURES: tuple[CalendarFeature, ...] = ("time_of_day", "day_of_week", "day_of_year")
_FEATURE_OF = dict(zip(("day", "week", "year"), CALENDAR_FEATURES, strict=True))

# Harmonics per cycle: three give a morning and an evening peak, two the seasons of a year.
_HARMONICS = {"time_of_day": 3, "day_of_year": 2}


def calendar_cycles(index: pd.Index | None) -> tuple[str, ...]:
    """The cycles of the calendar that a time index covers well enough to learn from.

    Parameters
    ----------
    index : pandas.Index or None
        Times of the training data.

    Returns
    -------
    tuple of str
        ``"day"`` for a usual step shorter than a day, ``"week"`` for one of at most a day, ``"year"``, each where the times
        cover at least two of them; empty without dates.
    """
    times = wall_clock(index)
    if times is None or len(times) < 3:
        return ()
    step, span, day = usual_step(times), times[-1] - times[0], pd.Timedelta(1, "D")
    supported = {
        "day": step < day and span >= 2 * day,
        "week": step <= day and span >= 14 * day,
        "year": span >= 730 * day,
    }
    return tuple(cycle for cycle, covered in supported.items() if covered)


def choose_calendar(index: pd.Index | None) -> tuple[CalendarFeature, ...]:
    """The calendar features that an index can support.

    Parameters
    ----------
    index : pandas.Index or None
        Times of the training data.

    Returns
    -------
    tuple of str
        ``"time_of_day"``, ``"day_of_week"`` and ``"day_of_year"``, as far as `calendar_cycles` finds the day, the week and
        the year; empty without dates.

    Examples
    --------
    >>> choose_calendar(pd.date_range("2024-01-01", periods=24 * 21, freq="h"))
    ('time_of_day', 'day_of_week')
    """
    return tuple(_FEATURE_OF[cycle] for cycle in calendar_cycles(index))


def season_length(index: pd.Index | None) -> int:
    """Time steps per season that a time index suggests.

    Parameters
    ----------
    index : pandas.Index or None
        Times of the time steps.

    Returns
    -------
    int
        The usual number of time steps per calendar day; 7 for daily data; 24 where there are no dates, and 1 for time steps
        further apart than a day.

    Examples
    --------
    >>> season_length(pd.date_range("2024-01-01", periods=500, freq="15min"))
    96
    """
    times = wall_clock(index)
    if times is None:
        return 24
    per_day = int(pd.Series(1, index=times).groupby(times.normalize()).size().mode().iloc[-1])
    if per_day > 1 or len(times) < 2:
        return per_day
    return 7 if usual_step(times) <= pd.Timedelta(1, "D") else 1


def slots_per_day(index: pd.Index | None, most: int) -> int:
    """Number of time slots per day that a time index can distinguish.

    Parameters
    ----------
    index : pandas.Index or None
        Times of the time steps; hours of the day without any time step count too.
    most : int
        Upper limit.

    Returns
    -------
    int
        A day over the usual step, at least 1 and at most `most`; 1 where there are no dates.

    Examples
    --------
    >>> slots_per_day(pd.date_range("2024-01-01", periods=500, freq="15min"), most=288)
    96
    """
    times = wall_clock(index)
    if times is None or len(times) < 2:
        return 1
    return int(np.clip(round(pd.Timedelta(1, "D") / usual_step(times)), 1, most))


def n_calendar_channels(kinds: Sequence[str]) -> int:
    """How many channels `calendar_features` makes of the given kinds."""
    return sum(7 if kind == "day_of_week" else 2 * _HARMONICS[kind] for kind in kinds)


def calendar_channels(kinds: Sequence[str]) -> dict[str, range]:
    """Which channels `calendar_features` makes of each of the given kinds.

    Parameters
    ----------
    kinds : sequence of {"time_of_day", "day_of_week", "day_of_year"}
        Kinds, in their order.

    Returns
    -------
    dict of str to range
        Positions; of a cycle, the sines of all harmonics come before the cosines, the lowest first.

    Examples
    --------
    >>> calendar_channels(["day_of_week", "time_of_day"])
    {'day_of_week': range(0, 7), 'time_of_day': range(7, 13)}
    """
    ends = [n_calendar_channels(kinds[: i + 1]) for i in range(len(kinds))]
    return {kind: range(first, end) for kind, first, end in zip(kinds, [0, *ends], ends, strict=False)}


def calendar_features(index: pd.Index, kinds: Sequence[str]) -> np.ndarray:
    """Calendar channels of each time.

    Parameters
    ----------
    index : pandas.DatetimeIndex or pandas.PeriodIndex of length n_times
        The times.
    kinds : sequence of {"time_of_day", "day_of_week", "day_of_year"}
        Which cycles to describe.

    Returns
    -------
    ndarray of shape (n_times, n_channels), float32
        Sine and cosine of three harmonics of the day, seven 0/1 channels for the weekday, sine and cosine of two
        harmonics of the year, as far as asked for.

    Raises
    ------
    ParameterError
        If a kind is unknown, or the index has no dates.
    """
    unknown = [kind for kind in kinds if kind not in CALENDAR_FEATURES]
    if unknown:
        raise ParameterError(f"unknown time feature {unknown[0]!r}; known are {list(CALENDAR_FEATURES)}.")
    times = wall_clock(index)
    if times is None:
        raise ParameterError(
            f"time features {list(kinds)} need an index of dates, but the data have {type(index).__name__}; "
            "give X as a DataFrame with a DatetimeIndex, or leave time_features='auto'."
        )
    columns: list[np.ndarray] = []
    for kind in kinds:
        if kind == "day_of_week":
            columns.append(np.eye(7)[times.dayofweek])
            continue
        seconds = np.asarray((times - times.normalize()).total_seconds())
        days = np.asarray(times.dayofyear) - 1 + seconds / 86_400
        fraction = seconds / 86_400 if kind == "time_of_day" else days / 365.2425
        angle = 2 * np.pi * fraction[:, None] * np.arange(1, _HARMONICS[kind] + 1)
        columns += [np.sin(angle), np.cos(angle)]
    return np.concatenate(columns or [np.empty((len(times), 0))], axis=1).astype(np.float32)
