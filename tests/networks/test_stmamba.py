"""STMamba: the claims of its document, each as a test."""

from __future__ import annotations

import copy

import pytest
import torch

from stmest.exceptions import GraphError, ParameterError
from stmest.layers.graph_attention import AttentionGraph, GraphAttention
from stmest.layers.mamba import MambaBlock
from stmest.networks import stmamba
from stmest.networks.stmamba import SpatialStep, STMambaBlock, STMambaNetwork, TemporalStep, by_node, by_step

N, T, H, B, C, D = 5, 6, 4, 3, 2, 8
ADJACENCY = torch.tensor(
    [[0, 2, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 3, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], dtype=torch.float32
)
GRAPH = AttentionGraph(N, ADJACENCY)
NO_EMBEDDING = torch.ones(N, 1)


def _network(seed=0, n_inputs=2, n_outputs=1, calendar=0, **kwargs):
    torch.manual_seed(seed)
    kwargs = {"d_model": D, "d_state": 4, "node_embedding_dim": 4, **kwargs}
    return STMambaNetwork(N, n_inputs, n_outputs, T, H, calendar, **kwargs)


def _windows(seed=1, n_inputs=2, calendar=0, batch=B):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, T, N, n_inputs, generator=generator)
    return x, torch.randn(batch, T + H, calendar, generator=generator) if calendar else None


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


VARIANTS = {
    "given graph": {"adjacency": ADJACENCY},
    "learned graph": {},
    "learned although given": {"adjacency": ADJACENCY, "graph": "learned"},
    "full graph": {"graph": "full"},
    "graph without edges": {"adjacency": torch.zeros(N, N)},
    "dense": {"adjacency": ADJACENCY, "attention_backend": "dense"},
    "gat": {"adjacency": ADJACENCY, "attention": "gat"},
    "gat, learned graph": {"attention": "gat"},
    "gatv2": {"adjacency": ADJACENCY, "attention": "gatv2"},
    "last step": {"head": "last"},
    "bidirectional": {"bidirectional": True},
    "feed-forward": {"feed_forward": 2},
    "no space": {"n_heads": 0},
    "no time": {"temporal": False},
    "neither": {"n_heads": 0, "temporal": False},
    "no node embedding": {"node_embedding_dim": 0, "adjacency": ADJACENCY},
    "calendar": {"calendar": C},
    "dropout": {"dropout": 0.2},
}


@pytest.mark.parametrize("kwargs", VARIANTS.values(), ids=VARIANTS)
def test_every_variant_forecasts_and_trains_all_its_parameters(kwargs):
    if "attention" in kwargs:
        pytest.importorskip("torch_geometric")
    network = _network(n_outputs=2, **kwargs)
    x, time = _windows(calendar=kwargs.get("calendar", 0))
    forecast, auxiliary = network(x, time)
    assert forecast.shape == (B, H, N, 2)
    assert auxiliary == {}
    forecast.square().mean().backward()
    trainable = {name: p for name, p in network.named_parameters() if p.requires_grad}
    assert [name for name, p in trainable.items() if p.grad is None] == []
    assert all(torch.isfinite(p.grad).all() for p in trainable.values())
    if (
        AttentionGraph(N, kwargs.get("adjacency")).n_edges != N
    ):  # with a single neighbour there is nothing to weigh
        assert [name for name, p in trainable.items() if p.grad.abs().max() == 0] == []
    network.eval()
    assert torch.equal(network(x, time)[0], network(x, time)[0])


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
    x, _ = _windows()
    before = network(x)[0]
    x[:, :, 3] += 1.0
    changed = (network(x)[0] - before).abs().amax((0, 1, 3)) > 0
    assert changed.tolist() == [node == 3 for node in range(N)]


def test_an_isolated_node_ignores_all_others():
    network = _network(adjacency=ADJACENCY).eval()  # nothing points at node 4, and it at nothing
    x, _ = _windows()
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
    permuted.load_state_dict(state)
    x, _ = _windows()
    torch.testing.assert_close(permuted(x[:, :, order])[0], network(x)[0][:, :, order], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("head", ["flatten", "last"])
def test_early_steps_matter(head):
    """The program falls back to a perceptron on single steps without mamba-ssm: its forecast then ignores the past."""
    network = _network(adjacency=ADJACENCY, head=head).eval()
    x, _ = _windows()
    before = network(x)[0]
    x[:, : T - 1] += torch.randn(B, T - 1, N, 2)
    assert ((network(x)[0] - before).abs().amax((0, 1, 3)) > 1e-5).all()


@pytest.mark.parametrize(
    "kwargs", [{"adjacency": ADJACENCY}, {}, {"graph": "full"}], ids=["given", "learned", "full"]
)
def test_dense_and_sparse_give_the_same(kwargs):
    x, _ = _windows()
    dense, sparse = (_network(attention_backend=backend, **kwargs) for backend in ("dense", "sparse"))
    results = []
    for network in (dense, sparse):
        out = network(x)[0]
        out.square().mean().backward()
        results.append([out.detach(), *(p.grad for p in network.parameters())])
    for left, right in zip(*results, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(dense.attention_weights(x), sparse.attention_weights(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("adjacency", [ADJACENCY, None], ids=["given", "learned"])
@pytest.mark.parametrize("backend", ["dense", "sparse"])
def test_large_batches_in_pieces_give_the_same(monkeypatch, adjacency, backend):
    network = _network(adjacency=adjacency, attention_backend=backend, calendar=C)
    x, time = _windows(calendar=C, batch=5)
    results = []
    for limit in (1 << 22, 2 * T * N * D):
        monkeypatch.setattr(stmamba, "MOST_ELEMENTS", limit)
        network.zero_grad()
        out = network(x, time)[0]
        out.square().mean().backward()
        with torch.no_grad():
            torch.testing.assert_close(network(x, time)[0], out)
        results.append([out.detach(), *(p.grad.clone() for p in network.parameters())])
    for whole, pieces in zip(*results, strict=True):
        torch.testing.assert_close(pieces, whole, rtol=1e-5, atol=1e-6)


def test_attention_weights_are_shares():
    weights = _network(adjacency=ADJACENCY).attention_weights(_windows()[0])
    assert weights.shape == (2, N, N)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, N))
    assert ((weights > 0) == ((ADJACENCY.t() > 0) | torch.eye(N, dtype=torch.bool))).all()


def test_without_embeddings_nodes_are_alike():
    network = _network(node_embedding_dim=0, graph="full").eval()
    x = _windows()[0][:, :, :1].expand(-1, -1, N, -1)
    forecast = network(x)[0]
    torch.testing.assert_close(forecast, forecast[:, :, :1].expand_as(forecast))


def test_the_graph_is_no_part_of_the_weights():
    names = set(_network(adjacency=ADJACENCY).state_dict())
    assert not any(name.startswith("graph") for name in names)


@pytest.mark.parametrize(
    ("kwargs", "error", "words"),
    [
        ({"graph": "all"}, ParameterError, "graph='all'"),
        ({"graph": "given"}, ParameterError, "needs an adjacency"),
        ({"node_embedding_dim": 0}, ParameterError, "needs node embeddings"),
        ({"head": "mean"}, ParameterError, "head='mean'"),
        ({"head": "last", "temporal": False}, ParameterError, "flatten"),
        ({"n_heads": 3}, ParameterError, "multiple of n_heads"),
        ({"adjacency": torch.zeros(2, 2)}, GraphError, "5 nodes need"),
    ],
)
def test_wrong_values(kwargs, error, words):
    with pytest.raises(error, match=words):
        _network(**kwargs)


def test_no_attention_no_weights():
    network = _network(n_heads=0)
    with pytest.raises(ParameterError, match="n_heads=0"):
        network.attention_weights(_windows()[0])
    assert torch.equal(network.fixed_graph(), torch.eye(N))
