"""What the calendar alone explains: the mean of each node at each phase of a daily, weekly or yearly cycle.

A forecaster subtracts the profile from what it reads and adds it to what it forecasts. `Residuals` does the
subtraction as rows are read, so that memory maps stay on disk. Builds on numpy and pandas; chosen and applied by the
forecasters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..data.calendar import calendar_cycles
from ..data.chunks import row_chunks
from ..data.panel import Panel
from ..data.savable import savable
from ..data.time_index import usual_step, wall_clock
from ..exceptions import DataError

__all__ = ["CYCLES", "Residuals", "SeasonalProfile", "detect_period", "less_season", "supported_cycles"]

CYCLES = ("time_of_day", "time_of_week", "day_of_year")
_CYCLE_OF = dict(zip(("day", "week", "year"), CYCLES, strict=True))

_DAY = pd.Timedelta(1, "D")
_SMOOTHING_DAYS = 15  # a mean over two or three years is too noisy for single days
_ROWS_TO_CORRELATE, _NODES_TO_CORRELATE = 20_000, 64
_LEAST_CORRELATION = 0.3  # at the lag of a period
_ROWS_TO_MATCH = 2_000


@savable
class SeasonalProfile:
    """Mean of each node and feature at each phase of one cycle.

    Parameters
    ----------
    cycle : {"time_of_day", "time_of_week", "day_of_year"} or int
        A cycle of the calendar, for rows with dates; or a period in rows, from 2.

    Attributes
    ----------
    table : ndarray of shape (n_phases, n_nodes, n_features)
        The means. A phase in which a node was never observed has the node's mean over all rows; a node that was never
        observed has 0. Days of the year are smoothed over 15 days.
    step : pandas.Timedelta, int or None
        Time from one row to the next in the rows given to `fit`.
    """

    table: np.ndarray

    def __init__(self, cycle: str | int):
        self.cycle = cycle
        self.step: Any = None

    def fit(self, values: np.ndarray, index: pd.Index | None) -> SeasonalProfile:
        """Take the means.

        Parameters
        ----------
        values : ndarray of shape (n_times, n_nodes, n_features)
            Training rows, NaN where missing; read in pieces.
        index : pandas.Index of length n_times, or None
            Times of the rows.

        Returns
        -------
        SeasonalProfile
            This profile.

        Raises
        ------
        DataError
            If a cycle of the calendar is asked of rows without dates.
        """
        self.step = _step(index)
        phases = self.phases(index, len(values))
        total = np.zeros((self.n_phases, *values.shape[1:]))
        count = np.zeros_like(total)
        for first, piece in row_chunks(values):
            seen = np.isfinite(piece)
            where = phases[first : first + len(piece)]
            np.add.at(total, where, np.where(seen, piece, 0.0))
            np.add.at(count, where, seen)
        if self.cycle == "day_of_year":
            total, count = _smoothed(total), _smoothed(count)
        overall = total.sum(0) / np.maximum(count.sum(0), 1)
        self.table = np.where(count > 0, total / np.maximum(count, 1), overall)
        return self

    def phases(self, index: pd.Index | None, n_rows: int, first: int = 0) -> np.ndarray:
        """Phase of each row.

        Parameters
        ----------
        index : pandas.Index of length n_rows, or None
            Times of the rows.
        n_rows : int
            How many rows.
        first : int, default=0
            Phase of the first row, for a period in rows that have no index.

        Returns
        -------
        ndarray of int, shape (n_rows,)
            Row numbers of `table`.

        Raises
        ------
        DataError
            If a cycle of the calendar is asked of rows without dates.
        """
        times = wall_clock(index)
        if isinstance(self.cycle, (int, np.integer)):
            if index is None or not pd.api.types.is_integer_dtype(index):
                rows = np.arange(n_rows) if times is None else _steps_since_epoch(index, self.step)
                return (first + rows) % int(self.cycle)
            return (np.asarray(index, dtype=np.int64) // int(self.step or 1)) % int(self.cycle)
        if times is None:
            raise DataError(
                f"the seasonal profile {self.cycle!r} needs dates, but the rows have none. Give a DataFrame with a "
                "DatetimeIndex, a period in rows (seasonal_profile=24), or seasonal_profile=None."
            )
        if self.cycle == "day_of_year":
            return np.asarray(times.dayofyear) - 1
        slots = _slots_per_day(self.step)
        seconds = np.asarray((times - times.normalize()).total_seconds())
        slot = seconds.astype(np.int64) * slots // 86_400
        return slot if self.cycle == "time_of_day" else np.asarray(times.dayofweek) * slots + slot

    def matched_phase(self, values: np.ndarray) -> int:
        """Phase of the first row at which the profile fits the rows best, for rows that say nothing of their time.

        Parameters
        ----------
        values : ndarray of shape (n_times, n_nodes, n_features)
            The rows; the first 2,000 are compared.

        Returns
        -------
        int
            A row number of `table`.
        """
        rows = np.asarray(values[:_ROWS_TO_MATCH], dtype=np.float64)
        if not np.isfinite(rows).any():
            return 0
        spread = self.table.std(0)
        weight = np.where(spread > 0, 1 / np.where(spread > 0, spread, 1.0), 0.0)
        rows, table = rows * weight, self.table * weight
        steps = np.arange(len(rows))
        misfit = [
            np.nanmean((rows - table[(first + steps) % len(table)]) ** 2) for first in range(len(table))
        ]
        return int(np.argmin(misfit))

    @property
    def n_phases(self) -> int:
        """Rows of `table`."""
        if isinstance(self.cycle, (int, np.integer)):
            return int(self.cycle)
        if self.cycle == "day_of_year":
            return 366
        return _slots_per_day(self.step) * (7 if self.cycle == "time_of_week" else 1)


class Residuals:
    """Values less their profile, subtracted when they are read.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_nodes, n_features)
        The readings, also a memory map; never copied.
    phases : ndarray of int, shape (n_times or more,)
        Phase of each row; further ones belong to the rows that follow.
    profile : SeasonalProfile
        Fitted profile.

    Notes
    -----
    Behaves like the array of differences where it is indexed, measured or given to numpy; a slice of rows is again
    read on demand.
    """

    def __init__(self, values: np.ndarray, phases: np.ndarray, profile: SeasonalProfile):
        self.values = values
        self.phases = phases
        self.profile = profile
        self.shape, self.ndim, self.dtype = values.shape, values.ndim, np.dtype(np.float64)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return Residuals(self.values[key], self.phases[: len(self)][key], self.profile)
        rows, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        if rows is Ellipsis:
            return np.asarray(self)[key]
        columns = self.profile.table[(slice(None), *rest)]
        values = (
            self.values[(rows, *rest)] if isinstance(rows, slice) else self.values[(slice(None), *rest)][rows]
        )
        return values - columns[self.phases[: len(self)][rows]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        values = self.values - self.profile.table[self.phases[: len(self)]]
        return values if dtype is None else values.astype(dtype, copy=False)


def less_season(panel: Panel, season: SeasonalProfile | None) -> Any:
    """The values of training data less their seasonal mean.

    Parameters
    ----------
    panel : Panel
        Training data.
    season : SeasonalProfile or None
        What to take away.

    Returns
    -------
    array-like of shape (n_times, n_nodes, n_features)
        Subtracted where it is read; the values themselves without a seasonal mean.
    """
    if season is None:
        return panel.values
    return Residuals(panel.values, season.phases(panel.index, panel.n_times, panel.clock or 0), season)


def supported_cycles(values: np.ndarray, index: pd.Index | None) -> list[str | int]:
    """Cycles that some rows could tell the profile of.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_nodes, n_features)
        Training rows.
    index : pandas.Index of length n_times, or None
        Their times.

    Returns
    -------
    list
        With dates: ``"time_of_day"``, ``"time_of_week"`` and ``"day_of_year"``, as far as
        `stmest.data.calendar.calendar_cycles` finds the day, the week and the year. Without dates: the period that
        `detect_period` finds. Empty where there is none.
    """
    if wall_clock(index) is None:
        period = detect_period(values)
        return [] if period is None else [period]
    return [_CYCLE_OF[cycle] for cycle in calendar_cycles(index)]


def detect_period(values: np.ndarray) -> int | None:
    """The number of rows after which the readings resemble themselves most.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_nodes, n_features)
        Training rows; at most the last 20,000 and 64 of the nodes are looked at.

    Returns
    -------
    int or None
        The highest peak of the autocorrelation, averaged over nodes, among the lags that fit into the rows three times;
        None where no peak reaches 0.3.

    Examples
    --------
    >>> detect_period(np.sin(np.arange(200) * 2 * np.pi / 12)[:, None, None])
    12
    """
    nodes = slice(None, None, -(-values.shape[1] // _NODES_TO_CORRELATE))
    rows = np.asarray(values[-_ROWS_TO_CORRELATE:], dtype=np.float64)[:, nodes]
    rows = rows.reshape(len(rows), -1)
    longest = len(rows) // 3
    if longest < 3:
        return None
    seen = np.isfinite(rows)
    rows = np.where(seen, rows - np.where(seen, rows, 0).sum(0) / np.maximum(seen.sum(0), 1), 0.0)
    slope = np.arange(len(rows)) - (len(rows) - 1) / 2
    rows = rows - np.outer(slope, slope @ rows / (slope @ slope))  # a trend resembles itself at every lag
    spectrum = np.abs(np.fft.rfft(rows, 2 * len(rows), axis=0)) ** 2
    correlation = np.fft.irfft(spectrum, axis=0)[: longest + 1]
    alive = correlation[0] > 1e-12 * max(correlation[0].max(), 1e-300)
    if not alive.any():
        return None
    shrinkage = 1 - np.arange(longest + 1) / len(rows)  # fewer pairs at longer lags
    mean = (correlation[:, alive] / correlation[0, alive]).mean(1) / shrinkage
    inner = mean[1:-1]
    peaks = 1 + np.flatnonzero((inner > mean[:-2]) & (inner >= mean[2:]))
    peaks = peaks[peaks > 1]
    if not len(peaks) or mean[peaks].max() < _LEAST_CORRELATION:
        return None
    # multiples of the period have peaks of nearly the same height: the first of them is the period
    return int(peaks[mean[peaks] >= 0.95 * mean[peaks].max()][0])


def _step(index: pd.Index | None) -> Any:
    """The usual distance of two rows; None where there is no index or one row only."""
    times = wall_clock(index)
    if times is None and index is not None and pd.api.types.is_integer_dtype(index):
        times = index
    return None if times is None else usual_step(times)


def _steps_since_epoch(index: Any, step: Any) -> np.ndarray:
    if isinstance(index, pd.PeriodIndex):
        return index.asi8
    return np.asarray(
        (wall_clock(index) - pd.Timestamp(0)) // (step if step is not None else pd.Timedelta(1, "h")),
        dtype=np.int64,
    )


def _slots_per_day(step: Any) -> int:
    return max(1, round(_DAY / step)) if step is not None and step < _DAY else 1


def _smoothed(table: np.ndarray) -> np.ndarray:
    """Sum over the days around each day of the year, which begins again after its end."""
    reach = _SMOOTHING_DAYS // 2
    return sum(np.roll(table, shift, axis=0) for shift in range(-reach, reach + 1))  # type: ignore[return-value]
