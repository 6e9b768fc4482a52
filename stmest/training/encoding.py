"""`Encoding`: converts values in the units of the data to inputs of a network, and its output to forecasts.

Used in training and for forecasts. Builds on the scaler of `data` and on `linear`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.panel import Panel
from ..data.savable import savable
from ..data.scaling import NodeScaler, as_single
from ..data.windows import Older, Windows, forward_filled
from ..linear.cross_fit import Folds
from ..linear.seasonal_mean import less_season
from ..linear.window_ridge import WindowRidge
from ..runtime import random_generator

__all__ = ["Encoding", "WindowLoader"]


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
        Whether values are missing in training; then the network gets an observation mask per feature.
    target : list of int
        Positions of the forecast features.
    knows_ahead : bool
        Whether the network sees what is known of the target steps: linear forecast, seasonal mean, and values of earlier days
        and weeks.
    n_history : int
        How many of these values of each forecast feature.
    """

    scaler: NodeScaler
    linear: WindowRidge | None
    has_gaps: bool
    target: list[int]
    knows_ahead: bool = False
    n_history: int = 0

    @property
    def scale(self) -> np.ndarray:
        """Unit of the network's output: (n_nodes, n_targets)."""
        return self.scaler.scale[:, self.target]

    @property
    def n_ahead(self) -> int:
        """Channels of what is known of the target steps."""
        return (2 + self.n_history) * len(self.target) if self.knows_ahead else 0

    def encode(
        self, x: np.ndarray, time: np.ndarray | None, ahead: np.ndarray | None, older: Older | None = None
    ) -> tuple[dict[str, Tensor], np.ndarray]:
        """Inputs of the network, and what its output is added to.

        Parameters
        ----------
        x : ndarray of shape (b, t, n, f)
            Look-backs less the seasonal mean; NaN where missing.
        time : ndarray of shape (b, t + h, c) or None
            Calendar channels.
        ahead : ndarray of shape (b, h, n, c_ahead) or None
            What is known of the target steps; see `stmest.data.windows.Batch`. What is missing becomes 0, the usual value.
        older : Older, optional
            Time steps before the look-backs, less the seasonal mean.

        Returns
        -------
        inputs : dict of str to Tensor
            ``x`` of shape (b, t, n, f or 2 f): scaled and forward-filled values, with observation masks; where there are such,
            ``time``, ``ahead`` of shape (b, h, n, n_ahead), and ``older`` of shape (b, r, n, 2 f), scaled values (0 where
            missing) and observation masks, with ``older_time`` of shape (b, r, c).
        baseline : ndarray
            As `baseline` returns it.
        """
        scaled = self.scaler.transform(x)
        channels = forward_filled(scaled, axis=1)
        if channels is not scaled:  # nothing was observed before the first value: 0 is the centre
            channels = np.where(np.isnan(channels), np.float32(0), channels)
        if self.has_gaps:
            channels = np.concatenate([channels, np.isfinite(scaled).astype(np.float32)], axis=-1)
        inputs, baseline = {"x": torch.from_numpy(channels)}, self.baseline(x, ahead)
        if time is not None:
            inputs["time"] = torch.from_numpy(time)
        if self.knows_ahead:
            inputs["ahead"] = torch.from_numpy(self._ahead(baseline, ahead))
        if older is not None:
            scaled = self.scaler.transform(older.values)
            seen = np.isfinite(scaled)
            channels = np.concatenate(
                [np.where(seen, scaled, np.float32(0)), seen.astype(np.float32)], axis=-1
            )
            inputs["older"] = torch.from_numpy(channels)
            if older.time is not None:
                inputs["older_time"] = torch.from_numpy(older.time)
        return inputs, baseline

    def _ahead(self, baseline: np.ndarray, ahead: np.ndarray | None) -> np.ndarray:
        """Scaled linear forecast, seasonal mean and values of earlier days and weeks: (b, h, n, n_ahead)."""
        center, scale, k = self.scaler.center[:, self.target], self.scale, len(self.target)
        channels = np.zeros((*baseline.shape[:-1], self.n_ahead), dtype=np.float32)
        channels[..., :k] = as_single((baseline - center) / scale)
        if ahead is not None:
            channels[..., k : 2 * k] = as_single(ahead[..., :k] / scale)
            past = (ahead[..., k:].reshape(*baseline.shape[:-1], -1, k) - center[:, None]) / scale[:, None]
            channels[..., 2 * k :] = np.nan_to_num(as_single(past)).reshape(*past.shape[:3], -1)
        return channels

    def baseline(self, x: np.ndarray, ahead: np.ndarray | None = None) -> np.ndarray:
        """The forecast for an output of 0: the linear forecast, or the centre of the scaler.

        Parameters
        ----------
        x : ndarray of shape (b, t, n, f)
            Look-backs less the seasonal mean.
        ahead : ndarray of shape (b, h, n, c_ahead), optional
            As for `encode`.

        Returns
        -------
        ndarray of shape (b, h, n, f_target) or (n, f_target), float64
            In the units of the data.
        """
        if self.linear is None:
            return self.scaler.center[:, self.target]
        past = None if ahead is None else ahead[..., len(self.target) :]
        return self.linear.forecast(x[..., self.target], past)


class WindowLoader:
    """Reads training batches: windows of values -> network inputs and scaled residuals of the baseline.

    Parameters
    ----------
    encoding : Encoding
        Of values for the network.
    windows : Windows
        Values less their seasonal mean.
    folds : Folds, optional
        For each window a seasonal mean and a linear forecast that did not see it; each window lies within one block.
    panel : Panel, optional
        Training data in their own units, for `folds`.
    node_dropout : float, default=0.0
        Share of the nodes whose observations are hidden in a window, other ones each time; from the fit's generator on the CPU.
    """

    def __init__(
        self,
        encoding: Encoding,
        windows: Windows,
        folds: Folds | None = None,
        panel: Panel | None = None,
        node_dropout: float = 0.0,
    ):
        self.encoding = encoding
        self.windows = windows
        self.node_dropout = node_dropout
        self.latest: list[int] = []  # positions of the last batch, for errors
        self._folds = folds
        self._parts = [(encoding, windows)]
        if folds is not None and panel is not None:
            self._parts = [
                (replace(encoding, linear=linear), windows.of(less_season(panel, season)))
                for season, linear in folds.fits
            ]

    def __call__(self, positions: list[int]) -> tuple[dict[str, Tensor], Tensor]:
        """Network inputs and scaled targets of the windows at some positions."""
        self.latest = positions
        at = np.asarray(positions)
        block = np.zeros_like(at) if self._folds is None else self._folds.block_of(self.windows.starts[at])
        order = np.argsort(block, kind="stable")
        hidden = None
        if self.node_dropout:
            source = random_generator(torch.device("cpu"))
            drawn = torch.rand(len(at), self.windows.values.shape[1], generator=source)
            hidden = drawn.numpy() < self.node_dropout
        parts = []
        for number in np.unique(block):
            encoding, windows = self._parts[number]
            same = block == number
            parts.append(_read(encoding, windows, at[same], None if hidden is None else hidden[same]))
        back = torch.from_numpy(np.argsort(order))
        inputs = {name: torch.cat([part[name] for part, _ in parts])[back] for name in parts[0][0]}
        return inputs, torch.cat([target for _, target in parts])[back]


def _read(
    encoding: Encoding, windows: Windows, positions: Any, hidden: np.ndarray | None
) -> tuple[dict[str, Tensor], Tensor]:
    batch = windows.gather(positions)
    batch = batch if hidden is None else batch.hiding(hidden)
    inputs, baseline = encoding.encode(batch.x, batch.time, batch.ahead, batch.older)
    residual = batch.y - baseline
    residual /= encoding.scale
    return inputs, torch.from_numpy(as_single(residual))
