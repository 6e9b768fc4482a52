from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap

import pytest
import torch
from torch.nn import functional as F

from stmest.exceptions import MissingDependencyError, ParameterError
from stmest.ops import (
    available_backends,
    backends,
    causal_conv1d,
    choose_backend,
    selective_scan,
    show_backends,
)
from stmest.ops.reference import causal_conv1d_reference, scan_reference

from .cuda_packages import install, packages
from .scan_inputs import NAMES, make_inputs

HERE = [name for name in ("reference", "chunked", "numba") if name in available_backends()]


class Pretended:
    """Device and dtype of a tensor on a machine that the tests do not have; all that the dispatch looks at."""

    def __init__(self, device, dtype=torch.float32):
        self.device = torch.device(device)
        self.dtype = dtype


@pytest.fixture
def fresh_probes():
    backends.forget_probes()
    yield
    backends.forget_probes()


@pytest.fixture
def cuda_packages(monkeypatch, fresh_probes):
    """Put stand-ins for mamba_ssm and causal_conv1d among the modules; return the calls they receive."""
    calls = []
    install(monkeypatch, packages(calls))
    assert backends.cuda_problem("mamba_ssm") == backends.cuda_problem("causal_conv1d") == ""
    calls.clear()
    return calls


# ---- the entry


@pytest.mark.parametrize("backend", HERE)
def test_backends_agree(backend):
    inputs = make_inputs(3, 20, 8, 4, strided=True)
    y, state = selective_scan(*inputs[:8], initial_state=inputs[8], return_final_state=True, backend=backend)
    expected, expected_state = scan_reference(*[v.double() for v in inputs])
    torch.testing.assert_close(y.double(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(state.double(), expected_state, rtol=1e-4, atol=1e-5)
    alone = selective_scan(*inputs[:8], initial_state=inputs[8], backend=backend)
    assert torch.equal(alone, y)


def test_oracle_follows_the_formula():
    x, delta, A, B, C, D, z, bias, state = make_inputs(1, 2, 1, 1, dtype=torch.float64)
    y, final = scan_reference(x, delta, A, B, C, D, z, bias, state)
    h = state[0, 0, 0]
    for t in range(2):
        step = F.softplus(delta[0, t, 0] + bias[0])
        h = torch.exp(step * A[0, 0]) * h + step * B[0, t, 0] * x[0, t, 0]
        wanted = (C[0, t, 0] * h + D[0] * x[0, t, 0]) * F.silu(z[0, t, 0])
        torch.testing.assert_close(y[0, t, 0], wanted)
    torch.testing.assert_close(final[0, 0, 0], h)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("backend", ["auto", "chunked"])
def test_half_precision_is_computed_in_single(dtype, backend):
    inputs = make_inputs(2, 30, 8, 4)
    low = [v.to(dtype) for v in inputs[:8]]
    y = selective_scan(*low, backend=backend)
    assert y.dtype == dtype
    exact = selective_scan(*[v.float() for v in low], backend=backend)
    assert torch.equal(y, exact.to(dtype))


def test_double_precision_stays_double():
    inputs = make_inputs(2, 9, 4, 3, dtype=torch.float64)
    y = selective_scan(*inputs[:8])
    assert y.dtype == torch.float64
    torch.testing.assert_close(y, scan_reference(*inputs[:8])[0], rtol=1e-12, atol=1e-12)


def test_single_precision_input_with_one_double_parameter_leaves_numba():
    inputs = make_inputs(2, 9, 4, 3)
    inputs[2] = inputs[2].double()
    assert selective_scan(*inputs[:8]).dtype == torch.float32


@pytest.mark.parametrize("wrong", ["delta", "B", "C", "D", "z", "delta_bias", "initial_state"])
def test_wrong_shapes_are_named(wrong):
    inputs = make_inputs(2, 5, 4, 3)
    inputs[NAMES.index(wrong)] = torch.zeros(7)
    with pytest.raises(ParameterError, match=f"{wrong} has shape"):
        selective_scan(*inputs[:8], initial_state=inputs[8])


def test_wrong_rank_no_steps_and_unknown_backend():
    inputs = make_inputs(2, 5, 4, 3)
    with pytest.raises(ParameterError, match="needs x"):
        selective_scan(inputs[0][0], *inputs[1:8])
    with pytest.raises(ParameterError, match="no steps"):
        selective_scan(*(v[:, :0] if v.dim() == 3 else v for v in inputs[:5]))
    with pytest.raises(ParameterError, match="choose from"):
        selective_scan(*inputs[:8], backend="fastest")
    with pytest.raises(ParameterError, match="choose from"):
        causal_conv1d(inputs[0], torch.zeros(4, 3), backend="fastest")
    with pytest.raises(ParameterError, match="needs x"):
        causal_conv1d(inputs[0], torch.zeros(5, 3))


# ---- which backend, and why


def test_cpu():
    if "numba" in HERE:
        assert choose_backend(torch.zeros(1)).name == "numba"
        assert choose_backend(torch.zeros(1, dtype=torch.bfloat16)).name == "numba"
    choice = choose_backend(torch.zeros(1, dtype=torch.float64))
    assert choice.name == "chunked"
    assert "float64" in choice.reason


def test_mps():
    choice = choose_backend(Pretended("mps"))
    assert choice.name == "chunked"
    assert "mps" in choice.reason


def test_onnx_export(monkeypatch):
    monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)
    assert choose_backend(torch.zeros(1)).name == "reference"


def test_cuda_with_mamba_ssm(cuda_packages):
    assert choose_backend(Pretended("cuda")).name == "mamba_ssm"
    assert choose_backend(Pretended("cuda", torch.bfloat16)).name == "mamba_ssm"
    assert choose_backend(Pretended("cuda"), stateful=True).name == "chunked"
    assert choose_backend(Pretended("cuda", torch.float64)).name == "chunked"


def test_cuda_without_mamba_ssm(monkeypatch, fresh_probes):
    monkeypatch.setitem(sys.modules, "mamba_ssm", None)
    choice = choose_backend(Pretended("cuda"))
    assert choice.name == "chunked"
    assert "mamba_ssm is not installed" in choice.reason


def _hollow(*args, **kwargs):
    raise ImportError("selective_scan_cuda is not built")


def _halved(function):
    return lambda *args, **kwargs: 0.5 * function(*args, **kwargs)


def _without_gradient(function):
    return lambda x, *args, **kwargs: function(x.detach(), *args, **kwargs) + 0 * x


def _replace(change):
    """Stand-ins whose functions are changed."""
    modules = packages()
    for content in modules.values():
        content.update({name: change(function) for name, function in content.items()})
    return modules


def _without(*names):
    return {name: content for name, content in packages().items() if name not in names}


FAULTS = {
    "compiled part": (_without("selective_scan_cuda", "causal_conv1d_cuda"), "compiled part of {} is missing"),
    "function": ({name: {} for name in packages()}, "importing {} failed"),
    "hollow": (_replace(lambda function: _hollow), "a call of {} on a tiny example failed.*not built"),
    "wrong": (_replace(_halved), "{} gives other numbers than the reference for the result"),
    "wrong gradient": (_replace(_without_gradient), "{} gives other numbers .* for the gradient of x"),
}  # fmt: skip


@pytest.mark.parametrize("package", ["mamba_ssm", "causal_conv1d"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_cuda_package_is_refused_in_one_sentence(fault, package, monkeypatch, fresh_probes):
    modules, sentence = FAULTS[fault]
    install(monkeypatch, modules)
    with pytest.warns(RuntimeWarning, match=f"{package} is installed but not used"):
        problem = backends.cuda_problem(package)
    assert re.search(sentence.format(package), problem)
    assert backends.cuda_problem(package) == problem  # a second warning would be an error here
    with pytest.raises(MissingDependencyError, match="cannot be used"):
        backends.cuda_function(package)


def test_a_refused_cuda_package_falls_back_to_ours(monkeypatch, fresh_probes, capsys):
    install(monkeypatch, FAULTS["hollow"][0])
    with pytest.warns(RuntimeWarning, match="mamba_ssm is installed but not used"):
        choice = choose_backend(Pretended("cuda"))
    assert choice.name == "chunked"
    assert "tiny example failed" in choice.reason
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch, "empty", lambda *shape, device="cpu", dtype=torch.float32: Pretended(device, dtype)
    )
    with pytest.warns(RuntimeWarning, match="causal_conv1d is installed but not used"):
        report = show_backends()
    assert (
        report.count("tiny example failed") == 3
    )  # of each package, and why the scan on CUDA is another one


def test_a_cuda_package_needs_a_device(monkeypatch, fresh_probes):
    install(monkeypatch, packages(), device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.warns(RuntimeWarning, match="needs a CUDA device"):
        assert backends.cuda_problem("mamba_ssm") == "mamba_ssm needs a CUDA device, and there is none"


def test_the_probe_moves_nobodys_random_numbers_and_needs_no_gradient_mode(monkeypatch, fresh_probes):
    install(monkeypatch, packages())
    before = torch.get_rng_state()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert backends.cuda_problem("mamba_ssm") == ""
    assert torch.equal(torch.get_rng_state(), before)


def test_the_fused_cuda_kernel_gets_its_own_layout(cuda_packages):
    inputs = make_inputs(2, 9, 4, 3)
    y, state = selective_scan(*inputs[:8], return_final_state=True, backend="mamba_ssm")
    expected, expected_state = scan_reference(*inputs[:8])
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(state, expected_state)
    torch.testing.assert_close(
        selective_scan(*inputs[:5], backend="mamba_ssm"), scan_reference(*inputs[:5])[0]
    )
    assert cuda_packages[0] == ("mamba_ssm", (2, 4, 9), True)
    with pytest.raises(ParameterError, match="initial state"):
        selective_scan(*inputs[:8], initial_state=inputs[8], backend="mamba_ssm")


def test_the_fused_cuda_convolution_gets_its_own_layout(cuda_packages):
    x, weight = torch.randn(2, 9, 8)[..., :4], torch.randn(4, 3)  # a half, as of a projection
    for activation in (True, False):
        y = causal_conv1d(x, weight, activation=activation, backend="causal_conv1d")
        torch.testing.assert_close(y, causal_conv1d_reference(x, weight, None, activation))
    assert cuda_packages == [("causal_conv1d", (2, 4, 9), "silu"), ("causal_conv1d", (2, 4, 9), None)]


@pytest.mark.parametrize("name", ["mamba_ssm", "causal_conv1d"])
def test_asking_for_what_is_not_there(name, monkeypatch, fresh_probes):
    monkeypatch.setitem(sys.modules, name, None)
    inputs = make_inputs(2, 5, 4, 3)
    calls = {
        "mamba_ssm": lambda: selective_scan(*inputs[:8], backend=name),
        "causal_conv1d": lambda: causal_conv1d(inputs[0], torch.zeros(4, 3), backend=name),
    }
    with pytest.raises(MissingDependencyError, match="not installed"):
        calls[name]()


def test_numba_refuses_what_it_cannot_do():
    inputs = make_inputs(2, 5, 4, 3, dtype=torch.float64)
    with pytest.raises(MissingDependencyError, match="float64"):
        selective_scan(*inputs[:8], backend="numba")
    with pytest.raises(MissingDependencyError, match="float64"):
        causal_conv1d(inputs[0], torch.zeros(4, 3, dtype=torch.float64), backend="numba")


def test_a_broken_numba_warns_once_and_the_scan_goes_on(monkeypatch, fresh_probes):
    def fail(name):
        raise RuntimeError("wrong numpy")

    monkeypatch.setattr(backends.importlib, "import_module", fail)
    with pytest.warns(RuntimeWarning, match="wrong numpy"):
        choice = choose_backend(torch.zeros(1))
    assert choice.name == "chunked"
    assert choose_backend(torch.zeros(1)) == choice
    inputs = make_inputs(2, 5, 4, 3)
    torch.testing.assert_close(selective_scan(*inputs[:8]), scan_reference(*inputs[:8])[0])
    with pytest.raises(MissingDependencyError, match="wrong numpy"):
        selective_scan(*inputs[:8], backend="numba")


WITHOUT_NUMBA = """
    import sys, torch
    sys.modules["numba"] = None
    from stmest.layers.mamba import MambaBlock
    from stmest.ops import available_backends, choose_backend, selective_scan, causal_conv1d
    block = MambaBlock(4)
    block(torch.randn(2, 5, 4)).sum().backward()
    assert available_backends() == ["reference", "chunked"], available_backends()
    assert choose_backend(torch.zeros(1)) == ("chunked", "numba is not installed")
    try:
        causal_conv1d(torch.zeros(1, 2, 3), torch.zeros(3, 2), backend="numba")
    except ImportError as error:
        print(error)
    assert not {"mamba_ssm", "causal_conv1d", "llvmlite"} & set(sys.modules)
"""


def test_everything_works_without_numba():
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(WITHOUT_NUMBA)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert result.returncode == 0, result.stderr
    assert "numba is not installed" in result.stdout


def test_cuda_packages_are_not_imported_on_a_cpu(monkeypatch, fresh_probes):
    if torch.cuda.is_available():
        pytest.skip("a CUDA device is in use here")
    probed = []
    monkeypatch.setattr(backends, "cuda_problem", probed.append)
    show_backends()
    inputs = make_inputs(2, 5, 4, 3)
    selective_scan(*inputs[:8])
    causal_conv1d(inputs[0], torch.zeros(4, 3))
    assert probed == []


def test_report_names_presence_choice_and_reason(capsys):
    report = show_backends()
    assert capsys.readouterr().out == report
    for name in ("reference", "chunked", "numba", "mamba_ssm", "causal_conv1d"):
        assert name in report
    assert "cpu float64   -> chunked (float64" in report


# ---- the convolution


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_convolution_keeps_the_dtype(dtype):
    x, weight = torch.randn(2, 9, 4).to(dtype), torch.randn(4, 3).to(dtype)
    y = causal_conv1d(x, weight)
    assert y.dtype == dtype
    torch.testing.assert_close(y, causal_conv1d_reference(x.double(), weight.double()).to(dtype))


def test_convolution_is_torchs_own():
    x, weight, bias = torch.randn(2, 9, 4), torch.randn(4, 3), torch.randn(4)
    expected = F.conv1d(x.transpose(1, 2), weight[:, None], bias, padding=2, groups=4)[..., :9].transpose(
        1, 2
    )
    for backend in ("auto", "torch"):
        torch.testing.assert_close(causal_conv1d(x, weight, bias, backend=backend), F.silu(expected))
        torch.testing.assert_close(
            causal_conv1d(x, weight, bias, activation=False, backend=backend), expected
        )
