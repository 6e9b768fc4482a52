"""Errors of forecast fields as images: structural similarity and peak signal-to-noise ratio.

Both need the range of the data, which has to be stated with every number: the same forecasts seem better with a larger
one. Take the largest less the smallest value of the training data. Builds on `metrics` and scipy; used by benchmarks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter

from ..exceptions import DataError, ParameterError
from ..metrics.point import paired, rmse

__all__ = ["psnr", "ssim"]

_SIGMA, _RADIUS = 1.5, 5  # of the Gaussian window, which is 11 x 11
_STABLE_MEAN, _STABLE_SPREAD = 0.01, 0.03  # K1 and K2 of the paper


def psnr(y_true: ArrayLike, y_pred: ArrayLike, data_range: float) -> float:
    """Peak signal-to-noise ratio, ``10 log10(data_range^2 / mse)``, from one mean over everything observed.

    Parameters
    ----------
    y_true, y_pred : array-like of equal shape
        Observed values, NaN where missing, and their forecasts.
    data_range : float
        Largest less smallest value that the data can take; see above.

    Returns
    -------
    float
        In decibels; infinite for a perfect forecast, NaN where nothing was observed.

    Raises
    ------
    DataError
        If the shapes differ.
    ParameterError
        If the range is not above 0.

    Examples
    --------
    >>> psnr([0.0, 1.0], [0.1, 0.9], data_range=1.0)
    20.0
    """
    peak = _checked_range(data_range)
    error = rmse(y_true, y_pred)
    return float(20 * np.log10(peak / error)) if error != 0 else float("inf")


def ssim(y_true: ArrayLike, y_pred: ArrayLike, data_range: float) -> float:
    """Structural similarity, mean over the fields of all windows, steps and features.

    After Wang, Bovik, Sheikh and Simoncelli, IEEE Transactions on Image Processing 13 (2004) 600, equation 13, with its
    constants and its window: a Gaussian of 1.5 cells over 11 x 11 cells. Windows that reach beyond the edge of the
    field, or over a missing observation, do not count.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_windows, steps, n_y, n_x) or (n_windows, steps, n_y, n_x, n_features)
        Observed fields, NaN where missing, and their forecasts.
    data_range : float
        Largest less smallest value that the data can take; see above.

    Returns
    -------
    float
        1 for equal fields, less for others; NaN where no whole window was observed, or a forecast is NaN.

    Raises
    ------
    DataError
        If the shapes differ, are no fields, or the fields are smaller than the window.
    ParameterError
        If the range is not above 0.
    """
    peak = _checked_range(data_range)
    truth, forecast = paired(y_true, y_pred)
    if truth.ndim not in (4, 5) or min(truth.shape[2:4]) < 2 * _RADIUS + 1:
        raise DataError(
            f"y_true has shape {truth.shape}; needed: (n_windows, steps, n_y, n_x[, n_features]) with fields of at least "
            f"{2 * _RADIUS + 1} x {2 * _RADIUS + 1} cells."
        )
    if np.isnan(forecast[~np.isnan(truth)]).any():
        return float("nan")
    forecast = np.where(np.isnan(truth), np.nan, forecast)
    total, count = 0.0, 0
    for window in range(len(truth)):  # one at a time: several arrays as large are made
        similar = _similarity(truth[window], forecast[window], peak)
        observed = ~np.isnan(similar)
        total, count = total + similar[observed].sum(), count + int(observed.sum())
    return float(total / count) if count else float("nan")


def _similarity(x: np.ndarray, y: np.ndarray, peak: float) -> np.ndarray:
    """Similarity around each cell whose window lies within the field; (steps, n_y, n_x[, f]) in, smaller out."""

    def mean(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, _SIGMA, radius=_RADIUS, axes=(1, 2))[
            :, _RADIUS:-_RADIUS, _RADIUS:-_RADIUS
        ]

    c1, c2 = (_STABLE_MEAN * peak) ** 2, (_STABLE_SPREAD * peak) ** 2
    offset = 0.0 if np.isnan(x).all() else float(np.nanmean(x))  # large means cost digits in the variances
    mean_x, mean_y = mean(x - offset), mean(y - offset)
    var_x, var_y = mean((x - offset) ** 2) - mean_x**2, mean((y - offset) ** 2) - mean_y**2
    cov = mean((x - offset) * (y - offset)) - mean_x * mean_y
    mean_x, mean_y = mean_x + offset, mean_y + offset
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance * (2 * cov + c2) / (var_x + var_y + c2)


def _checked_range(data_range: float) -> float:
    if not isinstance(data_range, (int, float, np.number)) or not 0 < data_range < np.inf:
        raise ParameterError(f"data_range={data_range!r}; needed: a number above 0, the range of the data.")
    return float(data_range)
