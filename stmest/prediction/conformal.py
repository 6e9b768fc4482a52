"""Split-conformal prediction intervals: how far forecasts are off on rows that were not learnt from.

A `Calibration` keeps those rows; a forecaster forecasts them when an interval is first asked for, and `half_widths`
turns its errors into widths per node and horizon step. Builds on numpy alone; used by `forecasters.conformal`.

Errors of sensor networks grow and shrink with the weather or the traffic of the day, and a validation part is short. So
every error counts in units of how lively its look-back was (`activity`, one number per window), and the widths of a
forecast are in units of its own look-back.

References
----------
Lei, G'Sell, Rinaldo, Tibshirani, Wasserman, "Distribution-Free Predictive Inference for Regression", JASA 2018:
split conformal intervals, and errors weighed by a measure of difficulty.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import DataError

__all__ = ["Calibration", "activity", "half_widths", "typical_steps"]

# Forecasts that are judged at most, spread evenly over the rows: neighbouring ones tell nearly the same
MOST_ORIGINS = 256
# Numbers that are kept at most, of the last rows: 16 MB
MOST_NUMBERS = 1 << 22
_ACTIVITY_RANGE = 0.2, 5.0  # a stuck sensor must not shrink, a jump not blow up, the intervals without bounds


@dataclass(frozen=True, eq=False)
class Calibration:
    """Rows on which a forecaster is judged.

    Attributes
    ----------
    values : ndarray of shape (n_rows, n_nodes, n_features), float32
        Look-back of the first forecast, and then the rows to forecast; NaN where missing.
    index : pandas.Index or None
        Time of each row.
    first : int
        Number of the first row, counted from the first row that the forecaster was given.
    bounds : ndarray of int or None
        First row of every trajectory and the number of rows, where there are several: no forecast crosses from one to the
        next.
    learnt_from : bool
        Whether the forecaster has learnt from these rows too, so that its errors are too small.
    twin : dict
        Fitted attributes that the forecaster has for being judged: those it learnt without these rows, where that makes a
        difference.
    """

    values: np.ndarray
    index: pd.Index | None
    first: int = 0
    bounds: np.ndarray | None = None
    learnt_from: bool = False
    twin: dict[str, Any] = field(default_factory=dict)

    def origins(self, input_length: int, steps: int, most: int = MOST_ORIGINS) -> np.ndarray:
        """First rows of the windows to judge.

        Parameters
        ----------
        input_length, steps : int
            Rows of look-back and rows to forecast.
        most : int
            Windows at most.

        Returns
        -------
        ndarray of int
            Evenly spread; empty where not one window fits.
        """
        length = input_length + steps
        starts = np.arange(max(0, len(self.values) - length + 1))
        if self.bounds is not None:
            apart = (
                np.searchsorted(self.bounds, starts, "right"),
                np.searchsorted(self.bounds, starts + length - 1, "right"),
            )
            starts = starts[apart[0] == apart[1]]
        return starts[
            np.unique(np.linspace(0, len(starts) - 1, min(len(starts), most)).round().astype(np.int64))
        ]

    def moved_on(self, values: np.ndarray, index: pd.Index | None) -> Calibration:
        """The same number of rows, of which the last are new.

        Parameters
        ----------
        values : ndarray of shape (n_new, n_nodes, n_features)
            Rows that came after these.
        index : pandas.Index or None
            Their times.

        Returns
        -------
        Calibration
            Without the oldest rows.
        """
        rows = np.concatenate([self.values, values.astype(np.float32)])[-len(self.values) :]
        times = None if self.index is None or index is None else self.index.append(index)[-len(self.values) :]
        bounds = None if self.bounds is None else np.append(self.bounds[:-1] - len(values), len(rows))
        return replace(self, values=rows, index=times, first=self.first + len(values), bounds=bounds)


def typical_steps(values: np.ndarray) -> np.ndarray:
    """Mean absolute change from row to row.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_nodes, n_features)
        Readings, NaN where missing.

    Returns
    -------
    ndarray of shape (n_nodes, n_features)
        0 for a constant series and where nothing was observed in two neighbouring rows.
    """
    change = np.abs(np.diff(values.astype(np.float64), axis=0))
    seen = np.isfinite(change)
    return np.where(seen, change, 0.0).sum(0) / np.maximum(seen.sum(0), 1)


def activity(values: np.ndarray, typical: np.ndarray, starts: np.ndarray, input_length: int) -> np.ndarray:
    """How lively the look-back of each window was, over all nodes.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_nodes, n_features)
        Readings, NaN where missing.
    typical : ndarray of shape (n_nodes, n_features)
        What counts as 1, from `typical_steps`.
    starts : ndarray of int, shape (n_windows,)
        First row of each window.
    input_length : int
        Rows of look-back.

    Returns
    -------
    ndarray of shape (n_windows,)
        Mean absolute change in units of `typical`, from 0.2 to 5; 1 where there is nothing to tell it from.
    """
    usable = typical > 0
    change = np.abs(np.diff(values.astype(np.float64), axis=0))[:, usable] / typical[usable]
    seen = np.isfinite(change)
    total = np.cumsum(np.concatenate([[0.0], np.where(seen, change, 0.0).sum(1)]))
    count = np.cumsum(np.concatenate([[0], seen.sum(1)]))
    last = starts + input_length - 1
    n_seen = count[last] - count[starts]
    mean = np.where(n_seen > 0, (total[last] - total[starts]) / np.maximum(n_seen, 1), 1.0)
    return np.clip(mean, *_ACTIVITY_RANGE)


def half_widths(errors: np.ndarray, coverage: float) -> np.ndarray:
    """Conformal quantile of absolute errors, for every node and horizon step on its own.

    Parameters
    ----------
    errors : ndarray of shape (n_windows, horizon, n_nodes, n_targets)
        Absolute errors in increasing order along the first axis, NaN (where missing) last.
    coverage : float
        Share of future values that intervals of this half width are to hold, between 0 and 1.

    Returns
    -------
    ndarray of shape (horizon, n_nodes, n_targets)
        The ceil((m + 1) coverage)-th smallest of the m errors of that node and step. The largest one, with a warning, where
        m is too small for that. A node without any error takes the average of the others.

    Raises
    ------
    DataError
        If there is not one error.

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
            f"{counts.max()}; the largest errors are taken. Give fit more rows, or a larger validation_fraction.",
            UserWarning,
            stacklevel=4,
        )
    ranks = np.clip(np.ceil((counts + 1) * coverage - 1e-9).astype(int), 1, np.maximum(counts, 1))
    widths = np.take_along_axis(errors, ranks[None] - 1, axis=0)[0]
    known = counts > 0
    average = np.where(known, widths, 0.0).sum(1, keepdims=True) / np.maximum(known.sum(1, keepdims=True), 1)
    return np.where(known, widths, average)
