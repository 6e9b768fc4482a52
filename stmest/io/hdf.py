"""HDF5 files: a DataFrame in pandas' layout (that of METR-LA and PEMS-BAY), or plain arrays. Nothing is unpickled.

Builds on h5py (extra ``io``); used by `tables`.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import DataError
from .arrays import check_size

__all__ = ["read_hdf"]

_CONVERT = "pandas.read_hdf(path).to_parquet('data.parquet') converts it"


def read_hdf(
    path: Path, names: Collection[str], h5py: Any
) -> tuple[pd.DataFrame | None, dict[str, np.ndarray], list[str]]:
    """Read an HDF5 file.

    Parameters
    ----------
    path : Path
        A file.
    names : collection of str
        Arrays to read where the file has no DataFrame.
    h5py : module
        The package.

    Returns
    -------
    frame : DataFrame or None
        The DataFrame, as pandas would return it.
    arrays : dict of str to ndarray
        Else the arrays of these names, text as str.
    found : list of str
        Names of all that the file holds at its top.

    Raises
    ------
    DataError
        If the file is no HDF5, holds several DataFrames or one in a layout that is not read, or does not fit into memory.
    """
    try:
        with h5py.File(path, "r") as file:
            found = list(file)
            frames: list[str] = []
            file.visititems(lambda name, item: frames.append(name) if "pandas_type" in item.attrs else None)
            if len(frames) > 1:
                raise DataError(f"{path.name}: holds the tables {', '.join(frames[:6])}; needed: one.")
            if frames:
                return _frame(file[frames[0]], path.name), {}, found
            arrays = {
                name: _values(file[name], path.name)
                for name in names
                if isinstance(file.get(name), h5py.Dataset)
            }
            return None, arrays, found
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path.name}: cannot be read as HDF5 ({' '.join(str(error).split())[:200]}); needed: a DataFrame written by "
            "pandas, or the arrays of an npz."
        ) from error


def _frame(group: Any, name: str) -> pd.DataFrame:
    layout = _attribute(group, "pandas_type")
    if layout != "frame":
        raise DataError(
            f"{name}: holds a pandas table of the layout {layout!r}, which is not read; {_CONVERT}."
        )
    columns, index = _axis(group, "axis0", name), _axis(group, "axis1", name)
    blocks = [group[f"block{block}_values"] for block in range(int(group.attrs["nblocks"]))]
    check_size(2 * sum(_n_bytes(block) for block in blocks), name)  # they are joined
    parts = []
    for number, block in enumerate(blocks):
        values = _values(block, name)
        kind = _attribute(block, "value_type")
        if values.dtype.kind not in "fiub" or kind is not None:
            raise DataError(f"{name}: holds columns that are no numbers; needed: numbers only.")
        parts.append(pd.DataFrame(values, index=index, columns=_axis(group, f"block{number}_items", name)))
    return pd.concat(parts, axis=1)[columns]


def _axis(group: Any, key: str, name: str) -> pd.Index:
    if _attribute(group, f"{key}_variety") != "regular":
        raise DataError(f"{name}: rows or columns have several levels, which are not read; {_CONVERT}.")
    kind = _attribute(group[key], "kind") or ""
    if _attribute(group[key], "index_class") == "period":  # its numbers count steps since 1970
        raise DataError(f"{name}: rows or columns are periods, which are not read; {_CONVERT}.")
    values = _values(group[key], name)
    if kind.startswith("datetime64"):
        index = pd.DatetimeIndex(values.view(kind if "[" in kind else "M8[ns]"))
        zone = _attribute(group[key], "tz")
        return index if zone is None else index.tz_localize("UTC").tz_convert(zone)
    if kind in ("integer", "float", "string"):
        return pd.Index(values)
    raise DataError(
        f"{name}: rows or columns are of the kind {kind or 'unknown'!r}, which is not read; {_CONVERT}."
    )


def _attribute(item: Any, key: str) -> str | None:
    value = item.attrs.get(key)
    return value.decode() if isinstance(value, bytes) else value


def _n_bytes(dataset: Any) -> int:
    return math.prod(dataset.shape or ()) * max(1, dataset.dtype.itemsize)


def _values(dataset: Any, name: str) -> np.ndarray:
    """An array, once it is known to fit into memory; text as str."""
    check_size(_n_bytes(dataset), name)
    values = np.asarray(dataset[()])
    if values.dtype == object:
        values = np.array([v.decode() if isinstance(v, bytes) else str(v) for v in values.ravel()]).reshape(
            values.shape
        )
    return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
