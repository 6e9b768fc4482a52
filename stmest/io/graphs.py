"""Graphs from files: matrices with or without labels, and edge lists.

Builds on `graphs`; used by `tables` and the command line.
"""

from __future__ import annotations

import zipfile
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..exceptions import DataError
from ..graphs import Graph

__all__ = ["read_graph"]

_EDGE_COLUMNS = (("source", "target"), ("from", "to"))
_LAYOUTS = (
    "a square matrix (csv with or without labels, npy, npz with `adj`) or a csv edge list with the columns source, "
    "target and optionally weight"
)


def read_graph(path: str | Path, nodes: Sequence[Hashable] | None = None) -> Graph:
    """Read a graph.

    Parameters
    ----------
    path : str or Path
        One of

        - csv, matrix: n rows of n weights, row i and column j the edge from i to j; with node names in the first
          row, or in the first row and the first column;
        - csv, edge list: the columns source, target and optionally weight (1 where absent), one directed edge a row;
        - npy: a square matrix;
        - npz: `adj`, a square matrix, optionally `nodes` and `coords`. Nothing is unpickled.
    nodes : sequence of hashable, optional
        Names of the nodes of the data. An edge list is read over them, so that nodes without an edge are kept; if it
        names none of them, its entries are positions, from 0. Without `nodes`, an edge list has the nodes that it
        names.

    Returns
    -------
    Graph
        The graph, with names where the file (or `nodes`, for an edge list) gives them.

    Raises
    ------
    DataError
        If the file has none of these layouts.
    GraphError
        If the weights or names do not make a graph.
    FileNotFoundError
        If there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    kind = path.suffix.lower()
    if kind == ".csv":
        return _read_csv(path, nodes)
    if kind not in (".npy", ".npz"):
        raise DataError(
            f"{path.name}: files ending in {kind or 'nothing'!r} are no graphs; needed: {_LAYOUTS}."
        )
    if kind == ".npz" and not zipfile.is_zipfile(path):
        raise DataError(f"{path.name}: is no npz archive; needed: {_LAYOUTS}.")
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return Graph(_square(loaded, path.name))
        with loaded as file:
            arrays = {key: file[key] for key in ("adj", "nodes", "coords") if key in file.files}
            found = ", ".join(file.files)
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path.name}: cannot be read ({error}); needed: {_LAYOUTS}.") from error
    except ValueError as error:
        if isinstance(error, DataError) or "pickle" not in str(error):
            raise
        raise DataError(
            f"{path.name}: holds Python objects, which are not loaded; needed: {_LAYOUTS}."
        ) from error
    if "adj" not in arrays:
        raise DataError(f"{path.name}: holds {found or 'nothing'}; needed: `adj`, a square matrix.")
    names = arrays["nodes"].tolist() if "nodes" in arrays else None
    return Graph(_square(arrays["adj"], path.name), nodes=names, coordinates=arrays.get("coords"))


def _read_csv(path: Path, nodes: Sequence[Hashable] | None) -> Graph:
    try:
        cells = pd.read_csv(path, header=None, dtype=str, keep_default_na=False, skipinitialspace=True)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path.name}: cannot be read as csv ({reason}); needed: {_LAYOUTS}.") from error
    header = [str(cell).strip().lower() for cell in cells.iloc[0]]
    for source, target in _EDGE_COLUMNS:
        if source in header and target in header:
            edges = cells.iloc[1:]
            weight = edges[header.index("weight")] if "weight" in header else None
            return _from_edges(
                edges[header.index(source)], edges[header.index(target)], weight, nodes, path.name
            )
    n_rows, n_columns = cells.shape
    if n_rows == n_columns and _is_number(cells.iat[0, 0]):
        return Graph(_weights(cells, path.name))
    if n_rows == n_columns:  # names above and beside the weights
        beside, above = cells.iloc[1:, 0].tolist(), cells.iloc[0, 1:].tolist()
        if set(beside) != set(above):
            raise DataError(f"{path.name}: rows and columns name different nodes; needed: {_LAYOUTS}.")
        matrix = pd.DataFrame(_weights(cells.iloc[1:, 1:], path.name), index=beside, columns=above)
        if len(set(above)) == len(above):
            matrix = matrix.loc[above]
        return Graph(matrix.to_numpy(), nodes=above)
    if n_rows == n_columns + 1:
        return Graph(_weights(cells.iloc[1:], path.name), nodes=cells.iloc[0].tolist())
    raise DataError(f"{path.name}: {n_rows} lines of {n_columns} cells were found; needed: {_LAYOUTS}.")


def _from_edges(
    sources: pd.Series,
    targets: pd.Series,
    weights: pd.Series | None,
    nodes: Sequence[Hashable] | None,
    name: str,
) -> Graph:
    ends = [*sources, *targets]
    names: list[Hashable] = list(dict.fromkeys(ends)) if nodes is None else list(nodes)
    position = {str(node): i for i, node in enumerate(names)}
    if not any(end in position for end in ends):
        position = {str(i): i for i in range(len(names))}
    unknown = [end for end in dict.fromkeys(ends) if end not in position]
    if unknown:
        raise DataError(
            f"{name}: {len(unknown)} of the nodes it names are not in the data, the first is {unknown[0]!r}; needed: "
            "names of the data's nodes, or positions from 0."
        )
    adjacency = np.zeros((len(names), len(names)), dtype=np.float64)
    values = np.ones(len(sources)) if weights is None else _weights(weights.to_frame(), name)[:, 0]
    np.add.at(adjacency, ([position[end] for end in sources], [position[end] for end in targets]), values)
    return Graph(adjacency, nodes=names)


def _weights(cells: pd.DataFrame, name: str) -> np.ndarray:
    """The weights of a csv file as floats; an empty cell is an error, not an absent edge."""
    numbers = cells.apply(pd.to_numeric, errors="coerce")
    if numbers.isna().to_numpy().any():
        row, column = np.argwhere(numbers.isna().to_numpy())[0]
        raise DataError(
            f"{name}: {cells.iat[row, column]!r} is no weight; needed: a number, 0 where there is no edge."
        )
    return numbers.to_numpy(dtype=np.float64)


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
    return True
