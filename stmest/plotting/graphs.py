"""Who listens to whom: a learned graph as a matrix, and on a map beside the given one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from ..exceptions import DataError, ParameterError
from ..graphs import Graph
from ..runtime import require
from ._canvas import COLOURS, DASHES, Display, given_axes, head, label_nodes, new_axes, shown
from ._docs import fill_in

__all__ = ["GraphDisplay", "plot_graph_map", "plot_graph_matrix"]

# A link stands out from so many times the mean weight that its listener gives the other nodes
_STANDS_OUT = 1.1


@fill_in
def plot_graph_matrix(weights: pd.DataFrame, *, axes: Any = None) -> np.ndarray:
    """Draw a graph as a matrix of weights.

    Parameters
    ----------
    weights : DataFrame of shape (n_nodes, n_nodes)
        Row i holds how much node i listens to each node, as in ``graph_`` of the forecasters.
    {axis}

    {panel}

    Raises
    ------
    DataError
        If the table is not square.
    {matplotlib}

    Notes
    -----
    The colours span the weights between different nodes: nodes that listen to themselves most of all would leave the
    others pale.
    """
    require("matplotlib", extra="plot")
    matrix = _square(weights)
    panels = new_axes(1, 1, 5.6)[:, 0] if axes is None else given_axes(axes, 1, "one panel")
    axis = panels[0]
    between = matrix[~np.eye(len(matrix), dtype=bool)]
    low, top = (float(between.min()), float(between.max())) if len(between) else (0.0, 0.0)
    top = top if top > low else low + 1
    picture = axis.imshow(matrix, cmap="Blues", vmin=low, vmax=top, interpolation="nearest")
    label_nodes(axis, list(weights.columns), what="... to this node")
    label_nodes(axis, list(weights.index), vertical=True, what="this node listens ...")
    extend = "max" if matrix.max() > top else "neither"
    axis.figure.colorbar(picture, ax=axis, label="weight", extend=extend, shrink=0.8)
    return panels


@fill_in
def plot_graph_map(
    weights: pd.DataFrame,
    coordinates: ArrayLike,
    *,
    given: Graph | None = None,
    n_links: int = 2,
    geographic: bool = False,
    axes: Any = None,
) -> np.ndarray:
    """Draw the strongest links of a graph on a map: arrows lead to the node that listens.

    Parameters
    ----------
    weights : DataFrame of shape (n_nodes, n_nodes)
        Row i holds how much node i listens to each node.
    coordinates : array-like of shape (n_nodes, 2)
        Places of the nodes: x and y, or latitude and longitude in degrees.
    given : Graph, optional
        A known graph over the same nodes: links that it has too look different from those that it lacks.
    n_links : int, default=2
        Links to draw per listening node at most, the strongest; a node's own weight is no link. Those that do not stand
        out, by a tenth over what the node gives the others on average, are left out.
    geographic : bool, default=False
        Whether the coordinates are latitude and longitude.
    {axis}

    {panel}

    Raises
    ------
    DataError
        If the sizes do not agree.
    ParameterError
        If n_links is no integer of at least 1.
    {matplotlib}
    """
    require("matplotlib", extra="plot")
    matrix = _square(weights)
    place = np.asarray(coordinates, dtype=float)
    if place.shape != (len(matrix), 2):
        raise DataError(f"coordinates have shape {place.shape}; needed: ({len(matrix)}, 2), a row per node.")
    if given is not None and given.n_nodes != len(matrix):
        raise DataError(f"the given graph has {given.n_nodes} nodes; needed: {len(matrix)}, as the weights.")
    if not isinstance(n_links, (int, np.integer)) or n_links < 1:
        raise ParameterError(f"n_links={n_links!r}; needed: an integer of at least 1.")
    panels = new_axes(1, 1, 5.6)[:, 0] if axes is None else given_axes(axes, 1, "one panel")
    axis = panels[0]
    place = place[:, ::-1] if geographic else place
    known = (
        None if given is None else given.to_dense().T > 0
    )  # of the graph: edge i -> j; of the table: j listens to i
    _draw_links(axis, place, _strongest(matrix, int(n_links)), known)
    axis.plot(*place.T, "o", color="black", markersize=4, zorder=5)
    if len(matrix) <= 40:
        for name, (x, y) in zip(weights.index, place, strict=True):
            axis.annotate(
                shown(name, 24), (x, y), (3, 3), textcoords="offset points", fontsize="small", zorder=6
            )
    axis.set_xlabel("longitude (degrees)" if geographic else "x")
    axis.set_ylabel("latitude (degrees)" if geographic else "y")
    axis.set_aspect(1 / max(0.1, np.cos(np.radians(place[:, 1].mean()))) if geographic else 1, "datalim")
    axis.spines[["top", "right"]].set_visible(False)
    if axes is None:
        head(panels, None)
    return panels


class GraphDisplay(Display):
    """A learned graph as a matrix and, where the places of the nodes are known, on a map.

    Parameters
    ----------
    weights : DataFrame of shape (n_nodes, n_nodes)
        Row i holds how much node i listens to each node.
    given : Graph, optional
        The known graph; its coordinates are the default places.
    coordinates : array-like of shape (n_nodes, 2), optional
        Places of the nodes.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        Matrix and, with coordinates, map, after `plot`.
    {figure}

    Examples
    --------
    >>> from stmest import STMambaForecaster, make_sensor_network
    >>> from stmest.plotting import GraphDisplay
    >>> data = make_sensor_network(n_nodes=6, n_times=200, random_state=0)
    >>> model = STMambaForecaster(d_model=4, graph="learned", linear_skip=False, max_epochs=1, random_state=0)
    >>> display = GraphDisplay.from_estimator(model.fit(data.values, data.graph))
    >>> [axis.get_xlabel() for axis in display.axes_]
    ['... to this node', 'x']
    """

    def __init__(
        self, weights: pd.DataFrame, *, given: Graph | None = None, coordinates: ArrayLike | None = None
    ) -> None:
        self.weights, self.given = weights, given
        self.coordinates = given.coordinates if coordinates is None and given is not None else coordinates

    def plot(
        self,
        *,
        n_links: int = 2,
        geographic: bool = False,
        title: str | None = None,
        axes: Any = None,
    ) -> GraphDisplay:
        """Draw the picture.

        Parameters
        ----------
        n_links, geographic
            As in `plot_graph_map`.
        {title}
        {axes: the matrix first and, with coordinates, the map second}

        Returns
        -------
        GraphDisplay
            This display.
        """
        n_panels = 1 if self.coordinates is None else 2
        if axes is None:
            panels = new_axes(n_panels, 1, 5.4 if n_panels == 1 else 10.5)[:, 0]
        else:
            panels = given_axes(axes, n_panels, "matrix and map" if n_panels == 2 else "the matrix")
        plot_graph_matrix(self.weights, axes=panels[0])
        if self.coordinates is not None:
            plot_graph_map(
                self.weights, self.coordinates, given=self.given, n_links=n_links, geographic=geographic,
                axes=panels[1],
            )  # fmt: skip
        if axes is None:
            head(panels, title, source=panels[-1], n_columns=2)
        self.axes_ = panels
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        coordinates: ArrayLike | None = None,
        n_links: int = 2,
        geographic: bool = False,
        title: str | None = None,
        axes: Any = None,
    ) -> GraphDisplay:
        """Draw the graph that a fitted forecaster learnt.

        Parameters
        ----------
        estimator : forecaster
            Fitted, with ``graph_``.
        coordinates : array-like of shape (n_nodes, 2), optional
            Places of the nodes; default those of the graph that `fit` was given, if it had any.
        n_links, geographic, title, axes
            As in `plot`.

        Returns
        -------
        GraphDisplay
            Drawn.

        Raises
        ------
        DataError
            If the forecaster has no graph.
        """
        check_is_fitted(estimator)
        graph = getattr(estimator, "graph_", None)  # once, as it may warn
        if graph is None:
            raise DataError(f"{type(estimator).__name__} has no graph_: it learns no graph.")
        display = cls(graph, given=estimator.given_graph_, coordinates=coordinates)
        return display.plot(n_links=n_links, geographic=geographic, title=title, axes=axes)


def _square(weights: pd.DataFrame) -> np.ndarray:
    matrix = np.asarray(weights, dtype=float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise DataError(f"weights have shape {matrix.shape}; needed: (n_nodes, n_nodes).")
    return matrix


def _strongest(matrix: np.ndarray, n_links: int) -> list[tuple[int, int, float]]:
    """(listener, source, weight) of the strongest links of each listener, the weakest first."""
    others = np.where(np.eye(len(matrix), dtype=bool), 0.0, matrix)
    sources = np.argsort(-others, axis=1, kind="stable")[:, :n_links]
    n = len(matrix)
    least = _STANDS_OUT * others.sum(1) / (n - 1) if n > 2 else np.zeros(n)
    links = [
        (i, int(j), float(others[i, j])) for i in range(n) for j in sources[i] if others[i, j] > least[i]
    ]
    return sorted(links, key=lambda link: link[2])


def _draw_links(
    axis: Any, place: np.ndarray, links: list[tuple[int, int, float]], known: np.ndarray | None
) -> None:
    """Draw arrows from the source to the listener, wider where the weight is larger."""
    from matplotlib.patches import FancyArrowPatch

    top = max((weight for *_, weight in links), default=1.0)
    head_size = 9 if len(place) <= 40 else 6
    for listener, source, weight in links:
        shared = known is None or bool(known[listener, source])
        axis.add_patch(
            FancyArrowPatch(
                place[source], place[listener], arrowstyle="-|>", mutation_scale=head_size, shrinkA=2, shrinkB=4,
                connectionstyle="arc3,rad=0.12", linewidth=0.5 + 1.8 * weight / top, zorder=3,
                color=COLOURS[0] if shared else COLOURS[1], linestyle=DASHES[0] if shared else DASHES[1],
            )
        )  # fmt: skip
    if known is not None:
        for i, label in enumerate(("also in the given graph", "not in the given graph")):
            axis.plot([], [], color=COLOURS[i], linestyle=DASHES[i], label=label)
