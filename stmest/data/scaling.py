"""Scalers per node and feature that skip missing values.

Fitted on training data only, applied to each batch as it is read, so that no scaled copy of the data exists.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..exceptions import ParameterError
from .chunks import row_chunks
from .moments import mean_of_observed, moments, standard_deviation
from .savable import savable

__all__ = ["SCALERS", "NodeScaler", "as_single", "filled_from_others"]

SCALERS = ("standard", "minmax", "robust")

# A spread below these is round-off: in parts of the level; in parts of the spread that a seasonal mean took away; and the least
# whose inverse is a number
_DIGITS, _OF_SEASON, _LEAST = 4 * np.finfo(np.float64).eps, 1e-8, 1e-305
# Values that are farther from the centre, in units of the scale, count as being there: the squares of larger ones are no numbers
# of float32. A node whose training data are near 0 may later have values of the size of the other nodes.
_FARTHEST = 1e15


@savable
class NodeScaler:
    """Shift and scale of each node and feature: ``scaled = (values - center) / scale``.

    Parameters
    ----------
    method : {"standard", "minmax", "robust"} or None
        Mean and standard deviation; minimum and range; median and interquartile range (the standard deviation where that is 0);
        or nothing.

    Attributes
    ----------
    center, scale : ndarray of shape (n_nodes, n_features)
        Learnt from the values given to `fit`, in float64. A node without a single observation takes the average of the others:
        the mean of their centers and the geometric mean of their scales. A constant node takes that scale too; it is 1 where
        all nodes are constant.
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
        center, scale = {"standard": moments, "minmax": _range, "robust": _quartiles}[self.method](values)
        self.center = filled_from_others(center, 0.0)
        season = getattr(values, "season_spread", 0.0)  # where a seasonal mean was taken from the values
        scale = np.where(scale <= _OF_SEASON * season, season, scale)
        varies = scale > np.maximum(_DIGITS * np.abs(center), _LEAST)
        scale = np.where(varies, scale, np.nan)
        self.scale = np.where(varies, scale, np.exp(filled_from_others(np.log(scale), 0.0)))
        return self

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Scale values of shape (..., n_nodes, n_features); float32 out, NaN stays NaN."""
        scaled = values - self.center
        scaled /= self.scale
        return as_single(scaled)

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


def as_single(scaled: np.ndarray) -> np.ndarray:
    """Scaled values as float32.

    Parameters
    ----------
    scaled : ndarray
        Of float64, which may be changed; NaN where missing.

    Returns
    -------
    ndarray of float32
        From -1e15 to 1e15, so that networks can square them.
    """
    return np.clip(scaled, -_FARTHEST, _FARTHEST, out=scaled).astype(np.float32)


def _chunks(values: np.ndarray) -> Iterator[np.ndarray]:
    for _, chunk in row_chunks(values):
        yield np.asarray(chunk, dtype=np.float64)


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
                spread[node, feature] = high - low or standard_deviation(column)
    return center, spread


def filled_from_others(statistic: np.ndarray, default: float) -> np.ndarray:
    """Give a node that was never observed the average of the others, so that its forecasts stay in range.

    Parameters
    ----------
    statistic : ndarray of shape (..., n_nodes, n_features)
        NaN for nodes that were never observed.
    default : float
        For all nodes where none was observed.

    Returns
    -------
    ndarray of the same shape
        Without NaN.
    """
    seen = np.isfinite(statistic)
    if seen.all():
        return statistic
    average = mean_of_observed(statistic, axis=-2)[..., None, :]
    return np.where(seen, statistic, np.where(np.isnan(average), default, average))
