"""sktime's tables of series and exogenous series, and the forecasters' tables of nodes and features.

A wide y has a column per node. A panel y has an instance per node and a column per feature to forecast. Columns of X become
further features: those of a wide X are the same for every node. Used by the forecasters in `_base.py`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset
from sktime.forecasting.base import ForecastingHorizon

from ..data.time_frequency import frequency, offset_of
from ..data.time_index import follows, future_index
from ..data.times import read_times
from ..exceptions import DataError

__all__ = ["Layout", "rows_after"]


@dataclass(frozen=True)
class Layout:
    """How the nodes and features lie in the y and X that a forecaster was fitted with.

    Attributes
    ----------
    nodes : list
        Columns of a wide y; instances of a panel.
    channels : list
        Columns of a panel y; one nameless channel of a wide y.
    exogenous : list
        Columns of X.
    levels : tuple of str or None, or None
        Names of the row index of a panel; None for a wide y.
    freq : str, Timedelta, number or None
        Time from one time step of y to the next.
    reading : str or None
        How the times of y were read; see `stmest.data.times.read_times`.
    time_name, column_name : hashable
        Names of the row index of a wide y, and of the columns of y; forecasts have them too.
    """

    nodes: list[Hashable]
    channels: list[Hashable]
    exogenous: list[Hashable]
    levels: tuple[Hashable, ...] | None
    freq: Any = None
    reading: str | None = None
    time_name: Hashable = None
    column_name: Hashable = None

    @classmethod
    def of(cls, y: pd.DataFrame, X: pd.DataFrame | None) -> Layout:
        """The layout of two tables.

        Parameters
        ----------
        y, X : DataFrame
            As sktime passes them to `_fit`: with a time index (wide), or with (instance, ..., time) rows (panel).

        Returns
        -------
        Layout
            To read later tables of the same layout with.
        """
        exogenous = [] if X is None else list(X.columns)
        times = y.index if y.index.nlevels == 1 else y.index.get_level_values(-1).unique().sort_values()
        clock = frequency(times), read_times(times).reading, times.name, y.columns.name
        if y.index.nlevels == 1:
            return cls(list(y.columns), [None], exogenous, None, *clock)
        nodes = list(dict.fromkeys(_instances(y.index)))
        if any(pd.isna(part) for node in nodes for part in (node if isinstance(node, tuple) else (node,))):
            raise DataError(
                f"y has an instance without a name; it names {nodes[:5]} ...; needed: a name in each row."
            )
        return cls(nodes, list(y.columns), exogenous, tuple(y.index.names), *clock)

    @property
    def targets(self) -> list[str] | None:
        """Names, in `table`, of the features to forecast; None for all."""
        return [f"y{i}" for i in range(len(self.channels))] if self._has_features else None

    @property
    def _has_features(self) -> bool:
        return len(self.channels) > 1 or bool(self.exogenous)

    def table(self, y: pd.DataFrame, X: pd.DataFrame | None) -> pd.DataFrame:
        """One wide table of y and X: a column per node, or per (node, feature).

        Parameters
        ----------
        y, X : DataFrame
            Of this layout; rows and columns that X lacks are missing values, as are rows that an instance of y lacks.

        Returns
        -------
        DataFrame
            With the time index of y; numbers that stand for dates have become dates.

        Raises
        ------
        DataError
            If y has nodes that this layout does not have.
        """
        values, index = self._values(y, self.channels)
        times = read_times(index, self.reading).index
        if not self._has_features:
            return pd.DataFrame(
                values[..., 0], index=times, columns=pd.Index(self.nodes, tupleize_cols=False)
            )
        features = [f"y{i}" for i in range(len(self.channels))]
        features += [f"x{i}" for i in range(len(self.exogenous))]
        values = np.concatenate([values, self.known(X, index)], axis=2)
        columns = pd.MultiIndex.from_product([self.nodes, features])
        return pd.DataFrame(values.reshape(len(index), -1), index=times, columns=columns)

    def ahead(self, fh: ForecastingHorizon, cutoff: pd.Index) -> tuple[np.ndarray, pd.Index]:
        """The steps of a forecasting horizon, and their times.

        Parameters
        ----------
        fh : ForecastingHorizon
            Relative or absolute.
        cutoff : pandas.Index of length 1
            The last time seen.

        Returns
        -------
        steps : ndarray of int
            Counted from the cutoff.
        times : pandas.Index
            By the frequency of y where sktime knows none, as where rows are missing or numbers go up by more than one.

        Raises
        ------
        DataError
            If a time of the horizon is none that follows the cutoff.
        """
        if self._is_dated_by_sktime(cutoff, fh):
            return fh.to_relative(cutoff).to_numpy().astype(int), fh.to_absolute_index(cutoff)
        wanted = fh.to_pandas()
        if fh.is_relative:
            steps = wanted.to_numpy().astype(int)
            return steps, future_index(cutoff, int(steps.max()), self.freq)[steps - 1]
        times = future_index(cutoff, 64, self.freq)
        while times[-1] < wanted.max():
            times = future_index(cutoff, 2 * len(times), self.freq)
        steps = times.get_indexer(wanted)
        if (steps < 0).any():
            raise DataError(
                f"fh holds {wanted[steps < 0][0]}, which does not follow {cutoff[0]} at the frequency {self.freq} of y; the next "
                f"times are {', '.join(str(time) for time in times[:3])}."
            )
        return steps + 1, times[steps]

    def _is_dated_by_sktime(self, cutoff: pd.Index, fh: ForecastingHorizon) -> bool:
        """Whether sktime knows the frequency of y: of few rows, such as new ones, it may find another."""
        if isinstance(cutoff, pd.PeriodIndex) or self.freq is None:
            return True
        if not isinstance(cutoff, pd.DatetimeIndex):
            return self.freq == 1
        known = cutoff.freqstr or fh.freq
        mine = offset_of(self.freq) if isinstance(self.freq, str) else to_offset(self.freq)
        return known is not None and to_offset(known) == mine

    def known(self, X: pd.DataFrame | None, index: pd.Index) -> np.ndarray:
        """Exogenous values at the given times.

        Parameters
        ----------
        X : DataFrame or None
            Of this layout.
        index : pandas.Index
            Times.

        Returns
        -------
        ndarray of shape (n_times, n_nodes, n_exogenous)
            NaN where X has no value.
        """
        shape = len(index), len(self.nodes), len(self.exogenous)
        if X is None or not self.exogenous:
            return np.full(shape, np.nan)
        if X.index.nlevels == 1:
            values = X.reindex(index=index, columns=self.exogenous).to_numpy(
                dtype=np.float64, na_value=np.nan
            )
            return np.broadcast_to(values[:, None], shape)
        values, times = self._values(X, self.exogenous)
        rows = times.get_indexer(index)
        return np.where(rows[:, None, None] >= 0, values[rows], np.nan)

    def _values(self, table: pd.DataFrame, columns: Sequence[Hashable]) -> tuple[np.ndarray, pd.Index]:
        """Values (t, n, f) and times of a wide or panel table."""
        if table.index.nlevels == 1:
            ordered = table if self.levels else table.reindex(columns=self.nodes)
            return ordered.to_numpy(dtype=np.float64, na_value=np.nan)[..., None], table.index
        instances = _instances(table.index)
        unknown = [node for node in dict.fromkeys(instances) if node not in set(self.nodes)]
        if unknown:
            raise DataError(f"unknown instance {unknown[0]!r}; fit saw the nodes {self.nodes[:5]} ...")
        rows, times = pd.factorize(table.index.get_level_values(-1), sort=True)
        values = np.full((len(times), len(self.nodes), len(columns)), np.nan)
        position = {node: i for i, node in enumerate(self.nodes)}
        nodes = np.array([position[node] for node in instances])
        values[rows, nodes] = table.reindex(columns=columns).to_numpy(dtype=np.float64, na_value=np.nan)
        return values, times

    def frame(
        self, values: np.ndarray, index: pd.Index, labels: Sequence[tuple[Any, ...]] | None = None
    ) -> pd.DataFrame:
        """Forecasts as a table like the y that was fitted.

        Parameters
        ----------
        values : ndarray of shape (n_steps, n_nodes, n_channels) or (n_steps, n_nodes, n_channels, n_labels)
            Forecasts, or several numbers about each.
        index : pandas.Index
            Times.
        labels : sequence of tuple, optional
            What the numbers are; further levels of the columns.

        Returns
        -------
        DataFrame
            With one column (or one for each label) per node, or per channel of a panel.
        """
        variables = self.nodes if self.levels is None else self.channels
        if labels is None:
            values, columns = (
                values[..., None],
                pd.Index(variables, name=self.column_name, tupleize_cols=False),
            )
        else:
            columns = pd.MultiIndex.from_tuples([(name, *label) for name in variables for label in labels])
            columns = columns.set_names(self.column_name, level=0)
        if self.levels is None:
            return pd.DataFrame(
                values.reshape(len(index), -1), index=index.rename(self.time_name), columns=columns
            )
        by_node = values.transpose(1, 0, 2, 3).reshape(len(self.nodes) * len(index), -1)
        keys = [node if isinstance(node, tuple) else (node,) for node in self.nodes]
        rows = pd.MultiIndex.from_tuples([(*key, time) for key in keys for time in index], names=self.levels)
        return pd.DataFrame(by_node, index=rows, columns=columns)


def rows_after(table: pd.DataFrame, seen: pd.Index, freq: Any = None) -> pd.DataFrame:
    """The rows of a table that come after the times seen so far, with missing rows for the times in between.

    Parameters
    ----------
    table : DataFrame
        Values with a time index, which may overlap with what was seen.
    seen : pandas.Index
        Times seen so far.
    freq : str, Timedelta, number, optional
        Time from one step to the next; default that of `seen`.

    Returns
    -------
    DataFrame
        Beginning one step after `seen`; empty if the table holds nothing new.
    """
    new = table[table.index > seen[-1]]
    if not len(new) or follows(seen, new.index, freq):
        return new
    n_steps = 64
    while (between := future_index(seen, n_steps, freq))[-1] < new.index[0]:
        n_steps *= 2
    between = between[between < new.index[0]]
    if not follows(between, new.index, freq):
        between = between[:-1]  # stamps that are a little late
    return new.reindex(between.append(new.index))


def _instances(index: pd.MultiIndex) -> list[Hashable]:
    """Instance of each row: a label, or a tuple of labels where there are several levels."""
    above = index.droplevel(-1)
    return list(above)
