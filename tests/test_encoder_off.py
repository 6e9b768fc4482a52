"""The networks that the ablations leave of a network: nothing of an encoder reaches their forecasts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stmest.networks.mad import MADNetwork
from stmest.networks.s2tx import S2TXNetwork
from stmest.networks.stm3 import STM3Network
from stmest.networks.stmamba import STMambaNetwork
from tests.networks.cases import build, shaken, windows

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
# What encodes, by the first words of the names of its parameters
ENCODERS = {
    STM3Network: ("lift.", "layers."),
    STMambaNetwork: ("lift_", "blocks."),
    S2TXNetwork: ("embed_", "layers.", "global_layers."),
    MADNetwork: ("trunk.", "reconstruction."),
}


@pytest.fixture
def encoder_off(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import _encoder_off

    return _encoder_off


def _moves(network):
    """Whether the forecast changes with the encoder."""
    x, _ = windows(network)
    with torch.no_grad():
        before = network.eval()(x)[0]
        for name, parameter in network.named_parameters():
            if name.startswith(ENCODERS[type(network)]):
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(4)))
        return not torch.equal(network(x)[0], before)


@pytest.mark.parametrize("kind", ENCODERS)
def test_with_its_head_alone_a_network_does_not_change_with_its_encoder(encoder_off, kind):
    assert _moves(shaken(build(kind)))
    network = shaken(build(kind))
    encoder_off._blind(network)
    assert not _moves(network)


@pytest.mark.parametrize("kind", ENCODERS)
def test_without_an_encoder_there_is_less_to_learn_and_a_forecast(encoder_off, kind):
    network = shaken(build(kind, **({"n_experts": 0} if kind is STM3Network else {})))
    x, _ = windows(network)
    whole, n_weights = network.eval()(x)[0], sum(p.numel() for p in network.parameters())
    encoder_off._bare(network)
    assert sum(p.numel() for p in network.parameters()) < n_weights
    forecast, auxiliary = network(x)
    assert forecast.shape == whole.shape
    assert not torch.allclose(forecast, whole)
    assert auxiliary == {}
    network.train()(x)[0].square().mean().backward()
