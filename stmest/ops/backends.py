"""Which scan backends are usable in this process, and why the others are not.

A probe returns the empty string or a sentence naming the obstacle; it runs once per process. The CUDA packages are
imported only when a tensor on a CUDA device asks for them: their import fails outright on a machine without CUDA.
Builds on torch and the error tree.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from ..exceptions import MissingDependencyError
from .internals import constant_when_compiled

__all__ = [
    "cuda_function",
    "cuda_problem",
    "forget_probes",
    "numba_problem",
    "require_usable",
    "triton_problem",
    "without_autocast",
]

_CUDA_FUNCTIONS = {
    "mamba_ssm": ("mamba_ssm.ops.selective_scan_interface", "selective_scan_fn"),
    "causal_conv1d": ("causal_conv1d", "causal_conv1d_fn"),
}


@functools.cache
def _probe_numba() -> str:
    try:
        found = importlib.util.find_spec("numba") is not None
    except ValueError:  # numba blocked by sys.modules["numba"] = None
        found = False
    if not found:
        return "numba is not installed"
    try:
        importlib.import_module("stmest.ops.cpu.selective_scan")
    except ModuleNotFoundError as error:
        return f"importing numba failed: {error!r}"
    except Exception as error:  # a broken numba (version clash with numpy, no LLVM) raises anything
        warnings.warn(
            f"numba is installed but unusable ({error!r}); the Mamba scan falls back to its slower torch form.",
            RuntimeWarning,
            stacklevel=2,
        )
        return f"importing numba failed: {error!r}"
    return ""


@functools.cache
def _load_cuda_function(package: str) -> tuple[Callable[..., Any] | None, str]:
    module, name = _CUDA_FUNCTIONS[package]
    try:
        found = importlib.util.find_spec(package) is not None
    except ValueError:
        found = False
    if not found:
        return None, f"{package} is not installed"
    try:
        return getattr(importlib.import_module(module), name), ""
    except Exception as error:  # unguarded imports of triton and of compiled extensions raise anything
        warnings.warn(
            f"{package} is installed but its import failed ({error!r}); stmest uses its own kernels instead. "
            f'Reinstalling it against this torch may help: pip install --no-build-isolation "stmest[cuda]"',
            RuntimeWarning,
            stacklevel=2,
        )
        return None, f"importing {package} failed: {error!r}"


@constant_when_compiled
def numba_problem() -> str:
    """Return "" if the CPU kernels can be used, else what stands in the way."""
    return _probe_numba()


@constant_when_compiled
def cuda_problem(package: str) -> str:
    """Return "" if the CUDA function of `package` can be imported, else what stands in the way."""
    return _load_cuda_function(package)[1]


@constant_when_compiled
def triton_problem(device: str = "cuda") -> str:
    """Return "" if the Triton kernels can be used on a device of this type, else what stands in the way."""
    if device == "cuda" or (device == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"):
        return _probe_triton(device)
    return f"device {device!r}: the Triton kernels run on CUDA devices"


@functools.cache
def _probe_triton(device: str) -> str:
    """Whether Triton imports, compiles on this machine and computes what the reference does."""
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed"
    try:
        from .triton.probe import check

        return check(torch.device(device))
    except Exception as error:  # no C compiler, a driver that is too old, a broken installation: anything
        return f"the kernels in Triton cannot run here: {error!r}"


def cuda_function(package: str) -> Callable[..., Any]:
    """Return the fused CUDA function of `package` ("mamba_ssm" or "causal_conv1d")."""
    function, problem = _load_cuda_function(package)
    if function is None:
        raise MissingDependencyError(
            f'The "{package}" backend cannot be used: {problem}. '
            f'Install it on the CUDA machine: pip install --no-build-isolation "stmest[cuda]"'
        )
    return function


def forget_probes() -> None:
    """Probe anew at the next call, for instance after installing a package in a running session."""
    _probe_numba.cache_clear()
    _load_cuda_function.cache_clear()
    _probe_triton.cache_clear()


def without_autocast(device_type: str) -> AbstractContextManager[Any]:
    """Return a context in which torch keeps the dtypes it is given."""
    if torch.is_autocast_enabled(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()


def require_usable(backend: str, problem: str) -> None:
    """Raise an error naming the obstacle if `problem` is not empty."""
    if problem:
        raise MissingDependencyError(f'The "{backend}" backend cannot be used: {problem}.')
