"""What stands for a node that reports nothing: a share of what the others do, as far as it went with them in training.

Forecasts from all nodes would else take a failed sensor to be at its mean, and go wrong at its neighbours too. Builds on
`data`; used by `window_ridge`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data.chunks import row_chunks

__all__ = ["fill_silent", "shares_of_others"]


def shares_of_others(values: Any, target: Sequence[int], center: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Slope of each node's deviation on the mean deviation of all others at the same time, in units of the scale.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_nodes, n_features)
        Training data, NaN where missing; read in chunks.
    target : sequence of int
        The features.
    center, scale : ndarray of shape (n_nodes, n_targets)
        Mean and scale of each node.

    Returns
    -------
    ndarray of shape (n_nodes, n_targets), float64
        1 for a node that goes with the others, 0 for one that does not, or that was never observed with another.
    """
    products, squares = np.zeros_like(center, dtype=np.float64), np.zeros_like(center, dtype=np.float64)
    for _, chunk in row_chunks(values):
        deviations = (np.asarray(chunk[..., list(target)], dtype=np.float64) - center) / scale
        seen = np.isfinite(deviations)
        own = np.where(seen, deviations, 0.0)
        n_others = seen.sum(axis=1, keepdims=True) - seen
        others = (own.sum(axis=1, keepdims=True) - own) / np.maximum(n_others, 1)
        others[~(seen & (n_others > 0))] = 0.0
        products += (own * others).sum(axis=0)
        squares += np.square(others).sum(axis=0)
    return np.divide(products, squares, out=np.zeros_like(products), where=squares > 0)


def fill_silent(x: np.ndarray, center: np.ndarray, scale: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Windows in which nodes without any observation have their share of the mean deviation of those that report.

    Parameters
    ----------
    x : ndarray of shape (b, t, n, f)
        Look-backs, NaN where missing.
    center, scale : ndarray of shape (n, f)
        Mean and scale of each node.
    shares : ndarray of shape (n, f)
        From `shares_of_others`.

    Returns
    -------
    ndarray of shape (b, t, n, f)
        The same array where every node has an observation. Steps at which no node reports stay missing.
    """
    silent = np.isnan(x).all(axis=1, keepdims=True)
    if not silent.any():
        return x
    deviations = (x - center) / scale
    seen = ~np.isnan(deviations)
    count = seen.sum(axis=2, keepdims=True)
    others = np.where(seen, deviations, 0.0).sum(axis=2, keepdims=True) / np.maximum(count, 1)
    return np.where(silent & (count > 0), center + scale * shares * others, x)
