"""The two spaces of MAD, a grid of pixels or a set of nodes: from observations to latents, and from latents to forecasts.

Builds on ``layers.conv`` and ``layers.graph_conv``. A space opens windows (b, t, n, f) to frames
(b, t, f, *place), encodes frames to latents (b, t, d, *latent place), and decodes the predicted latents to
(b, h, n, f_out). Place is (y, x) on a grid, n for nodes; n counts pixels row by row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..layers.conv import FieldDecoder, FieldEncoder, pad_to
from ..layers.diffusion_transformer import position_table
from ..layers.graph_conv import transition_matrices

__all__ = ["GridSpace", "NodeConv", "NodeSpace", "mix_steps"]


class GridSpace(nn.Module):
    """Regular grid: convolutions, frame by frame.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Input channels, channels forecast.
    input_length, horizon : int
    width : int
        d, channels of the latents.
    grid_shape : tuple of int
        Rows and columns; any, as frames are padded to the stride and forecasts cropped.
    strides : sequence of int
        Of the encoder's blocks; their product s is the edge of the patch that a token stands for.
    norm : {"batch", "layer", "group"}
        Of encoder and decoder.
    """

    def __init__(
        self, n_inputs: int, n_outputs: int, input_length: int, horizon: int, width: int,
        grid_shape: tuple[int, int], strides: Sequence[int], norm: str = "group",
    ) -> None:  # fmt: skip
        super().__init__()
        self.grid_shape, self.stride = grid_shape, math.prod(strides)
        rows, columns = grid_shape
        self.latent_shape = (-(-rows // self.stride), -(-columns // self.stride))
        self.encoder = FieldEncoder(n_inputs, width, strides, norm)
        self.skip_over_time = _last_step(input_length, horizon)
        self.decoder = FieldDecoder(width, n_outputs, strides, zero_init=True, norm=norm)

    def open(self, x: Tensor) -> Tensor:
        """Windows (b, t, n, f) to padded frames (b, t, f, y, x)."""
        b, t = x.shape[:2]
        frames = x.unflatten(2, self.grid_shape).permute(0, 1, 4, 2, 3).flatten(0, 1)
        return pad_to(frames, self.stride).unflatten(0, (b, t))

    def close(self, frames: Tensor) -> Tensor:
        """Padded frames (b, t, f, y, x) to windows (b, t, n, f)."""
        rows, columns = self.grid_shape
        return frames[..., :rows, :columns].flatten(3).transpose(2, 3)

    def encode(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (b, t, d, y / s, x / s) of the frames, and the skip connection around the prediction."""
        latent, skip = self.encoder(frames.flatten(0, 1))
        return latent.unflatten(0, frames.shape[:2]), skip.unflatten(0, frames.shape[:2])

    def decode(self, latent: Tensor, skip: Tensor) -> Tensor:
        """Forecast (b, h, n, f_out) from predicted latents (b, h, d, y / s, x / s)."""
        skip = mix_steps(self.skip_over_time, skip)
        decoded = self.decoder(latent.flatten(0, 1), skip.flatten(0, 1))
        return self.close(decoded.unflatten(0, latent.shape[:2]))

    def positions(self, d_model: int) -> Tensor:
        """Table (tokens, d_model) of where each token lies."""
        return position_table(*self.latent_shape, d_model)


class NodeConv(nn.Module):
    """Linear map of each node's channels, and of those of its neighbours where there is a graph, then GELU.

    Parameters
    ----------
    n_inputs, n_outputs : int
    walks : Tensor of shape (k, n, n), optional
        As `stmest.layers.graph_conv.transition_matrices` makes them.

    Shapes
    ------
    (m, n_inputs, n) -> (m, n_outputs, n)
    """

    walks: Tensor | None

    def __init__(self, n_inputs: int, n_outputs: int, walks: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("walks", walks, persistent=False)
        self.linear = nn.Conv1d(n_inputs * (1 if walks is None else 1 + len(walks)), n_outputs, 1)

    def forward(self, z: Tensor) -> Tensor:
        """Map every frame."""
        if self.walks is not None:
            z = torch.cat([z, *(z @ walk.t() for walk in self.walks)], dim=1)
        return F.gelu(self.linear(z))


class NodeSpace(nn.Module):
    """Nodes without a grid: linear or, with a graph, graph-convolutional maps, frame by frame.

    Parameters
    ----------
    n_inputs, n_outputs, input_length, horizon, width : int
        As for `GridSpace`.
    n_nodes : int
    adjacency : Tensor of shape (n, n), optional
        [i, j] is the weight of edge i -> j, along which j sees i.
    """

    def __init__(
        self, n_inputs: int, n_outputs: int, input_length: int, horizon: int, width: int, n_nodes: int,
        adjacency: Tensor | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.latent_shape = (n_nodes,)
        walks = None if adjacency is None else transition_matrices(adjacency)
        self.encoder = nn.ModuleList([NodeConv(n_inputs, width, walks), NodeConv(width, width, walks)])
        self.skip_over_time = _last_step(input_length, horizon)
        out = nn.Conv1d(width, n_outputs, 1)
        for parameter in out.parameters():
            nn.init.zeros_(parameter)
        self.decoder = nn.Sequential(NodeConv(2 * width, width, walks), out)

    def open(self, x: Tensor) -> Tensor:
        """Windows (b, t, n, f) to frames (b, t, f, n)."""
        return x.transpose(2, 3)

    def close(self, frames: Tensor) -> Tensor:
        """Frames (b, t, f, n) to windows (b, t, n, f)."""
        return frames.transpose(2, 3)

    def encode(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (b, t, d, n) of the frames, and the skip connection around the prediction, of the same shape."""
        skip = self.encoder[0](frames.flatten(0, 1))
        latent = self.encoder[1](skip)
        return latent.unflatten(0, frames.shape[:2]), skip.unflatten(0, frames.shape[:2])

    def decode(self, latent: Tensor, skip: Tensor) -> Tensor:
        """Forecast (b, h, n, f_out) from predicted latents (b, h, d, n)."""
        skip = mix_steps(self.skip_over_time, skip)
        decoded = self.decoder(torch.cat([latent, skip], dim=2).flatten(0, 1))
        return self.close(decoded.unflatten(0, latent.shape[:2]))

    def positions(self, d_model: int) -> nn.Parameter:
        """Learned table (n, d_model) of node embeddings."""
        return nn.Parameter(0.02 * torch.randn(self.latent_shape[0], d_model))


def mix_steps(weight: Tensor, frames: Tensor) -> Tensor:
    """Frames (b, t, ...) to as many as `weight` (h, t) has rows, each a weighted sum of them."""
    return (weight @ frames.flatten(2)).unflatten(2, frames.shape[2:])


def _last_step(input_length: int, horizon: int) -> nn.Parameter:
    """Weights (h, t) that at first repeat the last step."""
    weight = torch.zeros(horizon, input_length)
    weight[:, -1] = 1.0
    return nn.Parameter(weight)
