"""Places of nodes from a text file.

Builds on `text` and `numerals`; used by the command line.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np

from ..data.containers import NODE_NAMES
from ..exceptions import DataError
from ..graphs.names import show_names
from .cells import Cells
from .numerals import numbers_of
from .text import read_text

__all__ = ["read_coordinates"]

_FIRST, _SECOND = ("lat", "latitude", "y"), ("lon", "lng", "long", "longitude", "x")


def read_coordinates(path: str | Path, nodes: Sequence[Hashable]) -> dict[Hashable, tuple[float, float]]:
    """Read where the nodes are.

    Parameters
    ----------
    path : str or Path
        csv with the columns node, lat and lon (or latitude and longitude, or x and y), in any order. Further columns are not
        used.
    nodes : sequence of hashable
        Names of the nodes of the data. Others that the file places are left out.

    Returns
    -------
    dict of hashable to (float, float)
        Latitude and longitude, or y and x, of the nodes that the file places, as ``X.attrs["coordinates"]`` holds them.

    Raises
    ------
    DataError
        If the file lacks one of these columns, places a node twice, or places none of the nodes.
    FileNotFoundError
        If there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    table = read_text(path)
    names = [name.strip().lower() for name in table.names or []]
    columns = [_column(table, names, wanted) for wanted in (_FIRST, _SECOND)]
    others = [i for i in range(len(names)) if i not in columns]
    if not others:
        raise DataError(
            f"{path.name}: has no column of names beside {', '.join(names)}; needed: node, lat and lon."
        )
    named = next((i for i in others if names[i] in NODE_NAMES), others[0])
    frame = table.as_text() if table.as_text is not None else table.frame  # 007 is a name, not a number
    found = frame.loc[table.frame.index].iloc[:, named].astype(str).str.strip().tolist()
    repeated = sorted({name for name in found if found.count(name) > 1})
    if repeated:
        raise DataError(
            f"{path.name}: places {show_names(repeated)} more than once; needed: a line per node."
        )
    places = dict(
        zip(
            found, map(tuple, numbers_of(table.keep(columns), ()).to_numpy(dtype=float).tolist()), strict=True
        )
    )
    known = {node: places[str(node)] for node in nodes if str(node) in places}
    if not any(np.isfinite(place).all() for place in known.values()):
        raise DataError(
            f"{path.name}: places {show_names(found)}, and none of the nodes of the data, {show_names(list(nodes))}; needed: the "
            "same names."
        )
    return known


def _column(table: Cells, names: list[str], wanted: Sequence[str]) -> int:
    """Position of the column that has one of the names."""
    for name in wanted:
        if name in names:
            return names.index(name)
    has = f"has the columns {', '.join(names)}" if names else "has no names of columns"
    raise DataError(f"{table.file}: {has}; needed: node, lat and lon.")
