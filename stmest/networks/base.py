"""`ForecastNetwork`: the base class of all networks.

A network is one file. It takes its sizes and parameters by name and has no defaults: these are in the parameters of its
forecaster, which also checks their values. A network checks only sizes, graph, and values derived from them. Builds on torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..exceptions import GraphError, ParameterError

__all__ = ["ForecastNetwork", "check_adjacency", "check_grid"]


class ForecastNetwork(nn.Module, ABC):
    """Base of all networks: windows of all nodes in, forecasts of all nodes out.

    Parameters
    ----------
    n_nodes, n_inputs, n_outputs : int
        Nodes (or pixels of a grid), input channels of each, channels forecast; at least 1.
    input_length, horizon : int
        Input steps, steps ahead; at least 1.
    n_time_features : int
        Calendar channels; 0 if there is no calendar.
    n_events : int
        How many of them, the last ones, describe events such as holidays, which do not follow from the calendar of the origin.
    n_ahead : int
        Channels that are known of the target steps of each node; 0 if there are none.

    Raises
    ------
    ParameterError
        If a size is too small.

    Shapes
    ------
    x (b, t, n, f_in), time (b, t + h, c) or None -> forecast (b, h, n, f_out), dict of auxiliary losses

    Notes
    -----
    The windows of a batch do not see each other. In evaluation mode the same windows give the same forecast.
    """

    def __init__(
        self,
        *,
        n_nodes: int,
        n_inputs: int,
        n_outputs: int,
        input_length: int,
        horizon: int,
        n_time_features: int,
        n_ahead: int,
        n_events: int,
    ) -> None:
        super().__init__()
        self.n_ahead, self.n_events = n_ahead, n_events
        self.n_nodes, self.n_inputs, self.n_outputs = n_nodes, n_inputs, n_outputs
        self.input_length, self.horizon, self.n_time_features = input_length, horizon, n_time_features
        for name in ("n_nodes", "n_inputs", "n_outputs", "input_length", "horizon"):
            if getattr(self, name) < 1:
                raise ParameterError(f"{name}={getattr(self, name)}; a network needs at least 1.")
        if n_time_features < 0:
            raise ParameterError(f"n_time_features={n_time_features}; needed: 0 for no calendar, or more.")
        if not 0 <= n_events <= n_time_features:
            raise ParameterError(
                f"n_events={n_events}; needed: 0 to n_time_features={n_time_features}, as they are some of these."
            )

    uses_ahead: ClassVar[bool] = False  # whether the network takes what is known of the target steps

    @abstractmethod
    def forward(
        self, x: Tensor, time: Tensor | None = None, ahead: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Forecast.

        A network that sees older time steps in patches takes two more tensors: ``older`` of shape (b, r, n, 2 f), the r time
        steps before the look-back with observation masks, and ``older_time`` of shape (b, r, c), their calendar or None.

        Parameters
        ----------
        x : Tensor of shape (b, t, n, f_in)
            Scaled observations without NaN; with missing values, the last channels are observation masks.
        time : Tensor of shape (b, t + h, c), optional
            Calendar of the input and target steps; None without a calendar.
        ahead : Tensor of shape (b, h, n, n_ahead), optional
            What is known of the target steps: linear forecast, seasonal mean and values of earlier days and weeks, scaled. Only
            for networks that `uses_ahead` says so of.

        Returns
        -------
        forecast : Tensor of shape (b, h, n, f_out)
            Scaled as `x` is.
        auxiliary : dict of str to Tensor of shape ()
            Further terms of the loss, not weighted, in training mode; empty in evaluation mode.
        """

    @abstractmethod
    def start_at_zero(self) -> None:
        """Let an untrained network start with a forecast of exactly 0, as it forecasts the residual of another forecast."""

    @property
    def n_origin_features(self) -> int:
        """Width of what `origin` returns."""
        return self.n_time_features + self.horizon * self.n_events

    def origin(self, time: Tensor) -> Tensor:
        """Calendar of the last input step, and `events`: (b, n_origin_features)."""
        last = time[:, self.input_length - 1]
        return torch.cat([last, self.events(time)], dim=1) if self.n_events else last

    def events(self, time: Tensor) -> Tensor:
        """Event channels of the target steps, side by side: (b, horizon * n_events)."""
        return time[:, self.input_length :, self.n_time_features - self.n_events :].flatten(1)

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"n_nodes={self.n_nodes}, input_length={self.input_length}, horizon={self.horizon}"


def check_adjacency(adjacency: Tensor | None, n_nodes: int) -> None:
    """Refuse a graph of another number of nodes; its weights were checked where it became a `stmest.Graph`.

    Parameters
    ----------
    adjacency : Tensor of shape (n, n) or None
        Given graph.
    n_nodes : int
        Nodes of the network.

    Raises
    ------
    GraphError
        If the shape is not (n_nodes, n_nodes).
    """
    if adjacency is not None and tuple(adjacency.shape) != (n_nodes, n_nodes):
        raise GraphError(
            f"adjacency has shape {tuple(adjacency.shape)}; {n_nodes} nodes need {(n_nodes, n_nodes)}."
        )


def check_grid(grid_shape: tuple[int, int], n_nodes: int) -> tuple[int, int]:
    """Return rows and columns of a grid, if they make up the nodes.

    Parameters
    ----------
    grid_shape : tuple of int
        Rows and columns.
    n_nodes : int
        Nodes of the network: the pixels, row by row.

    Returns
    -------
    tuple of int

    Raises
    ------
    ParameterError
        If there are more or fewer pixels than nodes.
    """
    rows, columns = (int(size) for size in grid_shape)
    if rows * columns != n_nodes or min(rows, columns) < 1:
        raise ParameterError(
            f"grid_shape={grid_shape} has {rows * columns} pixels, but there are {n_nodes} nodes."
        )
    return rows, columns
