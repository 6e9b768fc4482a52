"""`GraphNetworkForecaster`: the base of the forecasters whose network mixes the nodes.

It adds weeks of history in patches and the hiding of nodes in training. Builds on `network`.
"""

from __future__ import annotations

from typing import Any

from ..exceptions import ParameterError
from ..graphs import Graph
from ..prediction.predictor import Predictor
from .network import NetworkForecaster
from .parameters import GraphNetworkParameters

__all__ = ["GraphNetworkForecaster"]


class GraphNetworkForecaster(GraphNetworkParameters, NetworkForecaster):
    """Base of the forecasters whose network mixes the nodes."""

    def _check_parameters(self) -> None:
        super()._check_parameters()
        longer, patch = self._n_older(), self._patch_length()
        if self.long_input_length is None and self.long_patch_length is not None:
            raise ParameterError(
                f"long_patch_length={patch} needs a long_input_length, which says how far back the patches reach."
            )
        if self.long_input_length is not None and self.head_width == 0:
            raise ParameterError(
                f"long_input_length={self.long_input_length} is seen by the head, and head_width=0 puts a linear map of the "
                "encoded window in its place; needed: a head_width of at least 1, or no long_input_length."
            )
        if self.long_input_length is not None and (longer < patch or longer % patch):
            least = self.input_length + max(1, longer // patch) * patch
            raise ParameterError(
                f"long_input_length={self.long_input_length} leaves {longer} time steps before input_length={self.input_length}; "
                f"needed: patches of {patch}, at least one. Use long_input_length={least} or {least + patch}, or another "
                "long_patch_length."
            )

    def _n_older(self) -> int:
        return 0 if self.long_input_length is None else self.long_input_length - self.input_length

    def _patch_length(self) -> int:
        return self.input_length if self.long_patch_length is None else self.long_patch_length

    def _has_gaps(self, values: Any) -> bool:
        return self.node_dropout > 0 or super()._has_gaps(values)

    def _network_settings(self, predictor: Predictor, graph: Graph | None) -> dict[str, Any]:
        channels = 2 * predictor.spec.n_features  # with observation masks
        older = (channels, self._patch_length()) if predictor.n_older else None
        return super()._network_settings(predictor, graph) | {"older": older}
