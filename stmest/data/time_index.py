"""Time indexes: their usual step, which times come next, and whether one index continues another.

Builds on pandas only; used by the containers and the forecasters.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from pandas.tseries.frequencies import to_offset

from ..exceptions import DataError

__all__ = ["follows", "frequency", "future_index", "in_zone", "usual_step", "wall_clock", "zone_name"]


def frequency(index: pd.Index | None) -> Any:
    """Time from one time step of an index to the next, as a value that a file can hold.

    Parameters
    ----------
    index : pandas.Index or None
        Datetimes, periods or numbers, in time order.

    Returns
    -------
    str, Timedelta, number or None
        Name of the regular frequency where datetimes have one; else the most frequent step. None without an index, and for
        fewer than two time steps that name none.

    Examples
    --------
    >>> frequency(pd.date_range("2024-01-31", periods=4, freq="ME"))
    'ME'
    """
    if isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex)):
        named = index.freqstr
        if named is None and len(index) > 2:
            named = pd.infer_freq(index)
        if named is not None:
            return named
    return None if index is None else usual_step(index)


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
    if isinstance(index, pd.RangeIndex):
        return pd.RangeIndex(last + index.step, last + index.step * (n_steps + 1), index.step)
    if isinstance(index, pd.PeriodIndex):
        return pd.period_range(last + 1, periods=n_steps, freq=index.freq)
    if isinstance(index, pd.DatetimeIndex):
        step = freq if _fits(freq, last) else frequency(index)
        step = pd.Timedelta(1, "h") if step is None else step
        return pd.date_range(last, periods=n_steps + 1, freq=step, name=index.name)[1:]
    step = frequency(index) if freq is None or isinstance(freq, (str, pd.Timedelta)) else freq
    step = 1 if step is None else step
    return pd.Index([last + step * (i + 1) for i in range(n_steps)], name=index.name)


def usual_step(index: pd.Index) -> Any:
    """The most frequent difference between neighbours of a time index.

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
    return pd.Series(index[1:] - index[:-1]).mode().iloc[0]


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
        True if the first value of `later` is the step after the last value of `earlier`.
    """
    if (
        earlier is None
        or later is None
        or type(earlier) is not type(later)
        or not len(earlier)
        or not len(later)
    ):
        return False
    try:
        return bool(future_index(earlier, 1, freq)[0] == later[0])
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
    return isinstance(freq, pd.Timedelta) or bool(to_offset(freq).is_on_offset(time))
