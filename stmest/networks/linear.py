"""DLinear and NLinear: one linear map from look-back to horizon, after taking something simple out of the series.

Zeng, Chen, Zhang and Xu, "Are Transformers Effective for Time Series Forecasting?" (AAAI 2023, arXiv 2205.13504),
section 4: the linear models that a transformer has to beat. Builds on torch alone.

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

Where we differ, and why
------------------------
- *Several features of a node* have weights of their own, as in `stmest.RidgeForecaster`; each is forecast from its own
  past.
- Missing steps carry the last observation; where they were is not told to the linear maps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["DLinearNetwork", "NLinearNetwork", "NodeLinear", "moving_average"]


def moving_average(series: Tensor, window: int) -> Tensor:
    """Mean over a window around each step; beyond the ends the first and the last step go on.

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


class _LinearNetwork(nn.Module):
    """What both have in common: targets of the window as (n, f, b, t), and back."""

    def __init__(self, n_outputs: int, target_channels: Sequence[int] | None) -> None:
        super().__init__()
        self.target_channels = list(range(n_outputs) if target_channels is None else target_channels)

    def forward(self, x: Tensor, time: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Forecast.

        Parameters
        ----------
        x : Tensor of shape (b, t, n, f_in)
            Scaled readings without NaN.
        time : None
            Not used.

        Returns
        -------
        forecast : Tensor of shape (b, h, n, f_out)
        auxiliary : dict
            Empty: there are no further losses.
        """
        series = x[..., self.target_channels].permute(2, 3, 0, 1)
        return self.extrapolate(series).permute(2, 3, 0, 1), {}

    def extrapolate(self, series: Tensor) -> Tensor:
        """Map (n, f, b, t) to (n, f, b, h)."""
        raise NotImplementedError


class DLinearNetwork(_LinearNetwork):
    """Trend, a moving average, and the rest: a linear map for each, and the sum of both.

    Parameters
    ----------
    n_nodes, n_outputs, input_length, horizon : int
        Nodes, channels forecast, input steps, steps ahead.
    trend_window : int
        Steps of the moving average.
    per_node : bool
        Whether each node has weights of its own.
    target_channels : sequence of int, optional
        Input channels that are forecast, by default the first.

    Shapes
    ------
    x (b, t, n, f_in) -> forecast (b, h, n, f_out), empty dict
    """

    def __init__(
        self,
        n_nodes: int,
        n_outputs: int,
        input_length: int,
        horizon: int,
        *,
        trend_window: int = 25,
        per_node: bool = False,
        target_channels: Sequence[int] | None = None,
    ) -> None:
        super().__init__(n_outputs, target_channels)
        self.trend_window = trend_window
        sizes = (n_nodes if per_node else 1, n_outputs, input_length, horizon)
        self.trend, self.rest = NodeLinear(*sizes), NodeLinear(*sizes)

    def extrapolate(self, series: Tensor) -> Tensor:
        """Map (n, f, b, t) to (n, f, b, h)."""
        trend = moving_average(series, self.trend_window)
        return self.trend(trend) + self.rest(series - trend)


class NLinearNetwork(_LinearNetwork):
    """One linear map of what the steps are above the last one, and the last one on top.

    Parameters and shapes are those of `DLinearNetwork`, without its trend.
    """

    def __init__(
        self,
        n_nodes: int,
        n_outputs: int,
        input_length: int,
        horizon: int,
        *,
        per_node: bool = False,
        target_channels: Sequence[int] | None = None,
    ) -> None:
        super().__init__(n_outputs, target_channels)
        self.linear = NodeLinear(n_nodes if per_node else 1, n_outputs, input_length, horizon)

    def extrapolate(self, series: Tensor) -> Tensor:
        """Map (n, f, b, t) to (n, f, b, h)."""
        last = series[..., -1:]
        return self.linear(series - last) + last
