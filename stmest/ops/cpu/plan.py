"""How the scan and the convolution are cut into parts and handed to their kernels.

Parts of the work follow from the shape alone, so sums come out bit-equal for any number of threads. Builds on ``simd``; used by
the operators of both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...exceptions import ParameterError
from .simd.tiles import Layout, RowLayout, View
from .simd.vectors import LANES
from .threads import run_parts

__all__ = [
    "MOST_PARTS",
    "NO_VIEW",
    "address_of",
    "contiguous",
    "plan",
    "plan_of",
    "run",
    "sum_parts",
    "view_of",
]

# Work that justifies a part of its own, in elements (b, t, d) times states: about 0.1 ms.
PART_ELEMENTS = 1 << 17
MOST_PARTS = 32
# Every part of the channels packs B and C anew and writes gradients of its own for them, so it should be worth that.
MOST_CHANNEL_PARTS = 8
BUNDLES_PER_PART = 2
WIDE = 4 * LANES
NO_VIEW = View(0, 0, 0, 0)


def plan(rows: int, steps: int, channels: int, states: int) -> Layout:
    """Choose lanes and parts for a problem.

    Channels go into lanes when they fill the vectors, as no reordering is needed then; so do they when there are too
    few rows. Otherwise rows do.
    """
    rows_in_lanes = rows >= LANES and (channels < WIDE or channels % LANES != 0)
    groups, units = (-(-rows // LANES), channels) if rows_in_lanes else (rows, -(-channels // LANES))
    bundle = min(LANES, units) if rows_in_lanes else 1
    bundles = -(-units // bundle)
    wanted = max(1, min(MOST_PARTS, rows * steps * channels * states // PART_ELEMENTS))
    group_parts = max(1, min(groups, wanted))
    bundle_parts = 1
    if group_parts < MOST_CHANNEL_PARTS:
        most = min(MOST_CHANNEL_PARTS, wanted) // group_parts
        bundle_parts = max(1, min(bundles // BUNDLES_PER_PART, most))
    kind = RowLayout if rows_in_lanes else Layout
    return kind(
        rows,
        steps,
        channels,
        states,
        int(rows_in_lanes),
        groups,
        units,
        bundle,
        bundles,
        group_parts,
        bundle_parts,
    )


def plan_of(x: Tensor, n_states: int) -> Layout:
    """Choose lanes and parts for x (b, t, d)."""
    rows, steps, channels = x.shape
    return plan(rows, steps, channels, n_states)


def run(kernel: Callable[..., None], layout: Layout, n_vectors: int, *args: Any) -> None:
    """Run a kernel on all parts of a problem."""
    n_parts = layout.group_parts * layout.bundle_parts
    run_parts(n_parts, n_vectors * LANES, lambda *own: kernel(*own, layout, *args))


def _checked(tensor: Tensor) -> Tensor:
    if tensor.dtype != torch.float32:
        raise ParameterError(f"The numba kernels compute in float32; got {tensor.dtype}.")
    return tensor


def view_of(tensor: Tensor | None) -> View:
    """Say where a tensor (b, t, d) lies."""
    return NO_VIEW if tensor is None else View(_checked(tensor).data_ptr(), *tensor.stride())


def address_of(tensor: Tensor | None) -> int:
    """Return the address of a contiguous tensor, 0 where there is none."""
    return 0 if tensor is None or tensor.numel() == 0 else _checked(tensor).data_ptr()


def sum_parts(parts: Tensor) -> Tensor:
    """Sum over the parts; by numpy, as the OpenMP workers that torch would wake spin on, on cores that the next scan needs."""
    return parts[0] if len(parts) == 1 else torch.from_numpy(parts.numpy().sum(0))


def contiguous(tensor: Tensor | None) -> Tensor | None:
    """Return a tensor, if there is one, without strides of its own."""
    return None if tensor is None else tensor.contiguous()
