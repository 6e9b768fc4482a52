"""Stand-ins for the Triton kernels where there is no GPU: the reference, with sets of parameters."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from stmest.ops import backends
from stmest.ops.reference import causal_conv1d_reference, scan_reference


def put(monkeypatch):
    """Put them in the place of the kernels on CUDA; skips where Triton is not installed."""
    pytest.importorskip("triton", reason="needs triton, which is made for Linux")
    from stmest.ops.triton import causal_conv, selective_scan

    monkeypatch.setattr(
        backends, "triton_problem", lambda device="cuda": "" if device == "cuda" else "not there"
    )
    monkeypatch.setattr(selective_scan, "scan", scan)
    monkeypatch.setattr(causal_conv, "convolution", convolution)


def scan(x, delta, A, B, C, D, z, bias, state, want_final, keep):
    dtype, inputs = x.dtype, (x, delta, A, B, C, D, z, bias, state)
    x, delta, A, B, C, D, z, bias, state = (None if v is None else v.float() for v in inputs)
    if A.dim() == 2:
        y, final = scan_reference(x, delta, A, B, C, D, z, bias, state)
        return y.to(dtype), final, None
    rates, skip, shift = (v.repeat_interleave(len(x) // len(A), 0) for v in (A, D, bias))
    step = F.softplus(delta + shift.unsqueeze(1))
    held, outputs = x.new_zeros(rates.shape), []
    for t in range(x.shape[1]):
        held = torch.exp(step[:, t, :, None] * rates) * held + (step * x)[:, t, :, None] * B[:, t, None]
        outputs.append((held * C[:, t, None]).sum(-1))
    y = (torch.stack(outputs, 1) + skip.unsqueeze(1) * x) * F.silu(z)
    return y.to(dtype), held, None


def convolution(x, weight, bias, activation):
    if weight.dim() == 2:
        return causal_conv1d_reference(x.float(), weight, bias, activation).to(x.dtype)
    n, width, t = len(x) // len(weight), weight.shape[-1], x.shape[1]
    padded, taps = F.pad(x, (0, 0, width - 1, 0)), weight.repeat_interleave(n, 0)
    y = sum(padded[:, tap : tap + t] * taps[:, None, :, tap] for tap in range(width))
    return F.silu(y + bias.repeat_interleave(n, 0)[:, None])
