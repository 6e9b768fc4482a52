"""Turns every graph container into a :class:`~stmest.graphs.graph.Graph`, once, at the border of the library.

Builds on :mod:`stmest.graphs.graph`; the forecasters call :func:`as_graph` in ``fit`` and
:func:`is_graph_like` to distinguish a graph from a target. Neither networkx nor torch_geometric nor torch is
imported: their objects are known by their attributes.

Names: a graph without names is taken by position and receives the names of the data; a named graph meets
named data by name, whatever the order, and may hold more nodes than the data; a named graph meets nameless
data by position. Names that are just the positions 0 .. n-1 (networkx's default labels, say) count as
positions, in whichever order they are stored, unless the data use these very names.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from ..exceptions import GraphError
from .graph import SLICING_TRAP, Graph, check_square, positions_of, show_names

__all__ = ["as_graph", "is_graph_like"]

_ACCEPTED = (
    "a dense array, a labelled DataFrame, a scipy sparse array, a networkx graph, a torch_geometric Data, "
    "a tuple (edge_index, edge_weight) or a stmest Graph"
)


def as_graph(obj: Any, n_nodes: int | None, nodes: Iterable[Hashable] | None = None) -> Graph:
    """Return any graph container as a Graph over the nodes of the data.

    Edges listed more than once, in any container, are summed. ``[i, j]``, ``(i, j)`` and ``edge_index[:, e] =
    (i, j)`` all mean the edge ``i -> j``; an undirected networkx graph gives both directions.

    Parameters
    ----------
    obj : array-like, DataFrame, scipy sparse, networkx graph, torch_geometric Data, tuple, tensor or Graph
        The graph. A DataFrame names its nodes in index and columns, in any order. networkx weights are read
        from the edge attribute ``weight`` (1 where absent) and positions from the node attribute ``pos``;
        torch_geometric weights from ``edge_weight``, ``weight`` or ``edge_attr`` and positions from ``pos``;
        a tuple holds an ``edge_index`` of shape (2, n_edges) and weights of shape (n_edges,), or None for
        weights of 1.
    n_nodes : int or None
        Number of nodes of the data; None takes the graph's own.
    nodes : iterable of hashable, optional
        Names of the nodes of the data, in its order.

    Returns
    -------
    Graph
        Over exactly ``n_nodes`` nodes, in the order of ``nodes``.

    Raises
    ------
    GraphError
        If the graph has the wrong size, a name that fits nothing, or a weight that is negative, NaN or
        infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from stmest.graphs import as_graph
    >>> as_graph((np.array([[0, 1], [1, 2]]), None), n_nodes=3, nodes=["a", "b", "c"])
    Graph(n_nodes=3, n_edges=2, nodes=['a', 'b', 'c'])
    """
    names = None if nodes is None else list(nodes)
    if n_nodes is None and names is not None:
        n_nodes = len(names)
    return _over_data(_read(obj, n_nodes), n_nodes, names, obj)


def is_graph_like(obj: Any) -> bool:
    """Whether an object looks like a graph rather than like a target.

    Parameters
    ----------
    obj : object
        Anything; only its type and shape are looked at, not its values.

    Returns
    -------
    bool
        True for a Graph, a scipy sparse matrix, a networkx or torch_geometric graph, a tuple
        ``(edge_index, edge_weight)``, and every square matrix: array, DataFrame, tensor or list of lists.
    """
    if isinstance(obj, Graph) or sparse.issparse(obj) or _is_networkx(obj) or hasattr(obj, "edge_index"):
        return True
    if _is_edge_tuple(obj):
        return True
    if isinstance(obj, (list, tuple)):
        return len(obj) > 0 and all(isinstance(row, (list, tuple)) and len(row) == len(obj) for row in obj)
    shape = getattr(obj, "shape", None)
    return isinstance(shape, tuple) and len(shape) == 2 and shape[0] == shape[1] and shape[0] > 0


def _read(obj: Any, n_nodes: int | None) -> Graph:
    """Return the graph in its own order, with its own names."""
    if isinstance(obj, Graph):
        return obj
    if isinstance(obj, pd.DataFrame):
        return _from_frame(obj)
    if _is_networkx(obj):
        return _from_networkx(obj)
    if hasattr(obj, "edge_index"):
        return _from_geometric(obj, n_nodes)
    if _is_edge_tuple(obj):
        return _from_edges(obj[0], obj[1], n_nodes)
    if hasattr(obj, "to_sparse_coo") and hasattr(obj, "layout"):  # a torch tensor, dense or sparse
        return _from_tensor(obj)
    if obj is None or isinstance(obj, (str, bytes, Mapping)):
        raise GraphError(f"adj must be {_ACCEPTED}; got {type(obj).__name__} {obj!r:.60}.")
    return Graph(obj)


def _over_data(graph: Graph, n_nodes: int | None, names: list[Hashable] | None, given: Any) -> Graph:
    """Order the graph as the data: by name where both sides have names, by position otherwise."""
    by_position = graph.nodes is None
    if graph.nodes is not None:
        by_name = names is not None and positions_of(names, graph.nodes) is not None
        places = None if by_name else _as_positions(graph.nodes)
        if places is not None:
            ordered = graph.aligned([graph.nodes[i] for i in np.argsort(places)])
            graph = Graph(ordered.adjacency, coordinates=ordered.coordinates)
            by_position = True
        elif names is not None:
            if n_nodes is not None and len(names) != n_nodes:
                raise GraphError(
                    f"{len(names)} names were given for {n_nodes} nodes of the data; give one each."
                )
            return graph if graph.nodes == names else graph.aligned(names)
    if n_nodes is not None and graph.n_nodes != n_nodes:
        raise GraphError(
            f"adj must be a square matrix of shape (n_nodes, n_nodes) = ({n_nodes}, {n_nodes}), one row and "
            f"column per node of X, but {_described(given)} has {graph.n_nodes} nodes. Give the graph of "
            "exactly these nodes in the order of X's columns, or a labelled graph (DataFrame or Graph(adj, "
            "nodes=[...])) together with an X whose columns are named, and it is aligned by name. "
            f"{SLICING_TRAP}"
        )
    if by_position and names is not None and graph.nodes != names:
        return Graph(graph.adjacency, names, graph.coordinates)
    return graph


def _as_positions(nodes: list[Hashable]) -> np.ndarray | None:
    """Return the names as integers if they are a permutation of 0 .. n-1, else None."""
    if not all(isinstance(name, (int, np.integer)) and not isinstance(name, bool) for name in nodes):
        return None
    places = np.array(nodes, dtype=np.int64)
    return places if np.array_equal(np.sort(places), np.arange(len(places))) else None


def _from_frame(frame: pd.DataFrame) -> Graph:
    check_square(frame.shape)
    rows, columns = list(frame.index), list(frame.columns)
    unlabelled = [labels == list(range(len(frame))) for labels in (rows, columns)]
    if all(unlabelled):
        return Graph(frame.to_numpy())
    if unlabelled[0]:  # DataFrame(matrix, columns=names): the rows follow the columns
        return Graph(frame.to_numpy(), columns)
    if unlabelled[1]:
        return Graph(frame.to_numpy(), rows)
    Graph(
        sparse.csr_array(frame.shape), columns
    )  # checks that the names are unique before they are looked up
    order = positions_of(rows, columns)
    if order is None:
        raise GraphError(
            f"An adjacency DataFrame of shape {frame.shape} must name the same nodes in its index and its "
            f"columns, got index {show_names(rows)} and columns {show_names(columns)}. Set one from the "
            "other: adj.index = adj.columns, if the rows are in the order of the columns."
        )
    return Graph(frame.to_numpy()[:, order], rows)


def _is_networkx(obj: Any) -> bool:
    return hasattr(obj, "adj") and hasattr(obj, "nodes") and hasattr(obj, "is_multigraph")


def _from_networkx(obj: Any) -> Graph:
    """Read a (Di)Graph or Multi(Di)Graph; its node order is the order of insertion."""
    names = list(obj.nodes)
    position = {name: i for i, name in enumerate(names)}
    rows, columns, weights = [], [], []
    for source, neighbours in obj.adj.items():
        for target, attributes in neighbours.items():
            parallel = attributes.values() if obj.is_multigraph() else [attributes]
            for edge in parallel:
                rows.append(position[source])
                columns.append(position[target])
                weights.append(_networkx_weight(edge.get("weight", 1.0), source, target))
    matrix = sparse.coo_array((weights, (rows, columns)), shape=(len(names), len(names)), dtype=np.float64)
    places = [data.get("pos") for _, data in obj.nodes(data=True)]
    located = bool(places) and all(place is not None and len(place) == 2 for place in places)
    return Graph(matrix, names, places if located else None)


def _networkx_weight(weight: Any, source: Hashable, target: Hashable) -> float:
    try:
        return float(weight)
    except (TypeError, ValueError) as error:
        raise GraphError(
            f"The networkx edge {source!r} -> {target!r} has weight={weight!r}, which is no number; set a "
            "number >= 0 or remove the attribute, which then counts as 1."
        ) from error


def _from_geometric(obj: Any, n_nodes: int | None) -> Graph:
    """Read a torch_geometric Data: edge_index row 0 holds the sources."""
    if obj.edge_index is None:
        raise GraphError(
            f"The {type(obj).__name__} has no edge_index, which holds the edges as (source, target) pairs "
            "of shape (2, n_edges). A graph moved to adj_t by ToSparseTensor is passed as data.adj_t.t() "
            "instead."
        )
    found = ((name, getattr(obj, name, None)) for name in ("edge_weight", "weight", "edge_attr"))
    name, weight = next(((name, value) for name, value in found if value is not None), ("edge_weight", None))
    if weight is not None:
        weight = _to_numpy(weight)
        if weight.ndim == 2 and weight.shape[1] == 1:
            weight = weight[:, 0]
        if weight.ndim != 1:
            raise GraphError(
                f"{name} has shape {weight.shape}, so it is not clear which column is the weight of an "
                "edge. Set data.edge_weight to the one to use, of shape (n_edges,)."
            )
    place = getattr(obj, "pos", None)
    place = None if place is None else _to_numpy(place)
    features = getattr(obj, "x", None)
    own: int | None
    if "num_nodes" in obj:  # stated by the user; the inferred value misses isolated nodes at the end
        own = int(obj.num_nodes)
    else:
        own = next((len(value) for value in (features, place) if value is not None), n_nodes)
    graph = _from_edges(obj.edge_index, weight, own)
    located = place is not None and place.shape == (graph.n_nodes, 2)
    return Graph(graph.adjacency, coordinates=place) if located else graph


def _is_edge_tuple(obj: Any) -> bool:
    if not (isinstance(obj, tuple) and len(obj) == 2):
        return False
    shape = getattr(obj[0], "shape", None)
    if shape is None and isinstance(obj[0], (list, tuple)) and len(obj[0]) == 2:
        return all(isinstance(row, (list, tuple, np.ndarray)) for row in obj[0])
    return shape is not None and len(shape) == 2 and shape[0] == 2


def _from_edges(edge_index: Any, edge_weight: Any, n_nodes: int | None) -> Graph:
    index = _to_numpy(edge_index)
    if index.ndim != 2 or len(index) != 2 or (index.size and index.dtype.kind not in "iu"):
        raise GraphError(
            "edge_index must hold integers in the shape (2, n_edges), sources above targets, got dtype "
            f"{index.dtype} and shape {index.shape}."
        )
    index = index.astype(np.int64)
    weight = np.ones(index.shape[1]) if edge_weight is None else _to_numpy(edge_weight)
    if weight.shape != (index.shape[1],):
        raise GraphError(
            f"edge_weight must have one entry per edge, shape ({index.shape[1]},), got shape "
            f"{weight.shape}. Pass None for weights of 1."
        )
    size = n_nodes if n_nodes is not None else (int(index.max()) + 1 if index.size else 0)
    if index.size and (index.min() < 0 or index.max() >= size):
        raise GraphError(
            f"edge_index of shape {index.shape} must name nodes from 0 to {size - 1} (there are {size}), "
            f"but holds values from {index.min()} to {index.max()}. Number the nodes by their position "
            "among X's columns."
        )
    return Graph(sparse.coo_array((weight, (index[0], index[1])), shape=(size, size)))


def _from_tensor(tensor: Any) -> Graph:
    """Read a torch tensor; a sparse one is never made dense."""
    if not getattr(tensor, "is_sparse", False) and "sparse" not in str(tensor.layout):
        return Graph(_to_numpy(tensor))
    check_square(tuple(tensor.shape))
    coo = tensor.detach().to_sparse_coo().coalesce()
    return _from_edges(coo.indices(), coo.values(), int(tensor.shape[0]))


def _to_numpy(values: Any) -> np.ndarray:
    """Return an array or tensor, on any device and with or without gradient, as an ndarray."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":  # unknown to numpy
            values = values.float()
        return values.numpy()
    return np.asarray(values)


def _described(given: Any) -> str:
    shape = getattr(given, "shape", None)
    size = f" of shape {tuple(shape)}" if isinstance(shape, tuple) else ""
    return f"the {type(given).__name__}{size}"
