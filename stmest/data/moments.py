"""Means and spreads that lose no digits: at high levels, at tiny scales, and on series that never change.

A sum of large numbers is rounded, and the square of a number below 1e-162 is 0. So a level is taken away before anything is
summed up, and deviations are divided by a power of two before they are squared. Builds on numpy; used wherever a level or a
spread is estimated.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .chunks import row_chunks

__all__ = ["binary_unit", "deviations", "first_observed", "mean_of_observed", "moments", "standard_deviation"]


def binary_unit(values: np.ndarray) -> float:
    """A power of two near the largest absolute value; a division by it is exact.

    Parameters
    ----------
    values : ndarray of any shape
        NaN is skipped.

    Returns
    -------
    float
        The first one above that value; 1 where all values are 0 or NaN.

    Examples
    --------
    >>> binary_unit(np.array([0.3, -5.0, np.nan]))
    8.0
    """
    largest = float(np.fmax.reduce(np.abs(values), axis=None, initial=0.0))
    return math.ldexp(1.0, min(math.frexp(largest)[1], 1023)) if 0 < largest < math.inf else 1.0


def mean_of_observed(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Mean of what is observed along an axis; exact where all of it is the same.

    Parameters
    ----------
    values : ndarray
        NaN where missing.
    axis : int, default=0
        The axis, which the mean does not have.

    Returns
    -------
    ndarray of float64
        NaN where nothing is observed.

    Examples
    --------
    >>> mean_of_observed(np.array([0.1, 0.1, np.nan, 0.1])).item()
    0.1
    """
    seen = np.isfinite(values)
    first = np.take_along_axis(values, np.expand_dims(seen.argmax(axis), axis), axis).astype(np.float64)
    total = np.where(seen, values - first, 0.0).sum(axis)
    return np.squeeze(first, axis) + total / np.maximum(seen.sum(axis), 1)


def deviations(values: np.ndarray) -> np.ndarray:
    """Values less their mean over the first axis.

    Parameters
    ----------
    values : ndarray of shape (n, ...)
        NaN where missing.

    Returns
    -------
    ndarray of float64, of the same shape
        Exactly 0 where all observed values are the same; NaN where missing.
    """
    return values - mean_of_observed(values)


def standard_deviation(values: np.ndarray) -> np.ndarray:
    """Standard deviation over the first axis.

    Parameters
    ----------
    values : ndarray of shape (n, ...)
        NaN where missing.

    Returns
    -------
    ndarray of float64, of shape (...)
        Exactly 0 where all observed values are the same; NaN where nothing is observed.
    """
    return moments(values)[1]


def first_observed(values: Any) -> np.ndarray:
    """First observed value of each column.

    Parameters
    ----------
    values : array-like of shape (n_times, ...)
        NaN where missing; read in chunks, and only as far as needed.

    Returns
    -------
    ndarray of float64, of shape (...)
        NaN where nothing is observed.
    """
    found = np.full(values.shape[1:], np.nan)
    for _, chunk in row_chunks(values):
        rows = np.asarray(chunk, dtype=np.float64)
        seen = np.isfinite(rows)
        first = np.take_along_axis(rows, seen.argmax(0)[None], 0)[0]
        found = np.where(np.isnan(found) & seen.any(0), first, found)
        if not np.isnan(found).any():
            break
    return found


def moments(values: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over the first axis.

    Parameters
    ----------
    values : array-like of shape (n_times, ...)
        NaN where missing; read in chunks, twice.

    Returns
    -------
    mean, deviation : ndarray of float64, of shape (...)
        NaN where nothing is observed. The deviation of a series that never changes is exactly 0.
    """
    level = first_observed(values)
    total, largest = np.zeros((2, *level.shape))
    count = np.zeros(level.shape, dtype=np.int64)
    for _, chunk in row_chunks(values):
        change, seen = _less(chunk, level)
        total += change.sum(0)
        count += seen
        largest = np.maximum(largest, np.abs(change).max(0, initial=0.0))
    offset = total / np.maximum(count, 1)
    unit = np.ldexp(1.0, np.minimum(np.frexp(largest)[1], 1023))
    squares = np.zeros(level.shape)
    for _, chunk in row_chunks(values):
        change, seen = _less(chunk, level, offset)
        change /= unit
        squares += np.einsum("t...,t...->...", change, change)
    deviation = unit * np.sqrt(squares / np.maximum(count, 1))
    return level + offset, np.where(count > 0, deviation, np.nan)


def _less(
    chunk: Any, level: np.ndarray, offset: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | int]:
    """A chunk less a level, 0 where missing, and how many values of each column are observed."""
    change = np.asarray(chunk, dtype=np.float64) - level
    if offset is not None:
        change -= offset
    missing = np.isnan(change)
    if not missing.any():
        return change, len(change)
    change[missing] = 0.0
    return change, len(change) - missing.sum(0)
