"""Every container that a user may give, as a `Panel`.

An array, a DataFrame (wide or long), an xarray DataArray, a torch tensor, or a list of these becomes a `Panel`: values
of shape (t, n, f), a time index, node and feature names. `Panel.like` turns forecasts back into the kind that came in.
No deeper layer sees pandas or xarray. Used by the forecasters, the datasets and the report.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import DataError, DataTypeError
from .fields import (
    TIME_NAMES,
    field_from_array,
    joined_along,
    trajectories_from_array,
    trajectory_dimension,
    xarray_layout,
)
from .output import AsList, AsTuple, Stacked, ToArray, ToLong, ToTensor, ToWide
from .panel import Panel, join_panels
from .validation import array_of_tensor, as_floats, refuse_extremes

__all__ = ["as_panel", "long_columns"]

# (time, node, value) column names of long tables that are recognised without being specified, lower case
_LONG_COLUMNS = (("time", "node", "value"), ("ds", "unique_id", "y"))


def as_panel(X: Any, *, fields: bool = False) -> Panel:
    """Turn a user's container into a `Panel`.

    Parameters
    ----------
    X : array-like, DataFrame, DataArray, Tensor, or a list of these
        Nodes: array or tensor of shape (n_times, n_nodes) or (n_times, n_nodes, n_features); wide DataFrame with one
        column per node, or (node, feature) column pairs; long DataFrame with a (time, node) row index, or with the
        columns time, node, value (also ds, unique_id, y); DataArray with the dimensions time, node[, feature].
        Fields: array or tensor of shape (n_times, n_y, n_x, n_features); DataArray with the dimensions time, y, x[,
        feature], in any order, recognised by their names (also lat, latitude, row; lon, longitude, column).
        Trajectories, which are independent of each other: array or tensor of shape (n_trajectories, n_times, n_y, n_x,
        n_features); DataArray with a further dimension named trajectory (also sample, member, run, realization); list
        or tuple of any of the containers above, each with two axes or more.
    fields : bool, default=False
        What an array of three axes is: (n_times, n_nodes, n_features), or, if True, (n_times, n_y, n_x). Give
        ``X[..., None]`` to be understood either way.

    Returns
    -------
    Panel
        The same values; floating-point arrays are not copied.

    Raises
    ------
    DataError
        If the container is none of these, holds infinite values, or its time index is unsorted or duplicated.
    """
    if isinstance(X, (list, tuple)) and X and all(len(getattr(part, "shape", ())) > 1 for part in X):
        parts = [as_panel(part, fields=fields) for part in X]
        if any(part.parts for part in parts):
            raise DataError(f"X is a list of {len(X)} containers that themselves hold many trajectories.")
        return join_panels(parts, AsTuple() if isinstance(X, tuple) else AsList())
    if isinstance(X, pd.DataFrame):
        if isinstance(X.index, pd.MultiIndex) or _exactly_long(X) is not None:
            return _from_long(X)
        return _from_wide(X)
    if isinstance(X, pd.Series):
        raise DataError("X is a pandas Series, which has no node axis; use X.to_frame() for a single node.")
    if hasattr(X, "dims") and hasattr(X, "coords"):
        return _from_xarray(X)
    if hasattr(X, "detach"):
        return _from_array(array_of_tensor(X), fields, ToTensor())
    return _from_array(X, fields, ToArray())


# axes of a plain array by their number; three are nodes with features unless the forecaster reads fields
_AXES = {
    2: ("row", "node"),
    3: ("row", "node", "feature"),
    4: ("row", "y", "x", "feature"),
    5: ("trajectory", "row", "y", "x", "feature"),
}


def _checked_values(values: Any, axes: tuple[str, ...] | None = None) -> np.ndarray:
    """Numeric values as floats, NaN allowed, infinity not; float32 and float64 are not copied."""
    array = as_floats(values)
    if array.ndim not in _AXES:
        raise DataError(
            f"X has {array.ndim} axes, shape {array.shape}; needed: (n_times, n_nodes), (n_times, n_nodes, n_features), "
            "(n_times, n_y, n_x, n_features) or (n_trajectories, n_times, n_y, n_x, n_features)."
        )
    if 0 in array.shape:
        empty = "features" if array.ndim > 2 and array.shape[-1] == 0 else "values"
        raise DataError(f"X has no {empty}: shape {array.shape}.")
    refuse_extremes(array, axes or _AXES[array.ndim])
    return array


def _checked_index(index: pd.Index) -> pd.Index:
    """A time index in order and without duplicates."""
    numeric = pd.api.types.is_numeric_dtype(index) and np.dtype(index.dtype).kind in "iuf"
    if not (numeric or isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex))):
        raise DataError(
            f"the time index holds {index.dtype} values such as {index[0]!r}; needed: datetimes, periods or numbers. "
            "Convert it, for instance with pandas.to_datetime."
        )
    unknown = index.isna() | np.isinf(index.to_numpy()) if numeric else index.isna()
    if unknown.any():
        raise DataError(
            f"the time index has {int(unknown.sum())} value(s) that are no time, the first is {index[unknown][0]} at row "
            f"{int(unknown.argmax())}; every row needs its time."
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


def _from_array(X: Any, fields: bool, restore: ToArray | ToTensor) -> Panel:
    is_field = fields and getattr(X, "ndim", 0) == 3
    array = _checked_values(X, ("row", "y", "x") if is_field else None)
    if array.ndim == 5:
        return trajectories_from_array(array, restore, Stacked())
    if array.ndim == 4 or (array.ndim == 3 and fields):
        return field_from_array(array, restore)
    values = array[..., None] if array.ndim == 2 else array
    return Panel(values, None, None, None, array.ndim, restore)


def _numbers(frame: pd.DataFrame) -> np.ndarray:
    """The values of a frame as floats, with missing values of any pandas kind as NaN."""
    for place, dtype in enumerate(frame.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_object_dtype(dtype):
            raise DataTypeError(
                f"X holds values that are no numbers: column {frame.columns[place]!r} has the type {dtype}. Leave it out, "
                "or convert it (pandas.to_numeric)."
            )
    if all(isinstance(dtype, np.dtype) for dtype in frame.dtypes):
        return frame.to_numpy()
    return frame.to_numpy(dtype=np.float64, na_value=np.nan)


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


def long_columns(frame: pd.DataFrame) -> tuple[Hashable, ...] | None:
    """Which columns of a long table are time, node and value.

    Parameters
    ----------
    frame : DataFrame
        Any table.

    Returns
    -------
    tuple of (time, node, value) or None
        Names of the columns, which are known by their names: time, node, value or ds, unique_id, y, in upper or lower
        case; None where the table does not have them.
    """
    lower = {str(name).lower(): name for name in frame.columns}
    for names in _LONG_COLUMNS:
        if lower.keys() >= set(names):
            return tuple(lower[name] for name in names)
    return None


def _exactly_long(frame: pd.DataFrame) -> tuple[Hashable, ...] | None:
    return long_columns(frame) if frame.shape[1] == 3 else None


def _from_long(frame: pd.DataFrame) -> Panel:
    columns = _exactly_long(frame)
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
    named = [str(name).lower() in TIME_NAMES for name in index.names]
    return named.index(True) if any(named) else 0


def _from_xarray(array: Any) -> Panel:
    dim = trajectory_dimension(array)
    if dim is not None:
        parts = [_from_xarray(array.isel({dim: i}, drop=True)) for i in range(array.sizes[dim])]
        return join_panels(parts, joined_along(dim, array))
    layout = xarray_layout(array)
    moved = array.transpose(*layout.order)
    axes = ("row", "y", "x", "feature") if layout.is_field else ("row", "node", "feature")
    values = _checked_values(moved.values, axes[: array.ndim])
    labels = [list(moved.indexes[dim]) if dim in moved.indexes else None for dim in layout.order]
    index = _checked_index(moved.indexes[layout.order[0]]) if layout.order[0] in moved.indexes else None
    if layout.is_field:
        features = labels[3] if array.ndim == 4 else None
        return replace(field_from_array(values, layout), index=index, features=features)
    features = labels[2] if array.ndim == 3 else None
    values = values if array.ndim == 3 else values[..., None]
    return Panel(values, index, labels[1], features, array.ndim, layout)
