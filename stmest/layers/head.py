"""The forecast head of node-wise networks: encoded window, the window itself, calendar and identity of a node to its horizon.

Builds on torch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .dropout import Dropout

__all__ = ["ForecastHead", "LinearHead", "ResidualLayer"]


class ResidualLayer(nn.Module):
    """``z + FC_2(drop(relu(FC_1(z))))``.

    Parameters
    ----------
    d_model : int
        Width.
    dropout : float, default=0.0
        Between the two maps.

    Shapes
    ------
    z (..., d) -> (..., d)
    """

    def __init__(self, d_model: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)
        self.dropout = Dropout(dropout)

    def forward(self, z: Tensor) -> Tensor:
        """Add what the layer finds."""
        return z + self.second(self.dropout(F.relu(self.first(z))))


class LinearHead(nn.Module):
    """One linear map from the encoded window of a node to its horizon, the same for all nodes; nothing else is seen.

    Parameters
    ----------
    n_features : int
        Flattened size of an encoded window of one node.
    horizon, n_outputs : int
        Steps and channels of the forecast.

    Shapes
    ------
    encoded (n, b, n_features) -> (b, h, n, f_out); what else a head is given does not count
    """

    def __init__(self, n_features: int, horizon: int, n_outputs: int) -> None:
        super().__init__()
        self.horizon, self.n_outputs = horizon, n_outputs
        self.out = nn.Linear(n_features, horizon * n_outputs)

    @torch.no_grad()
    def start_at_zero(self) -> None:
        """Let the forecasts of an untrained head be exactly 0."""
        self.out.weight.zero_()
        self.out.bias.zero_()

    def forward(self, encoded: Tensor, *known: object) -> Tensor:
        """Return forecasts (b, h, n, f_out)."""
        return self.out(encoded).unflatten(-1, (self.horizon, self.n_outputs)).permute(1, 2, 0, 3)

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"horizon={self.horizon}, n_outputs={self.n_outputs}"


class ForecastHead(nn.Module):
    """Map encoded windows to forecasts, with one set of weights for all nodes.

    A residual perceptron on the sum of four linear maps: of the encoded window, of the observations that it was made from,
    of the node's embedding and of the calendar at the forecast's origin, with the holidays of the target steps. What happens
    next depends on where and when the window ends, and on nothing that the encoder may have blurred.

    Parameters
    ----------
    n_features : int
        Flattened size of an encoded window of one node.
    n_observations : int
        Flattened size of the window itself: steps times channels.
    horizon, n_outputs : int
        Steps and channels of the forecast.
    embedding_dim : int
        Width of the node embeddings.
    n_time_features : int
        Calendar channels.
    width, n_layers : int
        Hidden units; residual layers.
    n_ahead : int
        Channels that are known of each target step.
    n_around : int
        Means of the nodes around each that the head sees too: of their windows, of what is known of their target steps and of
        their older time steps.
    n_older : int
        Width of what is known of the time steps before the window.
    dropout : float
        Within the layers.

    Shapes
    ------
    encoded (n, b, n_features), x (b, t, n, f_in), E (n, c), origin (b, c_time) or None, ahead (b, h, n, n_ahead) or None,
    around: (n, m) -> (n, n_around, m), or None, older (n, b, n_older) or None -> (b, h, n, f_out)

    Notes
    -----
    The encoded window has many more features than the window has observations, and Adam moves all weights by about the same
    amount, whatever their gradient. Features as large as observations would move the forecast so much more with every step
    that training goes round in circles; so they are made smaller, by as much as they are more.
    """

    def __init__(
        self,
        n_features: int,
        n_observations: int,
        horizon: int,
        n_outputs: int,
        embedding_dim: int,
        n_time_features: int = 0,
        width: int = 64,
        n_layers: int = 2,
        n_ahead: int = 0,
        n_around: int = 0,
        n_older: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.horizon, self.n_outputs = horizon, n_outputs
        self.scale = n_observations / max(n_features, n_observations)
        self.lift_encoded = nn.Linear(n_features, width)
        self.lift_window = nn.Linear(n_observations, width, bias=False)
        self.lift_node = nn.Linear(embedding_dim, width, bias=False)
        self.lift_origin = nn.Linear(n_time_features, width, bias=False) if n_time_features else None
        self.lift_ahead = nn.Linear(horizon * n_ahead, width, bias=False) if n_ahead else None
        self.lift_older = nn.Linear(n_older, width, bias=False) if n_older else None
        known = n_around * (n_observations + horizon * n_ahead + n_older)
        self.lift_around = nn.Linear(known, width, bias=False) if known else None
        self.layers = nn.Sequential(*(ResidualLayer(width, dropout) for _ in range(n_layers)))
        self.out = nn.Linear(width, horizon * n_outputs)

    @torch.no_grad()
    def start_at_zero(self) -> None:
        """Let the forecasts of an untrained head be exactly 0, for a network that forecasts the residual of another forecast."""
        self.out.weight.zero_()
        self.out.bias.zero_()

    def forward(
        self,
        encoded: Tensor,
        x: Tensor,
        embedding: Tensor,
        origin: Tensor | None = None,
        ahead: Tensor | None = None,
        around: Callable[[Tensor], Tensor] | None = None,
        older: Tensor | None = None,
    ) -> Tensor:
        """Return forecasts (b, h, n, f_out)."""
        n, b, _ = encoded.shape
        known = [part.permute(2, 0, 1, 3).flatten(2) for part in (x, ahead) if part is not None]
        z = self.lift_encoded(self.scale * encoded) + self.lift_window(known[0])
        z = z + self.lift_node(embedding).unsqueeze(1)  # (n, b, width)
        if self.lift_origin is not None and origin is not None:
            z = z + self.lift_origin(origin)
        if self.lift_ahead is not None and ahead is not None:
            z = z + self.lift_ahead(known[1])
        if self.lift_older is not None and older is not None:
            z = z + self.lift_older(older)
            known.append(older)
        if self.lift_around is not None and around is not None:
            means = around(torch.cat(known, dim=-1).flatten(1)).unflatten(2, (b, -1))  # (n, n_around, b, m)
            z = z + self.lift_around(means.transpose(1, 2).flatten(2))
        out = self.out(self.layers(z)).view(n, b, self.horizon, self.n_outputs)
        return out.permute(1, 2, 0, 3)

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"horizon={self.horizon}, n_outputs={self.n_outputs}"
