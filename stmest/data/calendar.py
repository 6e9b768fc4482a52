"""Time of day, day of week, day of year and public holidays as input channels.

Builds on `time_index`; used by the forecasters where the data have dates.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Literal

import numpy as np
import pandas as pd

from ..exceptions import ParameterError
from ..runtime import require
from .time_frequency import usual_step, wall_clock

__all__ = [
    "CALENDAR_FEATURES",
    "calendar_channels",
    "calendar_cycles",
    "calendar_features",
    "choose_calendar",
    "n_calendar_channels",
    "n_event_channels",
    "season_length",
    "slots_per_day",
    "wanted_calendar",
]

CalendarFeature = Literal["time_of_day", "day_of_week", "day_of_year"]
CALENDAR_FEATURES: tuple[CalendarFeature, ...] = ("time_of_day", "day_of_week", "day_of_year")
_FEATURE_OF = dict(zip(("day", "week", "year"), CALENDAR_FEATURES, strict=True))

# Harmonics per cycle: three give a morning and an evening peak, two the seasons of a year.
_HARMONICS = {"time_of_day": 3, "day_of_year": 2}
_CYCLE_CHANNELS = {"day_of_week": 7, **{kind: 2 * harmonics for kind, harmonics in _HARMONICS.items()}}
# Followed by a country, and a subdivision of it after a hyphen
_HOLIDAYS = "holidays:"


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


def wanted_calendar(wanted: Sequence[str], index: pd.Index | None) -> tuple[str, ...]:
    """The calendar features that a user specifies, if the index can have them.

    Parameters
    ----------
    wanted : sequence of {"auto", "time_of_day", "day_of_week", "day_of_year", "holidays:US", "holidays:DE-BY", ...}
        Kinds; ``"auto"`` stands for those of `choose_calendar`.
    index : pandas.Index or None
        Times of the training data.

    Returns
    -------
    tuple of str
        Each kind once, in the order of `wanted`; holidays come last, as the networks expect.

    Raises
    ------
    ParameterError
        If a kind, country or subdivision is unknown, the index has no dates, or holidays are asked of time steps longer than
        a day.
    MissingDependencyError
        If holidays are asked for and the package holidays (extra ``calendar``) is missing.

    Examples
    --------
    >>> wanted_calendar(["holidays:DE-BY", "auto"], pd.date_range("2024-01-01", periods=24 * 21, freq="h"))
    ('time_of_day', 'day_of_week', 'holidays:DE-BY')
    """
    _check_kinds(wanted, (*CALENDAR_FEATURES, "auto"))
    kinds = [kind for one in wanted for kind in (choose_calendar(index) if one == "auto" else (one,))]
    times = wall_clock(index)
    if kinds and times is None:
        raise ParameterError(
            f"time_features={list(wanted)} need dates, but X has none; give a DataFrame with a DatetimeIndex."
        )
    for kind in filter(_is_event, kinds):
        _holidays(kind, [])
        step = usual_step(times)
        if step is not None and step > pd.Timedelta(1, "D"):
            raise ParameterError(
                f"time_features names {kind!r}, but a holiday is a day, and the time steps of X are {step} apart. Leave it out, "
                "or give data of days or of a finer step."
            )
    return tuple(sorted(dict.fromkeys(kinds), key=_is_event))


def n_calendar_channels(kinds: Sequence[str]) -> int:
    """How many channels `calendar_features` makes of the given kinds."""
    return sum(3 if _is_event(kind) else _CYCLE_CHANNELS[kind] for kind in kinds)


def n_event_channels(kinds: Sequence[str]) -> int:
    """How many of them describe holidays, which, unlike cycles, do not follow from the calendar of an earlier time step."""
    return n_calendar_channels([kind for kind in kinds if _is_event(kind)])


def calendar_channels(kinds: Sequence[str]) -> dict[str, range]:
    """Which channels `calendar_features` makes of each of the given kinds.

    Parameters
    ----------
    kinds : sequence of str
        Kinds, in their order; see `calendar_features`.

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
    kinds : sequence of {"time_of_day", "day_of_week", "day_of_year", "holidays:US", "holidays:DE-BY", ...}
        What to describe; holidays of a country, or of a subdivision of it.

    Returns
    -------
    ndarray of shape (n_times, n_channels), float32
        Sine and cosine of three harmonics of the day, seven 0/1 channels for the weekday, sine and cosine of two
        harmonics of the year, and three 0/1 channels for public holidays (the day is one, the day before one, the day after
        one), as far as asked for. All of them follow the local date and time.

    Raises
    ------
    ParameterError
        If a kind, country or subdivision is unknown, or the index has no dates.
    MissingDependencyError
        If holidays are asked for and the package holidays (extra ``calendar``) is missing.

    Examples
    --------
    >>> calendar_features(pd.date_range("2024-07-03", periods=3), ["holidays:US"]).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    _check_kinds(kinds, CALENDAR_FEATURES)
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
        if _is_event(kind):
            columns.append(_holiday_channels(kind, times))
            continue
        seconds = np.asarray((times - times.normalize()).total_seconds())
        days = np.asarray(times.dayofyear) - 1 + seconds / 86_400
        fraction = seconds / 86_400 if kind == "time_of_day" else days / 365.2425
        angle = 2 * np.pi * fraction[:, None] * np.arange(1, _HARMONICS[kind] + 1)
        columns += [np.sin(angle), np.cos(angle)]
    return np.concatenate(columns or [np.empty((len(times), 0))], axis=1).astype(np.float32)


def _is_event(kind: str) -> bool:
    return kind.startswith(_HOLIDAYS)


def _check_kinds(kinds: Sequence[object], cycles: Sequence[str]) -> None:
    for kind in kinds:
        if not isinstance(kind, str) or not (kind in cycles or _is_event(kind)):
            raise ParameterError(
                f"time_features names {kind!r}; known are {list(cycles)}, and the holidays of a country, such as 'holidays:US', "
                "or of a subdivision, such as 'holidays:DE-BY'."
            )


def _holiday_channels(kind: str, times: pd.DatetimeIndex) -> np.ndarray:
    """Whether each time lies on a holiday, on the day before one, on the day after one: (n_times, 3)."""
    days, place = np.unique(times.to_numpy().astype("datetime64[D]"), return_inverse=True)
    years = np.unique(days.astype("datetime64[Y]")).astype(int) + 1970
    # a holiday of one year may be observed in the next; so the neighbours are looked at too, whatever the other days are
    around = sorted({int(year) + shift for year in years for shift in (-1, 0, 1)})
    holidays = np.array(sorted(_holidays(kind, around)), dtype="datetime64[D]")
    return np.stack([np.isin(days + shift, holidays) for shift in (0, 1, -1)], axis=1)[place]


def _holidays(kind: str, years: Sequence[int]) -> set[date]:
    """The holidays of some years; unknown countries and subdivisions are refused."""
    package = require("holidays", "calendar")
    country, hyphen, subdivision = kind.removeprefix(_HOLIDAYS).partition("-")
    known = package.list_supported_countries(include_aliases=False)
    if country not in known:
        raise ParameterError(
            f"time_features names {kind!r}, but the package holidays knows no country {country!r}. Write its code of two "
            f"capitals, as in 'holidays:US'; known are {', '.join(sorted(known))}."
        )
    if hyphen and subdivision not in known[country]:
        there = f"known are {', '.join(known[country])}" if known[country] else "it knows none there"
        raise ParameterError(
            f"time_features names {kind!r}, but the package holidays knows no subdivision {subdivision!r} of {country}; {there}. "
            f"Without one, write '{_HOLIDAYS}{country}'."
        )
    return set(package.country_holidays(country, subdiv=subdivision or None, years=years))
