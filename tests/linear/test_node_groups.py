"""Nodes are grouped by how they behave, and not by their level or unit."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from stmest import make_sensor_network
from stmest.linear.node_groups import node_groups

KINDS = np.array([0, 1, 0, 1, 1, 0])


def _values(kind, n_times=600):
    """Nodes that differ in what they keep of the last step, or in how they react to the size of an earlier one."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n_times, 6))
    for t in range(3, n_times):
        if kind == "kept":
            x[t] += np.where(KINDS, 0.8, -0.5) * x[t - 1]
        else:
            x[t] = np.where(KINDS, 1, -1) * (2.5 * np.tanh(np.abs(x[t - 3])) - 1.3) + 0.5 * x[t]
    return x


@pytest.mark.parametrize("kind", ["kept", "size"])
def test_dynamics_tell_the_groups(kind):
    x = _values(kind)
    groups = node_groups(x, 2, 6)
    assert adjusted_rand_score(KINDS, groups) == 1
    moved = node_groups(x * [1, 10, 100, 0.1, 2, 3] + [5, 0, 1e3, 0, 0, 1], 2, 6)
    np.testing.assert_array_equal(moved, groups)
    x[np.random.default_rng(1).random(x.shape) < 0.2] = np.nan
    assert adjusted_rand_score(KINDS, node_groups(x, 2, 6)) == 1


def test_the_season_tells_the_kinds_of_a_simulated_network():
    network = make_sensor_network(random_state=0)
    season = network.values.groupby(network.values.index.hour).mean().to_numpy()
    rest = network.values.to_numpy() - season[network.values.index.hour]
    assert adjusted_rand_score(network.node_types, node_groups(rest, 3, 24, season)) > 0.8


def test_few_nodes_and_nodes_without_any_change():
    assert node_groups(np.zeros((20, 1)), 4, 5).tolist() == [0]
    assert sorted(node_groups(_values("kept")[:, :2], 4, 5)) == [0, 1]
    assert len(node_groups(np.zeros((20, 4)), 2, 5)) == 4
    assert len(node_groups(np.full((20, 4), np.nan), 2, 5)) == 4
