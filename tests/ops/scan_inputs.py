"""Random inputs of the selective scan and the comparison of a backend with the oracle."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from stmest.ops.reference import scan_reference

NAMES = ("x", "delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state")


def make_inputs(
    b: int,
    t: int,
    d: int,
    s: int,
    *,
    optional: bool = True,
    strided: bool = False,
    dtype=torch.float32,
    seed: int = 0,
) -> list[Tensor | None]:
    """Inputs in the order of NAMES; strided ones are halves of one projection, as in a Mamba block."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    x, z = draw(b, t, 2 * d).chunk(2, -1) if strided else (draw(b, t, d), draw(b, t, d))
    B, C = draw(b, t, 2 * s + 1)[..., 1:].chunk(2, -1) if strided else (draw(b, t, s), draw(b, t, s))
    A = -torch.arange(1, s + 1) * torch.exp(0.1 * draw(d, s))
    inputs = [x, 0.5 * draw(b, t, d), A.to(dtype), B, C, draw(d), z, draw(d) - 2, draw(b, d, s)]
    return inputs if optional else [*inputs[:5], None, None, None, None]


def outputs_and_gradients(
    scan: Callable[..., tuple[Tensor, Tensor]], inputs: list[Tensor | None]
) -> dict[str, Tensor]:
    """Output, final state and the gradient of a weighted sum of both with respect to each input given."""
    leaves = [None if v is None else v.detach().requires_grad_() for v in inputs]
    y, final_state = scan(*leaves)
    weight = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)
    present = [v for v in leaves if v is not None]
    gradients = torch.autograd.grad((y * weight).sum() + final_state.square().sum(), present)
    names = [f"grad {name}" for name, v in zip(NAMES, leaves, strict=True) if v is not None]
    return {"y": y.detach(), "final_state": final_state.detach(), **dict(zip(names, gradients, strict=True))}


def assert_like_oracle(
    scan: Callable[..., tuple[Tensor, Tensor]], inputs: list[Tensor | None], tolerance: float
) -> None:
    """Compare with the step loop in float64: largest error over largest value, for every output and gradient."""
    expected = outputs_and_gradients(scan_reference, [None if v is None else v.double() for v in inputs])
    for name, value in outputs_and_gradients(scan, inputs).items():
        # inputs are of order one, so a gradient far below that is a sum that cancels: its error is that of the terms
        scale = expected[name].abs().max().clamp(min=0.1)
        error = ((value - expected[name]).abs().max() / scale).item()
        assert error < tolerance, f"{name}: {error:.1e}"


def assert_gradients_of_one_result(
    scan: Callable[..., tuple[Tensor, Tensor]], inputs: list[Tensor], used: int
) -> None:
    """Compare gradients with the oracle's when only the output (0) or only the final state (1) enters the loss."""
    leaves = [v.detach().requires_grad_() for v in inputs]
    pairs = zip(
        torch.autograd.grad(scan(*leaves)[used].sum(), leaves, materialize_grads=True),
        torch.autograd.grad(scan_reference(*leaves)[used].sum(), leaves, materialize_grads=True),
        strict=True,
    )
    for got, expected in pairs:
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
