"""How the operators of the selective scan are differentiated: the same for every device. Builds on torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .operators import Operator

__all__ = ["register_scan_gradients"]


def register_scan_gradients(scan: Operator, backward: Callable[..., list[Tensor]]) -> None:
    """Tell an operator of the scan how to differentiate once.

    Parameters
    ----------
    scan : Operator
        Takes the nine inputs of the scan, some of them None, and two flags; returns y, the final state or an empty tensor, and
        what it kept for the way back.
    backward : callable
        Takes the gradients of y and of the final state (or None), the nine inputs and what was kept; returns the gradients of
        the inputs, anything where one is None.
    """

    def save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs[:9], output[2])
        ctx.set_materialize_grads(False)

    def gradients(
        ctx: Any, grad_y: Tensor | None, grad_final: Tensor | None, _: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        *inputs, kept = ctx.saved_tensors
        if grad_y is None and grad_final is None:
            return (None,) * 11
        if grad_y is None:
            grad_y = torch.zeros_like(inputs[0])
        if grad_final is not None and grad_final.numel() == 0:
            grad_final = None
        found = backward(grad_y, grad_final, *inputs, kept)
        present = [None if v is None else g for v, g in zip(inputs, found, strict=True)]
        return (*present, None, None)

    scan.register_gradients(gradients, save)
