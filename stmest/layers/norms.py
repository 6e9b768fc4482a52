"""Normalisations: over the channels of one scale, of fields and of tokens, and per window over time.

Builds on torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .channels import replace_channels, select_channels

__all__ = [
    "FIELD_NORMS",
    "TOKEN_NORMS",
    "InstanceNorm",
    "ScaleNorm",
    "TokenBatchNorm",
    "WindowStatistics",
    "field_norm",
    "token_norm",
]

FIELD_NORMS = ("batch", "layer", "group")
TOKEN_NORMS = ("layer", "batch")


class FieldBatchNorm(nn.BatchNorm2d):
    """Batch normalisation that takes a single value per channel too: it has no spread, so the running one counts."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (m, c, y, x)."""
        if self.training and x.numel() == x.shape[1]:
            known = self.running_mean, self.running_var, self.weight, self.bias
            return F.batch_norm(x, *known, training=False, eps=self.eps)
        return super().forward(x)


def field_norm(kind: str, n_channels: int) -> nn.Module:
    """Norm of fields (m, c, y, x).

    Parameters
    ----------
    kind : {"batch", "layer", "group"}
        Of each channel over all fields, of each field over all its channels, or of each field over half of its channels.
    n_channels : int

    Returns
    -------
    Module
    """
    if kind == "batch":
        return FieldBatchNorm(n_channels)
    n_groups = 2 if kind == "group" and n_channels % 2 == 0 else 1
    return nn.GroupNorm(n_groups, n_channels)


class TokenBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of each channel over all tokens: (m, p, d) -> (m, p, d)."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (m, p, d)."""
        return super().forward(x.flatten(0, 1)).view_as(x)


def token_norm(kind: str, d_model: int) -> nn.Module:
    """Return a norm over the channels of each token, ``"layer"``, or over the tokens of each channel, ``"batch"``."""
    return nn.LayerNorm(d_model) if kind == "layer" else TokenBatchNorm(d_model)


class ScaleNorm(nn.Module):
    """Layer normalisation over the channels of each scale apart, so that no scale sees another one through it.

    Parameters
    ----------
    n_scales, d_model : int
        Scales, and channels of each.
    eps : float
        Added to the variance.

    Shapes
    ------
    input (..., k, d, m) -> output (..., k, d, m); m counts positions, for instance windows times steps
    """

    def __init__(self, n_scales: int, d_model: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(n_scales, d_model, 1))
        self.bias = nn.Parameter(torch.zeros(n_scales, d_model, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (..., k, d, m) over d."""
        # sums of planes: d is short and not innermost, where `layer_norm` and `var_mean` are slower
        x = x - x.mean(-2, keepdim=True)
        x = x * ((x * x).mean(-2, keepdim=True) + self.eps).rsqrt()
        return torch.addcmul(self.bias, x, self.weight)

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"n_scales={self.weight.shape[0]}, d_model={self.weight.shape[1]}"


class WindowStatistics(NamedTuple):
    """Level and spread of each window, node and target; both (b, 1, n, f), without gradient."""

    mean: Tensor
    scale: Tensor


class InstanceNorm(nn.Module):
    """Remove level and spread of each window, and give them back to the forecast.

    Kim et al., "Reversible Instance Normalization for Accurate Time-Series Forecasting against Distribution Shift"
    (ICLR 2022), without its affine part. Statistics are those of the observed steps, per window, node and target;
    other input channels pass unchanged.

    Parameters
    ----------
    target_channels : sequence of int
        Positions of the targets among the input channels.
    observed_channels : sequence of int, optional
        For each target, the position of the 0/1 channel that says where it was observed; everything counts as
        observed without them.
    eps : float
        Added to the variance, population variance over the observed steps.
    keep_filled : bool
        Whether missing steps keep what they were filled with, from the first observation on; else, and before it, they
        are 0, the mean, after normalisation.

    Attributes
    ----------
    returns_level : bool
        Whether `inverse` adds the mean. A network that forecasts the residual of another forecast restores the spread only.

    Shapes
    ------
    ``forward``: x (b, t, n, f) -> the same, statistics (b, 1, n, f_out); ``inverse``: (b, h, n, f_out) -> the same
    """

    def __init__(
        self,
        target_channels: Sequence[int],
        observed_channels: Sequence[int] | None = None,
        eps: float = 1e-5,
        keep_filled: bool = False,
    ) -> None:
        super().__init__()
        self.target_channels = list(target_channels)
        self.observed_channels = None if observed_channels is None else list(observed_channels)
        self.eps, self.keep_filled = eps, keep_filled
        self.returns_level = True

    def forward(self, x: Tensor) -> tuple[Tensor, WindowStatistics]:
        """Normalise the target channels of x (b, t, n, f)."""
        target = select_channels(x, self.target_channels)
        observed = torch.ones_like(target)
        if self.observed_channels is not None:
            observed = select_channels(x, self.observed_channels)
        with torch.no_grad():
            count = observed.sum(1, keepdim=True).clamp(min=1.0)
            mean = (target * observed).sum(1, keepdim=True) / count
            variance = ((target - mean).square() * observed).sum(1, keepdim=True) / count
            seen = observed.any(1, keepdim=True)
            scale = torch.where(seen, (variance + self.eps).sqrt(), torch.ones_like(variance))
            filled = self.keep_filled and self.observed_channels is not None
            known = observed.cummax(1).values if filled else observed
        normalised = (target - mean) / scale * known
        return replace_channels(x, self.target_channels, normalised), WindowStatistics(mean, scale)

    def inverse(self, forecast: Tensor, statistics: WindowStatistics) -> Tensor:
        """Give level and spread back to a forecast (b, h, n, f_out)."""
        scaled = forecast * statistics.scale
        return scaled + statistics.mean if self.returns_level else scaled

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"target_channels={self.target_channels}, observed_channels={self.observed_channels}"
