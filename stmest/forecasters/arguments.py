"""What a forecaster is given: which of several graphs it uses, and what it cannot use.

Builds on `data` and `graphs`.
"""

from __future__ import annotations

import warnings
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from ..data.panel import Panel
from ..data.time_index import kind_of_times
from ..exceptions import DataError, DataTypeError, GraphError
from ..graphs import Graph, as_graph, is_graph_like

__all__ = [
    "choose_graph",
    "given_times",
    "graph_of_warm_start",
    "refuse_number",
    "refuse_target",
    "warn_of_earlier_rows",
    "warn_of_folds",
]


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
        If it does not fit the nodes, or if y may be a graph or values.
    DataError
        If y is no graph.
    """
    n_times, n_nodes = panel.values.shape[:2]
    if y is not None:
        shape = _shape_of(y)
        if adj is None and shape == (n_nodes, n_nodes) and n_times == n_nodes:
            raise GraphError(
                f"fit(X, y) is ambiguous: y has shape {shape}, and X has as many rows as nodes. "
                "Write fit(X, adj=...) for a graph."
            )
        if not is_graph_like(y) or shape == (n_times, n_times):
            raise DataError(
                f"fit(X, y): y {_described(y)} is no graph of {n_nodes} nodes, and forecasters take no other y: they learn "
                "from X alone. The features to forecast are named by target=..., a graph is given as adj=..., and a search "
                "scores with scoring=stmest.forecast_scorer()."
            )
        adj = y if adj is None else adj
    adj = default if adj is None else adj
    return None if adj is None else as_graph(adj, n_nodes, panel.nodes)


def refuse_target(y: Any) -> None:
    """Refuse a y in `score`, which compares forecasts with X.

    Parameters
    ----------
    y : Any
        What `score` was given; None is right.

    Raises
    ------
    DataError
        If there is one.
    """
    if y is not None:
        raise DataError(
            f"score(X, y): y {_described(y)} is not used: forecasts are compared with the later rows of X. Write score(X); the "
            "features to forecast are named by target=..., and the graph is that of fit."
        )


def refuse_number(X: Any, method: str, parameter: str) -> None:
    """Refuse a number in the place of data, and say which parameter was meant.

    Parameters
    ----------
    X : Any
        What a method was given.
    method, parameter : str
        The method, and its parameter that is a number.

    Raises
    ------
    DataTypeError
        If X is a number.
    """
    if isinstance(X, Real):
        raise DataTypeError(
            f"{method}({X}): X takes recent values, and {X} is none. Write {method}({parameter}={X}), or "
            f"{method}(X, {parameter}={X})."
        )


def given_times(panel: Panel) -> pd.Index | None:
    """Times of the time steps that the data had, without those that were filled in.

    Parameters
    ----------
    panel : Panel
        What was read.

    Returns
    -------
    pandas.Index or None
        None without times, and for many trajectories.
    """
    if panel.parts or panel.index is None or panel.filled is None:
        return None if panel.parts else panel.index
    return panel.index.delete(panel.filled)


def warn_of_earlier_rows(panel: Panel, first: int, seen: pd.Index | None) -> None:
    """Warn where time steps are scored that lie before those of the training data, as in folds that do not go forward.

    Parameters
    ----------
    panel : Panel
        What is scored, with its look-back.
    first : int
        Position of the first time step that is forecast; what comes before it may have arrived late.
    seen : pandas.Index or None
        Times of the training data. Without times nothing can be noticed.
    """
    times: Any = None if panel.parts else given_times(panel.rows(first, panel.n_times))
    if seen is None or times is None or kind_of_times(times) != kind_of_times(seen):
        return
    try:
        early = times[times < seen[-1]]
    except TypeError:  # a zoned and an unzoned time cannot be compared
        return
    if not early.isin(seen).all():
        warn_of_folds(stacklevel=5)


def warn_of_folds(stacklevel: int) -> None:
    """The warning of folds that do not go forward in time; always the same text, which Python shows once.

    Parameters
    ----------
    stacklevel : int
        See `warnings.warn`.
    """
    warnings.warn(
        "test rows lie before training rows: the forecaster has learnt from what came after them, so that the score is too good "
        "or means little. cv=5 and KFold cut folds regardless of time. Use cv=stmest.ForecastSplit(...): there all training rows "
        "lie before the test rows.",
        UserWarning,
        stacklevel=stacklevel,
    )


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
    """Shape of a container or list with at least one axis; None for anything else."""
    try:
        return tuple(getattr(y, "shape", None) or np.shape(y)) or None
    except (TypeError, ValueError):  # a list of lists of different lengths
        return None


def _described(y: Any) -> str:
    shape = _shape_of(y)
    return f"of type {type(y).__name__}{'' if shape is None else f' and shape {shape}'}"
