"""`Encoding`: converts values in the units of the data to inputs of a network, and its output to forecasts.

Used in training and for forecasts. Builds on the scaler of `data` and on `linear`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.chunks import row_chunks
from ..data.savable import savable
from ..data.scaling import NodeScaler
from ..data.windows import Windows, forward_filled
from ..linear.window_ridge import WindowRidge

__all__ = ["Encoding", "WindowLoader", "has_gaps"]


@savable
@dataclass(frozen=True)
class Encoding:
    """How windows of values become inputs of a network, and its output a forecast.

    Attributes
    ----------
    scaler : NodeScaler
        Shift and scale of each node and feature.
    linear : WindowRidge or None
        The linear forecast whose residual the network forecasts.
    has_gaps : bool
        Whether the training data have missing values; then the network gets an observation mask per feature.
    target : list of int
        Positions of the forecast features.
    """

    scaler: NodeScaler
    linear: WindowRidge | None
    has_gaps: bool
    target: list[int]

    @property
    def scale(self) -> np.ndarray:
        """Unit of the network's output: (n_nodes, n_targets)."""
        return self.scaler.scale[:, self.target]

    def inputs(self, x: np.ndarray, time: np.ndarray | None) -> dict[str, Tensor]:
        """Inputs of the network: scaled and forward-filled values, with observation masks.

        Parameters
        ----------
        x : ndarray of shape (b, t, n, f), float32
            Look-backs less the seasonal mean; NaN where missing.
        time : ndarray of shape (b, t + h, c) or None
            Calendar channels.

        Returns
        -------
        dict of str to Tensor
            ``x`` of shape (b, t, n, f or 2 f) and, where there is a calendar, ``time``.
        """
        scaled = self.scaler.transform(x)
        channels = forward_filled(scaled, axis=1)
        if channels is not scaled:  # before the first observation: 0 is the centre
            channels = np.where(np.isnan(channels), np.float32(0), channels)
        if self.has_gaps:
            channels = np.concatenate([channels, np.isfinite(scaled).astype(np.float32)], axis=-1)
        inputs = {"x": torch.from_numpy(channels)}
        if time is not None:
            inputs["time"] = torch.from_numpy(time)
        return inputs

    def baseline(self, x: np.ndarray) -> np.ndarray:
        """The forecast for an output of 0: the linear forecast, or the centre of the scaler.

        Parameters
        ----------
        x : ndarray of shape (b, t, n, f)
            Look-backs less the seasonal mean.

        Returns
        -------
        ndarray of shape (b, h, n, f_target) or (n, f_target), float64
            In the units of the data.
        """
        if self.linear is None:
            return self.scaler.center[:, self.target]
        return self.linear.forecast(x[..., self.target])


class WindowLoader:
    """Loads training batches: network inputs, and scaled residuals of the baseline.

    Parameters
    ----------
    encoding : Encoding
        Of values for the network.
    windows : Windows
        Values less their seasonal mean.
    """

    def __init__(self, encoding: Encoding, windows: Windows):
        self.encoding = encoding
        self.windows = windows
        self.latest: list[int] = []  # positions of the last batch, for errors

    def __call__(self, positions: list[int]) -> tuple[dict[str, Tensor], Tensor]:
        """Network inputs and scaled targets of the windows at some positions."""
        self.latest = positions
        batch = self.windows.gather(positions)
        target = ((batch.y - self.encoding.baseline(batch.x)) / self.encoding.scale).astype(np.float32)
        return self.encoding.inputs(batch.x, batch.time), torch.from_numpy(target)


def has_gaps(values: Any) -> bool:
    """Whether a value is missing; read in chunks."""
    return any(bool(np.isnan(chunk).any()) for _, chunk in row_chunks(values))
