"""A small scan and convolution, forward and backward, against the reference: whether the kernels can be trusted here.

Builds on the kernels and on `stmest.ops.reference`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..reference import causal_conv1d_reference, scan_reference
from .causal_conv import convolution
from .selective_scan import scan

__all__ = ["check"]

_TOLERANCE = 1e-3


def check(device: torch.device) -> str:
    """Compare the kernels with the reference on a device.

    Parameters
    ----------
    device : torch.device

    Returns
    -------
    str
        Empty if they agree, else what does not.
    """
    generator = torch.Generator().manual_seed(0)
    b, t, d, s = 2, 20, 4, 2
    shapes = [(b, t, d), (b, t, d), (d, s), (b, t, s), (b, t, s), (d,), (b, t, d), (d,), (b, d, s)]
    inputs = [torch.randn(shape, generator=generator) for shape in shapes]
    inputs[2] = -inputs[2].exp()
    pairs: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor], list[Tensor]]] = {
        "scan": (lambda *v: scan(*v, False, True)[0], lambda *v: scan_reference(*v)[0], inputs),
        "convolution": (
            lambda *v: convolution(*v, True),
            causal_conv1d_reference,
            [inputs[0], torch.randn(d, 4, generator=generator), inputs[5]],
        ),
    }
    # the first forecast of a process asks in inference mode, in which nothing could be differentiated
    with torch.inference_mode(False), torch.autocast(device.type, enabled=False):
        for name, (ours, reference, given) in pairs.items():
            found = _with_gradients(ours, [v.to(device) for v in given])
            wanted = _with_gradients(reference, [v.double() for v in given])
            error = max(float((f.cpu() - w).abs().max()) for f, w in zip(found, wanted, strict=True))
            if not error < _TOLERANCE:
                return f"the {name} in Triton is off by {error:.1e} from the reference on this device"
    return ""


def _with_gradients(function: Callable[..., Tensor], inputs: list[Tensor]) -> list[Tensor]:
    with torch.enable_grad():
        leaves = [v.clone().requires_grad_() for v in inputs]
        y = function(*leaves)
        return [y.detach(), *torch.autograd.grad(y.sum(), leaves)]
