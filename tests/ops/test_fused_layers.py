"""The fused operators of the multiscale network against the torch form of the same layers."""

import pytest
import torch

from stmest.exceptions import ParameterError
from stmest.layers.graph_conv import AGCCN
from stmest.layers.multiscale import MultiscaleMamba
from stmest.ops import available_backends

pytestmark = pytest.mark.skipif("numba" not in available_backends(), reason="numba is not installed")

# scales, d_model, d_state, d_conv, expand, steps, windows, rows of each block
SHAPES = {
    "reference size": ((1, 3, 5, 7), 4, 16, 4, 2, 24, 16, [3, 1, 2]),
    "few windows, empty block": ((1, 3), 3, 5, 4, 2, 7, 3, [2, 0, 5]),
    "one scale, more windows than lanes": ((5,), 2, 4, 3, 2, 18, 40, [1, 1, 1]),
    "one window": ((1, 9), 4, 16, 4, 1, 3, 1, [7, 20, 9]),
    "one step": ((1, 3), 1, 1, 1, 1, 1, 2, [1, 2, 1]),
    "one scale, one block": ((3,), 3, 2, 2, 2, 6, 4, [3]),
    "odd width": ((3,), 3, 6, 2, 3, 33, 17, [2, 1, 1]),
}


def _bank(scales, d, s, w, expand, blocks=3):
    torch.manual_seed(0)
    bank = MultiscaleMamba(blocks, d, scales, d_state=s, d_conv=w, expand=expand)
    with torch.no_grad():
        bank.scale_bias.normal_()
        bank.conv_bias.normal_()
    return bank


def _agree(fused, plain, tolerance=2e-5):
    for a, b in zip(fused, plain, strict=True):
        assert a.shape == b.shape
        assert (a - b).abs().max() <= tolerance * (1e-3 + b.abs().max())


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_multiscale_mamba_equals_its_torch_form(shape):
    scales, d, s, w, expand, t, g, rows = shape
    bank = _bank(scales, d, s, w, expand, len(rows))
    x = torch.randn(sum(rows), len(scales), d, g, t, requires_grad=True)
    assert bank._can_fuse(x)
    target = torch.randn_like(x)
    results = []
    for run in (bank._run_fused, bank._run_blocks):
        out = run(x, rows)
        results.append((out, *torch.autograd.grad(out, [x, *bank.parameters()], target)))
    _agree(*results)


# channels, scales, positions, causal; with two channels norms are all but singular, so there are more
ATTENTION = [(4, 4, 384, True), (3, 3, 7, True), (5, 1, 64, True), (4, 4, 100, False), (16, 2, 65, True)]


@pytest.mark.parametrize(("d", "k", "m", "causal"), ATTENTION)
def test_scale_attention_equals_its_torch_form(d, k, m, causal):
    torch.manual_seed(0)
    agccn = AGCCN(1, k, d, 3, causal)
    with torch.no_grad():
        for parameter in agccn.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    u = torch.randn(3, k, d, m, requires_grad=True)
    parameters = [p for name, p in agccn.named_parameters() if not name.startswith("conv.")]
    normed = agccn.conv_norm(u)
    results = []
    target = torch.randn_like(u)
    for out in (agccn._attend_fused(u), agccn.attention_norm(normed + agccn.attention(normed))):
        results.append((out, *torch.autograd.grad(out, [u, *parameters], target)))
    _agree(*results, tolerance=1e-4)


def _mamba_arguments():
    bank = _bank((1, 3), 2, 4, 2, 2)
    to_scan, to_gate = bank.in_proj.chunk(2, -1)
    kernels = torch.cat([to_scan.unsqueeze(1) @ kernel for kernel in bank.scale_kernels], 1)
    low_rank, to_b, to_c = bank._selection_weights()
    arguments = (
        torch.randn(4, 2, 2, 5, 6), kernels, to_gate, bank.scale_bias, bank.conv_weight, bank.conv_bias,
        low_rank @ bank.dt_proj, to_b, to_c, bank.dt_bias.unsqueeze(1) + bank.omega, -bank.A_log.exp(), bank.D,
        bank.out_proj,
    )  # fmt: skip
    return (*(v.detach().contiguous().requires_grad_() for v in arguments), [2, 1, 1], [1, 3])


def _attention_arguments():
    torch.manual_seed(0)
    shapes = ((3, 2, 4, 70), (2, 4, 1), (2, 4, 1), (12, 4), (4, 4), (2, 4, 1), (2, 4, 1))
    return (*(torch.randn(shape, requires_grad=True) for shape in shapes), True, 1e-5)


OPERATORS = {"multiscale_mamba": _mamba_arguments, "scale_attention": _attention_arguments}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_keep_torchs_contract(name):
    AGCCN(1, 1, 4, 1)._attend_fused(torch.randn(1, 1, 4, 1))  # registers them
    _bank((1,), 1, 1, 1, 1)(torch.randn(3, 1, 1, 1), [1, 1, 1], 1)
    operator = getattr(torch.ops.stmest, name).default
    results = torch.library.opcheck(operator, OPERATORS[name]())
    assert set(results.values()) == {"SUCCESS"}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_refuse_other_precisions(name):
    arguments = OPERATORS[name]()
    with pytest.raises(ParameterError, match="float32"):
        getattr(torch.ops.stmest, name)(arguments[0].detach().double(), *arguments[1:])


def test_same_bits_on_any_number_of_threads():
    bank = _bank((1, 3, 5), 4, 16, 4, 2)
    agccn = AGCCN(1, 3, 4, 2)
    rows, x = [40, 60, 100], torch.randn(200, 3, 4, 8 * 16, requires_grad=True)
    found = []
    before = torch.get_num_threads()
    try:
        for n_threads in (1, 2, 3):
            torch.set_num_threads(n_threads)
            out = agccn._attend_fused(bank(x, rows, 16))
            leaves = [x, *bank.parameters(), *agccn.attention.parameters(), *agccn.conv_norm.parameters()]
            found.append((out, *torch.autograd.grad(out.sin().sum(), leaves)))
    finally:
        torch.set_num_threads(before)
    # the composition of parameters is torch's own and tiny; what the kernels sum must not depend on threads
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_nan_reaches_its_own_sequence_and_no_other():
    bank = _bank((1, 3), 2, 4, 2, 2)
    x = torch.randn(3, 2, 2, 4 * 6)
    x[1, 0, 0, 2 * 6 + 3] = float("nan")  # second row, finest scale, third window
    bad = torch.isnan(bank(x, [1, 1, 1], 6)).unflatten(-1, (4, 6))
    assert bad[1, 0, :, 2, 3:].all()
    assert not bad[1, 0, :, 2, :3].any()
    bad[1, 0, :, 2] = False
    assert not bad.any()
    u = torch.randn(2, 2, 4, 5)
    u[1, 1, 0, 3] = float("nan")
    bad = torch.isnan(AGCCN(1, 2, 4, 2)._attend_fused(u)).any(2)
    assert torch.nonzero(bad).tolist() == [[1, 0, 3], [1, 1, 3]]


def test_parameters_alone_can_be_trained():
    bank = _bank((1, 3), 2, 4, 2, 2)
    bank(torch.randn(3, 2, 2, 6), [1, 1, 1], 6).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in bank.parameters())
