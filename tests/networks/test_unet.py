"""The U-Net: begins as persistence, keeps any size, sees all frames and the calendar."""

from __future__ import annotations

import pytest
import torch

from stmest.networks.unet import UNetNetwork
from tests.networks.cases import build


def network(grid=(8, 8), **changes):
    return build(UNetNetwork, grid_shape=grid, target_channels=[1], **changes)


def awake(net):
    """The same network after its last layer has left zero."""
    torch.nn.init.normal_(net.leave.weight, std=0.1)
    return net.eval()


@pytest.mark.parametrize("grid", [(8, 8), (5, 7), (1, 3), (33, 49)])
def test_any_size_goes_in_and_comes_out(grid):
    x = torch.randn(2, 3, grid[0] * grid[1], 2)
    out, auxiliary = awake(network(grid))(x)
    assert out.shape == (2, 4, grid[0] * grid[1], 1)
    assert auxiliary == {}


def test_it_begins_as_persistence():
    x = torch.randn(2, 3, 64, 2)
    torch.testing.assert_close(network()(x)[0], x[:, -1:, :, [1]].expand(-1, 4, -1, -1))


def test_cells_keep_their_place():
    """A change in one corner changes the forecast most around it."""
    net = awake(network((16, 16), depth=1))
    x = torch.zeros(1, 3, 256, 2)
    moved = x.clone()
    moved[0, 2, 3 * 16 + 12, 0] = 5.0
    change = (net(moved)[0] - net(x)[0]).abs().sum((0, 1, 3)).view(16, 16)
    row, column = divmod(int(change.argmax()), 16)
    assert abs(row - 3) <= 2
    assert abs(column - 12) <= 2


def test_every_frame_and_feature_counts():
    net = awake(network())
    x = torch.randn(1, 3, 64, 2, requires_grad=True)
    net(x)[0].square().sum().backward()
    assert (x.grad.abs().amax((0, 2)) > 0).all()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_the_calendar_counts():
    net = awake(network(n_time_features=2))
    x = torch.randn(1, 3, 64, 2)
    early, late = net(x, torch.zeros(1, 7, 2))[0], net(x, torch.ones(1, 7, 2))[0]
    assert not torch.allclose(early, late)
