"""The backward pass of the multiscale Mamba block as numba kernels; see ``multiscale`` for the forward one.

A tile is computed forwards again up to the scan, then its gradients flow back channel by channel. Gradients of parameters are
summed as vectors while tiles of one expert and scale follow each other, then over lanes into plain numbers.
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
    sum_products,
)
from .multiscale import compute_features, gather_tile, mix, scatter_tile

__all__ = ["GradientTiles", "Sums", "backward_tiles"]

ZERO, ONE = np.float32(0.0), np.float32(1.0)
LN2 = np.float32(0.6931471805599453)
VECTOR_BYTES = LANES * FLOAT_BYTES


class GradientTiles(NamedTuple):
    """Addresses of tiles in scratch memory, beside those of the forward pass.

    d_out (d, padded); d_y, gated, d_h (inner, padded); d_pre (inner, padded + taps - 1 + BLOCK), zero behind the last step;
    d_mixed (inner, padded + 4 reach + BLOCK), zero around its steps; d_x (d, padded + 2 reach + BLOCK); d_b, d_c as B and C;
    buffers of the scan.
    """

    d_out: int
    d_y: int
    gated: int
    d_h: int
    d_pre: int
    d_mixed: int
    d_x: int
    d_b: int
    d_c: int
    step: int
    y: int
    into_input: int
    into_exponent: int
    decays: int
    history: int


class Sums(NamedTuple):
    """Addresses of the sums of gradients, as vectors: those of `Weights`, of one expert and one scale."""

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


@kernel
def _add_product(target, n_blocks, a, b):
    """Add the sum over steps of a * b to one vector in memory."""
    total = repeat(splat(ZERO))
    for step in range(0, n_blocks * BLOCK, BLOCK):
        total = multiply_add(load_block(a, step * LANES), load_block(b, step * LANES), total)
    store(target, 0, sum_products(load(target, 0), total, repeat(splat(ONE))))


@kernel
def _reverse_states(shape, s, rate, d_y, tiles, grads, d_rates):
    """Run BLOCK states of one channel forwards, keeping them, then their gradients backwards."""
    state = repeat(splat(ZERO))
    store(grads.history, 0, state)
    for t in range(shape.steps):
        here = (s * shape.padded + t * BLOCK) * LANES
        decay = exp2(repeat(load(grads.step, t * LANES)) * rate)
        state = multiply_add(decay, state, repeat(load(tiles.step_x, t * LANES)) * load_block(tiles.b, here))
        store(grads.decays, t * BLOCK * LANES, decay)
        store(grads.history, (t + 1) * BLOCK * LANES, state)
        store(grads.y, t * LANES, sum_products(load(grads.y, t * LANES), state, load_block(tiles.c, here)))
    flowing, d_rate = repeat(splat(ZERO)), load_block(d_rates, s * LANES)
    for i in range(shape.steps):
        t = shape.steps - 1 - i
        here, now = (s * shape.padded + t * BLOCK) * LANES, t * BLOCK * LANES
        g = repeat(load(d_y, t * LANES))
        flowing = multiply_add(g, load_block(tiles.c, here), flowing)
        multiply_into(grads.d_c, here, g, load_block(grads.history, now + BLOCK * LANES))
        multiply_into(grads.d_b, here, flowing, repeat(load(tiles.step_x, t * LANES)))
        into_input = load(grads.into_input, t * LANES)
        store(grads.into_input, t * LANES, sum_products(into_input, flowing, load_block(tiles.b, here)))
        flowing = flowing * load_block(grads.decays, now)
        exponent = flowing * load_block(grads.history, now)
        into_exponent = load(grads.into_exponent, t * LANES)
        store(grads.into_exponent, t * LANES, sum_products(into_exponent, exponent, rate))
        d_rate = multiply_add(exponent, repeat(load(grads.step, t * LANES)), d_rate)
    store(d_rates, s * LANES, d_rate)


@kernel
def _scan_backward(j, expert, scale, shape, weights, tiles, grads, sums):
    """Gradients of the gated scan of channel j: its tiles of delta and gate become their gradients, d_h and gated are filled."""
    own, unit = j * shape.padded * VECTOR_BYTES, expert * shape.inner + j
    h, gate, delta = tiles.h + own, tiles.gate + own, tiles.delta + own
    d_y, d_h, gated = grads.d_y + own, grads.d_h + own, grads.gated + own
    skip = splat(load_scalar(weights.skip, unit))
    bias = splat(load_scalar(weights.delta_bias, (expert * shape.scales + scale) * shape.inner + j))
    for t in range(
        shape.steps
    ):  # d_y is in front of the gate from here on, `gated` holds the gate's own gradient but for y
        value, g = load(gate, t * LANES), load(d_y, t * LANES)
        share = sigmoid(value)
        store(gated, t * LANES, g * share * multiply_add(value, splat(ONE) - share, splat(ONE)))
        store(gate, t * LANES, value * share)
        store(d_y, t * LANES, g * value * share)
        step, x = softplus(load(delta, t * LANES) + bias), load(h, t * LANES)
        store(grads.step, t * LANES, step)
        store(tiles.step_x, t * LANES, step * x)
        store(grads.y, t * LANES, skip * x)
    zero(grads.into_input, shape.steps)
    zero(grads.into_exponent, shape.steps)
    for s in range(0, shape.states, BLOCK):
        rate = load_block(weights.rates, (unit * shape.states + s) * LANES)
        _reverse_states(shape, s, rate, d_y, tiles, grads, sums.rates + j * shape.states * VECTOR_BYTES)
    d_skip, d_bias = load(sums.skip, j * LANES), load(sums.delta_bias, j * LANES)
    for t in range(shape.steps):
        x, y, g = load(h, t * LANES), load(grads.y, t * LANES), load(d_y, t * LANES)
        d_skip = multiply_add(g, x, d_skip)
        into_input = load(grads.into_input, t * LANES)
        # rates carry log2(e): d 2**(step * rate) / d step = ln 2 * rate * 2**(step * rate)
        d_step = multiply_add(x, into_input, load(grads.into_exponent, t * LANES) * splat(LN2))
        d_delta = d_step * sigmoid(load(delta, t * LANES) + bias)
        d_bias = d_bias + d_delta
        store(delta, t * LANES, d_delta)
        store(d_h, t * LANES, multiply_add(load(grads.step, t * LANES), into_input, skip * g))
        open_gate, d_gate = load(gate, t * LANES), load(gated, t * LANES)
        store(gate, t * LANES, d_gate * y)
        store(gated, t * LANES, open_gate * y)
    store(sums.skip, j * LANES, d_skip)
    store(sums.delta_bias, j * LANES, d_bias)
    for t in range(shape.steps, shape.padded):
        for tile in (d_h, gated, gate, delta):
            store(tile, t * LANES, splat(ZERO))


@kernel
def _selection_backward(expert, shape, weights, tiles, grads, sums):
    """Gradients of the selection: adds to that of h."""
    inner, states, padded, n_blocks = shape.inner, shape.states, shape.padded, shape.padded // BLOCK
    width = inner * states * VECTOR_BYTES
    to_b, to_c = weights.to_b + expert * width, weights.to_c + expert * width
    to_delta = weights.to_delta + FLOAT_BYTES * expert * inner * inner
    for s in range(
        0, states, BLOCK
    ):  # the gradients of B and C of one block of states stay in the fastest cache
        for i in range(inner):
            h, d_h = tiles.h + i * padded * VECTOR_BYTES, grads.d_h + i * padded * VECTOR_BYTES
            own = (i * states + s) * LANES
            b_weight, c_weight = load_block(to_b, own), load_block(to_c, own)
            b_total, c_total = load_block(sums.to_b, own), load_block(sums.to_c, own)
            for t in range(shape.steps):
                here = (s * padded + t * BLOCK) * LANES
                d_b, d_c, value = (
                    load_block(grads.d_b, here),
                    load_block(grads.d_c, here),
                    repeat(load(h, t * LANES)),
                )
                b_total, c_total = multiply_add(value, d_b, b_total), multiply_add(value, d_c, c_total)
                into_h = sum_products(load(d_h, t * LANES), d_b, b_weight)
                store(d_h, t * LANES, sum_products(into_h, d_c, c_weight))
            store(sums.to_b, own, b_total)
            store(sums.to_c, own, c_total)
    for i in range(inner):
        h, d_h = tiles.h + i * padded * VECTOR_BYTES, grads.d_h + i * padded * VECTOR_BYTES
        for j in range(inner):
            d_delta = tiles.delta + j * padded * VECTOR_BYTES
            _add_product(sums.to_delta + (i * inner + j) * VECTOR_BYTES, n_blocks, h, d_delta)
        for step in range(0, padded, BLOCK):
            total = load_block(d_h, step * LANES)
            for j in range(inner):
                weight = repeat(splat(load_scalar(to_delta, i * inner + j)))
                total = multiply_add(weight, load_block(tiles.delta, (j * padded + step) * LANES), total)
            store(d_h, step * LANES, total)


@kernel
def _short_convolution_backward(expert, shape, weights, tiles, grads, sums):
    """Gradients of the short convolution and its SiLU: fills that of `mixed`."""
    padded, taps, n_blocks = shape.padded, shape.taps, shape.padded // BLOCK
    pitch = padded + 4 * shape.reach + BLOCK
    for j in range(shape.inner):
        own = j * padded * VECTOR_BYTES
        d_pre = grads.d_pre + j * (padded + taps - 1 + BLOCK) * VECTOR_BYTES
        total = load(sums.conv_bias, j * LANES)
        for t in range(padded):
            value = load(tiles.pre + own, t * LANES)
            share = sigmoid(value)
            slope = share * multiply_add(value, splat(ONE) - share, splat(ONE))
            gradient = load(grads.d_h + own, t * LANES) * slope
            store(d_pre, t * LANES, gradient)
            total = total + gradient
        store(sums.conv_bias, j * LANES, total)
        zero(d_pre + padded * VECTOR_BYTES, taps - 1 + BLOCK)
        mixed = tiles.mixed + j * (taps - 1 + padded) * VECTOR_BYTES
        for m in range(taps):
            _add_product(sums.conv + (j * taps + m) * VECTOR_BYTES, n_blocks, d_pre, mixed + m * VECTOR_BYTES)
        row = grads.d_mixed + j * pitch * VECTOR_BYTES
        zero(row, pitch)
        d_mixed = row + 2 * shape.reach * VECTOR_BYTES
        conv = weights.conv + FLOAT_BYTES * (expert * shape.inner + j) * taps
        later = d_pre + (taps - 1) * VECTOR_BYTES
        mix(d_mixed, n_blocks, splat(ZERO), conv, 1, 0, taps, 1, later, -1, 0)
        total = load(sums.bias, j * LANES)
        for t in range(shape.steps):
            total = total + load(d_mixed, t * LANES)
        store(sums.bias, j * LANES, total)


@kernel
def _scale_convolution_backward(expert, tap, width, shape, weights, tiles, grads, sums):
    """Gradients of the convolution over time and the gate's projection: fills that of x."""
    d, inner, padded, reach = shape.channels, shape.inner, shape.padded, shape.reach
    n_blocks, half = padded // BLOCK, width // 2
    x_pitch, pitch = padded + 2 * reach, padded + 4 * reach + BLOCK
    d_x_pitch = padded + 2 * reach + BLOCK
    kernels = weights.kernels + FLOAT_BYTES * (expert * shape.all_widths + tap) * d * inner
    to_gate = weights.to_gate + FLOAT_BYTES * expert * d * inner
    for c in range(d):
        x = tiles.x + c * x_pitch * VECTOR_BYTES
        centre = x + reach * VECTOR_BYTES
        for j in range(inner):
            d_mixed = grads.d_mixed + (j * pitch + 2 * reach) * VECTOR_BYTES
            _add_product(
                sums.to_gate + (c * inner + j) * VECTOR_BYTES, n_blocks, centre,
                tiles.gate + j * padded * VECTOR_BYTES,
            )  # fmt: skip
            for o in range(width):
                target = sums.kernels + ((o * d + c) * inner + j) * VECTOR_BYTES
                _add_product(target, n_blocks, x + (reach - half + o) * VECTOR_BYTES, d_mixed)
        d_x = grads.d_x + c * d_x_pitch * VECTOR_BYTES
        n_all = (padded + 2 * reach + BLOCK - 1) // BLOCK
        mix(
            d_x, n_all, splat(ZERO), kernels + FLOAT_BYTES * c * inner, d * inner, 1, width, inner,
            grads.d_mixed + (reach + half) * VECTOR_BYTES, -1, pitch,
        )  # fmt: skip
        first, last = load(d_x, reach * LANES), splat(ZERO)
        for t in range(reach):
            first = first + load(d_x, t * LANES)
            last = last + load(d_x, (reach + shape.steps + t) * LANES)
        store(d_x, reach * LANES, first)
        end = (reach + shape.steps - 1) * LANES
        store(d_x, end, load(d_x, end) + last)
        for step in range(0, padded, BLOCK):
            total = load_block(d_x, (reach + step) * LANES)
            for j in range(inner):
                weight = repeat(splat(load_scalar(to_gate, c * inner + j)))
                total = multiply_add(weight, load_block(tiles.gate, (j * padded + step) * LANES), total)
            store(d_x, (reach + step) * LANES, total)


@kernel
def backward_tiles(
    items, first, last, shape, widths, first_taps, weights, tiles, grads, sums, n_sums, x, grad, d_x, totals
):
    """Compute all gradients of some of the tiles.

    Parameters
    ----------
    items, first, last, shape, widths, first_taps, weights, tiles
        As in `forward_tiles`.
    grads, sums : GradientTiles, Sums
    n_sums : int
        Vectors behind ``sums.kernels``, which all sums follow without gaps.
    x, grad, d_x : int
        Addresses of input, gradient of the output, gradient of the input, all (r, k, d, g, t).
    totals : int
        Address of (e, k, n_sums) numbers, zero at the start.
    """
    d, inner, padded, n_blocks = shape.channels, shape.inner, shape.padded, shape.padded // BLOCK
    d_x_pitch = padded + 2 * shape.reach + BLOCK
    for item in range(first, last):
        expert, scale, row, window, n_lanes = items[item]
        if item == first or expert != items[item - 1, 0] or scale != items[item - 1, 1]:
            zero(sums.kernels, n_sums)
        tap, width = first_taps[scale], widths[scale]
        compute_features(x, shape, expert, scale, tap, width, row, window, n_lanes, weights, tiles)
        gather_tile(grad, shape, row, scale, window, n_lanes, grads.d_out, padded)
        zero(grads.d_b, padded * shape.states)
        zero(grads.d_c, padded * shape.states)
        for j in range(inner):
            to_out = weights.out + FLOAT_BYTES * (expert * inner + j) * d
            d_y = grads.d_y + j * padded * VECTOR_BYTES
            mix(d_y, n_blocks, splat(ZERO), to_out, 0, 1, 1, d, grads.d_out, 0, padded)
            _scan_backward(j, expert, scale, shape, weights, tiles, grads, sums)
            gated = grads.gated + j * padded * VECTOR_BYTES
            for c in range(d):
                own = sums.out + (j * d + c) * VECTOR_BYTES
                _add_product(own, n_blocks, gated, grads.d_out + c * padded * VECTOR_BYTES)
        _selection_backward(expert, shape, weights, tiles, grads, sums)
        _short_convolution_backward(expert, shape, weights, tiles, grads, sums)
        _scale_convolution_backward(expert, tap, width, shape, weights, tiles, grads, sums)
        present = grads.d_x + shape.reach * VECTOR_BYTES
        scatter_tile(d_x, shape, row, scale, window, n_lanes, present, d_x_pitch)
        if item + 1 == last or expert != items[item + 1, 0] or scale != items[item + 1, 1]:
            target = totals + FLOAT_BYTES * (expert * shape.scales + scale) * n_sums
            for i in range(n_sums):
                store_scalar(target, i, load_scalar(target, i) + sum_lanes(load(sums.kernels, i * LANES)))
