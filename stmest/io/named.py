"""The columns that a user named: where they are, and what is left out beside them.

Builds on `options`; used by `columns`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..exceptions import DataError
from .cells import Cells
from .options import ReadOptions
from .times import holds_dates

__all__ = ["called", "named_long", "without_other_times"]


def without_other_times(table: Cells, time: int) -> tuple[Cells, int]:
    """The table without the columns of dates that are not the one that was named, and where this one is."""
    others = [i for i in range(table.frame.shape[1]) if i != time and holds_dates(table.frame.iloc[:, i])]
    table, kept = _without(table, others)
    return table, kept.index(time)


def _without(table: Cells, others: list[int]) -> tuple[Cells, list[int]]:
    """The table without some columns, with a word on them, and which are left."""
    kept = [i for i in range(table.frame.shape[1]) if i not in others]
    if not others:
        return table, kept
    names = [table.name(i) for i in others]
    table.notes.append(f"not used: {', '.join(names[:6])}" + (", ..." if len(names) > 6 else ""))
    return table.keep(kept), kept


def called(table: Cells, i: int) -> str:
    """How a call names a column."""
    name = "" if table.names is None else table.names[i]
    return repr(name) if name else str(table.frame.columns[i] + 1)


def named_long(
    table: Cells, time: int | None, said: ReadOptions, usual: Mapping[str, Sequence[str]]
) -> tuple[Cells, tuple[int, int, int]]:
    """A long table of which the user named columns, and where time, node and value are in it.

    Parameters
    ----------
    table : Cells
        The table.
    time : int or None
        Where the times are.
    said : ReadOptions
        Names at least one of the other two columns.
    usual : mapping of str to sequence of str
        Names, lower case, by which `node_column` and `value_column` are known where they were not named.

    Returns
    -------
    table : Cells
        Without the columns that are not used.
    columns : tuple of int
        Positions of time, node and value.
    """
    if time is None:
        raise DataError(
            f"{table.file}: no column of the long table is known to be the time; say which: time_column='time'."
        )
    known = {which: said.position(which, table) for which in usual}
    for which, names in usual.items():
        if known[which] is None:
            known[which] = _only_one_left(table, which, names, [time, *known.values()])
    columns = (time, *known.values())
    if len(set(columns)) < 3:
        raise DataError(
            f"{table.file}: one column was named twice among time_column, node_column and value_column; needed: three."
        )
    table, kept = _without(table, [i for i in range(table.frame.shape[1]) if i not in columns])
    place, node, value = (kept.index(i) for i in columns)  # type: ignore[arg-type]
    return table, (place, node, value)


def _only_one_left(table: Cells, which: str, names: Sequence[str], taken: list[int | None]) -> int:
    """Where the column is that was not named: by its usual name, or because there is no other."""
    left = [i for i in range(table.frame.shape[1]) if i not in taken]
    usual = [i for i in left if table.names is not None and table.names[i].strip().lower() in names]
    found = usual if len(usual) == 1 else left
    if len(found) != 1:
        maybe = " and ".join(table.name(i) for i in found[:6]) or "no column"
        raise DataError(
            f"{table.file}: {maybe} may be the {which}; say which: "
            f"{which}={called(table, found[0]) if found else repr('name')}."
        )
    return found[0]
