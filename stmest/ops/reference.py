"""The selective scan and the causal convolution, one step at a time, in any dtype: the oracle of every other backend.

Builds on torch. The tests compare all backends with it in float64; the ONNX export uses it because a loop
over a fixed length unrolls into standard operators. Nothing here is written for speed.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["causal_conv1d_reference", "scan_reference"]


def scan_reference(
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    initial_state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Run the recurrence step by step.

    Parameters
    ----------
    x, delta, z : Tensor of shape (b, t, d)
        Input, raw step size, optional gate.
    A : Tensor of shape (d, s)
        Continuous decay rates, negative.
    B, C : Tensor of shape (b, t, s)
        Input and output projections of the state.
    D, delta_bias : Tensor of shape (d,), optional
        Skip weight, bias of the step size.
    initial_state : Tensor of shape (b, d, s), optional
        State before the first step; zero if missing.

    Returns
    -------
    y : Tensor of shape (b, t, d)
    final_state : Tensor of shape (b, d, s)
    """
    step = F.softplus(delta if delta_bias is None else delta + delta_bias)
    state = x.new_zeros(x.shape[0], *A.shape) if initial_state is None else initial_state
    outputs = []
    # unbind, not indexing: the gradient of x[:, t] is a full-size tensor per step, hence quadratic in the length
    for step_t, x_t, B_t, C_t in zip(*(v.unbind(1) for v in (step, x, B, C)), strict=True):
        decay = torch.exp(step_t.unsqueeze(-1) * A)  # (b, d, s)
        state = decay * state + (step_t * x_t).unsqueeze(-1) * B_t.unsqueeze(1)
        outputs.append((state * C_t.unsqueeze(1)).sum(-1))  # (b, d)
    y = torch.stack(outputs, dim=1)
    if D is not None:
        y = y + D * x
    if z is not None:
        y = y * F.silu(z)
    return y, state


def causal_conv1d_reference(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: bool = True
) -> Tensor:
    """Convolve each channel with its own filter, looking backwards only.

    Parameters
    ----------
    x : Tensor of shape (b, t, d)
    weight : Tensor of shape (d, w)
        ``weight[:, -1]`` multiplies the present step.
    bias : Tensor of shape (d,), optional
    activation : bool
        Apply SiLU to the result.

    Returns
    -------
    Tensor of shape (b, t, d)
    """
    n_steps, width = x.shape[1], weight.shape[1]
    padded = F.pad(x, (0, 0, width - 1, 0))  # (b, w - 1 + t, d)
    y = padded[:, :n_steps] * weight[:, 0]
    for k in range(1, width):
        y = torch.addcmul(y, padded[:, k : k + n_steps], weight[:, k])
    if bias is not None:
        y = y + bias
    return F.silu(y) if activation else y
