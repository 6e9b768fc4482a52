"""The short depthwise causal convolution in front of Mamba's scan: one entry, four backends.

Once the scan is fused, torch's own depthwise convolution takes longest in a Mamba block on a CPU, hence a kernel
of our own. Builds on the backends beside it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..exceptions import ParameterError
from . import backends
from .reference import causal_conv1d_reference

__all__ = ["causal_conv1d"]

BACKENDS = ("torch", "numba", "triton", "causal_conv1d")


def causal_conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, activation: bool = True, backend: str = "auto"
) -> Tensor:
    """Convolve every channel with its own short filter over the present and past steps, then apply SiLU.

    Parameters
    ----------
    x : Tensor of shape (b, t, d)
        Any strides.
    weight : Tensor of shape (d, w)
        ``weight[:, -1]`` multiplies the present step; the past before the first step is zero.
    bias : Tensor of shape (d,), optional
    activation : bool
        Apply SiLU to the result.
    backend : {"auto", "numba", "triton", "torch", "causal_conv1d"}
        Implementation; "auto" follows the rules of `choose_backend` for the scan.

    Returns
    -------
    Tensor of shape (b, t, d), dtype of `x`
        Its layout in memory is that of the backend.
    """
    if x.dim() != 3 or weight.dim() != 2 or weight.shape[0] != x.shape[2]:
        raise ParameterError(
            f"causal_conv1d needs x (b, t, d) and weight (d, w); got {tuple(x.shape)} and {tuple(weight.shape)}."
        )
    dtype = torch.promote_types(torch.promote_types(x.dtype, weight.dtype), torch.float32)
    if backend == "auto":
        backend = _choose(x.device.type, dtype, weight.shape[1])
    elif backend not in BACKENDS:
        raise ParameterError(f"backend={backend!r} is not known; choose from {('auto', *BACKENDS)}.")
    with backends.without_autocast(x.device.type):
        cast = (x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype))
        if backend == "numba":
            backends.require_usable("numba", _numba_obstacle(x.device.type, dtype))
            from .cpu.causal_conv import convolution  # needs numba

            y = convolution(*cast, activation)
        elif backend == "triton":
            backends.require_usable("triton", _triton_obstacle(x.device.type, dtype))
            from .triton.causal_conv import convolution as convolve  # needs triton

            y = convolve(*cast, activation)
        elif backend == "causal_conv1d":
            y = _conv_cuda(*cast, activation)
        else:
            y = causal_conv1d_reference(*cast, activation)
        return y.to(x.dtype)


def _choose(device: str, dtype: torch.dtype, width: int) -> str:
    if torch.onnx.is_in_onnx_export():
        return "torch"
    if device == "cuda":
        if not _triton_obstacle(device, dtype):
            return "triton"
        supported = dtype == torch.float32 and 2 <= width <= 4
        supported = (
            supported and not torch.are_deterministic_algorithms_enabled()
        )  # sums gradients in any order
        return "causal_conv1d" if supported and not backends.cuda_problem("causal_conv1d") else "torch"
    return "torch" if _numba_obstacle(device, dtype) else "numba"


def _numba_obstacle(device: str, dtype: torch.dtype) -> str:
    if device != "cpu" or dtype != torch.float32:
        return f"{device} {dtype}: the numba kernels compute in float32 on the CPU"
    return backends.numba_problem()


def _triton_obstacle(device: str, dtype: torch.dtype) -> str:
    if dtype != torch.float32:
        return f"{dtype}: the Triton kernels compute in float32"
    return backends.triton_problem(device)


def _conv_cuda(x: Tensor, weight: Tensor, bias: Tensor | None, activation: bool) -> Tensor:
    """Call the fused kernel of the causal_conv1d package, whose layout is (b, d, t); it refuses many other strides."""
    convolve = backends.cuda_function("causal_conv1d")
    y = convolve(x.transpose(1, 2).contiguous(), weight, bias, activation="silu" if activation else None)
    return y.transpose(1, 2)
