"""Patches: stretches of a series as tokens.

Builds on torch.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..exceptions import ParameterError
from .dropout import Dropout

__all__ = ["PatchEmbedding", "Patching", "choose_patching", "make_patches", "n_patches"]


def n_patches(length: int, patch: int, stride: int) -> int:
    """Patches that `make_patches` cuts from a series.

    Parameters
    ----------
    length, patch, stride : int
        Steps of the series, steps of a patch, steps between the starts of two patches.

    Returns
    -------
    int
        ``(length - patch) // stride + 2``: one more than fit into the series, for its padded end.

    Examples
    --------
    >>> n_patches(672, patch=48, stride=16), n_patches(336, patch=16, stride=8)
    (41, 42)
    """
    return (length - patch) // stride + 2


def make_patches(series: Tensor, patch: int, stride: int) -> Tensor:
    """Cut series into overlapping patches, after repeating the last step `stride` times.

    The padding brings every step into some patch, the last ones too where stride and length do not match.

    Parameters
    ----------
    series : Tensor of shape (m, t, f)
    patch, stride : int
        Steps of a patch, steps between the starts of two patches.

    Returns
    -------
    Tensor of shape (m, p, f, patch)
    """
    padded = F.pad(series.transpose(1, 2), (0, stride), mode="replicate")  # (m, f, t + stride)
    return padded.unfold(2, patch, stride).transpose(1, 2)


class Patching(NamedTuple):
    """How one branch cuts its window.

    Attributes
    ----------
    length : int
        Steps of the window, the last ones of the look-back.
    patch, stride : int
        Steps of a patch, steps between the starts of two patches.
    n_patches : int
        Patches, with the one for the padded end.
    """

    length: int
    patch: int
    stride: int
    n_patches: int


def choose_patching(
    length: int, patch: int | None, stride: int | None, largest: int, overlap: int
) -> Patching:
    """Fill in what was not given: a patch is a quarter of its window, `largest` at most; `overlap` strides make a patch.

    Parameters
    ----------
    length : int
        Steps of the window.
    patch, stride : int or None
        Steps of a patch, steps between two starts; None to choose.
    largest, overlap : int
        Longest patch to choose, strides in a patch.

    Returns
    -------
    Patching

    Raises
    ------
    ParameterError
        If the patch is longer than the window, or patches would leave steps out between them.

    Examples
    --------
    >>> choose_patching(672, None, None, largest=48, overlap=3)
    Patching(length=672, patch=48, stride=16, n_patches=41)
    >>> choose_patching(24, None, None, largest=48, overlap=3)
    Patching(length=24, patch=6, stride=2, n_patches=11)
    """
    patch = max(1, min(largest, length // 4)) if patch is None else patch
    stride = max(1, patch // overlap) if stride is None else stride
    if not 1 <= stride <= patch <= length:
        raise ParameterError(
            f"patches of {patch} steps every {stride} steps in a window of {length} steps; needed: stride <= patch <= "
            "window. Give a smaller patch or stride, or a longer input_length or local_length."
        )
    return Patching(length, patch, stride, n_patches(length, patch, stride))


class PatchEmbedding(nn.Module):
    """Patches of a series as tokens: one linear map for all of them, plus a learned vector for each position.

    Parameters
    ----------
    n_inputs : int
        Channels of the series.
    length, patch, stride : int
        Steps of the series, steps of a patch, steps between the starts of two patches.
    d_model : int
        Width of a token.
    dropout : float
        Dropout of the tokens.

    Shapes
    ------
    series (m, t, f) -> tokens (m, p, d)
    """

    def __init__(
        self, n_inputs: int, length: int, patch: int, stride: int, d_model: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.patch, self.stride = patch, stride
        self.projection = nn.Linear(n_inputs * patch, d_model)
        positions = torch.empty(n_patches(length, patch, stride), d_model)
        self.position = nn.Parameter(positions.uniform_(-0.02, 0.02))
        self.dropout = Dropout(dropout)

    def forward(self, series: Tensor) -> Tensor:
        """Map (m, t, f) to (m, p, d)."""
        patches = make_patches(series, self.patch, self.stride).flatten(2)
        return self.dropout(self.projection(patches) + self.position)

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"patch={self.patch}, stride={self.stride}"
