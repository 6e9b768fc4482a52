"""S2TX: what reaches what, in which order, and what is left of it when a part is left out."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from stmest.exceptions import ParameterError
from stmest.layers.norms import TokenBatchNorm, WindowStatistics
from stmest.layers.s2tx_layers import GlobalLayer, LocalLayer, start_far
from stmest.networks import s2tx
from stmest.networks.s2tx import S2TXNetwork
from tests.networks.cases import build, windows

N, T, H, B, C, D = 4, 24, 5, 3, 2, 8
STEPS = 240  # of a training


def _network(seed=0, **changes):
    return build(S2TXNetwork, seed, **changes).eval()


def _freeze_statistics(network):
    """Let the norm subtract and divide by nothing, so that only the branches carry what changes."""

    def forward(x):
        one = torch.ones(len(x), 1, N, 1)
        return x, WindowStatistics(0 * one, one)

    network.instance_norm.forward = forward


def test_published_patches():
    network = _network(n_nodes=7, input_length=672, horizon=96, d_model=16)
    assert network.coarse == (672, 48, 16, 41)
    assert network.local == (336, 16, 8, 42)
    assert network.embed_global.position.shape == (41, 16)
    assert network.mask.sum(1).tolist() == [4, 5, 6, *[7] * 36, 6, 5, 4]
    assert network(torch.randn(1, 672, 7, 1))[0].shape == (1, 96, 7, 1)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 13])
def test_short_look_backs(length):
    network = _network(n_nodes=2, input_length=length, horizon=3, attention_window=21)
    forecast = network.train()(torch.randn(2, length, 2, 1))[0]
    assert torch.isfinite(forecast).all()
    assert forecast.shape == (2, 3, 2, 1)


def test_early_steps_reach_the_forecast_through_cross_attention_only():
    network = _network()
    _freeze_statistics(network)
    x, _ = windows(network)
    bumped = x.clone()
    bumped[:, 3, 1] += 1.0  # before the last T / 2 steps
    assert not torch.equal(network(x)[0], network(bumped)[0])
    with torch.no_grad():
        for layer in network.layers:
            layer.cross.out.weight.zero_()
            layer.cross.out.bias.zero_()
    assert torch.equal(network(x)[0], network(bumped)[0])
    bumped[:, T - 2, 1] += 1.0
    assert not torch.equal(network(x)[0], network(bumped)[0])


def test_without_statistics_frozen_early_steps_still_count():
    """Level and spread are those of the whole look-back, for both branches."""
    network = _network(cross_attention=False)
    x, _ = windows(network)
    bumped = x.clone()
    bumped[:, 0] += 1.0
    assert not torch.allclose(network(x)[0], network(bumped)[0])


def _influence(network, node):
    """How much each node's forecast changes with one node's past, as a share of how much its own does."""
    x, _ = windows(network)
    bumped = x.clone()
    bumped[:, :, node] += torch.randn(B, T, 1, generator=torch.Generator().manual_seed(5))
    change = (network(bumped)[0] - network(x)[0]).abs().mean((0, 1, 3))
    return change / change[node]


@pytest.mark.parametrize("order", ["variate", "time"])
@pytest.mark.parametrize("node", [0, N - 1])
def test_nodes_reach_each_other_before_any_training(order, node):
    """Some thousand times what rounding does, and enough for training to find it."""
    assert (_influence(_network(token_order=order), node) > 2e-4).all()


def test_in_one_direction_only_those_before_are_known():
    influence = _influence(_network(bidirectional=False), 1)
    assert influence[0] == 0
    assert (influence[1:] > 2e-4).all()


def test_with_a_usual_start_of_mamba_far_nodes_are_not_reached(monkeypatch):
    """Why the global Mamba has a start of its own."""
    monkeypatch.setattr(s2tx, "start_far", lambda mamba, n_tokens: None)
    assert _influence(_network(), 0)[-1] < 1e-5


@pytest.mark.parametrize("alone", [{"cross_variate": False}, {"cross_attention": False}])
def test_ablations_keep_nodes_apart(alone):
    network = _network(**alone)
    assert _influence(network, 1).tolist() == [0, 1, 0, 0]
    x, _ = windows(network)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(network(x[:, :, order])[0], network(x)[0][:, :, order], atol=1e-5, rtol=1e-5)


def test_the_state_starts_with_memories_from_one_token_to_the_whole_sequence():
    network = _network()
    mamba = network.global_layers[0].mamba.backwards
    rates = mamba.A_log.exp()
    torch.testing.assert_close(rates[:, 0], torch.full((2 * D,), 1 / (N * network.coarse.n_patches)))
    torch.testing.assert_close(rates[:, -1], torch.ones(2 * D))
    steps = F.softplus(mamba.dt_proj.bias)
    assert ((steps > 0.09) & (steps < 1.01)).all()
    start_far(mamba, 100_000)
    torch.testing.assert_close(mamba.A_log.exp()[0, 0], torch.tensor(1e-3))


def _led(n_nodes, n_times, seed):
    """Nodes with cycles of their own between a first one at random and a last one that follows it six steps later."""
    time = torch.arange(float(n_times))
    values = torch.stack([torch.sin(2 * torch.pi * time / (5 + 2 * node)) for node in range(n_nodes)], 1)
    values[:, 0] = torch.randn(n_times, generator=torch.Generator().manual_seed(seed))
    values[6:, -1] = values[:-6, 0].clone()
    return values[6:].unfold(0, T + 3, 1).transpose(1, 2).unsqueeze(-1)


def _error_of_the_follower(**changes):
    """Mean squared error of the last node's next three steps, which are all in the past of the first node; 1 is its variance."""
    sizes = {"n_nodes": 6, "horizon": 3, "d_model": 16, "n_layers": 1, "local_length": 6, "global_patch": 6}
    network = build(S2TXNetwork, **{**sizes, "global_stride": 6, "token_order": "time", **changes})
    train, test = _led(6, 1200, 1), _led(6, 300, 2)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=STEPS)
    for _ in range(STEPS):
        batch = train[torch.randint(len(train), (32,))]
        (network(batch[:, :T])[0] - batch[:, T:])[:, :, -1].square().mean().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    with torch.no_grad():
        error = network.eval()(test[:, :T])[0] - test[:, T:]
    return float(error[:, :, -1].square().mean())


def test_a_leading_node_many_columns_away_is_found():
    """Nothing but the global Mamba knows what the follower does next, and its convolution does not reach over five columns."""
    assert _error_of_the_follower() < 0.5
    assert _error_of_the_follower(cross_attention=False) > 0.9


def test_the_order_of_the_nodes_matters_to_the_global_branch():
    """What the documentation warns of: Mamba reads the nodes one after the other."""
    network = _network()
    x, _ = windows(network)
    order = torch.tensor([2, 0, 3, 1])
    assert not torch.allclose(network(x[:, :, order])[0], network(x)[0][:, :, order], atol=1e-4)


def test_sequences_of_tokens():
    tokens = torch.arange(2 * N * 3).view(2 * N, 3, 1)  # two windows, N nodes, 3 patches
    by_node, by_time = _network(), _network(token_order="time")
    joined = by_node._joined(tokens)
    assert joined.shape == (2, N * 3, 1)
    assert joined[0, :4, 0].tolist() == [0, 1, 2, 3]  # the patches of node 0, then those of node 1
    interleaved = by_time._joined(tokens)
    assert interleaved[0, :5, 0].tolist() == [0, 3, 6, 9, 1]  # the first patch of every node, then the second
    assert torch.equal(by_node._apart(joined), tokens)
    assert torch.equal(by_time._apart(interleaved), tokens)


def test_level_and_unit_of_a_node_do_not_matter():
    network = _network()
    x, _ = windows(network)
    unit, level = (
        torch.tensor([1.0, 10.0, 100.0, 0.5]).view(N, 1),
        torch.tensor([0.0, 50.0, -3.0, 7.0]).view(N, 1),
    )
    moved = network(x * unit + level)[0]
    torch.testing.assert_close(moved, network(x)[0] * unit + level, atol=1e-2, rtol=1e-4)


def test_a_constant_series_stays_where_it_is():
    network = _network()
    forecast = network(torch.full((2, T, N, 1), 5.0))[0]
    assert (forecast - 5.0).abs().max() < 0.02  # of the order of the square root of the norm's epsilon


def test_missing_steps():
    """Forward-filled values and the mask both count; what was filled in before the first observation does not."""
    network = _network(n_inputs=2, observed_channels=[1])
    x, _ = windows(network)
    x[..., 1] = 1.0
    complete = network(x)[0]
    x[:, 8:14, :, 0], x[:, 8:14, :, 1] = x[:, 7:8, :, 0].clone(), 0.0
    filled = network(x)[0]
    assert not torch.allclose(filled, complete)
    x[:, 8:14, :, 0] += 0.5
    assert not torch.allclose(network(x)[0], filled)
    x[:, :6, :, 1] = 0.0
    before = network(x)[0]
    x[:, :6, :, 0] += 3.0
    torch.testing.assert_close(network(x)[0], before)
    x[..., 1] = 0.0
    assert torch.isfinite(network(x)[0]).all()


def test_the_calendar_is_seen():
    network = _network(n_time_features=C)
    x, time = windows(network)
    later = time.clone()
    later[:, T - 1] += 1.0
    assert not torch.allclose(network(x, time)[0], network(x, later)[0])
    future = time.clone()
    future[:, T:] += 1.0
    assert torch.equal(network(x, time)[0], network(x, future)[0])


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_large_batches_in_chunks_are_the_same(monkeypatch, dropout):
    network = _network(dropout=dropout).train(dropout == 0)
    x, _ = windows(network, batch=5)
    whole = network(x)[0]
    whole.square().mean().backward()
    gradients = [p.grad.clone() for p in network.parameters()]
    network.zero_grad()
    monkeypatch.setattr(s2tx, "MOST_ELEMENTS", 2 * N * network.local.n_patches * D)
    chunks = network(x)[0]
    torch.testing.assert_close(chunks, whole, atol=1e-5, rtol=1e-5)
    chunks.square().mean().backward()
    for p, gradient in zip(network.parameters(), gradients, strict=True):
        torch.testing.assert_close(p.grad, gradient, atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(network(x)[0], whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"local_length": T + 1}, "local_length=25; needed: 1 to input_length=24"),
        ({"global_patch": T + 1}, "patches of 25 steps"),
        ({"local_patch": 2, "local_stride": 3}, "every 3 steps"),
        ({"attention_window": 4}, "odd number"),
    ],
)
def test_wrong_architecture(kwargs, words):
    with pytest.raises(ParameterError, match=words):
        _network(**kwargs)


def test_layers_keep_the_shape():
    network = _network()
    (global_layer,), local_layer = network.global_layers, network.layers[0]
    assert isinstance(global_layer, GlobalLayer)
    assert isinstance(local_layer, LocalLayer)
    assert global_layer(torch.randn(2, 9, D)).shape == (2, 9, D)
    assert local_layer(torch.randn(2, 6, D), torch.randn(2, 9, D), None).shape == (2, 6, D)


def test_token_batch_norm():
    norm = TokenBatchNorm(3)
    out = norm(5 + 2 * torch.randn(4, 50, 3))
    torch.testing.assert_close(out.mean((0, 1)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var((0, 1), correction=0), torch.ones(3), atol=1e-3, rtol=0)


def test_a_residual_begins_at_zero_and_has_no_level():
    network = _network()
    network.start_at_zero()
    x, _ = windows(network)
    forecast = network(x)[0]
    assert torch.equal(forecast, torch.zeros(B, H, N, 1))
    (forecast - 1).square().mean().backward()
    assert network.head.weight.grad.abs().max() > 0
    with torch.no_grad():
        network.head.bias.fill_(0.5)
    torch.testing.assert_close(network(x + 100)[0], network(x)[0], atol=1e-3, rtol=1e-3)
