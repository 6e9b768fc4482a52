"""A forecaster with a network of two linear maps: everything of the API, at no cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from stmest.forecasters.network import NetworkForecaster
from stmest.forecasters.parameters import TrainingParameters, real
from stmest.networks.base import ForecastNetwork


class TinyNetwork(ForecastNetwork):
    """A linear map over time plus one over the neighbours, and a fake auxiliary term."""

    def __init__(self, *, adjacency: Tensor | None, **sizes: int):
        super().__init__(**sizes)
        flat = self.input_length * self.n_inputs
        self.own = nn.Linear(flat, self.horizon * self.n_outputs)
        self.others = nn.Linear(flat, self.horizon * self.n_outputs, bias=False)
        self.calendar = nn.Linear(self.n_time_features, 1) if self.n_time_features else None
        self.known = nn.Linear(self.n_ahead, self.n_outputs, bias=False) if self.n_ahead else None
        self.register_buffer("adjacency", adjacency)

    uses_ahead = True

    def start_at_zero(self):
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self, x: Tensor, time: Tensor | None = None, ahead: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        b, _, n, _ = x.shape
        flat = x.transpose(1, 2).flatten(2)
        out = self.own(flat)
        if self.adjacency is not None:
            out = out + self.adjacency.T @ self.others(flat)
        out = out.view(b, n, self.horizon, -1).transpose(1, 2)
        if self.calendar is not None:
            out = out + self.calendar(time[:, -self.horizon :])[:, :, None]
        if self.known is not None and ahead is not None:
            out = out + self.known(ahead)
        return out, {"size": out.square().mean()} if self.training else {}


@dataclass(kw_only=True, eq=False, repr=False)
class TinyForecaster(NetworkForecaster):
    """Fits `TinyNetwork`."""

    input_length: int = 4
    horizon: int = 2
    max_epochs: int = 2
    size_weight: float = 0.0

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TrainingParameters._parameter_constraints,
        "size_weight": [real(0)],
    }

    _network_class = TinyNetwork

    def _loss_weights(self):
        return {"size": self.size_weight}
