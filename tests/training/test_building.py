from __future__ import annotations

import pytest
import torch
from torch import nn

from stmest.exceptions import OutOfMemoryError
from stmest.runtime import seeded
from stmest.training import building
from stmest.training.building import build_network


class Drawn(nn.Module):
    """Weights from layers of torch, from its functions and from its initialisation."""

    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleList([nn.Linear(3, 4), nn.Conv1d(2, 3, 3), nn.Embedding(3, 2), nn.LSTM(2, 3)])
        self.weight = nn.Parameter(0.1 * torch.randn(4, 3) + torch.rand(3))
        self.other = nn.Parameter(torch.empty(4, 3).uniform_(-1, 1).normal_())
        self.order = nn.Parameter(torch.randperm(5).float(), requires_grad=False)
        for fill in (
            nn.init.xavier_normal_,
            nn.init.kaiming_uniform_,
            nn.init.trunc_normal_,
            nn.init.orthogonal_,
        ):
            self.register_buffer(fill.__name__, fill(torch.empty(4, 3)))


def test_the_weights_are_those_of_the_seed_and_nothing_else_is_drawn():
    torch.manual_seed(7)
    expected = Drawn().state_dict()
    before = torch.get_rng_state()
    with seeded(7):
        found = build_network("Drawn", Drawn).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_outside_of_a_seed_torchs_own_numbers_are_drawn():
    torch.manual_seed(7)
    first = build_network("Drawn", Drawn).weight
    assert not torch.equal(build_network("Drawn", Drawn).weight, first)


def test_weights_that_do_not_fit_are_never_made(monkeypatch):
    monkeypatch.setattr(building, "free_memory", lambda: 1_000)
    with pytest.raises(OutOfMemoryError, match="weights of Large"):
        build_network("Large", lambda: nn.Linear(1 << 20, 1 << 20))
    with pytest.raises(OutOfMemoryError, match="weights of Deep"):
        build_network("Deep", lambda: nn.ModuleList(nn.LayerNorm(1) for _ in range(1_000)))


def test_too_many_tensors(monkeypatch):
    monkeypatch.setattr(building, "_MOST_TENSORS", 100)
    with pytest.raises(OutOfMemoryError, match="fewer layers"):
        build_network("Deep", lambda: nn.ModuleList(nn.LayerNorm(1) for _ in range(1_000)))
