"""STMamba as a forecaster: parameters, network, and the attention weights as labelled tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from ..exceptions import ParameterError
from ..layers.graph_attention import ATTENTION_BACKENDS, KINDS
from ..networks.stmamba import GRAPHS, STMambaNetwork
from ..runtime import require
from .graph_network import GraphNetworkForecaster
from .parameters import GraphNetworkParameters, describe, real, whole
from .published import AsPublished, Setting, published
from .registry import register
from .scan import SCAN_BACKENDS

__all__ = ["STMambaForecaster", "STMambaParameters"]


@dataclass(kw_only=True, eq=False, repr=False)
class STMambaParameters(GraphNetworkParameters):
    """Parameters of STMamba beside those of every network that mixes nodes."""

    d_model: int = 16
    n_layers: int = 2
    n_heads: int = 2
    attention: str = "dot"
    attention_backend: str = "auto"
    graph: str = "auto"
    temporal: bool = True
    d_state: int = 16
    d_conv: int = 4
    expand: int = 2
    bidirectional: bool = False
    feed_forward: int = 0
    node_embedding_dim: int = 12
    dropout: float = 0.0
    norm_first: bool = True
    head: str = "flatten"
    head_width: int = 64
    scan_backend: str = "auto"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **GraphNetworkParameters._parameter_constraints,
        "d_model": [whole(1)],
        "n_layers": [whole(1, 1000)],
        "n_heads": [whole(0)],
        "attention": [StrOptions(set(KINDS))],
        "attention_backend": [StrOptions(set(ATTENTION_BACKENDS))],
        "graph": [StrOptions(set(GRAPHS))],
        "temporal": ["boolean"],
        "d_state": [whole(1)],
        "d_conv": [whole(1)],
        "expand": [whole(1)],
        "bidirectional": ["boolean"],
        "feed_forward": [whole(0)],
        "node_embedding_dim": [whole(0)],
        "dropout": [real(0, 1)],
        "norm_first": ["boolean"],
        "head": [StrOptions({"flatten", "last"})],
        "head_width": [whole(0)],
        "scan_backend": SCAN_BACKENDS,
    }


@register(
    tiny={
        "input_length": 4,
        "horizon": 2,
        "d_model": 4,
        "d_state": 2,
        "n_layers": 1,
        "max_epochs": 1,
        "batch_size": 32,
        "random_state": 0,
    },
    commands={"stmamba": {"text": "graph attention and Mamba in turn"}},
)
@published(
    "The settings of the document on STMambaBlock, which has equations and no sizes; sizes and training are those of the "
    "program that it describes.",
    {
        "input_length": Setting(12, "program"),
        "horizon": Setting(12, "program"),
        "d_model": Setting(64, "program"),
        "n_layers": Setting(4, "program"),
        "n_heads": Setting(4, "program"),
        "attention": Setting("dot", 'program; "Phase 1" has weights alpha_ij and not how they are made'),
        "graph": Setting(
            "auto", '"Phase 1", attention along the adjacency matrix; without `adj` all nodes attend to all'
        ),
        "temporal": Setting(True, '"Phase 3"'),
        "d_state": Setting(16, "program"),
        "d_conv": Setting(4, "program"),
        "expand": Setting(2, "program"),
        "bidirectional": Setting(False, '"Phase 3", one state from step to step'),
        "feed_forward": Setting(0, "the document has none"),
        "node_embedding_dim": Setting(0, "the document has none"),
        "dropout": Setting(0.1, '"Phase 1" and "Phase 3"; the rate is that of the program'),
        "norm_first": Setting(False, '"Phase 1" and "Phase 3", norm(x + dropout(step(x)))'),
        "head": Setting("last", "program, the last encoded step"),
        "head_width": Setting(0, "a linear map; the document ends with the block"),
        "seasonal_profile": Setting(None, "no seasonal mean"),
        "linear_skip": Setting(False, "no linear forecast"),
        "time_features": Setting(None, "the document has no calendar"),
        "loss": Setting("mae", "program"),
        "node_weights": Setting("equal", "program, errors of scaled values"),
        "learning_rate": Setting(1e-3, "program"),
        "weight_decay": Setting(1e-4, "program"),
        "lr_schedule": Setting(None, "program, which lowers the rate on a plateau only"),
        "batch_size": Setting(32, "program, 4 windows in each of 8 steps"),
        "max_epochs": Setting(500, "program"),
        "patience": Setting(10, "program"),
        "validation_fraction": Setting(0.125, "program, a tenth of all data beside a fifth to test on"),
    },
    [
        "A block adds its input once; the spatial layer of the document adds it too, so that it counts twice.",
        (
            "A last norm stands before the head, nodes without edges attend to themselves, edge weights count, and "
            "attention weights have no dropout."
        ),
        (
            "The program has a hidden layer in the head, lowers the learning rate on a plateau, and scales all nodes by "
            "one mean and spread; here each node has its own."
        ),
    ],
)
@describe
class STMambaForecaster(STMambaParameters, AsPublished, GraphNetworkForecaster):
    """Graph attention over the nodes of each time step and Mamba over the steps of each node, in turn.

    Parameters
    ----------
    {window_parameters}
    d_model : int, default=16
        Width of the network.
    n_layers : int, default=2
        Blocks, each a spatial and a temporal step.
    n_heads : int, default=2
        Attention heads, a divisor of `d_model`; 0: no attention, every node is forecast from its own values.
    attention : {"dot", "gat", "gatv2"}, default="dot"
        Scaled dot-product attention, or torch_geometric's additive kinds (extra ``graph``).
    attention_backend : {"auto", "dense", "sparse"}, default="auto"
        Whether attention runs over all pairs or along the edges; both give the same.
    graph : {"auto", "given", "learned", "full"}, default="auto"
        Nodes that a node attends to: its neighbours in the given graph (``"given"``), or all; ``"learned"`` adds scores learned
        from node embeddings. ``"auto"`` is ``"given"`` with `adj`, else ``"learned"``, and without node embeddings ``"full"``.
        Nodes always attend to themselves.
    temporal : bool, default=True
        False: no Mamba; then only the head sees more than one time step.
    d_state : int, default=16
        States of each Mamba channel.
    d_conv : int, default=4
        Width of Mamba's causal convolution.
    expand : int, default=2
        Width of Mamba's inner channels over `d_model`.
    bidirectional : bool, default=False
        Whether a second Mamba reads the look-back backwards.
    feed_forward : int, default=0
        Width of a feed-forward part after each block over `d_model`; 0: none.
    node_embedding_dim : int, default=12
        Width of the node embeddings; 0: none.
    dropout : float, default=0.0
        Dropout after each step; in [0, 1).
    norm_first : bool, default=True
        Whether the norms stand before the steps of a block, or after their sum with its input, as in the document.
    head : {"flatten", "last"}, default="flatten"
        Whether the forecast is made from all encoded steps or from the last one.
    head_width : int, default=64
        Hidden units of the head: a perceptron on the encoding, the window, the node and the calendar. 0: a linear map from the
        encoding alone, which sees no `long_input_length`.
    {graph_network_parameters}
    {scan_parameters}
    {training_parameters}

    Attributes
    ----------
    graph_ : DataFrame of shape (n_nodes, n_nodes)
        The graph that attention starts from, given or learned: row i holds the weight of each node for node i before any value
        is seen; rows sum to 1.
    attention_backend_ : str
        ``"dense"`` or ``"sparse"``: which path attention takes.
    {training_attributes}

    See Also
    --------
    stmest.STM3Forecaster : Mixture of multiscale Mamba experts.
    stmest.RidgeForecaster : The linear model to compare with first.

    Notes
    -----
    ``adj[i, j]`` is the edge i -> j, by which node j attends to node i. `as_published` has the settings of the document;
    `stmest/networks/stmamba.py` lists the sources of the design, and where this implementation differs and why.

    Examples
    --------
    >>> from stmest import STMambaForecaster, make_sensor_network
    >>> data = make_sensor_network(n_nodes=5, n_times=300, random_state=0)
    >>> model = STMambaForecaster(input_length=12, horizon=3, linear_skip=False, max_epochs=1, random_state=0)
    >>> model.fit(data.values, data.graph).predict().shape
    (3, 5)
    >>> model.attention_weights(data.values[-100:]).shape
    (5, 5)
    """

    _network_class = STMambaNetwork

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.n_heads and self.d_model % self.n_heads:
            raise ParameterError(f"d_model={self.d_model} must be a multiple of n_heads={self.n_heads}.")
        if self.head == "last" and not self.temporal:
            raise ParameterError(
                "temporal=False needs head='flatten': the last step alone does not see the past."
            )
        if self.attention == "dot":
            return
        if self.attention_backend == "dense":
            raise ParameterError(
                f"attention={self.attention!r} runs along the edges only; attention_backend='dense' does not."
            )
        require("torch_geometric", "graph")

    # ---------------------------------------------------------------- fitted attributes

    @property
    def attention_backend_(self) -> str:
        """Which path attention takes on the device of the network."""
        check_is_fitted(self)
        return self.network_.graph.choice(self.device_.type).name

    @property
    def graph_(self) -> pd.DataFrame:
        """The graph that attention starts from, labelled by node; row i holds the weight of each node for node i."""
        check_is_fitted(self)
        return self._shown(self._table(self.network_.fixed_graph().cpu().numpy()))

    def attention_weights(
        self, X: Any, per_layer: bool = False, stride: int = 1
    ) -> pd.DataFrame | list[pd.DataFrame]:
        """How much each node attends to each, mean over windows, steps and heads.

        Parameters
        ----------
        X : array-like, DataFrame, DataArray or Tensor
            Values, at least `input_length` time steps.
        per_layer : bool, default=False
            Whether to return one table per layer.
        stride : int, default=1
            Time steps between two windows.

        Returns
        -------
        DataFrame of shape (n_nodes, n_nodes), or a list of one per layer
            Row i holds how much node i attends to each node; rows sum to 1.
        """
        check_is_fitted(self)
        if not self.n_heads:
            raise ParameterError("n_heads=0: the forecaster was fitted without attention.")
        total = np.zeros((self.n_layers, self.n_features_in_, self.n_features_in_))
        n_windows = 0
        for inputs in self._network_inputs(X, stride):
            with torch.inference_mode():
                weights = self.network_.attention_weights(**inputs)
            total += weights.double().cpu().numpy() * len(inputs["x"])
            n_windows += len(inputs["x"])
        layers = [total.mean(0), *total] if not per_layer else list(total)
        tables = [self._shown(self._table(layer / n_windows)) for layer in layers]
        return tables if per_layer else tables[0]

    def _table(self, matrix: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(matrix, index=self._node_labels(), columns=self._node_labels())
