"""Norm, attention over scales, residual, norm: the position-wise half of AGCCN as numba kernels.

Four scales of four channels make matrices so small that torch spends its time between them. All of it concerns one position
at a time, so a tile of positions, the innermost axis of (n, k, d, m), passes through the whole chain while it is in the
cache. The backward pass repeats the forward one from the input; nothing is kept.
Builds on the vector language of ``simd``; called by the operator of the same name.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..simd.arithmetic import LOG2_E, exp2, inverse_root, maximum, multiply_add, reciprocal
from ..simd.compiler import kernel
from ..simd.lanes import sum_lanes
from ..simd.tiles import zero
from ..simd.vectors import (
    BLOCK,
    FLOAT_BYTES,
    LANES,
    load,
    load_block,
    load_scalar,
    multiply_into,
    repeat,
    splat,
    store,
    store_scalar,
)  # fmt: skip

__all__ = ["BLOCK_BYTES", "WIDTH", "Shape", "Tiles", "Weights", "backward_tiles", "forward_tiles"]

WIDTH = LANES * BLOCK
BLOCK_BYTES = WIDTH * FLOAT_BYTES
ZERO, ONE = np.float32(0.0), np.float32(1.0)


class Shape(NamedTuple):
    """Sizes; `causal` is 0 or 1, `eps` belongs to the norms."""

    nodes: int
    scales: int
    channels: int
    positions: int
    causal: int
    eps: float


class Weights(NamedTuple):
    """Addresses of the parameters: norms (k, d), `into` (3 d, d), `out` (d, d)."""

    first_weight: int
    first_bias: int
    into: int
    out: int
    second_weight: int
    second_bias: int


class Tiles(NamedTuple):
    """Addresses of tiles, in blocks of positions.

    x, u, mixed, total, result (k, d); first_scale, second_scale (k); qkv (k, 3 d); share (k, k). `x` and `total` are
    normalised where they stand. The rest is for the backward pass: d_u, d_mixed (k, d); d_qkv (k, 3 d); d_share (k).
    """

    x: int
    first_scale: int
    u: int
    qkv: int
    share: int
    mixed: int
    total: int
    second_scale: int
    result: int
    d_u: int
    d_mixed: int
    d_qkv: int
    d_share: int


@kernel
def _number(address, index):
    return repeat(splat(load_scalar(address, index)))


@kernel
def _move(tensor, shape, node, first, tile, into_tile):
    """Copy one tile (k, d) of positions between a tensor (n, k, d, m) and scratch memory; missing positions are zero."""
    for row in range(shape.scales * shape.channels):
        here = (node * shape.scales * shape.channels + row) * shape.positions + first
        n_present = min(WIDTH, shape.positions - first)
        if n_present == WIDTH:
            if into_tile:
                store(tile, row * WIDTH, load_block(tensor, here))
            else:
                store(tensor, here, load_block(tile, row * WIDTH))
        elif into_tile:
            store(tile, row * WIDTH, repeat(splat(ZERO)))
            for i in range(n_present):
                store_scalar(tile, row * WIDTH + i, load_scalar(tensor, here + i))
        else:
            for i in range(n_present):
                store_scalar(tensor, here + i, load_scalar(tile, row * WIDTH + i))


@kernel
def _normalise(shape, q, tile, scales, weight, bias, out):
    """Standardise scale q of a tile in place; `out` gets the scaled and shifted result, `scales` the factor."""
    d = shape.channels
    share = repeat(splat(np.float32(1.0 / d)))
    mean, variance = repeat(splat(ZERO)), repeat(splat(np.float32(shape.eps)))
    for c in range(q * d, (q + 1) * d):
        mean = multiply_add(load_block(tile, c * WIDTH), share, mean)
    for c in range(q * d, (q + 1) * d):
        centred = load_block(tile, c * WIDTH) - mean
        variance = multiply_add(centred * share, centred, variance)
    factor = inverse_root(variance)
    store(scales, q * WIDTH, factor)
    for c in range(q * d, (q + 1) * d):
        value = (load_block(tile, c * WIDTH) - mean) * factor
        store(tile, c * WIDTH, value)
        store(out, c * WIDTH, multiply_add(value, _number(weight, c), _number(bias, c)))


@kernel
def _attend(shape, i, tiles):
    """Shares of scale i, and what it gathers."""
    d = shape.channels
    first = i if shape.causal else 0
    factor = repeat(splat(np.float32(d**-0.5) * LOG2_E))
    for j in range(first, shape.scales):
        score = repeat(splat(ZERO))
        for c in range(d):
            query = load_block(tiles.qkv, (i * 3 * d + c) * WIDTH)
            score = multiply_add(query, load_block(tiles.qkv, (j * 3 * d + d + c) * WIDTH), score)
        store(tiles.share, (i * shape.scales + j) * WIDTH, score * factor)
    highest = load_block(tiles.share, (i * shape.scales + first) * WIDTH)
    for j in range(first + 1, shape.scales):
        highest = maximum(highest, load_block(tiles.share, (i * shape.scales + j) * WIDTH))
    total = repeat(splat(ZERO))
    for j in range(first, shape.scales):
        share = exp2(load_block(tiles.share, (i * shape.scales + j) * WIDTH) - highest)
        store(tiles.share, (i * shape.scales + j) * WIDTH, share)
        total = total + share
    total = reciprocal(total)
    for j in range(first, shape.scales):
        here = (i * shape.scales + j) * WIDTH
        store(tiles.share, here, load_block(tiles.share, here) * total)
    for c in range(d):
        mixed = repeat(splat(ZERO))
        for j in range(first, shape.scales):
            value = load_block(tiles.qkv, (j * 3 * d + 2 * d + c) * WIDTH)
            mixed = multiply_add(load_block(tiles.share, (i * shape.scales + j) * WIDTH), value, mixed)
        store(tiles.mixed, (i * d + c) * WIDTH, mixed)


@kernel
def _compute(shape, weights, tiles):
    """Fill all forward tiles from that of x."""
    d = shape.channels
    for q in range(shape.scales):
        _normalise(shape, q, tiles.x, tiles.first_scale, weights.first_weight, weights.first_bias, tiles.u)
        for o in range(3 * d):
            value = repeat(splat(ZERO))
            for c in range(d):
                value = multiply_add(
                    _number(weights.into, o * d + c), load_block(tiles.u, (q * d + c) * WIDTH), value
                )
            store(tiles.qkv, (q * 3 * d + o) * WIDTH, value)
    for q in range(shape.scales):
        _attend(shape, q, tiles)
        for o in range(d):
            value = load_block(tiles.u, (q * d + o) * WIDTH)
            for c in range(d):
                value = multiply_add(
                    _number(weights.out, o * d + c), load_block(tiles.mixed, (q * d + c) * WIDTH), value
                )
            store(tiles.total, (q * d + o) * WIDTH, value)
        _normalise(
            shape,
            q,
            tiles.total,
            tiles.second_scale,
            weights.second_weight,
            weights.second_bias,
            tiles.result,
        )


@kernel
def forward_tiles(first, last, shape, weights, tiles, x, out):
    """Run the chain on tiles `first` to `last` of x (n, k, d, m); a node has its positions divided by WIDTH, rounded up."""
    per_node = (shape.positions + WIDTH - 1) // WIDTH
    for item in range(first, last):
        node, position = item // per_node, item % per_node * WIDTH
        _move(x, shape, node, position, tiles.x, True)
        _compute(shape, weights, tiles)
        _move(out, shape, node, position, tiles.result, False)


@kernel
def _normalise_backward(shape, q, gradient, tile, scales, weight, d_weight, d_bias, out):
    """Gradient of `_normalise` for scale q: from `gradient` to `out`, which may be the same tile."""
    d = shape.channels
    share = repeat(splat(np.float32(1.0 / d)))
    mean, projection = repeat(splat(ZERO)), repeat(splat(ZERO))
    for c in range(q * d, (q + 1) * d):
        g, value = load_block(gradient, c * WIDTH), load_block(tile, c * WIDTH)
        multiply_into(d_weight, c * WIDTH, g, value)
        multiply_into(d_bias, c * WIDTH, g, repeat(splat(ONE)))
        g = g * _number(weight, c)
        mean = multiply_add(g, share, mean)
        projection = multiply_add(g * share, value, projection)
    factor = load_block(scales, q * WIDTH)
    for c in range(q * d, (q + 1) * d):
        g = load_block(gradient, c * WIDTH) * _number(weight, c)
        store(out, c * WIDTH, (g - mean - load_block(tile, c * WIDTH) * projection) * factor)


@kernel
def _attend_backward(shape, i, tiles):
    """Gradients of `_attend`: adds to those of keys and values, sets that of the queries of scale i."""
    d = shape.channels
    first = i if shape.causal else 0
    inner = repeat(splat(ZERO))
    for j in range(first, shape.scales):
        share = load_block(tiles.share, (i * shape.scales + j) * WIDTH)
        d_share = repeat(splat(ZERO))
        for c in range(d):
            g, value = load_block(tiles.d_mixed, (i * d + c) * WIDTH), (j * 3 * d + 2 * d + c) * WIDTH
            d_share = multiply_add(g, load_block(tiles.qkv, value), d_share)
            multiply_into(tiles.d_qkv, value, share, g)
        store(tiles.d_share, j * WIDTH, d_share)
        inner = multiply_add(share, d_share, inner)
    factor = repeat(splat(np.float32(d**-0.5)))
    for j in range(first, shape.scales):
        share = load_block(tiles.share, (i * shape.scales + j) * WIDTH)
        d_score = share * (load_block(tiles.d_share, j * WIDTH) - inner) * factor
        for c in range(d):
            query, key = (i * 3 * d + c) * WIDTH, (j * 3 * d + d + c) * WIDTH
            multiply_into(tiles.d_qkv, query, d_score, load_block(tiles.qkv, key))
            multiply_into(tiles.d_qkv, key, d_score, load_block(tiles.qkv, query))


@kernel
def _map_backward(n_out, d, weight, d_weight, gradient, value, out):
    """Gradients of ``weight (n_out, d) @ value (d)``: adds to those of both."""
    for c in range(d):
        total, here = load_block(out, c * WIDTH), load_block(value, c * WIDTH)
        for o in range(n_out):
            g = load_block(gradient, o * WIDTH)
            total = multiply_add(_number(weight, o * d + c), g, total)
            multiply_into(d_weight, (o * d + c) * WIDTH, g, here)
        store(out, c * WIDTH, total)


@kernel
def backward_tiles(first, last, shape, weights, tiles, sums, n_sums, x, gradient, d_x, totals):
    """Compute all gradients of some tiles; `sums` are scratch, `totals` (n_sums) gets those of the parameters in order."""
    k, d = shape.scales, shape.channels
    per_node = (shape.positions + WIDTH - 1) // WIDTH
    zero(sums.first_weight, n_sums * BLOCK)
    for item in range(first, last):
        node, position = item // per_node, item % per_node * WIDTH
        _move(x, shape, node, position, tiles.x, True)
        _compute(shape, weights, tiles)
        _move(gradient, shape, node, position, tiles.result, True)
        zero(tiles.d_qkv, 3 * k * d * BLOCK)
        zero(tiles.d_mixed, k * d * BLOCK)
        for q in range(k):
            _normalise_backward(
                shape, q, tiles.result, tiles.total, tiles.second_scale, weights.second_weight,
                sums.second_weight, sums.second_bias, tiles.d_u,
            )  # fmt: skip
            own = q * d * BLOCK_BYTES
            _map_backward(
                d, d, weights.out, sums.out, tiles.d_u + own, tiles.mixed + own, tiles.d_mixed + own
            )
            _attend_backward(shape, q, tiles)
        for q in range(k):
            own = q * d * BLOCK_BYTES
            _map_backward(
                3 * d, d, weights.into, sums.into, tiles.d_qkv + 3 * own, tiles.u + own, tiles.d_u + own
            )
            _normalise_backward(
                shape, q, tiles.d_u, tiles.x, tiles.first_scale, weights.first_weight,
                sums.first_weight, sums.first_bias, tiles.d_u,
            )  # fmt: skip
        _move(d_x, shape, node, position, tiles.d_u, False)
    for i in range(n_sums):
        total = splat(ZERO)
        for part in range(BLOCK):
            total = total + load(sums.first_weight, i * WIDTH + part * LANES)
        store_scalar(totals, i, sum_lanes(total))
