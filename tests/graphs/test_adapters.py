"""Every container of a graph means the same graph, in the same direction, and a misfit is explained."""

from __future__ import annotations

import warnings

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from stmest.exceptions import GraphError
from stmest.graphs import Graph, as_graph, is_graph_like
from tests.faults.common import NODES
from tests.faults.unusable import UNUSABLE_GRAPHS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # importing it uses parts of torch that warn of their removal
    from torch_geometric.data import Data


def edge_list(adjacency):
    rows, columns = np.nonzero(adjacency)
    return np.stack([rows, columns]), adjacency[rows, columns]


def as_networkx(adjacency, names):
    graph = nx.DiGraph()
    graph.add_nodes_from(names)
    for i, j in zip(*np.nonzero(adjacency), strict=True):
        graph.add_edge(names[i], names[j], weight=float(adjacency[i, j]))
    return graph


def as_data(adjacency, attribute="edge_weight"):
    index, weight = edge_list(adjacency)
    weight = torch.tensor(weight)
    return Data(
        edge_index=torch.tensor(index),
        num_nodes=len(adjacency),
        **{attribute: weight[:, None] if attribute == "edge_attr" else weight},
    )


CONTAINERS = {
    "array": lambda a: a,
    "lists": lambda a: a.tolist(),
    "fortran": np.asfortranarray,
    "frame": lambda a: pd.DataFrame(a),
    "csr": sparse.csr_array,
    "csc_matrix": sparse.csc_matrix,
    "coo": sparse.coo_array,
    "networkx": lambda a: as_networkx(a, list(range(len(a)))),
    "data_edge_weight": as_data,
    "data_weight": lambda a: as_data(a, "weight"),
    "data_edge_attr": lambda a: as_data(a, "edge_attr"),
    "edges": edge_list,
    "edge_tensors": lambda a: tuple(torch.tensor(part) for part in edge_list(a)),
    "tensor": lambda a: torch.tensor(a, requires_grad=True),
    "sparse_tensor": lambda a: torch.tensor(a).to_sparse_coo(),
    "sparse_csr_tensor": lambda a: torch.tensor(a).to_sparse_coo().to_sparse_csr(),
    "graph": Graph,
}


@pytest.fixture(params=CONTAINERS)
def container(request):
    return CONTAINERS[request.param]


pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")


def test_direction_is_source_to_target(container):
    one_way = np.zeros((3, 3))
    one_way[0, 2] = 5.0  # the edge 0 -> 2
    graph = as_graph(container(one_way), 3)
    assert graph.edges()[0].tolist() == [[0], [2]]
    assert graph.to_dense()[0, 2] == 5
    assert graph.nodes is None


def test_isolated_last_node_survives(container):
    adjacency = np.zeros((5, 5))
    adjacency[1, 0] = 1.0
    assert as_graph(container(adjacency), 5).n_nodes == 5


def test_names_of_the_data_are_taken_over(container):
    adjacency = np.array([[0, 1.0], [0, 0]])
    graph = as_graph(container(adjacency), 2, ["p", "q"])
    assert graph.nodes == ["p", "q"]
    assert graph.to_dense().tolist() == adjacency.tolist()


def test_recognised_by_form(container):
    assert is_graph_like(container(np.array([[0, 1.0, 0], [0, 0, 2], [1, 0, 0]])))


def test_wrong_size(container):
    given = container(np.ones((3, 3)))
    with pytest.raises(GraphError, match=r"\(4, 4\).* has 3 nodes.*sliced") as error:
        as_graph(given, 4) if not isinstance(given, tuple) else as_graph(np.ones((3, 3)), 4)
    assert "scikit-learn" in str(error.value)


@given(st.integers(0, 10_000), st.integers(1, 7), st.floats(0.0, 1.0))
@settings(max_examples=25, deadline=None)
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_all_containers_agree(seed, n, density):
    rng = np.random.default_rng(seed)
    adjacency = np.where(rng.random((n, n)) < density, rng.random((n, n)), 0.0)
    expected = Graph(adjacency)
    for name, make in CONTAINERS.items():
        assert as_graph(make(adjacency), n) == expected, name
    names = [f"s{i}" for i in range(n)]
    order = rng.permutation(n)
    wanted = [names[i] for i in order]
    expected = Graph(adjacency[np.ix_(order, order)], wanted)
    rows = rng.permutation(n)
    labelled = {
        "frame": pd.DataFrame(adjacency, names, names).iloc[rows],
        "networkx": as_networkx(adjacency, names),
        "graph": Graph(adjacency, names),
    }
    for name, given_graph in labelled.items():
        assert as_graph(given_graph, n, wanted) == expected, name


# ---------------------------------------------------------------- duplicated edges


def test_duplicated_edges_are_summed_in_every_container():
    index, weight = np.array([[0, 0, 1], [1, 1, 0]]), np.array([1.0, 2.0, 4.0])
    multi = nx.MultiDiGraph()
    for (i, j), w in zip(index.T.tolist(), weight, strict=True):
        multi.add_edge(i, j, weight=w)
    given_graphs = [
        (index, weight),
        (torch.tensor(index), torch.tensor(weight)),
        sparse.coo_array((weight, index), shape=(2, 2)),
        Data(edge_index=torch.tensor(index), edge_weight=torch.tensor(weight), num_nodes=2),
        torch.sparse_coo_tensor(index, weight, (2, 2), check_invariants=True),
        multi,
    ]
    for given_graph in given_graphs:
        assert as_graph(given_graph, 2).to_dense().tolist() == [[0, 3], [4, 0]]


def test_weights_default_to_one():
    index = np.array([[0, 1], [1, 2]])
    expected = [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert as_graph((index, None), 3).to_dense().tolist() == expected
    assert as_graph((index.tolist(), None), 3).to_dense().tolist() == expected
    assert as_graph(Data(edge_index=torch.tensor(index)), 3).to_dense().tolist() == expected
    assert as_graph(nx.DiGraph([(0, 1), (1, 2)]), 3).to_dense().tolist() == expected


# ---------------------------------------------------------------- networkx


def test_networkx_undirected_gives_both_directions():
    graph = nx.Graph()
    graph.add_edge("a", "b", weight=2.0)
    graph.add_edge("b", "b", weight=3.0)
    assert as_graph(graph, 2, ["b", "a"]).to_dense().tolist() == [[3, 2], [2, 0]]


def test_networkx_integer_labels_are_positions_in_whichever_order():
    graph = nx.DiGraph()
    graph.add_nodes_from([2, 0, 1])
    graph.add_edge(2, 0)
    for names in (None, ["x", "y", "z"]):
        assert as_graph(graph, 3, names).edges()[0].tolist() == [[2], [0]]
    # ... unless the data use these very names in another order
    assert as_graph(graph, 3, [1, 2, 0]).edges()[0].tolist() == [[1], [2]]


def test_networkx_positions_and_bad_weights():
    graph = nx.random_geometric_graph(5, 0.9, seed=1)
    read = as_graph(graph, 5)
    assert read.coordinates.tolist() == [graph.nodes[i]["pos"] for i in range(5)]
    graph = nx.DiGraph()
    graph.add_edge("a", "b", weight="heavy")
    with pytest.raises(GraphError, match=r"'a' -> 'b' has weight='heavy'"):
        as_graph(graph, 2)


# ---------------------------------------------------------------- torch_geometric


def test_geometric_from_networkx_round_trip():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch_geometric.utils import from_networkx
    graph = as_networkx(np.array([[0, 2.0], [0, 0]]), [0, 1])
    assert as_graph(from_networkx(graph), 2).to_dense().tolist() == [[0, 2], [0, 0]]


def test_geometric_node_count_comes_from_features_or_positions():
    index = torch.tensor([[0], [1]])
    with pytest.raises(GraphError, match="has 3 nodes"):
        as_graph(Data(edge_index=index, x=torch.zeros(3, 1)), 4)
    located = as_graph(Data(edge_index=index, pos=torch.ones(3, 2)), 3)
    assert located.coordinates.tolist() == [[1, 1]] * 3


def test_geometric_errors():
    index = torch.tensor([[0], [1]])
    with pytest.raises(GraphError, match=r"edge_attr has shape \(1, 2\).*data.edge_weight"):
        as_graph(Data(edge_index=index, edge_attr=torch.ones(1, 2)), 2)
    with pytest.raises(GraphError, match="no edge_index"):
        as_graph(Data(x=torch.zeros(2, 1)), 2)


# ---------------------------------------------------------------- names


def test_frame_rows_in_another_order_than_columns():
    frame = pd.DataFrame([[0, 1.0], [0, 0]], index=["a", "b"], columns=["a", "b"]).loc[["b", "a"]]
    assert as_graph(frame, 2, ["a", "b"]).to_dense().tolist() == [[0, 1], [0, 0]]
    assert as_graph(frame, 2).nodes == ["b", "a"]  # nameless data: the frame's own rows


def test_frame_named_on_one_side_only():
    for frame in (
        pd.DataFrame([[0, 1.0], [0, 0]], columns=list("ab")),
        pd.DataFrame([[0, 1.0], [0, 0]], list("ab")),
    ):
        assert as_graph(frame, 2, ["b", "a"]).to_dense().tolist() == [[0, 0], [1, 0]]


def test_frame_read_from_a_file_has_text_columns():
    frame = pd.DataFrame([[0, 1.0], [0, 0]], index=[773869, 767541], columns=["773869", "767541"])
    assert as_graph(frame, 2, ["767541", "773869"]).edges()[0].tolist() == [[1], [0]]


def test_graph_may_know_more_nodes_than_the_data():
    frame = pd.DataFrame(np.arange(9.0).reshape(3, 3), list("abc"), list("abc"))
    assert as_graph(frame, 2, ["c", "a"]).to_dense().tolist() == [[8, 6], [2, 0]]


def test_nameless_side_is_taken_by_position():
    named = Graph([[0, 1], [0, 0]], ["u", "v"])
    assert as_graph(named, 2) is named
    assert as_graph(named, None) is named
    nameless = Graph([[0, 1], [0, 0]], coordinates=[[0, 1], [2, 3]])
    assert as_graph(nameless, 2, ["u", "v"]) == Graph([[0, 1], [0, 0]], ["u", "v"], [[0, 1], [2, 3]])


def test_name_errors():
    frame = pd.DataFrame(np.zeros((2, 2)), list("ab"), list("ab"))
    with pytest.raises(
        GraphError, match=r"1 of 2 nodes of the data are unknown to the graph: \['x'\].*'a', 'b'"
    ):
        as_graph(frame, 2, ["a", "x"])
    with pytest.raises(GraphError, match="unique"):
        as_graph(pd.DataFrame(np.zeros((2, 2)), list("aa"), list("aa")), 2, ["a", "b"])
    with pytest.raises(GraphError, match="unique"):
        as_graph(np.zeros((2, 2)), 2, ["a", "a"])
    with pytest.raises(GraphError, match="same nodes in its index and its columns"):
        as_graph(pd.DataFrame(np.zeros((2, 2)), list("ab"), list("ac")), 2)
    with pytest.raises(GraphError, match="2 names were given for 3 nodes"):
        as_graph(frame, 3, ["a", "b"])


# ---------------------------------------------------------------- misfits


@pytest.mark.parametrize("case", UNUSABLE_GRAPHS)
def test_graphs_that_do_not_fit_are_explained(case):
    given_graph, words = UNUSABLE_GRAPHS[case]
    with pytest.raises(GraphError, match=words):
        as_graph(given_graph, 4, NODES)


@pytest.mark.parametrize(
    ("given_graph", "message"),
    [
        (np.zeros((2, 5)), r"got shape \(2, 5\).*sliced"),
        (pd.DataFrame(np.zeros((2, 5))), r"got shape \(2, 5\).*sliced"),
        (torch.zeros(2, 5).to_sparse(), r"got shape \(2, 5\)"),
        (torch.full((3, 3), torch.inf), "infinite"),
        ((np.array([[0, 1], [1, 1]]), np.array([1, np.nan])), "NaN"),
        ("graph.csv", "adj must be a dense array.*got str 'graph.csv'"),
        (None, "got NoneType"),
    ],
)
def test_misfits_are_explained_in_every_container(given_graph, message):
    with pytest.raises(GraphError, match=message):
        as_graph(given_graph, 3)


@pytest.mark.parametrize(
    "other",
    [
        None,
        3,
        "adj",
        np.zeros(3),
        np.zeros((3, 2)),
        np.zeros((3, 3, 3)),
        pd.Series([1.0, 2.0]),
        [1.0, 2.0],
        [],
        [[1, 2]],
    ],
)
def test_targets_are_not_graphs(other):
    assert not is_graph_like(other)


def test_size_from_the_graph_itself():
    assert as_graph((np.array([[0], [4]]), None), None).n_nodes == 5
    assert as_graph((np.zeros((2, 0)), None), 3) == Graph(np.zeros((3, 3)))
    assert as_graph(np.zeros((2, 2)), None, ["a", "b"]).nodes == ["a", "b"]
    assert as_graph(torch.ones(2, 2, dtype=torch.bfloat16), 2).n_edges == 4


def test_optional_packages_are_not_imported():
    import subprocess
    import sys

    code = (
        "import sys, stmest.graphs; sys.exit(any(m in sys.modules for m in ('networkx', 'torch_geometric')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
