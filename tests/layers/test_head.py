from functools import partial

import pytest
import torch

from stmest.layers.graph_conv import GraphSupports
from stmest.layers.head import ForecastHead, LinearHead, ResidualLayer


def _inputs(n=3, b=2, c=2):
    return torch.randn(n, b, 40), torch.randn(b, 10, n, 1), torch.randn(n, 5), torch.randn(b, c)


def _head(n_outputs=1, c=2):
    torch.manual_seed(0)
    return ForecastHead(40, 10, 4, n_outputs, 5, n_time_features=c, width=8)


def test_head_shape_and_gradients():
    head = _head(n_outputs=2)
    out = head(*_inputs())
    assert out.shape == (2, 4, 3, 2)
    out.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in head.parameters())


def test_head_sees_encoding_window_node_and_origin():
    head = _head()
    encoded, x, embedding, origin = _inputs()
    out = head(encoded, x, embedding, origin)
    assert (out - head(encoded, x, embedding, origin + 1)).abs().amin() > 0
    one_node = torch.tensor([0.0, 1.0, 0.0])
    others = (
        head(encoded + one_node[:, None, None], x, embedding, origin),
        head(encoded, x + one_node[:, None], embedding, origin),
        head(encoded, x, embedding + one_node[:, None], origin),
    )
    for other in others:
        assert ((out - other).abs().amax((0, 1, 3)) > 0).tolist() == [False, True, False]


def test_a_linear_head_sees_the_encoding_alone_and_is_linear():
    torch.manual_seed(0)
    head = LinearHead(40, 4, 2)
    encoded, *known = _inputs()
    out = head(encoded, *known, None, None)
    assert out.shape == (2, 4, 3, 2)
    assert torch.equal(head(encoded, *(part + 1 for part in known)), out)
    origin = head(torch.zeros_like(encoded))
    torch.testing.assert_close(head(3 * encoded) - origin, 3 * (out - origin))
    bumped = encoded + torch.tensor([0.0, 1.0, 0.0])[:, None, None]
    assert ((head(bumped) - out).abs().amax((0, 1, 3)) > 0).tolist() == [False, True, False]
    head.start_at_zero()
    assert not head(encoded).any()


def test_a_step_of_the_optimiser_moves_the_forecast_no_more_by_many_features_than_by_few():
    """Adam moves every weight by the same amount; the scale keeps four times as many features from moving four times as much."""
    assert _head().scale == pytest.approx(10 / 40)
    assert ForecastHead(5, 10, 4, 1, 5).scale == 1


@pytest.mark.parametrize("c", [0, 2])
def test_zero_head_forecasts_zero_and_learns(c):
    head = _head(c=c)
    head.start_at_zero()
    encoded, x, embedding, origin = _inputs()
    out = head(encoded, x, embedding, origin if c else None)
    assert torch.equal(out, torch.zeros(2, 4, 3, 1))
    (out - 1).square().sum().backward()
    assert head.out.weight.grad.abs().max() > 0


def test_head_without_calendar():
    head = ForecastHead(40, 10, 4, 1, 5)
    encoded, x, embedding, _ = _inputs()
    assert head(encoded, x, embedding).shape == (2, 4, 3, 1)
    assert repr(head).startswith("ForecastHead(\n  horizon=4, n_outputs=1")


def test_a_residual_layer_adds_to_what_it_is_given():
    layer, z = ResidualLayer(6), torch.randn(3, 6)
    with torch.no_grad():
        layer.second.weight.zero_()
        layer.second.bias.zero_()
    assert torch.equal(layer(z), z)


def test_the_head_sees_the_means_around_a_node():
    torch.manual_seed(0)
    given = torch.tensor([[0.0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]])  # a chain of nodes
    supports = GraphSupports(1, given)
    head = ForecastHead(6, 5, 2, 1, 3, width=8, n_ahead=2, n_around=supports.n_around)
    n, b = 4, 3
    encoded, x, ahead = torch.zeros(n, b, 6), torch.randn(b, 5, n, 1), torch.randn(b, 2, n, 2)
    embedding = torch.randn(n, 3)

    def forecast(x, ahead):
        around = partial(supports.around, supports(embedding))
        return head(encoded, x, embedding, None, ahead, around)

    before = forecast(x, ahead)
    for changed in ((x.clone(), ahead), (x, ahead.clone())):
        changed[0 if changed[0] is not x else 1][1, :, 3] += 1.0
        moved = (forecast(*changed) - before).abs().amax((1, 3)) > 1e-6
        # window 1 only; the last node itself, and what lies one and two steps against the edges
        assert moved.tolist() == [[False] * 4, [False, True, True, True], [False] * 4]
