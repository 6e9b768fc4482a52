"""The graph itself: what it accepts, refuses, promises, and its eigenvectors."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from stmest.exceptions import GraphError, ParameterError
from stmest.graphs import Graph, grid_graph

A = np.array([[0, 2, 0, 1], [0, 0, 3, 0], [0, 0, 0, 0], [0.5, 0, 0, 4]])


def random_adjacency(seed: int, n: int, density: float = 0.4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random((n, n)) < density, rng.random((n, n)) + 0.1, 0.0)


def laplacian(graph: Graph) -> np.ndarray:
    """Write the definition out once more, without any of the tricks."""
    w = graph.to_dense().astype(float)
    w = (w + w.T) / 2
    np.fill_diagonal(w, 0)
    d = w.sum(1)
    s = np.where(d > 0, 1 / np.sqrt(np.where(d > 0, d, 1)), 0)
    return np.eye(len(w)) - s[:, None] * w * s[None]


def test_basic_facts():
    graph = Graph(A, nodes=list("abcd"))
    assert (graph.n_nodes, graph.n_edges, graph.density) == (4, 5, 5 / 16)
    assert isinstance(graph.adjacency, sparse.csr_array)
    assert graph.adjacency.dtype == np.float32
    np.testing.assert_array_equal(graph.to_dense(), A)
    index, weight = graph.edges()
    assert index.dtype == np.int64
    assert weight.dtype == np.float32
    assert index.tolist() == [[0, 0, 1, 3, 3], [1, 3, 2, 0, 3]]
    np.testing.assert_array_equal(weight, A[index[0], index[1]])
    assert repr(graph) == "Graph(n_nodes=4, n_edges=5, nodes=['a', 'b', 'c', 'd'])"
    assert repr(Graph(np.zeros((9, 9)), range(9))).endswith("nodes=[0, 1, 2, 3, 4, ...])")
    assert repr(Graph(A)) == "Graph(n_nodes=4, n_edges=5)"


def test_is_not_array_like():
    graph = Graph(A)
    for name in ("__len__", "shape", "__array__", "__iter__", "__getitem__"):
        assert not hasattr(graph, name)
    with pytest.raises(TypeError):
        hash(graph)


def test_scikit_learn_does_not_slice_it():
    from sklearn.utils.validation import _check_method_params

    X, graph = np.zeros((4, 4)), Graph(A)
    assert _check_method_params(X, {"adj": graph}, indices=[0, 1])["adj"] is graph
    assert _check_method_params(X, {"adj": A}, indices=[0, 1])["adj"].shape == (2, 4)


def test_input_is_neither_changed_nor_shared():
    given_array, names = A.copy(), list("abcd")
    graph = Graph(given_array, names)
    given_array[0, 1] = 9
    names[0] = "z"
    assert graph.to_dense()[0, 1] == 2
    assert graph.nodes == list("abcd")
    csr = sparse.csr_array(A)
    graph = Graph(csr)
    csr.data[:] = 7
    np.testing.assert_array_equal(graph.to_dense(), A)


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))])
def test_copies_and_pickles_are_equal(copier):
    graph = Graph(A, list("abcd"), np.arange(8).reshape(4, 2))
    again = copier(graph)
    assert again == graph
    assert again.coordinates.tolist() == graph.coordinates.tolist()


def test_equality():
    graph = Graph(A, list("abcd"), np.zeros((4, 2)))
    assert graph == Graph(sparse.lil_array(A), list("abcd"), np.zeros((4, 2)))
    assert graph != Graph(A, list("abcd"))
    assert graph != Graph(A, list("abce"), np.zeros((4, 2)))
    assert graph != Graph(A * 2, list("abcd"), np.zeros((4, 2)))
    assert graph != Graph(A.T, list("abcd"), np.zeros((4, 2)))
    assert graph != "graph"
    assert Graph(A) != Graph(np.zeros((3, 3)))


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "dia", "bsr"])
@pytest.mark.parametrize("kind", ["array", "matrix"])
def test_every_sparse_format(form, kind):
    maker = getattr(sparse, f"{form}_{kind}")
    assert Graph(maker(A)) == Graph(A)


def test_stored_zeros_are_no_edges_and_duplicates_are_summed():
    coo = sparse.coo_array(([0.0, 1.0, 2.0], ([0, 1, 1], [1, 0, 0])), shape=(2, 2))
    graph = Graph(coo)
    assert graph.n_edges == 1
    assert graph.to_dense().tolist() == [[0, 0], [3, 0]]


def test_booleans_and_integers():
    assert Graph(A > 0).to_dense().tolist() == (A > 0).astype(float).tolist()
    assert Graph([[0, 1], [1, 0]]).n_edges == 2


@pytest.mark.parametrize(
    ("adjacency", "message"),
    [
        (np.zeros((20, 60)), r"square.*shape \(20, 60\).*scikit-learn sliced"),
        (np.zeros(4), r"got shape \(4,\)"),
        (np.zeros((2, 2, 2)), r"got shape \(2, 2, 2\)"),
        (np.array([[0, 1, 2], [1, 2, 0]]), r"shape \(2, 3\).*edge_index, edge_weight"),
        ([[0, np.nan], [1, 0]], r"shape \(2, 2\) has 1 NaN or infinite.*edge 0 -> 1.*Set them to 0"),
        ([[0, np.inf], [1, 0]], "NaN or infinite"),
        ([[0, 1], [-1, 0]], r"1 negative weight\(s\), the first one -1.* on the edge 1 -> 0.*abs"),
        ([[0, "x"], [1, 0]], "real numbers"),
        ([[0, 1j], [1, 0]], "real numbers, got dtype complex128"),
        ([[0, 1e300], [1, 0]], "float32"),
        ([[0, 1], [1]], "rows of equal length"),
        (sparse.csr_array([[0, -1.0], [0, 0]]), "negative"),
        (sparse.csr_array((2, 3)), r"got shape \(2, 3\)"),
    ],
)
def test_unusable_adjacency(adjacency, message):
    with pytest.raises(GraphError, match=message):
        Graph(adjacency)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"nodes": list("abc")}, "3 node names .* graph of 4 nodes"),
        ({"nodes": list("abca")}, r"unique, but \['a'\]"),
        ({"coordinates": np.zeros((4, 3))}, r"\(4, 2\), got \(4, 3\)"),
        ({"coordinates": np.full((4, 2), np.nan)}, "NaN or infinity"),
    ],
)
def test_unusable_names_and_coordinates(kwargs, message):
    with pytest.raises(GraphError, match=message):
        Graph(A, **kwargs)


def test_aligned_reorders_and_restricts():
    graph = Graph(A, list("abcd"), np.arange(8).reshape(4, 2))
    part = graph.aligned(["d", "a"])
    assert part.nodes == ["d", "a"]
    assert part.to_dense().tolist() == [[4, 0.5], [1, 0]]
    assert part.coordinates.tolist() == [[6, 7], [0, 1]]
    assert graph.aligned(list("abcd")) == graph


def test_aligned_compares_as_text_when_types_differ():
    graph = Graph([[0, 1], [0, 0]], nodes=[773869, 767541])
    assert graph.aligned(["767541", "773869"]).to_dense().tolist() == [[0, 0], [1, 0]]
    with pytest.raises(GraphError, match="unknown"):
        Graph([[0, 1], [0, 0]], nodes=[1, "1"]).aligned([1.5, "1"])


def test_aligned_errors():
    graph = Graph(A, list("abcd"))
    with pytest.raises(GraphError, match=r"2 of 3 nodes of the data are unknown to the graph: \['x', 'y'\]"):
        graph.aligned(["a", "x", "y"])
    with pytest.raises(GraphError, match=r"unique, but \['a'\]"):
        graph.aligned(["a", "b", "a"])
    with pytest.raises(GraphError, match="without names"):
        Graph(A).aligned(list("abcd"))


@given(st.integers(0, 10_000), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_alignment_is_a_permutation(seed, n):
    adjacency = random_adjacency(seed, n)
    order = np.random.default_rng(seed + 1).permutation(n)
    names = [f"n{i}" for i in range(n)]
    graph = Graph(adjacency, names)
    moved = graph.aligned([names[i] for i in order])
    np.testing.assert_array_equal(moved.to_dense(), graph.to_dense()[np.ix_(order, order)])
    assert moved.aligned(names) == graph


@given(st.integers(0, 10_000), st.integers(2, 9), st.floats(0.05, 0.9))
@settings(max_examples=60, deadline=None)
def test_eigenvectors_solve_the_symmetric_laplacian(seed, n, density):
    graph = Graph(random_adjacency(seed, n, density))
    lap = laplacian(graph)
    vectors = graph.eigenvectors(n + 2).astype(float)
    assert vectors.shape == (n, n + 2)
    assert not vectors[:, n - 1 :].any()
    v = vectors[:, : n - 1]
    np.testing.assert_allclose(v.T @ v, np.eye(n - 1), atol=1e-5)
    values = np.diag(v.T @ lap @ v)
    np.testing.assert_allclose(lap @ v, v * values, atol=2e-6)
    assert (np.diff(values) > -1e-5).all()
    assert values.min() > -1e-6
    assert values.max() < 2 + 1e-6
    w = graph.to_dense() + graph.to_dense().T
    np.fill_diagonal(w, 0)
    if w.any():  # the trivial vector has been taken out, and every other eigenvalue is left
        np.testing.assert_allclose(v.T @ np.sqrt(w.sum(1)), 0, atol=1e-5)
        np.testing.assert_allclose(np.sort(values), np.sort(np.linalg.eigvalsh(lap))[1:], atol=1e-5)
    lead = v[np.abs(v).argmax(0), np.arange(n - 1)]
    assert (lead > 0).all() or np.allclose(np.abs(lead), np.abs(v).max(0), atol=1e-5)
    # only the shape of the graph matters, not its direction, its self-loops or its unit
    other = Graph((graph.to_dense().T + np.diag(np.arange(n))) * 2)
    if np.diff(values, prepend=-1, append=3).min() > 1e-3:
        np.testing.assert_allclose(other.eigenvectors(n - 1), v, atol=1e-3)


def test_eigenvectors_of_components_tell_them_apart():
    block = np.ones((3, 3)) - np.eye(3)
    graph = Graph(np.kron(np.eye(2), block))
    first = graph.eigenvectors(1)[:, 0]
    np.testing.assert_allclose(first[:3], first[0], atol=1e-5)
    np.testing.assert_allclose(first[3:], -first[0], atol=1e-5)


def test_isolated_nodes_do_not_lead():
    path = np.zeros((6, 6))
    path[[0, 1, 2], [1, 2, 3]] = 1
    vectors = Graph(path).eigenvectors(1)
    np.testing.assert_allclose(vectors[4:], 0, atol=1e-6)
    assert np.abs(vectors[:4]).min() > 0.1


def test_eigenvectors_of_a_large_graph_agree_with_the_exact_ones(monkeypatch):
    graph = grid_graph(7, 9)
    exact = graph.eigenvectors(4)
    monkeypatch.setattr("stmest.graphs.graph._DENSE_EIGEN_LIMIT", 10)
    iterated = graph.eigenvectors(4)
    np.testing.assert_allclose(iterated, exact, atol=1e-4)
    np.testing.assert_array_equal(iterated, graph.eigenvectors(4))


def test_eigenvectors_of_nothing():
    assert Graph(A).eigenvectors(0).shape == (4, 0)
    np.testing.assert_array_equal(Graph([[5.0]]).eigenvectors(2), [[0, 0]])
    with pytest.raises(ParameterError, match="k must be"):
        Graph(A).eigenvectors(-1)
