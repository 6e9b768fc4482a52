"""The short causal convolution as a torch operator on a CUDA device.

``torch.ops.stmest.causal_conv_triton`` is differentiable once, and opaque to torch.compile and torch.export. It computes
in float32. Builds on the kernels beside it.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
from torch import Tensor

from ..operators import operator
from .conv_kernels import conv_backward, conv_forward
from .launch import OPTIONS, empty_float, on_device, rows, strides

__all__ = ["convolution"]

# Sizes of a tile: steps and channels.
STEPS, CHANNELS = 32, 32


def _tiles(x: Tensor) -> dict[str, int]:
    _, t, d = x.shape
    return {
        "T": min(STEPS, triton.next_power_of_2(t)),
        "C": min(CHANNELS, triton.next_power_of_2(d)),
    }


def _grid(x: Tensor, tiles: dict[str, int]) -> tuple[int, int, int]:
    b, t, d = x.shape
    return b, triton.cdiv(d, tiles["C"]), triton.cdiv(t, tiles["T"])


@operator("causal_conv_triton", device=None)
def convolution(x: Tensor, weight: Tensor, bias: Tensor | None, activation: bool) -> Tensor:
    """Return the convolution of x (b, t, d) with weight (d, w) in float32.

    With a set of weights for each b / n consecutive rows: weight (n, d, w) and bias (n, d).
    """
    y = empty_float(x, *x.shape)
    if x.numel() == 0:
        return y
    x, weight, tiles = rows(x), weight.contiguous(), _tiles(x)
    with on_device(x):
        conv_forward[_grid(x, tiles)](
            x, weight, weight if bias is None else bias.contiguous(), y, *strides(x), _rows_per_set(x, weight), *x.shape[1:],
            HAS_BIAS=bias is not None, ACTIVATION=activation, W=weight.shape[-1], **tiles, **OPTIONS,
        )  # fmt: skip
    return y


@convolution.register_fake
def _(x, weight, bias, activation):
    return x.new_empty(x.shape)


@operator("causal_conv_triton_backward", device=None)
def _backward(
    grad_y: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, activation: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of x, weight and bias, the last one empty without a bias."""
    (b, t, d), width = x.shape, weight.shape[-1]
    d_x = empty_float(x, *x.shape)
    if x.numel() == 0:
        return d_x, torch.zeros_like(weight), x.new_empty(0) if bias is None else torch.zeros_like(bias)
    x, grad_y, weight, tiles = rows(x), rows(grad_y), weight.contiguous(), _tiles(x)
    grid = _grid(x, tiles)
    d_weight, d_bias = empty_float(x, b * grid[2], d, width), empty_float(x, b * grid[2], d)
    with on_device(x):
        conv_backward[grid](
            x, weight, weight if bias is None else bias.contiguous(), grad_y, d_x, d_weight, d_bias,
            *strides(x, grad_y), _rows_per_set(x, weight), t, d, grid[2],
            HAS_BIAS=bias is not None, ACTIVATION=activation, W=width, **tiles, **OPTIONS,
        )  # fmt: skip
    n_sets = b // _rows_per_set(x, weight)
    of_weight, of_bias = (part.unflatten(0, (n_sets, -1)).sum(1) for part in (d_weight, d_bias))
    return (
        d_x,
        of_weight.view(weight.shape),
        x.new_empty(0) if bias is None else of_bias.view(bias.shape),
    )


def _rows_per_set(x: Tensor, weight: Tensor) -> int:
    """How many consecutive rows share a set of weights."""
    return len(x) // (len(weight) if weight.dim() == 3 else 1)


@_backward.register_fake
def _(grad_y, x, weight, bias, activation):
    return x.new_empty(x.shape), torch.empty_like(weight), x.new_empty(0 if bias is None else bias.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:3])
    ctx.activation = inputs[3]


def _gradients(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
    x, weight, bias = ctx.saved_tensors
    d_x, d_weight, d_bias = _backward(grad_y, x, weight, bias, ctx.activation)
    return d_x, d_weight, None if bias is None else d_bias, None


convolution.register_gradients(_gradients, _save)
