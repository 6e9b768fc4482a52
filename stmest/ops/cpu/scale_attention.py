"""The position-wise half of AGCCN as one torch operator on the CPU: norm, attention over scales, residual, norm.

``torch.ops.stmest.scale_attention`` is differentiable and opaque to torch.compile. Its oracle is the torch form in
``layers.graph_conv``, which runs wherever this one does not. Builds on the kernels of the same name; imported only where
numba is usable.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from ...exceptions import ParameterError
from ..operators import operator
from .kernels.scale_attention import BLOCK_BYTES, WIDTH, Shape, Tiles, Weights, backward_tiles, forward_tiles
from .threads import run_parts

__all__ = ["scale_attention"]

# Tiles that justify a part of its own (about 0.1 ms), and how many parts there are at most
PART_TILES, MOST_PARTS = 64, 16


def _tile_sizes(shape: Shape) -> list[int]:
    """Blocks of each tile of `Tiles`."""
    k, d = shape.scales, shape.channels
    return [k * d, k, k * d, 3 * k * d, k * k, k * d, k * d, k, k * d, k * d, k * d, 3 * k * d, k]


def _places(base: int, sizes: Sequence[int]) -> list[int]:
    return [base + BLOCK_BYTES * first for first in accumulate(sizes[:-1], initial=0)]


def _bounds(shape: Shape) -> list[int]:
    """Bounds of the parts of the work, from the shape alone: sums do not depend on the number of threads."""
    n_tiles = shape.nodes * math.ceil(shape.positions / WIDTH)
    n_parts = max(1, min(MOST_PARTS, n_tiles // PART_TILES))
    return [n_tiles * part // n_parts for part in range(n_parts + 1)]


def _shape(x: Tensor, causal: bool, eps: float) -> Shape:
    n, k, d, m = x.shape
    return Shape(n, k, d, m, int(causal), eps)


@operator("scale_attention")
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
    """Return ``norm(u + attention(u))`` with ``u = norm(x)`` for x (n, k, d, m)."""
    if x.dtype != torch.float32:
        raise ParameterError(f"the kernel computes in float32; x is {x.dtype}.")
    shape, bounds = _shape(x, causal, eps), _bounds(_shape(x, causal, eps))
    weights = [v.contiguous() for v in (first_weight, first_bias, into, out, second_weight, second_bias)]
    x, result = x.contiguous(), torch.empty(x.shape)
    sizes = _tile_sizes(shape)
    pointers = Weights(*(v.data_ptr() for v in weights))

    def work(first: int, last: int, scratch: int) -> None:
        tiles = Tiles(*_places(scratch, sizes))
        forward_tiles(bounds[first], bounds[last], shape, pointers, tiles, x.data_ptr(), result.data_ptr())

    run_parts(len(bounds) - 1, sum(sizes) * WIDTH, work)
    return result


@scale_attention.register_fake
def _(x, *arguments):
    return x.new_empty(x.shape)


@operator("scale_attention_backward")
def _backward(
    gradient: Tensor, x: Tensor, weights: Sequence[Tensor], causal: bool, eps: float
) -> list[Tensor]:
    """Return the gradients of x and the six parameters."""
    shape, bounds = _shape(x, causal, eps), _bounds(_shape(x, causal, eps))
    weights = [v.contiguous() for v in weights]
    x, gradient, d_x = x.contiguous(), gradient.contiguous(), torch.empty(x.shape)
    lengths = [v.numel() for v in weights]
    sizes = [*_tile_sizes(shape), *lengths]
    n_parts = len(bounds) - 1
    totals = torch.empty(n_parts, sum(lengths))
    pointers = Weights(*(v.data_ptr() for v in weights))

    def work(first: int, last: int, scratch: int) -> None:
        places = _places(scratch, sizes)
        tiles, sums = Tiles(*places[: -len(lengths)]), Weights(*places[-len(lengths) :])
        for part in range(first, last):
            backward_tiles(
                bounds[part], bounds[part + 1], shape, pointers, tiles, sums, sum(lengths), x.data_ptr(),
                gradient.data_ptr(), d_x.data_ptr(), totals[part].data_ptr(),
            )  # fmt: skip

    run_parts(n_parts, sum(sizes) * WIDTH, work)
    sums = totals.sum(0).split(lengths)
    return [d_x, *(part.reshape(v.shape).clone() for part, v in zip(sums, weights, strict=True))]


@_backward.register_fake
def _(gradient, x, weights, causal, eps):
    return [v.new_empty(v.shape) for v in (x, *weights)]


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:7])
    ctx.causal, ctx.eps = inputs[7:]


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    x, *weights = ctx.saved_tensors
    return (*_backward(gradient, x, weights, ctx.causal, ctx.eps), None, None)


scale_attention.register_gradients(_gradients, _save)
