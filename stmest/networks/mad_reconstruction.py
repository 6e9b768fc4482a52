"""MAD's reconstruction: its own encoder, a refinement by Mamba or an alternative, and a decoder back to the input.

Builds on ``layers.conv``, ``layers.mamba`` and ``layers.norms``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..exceptions import ParameterError
from ..layers.conv import ConvBlock, FieldDecoder, FieldEncoder, MultiKernelBlock, UpBlock
from ..layers.mamba import BidirectionalMamba
from ..layers.norms import token_norm
from .mad_space import NodeConv

__all__ = ["DIRECTIONS", "RECONSTRUCTIONS", "GridReconstruction", "MambaResidual", "NodeReconstruction"]

RECONSTRUCTIONS = ("mamba", "conv", "unet")
DIRECTIONS = ("sum", "concat")


class MambaResidual(nn.Module):
    """``norm(z + mamba(norm(z)))`` over a sequence, in both directions (equations 4 and 7 to 10 of the paper).

    Parameters
    ----------
    d_model, d_state : int
    norm : {"batch", "layer", "group"}
        Of its input: of each channel over all tokens, or of each token, as with ``"layer"`` and ``"group"``.
    directions : {"sum", "concat"}
        Whether the two directions are added, or put side by side, through GELU and a linear map.
    scan_backend : str

    Shapes
    ------
    (b, m, d) -> (b, m, d)
    """

    def __init__(
        self,
        d_model: int,
        d_state: int,
        norm: str = "group",
        directions: str = "sum",
        scan_backend: str = "auto",
    ) -> None:
        super().__init__()
        self.norm_in = token_norm("batch" if norm == "batch" else "layer", d_model)
        self.mamba = BidirectionalMamba(d_model, d_state, scan_backend=scan_backend)
        self.join = nn.Linear(2 * d_model, d_model) if directions == "concat" else None
        self.norm_out = nn.LayerNorm(d_model)

    def forward(self, z: Tensor) -> Tensor:
        """Refine the sequence."""
        seen = self.norm_in(z)
        if self.join is None:
            return self.norm_out(z + self.mamba(seen))
        both = self.mamba.forwards(seen), self.mamba.backwards(seen.flip(1)).flip(1)
        return self.norm_out(z + self.join(F.gelu(torch.cat(both, dim=-1))))


class MultiKernelRefinement(nn.Module):
    """U-shaped multi-kernel convolutions over all frames at once, with Mamba over the pixels between its halves.

    Parameters
    ----------
    n_channels : int
        Input steps times channels of a frame.
    hidden : int
        Width between.
    kernels : sequence of int
        Of the multi-kernel blocks.
    mamba : MambaResidual or None
        None leaves it out.
    norm : {"batch", "layer", "group"}

    Shapes
    ------
    (b, n_channels, y, x) -> the same: the input plus a residual
    """

    def __init__(
        self, n_channels: int, hidden: int, kernels: Sequence[int], mamba: MambaResidual | None, norm: str
    ) -> None:
        super().__init__()
        half = max(1, hidden // 2)
        self.down = nn.ModuleList(
            [
                MultiKernelBlock(n_channels, half, hidden, kernels, norm),
                MultiKernelBlock(hidden, half, hidden, kernels, norm),
            ]
        )
        self.mamba = mamba
        self.up = MultiKernelBlock(hidden, half, hidden, kernels, norm)
        self.out = nn.Conv2d(2 * hidden, n_channels, 1)

    def forward(self, z: Tensor) -> Tensor:
        """Refine the frames of each window together."""
        first = self.down[0](z)
        second = self.down[1](first)
        if self.mamba is not None:
            tokens = second.flatten(2).transpose(1, 2)  # (b, y * x, hidden), row by row
            second = self.mamba(tokens).transpose(1, 2).unflatten(2, second.shape[2:])
        return z + self.out(torch.cat([self.up(second), first], dim=1))


class UNetRefinement(nn.Module):
    """A small U-Net over all frames at once, in the place of Mamba: one level down and up again.

    Shapes
    ------
    (b, n_channels, y, x) with even y and x -> the same: the input plus a residual
    """

    def __init__(self, n_channels: int, hidden: int, norm: str) -> None:
        super().__init__()
        self.reduce = ConvBlock(n_channels, hidden, kernel=1, norm=norm)
        self.down = nn.Sequential(
            ConvBlock(hidden, hidden, 2, norm=norm), ConvBlock(hidden, hidden, norm=norm)
        )
        self.up = UpBlock(hidden, hidden, norm)
        self.out = nn.Conv2d(2 * hidden, n_channels, 1)

    def forward(self, z: Tensor) -> Tensor:
        """Refine the frames of each window together."""
        reduced = self.reduce(z)
        return z + self.out(torch.cat([self.up(self.down(reduced)), reduced], dim=1))


class GridReconstruction(nn.Module):
    """Frames to refined latents at half the resolution, those to frames again, and a projection for the prediction.

    The encoder ends with the first stride of 2. The decoder sees the refined latents only: no skip goes around them.

    Parameters
    ----------
    kind : {"mamba", "conv", "unet"}
        Mamba between multi-kernel convolutions, the convolutions alone, or a small U-Net.
    n_inputs, n_features : int
        Channels of the frames, and those of them, the first ones, to reconstruct.
    input_length : int
    width : int
        Channels of a frame's latents.
    strides : sequence of int
        Of the prediction's encoder.
    hidden, d_state : int
        Width of the refinement, states of the Mamba.
    kernels : sequence of int
        Of the multi-kernel convolutions.
    norm, directions : str
        As for `MambaResidual`; the norm is that of all convolutions too.
    scan_backend : str

    Shapes
    ------
    frames (b, t, n_inputs, y, x) -> latents (b, t, width, y / 2, x / 2); ``decode`` takes these to
    (b, t, n_features, y, x), ``project`` to (b, t, width, y / s, x / s)
    """

    def __init__(
        self, kind: str, n_inputs: int, n_features: int, input_length: int, width: int,
        strides: Sequence[int], hidden: int, d_state: int, kernels: Sequence[int], norm: str, directions: str,
        scan_backend: str = "auto",
    ) -> None:  # fmt: skip
        super().__init__()
        blocks = list(strides).index(2) + 1
        own, left = strides[:blocks], math.prod(strides[blocks:])
        self.encoder = FieldEncoder(n_inputs, width, own, norm)
        channels = input_length * width
        if kind == "unet":
            self.refine: nn.Module = UNetRefinement(channels, hidden, norm)
        else:
            mamba = (
                MambaResidual(hidden, d_state, norm, directions, scan_backend) if kind == "mamba" else None
            )
            self.refine = MultiKernelRefinement(channels, hidden, kernels, mamba, norm)
        self.decoder = FieldDecoder(width, n_features, own, skip=False, norm=norm)
        self.projection = nn.Conv2d(width, width, 3, stride=left, padding=1)

    def forward(self, frames: Tensor) -> Tensor:
        """Refined latents."""
        b, t = frames.shape[:2]
        latent = self.encoder(frames.flatten(0, 1))[0]  # (b * t, width, y / 2, x / 2)
        refined = self.refine(latent.unflatten(0, (b, t)).flatten(1, 2))
        return refined.unflatten(1, (t, -1))

    def decode(self, latent: Tensor) -> Tensor:
        """Frames from refined latents."""
        return self.decoder(latent.flatten(0, 1)).unflatten(0, latent.shape[:2])

    def project(self, latent: Tensor) -> Tensor:
        """The refined latents as inputs of the prediction."""
        return self.projection(latent.flatten(0, 1)).unflatten(0, latent.shape[:2])


class NodeReconstruction(nn.Module):
    """The same for nodes: Mamba goes over the input steps of each node, which have an order; nodes have none.

    Parameters are those of `GridReconstruction`, without kernels; `walks` as in `stmest.networks.mad_space.NodeConv`.

    Shapes
    ------
    frames (b, t, n_inputs, n) -> latents (b, t, width, n); ``decode`` takes these to (b, t, n_features, n), ``project``
    to (b, t, width, n)
    """

    def __init__(
        self, kind: str, n_inputs: int, n_features: int, width: int, hidden: int, d_state: int, norm: str,
        directions: str, walks: Tensor | None = None, scan_backend: str = "auto",
    ) -> None:  # fmt: skip
        super().__init__()
        if kind == "unet":
            raise ParameterError('reconstruction="unet" needs a grid: (time, y, x[, feature]) data.')
        self.encoder = NodeConv(n_inputs, width, walks)
        self.widen = nn.Linear(width, hidden)
        self.mamba = (
            MambaResidual(hidden, d_state, norm, directions, scan_backend) if kind == "mamba" else None
        )
        self.narrow = nn.Linear(hidden, width)
        self.decoder = nn.Sequential(NodeConv(width, width, walks), nn.Conv1d(width, n_features, 1))
        self.projection = nn.Conv1d(width, width, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Refined latents."""
        b, t = frames.shape[:2]
        latent = self.encoder(frames.flatten(0, 1)).unflatten(0, (b, t))
        hidden = self.widen(latent.permute(0, 3, 1, 2).flatten(0, 1))  # (b * n, t, hidden)
        hidden = F.gelu(hidden) if self.mamba is None else self.mamba(hidden)
        return latent + self.narrow(hidden).unflatten(0, (b, -1)).permute(0, 2, 3, 1)

    def decode(self, latent: Tensor) -> Tensor:
        """Frames from refined latents."""
        return self.decoder(latent.flatten(0, 1)).unflatten(0, latent.shape[:2])

    def project(self, latent: Tensor) -> Tensor:
        """The refined latents as inputs of the prediction."""
        return self.projection(latent.flatten(0, 1)).unflatten(0, latent.shape[:2])
