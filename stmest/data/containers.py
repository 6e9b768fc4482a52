"""One form for every container a user may bring.

An array, a DataFrame (wide or long), an xarray DataArray or a torch tensor becomes a `Panel`: values of shape
(t, n, f), a time index, node and feature names. `Panel.like` turns forecasts back into the kind that came in. Nothing
deeper in the house sees pandas or xarray. Used by the forecasters, the datasets and the report.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_array

from ..exceptions import DataError
from .forms import ToArray, ToLong, ToTensor, ToWide, ToXarray
from .pieces import row_pieces
from .time_index import future_index

__all__ = ["Panel", "as_panel"]

# (time, node, value) column names of long tables that are recognised without being told, lower case
_LONG_COLUMNS = ({"time", "node", "value"}, {"ds", "unique_id", "y"})
_TIME_NAMES = ("time", "ds", "timestamp", "date", "datetime")


@dataclass(frozen=True)
class Panel:
    """Readings of several nodes over time, in one form.

    Attributes
    ----------
    values : ndarray of shape (n_times, n_nodes, n_features)
        Floating point; NaN where nothing was observed. A view of the user's data wherever that is possible.
    index : pandas.Index or None
        Time of each row; None for plain arrays.
    nodes : list or None
        Names of the nodes; None for plain arrays.
    features : list or None
        Names of the features; None where there are none.
    ndim : int
        2 if the user's container had no feature axis, else 3.
    restore : callable
        Turns (values, index) of a forecast into the user's kind of container.
    """

    values: np.ndarray
    index: pd.Index | None
    nodes: list[Hashable] | None
    features: list[Hashable] | None
    ndim: int
    restore: Callable[[np.ndarray, pd.Index | None, Panel], Any]

    @property
    def n_times(self) -> int:
        """Number of rows."""
        return self.values.shape[0]

    def tail(self, n_rows: int) -> Panel:
        """The last rows, copied, so that the rest of the data can be freed.

        Parameters
        ----------
        n_rows : int
            How many rows to keep; fewer are kept where there are fewer.

        Returns
        -------
        Panel
            A panel of at most `n_rows` rows.
        """
        index = None if self.index is None else self.index[-n_rows:]
        return Panel(
            np.array(self.values[-n_rows:]), index, self.nodes, self.features, self.ndim, self.restore
        )

    def followed_by(self, other: Panel) -> Panel:
        """This panel's rows and then those of another one.

        Parameters
        ----------
        other : Panel
            Later rows of the same nodes and features.

        Returns
        -------
        Panel
            Rows of both; container kind and names of `other`.
        """
        index = None if other.index is None or self.index is None else self.index.append(other.index)
        values = np.concatenate([self.values, other.values])
        return Panel(values, index, other.nodes, other.features, other.ndim, other.restore)

    def with_nodes(self, nodes: list[Hashable]) -> Panel:
        """The same readings with the nodes in another order.

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
        return Panel(self.values[:, order], self.index, list(nodes), self.features, self.ndim, self.restore)

    def like(self, values: np.ndarray, target: Sequence[int]) -> Any:
        """Forecasts in the container kind that the user gave.

        Parameters
        ----------
        values : ndarray of shape (horizon, n_nodes, n_targets)
            Forecasts of the steps that follow this panel.
        target : sequence of int
            Positions of the forecast features among `features`.

        Returns
        -------
        ndarray, DataFrame, DataArray or Tensor
            Two axes if the user's container had two, else three.
        """
        index = None if self.index is None else future_index(self.index, len(values))
        features = None if self.features is None else [self.features[i] for i in target]
        dtype = self.values.dtype
        out = Panel(values.astype(dtype, copy=False), index, self.nodes, features, self.ndim, self.restore)
        return self.restore(out.values[..., 0] if self.ndim == 2 else out.values, index, out)


def as_panel(X: Any) -> Panel:
    """Turn a user's container into a `Panel`.

    Parameters
    ----------
    X : array-like, DataFrame, DataArray or Tensor
        Array or tensor of shape (n_times, n_nodes) or (n_times, n_nodes, n_features); wide DataFrame with one column
        per node, or (node, feature) column pairs; long DataFrame with a (time, node) row index, or with the columns
        time, node, value (also ds, unique_id, y); DataArray with the dimensions time, node[, feature].

    Returns
    -------
    Panel
        The same readings; floating-point arrays are not copied.

    Raises
    ------
    DataError
        If the container does not have that form, holds infinite values, or its time index is unsorted or duplicated.
    """
    if isinstance(X, pd.DataFrame):
        if isinstance(X.index, pd.MultiIndex) or _long_columns(X) is not None:
            return _from_long(X)
        return _from_wide(X)
    if isinstance(X, pd.Series):
        raise DataError("X is a pandas Series, which has no node axis; use X.to_frame() for a single node.")
    if hasattr(X, "dims") and hasattr(X, "coords"):
        return _from_xarray(X)
    if hasattr(X, "detach"):
        return _from_array(X.detach().cpu().numpy(), restore=ToTensor())
    return _from_array(X)


def _checked_values(values: Any) -> np.ndarray:
    """Numeric values as floats, two or three axes, NaN allowed, infinity not; float32 and float64 are not copied."""
    if isinstance(values, np.ndarray) and values.ndim == 1:
        raise DataError(
            f"X has one axis, shape {values.shape}; needed: (n_times, n_nodes). Reshape your data: X[:, None] is a single node."
        )
    array = check_array(
        values, dtype=[np.float64, np.float32], allow_nd=True, ensure_all_finite=False, input_name="X"
    )
    if array.ndim > 3:
        raise DataError(
            f"X has {array.ndim} axes, shape {array.shape}; needed: (n_times, n_nodes) or (n_times, n_nodes, n_features)."
        )
    if array.ndim == 3 and array.shape[2] == 0:
        raise DataError(f"X has no features: shape {array.shape}.")
    _refuse_infinity(array)
    return array


def _refuse_infinity(array: np.ndarray) -> None:
    for first, piece in row_pieces(array):
        bad = np.argwhere(np.isinf(piece))
        if len(bad):
            row, node = first + bad[0][0], bad[0][1]
            raise DataError(
                f"X contains infinity ({len(bad)} value(s), the first at row {row}, node {node}). "
                "Use NaN for a missing observation."
            )


def _checked_index(index: pd.Index) -> pd.Index:
    """A time index in order and without duplicates."""
    timed = isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex)) or pd.api.types.is_numeric_dtype(index)
    if not timed:
        raise DataError(
            f"the time index holds {index.dtype} values such as {index[0]!r}; needed: datetimes, periods or numbers. "
            "Convert it, for instance with pandas.to_datetime."
        )
    if not index.is_unique:
        raise DataError(
            f"the time index has duplicates, the first is {index[index.duplicated()][0]!r}; one row per time is needed."
        )
    if not index.is_monotonic_increasing:
        raise DataError(
            "the time index is not in increasing order; sort the rows by time first (X.sort_index())."
        )
    return index


def _from_array(X: Any, restore: Callable[..., Any] | None = None) -> Panel:
    array = _checked_values(X)
    values = array[..., None] if array.ndim == 2 else array
    return Panel(values, None, None, None, array.ndim, restore or ToArray())


def _numbers(frame: pd.DataFrame) -> np.ndarray:
    """The values of a frame as floats, with missing values of any pandas kind as NaN."""
    try:
        if all(isinstance(dtype, np.dtype) for dtype in frame.dtypes):
            return frame.to_numpy()
        return frame.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(f"X holds values that are no numbers: {error}.") from error


def _from_wide(frame: pd.DataFrame) -> Panel:
    if not frame.columns.is_unique:
        raise DataError(f"X names a node twice: {frame.columns[frame.columns.duplicated()][0]!r}.")
    array = _checked_values(_numbers(frame))
    index = _checked_index(frame.index)
    if frame.columns.nlevels == 1:
        return Panel(array[..., None], index, list(frame.columns), None, 2, ToWide())
    if frame.columns.nlevels != 2:
        raise DataError(
            f"X has {frame.columns.nlevels} column levels; needed: one (node) or two (node, feature)."
        )
    nodes, features = (list(dict.fromkeys(frame.columns.get_level_values(level))) for level in (0, 1))
    if len(frame.columns) != len(nodes) * len(features):
        raise DataError(
            f"X has {len(frame.columns)} (node, feature) columns for {len(nodes)} nodes and {len(features)} features; "
            "every node needs every feature (fill a column with NaN where one is not measured)."
        )
    order = frame.columns.get_indexer(pd.MultiIndex.from_product([nodes, features]))
    if not np.array_equal(order, np.arange(len(order))):
        array = array[:, order]
    return Panel(array.reshape(len(frame), len(nodes), len(features)), index, nodes, features, 3, ToWide())


def _long_columns(frame: pd.DataFrame) -> tuple[Hashable, Hashable, Hashable] | None:
    """The (time, node, value) columns of a long table, if it has just these."""
    lower = {str(name).lower(): name for name in frame.columns}
    for names in _LONG_COLUMNS:
        if frame.shape[1] == 3 and set(lower) == names:
            time, node, value = ("ds", "unique_id", "y") if "ds" in names else ("time", "node", "value")
            return lower[time], lower[node], lower[value]
    return None


def _from_long(frame: pd.DataFrame) -> Panel:
    columns = _long_columns(frame)
    indexed = frame if columns is None else frame.set_index([columns[0], columns[1]])
    if indexed.index.nlevels != 2:
        raise DataError(f"X has a row index of {indexed.index.nlevels} levels; needed: (time, node).")
    time_level = _time_level(indexed.index)
    if not indexed.index.is_unique:
        twice = indexed.index[indexed.index.duplicated()][0]
        raise DataError(f"X has several rows for {twice!r}; one row per time and node is needed.")
    names = indexed.index.names
    wide = indexed.unstack(1 - time_level).swaplevel(axis=1)
    features = list(indexed.columns)
    nodes = list(dict.fromkeys(indexed.index.get_level_values(1 - time_level)))
    wide = wide.reindex(columns=pd.MultiIndex.from_product([nodes, features])).sort_index()
    values = _checked_values(_numbers(wide)).reshape(len(wide), len(nodes), len(features))
    index = _checked_index(wide.index)

    restore = ToLong(tuple(names), time_level, None if columns is None else tuple(frame.columns))
    return Panel(values, index, nodes, features, 3 if len(features) > 1 else 2, restore)


def _time_level(index: pd.MultiIndex) -> int:
    """Which level of a (time, node) row index is the time: by its type, else by its name, else the first."""
    datetimes = [isinstance(level, (pd.DatetimeIndex, pd.PeriodIndex)) for level in index.levels]
    if sum(datetimes) == 1:
        return datetimes.index(True)
    named = [str(name).lower() in _TIME_NAMES for name in index.names]
    return named.index(True) if any(named) else 0


def _from_xarray(array: Any) -> Panel:
    dims = list(array.dims)
    if array.ndim not in (2, 3):
        raise DataError(f"X has the dimensions {tuple(dims)}; needed: (time, node) or (time, node, feature).")
    time = next((dim for dim in dims if str(dim).lower() in _TIME_NAMES), dims[0])
    order = [time, *(dim for dim in dims if dim != time)]
    moved = array.transpose(*order)
    values = _checked_values(moved.values)
    labels = [list(moved.indexes[dim]) if dim in moved.indexes else None for dim in order]
    index = _checked_index(moved.indexes[time]) if time in moved.indexes else None

    restore = ToXarray(tuple(dims), tuple(order), array.name)
    features = labels[2] if array.ndim == 3 else None
    return Panel(
        values if array.ndim == 3 else values[..., None], index, labels[1], features, array.ndim, restore
    )
