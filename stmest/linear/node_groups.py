"""Groups of nodes that behave alike: where the routing of a mixture of experts starts from.

Builds on `data`.
"""

from __future__ import annotations

import numpy as np
from sklearn.cluster import AgglomerativeClustering

__all__ = ["node_groups"]


def node_groups(
    values: np.ndarray, n_groups: int, max_lag: int, season: np.ndarray | None = None
) -> np.ndarray:
    """Group the nodes by their season, and by how each time step goes with those before it.

    A node is described by its seasonal mean, by the correlations of its values with its own `max_lag` earlier ones, and by those
    with the squares of these, where dynamics leave a trace that have no correlations. Each of the three counts as much, whatever
    its length. Ward's method joins the nodes.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_nodes)
        Training data less the seasonal mean, NaN where missing; more than `max_lag` time steps.
    n_groups : int
        Number of groups, at least 1; no more than there are nodes.
    max_lag : int
        Time steps to look back, at least 1.
    season : ndarray of shape (n_steps, n_nodes), optional
        Seasonal mean of each node.

    Returns
    -------
    ndarray of shape (n_nodes,), int
        Group of each node, from 0.
    """
    n_nodes = values.shape[1]
    if min(n_groups, n_nodes) == 1:
        return np.zeros(n_nodes, dtype=int)
    described = np.concatenate(_described(values, max_lag, season), axis=0).T
    found: np.ndarray = AgglomerativeClustering(min(n_groups, n_nodes)).fit_predict(described)
    return found


def _described(values: np.ndarray, max_lag: int, season: np.ndarray | None) -> list[np.ndarray]:
    """Blocks of shape (any, n_nodes), of root mean squares up to one."""
    z, spread = _standardised(values)
    squares, _ = _standardised(np.square(z))
    lags = range(1, max_lag + 1)
    blocks = [
        np.stack([(z[lag:] * earlier[:-lag]).mean(0) for lag in lags]) / max_lag**0.5
        for earlier in (z, squares)
    ]
    if season is not None:
        cycle = season - season.mean(0)
        total = np.sqrt(np.square(cycle).mean(0) + np.square(spread))
        blocks.append(cycle / np.where(total > 0, total, 1.0) / len(cycle) ** 0.5)
    return blocks


def _standardised(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values of mean zero and spread one, zero where missing, and their spread."""
    seen = np.isfinite(values)
    count = np.maximum(seen.sum(0), 1)
    deviation = np.where(seen, values - np.where(seen, values, 0.0).sum(0) / count, 0.0)
    spread = np.sqrt(np.square(deviation).sum(0) / count)
    return deviation / np.where(spread > 0, spread, 1.0), spread
