import pytest
import torch

from stmest.layers.norms import InstanceNorm, ScaleNorm


def test_scale_norm_matches_layer_norm():
    torch.manual_seed(0)
    norm = ScaleNorm(3, 5)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2.0)
        norm.bias.normal_()
    x = torch.randn(2, 3, 5, 7)
    expected = (
        torch.nn.functional.layer_norm(x.transpose(2, 3), (5,)).transpose(2, 3) * norm.weight + norm.bias
    )
    torch.testing.assert_close(norm(x), expected, atol=1e-5, rtol=1e-5)


def test_scale_norm_gradients():
    norm = ScaleNorm(2, 3).double()
    x = torch.randn(2, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v, w, b: torch.func.functional_call(norm, {"weight": w, "bias": b}, v),
                                    (x, norm.weight, norm.bias))  # fmt: skip


def test_scale_norm_keeps_scales_apart():
    norm = ScaleNorm(3, 4)
    x = torch.randn(2, 3, 4, 5)
    bumped = x.clone()
    bumped[:, 0] += torch.randn(2, 4, 5)
    changed = (norm(x) - norm(bumped)).abs().amax((0, 2, 3))
    assert changed[0] > 1e-3
    assert torch.equal(changed[1:], torch.zeros(2))


def test_scale_norm_repr():
    assert repr(ScaleNorm(3, 4)) == "ScaleNorm(n_scales=3, d_model=4)"


def test_instance_norm_inverts_itself():
    norm = InstanceNorm([0])
    x = 5.0 + 3.0 * torch.randn(2, 40, 3, 2)
    scaled, statistics = norm(x)
    assert scaled[..., 0].mean(1).abs().max() < 1e-5
    torch.testing.assert_close(scaled[..., 0].std(1, correction=0), torch.ones(2, 3), atol=1e-4, rtol=0)
    assert torch.equal(scaled[..., 1], x[..., 1])
    torch.testing.assert_close(norm.inverse(scaled[..., :1], statistics), x[..., :1])


def test_instance_norm_skips_missing_steps():
    norm = InstanceNorm([0], [1])
    x = torch.zeros(1, 4, 1, 2)
    x[0, :, 0, 0] = torch.tensor([1.0, 3.0, 99.0, -99.0])  # the last two are filled in, not observed
    x[0, :, 0, 1] = torch.tensor([1.0, 1.0, 0.0, 0.0])
    scaled, statistics = norm(x)
    assert statistics.mean.item() == pytest.approx(2.0)
    assert statistics.scale.item() == pytest.approx(1.0, abs=1e-4)
    assert torch.equal(scaled[0, 2:, 0, 0], torch.zeros(2))
    assert torch.equal(scaled[..., 1], x[..., 1])


def test_instance_norm_of_a_window_without_observation_is_harmless():
    norm = InstanceNorm([0], [1])
    x = torch.zeros(1, 4, 1, 2)
    x[..., 0] = 7.0
    scaled, statistics = norm(x)
    assert statistics.mean.item() == 0.0
    assert statistics.scale.item() == 1.0
    assert torch.equal(scaled, torch.zeros_like(scaled))


def test_instance_norm_of_a_constant_window_is_finite():
    norm = InstanceNorm([0])
    scaled, statistics = norm(torch.full((1, 4, 1, 1), 3.0))
    assert torch.equal(scaled, torch.zeros_like(scaled))
    torch.testing.assert_close(
        norm.inverse(torch.zeros(1, 2, 1, 1), statistics), torch.full((1, 2, 1, 1), 3.0)
    )


def test_instance_norm_can_keep_what_was_carried_forward():
    norm = InstanceNorm([0], [1], keep_filled=True)
    x = torch.zeros(1, 5, 1, 2)
    x[0, :, 0, 0] = torch.tensor(
        [99.0, 1.0, 3.0, 3.0, 3.0]
    )  # first: nothing was observed yet; last two: filled forward
    x[0, :, 0, 1] = torch.tensor([0.0, 1.0, 1.0, 0.0, 0.0])
    scaled, statistics = norm(x)
    assert statistics.mean.item() == pytest.approx(2.0)
    expected = torch.tensor([0.0, -1.0, 1.0, 1.0, 1.0])
    torch.testing.assert_close(scaled[0, :, 0, 0], expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(InstanceNorm([0], keep_filled=True)(x)[0], InstanceNorm([0])(x)[0])
