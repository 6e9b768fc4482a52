"""The conditioned transformer: starts as nothing, attends to all tokens, knows where they are."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stmest.layers.diffusion_transformer import DiffusionTransformer, TransformerBlock, position_table

B, M, D = 2, 6, 8


def _inputs(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(B, M, D, generator=generator), torch.randn(B, D, generator=generator)


def _shaken(module, seed=0):
    """Away from the zeros that the module starts with."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return module


def _trunk(conditioned=True, positions=None, n_outputs=5):
    positions = position_table(2, 3, D) if positions is None else positions
    return DiffusionTransformer(4, n_outputs, positions, 2, 2, conditioned=conditioned)


def test_positions_are_distinct_and_of_bounded_size():
    table = position_table(7, 11, 16)
    assert table.shape == (77, 16)
    assert table.abs().max() <= 1
    assert torch.cdist(table, table).add(torch.eye(77)).min() > 0.05


def test_positions_tell_rows_and_columns_apart():
    table = position_table(3, 5, 8).unflatten(0, (3, 5))
    assert torch.equal(table[:, 0, :4], table[:, 4, :4])  # first half: the row alone
    assert torch.equal(table[0, :, 4:], table[2, :, 4:])  # second half: the column alone
    assert torch.equal(position_table(1, 9, 8)[:, 4:], position_table(9, 1, 8)[:, :4])
    assert table[2, 0, 0].item() == pytest.approx(torch.tensor(2.0).sin().item())


def test_an_untrained_conditioned_block_is_the_identity():
    x, condition = _inputs()
    assert torch.equal(TransformerBlock(D, 2)(x, condition), x)
    assert not torch.equal(TransformerBlock(D, 2, conditioned=False)(x), x)


def test_an_untrained_conditioned_trunk_returns_zero():
    torch.manual_seed(0)
    tokens, condition = torch.randn(B, M, 4), torch.randn(B, D)
    assert torch.equal(_trunk()(tokens, condition), torch.zeros(B, M, 5))
    assert _trunk(conditioned=False)(tokens, condition).abs().max() > 0


def test_the_block_is_the_equations_written_out():
    block = _shaken(TransformerBlock(D, 2))
    x, c = _inputs()
    shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = block.modulation(F.silu(c)).chunk(6, dim=1)

    def modulated(z, shift, scale):
        z = (z - z.mean(-1, keepdim=True)) / (z.var(-1, unbiased=False, keepdim=True) + 1e-6).sqrt()
        return z * (1 + scale[:, None]) + shift[:, None]

    def attention(z):
        q, k, v = block.in_proj(z).chunk(3, dim=-1)
        heads = []
        for part in (slice(0, 4), slice(4, 8)):
            scores = q[..., part] @ k[..., part].transpose(1, 2) / 2.0
            heads.append(scores.softmax(-1) @ v[..., part])
        return block.out_proj(torch.cat(heads, dim=-1))

    y = x + gate_a[:, None] * attention(modulated(x, shift_a, scale_a))
    y = y + gate_m[:, None] * block.mlp(modulated(y, shift_m, scale_m))
    torch.testing.assert_close(block(x, c), y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("conditioned", [True, False])
def test_every_token_sees_every_token(conditioned):
    trunk = _shaken(_trunk(conditioned))
    tokens, condition = torch.randn(B, M, 4), torch.randn(B, D)
    before = trunk(tokens, condition)
    for token in range(M):
        moved = tokens.clone()
        moved[:, token] += 1.0
        assert ((trunk(moved, condition) - before).abs().amax((0, 2)) > 0).all()


@pytest.mark.parametrize("conditioned", [True, False])
def test_the_condition_changes_the_output_of_its_own_window(conditioned):
    trunk = _shaken(_trunk(conditioned))
    tokens, condition = torch.randn(B, M, 4), torch.randn(B, D)
    other = condition.clone()
    other[1] += 1.0
    difference = (trunk(tokens, other) - trunk(tokens, condition)).abs().amax((1, 2))
    assert difference[0] == 0
    assert difference[1] > 0


def test_positions_matter():
    trunk = _shaken(_trunk())
    tokens, condition = torch.randn(1, 1, 4).expand(B, M, 4), torch.randn(B, D)
    out = trunk(tokens, condition)  # equal tokens: only the place tells them apart
    assert (out[:, 1:] - out[:, :1]).abs().amax((0, 2)).min() > 0


def test_a_table_is_neither_trained_nor_saved_but_a_parameter_is_both():
    assert not any("positions" in name for name in _trunk().state_dict())
    learned = _trunk(positions=nn.Parameter(torch.randn(M, D)))
    assert "positions" in learned.state_dict()
    assert "positions" in dict(learned.named_parameters())


@pytest.mark.parametrize("conditioned", [True, False])
def test_gradients_reach_all_parameters(conditioned):
    trunk = _shaken(_trunk(conditioned, nn.Parameter(torch.randn(M, D))))
    trunk(torch.randn(B, M, 4), torch.randn(B, D)).square().sum().backward()
    assert [name for name, p in trunk.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_repr_names_the_heads():
    assert "n_heads=2" in repr(TransformerBlock(8, 2))
