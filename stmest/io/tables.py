"""Values and graphs from files of tables and arrays. What does not fit is an error that says what is needed.

Builds on `text`, `columns`, `arrays` and `containers` (which checks the values); used by the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..data.containers import as_panel
from ..exceptions import DataError
from ..graphs import Graph
from .arrays import array_names, check_size, check_zip, load_array, load_arrays
from .cells import Cells, is_header
from .columns import LAYOUTS, wide_table
from .fields import unit_in
from .graphs import read_graph
from .numerals import missing_marks, without_marks
from .options import ReadOptions
from .text import COMPRESSED, read_text
from .times import times

__all__ = ["read_graph", "read_table"]

Read = tuple[pd.DataFrame, "Graph | None"]


def read_table(
    path: str | Path,
    *,
    missing: Any = None,
    sep: str | None = None,
    decimal: str | None = None,
    dayfirst: bool | None = None,
    time_column: str | int | None = None,
    node_column: str | int | None = None,
    value_column: str | int | None = None,
    no_time: bool = False,
) -> Read:
    r"""Read the observations of a sensor network, and its graph where the file has one.

    Parameters
    ----------
    path : str or Path
        One of

        - csv (also .txt, .tsv, .dat; compressed as .gz, .bz2, .xz or .zip; separated by comma, semicolon, tab, ``|`` or blanks;
          with decimal point or comma; in UTF-8, UTF-16 or Windows-1252), Excel (.xlsx, the first sheet that is not empty),
          parquet or feather, wide: one column of times, one column per node; empty cells are missing values;
        - the same, long: the columns time, node, value (or ds, unique_id, y), in any order;
        - the same with a row per sensor, where the header holds the times;
        - npz: `values` (or `data`) of shape (n_times, n_nodes[, n_channels]), optionally `time`, `nodes`, `channels`, `adj` of
          shape (n_nodes, n_nodes), `coords` of shape (n_nodes, 2); npy: the values only. Nothing is unpickled;
        - HDF5 (.h5, .hdf5): one DataFrame as pandas writes it (not ``format="table"``), or the arrays of an npz.
    missing : str, number or sequence of these, optional
        Marks of missing values besides empty cells, such as ``-9999`` or ``"-9999,-"``. Default: none.
    sep : str, optional
        What stands between the cells of a text file: one sign, or ``r"\s+"`` for any number of blanks. Default: found by looking,
        as all that follows.
    decimal : {".", ","}, optional
        What stands before the decimals; the other one then parts thousands.
    dayfirst : bool, optional
        Whether dates such as 03/04/2024 begin with the day (True) or with the month (False).
    time_column : str or int, optional
        Name of the column of times, or its number from 1. Other columns of dates are left out.
    node_column, value_column : str or int, optional
        Names or numbers of these columns of a long table. All other columns but that of the times are left out.
    no_time : bool, default=False
        Whether no column is the time: the rows are numbered, and all columns are values.

    Returns
    -------
    X : DataFrame
        Values in time order, one column per node; (node, channel) column pairs where the file has several
        channels. Where the file has no times, rows are numbered. ``X.attrs["unit"]`` is the unit of the values, if
        the file is an npz whose `meta` (a JSON text) has a "unit". ``X.attrs["notes"]`` are sentences on what was left out or
        assumed, where there are any; ``X.attrs["dates"]`` is "day first" or the like, where this had to be found out.
    graph : Graph or None
        The graph, if the file has one.

    Raises
    ------
    DataError
        If the file has none of these layouts, or may be read in two ways, or does not fit into memory; the message says what
        was found and what is needed.
    GraphError
        If the file's `adj` does not fit its nodes.
    ParameterError
        If the parameters contradict each other, or describe a table where the file holds arrays.
    MissingDependencyError
        If the package that reads such files is not installed.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "levels.csv"
    >>> _ = path.write_text("station,when,flag,level\na,03/04/2024,ok,1\nb,03/04/2024,ok,2\n")
    >>> read_table(path, node_column="station", value_column="level", dayfirst=True)[0]
                  a    b
    when
    2024-04-03  1.0  2.0
    """
    path = Path(path)
    said = ReadOptions(
        missing_marks(missing), sep, decimal, dayfirst, time_column, node_column, value_column, no_time
    )
    said.check()
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = next((suffix for suffix in reversed(suffixes) if suffix not in COMPRESSED), "")
    if kind not in _READERS or (kind not in _TEXT and suffixes[-1] in COMPRESSED):
        raise DataError(
            f"{path.name}: files ending in {''.join(suffixes) or 'nothing'!r} are not read; needed: "
            f"{', '.join(_READERS)}.{_WAYS_OUT.get(kind, '')}"
        )
    frame, graph = _READERS[kind](path, said)
    try:
        as_panel(frame)
    except ValueError as error:  # DataError, and scikit-learn's words on empty tables
        raise DataError(f"{path.name}: {error}") from error
    return frame, graph


def _read_csv(path: Path, said: ReadOptions) -> Read:
    return wide_table(read_text(path, said), said), None


def _read_parquet(path: Path, said: ReadOptions) -> Read:
    from ..runtime import require  # here, because it loads torch

    parquet = require("pyarrow.parquet", extra="io")
    return _read_arrow(path, said, lambda: parquet.ParquetFile(path).metadata, pd.read_parquet)


def _read_feather(path: Path, said: ReadOptions) -> Read:
    from ..runtime import require

    require("pyarrow.feather", extra="io")
    return _read_arrow(path, said, lambda: None, pd.read_feather)


def _read_arrow(
    path: Path, said: ReadOptions, header: Callable[[], Any], read: Callable[[Path], pd.DataFrame]
) -> Read:
    try:
        size = header()
        if size is not None:
            check_size(8 * size.num_rows * size.num_columns, path.name)
        frame = read(path)
    except (ValueError, OSError, MemoryError) as error:  # pyarrow's own errors are ValueErrors
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path.name}: cannot be read as {path.suffix[1:]} ({_one_line(error)}); needed: {LAYOUTS}."
        ) from error
    # What is not a number of the row may be the time
    if not isinstance(frame.index, pd.RangeIndex) or frame.index.name is not None:
        unnamed = ["" if name is None else name for name in frame.index.names]
        frame = frame.reset_index(names=unnamed if frame.index.nlevels > 1 else unnamed[0])
    return wide_table(_cells_of(path.name, frame), said), None


def _cells_of(name: str, frame: pd.DataFrame) -> Cells:
    """The cells of a frame with one level of columns."""
    names = ["" if label is None else str(label).strip() for label in frame.columns]
    return Cells(name, names, frame.set_axis(range(frame.shape[1]), axis=1).reset_index(drop=True))


def _read_excel(path: Path, said: ReadOptions) -> Read:
    from ..runtime import require

    require("openpyxl", extra="io")
    check_zip(path)
    try:
        sheets = pd.read_excel(path, sheet_name=None, header=None, engine="openpyxl")
    except Exception as error:  # whatever openpyxl raises on what is no workbook
        raise DataError(
            f"{path.name}: cannot be read as Excel ({_one_line(error)}); needed: {LAYOUTS}."
        ) from error
    filled = {str(name): _trimmed(sheet) for name, sheet in sheets.items() if sheet.notna().to_numpy().any()}
    if not filled:
        raise DataError(f"{path.name}: has no cell with a value; needed: {LAYOUTS}.")
    first, frame = next(iter(filled.items()))
    rows = frame.iloc[:200].astype(object).to_numpy().tolist()
    names = None
    if said.names_one_of(rows[0]) or is_header(rows, path.name):
        names = ["" if pd.isna(cell) else _label(cell) for cell in rows[0]]
        frame = frame.iloc[1:]
    frame = frame.infer_objects().set_axis(range(frame.shape[1]), axis=1).reset_index(drop=True)
    notes = [] if len(filled) == 1 else [f"sheet {first!r} was read; not used: {', '.join(list(filled)[1:])}"]
    return wide_table(Cells(path.name, names, frame, notes), said), None


def _trimmed(sheet: pd.DataFrame) -> pd.DataFrame:
    """A sheet without the empty rows and columns around its table."""
    filled = sheet.notna().to_numpy()
    rows, columns = np.flatnonzero(filled.any(axis=1)), np.flatnonzero(filled.any(axis=0))
    return sheet.iloc[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _label(cell: Any) -> str:
    """A name in a sheet: whole numbers and dates as one would write them."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


# ---------------------------------------------------------------- arrays


def _read_npz(path: Path, said: ReadOptions) -> Read:
    found = array_names(path)
    return _from_arrays(path, load_arrays(path, _KEYS), found, said)


def _read_npy(path: Path, said: ReadOptions) -> Read:
    return _from_arrays(path, {"values": load_array(path)}, ["values"], said)


def _read_hdf(path: Path, said: ReadOptions) -> Read:
    from ..runtime import require
    from .hdf import read_hdf

    frame, arrays, found = read_hdf(path, _KEYS, require("h5py", extra="io"))
    if frame is not None:
        if not isinstance(frame.index, pd.RangeIndex):
            frame = frame.reset_index(names=frame.index.name or "")
        return wide_table(_cells_of(path.name, frame), said), None
    return _from_arrays(path, arrays, found, said)


_KEYS = ("values", "data", "time", "nodes", "channels", "adj", "coords", "meta")


def _from_arrays(path: Path, arrays: dict[str, np.ndarray], found: Sequence[str], said: ReadOptions) -> Read:
    said.refuse_for_arrays(path.name)
    key = "values" if "values" in arrays else "data"
    if key not in arrays:
        raise DataError(
            f"{path.name}: holds {_some(found)}; needed: `values` (or `data`) of shape (time, node[, channel])."
        )
    values = arrays[key]
    if values.ndim not in (2, 3) or values.dtype.kind not in "fiu":
        hint = " A gridded field is read by stmest.io.fields.read_field." if values.ndim == 4 else ""
        raise DataError(
            f"{path.name}: `{key}` has shape {values.shape} and dtype {values.dtype}; needed: numbers of shape "
            f"(time, node[, channel]).{hint}"
        )
    n_times, n_nodes, n_channels = (*values.shape, 1)[:3]
    nodes = _labels(arrays, "nodes", n_nodes, path.name)
    channels = _labels(arrays, "channels", n_channels, path.name)
    columns = pd.Index(nodes) if n_channels == 1 else pd.MultiIndex.from_product([nodes, channels])
    timed = "time" in arrays and not said.no_time
    index = _npz_times(arrays["time"], n_times, path.name) if timed else pd.RangeIndex(n_times)
    values = without_marks(values if values.dtype.kind == "f" else values.astype(np.float64), said.missing)
    frame = pd.DataFrame(values.reshape(n_times, n_nodes * n_channels), index=index, columns=columns)
    if n_channels == 1 and "channels" in arrays:
        frame.columns.name = str(channels[0])
    unit = unit_in(arrays.get("meta"))
    if unit is not None:
        frame.attrs["unit"] = unit
    return frame, _npz_graph(arrays, nodes)


def _npz_graph(arrays: dict[str, np.ndarray], nodes: list[Hashable]) -> Graph | None:
    if "adj" not in arrays:
        return None
    return Graph(arrays["adj"], nodes=nodes, coordinates=arrays.get("coords"))


def _npz_times(found: np.ndarray, n_times: int, name: str) -> pd.Index:
    if found.shape != (n_times,):
        raise DataError(
            f"{name}: `time` has shape {found.shape}; needed: ({n_times},), one entry per row of `values`."
        )
    return times(pd.Series(_decoded(found), name="time"), name).index


def _labels(arrays: dict[str, np.ndarray], key: str, n: int, name: str) -> list[Hashable]:
    """Names of nodes or channels; numbers where the file has none."""
    if key not in arrays:
        return list(range(n))
    labels = _decoded(arrays[key])
    if labels.shape != (n,):
        raise DataError(f"{name}: `{key}` has shape {labels.shape}; needed: ({n},), as in `values`.")
    if len(set(labels.tolist())) < n:
        raise DataError(f"{name}: `{key}` names {_repeated(labels.tolist())!r} twice; needed: unique names.")
    return labels.tolist()


def _decoded(labels: np.ndarray) -> np.ndarray:
    """Text where a file has bytes."""
    return np.char.decode(labels, "utf-8") if labels.dtype.kind == "S" else labels


def _repeated(labels: list[Hashable]) -> Hashable:
    return next(label for i, label in enumerate(labels) if label in labels[:i])


def _some(names: Sequence[Any] | pd.Index, limit: int = 6) -> str:
    shown = ", ".join(str(name) for name in list(names)[:limit])
    return (shown + ", ...") if len(names) > limit else (shown or "nothing")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


_TEXT = {".csv": _read_csv, ".txt": _read_csv, ".tsv": _read_csv, ".dat": _read_csv}
_READERS: dict[str, Callable[[Path, ReadOptions], Read]] = {
    **_TEXT, ".xlsx": _read_excel, ".xlsm": _read_excel, ".parquet": _read_parquet, ".pq": _read_parquet,
    ".feather": _read_feather, ".npz": _read_npz, ".npy": _read_npy, ".h5": _read_hdf, ".hdf5": _read_hdf, ".hdf": _read_hdf,
}  # fmt: skip
_WAYS_OUT = {
    ".xls": " Save it as .xlsx or csv.",
    ".ods": " Save it as .xlsx or csv.",
    ".pkl": " Nothing is unpickled; convert it: pandas.read_pickle(path).to_parquet('data.parquet').",
    ".pickle": " Nothing is unpickled; convert it: pandas.read_pickle(path).to_parquet('data.parquet').",
    ".json": " Convert it: pandas.read_json(path).to_csv('data.csv').",
    ".mat": " Convert it: numpy.savez('data.npz', values=scipy.io.loadmat(path)['name of the matrix']).",
}
