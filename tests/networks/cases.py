"""Tiny networks, and windows for them."""

from __future__ import annotations

import inspect
import math
from typing import Any

import torch
from torch import Tensor

from stmest.networks.base import ForecastNetwork
from stmest.networks.linear import DLinearNetwork, NLinearNetwork
from stmest.networks.mad import MADNetwork
from stmest.networks.s2tx import S2TXNetwork
from stmest.networks.stid import STIDNetwork
from stmest.networks.stm3 import STM3Network
from stmest.networks.stmamba import STMambaNetwork
from stmest.networks.unet import UNetNetwork

# Nodes 0 to 3 in a ring, node 4 alone
ADJACENCY = torch.tensor(
    [[0, 2, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 3, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], dtype=torch.float32
)

_SIZES = {
    "n_nodes": 5, "n_inputs": 2, "n_outputs": 1, "input_length": 6, "horizon": 4, "n_time_features": 0,
    "n_ahead": 0, "n_events": 0,
}  # fmt: skip
_MAMBA = {"d_state": 4, "d_conv": 4, "expand": 2, "scan_backend": "auto"}
_LINEAR = {**_SIZES, "per_node": False}

SETTINGS: dict[type[ForecastNetwork], dict[str, Any]] = {
    STM3Network: {
        **_SIZES, **_MAMBA, "adjacency": None, "graph": "both", "scales": (1, 3, 5), "d_model": 3, "n_layers": 2,
        "n_experts": 3, "top_k": 1, "shared_expert": True, "node_embedding_dim": 4, "cheb_order": 3, "dropout": 0.0,
        "instance_norm": False, "routing": "node", "causal_scales": True, "contrastive": False,
        "contrastive_temperature": 0.1, "observed_channels": None, "head_width": 64, "older": None,
    },
    STMambaNetwork: {
        **_SIZES, **_MAMBA, "adjacency": None, "graph": "auto", "attention": "dot", "attention_backend": "auto",
        "d_model": 8, "n_layers": 2, "n_heads": 2, "temporal": True, "bidirectional": False, "feed_forward": 0,
        "node_embedding_dim": 4, "dropout": 0.0, "norm_first": True, "head": "flatten", "head_width": 64, "older": None,
    },
    S2TXNetwork: {
        **_SIZES, **_MAMBA, "n_nodes": 4, "n_inputs": 1, "input_length": 24, "horizon": 5, "local_length": None,
        "global_patch": None, "global_stride": None, "local_patch": None, "local_stride": None, "attention_window": 7,
        "cross_variate": True, "cross_attention": True, "token_order": "variate", "bidirectional": True, "d_model": 8,
        "n_heads": 2, "n_layers": 2, "n_global_layers": 1, "d_ff": 16, "dropout": 0.0, "norm": "layer",
        "observed_channels": None,
    },
    MADNetwork: {
        **_SIZES, "n_inputs": 1, "input_length": 5, "horizon": 3, "grid_shape": (6, 9), "adjacency": None,
        "reconstruction": "mamba", "prediction": "dit", "step_embedding": False, "fusion": "sum", "fusion_weight": 0.1,
        "norm": "group", "directions": "sum", "width": 4, "strides": (2, 2), "d_model": 8,
        "n_layers": 1, "n_heads": 2, "mlp_ratio": 4, "hidden": 6, "d_state": 4, "kernels": (3, 5), "scan_backend": "auto",
    },
    STIDNetwork: {
        **_SIZES, "day_channels": None, "week_channel": None, "slots_per_day": 24, "d_model": 4, "n_layers": 3,
        "dropout": 0.0,
    },
    UNetNetwork: {**_SIZES, "input_length": 3, "grid_shape": (8, 8), "channels": 4, "depth": 2},
    DLinearNetwork: {**_LINEAR, "trend_window": 5},
    NLinearNetwork: _LINEAR,
}  # fmt: skip


def settings_of(kind: type[ForecastNetwork], **changes: Any) -> dict[str, Any]:
    """Arguments of a tiny network, with changes; the first channels are forecast, and a grid has its number of nodes."""
    settings = {**SETTINGS[kind], **changes}
    if settings.get("grid_shape") is not None:
        settings["n_nodes"] = math.prod(settings["grid_shape"])
    wanted = inspect.signature(kind).parameters
    derived = {"target_channels": list(range(settings["n_outputs"])), "n_features": settings["n_inputs"]}
    return {name: value for name, value in derived.items() if name in wanted} | settings


def build(kind: type[ForecastNetwork], seed: int = 0, **changes: Any) -> Any:
    """A tiny network, apart from the changes."""
    torch.manual_seed(seed)
    return kind(**settings_of(kind, **changes))


def windows(network: ForecastNetwork, seed: int = 1, batch: int = 3) -> tuple[Tensor, Tensor | None]:
    """Random observations, and a random calendar if the network has one."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, network.input_length, network.n_nodes, network.n_inputs, generator=generator)
    n_steps, n_features = network.input_length + network.horizon, network.n_time_features
    return x, torch.randn(batch, n_steps, n_features, generator=generator) if n_features else None


def shaken(network: Any, seed: int = 2) -> Any:
    """The same network away from the zeros that it starts with, as after some training."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return network
