"""What all launches share. Builds on torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["OPTIONS", "empty_float", "on_device", "rows", "strides"]

# Given with every launch: the default of Triton differs from release to release.
OPTIONS = {"enable_fp_fusion": True}


def rows(v: Tensor) -> Tensor:
    """The tensor, its last axis contiguous, as the kernels need it."""
    return v if v.stride(-1) == 1 else v.contiguous()


def strides(*tensors: Tensor) -> tuple[int, ...]:
    """Strides of the first two axes of each tensor."""
    return tuple(stride for v in tensors for stride in v.stride()[:2])


def empty_float(like: Tensor, *shape: int) -> Tensor:
    """Room for numbers in single precision, on the device of a tensor."""
    return torch.empty(shape, dtype=torch.float32, device=like.device)


def on_device(v: Tensor) -> Any:
    """Context in which Triton, which launches on torch's current device, launches on that of a tensor."""
    return torch.cuda.device(v.device if v.device.type == "cuda" else -1)
