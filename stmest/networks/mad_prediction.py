"""MAD's prediction: from the latents of the input frames to those of the horizon, and its condition.

Builds on ``layers.diffusion_transformer`` and ``layers.conv``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..exceptions import ParameterError
from ..layers.conv import ConvLSTM
from ..layers.diffusion_transformer import DiffusionTransformer

__all__ = ["PREDICTIONS", "Condition", "RecurrentTrunk", "TokenTrunk"]

PREDICTIONS = ("dit", "vit", "convlstm")


class Condition(nn.Module):
    """A learned vector, plus a perceptron of the calendar of the forecast's origin.

    Shapes
    ------
    origin (b, c) or None, number of windows -> (b, d)
    """

    def __init__(self, n_origin_features: int, d_model: int) -> None:
        super().__init__()
        self.constant = nn.Parameter(0.02 * torch.randn(d_model))
        self.calendar = (
            nn.Sequential(nn.Linear(n_origin_features, d_model), nn.SiLU(), nn.Linear(d_model, d_model))
            if n_origin_features
            else None
        )

    def forward(self, origin: Tensor | None, n_windows: int) -> Tensor:
        """Condition of every window."""
        constant = self.constant.expand(n_windows, -1)
        if self.calendar is None or origin is None:
            return constant
        return constant + self.calendar(origin)


class TokenTrunk(nn.Module):
    """Latents of t frames to those of h frames by a transformer over places; the steps are channels of a token.

    Shapes
    ------
    z (b, t, width, *place), condition (b, d) -> (b, h, width, *place)
    """

    def __init__(self, transformer: DiffusionTransformer, horizon: int) -> None:
        super().__init__()
        self.transformer, self.horizon = transformer, horizon

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        """Predict the latents."""
        tokens = self.transformer(z.flatten(3).flatten(1, 2).transpose(1, 2), condition)
        return tokens.transpose(1, 2).unflatten(1, (self.horizon, -1)).unflatten(3, z.shape[3:])


class RecurrentTrunk(nn.Module):
    """The same by a convolutional LSTM over the frames.

    Shapes
    ------
    z (b, t, width, y, x), condition (b, d) -> (b, h, width, y, x)
    """

    def __init__(
        self, latent_shape: tuple[int, ...], width: int, n_layers: int, d_model: int, horizon: int
    ) -> None:
        super().__init__()
        if len(latent_shape) != 2:
            raise ParameterError('prediction="convlstm" needs a grid: (time, y, x[, feature]) data.')
        self.cells, self.lift, self.horizon = ConvLSTM(width, n_layers), nn.Linear(d_model, width), horizon

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        """Predict the latents."""
        return self.cells(z + self.lift(condition)[:, None, :, None, None], self.horizon)
