"""The two layers of S2TX: Mamba over the tokens of all nodes, and attention of local tokens to what it found.

Builds on ``mamba``, ``attention`` and ``norms``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .attention import FeedForward, MultiHeadAttention
from .dropout import Dropout
from .mamba import BidirectionalMamba, MambaBlock, init_dt_bias
from .norms import token_norm

__all__ = ["GlobalLayer", "LocalLayer", "start_far"]

_STEPS = (0.1, 1.0)  # a token joins the state in proportion to its step
_GAIN = 4.0  # of B and C, which are then of the order of what they multiply
_FARTHEST = 1000  # tokens


@torch.no_grad()
def start_far(mamba: MambaBlock, n_tokens: int) -> None:
    """Let the state of an untrained Mamba reach over its sequence: large steps, slow decay, and B and C of the order of one.

    Usually steps are 0.001 to 0.1, decay rates 1 to `d_state`, and B and C, which multiply each other, small in a narrow network.

    Parameters
    ----------
    mamba : MambaBlock
        Changed in place.
    n_tokens : int
        Length of the sequence. With a step of 1, memories span from one token to all of them, 1,000 at most.
    """
    mamba.dt_proj.bias.copy_(init_dt_bias(mamba.d_inner, *_STEPS))
    slowest = -math.log(min(n_tokens, _FARTHEST))
    mamba.A_log.copy_(torch.linspace(slowest, 0.0, mamba.d_state).expand_as(mamba.A_log))
    mamba.x_proj.weight[mamba.dt_rank :] *= _GAIN


class GlobalLayer(nn.Module):
    """``y = x + drop(mamba(norm(x)))``, then ``y + drop(mlp(norm(y)))``.

    Shapes
    ------
    tokens (m, s, d) -> (m, s, d)
    """

    def __init__(
        self, mamba: MambaBlock | BidirectionalMamba, d_model: int, d_ff: int, dropout: float, norm: str
    ) -> None:
        super().__init__()
        self.norm_mamba, self.mamba = token_norm(norm, d_model), mamba
        self.norm_mlp, self.mlp = token_norm(norm, d_model), FeedForward(d_model, d_ff)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Mix the tokens of a sequence."""
        tokens = tokens + self.dropout(self.mamba(self.norm_mamba(tokens)))
        return tokens + self.dropout(self.mlp(self.norm_mlp(tokens)))


class LocalLayer(nn.Module):
    """Self-attention in the local window, cross-attention to the global context, feed-forward; norms in front.

    Shapes
    ------
    tokens (m, p, d), context (m, q, d) or None, mask (p, p) or None -> (m, p, d)
    """

    def __init__(
        self, d_model: int, n_heads: int, d_ff: int, dropout: float, norm: str, cross_attention: bool
    ) -> None:
        super().__init__()
        self.norm_own, self.own = token_norm(norm, d_model), MultiHeadAttention(d_model, n_heads)
        self.norm_cross = token_norm(norm, d_model) if cross_attention else None
        self.cross = MultiHeadAttention(d_model, n_heads) if cross_attention else None
        self.norm_mlp, self.mlp = token_norm(norm, d_model), FeedForward(d_model, d_ff)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor, context: Tensor | None, mask: Tensor | None) -> Tensor:
        """Let the tokens look around and at the context."""
        tokens = tokens + self.dropout(self.own(self.norm_own(tokens), mask=mask))
        if self.cross is not None and self.norm_cross is not None:
            tokens = tokens + self.dropout(self.cross(self.norm_cross(tokens), context))
        return tokens + self.dropout(self.mlp(self.norm_mlp(tokens)))
