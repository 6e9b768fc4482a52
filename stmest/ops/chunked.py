"""The selective scan in pure torch: cache-sized blocks, recurrence in place, states recomputed in the backward pass.

It runs on any device and dtype torch has, and is what remains when neither numba nor a CUDA kernel can be used. No
tensor of shape (b, t, d, s) exists: the work is cut into blocks of rows and steps that fit the cache, only the state at
the start of each block of steps is kept for the backward pass. Within a block the axes are (s, t, b, d), so that every
torch call runs over long contiguous memory. Builds on torch alone; called by ``selective_scan``.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["scan_chunked"]

LOG2_E = math.log2(math.e)
# Elements of one scratch block: 2 MB in float32, so that two of them stay in a second-level cache.
BLOCK_ELEMENTS = 1 << 19
LONGEST_BLOCK = 64


def scan_chunked(
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    initial_state: Tensor | None = None,
    block_elements: int = BLOCK_ELEMENTS,
) -> tuple[Tensor, Tensor]:
    """Scan block by block; shapes and result as in `scan_reference`.

    Parameters
    ----------
    block_elements : int
        Scratch size, in elements of a (s, t, b, d) block. The result does not depend on it beyond rounding.
    """
    step = F.softplus(delta if delta_bias is None else delta + delta_bias)
    y, final_state = _BlockScan.apply(x, step, A, B, C, initial_state, block_elements)
    if D is not None:
        y = torch.addcmul(y, x, D)
    if z is not None:
        y = y * F.silu(z)
    return y, final_state


def _block_shape(n_rows: int, n_steps: int, state_size: int, block_elements: int) -> tuple[int, int]:
    """Rows and steps of one block: steps first, since the recurrence along them is the serial part."""
    steps = max(1, min(n_steps, LONGEST_BLOCK, block_elements // max(1, state_size)))
    rows = max(1, min(n_rows, block_elements // max(1, steps * state_size)))
    return rows, steps


def _spans(total: int, size: int) -> list[slice]:
    return [slice(start, min(total, start + size)) for start in range(0, total, size)]


def _advance(
    step: Tensor, step_x: Tensor, rates: Tensor, B: Tensor, carried: Tensor, decay: Tensor, states: Tensor
) -> None:
    """Fill `decay` and `states`, both (s, t, b, d), from the inputs of one block and the state before it."""
    torch.mul(step, rates, out=decay)
    decay.exp2_()  # torch computes exp2 on a CPU 2.7 times faster than exp; the rates carry the factor log2(e)
    torch.mul(step_x, B, out=states)
    previous = carried
    for decay_t, state_t in zip(decay.unbind(1), states.unbind(1), strict=True):
        state_t.addcmul_(decay_t, previous)
        previous = state_t


class _BlockScan(torch.autograd.Function):
    """The bare recurrence; softplus, skip and gate stay outside, in autograd's hands."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        step: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        initial_state: Tensor | None,
        size: int,
    ) -> tuple[Tensor, Tensor]:
        n_rows, n_steps, n_channels = x.shape
        n_states = A.shape[1]
        rows, steps = _block_shape(n_rows, n_steps, n_channels * n_states, size)
        time_spans = _spans(n_steps, steps)
        rates = (A.t() * LOG2_E).contiguous().view(n_states, 1, 1, n_channels)
        x_tb, step_tb = x.transpose(0, 1), step.transpose(0, 1)  # (t, b, d)
        B_stb, C_stb = (v.permute(2, 1, 0).unsqueeze(3) for v in (B, C))  # (s, t, b, 1)
        y = torch.empty_like(x, memory_format=torch.contiguous_format)
        state = x.new_zeros(n_states, n_rows, n_channels)
        if initial_state is not None:
            state.copy_(initial_state.permute(2, 0, 1))
        keep = any(ctx.needs_input_grad)
        starts = x.new_empty(len(time_spans) if keep else 0, n_states, n_rows, n_channels)
        scratch = x.new_empty(2, steps * rows * n_states * n_channels)
        for row_span in _spans(n_rows, rows):
            for i, span in enumerate(time_spans):
                here = (span, row_span)
                if keep:
                    starts[i, :, row_span] = state[:, row_span]
                step_block = step_tb[here]
                shape = (n_states, *step_block.shape)
                decay, states = (s[: math.prod(shape)].view(shape) for s in scratch)
                B_block, C_block = B_stb[:, span, row_span], C_stb[:, span, row_span].contiguous()
                _advance(
                    step_block, step_block * x_tb[here], rates, B_block, state[:, row_span], decay, states
                )
                y_block = states[0] * C_block[0]
                for s in range(1, n_states):
                    y_block.addcmul_(states[s], C_block[s])
                y.transpose(0, 1)[here] = y_block
                state[:, row_span] = states[:, -1]
        ctx.save_for_backward(x, step, A, B, C, starts)
        ctx.block, ctx.has_initial_state = (rows, steps), initial_state is not None
        return y, state.permute(1, 2, 0).contiguous()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_y: Tensor, grad_final: Tensor) -> tuple[Tensor | None, ...]:
        x, step, A, B, C, starts = ctx.saved_tensors
        rows, steps = ctx.block
        n_rows, n_steps, n_channels = x.shape
        n_states = A.shape[1]
        sweep = _BackwardSweep(x, step, A, B, C, grad_y)
        scratch = x.new_empty(4, steps * rows * n_states * n_channels)
        carried = grad_final.permute(2, 0, 1).contiguous()  # (s, b, d): what later steps want of the state
        time_spans = _spans(n_steps, steps)
        for row_span in _spans(n_rows, rows):
            for i in reversed(range(len(time_spans))):
                sweep.block(time_spans[i], row_span, starts[i, :, row_span], carried[:, row_span], scratch)
        grad_initial = carried.permute(1, 2, 0).contiguous() if ctx.has_initial_state else None
        return sweep.d_x, sweep.d_step, sweep.d_A.t(), sweep.d_B, sweep.d_C, grad_initial, None


class _BackwardSweep:
    """Gradients of the recurrence, filled block by block from the last step to the first."""

    def __init__(self, x: Tensor, step: Tensor, A: Tensor, B: Tensor, C: Tensor, grad_y: Tensor) -> None:
        self.A = A.t().contiguous()  # (s, d)
        self.rates = (self.A * LOG2_E)[:, None, None]  # (s, 1, 1, d)
        self.x, self.step, self.grad_y = (v.transpose(0, 1) for v in (x, step, grad_y))  # (t, b, d)
        self.B, self.C = (v.permute(2, 1, 0).unsqueeze(3) for v in (B, C))  # (s, t, b, 1)
        self.d_x, self.d_step, self.d_B, self.d_C = (
            torch.empty_like(v, memory_format=torch.contiguous_format) for v in (x, step, B, C)
        )
        self.d_A = torch.zeros_like(self.A)

    def block(self, span: slice, rows: slice, start: Tensor, carried: Tensor, scratch: Tensor) -> None:
        """Recompute the states of one block, then walk it backwards; `carried` (s, b, d) is updated in place."""
        here = (span, rows)
        step, x, grad_y = (v[here].contiguous() for v in (self.step, self.x, self.grad_y))
        B, C = self.B[:, span, rows].contiguous(), self.C[:, span, rows]
        step_x = step * x
        shape = (len(self.A), *step.shape)
        decay, states, grad, work = (s[: math.prod(shape)].view(shape) for s in scratch)
        _advance(step, step_x, self.rates, B, start, decay, states)

        torch.mul(grad_y, C, out=grad)
        grads, decays = grad.unbind(1), decay.unbind(1)
        grads[-1].add_(carried)
        for t in range(len(grads) - 2, -1, -1):
            grads[t].addcmul_(decays[t + 1], grads[t + 1])

        torch.mul(states, grad_y, out=work)
        self.d_C.permute(2, 1, 0)[:, span, rows] = work.sum(3)
        torch.mul(grad, step_x, out=work)
        self.d_B.permute(2, 1, 0)[:, span, rows] = work.sum(3)
        into_input = grad[0] * B[0]  # sum over s of grad * B: what reaches step * x
        for s in range(1, len(B)):
            into_input.addcmul_(grad[s], B[s])

        grad.mul_(decay)  # now the gradient with respect to the state before each step
        carried.copy_(grad[:, 0])
        torch.mul(grad[:, 1:], states[:, :-1], out=work[:, 1:])
        torch.mul(grad[:, 0], start, out=work[:, 0])  # work: gradient with respect to the exponent step * A
        self.d_x.transpose(0, 1)[here] = step * into_input
        d_step = into_input.mul_(x)
        for s, A_s in enumerate(self.A):
            d_step.addcmul_(work[s], A_s)
        self.d_step.transpose(0, 1)[here] = d_step
        self.d_A += work.mul_(step).sum((1, 2))
