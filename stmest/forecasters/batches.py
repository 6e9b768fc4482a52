"""Training batches: raw windows as the network takes them, beside the scaled errors that it is to correct.

Used by `network`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.chunks import row_pieces
from ..data.windows import Windows

__all__ = ["WindowLoader", "has_gaps"]


class WindowLoader:
    """Reads training batches: raw windows -> network inputs and scaled targets."""

    def __init__(self, forecaster: Any, windows: Windows):
        self.encode, self.start = forecaster._encode, forecaster._start
        self.scale = forecaster.scaler_.scale[:, windows.target]
        self.windows = windows
        self.latest: list[int] = []  # the batch that a loss without a number belongs to

    def __call__(self, positions: list[int]) -> tuple[dict[str, Tensor], Tensor]:
        """Network inputs and scaled targets of the windows at some positions."""
        self.latest = positions
        batch = self.windows.gather(positions)
        target = ((batch.y - self.start(batch.x)) / self.scale).astype(np.float32)
        return self.encode(batch.x, batch.time), torch.from_numpy(target)


def has_gaps(values: np.ndarray) -> bool:
    """Whether a reading is missing; read in pieces."""
    return any(bool(np.isnan(piece).any()) for _, piece in row_pieces(values))
