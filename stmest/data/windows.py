"""Sliding windows over one panel, read a batch at a time.

A window is `input_length` time steps followed by `horizon` time steps. Only the first one of each window is stored; the
values are read from the panel when a batch is asked for, so memory does not grow with the number of windows and memory maps stay
on disk. Used by the forecasters for training and for prediction.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .chunks import row_chunks
from .history import History, beside_season, older_steps

__all__ = ["Batch", "Older", "Windows", "forward_filled"]


@dataclass(frozen=True)
class Older:
    """Time steps before the look-backs of a batch.

    Attributes
    ----------
    values : ndarray of shape (b, r, n, f)
        The r time steps before each look-back, in the units of the data; NaN where missing, and before the first time step of a
        trajectory.
    time : ndarray of shape (b, r, c), float32, or None
        Their calendar channels; 0 before the first time step of a trajectory.
    """

    values: np.ndarray
    time: np.ndarray | None


@dataclass(frozen=True)
class Batch:
    """Raw windows of one batch.

    Attributes
    ----------
    x : ndarray of shape (b, t, n, f)
        Input values in the units of the data, NaN where missing; float64 unless the data are float32. Levels are taken away
        before anything becomes float32.
    y : ndarray of shape (b, h, n, f_target)
        Target values, likewise; h is 0 where only inputs were asked for.
    time : ndarray of shape (b, t + horizon, c), float32, or None
        Calendar channels of input and target steps.
    ahead : ndarray of shape (b, h, n, c_ahead) or None
        What is known of the target steps beside their times: the seasonal mean that was taken from the values, less its mean over
        the cycle (f_target channels), and then what `stmest.data.history.History` looks up (NaN where it finds nothing). Without
        a seasonal mean the first channels are 0; None where there is neither.
    older : Older or None
        Time steps before the look-backs, where they are asked for.
    """

    x: np.ndarray
    y: np.ndarray
    time: np.ndarray | None
    ahead: np.ndarray | None = None
    older: Older | None = None

    def hiding(self, nodes: np.ndarray) -> Batch:
        """The same windows without the observations of some nodes before the origin; their targets stay.

        Parameters
        ----------
        nodes : ndarray of bool, shape (b, n)
            Which nodes of each window.

        Returns
        -------
        Batch
            NaN in the place of their observations.
        """
        hidden = nodes[:, None, :, None]
        ahead, older = self.ahead, self.older
        if (
            ahead is not None
        ):  # the seasonal mean, which is known all the same, and then earlier days and weeks
            looked_up = np.arange(ahead.shape[-1]) >= self.y.shape[-1]
            ahead = np.where(hidden & looked_up, np.nan, ahead)
        if older is not None:
            older = Older(np.where(hidden, np.nan, older.values), older.time)
        return replace(self, x=np.where(hidden, np.nan, self.x), ahead=ahead, older=older)


class Windows:
    """Windows of `input_length` + `horizon` time steps over values of shape (n_times, n_nodes, n_features).

    Parameters
    ----------
    values : ndarray of shape (n_times, n_nodes, n_features)
        The values; never copied.
    input_length : int
        Time steps of look-back.
    horizon : int
        Time steps to forecast.
    starts : ndarray of int
        First time step of each window.
    time : ndarray of shape (n_times + horizon or more, c), optional
        Calendar channels of every time step and of the `horizon` time steps after the last.
    target : sequence of int
        Positions of the features that are forecast.
    with_targets : bool, default=True
        False for windows at the end of the data, whose targets are not known yet.
    history : History, optional
        Of the time steps, to look up values of earlier days and weeks.
    n_older : int, default=0
        Time steps before the look-back that are read too.
    bounds : ndarray of int, optional
        First time step of every trajectory, and the number of all time steps; for `n_older`. Default: one trajectory.
    """

    def __init__(
        self,
        values: np.ndarray,
        input_length: int,
        horizon: int,
        starts: np.ndarray,
        *,
        time: np.ndarray | None = None,
        target: Sequence[int] = (0,),
        with_targets: bool = True,
        history: History | None = None,
        n_older: int = 0,
        bounds: np.ndarray | None = None,
    ):
        self.values = values
        self.input_length = input_length
        self.horizon = horizon
        self.starts = np.asarray(starts, dtype=np.int64)
        self.time = time
        self.target = list(target)
        self.with_targets = with_targets
        self.history = history
        self.n_older = n_older
        self.bounds = np.array([0, len(values)]) if bounds is None else bounds

    def __len__(self) -> int:
        return len(self.starts)

    def gather(self, positions: Sequence[int] | slice) -> Batch:
        """Read the windows at the given positions.

        Parameters
        ----------
        positions : sequence of int or slice
            Which windows, counted from 0.

        Returns
        -------
        Batch
            Copies of the windows.
        """
        starts = self.starts[
            positions if isinstance(positions, slice) else np.asarray(positions, dtype=np.int64)
        ]
        steps = starts[:, None] + np.arange(self.input_length + self.horizon)
        x = np.asarray(self.values[steps[:, : self.input_length]])
        target_steps = steps[:, self.input_length :] if self.with_targets else steps[:, :0]
        y = np.asarray(self.values[target_steps])[..., self.target]
        time = None if self.time is None else self.time[steps]
        return Batch(x, y, time, self._ahead(target_steps, starts + self.input_length), self._older(starts))

    def _older(self, starts: np.ndarray) -> Older | None:
        if not self.n_older:
            return None
        steps, there = older_steps(starts, self.n_older, self.bounds)
        values = np.where(there[..., None, None], self.values[steps], np.nan)
        return Older(values, None if self.time is None else self.time[steps] * there[..., None])

    def _ahead(self, steps: np.ndarray, origins: np.ndarray) -> np.ndarray | None:
        season_at = getattr(self.values, "season_at", None)  # where a seasonal mean was taken from the values
        season = None if season_at is None else season_at(steps, self.target)
        if self.history is None:
            return season
        return beside_season(
            season, self.history.look_up(self.values, steps, origins, self.target), self.target
        )

    def of(self, values: Any) -> Windows:
        """The same windows of other values.

        Parameters
        ----------
        values : array-like of shape (n_times, n_nodes, n_features)
            Of the same time steps, nodes and features.

        Returns
        -------
        Windows
            With the same starts, calendar and target.
        """
        other = copy.copy(self)
        other.values = values
        return other

    def observed(self) -> np.ndarray:
        """Which windows have at least one observed input and one observed target.

        Returns
        -------
        ndarray of bool, shape (n_windows,)
            False where all inputs or all targets are missing.
        """
        any_input = _any_finite(self.values)
        any_target = (
            any_input if self.values.shape[2] == len(self.target) else _any_finite(self.values, self.target)
        )
        inputs, targets = _running_count(any_input), _running_count(any_target)
        seen = np.empty(len(self.starts), dtype=bool)
        for first, start in row_chunks(self.starts):
            middle = start + self.input_length
            seen[first : first + len(start)] = (inputs[middle] > inputs[start]) & (
                targets[middle + self.horizon] > targets[middle]
            )
        return seen


def forward_filled(x: np.ndarray, axis: int, backward: bool = False) -> np.ndarray:
    """Fill missing values with the last observed one before them.

    Parameters
    ----------
    x : ndarray
        Values with NaN where missing.
    axis : int
        Of time.
    backward : bool, default=False
        Whether what lies before the first observation takes that one; else it stays missing.

    Returns
    -------
    ndarray of the same shape
        Filled copy, or `x` itself where nothing is missing.
    """
    missing = np.isnan(x)
    if not missing.any():
        return x
    shape = [1] * x.ndim
    shape[axis] = -1
    steps = np.arange(x.shape[axis]).reshape(shape)
    source = np.maximum.accumulate(np.where(missing, 0, steps), axis=axis)
    if backward:  # before the first observation the running maximum is still 0: point at that one instead
        source = np.maximum(source, np.expand_dims((~missing).argmax(axis=axis), axis))
    return np.take_along_axis(x, source, axis=axis)


def _any_finite(values: np.ndarray, features: list[int] | None = None) -> np.ndarray:
    """Which time steps hold at least one finite value."""
    found = np.empty(len(values), dtype=bool)
    for first, chunk in row_chunks(values):
        chunk = chunk if features is None else chunk[..., features]
        found[first : first + len(chunk)] = np.isfinite(chunk).any(axis=(1, 2))
    return found


def _running_count(flags: np.ndarray) -> np.ndarray:
    """Number of true flags before each place, and before the end: one more than there are flags."""
    total = np.zeros(len(flags) + 1, dtype=np.int64)
    np.cumsum(flags, out=total[1:])
    return total
