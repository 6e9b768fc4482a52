"""A device that is not there, CUDA or MPS: tensors that say they are on it, hold their values on the CPU, and refuse to be mixed.

Whole networks, fit and predict run on it with real values, so that what would fail on a GPU fails here: a tensor of the CPU among
those of the device, numpy's look into its memory, a view that the memory of a CUDA package's result does not allow, double
precision on MPS. To torch itself these tensors are on its meta device; only Python code sees "cuda" or "mps".
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

__all__ = ["OnDevice", "nothing_waits", "pretended_device"]

_META, _CPU = torch.device("meta"), torch.device("cpu")
_COPYING = {torch.ops.aten.copy_, torch.ops.aten._to_copy}
_INDEXING = {
    torch.ops.aten.index,
    torch.ops.aten.index_put,
    torch.ops.aten.index_put_,
}  # torch moves the indices
_WAITING = {  # for a number, or for the size of their result
    torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero, torch.ops.aten.bincount, torch.ops.aten.masked_select,
    torch.ops.aten.equal, torch.ops.aten._unique2,
}  # fmt: skip


class OnDevice(Tensor):
    """A tensor on the device; `held` has its values."""

    held: Tensor
    where = torch.device("cuda", 0)  # within `pretended_device`, that one
    may_wait = True  # but within `nothing_waits`

    @staticmethod
    def __new__(cls, held: Tensor) -> Any:
        if cls.where.type == "mps" and held.dtype == torch.float64:
            raise TypeError("MPS has no double precision")
        return Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            layout=held.layout, device=_META,
        )  # fmt: skip

    def __init__(self, held: Tensor) -> None:
        self.held = held

    device = property(lambda self: OnDevice.where)  # type: ignore[assignment]

    def __repr__(self, **kwargs: Any) -> str:
        return f"OnDevice({self.held!r})"

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["held"], None

    @staticmethod
    def __tensor_unflatten__(inner: Any, context: None, size: Any, stride: Any) -> OnDevice:
        return OnDevice(inner["held"])

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        _refuse_mixtures(func.overloadpacket, args, kwargs)
        if not cls.may_wait:
            _refuse_waiting(func.overloadpacket, args, kwargs)
        found = func(*tree_map(_on_host, args), **tree_map(_on_host, kwargs))
        copied = func.overloadpacket in _COPYING
        if copied and not (isinstance(args[0], OnDevice) and kwargs.get("device", _META) != _CPU):
            return args[0] if func.overloadpacket is torch.ops.aten.copy_ else found
        found = tree_map_only(Tensor, lambda t: t if isinstance(t, OnDevice) else OnDevice(t), found)
        return return_and_correct_aliasing(func, args, kwargs, found)


def _on_host(value: Any) -> Any:
    """The same in the memory of the CPU."""
    if isinstance(value, OnDevice):
        return value.held
    if isinstance(value, Tensor) and value.device == _META:
        assert value.is_floating_point(), "the values of a tensor that torch itself made are lost"
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
                f"{operation}: a CPU tensor of shape {tuple(leaf.shape)} among those on {OnDevice.where}"
            )


def _refuse_waiting(operation: Any, args: Any, kwargs: Any) -> None:
    waits = operation in _WAITING
    if operation in _INDEXING:
        waits = any(isinstance(index, Tensor) and not isinstance(index, OnDevice) for index in args[1])
    elif operation is torch.ops.aten.copy_:
        waits = isinstance(args[0], OnDevice) != isinstance(args[1], OnDevice)
    elif operation is torch.ops.aten._to_copy:
        waits = kwargs.get("device", _META) == _CPU
    if waits:
        raise RuntimeError(f"{operation} waits for {OnDevice.where}")


class _Making(TorchDispatchMode):
    """What is made on the meta device, or moved there, is on the pretended one."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        inside = any(isinstance(leaf, OnDevice) for leaf in tree_leaves((args, kwargs)))
        if inside or kwargs.get("device") != _META:
            return func(*args, **kwargs)
        if not OnDevice.may_wait and func.overloadpacket in _COPYING:
            raise RuntimeError(f"{func.overloadpacket} moves a tensor to {OnDevice.where}")
        return OnDevice(func(*args, **{**kwargs, "device": _CPU}))


class _Saying(TorchFunctionMode):
    """Python code says "cuda" or "mps" to the device that torch knows as meta."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.tolist and isinstance(
            args[0], OnDevice
        ):  # which torch refuses for classes of tensors
            if not OnDevice.may_wait:
                raise RuntimeError(f"tolist waits for {OnDevice.where}")
            return args[0].held.tolist()
        if func in (Tensor.__getitem__, Tensor.__setitem__):  # torch itself would make tensors of lists
            args = (args[0], _without_lists(args[1]), *args[2:])
        elif func is not torch.device:
            args, kwargs = tree_map(_meta_for_it, (args, kwargs or {}))
        return func(*args, **(kwargs or {}))


def _without_lists(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(_without_lists(part) for part in index)
    return torch.tensor(index) if isinstance(index, list) else index


def _meta_for_it(value: Any) -> Any:
    name = OnDevice.where.type
    named = isinstance(value, str) and value.split(":")[0] == name
    return _META if named or (isinstance(value, torch.device) and value.type == name) else value


@contextmanager
def pretended_device(name: str = "cuda") -> Iterator[torch.device]:
    """Within this context the device of this name is there, in torch's functions."""
    before, OnDevice.where = OnDevice.where, torch.device(name, 0)
    try:
        with _Saying(), _Making():
            yield OnDevice.where
    finally:
        OnDevice.where = before


@contextmanager
def nothing_waits() -> Iterator[None]:
    """Within this context, what makes the CPU wait for the device is an error, and so is what moves a tensor there or back."""
    OnDevice.may_wait = False
    try:
        yield
    finally:
        OnDevice.may_wait = True
