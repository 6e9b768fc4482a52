"""The selective scan as numba kernels on ``tiles``: the forward pass, and what ``selective_scan_backward`` shares with it.

Softplus, bias, skip and gate are fused in. Time is cut into chunks of ``CHUNK`` steps; the forward pass keeps the state
at the start of each chunk, the backward pass recomputes the states within it, so nothing of shape (b, t, d, s) exists.
States are worked on ``BLOCK`` at a time: four independent recurrences hide the latency of the one. Exponents carry a
factor log2(e), because 2**x is what the processor can do. Builds on the vector language of ``simd``;
called by the operator of the same name.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..simd.arithmetic import LOG2_E, exp2, multiply_add, sigmoid, softplus
from ..simd.compiler import kernel
from ..simd.lanes import sum_each
from ..simd.tiles import Layout, gather, load_projections, pack_channels, part_range, scatter, zero
from ..simd.vectors import (
    BLOCK,
    FLOAT_BYTES,
    LANES,
    load,
    load_block,
    load_scalar,
    repeat,
    store,
    store_scalar,
    sum_products,
)

__all__ = [
    "CHUNK",
    "ScanMemory",
    "gather_projection",
    "move_states",
    "pack_parameters",
    "padded_states",
    "scan_forward",
    "scatter_projection",
    "scratch_vectors",
]

# Longer chunks cost fewer checkpoints and less work per chunk, until their tiles leave the cache.
CHUNK = 32
ZERO, ONE = np.float32(0.0), np.float32(1.0)


class ScanMemory(NamedTuple):
    """Addresses of what is not a (b, t, channel) tensor; 0 where missing.

    Numbers: `rates` (d, s); `skip`, `bias` (d); `initial`, `final` (b, d, s); `d_rates` (group part, d, s) and `d_skip`,
    `d_bias` (group part, d). Vectors: `checkpoints` (group, chunk, unit, state). Inside the kernels parameters and their
    gradients are vectors (unit, state) and (unit) in scratch memory, see `pack_parameters`.
    """

    rates: int
    skip: int
    bias: int
    initial: int
    final: int
    checkpoints: int
    d_rates: int
    d_skip: int
    d_bias: int


def padded_states(n_states: int) -> int:
    """States rounded up to whole blocks; the added ones have zero rates and projections and change nothing."""
    return -(-n_states // BLOCK) * BLOCK


def scratch_vectors(layout: Layout, backward: bool) -> int:
    """Vectors of scratch memory that one worker needs."""
    n_steps = min(CHUNK, layout.steps)
    tile = n_steps * layout.bundle + LANES
    projections = n_steps * padded_states(layout.states) + LANES
    states = layout.units * padded_states(layout.states)
    parameters = states + 2 * layout.units
    if not backward:
        return parameters + 3 * tile + 2 * projections + states + n_steps
    return 2 * parameters + 4 * tile + 4 * projections + states + 5 * n_steps + (2 * n_steps + 1) * BLOCK


@kernel
def pack_parameters(layout, memory, scratch):
    """Pack rates, times log2(e), skip weights and biases at `scratch`; return `memory` with these addresses."""
    width = -(-layout.states // BLOCK) * BLOCK
    skip = scratch + layout.units * width * LANES * FLOAT_BYTES
    bias = skip + layout.units * LANES * FLOAT_BYTES
    pack_channels(memory.rates, layout, layout.states, width, LOG2_E, scratch)
    pack_channels(memory.skip, layout, 1, 1, ONE, skip)
    pack_channels(memory.bias, layout, 1, 1, ONE, bias)
    return ScanMemory(
        scratch,
        skip,
        bias,
        memory.initial,
        memory.final,
        memory.checkpoints,
        memory.d_rates,
        memory.d_skip,
        memory.d_bias,
    )


@kernel
def move_states(into_tensor, tensor, layout, row, first_bundle, last_bundle, packed):
    """Copy states of some bundles of one group between a (b, d, s) tensor and vectors (unit, state)."""
    width = -(-layout.states // BLOCK) * BLOCK
    for unit in range(first_bundle * layout.bundle, min(layout.units, last_bundle * layout.bundle)):
        if layout.rows_in_lanes:
            first = (row * layout.channels + unit) * layout.states
            lane_stride = layout.channels * layout.states
            n_lanes = min(LANES, layout.rows - row)
        else:
            first = (row * layout.channels + unit * LANES) * layout.states
            lane_stride = layout.states
            n_lanes = min(LANES, layout.channels - unit * LANES)
        for s in range(layout.states):
            for lane in range(n_lanes):
                in_tensor, in_packed = first + lane * lane_stride + s, (unit * width + s) * LANES + lane
                if into_tensor:
                    store_scalar(tensor, in_tensor, load_scalar(packed, in_packed))
                else:
                    store_scalar(packed, in_packed, load_scalar(tensor, in_tensor))


@kernel
def gather_projection(view, layout, row, start, n_steps, target):
    """Pack B or C of one group, [t, state], as the vectors or numbers that `load_projections` reads."""
    width = -(-layout.states // BLOCK) * BLOCK
    if layout.rows_in_lanes:
        gather(view, layout, row, start, n_steps, 0, layout.states, width, target)
        return
    source = view.address + FLOAT_BYTES * (row * view.row + start * view.step)
    for t in range(n_steps):
        for s in range(layout.states):
            store_scalar(target, t * width + s, load_scalar(source, t * view.step + s * view.channel))
        for s in range(layout.states, width):
            store_scalar(target, t * width + s, ZERO)


@kernel
def scatter_projection(view, layout, row, start, n_steps, source):
    """Unpack the gradient of B or C, whose tile is used up; with channels in lanes the lanes are summed."""
    width = -(-layout.states // BLOCK) * BLOCK
    if layout.rows_in_lanes:
        scatter(view, layout, row, start, n_steps, 0, layout.states, width, source)
        return
    for k in range(0, n_steps * width, LANES):  # the sums take the place of vectors that were read before
        store(source, k, sum_each(source + k * LANES * FLOAT_BYTES))
    target = view.address + FLOAT_BYTES * (row * view.row + start * view.step)
    for t in range(n_steps):
        for s in range(layout.states):
            store_scalar(target, t * view.step + s * view.channel, load_scalar(source, t * width + s))


@kernel
def _forward_unit(layout, n_steps, stride, width, x, delta, z, step_x, B, C, state, rates, skip, bias):
    """Advance one unit over a chunk; the tiles of x and delta are overwritten by y and the step sizes."""
    for t in range(n_steps):
        step = softplus(load(delta, t * stride) + bias)
        x_t = load(x, t * stride)
        store(delta, t * stride, step)
        store(step_x, t * LANES, step * x_t)
        store(x, t * stride, skip * x_t)
    for s in range(0, width, BLOCK):
        h = load_block(state, s * LANES)
        rate = load_block(rates, s * LANES)
        for t in range(n_steps):
            decay = exp2(repeat(load(delta, t * stride)) * rate)
            drive = repeat(load(step_x, t * LANES)) * load_projections(layout, B, t * width + s)
            h = multiply_add(decay, h, drive)
            y = sum_products(load(x, t * stride), h, load_projections(layout, C, t * width + s))
            store(x, t * stride, y)
        store(state, s * LANES, h)
    if z != 0:
        for t in range(n_steps):
            gate = load(z, t * stride)
            store(x, t * stride, load(x, t * stride) * gate * sigmoid(gate))


@kernel
def _forward_group(group, first_bundle, last_bundle, scratch, layout, memory, x, delta, B, C, z, y):
    vector_bytes = LANES * FLOAT_BYTES
    width = -(-layout.states // BLOCK) * BLOCK
    most_steps = min(CHUNK, layout.steps)
    tile_bytes = (most_steps * layout.bundle + LANES) * vector_bytes
    projection_bytes = (most_steps * width + LANES) * vector_bytes
    x_tile, delta_tile, z_tile = scratch, scratch + tile_bytes, scratch + 2 * tile_bytes
    B_tile = scratch + 3 * tile_bytes
    C_tile = B_tile + projection_bytes
    step_x = C_tile + projection_bytes
    states = step_x + most_steps * vector_bytes

    row = group * LANES if layout.rows_in_lanes else group
    zero(states, layout.units * width)
    if memory.initial != 0:
        move_states(False, memory.initial, layout, row, first_bundle, last_bundle, states)
    n_chunks = (layout.steps + CHUNK - 1) // CHUNK
    first_kept = 0 if memory.initial != 0 else 1
    for chunk in range(n_chunks):
        start = chunk * CHUNK
        n_steps = min(CHUNK, layout.steps - start)
        gather_projection(B, layout, row, start, n_steps, B_tile)
        gather_projection(C, layout, row, start, n_steps, C_tile)
        kept = group * (n_chunks - first_kept) + chunk - first_kept
        for bundle in range(first_bundle, last_bundle):
            unit = bundle * layout.bundle
            n_units = min(layout.bundle, layout.units - unit)
            channel = unit if layout.rows_in_lanes else unit * LANES
            gather(x, layout, row, start, n_steps, channel, n_units, n_units, x_tile)
            gather(delta, layout, row, start, n_steps, channel, n_units, n_units, delta_tile)
            if z.address != 0:
                gather(z, layout, row, start, n_steps, channel, n_units, n_units, z_tile)
            for k in range(n_units):
                column = k * vector_bytes
                packed = (unit + k) * width * vector_bytes
                if memory.checkpoints != 0 and chunk >= first_kept:
                    target = memory.checkpoints + kept * layout.units * width * vector_bytes + packed
                    for s in range(0, width, BLOCK):
                        store(target, s * LANES, load_block(states + packed, s * LANES))
                _forward_unit(
                    layout, n_steps, n_units * LANES, width,
                    x_tile + column, delta_tile + column, z_tile + column if z.address != 0 else 0, step_x,
                    B_tile, C_tile, states + packed, memory.rates + packed,
                    load(memory.skip, (unit + k) * LANES), load(memory.bias, (unit + k) * LANES),
                )  # fmt: skip
            scatter(y, layout, row, start, n_steps, channel, n_units, n_units, x_tile)
    if memory.final != 0:
        move_states(True, memory.final, layout, row, first_bundle, last_bundle, states)


@kernel
def scan_forward(first_part, last_part, scratch, layout, memory, x, delta, B, C, z, y):
    """Run the scan on some of the parts of a problem.

    Parameters
    ----------
    first_part, last_part : int
        Range of parts, out of ``group_parts * bundle_parts``.
    scratch : int
        Address of `scratch_vectors` vectors of this worker's own.
    layout : Layout
    memory : ScanMemory
    x, delta, B, C, z, y : View
        Inputs and output; z may be missing.
    """
    packed = pack_parameters(layout, memory, scratch)
    tiles = packed.bias + layout.units * LANES * FLOAT_BYTES
    for part in range(first_part, last_part):
        groups = part_range(layout.groups, layout.group_parts, part // layout.bundle_parts)
        bundles = part_range(layout.bundles, layout.bundle_parts, part % layout.bundle_parts)
        for group in range(groups[0], groups[1]):
            _forward_group(group, bundles[0], bundles[1], tiles, layout, packed, x, delta, B, C, z, y)
