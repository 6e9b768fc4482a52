"""Edge lists whose columns have names: which column holds what, and the graph that they make.

One reader for csv files, tables in memory and edge attributes of other libraries. Builds on
:mod:`stmest.graphs.graph` and :mod:`stmest.graphs.build`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from ..exceptions import GraphError
from .build import gaussian_weights, length_scale
from .graph import Graph
from .names import name_as_text, places_of, show_names

__all__ = ["edge_columns", "graph_from_edge_table", "role_of", "weighted_edges"]

_ENDS = (
    ("source", "target"), ("src", "dst"), ("src", "tgt"), ("from", "to"), ("origin", "destination"), ("orig", "dest"),
    ("start", "end"), ("focal", "neighbor"), ("focal", "neighbour"), ("row", "col"), ("row", "column"),
)  # fmt: skip
# These may be names of nodes too (i, j, k or sensor1, sensor2, sensor3), unless weights or distances stand beside them
_SHORT_ENDS = (("i", "j"), ("u", "v"), ("a", "b"), ("1", "2"))
# The word for a node may stand beside these: from_id, sensor1, SourceNode
_NODE_WORDS = {
    "node", "nodes", "id", "ids", "idx", "index", "sensor", "station", "vertex", "site", "name", "code", "stop", "detector"
}  # fmt: skip
_WEIGHTS = {
    "weight", "weights", "w", "value", "values", "val", "similarity", "strength", "affinity", "correlation", "corr"
}  # fmt: skip
_DISTANCES = {"cost", "costs", "distance", "distances", "dist", "length", "len"}
_LABELS = {"id", "ids", "index", "idx", "key", "fid", "uid", "osmid", "name", "names"}
WAY_OUT = "Name the column weight, or distance if near nodes have small numbers, or leave it out"


def role_of(name: Hashable) -> str | None:
    """Return "weight" or "distance" if the name of a column says that it holds these, else None.

    Parameters
    ----------
    name : hashable
        Name of a column of an edge list, such as ``"w"``, ``"distance (km)"`` or ``"edgeLength"``.

    Returns
    -------
    str or None
        What the column holds; None also if the name says both.
    """
    words = set(_words(name))
    found = [role for role, known in (("weight", _WEIGHTS), ("distance", _DISTANCES)) if words & known]
    return found[0] if len(found) == 1 else None


def edge_columns(names: Sequence[Hashable]) -> tuple[int, int] | None:
    """Return the positions of the two columns that name the ends of edges, source first, or None.

    Parameters
    ----------
    names : sequence of hashable
        Names of the columns of a table.

    Returns
    -------
    tuple of int or None
        None if the table is no edge list.
    """
    words = [_words(name) for name in names]
    bare = [" ".join(word for word in some if word not in _NODE_WORDS) for some in words]
    for source, target in (*_ENDS, *(_SHORT_ENDS if any(map(role_of, names)) else ())):
        if bare.count(source) == 1 and bare.count(target) == 1:
            return bare.index(source), bare.index(target)
    return None


def graph_from_edge_table(table: pd.DataFrame, nodes: Iterable[Hashable] | None = None) -> Graph:
    """Return the graph of an edge list with named columns.

    Parameters
    ----------
    table : DataFrame
        One directed edge a row. `edge_columns` finds its ends, `role_of` its weights or distances. Weights of an edge that
        is listed more than once are summed; of its distances the shortest counts. Distances become weights by
        a Gaussian kernel, as in `graph_from_distances`.
    nodes : iterable of hashable, optional
        Names of the nodes of the data. Edges between other nodes are left out. If none of the names is known, the ends are
        positions from 0. Without `nodes` the graph has the nodes that the list names, as text.

    Returns
    -------
    Graph
        With names.

    Raises
    ------
    GraphError
        If a column of numbers has an unknown role, a number is no weight, or no edge joins two nodes of the data.

    Warns
    -----
    UserWarning
        In one line: which distances were turned into weights, what was left out.
    """
    columns = [str(name) for name in table.columns]
    ends = edge_columns(list(table.columns))
    if ends is None:
        raise GraphError(
            f"the columns {show_names(columns)} name no ends of edges; needed: source and target."
        )
    notes: list[str] = []
    cells = [table.iloc[:, i] for i in range(table.shape[1])]
    chosen = _value_column(list(table.columns), cells, ends, notes)
    names, places = _ends(cells[ends[0]], cells[ends[1]], nodes, notes)
    kept = (places >= 0).all(axis=0)
    role, values = None, np.ones(len(table))
    if chosen is not None:
        role = role_of(table.columns[chosen])
        values = _numbers(cells[chosen], role or "weight")
    if len(table) and not kept.any():
        raise GraphError(
            f"no edge joins two nodes of the data: {notes[-1] if notes else 'it names none of them'}. The data name "
            f"{show_names(names)}; needed: edges between these names, or positions from 0."
        )
    graph = weighted_edges(
        places[:, kept],
        values[kept],
        role == "distance",
        names,
        "" if chosen is None else columns[chosen],
        notes,
    )
    if notes:
        warnings.warn(f"edge list: {'; '.join(notes)}.", UserWarning, stacklevel=3)
    return graph


def weighted_edges(
    ends: np.ndarray,
    values: np.ndarray,
    distances: bool,
    names: Sequence[Hashable],
    column: str,
    notes: list[str],
) -> Graph:
    """Return the graph of edges with weights or distances.

    Parameters
    ----------
    ends : ndarray of int, shape (2, n_edges)
        Positions of sources and targets.
    values : ndarray of shape (n_edges,)
        Weights, or distances.
    distances : bool
        Whether they are distances.
    names : sequence of hashable
        Of the nodes.
    column : str
        Where the values come from, for messages.
    notes : list of str
        Receives what the user should know.

    Returns
    -------
    Graph
        With these nodes.

    Raises
    ------
    GraphError
        If a distance is negative or missing.
    """
    shape = (len(names), len(names))
    if not distances:
        return Graph(sparse.coo_array((values, (ends[0], ends[1])), shape=shape), names)
    if np.isnan(values).any() or (values < 0).any():
        bad = values[np.isnan(values) | (values < 0)][0]
        raise GraphError(f"{column!r} holds {bad:g}, which is no distance; needed: numbers of at least 0.")
    finite = np.isfinite(values) & (ends[0] != ends[1])
    pairs = pd.DataFrame({"source": ends[0][finite], "target": ends[1][finite], "distance": values[finite]})
    pairs = pairs.groupby(["source", "target"], as_index=False)["distance"].min()
    distance = pairs["distance"].to_numpy(dtype=np.float64)
    sigma = length_scale(distance)
    weights = gaussian_weights(distance, sigma)
    if len(weights) and not weights.any():
        raise GraphError(
            f"{column!r} holds distances of at least {distance.min():.4g}, which are too large for the kernel "
            f"exp(-(distance / {sigma:.4g})^2): all weights are below 0.1. Give weights, or graph_from_distances(matrix, sigma)."
        )
    notes.append(
        f"{column!r} holds distances: weights are exp(-(distance / {sigma:.4g})^2), and {int((weights > 0).sum())} of "
        f"{len(weights)} edges have one of at least 0.1"
    )
    return Graph(sparse.coo_array((weights, (pairs["source"], pairs["target"])), shape=shape), names)


def _words(name: Hashable) -> list[str]:
    """The words of a name in lower case: of ``"edgeLength (km)"`` edge and length, of ``"node_1"`` node and 1."""
    text = re.sub(r"\(.*?\)|\[.*?\]", " ", name_as_text(name))
    text = re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower()
    return re.findall(r"[^\W\d_]+|\d+", text)


def _value_column(
    names: list[Hashable], cells: list[pd.Series], ends: tuple[int, int], notes: list[str]
) -> int | None:
    """The column of weights, else that of distances; what else holds numbers must not be dropped unseen."""
    others = [i for i in range(len(names)) if i not in ends]
    by_role = {role: [i for i in others if role_of(names[i]) == role] for role in ("weight", "distance")}
    for role, found in by_role.items():
        plain = [i for i in found if name_as_text(names[i]).lower() == role] or found
        if len(plain) > 1:
            raise GraphError(
                f"the columns {show_names([names[i] for i in plain])} can all hold the {role}s; needed: one of them."
            )
        if plain:
            unused = [names[i] for i in others if i != plain[0] and not _is_label(names[i], cells[i])]
            if unused:
                notes.append(f"{role}s are in {str(names[plain[0]])!r}; not used: {show_names(unused)}")
            return plain[0]
    for i in others:
        if not _is_label(names[i], cells[i]) and pd.to_numeric(cells[i], errors="coerce").notna().any():
            raise GraphError(
                f"column {str(names[i])!r} holds numbers such as {_first_number(cells[i])}, and its name does not say what they "
                f"are. {WAY_OUT}."
            )
    unused = [names[i] for i in others if not _is_label(names[i], cells[i])]
    if unused:
        notes.append(f"all weights are 1; not used: {show_names(unused)}")
    return None


def _is_label(name: Hashable, cells: pd.Series) -> bool:
    """Whether a column only numbers or names the edges."""
    words = set(_words(name)) - {"edge", "link"}
    if words and "unnamed" not in words:
        return words <= _LABELS
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy()
    return len(numbers) > 0 and np.array_equal(numbers - numbers[0], np.arange(len(numbers)))


def _first_number(cells: pd.Series) -> Any:
    return cells[pd.to_numeric(cells, errors="coerce").notna()].iloc[0]


def _ends(
    sources: pd.Series, targets: pd.Series, nodes: Iterable[Hashable] | None, notes: list[str]
) -> tuple[list[Hashable], np.ndarray]:
    """Names of the nodes, and positions of the ends (2, n_edges), -1 where they are not among these nodes."""
    for what, cells in (("source", sources), ("target", targets)):
        empty = cells.isna().to_numpy() | (cells.map(name_as_text) == "").to_numpy()
        if empty.any():
            raise GraphError(f"edge {int(empty.argmax()) + 1} has no {what}; needed: two names in each row.")
    text = [[name_as_text(end) for end in cells] for cells in (sources, targets)]
    ids = list(dict.fromkeys(end for edge in zip(*text, strict=True) for end in edge))
    if nodes is None:
        return list(ids), _looked_up(text, dict(zip(ids, range(len(ids)), strict=True)))
    names = list(nodes)
    found = _places(ids, names)
    ends = _looked_up(text, dict(zip(ids, found, strict=True)))
    unknown = [name for name, place in zip(ids, found, strict=True) if place is None]
    if unknown:
        notes.append(
            f"{len(unknown)} of the {len(ids)} nodes that it names are not in the data, the first is {unknown[0]!r}; their "
            f"{int((ends < 0).any(axis=0).sum())} of {ends.shape[1]} edges are left out"
        )
    return names, ends


def _looked_up(text: list[list[str]], place: Mapping[str, int | None]) -> np.ndarray:
    rows = [[-1 if place[end] is None else place[end] for end in ends] for ends in text]
    return np.array(rows, dtype=np.int64).reshape(2, -1)


def _places(ids: list[str], names: list[Hashable]) -> list[int | None]:
    """Positions of the nodes that an edge list names: by name, or as positions if no name is known."""
    found = places_of(ids, names)
    _refuse_two_names(ids, found)
    unknown = [name for name, place in zip(ids, found, strict=True) if place is None]
    if not unknown:
        return found
    numbers = [int(name) if name.isascii() and name.isdigit() else -1 for name in ids]
    are_positions = min(numbers) >= 0 and max(numbers) < len(names)
    if are_positions and len(unknown) == len(ids):
        return list(numbers)
    which = f"{len(unknown)} of the {len(ids)} nodes that it names are not in the data, the first is {unknown[0]!r}"
    known = f"The data name {show_names(names)}; needed: names of the data's nodes, or positions from 0."
    if are_positions:
        raise GraphError(f"its numbers can be names or positions: as names, {which}. {known}")
    if min(numbers) == 1 and max(numbers) == len(names):
        raise GraphError(f"{which}. {known} They may be positions from 1: subtract 1.")
    if len(unknown) == len(ids) or names == list(range(len(names))):
        raise GraphError(f"{which}. {known}")
    return found


def _refuse_two_names(ids: list[str], found: list[int | None]) -> None:
    seen: dict[int, str] = {}
    for name, place in zip(ids, found, strict=True):
        if place is not None and seen.setdefault(place, name) != name:
            raise GraphError(
                f"it names {seen[place]!r} and {name!r}, which can only be the same node of the data; needed: one name each."
            )


def _numbers(cells: pd.Series, what: str) -> np.ndarray:
    """The values of a column as floats; an empty cell is an error, not an absent edge."""
    numbers = pd.to_numeric(cells, errors="coerce")
    if numbers.isna().any():
        bad = cells.iloc[int(numbers.isna().to_numpy().argmax())]
        raise GraphError(f"{bad!r} is no {what}; needed: a number in each row.")
    return numbers.to_numpy(dtype=np.float64)
