"""The seasonal mean (climatology): the mean of each node at each time step of a daily, weekly or yearly cycle.

The API calls it a seasonal profile. A forecaster subtracts it from its inputs and adds it to its forecasts. `Residuals`
subtracts when values are accessed, so that memory maps stay on disk. Builds on `data`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..data.calendar import calendar_cycles
from ..data.chunks import row_chunks
from ..data.moments import binary_unit, deviations, first_observed, standard_deviation
from ..data.panel import Panel
from ..data.savable import savable
from ..data.scaling import as_single, filled_from_others
from ..data.time_frequency import usual_step, wall_clock
from ..exceptions import DataError, OutOfMemoryError

__all__ = ["CYCLES", "Residuals", "SeasonalProfile", "detect_period", "less_season", "supported_cycles"]

CYCLES = ("time_of_day", "time_of_week", "day_of_year")
_CYCLE_OF = dict(zip(("day", "week", "year"), CYCLES, strict=True))

_DAY = pd.Timedelta(1, "D")
_SMOOTHING_DAYS = 15  # a mean over two or three years is too noisy for single days
_STEPS_TO_CORRELATE, _NODES_TO_CORRELATE = 20_000, 64
_LEAST_CORRELATION = 0.3  # at the lag of a period
_STEPS_TO_MATCH = 2_000


@savable
class SeasonalProfile:
    """Seasonal mean: the mean of each node and feature at each time step of one cycle.

    Parameters
    ----------
    cycle : {"time_of_day", "time_of_week", "day_of_year"} or int
        A cycle of the calendar, for data with dates; or a period in time steps, from 2.

    Attributes
    ----------
    table : ndarray of shape (n_steps, n_nodes, n_features)
        The means. Where a node was never observed at a time step of the cycle, its mean over all time steps. A node that was
        never observed takes the average of the others. Days of the year are smoothed over 15 days.
    step : pandas.Timedelta, int or None
        Time between two time steps of the training data.
    """

    cycle: str | int
    table: np.ndarray

    def __init__(self, cycle: str | int):
        self.cycle = cycle
        self.step: Any = None

    def fit(
        self, values: np.ndarray, index: pd.Index | None, without: tuple[int, int] = (0, 0)
    ) -> SeasonalProfile:
        """Compute the means.

        Parameters
        ----------
        values : ndarray of shape (n_times, n_nodes, n_features)
            Training data, NaN where missing; read in chunks.
        index : pandas.Index of length n_times, or None
            Their times.
        without : pair of int, default=(0, 0)
            First time step, and the one after the last, that are left out.

        Returns
        -------
        SeasonalProfile
            This profile.

        Raises
        ------
        DataError
            If a cycle of the calendar is asked of data without dates.
        """
        self.step = _step(index)
        positions = self.seasonal_index(index, len(values))
        # sums of what is left are exact where a node never changes
        level = first_observed(values[without[1] :])
        level = np.where(np.isnan(level), first_observed(values[: without[0]]), level)
        _refuse_long(self.n_steps, values.shape[1:])
        total = np.zeros((self.n_steps, *values.shape[1:]))
        count = np.zeros_like(total)
        for first, chunk in row_chunks(values):
            seen = np.isfinite(chunk)
            seen[max(0, without[0] - first) : max(0, without[1] - first)] = False
            where = positions[first : first + len(chunk)]
            np.add.at(total, where, np.where(seen, chunk - level, 0.0))
            np.add.at(count, where, seen)
        if self.cycle == "day_of_year":
            total, count = _smoothed(total), _smoothed(count)
        known = count.sum(0) > 0
        overall = total.sum(0) / np.maximum(count.sum(0), 1)
        means = level + np.where(count > 0, total / np.maximum(count, 1), overall)
        self.table = filled_from_others(np.where(known, means, np.nan), 0.0)
        return self

    def seasonal_index(self, index: pd.Index | None, n_times: int, first: int = 0) -> np.ndarray:
        """Position of each time step in the cycle.

        Parameters
        ----------
        index : pandas.Index of length n_times, or None
            Their times.
        n_times : int
            Number of time steps.
        first : int, default=0
            Position of the first time step, for a period in data without an index.

        Returns
        -------
        ndarray of int, shape (n_times,)
            Positions in `table`.

        Raises
        ------
        DataError
            If a cycle of the calendar is asked of data without dates.
        """
        times = wall_clock(index)
        if isinstance(self.cycle, (int, np.integer)):
            if index is None or not pd.api.types.is_integer_dtype(index):
                steps = np.arange(n_times) if times is None else _steps_since_epoch(index, self.step)
                return (first + steps) % int(self.cycle)
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

    def matched_index(self, values: np.ndarray) -> int:
        """Seasonal index of the first time step at which the seasonal mean fits best, for data without times.

        Parameters
        ----------
        values : ndarray of shape (n_times, n_nodes, n_features)
            The data; the first 2,000 time steps are compared.

        Returns
        -------
        int
            A position in `table`.
        """
        values = np.asarray(values[:_STEPS_TO_MATCH], dtype=np.float64)
        if not np.isfinite(values).any():
            return 0
        spread = self.spread
        weight = np.where(spread > 0, 1 / np.where(spread > 0, spread, 1.0), 0.0)
        steps = np.arange(len(values))
        misfit = [
            np.nanmean(as_single((values - self.table[(first + steps) % len(self.table)]) * weight) ** 2)
            for first in range(len(self.table))
        ]
        return int(np.argmin(misfit))

    @property
    def deviation(self) -> np.ndarray:
        """`table` less its mean over the cycle."""
        change = self.table - self.table[:1]  # exactly 0 where a node never changes
        return change - change.mean(0)

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation of `table` over the cycle: (n_nodes, n_features)."""
        return standard_deviation(self.table)

    @property
    def n_steps(self) -> int:
        """Time steps of one cycle: the length of `table`."""
        if isinstance(self.cycle, (int, np.integer)):
            return int(self.cycle)
        if self.cycle == "day_of_year":
            return 366
        return _slots_per_day(self.step) * (7 if self.cycle == "time_of_week" else 1)


class Residuals:
    """Values less their seasonal mean, subtracted when they are accessed.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_nodes, n_features)
        The values, also a memory map; never copied.
    seasonal_index : ndarray of int, shape (n_times or more,)
        Position of each time step in the cycle; further ones belong to the time steps that follow.
    profile : SeasonalProfile
        Fitted seasonal mean.

    Notes
    -----
    Behaves like the array of differences where it is indexed, measured or given to numpy; a slice of time
    steps is again subtracted on access.
    """

    def __init__(self, values: np.ndarray, seasonal_index: np.ndarray, profile: SeasonalProfile):
        self.values = values
        self.seasonal_index = seasonal_index
        self.profile = profile
        self.shape, self.ndim, self.dtype = values.shape, values.ndim, np.dtype(np.float64)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return Residuals(self.values[key], self.seasonal_index[: len(self)][key], self.profile)
        rows, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        if rows is Ellipsis:
            return np.asarray(self)[key]
        columns = self.profile.table[(slice(None), *rest)]
        values = (
            self.values[(rows, *rest)] if isinstance(rows, slice) else self.values[(slice(None), *rest)][rows]
        )
        return values - columns[self.seasonal_index[: len(self)][rows]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        values = self.values - self.profile.table[self.seasonal_index[: len(self)]]
        return values if dtype is None else values.astype(dtype, copy=False)

    @property
    def season_spread(self) -> np.ndarray:
        """Spread of what was taken away: (n_nodes, n_features)."""
        return self.profile.spread

    def season_at(self, steps: np.ndarray, target: Sequence[int]) -> np.ndarray:
        """What was taken away at some time steps, less its mean over the cycle: (*steps.shape, n_nodes, n_targets)."""
        return self.profile.deviation[self.seasonal_index[steps]][..., list(target)]


def _refuse_long(n_steps: int, sizes: tuple[int, ...]) -> None:
    """Raise an error where the table of a season does not fit into memory."""
    from ..runtime import free_memory  # here, because it loads torch

    free, needed = free_memory(), 16 * n_steps * math.prod(sizes)  # sums and counts
    if free is not None and needed > free:
        raise OutOfMemoryError(
            f"a season of {n_steps} steps for {sizes[0]} nodes needs {needed / 1e9:,.1f} GB, {free / 1e9:,.1f} GB are free; "
            "take a shorter seasonal_profile."
        )


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
        Subtracted on access; the values themselves without a seasonal mean.
    """
    if season is None:
        return panel.values
    return Residuals(
        panel.values, season.seasonal_index(panel.index, panel.n_times, panel.clock or 0), season
    )


def supported_cycles(values: np.ndarray, index: pd.Index | None) -> list[str | int]:
    """Cycles whose seasonal mean some data support.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_nodes, n_features)
        Training data.
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
    """The number of time steps after which the values resemble themselves most.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_nodes, n_features)
        Training data; at most the last 20,000 time steps and 64 of the nodes are used.

    Returns
    -------
    int or None
        The highest peak of the autocorrelation, averaged over nodes, among the lags that fit into the data three times;
        None where no peak reaches 0.3.

    Examples
    --------
    >>> detect_period(np.sin(np.arange(200) * 2 * np.pi / 12)[:, None, None])
    12
    """
    nodes = slice(None, None, -(-values.shape[1] // _NODES_TO_CORRELATE))
    series = np.asarray(values[-_STEPS_TO_CORRELATE:], dtype=np.float64)[:, nodes]
    series = series.reshape(len(series), -1)
    longest = len(series) // 3
    if longest < 3:
        return None
    series = np.nan_to_num(deviations(series))
    series = series / binary_unit(series)
    slope = np.arange(len(series)) - (len(series) - 1) / 2
    series = series - np.outer(
        slope, slope @ series / (slope @ slope)
    )  # a trend resembles itself at every lag
    spectrum = np.abs(np.fft.rfft(series, 2 * len(series), axis=0)) ** 2
    correlation = np.fft.irfft(spectrum, axis=0)[: longest + 1]
    alive = correlation[0] > 1e-12 * max(correlation[0].max(), 1e-300)
    if not alive.any():
        return None
    shrinkage = 1 - np.arange(longest + 1) / len(series)  # fewer pairs at longer lags
    mean = (correlation[:, alive] / correlation[0, alive]).mean(1) / shrinkage
    inner = mean[1:-1]
    peaks = 1 + np.flatnonzero((inner > mean[:-2]) & (inner >= mean[2:]))
    peaks = peaks[peaks > 1]
    if not len(peaks) or mean[peaks].max() < _LEAST_CORRELATION:
        return None
    # multiples of the period have peaks of nearly the same height: the first of them is the period
    return int(peaks[mean[peaks] >= 0.95 * mean[peaks].max()][0])


def _step(index: pd.Index | None) -> Any:
    """The usual time between two time steps; None where there is no index or one time step only."""
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
