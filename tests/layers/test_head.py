import torch

from stmest.layers.head import ForecastHead


def _inputs(n=3, b=2, h=4, c=2):
    return torch.randn(n, b, 10), torch.randn(n, 5), torch.randn(b, c), torch.randn(b, h, c)


def test_head_shape_and_gradients():
    head = ForecastHead(10, 4, 2, 5, n_time_features=2, width=8)
    out = head(*_inputs())
    assert out.shape == (2, 4, 3, 2)
    out.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in head.parameters())


def test_head_sees_node_origin_and_targets():
    torch.manual_seed(0)
    head = ForecastHead(10, 4, 1, 5, n_time_features=2, width=8)
    encoded, embedding, origin, targets = _inputs()
    out = head(encoded, embedding, origin, targets)
    moved = head(encoded, embedding, origin + 1, targets)
    assert (out - moved).abs().amin() > 0
    later = targets.clone()
    later[:, 2] += 1.0
    changed = (out - head(encoded, embedding, origin, later)).abs().amax((0, 2, 3)) > 0
    assert changed.tolist() == [False, False, True, False]
    other = embedding.clone()
    other[1] += 1.0
    changed = (out - head(encoded, other, origin, targets)).abs().amax((0, 1, 3)) > 0
    assert changed.tolist() == [False, True, False]


def test_zero_head_forecasts_zero_and_learns():
    for c in (0, 2):
        head = ForecastHead(10, 4, 1, 5, n_time_features=c, width=8)
        head.start_at_zero()
        encoded, embedding, origin, targets = _inputs()
        out = head(encoded, embedding, origin if c else None, targets if c else None)
        assert torch.equal(out, torch.zeros(2, 4, 3, 1))
        (out - 1).square().sum().backward()
        zeroed = [head.direct.weight, head.hidden_out.weight]
        assert all(p.grad.abs().max() > 0 for p in zeroed + ([head.profile_node.weight] if c else []))


def test_head_without_calendar():
    head = ForecastHead(10, 4, 1, 5)
    encoded, embedding, _, _ = _inputs()
    assert head(encoded, embedding).shape == (2, 4, 3, 1)
    assert repr(head).startswith("ForecastHead(\n  horizon=4, n_outputs=1")
