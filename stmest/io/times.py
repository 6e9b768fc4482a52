"""Times in the columns of a file, and what to say where they can be read in two ways.

Builds on `stmest.data.times`; used by `columns` and `tables`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..data.times import Times, looks_like_times, read_times
from ..exceptions import DataError
from .cells import kind_of

__all__ = ["ORDERS", "holds_dates", "times"]

# What comes first in dates of three numbers, as `read_times` calls it, by `dayfirst`
ORDERS = {True: "day first", False: "month first"}


def holds_dates(column: pd.Series) -> bool:
    """Whether a column holds dates: most of its cells that are looked at.

    Parameters
    ----------
    column : Series
        As it stands in a file.

    Returns
    -------
    bool
        False for numbers.
    """
    if looks_like_times(column):
        return True
    if pd.api.types.is_numeric_dtype(column):
        return False
    seen = column.dropna()
    seen = seen.iloc[np.unique(np.linspace(0, len(seen) - 1, 50).astype(int))] if len(seen) else seen
    kinds = [kind_of(cell) for cell in seen]
    return bool(kinds) and kinds.count("date") > len(kinds) // 2


def times(column: pd.Series, file: str, what: str | None = None, dayfirst: bool | None = None) -> Times:
    """The times of a column.

    Parameters
    ----------
    column : Series
        As it stands in a file.
    file : str
        Name of the file, for messages.
    what : str, optional
        What messages call the column; default: the column and its name.
    dayfirst : bool, optional
        Whether dates begin with the day or with the month.

    Returns
    -------
    Times
        As `stmest.data.times.read_times` reads them.

    Raises
    ------
    DataError
        If a row has no time, or they cannot be read.
    """
    if column.isna().any():
        row = int(column.isna().argmax()) + 1
        raise DataError(
            f"{file}: row {row} has no time in column {column.name!r}; needed: a time in each row."
        )
    wanted = None if dayfirst is None else ORDERS[dayfirst]
    try:
        read = read_times(pd.Index(column), wanted)
        if wanted is not None and read.reading in ORDERS.values() and read.reading != wanted:
            raise DataError(f"they do not all read with dayfirst={dayfirst}")
        return read
    except DataError as error:
        if dayfirst is None and (ways := _both_ways(column)) is not None:
            raise DataError(
                f"{file}: the times such as {ways[0]!r} can be read in two ways that are equally good: day first ({ways[1]}) or "
                f"month first ({ways[2]}); say which: dayfirst=True or dayfirst=False."
            ) from error
        what = what or f"the column {column.name!r}"
        raise DataError(
            f"{file}: {what} has to be the time, but holds {column.iloc[0]!r} and the like: {error}"
        ) from error


def _both_ways(column: pd.Series) -> tuple[str, pd.Timestamp, pd.Timestamp] | None:
    """A date that may begin with the day and with the month, and both times; None where there is none."""
    try:
        read = {order: read_times(pd.Index(column), order) for order in ORDERS.values()}
    except DataError:
        return None
    if any(found.reading != order for order, found in read.items()):
        return None
    one, other = (found.index for found in read.values())
    row = int((one != other).argmax())
    return column.iloc[row], one[row], other[row]
