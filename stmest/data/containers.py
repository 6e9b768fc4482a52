"""Every container that a user may give, as a `Panel`.

An array, a DataFrame (wide or long), an xarray DataArray, a torch tensor, or a list of these becomes a `Panel`: values
of shape (t, n, f), a time index, node and feature names. `Panel.like` turns forecasts back into the kind that came in.
No deeper layer sees pandas or xarray. Used by the forecasters, the datasets and the report.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import DataError, DataTypeError
from ..runtime import require
from .fields import (
    field_from_array,
    joined_along,
    merged_variables,
    time_coordinate,
    trajectories_from_array,
    trajectory_dimension,
    xarray_layout,
)
from .output import AsList, AsTuple, Stacked, ToArray, ToDataset, ToLong, ToTable, ToTensor, ToWide
from .panel import Panel, join_panels
from .time_columns import join_time_columns
from .times import STEP_NAMES, looks_like_times, names_times, read_times
from .validation import array_of_tensor, as_floats, refuse_extremes

__all__ = ["NODE_NAMES", "are_times", "as_panel", "long_columns"]

# (time, node, value) column names of long tables that are recognised without being specified, lower case
_LONG_COLUMNS = (("time", "node", "value"), ("ds", "unique_id", "y"))
# Names, lower case, of columns and levels that name the nodes, and of levels that name the features
NODE_NAMES = (
    "node", "nodes", "sensor", "sensors", "station", "stations", "unique_id", "instance", "instances", "series", "id", "item_id",
    "sensor_id", "node_id", "station_id", "series_id", "location", "site", "detector", "detector_id", "meter_id",
)  # fmt: skip
# Names of levels only: a column of one of these names may as well be a node
_NODE_LEVELS = (*NODE_NAMES, "meter", "ticker", "cell", "region", "city")
_FEATURE_NAMES = (
    "feature", "features", "channel", "channels", "variable", "variables", "var", "quantity", "measure", "measurement",
    "measurements", "attribute", "attributes", "parameter", "parameters", "param", "metric", "kpi", "signal", "field", "fields",
)  # fmt: skip


# A time as a name has a year of four figures; without marks between its parts, it has at least eight
_TIME_AS_NAME = re.compile(
    r"(19|20)\d{2}([-/.]\d{1,2}){1,2}([T ]+\d{1,2}:?\d{2}.*)?|(19|20)\d{2}(0[1-9]|1[0-2])([0-2]\d|3[01])([T ]?\d{2}.*)?"
    r"|\d{1,2}[-/.]\d{1,2}[-/.](19|20)\d{2}([T ]+\d{1,2}:?\d{2}.*)?"
)


def as_panel(X: Any, *, fields: bool = False, reading: str | None = None) -> Panel:
    """Turn a user's container into a `Panel`.

    Parameters
    ----------
    X : array-like, DataFrame, DataArray, Tensor, or a list of these
        Nodes: array or tensor of shape (n_times, n_nodes) or (n_times, n_nodes, n_features); wide DataFrame with one
        column per node, or (node, feature) column pairs; long DataFrame with a (time, node) row index, or with the
        columns time, node, value (also ds, unique_id, y); DataArray with the dimensions time, node[, feature]; Dataset, whose
        variables are the features; table of polars or pyarrow, wide with a column of times, or long.
        Times: whatever `stmest.data.times.read_times` reads.
        Fields: array or tensor of shape (n_times, n_y, n_x, n_features); DataArray with the dimensions time, y, x[,
        feature], in any order, recognised by their names (also lat, latitude, row; lon, longitude, column).
        Trajectories, which are independent of each other: array or tensor of shape (n_trajectories, n_times, n_y, n_x,
        n_features); DataArray with a further dimension named trajectory (also sample, member, run, realization); list
        or tuple of any of the containers above, each with two axes or more.
    fields : bool, default=False
        What an array of three axes is: (n_times, n_nodes, n_features), or, if True, (n_times, n_y, n_x). Give
        ``X[..., None]`` to be understood either way.
    reading : str, optional
        How the times of the training data were read.

    Returns
    -------
    Panel
        The same values; floating-point arrays are not copied.

    Raises
    ------
    DataError
        If the container is none of these, holds infinite values, or its time index is unsorted or duplicated, or can be read in
        two ways that are equally good.
    """
    if isinstance(X, (list, tuple)) and X and all(len(getattr(part, "shape", ())) > 1 for part in X):
        parts = [as_panel(part, fields=fields, reading=reading) for part in X]
        if any(part.parts for part in parts):
            raise DataError(f"X is a list of {len(X)} containers that themselves hold many trajectories.")
        return join_panels(parts, AsTuple() if isinstance(X, tuple) else AsList())
    if isinstance(X, pd.DataFrame):
        if isinstance(X.index, pd.MultiIndex) or _exactly_long(X) is not None:
            return _from_long(X, reading)
        _refuse_columns_of_times(X)
        return _from_wide(X, reading)
    if isinstance(X, pd.Series):
        raise DataError("X is a pandas Series, which has no node axis; use X.to_frame() for a single node.")
    if hasattr(X, "data_vars"):
        return _from_dataset(X, reading)
    if hasattr(X, "dims") and hasattr(X, "coords"):
        return _from_xarray(X, reading)
    if hasattr(X, "__arrow_c_stream__") and hasattr(X, "columns"):
        return _from_arrow(X, reading)
    if hasattr(X, "detach"):
        return _from_array(array_of_tensor(X), fields, ToTensor())
    if hasattr(X, "collect_schema") and hasattr(X, "collect"):
        raise DataTypeError(f"X is a {type(X).__name__}, which holds no values yet; give X.collect().")
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


def _checked_index(index: pd.Index, reading: str | None = None) -> tuple[pd.Index, str | None]:
    """A time index in order and without duplicates, and how its times were read."""
    index, reading = read_times(index, reading)
    numeric = index.dtype.kind in "iuf" if isinstance(index.dtype, np.dtype) else False
    unknown = index.isna() | np.isinf(index.to_numpy()) if numeric else index.isna()
    if unknown.any():
        raise DataError(
            f"the time index has {int(unknown.sum())} value(s) that are no time, the first is {index[unknown][0]} at row "
            f"{int(unknown.argmax())}; every row needs its time."
        )
    if not index.is_unique:
        raise DataError(
            f"the time index has duplicates, the first is {index[index.duplicated()][0]!r}; one row per time is needed."
            f"{_clock_change(index)}"
        )
    if not index.is_monotonic_increasing:
        raise DataError(
            "the time index is not in increasing order; sort the rows by time first (X.sort_index())."
        )
    return index, reading


def _clock_change(index: pd.Index) -> str:
    """A hint, where one hour that is there twice may be that at which clocks are put back."""
    twice = index[index.duplicated()]
    if (
        not isinstance(index, pd.DatetimeIndex)
        or index.tz is not None
        or twice.normalize().nunique() > len(index) // 1000 + 2
    ):
        return ""
    if (twice.hour > 3).any() or not twice.month.isin([3, 4, 9, 10, 11]).all():
        return ""
    return (
        " If these are local times and clocks were put back then, give times in UTC or with their UTC offset."
    )


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


def _refuse_columns_of_times(frame: pd.DataFrame) -> None:
    """Refuse a table of numbered rows whose times lie in a column: they are no values of a node."""
    index = frame.index
    if not isinstance(index, pd.RangeIndex) or (index.start, index.step, index.name) != (0, 1, None):
        return
    if frame.columns.nlevels > 1 or not frame.columns.is_unique:
        return
    lower = {str(name).strip().lower(): name for name in frame.columns}
    if {"year", "month", "day"} <= lower.keys():
        raise DataTypeError(
            f"X has numbered rows and its times in {lower['year']!r}, {lower['month']!r}, {lower['day']!r}. Make it the "
            "index: pandas.to_datetime of these columns (and the hour), then X.set_index(...)."
        )
    named = [name for name in frame.columns if names_times(name)]
    times = [
        name for name in frame.columns if looks_like_times(frame[name]) or _is_text_of_dates(frame[name])
    ]
    nodes = [name for name in frame.columns if str(name).strip().lower() in NODE_NAMES]
    for name in dict.fromkeys([*times, *named]):
        column = frame[name]
        if (
            pd.api.types.is_numeric_dtype(column)
            and not _rises(column)
            and not (nodes and _rises(column.drop_duplicates().sort_values()))
        ):
            continue
        way_out = f"Make it the index: X.set_index({name!r})."
        if nodes:
            way_out = f"Make it and the names of the nodes the index: X.set_index([{name!r}, {nodes[0]!r}])."
        raise DataTypeError(
            f"X has numbered rows, and column {name!r} of type {column.dtype} holds times, which are no values of a node. "
            f"{way_out} Leave it out, or rename it, if it is no time."
        )


def _rises(column: pd.Series) -> bool:
    return len(column) > 1 and bool(column.is_monotonic_increasing and column.is_unique)


def _is_text_of_dates(column: pd.Series) -> bool:
    """Whether the first cells of a column of text read as dates, perhaps in two ways."""
    if not (
        pd.api.types.is_object_dtype(column)
        or isinstance(column.dtype, (pd.StringDtype, pd.CategoricalDtype))
    ):
        return False
    cells = column.dropna().iloc[:20].tolist()
    if not cells or not all(isinstance(cell, str) for cell in cells):
        return False
    try:
        return isinstance(read_times(cells).index, pd.DatetimeIndex)
    except DataError as error:
        return "two ways" in str(error)


def _from_wide(frame: pd.DataFrame, reading: str | None) -> Panel:
    if not frame.columns.is_unique:
        raise DataError(f"X names a node twice: {frame.columns[frame.columns.duplicated()][0]!r}.")
    unnamed = [i for i, name in enumerate(frame.columns.to_flat_index()) if pd.isna(name) is True]
    if unnamed:
        raise DataError(
            f"column {unnamed[0] + 1} of {frame.shape[1]} of X has no name; needed: a name for each node."
        )
    array = _checked_values(_numbers(frame))
    _refuse_times_in_columns(frame)
    index, reading = _checked_index(frame.index, reading)
    _refuse_columns_of_files(frame)
    names = tuple(frame.columns.names)
    restore = ToWide(names=() if set(names) == {None} else names)
    if frame.columns.nlevels == 1:
        return Panel(array[..., None], index, list(frame.columns), None, 2, restore, reading=reading)
    if frame.columns.nlevels != 2:
        raise DataError(
            f"X has {frame.columns.nlevels} column levels; needed: one (node) or two (node, feature)."
        )
    node_level = _node_level(frame.columns.names)
    nodes, features = (
        list(dict.fromkeys(frame.columns.get_level_values(level))) for level in (node_level, 1 - node_level)
    )
    if len(frame.columns) != len(nodes) * len(features):
        raise DataError(
            f"X has {len(frame.columns)} (node, feature) columns for {len(nodes)} nodes and {len(features)} features; "
            "every node needs every feature (fill a column with NaN where one is not measured)."
        )
    columns = frame.columns if node_level == 0 else frame.columns.swaplevel()
    order = columns.get_indexer(pd.MultiIndex.from_product([nodes, features]))
    if not np.array_equal(order, np.arange(len(order))):
        array = array[:, order]
    values = array.reshape(len(frame), len(nodes), len(features))
    return Panel(values, index, nodes, features, 3, replace(restore, node_level=node_level), reading=reading)


def are_times(names: Iterable[Hashable]) -> list[bool]:
    """Which names of columns are times: dates, periods, and text with a full date.

    Parameters
    ----------
    names : iterable of hashable
        Names of columns.

    Returns
    -------
    list of bool
        One for each.

    Examples
    --------
    >>> are_times(["2024-01-31", "31.1.2024 23:00", "20240131", "400001", "2024", pd.Timestamp("2024-01-31")])
    [True, True, True, False, False, True]
    """
    return [
        isinstance(name, (date, np.datetime64, pd.Period)) or bool(_TIME_AS_NAME.fullmatch(str(name).strip()))
        for name in names
    ]


def _refuse_times_in_columns(frame: pd.DataFrame) -> None:
    """Refuse a table with a row per node, whose times are the names of its columns."""
    if (
        frame.columns.nlevels > 1
        or frame.shape[1] < 2
        or isinstance(frame.index, (pd.DatetimeIndex, pd.PeriodIndex))
    ):
        return
    dated = are_times(frame.columns)
    if sum(dated) < 2 or sum(dated) <= len(dated) / 2:
        return
    rows = frame.index.to_series()
    if looks_like_times(rows) or _is_text_of_dates(rows):
        return
    others = [name for name, is_time in zip(frame.columns, dated, strict=True) if not is_time]
    times = [name for name, is_time in zip(frame.columns, dated, strict=True) if is_time]
    turned = f"X.set_index({others[0]!r}).T" if others else "X.T"
    raise DataError(
        f"the columns of X are times, {times[0]!s} to {times[-1]!s}, and its rows are none: there seems to be a row per node. "
        f"Needed: a row per time; give {turned}."
    )


def _refuse_columns_of_files(frame: pd.DataFrame) -> None:
    """Refuse what a file leaves in a table that was read without looking: numbers of rows, empty columns."""
    if frame.columns.nlevels > 1:
        return
    for place, name in enumerate(frame.columns):
        if not isinstance(name, str) or not re.fullmatch(r"Unnamed: \d+(\.\d+)?", name):
            continue
        column = frame.iloc[:, place]
        counts = len(column) > 1 and np.array_equal(
            column.to_numpy(), np.arange(len(column)) + column.iloc[0]
        )
        if counts or column.isna().all():
            what = "numbers the rows" if counts else "has no value"
            raise DataError(
                f"column {name!r} of X has no name in the file that it came from, and {what}: it is no node. Leave it out: "
                f"X.drop(columns={name!r})."
            )


def _node_level(names: Any) -> int:
    """Which of two levels of the columns holds the nodes: by their names, else the first."""
    first, second = (str(name).strip().lower() for name in names)
    swapped = first in _FEATURE_NAMES or second in _NODE_LEVELS
    return int(swapped and first not in _NODE_LEVELS and second not in _FEATURE_NAMES)


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
    """Time, node and value of a table of these three columns only, of which the first two are known by their names."""
    if frame.shape[1] != 3:
        return None
    times = [name for name in frame.columns if names_times(name)]
    nodes = [name for name in frame.columns if str(name).strip().lower() in NODE_NAMES]
    values = [name for name in frame.columns if name not in times and name not in nodes]
    named = len(times) == len(nodes) == len(values) == 1 and bool(frame[nodes[0]].duplicated().any())
    return long_columns(frame) or ((*times, *nodes, *values) if named else None)


def _from_long(frame: pd.DataFrame, reading: str | None) -> Panel:
    columns = _exactly_long(frame)
    indexed = frame if columns is None else frame.set_index([columns[0], columns[1]])
    if indexed.index.nlevels != 2:
        raise DataError(f"X has a row index of {indexed.index.nlevels} levels; needed: (time, node).")
    time_level = 0 if columns is not None else _time_level(indexed.index)
    unknown = indexed.index.get_level_values(1 - time_level).isna()
    if unknown.any():
        raise DataError(f"row {int(unknown.argmax())} of X has no node; needed: a name in each row.")
    index, reading = read_times(indexed.index.get_level_values(time_level), reading)
    names = indexed.index.names
    levels = [index, indexed.index.get_level_values(1 - time_level)]
    indexed = indexed.set_axis(pd.MultiIndex.from_arrays(levels), axis=0)
    if not indexed.index.is_unique:
        twice = indexed.index[indexed.index.duplicated()][0]
        raise DataError(f"X has several rows for {twice!r}; one row per time and node is needed.")
    wide = indexed.unstack(1).swaplevel(axis=1)
    features = list(indexed.columns)
    nodes = list(dict.fromkeys(indexed.index.get_level_values(1)))
    wide = wide.reindex(columns=pd.MultiIndex.from_product([nodes, features])).sort_index()
    values = _checked_values(_numbers(wide)).reshape(len(wide), len(nodes), len(features))
    index, _ = _checked_index(wide.index.rename(names[time_level]), _STAY)

    restore = ToLong(
        tuple(names), time_level, None if columns is None else tuple(frame.columns), frame.columns.name
    )
    return Panel(values, index, nodes, features, 3 if len(features) > 1 else 2, restore, reading=reading)


# A reading for times that were read before
_STAY = "numbers"


def _time_level(index: pd.MultiIndex) -> int:
    """Which level of a (time, node) row index is the time: by its type, by the names, else the one that can be read as times."""
    found = [looks_like_times(level.to_series()) for level in index.levels]
    if sum(found) != 1:
        names = [str(name).strip().lower() for name in index.names]
        found = [names_times(name) for name in names]
    if sum(found) != 1 and sum(name in NODE_NAMES for name in names) == 1:
        found = [name not in NODE_NAMES for name in names]
    if sum(found) != 1:
        found = [name in STEP_NAMES for name in names]
    if sum(found) != 1:
        kinds = [_readable_kind(level) for level in index.levels]
        best = max(kinds)
        found = [kind == best > 0 for kind in kinds]
    if sum(found) != 1:
        raise DataError(
            f"X has a row index of the levels {list(index.names)}, of which it is not clear which one is the time. Name them: "
            "X.index.names = ['time', 'node'], or the other way round."
        )
    return found.index(True)


def _readable_kind(level: pd.Index) -> int:
    """2 for what reads as dates, 1 for numbers, 0 for what reads as no times."""
    try:
        read = read_times(level).index
    except DataError:
        return 0
    return 1 if isinstance(read.dtype, np.dtype) and read.dtype.kind in "iuf" else 2


def _from_arrow(table: Any, reading: str | None) -> Panel:
    """A table of another library that speaks Arrow; it has no index, so that the times are a column."""
    pyarrow = require("pyarrow", "io")
    try:
        frame = pyarrow.table(table).to_pandas()
    except (TypeError, ValueError, NotImplementedError) as error:
        what = f"{type(table).__module__.split('.')[0]} {type(table).__name__}"
        raise DataTypeError(
            f"X is a {what}, which cannot be read ({' '.join(str(error).split())[:100]})."
        ) from error
    library = type(table).__module__.split(".")[0]
    if _exactly_long(frame) is not None:
        panel, name = _from_long(frame, reading), None
    else:
        if frame.columns.is_unique:
            frame = join_time_columns(frame)
        name = _column_of_times(frame)
        panel = _from_wide(frame if name is None else frame.set_index(name), reading)
        panel = panel if name is not None else replace(panel, index=None, reading=None)
    inner: Any = panel.restore
    return replace(panel, restore=ToTable(library, name, inner))


def _column_of_times(frame: pd.DataFrame) -> Hashable | None:
    """Name of the column that holds the times: by its name, else by its type; None where there is none."""
    named = [name for name in frame.columns if names_times(name)]
    typed = [
        name for name in frame.columns if looks_like_times(frame[name]) or _is_text_of_dates(frame[name])
    ]
    both = [name for name in named if name in typed]
    for found in (both, typed, named):
        if len(found) > 1:
            raise DataTypeError(
                f"X has several columns of times, {', '.join(map(repr, found))}; needed: one. Leave the others out."
            )
        if found:
            return found[0]
    return None


def _from_dataset(data: Any, reading: str | None) -> Panel:
    array, names = merged_variables(data)
    panel = _from_xarray(array, reading)
    restores = [replace(part, restore=ToDataset(names, part.restore)) for part in panel.parts]
    if panel.parts:
        joined = join_panels(restores, ToDataset(names, panel.gathered))
        return replace(joined, reading=panel.reading)
    return replace(panel, restore=ToDataset(names, panel.restore))


def _from_xarray(array: Any, reading: str | None) -> Panel:
    dim = trajectory_dimension(array)
    if dim is not None:
        parts = [_from_xarray(array.isel({dim: i}, drop=True), reading) for i in range(array.sizes[dim])]
        return join_panels(parts, joined_along(dim, array))
    layout = xarray_layout(array)
    moved = array.transpose(*layout.order)
    axes = ("row", "y", "x", "feature") if layout.is_field else ("row", "node", "feature")
    values = _checked_values(moved.values, axes[: array.ndim])
    labels = [list(moved.indexes[dim]) if dim in moved.indexes else None for dim in layout.order]
    times = time_coordinate(moved, layout.order[0])
    index, reading = (None, None) if times is None else _checked_index(times, reading)
    if layout.is_field:
        features = labels[3] if array.ndim == 4 else None
        field = field_from_array(values, layout)
        return replace(field, index=index, features=features, reading=reading)
    features = labels[2] if array.ndim == 3 else None
    values = values if array.ndim == 3 else values[..., None]
    return Panel(values, index, labels[1], features, array.ndim, layout, reading=reading)
