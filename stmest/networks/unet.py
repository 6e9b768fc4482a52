"""U-Net for fields, with time as channels: the convolutional baseline for fields.

Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation" (MICCAI 2015, arXiv
1505.04597), figure 1, which is the whole architecture; its equations are those of a loss for segmentation. Builds on
``layers.conv``.

=============================  =====================================================================
paper (arrows of figure 1)     here
=============================  =====================================================================
image, segmentation map        frames (b, t * f, y, x) in, (b, h * f_out, y, x) out
64 channels, 4 halvings        ``channels``, ``depth``
conv 3 x 3, ReLU, twice        `_two_convolutions`: ``enter``, ``down``, ``merge``
max pool 2 x 2                 `torch.nn.functional.max_pool2d`
up-conv 2 x 2                  ``up``
copy and crop                  ``beside``, put beside the features of the way up
conv 1 x 1                     ``leave``
=============================  =====================================================================

Where we differ, and why
------------------------
- *Time as channels.* All frames of the look-back are one image, and all frames of the horizon come out at once.
- *Padding.* Convolutions keep the size of the field; one that cannot be halved often enough is padded at its edge and
  cropped at the end.
- *Group norm and GELU* instead of no norm and ReLU: small batches train.
- *Fewer channels*, as there are fewer and smaller images than in the paper.
- *The network forecasts the residual* of the last frame or of a linear forecast. The last map is zero at first, so that
  training starts from that forecast.
- *Added*: calendar channels of all frames, in and out.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.channels import select_channels
from ..layers.conv import pad_to
from .base import ForecastNetwork, check_grid

__all__ = ["UNetNetwork"]


class UNetNetwork(ForecastNetwork):
    """U-Net from all frames of the look-back to all frames of the horizon.

    Parameters
    ----------
    grid_shape : tuple of int
        Rows and columns of the field, whose product is `n_nodes`; the nodes are the pixels, row by row.
    target_channels : sequence of int
        Input channels that are forecast.
    channels : int
        Channels of the first level; doubled on each level below.
    depth : int
        How often the field is halved.
    **sizes : int
        As `stmest.networks.base.ForecastNetwork`.
    """

    def __init__(
        self,
        *,
        grid_shape: tuple[int, int],
        target_channels: Sequence[int],
        channels: int,
        depth: int,
        **sizes: int,
    ) -> None:
        super().__init__(**sizes)
        self.grid_shape, self.target_channels = check_grid(grid_shape, self.n_nodes), list(target_channels)
        self.multiple = 2**depth
        self.from_last_frame = True
        widths = [channels * 2**level for level in range(depth + 1)]
        n_steps = self.input_length + self.horizon
        self.enter = _two_convolutions(self.input_length * self.n_inputs, widths[0])
        self.calendar = nn.Linear(n_steps * self.n_time_features, widths[0]) if self.n_time_features else None
        self.down = nn.ModuleList(_two_convolutions(narrow, wide) for narrow, wide in pairwise(widths))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(wide, narrow, 2, stride=2) for narrow, wide in pairwise(widths)
        )
        self.merge = nn.ModuleList(_two_convolutions(2 * width, width) for width in widths[:-1])
        self.leave = nn.Conv2d(widths[0], self.horizon * self.n_outputs, 1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def start_at_zero(self) -> None:
        """Begin with a forecast of 0 everywhere: the last frame is not added."""
        self.from_last_frame = False

    def forward(
        self, x: Tensor, time: Tensor | None = None, ahead: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Forecast fields; see `ForecastNetwork.forward`. There are no auxiliary losses."""
        b, t, n, f = x.shape
        image = x.transpose(2, 3).reshape(b, t * f, *self.grid_shape)  # b (t f) y x
        image = pad_to(image, self.multiple)
        features = self.enter(image)
        if self.calendar is not None and time is not None:
            features = features + self.calendar(time.flatten(1))[:, :, None, None]
        beside = []
        for down in self.down:
            beside.append(features)
            features = down(F.max_pool2d(features, 2))
        for up, merge in zip(reversed(self.up), reversed(self.merge), strict=True):
            features = merge(torch.cat([beside.pop(), up(features)], dim=1))
        change = self.leave(features)[..., : self.grid_shape[0], : self.grid_shape[1]]
        change = change.reshape(b, self.horizon, self.n_outputs, n).transpose(2, 3)
        return (
            select_channels(x[:, -1:], self.target_channels) + change if self.from_last_frame else change
        ), {}


def _two_convolutions(n_in: int, n_out: int) -> nn.Sequential:
    """Two 3 x 3 convolutions, each with normalisation and activation."""
    n_groups = next(groups for groups in (8, 4, 2, 1) if n_out % groups == 0)
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, padding=1),
        nn.GroupNorm(n_groups, n_out),
        nn.GELU(),
        nn.Conv2d(n_out, n_out, 3, padding=1),
        nn.GroupNorm(n_groups, n_out),
        nn.GELU(),
    )
