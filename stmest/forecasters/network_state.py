"""Fitted networks as plain state: weights as arrays, devices by name, so that copies open on any machine.

`NetworkState` is mixed into `NetworkForecaster`.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import nn

from ..data.scaling import NodeScaler
from ..exceptions import DeviceError
from ..graphs import Graph
from ..linear.window_ridge import WindowRidge
from ..runtime import resolve_device, seeded

__all__ = ["NetworkState", "copy_of"]


class NetworkState:
    """Pickles without modules, and the shapes that model files are checked against."""

    input_length: int
    horizon: int
    n_features_in_: int
    n_inputs_: int
    target_: list[int]
    given_graph_: Graph | None
    scaler_: NodeScaler
    linear_: WindowRidge | None
    device: Any
    device_: torch.device

    def _new_network(self, graph: Graph | None) -> nn.Module:
        raise NotImplementedError

    def _state_shapes(self) -> dict[str, tuple[int, ...]]:
        n_nodes = self.n_features_in_
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(
            ("scaler_.center", "scaler_.scale"), (n_nodes, self.n_inputs_)
        )
        if self.linear_ is not None:
            of_ridge = self.linear_.shapes(n_nodes, len(self.target_), self.input_length, self.horizon)
            shapes |= {f"linear_.{name}": shape for name, shape in of_ridge.items()}
        return shapes

    def __getstate__(self) -> dict[str, Any]:
        """State without modules: weights as arrays, the device by name, so that it opens on any machine."""
        parent: Any = super()
        state: dict[str, Any] = dict(parent.__getstate__())
        network = state.pop("network_", None)
        if network is not None:
            state["weights_"] = {name: tensor.cpu().numpy() for name, tensor in network.state_dict().items()}
            state["device_"] = str(self.device_)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Rebuild the network on the wanted device, or on the CPU with a warning where that is not there."""
        weights = state.pop("weights_", None)
        if weights is not None:
            state.setdefault("correction_", 1.0)  # of models from before there was a choice
        parent: Any = super()
        parent.__setstate__(state)
        if weights is None:
            return
        try:
            self.device_ = resolve_device(self.device)
        except DeviceError as error:
            warnings.warn(f"{error} The model was loaded on the CPU.", RuntimeWarning, stacklevel=2)
            self.device_ = torch.device("cpu")
        with seeded(0, self.device_):
            network = self._new_network(self.given_graph_)
        network.load_state_dict({name: torch.as_tensor(array) for name, array in weights.items()})
        self.network_ = network.to(self.device_).eval()


def copy_of(network: nn.Module) -> nn.Module:
    """A copy whose parameters keep their marks, which torch's own copies of parameters lose.

    Parameters
    ----------
    network : Module
        Any.

    Returns
    -------
    Module
        Of its own memory.
    """
    twin = copy.deepcopy(network)
    for parameter, same in zip(network.parameters(), twin.parameters(), strict=True):
        vars(same).update(vars(parameter))
    return twin
