"""DLinear and NLinear: one linear map from look-back to horizon, after the last value or the trend is subtracted.

Zeng, Chen, Zhang and Xu, "Are Transformers Effective for Time Series Forecasting?" (AAAI 2023, arXiv 2205.13504),
section 4: the linear baselines of transformers. Builds on torch.

==============  ======================================
paper           here
==============  ======================================
L, T            t input steps, h steps ahead
C               n nodes
X_t, X_s        ``trend`` and the rest
W (L to T)      `NodeLinear`
individual      ``per_node``
kernel size     ``trend_window``
==============  ======================================

::

    NLinear    y = W (x - last step of x) + last step of x
    DLinear    y = W_t X_t + W_s X_s,    X_t = moving average of x,    X_s = x - X_t

Where we differ, and why
------------------------
- *Several features of a node* have weights of their own, as in `stmest.RidgeForecaster`; each is forecast from its own
  past.
- *Missing values* are forward-filled; the linear maps get no observation mask.
- *The moving average may have an even window*; it then reaches one step further back than ahead.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..layers.channels import select_channels
from .base import ForecastNetwork

__all__ = ["DLinearNetwork", "NLinearNetwork", "NodeLinear", "moving_average"]


def moving_average(series: Tensor, window: int) -> Tensor:
    """Mean over a window around each step; beyond the ends the first and the last step are repeated.

    Parameters
    ----------
    series : Tensor of shape (..., t)
    window : int
        Steps; an even window reaches one step further back than ahead.

    Returns
    -------
    Tensor of shape (..., t)
    """
    rows = series.flatten(0, -2).unsqueeze(1)
    padded = F.pad(rows, (window // 2, (window - 1) // 2), mode="replicate")
    return F.avg_pool1d(padded, window, stride=1).view(series.shape)


class NodeLinear(nn.Module):
    """A linear map over time for each feature, shared by all nodes or one for each node.

    Parameters
    ----------
    n_groups : int
        1 to share, or the number of nodes.
    n_outputs, input_length, horizon : int
        Features, input steps, output steps.

    Shapes
    ------
    (n, f, b, t) -> (n, f, b, h)
    """

    def __init__(self, n_groups: int, n_outputs: int, input_length: int, horizon: int) -> None:
        super().__init__()
        bound = input_length**-0.5  # as nn.Linear
        self.weight = nn.Parameter(
            torch.empty(n_groups, n_outputs, input_length, horizon).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(torch.empty(n_groups, n_outputs, 1, horizon).uniform_(-bound, bound))

    def forward(self, series: Tensor) -> Tensor:
        """Map (n, f, b, t) to (n, f, b, h)."""
        return torch.matmul(series, self.weight) + self.bias

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"n_groups={self.weight.shape[0]}, input_length={self.weight.shape[2]}, horizon={self.weight.shape[3]}"


class _LinearNetwork(ForecastNetwork):
    """Base of both: targets of the window as (n, f, b, t), and back.

    Parameters
    ----------
    per_node : bool
        Whether each node has weights of its own.
    target_channels : sequence of int
        Input channels that are forecast, each from its own past.
    **sizes : int
        As `stmest.networks.base.ForecastNetwork`.
    """

    def __init__(self, *, per_node: bool, target_channels: Sequence[int], **sizes: int) -> None:
        super().__init__(**sizes)
        self.n_groups = self.n_nodes if per_node else 1
        self.target_channels = list(target_channels)

    def forward(
        self, x: Tensor, time: Tensor | None = None, ahead: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Forecast, without the calendar; see `ForecastNetwork.forward`."""
        series = select_channels(x, self.target_channels).permute(2, 3, 0, 1)
        return self.extrapolate(series).permute(2, 3, 0, 1), {}

    @abstractmethod
    def extrapolate(self, series: Tensor) -> Tensor:
        """Map (n, f, b, t) to (n, f, b, h)."""

    @torch.no_grad()
    def start_at_zero(self) -> None:
        """Begin with a forecast of 0 everywhere."""
        for parameter in self.parameters():
            parameter.zero_()

    def _map(self) -> NodeLinear:
        return NodeLinear(self.n_groups, self.n_outputs, self.input_length, self.horizon)


class DLinearNetwork(_LinearNetwork):
    """Trend, a moving average, and the rest: a linear map for each, and the sum of both.

    Parameters
    ----------
    trend_window : int
        Steps of the moving average.
    per_node : bool
        Whether each node has weights of its own.
    target_channels : sequence of int
        Input channels that are forecast.
    **sizes : int
        As `stmest.networks.base.ForecastNetwork`.
    """

    def __init__(
        self, *, trend_window: int, per_node: bool, target_channels: Sequence[int], **sizes: int
    ) -> None:
        super().__init__(per_node=per_node, target_channels=target_channels, **sizes)
        self.trend_window = trend_window
        self.trend, self.rest = self._map(), self._map()

    def extrapolate(self, series: Tensor) -> Tensor:
        """Map (n, f, b, t) to (n, f, b, h)."""
        trend = moving_average(series, self.trend_window)
        return self.trend(trend) + self.rest(series - trend)


class NLinearNetwork(_LinearNetwork):
    """One linear map of the look-back less its last step, plus the last step.

    Parameters are those of `DLinearNetwork`, without its trend.
    """

    def __init__(self, *, per_node: bool, target_channels: Sequence[int], **sizes: int) -> None:
        super().__init__(per_node=per_node, target_channels=target_channels, **sizes)
        self.linear = self._map()
        self.returns_last = True

    def extrapolate(self, series: Tensor) -> Tensor:
        """Map (n, f, b, t) to (n, f, b, h)."""
        last = series[..., -1:]
        change = self.linear(series - last)
        return change + last if self.returns_last else change

    def start_at_zero(self) -> None:
        """Begin with a forecast of 0 everywhere: the last step is not added."""
        super().start_at_zero()
        self.returns_last = False
