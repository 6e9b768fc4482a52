"""Time indexes: their frequency, which times come next, which are missing, and whether one index continues another.

Builds on pandas only; used by the containers and the forecasters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from ..exceptions import DataError

__all__ = [
    "breaks",
    "follows",
    "frequency",
    "future_index",
    "in_zone",
    "kind_of_times",
    "offset_of",
    "positions",
    "rows_are_missing",
    "usual_step",
    "wall_clock",
    "whole_index",
    "zone_name",
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
# Rows that are missing are put in if they are at most this share of all, and are not missing by rule, as those of nights are
_MOST_MISSING = 1 / 3
# Frequencies that pandas has no name for: a number of months from any day on, and some days of the week
_MONTHS = " months"
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
    if named is None or "bh" not in named.lower():
        return named
    # business hours are not always those that pandas means
    hours = pd.date_range(index[0], periods=len(index), freq=named)
    return named if hours.equals(index) else None


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
    else:
        months = np.asarray(wall.year * 12 + wall.month)
        step = int(pd.Series(np.diff(months)).mode().iloc[0])
        if step > 0:
            if (wall.day == 1).all():
                candidates.append("MS" if step == 1 else f"{step}MS")
            if wall.is_month_end.all():
                candidates.append(pd.offsets.MonthEnd(step).freqstr)
            candidates.append(f"{step}{_MONTHS}")
    if days != int(days) or not candidates:
        candidates.append(_nominal_step(index))
    return candidates


def _nominal_step(index: pd.DatetimeIndex) -> pd.Timedelta:
    """The step that jittered stamps mean: the mean one without gaps, or the nearest that clocks keep."""
    steps = np.diff(index.asi8)
    near = steps[np.abs(steps - np.median(steps)) < 0.5 * np.median(steps)]
    seconds = float(near.mean() if len(near) else np.median(steps)) / _PER_SECOND[index.unit]
    nice = min(_NICE, key=lambda candidate: abs(np.log(candidate / seconds)))
    # what is left of the jitter in a mean of many
    unsure = 2 * _JITTER * seconds / max(len(near), 1)
    return pd.Timedelta(nice if abs(nice - seconds) <= max(unsure, 0.01 * nice) else round(seconds, 6), "s")


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
    if isinstance(freq, str) and freq.endswith(_MONTHS):
        months = int(freq.removesuffix(_MONTHS))
        return pd.DatetimeIndex([last + pd.DateOffset(months=months * (i + 1)) for i in range(n_steps)])
    dates = pd.date_range(
        last, periods=n_steps + 1, freq=freq if isinstance(freq, pd.Timedelta) else offset_of(freq)
    )
    return dates[dates > last][:n_steps]


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
    if freq.endswith(_MONTHS):
        return pd.DateOffset(months=int(freq.removesuffix(_MONTHS)))
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
        fixed = _fixed(freq)
        if fixed is not None:
            return _rounded(index.asi8, fixed / pd.Timedelta(1, index.unit))
        return _calendar_positions(index, freq)
    if isinstance(freq, (str, pd.Timedelta)):
        return None
    if isinstance(index, pd.RangeIndex) and freq == index.step:
        return np.arange(len(index))
    return _rounded(index.to_numpy(), freq)


def _fixed(freq: Any) -> pd.Timedelta | None:
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
    if freq.endswith(_MONTHS):
        return _rounded_months(wall, int(freq.removesuffix(_MONTHS)))
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
    if isinstance(index, pd.DatetimeIndex) and _fixed(freq) is None:
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
    if not isinstance(index, pd.DatetimeIndex) or usual >= _DAY or (steps == usual).mean() >= 0.5:
        return usual
    meant = _nominal_step(index)
    return usual if positions(index, meant) is None else meant


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
    if isinstance(freq, pd.Timedelta) or freq.endswith(_MONTHS):
        return True
    return bool(offset_of(freq).is_on_offset(time))
