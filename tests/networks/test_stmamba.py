"""STMamba: the claims of its document, each as a test."""

from __future__ import annotations

import copy

import pytest
import torch

from stmest.exceptions import ParameterError
from stmest.layers.graph_attention import AttentionGraph, GraphAttention
from stmest.layers.mamba import MambaBlock
from stmest.networks import stmamba
from stmest.networks.stmamba import (
    FeedForward,
    SpatialStep,
    STMambaBlock,
    STMambaNetwork,
    TemporalStep,
    by_node,
    by_step,
)
from tests.networks.cases import ADJACENCY, build, windows

N, T, H, B, C, D = 5, 6, 4, 3, 2, 8
GRAPH = AttentionGraph(N, ADJACENCY)
NO_EMBEDDING = torch.ones(N, 1)


def _network(seed=0, **changes):
    return build(STMambaNetwork, seed, **changes)


def _hidden(seed=2):
    return torch.randn(B, T, N, D, generator=torch.Generator().manual_seed(seed))


def _spatial():
    torch.manual_seed(0)
    return SpatialStep(GraphAttention(D, 2))


def _temporal():
    torch.manual_seed(0)
    return TemporalStep(MambaBlock(D, 4), D)


def _block():
    return STMambaBlock(_spatial(), _temporal(), None)


def test_pivots_lose_nothing():
    x = _hidden()
    assert by_node(x).shape == (N * B, T, D)
    assert torch.equal(by_step(by_node(x), N), x)
    assert torch.equal(by_node(by_step(by_node(x), N)), by_node(x))
    assert torch.equal(by_node(x)[1 * B + 2], x[2, :, 1])  # one node of one window, all its steps in order


def test_pivots_of_what_the_steps_return_copy_nothing():
    x = by_step(by_node(_hidden()), N)
    assert by_node(x).data_ptr() == x.data_ptr()


def test_blocks_keep_the_shape():
    assert _block()(_hidden(), GRAPH, NO_EMBEDDING).shape == (B, T, N, D)


def test_the_spatial_step_does_not_leak_over_time():
    step, x = _spatial(), _hidden()
    before = step(x, GRAPH, NO_EMBEDDING)
    x[:, 2] += 1.0
    changed = (step(x, GRAPH, NO_EMBEDDING) - before).abs().amax((0, 2, 3)) > 0
    assert changed.tolist() == [t == 2 for t in range(T)]


def test_the_spatial_step_follows_the_edges():
    step = _spatial()
    before = step(_hidden(), GRAPH, NO_EMBEDDING)
    for source in range(N):
        x = _hidden()
        x[:, :, source] += torch.randn(D)
        changed = (step(x, GRAPH, NO_EMBEDDING) - before).abs().amax((0, 1, 3)) > 0
        assert changed.tolist() == [bool(ADJACENCY[source, node] > 0) or node == source for node in range(N)]


def test_the_temporal_step_does_not_leak_over_nodes():
    step, x = _temporal(), _hidden()
    before = step(x)
    x[:, :, 1] += 1.0
    changed = (step(x) - before).abs().amax((0, 1, 3)) > 0
    assert changed.tolist() == [node == 1 for node in range(N)]


@pytest.mark.parametrize("changed_step", range(T))
def test_blocks_are_causal(changed_step):
    block, x = _block(), _hidden()
    before = block(x, GRAPH, NO_EMBEDDING)
    x[:, changed_step] += torch.randn(D)
    difference = (block(x, GRAPH, NO_EMBEDDING) - before).abs().amax((0, 2, 3))
    assert (difference[:changed_step] == 0).all()
    assert (difference[changed_step:] > 0).all()


def test_a_bidirectional_network_sees_later_steps():
    network = _network(bidirectional=True)
    x = _hidden()
    before = network.blocks[0].temporal(x)
    x[:, -1] += torch.randn(D)
    assert ((network.blocks[0].temporal(x) - before).abs().amax((0, 2, 3)) > 0).all()


@pytest.mark.parametrize("identity", [torch.eye(N), torch.zeros(N, N)], ids=["identity", "no edges"])
def test_an_identity_graph_makes_the_nodes_independent(identity):
    network = _network(adjacency=identity).eval()
    x, _ = windows(network)
    before = network(x)[0]
    x[:, :, 3] += 1.0
    changed = (network(x)[0] - before).abs().amax((0, 1, 3)) > 0
    assert changed.tolist() == [node == 3 for node in range(N)]


def test_an_isolated_node_ignores_all_others():
    network = _network(adjacency=ADJACENCY).eval()  # nothing points at node 4, and it at nothing
    x, _ = windows(network)
    before = network(x)[0]
    x[:, :, :4] += 1.0
    assert torch.equal(network(x)[0][:, :, 4], before[:, :, 4])
    assert network.attention_weights(x)[:, 4, 4].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "kwargs", [{"adjacency": ADJACENCY}, {"graph": "learned"}, {"graph": "full"}], ids=str
)
@pytest.mark.parametrize("embedding_dim", [0, 4])
def test_permuting_nodes_and_graph_permutes_the_forecast(kwargs, embedding_dim):
    if kwargs.get("graph") == "learned" and not embedding_dim:
        pytest.skip("a learned graph needs embeddings")
    order = torch.tensor([3, 0, 4, 1, 2])
    network = _network(node_embedding_dim=embedding_dim, **kwargs).eval()
    moved = dict(kwargs)
    if "adjacency" in moved:
        moved["adjacency"] = ADJACENCY[order][:, order]
    permuted = _network(node_embedding_dim=embedding_dim, **moved).eval()
    state = copy.deepcopy(network.state_dict())
    state["embedding"] = state["embedding"][order]
    if "supports.walks" in state:
        state["supports.walks"] = state["supports.walks"][:, order][:, :, order]
    permuted.load_state_dict(state)
    x, _ = windows(network)
    torch.testing.assert_close(permuted(x[:, :, order])[0], network(x)[0][:, :, order], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("head", ["flatten", "last"])
def test_early_steps_matter(head):
    """The program falls back to a perceptron on single steps without mamba-ssm: its forecast then ignores the past."""
    network = _network(adjacency=ADJACENCY, head=head).eval()
    x, _ = windows(network)
    before = network(x)[0]
    x[:, : T - 1] += torch.randn(B, T - 1, N, 2)
    assert ((network(x)[0] - before).abs().amax((0, 1, 3)) > 1e-5).all()


@pytest.mark.parametrize(
    "kwargs", [{"adjacency": ADJACENCY}, {}, {"graph": "full"}], ids=["given", "learned", "full"]
)
def test_dense_and_sparse_give_the_same(kwargs):
    dense, sparse = (_network(attention_backend=backend, **kwargs) for backend in ("dense", "sparse"))
    x, _ = windows(dense)
    results = []
    for network in (dense, sparse):
        out = network(x)[0]
        out.square().mean().backward()
        results.append([out.detach(), *(p.grad for p in network.parameters())])
    for left, right in zip(*results, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(dense.attention_weights(x), sparse.attention_weights(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("norm_first", [True, False])
def test_norms_before_the_steps_or_after_the_sum(norm_first):
    """What leaves a step is normed where norms come last, as in the document; else the level of what came in is still there."""
    x = _hidden() + 100
    attention, mamba = GraphAttention(D, 2), MambaBlock(D, 4)
    mixed = (
        SpatialStep(attention, norm_first=norm_first)(x, GRAPH, NO_EMBEDDING),
        TemporalStep(mamba, D, norm_first=norm_first)(x),
        FeedForward(D, 2, norm_first=norm_first)(x),
    )
    for level in (out.mean(-1) for out in mixed):
        assert (level > 50).all() if norm_first else (level.abs() < 1e-3).all()


@pytest.mark.parametrize("adjacency", [ADJACENCY, None], ids=["given", "learned"])
@pytest.mark.parametrize("backend", ["dense", "sparse"])
def test_large_batches_in_chunks_give_the_same(monkeypatch, adjacency, backend):
    network = _network(adjacency=adjacency, attention_backend=backend, n_time_features=C)
    x, time = windows(network, batch=5)
    results = []
    for limit in (1 << 22, 2 * T * N * D):
        monkeypatch.setattr(stmamba, "MOST_ELEMENTS", limit)
        network.zero_grad()
        out = network(x, time)[0]
        out.square().mean().backward()
        with torch.no_grad():
            torch.testing.assert_close(network(x, time)[0], out)
        results.append([out.detach(), *(p.grad.clone() for p in network.parameters())])
    for whole, chunks in zip(*results, strict=True):
        torch.testing.assert_close(chunks, whole, rtol=1e-5, atol=1e-6)


def test_attention_weights_are_shares():
    network = _network(adjacency=ADJACENCY)
    weights = network.attention_weights(windows(network)[0])
    assert weights.shape == (2, N, N)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, N))
    assert ((weights > 0) == ((ADJACENCY.t() > 0) | torch.eye(N, dtype=torch.bool))).all()


def test_without_embeddings_nodes_are_alike():
    network = _network(node_embedding_dim=0, graph="full").eval()
    x = windows(network)[0][:, :, :1].expand(-1, -1, N, -1)
    forecast = network(x)[0]
    torch.testing.assert_close(forecast, forecast[:, :, :1].expand_as(forecast))


def test_the_graph_is_no_part_of_the_weights():
    names = set(_network(adjacency=ADJACENCY).state_dict())
    assert not any(name.startswith("graph") for name in names)


def test_no_attention_no_weights():
    network = _network(n_heads=0)
    with pytest.raises(ParameterError, match="n_heads=0"):
        network.attention_weights(windows(network)[0])
    assert torch.equal(network.fixed_graph(), torch.eye(N))
