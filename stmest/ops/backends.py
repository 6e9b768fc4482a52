"""Which scan backends are usable in this process, and why the others are not.

A probe returns the empty string or a sentence naming the obstacle; it runs once per process. The CUDA packages are
imported only when a tensor on a CUDA device asks for them: their import fails outright on a machine without CUDA. One counts as
usable if its compiled part is there and gives the numbers of our reference for a tiny example, as its Python functions may
import without that part, or with one that was built for another torch. Builds on the reference, torch and the error tree.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from ..exceptions import MissingDependencyError
from .internals import constant_when_compiled, without_modes
from .reference import causal_conv1d_reference, scan_reference

__all__ = [
    "cuda_function",
    "cuda_problem",
    "forget_probes",
    "numba_problem",
    "require_usable",
    "triton_problem",
    "without_autocast",
]

# Of each package: module, function, compiled part
_CUDA_FUNCTIONS = {
    "mamba_ssm": ("mamba_ssm.ops.selective_scan_interface", "selective_scan_fn", "selective_scan_cuda"),
    "causal_conv1d": ("causal_conv1d", "causal_conv1d_fn", "causal_conv1d_cuda"),
}
_CUDA = torch.device("cuda")  # where they are tried


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # blocked by sys.modules[package] = None
        return False


@functools.cache
def _probe_numba() -> str:
    if not _is_installed("numba"):
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
    if not _is_installed(package):
        return None, f"{package} is not installed"
    function, problem = _probe_cuda_function(package, _CUDA)
    if problem:
        warnings.warn(
            f"{package} is installed but not used: {problem}. stmest uses its own kernels instead. "
            f'Reinstalling it against this torch may help: pip install --no-build-isolation "stmest[cuda]"',
            RuntimeWarning,
            stacklevel=2,
        )
    return function, problem


def _probe_cuda_function(package: str, device: torch.device) -> tuple[Callable[..., Any] | None, str]:
    """The function of a package that is installed, or what stands in its way; it is tried on a device."""
    module, name, compiled = _CUDA_FUNCTIONS[package]
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # unguarded imports of triton and of compiled extensions raise anything
        return None, f"importing {package} failed: {error!r}"
    try:
        importlib.import_module(compiled)
    except Exception as error:
        return None, f"the compiled part of {package} is missing: {error!r}"
    if device.type == "cuda" and not torch.cuda.is_available():
        return None, f"{package} needs a CUDA device, and there is none"
    try:
        with _plain_tensors(device.type):
            differing = _EXAMPLES[package](function, device)
    except Exception as error:  # built for another GPU, for another torch, or not at all
        return None, f"a call of {package} on a tiny example failed: {error!r}"
    if differing:
        return None, f"{package} gives other numbers than the reference for {differing} of a tiny example"
    return function, ""


@contextmanager
def _plain_tensors(device_type: str) -> Iterator[None]:
    """What an example needs, whoever asks first: a forecast in inference mode, a trace, autocast."""
    with without_modes(), torch.inference_mode(False), torch.enable_grad(), without_autocast(device_type):
        yield


def _scan_example() -> tuple[tuple[str, ...], list[Tensor]]:
    """Names and values of the inputs of a scan, longer than a tile of any kernel."""
    b, t, d, s = 2, 20, 8, 4
    draw = torch.Generator().manual_seed(0)
    shapes = [(b, t, d), (b, t, d), (d, s), (b, t, s), (b, t, s), (d,), (b, t, d), (d,)]
    given = [torch.randn(shape, generator=draw) for shape in shapes]
    given[2] = -torch.exp(given[2])  # decay rates
    return ("x", "delta", "A", "B", "C", "D", "z", "delta_bias"), given


def _convolution_example() -> tuple[tuple[str, ...], list[Tensor]]:
    draw = torch.Generator().manual_seed(0)
    given = [torch.randn(shape, generator=draw) for shape in ((2, 9, 8), (8, 4), (8,))]
    return ("x", "weight", "bias"), given


def _try_scan(scan: Callable[..., Any], device: torch.device) -> str:
    """What of a scan, or of its gradients, is not as in the reference; "" if all is."""

    def fused(*inputs: Tensor) -> Tensor:
        x, delta, A, B, C, D, z, bias = inputs
        x, delta, B, C, z = (v.transpose(1, 2).contiguous() for v in (x, delta, B, C, z))
        return scan(x, delta, A, B, C, D=D, z=z, delta_bias=bias, delta_softplus=True).transpose(1, 2)

    return _differing(fused, lambda *inputs: scan_reference(*inputs)[0], *_scan_example(), device)


def _try_convolution(convolve: Callable[..., Any], device: torch.device) -> str:
    """What of a convolution, or of its gradients, is not as in the reference; "" if all is."""

    def fused(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return convolve(x.transpose(1, 2).contiguous(), weight, bias, activation="silu").transpose(1, 2)

    return _differing(fused, causal_conv1d_reference, *_convolution_example(), device)


_EXAMPLES = {"mamba_ssm": _try_scan, "causal_conv1d": _try_convolution}


def _differing(
    fused: Callable[..., Tensor], reference: Callable[..., Tensor], names: tuple[str, ...],
    given: list[Tensor], device: torch.device,
) -> str:  # fmt: skip
    found, wanted = (
        _values_and_gradients(function, [v.to(where) for v in given])
        for function, where in ((fused, device), (reference, torch.device("cpu")))
    )
    labels = ("the result", *(f"the gradient of {name}" for name in names))
    for label, one, other in zip(labels, found, wanted, strict=True):
        if not torch.allclose(one.cpu(), other, rtol=1e-3, atol=1e-4):
            return label
    return ""


def _values_and_gradients(function: Callable[..., Tensor], given: list[Tensor]) -> tuple[Tensor, ...]:
    inputs = [v.detach().requires_grad_() for v in given]
    y = function(*inputs)
    return (y.detach(), *torch.autograd.grad(y.square().sum(), inputs))


@constant_when_compiled
def numba_problem() -> str:
    """Return "" if the CPU kernels can be used, else what stands in the way."""
    return _probe_numba()


@constant_when_compiled
def cuda_problem(package: str) -> str:
    """Return "" if the CUDA function of `package` is there and right, else what stands in the way."""
    return _load_cuda_function(package)[1]


@constant_when_compiled
def triton_problem(device: str = "cuda") -> str:
    """Return "" if the Triton kernels can be used on a device of this type, else what stands in the way."""
    if device == "cuda" or (device == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"):
        return _probe_triton(device)
    return f"device {device!r}: the Triton kernels run on CUDA devices"


@functools.cache
def _probe_triton(device: str) -> str:
    """Whether the Triton kernels compile on this machine and give the numbers of the reference there."""
    if not _is_installed("triton"):
        return "triton is not installed"
    if device == "cuda" and not torch.cuda.is_available():
        return "there is no CUDA device"
    where = torch.device(device)
    try:
        from .triton.causal_conv import convolution
        from .triton.selective_scan import scan

        with _plain_tensors(device):
            pairs = {
                "scan": (lambda *v: scan(*v, None, False, True)[0], lambda *v: scan_reference(*v)[0], *_scan_example()),
                "convolution": (
                    lambda *v: convolution(*v, True), causal_conv1d_reference, *_convolution_example()
                ),
            }  # fmt: skip
            for name, (ours, reference, names, given) in pairs.items():
                differing = _differing(ours, reference, names, given, where)
                if differing:
                    return f"the {name} in Triton gives other numbers than the reference for {differing}"
    except Exception as error:  # no C compiler, a driver that is too old, a broken installation: anything
        return f"the kernels in Triton cannot run here: {error!r}"
    return ""


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
