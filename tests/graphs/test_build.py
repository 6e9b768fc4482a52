"""Builders: distances, coordinates, correlation, grids."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stmest.exceptions import GraphError, ParameterError
from stmest.graphs import (
    graph_from_coordinates,
    graph_from_correlation,
    graph_from_distances,
    grid_graph,
)


def test_distances_follow_the_kernel_and_the_threshold():
    distances = np.array([[0, 1, 2.0], [1, 0, np.inf], [3, 1, 0]])
    dense = graph_from_distances(distances, sigma=1.5).to_dense()
    expected = np.exp(-((distances / 1.5) ** 2))
    np.fill_diagonal(expected, 0)
    expected[expected < 0.1] = 0
    np.testing.assert_allclose(dense, expected, rtol=1e-6)
    assert dense[0, 2] > 0  # one way may be shorter than the other
    assert dense[2, 0] == 0


def test_distances_default_scale_is_the_spread_off_the_diagonal():
    distances = np.array([[0, 1, 2.0], [1, 0, 3], [2, 3, 0]])
    sigma = np.std([1, 2, 1, 3, 2, 3])
    np.testing.assert_allclose(
        graph_from_distances(distances, threshold=0).to_dense()[0, 1], np.exp(-1 / sigma**2), rtol=1e-6
    )
    assert graph_from_distances(np.full((3, 3), 7.0)).to_dense()[0, 1] == pytest.approx(np.exp(-1))
    assert graph_from_distances(np.zeros((3, 3))).n_edges == 6
    assert graph_from_distances(np.full((2, 2), np.inf)).n_edges == 0


def test_distances_keep_names():
    frame = pd.DataFrame([[0, 1.0], [1, 0]], ["b", "a"], ["a", "b"])
    graph = graph_from_distances(frame, sigma=1)
    assert graph.nodes == ["b", "a"]
    assert graph.to_dense()[0, 0] == 0
    assert graph_from_distances([[0, 1], [1, 0]], nodes=["x", "y"]).nodes == ["x", "y"]
    with pytest.raises(GraphError, match="same nodes"):
        graph_from_distances(pd.DataFrame([[0, 1.0], [1, 0]], ["b", "a"], ["a", "c"]))


@pytest.mark.parametrize(
    ("distances", "kwargs", "kind"),
    [
        ([[0, -1], [1, 0]], {}, GraphError),
        ([[0, np.nan], [1, 0]], {}, GraphError),
        (np.zeros((2, 3)), {}, GraphError),
        ([[0, 1], [1, 0]], {"sigma": 0}, ParameterError),
        ([[0, 1], [1, 0]], {"threshold": 1.0}, ParameterError),
    ],
)
def test_distance_errors(distances, kwargs, kind):
    with pytest.raises(kind):
        graph_from_distances(distances, **kwargs)


def brute_force(place, k, distance):
    n = len(place)
    table = np.array([[distance(a, b) for b in place] for a in place])
    np.fill_diagonal(table, np.inf)
    near = np.argsort(table, 1)[:, :k]
    reach = np.take_along_axis(table, near, 1).max(1)
    out = np.zeros((n, n))
    for i in range(n):
        for j in near[i]:
            out[i, j] = out[j, i] = np.exp(-(table[i, j] ** 2) / (reach[i] * reach[j]))
    return out


def great_circle(a, b):
    (p, m), (q, n) = np.radians(a), np.radians(b)
    h = np.sin((q - p) / 2) ** 2 + np.cos(p) * np.cos(q) * np.sin((n - m) / 2) ** 2
    return 2 * np.arcsin(np.sqrt(h))


def test_coordinates_against_brute_force():
    rng = np.random.default_rng(0)
    planar = rng.random((12, 2))
    graph = graph_from_coordinates(planar, k=3, metric="euclidean")
    np.testing.assert_allclose(
        graph.to_dense(), brute_force(planar, 3, lambda a, b: np.linalg.norm(a - b)), atol=2e-6
    )
    globe = np.column_stack([rng.uniform(-85, 85, 12), rng.uniform(-180, 180, 12)])
    graph = graph_from_coordinates(globe, k=3)
    np.testing.assert_allclose(graph.to_dense(), brute_force(globe, 3, great_circle), atol=2e-6)
    np.testing.assert_array_equal(graph.coordinates, globe)


def test_coordinates_meet_across_the_date_line():
    graph = graph_from_coordinates([[0, 179.9], [0, -179.9], [0, 170]], k=1)
    assert graph.to_dense()[0, 1] > 0


def test_coordinates_edge_cases():
    assert graph_from_coordinates([[1, 2]], k=3).n_edges == 0
    same = graph_from_coordinates(
        np.zeros((4, 2)), k=2
    )  # all at one place: still joined, never to themselves
    assert (same.to_dense().sum(1) >= 2).all()
    assert not same.to_dense().diagonal().any()
    lone = graph_from_coordinates([[0, 0], [0, 1], [1, 0], [1000, 1000]], k=1, metric="euclidean")
    assert lone.to_dense()[3].any()
    frame = pd.DataFrame([[0, 0], [1, 1.0]], index=["a", "b"])
    assert graph_from_coordinates(frame, k=1).nodes == ["a", "b"]


def test_coordinate_errors():
    with pytest.raises(GraphError, match="Swap the columns"):
        graph_from_coordinates([[120, 30], [121, 31]])
    with pytest.raises(GraphError, match=r"\(2, 2\)"):
        graph_from_coordinates(np.zeros((2, 3)))
    with pytest.raises(GraphError):
        graph_from_coordinates(np.zeros(3))
    with pytest.raises(ParameterError, match="metric"):
        graph_from_coordinates(np.zeros((3, 2)), metric="manhattan")
    with pytest.raises(ParameterError, match="k must"):
        graph_from_coordinates(np.zeros((3, 2)), k=0)


def test_correlation_agrees_with_pandas_on_gaps():
    rng = np.random.default_rng(1)
    X = pd.DataFrame(rng.normal(size=(60, 5)) + rng.normal(size=(60, 1)) + 1000, columns=list("abcde"))
    X = X.mask(rng.random(X.shape) < 0.2)
    graph = graph_from_correlation(X, k=4)
    expected = X.corr().clip(lower=0).to_numpy().copy()
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(graph.to_dense(), expected, atol=1e-5)
    assert graph.nodes == list("abcde")


@pytest.mark.parametrize(("level", "factor"), [(1e12, 1.0), (0.0, 1e-300), (0.0, 1e-170), (0.0, 1e15)])
def test_correlation_has_no_unit(level, factor):
    values = np.round(np.random.default_rng(0).normal(size=(60, 5)) * 64) / 64
    found = graph_from_correlation(values * factor + level, k=2).to_dense()
    np.testing.assert_allclose(found, graph_from_correlation(values, k=2).to_dense(), atol=1e-4)


def test_correlation_keeps_the_k_strongest():
    rng = np.random.default_rng(2)
    base = rng.normal(size=(200, 1))
    X = np.hstack([base, base + 0.1 * rng.normal(size=(200, 1)), -base, np.full((200, 1), 3.0)])
    dense = graph_from_correlation(X, k=1).to_dense()
    assert dense[0, 1] > 0.9
    assert dense[0, 1] == dense[1, 0]
    assert not dense[2].any()  # only negative partners
    assert not dense[3].any()  # constant
    assert graph_from_correlation(np.full((5, 2), np.nan)).n_edges == 0


def test_lagged_correlation_finds_who_goes_ahead():
    rng = np.random.default_rng(0)
    first = rng.normal(size=400)
    X = np.stack([first, np.roll(first, 3), rng.normal(size=400)], axis=1)
    X += 10 * np.sin(np.arange(400)[:, None] * 2 * np.pi / 24)  # a cycle that all nodes share
    graph = graph_from_correlation(X, k=1, max_lag=5, season=24)
    dense = graph.to_dense()
    assert dense[0, 1] > 0.9
    assert dense[1, 0] < 0.3
    with pytest.raises(GraphError, match="at least 431 time steps"):
        graph_from_correlation(X, max_lag=5, season=424)
    with pytest.raises(ParameterError, match="max_lag"):
        graph_from_correlation(X, max_lag=-1)


def test_lagged_correlation_agrees_with_pandas_on_gaps():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(80, 3))
    X[rng.random(X.shape) < 0.2] = np.nan
    frame = pd.DataFrame(X)
    expected = np.zeros((3, 3))
    for i, j in np.ndindex(3, 3):
        if i != j:
            expected[i, j] = max(0, *(frame[i].shift(lag).corr(frame[j]) for lag in range(4)))
    np.testing.assert_allclose(graph_from_correlation(X, k=2, max_lag=3).to_dense(), expected, rtol=1e-5)


def test_correlation_errors():
    with pytest.raises(GraphError, match="X\\[:, :, 0\\]"):
        graph_from_correlation(np.zeros((5, 2, 2)))
    with pytest.raises(GraphError, match="infinite"):
        graph_from_correlation([[1, np.inf], [2, 3]])
    with pytest.raises(ParameterError):
        graph_from_correlation(np.zeros((5, 2)), k=0)


def test_grid():
    graph = grid_graph(2, 3)
    assert graph.n_nodes == 6
    assert graph.n_edges == 2 * 7
    dense = graph.to_dense()
    assert dense[0].nonzero()[0].tolist() == [1, 3]
    np.testing.assert_array_equal(dense, dense.T)
    assert graph.coordinates[4].tolist() == [1, 1]
    assert grid_graph(2, 3, diagonal=True).to_dense()[0].nonzero()[0].tolist() == [1, 3, 4]
    assert grid_graph(1, 1).n_edges == 0
    with pytest.raises(ParameterError, match="n_rows"):
        grid_graph(0, 3)
