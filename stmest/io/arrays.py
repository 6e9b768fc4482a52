"""Arrays from npz, npy and zip files, whose sizes are bounded from their headers before anything is read.

Nothing is unpickled. Builds on numpy; used by `tables`, `fields` and `graphs`.
"""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from ..exceptions import DataError

__all__ = ["array_names", "array_shape", "check_size", "check_zip", "load_array", "load_arrays"]

# A compressed file may grow to so many bytes, or to so many times its size, whichever is more
_SMALL = 256 * 2**20
_LARGEST_RATIO = 200


def check_size(needed: int, name: str, stored: int | None = None) -> None:
    """Refuse what does not fit into memory, and compressed files that grow out of all proportion.

    Parameters
    ----------
    needed : int
        Bytes in memory, as a header claims.
    name : str
        Name of the file, for the message.
    stored : int, optional
        Bytes in the file, where it is compressed.

    Raises
    ------
    DataError
        If `needed` is more than the free memory, or more than 256 MiB and 200 times `stored`.
    """
    from ..runtime import free_memory

    if stored is not None and needed > max(_SMALL, _LARGEST_RATIO * stored):
        raise DataError(
            f"{name}: {_bytes(stored)} in the file would become {_bytes(needed)}; at most {_LARGEST_RATIO} times as much is "
            "unpacked. If the file is what you expect, unpack it first and give the result."
        )
    free = free_memory()
    if free is not None and needed > free:
        raise DataError(
            f"{name}: holds {_bytes(needed)} of values, {_bytes(free)} of memory are free; needed: a smaller file, for "
            "instance fewer nodes or a shorter time."
        )


def check_zip(path: str | Path, copies: int = 1) -> None:
    """Refuse a zip file (npz, xlsx) that would not fit, from its directory; see `check_size`.

    Parameters
    ----------
    path : str or Path
        A file.
    copies : int, default=1
        How many times its contents must fit into memory, for the work that follows.

    Raises
    ------
    DataError
        If it is no zip file, its directory is damaged, or its contents are too large.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            needed = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(
            f"{path.name}: is no {path.suffix[1:] or 'zip'} archive ({_one_line(error)})."
        ) from error
    check_size(needed, path.name, path.stat().st_size)
    check_size(copies * needed, path.name)


def array_names(path: str | Path) -> list[str]:
    """Names of the arrays of an npz file.

    Parameters
    ----------
    path : str or Path
        A file.

    Returns
    -------
    list of str
        In the order of the file.

    Raises
    ------
    DataError
        If it is no npz archive.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(
            f"{path.name}: is no npz archive ({_one_line(error)}); needed: arrays written by numpy.savez."
        ) from error


def array_shape(path: str | Path, name: str) -> tuple[int, ...]:
    """Shape of one array of an npz file, from its header.

    Parameters
    ----------
    path : str or Path
        An npz file.
    name : str
        One of `array_names`.

    Returns
    -------
    tuple of int
        As the header claims.

    Raises
    ------
    DataError
        If the header is none, or claims more than the file holds.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return _member_header(archive, name, path.name)[0]
    except _ERRORS as error:
        raise _unreadable(path, error) from error


def load_arrays(
    path: str | Path, names: Collection[str] | None = None, copies: int = 1
) -> dict[str, np.ndarray]:
    """Arrays of an npz file.

    Parameters
    ----------
    path : str or Path
        A file.
    names : collection of str, optional
        Arrays to read, where the file has them; default: all.
    copies : int, default=1
        How many times their size must fit into memory, for the work that follows.

    Returns
    -------
    dict of str to ndarray
        The arrays by name.

    Raises
    ------
    DataError
        If the file is no npz, holds Python objects, is damaged, or claims to hold more than it does or than fits into memory.
    """
    path = Path(path)
    wanted = [name for name in array_names(path) if names is None or name in names]
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = [_member_header(archive, name, path.name)[1] for name in wanted]
        check_size(sum(sizes), path.name, path.stat().st_size)
        check_size(copies * sum(sizes), path.name)
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in wanted}
    except _ERRORS as error:
        raise _unreadable(path, error) from error


def load_array(path: str | Path, copies: int = 1) -> np.ndarray:
    """The array of an npy file.

    Parameters
    ----------
    path : str or Path
        A file.
    copies : int, default=1
        As for `load_arrays`.

    Returns
    -------
    ndarray
        Its values.

    Raises
    ------
    DataError
        As for `load_arrays`.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            needed = _header(file, path.stat().st_size, path.name)[1]
        check_size(copies * needed, path.name)
        return np.load(path, allow_pickle=False)
    except _ERRORS as error:
        raise _unreadable(path, error) from error


_ERRORS = (
    ValueError, TypeError, OSError, EOFError, KeyError, MemoryError, OverflowError, NotImplementedError, RuntimeError,
    SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def _unreadable(path: Path, error: Any) -> DataError:
    if isinstance(error, DataError):
        return error
    return DataError(
        f"{path.name}: cannot be read as {path.suffix[1:]} ({_one_line(error)}); needed: plain numeric arrays."
    )


def _member_header(archive: zipfile.ZipFile, name: str, file_name: str) -> tuple[tuple[int, ...], int]:
    known = archive.namelist()
    member = archive.getinfo(f"{name}.npy" if f"{name}.npy" in known else name)
    with archive.open(member) as file:
        return _header(file, member.file_size, f"{file_name}, {name}")  # type: ignore[arg-type]


def _header(file: BinaryIO, size: int, name: str) -> tuple[tuple[int, ...], int]:
    """Shape and bytes of an array, which are no more than what the file has."""
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise DataError(f"{name}: is an npy of version {version}; needed: plain numeric arrays.")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise DataError(f"{name}: holds Python objects, which are not loaded; needed: plain numeric arrays.")
    needed = math.prod(shape) * max(1, dtype.itemsize)
    if min(shape, default=0) < 0 or needed > size:
        raise DataError(
            f"{name}: the header claims the shape {shape}, which is {_bytes(needed)}, but the file has {_bytes(size)}; it is "
            "damaged. Write it anew."
        )
    return shape, needed


def _bytes(n: int) -> str:
    power = min(5, max(0, int(math.log(max(1, n), 1024))))
    return f"{n / 1024**power:.3g} {('bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB')[power]}"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
