"""`NetworkRule`: networks that forecast the residual of a linear forecast.

The only part of this package that needs torch. Builds on `rules` and `training`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ..data.savable import savable
from ..data.windows import Older
from ..exceptions import DataError
from ..linear.window_ridge import WindowRidge
from ..networks.base import ForecastNetwork
from ..ops.cpu.threads import few_threads
from ..runtime import deterministic_algorithms
from ..training.diagnostics import explain_lack
from ..training.encoding import Encoding
from ..training.extremes import refuse_infinite_forecasts
from .rules import Rule, Shapes, linear_shapes

__all__ = ["NetworkRule"]


@savable
@dataclass(frozen=True)
class NetworkRule(Rule):
    """The linear forecast (or the mean), plus the forecast of its residual: the mean over the members of an ensemble of networks.

    Attributes
    ----------
    name : str
        Of the forecaster, for messages.
    encoding : Encoding
        Of values for the network.
    networks : tuple of ForecastNetwork
        The trained networks; none only in pickles and model files, which store their weights beside it.
    residual_weights : tuple of float
        Factor of the output of each network, between 0 and 1.
    device : torch.device or None
        Device of the networks; None where there are none.
    deterministic : bool
        Whether to use deterministic operations only, on a GPU.
    """

    name: str
    encoding: Encoding
    networks: tuple[ForecastNetwork, ...]
    residual_weights: tuple[float, ...]
    device: torch.device | None
    deterministic: bool

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "residual_weight" in state:  # a model file that was written when there was one network only
            state = {**state, "networks": (), "residual_weights": (state["residual_weight"],)}
            del state["network"], state["residual_weight"]
        vars(self).update(state)

    @property
    def network(self) -> ForecastNetwork | None:
        """The first network; None where they were removed for saving."""
        return self.networks[0] if self.networks else None

    @property
    def residual_weight(self) -> float:
        """Mean of the residual weights."""
        return sum(self.residual_weights) / len(self.residual_weights)

    @property
    def linear(self) -> WindowRidge | None:  # type: ignore[override]
        """The linear forecast, where there is one."""
        return self.encoding.linear

    def with_linear(self, linear: WindowRidge | None) -> NetworkRule:
        """A copy with another linear forecast; see `Rule`."""
        return replace(self, encoding=replace(self.encoding, linear=linear))

    def with_networks(
        self, networks: Any, device: torch.device | None, residual_weights: Any = None
    ) -> NetworkRule:
        """A copy with other networks (and residual weights), or without any, for pickles and model files."""
        weights = self.residual_weights if residual_weights is None else tuple(residual_weights)
        return replace(self, networks=tuple(networks), device=device, residual_weights=weights)

    def forecast(
        self,
        x: np.ndarray,
        time: np.ndarray | None,
        ahead: np.ndarray | None,
        nodes: list[Any] | None,
        older: Older | None = None,
    ) -> np.ndarray:
        """Forecast windows; see `Rule`."""
        device = self.device
        if not self.networks or device is None:
            raise DataError("this predictor has no network: it was removed for saving.")
        sizes = f"look-back of {x.shape[1]} rows, {x.shape[2]} nodes, {x.shape[3]} feature(s)"
        lack = explain_lack(f"forecasting with {self.name}", sizes, len(x), None, device)
        threads = few_threads(math.prod(x.shape[:3]), device)
        with lack, threads, torch.inference_mode(), deterministic_algorithms(self.deterministic, device):
            inputs, baseline = self.encoding.encode(x, time, ahead, older)
            residual = self._residual({name: tensor.to(device) for name, tensor in inputs.items()})
            forecast = baseline + residual
        refuse_infinite_forecasts(forecast, x, self.encoding.scaler, nodes)
        return forecast

    def flaw(self, target: list[int], n_history: int) -> str | None:
        """Residual weights that are none, other features or another history; see `Rule`."""
        if not all(0 <= weight <= 1 for weight in self.residual_weights):
            return f"correction_ has the residual weights {self.residual_weights}; needed: numbers between 0 and 1"
        found, wanted = (self.encoding.target, self.encoding.n_history), (target, n_history)
        return None if found == wanted else f"its network has (target, n_history) = {found}; needed: {wanted}"

    def _residual(self, inputs: dict[str, torch.Tensor]) -> np.ndarray:
        """Mean over the networks, one after the other: (b, h, n, f_target), in the units of the data."""
        x, scale = inputs["x"], self.encoding.scale
        total = np.zeros((len(x), self.networks[0].horizon, *scale.shape))
        for network, weight in zip(self.networks, self.residual_weights, strict=True):
            if weight:
                output, _ = network(**inputs)
                total += output.float().cpu().numpy() * (weight * scale)
        return total / len(self.networks)

    def inputs(self, x: np.ndarray, time: np.ndarray | None) -> dict[str, torch.Tensor]:
        """Values and calendar as the network takes them, on its device, for a look into its layers; see `Encoding.encode`."""
        inputs, _ = self.encoding.encode(x, time, None)
        return {name: inputs[name].to(self.device) for name in ("x", "time") if name in inputs}

    def shapes(self, n_nodes: int, n_features: int, n_targets: int, look_back: int, horizon: int) -> Shapes:
        """Scaler, linear forecast and residual weights; see `Rule`."""
        scaler, linear = self.encoding.scaler, self.encoding.linear
        shapes: Shapes = {
            "residual_weights": (np.asarray(self.residual_weights), (len(self.networks),)),
            "scaler_.center": (scaler.center, (n_nodes, n_features)),
            "scaler_.scale": (scaler.scale, (n_nodes, n_features)),
        }
        return (
            shapes
            if linear is None
            else shapes | linear_shapes(linear, n_nodes, n_targets, look_back, horizon)
        )
