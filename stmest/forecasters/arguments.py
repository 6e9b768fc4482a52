"""Which of the graphs given to a forecaster is used.

Builds on `data` and `graphs`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..data.panel import Panel
from ..exceptions import DataError, GraphError
from ..graphs import Graph, as_graph, is_graph_like

__all__ = ["choose_graph", "graph_of_warm_start"]


def choose_graph(panel: Panel, y: Any, adj: Any, default: Any) -> Graph | None:
    """The graph to use: fit's `adj`, a graph in the place of y, or the constructor's.

    Parameters
    ----------
    panel : Panel
        Training data.
    y, adj : Any
        What `fit` was given.
    default : Any
        The constructor's `adj`.

    Returns
    -------
    Graph or None
        The graph of the panel's nodes, None where none was given.

    Raises
    ------
    GraphError
        If it does not fit the nodes, or if y may be a graph or a target.
    DataError
        If y is neither a graph nor a target.
    """
    n_times, n_nodes = panel.values.shape[:2]
    if y is not None:
        y_shape = _shape_of(y)
        square = y_shape == (n_nodes, n_nodes)
        if square and n_times == n_nodes and adj is None:
            raise GraphError(
                f"fit(X, y) is ambiguous: y has shape {y_shape}, and X has as many rows as nodes. "
                "Write fit(X, adj=...) for a graph."
            )
        if is_graph_like(y) and (y_shape is None or y_shape[0] != n_times or len(set(y_shape)) > 1):
            adj = y if adj is None else adj
        elif y_shape is None or y_shape[0] != n_times:
            raise DataError(
                f"y of type {type(y).__name__}{'' if y_shape is None else f' and shape {y_shape}'} is neither a "
                f"graph of {n_nodes} nodes nor a scikit-learn target (which is ignored); forecasters learn from X."
            )
    adj = default if adj is None else adj
    return None if adj is None else as_graph(adj, n_nodes, panel.nodes)


def graph_of_warm_start(graph: Graph | None, known: Graph | None) -> Graph | None:
    """The graph of a warm start: the one of the first fit.

    Parameters
    ----------
    graph, known : Graph or None
        The graph given now, and the graph of the first fit.

    Returns
    -------
    Graph or None
        `known`.

    Raises
    ------
    GraphError
        If another graph is given now.
    """
    if graph is not None and (known is None or (graph.adjacency != known.adjacency).nnz):
        raise GraphError("warm_start=True continues with the graph of the first fit; fit anew to change it.")
    return known


def _shape_of(y: Any) -> tuple[int, ...] | None:
    """Shape of an array, frame or list with at least one axis; None for anything else."""
    if not isinstance(y, (np.ndarray, pd.DataFrame, pd.Series, list)):
        return None
    try:
        return np.shape(y) or None
    except ValueError:  # a list of lists of different lengths
        return None
