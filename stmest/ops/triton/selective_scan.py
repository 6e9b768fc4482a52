"""The selective scan as a torch operator on a CUDA device: launches, states kept for the way back, gradients.

``torch.ops.stmest.selective_scan_triton`` is differentiable once, and opaque to torch.compile and torch.export. It computes
in float32: reading half precision as it is took 1.3 to 2 times as long on an H200. Builds on the kernels beside it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from ..operators import operator
from ..scan_gradients import register_scan_gradients
from .launch import OPTIONS, empty_float, on_device, rows, strides
from .scan_kernels import join_pieces, piece_adjoints, piece_ends, scan_backward, scan_forward

__all__ = ["scan"]

# Steps in the registers of a thread at a time. States are kept before each such tile for the way back: at 16 states per channel
# they take as much memory as two more tensors like the input. Twice the steps were slower on an H200.
STEPS = 8
# Elements (channels x states) of a program, and how many of them a thread holds, at all steps of a tile.
ELEMENTS, PER_THREAD = 256, 2
THREADS_OF_A_WARP = 32
# Programs per multiprocessor below which time is cut into pieces.
FULL = 8


class Tiles(NamedTuple):
    """How a scan is cut: sizes of a tile, blocks of channels, pieces of time."""

    T: int
    C: int
    S: int
    blocks: int
    pieces: int
    piece_steps: int
    borders: int

    @property
    def options(self) -> dict[str, Any]:
        """Sizes of a tile and what else the kernels take at a launch."""
        threads = self.C * self.S // PER_THREAD
        warps = min(max(threads // THREADS_OF_A_WARP, 1), 4)
        return {"T": self.T, "C": self.C, "S": self.S, "num_warps": warps, **OPTIONS}


def tiles_of(x: Tensor, n_states: int) -> Tiles:
    """Cut a scan over x (b, t, d) so that it fills the device.

    Parameters
    ----------
    x : Tensor of shape (b, t, d)
    n_states : int

    Returns
    -------
    Tiles
    """
    b, t, d = x.shape
    states = triton.next_power_of_2(n_states)
    channels = min(max(ELEMENTS // states, 4), triton.next_power_of_2(d))
    steps = min(STEPS, triton.next_power_of_2(t))
    blocks, borders = triton.cdiv(d, channels), triton.cdiv(t, steps)
    wanted = FULL * _processors(x.device) // max(b * blocks, 1)
    piece_steps = steps * triton.cdiv(borders, max(min(wanted, borders), 1))
    return Tiles(steps, channels, states, blocks, triton.cdiv(t, piece_steps), piece_steps, borders)


def _processors(device: torch.device) -> int:
    if device.type != "cuda":  # the interpreter
        return 1
    return torch.cuda.get_device_properties(device).multi_processor_count


@operator("selective_scan_triton", device=None)
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
    """Return y (b, t, d), the final state (b, d, s) or an empty tensor, and the states kept for the way back.

    A (d, s) or, with a set of parameters for each b / n consecutive rows, (n, d, s); D and delta_bias (d,) or (n, d).
    """
    tiles = tiles_of(x, A.shape[-1])
    y, final, borders = _outputs(x, A, initial_state, want_final, keep, tiles)
    if x.numel() == 0:
        if want_final:
            final.copy_(torch.zeros_like(final) if initial_state is None else initial_state)
        return y, final, borders
    x, delta, B, C = (rows(v) for v in (x, delta, B, C))
    A, gate = A.contiguous(), x if z is None else rows(z)
    (b, t, d), s = x.shape, A.shape[-1]
    sizes = (t, _rows_per_set(x, A), d, s, tiles.pieces, tiles.piece_steps)
    grid = (b, tiles.blocks, tiles.pieces)
    bias = A if delta_bias is None else delta_bias.contiguous()
    has_bias = delta_bias is not None
    start = None if initial_state is None else initial_state.contiguous()
    with on_device(x):
        if tiles.pieces > 1:
            ends, sums = empty_float(x, b, tiles.pieces, d, s), empty_float(x, b, tiles.pieces, d)
            piece_ends[grid](
                x,
                delta,
                A,
                B,
                bias,
                ends,
                sums,
                *strides(x, delta, B),
                *sizes,
                HAS_BIAS=has_bias,
                **tiles.options,
            )
            start = _join(ends, sums, A, start, tiles, backward=False)
        scan_forward[grid](
            x, delta, A, B, C, A if D is None else D.contiguous(), gate, bias, A if start is None else start,
            y, borders, final, *strides(x, delta, B, C, gate), *sizes, tiles.borders,
            HAS_BIAS=has_bias, HAS_D=D is not None, HAS_Z=z is not None, HAS_START=start is not None,
            KEEP=borders.numel() > 0, WANT_FINAL=want_final, **tiles.options,
        )  # fmt: skip
    return y, final, borders


def _outputs(
    x: Tensor, A: Tensor, initial_state: Tensor | None, want_final: bool, keep: bool, tiles: Tiles
) -> tuple[Tensor, Tensor, Tensor]:
    """Room for what `scan` returns; a scan of one tile from zero keeps no states."""
    kept = keep and (tiles.borders > 1 or initial_state is not None)
    borders = empty_float(x, x.shape[0], tiles.borders, *A.shape[-2:]) if kept else empty_float(x, 0)
    final = empty_float(x, *((x.shape[0], *A.shape[-2:]) if want_final else (0,)))
    return empty_float(x, *x.shape), final, borders


def _join(
    ends: Tensor, sums: Tensor, A: Tensor, outer: Tensor | None, tiles: Tiles, backward: bool
) -> Tensor:
    b, pieces, d, s = ends.shape
    starts = torch.empty_like(ends)
    join_pieces[(b, tiles.blocks)](
        ends, sums, A, A if outer is None else outer, starts, _rows_per_set(ends, A), d, s, pieces,
        HAS_OUTER=outer is not None, BACKWARD=backward, C=tiles.C, S=tiles.S, **OPTIONS,
    )  # fmt: skip
    return starts


@scan.register_fake
def _(x, delta, A, B, C, D, z, delta_bias, initial_state, want_final, keep):
    return _outputs(x, A, initial_state, want_final, keep, tiles_of(x, A.shape[-1]))


@operator("selective_scan_triton_backward", device=None)
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
    borders: Tensor,
) -> list[Tensor]:
    """Return the gradients of x, delta, A, B, C, D, z, delta_bias, initial_state; empty where an input is missing."""
    inputs = (x, delta, A, B, C, D, z, delta_bias, initial_state)
    if x.numel() == 0:
        empty = [_zeros_like(x, v) for v in inputs]
        if initial_state is not None and grad_final is not None:
            empty[-1].copy_(grad_final)
        return empty
    tiles = tiles_of(x, A.shape[-1])
    grad_y, x, delta, B, C = (rows(v) for v in (grad_y, x, delta, B, C))
    A, gate = A.contiguous(), x if z is None else rows(z)
    (b, t, d), s = x.shape, A.shape[-1]
    sizes = (t, _rows_per_set(x, A), d, s, tiles.pieces, tiles.piece_steps)
    grid = (b, tiles.blocks, tiles.pieces)
    bias = A if delta_bias is None else delta_bias.contiguous()
    flags = {"HAS_BIAS": delta_bias is not None, "HAS_Z": z is not None}
    adjoint = None if grad_final is None else grad_final.contiguous()
    d_x, d_delta = (empty_float(x, *x.shape) for _ in range(2))
    d_z = d_x if z is None else empty_float(x, *x.shape)
    d_B, d_C = (empty_float(x, tiles.blocks, b, t, s) for _ in range(2))
    d_A, d_D, d_bias = (
        empty_float(x, b * tiles.pieces, d, s),
        empty_float(x, b * tiles.pieces, d),
        empty_float(x, b * tiles.pieces, d),
    )
    d_start = empty_float(x, *(() if initial_state is None else initial_state.shape))
    with on_device(x):
        if tiles.pieces > 1:
            ends, sums = empty_float(x, b, tiles.pieces, d, s), empty_float(x, b, tiles.pieces, d)
            piece_adjoints[grid](
                delta, A, C, gate, bias, grad_y, ends, sums,
                *strides(delta, C, gate, grad_y), *sizes, **flags, **tiles.options,
            )  # fmt: skip
            adjoint = _join(ends, sums, A, adjoint, tiles, backward=True)
        scan_backward[grid](
            x, delta, A, B, C, A if D is None else D.contiguous(), gate, bias, borders,
            A if adjoint is None else adjoint, grad_y,
            d_x, d_delta, d_A, d_B, d_C, d_D, d_z, d_bias, d_start,
            *strides(x, delta, B, C, gate, grad_y), b, *sizes, tiles.borders,
            **flags, HAS_D=D is not None, HAS_BORDERS=borders.numel() > 0, HAS_ADJOINT=adjoint is not None,
            WANT_START=initial_state is not None, **tiles.options,
        )  # fmt: skip
    n_sets = b // _rows_per_set(x, A)
    of_A, of_D, of_bias = (part.unflatten(0, (n_sets, -1)).sum(1) for part in (d_A, d_D, d_bias))
    gradients = (d_x, d_delta, of_A, d_B.sum(0), d_C.sum(0), of_D, d_z, of_bias, d_start)
    return [
        x.new_empty(0) if v is None else gradient.view(v.shape)
        for v, gradient in zip(inputs, gradients, strict=True)
    ]


def _rows_per_set(rows_first: Tensor, A: Tensor) -> int:
    """How many consecutive rows share a set of parameters."""
    return len(rows_first) // (len(A) if A.dim() == 3 else 1)


def _zeros_like(x: Tensor, v: Tensor | None) -> Tensor:
    return x.new_empty(0) if v is None else torch.zeros(v.shape, dtype=v.dtype, device=v.device)


@_backward.register_fake
def _(grad_y, grad_final, x, delta, A, B, C, D, z, delta_bias, initial_state, borders):
    return [_zeros_like(x, v) for v in (x, delta, A, B, C, D, z, delta_bias, initial_state)]


register_scan_gradients(scan, _backward)
