"""Reads long data a bounded number of values at a time, so that memory maps stay on disk.

Builds on numpy; used wherever all values have to be read once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["has_gaps", "row_chunks"]

NUMBERS_AT_ONCE = 1 << 20


def row_chunks(values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Cut an array along its first axis into chunks of about a million values.

    Parameters
    ----------
    values : ndarray of shape (n_rows, ...)
        Any array, also a memory map.

    Yields
    ------
    first : int
        Position of the first row of the chunk.
    chunk : ndarray
        View of these rows.
    """
    at_once = max(1, NUMBERS_AT_ONCE // max(1, int(np.prod(values.shape[1:]))))
    for first in range(0, len(values), at_once):
        yield first, values[first : first + at_once]


def has_gaps(values: np.ndarray) -> bool:
    """Whether a value is missing; read in chunks."""
    return any(bool(np.isnan(chunk).any()) for _, chunk in row_chunks(values))
