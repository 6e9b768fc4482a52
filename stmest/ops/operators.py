"""Functions with gradients of their own as torch operators, called directly where nothing traces or transforms them.

Builds on torch; used by the operators of `cpu` and `triton`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from .internals import is_followed

__all__ = ["Operator", "operator"]


class Operator:
    """A function of tensors as ``torch.ops.stmest.<name>``, called directly where nothing traces or transforms it.

    torch.compile, torch.export, fake tensors and whatever else follows a computation see one opaque operator. The way
    through PyTorch's dispatcher and back takes as long as a small scan, so a plain call does not go it.

    Parameters
    ----------
    name : str
        Of the operator, within the namespace of this package.
    function : callable
        Takes a tensor first; its annotations give the operator's schema. Changes none of its arguments.
    device : str or None
        Type of the device that it computes on; None: on any.
    """

    def __init__(self, name: str, function: Callable[..., Any], device: str | None = "cpu") -> None:
        self.name, self.function = name, function
        self.traced = torch.library.custom_op(
            f"stmest::{name}", function, mutates_args=(), device_types=device
        )
        self._differentiable: Any = None

    def register_fake(self, function: Callable[..., Any]) -> None:
        """Tell what the outputs look like, given tensors without content."""
        self.traced.register_fake(function)

    def register_gradients(self, gradients: Callable[..., Any], save: Callable[..., None]) -> None:
        """Tell how to differentiate once: ``save(ctx, inputs, output)`` and ``gradients(ctx, *gradients of the outputs)``."""
        self.traced.register_autograd(gradients, setup_context=save)

        def forward(ctx: Any, *arguments: Any) -> Any:
            output = self.function(*arguments)
            save(ctx, arguments, output)
            return output

        methods = {"forward": staticmethod(forward), "backward": staticmethod(once_differentiable(gradients))}
        self._differentiable = type(self.name, (torch.autograd.Function,), methods)

    def __call__(self, *arguments: Any) -> Any:
        """Run the function on arguments given by position."""
        if is_followed(arguments[0]):
            return self.traced(*arguments)
        if self._differentiable is not None:
            return self._differentiable.apply(*arguments)
        # without gradients of its own: as an operator it says so when it is differentiated
        return self.traced(*arguments) if torch.is_grad_enabled() else self.function(*arguments)


def operator(name: str, device: str | None = "cpu") -> Callable[[Callable[..., Any]], Operator]:
    """Make an `Operator` of the decorated function."""
    return lambda function: Operator(name, function, device)
