"""One graph class, adapters from every container, and builders from distances, coordinates, data and grids.

Builds on numpy, scipy and pandas; used by the data sets, the forecasters and the command line.
"""

from __future__ import annotations

from .adapters import as_graph, is_graph_like
from .build import (
    graph_from_coordinates,
    graph_from_correlation,
    graph_from_distances,
    grid_graph,
)
from .graph import Graph

__all__ = [
    "Graph",
    "as_graph",
    "graph_from_coordinates",
    "graph_from_correlation",
    "graph_from_distances",
    "grid_graph",
    "is_graph_like",
]
