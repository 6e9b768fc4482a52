"""An operator is seen by what follows a computation, and called directly by everything else."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from stmest.ops import selective_scan
from stmest.ops.operators import operator

from .scan_inputs import make_inputs


@operator("doubled_for_tests")
def doubled(x: torch.Tensor, factor: float) -> torch.Tensor:
    """Return twice x, times a factor."""
    return 2.0 * factor * x


@operator("doubled_for_tests_backward")
def doubled_backward(gradient: torch.Tensor, factor: float) -> torch.Tensor:
    """Return the gradient."""
    return 2.0 * factor * gradient


@doubled.register_fake
def _(x, factor):
    return torch.empty_like(x)


@doubled_backward.register_fake
def _(gradient, factor):
    return torch.empty_like(gradient)


def _save(ctx, inputs, output):
    ctx.factor = inputs[1]


def _gradients(ctx, gradient):
    return doubled_backward(gradient, ctx.factor), None


doubled.register_gradients(_gradients, _save)


class Count:
    """How often a call went through PyTorch's dispatcher."""

    def __init__(self, monkeypatch, made):
        self.calls, traced = 0, made.traced

        def follow(*arguments):
            self.calls += 1
            return traced(*arguments)

        monkeypatch.setattr(made, "traced", follow)


def test_a_plain_call_does_not_go_through_the_dispatcher(monkeypatch):
    count = Count(monkeypatch, doubled)
    x = torch.nn.Parameter(torch.randn(3))
    for value in (x, x.detach(), x.detach().requires_grad_()):
        assert torch.equal(doubled(value, 1.5), 3.0 * value)
    assert torch.equal(torch.autograd.grad(doubled(x, 1.5).sum(), x)[0], torch.full((3,), 3.0))
    assert count.calls == 0


def test_what_follows_a_computation_sees_the_operator(monkeypatch):
    count = Count(monkeypatch, doubled)
    x = torch.randn(3)
    with FakeTensorMode() as mode:
        assert doubled(mode.from_tensor(x), 1.5).shape == (3,)
    assert count.calls == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_the_compiler_sees_the_operator():
    seen = []

    def look(graph, _):
        seen.extend(str(node.target) for node in graph.graph.nodes)
        return graph

    compiled = torch.compile(lambda x: doubled(x, 1.5) + 1, backend=look, fullgraph=True)
    x = torch.randn(3)
    assert torch.equal(compiled(x), 3.0 * x + 1)
    assert any("doubled_for_tests" in name for name in seen)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_vmap():
    x = torch.randn(4, 3)
    assert torch.equal(torch.func.vmap(lambda v: doubled(v, 1.5))(x), 3.0 * x)


def test_a_second_derivative_is_refused():
    x = torch.randn(3, requires_grad=True)
    (first,) = torch.autograd.grad(doubled(x, 1.0).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_opcheck():
    torch.library.opcheck(
        torch.ops.stmest.doubled_for_tests.default, (torch.randn(3, requires_grad=True), 2.0)
    )


def test_the_scan_is_the_same_both_ways():
    pytest.importorskip("numba")
    inputs = [v.requires_grad_() for v in make_inputs(3, 20, 6, 4)]
    direct = selective_scan(*inputs[:8], backend="numba")
    through = torch.ops.stmest.selective_scan(*inputs[:8], None, False, True)[0]
    weight = torch.randn(direct.shape)
    assert torch.equal(direct, through)
    pairs = zip(*(torch.autograd.grad(y, inputs[:8], weight) for y in (direct, through)), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
