"""What a user says about a table that its file does not: separator, decimal mark, order of dates, which column is which.

Made by `tables`, handed on with the cells to `columns` and `numerals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..exceptions import DataError, ParameterError
from .cells import Cells

__all__ = ["BLANKS", "ReadOptions"]

BLANKS = r"\s+"


@dataclass(frozen=True)
class ReadOptions:
    """What was said; None and False where it is to be found by looking.

    Attributes
    ----------
    missing : tuple of str
        Marks of missing values.
    sep, decimal : str or None
        What stands between the cells, and before the decimals.
    dayfirst : bool or None
        Whether dates such as 03/04/2024 begin with the day.
    time_column, node_column, value_column : str, int or None
        Columns by name, or by number from 1.
    no_time : bool
        Whether no column is the time.
    """

    missing: tuple[str, ...] = ()
    sep: str | None = None
    decimal: str | None = None
    dayfirst: bool | None = None
    time_column: str | int | None = None
    node_column: str | int | None = None
    value_column: str | int | None = None
    no_time: bool = False

    def check(self) -> None:
        """Raise an error where what was said contradicts itself or cannot be."""
        if self.sep is not None and len(self.sep) != 1 and self.sep != BLANKS:
            raise ParameterError(
                f"sep={self.sep!r}; needed: one sign, such as ';', or {BLANKS!r} for any number of blanks."
            )
        if self.decimal not in (None, ".", ","):
            raise ParameterError(f"decimal={self.decimal!r}; needed: '.' or ','.")
        if self.sep is not None and self.sep == self.decimal:
            raise ParameterError(f"sep and decimal are both {self.sep!r}; needed: two different ones.")
        if self.no_time and (self.time_column is not None or self.long):
            raise ParameterError(
                "no_time=True says that no column is the time; it cannot be given with time_column, node_column or value_column."
            )

    @property
    def long(self) -> bool:
        """Whether a column of nodes or of values was named, which only long tables have."""
        return self.node_column is not None or self.value_column is not None

    def refuse_for_arrays(self, file: str) -> None:
        """Raise an error where something was said that arrays do not have.

        Parameters
        ----------
        file : str
            Name of a file of arrays, for the message.
        """
        said = [
            name
            for name in ("sep", "decimal", "dayfirst", "time_column", "node_column", "value_column")
            if getattr(self, name) is not None
        ]
        if said:
            raise ParameterError(f"{said[0]} describes tables; {file} holds arrays with names of their own.")

    def position(self, which: str, table: Cells) -> int | None:
        """Where a column that was named stands.

        Parameters
        ----------
        which : {"time_column", "node_column", "value_column"}
            The column.
        table : Cells
            The table, of whose columns some may have been left out already.

        Returns
        -------
        int or None
            Counted from 0; None where none was named.

        Raises
        ------
        DataError
            If there is no such column.
        """
        wanted = getattr(self, which)
        if wanted is None:
            return None
        text, names = str(wanted).strip(), [name.strip() for name in table.names or []]
        for found in (names, [name.lower() for name in names]):
            if text in found:
                return found.index(text)
            text = text.lower()
        labels = list(table.frame.columns)
        if text.isdigit() and int(text) - 1 in labels:
            return labels.index(int(text) - 1)
        has = f"its columns are {', '.join(map(repr, names[:12]))}" if names else "it has no header"
        raise DataError(
            f"{table.file}: {which}={wanted!r}, but there is no such column: {has}. A number counts the columns from 1."
        )

    def names_one_of(self, row: Sequence[Any]) -> bool:
        """Whether a row has the name of a column that was named, so that it is the header."""
        cells = {str(cell).strip() for cell in row}
        named = [
            name.strip()
            for name in (self.time_column, self.node_column, self.value_column)
            if isinstance(name, str)
        ]
        return any(name in cells and not (name.isdigit() and int(name) <= len(row)) for name in named)
