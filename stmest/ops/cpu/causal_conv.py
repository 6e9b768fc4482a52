"""The causal convolution as a torch operator on the CPU: gradients, fake tensors.

``torch.ops.stmest.causal_conv1d`` is differentiable, and opaque to torch.compile and torch.export. Builds on the kernels of
the same name; imported only where numba is usable.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..operators import operator
from .kernels.causal_conv import conv_backward, conv_forward, conv_scratch_vectors
from .plan import address_of, contiguous, plan_of, run, sum_parts, view_of

__all__ = ["convolution"]


@operator("causal_conv1d")
def convolution(x: Tensor, weight: Tensor, bias: Tensor | None, activation: bool) -> Tensor:
    """Return y (b, t, d)."""
    y = torch.empty(x.shape)
    if x.numel():
        layout, width = plan_of(x, 1), weight.shape[1]
        filters = contiguous(weight), contiguous(bias)
        scratch = conv_scratch_vectors(layout, width)
        run(
            conv_forward,
            layout,
            scratch,
            width,
            int(activation),
            *map(address_of, filters),
            view_of(x),
            view_of(y),
        )
    return y


@convolution.register_fake
def _(x, weight, bias, activation):
    return x.new_empty(x.shape)


@operator("causal_conv1d_backward")
def _backward(
    grad_y: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, activation: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of x, weight and bias (d,), the last whether or not there is a bias."""
    layout, width = plan_of(x, 1), weight.shape[1]
    d_x = torch.empty(x.shape)
    room = torch.empty if x.numel() else torch.zeros
    sums = room(layout.group_parts, *weight.shape), room(layout.group_parts, len(weight))
    if x.numel():
        filters = contiguous(weight), contiguous(bias)
        views = [view_of(v) for v in (x, grad_y, d_x)]
        scratch = conv_scratch_vectors(layout, width)
        run(
            conv_backward,
            layout,
            scratch,
            width,
            int(activation),
            *map(address_of, (*filters, *sums)),
            *views,
        )
    return d_x, sum_parts(sums[0]), sum_parts(sums[1])


@_backward.register_fake
def _(grad_y, x, weight, bias, activation):
    return x.new_empty(x.shape), weight.new_empty(weight.shape), weight.new_empty(weight.shape[0])


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, bias, activation = inputs
    ctx.save_for_backward(x, weight, bias)
    ctx.activation = activation


def _gradients(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
    x, weight, bias = ctx.saved_tensors
    d_x, d_weight, d_bias = _backward(grad_y, x, weight, bias, ctx.activation)
    return d_x, d_weight, None if bias is None else d_bias, None


convolution.register_gradients(_gradients, _save)
