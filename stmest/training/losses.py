"""Losses that skip missing targets.

Builds on torch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["LOSSES", "MaskedLoss"]

LOSSES = {"mae": F.l1_loss, "mse": F.mse_loss, "huber": F.smooth_l1_loss}


class MaskedLoss(nn.Module):
    """Weighted mean of an elementwise loss over the observed targets.

    Parameters
    ----------
    kind : {"mae", "mse", "huber"}, default="mae"
        Absolute, squared or Huber loss (quadratic below 1, linear above).
    weight : Tensor of shape (n_nodes, n_targets), optional
        Factor of the error of each node and target inside the loss. With the node's scale as factor, errors count in the units
        of the data although the network works on scaled values.

    Notes
    -----
    Targets that are NaN are missing. Without any observed target the loss is 0, and so is its gradient.
    """

    weight: Tensor

    def __init__(self, kind: str = "mae", weight: Tensor | None = None):
        super().__init__()
        self.kind = kind
        self.register_buffer("weight", torch.ones(()) if weight is None else weight, persistent=False)

    def forward(self, forecast: Tensor, truth: Tensor) -> Tensor:
        """Loss of a batch.

        Parameters
        ----------
        forecast, truth : Tensor of shape (b, h, n, f)
            Scaled values; NaN in `truth` where the target is missing.

        Returns
        -------
        Tensor of shape ()
            Mean over the observed targets.
        """
        observed = ~torch.isnan(truth)
        error = torch.where(observed, (forecast - truth) * self.weight, torch.zeros_like(forecast))
        total = LOSSES[self.kind](error, torch.zeros_like(error), reduction="sum")
        return total / observed.sum().clamp(min=1)

    def by_window(self, forecast: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of every window of a batch.

        Parameters
        ----------
        forecast, truth : Tensor of shape (b, h, n, f)
            As for `forward`.

        Returns
        -------
        total, n_observed : Tensor of shape (b,)
            Sum over the observed targets, and their number.
        """
        observed = ~torch.isnan(truth)
        error = torch.where(observed, (forecast - truth) * self.weight, torch.zeros_like(forecast))
        loss = LOSSES[self.kind](error, torch.zeros_like(error), reduction="none")
        return loss.flatten(1).sum(1), observed.flatten(1).sum(1)

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"{self.kind!r}, weight={tuple(self.weight.shape)}"
