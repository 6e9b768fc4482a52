"""S2TX as a forecaster: parameters and network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from ..exceptions import ParameterError
from ..layers.norms import TOKEN_NORMS
from ..networks.s2tx import TOKEN_ORDERS, S2TXNetwork
from .network import NetworkForecaster
from .parameters import TrainingParameters, describe, real, whole
from .published import AsPublished, Setting, published
from .registry import register
from .scan import SCAN_BACKENDS

__all__ = ["S2TXForecaster", "S2TXParameters"]


@dataclass(kw_only=True, eq=False, repr=False)
class S2TXParameters(TrainingParameters):
    """Parameters of S2TX beside those of every network."""

    input_length: int = 672
    horizon: int = 96
    local_length: int | None = None
    global_patch: int | None = None
    global_stride: int | None = None
    local_patch: int | None = None
    local_stride: int | None = None
    attention_window: int | None = 7
    cross_variate: bool = True
    cross_attention: bool = True
    token_order: str = "time"
    bidirectional: bool = True
    d_model: int = 16
    n_heads: int = 4
    n_layers: int = 1
    n_global_layers: int = 1
    d_ff: int = 128
    d_state: int = 16
    d_conv: int = 4
    expand: int = 2
    dropout: float = 0.3
    norm: str = "batch"
    scan_backend: str = "auto"
    time_features: Any = None
    max_epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 1e-3
    loss: str = "mse"
    node_weights: str = "equal"
    patience: int | None = 3

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TrainingParameters._parameter_constraints,
        "local_length": [whole(1), None],
        "global_patch": [whole(1), None],
        "global_stride": [whole(1), None],
        "local_patch": [whole(1), None],
        "local_stride": [whole(1), None],
        "attention_window": [whole(1), None],
        "cross_variate": ["boolean"],
        "cross_attention": ["boolean"],
        "token_order": [StrOptions(set(TOKEN_ORDERS))],
        "bidirectional": ["boolean"],
        "d_model": [whole(1)],
        "n_heads": [whole(1)],
        "n_layers": [whole(1, 1000)],
        "n_global_layers": [whole(1, 1000)],
        "d_ff": [whole(1)],
        "d_state": [whole(1)],
        "d_conv": [whole(1)],
        "expand": [whole(1)],
        "dropout": [real(0, 1)],
        "norm": [StrOptions(set(TOKEN_NORMS))],
        "scan_backend": SCAN_BACKENDS,
    }


@register(
    tiny={
        "input_length": 4,
        "horizon": 2,
        "d_model": 4,
        "d_state": 2,
        "n_heads": 2,
        "n_layers": 1,
        "d_ff": 4,
        "max_epochs": 1,
        "batch_size": 32,
        "random_state": 0,
    },
    commands={"s2tx": {"text": "Mamba over all nodes, attention over recent patches of each"}},
)
@published(
    "The settings of Wu et al., arXiv 2502.11340, as its summary has them. It names no sizes; those of its parent SST (Xu et "
    "al., arXiv 2404.14757) on the electricity-transformer data, from its program, stand for them.",
    {
        "input_length": Setting(672, "SST"),
        "horizon": Setting(96, "SST, the shortest of 96, 192, 336 and 720"),
        "local_length": Setting(None, "SST, half of the look-back, 336 steps"),
        "global_patch": Setting(None, "SST, 48 steps of such a look-back"),
        "global_stride": Setting(None, "SST, 16 steps of such a look-back"),
        "local_patch": Setting(None, "SST, 16 steps of such a look-back"),
        "local_stride": Setting(None, "SST, 8 steps of such a look-back"),
        "attention_window": Setting(7, "SST; the paper has local window attention"),
        "cross_variate": Setting(True, "mechanism 1, patches of all nodes concatenated"),
        "cross_attention": Setting(True, "mechanism 2, the global context as key and value"),
        "token_order": Setting("variate", "component map, nodes before patches"),
        "bidirectional": Setting(True, "component map"),
        "d_model": Setting(16, "SST"),
        "n_heads": Setting(4, "SST"),
        "n_layers": Setting(3, "SST"),
        "n_global_layers": Setting(1, "SST"),
        "d_ff": Setting(128, "SST"),
        "d_state": Setting(16, "SST"),
        "d_conv": Setting(4, "SST"),
        "expand": Setting(2, "SST"),
        "dropout": Setting(0.3, "SST"),
        "norm": Setting("batch", "SST"),
        "seasonal_profile": Setting(None, "no seasonal mean"),
        "linear_skip": Setting(False, "no linear forecast"),
        "time_features": Setting(None, "the paper has no calendar"),
        "loss": Setting("mse", "SST; the summary gives mean squared errors"),
        "node_weights": Setting("equal", "SST, errors of scaled values"),
        "learning_rate": Setting(1e-4, "SST, Adam"),
        "weight_decay": Setting(0.0, "SST, none"),
        "lr_schedule": Setting(None, "SST, constant up to epoch 3"),
        "grad_clip": Setting(None, "SST, none"),
        "batch_size": Setting(128, "SST"),
        "max_epochs": Setting(10, "SST"),
        "patience": Setting(10, "SST"),
        "validation_fraction": Setting(0.25, "SST, 4 months beside 12 to learn from"),
    },
    [
        "The local window shows the neighbours; the mask of SST's program hides them.",
        "Norms stand in front of every step, Mamba has a residual, and attention layers do not pass on their scores.",
        (
            "Every node has a learned vector in the global sequence, and the global Mamba starts with a far reach: else other "
            "nodes do not reach a forecast."
        ),
        "The program of SST lowers the learning rate by a tenth with each epoch from the fourth on.",
    ],
)
@describe
class S2TXForecaster(S2TXParameters, AsPublished, NetworkForecaster):
    """Mamba over coarse patches of all nodes, and attention over fine patches of each node and to the coarse ones.

    For many steps ahead from a long look-back, without a graph. The nodes may have any kinds and
    units. Coarse patches of the whole look-back of all nodes form one sequence, which Mamba processes in both directions. Fine
    patches of the last time steps of a node attend to each other in a local window, and to the coarse ones. Cost grows linearly
    with nodes and patches.

    Parameters
    ----------
    {window_parameters}
    local_length : int or None, default=None
        Last time steps of the look-back, which are cut into fine patches; None: half of it.
    global_patch, global_stride : int or None, default=None
        Time steps of a coarse patch, and between the starts of two. None: a quarter of the look-back, 48 at most; a third of
        the patch.
    local_patch, local_stride : int or None, default=None
        Time steps of a fine patch, and between the starts of two. None: a quarter of `local_length`, 16 at most; half of the
        patch.
    attention_window : int or None, default=7
        Fine patches that each fine patch attends to, itself in the middle; an odd number. None: all.
    cross_variate : bool, default=True
        Whether the coarse patches of all nodes are one sequence. False: the network sees each node on its own.
    cross_attention : bool, default=True
        Whether fine patches attend to coarse ones. False: the coarse patches, and so the other nodes, are not used.
    token_order : {"time", "variate"}, default="time"
        Whether the sequence goes patch by patch through all nodes (``"time"``), so that patches of one time lie close together,
        or node by node. The order of the nodes matters in both cases.
    bidirectional : bool, default=True
        Whether a second Mamba processes the sequence backwards. Without it a node sees only the nodes before it.
    d_model : int, default=16
        Width of the network.
    n_heads : int, default=4
        Attention heads, a divisor of `d_model`.
    n_layers, n_global_layers : int, default=1
        Attention layers over fine patches; Mamba layers over coarse ones.
    d_ff : int, default=128
        Hidden units of the feed-forward parts.
    d_state : int, default=16
        States of each Mamba channel.
    d_conv : int, default=4
        Width of Mamba's causal convolution.
    expand : int, default=2
        Width of Mamba's inner channels over `d_model`.
    dropout : float, default=0.3
        Dropout of tokens and after each step; in [0, 1).
    norm : {"batch", "layer"}, default="batch"
        Norm before each step: of each channel over all tokens, or of each token over its channels.
    {scan_parameters}
    {training_parameters}

    Attributes
    ----------
    patching_ : DataFrame
        For ``"global"`` and ``"local"``: time steps of the window, of a patch, between two patches, and number of patches.
    {training_attributes}

    See Also
    --------
    stmest.NLinearForecaster, stmest.DLinearForecaster : The linear models to compare with first.
    stmest.STMambaForecaster : For nodes with a graph.

    Notes
    -----
    The published network has neither ``linear_skip`` nor ``seasonal_profile``; `as_published` has its settings. Only the linear
    forecast uses `adj`. Mean and standard deviation of each look-back are removed and restored (RevIN), so that a slow
    drift of the level does no harm. The network sees the calendar of the look-back, and not that of the target steps.
    `stmest/networks/s2tx.py` lists where this implementation differs from the paper and why.

    Examples
    --------
    >>> from stmest import S2TXForecaster, make_sensor_network
    >>> X = make_sensor_network(n_nodes=5, n_times=400, random_state=0).values
    >>> model = S2TXForecaster(input_length=96, horizon=24, max_epochs=1, random_state=0).fit(X)
    >>> model.predict().shape
    (24, 5)
    >>> model.patching_
            length  patch  stride  n_patches
    global      96     24       8         11
    local       48     12       6          8
    """

    _network_class = S2TXNetwork
    _level_free = True  # the network removes the mean of every window

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.d_model % self.n_heads:
            raise ParameterError(f"d_model={self.d_model} must be a multiple of n_heads={self.n_heads}.")

    @property
    def patching_(self) -> pd.DataFrame:
        """How the two branches cut the look-back."""
        check_is_fitted(self)
        return pd.DataFrame([self.network_.coarse, self.network_.local], index=["global", "local"])
