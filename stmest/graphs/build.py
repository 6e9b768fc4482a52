"""Graphs made from what is known about the nodes: distances, coordinates, past values, or a grid.

Builds on :class:`~stmest.graphs.graph.Graph`; used by users who have no adjacency, by the data sets and the
CLI.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.spatial import cKDTree

from ..data.moments import deviations
from ..exceptions import GraphError, ParameterError
from .graph import Graph, check_square
from .names import positions_of, show_names

__all__ = ["graph_from_coordinates", "graph_from_correlation", "graph_from_distances", "grid_graph"]


def graph_from_distances(
    distances: Any,
    sigma: float | None = None,
    threshold: float = 0.1,
    nodes: Iterable[Hashable] | None = None,
) -> Graph:
    """Weigh each pair of nodes by a Gaussian kernel of its distance: ``exp(-(distance / sigma)^2)``.

    Parameters
    ----------
    distances : array-like or DataFrame of shape (n_nodes, n_nodes)
        ``distances[i, j]``: length of the way from i to j, in any unit, not necessarily symmetric; infinite
        where there is none. The diagonal is not looked at. A DataFrame names the nodes.
    sigma : float, optional
        Length scale in the unit of the distances. Default: the standard deviation of the finite distances
        between different nodes (their mean if they are all equal).
    threshold : float
        Weights below it, in [0, 1), become 0, which keeps the graph sparse.
    nodes : iterable of hashable, optional
        Node names; default: those of the DataFrame.

    Returns
    -------
    Graph
        Weights in [threshold, 1], no self-loops.

    Examples
    --------
    >>> from stmest.graphs import graph_from_distances
    >>> graph_from_distances([[0, 1, 9], [1, 0, 9], [9, 9, 0]], sigma=2).edges()[0].tolist()
    [[0, 1], [1, 0]]
    """
    if not 0 <= threshold < 1:
        raise ParameterError(f"threshold must be a number in [0, 1), got {threshold!r}.")
    if sigma is not None and not (np.isfinite(sigma) and sigma > 0):
        raise ParameterError(
            f"sigma must be a finite number > 0 in the unit of the distances, got {sigma!r}."
        )
    table, own_names = _distance_table(distances)
    np.fill_diagonal(table, np.inf)
    if np.isnan(table).any() or (table < 0).any():
        raise GraphError(
            f"distances of shape {table.shape} must be >= 0, and infinite where there is no way; found "
            f"{int(np.isnan(table).sum())} NaN and {int((table < 0).sum())} negative ones. Replace NaN by "
            "np.inf."
        )
    sigma = length_scale(table[np.isfinite(table)]) if sigma is None else sigma
    return Graph(gaussian_weights(table, sigma, threshold), own_names if nodes is None else nodes)


def length_scale(distances: np.ndarray) -> float:
    """The standard deviation of finite distances; their mean if they are all equal, 1 if that is 0 or there are none."""
    return float((distances.std() or distances.mean()) if distances.size else 1.0) or 1.0


def gaussian_weights(distances: np.ndarray, sigma: float, threshold: float = 0.1) -> np.ndarray:
    """``exp(-(distance / sigma)^2)``, and 0 where that is below the threshold."""
    weights = np.exp(-np.square(distances / sigma))
    weights[weights < threshold] = 0.0
    return weights


def graph_from_coordinates(
    coordinates: Any,
    k: int = 8,
    metric: str = "haversine",
    nodes: Iterable[Hashable] | None = None,
) -> Graph:
    """Join every node with its k nearest ones.

    The graph is undirected: i and j are joined if either is among the k nearest of the other. The weight is
    ``exp(-distance(i, j)^2 / (r_i r_j))`` where ``r_i`` is the distance from i to the farthest of its own k
    nearest, so that dense city centres and sparse outskirts both get weights of a useful size.

    Parameters
    ----------
    coordinates : array-like or DataFrame of shape (n_nodes, 2)
        Latitude and longitude in degrees for ``"haversine"``, planar x and y for ``"euclidean"``. The index
        of a DataFrame names the nodes unless it is 0 .. n-1.
    k : int
        Number of nearest nodes, at least 1; at most all others are used.
    metric : {"haversine", "euclidean"}
        Great-circle or straight-line distance.
    nodes : iterable of hashable, optional
        Node names.

    Returns
    -------
    Graph
        Weights in (0, 1], no self-loops, with ``coordinates`` set.
    """
    _check_k(k)
    if isinstance(coordinates, pd.DataFrame) and nodes is None and not _is_default(coordinates.index):
        nodes = list(coordinates.index)
    place = np.asarray(coordinates, dtype=np.float64)
    n = len(place) if place.ndim else 0
    empty = Graph(sparse.csr_array((n, n)), nodes, place)  # checks the shape, the values and the names
    if n < 2:
        return empty
    points = _on_sphere(place) if metric == "haversine" else place
    if metric not in ("haversine", "euclidean"):
        raise ParameterError(f"metric must be 'haversine' or 'euclidean', got {metric!r}.")
    k = min(k, n - 1)
    sources, targets, distance = _nearest(points, k)
    if metric == "haversine":  # chord through the sphere to arc along it
        distance = 2 * np.arcsin(np.clip(distance / 2, 0, 1))
    reach = distance.max(axis=1)
    product = reach[sources] * reach[targets]
    square = np.square(distance)
    ratio = np.divide(square, product, out=np.zeros_like(square), where=product > 0)
    # A lone far node must keep its edges: below this the float32 weight would vanish.
    weight = np.maximum(np.exp(-ratio), 1e-6)
    one_way = sparse.coo_array((weight.ravel(), (sources.ravel(), targets.ravel())), shape=(n, n)).tocsr()
    return Graph(one_way.maximum(one_way.T), nodes, place)


def graph_from_correlation(X: Any, k: int = 8, *, max_lag: int = 0, season: int = 0) -> Graph:
    """Join every node with the k nodes whose values are most correlated with its own.

    Give the training data only: a graph from all data would depend on the test period.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_times, n_nodes)
        Values; NaN is a missing observation, and each pair of nodes is compared over the time steps at which
        both were observed. The columns of a DataFrame name the nodes.
    k : int, default=8
        Number of partners per node, at least 1. Only positive correlations are used, so a node may get fewer.
    max_lag : int, default=0
        Compare also with the partner's values of up to so many time steps before, and take the strongest correlation: for
        what takes time to travel from node to node.
    season : int, default=0
        If positive, correlate the differences from the values `season` time steps before, which lack the cycle that all
        nodes share.

    Returns
    -------
    Graph
        The weight is the correlation, in (0, 1]. Without lags undirected (joined if either is among the k of the
        other); with lags an edge i -> j says that i goes ahead of, or along with, j.

    Raises
    ------
    GraphError
        If X has not two axes, too few time steps, or infinite values.
    ParameterError
        If `k`, `max_lag` or `season` is out of range.
    """
    _check_k(k)
    for name, value in (("max_lag", max_lag), ("season", season)):
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 0:
            raise ParameterError(f"{name} must be an int >= 0 (time steps), got {value!r}.")
    names = list(X.columns) if isinstance(X, pd.DataFrame) and not _is_default(X.columns) else None
    values = np.asarray(X, dtype=np.float64)
    if values.ndim != 2 or len(values) < 2 + max_lag + season:
        raise GraphError(
            "graph_from_correlation needs values of shape (n_times, n_nodes) with at least "
            f"{2 + max_lag + season} time steps (2 + max_lag + season), got shape {values.shape}. Of several features per "
            "node pass one: X[:, :, 0]."
        )
    if np.isinf(values).any():
        raise GraphError(
            f"X of shape {values.shape} holds infinite values; mark missing observations as NaN."
        )
    if season:
        values = values[season:] - values[:-season]
    strength = _correlation(values, values)
    for lag in range(1, max_lag + 1):
        strength = np.maximum(strength, _correlation(values[:-lag], values[lag:]))
    strength = np.clip(strength, 0.0, 1.0)
    np.fill_diagonal(strength, 0.0)
    k = min(k, max(1, values.shape[1] - 1))
    chosen = np.argsort(-strength, axis=0, kind="stable")[:k]  # the k strongest sources of every node
    kept = np.zeros_like(strength)
    np.put_along_axis(kept, chosen, np.take_along_axis(strength, chosen, axis=0), axis=0)
    return Graph(kept if max_lag else np.maximum(kept, kept.T), names)


def grid_graph(n_rows: int, n_columns: int, diagonal: bool = False) -> Graph:
    """Join the neighbouring cells of a grid; cell (r, c) is node ``r * n_columns + c``.

    Parameters
    ----------
    n_rows, n_columns : int
        Size of the grid, each at least 1.
    diagonal : bool
        Join the 4 diagonal neighbours too, with the same weight.

    Returns
    -------
    Graph
        Undirected with weights of 1; ``coordinates`` hold (row, column).
    """
    for name, value in (("n_rows", n_rows), ("n_columns", n_columns)):
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise ParameterError(f"{name} must be an int >= 1, got {value!r}.")
    cell = np.arange(n_rows * n_columns).reshape(n_rows, n_columns)
    pairs = [(cell[:, :-1], cell[:, 1:]), (cell[:-1], cell[1:])]
    if diagonal:
        pairs += [(cell[:-1, :-1], cell[1:, 1:]), (cell[:-1, 1:], cell[1:, :-1])]
    one = np.concatenate([a.ravel() for a, _ in pairs])
    other = np.concatenate([b.ravel() for _, b in pairs])
    sources, targets = np.concatenate([one, other]), np.concatenate([other, one])
    matrix = sparse.coo_array((np.ones(len(sources)), (sources, targets)), shape=(cell.size, cell.size))
    return Graph(matrix, coordinates=np.argwhere(cell >= 0))


def _check_k(k: int) -> None:
    if not isinstance(k, (int, np.integer)) or isinstance(k, bool) or k < 1:
        raise ParameterError(f"k must be an int >= 1 (number of neighbours), got {k!r}.")


def _is_default(labels: pd.Index) -> bool:
    return list(labels) == list(range(len(labels)))


def _distance_table(distances: Any) -> tuple[np.ndarray, list[Hashable] | None]:
    """Return a float64 copy of the distances, columns ordered as the rows, and the node names."""
    table = np.array(distances, dtype=np.float64)
    check_square(table.shape)
    if not isinstance(distances, pd.DataFrame) or _is_default(distances.columns):
        return table, None
    rows: list[Hashable] = list(distances.index)
    columns: list[Hashable] = list(distances.columns)
    if _is_default(distances.index):
        return table, columns
    order = positions_of(rows, columns)
    if order is None:
        raise GraphError(
            f"A distance DataFrame of shape {table.shape} must name the same nodes in its index and its "
            f"columns, got {show_names(rows)} and {show_names(columns)}. Set one from the other if their "
            "order agrees."
        )
    return table[:, order], rows


def _on_sphere(place: np.ndarray) -> np.ndarray:
    """Return unit vectors (n, 3); their straight-line order of neighbours is that of the great circles."""
    latitude, longitude = np.radians(place).T
    if (np.abs(place[:, 0]) > 90).any() or (np.abs(place[:, 1]) > 360).any():
        raise GraphError(
            f"coordinates of shape {place.shape} must be (latitude, longitude) in degrees, got latitudes "
            f"from {place[:, 0].min():g} to {place[:, 0].max():g} and longitudes from {place[:, 1].min():g} "
            f"to {place[:, 1].max():g}. Swap the columns if they are the other way round, or use "
            "metric='euclidean' for planar positions."
        )
    flat = np.cos(latitude)
    return np.stack([flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)], axis=1)


def _nearest(points: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sources, targets and distances, each (n, k), of the k nearest other points."""
    n = len(points)
    distance, neighbour = cKDTree(points).query(points, k=k + 1)
    rows = np.broadcast_to(np.arange(n)[:, None], neighbour.shape)
    # The point itself is usually first, but not among points at one place: push it (or the farthest) to the
    # end.
    is_self = neighbour == rows
    is_self[~is_self.any(axis=1), -1] = True
    others = np.argsort(is_self, axis=1, kind="stable")[:, :k]
    neighbour = np.take_along_axis(neighbour, others, axis=1)
    return rows[:, :k], neighbour, np.take_along_axis(distance, others, axis=1)


def _correlation(earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
    """Pearson correlations (n, n) of earlier[:, i] with later[:, j], over the time steps observed at both; 0 where undefined."""
    filled, mask = zip(*map(_centred, (earlier, later)), strict=True)
    both = mask[0].T @ mask[1]
    pairs = np.maximum(both, 1)
    sums = filled[0].T @ mask[1], mask[0].T @ filled[1]  # [i, j], over the time steps that i and j share
    squares = np.square(filled[0]).T @ mask[1], mask[0].T @ np.square(filled[1])
    covariance = filled[0].T @ filled[1] - sums[0] * sums[1] / pairs
    variance = [np.maximum(q - np.square(s) / pairs, 0.0) for q, s in zip(squares, sums, strict=True)]
    product = np.sqrt(variance[0] * variance[1])
    scale = [np.sqrt(np.square(f).sum(axis=0)) for f in filled]
    defined = (both >= 2) & (product > 1e-12 * np.outer(*scale)) & (product > 0)
    return np.divide(covariance, product, out=np.zeros_like(covariance), where=defined)


def _centred(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values less the node's mean, in parts of the largest, 0 where missing; and 1/0 for observed or not.

    Centring by the node's own mean first keeps the sums small and the differences of them exact enough.
    """
    seen = ~np.isnan(values)
    change = np.where(seen, deviations(values), 0.0)
    largest = np.abs(change).max(axis=0, initial=0.0)
    return change / np.where(largest > 0, largest, 1.0), seen.astype(np.float64)
