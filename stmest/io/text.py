"""Text files (csv and its relatives) as cells: encoding, separator and header are found by looking.

Builds on csv and pandas' parser; used by `tables`.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import pandas as pd

from ..exceptions import DataError
from .arrays import check_size, check_zip
from .cells import Cells, is_header, kind_of
from .options import BLANKS, ReadOptions

__all__ = ["COMPRESSED", "read_text"]


def _only_member(path: Path) -> BinaryIO:
    check_zip(path)
    archive = zipfile.ZipFile(path)
    names = [
        name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX")
    ]
    if len(names) != 1:
        raise DataError(
            f"{path.name}: holds {len(names)} files ({', '.join(names[:5])}); needed: one. Unpack it first."
        )
    return archive.open(names[0])  # type: ignore[return-value]


COMPRESSED: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".zip": _only_member
}  # fmt: skip
_SEPARATORS = ("\t", ";", "|", ",")
_NOTHING_SAID = ReadOptions()
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_HEAD_LINES, _HEAD_CHARACTERS, _CHUNK = 200, 2**22, 2**20


def read_text(path: Path, said: ReadOptions = _NOTHING_SAID) -> Cells:
    """Read the cells of a text file.

    Parameters
    ----------
    path : Path
        Text in UTF-8, UTF-16 or UTF-32 (with a byte order mark, UTF-16 also without), else Windows-1252; columns separated by
        comma, semicolon, tab, ``|`` or blanks; also compressed (.gz, .bz2, .xz, .zip).
    said : ReadOptions, optional
        The separator, and names of columns, where they are known.

    Returns
    -------
    Cells
        Columns of numbers with a decimal point as numbers, all others as text.

    Raises
    ------
    DataError
        If the file is no text, or its lines do not make a table.
    """
    try:
        encoding, notes = _encoding(path)
        with _opened(path, encoding) as stream:
            lines = _head(stream)
        separator = said.sep or _separator(lines)
        _refuse_short_rows(list(_rows(iter(lines), separator)), path.name)
        rows = list(_rows(iter(lines), separator))
        if not rows:
            raise DataError(f"{path.name}: cannot be read as csv (there is nothing in it); needed: a table.")
        names = (
            [cell.strip() for cell in rows[0]]
            if said.names_one_of(rows[0]) or is_header(rows, path.name)
            else None
        )
        width = max(map(len, rows))

        def parsed(**settings: Any) -> pd.DataFrame:
            with _opened(path, encoding) as stream:
                if (
                    names is not None
                ):  # consumed here, as pandas would make other names unique, and shift columns
                    next(_rows(iter(stream.readline, ""), separator))
                return _parsed(stream, width, separator, **settings)

        frame = parsed()
    except (ValueError, OSError, EOFError, zlib.error, lzma.LZMAError, csv.Error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path.name}: cannot be read as csv ({' '.join(str(error).split())[:200]}); needed: lines with as many cells "
            "each."
        ) from error
    except MemoryError as error:
        raise DataError(f"{path.name}: does not fit into memory.") from error
    n_written = None if names is None else len(names)
    if names is not None:
        names += [""] * (width - len(names))
    return Cells(
        path.name, names, frame, notes, separator, lambda **settings: parsed(dtype=str, **settings), n_written
    )


def _parsed(stream: TextIO, width: int, separator: str, **settings: Any) -> pd.DataFrame:
    try:
        return pd.read_csv(
            stream, sep=separator, header=None, names=range(width), index_col=False, skipinitialspace=True,
            low_memory=False, **settings,
        )  # fmt: skip
    except pd.errors.EmptyDataError:  # a header and nothing else
        return pd.DataFrame(columns=range(width))


def _bytes_of(path: Path) -> BinaryIO:
    suffix = path.suffix.lower()
    return COMPRESSED[suffix](path) if suffix in COMPRESSED else path.open("rb")


def _opened(path: Path, encoding: str) -> TextIO:
    """The text of a file, after the line with which some programs tell Excel the separator."""
    stream = io.TextIOWrapper(_bytes_of(path), encoding=encoding)
    start = stream.readline(_CHUNK)
    if re.fullmatch(r'"?sep=.?"?\s*', start):
        return stream
    rest = io.TextIOWrapper(_bytes_of(path), encoding=encoding)
    stream.close()
    return rest


def _encoding(path: Path) -> tuple[str, list[str]]:
    """The encoding of a file, with a sentence where it is a guess; its size is bounded on the way."""
    stored = path.stat().st_size
    with _bytes_of(path) as file:
        start = file.read(_CHUNK)
        encoding = next((name for mark, name in _MARKS if start.startswith(mark)), None)
        if encoding is None and start.count(b"\0") > len(start) // 4:  # every second byte of Latin letters
            encoding = "utf-16-le" if start[1::2].count(b"\0") > start[::2].count(b"\0") else "utf-16-be"
        wide = encoding is not None and not encoding.startswith("utf-8")
        decoder = codecs.getincrementaldecoder(encoding if wide and encoding else "utf-8")()
        fits, size, chunk = True, 0, start
        while chunk:
            size += len(chunk)
            check_size(size, path.name, stored if path.suffix.lower() in COMPRESSED else None)
            control = None if wide else _NO_TEXT.search(chunk)
            if control is not None:
                raise DataError(
                    f"{path.name}: is no text (byte {control[0][0]} was found); needed: a csv file. Export the data as csv."
                )
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                if wide:
                    raise
                fits = False
            chunk = file.read(_CHUNK)
        if fits:
            try:
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                fits = False
    if encoding is not None and fits:
        return encoding, []
    if fits:
        return "utf-8", []
    return "cp1252", ["the file is not in UTF-8; it was read as Windows-1252 (Latin-1)"]


def _head(stream: TextIO) -> list[str]:
    lines: list[str] = []
    left = _HEAD_CHARACTERS
    while len(lines) < _HEAD_LINES and left > 0:
        line = stream.readline()
        if not line:
            break
        left -= len(line)
        lines.append(line)
    while len(lines) > 1 and sum(line.count('"') for line in lines) % 2:  # ends within quotes
        lines.pop()
    return lines


def _rows(lines: Iterator[str], separator: str) -> Iterator[list[str]]:
    """The rows of some lines, without those that are empty."""
    if separator == BLANKS:
        single = (re.sub(r"\s+", " ", line.strip()) for line in lines)
        yield from csv.reader((line for line in single if line), delimiter=" ")
        return
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    yield from (row for row in reader if any(cell.strip() for cell in row))


def _refuse_short_rows(rows: list[list[str]], name: str) -> None:
    """Refuse a header with more names than any row has cells: which of them is missing is not known."""
    if len(rows) < 2:
        return
    n_names = max((i for i, cell in enumerate(rows[0], start=1) if cell.strip()), default=0)
    longest = max(map(len, rows[1:]))
    if n_names > longest:
        raise DataError(
            f"{name}: the header has {n_names} names ({', '.join(rows[0][:6])}), the rows have {longest} cells; needed: a cell "
            "for each name, empty where a value is missing."
        )


def _separator(lines: list[str]) -> str:
    """The separator whose cells read best as numbers and dates, in rows of equal length."""

    def fitness(separator: str) -> tuple[float, int]:
        rows = list(_rows(iter(lines), separator))
        widths = [len(row) for row in rows[1:] or rows]
        usual = max(set(widths), key=widths.count)
        if usual < 2:
            return (-1.0, 1)
        cells = [cell for row in rows[1:] for cell in row[:50]]
        clean = sum(kind_of(cell) != "text" for cell in cells) / max(1, len(cells))
        return (round(clean * widths.count(usual) / len(widths), 6), usual)

    if not any(line.strip() for line in lines):
        return ","
    best = max(_SEPARATORS, key=fitness)
    if fitness(best)[1] > 1:
        return best
    return BLANKS if fitness(BLANKS)[1] > 1 else ","
