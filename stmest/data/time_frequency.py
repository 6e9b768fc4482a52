"""The frequency of a time index: its usual step, the calendar that it follows, and where its times lie on it.

Builds on pandas only; used by `time_index`, the readers of times and the forecasters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

__all__ = [
    "MONTHS",
    "breaks",
    "fixed_step",
    "frequency",
    "offset_of",
    "positions",
    "usual_step",
    "wall_clock",
]

_DAY = pd.Timedelta(1, "D")
# Steps that clocks and loggers keep, in seconds: jittered stamps are taken to mean the nearest
_NICE = (
    1,
    2,
    5,
    10,
    15,
    20,
    30,
    60,
    120,
    300,
    600,
    900,
    1200,
    1800,
    3600,
    7200,
    10_800,
    14_400,
    21_600,
    43_200,
    86_400,
)
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
# How far from its place a stamp may lie, in steps
_JITTER = 0.3
# Frequencies that pandas has no name for: a number of months from any day on, and some days of the week
MONTHS = " months"
_WEEKDAYS = "days of "
_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def frequency(index: pd.Index | None) -> Any:
    """Time from one time step of an index to the next, as a value that a file can hold.

    Parameters
    ----------
    index : pandas.Index or None
        Datetimes, periods or numbers, in time order. Rows may be missing, and stamps may lie a little beside their place.

    Returns
    -------
    str, Timedelta, number or None
        Name of the frequency where datetimes have one; else the most frequent step. Two names are not those of pandas:
        ``"3 months"``, from any day of the month on, and ``"days of Mon Tue Sun"``. None without an index, and for fewer than
        two time steps that name none.

    Examples
    --------
    >>> frequency(pd.date_range("2024-01-31", periods=4, freq="ME"))
    'ME'
    >>> frequency(pd.date_range("2024-01-01", periods=9, freq="MS").delete(4))
    'MS'
    """
    if isinstance(index, pd.PeriodIndex):
        return index.freqstr
    if not isinstance(index, pd.DatetimeIndex):
        return None if index is None else usual_step(index)
    if (
        index.freq is not None and to_offset(index.freqstr) == index.freq
    ):  # the name of some offsets does not say all
        return index.freqstr
    named = _inferred(index)
    if named is not None:
        return named
    usual = usual_step(index)
    return usual if len(index) < 2 else _frequency_with_gaps(index, usual)


def _inferred(index: pd.DatetimeIndex) -> str | None:
    """Name of a frequency that has every time of an index, and no other."""
    named = pd.infer_freq(index) if len(index) > 2 else None
    if named is None or not ("bh" in named.lower() or "WOM" in named):
        return named
    # pandas takes other business hours, and the last week of a month, for what they are not
    dates = pd.date_range(index[0], periods=len(index), freq=named)
    return named if dates.as_unit(index.unit).equals(index) else None


def _frequency_with_gaps(index: pd.DatetimeIndex, usual: pd.Timedelta) -> Any:
    """The frequency whose times hold all of an index and the fewest others; else the usual step."""
    wall: Any = wall_clock(index)
    steps = np.diff(wall.asi8)
    if usual_step(wall) < _DAY:
        return usual
    candidates = _calendar_candidates(index, wall, steps)
    counted = {
        candidate: places for candidate in candidates if (places := positions(index, candidate)) is not None
    }
    if counted:
        return min(counted, key=lambda candidate: counted[candidate][-1])
    return usual


def _calendar_candidates(index: pd.DatetimeIndex, wall: pd.DatetimeIndex, steps: np.ndarray) -> list[Any]:
    """Frequencies of days, weeks and months that an index may have."""
    ends = np.flatnonzero(steps > 1.5 * np.median(steps)) + 1  # a longer step is a gap
    longest = max(np.split(np.arange(len(index)), ends), key=len)
    run = _inferred(index[longest[0] : longest[-1] + 1])
    candidates: list[Any] = [] if run is None else [run]
    days = usual_step(wall) / _DAY
    if days == 1:
        present = [name for day, name in enumerate(_NAMES) if (wall.dayofweek == day).any()]
        if present == [*_NAMES[:5]]:
            candidates.append("B")
        elif wall[-1] - wall[0] >= 28 * _DAY:  # else a day of the week may be missing by chance
            candidates.append(_WEEKDAYS + " ".join(present))
    if days == 7:
        candidates.append(f"W-{wall[0].day_name()[:3].upper()}")
    elif days < 28 and days == int(days):
        candidates.append(f"{int(days)}D" if days > 1 else "D")
        candidates += _half_months(wall)
    else:
        months = np.asarray(wall.year * 12 + wall.month)
        step = int(pd.Series(np.diff(months)).mode().iloc[0])
        if step > 0:
            if (wall.day == 1).all():
                candidates.append("MS" if step == 1 else f"{step}MS")
            if wall.is_month_end.all():
                candidates.append(pd.offsets.MonthEnd(step).freqstr)
            if step == 1 and (wall.dayofweek == wall.dayofweek[0]).all():
                candidates.append(f"LWOM-{_NAMES[wall.dayofweek[0]].upper()}")
            candidates.append(f"{step}{MONTHS}")
    if days != int(days) or not candidates:
        candidates.append(_nominal_step(index))
    return candidates


def _half_months(wall: pd.DatetimeIndex) -> list[str]:
    """Frequencies of two days of each month that an index may have."""
    days = sorted(set(wall.day))
    if len(days) > 5:
        return []
    if len(days) == 2 and days[0] == 1:
        return [f"SMS-{days[1]}"]
    middle = [day for day in days if day < 28]
    return [f"SME-{middle[0]}"] if len(middle) == 1 else []


def _nominal_step(index: pd.DatetimeIndex) -> pd.Timedelta:
    """The step that jittered stamps mean: the mean one without gaps, or the nearest that clocks keep."""
    steps = np.diff(index.asi8)
    near = steps[np.abs(steps - np.median(steps)) < 0.5 * np.median(steps)]
    seconds = float(near.mean() if len(near) else np.median(steps)) / _PER_SECOND[index.unit]
    nice = min(_NICE, key=lambda candidate: abs(np.log(candidate / seconds)))
    # what is left of the jitter in a mean of many
    unsure = 2 * _JITTER * seconds / max(len(near), 1)
    return pd.Timedelta(nice if abs(nice - seconds) <= max(unsure, 0.01 * nice) else round(seconds, 6), "s")


def usual_step(index: pd.Index) -> Any:
    """The most frequent difference between neighbours of a time index; of jittered stamps the step that they mean.

    Parameters
    ----------
    index : pandas.Index
        Datetimes or numbers, in time order.

    Returns
    -------
    pandas.Timedelta, int, float or None
        The smallest, where several are equally frequent; None for fewer than two values.

    Examples
    --------
    >>> usual_step(pd.DatetimeIndex(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-07"]))
    Timedelta('1 days 00:00:00')
    """
    if len(index) < 2:
        return None
    steps = pd.Series(index[1:] - index[:-1])
    usual = steps.mode().iloc[0]
    if not isinstance(index, pd.DatetimeIndex) or usual >= _DAY or not _is_jittered(steps, usual):
        return usual
    meant = _nominal_step(index)
    return usual if positions(index, meant) is None else meant


def _is_jittered(steps: pd.Series, usual: pd.Timedelta) -> bool:
    """Whether steps that are near the usual one differ from it, so that it may be no step of a clock."""
    if (steps == usual).mean() < 0.5:
        return True
    return bool(((steps != usual) & ((steps - usual).abs() < 0.5 * usual)).mean() > 0.1)


def wall_clock(index: pd.Index | None) -> pd.DatetimeIndex | None:
    """Local times without a time zone: daily patterns follow them, also across daylight saving changes.

    Parameters
    ----------
    index : pandas.Index or None
        Time index of any kind; of a period, its start counts.

    Returns
    -------
    pandas.DatetimeIndex or None
        Times without a zone; None where the index has no dates.
    """
    if isinstance(index, pd.PeriodIndex):
        return index.to_timestamp()
    return index.tz_localize(None) if isinstance(index, pd.DatetimeIndex) else None


def offset_of(freq: str) -> Any:
    """The pandas offset that a name of a frequency stands for.

    Parameters
    ----------
    freq : str
        As `frequency` returns it.

    Returns
    -------
    pandas.DateOffset
        One step.
    """
    if freq.endswith(MONTHS):
        return pd.DateOffset(months=int(freq.removesuffix(MONTHS)))
    if freq.startswith(_WEEKDAYS):
        return pd.offsets.CustomBusinessDay(weekmask=freq.removeprefix(_WEEKDAYS))
    return to_offset(freq)


def positions(index: pd.Index, freq: Any) -> np.ndarray | None:
    """How many steps each time lies after the first one.

    Parameters
    ----------
    index : pandas.Index
        Datetimes, periods or numbers, in time order.
    freq : str, Timedelta, number or None
        Time from one step to the next.

    Returns
    -------
    ndarray of int or None
        Beginning with 0 and rising; None where the times do not lie on steps of that frequency, near which jitter may put them.

    Examples
    --------
    >>> positions(pd.DatetimeIndex(["2024-01-05", "2024-01-08", "2024-01-10"]), "B").tolist()
    [0, 1, 3]
    """
    if not len(index) or freq is None:
        return None
    if isinstance(index, pd.PeriodIndex):
        return _rounded(index.asi8, to_offset(index.freq).n)
    if isinstance(index, pd.DatetimeIndex):
        fixed = fixed_step(freq)
        if fixed is not None:
            return _rounded(index.asi8, fixed / pd.Timedelta(1, index.unit))
        return _calendar_positions(index, freq)
    if isinstance(freq, (str, pd.Timedelta)):
        return None
    if isinstance(index, pd.RangeIndex) and freq == index.step:
        return np.arange(len(index))
    return _rounded(index.to_numpy(), freq)


def fixed_step(freq: Any) -> pd.Timedelta | None:
    """The step of a frequency whose steps are all equal, also where clocks change."""
    if isinstance(freq, pd.Timedelta):
        return freq
    if not isinstance(freq, str):
        return None
    offset = offset_of(freq)
    if isinstance(offset, pd.offsets.Tick) and not isinstance(offset, pd.offsets.Day):
        return pd.Timedelta(offset)
    return None


def _rounded(values: np.ndarray, step: float) -> np.ndarray | None:
    if not step or step <= 0:
        return None
    steps = np.diff(values) / step
    whole = np.round(steps)
    if len(steps) and (whole.min() < 1 or np.abs(steps - whole).max() > _JITTER):
        return None
    return np.concatenate([[0], np.cumsum(whole.astype(np.int64))])


def _calendar_positions(index: pd.DatetimeIndex, freq: str) -> np.ndarray | None:
    wall: Any = wall_clock(index)
    weekdays = {"B": _NAMES[:5], "D": _NAMES}.get(freq)
    if freq.startswith(_WEEKDAYS):
        weekdays = tuple(freq.removeprefix(_WEEKDAYS).split(" "))
    if weekdays is not None:  # without a list of all days between
        days = wall.to_numpy().astype("M8[D]")
        clock = wall.asi8 - wall.normalize().asi8
        mask = " ".join(weekdays)
        if (clock != clock[0]).any() or not np.is_busday(days, mask).all():
            return None
        return np.busday_count(days[0], days, mask)
    if freq.endswith(MONTHS):
        return _rounded_months(wall, int(freq.removesuffix(MONTHS)))
    try:
        if not offset_of(freq).is_on_offset(wall[0]):
            return None
        dates = pd.date_range(wall[0], wall[-1], freq=offset_of(freq))
    except (ValueError, OverflowError):
        return None
    places = dates.get_indexer(wall)
    return None if (places < 0).any() else places


def _rounded_months(wall: pd.DatetimeIndex, step: int) -> np.ndarray | None:
    """Months since the first time, of times that lie near the same day of each month."""
    months = np.asarray(wall.year * 12 + wall.month)
    places = _rounded(months, step)
    if places is None or (np.diff(months) % step).any():
        return None
    day = np.asarray(wall.day)
    return places if day.max() - day.min() <= 31 * _JITTER else None


def breaks(index: pd.Index) -> int:
    """How many steps of a time index are not the usual one.

    Parameters
    ----------
    index : pandas.Index
        Datetimes, periods or numbers, in time order.

    Returns
    -------
    int
        0 for a regular index, also of months or business days, and for fewer than three times.

    Examples
    --------
    >>> breaks(pd.date_range("2024-01-31", periods=9, freq="ME")), breaks(pd.Index([1, 2, 3, 5]))
    (0, 1)
    """
    if len(index) < 3:
        return 0
    places = positions(index, frequency(index))
    if places is not None:
        return int((np.diff(places) > 1).sum())
    return int((index[1:] - index[:-1] != usual_step(index)).sum())
