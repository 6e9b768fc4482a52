"""The multiscale Mamba block as one torch operator on the CPU: packing, threads, gradients, fake tensors.

``torch.ops.stmest.multiscale_mamba`` is differentiable and opaque to torch.compile. Parts of the work follow from shapes and
row counts alone, so results are bit-equal for any number of threads. Its oracle is the unfused form in
``layers.multiscale``, which runs wherever this one does not. Builds on the kernels of the same name; imported only where
numba is usable.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...exceptions import ParameterError
from ..operators import operator
from .kernels.multiscale import Shape, Tiles, Weights, forward_tiles
from .kernels.multiscale_backward import GradientTiles, Sums, backward_tiles
from .simd.arithmetic import LOG2_E
from .simd.vectors import BLOCK, FLOAT_BYTES, LANES
from .threads import run_parts

__all__ = ["multiscale_mamba"]

# Tiles that justify a part of its own (about 0.3 ms), and how many parts there are at most
PART_TILES, MOST_PARTS = 16, 32


def _shape(x: Tensor, conv: Tensor, rates: Tensor, widths: Sequence[int]) -> Shape:
    _, k, d, g, t = x.shape
    padded, states = (-(-size // BLOCK) * BLOCK for size in (t, rates.shape[2]))
    return Shape(k, d, conv.shape[1], states, conv.shape[2], g, t, padded, max(widths) // 2, sum(widths))


@functools.lru_cache(maxsize=64)
def _plan(n_rows: tuple[int, ...], n_scales: int, n_windows: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return the tiles (n, 5) as `forward_tiles` takes them, and the bounds of the parts of the work.

    Sequences of one expert and scale, whichever rows they come from, are packed LANES at a time.
    """
    tiles = []
    first_row = 0
    for expert, rows in enumerate(n_rows):
        for scale in range(n_scales):
            for first in range(0, rows * n_windows, LANES):
                row, window = divmod(first, n_windows)
                tiles.append((expert, scale, first_row + row, window, min(LANES, rows * n_windows - first)))
        first_row += rows
    n_parts = max(1, min(MOST_PARTS, len(tiles) // PART_TILES))
    bounds = tuple(len(tiles) * part // n_parts for part in range(n_parts + 1))
    return np.array(tiles, dtype=np.int64).reshape(-1, 5), bounds


def _tile_sizes(shape: Shape) -> list[int]:
    """Vectors of each tile of `Tiles`."""
    long, wide = shape.inner * shape.padded, shape.padded * shape.states
    x = shape.channels * (shape.padded + 2 * shape.reach) + shape.reach + LANES
    mixed = shape.inner * (shape.taps - 1 + shape.padded) + BLOCK
    out = shape.channels * shape.padded + LANES
    return [x, mixed, long, long, long, long, wide, wide, shape.padded, out]


def _gradient_tile_sizes(shape: Shape) -> list[int]:
    """Vectors of each tile of `GradientTiles`."""
    inner, padded, channels = shape.inner, shape.padded, shape.channels
    long, wide = inner * padded, padded * shape.states
    d_pre = inner * (padded + shape.taps - 1 + BLOCK)
    d_mixed = inner * (padded + 4 * shape.reach + BLOCK)
    d_x = channels * (padded + 2 * shape.reach + BLOCK) + LANES
    scan = [padded, padded, padded, padded, padded * BLOCK, (padded + 1) * BLOCK]
    return [channels * padded + LANES, long, long, long, d_pre, d_mixed, d_x, wide, wide, *scan]


def _sum_shapes(shape: Shape, widest: int) -> list[tuple[int, ...]]:
    """Shapes of the sums of `Sums`, the kernels as wide as the widest scale."""
    d, inner, states = shape.channels, shape.inner, shape.states
    return [
        (widest, d, inner), (d, inner), (inner,), (inner, shape.taps), (inner,), (inner, inner),
        (inner, states), (inner, states), (inner,), (inner, states), (inner,), (inner, d),
    ]  # fmt: skip


def _addresses(base: int, sizes: Sequence[int]) -> list[int]:
    return [base + FLOAT_BYTES * LANES * first for first in accumulate(sizes[:-1], initial=0)]


def _pack(shape: Shape, weights: Sequence[Tensor]) -> list[Tensor]:
    """Bring parameters into the form of `Weights`."""
    packed = [v.contiguous() for v in weights]
    missing = shape.states - weights[9].shape[2]
    for position, factor in ((6, 1.0), (7, 1.0), (9, float(LOG2_E))):  # to_b, to_c, rates
        value = torch.nn.functional.pad(weights[position], (0, missing)) * factor
        packed[position] = value.unsqueeze(-1).expand(*value.shape, LANES).contiguous()
    return packed


def _tables(widths: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(widths, dtype=np.int64), np.array([0, *accumulate(widths[:-1])], dtype=np.int64)


@operator("multiscale_mamba")
def multiscale_mamba(
    x: Tensor,
    kernels: Tensor,
    to_gate: Tensor,
    bias: Tensor,
    conv: Tensor,
    conv_bias: Tensor,
    to_delta: Tensor,
    to_b: Tensor,
    to_c: Tensor,
    delta_bias: Tensor,
    rates: Tensor,
    skip: Tensor,
    to_out: Tensor,
    n_rows: Sequence[int],
    widths: Sequence[int],
) -> Tensor:
    """Run every expert over its rows of x (r, k, d, g, t), sorted by expert; parameters as in `Weights`."""
    if x.dtype != torch.float32:
        raise ParameterError(f"the kernel computes in float32; x is {x.dtype}.")
    shape = _shape(x, conv, rates, widths)
    weights = _pack(
        shape,
        (kernels, to_gate, bias, conv, conv_bias, to_delta, to_b, to_c, delta_bias, rates, skip, to_out),
    )
    x, out = x.contiguous(), torch.empty(x.shape)
    items, bounds = _plan(tuple(n_rows), shape.scales, shape.windows)
    sizes = _tile_sizes(shape)
    tables, pointers = _tables(widths), Weights(*(v.data_ptr() for v in weights))

    def work(first: int, last: int, scratch: int) -> None:
        tiles = Tiles(*_addresses(scratch, sizes))
        forward_tiles(
            items, bounds[first], bounds[last], shape, *tables, pointers, tiles, x.data_ptr(), out.data_ptr()
        )

    run_parts(len(bounds) - 1, sum(sizes) * LANES, work)
    return out


@multiscale_mamba.register_fake
def _(x, *arguments):
    return x.new_empty(x.shape)


@operator("multiscale_mamba_backward")
def _backward(
    grad: Tensor, x: Tensor, weights: Sequence[Tensor], n_rows: Sequence[int], widths: Sequence[int]
) -> list[Tensor]:
    """Return the gradients of x and of the parameters in the order of `Weights`."""
    shape = _shape(x, weights[3], weights[9], widths)
    x, grad, d_x = x.contiguous(), grad.contiguous(), torch.empty(x.shape)
    packed = _pack(shape, weights)
    items, bounds = _plan(tuple(n_rows), shape.scales, shape.windows)
    shapes = _sum_shapes(shape, max(widths))
    lengths = [math.prod(size) for size in shapes]
    tile_sizes, gradient_sizes = _tile_sizes(shape), _gradient_tile_sizes(shape)
    all_sizes = [*tile_sizes, *gradient_sizes, *lengths]
    totals = torch.zeros(len(bounds) - 1, len(n_rows), shape.scales, sum(lengths))
    pointers, tables = Weights(*(v.data_ptr() for v in packed)), _tables(widths)

    def work(first: int, last: int, scratch: int) -> None:
        places = _addresses(scratch, all_sizes)
        n_tiles, n_grads = len(tile_sizes), len(gradient_sizes)
        tiles = Tiles(*places[:n_tiles])
        grads, sums = GradientTiles(*places[n_tiles : n_tiles + n_grads]), Sums(*places[n_tiles + n_grads :])
        for part in range(first, last):
            backward_tiles(
                items, bounds[part], bounds[part + 1], shape, *tables, pointers, tiles, grads, sums, sum(lengths),
                x.data_ptr(), grad.data_ptr(), d_x.data_ptr(), totals[part].data_ptr(),
            )  # fmt: skip

    run_parts(len(bounds) - 1, sum(all_sizes) * LANES, work)
    sums = [v.unflatten(-1, size) for v, size in zip(totals.sum(0).split(lengths, -1), shapes, strict=True)]
    return [d_x, *_collect(sums, weights, widths)]


def _collect(sums: list[Tensor], weights: Sequence[Tensor], widths: Sequence[int]) -> list[Tensor]:
    """Turn sums (e, k, ...) into gradients of the parameters: kernels and the two biases have their scale, others sum it."""
    gradients = []
    for position, (part, weight) in enumerate(zip(sums, weights, strict=True)):
        if position == 0:
            gradients.append(torch.cat([part[:, q, :width] for q, width in enumerate(widths)], 1))
        elif position in (2, 8):  # bias, delta_bias
            gradients.append(
                part.clone(memory_format=torch.contiguous_format)
            )  # outputs must share no memory
        else:
            total = part.sum(1)
            gradients.append(total[..., : weight.shape[-1]].contiguous())  # without padded states
    return gradients


@_backward.register_fake
def _(grad, x, weights, n_rows, widths):
    return [v.new_empty(v.shape) for v in (x, *weights)]


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:13])
    ctx.n_rows, ctx.widths = inputs[13:]


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, *weights = ctx.saved_tensors
    return (*_backward(grad, x, weights, ctx.n_rows, ctx.widths), None, None)


multiscale_mamba.register_gradients(_gradients, _save)
