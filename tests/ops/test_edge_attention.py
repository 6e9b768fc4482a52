"""Attention along edges: the CPU kernel and the torch form against plain attention in double precision."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from stmest.exceptions import MissingDependencyError, ParameterError
from stmest.ops import backends
from stmest.ops.edge_attention import Edges, edge_attention, edge_softmax

BOTH = ("numba", "torch")


def _edges(n, share=0.3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    present = (torch.rand(n, n, generator=generator) < share).fill_diagonal_(True)  # (target, source)
    targets, sources = present.nonzero(as_tuple=True)
    starts = torch.zeros(n + 1, dtype=torch.int64)
    starts[1:] = present.sum(1).cumsum(0)
    log_weight = torch.rand(len(sources), generator=generator).log()
    return Edges(starts, sources.contiguous(), targets.contiguous(), log_weight)


def _plain(projected, edges):
    n, _, _, c, _ = projected.shape
    mask = torch.full((n, n), -torch.inf, dtype=projected.dtype)
    mask[edges.targets, edges.sources] = edges.log_weight.to(projected.dtype)
    query, key, value = projected.permute(1, 4, 2, 0, 3)
    weight = torch.softmax(query @ key.transpose(-1, -2) * c**-0.5 + mask, -1)
    return (weight @ value).permute(2, 1, 3, 0)


@pytest.mark.parametrize("backend", BOTH)
@pytest.mark.parametrize(("n", "h", "c", "r"), [(7, 2, 3, 5), (1, 1, 1, 1), (12, 1, 8, 64), (5, 3, 2, 130)])
def test_outputs_and_gradients_are_those_of_plain_attention(backend, n, h, c, r):
    edges = _edges(n)
    generator = torch.Generator().manual_seed(1)
    projected = torch.randn(n, 3, h, c, r, generator=generator, requires_grad=True)
    gradient = torch.randn(n, h, c, r, generator=generator)
    exact = projected.detach().double().requires_grad_()
    wanted = _plain(exact, edges)
    (wanted_gradient,) = torch.autograd.grad(wanted, exact, gradient.double())
    out = edge_attention(projected, edges, backend=backend)
    (found,) = torch.autograd.grad(out, projected, gradient)
    torch.testing.assert_close(out.double(), wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.double(), wanted_gradient, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", BOTH)
def test_large_scores_and_tiny_weights_stay_finite(backend):
    edges = _edges(6)
    edges = edges._replace(log_weight=torch.where(edges.sources == edges.targets, 0.0, -87.0))
    projected = (
        100.0 * torch.randn(6, 3, 2, 4, 9, generator=torch.Generator().manual_seed(0))
    ).requires_grad_()
    out = edge_attention(projected, edges, backend=backend)
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert torch.isfinite(projected.grad).all()
    torch.testing.assert_close(out.double(), _plain(projected.detach().double(), edges), rtol=1e-4, atol=1e-3)


def test_gradients_in_double_precision():
    edges = _edges(4)
    projected = torch.randn(4, 3, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: edge_attention(p, edges), projected)


def test_half_precision_is_computed_in_float32():
    edges = _edges(5)
    projected = torch.randn(5, 3, 1, 4, 6).bfloat16()
    out = edge_attention(projected, edges)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out, edge_attention(projected.float(), edges).bfloat16())


def test_number_of_threads_changes_no_bit():
    edges = _edges(9)
    projected = torch.randn(9, 3, 2, 4, 300)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            x = projected.clone().requires_grad_()
            out = edge_attention(x, edges, backend="numba")
            results.append((out.detach(), *torch.autograd.grad(out.square().sum(), x)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_softmax_sums_to_one_per_target():
    edges = _edges(8)
    weight = edge_softmax(torch.randn(len(edges.sources), 2) * 50, edges)
    total = torch.zeros(8, 2).index_add(0, edges.targets, weight)
    torch.testing.assert_close(total, torch.ones(8, 2))


def test_wrong_input_is_an_error():
    edges = _edges(4)
    with pytest.raises(ParameterError, match=r"projected \(n, 3, h, c, r\)"):
        edge_attention(torch.randn(5, 3, 1, 2, 2), edges)
    with pytest.raises(ParameterError, match="backend='fast'"):
        edge_attention(torch.randn(4, 3, 1, 2, 2), edges, backend="fast")
    with pytest.raises(MissingDependencyError, match="float32 on the CPU"):
        edge_attention(torch.randn(4, 3, 1, 2, 2).double(), edges, backend="numba")


def test_without_numba_torch_does_it(monkeypatch):
    monkeypatch.setattr(backends, "numba_problem", lambda: "numba is not installed")
    edges, projected = _edges(4), torch.randn(4, 3, 1, 2, 3)
    assert torch.equal(edge_attention(projected, edges), edge_attention(projected, edges, backend="torch"))
    with pytest.raises(MissingDependencyError, match="not installed"):
        edge_attention(projected, edges, backend="numba")


def test_the_kernel_is_not_imported_before_it_is_needed():
    code = "import sys, stmest.ops.edge_attention; sys.exit('stmest.ops.cpu.edge_attention' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
