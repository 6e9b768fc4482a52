"""The forecast head of node-wise networks: encoded window, calendar and identity of a node to its horizon.

Builds on torch alone; used by ``networks.stm3``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ForecastHead"]


class ForecastHead(nn.Module):
    """Map encoded windows to forecasts, with one set of weights for all nodes.

    The sum of three terms:

    - a linear map of the flattened window, as in STM3;
    - a small perceptron on window, node embedding and calendar of the forecast's origin together: what happens next
      depends on where and when the window ends;
    - a product of node embedding and calendar of the target step, of low rank: the profile that a node follows
      whatever the window says.

    Parameters
    ----------
    n_features : int
        Flattened size of an encoded window of one node.
    horizon, n_outputs : int
        Steps and channels of the forecast.
    embedding_dim : int
        Width of the node embeddings.
    n_time_features : int
        Calendar channels; without them the second term lacks its calendar, and there is no third.
    width : int
        Hidden units of the second term, rank of the third.

    Shapes
    ------
    encoded (n, b, n_features), E (n, c), origin (b, c_time) and targets (b, h, c_time), or None -> (b, h, n, f_out)
    """

    def __init__(
        self,
        n_features: int,
        horizon: int,
        n_outputs: int,
        embedding_dim: int,
        n_time_features: int = 0,
        width: int = 32,
    ) -> None:
        super().__init__()
        self.horizon, self.n_outputs = horizon, n_outputs
        self.direct = nn.Linear(n_features, horizon * n_outputs)
        self.hidden_window = nn.Linear(n_features, width)
        self.hidden_node = nn.Linear(embedding_dim, width, bias=False)
        self.hidden_out = nn.Linear(width, horizon * n_outputs, bias=False)
        self.hidden_origin = nn.Linear(n_time_features, width, bias=False) if n_time_features else None
        self.profile_time = nn.Linear(n_time_features, width) if n_time_features else None
        self.profile_node = (
            nn.Linear(embedding_dim, width * n_outputs, bias=False) if n_time_features else None
        )

    @torch.no_grad()
    def start_at_zero(self) -> None:
        """Let the forecasts of an untrained head be exactly 0, for a network that corrects another forecast."""
        for layer in (self.direct, self.hidden_out, self.profile_node):
            for parameter in () if layer is None else layer.parameters():
                parameter.zero_()

    def forward(
        self, encoded: Tensor, embedding: Tensor, origin: Tensor | None = None, targets: Tensor | None = None
    ) -> Tensor:
        """Return forecasts (b, h, n, f_out)."""
        n, b, _ = encoded.shape
        hidden = self.hidden_window(encoded) + self.hidden_node(embedding).unsqueeze(1)  # (n, b, width)
        if self.hidden_origin is not None and origin is not None:
            hidden = hidden + self.hidden_origin(origin)
        out = self.direct(encoded) + self.hidden_out(F.gelu(hidden))
        out = out.view(n, b, self.horizon, self.n_outputs).permute(1, 2, 0, 3)
        if self.profile_time is not None and self.profile_node is not None and targets is not None:
            phase = F.gelu(self.profile_time(targets))  # (b, h, width)
            loading = self.profile_node(embedding)  # (n, f_out * width)
            profile = torch.matmul(phase, loading.view(n * self.n_outputs, -1).t())
            out = out + profile.view(b, self.horizon, n, self.n_outputs)
        return out

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"horizon={self.horizon}, n_outputs={self.n_outputs}"
