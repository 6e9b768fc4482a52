"""`Panel`: what every container becomes: nodes, fields and many trajectories alike.

Builds on `time_index`; made by `containers.as_panel`, used by the forecasters, the datasets and the report.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import DataError, ParameterError
from .output import AsList, ToLong, ToWide
from .savable import savable
from .splits import window_starts
from .time_frequency import frequency, positions, wall_clock
from .time_index import follows, future_index, kind_of_times, rows_are_missing, whole_index

__all__ = ["Panel", "feature_positions", "join_panels", "regular"]

# Later data are filled up to this many times their rows: a look-back after a long gap is missing values, not a year of them
_MOST_ROWS = 10


@savable
@dataclass(frozen=True)
class Panel:
    """Values of several nodes over time, and where they begin in the time of the training data.

    The cells of a field are its nodes, row by row: node ``i * n_x + j`` is the cell in row i and column j. Independent
    trajectories follow each other along the time axis, and `starts` gives no window that crosses from one to the next.

    Attributes
    ----------
    values : ndarray of shape (n_times, n_nodes, n_features)
        Floating point; NaN where nothing was observed. A view of the user's data wherever that is possible.
    index : pandas.Index or None
        Time of each time step; None for plain arrays.
    nodes : list or None
        Names of the nodes; None for plain arrays and for fields.
    features : list or None
        Names of the features; None where there are none.
    ndim : int
        2 if the user's container had no feature axis, else 3; the two axes of a field count as one.
    restore : callable
        Turns (values, index) of a forecast into the user's kind of container.
    grid : tuple of int or None
        Rows and columns of a field, (n_y, n_x).
    parts : tuple of Panel
        The trajectories, where there are several; else empty.
    clock : int or None
        Position of the first time step, counted from the first one that the forecaster was fitted to; None where that is not
        known, and for many trajectories.
    freq : str, Timedelta, number or None
        Time from one step to the next, where it is known better than from `index`: that of the training data.
    gathered : callable
        Turns the list of the forecasts of all trajectories into the user's kind of container.
    reading : str or None
        How the times were read, where they could be read in several ways; see `stmest.data.times.read_times`.
    filled : ndarray of int or None
        Positions of the time steps that the user's data lacked, where NaN stands for them.
    """

    values: np.ndarray
    index: pd.Index | None
    nodes: list[Hashable] | None
    features: list[Hashable] | None
    ndim: int
    restore: Callable[[np.ndarray, pd.Index | None, Panel], Any]
    grid: tuple[int, int] | None = None
    parts: tuple[Panel, ...] = ()
    clock: int | None = None
    freq: Any = None
    gathered: Callable[[list[Any]], Any] = field(default_factory=AsList)
    reading: str | None = None
    filled: np.ndarray | None = None

    @property
    def n_filled(self) -> int:
        """Number of time steps that the user's data lacked, where NaN stands for them."""
        return sum(0 if part.filled is None else len(part.filled) for part in self.parts or (self,))

    @property
    def n_times(self) -> int:
        """Number of time steps, of all trajectories together."""
        return self.values.shape[0]

    @property
    def bounds(self) -> np.ndarray:
        """First time step of every trajectory, and the number of all time steps: (n_trajectories + 1,)."""
        return np.cumsum([0, *(part.n_times for part in self.parts or (self,))])

    def starts(self, length: int, stride: int = 1) -> np.ndarray:
        """First time steps of all windows of a given length that lie within one trajectory.

        Parameters
        ----------
        length : int
            Time steps of one window.
        stride : int, default=1
            Time steps between the starts of two windows.

        Returns
        -------
        ndarray of int
            Empty where not even one window fits.
        """
        bounds = self.bounds
        starts = [first + window_starts(last - first, length, stride) for first, last in pairwise(bounds)]
        return np.concatenate(starts)

    def rows(self, start: int, stop: int) -> Panel:
        """Some time steps of a panel that is one series.

        Parameters
        ----------
        start, stop : int
            The first one, and the one after the last; not negative.

        Returns
        -------
        Panel
            A view of these time steps, with their index and `clock`.
        """
        index = None if self.index is None else self.index[start:stop]
        clock = None if self.clock is None else self.clock + start
        filled = self.filled
        if filled is not None:
            filled = filled[(filled >= start) & (filled < stop)] - start
            filled = filled if len(filled) else None
        return replace(
            self, values=self.values[start:stop], index=index, clock=clock, parts=(), filled=filled
        )

    def tail(self, n_rows: int) -> Panel:
        """The last time steps (of the last trajectory), copied, so that the rest of the data can be freed.

        Parameters
        ----------
        n_rows : int
            How many to keep; fewer are kept where there are fewer.

        Returns
        -------
        Panel
            A panel of at most `n_rows` time steps.
        """
        if self.parts:
            return self.parts[-1].tail(n_rows)
        last = self.rows(max(0, self.n_times - n_rows), self.n_times)
        return replace(last, values=np.array(last.values))

    def tails(self, n_rows: int) -> Panel:
        """The last time steps of every trajectory, copied.

        Parameters
        ----------
        n_rows : int
            How many to keep of each.

        Returns
        -------
        Panel
            As many trajectories as this panel has.
        """
        if not self.parts:
            return self.tail(n_rows)
        return join_panels([part.tail(n_rows) for part in self.parts], self.gathered)

    def followed_by(self, other: Panel) -> Panel:
        """This panel's time steps and then those of another one.

        Parameters
        ----------
        other : Panel
            Later time steps of the same nodes and features.

        Returns
        -------
        Panel
            Those of both; container kind of `other`, with its names, or those of this one where it has none; `clock` of this one.
        """
        index = None
        if other.index is not None and self.index is not None:
            index = self.index.append(other.index)
            index = index.rename(self.index.name if other.index.name is None else other.index.name)
        restore: Any = other.restore
        if isinstance(restore, (ToWide, ToLong)):
            restore = restore.named_like(self.restore)
        values = np.concatenate([self.values, other.values])
        return replace(other, values=values, index=index, restore=restore, clock=self.clock, filled=None)

    def precedes(self, other: Panel) -> bool:
        """Whether the time index of another panel begins one step after this one ends."""
        return not other.parts and follows(self.index, other.index, self.freq)

    def leading_to(self, other: Panel) -> Panel | None:
        """The time steps of this panel before another one begins.

        Parameters
        ----------
        other : Panel
            Later time steps; they may overlap with those of this panel.

        Returns
        -------
        Panel or None
            None where there are none, without times, and for many trajectories. Where both lie on steps of the frequency without
            a gap, NaN stands for the time steps between them.
        """
        if self.index is None or other.index is None or other.parts:
            return None
        if kind_of_times(self.index) != kind_of_times(other.index):
            return None
        try:
            earlier = self.rows(0, int(np.sum(self.index < other.index[0])))
        except TypeError:  # a zoned and an unzoned time cannot be compared
            return None
        if earlier.n_times and earlier.precedes(other):
            return earlier
        return earlier._up_to(other) if earlier.n_times and wall_clock(self.index) is not None else None

    def _up_to(self, other: Panel) -> Panel | None:
        """This panel and NaN up to later time steps; itself where the times are irregular, None after a very long gap."""
        index: Any = self.index
        times = [positions(index, self.freq), positions(other.index, self.freq)]
        joined = positions(index.append(other.index), self.freq)
        if joined is None or any(own is None or own[-1] >= len(own) for own in times):
            return self
        n_missing = max(0, int(joined[self.n_times]) - self.n_times)
        if n_missing > _MOST_ROWS * self.n_times:
            return None
        missing = np.full((n_missing, *self.values.shape[1:]), np.nan, dtype=self.values.dtype)
        return self.followed_by(replace(self, values=missing, index=self.future(n_missing)))

    def future(self, n_steps: int) -> pd.Index | None:
        """The times after the last one; None without an index.

        Parameters
        ----------
        n_steps : int
            How many.

        Returns
        -------
        pandas.Index or None
            By the frequency of the training data where that is known.
        """
        return None if self.index is None else future_index(self.index, n_steps, self.freq)

    def with_missing_rows(self, freq: Any) -> Panel:
        """This panel with a row of NaN for each time step that it lacks, by the frequency of the training data.

        Parameters
        ----------
        freq : str, Timedelta, number or None
            Time from one step to the next.

        Returns
        -------
        Panel
            The panel itself where it lacks none, does not lie on steps of that frequency, or would become ten times as long.
        """
        places = None if self.index is None else positions(self.index, freq)
        if places is None or not self.n_times <= places[-1] < _MOST_ROWS * self.n_times:
            return self
        return self._spread(places, freq)

    def _spread(self, places: np.ndarray, freq: Any) -> Panel:
        """The time steps at their places, and NaN at the others."""
        index: Any = self.index
        n_steps = int(places[-1]) + 1
        values = np.full((n_steps, *self.values.shape[1:]), np.nan, dtype=self.values.dtype)
        values[places] = self.values
        filled = np.setdiff1d(np.arange(n_steps), places)
        return replace(self, values=values, index=whole_index(index, freq, places), filled=filled)

    def with_nodes(self, nodes: list[Hashable]) -> Panel:
        """The same values with the nodes in another order.

        Parameters
        ----------
        nodes : list
            Names of all nodes of this panel, in the order wanted.

        Returns
        -------
        Panel
            Columns reordered by name.

        Raises
        ------
        DataError
            If the names differ from this panel's.
        """
        known = list(self.nodes or [])
        if set(known) != set(nodes) or len(known) != len(nodes):
            missing, extra = (
                sorted(map(str, set(nodes) - set(known))),
                sorted(map(str, set(known) - set(nodes))),
            )
            raise DataError(
                f"X has other nodes than the training data: missing {missing[:5]}, unknown {extra[:5]}."
            )
        order = [known.index(node) for node in nodes]
        parts = tuple(part.with_nodes(nodes) for part in self.parts)
        return replace(self, values=self.values[:, order], nodes=list(nodes), parts=parts)

    def check_grid(self, grid: tuple[int, int] | None) -> None:
        """Refuse another grid than that of the training data.

        Parameters
        ----------
        grid : tuple of int or None
            Rows and columns of the training data; None where they were no field.

        Raises
        ------
        DataError
            If this panel's grid differs.
        """
        if self.grid != grid:
            mine, theirs = (
                "no field" if g is None else f"a field of {g[0]} x {g[1]} cells" for g in (self.grid, grid)
            )
            raise DataError(
                f"X is {mine}; the training data were {theirs}. A plain array is a field if it is (n_times, n_y, n_x, "
                "n_features): write X[..., None] where there is one feature."
            )

    def shaped(self, values: np.ndarray) -> np.ndarray:
        """Values per node and feature with the axes that the user's container has.

        Parameters
        ----------
        values : ndarray of shape (..., n_nodes, n_features)
            Forecasts or observations of the nodes of this panel.

        Returns
        -------
        ndarray of shape (..., n_nodes[, n_features]) or (..., n_y, n_x[, n_features])
            Without a feature axis where the container has none.
        """
        if self.grid is not None:
            values = values.reshape(*values.shape[:-2], *self.grid, values.shape[-1])
        return values[..., 0] if self.ndim == 2 else values

    def like(self, values: np.ndarray, target: Sequence[int]) -> Any:
        """Forecasts in the container kind that the user gave.

        Parameters
        ----------
        values : ndarray of shape (horizon, n_nodes, n_targets) or (n_trajectories, horizon, n_nodes, n_targets)
            Forecasts of the steps that follow this panel, or each of its trajectories.
        target : sequence of int
            Positions of the forecast features among `features`.

        Returns
        -------
        ndarray, DataFrame, DataArray, Tensor or a list of these
            The axes of the user's container.
        """
        if self.parts:
            return self.gathered([p.like(v, target) for p, v in zip(self.parts, values, strict=True)])
        index = self.future(len(values))
        features = None if self.features is None else [self.features[i] for i in target]
        values = values.astype(self.values.dtype, copy=False)
        return self.restore(
            self.shaped(values), index, replace(self, values=values, index=index, features=features)
        )


def regular(panel: Panel) -> Panel:
    """Training data with their frequency, and with a row of NaN for each time step that is missing by accident.

    Parameters
    ----------
    panel : Panel
        Training data, of one or many trajectories.

    Returns
    -------
    Panel
        With `freq`. Filled where the times lie on steps of a clear frequency and few are missing; nights and weekends without
        rows stay as they are.
    """
    if panel.parts:
        freq = panel.freq
        if freq is None:
            freq = next((f for part in panel.parts if (f := frequency(part.index)) is not None), None)
        parts = [regular(replace(part, freq=freq)) for part in panel.parts]
        if any(part.filled is not None for part in parts):
            return replace(join_panels(parts, panel.gathered), freq=freq)
        return replace(panel, freq=freq, parts=tuple(parts))
    if panel.index is None:
        return panel
    freq = frequency(panel.index) if panel.freq is None else panel.freq
    panel = replace(panel, freq=freq)
    places = positions(panel.index, freq)
    if places is None or not rows_are_missing(panel.index, places):
        return panel
    return panel._spread(places, freq)


def feature_positions(panel: Panel, target: Any) -> list[int]:
    """Positions of the features to forecast.

    Parameters
    ----------
    panel : Panel
        Training data.
    target : str, int, list or None
        Names or positions; None for all.

    Returns
    -------
    list of int
        Counted from 0.

    Raises
    ------
    ParameterError
        If there is no such feature, one is named twice, or none is.
    """
    n_features = panel.values.shape[2]
    if target is None:
        return list(range(n_features))
    positions: list[int] = []
    for wanted in target if isinstance(target, (list, tuple)) else [target]:
        if panel.features is not None and wanted in panel.features:
            positions.append(panel.features.index(wanted))
        elif (
            isinstance(wanted, (int, np.integer))
            and not isinstance(wanted, bool)
            and -n_features <= wanted < n_features
        ):
            positions.append(int(wanted) % n_features)
        else:
            known = panel.features if panel.features is not None else f"0 to {n_features - 1}"
            raise ParameterError(f"target={wanted!r} is no feature of X; features are {known}.")
    if not positions or len(set(positions)) < len(positions):
        what = "names a feature twice" if positions else "names no feature"
        raise ParameterError(
            f"target={target!r} {what}; give each feature to forecast once, or None for all."
        )
    return positions


def join_panels(parts: list[Panel], gathered: Callable[[list[Any]], Any], values: Any = None) -> Panel:
    """Several trajectories as one panel.

    Parameters
    ----------
    parts : list of Panel
        Trajectories of the same nodes (or grid) and features; they may differ in length.
    gathered : callable
        Turns the list of their forecasts into the user's kind of container.
    values : ndarray of shape (n_times, n_nodes, n_features), optional
        The values of all trajectories, where they lie in one array already.

    Returns
    -------
    Panel
        Their time steps one after the other; with a time index where all have one of the same kind.

    Raises
    ------
    DataError
        If they differ in nodes, grid or features.
    """
    first = parts[0]
    for number, part in enumerate(parts):
        if part.nodes is not None and first.nodes is not None and part.nodes != first.nodes:
            parts[number] = part = part.with_nodes(first.nodes)
        sizes = [(p.grid, p.values.shape[1:], p.ndim, p.features) for p in (part, first)]
        if sizes[0] != sizes[1]:
            raise DataError(
                f"trajectory {number} differs from the first one: {_form(part)} instead of {_form(first)}; all need the "
                "same nodes or grid, and the same features."
            )
    kinds = {type(part.index) for part in parts}
    index = first.index
    if index is not None:
        index = index.append([part.index for part in parts[1:]]) if len(kinds) == 1 else None
    values = np.concatenate([part.values for part in parts]) if values is None else values
    return replace(first, values=values, index=index, parts=tuple(parts), gathered=gathered, filled=None)


def _form(panel: Panel) -> str:
    """What a trajectory consists of, for messages."""
    n_nodes, n_features = panel.values.shape[1:]
    where = f"{n_nodes} nodes" if panel.grid is None else f"a grid of {panel.grid[0]} x {panel.grid[1]}"
    names = "" if panel.features is None else f" {panel.features}"
    return f"{where} with {n_features} feature(s){names}"
