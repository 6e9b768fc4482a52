from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from stmest.layers.dropout import Dropout, recomputed
from stmest.runtime import seeded


def test_it_is_torchs_own_on_a_cpu():
    x = torch.randn(7, 5).t()
    torch.manual_seed(3)
    expected = F.dropout(x, 0.3)
    with seeded(3):
        assert torch.equal(Dropout(0.3)(x), expected)
    torch.manual_seed(3)
    assert torch.equal(Dropout(0.3)(x), expected)  # outside of a fit


def test_the_share_is_dropped_and_the_mean_stays():
    with seeded(0):
        y = Dropout(0.25)(torch.ones(100, 100))
    assert (y == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert y.mean().item() == pytest.approx(1.0, abs=0.02)
    assert y.unique().tolist() == pytest.approx([0.0, 1 / 0.75])


@pytest.mark.parametrize("p", [0.0, 0.5])
def test_nothing_is_drawn_without_need(p):
    dropout, x = Dropout(p).train(p == 0), torch.randn(3)
    before = torch.get_rng_state()
    assert dropout(x) is x
    assert torch.equal(torch.get_rng_state(), before)


def test_half_precision_stays():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert Dropout(0.5)(torch.randn(4, dtype=torch.bfloat16)).dtype == torch.bfloat16
        assert Dropout(0.5)(torch.randn(4)).dtype == torch.float32


def test_export_in_evaluation_mode():
    x = torch.randn(3)
    assert torch.equal(torch.export.export(Dropout(0.5).eval(), (x,)).module()(x), x)


@pytest.mark.parametrize("inside", [True, False])
def test_a_part_that_is_computed_again_drops_the_same(inside):
    dropout, x = Dropout(0.5), torch.randn(50, requires_grad=True)
    if inside:
        with seeded(1):
            y = recomputed(dropout, x)
            dropout(x)  # moves the generator on
            (gradient,) = torch.autograd.grad(y.sum(), x)
    else:
        y = recomputed(dropout, x)
        dropout(x)
        (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, torch.where(y == 0, 0.0, 2.0))
