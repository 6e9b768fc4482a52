"""MAD's prediction: from the latents of the input frames to those of the horizon, and its condition.

Builds on ``layers``: ``diffusion_transformer``, ``window_attention``, ``cuboid_attention`` and ``conv``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..exceptions import ParameterError
from ..layers.conv import ConvLSTM
from ..layers.cuboid_attention import CuboidTransformer
from ..layers.diffusion_transformer import DiffusionTransformer, wave_table
from ..layers.window_attention import SwinTransformer
from .mad_space import GridSpace, NodeSpace

__all__ = ["PREDICTIONS", "Condition", "RecurrentTrunk", "StepwiseTrunk", "TokenTrunk", "make_trunk"]

PREDICTIONS = ("dit", "vit", "swin", "earthformer", "convlstm")


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

    def __init__(self, transformer: DiffusionTransformer | SwinTransformer, horizon: int) -> None:
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

    def __init__(self, width: int, n_layers: int, d_model: int, horizon: int) -> None:
        super().__init__()
        self.cells, self.lift, self.horizon = ConvLSTM(width, n_layers), nn.Linear(d_model, width), horizon

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        """Predict the latents."""
        return self.cells(z + self.lift(condition)[:, None, :, None, None], self.horizon)


class StepwiseTrunk(nn.Module):
    """A trunk of one step ahead, which runs once for each step and is conditioned on it (equations 12, 13 and 20 of the paper).

    The embedding of a step is a perceptron on sines and cosines of its number, as in the diffusion transformer. It is added to
    the condition, which modulates the norms of that transformer and is added to the tokens of the others.

    Parameters
    ----------
    trunk : Module
        With a horizon of 1.
    horizon, d_model : int

    Shapes
    ------
    z (b, t, width, *place), condition (b, d) -> (b, h, width, *place)
    """

    waves: Tensor

    def __init__(self, trunk: nn.Module, horizon: int, d_model: int) -> None:
        super().__init__()
        self.trunk, self.horizon = trunk, horizon
        self.register_buffer("waves", wave_table(horizon, d_model), persistent=False)
        self.step = nn.Sequential(nn.Linear(d_model, d_model), nn.SiLU(), nn.Linear(d_model, d_model))

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        """Predict the latents of each step."""
        each = (condition.unsqueeze(1) + self.step(self.waves)).flatten(0, 1)  # (b * h, d)
        return (
            self.trunk(z.repeat_interleave(self.horizon, 0), each).squeeze(1).unflatten(0, (-1, self.horizon))
        )


def make_trunk(
    prediction: str, space: GridSpace | NodeSpace, input_length: int, horizon: int, width: int,
    d_model: int, n_layers: int, n_heads: int, mlp_ratio: int,
) -> nn.Module:  # fmt: skip
    """The network that predicts.

    Parameters
    ----------
    prediction : {"dit", "vit", "swin", "earthformer", "convlstm"}
    space : GridSpace or NodeSpace
        Says where the tokens lie.
    input_length, horizon, width : int
        Frames that come in and go out, channels of their latents.
    d_model, n_layers, n_heads, mlp_ratio : int
        Of a transformer; a convolutional LSTM has `n_layers` cells.

    Returns
    -------
    Module
        Latents z (b, t, width, *place), condition (b, d) -> (b, h, width, *place).

    Raises
    ------
    ParameterError
        If it needs a grid and there is none.
    """
    sizes, ends = (n_layers, n_heads, mlp_ratio), (input_length * width, horizon * width)
    positions = space.positions(d_model)
    if prediction in ("dit", "vit"):
        return TokenTrunk(DiffusionTransformer(*ends, positions, *sizes, prediction == "dit"), horizon)
    if not isinstance(space, GridSpace):
        raise ParameterError(f'prediction="{prediction}" needs a grid: (time, y, x[, feature]) data.')
    if prediction == "swin":
        return TokenTrunk(SwinTransformer(*ends, positions, space.latent_shape, *sizes), horizon)
    if prediction == "earthformer":
        return CuboidTransformer(width, input_length, horizon, positions, *sizes)
    return RecurrentTrunk(width, n_layers, d_model, horizon)
