"""Transformer over the tokens of a field, conditioned by adaptive layer norms that start as nothing (adaLN-Zero).

Peebles and Xie, "Scalable Diffusion Models with Transformers" (ICCV 2023), section 3.2 and figure 3; without a condition
it is the encoder of Dosovitskiy et al., "An Image is Worth 16x16 Words" (ICLR 2021), with norms in front. There is no
diffusion here: the trunk runs once and returns a point. Builds on torch.

===============  =======================================================
paper            here
===============  =======================================================
c                condition (b, d)
gamma, beta      ``scale``, ``shift``: the norm's affine part, from c
alpha            ``gate``: how much of a branch joins, from c, 0 at first
===============  =======================================================
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["DiffusionTransformer", "TransformerBlock", "position_table", "wave_table"]

_EPS = 1e-6


def position_table(n_rows: int, n_columns: int, d_model: int) -> Tensor:
    """Sines and cosines of the row (first half of the channels) and of the column (second half) of every token.

    Parameters
    ----------
    n_rows, n_columns : int
        Grid of tokens.
    d_model : int
        Channels, a multiple of 4: a sine and a cosine, for rows and for columns.

    Returns
    -------
    Tensor of shape (n_rows * n_columns, d_model)
        Tokens row by row; no two rows of it are equal.
    """
    rows, columns = wave_table(n_rows, d_model // 2), wave_table(n_columns, d_model // 2)
    by_row, by_column = rows[:, None].expand(-1, n_columns, -1), columns[None].expand(n_rows, -1, -1)
    return torch.cat([by_row, by_column], dim=2).flatten(0, 1)


def wave_table(n_steps: int, d_model: int) -> Tensor:
    """Sines (first half of the channels) and cosines (second half) of the numbers from 0 on, of falling rates.

    Parameters
    ----------
    n_steps : int
        Numbers.
    d_model : int
        Channels, even.

    Returns
    -------
    Tensor of shape (n_steps, d_model)
    """
    rates = 10_000.0 ** (-torch.arange(d_model // 2, dtype=torch.float64) / (d_model // 2))
    angles = torch.arange(n_steps, dtype=torch.float64)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1).float()


class TransformerBlock(nn.Module):
    """Attention over the tokens and a perceptron on each, both residual, norms in front.

    With a condition: ``x + g1 * attention(norm(x) * (1 + s1) + b1)``, then the same with the perceptron, where the six
    vectors are a linear map of ``silu(c)`` that starts at zero: an untrained block is the identity.

    Parameters
    ----------
    d_model : int
    n_heads : int
        A divisor of `d_model`.
    mlp_ratio : int
        Hidden units of the perceptron per channel.
    conditioned : bool
        False: the norms have an affine part of their own, and the branches join in full (a plain ViT block).

    Shapes
    ------
    x (b, m, d), condition (b, d) or None -> (b, m, d)
    """

    def __init__(self, d_model: int, n_heads: int, mlp_ratio: int = 4, conditioned: bool = True) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm_attention = nn.LayerNorm(d_model, eps=_EPS, elementwise_affine=not conditioned)
        self.norm_mlp = nn.LayerNorm(d_model, eps=_EPS, elementwise_affine=not conditioned)
        self.in_proj = nn.Linear(d_model, 3 * d_model)
        self.out_proj = nn.Linear(d_model, d_model)
        hidden = mlp_ratio * d_model
        self.mlp = nn.Sequential(nn.Linear(d_model, hidden), nn.GELU(), nn.Linear(hidden, d_model))
        self.modulation = _zero_linear(d_model, 6 * d_model) if conditioned else None

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Mix the tokens of x."""
        if self.modulation is None or condition is None:
            x = x + self._attend(self.norm_attention(x))
            return x + self.mlp(self.norm_mlp(x))
        parts = self.modulation(F.silu(condition)).unsqueeze(1).chunk(6, dim=-1)  # (b, 1, d) each
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = parts
        x = x + gate_a * self._attend(torch.addcmul(shift_a, self.norm_attention(x), 1 + scale_a))
        return x + gate_m * self.mlp(torch.addcmul(shift_m, self.norm_mlp(x), 1 + scale_m))

    def _attend(self, x: Tensor) -> Tensor:
        """Fused attention over all pairs of tokens."""
        q, k, v = self.in_proj(x).unflatten(-1, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v)  # (b, heads, m, d / heads)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"n_heads={self.n_heads}, conditioned={self.modulation is not None}"


class DiffusionTransformer(nn.Module):
    """Tokens in, tokens out: embedding, positions, blocks, and a last linear map.

    Conditioned, the map is zero at first and its norm is modulated too: the untrained trunk returns exactly 0.
    Unconditioned (`conditioned` False) the condition is added to every token instead.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Channels of a token at either end.
    positions : Tensor of shape (m, d)
        One row per token; a buffer that is not saved unless it is an ``nn.Parameter``, and then it is trained.
    n_layers, n_heads, mlp_ratio : int
        Blocks, and what `TransformerBlock` takes.
    conditioned : bool

    Shapes
    ------
    tokens (b, m, n_inputs), condition (b, d) -> (b, m, n_outputs)
    """

    positions: Tensor

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        positions: Tensor,
        n_layers: int,
        n_heads: int,
        mlp_ratio: int = 4,
        conditioned: bool = True,
    ) -> None:
        super().__init__()
        d_model = positions.shape[1]
        if isinstance(positions, nn.Parameter):
            self.positions = positions
        else:
            self.register_buffer("positions", positions, persistent=False)
        self.embed = nn.Linear(n_inputs, d_model)
        self.blocks = nn.ModuleList(
            TransformerBlock(d_model, n_heads, mlp_ratio, conditioned) for _ in range(n_layers)
        )
        self.norm = nn.LayerNorm(d_model, eps=_EPS, elementwise_affine=not conditioned)
        self.modulation = _zero_linear(d_model, 2 * d_model) if conditioned else None
        self.out = _zero_linear(d_model, n_outputs) if conditioned else nn.Linear(d_model, n_outputs)

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """Map the tokens."""
        x = self.embed(tokens) + self.positions
        if self.modulation is None:
            x = x + condition.unsqueeze(1)
            for block in self.blocks:
                x = block(x)
            return self.out(self.norm(x))
        for block in self.blocks:
            x = block(x, condition)
        shift, scale = self.modulation(F.silu(condition)).unsqueeze(1).chunk(2, dim=-1)
        return self.out(torch.addcmul(shift, self.norm(x), 1 + scale))


def _zero_linear(n_inputs: int, n_outputs: int) -> nn.Linear:
    layer = nn.Linear(n_inputs, n_outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
