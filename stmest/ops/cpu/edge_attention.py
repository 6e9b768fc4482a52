"""Attention along the edges of a graph as a differentiable function on the CPU: padding, threads, gradients.

Builds on the kernels of the same name; imported only where numba is usable.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from .kernels.edge_attention import ROWS, Problem, attend_backward, attend_forward
from .threads import run_parts

__all__ = ["EdgeAttention"]


def _run(function: Any, n_blocks: int, n_scratch: int, *args: Any) -> None:
    """Run a kernel on all blocks of rows."""
    run_parts(n_blocks, n_scratch * ROWS, lambda *own: function(*own, *args))


def _problem(padded: Tensor, starts: Tensor, sources: Tensor, log_weight: Tensor) -> Problem:
    n, _, h, c, rows = padded.shape
    addresses = (starts.data_ptr(), sources.data_ptr(), log_weight.data_ptr())
    return Problem(n, h, c, rows, c**-0.5, *addresses)


class EdgeAttention(torch.autograd.Function):
    """Attention along edges of projected (n, 3, h, c, r), float32 on the CPU -> (n, h, c, r)."""

    @staticmethod
    def forward(ctx: Any, projected: Tensor, starts: Tensor, sources: Tensor, log_weight: Tensor) -> Tensor:
        """Attend; keep what the way back needs."""
        n, _, h, c, rows = projected.shape
        missing = -rows % ROWS
        padded = (F.pad(projected, (0, missing)) if missing else projected).contiguous()
        problem = _problem(padded, starts, sources, log_weight)
        out = padded.new_empty(n, h, c, problem.rows)
        tops, sums = padded.new_empty(2, n, h, problem.rows).unbind(0)
        ctx.most = int(starts.diff().max())
        _run(
            attend_forward, problem.rows // ROWS, ctx.most, problem, padded.data_ptr(), out.data_ptr(),
            tops.data_ptr(), sums.data_ptr(),
        )  # fmt: skip
        ctx.save_for_backward(padded, starts, sources, log_weight, tops, sums)
        return out[..., :rows]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """Return the gradient of `projected`."""
        # Under checkpointing these are other tensors than in forward, hence other addresses
        padded, starts, sources, log_weight, tops, sums = ctx.saved_tensors
        problem = _problem(padded, starts, sources, log_weight)
        rows = gradient.shape[-1]
        missing = problem.rows - rows
        gradient = (F.pad(gradient, (0, missing)) if missing else gradient).contiguous()
        out = torch.zeros_like(padded)
        _run(
            attend_backward, problem.rows // ROWS, 2 * ctx.most, problem, padded.data_ptr(), tops.data_ptr(),
            sums.data_ptr(), gradient.data_ptr(), out.data_ptr(),
        )  # fmt: skip
        return out[..., :rows], None, None, None
