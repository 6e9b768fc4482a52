"""Graphs from files: matrices with or without labels, and edge lists.

Builds on `graphs`; used by `tables` and the command line.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..exceptions import DataError, GraphError
from ..graphs import Graph
from ..graphs.edge_tables import edge_columns, graph_from_edge_table
from ..graphs.names import places_of
from .arrays import array_names, load_array, load_arrays
from .text import COMPRESSED, read_lines, separator_of, split

__all__ = ["read_graph"]

_LAYOUTS = (
    "a square matrix (csv with or without labels, npy, npz with `adj`) or a csv edge list with the columns source, "
    "target and weight or distance"
)
_TEXT = (".csv", ".tsv", ".txt")
_PICKLES = (".pkl", ".pickle", ".p")
_COPIES = 4  # of a matrix, on its way to a graph

Cells = list[list[str]]


def read_graph(path: str | Path, nodes: Sequence[Hashable] | None = None) -> Graph:
    """Read a graph.

    Parameters
    ----------
    path : str or Path
        One of

        - csv (also .tsv, .txt; compressed as .gz, .bz2, .xz or .zip; separated by comma, semicolon, tab, bar or blanks), matrix:
          n rows of n weights, row i and column j the edge from i to j; with node names in the first row, or in the first row
          and the first column;
        - csv, edge list: one directed edge a row, in columns such as source, target and weight, or from, to and distance;
          without names of columns, source, target and optionally weight. Weights are 1 where absent. Distances become
          weights by a Gaussian kernel, as in `graph_from_distances`;
        - npy: a square matrix;
        - npz: `adj`, a square matrix, optionally `nodes` and `coords`. Nothing is unpickled.
    nodes : sequence of hashable, optional
        Names of the nodes of the data. An edge list is read over them, so that nodes without an edge are kept, and edges
        of other nodes are left out; if it names none of them, its entries are positions, from 0. Without `nodes`, an edge
        list has the nodes that it names.

    Returns
    -------
    Graph
        The graph, with names where the file (or `nodes`, for an edge list) gives them.

    Raises
    ------
    DataError
        If the file has none of these layouts, or can be read in two ways; or if its nodes are not those of the data.
    GraphError
        If the weights or names do not make a graph.
    FileNotFoundError
        If there is no such file.

    Warns
    -----
    UserWarning
        In one line, if distances were turned into weights or edges were left out.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = next((suffix for suffix in reversed(suffixes) if suffix not in COMPRESSED), "")
    if kind in _TEXT:
        return _read_text(path, nodes)
    if kind in _PICKLES:
        raise DataError(
            f"{path.name}: a pickle can run code, so it is not opened. If you trust it, convert it with: "
            f"import pickle, numpy; ids, _, adj = pickle.loads(numpy.fromfile({path.name!r}, 'u1'), encoding='latin1'); "
            f"numpy.savez({path.stem + '.npz'!r}, adj=adj, nodes=ids)"
        )
    if kind not in (".npy", ".npz"):
        raise DataError(
            f"{path.name}: files ending in {kind or 'nothing'!r} are no graphs; needed: {_LAYOUTS}."
        )
    if kind == ".npy":
        return Graph(_square(load_array(path, _COPIES), path.name))
    arrays = load_arrays(path, ("adj", "nodes", "coords"), _COPIES)
    if "adj" not in arrays:
        raise DataError(
            f"{path.name}: holds {', '.join(array_names(path)) or 'nothing'}; needed: `adj`, a square matrix."
        )
    names = arrays["nodes"].tolist() if "nodes" in arrays else None
    return Graph(_square(arrays["adj"], path.name), nodes=names, coordinates=arrays.get("coords"))


# ---------------------------------------------------------------- text


def _read_text(path: Path, nodes: Sequence[Hashable] | None) -> Graph:
    """A matrix or an edge list from a text file: the layout that fits, refused where two do."""
    cells = _cells(path)
    if edge_columns(cells[0]) is not None:
        return _edges(cells[0], cells[1:], nodes, path.name)
    layouts = {
        f"a matrix of {len(cells)} nodes": _matrix,
        f"a matrix of {len(cells) - 1} nodes with names above": _matrix_with_header,
        f"a matrix of {len(cells) - 1} nodes with names above and beside": _matrix_with_labels,
        f"a list of {len(cells)} edges": _edges_without_header,
    }
    graphs, reasons, words = {}, [], {}
    for layout, read in layouts.items():
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                graphs[layout] = read(cells, nodes, path.name)
            words[layout] = caught
        except DataError as error:
            reasons.append(error)
        except _OtherLayout:
            continue
    if not graphs:
        raise (
            reasons[0]
            if reasons
            else DataError(
                f"{path.name}: {len(cells)} lines of {len(cells[0])} cells were found, the first begins with "
                f"{', '.join(map(repr, cells[0][:4]))}; needed: {_LAYOUTS}."
            )
        )
    if len(graphs) > 1 and nodes is not None:
        graphs = {layout: graph for layout, graph in graphs.items() if _fits(graph, nodes)} or graphs
    first, *others = graphs.values()
    if any(
        (first.to_dense() != other.to_dense()).any() if first.n_nodes == other.n_nodes else True
        for other in others
    ):
        raise DataError(
            f"{path.name}: can be read as {' and as '.join(graphs)}. Give an edge list a first line with the names "
            "source,target,weight, or a matrix the names of its nodes."
        )
    for warning in words[next(iter(graphs))]:
        warnings.warn(warning.message, stacklevel=3)
    return first


class _OtherLayout(Exception):
    """The cells have another layout."""


def _fits(graph: Graph, nodes: Sequence[Hashable]) -> bool:
    """Whether a graph can be that of the nodes of the data."""
    if graph.nodes is None:
        return graph.n_nodes == len(nodes)
    return None not in places_of(nodes, graph.nodes)


def _matrix(cells: Cells, nodes: Sequence[Hashable] | None, name: str) -> Graph:
    """Weights alone."""
    if len(cells) != len(cells[0]) or not _is_number(cells[0][0]):
        raise _OtherLayout
    return Graph(_weights(cells, name))


def _matrix_with_header(cells: Cells, nodes: Sequence[Hashable] | None, name: str) -> Graph:
    """Names in the first row."""
    if len(cells) != len(cells[0]) + 1 or not _are_labels(cells[0]):
        raise _OtherLayout
    return Graph(_weights(cells[1:], name), nodes=cells[0])


def _matrix_with_labels(cells: Cells, nodes: Sequence[Hashable] | None, name: str) -> Graph:
    """Names in the first row and the first column, in any order."""
    above, beside = cells[0][1:], [row[0] for row in cells[1:]]
    if len(cells) != len(cells[0]) or len(cells) < 3 or not _are_labels(above) or not _are_labels(beside):
        raise _OtherLayout
    if set(beside) != set(above):
        if _is_number(cells[0][0]):
            raise _OtherLayout
        raise DataError(f"{name}: rows and columns name different nodes; needed: {_LAYOUTS}.")
    matrix = _weights([row[1:] for row in cells[1:]], name)
    return Graph(matrix[[beside.index(label) for label in above]], nodes=above)


def _edges_without_header(cells: Cells, nodes: Sequence[Hashable] | None, name: str) -> Graph:
    """Source, target and perhaps weight in each line."""
    width = len(cells[0])
    weights = [row[2] for row in cells] if width == 3 else []
    ids = [end for row in cells for end in row[:2]]
    if width not in (2, 3) or not all(ids) or not all(map(_is_number, weights)):
        raise _OtherLayout
    if any(map(_is_number, ids)) and not all(map(_WHOLE.fullmatch, ids)):  # names and numbers, or fractions
        raise _OtherLayout
    square = len(cells) == width and all(map(_is_number, ids))
    if square and (len({tuple(row[:2]) for row in cells}) < width or not all(map(float, weights))):
        raise _OtherLayout  # no list has an edge twice, or one of weight 0
    try:
        graph = _edges(["source", "target", "weight"][:width], cells, nodes, name)
    except DataError:
        if len(cells) in (width, width + 1):
            raise _OtherLayout from None
        raise
    if any(float(weight) > 1 for weight in weights):
        warnings.warn(
            f"{name}: the third column is taken as weights; for distances give it the name distance, in a first line.",
            UserWarning,
            stacklevel=2,
        )
    return graph


_WHOLE = re.compile(r"[0-9]+(\.0*)?")


def _edges(header: list[str], rows: Cells, nodes: Sequence[Hashable] | None, name: str) -> Graph:
    long = next((number for number, row in enumerate(rows) if row[-1] and not header[-1]), None)
    if long is not None:
        raise DataError(
            f"{name}: line {long + 2} has {len(header)} cells, more than the first line, which names {', '.join(header[:-1])}; "
            "needed: a name for each column."
        )
    table = pd.DataFrame(rows, columns=pd.Index(header), dtype=object)
    try:
        return graph_from_edge_table(table, nodes)
    except GraphError as error:
        raise DataError(f"{name}: {error}") from error


def _are_labels(cells: list[str]) -> bool:
    """Whether cells can be the names of nodes: unique, and no fractions."""
    numbers = [cell for cell in cells if _is_number(cell)]
    return all(cells) and len(set(cells)) == len(cells) and all(map(_WHOLE.fullmatch, numbers))


def _weights(cells: Cells, name: str) -> np.ndarray:
    """The weights of a matrix as floats; an empty cell is an error, not an absent edge."""
    bad = next((cell for row in cells for cell in row if not _is_number(cell)), None)
    if bad is not None:
        raise DataError(f"{name}: {bad!r} is no weight; needed: a number, 0 where there is no edge.")
    return np.array(cells, dtype=np.float64)


def _cells(path: Path) -> Cells:
    """The cells of a text file without blanks around them, as many in each line; a last column of nothing is left out."""
    lines = read_lines(path)
    comments = [line.lstrip().lstrip("#").lstrip(" ") for line in lines if line.lstrip().startswith("#")]
    lines = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    separator = separator_of(lines[:200])
    try:
        rows, above = _rows(lines, separator), _rows(comments[-1:], separator)
    except csv.Error as error:
        raise DataError(f"{path.name}: cannot be read as csv ({error}); needed: {_LAYOUTS}.") from error
    if not rows:
        raise DataError(f"{path.name}: cannot be read as csv (it is empty); needed: {_LAYOUTS}.")
    if above and len(above[0]) == len(rows[0]) > 1:  # no comment, but names of columns
        rows.insert(0, above[0])
    width = max(len(row) for row in rows)
    rows = [row + [""] * (width - len(row)) for row in rows]
    while width > 1 and not any(row[-1] for row in rows):
        rows, width = [row[:-1] for row in rows], width - 1
    return rows if separator == "," else _with_points(rows, path.name)


def _rows(lines: list[str], separator: str) -> Cells:
    return [[cell.strip() for cell in row] for row in split(iter(lines), separator)]


def _with_points(rows: Cells, name: str) -> Cells:
    """Decimal commas as points, where the comma separates no cells."""
    commas = {cell for row in rows for cell in row if _DECIMAL_COMMA.fullmatch(cell)}
    if commas and all(_THOUSANDS.fullmatch(cell) for cell in commas):
        raise DataError(
            f"{name}: {min(commas)!r} can have a decimal comma, or one between thousands; needed: numbers with a decimal point."
        )
    return [[cell.replace(",", ".") if cell in commas else cell for cell in row] for row in rows]


_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+([eE][+-]?[0-9]+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")


def _square(matrix: np.ndarray, name: str) -> np.ndarray:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise DataError(
            f"{name}: the matrix has shape {matrix.shape}; needed: square, one row and column per node."
        )
    return matrix


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # which Python allows between digits
