"""The kernels in Triton's interpreter, which runs them on a CPU. Run by ``test_triton``: the variable is read at import.

A program takes about 0.2 s, so all shapes are small.
"""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from stmest.exceptions import MissingDependencyError
from stmest.layers.experts import ExpertMixture, Router
from stmest.layers.multiscale import MultiscaleMamba
from stmest.ops import backends, causal_conv1d, selective_scan
from stmest.ops.reference import causal_conv1d_reference, scan_reference
from stmest.ops.triton import causal_conv as conv_module
from stmest.ops.triton import selective_scan as scan_module
from tests.ops.scan_inputs import (
    assert_gradients_of_one_result,
    assert_like_oracle,
    make_inputs,
    outputs_and_gradients,
)


def scan(*inputs):
    return selective_scan(*inputs[:8], initial_state=inputs[8], return_final_state=True, backend="triton")


@pytest.fixture
def one_piece(monkeypatch):
    """As on a device that rows and channels fill."""
    monkeypatch.setattr(scan_module, "FULL", 0)


# ---- the scan


@pytest.mark.parametrize(
    ("shape", "optional", "strided"),
    [
        ((1, 1, 1, 1), True, False),
        ((2, 2, 3, 2), False, False),
        ((2, 7, 5, 3), True, True),
        ((1, 16, 8, 16), True, True),
        ((1, 17, 6, 4), False, True),
        ((1, 31, 9, 5), True, False),
        ((1, 33, 2, 1), True, True),
    ],
)
def test_one_piece_of_time(one_piece, shape, optional, strided):
    assert_like_oracle(scan, make_inputs(*shape, optional=optional, strided=strided), 2e-6)


@pytest.mark.parametrize("shape", [(2, 33, 5, 3), (1, 100, 2, 4)])
@pytest.mark.parametrize("optional", [True, False])
def test_many_pieces_of_time(monkeypatch, shape, optional):
    monkeypatch.setattr(scan_module, "FULL", 1000)
    inputs = make_inputs(*shape, optional=optional)
    assert scan_module.tiles_of(inputs[0], shape[3]).pieces > 2
    assert_like_oracle(scan, inputs, 2e-6)


@pytest.mark.parametrize("used", [0, 1])
def test_only_the_output_or_only_the_final_state_may_be_used(one_piece, used):
    assert_gradients_of_one_result(scan, make_inputs(2, 18, 3, 2), used)


@pytest.mark.parametrize("pieces", [0, 1000])
def test_sets_of_parameters(monkeypatch, pieces):
    monkeypatch.setattr(scan_module, "FULL", pieces)
    inputs = make_inputs(4, 20, 3, 2)
    inputs[2] = torch.stack([inputs[2], 1.3 * inputs[2]])
    inputs[5], inputs[7] = torch.randn(2, 3), torch.randn(2, 3) - 2

    def apart(x, delta, A, B, C, D, z, bias, state):
        halves = [[v[:2], v[2:]] for v in (x, delta, B, C, z, state)]
        parts = [
            scan_reference(x, delta, A[i], B, C, D[i], z, bias[i], state)
            for i, (x, delta, B, C, z, state) in enumerate(zip(*halves, strict=True))
        ]
        return tuple(torch.cat(values) for values in zip(*parts, strict=True))

    def together(*inputs):
        return scan_module.scan(*inputs, True, True)[:2]

    found = outputs_and_gradients(together, inputs)
    wanted = outputs_and_gradients(apart, [v.double() for v in inputs])
    for name, value in found.items():
        torch.testing.assert_close(value.double(), wanted[name], rtol=1e-4, atol=1e-5)


def test_half_precision_in_and_out(one_piece):
    inputs = make_inputs(1, 20, 4, 3, strided=True)
    low = [v.to(torch.bfloat16) if i in (0, 1, 3, 4, 6) else v for i, v in enumerate(inputs)]
    leaves = [v.detach().requires_grad_() for v in low]
    y, state = scan(*leaves)
    assert (y.dtype, state.dtype) == (torch.bfloat16, torch.float32)
    gradients = torch.autograd.grad(y.float().sum(), leaves, materialize_grads=True)
    assert [g.dtype for g in gradients] == [v.dtype for v in low]
    exact = [v.detach().double().requires_grad_() for v in low]
    expected = scan_reference(*exact)[0]
    torch.testing.assert_close(y.double(), expected.detach(), rtol=1e-2, atol=1e-2)
    for got, wanted in zip(
        gradients, torch.autograd.grad(expected.sum(), exact, materialize_grads=True), strict=True
    ):
        torch.testing.assert_close(got.double(), wanted, rtol=1e-2, atol=5e-2)


@pytest.mark.filterwarnings("ignore:overflow encountered in exp")  # numpy, of which the interpreter is made
def test_extreme_steps_and_gates_give_numbers(one_piece):
    x, delta, A, B, C, D, z, bias, state = make_inputs(1, 6, 4, 2)
    delta = torch.tensor([-200.0, -20.0, -5.0, 0.0, 30.0, 200.0])[None, :, None].expand(1, 6, 4).contiguous()
    z = 100 * z
    leaves = [v.requires_grad_() for v in (x, delta, A, B, C, D, z, bias, state)]
    y, final = scan(*leaves)
    expected, expected_final = scan_reference(*[v.detach().double() for v in leaves])
    torch.testing.assert_close(y.detach().double(), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(final.detach().double(), expected_final, rtol=1e-4, atol=1e-4)
    assert all(g.isfinite().all() for g in torch.autograd.grad(y.sum(), leaves, materialize_grads=True))


def test_small_steps_keep_their_digits(one_piece):
    """log(1 + e) with e far below one, where 1 + e has lost it."""
    x, delta, A, B, C, *_ = make_inputs(1, 3, 2, 2)
    delta = torch.full_like(delta, -15.0)
    y = selective_scan(x, delta, A, B, C, backend="triton")
    torch.testing.assert_close(
        y, scan_reference(*[v.double() for v in (x, delta, A, B, C)])[0].float(), rtol=1e-5, atol=0
    )


def test_a_missing_value_stays_in_its_row_and_channel(one_piece):
    inputs = make_inputs(2, 20, 3, 2)
    inputs[0][1, 4, 2] = torch.nan
    y = scan(*inputs)[0]
    assert torch.equal(y.isnan(), scan_reference(*inputs)[0].isnan())


def test_no_rows_at_all():
    inputs = [v.requires_grad_() for v in make_inputs(2, 5, 4, 3)]
    inputs = [v if v.dim() < 2 or i == 2 else v[:0] for i, v in enumerate(inputs)]
    y, final = scan(*inputs)
    assert (y.shape, final.shape) == ((0, 5, 4), (0, 4, 3))
    gradients = torch.autograd.grad(y.sum() + final.sum(), inputs, materialize_grads=True)
    assert not gradients[2].any()


def test_the_same_inputs_give_the_same_bits():
    inputs = make_inputs(2, 33, 5, 3)
    once, again = (outputs_and_gradients(scan, inputs) for _ in range(2))
    assert all(torch.equal(once[name], again[name]) for name in once)


def test_operators_pass_torchs_own_checks(one_piece):
    inputs = [v.requires_grad_() for v in make_inputs(1, 5, 2, 2)]
    torch.library.opcheck(
        scan_module.scan.traced, (*inputs, True, True), test_utils=("test_schema", "test_faketensor")
    )
    x, weight, bias = (torch.randn(shape, requires_grad=True) for shape in ((1, 5, 2), (2, 3), (2,)))
    torch.library.opcheck(
        conv_module.convolution.traced, (x, weight, bias, True), test_utils=("test_schema", "test_faketensor")
    )


# ---- the convolution


@pytest.mark.parametrize(
    ("b", "t", "d", "width", "activation", "with_bias"),
    [
        (2, 9, 4, 4, True, True),
        (1, 70, 5, 3, True, False),
        (2, 1, 3, 2, False, True),
        (1, 3, 40, 4, True, True),
    ],
)
def test_convolution(b, t, d, width, activation, with_bias):
    x, weight = torch.randn(b, t, 2 * d)[..., :d], torch.randn(d, width)
    bias = torch.randn(d) if with_bias else None

    def run(convolve, dtype):
        leaves = [None if v is None else v.to(dtype).detach().requires_grad_() for v in (x, weight, bias)]
        y = convolve(*leaves, activation=activation)
        ramp = torch.linspace(-1, 1, y.numel(), dtype=dtype).view(y.shape)
        return [y.detach(), *torch.autograd.grad((y * ramp).sum(), [v for v in leaves if v is not None])]

    def ours(*leaves, activation):
        return causal_conv1d(*leaves, activation=activation, backend="triton")

    for got, wanted in zip(
        run(ours, torch.float32), run(causal_conv1d_reference, torch.float64), strict=True
    ):
        torch.testing.assert_close(got.double(), wanted, rtol=1e-5, atol=1e-5)


# ---- the mixture, unsorted


@pytest.mark.parametrize("top_k", [1, 2])
@pytest.mark.parametrize("shared", [True, False])
def test_mixture_without_sorting(top_k, shared):
    torch.manual_seed(0)
    bank = MultiscaleMamba(2 + shared, 3, (1, 3), d_state=2, d_conv=2, scan_backend="chunked")
    mixture = ExpertMixture(bank, 2, 4, shared)
    if shared:
        nn.init.normal_(mixture.gate)
    unsorted = copy.deepcopy(mixture)
    unsorted.experts.scan_backend = "triton"
    description, x = torch.randn(3, 4), torch.randn(3, 2, 3, 2 * 5)
    routing = Router(4, 2, top_k, noise=0.0)(description)
    results = []
    for each in (mixture, unsorted):
        leaf = x.clone().requires_grad_()
        output, routed = each(leaf, 5, routing, description, keep_routed=True)
        loss = output.square().sum() + routed.sum()
        leaves = [leaf, *each.parameters()]
        results.append([output, routed, *torch.autograd.grad(loss, leaves, retain_graph=True)])
    for sorted_one, unsorted_one in zip(*results, strict=True):
        torch.testing.assert_close(unsorted_one, sorted_one, rtol=1e-4, atol=1e-5)


def test_a_bank_without_router():
    bank = MultiscaleMamba(2, 3, (1, 3), d_state=2, d_conv=2, scan_backend="chunked")
    rows = copy.deepcopy(bank)
    rows.scan_backend = "triton"
    x = torch.randn(3, 2, 3, 5)
    torch.testing.assert_close(rows(x, [1, 2], 5), bank(x, [1, 2], 5), rtol=1e-4, atol=1e-5)


# ---- the probe


@pytest.fixture
def fresh_probes():
    backends.forget_probes()
    yield
    backends.forget_probes()


@pytest.mark.parametrize("context", [torch.inference_mode, torch.no_grad])
def test_the_probe_finds_the_kernels_right(fresh_probes, context):
    with context():
        assert backends.triton_problem("cpu") == ""


def test_the_probe_finds_wrong_numbers(fresh_probes, monkeypatch):
    right = scan_module.scan
    monkeypatch.setattr(scan_module, "scan", lambda *inputs: (1.01 * right(*inputs)[0], None, None))
    assert "other numbers than the reference for the result" in backends.triton_problem("cpu")
    with pytest.raises(MissingDependencyError, match="other numbers"):
        scan(*make_inputs(1, 2, 1, 1))


def test_the_probe_names_what_a_call_raises(fresh_probes, monkeypatch):
    def fail(*inputs):
        raise OSError("no C compiler")

    monkeypatch.setattr(conv_module, "convolution", fail)
    assert "no C compiler" in backends.triton_problem("cpu")


def test_the_check_for_a_gpu_runs_here_too(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import _common
    import gpu_check

    monkeypatch.setattr(_common, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", "--parts", "kernels,networks"])
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    assert gpu_check.main() == 0
    assert "nothing wrong" in capsys.readouterr().out
    stored = json.loads((tmp_path / "gpu.json").read_text())
    assert stored["wrong"] == []
    assert stored["parts"]["kernels"]["largest_error"]["torch.float32"] < 1e-5
    assert all(run["train_windows_per_s"] > 0 for run in stored["parts"]["networks"].values())
