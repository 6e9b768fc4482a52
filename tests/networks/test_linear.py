"""DLinear and NLinear: the formulas, and who shares what."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stmest.networks.linear import DLinearNetwork, NLinearNetwork, NodeLinear, moving_average
from tests.networks.cases import build

N, T, H, B = 3, 12, 4, 2


def _network(kind, **changes):
    return build(kind, **{"n_nodes": N, "n_inputs": 1, "input_length": T, "horizon": H, **changes})


@pytest.mark.parametrize("window", [1, 4, 5, 25])
def test_moving_average_is_that_of_the_extended_series(window):
    series = torch.randn(2, 3, T)
    before, after = window // 2, (window - 1) // 2
    extended = np.pad(series.numpy(), ((0, 0), (0, 0), (before, after)), mode="edge")
    expected = np.stack([extended[..., i : i + window].mean(-1) for i in range(T)], axis=-1)
    np.testing.assert_allclose(moving_average(series, window).numpy(), expected, atol=1e-6)


def test_moving_average_keeps_a_constant():
    torch.testing.assert_close(moving_average(torch.full((1, T), 3.0), 25), torch.full((1, T), 3.0))


def test_node_linear_shared_is_nn_linear():
    torch.manual_seed(0)
    layer, x = NodeLinear(1, 1, T, H), torch.randn(N, 1, B, T)
    expected = torch.nn.functional.linear(x, layer.weight[0, 0].t(), layer.bias[0, 0, 0])
    torch.testing.assert_close(layer(x), expected)
    assert repr(layer) == "NodeLinear(n_groups=1, input_length=12, horizon=4)"


def test_nlinear_is_its_formula_and_follows_the_level():
    torch.manual_seed(0)
    network, x = _network(NLinearNetwork), torch.randn(B, T, N, 1)
    forecast, _ = network(x)
    series = x[..., 0].transpose(1, 2)
    last = series[..., -1:]
    expected = (series - last) @ network.linear.weight[0, 0] + network.linear.bias[0, 0, 0] + last
    torch.testing.assert_close(forecast[..., 0].transpose(1, 2), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(network(x + 7)[0], forecast + 7, atol=1e-5, rtol=1e-5)


def test_dlinear_is_its_formula():
    torch.manual_seed(0)
    network, x = _network(DLinearNetwork), torch.randn(B, T, N, 1)
    series = x[..., 0].transpose(1, 2)
    trend = moving_average(series, 5)
    expected = trend @ network.trend.weight[0, 0] + network.trend.bias[0, 0, 0]
    expected = expected + (series - trend) @ network.rest.weight[0, 0] + network.rest.bias[0, 0, 0]
    torch.testing.assert_close(network(x)[0][..., 0].transpose(1, 2), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", [DLinearNetwork, NLinearNetwork])
@pytest.mark.parametrize("per_node", [False, True])
def test_nodes_and_features_are_forecast_from_their_own_past(kind, per_node):
    network = _network(kind, n_inputs=4, n_outputs=2, per_node=per_node, target_channels=[0, 2])
    x = torch.randn(B, T, N, 4)
    before = network(x)[0]
    x[:, 3, 1, 2] += 1.0
    changed = (network(x)[0] - before).abs().amax((0, 1)) > 0
    assert changed.tolist() == [[False, False], [False, True], [False, False]]
    x[..., [1, 3]] += 1.0  # no targets
    assert (((network(x)[0] - before).abs().amax((0, 1)) > 0) == changed).all()


@pytest.mark.parametrize("kind", [DLinearNetwork, NLinearNetwork])
def test_weights_are_shared_or_not(kind):
    torch.manual_seed(0)
    x = torch.randn(B, T, 1, 1).expand(-1, -1, N, -1)
    shared, own = _network(kind)(x)[0], _network(kind, per_node=True)(x)[0]
    torch.testing.assert_close(shared[:, :, 0], shared[:, :, 2])
    assert not torch.allclose(own[:, :, 0], own[:, :, 2])
