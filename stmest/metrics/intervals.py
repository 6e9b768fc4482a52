"""How good prediction intervals are: how much they hold, and how wide they are. Missing observations do not count.

Builds on numpy; used by users and the benchmarks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..exceptions import DataError

__all__ = ["interval_coverage", "interval_width"]


def interval_coverage(y_true: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> float:
    """Share of the observed values that lie within their intervals, ends included.

    Parameters
    ----------
    y_true : array-like of any shape
        Observed values, NaN where missing.
    lower, upper : array-like of the same shape
        Ends of the intervals.

    Returns
    -------
    float
        Between 0 and 1; NaN where nothing was observed.

    Raises
    ------
    DataError
        If the shapes differ.

    Examples
    --------
    >>> interval_coverage([1.0, 2.0, np.nan, 9.0], [0, 2, 0, 0], [2, 3, 1, 8]).__round__(3)
    0.667
    """
    truth, low, high = _same_shape(y_true=y_true, lower=lower, upper=upper)
    seen = np.isfinite(truth)
    return float(((truth >= low) & (truth <= high))[seen].mean()) if seen.any() else float("nan")


def interval_width(lower: ArrayLike, upper: ArrayLike) -> float:
    """Mean width of intervals, in the unit of the data.

    Parameters
    ----------
    lower, upper : array-like of the same shape
        Ends of the intervals.

    Returns
    -------
    float
        At equal coverage, narrower is better.

    Raises
    ------
    DataError
        If the shapes differ.

    Examples
    --------
    >>> interval_width([0.0, 1.0], [1.0, 4.0])
    2.0
    """
    low, high = _same_shape(lower=lower, upper=upper)
    return float((high - low).mean())


def _same_shape(**arrays: ArrayLike) -> list[np.ndarray]:
    out = {name: np.asarray(values, dtype=np.float64) for name, values in arrays.items()}
    if len({values.shape for values in out.values()}) > 1:
        shapes = ", ".join(f"{name} {values.shape}" for name, values in out.items())
        raise DataError(f"the shapes differ: {shapes}; needed: one end of each interval for each value.")
    return list(out.values())
