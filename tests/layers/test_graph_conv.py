import pytest
import torch

from stmest.layers.graph_conv import (
    AGCCN,
    GraphSupports,
    NodeAdaptiveConv,
    ScaleAttention,
    Supports,
    transition_matrices,
)

DIRECTED = torch.tensor(
    [[0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
)


def test_information_flows_along_the_edges():
    forth, back = transition_matrices(DIRECTED)
    value = torch.tensor([1.0, 0.0, 0.0, 0.0])  # a message at node 0, whose only edge leads to node 1
    assert torch.nonzero(forth @ value).flatten().tolist() == [1]
    assert torch.nonzero(back @ value).flatten().tolist() == [2]
    torch.testing.assert_close(forth[1], torch.tensor([2 / 3, 0.0, 1 / 3, 0.0]))


def test_transition_rows_sum_to_one_with_isolated_nodes():
    walks = transition_matrices(DIRECTED)
    torch.testing.assert_close(walks.sum(-1), torch.ones(2, 4))
    assert walks[0, 3, 3] == 1.0


def test_symmetric_graph_gives_one_walk():
    assert transition_matrices(DIRECTED + DIRECTED.t()).shape == (1, 4, 4)


def test_graph_without_edges_leaves_every_node_to_itself():
    assert torch.equal(transition_matrices(torch.zeros(3, 3)), torch.eye(3)[None])


def test_huge_weights_do_not_overflow():
    assert torch.isfinite(transition_matrices(torch.full((3, 3), 3e38))).all()


def test_chebyshev_terms():
    torch.manual_seed(0)
    embedding = torch.randn(5, 3)
    supports = GraphSupports(4)(embedding)
    assert supports.walks.shape == (0, 5)
    first, second, third = supports.learned
    torch.testing.assert_close(first.sum(1), torch.ones(5))
    torch.testing.assert_close(second, 2 * first @ first - torch.eye(5))
    torch.testing.assert_close(third, 2 * first @ second - first)


@pytest.mark.parametrize(
    ("order", "adjacency", "learned", "expected"),
    [(3, None, True, 2), (1, None, True, 0), (3, DIRECTED, True, 4), (3, DIRECTED, False, 2)],
)
def test_number_of_supports(order, adjacency, learned, expected):
    supports = GraphSupports(order, adjacency, learned)
    assert supports.n_supports == expected
    walks, terms = supports(torch.randn(4, 3))
    assert len(walks) // 4 + len(terms) == expected
    assert walks.shape[1:] == (4,)
    assert terms.shape[1:] == (4, 4)


@pytest.mark.parametrize(("threads", "sparse"), [(1, True), (2, False)])
def test_walks_are_sparse_where_that_is_faster(threads, sparse):
    supports = GraphSupports(1, torch.roll(torch.eye(10), 1, 1))  # a tenth of the pairs
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert supports(torch.randn(10, 3)).walks.is_sparse == sparse
    finally:
        torch.set_num_threads(before)
    assert not GraphSupports(1, torch.ones(10, 10))(torch.randn(10, 3)).walks.is_sparse


def test_sparse_walks_are_the_same(monkeypatch):
    monkeypatch.setattr("stmest.layers.graph_conv.SPARSE_SHARE", torch.inf)
    ring = torch.roll(torch.eye(12), 1, 1)
    supports = GraphSupports(1, ring)
    walks = supports(torch.randn(12, 3)).walks
    assert walks.is_sparse
    assert torch.equal(walks.to_dense(), transition_matrices(ring).flatten(0, 1))
    conv, z, embedding = (
        NodeAdaptiveConv(2, 3, 5),
        torch.randn(12, 2, 3, 4, requires_grad=True),
        torch.randn(12, 5),
    )
    results = []
    for graph in (walks, walks.to_dense()):
        out = conv(z, embedding, Supports(graph, torch.empty(0, 12, 12)))
        results.append((out, *torch.autograd.grad(out.square().sum(), (z, conv.pool, conv.bias_pool))))
    for sparse, dense in zip(*results, strict=True):
        torch.testing.assert_close(sparse, dense, atol=1e-5, rtol=1e-5)


def test_node_adaptive_convolution_equals_its_formula():
    torch.manual_seed(0)
    conv = NodeAdaptiveConv(2, 3, 5)
    with torch.no_grad():
        conv.bias_pool.normal_()
    z, embedding, supports = torch.randn(4, 2, 3, 6), torch.randn(4, 5), torch.randn(2, 4, 4)
    weights = torch.einsum("nc,cjab->njab", embedding, conv.pool)
    gathered = torch.cat([torch.eye(4)[None], supports])
    mixed = torch.einsum("jnl,lkbm->jnkbm", gathered, z)
    expected = (
        torch.einsum("njab,jnkbm->nkam", weights, mixed) + (embedding @ conv.bias_pool)[:, None, :, None]
    )
    for n_given in range(3):
        parts = Supports(supports[:n_given].flatten(0, 1), supports[n_given:])
        torch.testing.assert_close(conv(z, embedding, parts), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("causal", [True, False])
def test_scale_attention_equals_dense_attention(causal):
    torch.manual_seed(0)
    attention = ScaleAttention(3, causal)
    z = torch.randn(2, 4, 3, 5)
    tokens = z.permute(0, 3, 1, 2)  # (n, m, k, d)
    query, key, value = attention.in_proj(tokens).chunk(3, -1)
    scores = query @ key.transpose(-1, -2) / 3**0.5
    if causal:
        scores = scores.masked_fill(torch.ones(4, 4).tril(-1).bool(), float("-inf"))
    expected = attention.out_proj(torch.softmax(scores, -1) @ value).permute(0, 2, 3, 1)
    torch.testing.assert_close(attention(z), expected, atol=1e-5, rtol=1e-5)


def _agccn(causal=True):
    torch.manual_seed(0)
    supports = Supports(torch.softmax(torch.randn(4, 4), -1), torch.softmax(torch.randn(1, 4, 4), -1))
    return AGCCN(2, 4, 3, 5, causal), torch.randn(4, 5), supports


@pytest.mark.parametrize("q", [0, 1, 2, 3])
def test_a_scale_reaches_only_itself_and_finer_ones(q):
    agccn, embedding, supports = _agccn()
    z = torch.randn(4, 4, 3, 5)
    bumped = z.clone()
    bumped[:, q] += torch.randn(4, 3, 5)
    changed = (agccn(z, embedding, supports) - agccn(bumped, embedding, supports)).abs().amax((0, 2, 3))
    assert (changed[: q + 1] > 1e-4).all()
    assert torch.equal(changed[q + 1 :], torch.zeros(3 - q))


def test_without_the_causal_order_every_scale_is_reached():
    agccn, embedding, supports = _agccn(causal=False)
    z = torch.randn(4, 4, 3, 5)
    bumped = z.clone()
    bumped[:, 0] += torch.randn(4, 3, 5)
    changed = (agccn(z, embedding, supports) - agccn(bumped, embedding, supports)).abs().amax((0, 2, 3))
    assert (changed > 1e-5).all()


@pytest.mark.parametrize("causal", [True, False])
def test_agccn_gradients(causal):
    torch.manual_seed(1)
    agccn = AGCCN(2, 2, 2, 3, causal).double()
    z = torch.randn(3, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    embedding = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    learned = torch.randn(1, 3, 3, dtype=torch.float64, requires_grad=True)
    walks = torch.randn(3, 3, dtype=torch.float64)
    names, parameters = zip(*agccn.named_parameters(), strict=True)

    def run(z, embedding, learned, *values):
        return torch.func.functional_call(
            agccn, dict(zip(names, values, strict=True)), (z, embedding, Supports(walks, learned))
        )

    assert torch.autograd.gradcheck(run, (z, embedding, learned, *parameters))


def test_reprs():
    assert repr(GraphSupports(3, DIRECTED)) == "GraphSupports(order=3, learned=True, given=2)"
    assert repr(NodeAdaptiveConv(2, 3, 5)) == "NodeAdaptiveConv(n_supports=2, d_model=3, embedding_dim=5)"
    assert "causal=True" in repr(ScaleAttention(3))


@pytest.mark.parametrize("given", [None, DIRECTED, DIRECTED + DIRECTED.t()])
@pytest.mark.parametrize("learned", [True, False])
def test_means_around_are_those_of_every_walk_and_every_two(given, learned):
    torch.manual_seed(0)
    supports, embedding, z = GraphSupports(2, given, learned), torch.randn(4, 3), torch.randn(4, 6)
    if not supports.n_around:
        return
    walks = [] if given is None else list(transition_matrices(given))
    matrices = walks + [second @ first for second in walks for first in walks]
    if learned:
        matrices.append(GraphSupports.graph(embedding))
    found = supports.around(supports(embedding), z)
    assert found.shape == (4, supports.n_around, 6)
    torch.testing.assert_close(found, torch.stack([matrix @ z for matrix in matrices], dim=1))
