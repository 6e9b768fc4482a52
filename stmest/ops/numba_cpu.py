"""The numba kernels as torch operators: cutting the problem into parts, gradients, fake tensors.

``torch.ops.stmest.selective_scan`` and ``torch.ops.stmest.causal_conv1d`` are differentiable, and opaque to
torch.compile and torch.export. Parts of the work follow from the shape alone, so sums come out bit-equal for any
number of threads. Builds on the kernels beside it; imported only when a backend probe asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..exceptions import ParameterError
from .numba_conv import conv_backward, conv_forward, conv_scratch_vectors
from .numba_scan import CHUNK, ScanMemory, padded_states, scan_forward, scratch_vectors
from .numba_scan_backward import scan_backward
from .numba_simd import (
    FLOAT_BYTES,
    LANES,
)
from .numba_tiles import Layout, RowLayout, View
from .operators import operator
from .threads import run_parts

__all__ = ["convolution", "plan", "scan"]

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


def _plan_of(x: Tensor, n_states: int) -> Layout:
    rows, steps, channels = x.shape
    return plan(rows, steps, channels, n_states)


def _run(kernel: Callable[..., None], layout: Layout, n_vectors: int, *args: Any) -> None:
    """Run a kernel on all parts of a problem."""
    n_parts = layout.group_parts * layout.bundle_parts
    run_parts(n_parts, n_vectors * LANES, lambda *own: kernel(*own, layout, *args))


def _checked(tensor: Tensor) -> Tensor:
    if tensor.dtype != torch.float32:
        raise ParameterError(f"The numba kernels compute in float32; got {tensor.dtype}.")
    return tensor


def _view(tensor: Tensor | None) -> View:
    return NO_VIEW if tensor is None else View(_checked(tensor).data_ptr(), *tensor.stride())


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None or tensor.numel() == 0 else _checked(tensor).data_ptr()


def _empty_checkpoints(like: Tensor, n_states: int, has_initial: bool, keep: bool) -> Tensor:
    """Room for the states at the start of all chunks, but for a first one that starts from zero."""
    if not keep:  # also spares torch.export with a dynamic batch the conditions in `plan`
        return like.new_empty(0)
    layout = _plan_of(like, n_states)
    n_kept = layout.groups * (-(-layout.steps // CHUNK) - (not has_initial))
    return like.new_empty(max(n_kept, 0), layout.units, padded_states(n_states), LANES)


def _total(parts: Tensor) -> Tensor:
    """Sum over the parts; by numpy, as the OpenMP workers that torch would wake spin on, on cores that the next scan needs."""
    return parts[0] if len(parts) == 1 else torch.from_numpy(parts.numpy().sum(0))


def _plain(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


@operator("selective_scan")
def scan(
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    initial_state: Tensor | None,
    want_final: bool,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return y (b, t, d), the final state (b, d, s) or an empty tensor, and the checkpoints."""
    layout = _plan_of(x, A.shape[1])
    y = torch.empty(x.shape)
    final = x.new_empty((x.shape[0], *A.shape) if want_final else (0,))
    checkpoints = _empty_checkpoints(x, layout.states, initial_state is not None, keep)
    if x.numel() == 0:
        if want_final:
            final.copy_(torch.zeros_like(final) if initial_state is None else initial_state)
        return y, final, checkpoints
    parameters = [_plain(v) for v in (A, D, delta_bias, initial_state)]
    memory = ScanMemory(*map(_address, (*parameters, final, checkpoints, None, None, None)))
    views = [_view(v) for v in (x, delta, B, C, z, y)]
    if torch.get_num_threads() == 1:  # no sums over channels here: the result does not depend on the parts
        layout = layout._replace(bundle_parts=1)
    _run(scan_forward, layout, scratch_vectors(layout, backward=False), memory, *views)
    return y, final, checkpoints


@scan.register_fake
def _(x, delta, A, B, C, D, z, delta_bias, initial_state, want_final, keep):
    final = x.new_empty((x.shape[0], *A.shape) if want_final else (0,))
    return x.new_empty(x.shape), final, _empty_checkpoints(x, A.shape[1], initial_state is not None, keep)


@operator("selective_scan_backward")
def _scan_backward(
    grad_y: Tensor,
    grad_final: Tensor | None,
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    initial_state: Tensor | None,
    checkpoints: Tensor,
) -> list[Tensor]:
    """Return the gradients of x, delta, A, B, C, D, z, delta_bias, initial_state; empty where an input is missing."""
    layout = _plan_of(x, A.shape[1])
    d_x, d_delta = torch.empty(x.shape), torch.empty(x.shape)
    d_z = x.new_empty(0) if z is None else torch.empty(x.shape)
    d_initial = x.new_empty(0 if initial_state is None else initial_state.shape)
    # those of B and C once for every part of the channels, those of the parameters for every part of the rows
    room = torch.empty if x.numel() else torch.zeros
    d_B, d_C = room(layout.bundle_parts, *B.shape), room(layout.bundle_parts, *C.shape)
    sums = [room(layout.group_parts, *A.shape[:n]) for n in (2, 1, 1)]  # of A, D, delta_bias
    if x.numel():
        parameters = [_plain(v) for v in (A, D, delta_bias, initial_state)]
        memory = ScanMemory(*map(_address, (*parameters, None, checkpoints, *sums)))
        final = _plain(grad_final)
        views = [_view(v) for v in (x, delta, B, C, z, grad_y, d_x, d_delta, d_B[0], d_C[0])]
        views.append(NO_VIEW if z is None else _view(d_z))
        _run(
            scan_backward, layout, scratch_vectors(layout, backward=True), memory,
            _address(final), _address(d_initial), B.numel() * FLOAT_BYTES, *views,
        )  # fmt: skip
    elif initial_state is not None:
        d_initial.copy_(torch.zeros_like(d_initial) if grad_final is None else grad_final)
    d_D, d_delta_bias = (
        x.new_empty(0) if v is None else _total(total)
        for v, total in zip((D, delta_bias), sums[1:], strict=True)
    )
    return [d_x, d_delta, _total(sums[0]), _total(d_B), _total(d_C), d_D, d_z, d_delta_bias, d_initial]


@_scan_backward.register_fake
def _(grad_y, grad_final, x, delta, A, B, C, D, z, delta_bias, initial_state, checkpoints):
    inputs = (x, delta, A, B, C, D, z, delta_bias, initial_state)
    return [x.new_empty(0 if v is None else v.shape) for v in inputs]


def _save_scan(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs[:9], output[2])
    ctx.set_materialize_grads(False)


def _scan_gradients(
    ctx: Any, grad_y: Tensor | None, grad_final: Tensor | None, _: Tensor | None
) -> tuple[Tensor | None, ...]:
    *inputs, checkpoints = ctx.saved_tensors
    if grad_y is None and grad_final is None:
        return (None,) * 11
    if grad_y is None:
        grad_y = torch.zeros_like(inputs[0])
    if grad_final is not None and grad_final.numel() == 0:
        grad_final = None
    gradients = _scan_backward(grad_y, grad_final, *inputs, checkpoints)
    present = [None if v is None else g for v, g in zip(inputs, gradients, strict=True)]
    return (*present, None, None)


scan.register_gradients(_scan_gradients, _save_scan)


@operator("causal_conv1d")
def convolution(x: Tensor, weight: Tensor, bias: Tensor | None, activation: bool) -> Tensor:
    """Return y (b, t, d)."""
    y = torch.empty(x.shape)
    if x.numel():
        layout, width = _plan_of(x, 1), weight.shape[1]
        filters = _plain(weight), _plain(bias)
        scratch = conv_scratch_vectors(layout, width)
        _run(
            conv_forward, layout, scratch, width, int(activation), *map(_address, filters), _view(x), _view(y)
        )
    return y


@convolution.register_fake
def _(x, weight, bias, activation):
    return x.new_empty(x.shape)


@operator("causal_conv1d_backward")
def _conv_backward(
    grad_y: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, activation: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of x, weight and bias (d,), the last whether or not there is a bias."""
    layout, width = _plan_of(x, 1), weight.shape[1]
    d_x = torch.empty(x.shape)
    room = torch.empty if x.numel() else torch.zeros
    sums = room(layout.group_parts, *weight.shape), room(layout.group_parts, len(weight))
    if x.numel():
        filters = _plain(weight), _plain(bias)
        views = [_view(v) for v in (x, grad_y, d_x)]
        scratch = conv_scratch_vectors(layout, width)
        _run(
            conv_backward, layout, scratch, width, int(activation), *map(_address, (*filters, *sums)), *views
        )
    return d_x, _total(sums[0]), _total(sums[1])


@_conv_backward.register_fake
def _(grad_y, x, weight, bias, activation):
    return x.new_empty(x.shape), weight.new_empty(weight.shape), weight.new_empty(weight.shape[0])


def _save_conv(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, bias, activation = inputs
    ctx.save_for_backward(x, weight, bias)
    ctx.activation = activation


def _conv_gradients(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
    x, weight, bias = ctx.saved_tensors
    d_x, d_weight, d_bias = _conv_backward(grad_y, x, weight, bias, ctx.activation)
    return d_x, d_weight, None if bias is None else d_bias, None


convolution.register_gradients(_conv_gradients, _save_conv)
