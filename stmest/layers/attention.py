"""Attention over the tokens of a sequence: everywhere, in a local window, or to another sequence.

Vaswani et al., "Attention Is All You Need" (arXiv 1706.03762), through torch's fused ``scaled_dot_product_attention``.
Builds on torch. Attention over the nodes of a graph is in ``graph_attention``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..exceptions import ParameterError

__all__ = ["FeedForward", "MultiHeadAttention", "local_window"]


def local_window(n_tokens: int, width: int | None) -> Tensor | None:
    """Which tokens see each other in a window around each of them.

    Parameters
    ----------
    n_tokens : int
        Tokens of the sequence.
    width : int or None
        Tokens of the window, odd: the token itself and equally many on both sides. None: all see all.

    Returns
    -------
    Tensor of shape (n_tokens, n_tokens), bool, or None
        [i, j] is true where i sees j, ``|i - j| <= (width - 1) / 2``; None where all see all.

    Raises
    ------
    ParameterError
        If the width is not odd.

    Examples
    --------
    >>> local_window(4, 3).int().tolist()
    [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]]
    """
    if width is None:
        return None
    if width < 1 or width % 2 == 0:
        raise ParameterError(
            f"a window of {width} tokens; needed: an odd number, for equally many on both sides, or None for all."
        )
    place = torch.arange(n_tokens)
    seen = (place[:, None] - place).abs() <= width // 2
    return None if bool(seen.all()) else seen


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention with several heads.

    Parameters
    ----------
    d_model : int
        Width of the tokens.
    n_heads : int
        Heads, a divisor of `d_model`.

    Shapes
    ------
    x (m, p, d), context (m, q, d) or None for x itself, mask (p, q) or None -> (m, p, d)
    """

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(d_model, d_model)
        self.key_value = nn.Linear(d_model, 2 * d_model)
        self.out = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Let the tokens of x look at those of the context, where the mask is true."""
        key, value = self.key_value(x if context is None else context).chunk(2, dim=-1)
        mixed = F.scaled_dot_product_attention(
            self._split(self.query(x)), self._split(key), self._split(value), attn_mask=mask
        )  # (m, heads, p, d / heads)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"n_heads={self.n_heads}"


class FeedForward(nn.Sequential):
    """Perceptron on every token, ``d_model -> d_hidden -> d_model`` with GELU.

    Parameters
    ----------
    d_model, d_hidden : int
        Width of the tokens and of the hidden layer.

    Shapes
    ------
    (..., d_model) -> (..., d_model)
    """

    def __init__(self, d_model: int, d_hidden: int) -> None:
        super().__init__(nn.Linear(d_model, d_hidden), nn.GELU(), nn.Linear(d_hidden, d_model))
