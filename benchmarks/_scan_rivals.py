"""The implementations of the selective scan that ``speed_scan`` compares, ours and others', behind one signature.

Those of other packages are loaded from where they are installed; a missing one is reported, not an error. All take
(x, delta, A, B, C, D, z, delta_bias) in the layout (b, t, d) and return y.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from stmest.ops import selective_scan
from stmest.ops.reference import scan_reference


class Rival(NamedTuple):
    """A scan, and a rough forecast of its cost (forward and backward, ns per element) to skip hopeless cases."""

    scan: Callable[..., Tensor]
    expected_cost: Callable[[int], float]


def numba(*inputs: Tensor) -> Tensor:
    return selective_scan(*inputs, backend="numba")


def chunked(*inputs: Tensor) -> Tensor:
    return selective_scan(*inputs, backend="chunked")


def loop(*inputs: Tensor) -> Tensor:
    return scan_reference(*inputs)[0]


def load_mambapy() -> Callable[..., Tensor]:
    """mambapy's parallel scan with softplus, skip and gate around it, as its block has them."""
    pscan = importlib.import_module("mambapy.pscan").pscan

    def scan(x, delta, A, B, C, D, z, bias):
        step = F.softplus(delta + bias).unsqueeze(-1)
        states = pscan(torch.exp(step * A), step * B.unsqueeze(2) * x.unsqueeze(-1))
        y = (states @ C.unsqueeze(-1)).squeeze(3) + D * x
        return y * F.silu(z)

    return scan


def load_mamba_ssm_reference() -> Callable[..., Tensor]:
    """mamba_ssm's selective_scan_ref: pure torch, in a package that imports only on CUDA, hence the stand-ins."""
    spec = importlib.util.find_spec("mamba_ssm")
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError("mamba_ssm is not installed")
    folder = Path(next(iter(spec.submodule_search_locations)))
    before = dict(sys.modules)
    try:
        for name in ("mamba_ssm", "mamba_ssm.ops", "mamba_ssm.ops.triton", "mamba_ssm.utils"):
            package = types.ModuleType(name)
            package.__path__ = [str(folder.joinpath(*name.split(".")[1:]))]
            sys.modules[name] = package
        norms: Any = types.ModuleType("mamba_ssm.ops.triton.layer_norm")
        norms._layer_norm_fwd = None
        sys.modules[norms.__name__] = norms
        sys.modules["selective_scan_cuda"] = types.ModuleType("selective_scan_cuda")
        reference = importlib.import_module("mamba_ssm.ops.selective_scan_interface").selective_scan_ref
    finally:
        for name in set(sys.modules) - set(before):
            if name.startswith("mamba_ssm") or name == "selective_scan_cuda":
                del sys.modules[name]

    def scan(x, delta, A, B, C, D, z, bias):
        x, delta, B, C, z = (v.transpose(1, 2) for v in (x, delta, B, C, z))
        return reference(x, delta, A, B, C, D, z, bias, delta_softplus=True).transpose(1, 2)

    return scan


def load_cpp() -> Callable[..., Tensor]:
    """``_scan_rival.cpp``, compiled here for this very processor."""
    compiler = shutil.which("g++")
    if compiler is None:
        raise ImportError("no g++")
    library = Path(tempfile.mkdtemp()) / "scan_rival.so"
    source = Path(__file__).with_name("_scan_rival.cpp")
    flags = ["-O3", "-march=native", "-ffast-math", "-fno-finite-math-only", "-shared", "-fPIC", "-std=c++17"]
    subprocess.run([compiler, *flags, "-o", str(library), str(source)], check=True, capture_output=True)
    compiled = ctypes.CDLL(str(library))

    def addresses(*tensors: Tensor) -> list[ctypes.c_void_p]:
        return [ctypes.c_void_p(v.data_ptr()) for v in tensors]

    class CppScan(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *inputs: Tensor) -> Tensor:
            x, A = inputs[0], inputs[2]
            ctx.sizes = [ctypes.c_long(n) for n in (*x.shape, A.shape[1])]
            y = torch.empty_like(x)
            n_chunks = -(-x.shape[1] // 16)
            starts = x.new_empty(x.shape[0] * n_chunks * A.numel())
            compiled.scan_forward(*ctx.sizes, *addresses(*inputs, y, starts))
            ctx.save_for_backward(*inputs, starts)
            return y

        @staticmethod
        def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, ...]:
            *inputs, starts = ctx.saved_tensors
            gradients = [torch.zeros_like(v) for v in inputs]
            compiled.scan_backward(*ctx.sizes, *addresses(*inputs, starts, grad_y.contiguous(), *gradients))
            return tuple(gradients)

    return CppScan.apply


def load_rivals() -> tuple[dict[str, Rival], dict[str, str]]:
    """Return the rivals that are here, and why the others are not."""
    rivals = {
        "numba": Rival(numba, lambda t: 1),
        "chunked": Rival(chunked, lambda t: 8),
        "loop": Rival(loop, lambda t: 30),
    }
    absent = {}
    others = {
        "mambapy": (load_mambapy, lambda t: 100),
        # the gradient of x[:, :, t] is a full-size tensor for every step
        "mamba_ssm ref": (load_mamba_ssm_reference, lambda t: 60 + 5 * t),
        "C++": (load_cpp, lambda t: 3),
    }
    for name, (load, cost) in others.items():
        try:
            rivals[name] = Rival(load(), cost)
        except (ImportError, OSError, subprocess.CalledProcessError) as error:
            absent[name] = str(error)
    return rivals, absent
