from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stmest.exceptions import ParameterError
from stmest.ops import causal_conv1d, selective_scan

from ..scan_inputs import (
    NAMES,
    assert_gradients_of_one_result,
    assert_like_oracle,
    make_inputs,
    outputs_and_gradients,
)

pytest.importorskip("numba")

from stmest.ops.cpu import plan
from stmest.ops.cpu.simd.compiler import digest, kernel_sources

TOLERANCE = 2e-5


def numba_scan(*inputs):
    return selective_scan(*inputs[:8], initial_state=inputs[8], return_final_state=True, backend="numba")


@pytest.fixture
def threads():
    """Set torch's number of threads, and put it back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def run_python(code, **environment):
    """Run code in a fresh process with one thread; return what it printed."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@settings(max_examples=60, deadline=None)
@given(
    b=st.integers(1, 40),
    t=st.integers(1, 40),
    d=st.integers(1, 40),
    s=st.integers(1, 19),
    optional=st.booleans(),
    strided=st.booleans(),
    seed=st.integers(0, 99),
)
def test_value_and_gradients_match_the_oracle(b, t, d, s, optional, strided, seed):
    assert_like_oracle(
        numba_scan, make_inputs(b, t, d, s, optional=optional, strided=strided, seed=seed), TOLERANCE
    )


@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 1), (1, 600, 96, 16), (300, 24, 8, 16), (17, 70, 72, 20), (16, 33, 64, 8)]
)
def test_each_layout_matches_the_oracle(shape):
    assert_like_oracle(numba_scan, make_inputs(*shape), TOLERANCE)


@pytest.mark.parametrize("shape", [(3, 20, 16, 4), (20, 20, 5, 4)])
def test_any_strides(shape):
    inputs = make_inputs(*shape)
    turned = [v.transpose(0, -1).contiguous().transpose(0, -1) for v in inputs]
    expected, got = outputs_and_gradients(numba_scan, inputs), outputs_and_gradients(numba_scan, turned)
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, msg=name)


def test_a_gradient_that_is_one_number_for_all():
    x, *rest = make_inputs(20, 6, 5, 4)
    x.requires_grad_()
    selective_scan(x, *rest[:7], backend="numba").sum().backward()
    expected = torch.autograd.grad(selective_scan(x, *rest[:7], backend="chunked").sum(), x)[0]
    torch.testing.assert_close(x.grad, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("used", [0, 1])
def test_only_the_output_or_only_the_final_state_may_be_used(used):
    assert_gradients_of_one_result(numba_scan, make_inputs(2, 40, 8, 5), used)


def test_the_operators_refuse_another_precision():
    from stmest.ops.cpu.causal_conv import convolution
    from stmest.ops.cpu.selective_scan import scan

    inputs = make_inputs(2, 5, 4, 3, dtype=torch.float64)
    with pytest.raises(ParameterError, match="float32"):
        scan.traced(*inputs, True, False)
    with pytest.raises(ParameterError, match="float32"):
        convolution.traced(inputs[0], torch.ones(4, 2, dtype=torch.float64), None, True)


def test_no_rows_at_all():
    inputs = make_inputs(0, 5, 4, 3)
    y, state = numba_scan(*inputs)
    assert y.shape == (0, 5, 4)
    assert state.shape == (0, 4, 3)


def test_halves_in_sequence_equal_the_whole():
    inputs = make_inputs(4, 50, 8, 16)
    y, state = numba_scan(*inputs)
    along_time = {0, 1, 3, 4, 6}
    first = [v[:, :21] if i in along_time else v for i, v in enumerate(inputs)]
    second = [v[:, 21:] if i in along_time else v for i, v in enumerate(inputs)]
    y_first, state_between = numba_scan(*first)
    y_second, state_end = numba_scan(*second[:8], state_between)
    torch.testing.assert_close(torch.cat([y_first, y_second], 1), y)
    torch.testing.assert_close(state_end, state)


@pytest.mark.parametrize("shape", [(4416, 12, 8, 16), (1, 700, 256, 16), (9, 300, 64, 16)])
def test_bits_do_not_depend_on_the_number_of_threads(shape, threads):
    inputs = make_inputs(*shape)
    threads(1)
    alone = outputs_and_gradients(numba_scan, inputs)
    for n_threads in (2, 3):
        threads(n_threads)
        together = outputs_and_gradients(numba_scan, inputs)
        for name, value in alone.items():
            assert torch.equal(value, together[name]), name


def test_one_long_row_is_shared_between_threads():
    assert plan.plan(1, 16384, 128, 16).bundle_parts >= 4
    assert plan.plan(100_000, 12, 8, 16).group_parts == plan.MOST_PARTS


def test_many_threads_of_the_caller_may_scan_at_once(threads):
    threads(2)
    inputs = make_inputs(64, 24, 64, 16)
    expected = numba_scan(*inputs)[0]
    results = []
    workers = [threading.Thread(target=lambda: results.append(numba_scan(*inputs)[0])) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 4
    assert all(torch.equal(v, expected) for v in results)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(2, 20, 16, 8), (20, 20, 5, 4)])
def test_nan_goes_where_the_oracle_sends_it(name, shape):
    inputs = make_inputs(*shape)
    inputs[NAMES.index(name)].view(-1)[5 % inputs[NAMES.index(name)].numel()] = float("nan")
    y, state = numba_scan(*inputs)
    y_expected, state_expected = selective_scan(
        *inputs[:8], initial_state=inputs[8], return_final_state=True, backend="reference"
    )
    assert torch.equal(y.isnan(), y_expected.isnan())
    assert torch.equal(state.isnan(), state_expected.isnan())


def test_extreme_step_sizes():
    inputs = make_inputs(3, 8, 16, 4)
    inputs[1] = torch.tensor([-200.0, -20.0, 0.0, 20.0, 90.0, 200.0, 1e4, -1e4])[None, :, None].expand(
        3, 8, 16
    )
    y, _ = numba_scan(*inputs)
    expected = selective_scan(*inputs[:8], initial_state=inputs[8], backend="reference")
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-4)


def test_growing_states_overflow_as_in_the_oracle():
    inputs = make_inputs(2, 40, 16, 4)
    inputs[2] = inputs[2].abs() * 20
    y, _ = numba_scan(*inputs)
    expected = selective_scan(*inputs[:8], initial_state=inputs[8], backend="reference")
    assert not expected.isfinite().all()
    assert not y[~expected.isfinite()].isfinite().any()


@pytest.mark.parametrize("optional", [True, False])
@pytest.mark.parametrize("keep", [True, False])
def test_opcheck_of_the_scan(optional, keep):
    inputs = make_inputs(2, 20, 6, 3, optional=optional)
    leaves = [None if v is None else v.requires_grad_(keep) for v in inputs]
    torch.library.opcheck(torch.ops.stmest.selective_scan.default, (*leaves, True, keep))


class Mixer(torch.nn.Module):
    """Convolution and scan in a row, as a module for the compiler and the exporter."""

    def __init__(self, inputs):
        super().__init__()
        self.rest = inputs
        self.weight = torch.nn.Parameter(torch.ones(inputs[0].shape[2], 3))

    def forward(self, x):
        return selective_scan(causal_conv1d(x, self.weight), *self.rest[1:8]) * 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_compiles_as_one_graph():
    inputs = make_inputs(4, 20, 8, 4)
    model = Mixer(inputs)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    x = inputs[0].requires_grad_()
    expected = torch.autograd.grad(model(x).sin().sum(), (x, model.weight))
    got = torch.autograd.grad(compiled(x).sin().sum(), (x, model.weight))
    torch.testing.assert_close(got, expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_exports_with_a_batch_of_any_size():
    inputs = make_inputs(4, 20, 8, 4)
    for v in inputs:
        v.requires_grad_(False)
    model = Mixer([inputs[0], *[v[:1].expand_as(v) if v.dim() == 3 else v for v in inputs[1:]]])

    class Whole(torch.nn.Module):
        def forward(self, x, delta, B, C):
            return selective_scan(causal_conv1d(x, model.weight.detach()), delta, inputs[2], B, C)

    rows = torch.export.Dim("rows")
    given = (inputs[0], inputs[1], inputs[3], inputs[4])
    program = torch.export.export(Whole(), given, dynamic_shapes=({0: rows},) * 4)
    larger = make_inputs(30, 20, 8, 4, seed=1)
    arguments = (larger[0], larger[1], larger[3], larger[4])
    torch.testing.assert_close(program.module()(*arguments), Whole()(*arguments))


FORK = """
    import os, signal, torch
    from stmest.ops import selective_scan
    torch.set_num_threads(2)
    x = torch.randn(64, 24, 64)
    def scan():
        B = torch.ones(64, 24, 16)
        return selective_scan(x, x, -torch.ones(64, 16), B, B, backend="numba")
    scan()
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        scan()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is a POSIX call")
def test_a_forked_child_does_not_hang():
    assert run_python(FORK).split() == ["0"]


TARGET = """
    import sys, torch
    sys.path.insert(0, {folder!r})
    from scan_inputs import make_inputs, assert_like_oracle
    from stmest.ops import selective_scan, causal_conv1d
    from stmest.ops.cpu.simd.vectors import LANES
    def scan(*v):
        return selective_scan(*v[:8], initial_state=v[8], return_final_state=True, backend="numba")
    for shape in [(3, 20, 33, 5), (20, 20, 5, 3)]:
        assert_like_oracle(scan, make_inputs(*shape), 2e-5)
        x, w = torch.randn(shape[:3]), torch.randn(shape[2], 4)
        torch.testing.assert_close(causal_conv1d(x, w, backend="numba"), causal_conv1d(x, w, backend="torch"))
    print(LANES)
"""
TARGETS = {
    "AVX2": (
        8,
        {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+sse,+sse2,+sse4.1,+avx,+avx2,+fma,+bmi,+bmi2"},
    ),
    "baseline": (4, {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}),
}


@pytest.mark.slow
@pytest.mark.parametrize("target", [pytest.param("AVX2", marks=pytest.mark.exhaustive), "baseline"])
def test_narrower_processors(target, tmp_path):
    lanes, environment = TARGETS[target]
    code = textwrap.dedent(TARGET).format(folder=str(Path(__file__).parents[1]))
    assert run_python(code, NUMBA_CACHE_DIR=str(tmp_path), **environment).split() == [str(lanes)]


CACHE = """
    import time, torch
    import stmest.ops.cpu.selective_scan
    from stmest.ops import selective_scan
    x = torch.randn(2, 5, 4, requires_grad=True)
    start = time.perf_counter()
    selective_scan(x, x, -torch.ones(4, 2), x[..., :2], x[..., 2:], backend="numba").sum().backward()
    print(time.perf_counter() - start)
"""


@pytest.mark.slow
def test_a_second_process_finds_the_machine_code_on_disk(tmp_path):
    compiling = float(run_python(CACHE, NUMBA_CACHE_DIR=str(tmp_path)))
    cached = float(run_python(CACHE, NUMBA_CACHE_DIR=str(tmp_path)))
    assert cached < compiling / 3
    indices = list(tmp_path.rglob("*.nbi"))
    assert indices
    assert all(digest(kernel_sources()) in path.name for path in indices)
