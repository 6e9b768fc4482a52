import pytest
import torch
from torch.nn import functional as F

from stmest.exceptions import ParameterError
from stmest.layers import graph_conv, multiscale
from stmest.layers.experts import ExpertMixture
from stmest.layers.multiscale import MultiscaleMamba
from stmest.networks.stm3 import STM3Network
from stmest.ops import Choice
from tests.networks.cases import ADJACENCY, build, windows

N, T, B, C = 5, 6, 3, 2


def _network(seed=0, **changes):
    return build(STM3Network, seed, **changes)


def test_auxiliary_losses_are_those_of_the_experts():
    def names(**changes):
        network = _network(**changes)
        return set(network(*windows(network))[1])

    assert names() == {"balance"}
    assert names(contrastive=True) == {"balance", "contrastive"}
    assert names(contrastive=True, n_experts=0) == set()


def test_the_shared_expert_is_one_more_block_of_the_bank():
    network = _network(n_experts=4, d_model=4, d_state=16)
    assert network.layers[0].experts.experts.n_blocks == 5
    assert network.layers[0].experts.experts.A_log.shape == (5, 8, 16)


@pytest.mark.parametrize("routing", ["node", "input"])
def test_renumbering_the_nodes_renumbers_the_forecast(routing):
    network = _network(adjacency=ADJACENCY, routing=routing).eval()
    order = torch.tensor([3, 0, 4, 1, 2])
    other = _network(adjacency=ADJACENCY[order][:, order], routing=routing).eval()
    state = network.state_dict()
    state["embedding"] = state["embedding"][order]
    state["supports.walks"] = state["supports.walks"][:, order][:, :, order]
    assert torch.equal(other.supports.walks, state["supports.walks"])
    other.load_state_dict(state)
    x, _ = windows(network)
    with torch.no_grad():
        expected = network(x)[0][:, :, order]
        assert expected.std() > 0.01
        torch.testing.assert_close(other(x[:, :, order])[0], expected, atol=1e-5, rtol=1e-5)


def test_information_follows_the_direction_of_the_given_graph():
    network = _network(graph="given", adjacency=ADJACENCY, n_layers=1).eval()
    assert torch.nonzero(network.supports.walks[0][1]).flatten().tolist() == [
        0
    ]  # node 1 listens to 0, as 0 -> 1
    with (
        torch.no_grad()
    ):  # silence the reverse walk: support 2 of the pool, behind the identity and the forward one
        network.layers[0].agccn.conv.pool[:, 2] = 0.0
        network.head.lift_around.weight.zero_()  # it also sees what lies against the edges
    x, _ = windows(network)
    bumped = x.clone()
    bumped[:, :, 0] += 1.0
    with torch.no_grad():
        changed = (network(x)[0] - network(bumped)[0]).abs().amax((0, 1, 3)) > 1e-6
    assert changed.tolist() == [True, True, False, False, False]


def test_the_past_reaches_only_connected_nodes_of_a_given_graph():
    network = _network(graph="given", adjacency=torch.zeros(N, N)).eval()
    x, _ = windows(network)
    bumped = x.clone()
    bumped[:, :, 0] += 1.0
    with torch.no_grad():
        changed = (network(x)[0] - network(bumped)[0]).abs().amax((0, 1, 3)) > 0
    assert changed.tolist() == [True, False, False, False, False]


def test_router_learns():
    network = _network()
    x, _ = windows(network)
    network(x)[0].square().mean().backward()
    for layer in network.layers:
        assert layer.router.weight.grad.abs().max() > 1e-6
        assert layer.experts.gate.grad.abs().max() > 1e-6


def test_construction_keeps_mambas_initialisation():
    network = _network()
    for module in network.modules():
        if isinstance(module, MultiscaleMamba):
            torch.testing.assert_close(module.A_log.exp(), torch.arange(1.0, 5.0).expand_as(module.A_log))
            step = F.softplus(module.dt_bias)
            assert ((step >= 1e-4) & (step <= 0.1001)).all()
            assert torch.equal(module.D, torch.ones_like(module.D))
    assert torch.equal(network.layers[0].norm.weight, torch.ones_like(network.layers[0].norm.weight))


def test_expert_usage_is_visible():
    network = _network()
    probabilities = network.routing()
    assert probabilities.shape == (N, 3)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(N))
    network.eval()
    x, _ = windows(network)
    seen = []
    for layer in network.layers:
        layer.experts.register_forward_pre_hook(lambda module, args: seen.append(args[2]))
    with torch.no_grad():
        network(x)
    assert isinstance(network.layers[-1].experts, ExpertMixture)
    torch.testing.assert_close(seen[-1].probabilities, probabilities)
    torch.testing.assert_close(seen[0].probabilities, network.routing(layer=0))


def test_routing_by_input_needs_windows():
    network = _network(routing="input", n_time_features=C)
    with pytest.raises(ParameterError, match="give x"):
        network.routing()
    x, time = windows(network)
    probabilities = network.routing(x, time)
    assert probabilities.shape == (N, 3)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(N))
    assert network.training


def test_stm2_has_no_routing():
    network = _network(n_experts=0)
    with pytest.raises(ParameterError, match="no experts"):
        network.routing()
    assert isinstance(network.layers[0].experts, MultiscaleMamba)
    assert network.layers[0].experts.n_blocks == 1


def _scale_cosine(network, x):
    experts = F.normalize(network.representations(x)["experts"], dim=-1)  # (b, n, k, d)
    cosine = experts @ experts.transpose(-1, -2)
    return cosine[..., ~torch.eye(cosine.shape[-1], dtype=torch.bool)].mean().item()


def test_contrastive_loss_alone_does_not_merge_scales():
    network = _network(contrastive=True, n_layers=1, d_model=4)
    x, _ = windows(network, batch=8)
    before = _scale_cosine(network, x)
    optimiser = torch.optim.Adam(network.layers.parameters(), lr=1e-2)
    losses = []
    for _ in range(25):
        optimiser.zero_grad()
        loss = network(x)[1]["contrastive"]
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.2
    assert _scale_cosine(network, x) < before


def test_graphs_for_people():
    learned = _network(adjacency=ADJACENCY).learned_graph()
    assert learned.shape == (N, N)
    torch.testing.assert_close(learned.sum(1), torch.ones(N))
    given = _network(adjacency=ADJACENCY, graph="given").learned_graph()
    torch.testing.assert_close(given[1], torch.tensor([1.0, 0, 0, 0, 0]))
    assert not learned.requires_grad


@pytest.mark.parametrize("kwargs", [{}, {"n_experts": 0}, {"routing": "input", "top_k": 2}], ids=str)
def test_representations(kwargs):
    network = _network(n_time_features=C, **kwargs)
    found = network.representations(*windows(network))
    assert {name: tuple(v.shape) for name, v in found.items()} == {
        "scales": (B, N, 3, 3),
        "experts": (B, N, 3, 3),
    }
    assert all(v.std() > 0 for v in found.values())
    assert network.training


def test_representations_are_those_of_the_nodes_own_window():
    network = _network(graph="given", adjacency=torch.zeros(N, N))
    x, _ = windows(network)
    bumped = x.clone()
    bumped[1, :, 2] += 1.0
    for name, before in network.representations(x).items():
        changed = (before - network.representations(bumped)[name]).abs().amax((2, 3)) > 0
        assert torch.nonzero(changed).tolist() == [[1, 2]]


def test_instance_norm_follows_shift_and_scale():
    network = _network(instance_norm=True, n_inputs=1).eval()
    x, _ = windows(network)
    with torch.no_grad():
        expected = 7.0 * network(x)[0] - 3.0
        torch.testing.assert_close(network(7.0 * x - 3.0)[0], expected, atol=1e-3, rtol=1e-3)
        plain = _network(n_inputs=1).eval()
        assert not torch.allclose(plain(7.0 * x - 3.0)[0], 7.0 * plain(x)[0] - 3.0, atol=1e-2)


def test_instance_norm_ignores_what_was_not_observed():
    network = _network(instance_norm=True, observed_channels=[1]).eval()
    x, _ = windows(network)
    x[..., 1] = 1.0
    x[:, 2:4, :, 1] = 0.0
    filled = x.clone()
    filled[:, 2:4, :, 0] = 1e3
    with torch.no_grad():
        torch.testing.assert_close(network(filled)[0], network(x)[0])


def test_calendar_of_the_look_back_reaches_the_forecast():
    """That of the targets follows from the origin's."""
    network = _network(n_time_features=C).eval()
    x, time = windows(network)
    with torch.no_grad():
        forecast = network(x, time)[0]
        for step in (0, T - 1, T + 1):
            moved = time.clone()
            moved[:, step] += 1.0
            changed = (network(x, moved)[0] - forecast).abs().amax((0, 2, 3)) > 1e-6
            assert changed.all() if step < T else not changed.any()


def test_network_in_double_precision():
    network, double = _network(), _network().double()
    x, _ = windows(network)
    with torch.no_grad():
        forecast = double.eval()(x.double())[0]
        assert forecast.dtype == torch.float64
        torch.testing.assert_close(network.eval()(x)[0], forecast.float(), atol=1e-5, rtol=1e-4)


def test_node_embeddings_start_from_what_is_known():
    features = torch.cat([torch.zeros(N, 1), torch.randn(N, 2) * 50], 1)
    network = _network()
    random = network.embedding.detach().clone()
    network.start_embedding(features)
    embedding = network.embedding.detach()
    for j in (1, 2):
        correlation = torch.corrcoef(torch.stack([embedding[:, j], features[:, j]]))[0, 1]
        assert correlation.item() == pytest.approx(1.0, abs=1e-4)
    assert torch.equal(embedding[:, [0, 3]], random[:, [0, 3]])  # nothing is known for these
    assert embedding.square().sum(1).mean().item() < 3.0
    network.start_embedding(torch.randn(N, 9))  # more than fits


@pytest.mark.parametrize(
    "kwargs", [{}, {"routing": "input"}, {"n_experts": 0, "causal_scales": False}], ids=str
)
def test_forecast_does_not_depend_on_numba(kwargs, monkeypatch):
    network = _network(scan_backend="auto", **kwargs).eval()
    x, _ = windows(network)
    with torch.no_grad():
        fast = network(x)[0]
        for module in (multiscale, graph_conv):
            monkeypatch.setattr(module, "choose_backend", lambda x: Choice("chunked", "for this test"))
        torch.testing.assert_close(network(x)[0], fast, atol=1e-5, rtol=1e-4)


def test_autocast_changes_nothing():
    network = _network().eval()
    x, _ = windows(network)
    with torch.no_grad():
        expected = network(x)[0]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(network(x)[0], expected)
