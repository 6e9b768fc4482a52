"""Which expert serves which node, and how that changed while the network learnt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from ..exceptions import DataError
from ..runtime import require
from ._canvas import COLOURS, Display, entitle, given_axes, label_nodes, new_axes, shown, tidy
from ._docs import fill_in

__all__ = ["RoutingDisplay", "plot_routing", "plot_routing_change"]


@fill_in
def plot_routing(routing: pd.DataFrame, *, axes: Any = None) -> np.ndarray:
    """Draw the probability of each expert for each node, nodes of the same first expert side by side.

    Parameters
    ----------
    routing : DataFrame of shape (n_nodes, n_experts)
        Probabilities, as in `STM3Forecaster.routing_`.
    {axis}

    {panel}

    Raises
    ------
    DataError
        If there is no expert.
    {matplotlib}
    """
    require("matplotlib", extra="plot")
    probabilities = np.asarray(routing, dtype=float)
    if probabilities.ndim != 2 or not probabilities.size:
        raise DataError(f"routing has shape {probabilities.shape}; needed: (n_nodes, n_experts).")
    panels = new_axes(1, 1, 2.6)[:, 0] if axes is None else given_axes(axes, 1, "one panel")
    axis = panels[0]
    first = probabilities.argmax(1)
    order = np.lexsort((-probabilities.max(1), first))
    picture = axis.imshow(
        probabilities[order].T, cmap="Blues", vmin=0, aspect="auto", interpolation="nearest"
    )
    label_nodes(axis, [routing.index[i] for i in order], what="node, by its first expert")
    axis.set_yticks(range(probabilities.shape[1]), [shown(name, 24) for name in routing.columns])
    axis.set_ylabel("expert")
    for border in np.flatnonzero(np.diff(first[order])):
        axis.axvline(border + 0.5, color="black", linewidth=0.8)
    axis.figure.colorbar(picture, ax=axis, label="probability")
    return panels


@fill_in
def plot_routing_change(change: ArrayLike, *, axes: Any = None) -> np.ndarray:
    """Draw the share of the nodes whose first expert changed in each epoch.

    Parameters
    ----------
    change : array-like of shape (n_epochs,)
        Shares, as in `STM3Forecaster.routing_change_`.
    {axis}

    {panel}

    Raises
    ------
    DataError
        If there is no epoch.
    {matplotlib}
    """
    require("matplotlib", extra="plot")
    shares = np.asarray(change, dtype=float)
    if shares.ndim != 1 or not len(shares):
        raise DataError(f"change has shape {shares.shape}; needed: (n_epochs,), one epoch at least.")
    panels = new_axes(1, 1, 2.4)[:, 0] if axes is None else given_axes(axes, 1, "one panel")
    axis = panels[0]
    axis.plot(np.arange(1, len(shares) + 1), 100 * shares, color=COLOURS[0], marker=".", clip_on=False)
    axis.set_ylim(0, max(5, 105 * shares.max()))
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_xlabel("epoch")
    axis.set_ylabel("nodes that changed\nexpert (%)")
    tidy(axis)
    return panels


class RoutingDisplay(Display):
    """Routing of the nodes to the experts, and its change over the epochs.

    Parameters
    ----------
    routing : DataFrame of shape (n_nodes, n_experts)
        Probabilities.
    change : array-like of shape (n_epochs,)
        Share of the nodes whose first expert changed in each epoch.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, of shape (2,)
        Routing and change, after `plot`.
    {figure}

    Examples
    --------
    >>> from stmest import STM3Forecaster, make_sensor_network
    >>> from stmest.plotting import RoutingDisplay
    >>> X = make_sensor_network(n_nodes=6, n_times=200, random_state=0).values
    >>> model = STM3Forecaster(n_experts=2, linear_skip=False, max_epochs=2, random_state=0).fit(X)
    >>> RoutingDisplay.from_estimator(model).axes_[0].get_ylabel()
    'expert'
    """

    def __init__(self, routing: pd.DataFrame, change: ArrayLike) -> None:
        self.routing, self.change = routing, change

    def plot(self, *, title: str | None = None, axes: Any = None) -> RoutingDisplay:
        """Draw the picture.

        Parameters
        ----------
        {title}
        {axes: routing first, its change second}

        Returns
        -------
        RoutingDisplay
            This display.
        """
        panels = new_axes(2, 1, 4.8)[:, 0] if axes is None else given_axes(axes, 2, "routing and change")
        plot_routing(self.routing, axes=panels[0])
        plot_routing_change(self.change, axes=panels[1])
        if axes is None:
            entitle(panels[0].figure, title)
        self.axes_ = panels
        return self

    @classmethod
    def from_estimator(cls, estimator: Any, *, title: str | None = None, axes: Any = None) -> RoutingDisplay:
        """Draw the routing of a fitted STM3.

        Parameters
        ----------
        estimator : STM3Forecaster
            Fitted, with experts.
        title, axes
            As in `plot`.

        Returns
        -------
        RoutingDisplay
            Drawn.

        Raises
        ------
        DataError
            If the forecaster has no experts.
        """
        check_is_fitted(estimator)
        if not getattr(estimator, "n_experts", 0):
            raise DataError(
                f"{estimator!r} has no experts, so no routing; needed: STM3Forecaster, n_experts > 0."
            )
        return cls(estimator.routing_, estimator.routing_change_).plot(title=title, axes=axes)
