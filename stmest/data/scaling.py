"""Scalers per node and feature that skip missing values.

Fitted on training data only, applied to each batch as it is read, so that no scaled copy of the data exists.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..exceptions import ParameterError
from .chunks import row_chunks
from .savable import savable

__all__ = ["SCALERS", "NodeScaler"]

SCALERS = ("standard", "minmax", "robust")


@savable
class NodeScaler:
    """Shift and scale of each node and feature: ``scaled = (values - center) / scale``.

    Parameters
    ----------
    method : {"standard", "minmax", "robust"} or None
        Mean and standard deviation; minimum and range; median and interquartile range; or nothing.

    Attributes
    ----------
    center, scale : ndarray of shape (n_nodes, n_features)
        Learnt from the values given to `fit`, in float64. A constant node has scale 1. A node without a single
        observation takes the average of the others.
    """

    method: str | None
    center: np.ndarray
    scale: np.ndarray

    def __init__(self, method: str | None = "standard"):
        if method is not None and method not in SCALERS:
            raise ParameterError(f"scaler={method!r} is unknown; use one of {list(SCALERS)} or None.")
        self.method = method

    def fit(self, values: np.ndarray) -> NodeScaler:
        """Learn center and scale.

        Parameters
        ----------
        values : ndarray of shape (n_times, n_nodes, n_features)
            Training data; NaN is skipped. Memory maps are read in chunks.

        Returns
        -------
        NodeScaler
            This scaler.
        """
        shape = values.shape[1:]
        if self.method is None:
            self.center, self.scale = np.zeros(shape), np.ones(shape)
            return self
        center, scale = {"standard": _moments, "minmax": _range, "robust": _quartiles}[self.method](values)
        self.center = _fill_unobserved(center, 0.0)
        constant = scale <= 1e-8 * np.maximum(
            1.0, np.abs(center)
        )  # round-off of a constant series is no spread
        self.scale = _fill_unobserved(np.where(constant, 1.0, scale), 1.0)
        return self

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Scale values of shape (..., n_nodes, n_features); float32 out, NaN stays NaN."""
        return ((values - self.center) / self.scale).astype(np.float32)

    def inverse(self, values: np.ndarray, target: list[int]) -> np.ndarray:
        """Undo the scaling of target features.

        Parameters
        ----------
        values : ndarray of shape (..., n_nodes, n_targets)
            Scaled values of the target features.
        target : list of int
            Positions of the target features among all features.

        Returns
        -------
        ndarray of the same shape, float64
            Values in the units of the data.
        """
        return values * self.scale[:, target] + self.center[:, target]


def _chunks(values: np.ndarray) -> Iterator[np.ndarray]:
    for _, chunk in row_chunks(values):
        yield np.asarray(chunk, dtype=np.float64)


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over time; two passes, because one loses digits where the mean is large."""
    count = sum(np.isfinite(chunk).sum(0) for chunk in _chunks(values))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sum(np.nansum(chunk, 0) for chunk in _chunks(values)) / count
        variance = sum(np.nansum((chunk - mean) ** 2, 0) for chunk in _chunks(values)) / count
    mean, variance = np.where(count, mean, np.nan), np.where(count, variance, np.nan)
    return mean, np.sqrt(variance)


def _range(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.full(values.shape[1:], np.inf), np.full(values.shape[1:], -np.inf)
    for chunk in _chunks(values):
        low, high = np.fmin(low, np.fmin.reduce(chunk)), np.fmax(high, np.fmax.reduce(chunk))
    seen = np.isfinite(low)
    return np.where(seen, low, np.nan), np.where(seen, high - low, np.nan)


def _quartiles(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    center, spread = np.full((2, *values.shape[1:]), np.nan)
    for node in range(values.shape[1]):  # one node at a time: its column is all that is copied
        for feature in range(values.shape[2]):
            column = np.asarray(values[:, node, feature], dtype=np.float64)
            column = column[np.isfinite(column)]
            if len(column):
                low, center[node, feature], high = np.percentile(column, [25, 50, 75])
                spread[node, feature] = high - low
    return center, spread


def _fill_unobserved(statistic: np.ndarray, default: float) -> np.ndarray:
    """Give a node that was never observed the average of the others, so that its forecasts stay in range."""
    seen = np.isfinite(statistic)
    average = np.where(
        seen.any(0), np.where(seen, statistic, 0.0).sum(0) / np.maximum(seen.sum(0), 1), default
    )
    return np.where(seen, statistic, average)
