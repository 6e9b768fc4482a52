"""Attention along time, rows and columns of a sequence of fields in turn, with a few vectors that see all: Earthformer in small.

Gao et al., "Earthformer: Exploring Space-Time Transformers for Earth System Forecasting" (NeurIPS 2022), section 3.1: cuboid
attention with global vectors, equations 1 to 5, in the axial pattern, which was the best of its search (section 4.1). Left out
are the pyramid of resolutions, as the encoder of a field has merged its pixels already, and all but one of the decoder's blocks.
Builds on ``attention``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .attention import FeedForward, MultiHeadAttention

__all__ = ["N_GLOBAL", "CuboidLayer", "CuboidTransformer"]

N_GLOBAL = 8  # global vectors, as in the paper


class CuboidLayer(nn.Module):
    """Attention of each token to the line along one axis that it lies on and to the global vectors, then a perceptron.

    Parameters
    ----------
    d_model, n_heads : int
    axis : int
        Of the tokens: 1 for time, 2 for rows, 3 for columns.
    updates : bool
        Whether the global vectors then attend to all tokens.
    mlp_ratio : int
        Hidden units of the perceptron per channel.

    Shapes
    ------
    tokens (b, t, y, x, d), global vectors (b, g, d) -> the same
    """

    def __init__(self, d_model: int, n_heads: int, axis: int, updates: bool, mlp_ratio: int = 4) -> None:
        super().__init__()
        self.axis = axis
        self.norm, self.norm_mlp = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.attention = MultiHeadAttention(d_model, n_heads)
        self.norm_global = nn.LayerNorm(d_model)
        self.summary = MultiHeadAttention(d_model, n_heads) if updates else None
        self.mlp = FeedForward(d_model, mlp_ratio * d_model)

    def forward(self, tokens: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Mix the tokens along the axis."""
        seen, vectors = self.norm(tokens), self.norm_global(known)
        lines = seen.movedim(self.axis, -2)  # (b, ., ., length, d)
        beside = vectors[:, None, None].expand(*lines.shape[:3], -1, -1)
        context = torch.cat([lines, beside], dim=-2).flatten(0, 2)
        mixed = self.attention(lines.flatten(0, 2), context).view(lines.shape)
        tokens = tokens + mixed.movedim(-2, self.axis)
        if self.summary is not None:
            known = known + self.summary(vectors, torch.cat([seen.flatten(1, 3), vectors], dim=1))
        return tokens + self.mlp(self.norm_mlp(tokens)), known

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"axis={self.axis}"


class CuboidTransformer(nn.Module):
    """Latents of t frames to those of h frames: cuboid layers over the frames, then one decoder block.

    In the decoder every step ahead attends to the frames at its place and to the global vectors.

    Parameters
    ----------
    width : int
        Channels of the latents.
    input_length, horizon : int
        t, h.
    positions : Tensor of shape (y * x, d)
        Of the places; added to the tokens.
    n_layers, n_heads, mlp_ratio : int
        Times that attention goes along time, rows and columns; and what `CuboidLayer` takes.

    Shapes
    ------
    z (b, t, width, y, x), condition (b, d), which is added to every token -> (b, h, width, y, x)
    """

    positions: Tensor

    def __init__(
        self, width: int, input_length: int, horizon: int, positions: Tensor, n_layers: int, n_heads: int,
        mlp_ratio: int = 4,
    ) -> None:  # fmt: skip
        super().__init__()
        d_model = positions.shape[1]
        self.register_buffer("positions", positions, persistent=False)
        self.embed, self.out = nn.Linear(width, d_model), nn.Linear(d_model, width)
        self.frames = nn.Parameter(0.02 * torch.randn(input_length, 1, d_model))
        self.steps = nn.Parameter(0.02 * torch.randn(horizon, 1, d_model))
        self.known = nn.Parameter(0.02 * torch.randn(N_GLOBAL, d_model))
        self.layers = nn.ModuleList(
            CuboidLayer(d_model, n_heads, axis, True, mlp_ratio)
            for _ in range(n_layers)
            for axis in (1, 2, 3)
        )
        self.norm_steps, self.norm_context = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.decoder = MultiHeadAttention(d_model, n_heads)
        self.norm_mlp, self.mlp = nn.LayerNorm(d_model), FeedForward(d_model, mlp_ratio * d_model)
        self.norm = nn.LayerNorm(d_model)

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        """Predict the latents."""
        place = self.positions + condition.unsqueeze(1)  # (b, y * x, d)
        tokens = self.embed(z.flatten(3).transpose(2, 3)) + (place.unsqueeze(1) + self.frames)
        tokens, known = tokens.unflatten(2, z.shape[3:]), self.known.expand(len(z), -1, -1)
        for layer in self.layers:
            tokens, known = layer(tokens, known)
        encoded = tokens.flatten(2, 3).transpose(1, 2)  # (b, y * x, t, d)
        beside = known.unsqueeze(1).expand(-1, encoded.shape[1], -1, -1)
        context = self.norm_context(torch.cat([encoded, beside], dim=2)).flatten(0, 1)
        ahead = (place.unsqueeze(1) + self.steps).transpose(1, 2).flatten(0, 1)  # (b * y * x, h, d)
        ahead = ahead + self.decoder(self.norm_steps(ahead), context)
        ahead = self.out(self.norm(ahead + self.mlp(self.norm_mlp(ahead))))
        return ahead.unflatten(0, (len(z), -1)).permute(0, 2, 3, 1).unflatten(3, z.shape[3:])
