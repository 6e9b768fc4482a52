import pytest
import torch

from stmest.layers import multiscale
from stmest.layers.experts import ExpertMixture, Router, Routing, balance_loss, contrastive_loss
from stmest.layers.multiscale import MultiscaleMamba

N_EXPERTS, T = 3, 4


def _mixture(shared=True):
    torch.manual_seed(0)
    bank = MultiscaleMamba(N_EXPERTS + shared, 2, (1, 3), d_state=2, d_conv=2, scan_backend="reference")
    mixture = ExpertMixture(bank, N_EXPERTS, 5, shared)
    if mixture.gate is not None:
        torch.nn.init.normal_(mixture.gate)
    return mixture


def _router(top_k=1):
    torch.manual_seed(1)
    return Router(5, N_EXPERTS, top_k).eval()


@pytest.mark.parametrize("top_k", [1, 2])
@pytest.mark.parametrize("shared", [True, False])
def test_mixture_equals_its_definition(top_k, shared):
    mixture, router = _mixture(shared), _router(top_k)
    x, description = torch.randn(6, 2, 2, T), torch.randn(6, 5)
    routing = router(description)
    counts = [[int(i == e) for i in range(N_EXPERTS + shared)] for e in range(N_EXPERTS + shared)]
    single = [torch.stack([mixture.experts(row[None], c, T)[0] for row in x]) for c in counts]
    expected = sum(
        routing.weights[:, j, None, None, None]
        * torch.stack([single[e][i] for i, e in enumerate(routing.experts[:, j].tolist())])
        for j in range(top_k)
    )
    if shared:
        expected = expected + torch.sigmoid(description @ mixture.gate)[:, None, None, None] * single[-1]
    mixed = mixture(x, T, routing, description, keep_routed=True)
    torch.testing.assert_close(mixed.output, expected, atol=1e-5, rtol=1e-5)
    assert mixed.routed.shape == (6, top_k, 2, 2, T)
    torch.testing.assert_close(mixed.routed[2, 0], single[routing.experts[2, 0]][2], atol=1e-5, rtol=1e-5)
    assert mixture(x, T, routing, description).routed is None


def test_experts_run_only_on_the_rows_routed_to_them(monkeypatch):
    mixture, router = _mixture(), _router()
    seen = []
    scan = multiscale.selective_scan
    monkeypatch.setattr(
        multiscale, "selective_scan", lambda x, *args, **kw: seen.append(len(x)) or scan(x, *args, **kw)
    )
    x, description = torch.randn(7, 2, 2, 3 * T), torch.randn(7, 5)
    routing = router(description)
    mixture(x, T, routing, description)
    used = torch.bincount(routing.experts.flatten(), minlength=N_EXPERTS)
    rows = [int(u) * 2 * 3 for u in used if u > 0]  # 2 scales, 3 windows
    assert seen == [*rows, 7 * 2 * 3]
    assert len(rows) > 1


def test_mixture_gradients():
    mixture, router = _mixture().double(), _router(2).double()
    x = torch.randn(3, 2, 2, T, dtype=torch.float64, requires_grad=True)
    description = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    names, parameters = zip(*mixture.named_parameters(), strict=True)

    def run(x, description, weight, *values):
        routing = torch.func.functional_call(router, {"weight": weight}, description)
        return torch.func.functional_call(
            mixture, dict(zip(names, values, strict=True)), (x, T, routing, description)
        ).output

    assert torch.autograd.gradcheck(run, (x, description, router.weight, *parameters), fast_mode=True)


def test_router_of_one_expert_keeps_the_probability():
    routing = _router()(torch.randn(6, 5))
    torch.testing.assert_close(routing.weights[:, 0], routing.probabilities.amax(1))
    assert torch.equal(routing.experts[:, 0], routing.probabilities.argmax(1))


def test_router_of_several_experts_renormalises():
    routing = _router(2)(torch.randn(6, 5))
    torch.testing.assert_close(routing.weights.sum(1), torch.ones(6))
    assert (routing.experts[:, 0] != routing.experts[:, 1]).all()


def test_router_is_noisy_in_training_only():
    router = _router()
    description = torch.randn(6, 5)
    assert torch.equal(router(description).probabilities, router(description).probabilities)
    router.train()
    assert not torch.equal(router(description).probabilities, router(description).probabilities)


def _routing(probabilities):
    weights, experts = probabilities.topk(1)
    return Routing(probabilities, experts, weights)


def test_balance_loss_is_least_for_even_use():
    even = torch.eye(3).repeat(2, 1) * 0.9 + 0.1 / 3
    uneven = torch.tensor([[0.9, 0.05, 0.05]]).repeat(6, 1)
    assert balance_loss(_routing(even)).item() == pytest.approx(1.0)
    assert balance_loss(_routing(uneven)).item() == pytest.approx(2.7)


def _similarity(features, expert):
    f = torch.nn.functional.normalize(features, dim=-1)
    scales = torch.einsum("iqd,ipd->iqp", f, f)
    between = scales[:, ~torch.eye(f.shape[1], dtype=torch.bool)].mean().item()
    centres = torch.nn.functional.normalize(
        torch.stack([f[expert == e].mean(0).flatten() for e in range(3)]), dim=-1
    )
    return between, (centres @ centres.t())[~torch.eye(3, dtype=torch.bool)].mean().item()


def test_contrastive_loss_separates_scales_and_experts():
    torch.manual_seed(0)
    expert = torch.arange(48) % 3
    features = (torch.randn(48, 4, 8) + 0.5).requires_grad_()  # a common part, so that they start alike
    before = _similarity(features.detach(), expert)
    optimiser = torch.optim.Adam([features], lr=0.05)
    for _ in range(60):
        optimiser.zero_grad()
        contrastive_loss(features, expert).backward()
        optimiser.step()
    after = _similarity(features.detach(), expert)
    assert after[0] < before[0] - 0.1
    assert after[1] < before[1] - 0.1


def test_contrastive_loss_holds_the_coarse_scale_fixed():
    # Two rows of one expert, two scales: the only negatives lie across scales, so the coarse scale is moved by its
    # positive alone, which is already perfect and has no gradient across.
    features = torch.randn(1, 2, 4).repeat(2, 1, 1).requires_grad_()
    contrastive_loss(features, torch.zeros(2, dtype=torch.int64)).backward()
    assert features.grad[:, 0].abs().max() > 1e-3
    assert features.grad[:, 1].abs().max() < 1e-5


def test_contrastive_loss_without_positives_is_zero():
    features = torch.randn(3, 2, 4, requires_grad=True)
    loss = contrastive_loss(features, torch.arange(3))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(features.grad, torch.zeros_like(features))


@pytest.mark.parametrize("experts", [[0, 0, 0], [0, 0, 1]])
def test_contrastive_loss_of_one_scale_is_finite(experts):
    features = torch.randn(3, 1, 4, requires_grad=True)
    loss = contrastive_loss(features, torch.tensor(experts))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(features.grad).all()


def test_contrastive_loss_gradients():
    features = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    loss = contrastive_loss(features, torch.tensor([0, 0, 1, 1]))
    (gradient,) = torch.autograd.grad(loss, features)
    assert loss > 0
    step = 1e-3 * gradient / gradient.norm()
    assert contrastive_loss(features - step, torch.tensor([0, 0, 1, 1])) < loss


def test_contrastive_loss_is_bounded_in_rows():
    torch.manual_seed(0)
    features, expert = torch.randn(500, 2, 4), torch.arange(500) % 2
    subset = contrastive_loss(features, expert, max_rows=100)
    assert torch.isfinite(subset)
    assert subset.item() != contrastive_loss(features, expert, max_rows=500).item()


def test_reprs():
    assert repr(_router(2)) == "Router(n_experts=3, top_k=2)"
    assert "n_experts=3, shared=True" in repr(_mixture())
