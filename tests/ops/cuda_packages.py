"""Stand-ins for mamba_ssm and causal_conv1d, with the memory layout of the real kernels, (b, d, t) like their input."""

from __future__ import annotations

import sys
import types
from typing import Any

import torch
from torch import Tensor

from stmest.ops.reference import causal_conv1d_reference, scan_reference

__all__ = ["install", "packages"]


def packages(calls: list[Any] | None = None) -> dict[str, dict[str, Any]]:
    """Modules by name, with what is in each; `calls` receives every call."""
    calls = [] if calls is None else calls

    def selective_scan_fn(
        x, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, return_last_state=False
    ):
        calls.append(("mamba_ssm", x.shape, delta_softplus))
        inputs = [v if v is None else v.transpose(1, 2) for v in (x, delta, B, C, z)]
        y, state = scan_reference(*inputs[:2], A, *inputs[2:4], D, inputs[4], delta_bias)
        y = y.transpose(1, 2).contiguous()
        return (y, state) if return_last_state else y

    def causal_conv1d_fn(x, weight, bias=None, activation=None):
        calls.append(("causal_conv1d", x.shape, activation))
        _refuse_strides(x)
        y = causal_conv1d_reference(x.transpose(1, 2), weight, bias, activation == "silu")
        return y.transpose(1, 2).contiguous()

    return {
        "mamba_ssm": {},
        "mamba_ssm.ops": {},
        "mamba_ssm.ops.selective_scan_interface": {"selective_scan_fn": selective_scan_fn},
        "selective_scan_cuda": {},
        "causal_conv1d": {"causal_conv1d_fn": causal_conv1d_fn},
        "causal_conv1d_cuda": {},
    }


def _refuse_strides(x: Tensor) -> None:
    """The real one takes channels that lie side by side in memory in steps of eight only."""
    if x.stride(1) == 1 and x.stride(2) > 1 and (x.shape[1] % 8 or x.stride(0) % 8 or x.stride(2) % 8):
        raise RuntimeError(f"x of shape {tuple(x.shape)} has the strides {x.stride()}")


def install(monkeypatch: Any, modules: dict[str, dict[str, Any]], device: str = "cpu") -> None:
    """Put modules among those that can be imported, to be tried on a device."""
    from stmest.ops import backends

    monkeypatch.setattr(backends, "_CUDA", torch.device(device))
    for name, content in modules.items():
        module = types.ModuleType(name)
        module.__spec__ = types.SimpleNamespace(name=name)
        module.__path__ = []
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
