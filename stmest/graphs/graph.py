"""`Graph`, which holds every graph of stmest.

Every container a user may bring (see :mod:`stmest.graphs.adapters`) ends as a :class:`Graph`: one checked
sparse adjacency with optional node names and coordinates. Forecasters give its dense adjacency to the networks,
which see neither scipy nor this class.

Direction: ``adjacency[i, j]`` is the weight of the edge ``i -> j``; information flows from ``i`` to ``j``.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import scipy.linalg
from scipy import sparse
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from ..exceptions import GraphError, ParameterError
from .names import checked_names, positions_of, show_names

__all__ = ["Graph"]

# Up to this many nodes a full symmetric solver is quick and exact; above it only a few vectors are iterated
# for.
_DENSE_EIGEN_LIMIT = 1500

SLICING_TRAP = (
    "If the matrix went through GridSearchCV, cross_validate or a Pipeline as a fit parameter while "
    "n_nodes == n_times, scikit-learn sliced its rows together with those of X: wrap it as Graph(adj), "
    "which is never sliced, or pass it to the constructor of the forecaster."
)


class Graph:
    """Weighted directed graph over the nodes (columns) of a panel.

    Deliberately not array-like: without ``__len__``, ``shape``, ``__array__`` and ``__iter__`` scikit-learn
    never mistakes it for a parameter with one entry per row of X, and so never slices it in cross-validation.

    Parameters
    ----------
    adjacency : array-like or scipy sparse array/matrix of shape (n_nodes, n_nodes)
        ``adjacency[i, j]`` is the weight of the edge ``i -> j``: finite, not negative, 0 where there is no
        edge. Entries stored twice in a sparse matrix are summed. Self-loops are kept. For a matrix of the
        opposite convention pass its transpose.
    nodes : sequence of hashable, optional
        One unique name per node, used to align the graph with labelled data.
    coordinates : array-like of shape (n_nodes, 2), optional
        Position of every node: (latitude, longitude) in degrees or any planar (x, y).

    Attributes
    ----------
    adjacency : scipy.sparse.csr_array of shape (n_nodes, n_nodes), float32
        Sorted, without stored zeros or duplicates. To be read, not changed.
    nodes : list or None
        Node names in the order of the rows.
    coordinates : ndarray of shape (n_nodes, 2), float64, or None
        Node positions.

    Examples
    --------
    >>> from stmest.graphs import Graph
    >>> graph = Graph([[0, 2], [0, 0]], nodes=["a", "b"])
    >>> graph
    Graph(n_nodes=2, n_edges=1, nodes=['a', 'b'])
    >>> graph.edges()[0].tolist()
    [[0], [1]]
    """

    __hash__ = None  # type: ignore[assignment]  # equality looks at array contents

    def __init__(
        self, adjacency: Any, nodes: Iterable[Hashable] | None = None, coordinates: Any = None
    ) -> None:
        self.adjacency: sparse.csr_array = _checked_adjacency(adjacency)
        self.nodes: list[Hashable] | None = checked_names(nodes, self.n_nodes)
        self.coordinates: np.ndarray | None = _checked_coordinates(coordinates, self.n_nodes)

    @property
    def n_nodes(self) -> int:
        """Number of nodes, isolated ones included."""
        return int(self.adjacency.shape[0])

    @property
    def n_edges(self) -> int:
        """Number of directed edges, self-loops included; an undirected edge counts twice."""
        return int(self.adjacency.nnz)

    @property
    def density(self) -> float:
        """Share of the ``n_nodes ** 2`` possible directed edges that exist, between 0 and 1."""
        return self.n_edges / max(1, self.n_nodes**2)

    def to_dense(self) -> np.ndarray:
        """Return the adjacency as a new dense array of shape (n_nodes, n_nodes), float32."""
        return self.adjacency.toarray()

    def edges(self) -> tuple[np.ndarray, np.ndarray]:
        """Return all edges, ordered by source and then by target.

        Returns
        -------
        edge_index : ndarray of shape (2, n_edges), int64
            Row 0 holds the sources, row 1 the targets, as in torch_geometric.
        edge_weight : ndarray of shape (n_edges,), float32
            Weight of every edge.
        """
        coo = self.adjacency.tocoo()
        return np.stack([coo.row, coo.col]).astype(np.int64), coo.data.astype(np.float32)

    def aligned(self, nodes: Iterable[Hashable]) -> Graph:
        """Return this graph with exactly these nodes in this order.

        Names that differ only in type (``7`` and ``"7"``) are taken as equal when that is unambiguous. Nodes
        of the graph that are not asked for are left out together with their edges.

        Parameters
        ----------
        nodes : iterable of hashable
            Unique names, each of which must be a node of the graph.

        Returns
        -------
        Graph
            A new graph whose rows follow ``nodes``.

        Raises
        ------
        GraphError
            If the graph has no names, or a name is unknown or repeated.
        """
        wanted = list(nodes)
        if self.nodes is None:
            raise GraphError(
                f"A graph of {self.n_nodes} nodes without names cannot be aligned to {show_names(wanted)}. "
                "Name its nodes: Graph(adj, nodes=[...]), in the order of its rows."
            )
        checked_names(wanted, len(wanted))
        order = positions_of(wanted, self.nodes)
        if order is None:
            known = set(self.nodes)
            unknown = [name for name in wanted if name not in known]
            raise GraphError(
                f"{len(unknown)} of {len(wanted)} nodes of the data are unknown to the graph: "
                f"{show_names(unknown)}. The graph names {self.n_nodes} nodes: {show_names(self.nodes)}. "
                "Every column of X must be a node of the graph under the same name: rename the nodes, or "
                "drop these columns, or pass the bare matrix (no labels) in the order of the columns."
            )
        coordinates = None if self.coordinates is None else self.coordinates[order]
        return Graph(self.adjacency[order][:, order], wanted, coordinates)

    def eigenvectors(self, k: int) -> np.ndarray:
        """Return the smoothest non-trivial eigenvectors of the normalised Laplacian.

        The Laplacian is ``I - D^(-1/2) W D^(-1/2)`` with ``W = (A + A') / 2`` without its diagonal and ``D``
        the row sums of ``W``; a node without edges keeps the row of ``I``, so its eigenvalue 1 puts it behind
        the smooth vectors instead of filling them. The trivial vector ``D^(1/2) 1`` (eigenvalue 0) is
        projected out. What a graph of several components has in its null space besides that vector distinguishes
        the components and is kept.

        Parameters
        ----------
        k : int
            Number of vectors, at least 0.

        Returns
        -------
        ndarray of shape (n_nodes, k), float32
            Orthonormal columns by rising eigenvalue, the entry of largest size positive in each; columns
            beyond the ``n_nodes - 1`` existing ones are 0.
        """
        if k < 0:
            raise ParameterError(f"k must be an int >= 0 (number of eigenvectors), got {k!r}.")
        n = self.n_nodes
        n_found = min(k, n - 1)
        out = np.zeros((n, k), dtype=np.float32)
        if n_found > 0:
            smoother, trivial = self._normalised()
            out[:, :n_found] = _sign_fixed(_smoothest(smoother, trivial, n_found))
        return out

    def _normalised(self) -> tuple[sparse.csr_array, np.ndarray]:
        """Return ``D^(-1/2) W D^(-1/2)`` and its unit eigenvector of eigenvalue 1 (0 without edges)."""
        weights = self.adjacency.astype(np.float64)
        weights = (weights + weights.T) / 2
        weights = weights - sparse.diags_array(weights.diagonal())
        degree = np.asarray(weights.sum(axis=1)).ravel()
        root = np.sqrt(degree)
        inverse = np.divide(1.0, root, out=np.zeros_like(root), where=root > 0)
        scale = sparse.diags_array(inverse)
        length = np.linalg.norm(root)
        return sparse.csr_array(scale @ weights @ scale), root / length if length else root

    def __repr__(self) -> str:
        names = "" if self.nodes is None else f", nodes={show_names(self.nodes)}"
        return f"Graph(n_nodes={self.n_nodes}, n_edges={self.n_edges}{names})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Graph):
            return NotImplemented
        mine, theirs = self.adjacency, other.adjacency
        return (
            self.nodes == other.nodes
            and mine.shape == theirs.shape
            and np.array_equal(mine.indptr, theirs.indptr)
            and np.array_equal(mine.indices, theirs.indices)
            and np.array_equal(mine.data, theirs.data)
            and _equal_or_none(self.coordinates, other.coordinates)
        )


def check_square(shape: tuple[int, ...]) -> None:
    """Raise a GraphError unless the shape is that of a square matrix."""
    if len(shape) == 2 and shape[0] == shape[1]:
        return
    hint = ""
    if len(shape) == 2 and shape[0] == 2:
        hint = " An edge list is given as the tuple (edge_index, edge_weight); edge_weight may be None."
    raise GraphError(
        f"An adjacency must be a square matrix of shape (n_nodes, n_nodes), got shape {tuple(shape)}.{hint} "
        f"{SLICING_TRAP}"
    )


def _checked_adjacency(adjacency: Any) -> sparse.csr_array:
    """Return the adjacency as a canonical float32 CSR array, or raise a GraphError."""
    given = adjacency if sparse.issparse(adjacency) else _as_array(adjacency)
    check_square(given.shape)
    if given.dtype.kind not in "bfiu":
        raise GraphError(
            f"An adjacency must hold real numbers, got dtype {given.dtype} with shape {tuple(given.shape)}. "
            "Convert it to floats first."
        )
    coo = sparse.coo_array(given)
    _check_weights(coo)
    # Built from triples in float64, so that every format sums its duplicates, and sums them before rounding.
    csr = sparse.csr_array((coo.data.astype(np.float64), (coo.row, coo.col)), shape=coo.shape)
    with np.errstate(over="ignore"):  # reported below, in words
        out = csr.astype(np.float32)
    if not np.isfinite(out.data).all():
        raise GraphError(
            f"Edge weights up to {csr.data.max():.3g} do not fit into float32. Rescale them, for example to "
            "at most 1."
        )
    out.eliminate_zeros()
    out.sort_indices()
    return out


def _as_array(adjacency: Any) -> np.ndarray:
    try:
        return np.asarray(adjacency)
    except ValueError as error:
        raise GraphError(
            f"A {type(adjacency).__name__} could not be read as a matrix ({error}). Give a square matrix of "
            "numbers with rows of equal length."
        ) from error


def _check_weights(coo: sparse.coo_array) -> None:
    for bad, what, remedy in (
        (~np.isfinite(coo.data), "NaN or infinite", "Set them to 0 where there is no edge"),
        (coo.data < 0, "negative", "Use non-negative weights, for example abs(adj) or np.clip(adj, 0, None)"),
    ):
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            raise GraphError(
                f"The adjacency of shape {tuple(coo.shape)} has {int(bad.sum())} {what} weight(s), the "
                f"first one {coo.data[first]} on the edge {coo.row[first]} -> {coo.col[first]}; weights "
                f"must be finite and >= 0. {remedy}."
            )


def _checked_coordinates(coordinates: Any, n_nodes: int) -> np.ndarray | None:
    if coordinates is None:
        return None
    out = np.array(coordinates, dtype=np.float64)
    if out.shape != (n_nodes, 2):
        raise GraphError(
            f"coordinates must have shape (n_nodes, 2) = ({n_nodes}, 2), got {out.shape}: one (latitude, "
            "longitude) or (x, y) per node."
        )
    if not np.isfinite(out).all():
        raise GraphError(
            f"coordinates of shape {out.shape} hold NaN or infinity; give every node a position, or none at "
            "all."
        )
    return out


def _smoothest(smoother: sparse.csr_array, trivial: np.ndarray, k: int) -> np.ndarray:
    """Return the k leading eigenvectors (n, k) of ``smoother`` after moving the trivial one to the far end.

    Subtracting ``3 t t'`` turns the eigenvalue 1 of the trivial vector t into -2, below all others (they lie in
    [-1, 1]), and changes no other eigenpair; the rest stays well defined when the graph has several components.
    """
    n = len(trivial)
    if n > _DENSE_EIGEN_LIMIT and k < n // 4:

        def apply(x: np.ndarray) -> np.ndarray:
            x = np.asarray(x).ravel()
            return smoother @ x - 3 * trivial * (trivial @ x)

        # A fixed start vector: ARPACK would otherwise choose one at random and differ from run to run.
        start = np.random.default_rng(0).standard_normal(n)
        try:
            values, vectors = eigsh(
                LinearOperator((n, n), matvec=apply, dtype=np.float64), k=k, which="LA", v0=start
            )
            return vectors[:, np.argsort(-values)]
        except ArpackNoConvergence:
            pass  # eigenvalues of long thin graphs lie too close together to iterate: solve exactly
    dense = smoother.toarray() - 3 * np.outer(trivial, trivial)
    _, vectors = scipy.linalg.eigh(dense, subset_by_index=[n - k, n - 1])
    return vectors[:, ::-1]


def _sign_fixed(vectors: np.ndarray) -> np.ndarray:
    """Flip each column so that its entry of largest size, the first one among ties, is positive."""
    size = np.abs(vectors)
    lead = np.argmax(size >= size.max(axis=0) - 1e-6, axis=0)
    sign = np.sign(vectors[lead, np.arange(vectors.shape[1])])
    return vectors * np.where(sign == 0, 1.0, sign)


def _equal_or_none(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is b if a is None or b is None else np.array_equal(a, b)
