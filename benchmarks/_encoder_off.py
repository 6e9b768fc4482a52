"""Forecasters whose encoder does nothing: what is left of a network is its head.

"Head alone": the encoder runs, and its output is set to zero in training and in forecasts. "No encoder": the layers between the
lift of the values and the head are left out.

============  ======================================  ==============================================
network       output set to zero                      layers left out
============  ======================================  ==============================================
STM3          encoded window                          graph convolution, scales' attention, experts
STMamba       encoded window                          all blocks
S2TX          local tokens in front of the head       attention, and with it the global branch
MAD           latents in front of the decoder         trunk (the last latents are repeated), reconstruction
============  ======================================  ==============================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from stmest.layers.stm3_layer import LayerState
from stmest.networks.mad import MADNetwork
from stmest.networks.stm3 import STM3Network

__all__ = ["altered", "head_alone", "no_encoder"]


def altered(kind: Any, alter: Callable[[Any], None]) -> Any:
    """A forecaster class whose untrained networks are changed in place."""

    def _build_network(self: Any, predictor: Any, graph: Any) -> Any:
        network = kind._build_network(self, predictor, graph)
        alter(network)
        return network

    return type(kind.__name__, (kind,), {"_build_network": _build_network})


def head_alone(kind: Any) -> Any:
    """The forecaster with an encoder whose output is zero."""
    return altered(kind, _blind)


def no_encoder(kind: Any) -> Any:
    """The forecaster with a network that leaves its encoder out; give STM3 ``n_experts=0`` with it."""
    return altered(kind, _bare)


def _blind(network: Any) -> None:
    head = network.space.decoder if isinstance(network, MADNetwork) else network.head
    head.register_forward_pre_hook(_without_first)


def _without_first(module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return torch.zeros_like(arguments[0]), *arguments[1:]


def _bare(network: Any) -> None:
    if isinstance(network, STM3Network):
        network.layers = nn.ModuleList([_Through()])
    elif isinstance(network, MADNetwork):
        network.trunk, network.reconstruction = _LastLatents(network.horizon), None
    else:
        name = "layers" if hasattr(network, "layers") else "blocks"
        setattr(network, name, nn.ModuleList())


class _Through(nn.Module):
    """In the place of a layer of STM3: hands on what it gets."""

    def forward(self, z: torch.Tensor, *others: Any) -> LayerState:
        return LayerState(z, z, None, None)


class _LastLatents(nn.Module):
    """In the place of MAD's trunk: the latents of the last frame, again and again."""

    def __init__(self, horizon: int):
        super().__init__()
        self.horizon = horizon

    def forward(self, z: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        return z[:, -1:].expand(-1, self.horizon, *z.shape[2:])
