"""Turns every graph container into a :class:`~stmest.graphs.graph.Graph`, once, at the border of the library.

Builds on :mod:`stmest.graphs.graph`; the forecasters call :func:`as_graph` in ``fit`` and
:func:`is_graph_like` to distinguish a graph from a target. None of networkx, torch_geometric, libpysal, polars and torch
is imported: their objects are known by their attributes.

Names: a graph without names is taken by position and receives the names of the data; a named graph meets
named data by name, whatever the order, and may hold more nodes than the data; a named graph meets nameless
data by position. Names that are just the positions 0 .. n-1 (networkx's default labels, say) count as
positions, in whichever order they are stored, unless the data use these very names.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Mapping
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from ..exceptions import GraphError
from .edge_tables import edge_columns, graph_from_edge_table, role_of, weighted_edges
from .graph import SLICING_TRAP, Graph, check_square
from .names import positions_of, show_names

__all__ = ["as_graph", "is_graph_like"]

_ACCEPTED = (
    "a dense array, a labelled DataFrame, an edge list (a DataFrame with the columns source, target and weight), a scipy "
    "sparse array, a networkx graph, a torch_geometric Data, a libpysal Graph or W, a tuple (edge_index, edge_weight), a "
    "triple (ids, id_to_index, matrix) or a stmest Graph"
)


def as_graph(obj: Any, n_nodes: int | None, nodes: Iterable[Hashable] | None = None) -> Graph:
    """Return any graph container as a Graph over the nodes of the data.

    Edges listed more than once, in any container, are summed. ``[i, j]``, ``(i, j)`` and ``edge_index[:, e] =
    (i, j)`` all mean the edge ``i -> j``; an undirected networkx graph gives both directions.

    Parameters
    ----------
    obj : array-like, DataFrame, scipy sparse, networkx, torch_geometric or libpysal graph, tuple, tensor or Graph
        The graph. A DataFrame names its nodes in index and columns, in any order; or it is an edge list, with columns such
        as ``source``, ``target`` and ``weight``, or ``from``, ``to`` and ``distance``. networkx weights are read
        from the edge attribute ``weight`` (1 where absent) and positions from the node attribute ``pos``;
        torch_geometric weights from ``edge_weight``, ``weight`` or ``edge_attr`` and positions from ``pos``.
        Where these have no weights but distances (``distance``, ``length``, ``cost``), weights are a Gaussian
        kernel of them, as in `graph_from_distances`. Row i of a libpysal graph is node i and its neighbours.
        A tuple holds an ``edge_index`` of shape (2, n_edges) and weights of shape (n_edges,), or None for
        weights of 1; a triple (ids, id_to_index, matrix) is what files called adj_mx.pkl hold.
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

    Warns
    -----
    UserWarning
        If weights are computed from distances, or an edge list names nodes that the data lack.

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
    return _over_data(_read(obj, n_nodes, names), n_nodes, names, obj)


def is_graph_like(obj: Any) -> bool:
    """Whether an object looks like a graph rather than like a target.

    Parameters
    ----------
    obj : object
        Anything; only its type and shape are looked at, not its values.

    Returns
    -------
    bool
        True for a Graph, a scipy sparse matrix, a networkx, torch_geometric or libpysal graph, a tuple
        ``(edge_index, edge_weight)``, a triple ``(ids, id_to_index, matrix)``, a DataFrame that is an edge list, and every
        square matrix: array, DataFrame, tensor or list of lists.
    """
    if isinstance(obj, Graph) or sparse.issparse(obj) or _is_networkx(obj) or hasattr(obj, "edge_index"):
        return True
    if _is_edge_tuple(obj) or _is_triple(obj) or _is_libpysal(obj) or _is_edge_table(obj):
        return True
    if isinstance(obj, (list, tuple)):
        return len(obj) > 0 and all(isinstance(row, (list, tuple)) and len(row) == len(obj) for row in obj)
    shape = getattr(obj, "shape", None)
    return isinstance(shape, tuple) and len(shape) == 2 and shape[0] == shape[1] and shape[0] > 0


def _read(obj: Any, n_nodes: int | None, names: list[Hashable] | None) -> Graph:
    """Return the graph in its own order, with its own names."""
    if isinstance(obj, Graph):
        return obj
    if _is_edge_table(obj):
        known = names if names is not None or n_nodes is None else list(range(n_nodes))
        return graph_from_edge_table(_as_frame(obj), known)
    if isinstance(obj, pd.DataFrame):
        return _from_frame(obj)
    if _is_networkx(obj):
        return _from_networkx(obj)
    if hasattr(obj, "edge_index"):
        return _from_geometric(obj, n_nodes)
    if _is_libpysal(obj):
        return Graph(obj.sparse, list(obj.unique_ids if hasattr(obj, "unique_ids") else obj.id_order))
    if _is_triple(obj):
        return _from_triple(*obj)
    if _is_edge_tuple(obj):
        return _from_edges(obj[0], obj[1], n_nodes)
    if hasattr(obj, "to_sparse_coo") and hasattr(obj, "layout"):  # a torch tensor, dense or sparse
        return _from_tensor(obj)
    if obj is None or isinstance(obj, (str, bytes, Mapping, PathLike)):
        hint = " stmest.io.graphs.read_graph reads files." if isinstance(obj, (str, PathLike)) else ""
        raise GraphError(f"adj must be {_ACCEPTED}; got {type(obj).__name__} {obj!r:.60}.{hint}")
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


def _is_edge_table(obj: Any) -> bool:
    """Whether it is a table of pandas or polars with the columns of an edge list, and no labelled matrix."""
    if isinstance(obj, pd.DataFrame):
        labelled = obj.columns.nlevels > 1 or list(obj.index) == list(obj.columns)
        return not labelled and edge_columns(list(obj.columns)) is not None
    columns = getattr(obj, "columns", None)
    return isinstance(columns, list) and hasattr(obj, "get_column") and edge_columns(columns) is not None


def _as_frame(obj: Any) -> pd.DataFrame:
    if isinstance(obj, pd.DataFrame):
        return obj
    return pd.DataFrame({name: obj[name].to_list() for name in obj.columns})


def _is_libpysal(obj: Any) -> bool:
    """Whether it is a Graph or a W of libpysal."""
    return (
        hasattr(obj, "sparse")
        and hasattr(obj, "neighbors")
        and (hasattr(obj, "unique_ids") or hasattr(obj, "id_order"))
    )


def _is_triple(obj: Any) -> bool:
    """Whether it is (ids, id_to_index, matrix), as the files of DCRNN hold it."""
    if not (isinstance(obj, (tuple, list)) and len(obj) == 3 and isinstance(obj[1], Mapping)):
        return False
    matrix = obj[2]
    if isinstance(matrix, (list, tuple)):
        return len(matrix) > 0 and all(
            isinstance(row, (list, tuple)) and len(row) == len(matrix) for row in matrix
        )
    return len(getattr(matrix, "shape", ())) == 2


def _from_triple(ids: Any, position: Mapping[Hashable, Any], matrix: Any) -> Graph:
    """Read (ids, id_to_index, matrix); the indexes say which row belongs to which name."""
    matrix = np.asarray(matrix, dtype=np.float64) if isinstance(matrix, (list, tuple)) else matrix
    names = sorted(position, key=lambda name: int(position[name]))
    if [int(position[name]) for name in names] != list(range(matrix.shape[0])) or set(ids) != set(names):
        raise GraphError(
            f"the triple (ids, id_to_index, matrix) holds {len(ids)} ids, {len(position)} indexes and a matrix of shape "
            f"{tuple(matrix.shape)}; needed: one id and one index from 0 for each row of the matrix."
        )
    return Graph(matrix, names)


def _is_networkx(obj: Any) -> bool:
    return hasattr(obj, "adj") and hasattr(obj, "nodes") and hasattr(obj, "is_multigraph")


def _from_networkx(obj: Any) -> Graph:
    """Read a (Di)Graph or Multi(Di)Graph; its node order is the order of insertion."""
    names = list(obj.nodes)
    position = {name: i for i, name in enumerate(names)}
    edges = [
        (source, target, attributes)
        for source, neighbours in obj.adj.items()
        for target, parallel in neighbours.items()
        for attributes in (parallel.values() if obj.is_multigraph() else [parallel])
    ]
    role, key = _attribute({name for *_, attributes in edges for name in attributes})
    _mention_unused(key, [attributes for *_, attributes in edges])
    weights = np.array([_networkx_weight(edge, source, target, key) for source, target, edge in edges])
    ends = np.array([[position[edge[side]] for edge in edges] for side in (0, 1)], dtype=np.int64).reshape(
        2, -1
    )
    matrix = _of_role(ends, weights, role, key, len(names)).adjacency
    places = [data.get("pos") for _, data in obj.nodes(data=True)]
    located = bool(places) and all(place is not None and len(place) == 2 for place in places)
    return Graph(matrix, names, places if located else None)


def _attribute(names: Iterable[Hashable]) -> tuple[str, str]:
    """What the edges of a graph are weighted by, and the attribute that holds it: ``weight`` itself comes first."""
    found = sorted((role_of(name) or "", str(name)) for name in names)
    by_role = {role: [name for known, name in found if known == role] for role in ("weight", "distance")}
    if "weight" in by_role["weight"]:
        return "weight", "weight"
    for role, keys in by_role.items():
        if len(keys) > 1:
            raise GraphError(
                f"the edge attributes {show_names(keys)} can all hold the {role}s; set one of them as the attribute 'weight'."
            )
        if keys:
            return role, keys[0]
    return "weight", "weight"


def _mention_unused(key: str, attributes: list[Mapping[str, Any]]) -> None:
    """Say in one line that all weights are 1, although edges have numbers of another name."""
    if any(key in edge for edge in attributes):
        return
    numbers = sorted(
        {
            str(name)
            for edge in attributes
            for name, value in edge.items()
            if isinstance(value, (int, float, np.number))
        }
    )
    if numbers:
        warnings.warn(
            f"all weights are 1; edge attributes that are not used: {show_names(numbers)}. If one holds the weights, set it as "
            "the attribute 'weight', or 'distance' if near nodes have small numbers.",
            UserWarning,
            stacklevel=5,
        )


def _of_role(ends: np.ndarray, values: np.ndarray, role: str, key: str, n_nodes: int) -> Graph:
    """The graph of edges whose values are weights or distances, with a word on the latter."""
    notes: list[str] = []
    graph = weighted_edges(ends, values, role == "distance", range(n_nodes), key, notes)
    for note in notes:
        warnings.warn(f"edge attribute {note}.", UserWarning, stacklevel=5)
    return graph


def _networkx_weight(attributes: Mapping[str, Any], source: Hashable, target: Hashable, key: str) -> float:
    value = attributes.get(key, 1.0 if key == "weight" else None)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        otherwise = " or remove the attribute, which then counts as 1" if key == "weight" else ""
        raise GraphError(
            f"The networkx edge {source!r} -> {target!r} has {key}={value!r}, which is no number; set a number >= 0{otherwise}."
        ) from error


def _from_geometric(obj: Any, n_nodes: int | None) -> Graph:
    """Read a torch_geometric Data: edge_index row 0 holds the sources."""
    if obj.edge_index is None:
        raise GraphError(
            f"The {type(obj).__name__} has no edge_index, which holds the edges as (source, target) pairs "
            "of shape (2, n_edges). A graph moved to adj_t by ToSparseTensor is passed as data.adj_t.t() "
            "instead."
        )
    n_edges = _to_numpy(obj.edge_index).shape[-1]
    role, other = _attribute(
        name for name, value in obj.to_dict().items() if np.shape(value)[:1] == (n_edges,)
    )
    wanted = dict.fromkeys(("edge_weight", "weight", "edge_attr", other))
    found = ((name, getattr(obj, name, None)) for name in wanted)
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
    if role == "distance" and name == other:
        graph = _of_role(
            _to_numpy(obj.edge_index), np.asarray(weight, dtype=np.float64), "distance", name, graph.n_nodes
        )
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
