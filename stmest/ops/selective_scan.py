"""The selective scan of Mamba: one entry, several backends, and a straight answer to which one runs and why.

Builds on the backends beside it.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import torch
from torch import Tensor

from ..exceptions import ParameterError
from . import backends
from .chunked import scan_chunked
from .reference import scan_reference

__all__ = [
    "BACKENDS", "Choice", "available_backends", "backend_problem", "choose_backend", "selective_scan", "show_backends",
]  # fmt: skip

BACKENDS = ("reference", "chunked", "numba", "triton", "mamba_ssm")


class ScanInputs(NamedTuple):
    """What every backend takes, in its order; shapes as in `selective_scan`."""

    x: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    z: Tensor | None
    delta_bias: Tensor | None
    initial_state: Tensor | None

    def to(self, dtype: torch.dtype) -> ScanInputs:
        """The same in another dtype."""
        x, delta, A, B, C = (v.to(dtype) for v in self[:5])
        D, z, bias, state = (None if v is None else v.to(dtype) for v in self[5:])
        return ScanInputs(x, delta, A, B, C, D, z, bias, state)


class Choice(NamedTuple):
    """A backend and the reason it was chosen."""

    name: str
    reason: str


def selective_scan(
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    *,
    initial_state: Tensor | None = None,
    return_final_state: bool = False,
    backend: str = "auto",
) -> Tensor | tuple[Tensor, Tensor]:
    """Run Mamba's input-dependent linear recurrence along time.

    With ``step = softplus(delta + delta_bias)``, for every row and channel::

        state_t = exp(step_t * A) * state_{t-1} + step_t * B_t * x_t
        y_t     = (C_t . state_t + D * x_t) * silu(z_t)

    Half-precision inputs are computed in float32 and ``y`` is returned in the dtype of `x`.

    Parameters
    ----------
    x, delta : Tensor of shape (b, t, d)
        Input and raw step size. Any strides: the halves of a projection are not copied by the CPU kernels.
    A : Tensor of shape (d, s)
        Continuous decay rates, negative.
    B, C : Tensor of shape (b, t, s)
        Input and output projections of the state.
    D : Tensor of shape (d,), optional
        Weight of the skip connection.
    z : Tensor of shape (b, t, d), optional
        Gate.
    delta_bias : Tensor of shape (d,), optional
        Bias of the step size.
    initial_state : Tensor of shape (b, d, s), optional
        State before the first step; zero if missing.
    return_final_state : bool
        Also return the state after the last step.
    backend : {"auto", "numba", "triton", "chunked", "reference", "mamba_ssm"}
        Implementation; "auto" lets `choose_backend` decide.

    Returns
    -------
    y : Tensor of shape (b, t, d)
        Its layout in memory is that of the backend.
    final_state : Tensor of shape (b, d, s), float32 or float64
        Only with `return_final_state`.
    """
    _check_shapes(x, delta, A, B, C, D, z, delta_bias, initial_state)
    if backend not in ("auto", *BACKENDS):
        raise ParameterError(f"backend={backend!r} is not known; choose from {('auto', *BACKENDS)}.")
    with backends.without_autocast(x.device.type):
        dtype = _compute_dtype(x, delta, A, B, C)
        stateful = initial_state is not None or return_final_state
        if backend == "auto":
            backend = _choose(x.device, dtype, stateful).name
        inputs = ScanInputs(x, delta, A, B, C, D, z, delta_bias, initial_state).to(dtype)
        y, final_state = _run(backend, inputs, return_final_state)
        y = y.to(x.dtype)
    return (y, final_state) if return_final_state else y


def _run(backend: str, inputs: ScanInputs, return_final_state: bool) -> tuple[Tensor, Tensor]:
    if backend == "numba":
        backends.require_usable("numba", _numba_obstacle(inputs.x.device, inputs.x.dtype))
        return _scan_numba(inputs, return_final_state)
    if backend == "triton":
        backends.require_usable("triton", _triton_obstacle(inputs.x.device, inputs.x.dtype))
        return _scan_triton(inputs, return_final_state)
    if backend == "mamba_ssm":
        return _scan_mamba_ssm(inputs, return_final_state)
    return (scan_reference if backend == "reference" else scan_chunked)(*inputs)


def _scan_numba(inputs: ScanInputs, return_final_state: bool) -> tuple[Tensor, Tensor]:
    from .cpu.selective_scan import scan  # needs numba

    y, final_state, _ = scan(*inputs, return_final_state, _keeps_states(inputs))
    return y, final_state


def _scan_triton(inputs: ScanInputs, return_final_state: bool) -> tuple[Tensor, Tensor]:
    from .triton.selective_scan import scan  # needs triton

    y, final_state, _ = scan(*inputs, return_final_state, _keeps_states(inputs))
    return y, final_state


def _keeps_states(inputs: ScanInputs) -> bool:
    """Whether states must be kept: only for a backward pass."""
    return torch.is_grad_enabled() and any(v is not None and v.requires_grad for v in inputs)


def _scan_mamba_ssm(inputs: ScanInputs, return_final_state: bool) -> tuple[Tensor, Tensor]:
    """Call mamba_ssm's fused kernel, whose layout is (b, d, t) and which knows no initial state."""
    if inputs.initial_state is not None:
        raise ParameterError(
            'The "mamba_ssm" backend takes no initial state; use backend="auto" or "chunked".'
        )
    scan = backends.cuda_function("mamba_ssm")
    x, delta, B, C = (v.transpose(1, 2).contiguous() for v in (inputs.x, inputs.delta, inputs.B, inputs.C))
    z = None if inputs.z is None else inputs.z.transpose(1, 2).contiguous()
    result = scan(
        x,
        delta,
        inputs.A,
        B,
        C,
        D=inputs.D,
        z=z,
        delta_bias=inputs.delta_bias,
        delta_softplus=True,
        return_last_state=return_final_state,
    )
    y, final_state = result if return_final_state else (result, x.new_empty(0))
    return y.transpose(1, 2), final_state


def choose_backend(x: Tensor, *, stateful: bool = False) -> Choice:
    """Pick the backend for inputs like `x`, and say why.

    Parameters
    ----------
    x : Tensor
        Its device and dtype decide.
    stateful : bool
        Whether an initial state comes in or the final state is asked for.

    Returns
    -------
    Choice
        ``name`` and ``reason``.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    return _choose(x.device, dtype, stateful)


def _choose(device: torch.device, dtype: torch.dtype, stateful: bool) -> Choice:
    """The backend for a scan that computes in `dtype`."""
    if torch.onnx.is_in_onnx_export():
        return Choice(
            "reference", "export to ONNX: a loop over a fixed length unrolls into standard operators"
        )
    if device.type == "cuda":
        return _choose_cuda(dtype, stateful)
    obstacle = _numba_obstacle(device, dtype)
    if not obstacle:
        return Choice("numba", "CPU in single precision and numba imports")
    return Choice("chunked", obstacle)


def _choose_cuda(dtype: torch.dtype, stateful: bool) -> Choice:
    if dtype == torch.float64:
        return Choice("chunked", "float64: the fused CUDA kernels compute in float32")
    problem = backends.triton_problem()
    if not problem:
        return Choice("triton", "CUDA, and the kernels in Triton run and agree with the reference")
    if stateful:
        return Choice(
            "chunked",
            f"CUDA, but {problem}; and mamba_ssm's kernel cannot differentiate a state handed in or out",
        )
    if torch.are_deterministic_algorithms_enabled():
        return Choice(
            "chunked",
            f"CUDA, but {problem}; and deterministic algorithms: mamba_ssm's kernel sums gradients in any order",
        )
    other = backends.cuda_problem("mamba_ssm")
    if not other:
        return Choice(
            "mamba_ssm", f"CUDA, {problem}, and mamba_ssm's fused kernel gives the numbers of the reference"
        )
    return Choice("chunked", f"CUDA, but {problem}, and {other}")


def backend_problem(backend: str, device: torch.device) -> str:
    """Say what keeps a backend from running in float32 on a device.

    Parameters
    ----------
    backend : str
        One of `BACKENDS`, or "auto".
    device : torch.device

    Returns
    -------
    str
        "" if nothing does.
    """
    if backend == "numba":
        return _numba_obstacle(device, torch.float32)
    if backend == "triton":
        return _triton_obstacle(device, torch.float32)
    if backend == "mamba_ssm":
        if device.type != "cuda":
            return f"device {device.type!r}: mamba_ssm's kernels run on CUDA"
        return backends.cuda_problem("mamba_ssm")
    return ""


def _numba_obstacle(device: torch.device, dtype: torch.dtype) -> str:
    if device.type != "cpu":
        return f"device {device.type!r}: the numba kernels run on the CPU"
    if dtype == torch.float64:
        return "float64: the numba kernels compute in float32"
    return backends.numba_problem()


def _triton_obstacle(device: torch.device, dtype: torch.dtype) -> str:
    if dtype == torch.float64:
        return "float64: the Triton kernels compute in float32"
    return backends.triton_problem(device.type)


def available_backends() -> list[str]:
    """Return the names of the backends usable in this process, fastest last.

    Returns
    -------
    list of str
    """
    names = ["reference", "chunked"]
    if not backends.numba_problem():
        names.append("numba")
    if torch.cuda.is_available():
        names += [] if backends.cuda_problem("mamba_ssm") else ["mamba_ssm"]
        names += [] if backends.triton_problem() else ["triton"]
    return names


def show_backends() -> str:
    """Print which scan backends are present, which one each device would use, and why.

    Returns
    -------
    str
        The printed text.
    """
    numba_problem = backends.numba_problem()
    has_cuda = torch.cuda.is_available()
    triton_problem = backends.triton_problem() if has_cuda else "no CUDA device; not imported"
    mamba_problem = backends.cuda_problem("mamba_ssm") if has_cuda else "no CUDA device; not imported"
    rows = [
        ("reference", "", "step by step, any dtype; oracle of the others and ONNX export"),
        ("chunked", "", "pure torch, any device and dtype"),
        ("numba", numba_problem, "fused CPU kernels, float32"),
        ("triton", triton_problem, "fused CUDA kernels of this package, compiled by Triton"),
        ("mamba_ssm", mamba_problem, "fused CUDA kernels of the mamba-ssm package"),
    ]
    lines = ["Backends of the selective scan"]
    lines += [f"  {name:<10} {'no: ' + why if why else 'yes':<4} ({what})" for name, why, what in rows]
    conv_problem = backends.cuda_problem("causal_conv1d") if has_cuda else "no CUDA device; not imported"
    lines.append("Fused convolution in front of it, of the causal-conv1d package")
    lines.append(f"  causal_conv1d {'no: ' + conv_problem if conv_problem else 'yes'}")
    lines.append("Chosen by backend='auto'")
    probes = [("cpu", torch.float32), ("cpu", torch.float64)]
    if torch.cuda.is_available():
        probes.append(("cuda", torch.float32))
    if torch.backends.mps.is_available():
        probes.append(("mps", torch.float32))
    for device, dtype in probes:
        choice = choose_backend(torch.empty(0, device=device, dtype=dtype))
        label = f"{device} {str(dtype).removeprefix('torch.')}"
        lines.append(f"  {label:<13} -> {choice.name} ({choice.reason})")
    report = "\n".join(lines) + "\n"
    sys.stdout.write(report)
    return report


def _compute_dtype(*tensors: Tensor) -> torch.dtype:
    """Widest dtype of the inputs, at least float32: the recurrence loses the small steps in half precision."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def _check_shapes(
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    initial_state: Tensor | None,
) -> None:
    if x.dim() != 3 or A.dim() != 2:
        raise ParameterError(
            f"selective_scan needs x (b, t, d) and A (d, s); got {tuple(x.shape)} and {tuple(A.shape)}."
        )
    b, t, d = x.shape
    s = A.shape[1]
    if t == 0:
        raise ParameterError(f"selective_scan: x of shape {(b, t, d)} has no steps; at least one is needed.")
    expected = {
        "delta": (delta, (b, t, d)),
        "A": (A, (d, s)),
        "B": (B, (b, t, s)),
        "C": (C, (b, t, s)),
        "D": (D, (d,)),
        "z": (z, (b, t, d)),
        "delta_bias": (delta_bias, (d,)),
        "initial_state": (initial_state, (b, d, s)),
    }
    for name, (tensor, shape) in expected.items():
        if tensor is not None and tuple(tensor.shape) != shape:
            raise ParameterError(
                f"selective_scan: {name} has shape {tuple(tensor.shape)} but x {(b, t, d)} and A {tuple(A.shape)} "
                f"need {shape}; layouts are (b, t, channels)."
            )
