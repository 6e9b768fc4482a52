import pytest
import torch
from torch.nn import functional as F

from stmest.layers.multiscale import MultiscaleLift, MultiscaleMamba, unfold_time
from stmest.ops import causal_conv1d, selective_scan

SCALES = (1, 3, 5)


def _lift(n_inputs=2, n_time_features=0, d_model=3):
    torch.manual_seed(0)
    return MultiscaleLift(n_inputs, n_time_features, d_model, SCALES)


def _bank(n_blocks=2, scales=SCALES, **kwargs):
    torch.manual_seed(0)
    bank = MultiscaleMamba(n_blocks, 3, scales, d_state=4, d_conv=2, scan_backend="reference", **kwargs)
    with torch.no_grad():
        bank.scale_bias.normal_()
        bank.conv_bias.normal_()
    return bank


@pytest.mark.parametrize("n_taps", [1, 3, 5, 9])
@pytest.mark.parametrize("t", [1, 2, 6])
def test_unfold_time_repeats_the_ends(n_taps, t):
    x = torch.randn(2, 3, 2, t)
    half = n_taps // 2
    padded = F.pad(x.flatten(0, 1), (half, half), mode="replicate").view(2, 3, 2, -1)
    expected = padded.unfold(-1, t, 1).permute(0, 3, 1, 2, 4).reshape(2, n_taps * 3, 2 * t)
    assert torch.equal(unfold_time(x, n_taps), expected)


def test_lift_equals_linear_then_convolution():
    lift = _lift(n_time_features=2)
    with torch.no_grad():
        lift.bias.normal_()
    b, t, n = 2, 7, 4
    x, time = torch.randn(b, t, n, 2), torch.randn(b, t, 2)
    joined = torch.cat([x, time.unsqueeze(2).expand(b, t, n, 2)], -1)
    lifted = lift.lift(joined).permute(2, 0, 3, 1).flatten(0, 1)  # (n * b, d, t)
    for q, width in enumerate(SCALES):
        padded = F.pad(lifted, (width // 2, width // 2), mode="replicate")
        expected = F.conv1d(padded, lift.kernels[q].permute(2, 1, 0), lift.bias[q])
        expected = expected.view(n, b, 3, t).transpose(1, 2).flatten(2)
        torch.testing.assert_close(lift(x, time)[:, q], expected)


def test_lift_spreads_over_time_only():
    lift = _lift()
    x = torch.randn(1, 12, 4, 2)
    bumped = x.clone()
    bumped[0, 6, 1] += 1.0
    changed = (lift(x) - lift(bumped)).abs().amax(2) > 1e-6  # (n, k, t)
    assert not changed[[0, 2, 3]].any()
    for q, width in enumerate(SCALES):
        reached = torch.nonzero(changed[1, q]).flatten().tolist()
        assert reached == list(range(6 - width // 2, 6 + width // 2 + 1))


def _slow_block(bank, e, x):
    """The bank's block e, by its definition, one scale after the other; x (r, k, d, t)."""
    di, s = bank.d_inner, bank.d_state
    out = []
    for q, width in enumerate(bank.scales):
        h, gate = (x[:, q].transpose(1, 2) @ bank.in_proj[e]).chunk(2, -1)
        padded = F.pad(h.transpose(1, 2), (width // 2, width // 2), mode="replicate")
        h = F.conv1d(padded, bank.scale_kernels[q][e].permute(2, 1, 0), bank.scale_bias[e, q]).transpose(1, 2)
        h = causal_conv1d(h, bank.conv_weight[e], bank.conv_bias[e])
        low, B, C = (h @ bank.x_proj[e]).split([bank.dt_proj.shape[1], s, s], -1)
        delta = low @ bank.dt_proj[e] + bank.omega[e, q]
        y = selective_scan(h, delta, -bank.A_log[e].exp(), B, C, bank.D[e], gate, bank.dt_bias[e])
        assert y.shape[-1] == di
        out.append((y @ bank.out_proj[e]).transpose(1, 2))
    return torch.stack(out, 1)


def test_bank_equals_its_definition():
    bank = _bank(3)
    x = torch.randn(5, 3, 3, 6)
    expected = torch.cat([_slow_block(bank, e, x[rows]) for e, rows in ((0, slice(0, 2)), (2, slice(2, 5)))])
    torch.testing.assert_close(bank(x, [2, 0, 3], 6), expected, atol=1e-5, rtol=1e-5)


def test_bank_treats_windows_apart():
    bank = _bank(1)
    x = torch.randn(2, 3, 3, 4 * 6)
    together = bank(x, [2], 6)
    alone = torch.cat([bank(part, [2], 6) for part in x.split(6, -1)], -1)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_bank_does_not_mix_scales():
    bank = _bank(1)
    x = torch.randn(2, 3, 3, 6)
    bumped = x.clone()
    bumped[:, 1] += 1.0
    changed = (bank(x, [2], 6) - bank(bumped, [2], 6)).abs().amax((0, 2, 3))
    assert changed[1] > 1e-4
    assert changed[0] == changed[2] == 0


def test_bank_gradients():
    bank = _bank(2, scales=(1, 3)).double()
    x = torch.randn(3, 2, 3, 2 * 4, dtype=torch.float64, requires_grad=True)
    names, parameters = zip(*bank.named_parameters(), strict=True)

    def run(x, *values):
        return torch.func.functional_call(bank, dict(zip(names, values, strict=True)), (x, [2, 1], 4))

    assert torch.autograd.gradcheck(run, (x, *parameters), fast_mode=True)


def test_bank_scale_offset_starts_at_minus_log_width():
    bank = _bank()
    expected = -torch.log(torch.tensor(SCALES, dtype=torch.float32))
    torch.testing.assert_close(bank.omega[1, :, 0], expected)
    torch.testing.assert_close(bank.omega[0, :, -1], expected)


def test_bank_keeps_mambas_initialisation():
    bank = _bank()
    torch.testing.assert_close(bank.A_log.exp(), torch.arange(1.0, 5.0).expand_as(bank.A_log))
    step = F.softplus(bank.dt_bias)
    assert ((step >= 1e-4) & (step <= 0.1001)).all()
    assert torch.equal(bank.D, torch.ones_like(bank.D))
    marked = {name for name, p in bank.named_parameters() if getattr(p, "_no_weight_decay", False)}
    assert marked == {"A_log", "D", "dt_bias", "omega"}


@pytest.mark.parametrize("scales", [(1, 3, 5, 7), (1,), (3, 9)])
def test_every_backend_agrees(scales):
    torch.manual_seed(0)
    slow = MultiscaleMamba(3, 4, scales, scan_backend="reference")
    fast = MultiscaleMamba(3, 4, scales, scan_backend="auto")
    fast.load_state_dict(slow.state_dict())
    x = torch.randn(6, len(scales), 4, 18 * 7)
    results = []
    for bank in (slow, fast):
        value = x.clone().requires_grad_()
        out = bank(value, [1, 3, 2], 7)
        gradients = torch.autograd.grad(out.sin().sum(), [value, *bank.parameters()])
        results.append((out, *gradients))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, atol=2e-5 * (1 + a.abs().max().item()), rtol=1e-4)


def test_bank_repr():
    assert repr(_bank()).startswith(
        "MultiscaleMamba(\n  n_blocks=2, d_model=3, scales=(1, 3, 5), d_inner=6, d_state=4"
    )
