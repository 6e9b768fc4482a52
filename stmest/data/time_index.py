"""Time indexes: which times come next, which are missing, whether one continues another, and in which zone they are.

Builds on `time_frequency`; used by the containers and the forecasters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import DataError
from .time_frequency import MONTHS, fixed_step, frequency, offset_of, wall_clock

__all__ = [
    "follows",
    "future_index",
    "in_zone",
    "kind_of_times",
    "rows_are_missing",
    "whole_index",
    "zone_name",
]

_DAY = pd.Timedelta(1, "D")
# Rows that are missing are put in if they are at most this share of all, and are not missing by rule, as those of nights are
_MOST_MISSING = 1 / 3


def future_index(index: pd.Index, n_steps: int, freq: Any = None) -> pd.Index:
    """The index values that follow a time index.

    Parameters
    ----------
    index : pandas.Index
        Datetimes, periods or numbers, in time order.
    n_steps : int
        How many steps to add.
    freq : str, Timedelta, number, optional
        Time from one step to the next, for instance that of the training data (see `frequency`); default that of the index.

    Returns
    -------
    pandas.Index
        `n_steps` values. Where neither is known, datetimes go on by the hour and numbers by one.

    Examples
    --------
    >>> future_index(pd.RangeIndex(4), 2)
    RangeIndex(start=4, stop=6, step=1)
    """
    last = index[-1]
    if isinstance(index, pd.PeriodIndex):
        return pd.period_range(last + 1, periods=n_steps, freq=index.freq, name=index.name)
    if isinstance(index, pd.DatetimeIndex):
        step = freq if _fits(freq, last) else frequency(index)
        if not _fits(step, last):
            step = freq if isinstance(freq, str) else pd.Timedelta(1, "h")
        return _dates_after(last, n_steps, step).rename(index.name)
    step = frequency(index) if freq is None or isinstance(freq, (str, pd.Timedelta)) else freq
    if isinstance(index, pd.RangeIndex):
        step = index.step if step is None or step != int(step) else int(step)
        return pd.RangeIndex(last + step, last + step * (n_steps + 1), step, name=index.name)
    step = 1 if step is None else step
    return pd.Index([last + step * (i + 1) for i in range(n_steps)], name=index.name)


def _dates_after(last: pd.Timestamp, n_steps: int, freq: Any) -> pd.DatetimeIndex:
    """Dates after one from which a frequency goes on, or that lies between two of its dates."""
    if isinstance(freq, str) and freq.endswith(MONTHS):
        months = int(freq.removesuffix(MONTHS))
        return pd.DatetimeIndex([last + pd.DateOffset(months=months * (i + 1)) for i in range(n_steps)])
    dates = pd.date_range(
        last, periods=n_steps + 1, freq=freq if isinstance(freq, pd.Timedelta) else offset_of(freq)
    )
    return dates[dates > last][:n_steps]


def whole_index(index: pd.Index, freq: Any, places: np.ndarray) -> pd.Index:
    """A time index and, between its times, those that are missing.

    Parameters
    ----------
    index : pandas.Index
        Datetimes, periods or numbers, in time order.
    freq : str, Timedelta or number
        Time from one step to the next.
    places : ndarray of int
        What `positions` returns for it.

    Returns
    -------
    pandas.Index
        ``places[-1] + 1`` values; those at `places` are the ones of the index.
    """
    n_steps = int(places[-1]) + 1
    if isinstance(index, pd.PeriodIndex):
        return pd.period_range(index[0], periods=n_steps, freq=index.freq, name=index.name)
    if isinstance(index, pd.DatetimeIndex) and fixed_step(freq) is None:
        wall: Any = wall_clock(index)
        dates = (
            pd.DatetimeIndex([wall[0]])
            .append(_dates_after(wall[0], n_steps - 1, freq))
            .as_unit(index.unit)
            .to_numpy()
            .copy()
        )
        dates[places] = wall.to_numpy()
        dates = pd.DatetimeIndex(dates)
        if index.tz is not None:
            dates = dates.tz_localize(index.tz, ambiguous="NaT", nonexistent="shift_forward")
            values = dates.tz_convert("UTC").tz_localize(None).to_numpy().copy()
            values[places] = index.tz_convert("UTC").tz_localize(None).to_numpy()
            return pd.DatetimeIndex(values, name=index.name).tz_localize("UTC").tz_convert(index.tz)
        return dates.rename(index.name)
    known = index.asi8 if isinstance(index, pd.DatetimeIndex) else index.to_numpy()
    all_places = np.arange(n_steps)
    before = np.searchsorted(places, all_places, side="right") - 1
    after = np.minimum(before + 1, len(places) - 1)
    span = np.where(after > before, places[after] - places[before], 1)
    part = all_places - places[before]
    step = known[after] - known[before]
    whole = known.dtype.kind in "iu"
    values = known[before] + (step * part // span if whole else step * (part / span))
    if isinstance(index, pd.DatetimeIndex):
        moments = pd.DatetimeIndex(values.view(f"M8[{index.unit}]"), name=index.name)
        return moments if index.tz is None else moments.tz_localize("UTC").tz_convert(index.tz)
    return pd.Index(values, name=index.name)


def rows_are_missing(index: pd.Index, places: np.ndarray) -> bool:
    """Whether the steps that a time index lacks are missing by accident, and few.

    Parameters
    ----------
    index : pandas.Index
        Datetimes, periods or numbers, in time order.
    places : ndarray of int
        What `positions` returns for it.

    Returns
    -------
    bool
        False where none are missing, where they are more than a third of all, and where they recur: nights and weekends of a shop
        are no faults of its data. Steps recur if some times of the day, or of the week, have hardly ever a row, and at least half
        of the missing ones are at such times.
    """
    n_steps = int(places[-1]) + 1
    n_missing = n_steps - len(places)
    if not 0 < n_missing <= _MOST_MISSING * n_steps:
        return False
    wall = wall_clock(index)
    if wall is None:
        return True
    present = np.zeros(n_steps, dtype=bool)
    present[places] = True
    step = (wall[-1] - wall[0]) / (n_steps - 1)
    for cycle in (_DAY, 7 * _DAY):
        length = round(cycle / step)
        if length > 1 and n_steps >= 2 * length and _recur(present, length):
            return False
    return True


def _recur(present: np.ndarray, length: int) -> bool:
    """Whether most missing steps lie where a cycle has hardly ever a row."""
    place = np.arange(len(present)) % length
    often = np.bincount(place, minlength=length)
    found = np.bincount(place, weights=present, minlength=length)
    empty = found <= 0.1 * often
    return bool(2 * (often - found)[empty].sum() >= (~present).sum())


def kind_of_times(index: pd.Index | None) -> str | None:
    """Whether an index holds datetimes, periods or numbers, which cannot be compared with each other.

    Parameters
    ----------
    index : pandas.Index or None
        Any time index.

    Returns
    -------
    str or None
        ``"datetimes"``, ``"periods"``, ``"numbers"``, or None without an index.
    """
    if index is None:
        return None
    if isinstance(index, pd.DatetimeIndex):
        return "datetimes"
    return "periods" if isinstance(index, pd.PeriodIndex) else "numbers"


def follows(earlier: pd.Index | None, later: pd.Index | None, freq: Any = None) -> bool:
    """Whether one time index begins one step after another ends.

    Parameters
    ----------
    earlier, later : pandas.Index or None
        Two time indexes; None never follows nor is followed.
    freq : str, Timedelta, number, optional
        Time from one step to the next, as for `future_index`.

    Returns
    -------
    bool
        True if the first value of `later` is less than half a step from the one that comes after `earlier`.
    """
    if earlier is None or later is None or kind_of_times(earlier) != kind_of_times(later):
        return False
    if not len(earlier) or not len(later):
        return False
    try:
        following, after = future_index(earlier, 2, freq)
        if isinstance(earlier, pd.PeriodIndex):
            return bool(following == later[0])
        half = min(following - earlier[-1], after - following) / 2
        return bool(abs(later[0] - following) < half)
    except TypeError:  # a zoned and an unzoned time cannot be compared: they are no continuation
        return False


def zone_name(index: pd.Index | None) -> str | None:
    """Name of the time zone of an index; None where it has none."""
    zone = getattr(index, "tz", None)
    return None if zone is None else str(zone)


def in_zone(index: pd.Index, zone: str | None) -> pd.Index:
    """The same moments in another time zone.

    Parameters
    ----------
    index : pandas.Index
        Datetimes or periods.
    zone : str or None
        Name of the zone of the training data, None where they had none.

    Returns
    -------
    pandas.Index
        The index itself where the zone is the same.

    Raises
    ------
    DataError
        If one of the two has a zone and the other has not, or the zone is not known by that name.
    """
    given = zone_name(index)
    if given == zone:
        return index
    if zone is None:
        raise DataError(
            f"the training data have times without a time zone, X has the zone {given}; give both in the same time zone: "
            "X.tz_convert(zone of the training data).tz_localize(None)."
        )
    if given is None:
        raise DataError(
            f"the training data are in the time zone {zone}, the times of X have none; say which it is: X.tz_localize(...)."
        )
    try:
        return index.tz_convert(zone)
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(
            f"X is in the time zone {given}, the training data in {zone}; give both in one: X.tz_convert(...)."
        ) from error


def _fits(freq: Any, time: pd.Timestamp) -> bool:
    """Whether a frequency of datetimes may go on from a time: Mondays do not go on by Sundays."""
    if not isinstance(freq, (str, pd.Timedelta)):
        return False
    if isinstance(freq, pd.Timedelta) or freq.endswith(MONTHS):
        return True
    return bool(offset_of(freq).is_on_offset(time))
