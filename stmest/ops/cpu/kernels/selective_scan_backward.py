"""The backward pass of the selective scan as numba kernels; see ``selective_scan`` for the forward one.

Chunks are walked from the last to the first. Within a chunk the states are recomputed from the checkpoint at its
start, then the gradient of the state, ``carried``, runs backwards through the recurrence. All sums over rows go to
accumulators of the part of the work they belong to, never shared between threads.
"""

from __future__ import annotations

import numpy as np

from ..simd.arithmetic import (
    exp2,
    multiply_add,
    sigmoid,
    softplus,
)
from ..simd.compiler import kernel
from ..simd.tiles import View, gather, load_projections, part_range, scatter, unpack_channels, zero
from ..simd.vectors import (
    BLOCK,
    FLOAT_BYTES,
    LANES,
    load,
    load_block,
    multiply_into,
    repeat,
    splat,
    store,
    sum_products,
)
from .selective_scan import (
    CHUNK,
    ScanMemory,
    gather_projection,
    move_states,
    pack_parameters,
    scatter_projection,
)

__all__ = ["scan_backward"]

ZERO, ONE = np.float32(0.0), np.float32(1.0)
LN2 = np.float32(0.6931471805599453)


@kernel
def _prepare_unit(n_steps, stride, x, delta, z, grad, skip, bias, d_skip, step, step_x, y):
    """Redo softplus and gate: fills `step`, `step_x`, the skip part of `y`; `grad` becomes that before the gate.

    The tile of z is left holding the derivative of the gate times the incoming gradient.
    """
    d_skip_sum = load(d_skip, 0)
    for t in range(n_steps):
        g = load(grad, t * stride)
        if z != 0:
            gate = load(z, t * stride)
            open_share = sigmoid(gate)
            slope = open_share * multiply_add(gate, splat(ONE) - open_share, splat(ONE))
            store(z, t * stride, g * slope)
            g = g * gate * open_share
            store(grad, t * stride, g)
        step_t = softplus(load(delta, t * stride) + bias)
        x_t = load(x, t * stride)
        store(step, t * LANES, step_t)
        store(step_x, t * LANES, step_t * x_t)
        store(y, t * LANES, skip * x_t)
        d_skip_sum = multiply_add(g, x_t, d_skip_sum)
    store(d_skip, 0, d_skip_sum)


@kernel
def _recompute_block(layout, n_steps, width, s, gated, h, rate, step, step_x, y, B, C, decays, history):
    """Redo the recurrence of one block of states; `history[t + 1]` is the state after step t."""
    store(history, 0, h)
    for t in range(n_steps):
        decay = exp2(repeat(load(step, t * LANES)) * rate)
        drive = repeat(load(step_x, t * LANES)) * load_projections(layout, B, t * width + s)
        h = multiply_add(decay, h, drive)
        store(decays, t * BLOCK * LANES, decay)
        store(history, (t + 1) * BLOCK * LANES, h)
        if gated:  # y itself is needed only for the gradient of the gate
            store(
                y, t * LANES, sum_products(load(y, t * LANES), h, load_projections(layout, C, t * width + s))
            )


@kernel
def _reverse_block(
    layout, n_steps, stride, width, s, grad, step, step_x, into_input, into_exponent, B, C, d_B, d_C, decays, history,
    rate, carried, d_rates,
):  # fmt: skip
    """Walk one block of states backwards through a chunk."""
    flowing = load_block(carried, s * LANES)
    d_rate = load_block(d_rates, s * LANES)
    for i in range(n_steps):
        t = n_steps - 1 - i
        here, now = (t * width + s) * LANES, t * BLOCK * LANES
        g = repeat(load(grad, t * stride))
        flowing = multiply_add(g, load_projections(layout, C, t * width + s), flowing)
        multiply_into(d_C, here, g, load_block(history, now + BLOCK * LANES))
        multiply_into(d_B, here, flowing, repeat(load(step_x, t * LANES)))
        store(
            into_input,
            t * LANES,
            sum_products(load(into_input, t * LANES), flowing, load_projections(layout, B, t * width + s)),
        )
        flowing = flowing * load_block(decays, now)
        exponent = flowing * load_block(history, now)
        store(into_exponent, t * LANES, sum_products(load(into_exponent, t * LANES), exponent, rate))
        d_rate = multiply_add(exponent, repeat(load(step, t * LANES)), d_rate)
    store(carried, s * LANES, flowing)
    store(d_rates, s * LANES, d_rate)


@kernel
def _finish_unit(n_steps, stride, x, delta, z, grad, skip, bias, d_bias, step, y, into_input, into_exponent):
    """Turn the tiles of x, delta and z into their gradients."""
    d_bias_sum = load(d_bias, 0)
    for t in range(n_steps):
        through_input = load(into_input, t * LANES)
        # rates carry log2(e): d 2**(step * rate) / d step = ln 2 * rate * 2**(step * rate)
        d_step = multiply_add(load(x, t * stride), through_input, load(into_exponent, t * LANES) * splat(LN2))
        d_delta = d_step * sigmoid(load(delta, t * stride) + bias)
        d_bias_sum = d_bias_sum + d_delta
        store(delta, t * stride, d_delta)
        store(
            x, t * stride, multiply_add(load(step, t * LANES), through_input, skip * load(grad, t * stride))
        )
        if z != 0:
            store(z, t * stride, load(z, t * stride) * load(y, t * LANES))
    store(d_bias, 0, d_bias_sum)


@kernel
def _backward_unit(
    layout, n_steps, stride, width, x, delta, z, grad, B, C, d_B, d_C, start, carried, rates, skip, bias,
    d_rates, d_skip, d_bias, buffers,
):  # fmt: skip
    """Gradients of one unit over one chunk, whose first state is at address `start` (0: zero)."""
    row = n_steps * LANES * FLOAT_BYTES
    step, step_x, y = buffers, buffers + row, buffers + 2 * row
    into_input, into_exponent = buffers + 3 * row, buffers + 4 * row
    decays = buffers + 5 * row
    history = decays + row * BLOCK
    _prepare_unit(n_steps, stride, x, delta, z, grad, skip, bias, d_skip, step, step_x, y)
    zero(into_input, 2 * n_steps)
    for s in range(0, width, BLOCK):
        rate = load_block(rates, s * LANES)
        h = repeat(splat(ZERO))
        if start != 0:
            h = load_block(start, s * LANES)
        _recompute_block(layout, n_steps, width, s, z != 0, h, rate, step, step_x, y, B, C, decays, history)
        _reverse_block(
            layout, n_steps, stride, width, s, grad, step, step_x, into_input, into_exponent, B, C, d_B, d_C,
            decays, history, rate, carried, d_rates,
        )  # fmt: skip
    _finish_unit(n_steps, stride, x, delta, z, grad, skip, bias, d_bias, step, y, into_input, into_exponent)


@kernel
def _backward_bundle(
    group, bundle, chunk, row, start, n_steps, scratch, B_tile, C_tile, d_B_tile, d_C_tile, carried, buffers,
    layout, memory, x, delta, z, grad_y, d_x, d_delta, d_z,
):  # fmt: skip
    """Pack the tiles of one bundle of units, run them over a chunk, unpack their gradients."""
    vector_bytes = LANES * FLOAT_BYTES
    width = -(-layout.states // BLOCK) * BLOCK
    tile_bytes = (min(CHUNK, layout.steps) * layout.bundle + LANES) * vector_bytes
    x_tile, delta_tile = scratch, scratch + tile_bytes
    grad_tile, z_tile = scratch + 2 * tile_bytes, scratch + 3 * tile_bytes
    unit = bundle * layout.bundle
    n_units = min(layout.bundle, layout.units - unit)
    channel = unit if layout.rows_in_lanes else unit * LANES
    gather(x, layout, row, start, n_steps, channel, n_units, n_units, x_tile)
    gather(delta, layout, row, start, n_steps, channel, n_units, n_units, delta_tile)
    gather(grad_y, layout, row, start, n_steps, channel, n_units, n_units, grad_tile)
    gated = z.address != 0
    if gated:
        gather(z, layout, row, start, n_steps, channel, n_units, n_units, z_tile)
    n_chunks = (layout.steps + CHUNK - 1) // CHUNK
    first_kept = 0 if memory.initial != 0 else 1
    kept = (group * (n_chunks - first_kept) + chunk - first_kept) * layout.units * width * vector_bytes
    for k in range(n_units):
        column = k * vector_bytes
        packed = (unit + k) * width * vector_bytes
        _backward_unit(
            layout, n_steps, n_units * LANES, width,
            x_tile + column, delta_tile + column, z_tile + column if gated else 0, grad_tile + column,
            B_tile, C_tile, d_B_tile, d_C_tile,
            memory.checkpoints + kept + packed if chunk >= first_kept else 0, carried + packed,
            memory.rates + packed, load(memory.skip, (unit + k) * LANES), load(memory.bias, (unit + k) * LANES),
            memory.d_rates + packed, memory.d_skip + (unit + k) * vector_bytes,
            memory.d_bias + (unit + k) * vector_bytes, buffers,
        )  # fmt: skip
    scatter(d_x, layout, row, start, n_steps, channel, n_units, n_units, x_tile)
    scatter(d_delta, layout, row, start, n_steps, channel, n_units, n_units, delta_tile)
    if gated:
        scatter(d_z, layout, row, start, n_steps, channel, n_units, n_units, z_tile)


@kernel
def _backward_group(
    group, first_bundle, last_bundle, scratch, layout, memory, grad_final, grad_initial,
    x, delta, B, C, z, grad_y, d_x, d_delta, d_B, d_C, d_z,
):  # fmt: skip
    vector_bytes = LANES * FLOAT_BYTES
    width = -(-layout.states // BLOCK) * BLOCK
    most_steps = min(CHUNK, layout.steps)
    tiles_bytes = 4 * (most_steps * layout.bundle + LANES) * vector_bytes
    projection_bytes = (most_steps * width + LANES) * vector_bytes
    B_tile = scratch + tiles_bytes
    C_tile, d_B_tile, d_C_tile = (
        B_tile + projection_bytes,
        B_tile + 2 * projection_bytes,
        B_tile + 3 * projection_bytes,
    )
    carried = B_tile + 4 * projection_bytes
    buffers = carried + layout.units * width * vector_bytes

    row = group * LANES if layout.rows_in_lanes else group
    zero(carried, layout.units * width)
    if grad_final != 0:
        move_states(False, grad_final, layout, row, first_bundle, last_bundle, carried)
    n_chunks = (layout.steps + CHUNK - 1) // CHUNK
    for i in range(n_chunks):
        chunk = n_chunks - 1 - i
        start = chunk * CHUNK
        n_steps = min(CHUNK, layout.steps - start)
        gather_projection(B, layout, row, start, n_steps, B_tile)
        gather_projection(C, layout, row, start, n_steps, C_tile)
        zero(d_B_tile, n_steps * width)
        zero(d_C_tile, n_steps * width)
        for bundle in range(first_bundle, last_bundle):
            _backward_bundle(
                group, bundle, chunk, row, start, n_steps, scratch, B_tile, C_tile, d_B_tile, d_C_tile, carried,
                buffers, layout, memory, x, delta, z, grad_y, d_x, d_delta, d_z,
            )  # fmt: skip
        scatter_projection(d_B, layout, row, start, n_steps, d_B_tile)
        scatter_projection(d_C, layout, row, start, n_steps, d_C_tile)
    if grad_initial != 0:
        move_states(True, grad_initial, layout, row, first_bundle, last_bundle, carried)


@kernel
def _sum_at(layout, memory, sums):
    """Return `memory` with the gradients of the parameters, as vectors, at an address in scratch memory."""
    width = -(-layout.states // BLOCK) * BLOCK
    d_skip = sums + layout.units * width * LANES * FLOAT_BYTES
    d_bias = d_skip + layout.units * LANES * FLOAT_BYTES
    return ScanMemory(
        memory.rates,
        memory.skip,
        memory.bias,
        memory.initial,
        memory.final,
        memory.checkpoints,
        sums,
        d_skip,
        d_bias,
    )


@kernel
def _write_sums(layout, group_part, first_bundle, last_bundle, sums, memory):
    """Write the gradients of the parameters of some bundles of channels to the place of their part."""
    width = -(-layout.states // BLOCK) * BLOCK
    first = group_part * layout.channels * FLOAT_BYTES
    d_rates = memory.d_rates + first * layout.states
    unpack_channels(sums.d_rates, layout, first_bundle, last_bundle, layout.states, width, d_rates)
    unpack_channels(sums.d_skip, layout, first_bundle, last_bundle, 1, 1, memory.d_skip + first)
    unpack_channels(sums.d_bias, layout, first_bundle, last_bundle, 1, 1, memory.d_bias + first)


@kernel
def scan_backward(
    first_part, last_part, scratch, layout, memory, grad_final, grad_initial, projection_part,
    x, delta, B, C, z, grad_y, d_x, d_delta, d_B, d_C, d_z,
):  # fmt: skip
    """Compute all gradients for some of the parts of a problem.

    Parameters
    ----------
    first_part, last_part, scratch, layout, memory
        As in `scan_forward`.
    grad_final, grad_initial : int
        Addresses of (b, d, s) tensors; 0 where missing.
    projection_part : int
        Bytes between the gradients of B, and of C, that two parts of the channels write; they are summed afterwards.
    x, delta, B, C, z, grad_y : View
        Inputs and the gradient of the output.
    d_x, d_delta, d_B, d_C, d_z : View
        Gradients to fill.
    """
    vector_bytes = LANES * FLOAT_BYTES
    packed = pack_parameters(layout, memory, scratch)
    summing = _sum_at(layout, packed, packed.bias + layout.units * vector_bytes)
    tiles = summing.d_bias + layout.units * vector_bytes
    for part in range(first_part, last_part):
        group_part, bundle_part = part // layout.bundle_parts, part % layout.bundle_parts
        groups = part_range(layout.groups, layout.group_parts, group_part)
        bundles = part_range(layout.bundles, layout.bundle_parts, bundle_part)
        own = bundle_part * projection_part
        own_d_B = View(d_B.address + own, d_B.row, d_B.step, d_B.channel)
        own_d_C = View(d_C.address + own, d_C.row, d_C.step, d_C.channel)
        zero(summing.d_rates, (tiles - summing.d_rates) // vector_bytes)
        for group in range(groups[0], groups[1]):
            _backward_group(
                group, bundles[0], bundles[1], tiles, layout, summing, grad_final, grad_initial,
                x, delta, B, C, z, grad_y, d_x, d_delta, own_d_B, own_d_C, d_z,
            )  # fmt: skip
        _write_sums(layout, group_part, bundles[0], bundles[1], summing, memory)
