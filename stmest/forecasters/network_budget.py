"""`NetworkBudget`: bounds what the networks of a model file may allocate, as a crafted file may describe huge ones.

Builds on torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from ..exceptions import ModelFileError
from ..training.building import FACTORIES
from ..training.diagnostics import available_memory

__all__ = ["NetworkBudget"]

_SPARE_NUMBERS, _NUMBERS_PER_WEIGHT = 4_000_000, 8
_SPARE_CALLS, _CALLS_PER_WEIGHT = 2_000, 100


class NetworkBudget(TorchFunctionMode):
    """Bounds the networks of a file, those of all members together, before memory is allocated.

    Counts the numbers that torch's factory functions allocate. A file is refused if its parameters describe networks many times
    larger than the weights that it holds, or if several networks refer to the same weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.n_numbers, self.n_calls = _SPARE_NUMBERS, _SPARE_CALLS
        self.seen: set[int] = set()

    def add(self, weights: dict[str, np.ndarray], n_nodes: int) -> None:
        """Allow for a network with some weights."""
        places = {array.ctypes.data for array in weights.values() if array.size}
        if places & self.seen:
            raise ModelFileError("two of its networks refer to the same weights")
        self.seen |= places
        n_numbers = sum(array.size for array in weights.values()) + n_nodes**2
        self.n_numbers += _NUMBERS_PER_WEIGHT * n_numbers
        free = available_memory(torch.device("cpu"))
        self.n_numbers = self.n_numbers if free is None else min(self.n_numbers, free // 4)
        self.n_calls += _CALLS_PER_WEIGHT * len(weights)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in FACTORIES:
            described = {key: value for key, value in kwargs.items() if key != "generator"}
            self.n_numbers -= func(*args, **{**described, "device": "meta"}).numel()
            self.n_calls -= 1
            if self.n_numbers < 0 or self.n_calls < 0:
                raise ModelFileError(
                    "its parameters describe a network far larger than the weights that it holds"
                )
        return func(*args, **kwargs)
