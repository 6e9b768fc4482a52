"""Fields from files: npz and netCDF. What does not fit is an error that says what is needed.

Builds on `fields` and xarray (extra ``io``); used by the command line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..data.containers import as_panel
from ..data.fields import time_coordinate, xarray_layout
from ..data.times import read_times
from ..exceptions import DataError, MissingDependencyError
from .arrays import array_names, array_shape, check_size, load_arrays
from .numerals import missing_marks, without_marks

__all__ = ["holds_field", "read_field", "unit_in"]

_NETCDF = (".nc", ".nc4", ".cdf", ".netcdf")
# names of the two axes of a grid in an npz
_AXES = (("y", "x"), ("lat", "lon"), ("latitude", "longitude"))
_NEEDED = (
    "an npz with `values` of shape (time, y, x, channel), or (time, y, x) beside `y` and `x` or `lat` and `lon`; or netCDF "
    "with a variable of the dimensions time, y (or lat, latitude, row), x (or lon, longitude, column)"
)


def holds_field(path: str | Path) -> bool:
    """Whether a file is to be read as a field: a netCDF by its name, an npz by its arrays.

    Parameters
    ----------
    path : str or Path
        File of values.

    Returns
    -------
    bool
        False also for what cannot be read; `stmest.io.tables.read_table` says why.
    """
    path = Path(path)
    if path.suffix.lower() in _NETCDF:
        return True
    if path.suffix.lower() != ".npz":
        return False
    try:
        names = array_names(path)
        n_axes = len(array_shape(path, "values")) if "values" in names else 0
    except (DataError, OSError):
        return False
    return n_axes == 4 or (n_axes == 3 and _axes_of(names) is not None)


def read_field(path: str | Path, *, missing: Any = None) -> dict[str, Any]:
    """Read the fields of a file.

    Parameters
    ----------
    path : str or Path
        One of

        - npz: `values` of shape (n_times, n_y, n_x, n_channels), or without channels beside the two axes; optionally
          `time`, `channels`, and the axes `y` and `x`, or `lat` and `lon`. It is read without unpickling anything;
        - netCDF: every variable with the dimensions time, y and x (recognised by their names) and others of length 1.
    missing : str, number or sequence of these, optional
        Marks of missing values besides NaN, such as ``-9999``. Default: none.

    Returns
    -------
    dict of str to DataArray
        Each channel or variable, of the dimensions time, y, x (under their names in the file). Where the file has no
        times, rows are numbered. ``attrs["unit"]`` is the unit, where the file names one.

    Raises
    ------
    DataError
        If the file has none of these layouts, or does not fit into memory; the message says what was found and what is needed.
    MissingDependencyError
        Without xarray, or without what it needs to read netCDF.
    FileNotFoundError
        If there is no such file.
    """
    from ..runtime import require

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    xarray = require("xarray", "io")
    read = _read_netcdf if path.suffix.lower() in _NETCDF else _read_npz
    marks = missing_marks(missing)
    try:
        fields = {
            name: field.copy(data=without_marks(field.values, marks))
            for name, field in read(path, xarray).items()
        }
        for field in fields.values():
            as_panel(field)
    except (ValueError, OSError, MemoryError) as error:  # DataError, and the words of xarray and numpy
        if str(error).startswith(path.name):
            raise
        raise DataError(f"{path.name}: {' '.join(str(error).split())[:300]}") from error
    return fields


def _read_npz(path: Path, xarray: Any) -> dict[str, Any]:
    arrays = load_arrays(path)
    values = arrays["values"]
    values = values[..., None] if values.ndim == 3 else values
    if values.ndim != 4 or values.dtype.kind not in "fiu":
        raise DataError(f"`values` has shape {values.shape} and dtype {values.dtype}; needed: {_NEEDED}.")
    names = _axes_of(arrays) or ("y", "x")
    coords: dict[str, Any] = {"time": _times(arrays["time"]) if "time" in arrays else np.arange(len(values))}
    coords |= {name: arrays[name] for name in names if name in arrays}
    channels = [str(c) for c in arrays.get("channels", range(values.shape[3]))]
    if len(set(channels)) != values.shape[3]:
        raise DataError(f"`channels` names {channels}; needed: {values.shape[3]} different names.")
    unit = unit_in(arrays.get("meta"))
    attrs = {} if unit is None else {"unit": unit}
    return {
        channel: xarray.DataArray(values[..., i], coords, ["time", *names], name=channel, attrs=attrs)
        for i, channel in enumerate(channels)
    }


def _read_netcdf(path: Path, xarray: Any) -> dict[str, Any]:
    try:
        with xarray.open_dataset(path) as opened:
            check_size(opened.nbytes, path.name)
            data = opened.load()
    except (ValueError, ImportError) as error:
        if "backend" not in str(error) and "engine" not in str(error):
            raise
        raise MissingDependencyError(
            f"xarray cannot read {path.name} ({' '.join(str(error).split())[:160]}); if it is netCDF, install what reads "
            'it with: pip install "stmest[io]"'
        ) from error
    fields = {}
    for name, variable in data.data_vars.items():
        field = variable.squeeze([d for d in variable.dims[1:] if variable.sizes[d] == 1], drop=True)
        if field.ndim == 3 and field.dtype.kind in "fiu" and xarray_layout(field).is_field:
            order = xarray_layout(field).order
            field = field.transpose(*order)
            times = time_coordinate(field, order[0])
            times = np.arange(field.sizes[order[0]]) if times is None else read_times(times).index
            field = field.assign_coords({order[0]: times})
            unit = field.attrs.get("units")
            fields[str(name)] = field.assign_attrs({} if unit is None else {"unit": str(unit)})
    if not fields:
        found = ", ".join(f"{name} {variable.dims}" for name, variable in data.data_vars.items()) or "nothing"
        raise DataError(f"holds {found}; needed: {_NEEDED}.")
    return fields


def _axes_of(names: Any) -> tuple[str, str] | None:
    return next((axes for axes in _AXES if axes[0] in names and axes[1] in names), None)


def _times(times: np.ndarray) -> pd.Index:
    return read_times(times).index


def unit_in(meta: np.ndarray | None) -> str | None:
    """The unit in the JSON description of an npz.

    Parameters
    ----------
    meta : ndarray or None
        A text.

    Returns
    -------
    str or None
        None where there is no description, or it is no JSON object with a unit.
    """
    try:
        described = json.loads(str(meta))
    except ValueError:
        return None
    unit = described.get("unit") if isinstance(described, dict) else None
    return unit if isinstance(unit, str) else None
