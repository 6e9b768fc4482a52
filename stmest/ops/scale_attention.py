"""The position-wise half of AGCCN as one operator, for the CPU; its form in torch is `layers.graph_conv`, and its oracle.

Builds on ``cpu``, imported where it is called, as that needs numba.
"""

from __future__ import annotations

from torch import Tensor

__all__ = ["scale_attention"]


def scale_attention(
    x: Tensor,
    first_weight: Tensor,
    first_bias: Tensor,
    into: Tensor,
    out: Tensor,
    second_weight: Tensor,
    second_bias: Tensor,
    causal: bool,
    eps: float,
) -> Tensor:
    """Return ``norm(u + attention(u))`` with ``u = norm(x)``; nothing but the input is kept for the way back.

    Parameters
    ----------
    x : Tensor of shape (n, k, d, m)
        Float32 on the CPU. Norms run over d, attention over the scales k, position by position.
    first_weight, first_bias, second_weight, second_bias : Tensor of shape (k, d, 1)
        Of the two norms.
    into : Tensor of shape (3 d, d)
        To queries, keys and values.
    out : Tensor of shape (d, d)
    causal : bool
        Whether a scale attends to itself and coarser ones only.
    eps : float
        Added to the variance.

    Returns
    -------
    Tensor of shape (n, k, d, m)
    """
    from .cpu.scale_attention import scale_attention as operator

    return operator(x, first_weight, first_bias, into, out, second_weight, second_bias, causal, eps)
