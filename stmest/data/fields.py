"""Fields on grids: xarray DataArrays and plain arrays of three to five axes as panels, and back.

A field (time, y, x[, feature]) becomes a panel whose nodes are its cells, row by row. Builds on `panel`; used by
`containers`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import DataError
from .output import VARIABLE, AlongDimension, ToXarray
from .panel import Panel, join_panels
from .times import STEP_NAMES, looks_like_times, names_times

__all__ = [
    "field_from_array",
    "joined_along",
    "merged_variables",
    "time_coordinate",
    "trajectories_from_array",
    "trajectory_dimension",
    "xarray_layout",
]

# names, lower case, by which the dimensions of a DataArray are known
_ROW_NAMES = ("y", "lat", "latitude", "row", "north", "northing")
_COLUMN_NAMES = ("x", "lon", "long", "longitude", "column", "east", "easting")
_TRAJECTORY_NAMES = ("trajectory", "sample", "member", "run", "realization")


def field_from_array(array: np.ndarray, restore: Callable[..., Any]) -> Panel:
    """A field as a panel.

    Parameters
    ----------
    array : ndarray of shape (n_times, n_y, n_x) or (n_times, n_y, n_x, n_features)
        Checked values.
    restore : callable
        See `Panel`.

    Returns
    -------
    Panel
        With `grid` (n_y, n_x); contiguous values are not copied.
    """
    n_times, n_y, n_x = array.shape[:3]
    values = array.reshape(n_times, n_y * n_x, -1 if array.size else 1)
    return Panel(values, None, None, None, array.ndim - 1, restore, (n_y, n_x))


def trajectories_from_array(
    array: np.ndarray, restore: Callable[..., Any], gathered: Callable[..., Any]
) -> Panel:
    """Many fields of equal length as a panel.

    Parameters
    ----------
    array : ndarray of shape (n_trajectories, n_times, n_y, n_x, n_features)
        Checked values.
    restore, gathered : callable
        See `Panel`.

    Returns
    -------
    Panel
        One part per trajectory; contiguous values are not copied.
    """
    parts = [field_from_array(field, restore) for field in array]
    values = array.reshape(-1, *parts[0].values.shape[1:])
    return join_panels(parts, gathered, values)


def xarray_layout(array: Any) -> ToXarray:
    """Find which dimensions of a DataArray are time, space and feature.

    Parameters
    ----------
    array : DataArray
        Of two to four dimensions, one of them time.

    Returns
    -------
    ToXarray
        A grid if it has a dimension with a name like y or latitude and one like x or longitude, or four dimensions.

    Raises
    ------
    DataError
        If the number of dimensions does not fit.
    """
    dims = tuple(array.dims)
    if len(dims) not in (2, 3, 4):
        raise DataError(
            f"X has the dimensions {dims}; needed: (time, node), (time, node, feature), (time, y, x) or (time, y, x, "
            f"feature), each also with one of {_TRAJECTORY_NAMES} for many trajectories."
        )
    row, column = _named(dims, _ROW_NAMES), _named(dims, _COLUMN_NAMES)
    time = _time_dimension(array, (row, column))
    row, column = (None if dim == time else dim for dim in (row, column))
    rest = tuple(dim for dim in dims if dim not in (time, row, column))
    if len(dims) == 4 and (row is None or column is None):
        row, column, *others = sorted((dim for dim in dims if dim != time), key=VARIABLE.__eq__)
        rest = tuple(others)
    is_field = len(dims) == 4 or (len(dims) == 3 and row is not None and column is not None)
    rest = rest if is_field else tuple(dim for dim in dims if dim != time)
    rest = tuple(sorted(rest, key=VARIABLE.__eq__))  # that of the variables is the last
    order = (time, row, column, *rest) if is_field else (time, *rest)
    space = set(order[1:3] if is_field else order[1:2])
    coords = {
        key: (tuple(c.dims), c.values if c.dtype.kind in "fiub" else c.values.tolist())
        for key, c in array.coords.items()
        if set(c.dims) <= space and c.dims
    }
    return ToXarray(dims, order, is_field, coords, array.name, dict(array.attrs))


def time_coordinate(array: Any, dim: Hashable) -> pd.Index | None:
    """The times along a dimension: its own, or others that lie along it where it is merely numbered.

    Parameters
    ----------
    array : DataArray
        Any.
    dim : hashable
        Its dimension of time.

    Returns
    -------
    pandas.Index or None
        None where there are none.
    """
    index = array.indexes.get(dim)
    if index is not None and looks_like_times(index.to_series()):
        return index
    others = [c for key, c in array.coords.items() if key != dim and c.dims == (dim,) and c.dtype.kind == "M"]
    return pd.Index(others[0].values, name=dim) if len(others) == 1 else index


def merged_variables(data: Any) -> tuple[Any, tuple[Hashable, ...]]:
    """The variables of a Dataset as the features of one DataArray.

    Parameters
    ----------
    data : Dataset
        With variables of the same dimensions; bounds of coordinates, and variables without the time, are left out.

    Returns
    -------
    array : DataArray
        The only variable, or all of them along a further dimension.
    names : tuple
        Of the variables.

    Raises
    ------
    DataError
        If there is none, or their dimensions differ.
    """
    bounds = {coord.attrs.get("bounds") for coord in data.coords.values()}
    dated = [
        dim for dim in data.sizes if dim in data.indexes and looks_like_times(data.indexes[dim].to_series())
    ]
    known = {
        name: v
        for name, v in data.data_vars.items()
        if name not in bounds and v.ndim > 1 and v.dtype.kind in "fiub" and set(dated) <= set(v.dims)
    }
    found = {name: tuple(v.dims) for name, v in known.items()}
    listed = ", ".join(f"{name} {dims}" for name, dims in found.items()) or "nothing"
    if len(set(map(frozenset, found.values()))) != 1:
        first = next(iter(found), "name")
        raise DataError(
            f"X is a Dataset that holds {listed}; needed: variables of the same dimensions. Choose one: X[{first!r}]."
        )
    names = tuple(known)
    if len(names) == 1:
        return known[names[0]], names
    return data[list(names)].to_array(VARIABLE), names


def _time_dimension(array: Any, space: tuple[Hashable | None, ...]) -> Hashable:
    """The dimension of time: that with datetimes, whatever its name, else by its name, else the first that is not of space."""
    dims = tuple(array.dims)
    dated = [dim for dim in dims if dim in array.indexes and looks_like_times(array.indexes[dim].to_series())]
    if len(dated) == 1:
        return dated[0]
    others = [dim for dim in dims if dim not in space and dim != VARIABLE]
    named = next(filter(names_times, dims), None) or _named(tuple(others), STEP_NAMES)
    if named is not None:
        return named
    return others[0] if others else dims[0]


def trajectory_dimension(array: Any) -> Hashable | None:
    """The dimension of a DataArray along which independent trajectories lie, by its name.

    Parameters
    ----------
    array : DataArray
        Any.

    Returns
    -------
    hashable or None
        None where no dimension has such a name.
    """
    return _named(tuple(array.dims), _TRAJECTORY_NAMES)


def joined_along(dim: Hashable, array: Any) -> AlongDimension:
    """How the forecasts of trajectories become one DataArray again.

    Parameters
    ----------
    dim : hashable
        Dimension of the trajectories.
    array : DataArray
        What the user gave.

    Returns
    -------
    AlongDimension
        Takes a list of DataArrays.
    """
    return AlongDimension(array.indexes.get(dim, dim), tuple(array.dims))


def _named(dims: tuple[Hashable, ...], names: tuple[str, ...]) -> Hashable | None:
    lower = {str(dim).lower(): dim for dim in reversed(dims)}
    return next((lower[name] for name in names if name in lower), None)
