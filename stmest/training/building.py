"""Networks are built with random numbers of their own, once it is known that their weights fit into memory.

Builds on `diagnostics` and torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import init
from torch.overrides import TorchFunctionMode

from ..exceptions import OutOfMemoryError
from ..runtime import free_memory, random_generator
from .diagnostics import is_out_of_memory

__all__ = ["FACTORIES", "build_network"]

Built = TypeVar("Built", bound=nn.Module)

# Functions that make tensors
FACTORIES: frozenset[Callable[..., Any]] = frozenset({
    torch.arange, torch.empty, torch.eye, torch.full, torch.linspace, torch.ones, torch.rand, torch.randint, torch.randn,
    torch.zeros,
})  # fmt: skip
# Functions that draw random numbers, from torch's own generator unless they are given one
_DRAWING = frozenset({
    torch.rand, torch.randint, torch.randn, torch.randperm, torch.normal, torch.bernoulli, torch.multinomial,
    Tensor.bernoulli, Tensor.bernoulli_, Tensor.cauchy_, Tensor.exponential_, Tensor.geometric_, Tensor.log_normal_,
    Tensor.multinomial, Tensor.normal_, Tensor.random_, Tensor.uniform_,
    init.kaiming_normal_, init.kaiming_uniform_, init.normal_, init.orthogonal_, init.sparse_, init.trunc_normal_,
    init.uniform_, init.xavier_normal_, init.xavier_uniform_,
})  # fmt: skip
# A network of more tensors is a mistake, and takes minutes to build
_MOST_TENSORS = 50_000


def build_network(name: str, build: Callable[[], Built]) -> Built:
    """Build a network on the CPU, once it is known that its weights fit into memory.

    It is built on torch's meta device first, which has no values, and its weights are counted as they are made. Then it is built
    with the random numbers of the block of `stmest.runtime.seeded` around, if there is one.

    Parameters
    ----------
    name : str
        Of the forecaster.
    build : callable
        Returns the network.

    Returns
    -------
    Module
        What `build` returns.

    Raises
    ------
    OutOfMemoryError
        With a remedy, if the weights need more than the free memory, or if there are more than 50,000 of them.
    """
    try:
        with _CountedSize(free_memory()), torch.device("meta"):
            build()
    except _TooLargeError as error:
        raise _too_large(name) from error
    except Exception as error:
        if _is_too_large(error):
            raise _too_large(name) from error
        # else the network cannot be built without values; if it cannot be built at all, it says so now
    try:
        with _OwnNumbers():
            return build()
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, OutOfMemoryError) or not _is_too_large(error):
            raise
        raise _too_large(name) from error


class _TooLargeError(Exception):
    """The network that is being built does not fit."""


class _CountedSize(TorchFunctionMode):
    """Counts the bytes, and the number, of the tensors that are made in this thread."""

    def __init__(self, limit: int | None) -> None:
        super().__init__()
        self.limit, self.n_bytes, self.n_tensors = limit, 0, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if func in FACTORIES:
            self.n_bytes += made.numel() * made.element_size()
            self.n_tensors += 1
            if self.n_tensors > _MOST_TENSORS or (self.limit is not None and self.n_bytes > self.limit):
                raise _TooLargeError
        return made


class _OwnNumbers(TorchFunctionMode):
    """Lets what is drawn in this thread come from the generator of the fit, also where a layer of torch draws it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in _DRAWING and kwargs.get("generator") is None:
            kwargs["generator"] = random_generator(torch.device("cpu"))
        return func(*args, **kwargs)


def _is_too_large(error: BaseException) -> bool:
    """Whether an error means that a tensor has more values than can be counted or kept."""
    text = str(error).lower()
    return (
        is_out_of_memory(error)
        or isinstance(error, OverflowError)
        or "overflow" in text
        or "invalid size" in text
    )


def _too_large(name: str) -> OutOfMemoryError:
    return OutOfMemoryError(
        f"memory does not suffice for the weights of {name}: take smaller widths (such as d_model, head_width, d_state), "
        "fewer layers, or fewer nodes."
    )
