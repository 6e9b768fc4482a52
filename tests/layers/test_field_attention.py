"""Attention over fields: windows that shift, and lines along time, rows and columns; what reaches what."""

from __future__ import annotations

import pytest
import torch

from stmest.layers.cuboid_attention import N_GLOBAL, CuboidLayer, CuboidTransformer
from stmest.layers.diffusion_transformer import position_table
from stmest.layers.window_attention import WINDOW, SwinBlock, SwinTransformer

B, D = 2, 8


def _changed(before, after):
    """Which tokens differ: (b, tokens, d) -> rows and columns of them as a flat mask."""
    return (after - before).abs().amax((0, -1)) > 1e-6


def _reached(block, grid, row, column):
    """The tokens of a grid that change with one of them."""
    torch.manual_seed(0)
    x = torch.randn(B, grid[0] * grid[1], D)
    before = block(x)
    x = x.clone()
    x[:, row * grid[1] + column] += torch.randn(D)
    return _changed(before, block(x)).view(grid)


def _box(grid, rows, columns):
    box = torch.zeros(grid, dtype=torch.bool)
    box[rows, columns] = True
    return box


@pytest.mark.parametrize(
    ("shifted", "token", "rows", "columns"),
    [
        (False, (1, 5), slice(0, 4), slice(4, 8)),
        (False, (4, 8), slice(4, 5), slice(8, 10)),  # a window that the grid fills in part
        (True, (1, 5), slice(0, 2), slice(2, 6)),  # it begins two tokens later
        (True, (0, 0), slice(0, 2), slice(0, 2)),  # the shift brings the other ends here, unseen
        (True, (4, 9), slice(2, 5), slice(6, 10)),
    ],
)
def test_a_token_reaches_its_window_and_nothing_else(shifted, token, rows, columns):
    grid = (5, 10)
    assert WINDOW == 4
    reached = _reached(SwinBlock(D, 2, grid, shifted), grid, *token)
    assert torch.equal(reached, _box(grid, rows, columns))


def test_windows_reach_each_other_through_the_shift():
    blocks = torch.nn.Sequential(*(SwinBlock(D, 2, (8, 8), shifted) for shifted in (False, True)))
    assert _reached(blocks, (8, 8), 0, 0)[:6, :6].all()


def test_the_bias_depends_on_the_offset():
    block = SwinBlock(D, 2, (2, 3), False)
    places = [(row, column) for row in range(2) for column in range(3)]
    numbers = {}
    for i, (row, column) in enumerate(places):
        for j, (other_row, other_column) in enumerate(places):
            numbers.setdefault((row - other_row, column - other_column), set()).add(int(block.offsets[i, j]))
    assert all(len(found) == 1 for found in numbers.values())
    assert len(set.union(*numbers.values())) == len(numbers) == block.bias.shape[1]


@pytest.mark.parametrize("grid", [(1, 1), (1, 7), (4, 4), (5, 9)])
def test_any_grid_through_shifted_windows(grid):
    tokens = grid[0] * grid[1]
    network = SwinTransformer(3, 5, position_table(*grid, D), grid, 2, 2)
    out = network(torch.randn(B, tokens, 3), torch.randn(B, D))
    assert out.shape == (B, tokens, 5)
    out.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())
    seen = [name for name, p in network.named_parameters() if not p.grad.any()]
    assert seen == ([] if tokens > 1 else ["blocks.0.bias", "blocks.1.bias"])  # one token has one offset


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_a_token_reaches_its_line_and_the_global_vectors(axis):
    torch.manual_seed(0)
    layer = CuboidLayer(D, 2, axis, True)
    x, known = torch.randn(B, 3, 4, 5, D), torch.randn(B, N_GLOBAL, D)
    before, summary = layer(x, known)
    bumped = x.clone()
    bumped[:, 1, 2, 3] += torch.randn(D)
    after, other = layer(bumped, known)
    line = torch.zeros(3, 4, 5, dtype=torch.bool)
    place: list[int | slice] = [1, 2, 3]
    place[axis - 1] = slice(None)
    line[tuple(place)] = True
    assert torch.equal(_changed(before, after), line)
    assert _changed(summary, other).all()
    moved = layer(x, known.flip(-1))[0]
    assert not torch.allclose(moved, before)  # and the vectors reach every token


def _cuboids(horizon=2):
    torch.manual_seed(0)
    return CuboidTransformer(3, 4, horizon, position_table(3, 5, D), 1, 2)


def test_every_input_reaches_every_step_and_place():
    network = _cuboids()
    z, condition = torch.randn(B, 4, 3, 3, 5), torch.randn(B, D)
    before = network(z, condition)
    assert before.shape == (B, 2, 3, 3, 5)
    for frame in range(4):
        bumped = z.clone()
        bumped[:, frame, :, 0, 0] += 1.0
        assert ((network(bumped, condition) - before).abs().amax((0, 2)) > 1e-7).all()
    assert not torch.allclose(network(z.flip(1), condition), before)
    assert not torch.allclose(network(z, condition.flip(1)), before)


def test_gradients_reach_all_of_the_cuboids():
    network = _cuboids(horizon=3)
    network(torch.randn(B, 4, 3, 3, 5), torch.randn(B, D)).square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_reprs_say_what_is_mixed():
    assert "window=(4, 4), shift=(2, 0)" in repr(SwinBlock(D, 2, (5, 4), True))
    assert "axis=2" in repr(CuboidLayer(D, 2, 2, False))
