"""Edge lists in memory, and the edge attributes of other libraries: no weight is dropped unseen."""

from __future__ import annotations

import warnings

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from stmest import GraphError, LastValue, RidgeForecaster, graph_from_distances
from stmest.graphs import Graph, as_graph, is_graph_like
from stmest.graphs.edge_tables import edge_columns, role_of
from tests.faults.common import observations

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # importing it uses parts of torch that warn of their removal
    from torch_geometric.data import Data

ABC = list("abc")
KERNEL = graph_from_distances([[0, 1, np.inf], [np.inf, 0, 5], [np.inf, np.inf, 0]]).to_dense()


def _table(column, values=(1.0, 5.0)):
    return pd.DataFrame({"from": ["a", "b"], "to": ["b", "c"], column: values})


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("weight", "weight"), ("W", "weight"), ("Edge_Value", "weight"), ("cost", "distance"), ("distance_km", "distance"),
        ("Dist [m]", "distance"), ("roadLength", "distance"), ("minutes", None), ("distance_weight", None), (0, None), ("", None),
    ],
)  # fmt: skip
def test_role_of_a_column(name, role):
    assert role_of(name) == role


@pytest.mark.parametrize(
    ("names", "ends"),
    [
        (["target", "source"], (1, 0)), (["w", "From_ID", "to_id"], (1, 2)), (["i", "j", "w"], (0, 1)), (["i", "j", "k"], None),
        (["sensor1", "sensor2", "dist"], (0, 1)), (["sensor1", "sensor2"], None), (["from", "x"], None), ([0, 1, 2], None),
    ],
)  # fmt: skip
def test_ends_of_the_edges(names, ends):
    assert edge_columns(names) == ends


@pytest.mark.parametrize("column", ["cost", "length", "dist", "distance"])
def test_distances_in_every_container(column):
    table = _table(column)
    directed = nx.from_pandas_edgelist(table, "from", "to", edge_attr=column, create_using=nx.DiGraph)
    parallel = nx.MultiDiGraph(directed)
    parallel.add_edge("a", "b", **{column: 7.0})  # a detour
    data = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3, **{column: torch.tensor([1.0, 5.0])})
    for given in (table, directed, parallel, data):
        with pytest.warns(UserWarning, match=f"'{column}' holds distances") as caught:
            graph = as_graph(given, 3, ABC)
        assert len(caught) == 1
        np.testing.assert_allclose(graph.to_dense(), KERNEL)


@pytest.mark.parametrize("column", ["w", "value", "weight"])
def test_weights_in_every_container(column):
    table = _table(column)
    directed = nx.from_pandas_edgelist(table, "from", "to", edge_attr=column, create_using=nx.DiGraph)
    data = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3, **{column: torch.tensor([1.0, 5.0])})
    for given in (table, table.assign(road="E1").drop(columns="road"), directed, data):
        assert as_graph(given, 3, ABC).to_dense().tolist() == [[0, 1, 0], [0, 0, 5], [0, 0, 0]]


def test_attributes_that_cannot_be_told_apart():
    graph = nx.DiGraph()
    graph.add_edge("a", "b", cost=1.0, length=2.0)
    with pytest.raises(GraphError, match=r"\['cost', 'length'\] can all hold the distances"):
        as_graph(graph, 2)
    graph.add_edge("a", "b", weight=3.0)
    assert as_graph(graph, 2).edges()[1].tolist() == [3]
    graph = nx.DiGraph()
    graph.add_edge("a", "b", length=1.0)
    graph.add_edge("b", "a")
    with pytest.raises(GraphError, match=r"'b' -> 'a' has length=None"):
        as_graph(graph, 2)


def test_a_list_of_three_edges_is_no_matrix_of_three_nodes():
    table = pd.DataFrame({"from": [0, 1, 2], "to": [1, 2, 0], "w": [0.5, 0.25, 2.0]})
    expected = [[0, 0.5, 0], [0, 0, 0.25], [2, 0, 0]]
    for names in (None, ABC):
        assert as_graph(table, 3, names).to_dense().tolist() == expected
    labelled = pd.DataFrame(np.eye(3), index=["from", "to", "w"], columns=["from", "to", "w"])
    assert as_graph(labelled, 3, ["from", "to", "w"]).to_dense().tolist() == np.eye(3).tolist()


def test_lists_meet_the_data_in_fit():
    X = observations()
    table = pd.DataFrame({"source": ["a", "b", "x"], "target": ["b", "c", "a"], "weight": [0.5, 2.0, 1.0]})
    with pytest.warns(UserWarning, match="first is 'x'"):
        model = LastValue(horizon=1).fit(X, table)
    assert model.given_graph_.nodes == list("abcd")
    assert model.given_graph_.edges()[1].tolist() == [0.5, 2.0]
    # as many edges as time steps: still no target
    edges = pd.DataFrame({"source": ["a"] * len(X), "target": ["b"] * len(X)})
    assert LastValue(horizon=1).fit(X, edges).given_graph_.n_edges == 1
    nameless = pd.DataFrame({"source": [0, 1], "target": [1, 4], "weight": [0.5, 2.0]})
    with pytest.raises(GraphError, match="the first is '4'"):
        LastValue(horizon=1).fit(X.to_numpy(), nameless)


def test_table_of_polars():
    class Polars:  # as its frames look
        def __init__(self):
            self.columns = ["from", "to", "w"]

        def get_column(self, name):
            raise AssertionError("not needed")

        def __getitem__(self, name):
            return type("Series", (), {"to_list": lambda _: _table("w")[name].tolist()})()

    assert is_graph_like(Polars())
    assert as_graph(Polars(), 3, ABC).edges()[1].tolist() == [1, 5]


# ---------------------------------------------------------------- what other libraries hold


MATRIX = np.array([[0, 1.0, 0], [0, 0, 5], [2, 0, 0]])


@pytest.mark.parametrize("kind", [tuple, list])
@pytest.mark.parametrize("matrix", [MATRIX, sparse.csr_array(MATRIX), MATRIX.astype(np.float32)])
def test_triple_of_ids_indexes_and_matrix(kind, matrix):
    ids = ["773869", "767541", "767542"]
    triple = kind([ids[::-1], {name: i for i, name in enumerate(ids)}, matrix])
    assert is_graph_like(triple)
    assert as_graph(triple, 3, ids).to_dense().tolist() == MATRIX.tolist()
    assert as_graph(triple, 2, [767542, 773869]).to_dense().tolist() == [[0, 2], [0, 0]]
    X = observations().iloc[:, :3].set_axis([int(name) for name in ids], axis=1)
    assert RidgeForecaster(input_length=6, horizon=1).fit(X, triple).given_graph_.nodes == [
        773869,
        767541,
        767542,
    ]
    assert (
        as_graph((ids, {name: i for i, name in enumerate(ids)}, MATRIX.tolist()), 3, ids).to_dense().tolist()
        == MATRIX.tolist()
    )
    for wrong in ({"773869": 0}, dict.fromkeys(ids, 0), {name: i + 1 for i, name in enumerate(ids)}):
        with pytest.raises(GraphError, match="one id and one index from 0 for each row"):
            as_graph((ids, wrong, matrix), 3)


class W:
    """As `libpysal.weights.W` looks."""

    def __init__(self, sparse_matrix, ids):
        self.sparse, self.id_order = sparse_matrix, ids
        self.neighbors = {name: [] for name in ids}


class PysalGraph:
    """As `libpysal.graph.Graph` looks."""

    def __init__(self, sparse_matrix, ids):
        self.sparse, self.unique_ids = sparse_matrix, pd.Index(ids, name="focal")
        self.adjacency = pd.Series(dtype=float)
        self.neighbors = dict.fromkeys(ids, ())


@pytest.mark.parametrize("kind", [W, PysalGraph])
def test_graphs_of_libpysal(kind):
    given = kind(sparse.csr_matrix(MATRIX), ["c", "b", "a"])
    assert is_graph_like(given)
    assert as_graph(given, 3, ["c", "b", "a"]).to_dense().tolist() == MATRIX.tolist()
    assert as_graph(given, 2, ["a", "c"]).to_dense().tolist() == [[0, 2], [0, 0]]


def test_real_graphs_of_libpysal():
    weights = pytest.importorskip("libpysal.weights")
    graph = pytest.importorskip("libpysal.graph")
    w = weights.W({"b": ["a"], "a": ["b", "c"], "c": ["a"]}, {"b": [1.0], "a": [2.0, 3.0], "c": [4.0]})
    expected = np.array([[0, 2, 3], [1, 0, 0], [4, 0, 0]])
    for given in (w, graph.Graph.from_W(w)):
        assert is_graph_like(given)
        assert as_graph(given, 3, ABC).to_dense().tolist() == expected.tolist()
    alone = graph.Graph.from_arrays([0, 1, 2, 3], [1, 0, 2, 3], [1, 1, 0, 0])
    assert as_graph(alone, 4).n_edges == 2


def test_names_of_matrices_in_many_spellings():
    names = ["773869", "007", "x"]
    for spelled in ([773869.0, 7, "x"], ["773869.0", " 007 ", "x "], [b"773869", b"007", b"x"]):
        frame = pd.DataFrame(MATRIX, index=spelled, columns=spelled)
        assert as_graph(frame, 3, names).to_dense().tolist() == MATRIX.tolist()
        assert as_graph(Graph(MATRIX, spelled), 2, names[:2]).to_dense().tolist() == [[0, 1], [0, 0]]
    with pytest.raises(GraphError, match="unknown to the graph"):  # either could be meant
        as_graph(Graph(MATRIX, ["007", "07", "x"]), 1, [7])


def test_numbers_of_edges_that_are_not_used_are_mentioned():
    graph = nx.DiGraph()
    graph.add_edge("a", "b", capacity=3.0, road="E1")
    with pytest.warns(
        UserWarning, match=r"all weights are 1; edge attributes that are not used: \['capacity'\]"
    ):
        assert as_graph(graph, 2, ["a", "b"]).edges()[1].tolist() == [1]
    graph = nx.DiGraph()
    graph.add_edge("a", "b", road="E1")
    as_graph(graph, 2, ["a", "b"])
