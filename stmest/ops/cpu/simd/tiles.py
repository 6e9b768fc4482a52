"""What the kernels of the scan and the convolution share: addressing, layouts, parts of work, tiles.

A kernel never works on tensors but on tiles: vectors packed in scratch memory that hold, for consecutive steps,
either LANES neighbouring channels of one row or one channel of LANES rows. The first suits wide layers and needs no
reordering; the second keeps all lanes busy when a layer has four or eight channels but thousands of rows, at the price
of a transposition in registers. Everything between packing and unpacking is the same code for both.

Builds on ``vectors`` and ``lanes``; used by the kernels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import types

from .compiler import kernel
from .lanes import sum_lanes, transpose_in, transpose_out
from .vectors import (
    FLOAT_BYTES,
    LANES,
    block,
    emit_broadcast_block,
    emit_load_block,
    intrinsic,
    load,
    load_scalar,
    splat,
    store,
    store_scalar,
)

__all__ = [
    "Layout",
    "RowLayout",
    "View",
    "gather",
    "load_projections",
    "pack_channels",
    "part_range",
    "scatter",
    "unpack_channels",
    "zero",
]

ZERO = np.float32(0.0)


class View(NamedTuple):
    """A tensor (b, t, channel) in memory: its address and its strides, in elements. Address 0: no tensor."""

    address: int
    row: int
    step: int
    channel: int


class Layout(NamedTuple):
    """How a problem is cut. A unit is what one vector spans beside time; a group is what shares B and C.

    Channels in lanes: a group is one row, a unit LANES channels. Rows in lanes: a group is LANES rows, a unit one
    channel, and units are packed in bundles of LANES. The parts of groups and of bundles are what threads share out.
    """

    rows: int
    steps: int
    channels: int
    states: int
    rows_in_lanes: int
    groups: int
    units: int
    bundle: int
    bundles: int
    group_parts: int
    bundle_parts: int


class RowLayout(Layout):
    """A layout with rows in lanes: a type of its own, so that numba compiles kernels of their own for it."""

    __slots__ = ()


@intrinsic
def load_projections(typing_context, layout, address, index):
    """Load the block of B or C that belongs to BLOCK states from `index`.

    With channels in lanes all lanes see the same number, so the tile holds numbers; with rows in lanes, vectors.
    """
    if layout.instance_class is RowLayout:

        def generate(context, builder, signature, args):
            offset = builder.mul(args[2], args[2].type(LANES))
            return emit_load_block(builder, args[1], offset)

    else:

        def generate(context, builder, signature, args):
            return emit_broadcast_block(builder, args[1], args[2])

    return block(layout, types.int64, types.int64), generate


@kernel
def part_range(total, n_parts, part):
    """First and last-plus-one item of a part; parts depend on the shape alone, hence equal sums on any thread count."""
    return total * part // n_parts, total * (part + 1) // n_parts


@kernel
def zero(address, n_vectors):
    """Clear vectors of scratch memory."""
    for i in range(n_vectors):
        store(address, i * LANES, splat(ZERO))


@kernel
def pack_channels(source, layout, n_values, pitch, factor, target):
    """Turn numbers (channel, value) times a factor into vectors (unit, pitch); zeros where there is nothing, or no source."""
    zero(target, layout.units * pitch)
    if source == 0:
        return
    for channel in range(layout.channels):
        for i in range(n_values):
            value = load_scalar(source, channel * n_values + i) * factor
            if layout.rows_in_lanes:
                store(target, (channel * pitch + i) * LANES, splat(value))
            else:
                store_scalar(target, (channel // LANES * pitch + i) * LANES + channel % LANES, value)


@kernel
def unpack_channels(source, layout, first_bundle, last_bundle, n_values, pitch, target):
    """Write sums (unit, pitch) of some bundles as numbers (channel, value); rows in lanes are added up."""
    width = 1 if layout.rows_in_lanes else LANES
    first, last = first_bundle * layout.bundle * width, last_bundle * layout.bundle * width
    for channel in range(first, min(last, layout.channels)):
        for i in range(n_values):
            if layout.rows_in_lanes:
                value = sum_lanes(load(source, (channel * pitch + i) * LANES))
            else:
                value = load_scalar(source, (channel // LANES * pitch + i) * LANES + channel % LANES)
            store_scalar(target, channel * n_values + i, value)


@kernel
def _gather_lane_by_lane(source, lane_stride, step, column, n_steps, n_columns, pitch, n_lanes, target):
    zero(target, n_steps * pitch)
    for lane in range(n_lanes):
        for t in range(n_steps):
            for k in range(n_columns):
                value = load_scalar(source, lane * lane_stride + t * step + k * column)
                store_scalar(target, (t * pitch + k) * LANES + lane, value)


@kernel
def gather(view, layout, row, start, n_steps, channel, n_columns, pitch, target):
    """Pack a tile: vectors [t, column] for `n_steps` from `start`, columns being channels (rows in lanes) or just one.

    Lanes beyond the last row or channel, and columns between `n_columns` and `pitch`, are zero. The target needs
    LANES spare vectors at its end.
    """
    source = view.address + FLOAT_BYTES * (row * view.row + start * view.step + channel * view.channel)
    if layout.rows_in_lanes == 0:
        n_lanes = min(LANES, layout.channels - channel)
        if view.channel == 1 and n_lanes == LANES:
            for t in range(n_steps):
                store(target, t * LANES, load(source, t * view.step))
        else:
            _gather_lane_by_lane(source, view.channel, view.step, 0, n_steps, 1, 1, n_lanes, target)
        return
    n_lanes = min(LANES, layout.rows - row)
    if view.channel != 1 or n_lanes < LANES:
        _gather_lane_by_lane(
            source, view.row, view.step, view.channel, n_steps, n_columns, pitch, n_lanes, target
        )
        return
    if (
        view.step == n_columns and pitch == n_columns
    ):  # steps follow each other in memory: one long run per row
        n_columns, n_steps = n_columns * n_steps, 1
    for t in range(n_steps):
        for k in range(0, n_columns, LANES):
            here = source + FLOAT_BYTES * (t * view.step + k)
            transpose_in(
                here, view.row, min(LANES, n_columns - k), target + FLOAT_BYTES * (t * pitch + k) * LANES
            )


@kernel
def scatter(view, layout, row, start, n_steps, channel, n_columns, pitch, source):
    """Unpack a tile, the inverse of `gather`; the source needs LANES spare vectors at its end."""
    target = view.address + FLOAT_BYTES * (row * view.row + start * view.step + channel * view.channel)
    if layout.rows_in_lanes == 0:
        n_lanes = min(LANES, layout.channels - channel)
        lane_stride, column = view.channel, 0
        if view.channel == 1 and n_lanes == LANES:
            for t in range(n_steps):
                store(target, t * view.step, load(source, t * LANES))
            return
    else:
        n_lanes = min(LANES, layout.rows - row)
        lane_stride, column = view.row, view.channel
        if view.channel == 1 and n_lanes == LANES:
            if view.step == n_columns and pitch == n_columns:
                n_columns, n_steps = n_columns * n_steps, 1
            for t in range(n_steps):
                for k in range(0, n_columns, LANES):
                    here = source + FLOAT_BYTES * (t * pitch + k) * LANES
                    transpose_out(
                        here, target + FLOAT_BYTES * (t * view.step + k), view.row, min(LANES, n_columns - k)
                    )
            return
    for lane in range(n_lanes):
        for t in range(n_steps):
            for k in range(n_columns):
                value = load_scalar(source, (t * pitch + k) * LANES + lane)
                store_scalar(target, lane * lane_stride + t * view.step + k * column, value)
