"""Columns of text as numbers: decimal points and commas, separators of thousands, marks of missing values.

Builds on pandas; used by `columns`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import DataError
from .cells import Cells, kind_of
from .named import called

__all__ = ["missing_marks", "numbers_of", "without_marks"]

_GROUPS = "' \u00a0\u202f\u2019"  # what else may stand between thousands


def _pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    return re.compile(
        rf"[-+]?(?=[{decimal}]?\d)(?:[1-9]\d{{0,2}}(?:[{thousands}{_GROUPS}]\d{{3}})+|\d*)(?:[{decimal}]\d*)?(?:[eE][-+]?\d+)?"
    )


# How a text may be read, by the decimal mark
_READINGS = {".": _pattern(".", ","), ",": _pattern(",", ".")}


def missing_marks(missing: Any) -> tuple[str, ...]:
    """The marks of missing values as text.

    Parameters
    ----------
    missing : str, number, or sequence of these, or None
        Marks; a text may hold several, separated by commas.

    Returns
    -------
    tuple of str
        Without blanks around them.

    Examples
    --------
    >>> missing_marks("-9999,-"), missing_marks([-9999, 0.5]), missing_marks(None)
    (('-9999', '-'), ('-9999', '0.5'), ())
    """
    if missing is None:
        return ()
    listed = (
        missing.split(",") if isinstance(missing, str) else np.atleast_1d(np.asarray(missing, dtype=object))
    )
    return tuple(mark for mark in (str(part).strip() for part in listed) if mark)


def without_marks(values: np.ndarray, marks: Sequence[str]) -> np.ndarray:
    """Numbers with NaN where a mark of a missing value stands.

    Parameters
    ----------
    values : ndarray
        Numbers.
    marks : sequence of str
        From `missing_marks`; those that are no numbers do nothing.

    Returns
    -------
    ndarray
        The values themselves where no mark is among them; else a copy, float64 unless it was float32.
    """
    numbers = (
        pd.to_numeric(pd.Series(marks, dtype=object), errors="coerce").dropna().to_numpy(dtype=np.float64)
    )
    if not len(numbers):
        return values
    marked = np.isin(values, numbers.astype(values.dtype) if values.dtype == np.float32 else numbers)
    if not marked.any():
        return values
    return np.where(marked, np.nan, values if values.dtype.kind == "f" else values.astype(np.float64))


def numbers_of(table: Cells, marks: Sequence[str], decimal: str | None = None) -> pd.DataFrame:
    """All columns of a table as numbers.

    Parameters
    ----------
    table : Cells
        Columns of values.
    marks : sequence of str
        From `missing_marks`.
    decimal : {".", ","}, optional
        The decimal mark, where it is known.

    Returns
    -------
    DataFrame
        The same columns as float64 (float32 where they were), NaN where a cell is empty or holds a mark.

    Raises
    ------
    DataError
        If a cell is no number, or may be two different ones.
    """
    frame = table.frame
    for column in frame.columns:
        dtype = frame[column].dtype
        if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_datetime64_any_dtype(dtype):
            raise DataError(
                f"{table.file}: column {table.name(_place(frame, column))} holds {dtype} values; needed: numbers."
            )
    is_text = [not pd.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes]
    if (any(is_text) or decimal == ",") and table.as_text is not None:
        # Where one column has decimal commas, what looks like a decimal point elsewhere may part thousands
        frame = table.as_text().loc[frame.index, frame.columns]
        is_text = [True] * frame.shape[1]
    texts = {
        place: (table.as_text and _plain(frame.iloc[:, place], marks))
        or _Text(table, place, frame.iloc[:, place], marks)
        for place, text in enumerate(is_text)
        if text
    }
    decimals = _decimals(table, texts, decimal)
    columns: dict[Any, Any] = {}
    for place, column in enumerate(frame.columns):
        if place in texts:
            columns[column] = texts[place].numbers(decimals[place])
            continue
        numbers = pd.to_numeric(frame[column])
        dtype = np.float32 if numbers.dtype == np.float32 else np.float64
        columns[column] = without_marks(numbers.to_numpy(dtype=dtype, na_value=np.nan), marks)
    return pd.DataFrame(columns, index=frame.index, columns=frame.columns)


@dataclass
class _Plain:
    """A column of text in which one mark at most stands, surely that of decimals: most of all columns, read at once."""

    fits: dict[str, bool]
    values: np.ndarray
    asked: tuple[str, ...] = ()
    differing: str | None = None
    decimal_beside_groups: str | None = None

    def numbers(self, decimal: str) -> np.ndarray:
        return self.values


def _plain(column: pd.Series, marks: Sequence[str]) -> _Plain | None:
    """A column as `_Plain`; None where its cells have to be looked at one by one."""
    text = column[~column.isin(marks)].dropna()
    has = {mark: bool(text.str.contains(mark, regex=False).any()) for mark in _READINGS}
    if all(has.values()):
        return None
    decimal, other = (",", ".") if has[","] else (".", ",")
    read = pd.to_numeric(text.str.replace(",", ".", regex=False) if has[","] else text, errors="coerce")
    if read.isna().any() or np.isinf(read).any():
        return None
    marked = text[text.str.contains(decimal, regex=False)] if has[decimal] else []
    if len(marked) and all(_READINGS[other].fullmatch(cell) for cell in marked):
        return None  # or it parts thousands
    values = np.full(len(column), np.nan)
    values[column.index.get_indexer(text.index)] = read
    return _Plain({decimal: True, other: not len(marked)}, without_marks(values, marks))


class _Text:
    """A column of text, by its different cells."""

    def __init__(self, table: Cells, place: int, column: pd.Series, marks: Sequence[str]) -> None:
        self.codes, cells = pd.factorize(column, use_na_sentinel=True)
        self.dtype_is_number = [kind_of(cell) == "number" and not isinstance(cell, str) for cell in cells]
        self.cells = [str(cell).strip().replace("\u2212", "-") for cell in cells]
        marked = set(pd.to_numeric(pd.Series(marks, dtype=object), errors="coerce").dropna())
        self.empty = [
            cell in marks
            or kind_of(cell) == "empty"
            or (bool(numbers := _readings(cell)) and numbers <= marked)
            for cell in self.cells
        ]
        self.asked = asked = [
            cell
            for cell, known, empty in zip(self.cells, self.dtype_is_number, self.empty, strict=True)
            if not known and not empty
        ]
        self.fits = {mark: all(map(pattern.fullmatch, asked)) for mark, pattern in _READINGS.items()}
        if not any(self.fits.values()):
            _refuse(table, place, column, asked)
        self.differing = None
        if all(self.fits.values()):
            self.differing = next((c for c in asked if _value(c, ".") != _value(c, ",")), None)
        both = next((c for c in asked if "." in c and "," in c), None)  # such as 1.234,5
        self.decimal_beside_groups = None if both is None else max(".,", key=both.rindex)

    def numbers(self, decimal: str) -> np.ndarray:
        values = [
            np.nan if empty else float(cell) if known else _value(cell, decimal)
            for cell, known, empty in zip(self.cells, self.dtype_is_number, self.empty, strict=True)
        ]
        return np.append(values, np.nan)[self.codes]  # the code of a missing cell is -1


def _value(cell: str, decimal: str) -> float:
    kept = "".join(c for c in cell if c not in _GROUPS and (c == decimal or c not in ".,"))
    return float(kept.replace(",", "."))


def _readings(cell: str) -> set[float]:
    """All numbers that a text may be."""
    return {_value(cell, mark) for mark, pattern in _READINGS.items() if pattern.fullmatch(cell)}


def _decimals(table: Cells, texts: Mapping[int, _Plain | _Text], known: str | None) -> dict[int, str]:
    """The decimal mark of each column: the known one, its own where only one fits, else what the other columns leave."""
    if known is not None:
        unfit = [place for place, text in texts.items() if not text.fits[known]]
        if unfit:
            raise DataError(
                f"{table.file}: column {table.name(unfit[0])} holds numbers that do not read with decimal={known!r}; needed: the "
                "decimal mark of all columns."
            )
        return dict.fromkeys(texts, known)
    own = {place: [mark for mark, fits in text.fits.items() if fits] for place, text in texts.items()}
    sure = {marks[0] for marks in own.values() if len(marks) == 1}
    grouped = {text.decimal_beside_groups for text in texts.values()} - {None}
    open_cells = [
        cell for place, text in texts.items() if len(own[place]) > 1 and text.differing for cell in text.asked
    ]
    marks = {mark for mark in ".," if any(mark in cell for cell in open_cells)}
    if len(grouped) == 1 and sure == grouped:  # "1.234,5" shows what 1.234 is
        common = next(iter(sure))
    elif marks == {"."} and "," not in sure:
        common = "."
    elif marks == {","} and "." not in sure and ("," in sure or table.separator == ";"):
        common = ","  # and a semicolon stands where the comma is taken
    else:
        common = None
    out = {}
    for place, text in texts.items():
        if len(own[place]) == 1 or text.differing is None:
            out[place] = own[place][0]
        elif common is not None:
            out[place] = common
        else:
            one, other = (f"{_value(text.differing, mark):.15g}" for mark in ".,")
            raise DataError(
                f"{table.file}: column {table.name(place)} holds {text.differing!r}, which may be {one} or {other}; say which: "
                f"decimal='.' or decimal=','."
            )
    return out


def _refuse(table: Cells, place: int, column: pd.Series, asked: list[str]) -> None:
    """Say which cell is no number."""
    bad = next((c for c in asked if not any(p.fullmatch(c) for p in _READINGS.values())), None)
    if bad is None:
        one, other = (next(c for c in asked if not pattern.fullmatch(c)) for pattern in _READINGS.values())
        raise DataError(
            f"{table.file}: column {table.name(place)} holds {one!r} and {other!r}; needed: one decimal mark in a column."
        )
    texts = column.astype(str).str.strip().str.replace("\u2212", "-")
    row = int((texts == bad).to_numpy().argmax()) + 1
    hint = ""
    if not any(letter.isdigit() for letter in bad):
        hint = f" If it marks a missing value, say so: missing={bad!r}."
    if any(map(str.isalpha, bad)) and not any(p.fullmatch(c) for c in asked for p in _READINGS.values()):
        hint += f" If the column names the nodes of a long table, say so: node_column={called(table, place)}."
    raise DataError(
        f"{table.file}: column {table.name(place)} holds {bad!r} in row {row}, which is no number; needed: numbers, empty where "
        f"missing.{hint}"
    )


def _place(frame: pd.DataFrame, column: Any) -> int:
    return int(frame.columns.get_loc(column))
