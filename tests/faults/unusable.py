"""Tables of what cannot be used: observations that no method takes, graphs that do not fit four nodes.

Read by the tests of `as_panel` and `as_graph`, which decide, and with ``-m exhaustive`` by every forecaster.
"""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import torch
from scipy import sparse

from stmest.graphs import Graph

from .common import N_TIMES, NODES, observations

X = observations()
A = X.to_numpy()


def indexed(index: Any) -> pd.DataFrame:
    """The values with another time index."""
    return X.set_axis(index)


def with_value(value: float) -> pd.DataFrame:
    """The same with one other value."""
    frame = X.copy()
    frame.iloc[7, 2] = value
    return frame


def named(*columns: Any) -> pd.DataFrame:
    """The values with other column names."""
    return X.set_axis(list(columns), axis=1)


# what is wrong: (X, words of the message: what was given, what is needed)
UNUSABLE_X: dict[str, tuple[Any, str]] = {
    "a number": (3.0, "scalar.*needed: real numbers, .n_times, n_nodes."),
    "one axis": (A[:, 0], r"shape \(72,\); needed: .n_times, n_nodes."),
    "a flat list": ([1.0, 2.0], "needed: real numbers, .n_times, n_nodes."),
    "six axes": (A[:, :, None, None, None, None], r"6 axes, shape \(72, 4, 1, 1, 1, 1\); needed"),
    "no rows": (A[:0], r"0 sample.*shape=\(0, 4\)"),
    "no nodes": (A[:, :0], r"0 feature.*shape=\(72, 0\)"),
    "no channels": (A[..., None][..., :0], r"no features.*\(72, 4, 0\)"),
    "rows of different lengths": ([[1.0, 2.0], [3.0]], "of type list"),
    "infinity": (with_value(np.inf), r"infinity \(1 value.s., the first at row 7, node 2\).*Use NaN"),
    "minus infinity": (with_value(-np.inf), r"infinity \(1 value.s., the first at row 7, node 2\).*Use NaN"),
    "the mark of NetCDF files": (
        with_value(9.96921e36), r"9.97e[+]36 \(1 value.s., the first at row 7, node 2\).*Use NaN"
    ),
    "complex numbers": (A.astype(complex), "Complex data.*complex128"),
    "text": (A.astype(str), "<U.*no numbers"),
    "objects that are text": (A.astype(object).astype(str).astype(object), "text such as '.*no numbers"),
    "objects that are no numbers": (np.full((72, 4), {}, dtype=object), "of type ndarray"),
    "dates": (A.astype("datetime64[h]"), "datetime64.*no numbers"),
    "time spans": (A.astype("timedelta64[h]"), "timedelta64.*no numbers"),
    "a file name": ("readings.csv", "'readings.csv'"),
    "a dict": ({"a": [1.0]}, "of type dict"),
    "a function": (len, "of type builtin_function"),
    "a sparse matrix": (sparse.csr_array(A), "[Ss]parse.*toarray"),
    "a complex tensor": (torch.ones(72, 4, dtype=torch.complex64), "Complex data"),
    "a tensor without values": (torch.ones(72, 4, device="meta"), r"\(72, 4\).*meta"),
    "a Series": (X["a"], "to_frame"),
    "an empty frame": (pd.DataFrame(), "0 sample"),
    "a column of text": (X.assign(a="x"), "column 'a'|text such as 'x'"),
    "a column of dates": (X.assign(a=X.index), "column 'a'.*datetime64"),
    "a column of categories": (X.assign(a=pd.Categorical(["x"] * N_TIMES)), "column 'a'.*category"),
    "a node named twice": (named("a", "b", "c", "a"), "twice: 'a'"),
    "three column levels": (X.set_axis(pd.MultiIndex.from_product([[1], [1], NODES]), axis=1), "3 column levels"),
    "a channel that one node lacks": (
        X.set_axis(pd.MultiIndex.from_tuples([("a", 0), ("a", 1), ("b", 0), ("c", 0)]), axis=1),
        "every node needs every feature",
    ),
    "a time given twice": (indexed([*X.index[:-1], X.index[-2]]), "duplicates.*2024-01-03 22:00"),
    "rows out of order": (X.iloc[[0, 2, 1, *range(3, N_TIMES)]], "increasing order.*sort_index"),
    "rows backwards": (X.iloc[::-1], "increasing order.*sort_index"),
    "a missing time": (indexed([*X.index[:-1], pd.NaT]), "NaT at row 71"),
    "a time that is NaN": (indexed([*map(float, range(N_TIMES - 1)), np.nan]), "nan at row 71"),
    "an infinite time": (indexed([*map(float, range(N_TIMES - 1)), np.inf]), "inf at row 71"),
    "times as text": (indexed([f"step {i}" for i in range(N_TIMES)]), "'step 0'.*to_datetime"),
    "times as booleans": (indexed([False] * N_TIMES), "bool"),
    "times as categories": (indexed(pd.CategoricalIndex(range(N_TIMES))), "category"),
    "times as spans": (indexed(X.index - X.index[0]), "timedelta64"),
    "a long table with a time twice": (
        pd.DataFrame({"time": [0, 1, 1], "node": "a", "value": 1.0}), "several rows for .*1"
    ),
    "a long table with text for values": (
        pd.DataFrame({"time": range(30), "node": "a", "value": "x"}), "column .*value|text such as 'x'"
    ),
}  # fmt: skip


def weight(value: float) -> np.ndarray:
    """A graph of four nodes with one weight of that value."""
    adjacency = np.eye(4)
    adjacency[0, 1] = value
    return adjacency


def edges(index: Any, weights: Any = None) -> tuple[np.ndarray, Any]:
    """A graph as an edge list."""
    return np.array(index), weights


UNUSABLE_GRAPHS: dict[str, tuple[Any, str]] = {
    "more nodes": (np.eye(5), r"\(4, 4\).*5 nodes"),
    "not square": (np.ones((4, 3)), r"square.*\(4, 3\)"),
    "one axis": (np.ones(4), r"square.*\(4,\)"),
    "no axis": (np.array(1.0), r"square.*\(\)"),
    "three axes": (np.ones((4, 4, 1)), r"square.*\(4, 4, 1\)"),
    "empty": (np.zeros((0, 0)), "0 nodes"),
    "a negative weight": (weight(-1.0), r"-1.0 on the edge 0 -> 1"),
    "a missing weight": (weight(np.nan), "nan on the edge 0 -> 1"),
    "an infinite weight": (weight(np.inf), "inf on the edge 0 -> 1"),
    "a weight beyond float32": (weight(1e300), "1e.300"),
    "complex numbers": (np.eye(4).astype(complex), "complex128"),
    "text": (np.eye(4).astype(str), "real numbers.*<U"),
    "dates": (np.zeros((4, 4), dtype="datetime64[s]"), "datetime64"),
    "a file name": ("adj.csv", "str"),
    "a number": (7, r"square.*\(\)"),
    "a dict": ({"a": ["b"]}, "dict"),
    "lists of different lengths": ([[1.0, 2.0], [3.0]], "list"),
    "a frame of other nodes": (
        pd.DataFrame(np.eye(4), index=list("wxyz"), columns=list("wxyz")),
        "unknown.*'a'",
    ),
    "a frame with other rows than columns": (
        pd.DataFrame(np.eye(4), index=NODES, columns=list("abcz")),
        "same nodes",
    ),
    "a frame with a node twice": (
        pd.DataFrame(np.eye(4), index=list("aabc"), columns=list("aabc")),
        "unique.*'a'",
    ),
    "a sparse matrix of another size": (sparse.eye_array(5), "5 nodes"),
    "a networkx graph of another size": (nx.path_graph(5), "5 nodes"),
    "an edge to nowhere": (edges([[0], [9]]), "from 0 to 3.*0 to 9"),
    "an edge from -1": (edges([[-1], [0]]), "from 0 to 3.*-1 to 0"),
    "edges that are no integers": (edges([[0.5], [1.0]]), "integers.*float64"),
    "weights that are too many": (edges([[0], [1]], np.ones(3)), r"one entry per edge.*\(3,\)"),
    "a Graph of other nodes": (Graph(np.eye(4), nodes=list("wxyz")), "unknown.*'a'"),
}
