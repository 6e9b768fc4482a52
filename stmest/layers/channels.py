"""Channels of a tensor by number. Builds on torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["replace_channels", "select_channels"]


def select_channels(x: Tensor, channels: Sequence[int]) -> Tensor:
    """Channels of x (..., f) by number, in the order given.

    Indexing with a list does the same, and moves the numbers to the device at every call: on a CUDA device all waits for that.

    Parameters
    ----------
    x : Tensor of shape (..., f)
    channels : sequence of int

    Returns
    -------
    Tensor of shape (..., len(channels))
    """
    return torch.stack([x[..., channel] for channel in channels], -1)


def replace_channels(x: Tensor, channels: Sequence[int], values: Tensor) -> Tensor:
    """Put other values into some channels of a tensor, which stays as it is.

    Parameters
    ----------
    x : Tensor of shape (..., f)
    channels : sequence of int
    values : Tensor of shape (..., len(channels))

    Returns
    -------
    Tensor of shape (..., f)
    """
    parts = list(x.unbind(-1))
    for channel, value in zip(channels, values.unbind(-1), strict=True):
        parts[channel] = value
    return torch.stack(parts, -1)
