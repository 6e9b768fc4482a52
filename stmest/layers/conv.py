"""Convolutions for fields: encoder, decoder, multi-kernel block, recurrent cell, and padding of any grid to the stride.

The encoder and the decoder are those of SimVP (Gao et al., CVPR 2022, section 3) in small; the multi-kernel block is its
Inception module (section 3.2). Builds on ``norms``.

Fields have the shape (m, c, y, x): any number of frames, channels, rows, columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .norms import field_norm

__all__ = ["ConvBlock", "ConvLSTM", "FieldDecoder", "FieldEncoder", "MultiKernelBlock", "UpBlock", "pad_to"]


def pad_to(field: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and the last column until both numbers are multiples of the stride.

    Parameters
    ----------
    field : Tensor of shape (m, c, y, x)
    multiple : int
        Total stride of the encoder.

    Returns
    -------
    Tensor of shape (m, c, y', x')
        ``padded[..., :y, :x]`` is the field again.
    """
    below, right = -field.shape[-2] % multiple, -field.shape[-1] % multiple
    return F.pad(field, (0, right, 0, below), mode="replicate") if below or right else field


class ConvBlock(nn.Sequential):
    """Convolution, norm, GELU; rows and columns shrink by the stride.

    Parameters
    ----------
    n_inputs, n_outputs : int
    stride : int
    kernel : int
        Odd.
    norm : {"batch", "layer", "group"}
        See `stmest.layers.norms.field_norm`.

    Shapes
    ------
    (m, n_inputs, y, x) -> (m, n_outputs, y / stride, x / stride)
    """

    def __init__(
        self, n_inputs: int, n_outputs: int, stride: int = 1, kernel: int = 3, norm: str = "group"
    ) -> None:
        convolution = nn.Conv2d(n_inputs, n_outputs, kernel, stride, kernel // 2, bias=norm != "batch")
        super().__init__(convolution, field_norm(norm, n_outputs), nn.GELU())


class UpBlock(nn.Sequential):
    """Transposed convolution, norm, GELU; rows and columns double.

    The kernel is twice the stride, so that every pixel is reached by equally many weights.

    Shapes
    ------
    (m, n_inputs, y, x) -> (m, n_outputs, 2 y, 2 x)
    """

    def __init__(self, n_inputs: int, n_outputs: int, norm: str = "group") -> None:
        convolution = nn.ConvTranspose2d(n_inputs, n_outputs, 4, stride=2, padding=1, bias=norm != "batch")
        super().__init__(convolution, field_norm(norm, n_outputs), nn.GELU())


class FieldEncoder(nn.Module):
    """Blocks of convolutions; the output of the first one is kept for the decoder.

    Parameters
    ----------
    n_inputs, width : int
        Channels of the field, and of all that follows.
    strides : sequence of int
        1 or 2, of each block.
    norm : {"batch", "layer", "group"}

    Shapes
    ------
    (m, n_inputs, y, x) -> latent (m, width, y / s, x / s), skip (m, width, y / s0, x / s0), with s the product of the
    strides and s0 the first of them
    """

    def __init__(self, n_inputs: int, width: int, strides: Sequence[int], norm: str = "group") -> None:
        super().__init__()
        self.first = ConvBlock(n_inputs, width, strides[0], norm=norm)
        self.rest = nn.Sequential(*(ConvBlock(width, width, stride, norm=norm) for stride in strides[1:]))

    def forward(self, field: Tensor) -> tuple[Tensor, Tensor]:
        """Encode every frame."""
        skip = self.first(field)
        return self.rest(skip), skip


class FieldDecoder(nn.Module):
    """Blocks that undo the strides of an encoder from the last to the second; its skip joins; a last map undoes the first.

    Parameters
    ----------
    width, n_outputs : int
        Channels inside, and of the field.
    strides : sequence of int
        Those of the encoder.
    skip : bool
        Whether the output of the encoder's first block joins.
    zero_init : bool
        Start with a field of exactly 0, for a decoder that forecasts the residual of another forecast.
    norm : {"batch", "layer", "group"}

    Shapes
    ------
    latent (m, width, y / s, x / s), skip (m, width, y / s0, x / s0) or None -> (m, n_outputs, y, x)
    """

    def __init__(
        self, width: int, n_outputs: int, strides: Sequence[int], skip: bool = True, zero_init: bool = False,
        norm: str = "group",
    ) -> None:  # fmt: skip
        super().__init__()
        blocks = [UpBlock if stride == 2 else ConvBlock for stride in strides[:0:-1]]
        self.grow = nn.Sequential(*(block(width, width, norm=norm) for block in blocks))
        self.join = ConvBlock(2 * width, width, norm=norm) if skip else None
        self.out = (
            nn.ConvTranspose2d(width, n_outputs, 4, stride=2, padding=1)
            if strides[0] == 2
            else nn.Conv2d(width, n_outputs, 1)
        )
        if zero_init:
            for parameter in self.out.parameters():
                nn.init.zeros_(parameter)

    def forward(self, latent: Tensor, skip: Tensor | None = None) -> Tensor:
        """Decode every frame."""
        field = self.grow(latent)
        if self.join is not None and skip is not None:
            field = self.join(torch.cat([field, skip], dim=1))
        return self.out(field)


class MultiKernelBlock(nn.Module):
    """A 1 x 1 convolution to fewer channels, then the sum of convolutions with kernels of several sizes.

    Parameters
    ----------
    n_inputs, hidden, n_outputs : int
        Channels that come in, between, and out.
    kernels : sequence of int
        Odd widths.
    norm : {"batch", "layer", "group"}

    Shapes
    ------
    (m, n_inputs, y, x) -> (m, n_outputs, y, x)
    """

    def __init__(
        self, n_inputs: int, hidden: int, n_outputs: int, kernels: Sequence[int] = (3, 5), norm: str = "group"
    ) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(n_inputs, hidden, 1)
        self.branches = nn.ModuleList(
            ConvBlock(hidden, n_outputs, kernel=kernel, norm=norm) for kernel in kernels
        )

    def forward(self, field: Tensor) -> Tensor:
        """Sum the branches."""
        reduced = self.reduce(field)
        return torch.stack([branch(reduced) for branch in self.branches]).sum(0)


class ConvLSTM(nn.Module):
    """Recurrent cell whose gates are convolutions: reads a sequence, then goes on with its own output.

    Shi et al., "Convolutional LSTM Network" (NeurIPS 2015), equation 3 without the peepholes.

    Parameters
    ----------
    width : int
        Channels of input, state and output.
    n_layers : int
        Cells on top of each other.

    Shapes
    ------
    z (b, t, width, y, x) -> (b, h, width, y, x)
    """

    def __init__(self, width: int, n_layers: int = 1) -> None:
        super().__init__()
        self.gates = nn.ModuleList(nn.Conv2d(2 * width, 4 * width, 3, padding=1) for _ in range(n_layers))
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, z: Tensor, horizon: int) -> Tensor:
        """Return the `horizon` frames after those of z."""
        zero = torch.zeros_like(z[:, 0])
        states = [(zero, zero)] * len(self.gates)
        outputs = []
        frame = zero
        for step in range(z.shape[1] + horizon - 1):
            frame = z[:, step] if step < z.shape[1] else frame
            states, frame = self._step(frame, states)
            if step >= z.shape[1] - 1:
                outputs.append(frame)
        return torch.stack(outputs, dim=1)

    def _step(
        self, frame: Tensor, states: list[tuple[Tensor, Tensor]]
    ) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        """Move all cells by one frame; the output is the residual of the frame."""
        after, signal = [], frame
        for gates, (hidden, cell) in zip(self.gates, states, strict=True):
            keep, write, show, value = gates(torch.cat([signal, hidden], dim=1)).chunk(4, dim=1)
            cell = torch.sigmoid(keep + 1.0) * cell + torch.sigmoid(write) * torch.tanh(value)
            hidden = torch.sigmoid(show) * torch.tanh(cell)
            after.append((hidden, cell))
            signal = hidden
        return after, frame + self.out(signal)
