"""The multiscale Mamba block as numba kernels, from normed features to the sum over channels, with nothing in between in memory.

Narrow layers spend most of their time moving B and C, which are wider than everything else, between projection and scan. Here
a tile of LANES sequences (one per lane) goes through convolution over time, short convolution, selection, scan, gate and
output projection while it is in the cache. The backward pass repeats the forward one from the input: nothing is kept.
A tile holds all steps, as vectors [channel, step]; B and C are [block of states, step, state of the block], so that a scan
reads them in a row. Step counts are rounded up to a multiple of BLOCK (``padded``), so that linear maps run on BLOCK steps at
once; what lies beyond the last step has no gradient.

Builds on the vector language of ``simd``; called by the operator of the same name.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..simd.arithmetic import (
    exp2,
    multiply_add,
    sigmoid,
    softplus,
)
from ..simd.compiler import kernel
from ..simd.lanes import transpose_in, transpose_out
from ..simd.tiles import zero
from ..simd.vectors import (
    BLOCK,
    FLOAT_BYTES,
    LANES,
    load,
    load_block,
    load_scalar,
    repeat,
    splat,
    store,
    store_scalar,
    sum_products,
)

__all__ = [
    "Shape",
    "Tiles",
    "Weights",
    "compute_features",
    "forward_tiles",
    "gather_tile",
    "mix",
    "scatter_tile",
]

ZERO = np.float32(0.0)
VECTOR_BYTES = LANES * FLOAT_BYTES


class Shape(NamedTuple):
    """Sizes of a problem; `states` and `padded` steps are multiples of BLOCK, `reach` is half the widest scale."""

    scales: int
    channels: int
    inner: int
    states: int
    taps: int
    windows: int
    steps: int
    padded: int
    reach: int
    all_widths: int


class Weights(NamedTuple):
    """Addresses of the parameters of all experts, stacked; `to_b`, `to_c` and `rates` have each number in all lanes.

    kernels (e, all_widths, d, inner); to_gate (e, d, inner); bias (e, k, inner); conv (e, inner, taps); conv_bias (e, inner);
    to_delta (e, inner, inner); to_b, to_c (e, inner, states); delta_bias (e, k, inner); rates (e, inner, states), times
    log2(e); skip (e, inner); out (e, inner, d).
    """

    kernels: int
    to_gate: int
    bias: int
    conv: int
    conv_bias: int
    to_delta: int
    to_b: int
    to_c: int
    delta_bias: int
    rates: int
    skip: int
    out: int


class Tiles(NamedTuple):
    """Addresses of tiles in scratch memory.

    x (d, padded + 2 reach), mixed (inner, taps - 1 + padded), b and c (states / BLOCK, padded, BLOCK), step_x (padded),
    out (d, padded), all others (inner, padded).
    """

    x: int
    mixed: int
    gate: int
    pre: int
    h: int
    delta: int
    b: int
    c: int
    step_x: int
    out: int


@kernel
def mix(
    out, n_blocks, start, weights, outer_weight, inner_weight, n_outer, n_inner, tile, outer_tile, inner_tile
):
    """Sum weighted rows of a tile: out[t] = start + sum over (o, i) of weights[o, i] * tile[o, i][t].

    Strides of weights are in elements, those of the tile in vectors.
    """
    for step in range(0, n_blocks * BLOCK, BLOCK):
        total = repeat(start)
        for o in range(n_outer):
            for i in range(n_inner):
                weight = splat(load_scalar(weights, o * outer_weight + i * inner_weight))
                row = load_block(tile, (step + o * outer_tile + i * inner_tile) * LANES)
                total = multiply_add(repeat(weight), row, total)
        store(out, step * LANES, total)


@kernel
def gather_tile(tensor, shape, row, scale, window, n_lanes, target, pitch):
    """Pack `n_lanes` sequences of a tensor (r, k, d, g, t), from (row, window) on; missing lanes are zero."""
    length = shape.windows * shape.steps
    if n_lanes == LANES and window + LANES <= shape.windows:
        for c in range(shape.channels):
            first = ((row * shape.scales + scale) * shape.channels + c) * length + window * shape.steps
            for t in range(0, shape.steps, LANES):
                here = target + (c * pitch + t) * VECTOR_BYTES
                transpose_in(
                    tensor + FLOAT_BYTES * (first + t), shape.steps, min(LANES, shape.steps - t), here
                )
        return
    zero(target, shape.channels * pitch)
    for lane in range(n_lanes):
        sequence = row * shape.windows + window + lane
        first = (sequence // shape.windows * shape.scales + scale) * shape.channels * length
        first += sequence % shape.windows * shape.steps
        for c in range(shape.channels):
            for t in range(shape.steps):
                value = load_scalar(tensor, first + c * length + t)
                store_scalar(target, (c * pitch + t) * LANES + lane, value)


@kernel
def scatter_tile(tensor, shape, row, scale, window, n_lanes, source, pitch):
    """Unpack what `gather_tile` packs; the source needs LANES spare vectors at its end."""
    length = shape.windows * shape.steps
    if n_lanes == LANES and window + LANES <= shape.windows:
        for c in range(shape.channels):
            first = ((row * shape.scales + scale) * shape.channels + c) * length + window * shape.steps
            for t in range(0, shape.steps, LANES):
                here = source + (c * pitch + t) * VECTOR_BYTES
                transpose_out(
                    here, tensor + FLOAT_BYTES * (first + t), shape.steps, min(LANES, shape.steps - t)
                )
        return
    for lane in range(n_lanes):
        sequence = row * shape.windows + window + lane
        first = (sequence // shape.windows * shape.scales + scale) * shape.channels * length
        first += sequence % shape.windows * shape.steps
        for c in range(shape.channels):
            for t in range(shape.steps):
                value = load_scalar(source, (c * pitch + t) * LANES + lane)
                store_scalar(tensor, first + c * length + t, value)


@kernel
def _repeat_ends(x, shape, pitch):
    """Fill the steps before the first and after the last of every channel with these."""
    for c in range(shape.channels):
        row = x + c * pitch * VECTOR_BYTES
        first, last = load(row, shape.reach * LANES), load(row, (shape.reach + shape.steps - 1) * LANES)
        for t in range(shape.reach):
            store(row, t * LANES, first)
        for t in range(shape.reach + shape.steps, pitch):
            store(row, t * LANES, last)


@kernel
def _project(h, shape, expert, weights, b, c):
    """Compute B and C from h [channel, step]."""
    width = shape.inner * shape.states * VECTOR_BYTES
    to_b, to_c = weights.to_b + expert * width, weights.to_c + expert * width
    for t in range(shape.steps):
        for s in range(0, shape.states, BLOCK):
            total_b, total_c = repeat(splat(ZERO)), repeat(splat(ZERO))
            for i in range(shape.inner):
                value = repeat(load(h, (i * shape.padded + t) * LANES))
                total_b = multiply_add(value, load_block(to_b, (i * shape.states + s) * LANES), total_b)
                total_c = multiply_add(value, load_block(to_c, (i * shape.states + s) * LANES), total_c)
            here = (s * shape.padded + t * BLOCK) * LANES
            store(b, here, total_b)
            store(c, here, total_c)


@kernel
def compute_features(x, shape, expert, scale, tap, width, row, window, n_lanes, weights, tiles):
    """Fill the tiles up to the scan: x, mixed, gate, pre, h, delta (without its bias), B and C.

    Parameters
    ----------
    x : int
        Address of the input (r, k, d, g, t).
    tap, width : int
        First kernel tap of the scale among those of all scales, and how many it has.
    """
    d, inner, padded, taps = shape.channels, shape.inner, shape.padded, shape.taps
    pitch, n_blocks = padded + 2 * shape.reach, padded // BLOCK
    gather_tile(x, shape, row, scale, window, n_lanes, tiles.x + shape.reach * VECTOR_BYTES, pitch)
    _repeat_ends(tiles.x, shape, pitch)
    kernels = weights.kernels + FLOAT_BYTES * (expert * shape.all_widths + tap) * d * inner
    to_gate = weights.to_gate + FLOAT_BYTES * expert * d * inner
    to_delta = weights.to_delta + FLOAT_BYTES * expert * inner * inner
    first_step = tiles.x + (shape.reach - width // 2) * VECTOR_BYTES
    for j in range(inner):
        own, unit = j * padded * VECTOR_BYTES, expert * inner + j
        mixed = tiles.mixed + j * (taps - 1 + padded) * VECTOR_BYTES
        bias = splat(load_scalar(weights.bias, (expert * shape.scales + scale) * inner + j))
        zero(mixed, taps - 1)
        present = mixed + (taps - 1) * VECTOR_BYTES
        mix(
            present,
            n_blocks,
            bias,
            kernels + FLOAT_BYTES * j,
            d * inner,
            inner,
            width,
            d,
            first_step,
            1,
            pitch,
        )
        centre = tiles.x + shape.reach * VECTOR_BYTES
        mix(
            tiles.gate + own,
            n_blocks,
            splat(ZERO),
            to_gate + FLOAT_BYTES * j,
            0,
            inner,
            1,
            d,
            centre,
            0,
            pitch,
        )
        bias = splat(load_scalar(weights.conv_bias, unit))
        mix(
            tiles.pre + own,
            n_blocks,
            bias,
            weights.conv + FLOAT_BYTES * unit * taps,
            1,
            0,
            taps,
            1,
            mixed,
            1,
            0,
        )
        for t in range(padded):
            value = load(tiles.pre + own, t * LANES)
            store(tiles.h + own, t * LANES, value * sigmoid(value))
    for j in range(inner):
        delta = tiles.delta + j * padded * VECTOR_BYTES
        mix(delta, n_blocks, splat(ZERO), to_delta + FLOAT_BYTES * j, 0, inner, 1, inner, tiles.h, 0, padded)
    _project(tiles.h, shape, expert, weights, tiles.b, tiles.c)


@kernel
def _scan(shape, h, delta, gate, rates, skip, bias, tiles):
    """Scan and gate one channel; its tiles of h and delta are overwritten by y and the step sizes."""
    for t in range(shape.steps):
        step, value = softplus(load(delta, t * LANES) + bias), load(h, t * LANES)
        store(delta, t * LANES, step)
        store(tiles.step_x, t * LANES, step * value)
        store(h, t * LANES, skip * value)
    for s in range(0, shape.states, BLOCK):
        state, rate = repeat(splat(ZERO)), load_block(rates, s * LANES)
        for t in range(shape.steps):
            here = (s * shape.padded + t * BLOCK) * LANES
            decay = exp2(repeat(load(delta, t * LANES)) * rate)
            state = multiply_add(
                decay, state, repeat(load(tiles.step_x, t * LANES)) * load_block(tiles.b, here)
            )
            store(h, t * LANES, sum_products(load(h, t * LANES), state, load_block(tiles.c, here)))
    for t in range(shape.steps):
        value = load(gate, t * LANES)
        store(h, t * LANES, load(h, t * LANES) * value * sigmoid(value))


@kernel
def forward_tiles(items, first, last, shape, widths, first_taps, weights, tiles, x, out):
    """Run the block on some of the tiles.

    Parameters
    ----------
    items : int64 array (n, 5)
        For each tile: expert, scale, first row, first window of that row, sequences in it.
    first, last : int
        Range of tiles.
    shape, weights, tiles : Shape, Weights, Tiles
    widths, first_taps : int64 arrays (k,)
        Kernel width of each scale, and the sum of those before it.
    x, out : int
        Addresses of input and output, both (r, k, d, g, t).
    """
    d, inner, padded = shape.channels, shape.inner, shape.padded
    for item in range(first, last):
        expert, scale, row, window, n_lanes = items[item]
        compute_features(
            x, shape, expert, scale, first_taps[scale], widths[scale], row, window, n_lanes, weights, tiles
        )
        for j in range(inner):
            own, unit = j * padded * VECTOR_BYTES, expert * inner + j
            skip = splat(load_scalar(weights.skip, unit))
            bias = splat(load_scalar(weights.delta_bias, (expert * shape.scales + scale) * inner + j))
            rates = weights.rates + unit * shape.states * VECTOR_BYTES
            _scan(shape, tiles.h + own, tiles.delta + own, tiles.gate + own, rates, skip, bias, tiles)
        for c in range(d):
            to_out = weights.out + FLOAT_BYTES * (expert * inner * d + c)
            target = tiles.out + c * padded * VECTOR_BYTES
            mix(target, padded // BLOCK, splat(ZERO), to_out, 0, d, 1, inner, tiles.h, 0, padded)
        scatter_tile(out, shape, row, scale, window, n_lanes, tiles.out, padded)
