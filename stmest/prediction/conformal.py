"""Split-conformal prediction intervals: from errors on time steps that were not learnt from to widths.

Errors depend on the weather or the traffic of the day, and a validation part is short. So every error is divided by the scale
of its look-back (`relative_scale`, one number per window), and the widths of a forecast are multiplied by the scale of its own
look-back. Builds on numpy.

References
----------
Lei, G'Sell, Rinaldo, Tibshirani, Wasserman, "Distribution-Free Predictive Inference for Regression", JASA 2018:
split conformal intervals, and errors divided by a measure of difficulty.
"""

from __future__ import annotations

import warnings
from math import ceil

import numpy as np

from ..exceptions import DataError

__all__ = ["half_widths", "relative_scale", "typical_steps"]

_SCALE_RANGE = 0.2, 5.0  # constant values or a jump in the look-back must not change the widths without bound


def typical_steps(values: np.ndarray) -> np.ndarray:
    """Mean absolute change between time steps.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_nodes, n_features)
        Values, NaN where missing.

    Returns
    -------
    ndarray of shape (n_nodes, n_features)
        0 for a constant series, and where no two neighbouring time steps were observed.
    """
    change = np.abs(np.diff(values.astype(np.float64), axis=0))
    seen = np.isfinite(change)
    return np.where(seen, change, 0.0).sum(0) / np.maximum(seen.sum(0), 1)


def relative_scale(
    values: np.ndarray, typical: np.ndarray, starts: np.ndarray, input_length: int
) -> np.ndarray:
    """Scale of the look-back of each window, relative to the usual scale, over all nodes.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_nodes, n_features)
        Values, NaN where missing.
    typical : ndarray of shape (n_nodes, n_features)
        The usual scale, from `typical_steps`.
    starts : ndarray of int, shape (n_windows,)
        First time step of each window.
    input_length : int
        Time steps of look-back.

    Returns
    -------
    ndarray of shape (n_windows,)
        Mean absolute change in units of `typical`, from 0.2 to 5; 1 where nothing was observed.
    """
    usable = typical > 0
    change = np.abs(np.diff(values.astype(np.float64), axis=0))[:, usable] / typical[usable]
    seen = np.isfinite(change)
    total = np.cumsum(np.concatenate([[0.0], np.where(seen, change, 0.0).sum(1)]))
    count = np.cumsum(np.concatenate([[0], seen.sum(1)]))
    last = starts + input_length - 1
    n_seen = count[last] - count[starts]
    mean = np.where(n_seen > 0, (total[last] - total[starts]) / np.maximum(n_seen, 1), 1.0)
    return np.clip(mean, *_SCALE_RANGE)


def half_widths(errors: np.ndarray, coverage: float) -> np.ndarray:
    """Conformal quantile of absolute errors, for every node and horizon step on its own.

    Parameters
    ----------
    errors : ndarray of shape (n_windows, horizon, n_nodes, n_targets)
        Absolute errors in increasing order along the first axis, NaN (where missing) last.
    coverage : float
        Share of future values that intervals of this half width must contain, between 0 and 1.

    Returns
    -------
    ndarray of shape (horizon, n_nodes, n_targets)
        The ceil((m + 1) coverage)-th smallest of the m errors of that node and step. Where m is too small for that, the
        largest one, with a warning. A node without any error gets the average of the others.

    Raises
    ------
    DataError
        If there is no error.

    Examples
    --------
    >>> half_widths(np.arange(1.0, 10).reshape(9, 1, 1, 1), 0.8).item()
    8.0
    """
    counts = np.isfinite(errors).sum(0)
    if not counts.any():
        raise DataError(
            "no target was observed in the rows that intervals are calibrated on; give fit more rows, or a larger "
            "validation_fraction."
        )
    needed = ceil(coverage / (1 - coverage) - 1e-9)
    if counts.max() < needed:
        warnings.warn(
            f"intervals of coverage {coverage:g} need {needed} forecasts to be calibrated on, but the validation part has "
            f"{counts.max()}; the largest errors are used. Give fit more rows, or a larger validation_fraction.",
            UserWarning,
            stacklevel=4,
        )
    ranks = np.clip(np.ceil((counts + 1) * coverage - 1e-9).astype(int), 1, np.maximum(counts, 1))
    widths = np.take_along_axis(errors, ranks[None] - 1, axis=0)[0]
    known = counts > 0
    average = np.where(known, widths, 0.0).sum(1, keepdims=True) / np.maximum(known.sum(1, keepdims=True), 1)
    return np.where(known, widths, average)
