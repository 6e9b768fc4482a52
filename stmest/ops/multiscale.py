"""The bank of multiscale Mamba blocks: for the CPU as one operator, for CUDA the two parts that torch has no operator for.

Its form in torch is `layers.multiscale`, the oracle of both. Builds on ``cpu`` and ``triton``, imported where they are called, as
they need numba and triton.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["MAX_STEPS", "BankWeights", "convolve_rows", "multiscale_mamba", "scan_rows"]

# All steps of a tile are held at once; with more than this its scratch memory leaves the cache.
MAX_STEPS = 1024


class BankWeights(NamedTuple):
    """Parameters of all experts of a bank, stacked along e; k scales, d channels, i inner channels, s states.

    Attributes
    ----------
    kernels : Tensor of shape (e, sum of widths, d, i)
        Convolutions over time, scale after scale, the input projection multiplied in.
    to_gate : Tensor of shape (e, d, i)
    bias : Tensor of shape (e, k, i)
        Of the convolutions over time.
    conv : Tensor of shape (e, i, taps)
    conv_bias : Tensor of shape (e, i)
    to_delta : Tensor of shape (e, i, i)
    to_b, to_c : Tensor of shape (e, i, s)
    delta_bias : Tensor of shape (e, k, i)
        Added to the step size before its softplus.
    rates : Tensor of shape (e, i, s)
        The diagonal of A, negative.
    skip : Tensor of shape (e, i)
    to_out : Tensor of shape (e, i, d)
    """

    kernels: Tensor
    to_gate: Tensor
    bias: Tensor
    conv: Tensor
    conv_bias: Tensor
    to_delta: Tensor
    to_b: Tensor
    to_c: Tensor
    delta_bias: Tensor
    rates: Tensor
    skip: Tensor
    to_out: Tensor


def multiscale_mamba(x: Tensor, weights: BankWeights, n_rows: Sequence[int], widths: Sequence[int]) -> Tensor:
    """Run every expert over its rows; nothing but the input is kept for the way back.

    Parameters
    ----------
    x : Tensor of shape (r, k, d, g, t)
        Rows sorted by expert, g windows of at most `MAX_STEPS` steps; float32 on the CPU.
    weights : BankWeights
    n_rows : sequence of int
        Rows of each expert; they sum to r.
    widths : sequence of int
        Odd width of the convolution of each scale.

    Returns
    -------
    Tensor of shape (r, k, d, g, t)
    """
    from .cpu.multiscale import multiscale_mamba as operator

    return operator(x, *weights, list(n_rows), list(widths))


def convolve_rows(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Causal convolution and SiLU where consecutive rows share weights.

    Parameters
    ----------
    x : Tensor of shape (b, t, d)
        On a CUDA device.
    weight : Tensor of shape (n, d, w)
        The first for the first b / n rows, and so on.
    bias : Tensor of shape (n, d)

    Returns
    -------
    Tensor of shape (b, t, d)
    """
    from .triton.causal_conv import convolution

    return convolution(x, weight, bias, True)


def scan_rows(
    x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, z: Tensor, delta_bias: Tensor
) -> Tensor:
    """Selective scan where consecutive rows share parameters.

    Parameters
    ----------
    x, delta, B, C, z : Tensor
        As in `stmest.ops.selective_scan`, on a CUDA device.
    A : Tensor of shape (n, d, s)
        The first for the first b / n rows, and so on.
    D, delta_bias : Tensor of shape (n, d)

    Returns
    -------
    Tensor of shape (b, t, d)
    """
    from .triton.selective_scan import scan

    keep = torch.is_grad_enabled() and any(v.requires_grad for v in (x, delta, A, B, C, D, z, delta_bias))
    return scan(x, delta, A, B, C, D, z, delta_bias, None, False, keep)[0]
