"""Values and graphs from files: csv, parquet and npz. What does not fit is an error that says what is needed.

Builds on `containers` (which checks the values) and `graphs`; used by the command line.
"""

from __future__ import annotations

import csv
import zipfile
import zlib
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..data.containers import as_panel, long_columns
from ..data.times import join_time_columns, read_times
from ..exceptions import DataError
from ..graphs import Graph
from .fields import unit_in
from .graphs import read_graph

__all__ = ["read_graph", "read_table"]

_LAYOUTS = (
    "a wide table (time in the first column, one column per node), a long table (columns time, node, value or ds, "
    "unique_id, y) or an npz with `values`"
)


def read_table(path: str | Path) -> tuple[pd.DataFrame, Graph | None]:
    """Read the observations of a sensor network, and its graph where the file has one.

    Parameters
    ----------
    path : str or Path
        One of

        - csv (also .txt, .gz; separated by comma, semicolon or tab) or parquet, wide: time index in the first
          column, one column per node; empty cells are missing values;
        - csv or parquet, long: the columns time, node, value (or ds, unique_id, y), in any order;
        - npz: `values` of shape (n_times, n_nodes[, n_channels]), optionally `time`, `nodes`, `channels`, `adj` of
          shape (n_nodes, n_nodes), `coords` of shape (n_nodes, 2). It is read without unpickling anything.

    Returns
    -------
    X : DataFrame
        Values in time order, one column per node; (node, channel) column pairs where the file has several
        channels. Where the file has no times, rows are numbered. ``X.attrs["unit"]`` is the unit of the values, if
        the file is an npz whose `meta` (a JSON text) has a "unit".
    graph : Graph or None
        The graph, if the file has one.

    Raises
    ------
    DataError
        If the file has none of these layouts; the message says what was found and what is needed.
    GraphError
        If the file's `adj` does not fit its nodes.
    FileNotFoundError
        If there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")
    readers: dict[str, Callable[[Path], tuple[pd.DataFrame, Graph | None]]] = {
        ".csv": _read_csv, ".txt": _read_csv, ".tsv": _read_csv, ".npz": _read_npz,
        ".parquet": _read_parquet, ".pq": _read_parquet,
    }  # fmt: skip
    if kind not in readers:
        raise DataError(
            f"{path.name}: files ending in {kind or 'nothing'!r} are not read; needed: .csv, .parquet or .npz."
        )
    frame, graph = readers[kind](path)
    try:
        as_panel(frame)
    except ValueError as error:  # DataError, and scikit-learn's words on empty tables
        raise DataError(f"{path.name}: {error}") from error
    return frame, graph


def _read_csv(path: Path) -> tuple[pd.DataFrame, None]:
    try:
        separator, header = _csv_header(path)
        frame = pd.read_csv(path, sep=separator, skipinitialspace=True)
    except (ValueError, OSError, EOFError, zlib.error) as error:  # pandas' parser errors are ValueErrors
        raise DataError(
            f"{path.name}: cannot be read as csv ({_one_line(error)}); needed: {_LAYOUTS}."
        ) from error
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise DataError(f"{path.name}: the header names {repeated[0]!r} twice; needed: one column per node.")
    return _from_table(frame, path.name), None


def _csv_header(path: Path) -> tuple[str, list[str]]:
    """The separator of a csv file, and the column names in its first line."""
    text = pd.read_csv(path, sep="\0", header=None, nrows=1, dtype=str, quoting=csv.QUOTE_NONE).iat[0, 0]
    separator = max(",;\t", key=text.count)
    return separator, [name.strip() for name in next(csv.reader([text], delimiter=separator))]


def _read_parquet(path: Path) -> tuple[pd.DataFrame, None]:
    from ..runtime import require  # here, because it loads torch

    require("pyarrow", extra="io")
    try:
        frame = pd.read_parquet(path)
    except (ValueError, OSError) as error:  # pyarrow's own errors are ValueErrors
        raise DataError(
            f"{path.name}: cannot be read as parquet ({_one_line(error)}); needed: {_LAYOUTS}."
        ) from error
    # A time may have been stored as the index of the table; numbers without a name are those of its rows.
    if isinstance(frame.index, (pd.DatetimeIndex, pd.PeriodIndex)) or frame.index.names != [None]:
        frame = frame.reset_index()
    return _from_table(frame, path.name), None


def _from_table(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """A wide table with a time index from the columns of a file."""
    try:
        frame = join_time_columns(frame)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    columns = long_columns(frame)
    if columns is not None:
        return _from_long(frame, columns, name)
    if frame.shape[1] < 2 or not len(frame):
        raise DataError(
            f"{name}: {frame.shape[0]} rows and {frame.shape[1]} column(s) were found ({_some(frame.columns)}); "
            f"needed: {_LAYOUTS}."
        )
    values = frame.iloc[:, 1:].copy()
    for column in values.columns:
        values[column] = _numbers(values[column], name)
    values.index = pd.Index(_times(frame.iloc[:, 0], name), name=str(frame.columns[0]))
    return values


def _from_long(frame: pd.DataFrame, columns: tuple[Hashable, ...], name: str) -> pd.DataFrame:
    if frame.shape[1] > len(columns):
        extra = [column for column in frame.columns if column not in columns]
        raise DataError(
            f"{name}: a long table with the extra column(s) {_some(extra)}; needed: {_some(columns)} only."
        )
    time, node, value = columns
    long = pd.DataFrame(
        {"time": _times(frame[time], name), "node": frame[node], "value": _numbers(frame[value], name)}
    )
    if long["node"].isna().any():
        raise DataError(
            f"{name}: row {int(long['node'].isna().argmax()) + 1} has no node; needed: a name in each row."
        )
    try:
        panel = as_panel(long)
    except ValueError as error:
        raise DataError(f"{name}: {error}") from error
    return pd.DataFrame(panel.values[..., 0], index=panel.index, columns=pd.Index(panel.nodes))


def _times(column: pd.Series, name: str) -> pd.Index:
    """Times from a column of dates or of numbers."""
    if column.isna().any():
        row = int(column.isna().argmax()) + 1
        raise DataError(
            f"{name}: row {row} has no time in column {column.name!r}; needed: a time in each row."
        )
    try:
        return read_times(pd.Index(column)).index
    except DataError as error:
        raise DataError(
            f"{name}: the first column {column.name!r} has to be the time, but holds {column.iloc[0]!r} and the like: {error}"
        ) from error


def _numbers(column: pd.Series, name: str) -> pd.Series:
    """The values of one column as floats, NaN where a cell is empty."""
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        raise DataError(f"{name}: column {column.name!r} holds {column.dtype} values; needed: numbers.")
    numbers = pd.to_numeric(column, errors="coerce")
    bad = numbers.isna() & column.notna()
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"{name}: column {column.name!r} holds {column.iloc[row]!r} in row {row + 1}, which is no number; needed: "
            "numbers with a decimal point, empty where missing."
        )
    return numbers.astype(np.float32 if numbers.dtype == np.float32 else np.float64)


def _read_npz(path: Path) -> tuple[pd.DataFrame, Graph | None]:
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path.name}: is no npz archive; needed: arrays written by numpy.savez.")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files if key in _NPZ_KEYS}
            found = list(file.files)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path.name}: cannot be read as npz ({_one_line(error)}); needed: plain numeric arrays."
        ) from error
    if "values" not in arrays:
        raise DataError(
            f"{path.name}: holds {_some(found)}; needed: `values` of shape (time, node[, channel])."
        )
    values = arrays["values"]
    if values.ndim not in (2, 3) or values.dtype.kind not in "fiu":
        hint = " A gridded field is read by stmest.io.fields.read_field." if values.ndim == 4 else ""
        raise DataError(
            f"{path.name}: `values` has shape {values.shape} and dtype {values.dtype}; needed: numbers of shape "
            f"(time, node[, channel]).{hint}"
        )
    n_times, n_nodes, n_channels = (*values.shape, 1)[:3]
    nodes = _labels(arrays, "nodes", n_nodes, path.name)
    channels = _labels(arrays, "channels", n_channels, path.name)
    columns = pd.Index(nodes) if n_channels == 1 else pd.MultiIndex.from_product([nodes, channels])
    index = _npz_times(arrays["time"], n_times, path.name) if "time" in arrays else pd.RangeIndex(n_times)
    values = values if values.dtype.kind == "f" else values.astype(np.float64)
    frame = pd.DataFrame(values.reshape(n_times, n_nodes * n_channels), index=index, columns=columns)
    if n_channels == 1 and "channels" in arrays:
        frame.columns.name = str(channels[0])
    unit = unit_in(arrays.get("meta"))
    if unit is not None:
        frame.attrs["unit"] = unit
    return frame, _npz_graph(arrays, nodes)


_NPZ_KEYS = ("values", "time", "nodes", "channels", "adj", "coords", "meta")


def _npz_graph(arrays: dict[str, np.ndarray], nodes: list[Hashable]) -> Graph | None:
    if "adj" not in arrays:
        return None
    return Graph(arrays["adj"], nodes=nodes, coordinates=arrays.get("coords"))


def _npz_times(times: np.ndarray, n_times: int, name: str) -> pd.Index:
    if times.shape != (n_times,):
        raise DataError(
            f"{name}: `time` has shape {times.shape}; needed: ({n_times},), one entry per row of `values`."
        )
    return _times(pd.Series(times, name="time"), name)


def _labels(arrays: dict[str, np.ndarray], key: str, n: int, name: str) -> list[Hashable]:
    """Names of nodes or channels; numbers where the file has none."""
    if key not in arrays:
        return list(range(n))
    labels = arrays[key]
    if labels.shape != (n,):
        raise DataError(f"{name}: `{key}` has shape {labels.shape}; needed: ({n},), as in `values`.")
    if len(set(labels.tolist())) < n:
        raise DataError(f"{name}: `{key}` names {_repeated(labels.tolist())!r} twice; needed: unique names.")
    return labels.tolist()


def _repeated(labels: list[Hashable]) -> Hashable:
    return next(label for i, label in enumerate(labels) if label in labels[:i])


def _some(names: Sequence[Any] | pd.Index, limit: int = 6) -> str:
    shown = ", ".join(str(name) for name in list(names)[:limit])
    return (shown + ", ...") if len(names) > limit else (shown or "nothing")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
