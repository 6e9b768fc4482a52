"""A CUDA device that is not there: tensors that say they are on one, hold their values on the CPU, and refuse to be mixed.

Whole networks, fit and predict run on it with real values, so that what would fail on a GPU fails here: a tensor of the CPU among
those of the device, numpy's look into its memory, a view that the memory of a CUDA package's result does not allow. To torch
itself these tensors are on its meta device; only Python code sees "cuda".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map, tree_map_only

__all__ = ["CUDA", "OnCuda", "pretended_cuda"]

CUDA, _META, _CPU = torch.device("cuda", 0), torch.device("meta"), torch.device("cpu")
_COPYING = {torch.ops.aten.copy_, torch.ops.aten._to_copy}
_INDEXING = {
    torch.ops.aten.index,
    torch.ops.aten.index_put,
    torch.ops.aten.index_put_,
}  # torch moves the indices


class OnCuda(Tensor):
    """A tensor on the device; `held` has its values."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Any:
        return Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            layout=held.layout, device=_META,
        )  # fmt: skip

    def __init__(self, held: Tensor) -> None:
        self.held = held

    device = property(lambda self: CUDA)  # type: ignore[assignment]

    def __repr__(self, **kwargs: Any) -> str:
        return f"OnCuda({self.held!r})"

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["held"], None

    @staticmethod
    def __tensor_unflatten__(inner: Any, context: None, size: Any, stride: Any) -> OnCuda:
        return OnCuda(inner["held"])

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        _refuse_mixtures(func.overloadpacket, args, kwargs)
        found = func(*tree_map(_on_host, args), **tree_map(_on_host, kwargs))
        copied = func.overloadpacket in _COPYING
        if copied and not (isinstance(args[0], OnCuda) and kwargs.get("device", _META) != _CPU):
            return args[0] if func.overloadpacket is torch.ops.aten.copy_ else found
        found = tree_map_only(Tensor, lambda t: t if isinstance(t, OnCuda) else OnCuda(t), found)
        return return_and_correct_aliasing(func, args, kwargs, found)


def _on_host(value: Any) -> Any:
    """The same in the memory of the CPU."""
    if isinstance(value, OnCuda):
        return value.held
    if isinstance(value, Tensor) and value.device == _META:
        return torch.zeros(
            value.shape, dtype=value.dtype
        )  # autograd makes them for an output that nobody used
    return _CPU if value == _META and isinstance(value, torch.device) else value


def _refuse_mixtures(operation: Any, args: Any, kwargs: Any) -> None:
    if operation in _COPYING:
        return
    args = (args[0], *args[2:]) if operation in _INDEXING else args
    for leaf in tree_leaves((args, kwargs)):
        if isinstance(leaf, Tensor) and leaf.device == _CPU and leaf.dim():  # numbers may be anywhere
            raise RuntimeError(
                f"{operation}: a CPU tensor of shape {tuple(leaf.shape)} among those on {CUDA}"
            )


class _Making(TorchDispatchMode):
    """What is made on the meta device, or moved there, is on the pretended one."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        inside = any(isinstance(leaf, OnCuda) for leaf in tree_leaves((args, kwargs)))
        if inside or kwargs.get("device") != _META:
            return func(*args, **kwargs)
        return OnCuda(func(*args, **{**kwargs, "device": _CPU}))


class _Saying(TorchFunctionMode):
    """Python code says "cuda" to the device that torch knows as meta."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.tolist and isinstance(
            args[0], OnCuda
        ):  # which torch refuses for classes of tensors
            return args[0].held.tolist()
        if func is not torch.device:
            args, kwargs = tree_map(_meta_for_cuda, (args, kwargs or {}))
        return func(*args, **(kwargs or {}))


def _meta_for_cuda(value: Any) -> Any:
    named = isinstance(value, str) and value.split(":")[0] == "cuda"
    return _META if named or (isinstance(value, torch.device) and value.type == "cuda") else value


@contextmanager
def pretended_cuda() -> Iterator[None]:
    """Within this context, ``device="cuda"`` means `OnCuda` in torch's functions."""
    with _Saying(), _Making():
        yield
