"""What `ForecastNetwork` promises, for every network and every variant of it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any

import pytest
import torch
from torch import Tensor

import stmest
import stmest.networks
from stmest.exceptions import GraphError, ParameterError
from stmest.networks.base import ForecastNetwork, check_grid
from stmest.networks.linear import DLinearNetwork, NLinearNetwork
from stmest.networks.mad import MADNetwork
from stmest.networks.s2tx import S2TXNetwork
from stmest.networks.stid import STIDNetwork
from stmest.networks.stm3 import STM3Network
from stmest.networks.stmamba import STMambaNetwork
from stmest.networks.unet import UNetNetwork
from stmest.runtime import seeded
from stmest.training.building import build_network
from tests.forecasters.small import FIELD_NAMES, network_names
from tests.networks.cases import ADJACENCY, SETTINGS, build, settings_of, shaken, windows

CALENDAR = {"n_time_features": 2}
HOLIDAYS = {"n_time_features": 5, "n_events": 3}
CHAIN = torch.diag(torch.ones(6), 1)  # seven nodes, 0 -> 1 -> ... -> 6
NODES = {"grid_shape": None, "n_nodes": 7}
_DAY, _WEEK = {"day_channels": (0, 1)}, {"n_time_features": 9, "week_channel": 2}
_LINEAR: dict[str, dict[str, Any]] = {
    "shared": {},
    "per node": {"per_node": True},
    "two of four channels": {"n_inputs": 4, "n_outputs": 2, "target_channels": [0, 2]},
}

VARIANTS: dict[type[ForecastNetwork], dict[str, dict[str, Any]]] = {
    STM3Network: {
        "default": {},
        "two targets": {"n_outputs": 2},
        "stm2": {"n_experts": 0},
        "top_k 2": {"top_k": 2},
        "no shared expert": {"shared_expert": False},
        "input routing": {"routing": "input"},
        "input routing, top_k 2": {"routing": "input", "top_k": 2},
        "both graphs": {"adjacency": ADJACENCY},
        "given graph": {"adjacency": ADJACENCY, "graph": "given"},
        "learned graph": {"adjacency": ADJACENCY, "graph": "learned"},
        "graph without edges": {"adjacency": torch.zeros(5, 5)},
        "no graph terms": {"cheb_order": 1},
        "instance norm": {"instance_norm": True},
        "calendar": CALENDAR,
        "holidays": HOLIDAYS,
        "scales see each other": {"causal_scales": False},
        "dropout": {"dropout": 0.2},
        "one scale": {"scales": (3,)},
        "scales wider than the window": {"scales": (1, 15)},
        "linear head": {"head_width": 0},
        "linear head, calendar": {"head_width": 0, **CALENDAR},
        "contrastive": {"contrastive": True, "top_k": 2},
        "contrastive, input routing": {"contrastive": True, "routing": "input"},
    },
    STMambaNetwork: {
        "given graph": {"adjacency": ADJACENCY},
        "two targets": {"n_outputs": 2},
        "learned although given": {"adjacency": ADJACENCY, "graph": "learned"},
        "full graph": {"graph": "full"},
        "graph without edges": {"adjacency": torch.zeros(5, 5)},
        "dense": {"adjacency": ADJACENCY, "attention_backend": "dense"},
        "gat": {"adjacency": ADJACENCY, "attention": "gat"},
        "gat, learned graph": {"attention": "gat"},
        "gatv2": {"adjacency": ADJACENCY, "attention": "gatv2"},
        "last step": {"head": "last"},
        "linear head": {"head_width": 0},
        "linear head, last step": {"head_width": 0, "head": "last"},
        "norms after": {"norm_first": False, "feed_forward": 2},
        "no graph, no node embedding": {"node_embedding_dim": 0},
        "bidirectional": {"bidirectional": True},
        "feed-forward": {"feed_forward": 2},
        "no space": {"n_heads": 0},
        "no time": {"temporal": False},
        "neither": {"n_heads": 0, "temporal": False},
        "no node embedding": {"node_embedding_dim": 0, "adjacency": ADJACENCY},
        "calendar": CALENDAR,
        "holidays": HOLIDAYS,
        "dropout": {"dropout": 0.2},
    },
    S2TXNetwork: {
        "default": {},
        "each node alone": {"cross_variate": False},
        "no global branch": {"cross_attention": False},
        "time order": {"token_order": "time"},
        "one direction": {"bidirectional": False},
        "full attention": {"attention_window": None},
        "two Mamba layers": {"n_global_layers": 2},
        "batch norm": {"norm": "batch"},
        "short local window": {"local_length": 3},
        "whole local window": {"local_length": 24},
        "given patches": {"global_patch": 8, "global_stride": 8, "local_patch": 4, "local_stride": 1},
        "calendar": CALENDAR,
        "holidays": HOLIDAYS,
        "two features, one target": {"n_inputs": 2, "target_channels": [1]},
        "two targets, observed": {"n_inputs": 4, "n_outputs": 2, "observed_channels": [2, 3]},
        "dropout": {"dropout": 0.3},
    },
    MADNetwork: {
        "default": {},
        "without Mamba": {"reconstruction": "conv"},
        "U-Net": {"reconstruction": "unet"},
        "no reconstruction": {"fusion_weight": 0.0},
        "ViT": {"prediction": "vit"},
        "ConvLSTM": {"prediction": "convlstm"},
        "Swin": {"prediction": "swin", "n_layers": 2},
        "Swin, several windows": {"prediction": "swin", "n_layers": 2, "grid_shape": (20, 26)},
        "Earthformer": {"prediction": "earthformer"},
        "Swin, calendar": {"prediction": "swin", **CALENDAR},
        "Earthformer, calendar": {"prediction": "earthformer", **CALENDAR},
        "step by step": {"step_embedding": True},
        "ConvLSTM, step by step": {"step_embedding": True, "prediction": "convlstm"},
        "Earthformer, step by step": {"step_embedding": True, "prediction": "earthformer"},
        "fixed weights": {"fusion": "mean"},
        "batch norm": {"norm": "batch"},
        "layer norm": {"norm": "layer"},
        "U-Net, batch norm": {"norm": "batch", "reconstruction": "unet"},
        "directions side by side": {"directions": "concat"},
        "calendar": CALENDAR,
        "holidays": HOLIDAYS,
        "ViT, calendar": {"prediction": "vit", **CALENDAR},
        "ConvLSTM, calendar": {"prediction": "convlstm", **CALENDAR},
        "several channels": {"n_inputs": 3, "n_outputs": 2},
        "strides of the paper": {"strides": (1, 2, 1, 2)},
        "deeper": {"n_layers": 3},
        "nodes": NODES,
        "nodes, graph": {**NODES, "adjacency": CHAIN},
        "nodes, without Mamba": {**NODES, "reconstruction": "conv"},
        "nodes, no reconstruction": {**NODES, "fusion_weight": 0.0},
        "nodes, ViT": {**NODES, "prediction": "vit"},
        "nodes, as published": {
            **NODES,
            "norm": "batch",
            "directions": "concat",
            "fusion": "mean",
            "step_embedding": True,
        },
    },
    STIDNetwork: {
        "no calendar": {},
        "time of day": {**_DAY, **CALENDAR},
        "day of week": _WEEK,
        "both": {**_DAY, **_WEEK},
        "all and holidays": {**_DAY, **_WEEK, "n_time_features": 12, "n_events": 3},
        "holidays": {"n_time_features": 3, "n_events": 3},
        "two targets": {"n_outputs": 2},
        "no layers": {"n_layers": 0},
        "dropout": {"dropout": 0.2},
    },
    UNetNetwork: {
        "default": {},
        "calendar": CALENDAR,
        "holidays": HOLIDAYS,
        "any size": {"grid_shape": (5, 7)},
        "one level": {"depth": 0},
        "other target": {"target_channels": [1]},
    },
    DLinearNetwork: _LINEAR,
    NLinearNetwork: _LINEAR,
}

every_network = pytest.mark.parametrize("kind", VARIANTS, ids=lambda kind: kind.__name__)
every_variant = pytest.mark.parametrize(
    ("kind", "changes"),
    [
        pytest.param(kind, changes, id=f"{kind.__name__}, {name}")
        for kind, variants in VARIANTS.items()
        for name, changes in variants.items()
    ],
)


def _network(kind: type[ForecastNetwork], changes: dict[str, Any]) -> Any:
    if changes.get("attention", "dot") != "dot":
        pytest.importorskip("torch_geometric")
    return build(kind, **changes)


def _windows(network: ForecastNetwork, changes: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
    x, time = windows(network)
    x[..., changes.get("observed_channels", [])] = 1.0
    return x, time


def test_every_network_is_here():
    homes = [
        importlib.import_module(m.name)
        for m in pkgutil.iter_modules(stmest.networks.__path__, "stmest.networks.")
    ]
    found = {
        kind
        for home in homes
        for kind in vars(home).values()
        if isinstance(kind, type) and issubclass(kind, ForecastNetwork) and not inspect.isabstract(kind)
    }
    assert found == set(VARIANTS) == set(SETTINGS)


@pytest.mark.parametrize("name", [*network_names(), *FIELD_NAMES])
def test_values_stand_in_the_forecaster_only(name):
    forecaster = getattr(stmest, name)
    parameters = inspect.signature(forecaster._network_class).parameters.values()
    assert {p.kind for p in parameters} == {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}
    assert {p.name for p in parameters} & set(forecaster().get_params())
    assert all(p.default is p.empty for p in parameters)


@every_network
def test_no_network_draws_from_torchs_own_generator(kind):
    """It belongs to the whole process: other threads would change a fit, and be changed by it."""
    drawing = {"dropout": 0.2, "contrastive": True}
    changes = {name: value for name, value in drawing.items() if name in SETTINGS[kind]}
    before, forecasts = torch.get_rng_state(), []
    for _ in range(2):
        with seeded(3):
            network = build_network(kind.__name__, lambda: kind(**settings_of(kind, **changes)))
            forecasts.append(network(*_windows(network, changes))[0])
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*forecasts)


@every_variant
def test_forecasts_and_gradients_of_all_parameters(kind, changes):
    network = shaken(_network(kind, changes))
    x, time = _windows(network, changes)
    forecast, auxiliary = network(x, time)
    assert forecast.shape == (len(x), network.horizon, network.n_nodes, network.n_outputs)
    assert forecast.isfinite().all()
    assert all(term.shape == () and term.isfinite() for term in auxiliary.values())
    (forecast.square().mean() + sum(auxiliary.values())).backward()
    trained = {name: p.grad for name, p in network.named_parameters() if p.requires_grad}
    assert [name for name, gradient in trained.items() if gradient is None or not gradient.any()] == []
    assert all(gradient.isfinite().all() for gradient in trained.values())


@every_variant
def test_evaluation_is_a_function_of_the_window_and_the_state(kind, changes):
    """Windows of a batch do not see each other, nothing is drawn, and nothing that counts is outside of the state."""
    network = shaken(_network(kind, changes)).eval()
    same = build(kind, seed=9, **changes).eval()
    same.load_state_dict(network.state_dict())
    x, time = _windows(network, changes)
    with torch.no_grad():
        forecast, auxiliary = network(x, time)
        assert auxiliary == {}
        assert torch.equal(same(x, time)[0], forecast)
        x[1] = x[1].flip(0)
        other = network(x, time)[0]
    torch.testing.assert_close(other[[0, 2]], forecast[[0, 2]], rtol=1e-4, atol=1e-5)
    assert (other[1] != forecast[1]).any()


@every_variant
def test_start_at_zero(kind, changes):
    network = _network(kind, changes)
    x, time = _windows(network, changes)
    assert network(x, time)[0].any()
    network.start_at_zero()
    forecast = network(x, time)[0]
    assert not forecast.any()
    (forecast - 1).square().mean().backward()  # and it can leave it
    assert any(p.grad is not None and p.grad.any() for p in network.parameters())


@pytest.mark.parametrize("n_events", [-1, 3])
def test_events_are_some_of_the_calendar_channels(n_events):
    with pytest.raises(ParameterError, match=f"n_events={n_events}; needed: 0 to n_time_features=2"):
        build(UNetNetwork, n_time_features=2, n_events=n_events)


@pytest.mark.parametrize(
    "kind",
    [STM3Network, STMambaNetwork, MADNetwork, STIDNetwork, UNetNetwork],
    ids=lambda kind: kind.__name__,
)
def test_the_holidays_of_every_target_step_count(kind):
    network = shaken(build(kind, **HOLIDAYS)).eval()
    x, time = windows(network)
    with torch.no_grad():
        before = network(x, time)[0]
        for step in range(network.input_length, network.input_length + network.horizon):
            other = time.clone()
            other[0, step, -3:] += 1
            change = (network(x, other)[0] - before).abs().amax((1, 2, 3))
            assert change[0] > 0
            assert not change[1:].any()


def test_the_origin_is_the_last_input_step_and_the_holidays_after_it():
    network = build(STIDNetwork, input_length=2, horizon=2, **HOLIDAYS)
    time = torch.arange(20.0).view(1, 4, 5)
    assert network.origin(time).tolist() == [[5, 6, 7, 8, 9, 12, 13, 14, 17, 18, 19]]
    assert build(STIDNetwork, input_length=2, horizon=2, n_time_features=5).origin(time).tolist() == [
        [5, 6, 7, 8, 9]
    ]


@pytest.mark.parametrize(
    "size", ["n_nodes", "n_inputs", "n_outputs", "input_length", "horizon", "n_time_features"]
)
def test_sizes_that_cannot_be(size):
    with pytest.raises(ParameterError, match=f"{size}=-1"):
        build(STIDNetwork, **{size: -1})


@every_network
def test_repr_names_the_sizes(kind):
    network = build(kind)
    sizes = f"n_nodes={network.n_nodes}, input_length={network.input_length}, horizon={network.horizon}"
    assert repr(network).startswith(f"{kind.__name__}(\n  {sizes}")


@pytest.mark.parametrize("kind", [STM3Network, STMambaNetwork, MADNetwork])
def test_a_graph_of_other_nodes_is_refused(kind):
    with pytest.raises(GraphError, match=r"shape \(2, 3\); \d+ nodes need"):
        build(kind, adjacency=torch.ones(2, 3))


@pytest.mark.parametrize("kind", [STM3Network, STMambaNetwork])
def test_a_given_graph_is_needed_where_it_is_asked_for(kind):
    with pytest.raises(ParameterError, match="graph='given' needs a graph"):
        build(kind, graph="given")


def test_grids_hold_the_nodes():
    assert check_grid((2, 3), 6) == (2, 3)
    with pytest.raises(ParameterError, match=r"\(2, 3\) has 6 pixels, but there are 7 nodes"):
        check_grid((2, 3), 7)


@pytest.mark.parametrize(
    "kind", [kind for kind in SETTINGS if kind.uses_ahead], ids=lambda kind: kind.__name__
)
def test_what_is_known_of_the_target_steps_of_a_node_counts(kind):
    network = shaken(build(kind, n_ahead=2)).eval()
    if (around := getattr(getattr(network, "head", None), "lift_around", None)) is not None:
        torch.nn.init.zeros_(around.weight)  # what is known of the other nodes
    x, time = _windows(network, {})
    ahead = torch.randn(len(x), network.horizon, network.n_nodes, 2)
    with torch.no_grad():
        before = network(x, time, ahead)[0]
        ahead[:, -1, 0, 1] += 1  # the last step of the first node
        change = (network(x, time, ahead)[0] - before).abs().amax((0, 1, 3))
    assert change[0] > 0
    assert not change[1:].any()


@pytest.mark.parametrize("kind", [STMambaNetwork, S2TXNetwork])
def test_a_batch_that_is_computed_again_drops_the_same_values(kind, monkeypatch):
    """Else the gradient would not be that of the loss."""
    monkeypatch.setattr(importlib.import_module(kind.__module__), "MOST_ELEMENTS", 1)
    network = shaken(build(kind, dropout=0.3)).double()
    x = windows(network)[0].double()

    def loss():
        with seeded(4):
            return network(x)[0].square().mean()

    parameters = [p for p in network.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss(), parameters)
    directions = [torch.randn_like(p) for p in parameters]
    losses = []
    for step in (1e-5, -2e-5):
        with torch.no_grad():
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.add_(direction, alpha=step)
        losses.append(loss().detach())
    slope = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True))
    torch.testing.assert_close((losses[0] - losses[1]) / 2e-5, slope, rtol=1e-4, atol=1e-6)
