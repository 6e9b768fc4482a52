"""The kernels of the short causal convolution in front of the scan; see `causal_conv` for how they are called.

Consecutive rows may share a set of weights and biases: `rows_per_set` of them. Builds on triton.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["conv_backward", "conv_forward"]


@triton.jit
def _convolve(
    x, weight, bias, row_at, x_t, steps, channels, known, last, HAS_BIAS: tl.constexpr, W: tl.constexpr
):
    """Sums of the taps of some steps and channels, (T, C), before the activation."""
    total = tl.zeros([steps.shape[0], channels.shape[0]], tl.float32)
    for tap in tl.static_range(W):
        before = steps - (W - 1 - tap)
        ok = ((before >= 0) & (before < last))[:, None] & known[None, :]
        values = tl.load(x + row_at + before[:, None] * x_t + channels[None, :], mask=ok, other=0.0).to(
            tl.float32
        )
        total += values * tl.load(weight + channels * W + tap, mask=known, other=0.0)[None, :]
    if HAS_BIAS:
        total += tl.load(bias + channels, mask=known, other=0.0)[None, :]
    return total


@triton.jit(do_not_specialize=["rows_per_set", "n_steps"])
def conv_forward(
    x, weight, bias, y, x_b, x_t, rows_per_set, n_steps, n_channels,
    HAS_BIAS: tl.constexpr, ACTIVATION: tl.constexpr, W: tl.constexpr, T: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """Outputs (b, t, d)."""
    row = tl.program_id(0).to(tl.int64)
    channels, steps = tl.program_id(1) * C + tl.arange(0, C), tl.program_id(2) * T + tl.arange(0, T)
    known = channels < n_channels
    own = row // rows_per_set * n_channels
    weight, bias = weight + own * W, bias + own
    total = _convolve(x, weight, bias, row * x_b, x_t, steps, channels, known, n_steps, HAS_BIAS, W)
    if ACTIVATION:
        total = total / (1.0 + tl.exp(-total))
    ok = (steps < n_steps)[:, None] & known[None, :]
    tl.store(y + (row * n_steps + steps[:, None]) * n_channels + channels[None, :], total, mask=ok)


@triton.jit(do_not_specialize=["rows_per_set", "n_steps", "n_tiles"])
def conv_backward(
    x, weight, bias, grad_y, d_x, d_weight, d_bias, x_b, x_t, grad_b, grad_t, rows_per_set, n_steps, n_channels, n_tiles,
    HAS_BIAS: tl.constexpr, ACTIVATION: tl.constexpr, W: tl.constexpr, T: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """Gradient of x (b, t, d), and those of weight and bias once for every row and tile of steps, (b, tiles, d, w)."""
    row, tile = tl.program_id(0).to(tl.int64), tl.program_id(2)
    channels, steps = tl.program_id(1) * C + tl.arange(0, C), tile * T + tl.arange(0, T)
    known = channels < n_channels
    own = row // rows_per_set * n_channels
    weight, bias = weight + own * W, bias + own
    ok = (steps < n_steps)[:, None] & known[None, :]
    part = (row * n_tiles + tile) * n_channels + channels
    d_values = tl.zeros([T, C], tl.float32)
    for ahead in tl.static_range(W):  # the outputs that this step enters, its own one first
        later = steps + ahead
        inside = (later < n_steps)[:, None] & known[None, :]
        at = row * grad_b + later[:, None] * grad_t + channels[None, :]
        grad = tl.load(grad_y + at, mask=inside, other=0.0)
        if ACTIVATION:
            total = _convolve(x, weight, bias, row * x_b, x_t, later, channels, known, n_steps, HAS_BIAS, W)
            share = 1.0 / (1.0 + tl.exp(-total))
            grad *= share * (1.0 + total * (1.0 - share))
        tap = tl.load(weight + channels * W + (W - 1 - ahead), mask=known, other=0.0)
        d_values += grad * tap[None, :]
        if ahead == 0:
            for back in tl.static_range(W):
                before = steps - (W - 1 - back)
                seen = ((before >= 0) & (before < n_steps))[:, None] & known[None, :]
                at_x = row * x_b + before[:, None] * x_t + channels[None, :]
                values = tl.load(x + at_x, mask=seen, other=0.0)
                tl.store(d_weight + part * W + back, tl.sum(grad * values, 0), mask=known)
            if HAS_BIAS:
                tl.store(d_bias + part, tl.sum(grad, 0), mask=known)
    tl.store(d_x + (row * n_steps + steps[:, None]) * n_channels + channels[None, :], d_values, mask=ok)
