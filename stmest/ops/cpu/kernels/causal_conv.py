"""The depthwise causal convolution with SiLU as numba kernels, forward and backward, on ``tiles``.

Chunks of steps are independent: each is packed with the few steps before it (and, backwards, after it) that its
filter reaches. Builds on the vector language of ``simd``; called by the operator of the same name.
"""

from __future__ import annotations

import numpy as np

from ..simd.arithmetic import (
    multiply_add,
    sigmoid,
)
from ..simd.compiler import kernel
from ..simd.tiles import Layout, gather, pack_channels, part_range, scatter, unpack_channels, zero
from ..simd.vectors import (
    FLOAT_BYTES,
    LANES,
    load,
    splat,
    store,
)

__all__ = ["conv_backward", "conv_forward", "conv_scratch_vectors"]

CHUNK = 64
ZERO, ONE = np.float32(0.0), np.float32(1.0)


def conv_scratch_vectors(layout: Layout, width: int) -> int:
    """Vectors of scratch memory that one worker needs: filters, their gradients, tiles of x, of the gradient, of the result."""
    return 2 * layout.units * (width + 1) + (3 * (CHUNK + 2 * width) + 3) * layout.bundle + 3 * LANES


@kernel
def _pack_filters(layout, width, weight, bias, target):
    """Pack taps (unit, tap) and biases (unit) at an address; return that of the biases."""
    offsets = target + layout.units * width * LANES * FLOAT_BYTES
    pack_channels(weight, layout, width, width, ONE, target)
    pack_channels(bias, layout, 1, 1, ONE, offsets)
    return offsets


@kernel
def _gather_window(view, layout, row, first, last, channel, n_units, target):
    """Pack steps first..last, zeros where there are none."""
    n_before, n_after = max(0, -first), max(0, last - layout.steps)
    n_inside = last - first - n_before - n_after
    vector_bytes = LANES * FLOAT_BYTES
    zero(target, n_before * n_units)
    inside = target + n_before * n_units * vector_bytes
    gather(view, layout, row, first + n_before, n_inside, channel, n_units, n_units, inside)
    zero(inside + n_inside * n_units * vector_bytes, n_after * n_units)


@kernel
def _filter(x, t, stride, width, taps, bias):
    """Return the convolution at the window that starts at tile step t."""
    total = bias
    for k in range(width):
        total = multiply_add(load(taps, k * LANES), load(x, (t + k) * stride), total)
    return total


@kernel
def conv_forward(first_part, last_part, scratch, layout, width, activation, weight, bias, x, y):
    """Convolve some of the parts of a problem.

    Parameters
    ----------
    first_part, last_part, scratch, layout
        As in `scan_forward`.
    width, activation : int
        Filter width; whether SiLU follows.
    weight, bias : int
        Addresses of numbers (d, tap) and (d); no bias: 0.
    x, y : View
    """
    vector_bytes = LANES * FLOAT_BYTES
    taps, offsets = scratch, _pack_filters(layout, width, weight, bias, scratch)
    x_tile = offsets + layout.units * vector_bytes
    y_tile = x_tile + ((CHUNK + 2 * width) * layout.bundle + LANES) * vector_bytes
    for part in range(first_part, last_part):
        groups = part_range(layout.groups, layout.group_parts, part // layout.bundle_parts)
        bundles = part_range(layout.bundles, layout.bundle_parts, part % layout.bundle_parts)
        for group in range(groups[0], groups[1]):
            row = group * LANES if layout.rows_in_lanes else group
            for bundle in range(bundles[0], bundles[1]):
                unit = bundle * layout.bundle
                n_units = min(layout.bundle, layout.units - unit)
                channel = unit if layout.rows_in_lanes else unit * LANES
                stride = n_units * LANES
                for start in range(0, layout.steps, CHUNK):
                    stop = min(start + CHUNK, layout.steps)
                    _gather_window(x, layout, row, start - width + 1, stop, channel, n_units, x_tile)
                    for k in range(n_units):
                        column = k * vector_bytes
                        own, offset = (
                            taps + (unit + k) * width * vector_bytes,
                            load(offsets, (unit + k) * LANES),
                        )
                        for t in range(stop - start):
                            total = _filter(x_tile + column, t, stride, width, own, offset)
                            if activation:
                                total = total * sigmoid(total)
                            store(y_tile + column, t * stride, total)
                    scatter(y, layout, row, start, stop - start, channel, n_units, n_units, y_tile)


@kernel
def _backward_unit(n_steps, stride, width, activation, x, grad, d_x, taps, offset, d_taps, d_offset):
    """Gradients of one unit over a chunk; x and grad reach width - 1 steps beyond it, where their sums do not count."""
    d_offset_sum = load(d_offset, 0)
    for t in range(n_steps + width - 1):
        g = load(grad, t * stride)
        if activation:
            total = _filter(x, t, stride, width, taps, offset)
            share = sigmoid(total)
            g = g * share * multiply_add(total, splat(ONE) - share, splat(ONE))
            store(grad, t * stride, g)
        if t < n_steps:
            d_offset_sum = d_offset_sum + g
    store(d_offset, 0, d_offset_sum)
    for k in range(width):
        d_tap = load(d_taps, k * LANES)
        for t in range(n_steps):
            d_tap = multiply_add(load(grad, t * stride), load(x, (t + k) * stride), d_tap)
        store(d_taps, k * LANES, d_tap)
    for t in range(n_steps):
        total = splat(ZERO)
        for k in range(width):
            total = multiply_add(load(taps, k * LANES), load(grad, (t + width - 1 - k) * stride), total)
        store(d_x, t * stride, total)


@kernel
def conv_backward(
    first_part, last_part, scratch, layout, width, activation, weight, bias, d_weight, d_bias, x, grad_y, d_x
):
    """Compute all gradients for some of the parts; `d_weight` is (group part, d, tap) and `d_bias` (group part, d)."""
    vector_bytes = LANES * FLOAT_BYTES
    n_sums = layout.units * (width + 1)
    taps, offsets = scratch, _pack_filters(layout, width, weight, bias, scratch)
    d_taps = offsets + layout.units * vector_bytes
    d_offsets = d_taps + layout.units * width * vector_bytes
    tile_bytes = ((CHUNK + 2 * width) * layout.bundle + LANES) * vector_bytes
    x_tile = d_taps + n_sums * vector_bytes
    grad_tile, d_x_tile = x_tile + tile_bytes, x_tile + 2 * tile_bytes
    for part in range(first_part, last_part):
        group_part = part // layout.bundle_parts
        groups = part_range(layout.groups, layout.group_parts, group_part)
        bundles = part_range(layout.bundles, layout.bundle_parts, part % layout.bundle_parts)
        zero(d_taps, n_sums)
        for group in range(groups[0], groups[1]):
            row = group * LANES if layout.rows_in_lanes else group
            for bundle in range(bundles[0], bundles[1]):
                unit = bundle * layout.bundle
                n_units = min(layout.bundle, layout.units - unit)
                channel = unit if layout.rows_in_lanes else unit * LANES
                for start in range(0, layout.steps, CHUNK):
                    stop = min(start + CHUNK, layout.steps)
                    reach = stop + width - 1
                    _gather_window(x, layout, row, start - width + 1, reach, channel, n_units, x_tile)
                    _gather_window(grad_y, layout, row, start, reach, channel, n_units, grad_tile)
                    for k in range(n_units):
                        column, own = k * vector_bytes, (unit + k) * width * vector_bytes
                        _backward_unit(
                            stop - start, n_units * LANES, width, activation,
                            x_tile + column, grad_tile + column, d_x_tile + column,
                            taps + own, load(offsets, (unit + k) * LANES),
                            d_taps + own, d_offsets + (unit + k) * vector_bytes,
                        )  # fmt: skip
                    scatter(d_x, layout, row, start, stop - start, channel, n_units, n_units, d_x_tile)
        first = group_part * layout.channels * FLOAT_BYTES
        unpack_channels(d_taps, layout, bundles[0], bundles[1], width, width, d_weight + first * width)
        unpack_channels(d_offsets, layout, bundles[0], bundles[1], 1, 1, d_bias + first)
