"""Values at the same time of earlier days and weeks, which lie beyond the look-back of a window.

A look-back of 24 hours does not know what the same hour of the last week was. `History` finds the rows for target time steps;
none of them lies at or after the origin of a forecast. Builds on `calendar`; used in training and for forecasts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from .calendar import calendar_cycles
from .moments import mean_of_observed
from .time_frequency import usual_step, wall_clock

__all__ = ["History", "beside_season", "choose_history", "history_length", "known_kinds", "older_steps"]

# What is looked up: time between two looks, and how many looks are averaged
_LOOKS: dict[str, tuple[pd.Timedelta, int]] = {
    "day": (pd.Timedelta(1, "D"), 1),
    "week": (pd.Timedelta(7, "D"), 1),
    "four_weeks": (pd.Timedelta(7, "D"), 4),
}
_LEAST_WEEKS = 8  # of training data, for the mean over four


def choose_history(index: pd.Index | None, period: Any = None) -> tuple[str | int, ...]:
    """What can be looked up in the past of data with some times.

    Parameters
    ----------
    index : pandas.Index or None
        Times of the training data.
    period : int, optional
        Time steps of a cycle, for data without dates.

    Returns
    -------
    tuple of str or int
        ``"day"`` and ``"week"`` as `calendar_cycles` finds them, ``"four_weeks"`` where the times cover eight; the period where
        there are no dates; empty where there is none.

    Examples
    --------
    >>> choose_history(pd.date_range("2024-01-01", periods=24 * 21, freq="h"))
    ('day', 'week')
    """
    times = wall_clock(index)
    if times is None:
        return (int(period),) if isinstance(period, (int, np.integer)) else ()
    found = tuple(cycle for cycle in calendar_cycles(index) if cycle in _LOOKS)
    long = "week" in found and times[-1] - times[0] >= _LEAST_WEEKS * _LOOKS["week"][0]
    return (*found, "four_weeks") if long else found


def known_kinds(index: pd.Index | None) -> tuple[str, ...]:
    """What may be looked up by name in data with some times, beside numbers of time steps: nothing without dates.

    Parameters
    ----------
    index : pandas.Index or None
        Times of the last time steps.

    Returns
    -------
    tuple of str
        Names of cycles.
    """
    times = wall_clock(index)
    return () if times is None or len(times) < 2 else tuple(_LOOKS)


def history_length(kinds: Sequence[str | int], index: pd.Index | None, horizon: int) -> int:
    """Time steps before an origin that must be known to look everything up.

    Parameters
    ----------
    kinds : sequence of str or int
        As `choose_history` returns them.
    index : pandas.Index or None
        Times of the training data.
    horizon : int
        Time steps to forecast.

    Returns
    -------
    int
        0 without kinds.
    """
    times = wall_clock(index)
    step = None if times is None else usual_step(times)
    lengths = [0]
    for kind in kinds:
        lag, looks = (kind, 1) if isinstance(kind, int) else (round(_LOOKS[kind][0] / step), _LOOKS[kind][1])
        lengths.append(lag * (-(-horizon // lag) + looks - 1))
    return max(lengths)


def beside_season(season: np.ndarray | None, past: np.ndarray, features: Sequence[int]) -> np.ndarray:
    """What is known of target steps: their seasonal mean, and then what `History.look_up` finds.

    Parameters
    ----------
    season : ndarray of shape (b, h, n_nodes, n_features) or None
        Less its mean over the cycle; None counts as 0.
    past : ndarray of shape (b, h, n_nodes, n_kinds * n_features)
        As `History.look_up` returns it.
    features : sequence of int
        Which features.

    Returns
    -------
    ndarray of shape (b, h, n_nodes, (1 + n_kinds) * n_features)
    """
    season = np.zeros((*past.shape[:3], len(features))) if season is None else season
    return np.concatenate([season, past], axis=-1)


def older_steps(starts: np.ndarray, n_steps: int, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The time steps before the look-backs of some windows.

    Parameters
    ----------
    starts : ndarray of int, shape (b,)
        First time step of each look-back.
    n_steps : int
        How many time steps before it.
    bounds : ndarray of int
        First time step of every trajectory, and the number of all time steps.

    Returns
    -------
    steps : ndarray of int, shape (b, n_steps)
        Their positions, the earliest first; 0 where there is none.
    there : ndarray of bool, shape (b, n_steps)
        Whether they lie in the trajectory of the window.
    """
    steps = starts[:, None] + np.arange(-n_steps, 0)
    first = bounds[np.searchsorted(bounds, starts, side="right") - 1]
    there = steps >= first[:, None]
    return np.where(there, steps, 0), there


class History:
    """Looks up the same time of earlier days and weeks.

    Parameters
    ----------
    kinds : sequence of str or int
        As `choose_history` returns them.
    indexes : sequence of (pandas.Index or None, int)
        Times and number of the time steps of every trajectory, one after the other.

    Notes
    -----
    Times are compared by the clock on the wall: a day after 8 o'clock is 8 o'clock, also where clocks change. A time step
    counts where it lies within half a step of the time wanted.
    """

    def __init__(self, kinds: Sequence[str | int], indexes: Sequence[tuple[pd.Index | None, int]]):
        self.kinds = tuple(kinds)
        lags = {kind if isinstance(kind, int) else _LOOKS[kind][0] for kind in kinds}
        self._earlier = {lag: _joined([_earlier_rows(*one, lag) for one in indexes]) for lag in lags}

    def __len__(self) -> int:
        return len(self.kinds)

    def rows(self, targets: np.ndarray, origins: np.ndarray) -> list[np.ndarray]:
        """Where to look for some target time steps.

        Parameters
        ----------
        targets : ndarray of int, shape (b, h)
            Positions of the target time steps of each window.
        origins : ndarray of int, shape (b,)
            Position of the first time step of each window that is not known.

        Returns
        -------
        list of ndarray of int, shape (b, h, looks)
            For each kind the positions to average, the latest first; -1 where there is none. All are before the origin.
        """
        found = []
        for kind in self.kinds:
            lag, looks = (kind, 1) if isinstance(kind, int) else _LOOKS[kind]
            earlier = self._earlier[lag]
            rows = earlier[targets]
            while (unknown := rows >= origins[:, None]).any():
                rows[unknown] = earlier[rows[unknown]]
            each = [rows]
            for _ in range(looks - 1):
                each.append(np.where(each[-1] >= 0, earlier[each[-1]], -1))
            found.append(np.stack(each, axis=-1))
        return found

    def look_up(
        self,
        values: Any,
        targets: np.ndarray,
        origins: np.ndarray,
        features: Sequence[int],
        offset: np.ndarray | int = 0,
    ) -> np.ndarray:
        """Values at the same time of earlier days and weeks.

        Parameters
        ----------
        values : array-like of shape (n_times, n_nodes, n_features)
            NaN where missing.
        targets, origins : ndarray of int
            As for `rows`.
        features : sequence of int
            Which features.
        offset : ndarray of int, shape (b,), default=0
            How much larger positions are than those of the rows in `values`.

        Returns
        -------
        ndarray of shape (b, h, n_nodes, n_kinds * n_features)
            Kind by kind; means over what is observed, NaN where nothing is.
        """
        channels = []
        for rows in self.rows(targets, origins):
            at = rows - np.reshape(offset, (-1, 1, 1))
            found = np.asarray(values[np.where(rows >= 0, at, 0)])[..., list(features)]
            found = np.where((rows >= 0)[..., None, None], found, np.nan)
            channels.append(found[:, :, 0] if found.shape[2] == 1 else mean_of_observed(found, axis=2))
        return np.concatenate(channels, axis=-1)


def _earlier_rows(index: pd.Index | None, n_times: int, lag: Any) -> np.ndarray:
    """For each time step the one that lies a lag before it; -1 where there is none."""
    times = wall_clock(index)
    if times is None or isinstance(lag, int):
        rows = np.arange(n_times) - lag
        return np.where(rows >= 0, rows, -1)
    known, first = np.unique(np.asarray(times, dtype="datetime64[ns]"), return_index=True)
    wanted = np.asarray(times - lag, dtype="datetime64[ns]")
    after = np.clip(np.searchsorted(known, wanted), 1, max(len(known) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(known) - 1)
    nearest = np.where(wanted - known[before] <= known[after] - wanted, before, after)
    step = usual_step(times)
    reach = (lag if step is None else min(lag, pd.Timedelta(step))) / 2
    near = np.abs(known[nearest] - wanted) < reach.to_timedelta64()
    return np.where(near, first[nearest], -1)


def _joined(tables: list[np.ndarray]) -> np.ndarray:
    """The tables of several trajectories as one, with positions in all of them."""
    offsets = np.cumsum([0, *map(len, tables[:-1])])
    return np.concatenate(
        [np.where(table >= 0, table + offset, -1) for table, offset in zip(tables, offsets, strict=True)]
    )
