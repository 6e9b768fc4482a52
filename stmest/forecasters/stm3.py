"""STM3 (and its base STM2) as a forecaster: parameters, network, and learned graph and routing as labelled tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback

from ..data.calendar import season_length
from ..data.panel import Panel
from ..exceptions import ParameterError
from ..graphs import Graph, graph_from_correlation
from ..linear.node_groups import node_groups
from ..networks.stm3 import STM3Network
from ..prediction.predictor import Predictor
from ..training.trainer import Trained
from .graph_network import GraphNetworkForecaster
from .parameters import GraphNetworkParameters, describe, real, whole
from .published import AsPublished, Setting, published
from .registry import register
from .scan import SCAN_BACKENDS

__all__ = ["STM3Forecaster", "STM3Parameters"]

# Without a graph, node embeddings start from correlations: time steps used, and partners per node
_STEPS_TO_CORRELATE, _PARTNERS = 20_000, 4


@dataclass(kw_only=True, eq=False, repr=False)
class STM3Parameters(GraphNetworkParameters):
    """Parameters of STM3 beside those of every network that mixes nodes."""

    scales: Any = (1, 3, 5, 7)
    d_model: int = 4
    n_layers: int = 1
    n_experts: int = 4
    top_k: int = 1
    shared_expert: bool = True
    node_embedding_dim: int = 12
    cheb_order: int = 3
    d_state: int = 16
    d_conv: int = 4
    expand: int = 2
    dropout: float = 0.0
    instance_norm: bool = False
    routing: str = "node"
    graph: str = "both"
    causal_scales: bool = True
    contrastive_weight: float = 0.0
    contrastive_temperature: float = 0.1
    balance_weight: float = 0.01
    head_width: int = 128
    scan_backend: str = "auto"
    learning_rate: float = 2e-3

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **GraphNetworkParameters._parameter_constraints,
        "scales": [tuple, list],
        "d_model": [whole(3)],
        "n_layers": [whole(1, 1000)],
        "n_experts": [whole(0, 1000)],
        "top_k": [whole(1)],
        "shared_expert": ["boolean"],
        "node_embedding_dim": [whole(1)],
        "cheb_order": [whole(1, 1000)],
        "d_state": [whole(1)],
        "d_conv": [whole(1)],
        "expand": [whole(1)],
        "dropout": [real(0, 1)],
        "instance_norm": ["boolean"],
        "routing": [StrOptions({"node", "input"})],
        "graph": [StrOptions({"both", "given", "learned"})],
        "causal_scales": ["boolean"],
        "contrastive_weight": [real(0)],
        "contrastive_temperature": [real(0, closed="neither")],
        "balance_weight": [real(0)],
        "head_width": [whole(0)],
        "scan_backend": SCAN_BACKENDS,
    }


@register(
    tiny={
        "input_length": 4,
        "horizon": 2,
        "scales": (1, 3),
        "d_model": 3,
        "d_state": 2,
        "n_experts": 2,
        "node_embedding_dim": 2,
        "head_width": 8,
        "max_epochs": 1,
        "batch_size": 32,
        "random_state": 0,
    },
    commands={
        "stm2": {"text": "multiscale Mamba over a learned graph", "settings": {"n_experts": 0}},
        "stm3": {"text": "STM2 with a mixture of experts"},
    },
)
@published(
    "The settings of Chen et al., arXiv 2508.12247, as its summary has them; sizes and training are those of METR-LA in the "
    "authors' program.",
    {
        "input_length": Setting(96, "the program's example, 96 steps in and 96 out"),
        "horizon": Setting(96, "as above"),
        "scales": Setting((1, 3, 5, 7), "program, all data sets"),
        "d_model": Setting(4, "program, per scale"),
        "n_layers": Setting(2, "program"),
        "n_experts": Setting(4, "program; section 4.5 has the experts"),
        "top_k": Setting(1, "program"),
        "shared_expert": Setting(True, "program"),
        "node_embedding_dim": Setting(12, "program"),
        "cheb_order": Setting(3, "program; section 4.3 has the graph convolution"),
        "d_state": Setting(16, "program"),
        "d_conv": Setting(4, "program"),
        "expand": Setting(2, "program"),
        "dropout": Setting(0.0, "program, none"),
        "instance_norm": Setting(False, "program, none"),
        "routing": Setting("node", "section 4.5, routing by node embeddings"),
        "graph": Setting("learned", "section 4.3, one adaptive graph from the node embeddings and no other"),
        "causal_scales": Setting(True, "section 4.3, information flows from coarse to fine scales"),
        "contrastive_weight": Setting(
            0.1, "summary, loss with the causal contrastive loss; weight of the program"
        ),
        "contrastive_temperature": Setting(0.1, "program"),
        "balance_weight": Setting(0.0, "program, none"),
        "head_width": Setting(0, "program, a linear map from the encoded window of a node"),
        "seasonal_profile": Setting(None, "no seasonal mean"),
        "linear_skip": Setting(False, "no linear forecast"),
        "time_features": Setting(None, "program, which drops the calendar"),
        "loss": Setting("mae", "summary, MAE loss"),
        "node_weights": Setting("scale", "program, errors in the units of the data"),
        "learning_rate": Setting(3e-3, "program"),
        "weight_decay": Setting(0.0, "program"),
        "lr_schedule": Setting(None, "program, constant up to epoch 25"),
        "grad_clip": Setting(None, "program, none"),
        "batch_size": Setting(64, "program"),
        "max_epochs": Setting(100, "program"),
        "patience": Setting(15, "program"),
        "validation_fraction": Setting(0.25, "program, a fifth of all data, as is the test part"),
    },
    [
        "Convolutions run over time; those of the program run over the number of the node.",
        (
            "Norms see one scale, scales share one Mamba, the router's probability is the weight of an expert, and the "
            "contrastive loss separates scales: in the program these parts act against what the paper says of them."
        ),
        (
            "Node embeddings start from correlations or the given graph, and the routing from nodes that behave alike, and "
            "not at random; the scores of the learned graph have no ReLU, which would leave pairs without a gradient."
        ),
        (
            "The program halves the learning rate once, after epoch 25, and scales all nodes by one mean and spread; here"
            " each node has its own."
        ),
    ],
)
@describe
class STM3Forecaster(STM3Parameters, AsPublished, GraphNetworkForecaster):
    """Mixture of multiscale Mamba experts over a learned graph of the nodes, and a given one.

    Each layer mixes the nodes by an adaptive graph convolution, lets fine scales attend to coarser ones, and passes
    every node's series through the Mamba expert that its learned embedding is routed to, beside a shared one.
    ``n_experts=0`` is STM2, the base model with a single multiscale Mamba for all nodes.

    Parameters
    ----------
    {window_parameters}
    scales : tuple of int, default=(1, 3, 5, 7)
        Widths of the temporal convolutions, odd and increasing: one scale each, from fine to coarse.
    d_model : int, default=4
        Width per scale, at least 3: a norm over two channels would leave only a sign.
    n_layers : int, default=1
        Layers, each a graph convolution and a mixture of experts.
    n_experts : int, default=4
        Routed experts; 0 is STM2.
    top_k : int, default=1
        Experts per node, at most `n_experts`.
    shared_expert : bool, default=True
        Whether one more expert sees every node.
    node_embedding_dim : int, default=12
        Width of the node embeddings that make the learned graph, the graph weights and the routing.
    cheb_order : int, default=3
        Chebyshev terms of the learned graph, the identity included; 1 does not use that graph, but a given one.
    d_state : int, default=16
        States of each Mamba channel.
    d_conv : int, default=4
        Width of Mamba's causal convolution.
    expand : int, default=2
        Width of Mamba's inner channels over `d_model`.
    dropout : float, default=0.0
        Dropout after graph convolution and experts; in [0, 1).
    instance_norm : bool, default=False
        Whether each window is normalised by its own mean and spread (for drifting levels).
    routing : {"node", "input"}, default="node"
        Route by the node embedding, or by the features of the window (an ablation of the paper).
    graph : {"both", "given", "learned"}, default="both"
        Graphs that the convolution uses; without `adj` only the learned one.
    causal_scales : bool, default=True
        Whether a scale attends to itself and coarser ones only.
    contrastive_weight : float, default=0.0
        Weight of the contrastive loss that separates experts and scales.
    contrastive_temperature : float, default=0.1
        Temperature of that loss.
    balance_weight : float, default=0.01
        Weight of the loss for an even use of the experts.
    head_width : int, default=128
        Hidden units of the head: a perceptron on the encoded window, the window, the node and the calendar. 0: a linear map from
        the encoded window alone, as in the paper, which sees no `long_input_length`.
    {graph_network_parameters}
    {scan_parameters}
    {training_parameters}

    Attributes
    ----------
    graph_ : DataFrame of shape (n_nodes, n_nodes)
        Learned adjacency: row i holds the weight of each node for node i; rows sum to 1.
    routing_ : DataFrame of shape (n_nodes, n_experts)
        Probability of each expert, per node.
    routing_change_ : ndarray of shape (n_epochs,)
        Share of the nodes whose first expert changed in each epoch.
    {training_attributes}

    See Also
    --------
    stmest.RidgeForecaster : The linear model to compare with first.

    Notes
    -----
    STM3: Chen, Zhang, Xin, Zhu, "Mixture of Multiscale Mamba for Long-Term Spatio-Temporal Time-Series Prediction",
    arXiv 2508.12247. `as_published` has the settings of the paper; `stmest/networks/stm3.py` lists where this implementation
    differs, and why.

    Without `adj` the node embeddings start from the lagged correlations of the training part, less the daily cycle. So the
    learned graph starts with edges from leading to following nodes. The routing of the nodes starts from groups of them that
    are alike in their seasonal mean and in how a time step goes with those before it. The network computes in float32; any
    other `precision` is refused.

    Examples
    --------
    >>> from stmest import STM3Forecaster, make_sensor_network
    >>> data = make_sensor_network(n_nodes=5, n_times=300, random_state=0)
    >>> model = STM3Forecaster(input_length=12, horizon=3, max_epochs=1, random_state=0)
    >>> model.fit(data.values, data.graph).predict().shape
    (3, 5)
    """

    # ---------------------------------------------------------------- network and losses

    _network_class = STM3Network

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.precision != "float32":
            raise ParameterError(
                f"precision={self.precision!r} would change nothing in {type(self).__name__}: its few channels per scale gain "
                "nothing by half precision, and its kernels compute in single. Leave precision='float32'."
            )
        scales = list(self.scales)
        odd = whole(1)
        if not scales or not all(odd.is_satisfied_by(k) and k % 2 for k in scales):
            raise ParameterError(
                f"scales={self.scales!r}; needed: odd integers of at least 1, such as (1, 3, 5, 7)."
            )
        if scales != sorted(set(scales)):
            raise ParameterError(f"scales={self.scales!r} must increase, from the finest to the coarsest.")
        if self.n_experts and self.top_k > self.n_experts:
            raise ParameterError(f"top_k={self.top_k} is more than n_experts={self.n_experts}.")

    def _network_settings(self, predictor: Predictor, graph: Graph | None) -> dict[str, Any]:
        return super()._network_settings(predictor, graph) | {"contrastive": self.contrastive_weight > 0}

    def _prepare_network(
        self, network: Any, values: Any, panel: Panel, predictor: Predictor, graph: Graph | None
    ) -> None:
        """Start the node embeddings from the given graph, or from correlations, and the routing from nodes that behave alike."""
        season, target = season_length(panel.index), predictor.target[0]
        series = values[max(0, len(values) - _STEPS_TO_CORRELATE) :, :, target]
        enough = len(series) >= 2 * (season + self.input_length)
        if graph is None and enough:
            graph = graph_from_correlation(series, _PARTNERS, max_lag=self.input_length, season=season)
        if graph is not None:
            network.start_embedding(torch.from_numpy(graph.eigenvectors(self.node_embedding_dim)))
        if enough and self.n_experts and self.routing == "node":
            profile = None if predictor.season is None else predictor.season.table[:, :, target]
            groups = node_groups(np.asarray(series), self.n_experts, self.input_length, profile)
            network.start_routing(torch.from_numpy(groups))

    def _loss_weights(self) -> dict[str, float]:
        weights = {"balance": self.balance_weight, "contrastive": self.contrastive_weight}
        return {name: float(weight) for name, weight in weights.items() if weight > 0 and self.n_experts}

    def _more_callbacks(self, network: Any) -> list[tuple[str, Any]]:
        return [("routing", _RoutingMonitor())] if self.n_experts else []

    def _remember(self, trained: Trained, n_earlier: int) -> None:
        super()._remember(trained, n_earlier)
        monitor = trained.callbacks.get("routing")
        self.routing_change_ = np.empty(0) if monitor is None else np.asarray(monitor.change_)

    # ---------------------------------------------------------------- fitted attributes

    @property
    def graph_(self) -> pd.DataFrame:
        """Learned adjacency, labelled by node; row i holds the weight of each node for node i."""
        check_is_fitted(self)
        labels = self._node_labels()
        graph = self.network_.learned_graph().cpu().numpy()
        return self._shown(pd.DataFrame(graph, index=labels, columns=labels))

    @property
    def routing_(self) -> pd.DataFrame:
        """Probability of each expert (columns), per node (rows), in the last layer; no columns for STM2.

        With ``routing="input"`` it depends on the window; this is that of the last look-back.
        """
        check_is_fitted(self)
        if not self.n_experts:
            return pd.DataFrame(index=self._node_labels())
        (inputs,) = self._network_inputs(self.context_.tail(self.input_length), 1)
        with torch.inference_mode():
            probabilities = self.network_.routing(**inputs)
        return self._shown(pd.DataFrame(probabilities.cpu().numpy(), index=self._node_labels()))

    def scale_embeddings(self, X: Any, stride: int = 1) -> np.ndarray:
        """Representation of each window by each scale, for plots of how well the scales separate.

        Parameters
        ----------
        X : array-like, DataFrame, DataArray or Tensor
            Values, at least `input_length` time steps.
        stride : int, default=1
            Time steps between two windows.

        Returns
        -------
        ndarray of shape (n_windows, n_nodes, n_scales, d_model)
            Time mean of the last layer, per scale.
        """
        return self._representations(X, stride)["scales"]

    def expert_embeddings(self, X: Any, stride: int = 1) -> np.ndarray:
        """Representation of each window by the routed expert, for plots of how well the experts separate.

        Parameters
        ----------
        X : array-like, DataFrame, DataArray or Tensor
            Values, at least `input_length` time steps.
        stride : int, default=1
            Time steps between two windows.

        Returns
        -------
        ndarray of shape (n_windows, n_nodes, n_scales, d_model)
            Time mean of the output of each node's first expert in the last layer; `routing_` names the expert.
        """
        return self._representations(X, stride)["experts"]

    def _representations(self, X: Any, stride: int) -> dict[str, np.ndarray]:
        check_is_fitted(self)
        self._warn_if_unused()
        parts: dict[str, list[np.ndarray]] = {}
        for inputs in self._network_inputs(X, stride):
            with torch.inference_mode():
                for name, tensor in self.network_.representations(**inputs).items():
                    parts.setdefault(name, []).append(tensor.cpu().numpy())
        return {name: np.concatenate(arrays) for name, arrays in parts.items()}


class _RoutingMonitor(Callback):
    """Counts, after each epoch, the share of nodes whose first expert changed.

    Where the routing depends on the window, a fixed batch of training windows stands for all of them.
    """

    def on_train_begin(self, net: Any, X: Any = None, **kwargs: Any) -> None:
        """Store the routing of the nodes before training."""
        positions = np.linspace(0, len(X) - 1, min(len(X), net.batch_size)).astype(int)
        inputs = X.load(list(positions))[0]
        self.probe_ = {name: inputs[name].to(net.device) for name in ("x", "time") if name in inputs}
        self.change_: list[float] = []
        self.experts_ = self._experts(net)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Compare with the epoch before."""
        experts = self._experts(net)
        self.change_.append(float((experts != self.experts_).mean()))
        self.experts_ = experts

    def state_dict(self) -> dict[str, Any]:
        """State for a checkpoint."""
        return {"change_": self.change_, "experts_": self.experts_}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.change_, self.experts_ = state["change_"], state["experts_"]

    def _experts(self, net: Any) -> np.ndarray:
        return net.module_.routing(**self.probe_).argmax(1).cpu().numpy()
