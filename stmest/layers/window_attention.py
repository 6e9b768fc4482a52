"""Attention within windows of a field that shift from block to block: the Swin transformer without its pyramid.

Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows" (ICCV 2021), section 3.2 and equations 3
and 4: windows, cyclic shift with masks, relative position bias. Left out are patch merging, as the encoder of a field has
merged its pixels already, and the norms after the branches of version 2. Builds on ``attention``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import FeedForward

__all__ = ["WINDOW", "SwinBlock", "SwinTransformer"]

WINDOW = 4  # rows and columns of a window


class SwinBlock(nn.Module):
    """``x + attention(norm(x))`` within windows, then ``x + mlp(norm(x))``.

    Parameters
    ----------
    d_model, n_heads : int
    grid : tuple of int
        Rows and columns of tokens; any, as they are padded to the windows, and padding is not attended to.
    shifted : bool
        Whether windows begin half a window later, on an axis that has several.
    mlp_ratio : int
        Hidden units of the perceptron per channel.

    Shapes
    ------
    (b, y * x, d) -> (b, y * x, d)
    """

    offsets: Tensor
    mask: Tensor

    def __init__(
        self, d_model: int, n_heads: int, grid: tuple[int, int], shifted: bool, mlp_ratio: int = 4
    ) -> None:
        super().__init__()
        self.n_heads, self.grid = n_heads, grid
        self.window = tuple(min(WINDOW, size) for size in grid)
        self.shift = tuple(
            w // 2 if shifted and size > w else 0 for size, w in zip(grid, self.window, strict=True)
        )
        self.norm_attention, self.norm_mlp = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.in_proj, self.out_proj = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)
        self.mlp = FeedForward(d_model, mlp_ratio * d_model)
        offsets = _offsets(*self.window)
        self.bias = nn.Parameter(0.02 * torch.randn(n_heads, int(offsets.max()) + 1))
        self.register_buffer("offsets", offsets, persistent=False)
        self.register_buffer("mask", self._seen(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the tokens of each window."""
        windows = self._cut(self.norm_attention(x).unflatten(1, self.grid))  # (b, windows, tokens, d)
        q, k, v = self.in_proj(windows).unflatten(-1, (3, self.n_heads, -1)).movedim(-3, 0).transpose(-3, -2)
        scores = torch.where(self.mask[:, None], self.bias[:, self.offsets], float("-inf"))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=scores.to(q.dtype))
        x = x + self._joined(self.out_proj(mixed.transpose(-3, -2).flatten(-2))).flatten(1, 2)
        return x + self.mlp(self.norm_mlp(x))

    def _cut(self, field: Tensor) -> Tensor:
        """Field (b, y, x, d) to its windows (b, windows, tokens, d), padded and shifted."""
        below, right = (-size % w for size, w in zip(self.grid, self.window, strict=True))
        padded = F.pad(field, (0, 0, 0, right, 0, below)).roll([-s for s in self.shift], (1, 2))
        (rows, columns), (b, y, x, d) = self.window, padded.shape
        return (
            padded.view(b, y // rows, rows, x // columns, columns, d)
            .transpose(2, 3)
            .flatten(3, 4)
            .flatten(1, 2)
        )

    def _joined(self, windows: Tensor) -> Tensor:
        """Undo `_cut`."""
        rows, columns = self.window
        across = -(-self.grid[1] // columns)
        field = windows.unflatten(1, (-1, across)).unflatten(3, (rows, columns)).transpose(2, 3)
        field = field.flatten(3, 4).flatten(1, 2).roll(self.shift, (1, 2))
        return field[:, : self.grid[0], : self.grid[1]]

    def _seen(self) -> Tensor:
        """Which tokens of a window see each other, (windows, tokens, tokens).

        Those that the cyclic shift brought together from opposite edges do not, and padding is on its own.
        """
        label = torch.zeros(1, *self.grid, 1)
        for axis, (size, s) in enumerate(zip(self.grid, self.shift, strict=True)):
            if s:
                far = torch.arange(size) < s  # these rows or columns go to the other end
                label = label + (1 + axis) * far.view([1, -1, 1, 1] if axis == 0 else [1, 1, -1, 1])
        label = self._cut(label + 1)[0, :, :, 0]  # padding: 0
        return label[:, :, None] == label[:, None]

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"n_heads={self.n_heads}, window={self.window}, shift={self.shift}"


class SwinTransformer(nn.Module):
    """Tokens in, tokens out: embedding, positions, blocks whose windows shift in turn, a norm and a last linear map.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Channels of a token at either end.
    positions : Tensor of shape (y * x, d)
        Added to the tokens.
    grid : tuple of int
        Rows and columns of tokens.
    n_layers, n_heads, mlp_ratio : int
        Blocks, and what `SwinBlock` takes.

    Shapes
    ------
    tokens (b, y * x, n_inputs), condition (b, d), which is added to every token -> (b, y * x, n_outputs)
    """

    positions: Tensor

    def __init__(
        self, n_inputs: int, n_outputs: int, positions: Tensor, grid: tuple[int, int], n_layers: int, n_heads: int,
        mlp_ratio: int = 4,
    ) -> None:  # fmt: skip
        super().__init__()
        d_model = positions.shape[1]
        self.register_buffer("positions", positions, persistent=False)
        self.embed = nn.Linear(n_inputs, d_model)
        self.blocks = nn.ModuleList(
            SwinBlock(d_model, n_heads, grid, bool(i % 2), mlp_ratio) for i in range(n_layers)
        )
        self.norm, self.out = nn.LayerNorm(d_model), nn.Linear(d_model, n_outputs)

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """Map the tokens."""
        x = self.embed(tokens) + self.positions + condition.unsqueeze(1)
        for block in self.blocks:
            x = block(x)
        return self.out(self.norm(x))


def _offsets(rows: int, columns: int) -> Tensor:
    """Number of the offset from each token of a window to each, (tokens, tokens)."""
    places = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).view(-1, 2)
    apart = places[:, None] - places + torch.tensor([rows - 1, columns - 1])
    return apart[..., 0] * (2 * columns - 1) + apart[..., 1]
