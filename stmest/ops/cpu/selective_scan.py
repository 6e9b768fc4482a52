"""The selective scan as a torch operator on the CPU: checkpoints, gradients, fake tensors.

``torch.ops.stmest.selective_scan`` is differentiable, and opaque to torch.compile and torch.export. Builds on the kernels of
the same name; imported only when a backend probe asks for it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..operators import operator
from ..scan_gradients import register_scan_gradients
from .kernels.selective_scan import CHUNK, ScanMemory, padded_states, scan_forward, scratch_vectors
from .kernels.selective_scan_backward import scan_backward
from .plan import NO_VIEW, address_of, contiguous, plan_of, run, sum_parts, view_of
from .simd.vectors import FLOAT_BYTES, LANES

__all__ = ["scan"]


def _empty_checkpoints(like: Tensor, n_states: int, has_initial: bool, keep: bool) -> Tensor:
    """Room for the states at the start of all chunks, but for a first one that starts from zero."""
    if not keep:  # also spares torch.export with a dynamic batch the conditions in `plan`
        return like.new_empty(0)
    layout = plan_of(like, n_states)
    n_kept = layout.groups * (-(-layout.steps // CHUNK) - (not has_initial))
    return like.new_empty(max(n_kept, 0), layout.units, padded_states(n_states), LANES)


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
    layout = plan_of(x, A.shape[1])
    y = torch.empty(x.shape)
    final = x.new_empty((x.shape[0], *A.shape) if want_final else (0,))
    checkpoints = _empty_checkpoints(x, layout.states, initial_state is not None, keep)
    if x.numel() == 0:
        if want_final:
            final.copy_(torch.zeros_like(final) if initial_state is None else initial_state)
        return y, final, checkpoints
    parameters = [contiguous(v) for v in (A, D, delta_bias, initial_state)]
    memory = ScanMemory(*map(address_of, (*parameters, final, checkpoints, None, None, None)))
    views = [view_of(v) for v in (x, delta, B, C, z, y)]
    if torch.get_num_threads() == 1:  # no sums over channels here: the result does not depend on the parts
        layout = layout._replace(bundle_parts=1)
    run(scan_forward, layout, scratch_vectors(layout, backward=False), memory, *views)
    return y, final, checkpoints


@scan.register_fake
def _(x, delta, A, B, C, D, z, delta_bias, initial_state, want_final, keep):
    final = x.new_empty((x.shape[0], *A.shape) if want_final else (0,))
    return x.new_empty(x.shape), final, _empty_checkpoints(x, A.shape[1], initial_state is not None, keep)


@operator("selective_backward")
def _backward(
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
    layout = plan_of(x, A.shape[1])
    d_x, d_delta = torch.empty(x.shape), torch.empty(x.shape)
    d_z = x.new_empty(0) if z is None else torch.empty(x.shape)
    d_initial = x.new_empty(0 if initial_state is None else initial_state.shape)
    # those of B and C once for every part of the channels, those of the parameters for every part of the rows
    room = torch.empty if x.numel() else torch.zeros
    d_B, d_C = room(layout.bundle_parts, *B.shape), room(layout.bundle_parts, *C.shape)
    sums = [room(layout.group_parts, *A.shape[:n]) for n in (2, 1, 1)]  # of A, D, delta_bias
    if x.numel():
        parameters = [contiguous(v) for v in (A, D, delta_bias, initial_state)]
        memory = ScanMemory(*map(address_of, (*parameters, None, checkpoints, *sums)))
        final = contiguous(grad_final)
        views = [view_of(v) for v in (x, delta, B, C, z, grad_y, d_x, d_delta, d_B[0], d_C[0])]
        views.append(NO_VIEW if z is None else view_of(d_z))
        run(
            scan_backward, layout, scratch_vectors(layout, backward=True), memory,
            address_of(final), address_of(d_initial), B.numel() * FLOAT_BYTES, *views,
        )  # fmt: skip
    elif initial_state is not None:
        d_initial.copy_(torch.zeros_like(d_initial) if grad_final is None else grad_final)
    d_D, d_delta_bias = (
        x.new_empty(0) if v is None else sum_parts(total)
        for v, total in zip((D, delta_bias), sums[1:], strict=True)
    )
    return [
        d_x,
        d_delta,
        sum_parts(sums[0]),
        sum_parts(d_B),
        sum_parts(d_C),
        d_D,
        d_z,
        d_delta_bias,
        d_initial,
    ]


@_backward.register_fake
def _(grad_y, grad_final, x, delta, A, B, C, D, z, delta_bias, initial_state, checkpoints):
    inputs = (x, delta, A, B, C, D, z, delta_bias, initial_state)
    return [x.new_empty(0 if v is None else v.shape) for v in inputs]


register_scan_gradients(scan, _backward)
