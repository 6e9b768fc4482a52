"""STID: learned vectors of node, time of day and day of week, and a perceptron on the look-back.

Shao, Zhang, Wang, Wei, Xu, "Spatial-Temporal Identity: A Simple yet Effective Baseline for Multivariate Time Series
Forecasting", CIKM 2022 (arXiv 2208.05233). No graph and no recurrence: nodes are distinguished by a table of learned
vectors, and no information passes between them.

==================  ==============================================
paper               here
==================  ==============================================
N, L, F, C          n nodes, t input steps, h horizon, f channels
N_d, N_w            ``slots_per_day``, 7
D                   d, ``d_model``: the width of every part
H (of the window)   ``lift_window``
E                   ``node``
T^TiD, T^DiW        ``time_of_day``, ``day_of_week``
Z                   the parts side by side, (n, b, parts * d)
FC_1, FC_2          `stmest.layers.head.ResidualLayer`
regression layer    ``head``
==================  ==============================================

::

    H = FC(window of the node);  Z = H beside E, T^TiD and T^DiW
    Z = Z + FC_2(relu(FC_1(Z)))                                      n_layers times
    y = regression layer(Z)

Where we differ, and why
------------------------
- *Slots are read from the calendar channels.* All networks here get the calendar as channels, the time of day as sines and
  cosines: the slot is the angle of the first harmonic, and the weekday is the channel that is 1. The tables are those
  of the paper. As in the authors' program, the identity is that of the last input step.
- *Holidays* of the target steps, where there are any among the calendar channels, are one more part, ``lift_events``.
- *Parts may be missing.* Without dates there is no time identity; data of full days have a day of the week only.
- *Slots are never shorter than five minutes*, the step of the paper's data, so that each has enough observations.
- *Dropout* of 0.15 between the two maps of a layer is in the authors' program, not in the paper; here it is a parameter.
- *Missing values* are forward-filled; observation masks are further input channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..layers.head import ResidualLayer
from .base import ForecastNetwork

__all__ = ["STIDNetwork"]

# Share of a slot by which rounding may move a time on the border of two slots
_ROUNDING = 1e-3


class STIDNetwork(ForecastNetwork):
    """Forecaster of all nodes; see the module's head for the architecture.

    Parameters
    ----------
    day_channels : pair of int or None
        Calendar channels with sine and cosine of the time of day; None: no embedding of it.
    week_channel : int or None
        First of the seven calendar channels of the day of the week; None: no embedding of it.
    slots_per_day : int
        Rows of the table of times of day.
    d_model : int
        Width of window, node, time of day and day of week.
    n_layers : int
        Residual layers.
    dropout : float
        Between the two maps of a layer.
    **sizes : int
        As `stmest.networks.base.ForecastNetwork`.
    """

    def __init__(
        self,
        *,
        day_channels: tuple[int, int] | None,
        week_channel: int | None,
        slots_per_day: int,
        d_model: int,
        n_layers: int,
        dropout: float,
        **sizes: int,
    ) -> None:
        super().__init__(**sizes)
        self.day_channels, self.week_channel, self.slots_per_day = day_channels, week_channel, slots_per_day
        self.lift_window = nn.Linear(self.input_length * self.n_inputs, d_model)
        self.node = _table(self.n_nodes, d_model)
        self.time_of_day = None if day_channels is None else _table(slots_per_day, d_model)
        self.day_of_week = None if week_channel is None else _table(7, d_model)
        self.lift_ahead = nn.Linear(self.horizon * self.n_ahead, d_model) if self.n_ahead else None
        self.lift_events = nn.Linear(self.horizon * self.n_events, d_model) if self.n_events else None
        tables = (day_channels is not None) + (week_channel is not None)
        width = d_model * (2 + (self.n_ahead > 0) + tables + (self.n_events > 0))
        self.layers = nn.Sequential(*(ResidualLayer(width, dropout) for _ in range(n_layers)))
        self.head = nn.Linear(width, self.horizon * self.n_outputs)

    @torch.no_grad()
    def start_at_zero(self) -> None:
        """Begin with a forecast of 0 everywhere."""
        self.head.weight.zero_()
        self.head.bias.zero_()

    uses_ahead = True

    def forward(
        self, x: Tensor, time: Tensor | None = None, ahead: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Forecast; see `ForecastNetwork.forward`. There are no auxiliary losses."""
        b, _, n, _ = x.shape
        parts = [self.lift_window(x.permute(2, 0, 1, 3).flatten(2)), self.node.unsqueeze(1).expand(n, b, -1)]
        if self.lift_ahead is not None and ahead is not None:
            parts.append(self.lift_ahead(ahead.permute(2, 0, 1, 3).flatten(2)))
        if time is not None:
            parts += [row.expand(n, b, -1) for row in self._time_identity(time[:, self.input_length - 1])]
            if self.lift_events is not None:
                parts.append(self.lift_events(self.events(time)).expand(n, b, -1))
        z = self.layers(torch.cat(parts, dim=-1))  # (n, b, parts * d)
        return self.head(z).view(n, b, self.horizon, self.n_outputs).permute(1, 2, 0, 3), {}

    def _time_identity(self, origin: Tensor) -> list[Tensor]:
        """Rows (b, d) of the tables of time, for calendar channels (b, c) of the last input step."""
        rows = []
        if self.time_of_day is not None:
            rows.append(self.time_of_day[self.day_slot(origin)])
        if self.day_of_week is not None and self.week_channel is not None:
            weekday = origin[:, self.week_channel : self.week_channel + 7].argmax(-1)
            rows.append(self.day_of_week[weekday])
        return rows

    def day_slot(self, calendar: Tensor) -> Tensor:
        """Slot of the day of calendar channels (..., c): (...), int64."""
        sine, cosine = (calendar[..., channel].float() for channel in self.day_channels or ())
        share = torch.atan2(sine, cosine) / (2 * math.pi) % 1.0
        return (share * self.slots_per_day + _ROUNDING).long() % self.slots_per_day

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"{super().extra_repr()}, slots_per_day={self.slots_per_day}"


def _table(rows: int, width: int) -> nn.Parameter:
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(rows, width)))
