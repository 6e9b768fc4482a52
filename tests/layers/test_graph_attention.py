"""Graph attention: who attends to whom, dense and along the edges, additive kinds, the rule between the paths."""

from __future__ import annotations

import sys

import pytest
import torch

from stmest.exceptions import MissingDependencyError
from stmest.layers import graph_attention
from stmest.layers.graph_attention import AttentionGraph, GraphAttention, choose_attention

N, R, D = 6, 5, 8
# 0 -> 1 -> 2, 3 <-> 4 with weights; 5 is alone
ADJACENCY = torch.zeros(N, N)
ADJACENCY[0, 1], ADJACENCY[1, 2], ADJACENCY[3, 4], ADJACENCY[4, 3] = 2.0, 1.0, 0.5, 4.0


def _needs_geometric(kind):
    if kind != "dot":
        pytest.importorskip("torch_geometric")


def _layer(kind="dot", seed=0, **kwargs):
    _needs_geometric(kind)
    torch.manual_seed(seed)
    return GraphAttention(D, 2, kind, **kwargs)


def _x(seed=1):
    return torch.randn(N, R, D, generator=torch.Generator().manual_seed(seed))


PATHS = [("dot", "dense"), ("dot", "sparse"), ("gat", "sparse"), ("gatv2", "sparse")]


@pytest.mark.parametrize(("kind", "backend"), PATHS)
def test_a_node_hears_itself_and_the_sources_of_its_edges_only(kind, backend):
    layer, graph = _layer(kind), AttentionGraph(N, ADJACENCY, kind, backend)
    before = layer(_x(), graph)
    hears = (ADJACENCY.t() > 0) | torch.eye(N, dtype=torch.bool)  # (target, source)
    for source in range(N):
        x = _x()
        x[source] += 1.0
        changed = (layer(x, graph) - before).abs().amax((1, 2)) > 1e-6
        assert changed.tolist() == hears[:, source].tolist()


@pytest.mark.parametrize(("kind", "backend"), PATHS)
def test_rows_do_not_see_each_other(kind, backend):
    layer, graph = _layer(kind), AttentionGraph(N, ADJACENCY, kind, backend)
    x = _x()
    x[:, 2] = 0.0
    others = [0, 1, 3, 4]
    torch.testing.assert_close(layer(x, graph)[:, others], layer(_x(), graph)[:, others])


@pytest.mark.parametrize(("kind", "backend"), PATHS)
def test_weights_belong_to_the_edges_and_rows_sum_to_one(kind, backend):
    layer, graph = _layer(kind), AttentionGraph(N, ADJACENCY, kind, backend)
    for weights in (layer.weights(_x(), graph), layer.fixed_weights(graph)):
        assert (weights > 0).equal((ADJACENCY.t() > 0) | torch.eye(N, dtype=torch.bool))
        torch.testing.assert_close(weights.sum(1), torch.ones(N))
        assert weights[5, 5] == 1.0


@pytest.mark.parametrize(
    "adjacency", [ADJACENCY, None, torch.zeros(N, N)], ids=["given", "complete", "no edges"]
)
@pytest.mark.parametrize("embedding_dim", [0, 3])
def test_dense_and_sparse_give_the_same(adjacency, embedding_dim):
    layer = _layer(embedding_dim=embedding_dim)
    embedding = torch.randn(N, embedding_dim) if embedding_dim else None
    results = []
    for backend in ("dense", "sparse"):
        x = _x().requires_grad_()
        out = layer(x, AttentionGraph(N, adjacency, "dot", backend), embedding)
        layer.zero_grad()
        out.square().mean().backward()
        results.append([out.detach(), x.grad, *(p.grad.clone() for p in layer.parameters())])
    for dense, sparse in zip(*results, strict=True):
        torch.testing.assert_close(dense, sparse, rtol=1e-5, atol=1e-5)


def test_weights_are_what_the_output_is_made_of():
    """With values and output left as they are, the output is the weighted mean of the neighbours."""
    layer, graph = GraphAttention(D, 1), AttentionGraph(N, ADJACENCY)
    with torch.no_grad():
        layer.in_proj[2 * D :] = torch.eye(D)
        layer.out_proj.weight.copy_(torch.eye(D))
        layer.out_proj.bias.zero_()
    x = _x()[:, :1]
    torch.testing.assert_close(layer(x, graph)[:, 0], layer.weights(x, graph) @ x[:, 0])


def test_edge_weights_enter_as_logarithms():
    """Nodes that carry the same attend in proportion to the weights, self-loops counting as the largest."""
    layer = _layer()
    shares = layer.weights(torch.ones(N, R, D), AttentionGraph(N, ADJACENCY))
    torch.testing.assert_close(shares[1, :2], torch.tensor([2.0, 4.0]) / 6.0)
    torch.testing.assert_close(shares[3, 3:5], torch.tensor([4.0, 4.0]) / 8.0)
    torch.testing.assert_close(shares, layer.weights(torch.ones(N, R, D), AttentionGraph(N, 1e4 * ADJACENCY)))


def test_a_given_self_loop_keeps_its_weight():
    adjacency = ADJACENCY.clone()
    adjacency[1, 1] = 1.0
    shares = _layer().weights(torch.ones(N, R, D), AttentionGraph(N, adjacency))
    torch.testing.assert_close(shares[1, :2], torch.tensor([2.0, 1.0]) / 3.0)


@pytest.mark.parametrize("kind", ["gat", "gatv2"])
def test_additive_attention_uses_weights_and_embeddings(kind):
    layer = _layer(kind, weighted=True)
    graph, plain = AttentionGraph(N, ADJACENCY, kind), AttentionGraph(N, (ADJACENCY > 0).float(), kind)
    assert graph.weighted
    assert not plain.weighted
    assert not torch.allclose(layer(_x(), graph), layer(_x(), plain))
    learned, complete = _layer(kind, embedding_dim=3), AttentionGraph(N, None, kind)
    embedding = torch.randn(N, 3, requires_grad=True)
    learned(_x(), complete, embedding).square().sum().backward()
    assert embedding.grad.abs().max() > 0
    assert all(p.grad is not None for p in learned.parameters())


@pytest.mark.parametrize("kind", ["dot", "gat", "gatv2"])
def test_permuting_nodes_and_graph_permutes_the_output(kind):
    layer, order = _layer(kind), torch.randperm(N, generator=torch.Generator().manual_seed(0))
    out = layer(_x(), AttentionGraph(N, ADJACENCY, kind))
    permuted = layer(_x()[order], AttentionGraph(N, ADJACENCY[order][:, order], kind))
    torch.testing.assert_close(permuted, out[order], rtol=1e-5, atol=1e-6)


def test_weights_in_chunks_are_the_same(monkeypatch):
    layer, graph = _layer(), AttentionGraph(N, ADJACENCY)
    whole = layer.weights(_x(), graph)
    monkeypatch.setattr(graph_attention, "SCORES_AT_ONCE", 1)
    torch.testing.assert_close(layer.weights(_x(), graph), whole)


def test_the_rule_between_dense_and_sparse(monkeypatch):
    assert choose_attention(2000, 18_000).name == "sparse"
    assert choose_attention(2000, 18_000, device_type="cuda").name == "sparse"
    assert choose_attention(100, 10_000, device_type="cuda").name == "dense"
    assert choose_attention(100, 10_000, "gat", "cuda").name == "sparse"
    assert choose_attention(100, 10_000).name == "sparse"
    assert choose_attention(5000, 25_000_000).name == "dense"
    monkeypatch.setattr(graph_attention, "numba_problem", lambda: "not installed")
    assert choose_attention(100, 5000).name == "dense"
    assert "%" in choose_attention(100, 500).reason
    assert AttentionGraph(N, ADJACENCY, backend="dense").choice("cpu").name == "dense"


def test_missing_torch_geometric_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_geometric.nn", None)
    with pytest.raises(MissingDependencyError, match=r"stmest\[graph\]"):
        GraphAttention(D, 2, "gat")
