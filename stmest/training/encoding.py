"""`Encoding`: between values in the units of the data and what a network takes and gives.

Builds on the scaler of `data` and on `linear`; used in training (`trainer`) and for forecasts (`prediction`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.chunks import row_pieces
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
        Whether values were missing in training; then a channel per feature says where.
    target : list of int
        Positions of the forecast features.
    knows_ahead : bool
        Whether the network sees what is known of the target steps: linear forecast and seasonal mean.
    """

    scaler: NodeScaler
    linear: WindowRidge | None
    has_gaps: bool
    target: list[int]
    knows_ahead: bool = False

    @property
    def scale(self) -> np.ndarray:
        """Unit of the network's output: (n_nodes, n_targets)."""
        return self.scaler.scale[:, self.target]

    @property
    def n_ahead(self) -> int:
        """Channels of what is known of the target steps."""
        return 2 * len(self.target) if self.knows_ahead else 0

    def inputs(self, x: np.ndarray, time: np.ndarray | None) -> dict[str, Tensor]:
        """What the network takes: scaled, forward-filled, with channels that say where values are missing.

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
        if channels is not scaled:  # nothing was observed before the first value: 0 is the centre
            channels = np.where(np.isnan(channels), np.float32(0), channels)
        if self.has_gaps:
            channels = np.concatenate([channels, np.isfinite(scaled).astype(np.float32)], axis=-1)
        inputs = {"x": torch.from_numpy(channels)}
        if time is not None:
            inputs["time"] = torch.from_numpy(time)
        return inputs

    def encode(
        self, x: np.ndarray, time: np.ndarray | None, expected: np.ndarray | None
    ) -> tuple[dict[str, Tensor], np.ndarray]:
        """What the network takes, and what its output is added to.

        Parameters
        ----------
        x, time
            As for `inputs`.
        expected : ndarray of shape (b, h, n, f_target) or None
            Seasonal mean of the target steps, less that of the whole data.

        Returns
        -------
        inputs : dict of str to Tensor
            As `inputs`, and ``ahead`` of shape (b, h, n, n_ahead) where the network takes it.
        baseline : ndarray
            As `baseline`.
        """
        inputs, baseline = self.inputs(x, time), self.baseline(x)
        if self.knows_ahead:
            linear = (baseline - self.scaler.center[:, self.target]) / self.scale
            season = np.zeros_like(linear) if expected is None else expected / self.scale
            inputs["ahead"] = torch.from_numpy(np.concatenate([linear, season], axis=-1).astype(np.float32))
        return inputs, baseline

    def baseline(self, x: np.ndarray) -> np.ndarray:
        """What an output of 0 means: the linear forecast, or the centre of the scaler.

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
    """Reads training batches: windows of values -> network inputs and scaled residuals of the baseline.

    Parameters
    ----------
    encoding : Encoding
        What the network is trained for.
    windows : Windows
        Values less their seasonal mean.
    folds : sequence of (Encoding, values), optional
        For each fold of the training data: the encoding, and the values less their seasonal mean, of a fit that did not see
        the windows of that fold.
    fold_of : ndarray of int, shape (n_windows,), optional
        Fold of each window.
    """

    def __init__(
        self,
        encoding: Encoding,
        windows: Windows,
        folds: Sequence[tuple[Encoding, Any]] = (),
        fold_of: np.ndarray | None = None,
    ):
        self.encoding = encoding
        self.windows = windows
        self.folds = folds
        self.fold_of = fold_of
        self.latest: list[int] = []  # the batch that a loss without a number belongs to

    def __call__(self, positions: list[int]) -> tuple[dict[str, Tensor], Tensor]:
        """Network inputs and scaled targets of the windows at some positions."""
        self.latest = positions
        if self.fold_of is None:
            return self._read(self.encoding, self.windows, positions)
        at = np.asarray(positions)
        folds = self.fold_of[at]
        order, parts = [], []
        for fold in np.unique(folds):
            inside = np.flatnonzero(folds == fold)
            encoding, values = self.folds[fold]
            parts.append(self._read(encoding, self.windows.of(values), at[inside]))
            order.append(inside)
        back = torch.from_numpy(np.argsort(np.concatenate(order)))
        inputs = {name: torch.cat([part[0][name] for part in parts])[back] for name in parts[0][0]}
        return inputs, torch.cat([part[1] for part in parts])[back]

    @staticmethod
    def _read(encoding: Encoding, windows: Windows, positions: Any) -> tuple[dict[str, Tensor], Tensor]:
        batch = windows.gather(positions)
        inputs, baseline = encoding.encode(batch.x, batch.time, batch.expected)
        target = ((batch.y - baseline) / encoding.scale).astype(np.float32)
        return inputs, torch.from_numpy(target)


def has_gaps(values: Any) -> bool:
    """Whether a value is missing; read in pieces."""
    return any(bool(np.isnan(piece).any()) for _, piece in row_pieces(values))
