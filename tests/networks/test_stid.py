"""STID: shapes, independence of the nodes, permutations, and that the time identity is the right row of the right table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from stmest.data.calendar import calendar_channels, calendar_features, slots_per_day
from stmest.layers.head import ResidualLayer
from stmest.networks.stid import STIDNetwork
from tests.networks.cases import build

B, T, H, N, F = 3, 6, 4, 5, 2
KINDS = ("time_of_day", "day_of_week")
SLOTS = 24


def _network(slots=SLOTS, n_layers=3):
    channels = calendar_channels(KINDS)
    day, week = channels["time_of_day"], channels["day_of_week"]
    return build(
        STIDNetwork, n_layers=n_layers, slots_per_day=slots, n_time_features=len(day) + len(week),
        day_channels=(day[0], day[len(day) // 2]), week_channel=week[0],
    ).eval()  # fmt: skip


def _batch(first="2024-01-03 05:00"):
    x = torch.randn(B, T, N, F, generator=torch.Generator().manual_seed(1))
    starts = pd.date_range(first, periods=B, freq="7h")
    rows = [calendar_features(pd.date_range(s, periods=T + H, freq="h"), KINDS) for s in starts]
    return x, torch.from_numpy(np.stack(rows)), [s + pd.Timedelta(T - 1, "h") for s in starts]


def test_nodes_do_not_see_each_other():
    network = _network()
    x, time, _ = _batch()
    before = network(x, time)[0]
    changed = x.clone()
    changed[:, :, 2] += 1.0
    moved = (network(changed, time)[0] != before).any(dim=0).any(dim=0)[:, 0]
    assert moved.tolist() == [node == 2 for node in range(N)]


def test_permuting_nodes_and_their_vectors_permutes_the_forecast():
    network = _network()
    x, time, _ = _batch()
    before = network(x, time)[0]
    order = torch.tensor([3, 0, 4, 1, 2])
    network.node.data = network.node.data[order]
    torch.testing.assert_close(network(x[:, :, order], time)[0], before[:, :, order], rtol=0, atol=1e-6)


def test_equal_values_of_two_nodes_have_two_forecasts():
    network = _network()
    x, time, _ = _batch()
    x[:, :, 1] = x[:, :, 0]
    forecast = network(x, time)[0]
    assert (forecast[:, :, 0] != forecast[:, :, 1]).all()


def test_the_forecast_is_that_of_the_rows_of_the_origin():
    """Written out once more: the parts side by side, the layers, the head."""
    network = _network(n_layers=2)
    x, time, origins = _batch()
    forecast = network(x, time)[0]
    for window, origin in enumerate(origins):
        for node in range(N):
            z = torch.cat([
                network.lift_window(x[window, :, node].flatten()),
                network.node[node],
                network.time_of_day[origin.hour],
                network.day_of_week[origin.dayofweek],
            ])  # fmt: skip
            for layer in network.layers:
                z = z + layer.second(torch.relu(layer.first(z)))
            torch.testing.assert_close(forecast[window, :, node, 0], network.head(z), rtol=0, atol=1e-6)


def test_only_the_calendar_of_the_origin_counts():
    network = _network()
    x, time, _ = _batch()
    before = network(x, time)[0]
    other = time.roll(1, dims=0)
    others_around = other.clone()
    others_around[:, T - 1] = time[:, T - 1]
    torch.testing.assert_close(network(x, others_around)[0], before, rtol=0, atol=0)
    assert (network(x, other)[0] != before).any(dim=1).all()


@pytest.mark.parametrize("freq", ["5min", "10min", "15min", "h", "3h"])
@pytest.mark.parametrize("offset", ["0min", "30min", "7s"])
def test_every_time_of_a_day_has_its_own_slot(freq, offset):
    index = pd.date_range(pd.Timestamp("2024-05-06") + pd.Timedelta(offset), periods=2000, freq=freq)
    slots = slots_per_day(index, most=288)
    network = _network(slots=slots)
    found = network.day_slot(torch.from_numpy(calendar_features(index, KINDS))).numpy()
    seconds = (index - index.normalize()).total_seconds().to_numpy()
    np.testing.assert_array_equal(found, np.floor(seconds / 86_400 * slots + 1e-9).astype(int))
    assert len(np.unique(found)) == slots


def test_a_layer_adds_to_what_it_gets():
    layer = ResidualLayer(4)
    torch.nn.init.zeros_(layer.second.weight)
    torch.nn.init.zeros_(layer.second.bias)
    z = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(layer(z), z)
