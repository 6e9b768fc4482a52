"""What the columns of a table are: times, names of nodes, values, or nothing; or the table stands on its side.

What is not clear is refused, with what was seen. Builds on `cells` and `numerals`; used by `tables`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd

from ..data.containers import are_times, as_panel, long_columns
from ..data.times import STEP_NAMES, TIME_NAMES, join_time_columns
from ..exceptions import DataError
from .cells import Cells, kind_of
from .named import called, named_long, without_other_times
from .numerals import numbers_of
from .options import ReadOptions
from .times import ORDERS, holds_dates, times

__all__ = ["LAYOUTS", "wide_table"]

LAYOUTS = (
    "a wide table (time in the first column, one column per node), a long table (columns time, node, value or ds, "
    "unique_id, y) or an npz with `values`"
)
# Names in lower case of columns that name nodes, and that number rows
_NODE_NAMES = (
    "node", "node_id", "unique_id", "id", "sensor", "sensor_id", "station", "station_id", "detector", "detector_id", "series",
    "series_id", "item_id", "location", "site", "meter_id",
)  # fmt: skip
_LONG_NAMES = {"node_column": _NODE_NAMES, "value_column": ("value", "y")}
_ROW_NAMES = ("", "index", "row", "no", "no.", "nr", "nr.", "number", "#", "id", "level_0", "rownames")
_UNNAMED = re.compile(r"Unnamed: \d+(_level_\d+)?")  # pandas' name of a column that has none


def wide_table(table: Cells, said: ReadOptions) -> pd.DataFrame:
    """A table with one column per node and a time index.

    Parameters
    ----------
    table : Cells
        As it stands in the file.
    said : ReadOptions
        Marks of missing values, and what the user says about the columns.

    Returns
    -------
    DataFrame
        Floats, NaN where missing. ``attrs["notes"]`` has sentences on what was left out or assumed, where there are any;
        ``attrs["dates"]`` says which part of the dates comes first, where this had to be found out.

    Raises
    ------
    DataError
        If the table has none of the known layouts, or may be read in two ways.
    """
    table = _named(_without_empty(table))
    _refuse_repeated(table)
    if table.frame.shape[1] < 2 or not len(table.frame):
        raise DataError(
            f"{table.file}: {table.frame.shape[0]} rows and {table.frame.shape[1]} column(s) were found ({_some(table)}); "
            f"needed: {LAYOUTS}."
        )
    table = _with_joined_times(table, said)
    on_its_side = _sensors_as_rows(table, said)
    if on_its_side is not None:
        return _noted(on_its_side, table)
    time = None if said.no_time else _time_column(table, said)
    table, time = _without_row_numbers(table, time)
    long: tuple[int, int, int] | None
    if said.long:
        table, long = named_long(table, time, said, _LONG_NAMES)
    else:
        if said.time_column is not None and time is not None:
            table, time = without_other_times(table, time)
        _refuse_unnamed(table, time)
        long = _long(table, time)
    if long is not None:
        return _noted(_from_long(table, long, said), table)
    return _noted(_from_wide(table, time, said), table)


def _noted(frame: pd.DataFrame, table: Cells) -> pd.DataFrame:
    if table.notes:
        frame.attrs["notes"] = list(table.notes)
    if table.dates is not None:
        frame.attrs["dates"] = table.dates
    return frame


# ---------------------------------------------------------------- what is left out


def _without_empty(table: Cells) -> Cells:
    """The table without columns that have neither a name nor a value, and without empty rows."""
    frame = table.frame
    if table.names is not None:
        table.names = ["" if _UNNAMED.fullmatch(name) else name for name in table.names]
    empty = [bool(frame[column].isna().all()) for column in frame.columns]
    kept = [
        i
        for i, none in enumerate(empty)
        if not (none and len(frame) and (table.names is None or not table.names[i]))
    ]
    left_out = frame.shape[1] - len(kept)
    if left_out:
        table.notes.append(f"{left_out} column(s) without a name and without a value were left out")
        table = table.keep(kept)
    table.frame = table.frame[~table.frame.isna().all(axis=1)]
    return table


def _named(table: Cells) -> Cells:
    """The table with a name for each column: a header that is one name short lacks that of the first column."""
    names = table.names
    if not names or table.n_written != len(names) - 1 or not all(names[:-1]) or not len(table.frame):
        return table
    # The first column may count the rows, or hold the times if none of the names means a time
    if names[0].lower() in (*TIME_NAMES, *STEP_NAMES) and not _counts(table.frame.iloc[:, 0]):
        raise DataError(
            f"{table.file}: the header has {len(names) - 1} names ({_some(table)}), the rows have {len(names)} cells; needed: a "
            "name for each."
        )
    table.names = ["", *names[:-1]]
    return table


def _with_joined_times(table: Cells, said: ReadOptions) -> Cells:
    """The table with one column of times in the place of columns for year, month and so on, or date and time of day."""
    if table.names is None or said.no_time:
        return table
    # Named here by their places where they have no name, as two may lack one
    names = [name or f"\0{i}" for i, name in enumerate(table.names)]
    frame = table.frame.set_axis(names, axis=1)
    try:
        joined = join_time_columns(frame)
    except DataError as error:
        raise DataError(f"{table.file}: {error}") from error
    if joined is frame:
        return table
    place = dict(zip(names, table.frame.columns, strict=True))
    named = said.position("time_column", table)
    if named is not None and names[named] in joined.columns[1:]:
        return table  # it is another column that has the time
    labels = [-1, *(place[name] for name in joined.columns[1:])]  # -1: no column of the file
    kept = ["" if name.startswith("\0") else name for name in joined.columns[1:]]
    return replace(table, names=["time", *kept], frame=joined.set_axis(labels, axis=1))


def _refuse_repeated(table: Cells) -> None:
    names = [name for name in table.names or [] if name]
    repeated = (
        sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    )
    if repeated:
        raise DataError(f"{table.file}: the header names {repeated[0]!r} twice; needed: one column per node.")


def _refuse_unnamed(table: Cells, time: int | None) -> None:
    for i, name in enumerate(table.names or []):
        if not name and i != time:
            raise DataError(
                f"{table.file}: column {i + 1} of {len(table.names or [])} has values but no name ({_some(table)}); needed: a "
                "name in the header for each column."
            )


def _without_row_numbers(table: Cells, time: int | None) -> tuple[Cells, int | None]:
    """The table without columns before the time that only number its rows."""
    if table.names is None or time is None:
        return table, time
    labels = list(table.frame.columns)
    before = range(time) if labels[time] >= 0 else range(1, len(labels))  # times that were joined come first
    counting = [
        i
        for i in before
        if (labels[i] == 0 and not table.names[i])
        or (table.names[i].lower() in _ROW_NAMES and _counts(table.frame.iloc[:, i]))
    ]
    for i in counting:
        table.notes.append(f"column {table.name(i)} numbers the rows and was left out")
    kept = [i for i in range(len(table.names)) if i not in counting]
    return (table.keep(kept), kept.index(time)) if counting else (table, time)


def _counts(column: pd.Series) -> bool:
    """Whether a column is 0, 1, 2, ... or 1, 2, 3, ..."""
    if not pd.api.types.is_numeric_dtype(column) or not len(column) or column.iloc[0] not in (0, 1):
        return False
    return bool((column.to_numpy() == np.arange(len(column)) + column.iloc[0]).all())


# ---------------------------------------------------------------- which column is the time


def _time_column(table: Cells, said: ReadOptions) -> int | None:
    """Position of the column of times; None where the rows are to be numbered."""
    frame = table.frame
    if said.time_column is not None:
        joined = frame.columns[0] == -1
        return 0 if joined else said.position("time_column", table)
    dated = [i for i in range(frame.shape[1]) if holds_dates(frame.iloc[:, i])]
    if table.names is None:
        return _one_of(dated, table) if dated else _time_without_names(table)
    named = [i for i, name in enumerate(table.names) if name.lower() in TIME_NAMES]
    if dated or named:
        both = [i for i in dated if i in named]
        return _one_of(both or sorted({*dated, *named}), table)
    if not table.names[0] or table.names[0].lower() in STEP_NAMES:
        return 0
    steps = [i for i, name in enumerate(table.names) if name.lower() in STEP_NAMES]
    if len(steps) == 1:
        return steps[0]
    first = frame.iloc[:, 0]
    if not pd.api.types.is_numeric_dtype(first):
        return 0  # refused with what it holds, as long tables have been found already
    if _is_regular(first) or isinstance(
        times(first.rename(table.names[0]), table.file).index, pd.DatetimeIndex
    ):
        return 0
    if first.is_monotonic_increasing and first.is_unique and len(first) > 1:
        raise DataError(
            f"{table.file}: column {table.name(0)} is rising in unequal steps: is it the time or a sensor? If the time: "
            f"time_column={called(table, 0)}; if a sensor: no_time=True, which numbers the rows."
        )
    _say_numbered(table)
    return None


def _one_of(candidates: list[int], table: Cells) -> int:
    if len(candidates) > 1:
        which = " and ".join(f"{table.name(i)} ({table.frame.iloc[0, i]})" for i in candidates[:4])
        raise DataError(
            f"{table.file}: the columns {which} may all be the time; needed: one column of times. Say which, for instance "
            f"time_column={called(table, candidates[0])}."
        )
    return candidates[0]


def _time_without_names(table: Cells) -> int | None:
    first = table.frame.iloc[:, 0]
    if not pd.api.types.is_numeric_dtype(first):
        return 0
    if _is_regular(first) and (first == first.round()).all():
        return 0
    if first.is_monotonic_increasing and first.is_unique and len(first) > 1:
        raise DataError(
            f"{table.file}: has no header, and its first column is rising in unequal steps: is it the time or a sensor? If the "
            "time: time_column=1; if a sensor: no_time=True, which numbers the rows."
        )
    _say_numbered(table)
    return None


def _say_numbered(table: Cells) -> None:
    first = table.frame.iloc[:, 0]
    if _is_regular(first.sort_values()):
        raise DataError(
            f"{table.file}: the first column {table.name(0)} is not in increasing order; if it is the time, sort the rows by it "
            "first; if it is a sensor: no_time=True, which numbers the rows."
        )
    table.notes.append("no column holds times: the rows are numbered from 0")


def _is_regular(column: pd.Series) -> bool:
    """Whether numbers rise, mostly by the same step."""
    steps = np.diff(column.to_numpy(dtype=np.float64, na_value=np.nan))
    if not len(steps) or not (steps > 0).all():
        return False
    usual = np.median(steps)
    return float(np.mean(np.abs(steps - usual) <= 1e-6 * usual)) > 0.75


# ---------------------------------------------------------------- the layouts


def _from_wide(table: Cells, time: int | None, said: ReadOptions) -> pd.DataFrame:
    n_columns = table.frame.shape[1]
    columns = [i for i in range(n_columns) if i != time]
    label = "" if time is None or table.names is None else table.names[time]
    index = pd.RangeIndex(len(table.frame)) if time is None else _index(table, time, said)
    if table.names is not None:
        # A column that names nodes among the values: a long table that was not recognised
        for i in columns:
            if table.names[i].lower() in _NODE_NAMES and not pd.api.types.is_float_dtype(
                table.frame.iloc[:, i]
            ):
                raise DataError(
                    f"{table.file}: column {table.name(i)} seems to name the nodes of a long table ({_some(table)}). If so, "
                    f"say which are node and value, for instance node_column={called(table, i)}, value_column='value'; if not, "
                    "name it otherwise."
                )
    values = numbers_of(table.keep(columns), said.missing, said.decimal)
    values.columns = pd.Index(
        range(len(columns)) if table.names is None else [table.names[i] for i in columns]
    )
    values.index = index.rename(label or None)
    return values


def _index(table: Cells, time: int, said: ReadOptions) -> pd.Index:
    column = table.frame.iloc[:, time].rename("" if table.names is None else table.names[time])
    if not pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_datetime64_any_dtype(column):
        column = column.map(lambda cell: cell.strip() if isinstance(cell, str) else cell)
    read = times(column, table.file, dayfirst=said.dayfirst)
    table.dates = read.reading if read.reading in ORDERS.values() else None
    return read.index


def _long(table: Cells, time: int | None) -> tuple[int, int, int] | None:
    """Positions of time, node and value in a long table."""
    if table.names is not None:
        known = long_columns(pd.DataFrame(columns=table.names))
        if known is not None:
            extra = [name for name in table.names if name not in known]
            if extra:
                raise DataError(
                    f"{table.file}: a long table with the extra column(s) {', '.join(extra[:6])}. If they are to be left out, "
                    f"say what is forecast: value_column={known[2]!r}."
                )
            return tuple(table.names.index(str(name)) for name in known)  # type: ignore[return-value]
    if table.frame.shape[1] != 3 or time is None:
        return None
    others = [i for i in range(3) if i != time]
    if table.names is None:
        nodes = [i for i in others if all(kind_of(cell) == "text" for cell in table.frame.iloc[:50, i])]
    else:
        nodes = [i for i in others if table.names[i].lower() in _NODE_NAMES]
    if len(nodes) != 1:
        return None
    return time, nodes[0], next(i for i in others if i != nodes[0])


def _from_long(table: Cells, columns: tuple[int, int, int], said: ReadOptions) -> pd.DataFrame:
    time, node, value = columns
    names = _node_names(table, node)
    values = numbers_of(table.keep([value]), said.missing, said.decimal).iloc[:, 0]
    long = pd.DataFrame(
        {"time": _index(table, time, said), "node": names.to_numpy(), "value": values.to_numpy()}
    )
    if names.isna().any():
        raise DataError(
            f"{table.file}: row {int(names.isna().argmax()) + 1} has no node; needed: a name in each row."
        )
    try:
        panel = as_panel(long)
    except ValueError as error:
        raise DataError(f"{table.file}: {error}") from error
    label = None if table.names is None else table.names[time]
    return pd.DataFrame(panel.values[..., 0], index=panel.index.rename(label), columns=pd.Index(panel.nodes))  # type: ignore[union-attr]


def _node_names(table: Cells, node: int) -> pd.Series:
    """The names of nodes as they are written: 007 is no number, and a country may be called NA."""
    column = table.frame.iloc[:, node]
    if table.as_text is None:
        return column
    written = (
        table.as_text(keep_default_na=False, na_values=[""]).loc[table.frame.index, column.name].str.strip()
    )
    numbers = pd.api.types.is_integer_dtype(column) and (column.astype(str) == written).all()
    return column if numbers else written


def _sensors_as_rows(table: Cells, said: ReadOptions) -> pd.DataFrame | None:
    """The values of a table with a row per sensor, turned; None where it is none."""
    if said.no_time or said.time_column is not None or said.value_column is not None:
        return None
    if table.names is None or long_columns(pd.DataFrame(columns=table.names)) is not None:
        return None
    dated = are_times(table.names)
    if (
        not table.names[0]
        and dated[1:] == [False] + [True] * (len(dated) - 2)
        and _counts(table.frame.iloc[:, 0])
    ):
        table = table.keep(range(1, len(table.names)))  # numbers of rows before the names of the sensors
    first, *rest = table.names  # type: ignore[misc]
    ids = table.frame.iloc[:, 0]
    if holds_dates(ids) or first.lower() in TIME_NAMES or len(rest) < 2:
        return None
    label_is_date, *dated = are_times([first, *rest])
    index = _times_of_header(table, [first, *rest] if label_is_date else rest, said)
    if index is None:
        if sum(dated) > max(1, len(dated) // 2):
            others = [name for name, date in zip(rest, dated, strict=True) if not date]
            raise DataError(
                f"{table.file}: the header holds times ({next(n for n, d in zip(rest, dated, strict=True) if d)}, ...), so that "
                f"there is a row per sensor, but also {', '.join(others[:4])}; needed: one column with the names of the "
                "sensors before the times. Leave the others out."
            )
        return None
    names = pd.Series(np.arange(len(ids))) if label_is_date else _node_names(table, 0)
    if names.isna().any() or names.duplicated().any():
        bad = "an empty cell" if names.isna().any() else f"{names[names.duplicated()].iloc[0]} twice"
        raise DataError(
            f"{table.file}: the header holds times ({rest[0]}, ...), so that there is a row per sensor, but the first column has "
            f"{bad}; needed: a name for each sensor."
        )
    values = numbers_of(
        table.keep(range(0 if label_is_date else 1, 1 + len(rest))), said.missing, said.decimal
    )
    table.notes.append("the header holds the times and there is a row per sensor: the table was turned")
    turned = pd.DataFrame(values.to_numpy().T, index=index.rename(None), columns=pd.Index(names.to_numpy()))
    return turned.sort_index() if isinstance(index, pd.DatetimeIndex) else turned


def _times_of_header(table: Cells, names: list[str], said: ReadOptions) -> pd.Index | None:
    """The times of a table with a row per sensor, from the names of its columns; None where these are no times."""
    ids, label = table.frame.iloc[:, 0], (table.names or [""])[0]
    named = _is_text(ids) or label.lower() in _NODE_NAMES or said.node_column is not None
    header = pd.Series(names)
    if all(are_times(names)):
        return times(header, table.file, "the header", said.dayfirst).index
    if all(kind_of(name) == "date" for name in names):
        try:
            index = times(header, table.file, "the header", said.dayfirst).index
        except DataError:
            if all(re.fullmatch(r"\d{1,4}[-/]\d{1,4}", name) for name in names):
                return None  # names such as 1-2
            raise
        if not named:
            raise DataError(
                f"{table.file}: the header ({_some(table)}) may hold times or names of sensors. If times: node_column=1; if "
                "names: time_column=1, or no_time=True."
            )
        return index
    counting = _counting(names) if named else None
    if counting is not None and _counts(ids):
        raise DataError(
            f"{table.file}: rows and columns are both numbered ({_some(table)}): is there a row per time or per sensor? If per "
            "time: time_column=1; else give the sensors names."
        )
    if counting is None or not all(name.isdigit() for name in names):
        return None if counting is None else pd.RangeIndex(len(names))
    return times(pd.Series(counting), table.file, "the header").index


def _is_text(column: pd.Series) -> bool:
    return not pd.api.types.is_numeric_dtype(column)


def _counting(names: list[str]) -> list[int] | None:
    """Numbers that rise by equal steps, which are the names or stand behind the same letters; None where they do not."""
    matches = [re.fullmatch(r"(\D*)(\d+)", name) for name in names]
    if not all(matches) or len({match[1] for match in matches if match}) > 1:
        return None
    numbers = [int(match[2]) for match in matches if match]
    steps = {later - earlier for earlier, later in pairwise(numbers)}
    return numbers if len(steps) == 1 and min(steps) > 0 else None


def _some(table: Cells, limit: int = 6) -> str:
    names = [name or "no name" for name in table.names] if table.names is not None else ["no header"]
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")
