"""Values that are no finite numbers, and which value is most likely the cause.

Builds on numpy alone, so that forecasters without a network use it too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.scaling import NodeScaler
from ..exceptions import DataError

__all__ = ["most_extreme", "node_name", "refuse_infinite_forecasts"]


def refuse_infinite_forecasts(
    forecast: np.ndarray, x: np.ndarray, scaler: NodeScaler, nodes: list[Any] | None
) -> None:
    """Raise an error where a forecast is not finite, naming the value that is most likely the cause.

    Parameters
    ----------
    forecast : ndarray of shape (b, h, n, f_target)
        In the units of the data.
    x : ndarray of shape (b, t, n, f)
        Look-backs of the forecasts.
    scaler : NodeScaler
        Of the network.
    nodes : list or None
        Names of the nodes.

    Raises
    ------
    DataError
        Naming the node that could not be forecast, and node and step of the most extreme value.
    """
    if np.isfinite(forecast).all():
        return
    failed = np.argwhere(~np.isfinite(forecast))[0][2]
    (window, step, node, _), spreads = most_extreme(x, scaler)
    raise DataError(
        f"the forecast of node {node_name(nodes, failed)} is no finite number. The most extreme value of the look-back is "
        f"{spreads:.3g} spreads from the centre of the training data: node {node_name(nodes, node)}, {x.shape[1] - step} step(s) "
        f"before the forecast, window {window} of {len(x)} in its batch. Give NaN where a value is broken."
    )


def most_extreme(values: np.ndarray, scaler: NodeScaler) -> tuple[tuple[int, ...], float]:
    """Place of the value (b, t, n, f) that is farthest from the centre, and its distance in spreads."""
    size = np.abs((np.asarray(values, dtype=np.float64) - scaler.center) / scaler.scale)
    size = np.nan_to_num(size, nan=-1.0)
    place = tuple(int(i) for i in np.unravel_index(size.argmax(), size.shape))
    return place, float(size[place])


def node_name(nodes: list[Any] | None, node: int) -> str:
    """A node in a message: its name, or its position where it has none."""
    return str(node) if nodes is None else repr(nodes[node])
