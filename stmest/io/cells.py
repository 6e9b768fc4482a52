"""The cells of a table as they stand in a file, before anybody knows which of them are times, names or values.

Builds on pandas; made by `text` and `tables`, read by `columns`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import DataError

__all__ = ["Cells", "is_header", "kind_of"]

_NUMBER = re.compile(r"[-+\u2212]?(\d[\d.,' \u00a0\u202f]*|[.,]\d+)([eE][-+]?\d+)?")
# What only dates and times have: figures on both sides of a dash, slash, colon or two dots; a T; a name of a month
_CLOCK = (
    r"\d{1,2}[:.h]?\d{0,2}(?:[:.]\d{2}(?:[.,]\d+)?)?\s*(?:[ap]\.?m\.?)?\s*"
    r"(?:Z|UTC|GMT)?(?:[+-]\d{2}:?\d{0,2})?(?:\[[\w/]+\])?"
)
_DATE = re.compile(
    rf"\d{{1,4}}[-/.]\s?\d{{1,2}}[-/.]\s?\d{{1,4}}\.?(?:[T ,_]\s*{_CLOCK})?|\d{{1,4}}[-/]\d{{1,4}}"
    rf"|\d{{1,2}}[:h]\d{{2}}(?::\d{{2}})?.{{0,12}}|\d{{8}}[T ]{_CLOCK}|\d{{4}}-?[QW]\d[-\d]*"
    r"|(?=.*\d)(?:[^;|\t]*[^a-z;|\t])?(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)(?:[^a-z;|\t][^;|\t]*)?",
    flags=re.IGNORECASE,
)


@dataclass
class Cells:
    """A table of a file.

    Attributes
    ----------
    file : str
        Name of the file, for messages.
    names : list of str or None
        One per column, empty where a column has none; None where the file has no header.
    frame : DataFrame
        The columns, numbered from 0, without the header; numbers and times where the file says so or text reads as numbers
        with a decimal point, else text.
    notes : list of str
        Sentences on what was seen, for the user.
    separator : str or None
        What stands between the cells of a text file.
    as_text : callable or None
        Returns the columns of `frame` as they are written, given settings of pandas.read_csv; None where the file itself has
        numbers.
    n_written : int or None
        How many names the header has, empty ones included, where it may have fewer than the rows have cells.
    dates : str or None
        What comes first in its dates, where this had to be found out.
    """

    file: str
    names: list[str] | None
    frame: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    separator: str | None = None
    as_text: Callable[..., pd.DataFrame] | None = None
    n_written: int | None = None
    dates: str | None = None

    def name(self, column: int) -> str:
        """How messages call a column."""
        name = "" if self.names is None else self.names[column]
        return repr(name) if name else f"number {self.frame.columns[column] + 1}"

    def keep(self, columns: Sequence[int]) -> Cells:
        """The same table with some of its columns, which keep their numbers in `frame`."""
        names = None if self.names is None else [self.names[i] for i in columns]
        return replace(self, names=names, frame=self.frame.iloc[:, list(columns)])


def kind_of(cell: Any) -> str:
    """What a cell looks like.

    Parameters
    ----------
    cell : object
        Text, number, time or nothing.

    Returns
    -------
    {"empty", "number", "date", "text"}
        Text that reads as a number with a decimal point or comma is a number.

    Examples
    --------
    >>> [kind_of(cell) for cell in ("", "-1.5", "2,5", "31.12.2024 23:00", "2024-W01", "a1")]
    ['empty', 'number', 'number', 'date', 'date', 'text']
    """
    if cell is None or cell is pd.NaT or (isinstance(cell, float) and np.isnan(cell)):
        return "empty"
    if isinstance(cell, (bool, np.bool_)):
        return "text"
    if isinstance(cell, (int, float, np.number)):
        return "number"
    text = str(cell).strip()
    if not text or text.lower() in ("nan", "na", "n/a", "null", "none", "<na>", "nat"):
        return "empty"
    if _NUMBER.fullmatch(text) and not re.fullmatch(
        r"\d{1,2}\.\d{1,2}\.\d{2,4}|\d{4}\.\d{1,2}\.\d{1,2}", text
    ):
        return "number"
    return "date" if _DATE.fullmatch(text) else "text"


def is_header(rows: Sequence[Sequence[Any]], file: str) -> bool:
    """Whether the first of some rows has the names of the columns.

    Parameters
    ----------
    rows : sequence of sequence
        The first rows of a table, at least one.
    file : str
        Name of the file, for the message.

    Returns
    -------
    bool
        False where the first row looks like those below it.

    Raises
    ------
    DataError
        If its numbers may as well be names as values.
    """
    first, body = rows[0], rows[1:]
    kinds = [kind_of(cell) for cell in first]
    below = [{kind_of(row[i]) for row in body if i < len(row)} - {"empty"} for i in range(len(first))]
    if not body:
        return True
    if kinds[0] == "text":
        return not any(kind == "date" in seen for kind, seen in zip(kinds, below, strict=True))
    if kinds[0] not in below[0]:
        return bool(below[0])
    if kinds[0] == "number" and len(kinds) > 1 and set(kinds[1:]) <= {"text", "date"}:
        return any("number" in seen for seen in below[1:])
    if set(kinds) == {"number"}:
        _refuse_doubt(first, body, file)
    return False


def _refuse_doubt(first: Sequence[Any], body: Sequence[Sequence[Any]], file: str) -> None:
    """Raise an error where a first row of numbers may be names: whole numbers unlike all that stands below them."""
    texts = [str(cell).strip() for cell in first]
    if (
        len(texts) < 2
        or len(set(texts)) < len(texts)
        or not all(re.fullmatch(r"\d+", text) for text in texts)
    ):
        return
    above = np.array([float(text) for text in texts])
    values = pd.DataFrame([list(row)[: len(texts)] for row in body]).apply(pd.to_numeric, errors="coerce")
    low, high = values.min().to_numpy(), values.max().to_numpy()
    reach = np.nan_to_num(3 * (high - low))
    unlike = bool(np.all((above < low - reach) | (above > high + reach)))
    counted = list(above) in ([*range(len(above))], [*range(1, len(above) + 1)])
    if unlike or counted:
        raise DataError(
            f"{file}: the first row ({', '.join(texts[:4])}{', ...' if len(texts) > 4 else ''}) may be names or values. If "
            "names: write 'time' over the column of times; if values: write a header above it."
        )
