"""The kernels in Triton on a machine without a GPU: in Triton's interpreter, and compiled for GPUs that are not here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

triton = pytest.importorskip("triton", reason="needs triton, which is made for Linux")

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from stmest.ops.triton import conv_kernels, launch, scan_kernels  # noqa: E402

KERNELS = [
    *(getattr(scan_kernels, name) for name in scan_kernels.__all__),
    *(getattr(conv_kernels, name) for name in conv_kernels.__all__),
]
SIZES = {"T": 16, "C": 8, "S": 16, "W": 4}


@pytest.mark.slow
def test_the_kernels_in_the_interpreter():
    result = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header",
            str(Path(__file__).parent / "triton_interpreted.py"),
        ],
        capture_output=True, text=True, check=False,
        env={**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    assert " passed" in result.stdout


@pytest.mark.parametrize(
    "capability", [90, *(pytest.param(other, marks=pytest.mark.exhaustive) for other in (80, 100))]
)
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__)
def test_compiles_for_a_gpu_that_is_not_here(kernel, capability, tmp_path, monkeypatch):
    monkeypatch.setattr(triton.knobs.cache, "dir", str(tmp_path))
    flags = {name for name in kernel.arg_names if name.isupper() and name not in ("A", "B", "D")}
    constants = {name: SIZES.get(name, True) for name in flags}
    numbers = {
        name
        for name in kernel.arg_names
        if name.startswith(("n_", "piece_")) or name.endswith(("_b", "_t", "_set"))
    }
    kinds = {
        name: "constexpr" if name in flags else "i32" if name in numbers else "*fp32"
        for name in kernel.arg_names
    }
    source = ASTSource(
        kernel, kinds, {(kernel.arg_names.index(name),): value for name, value in constants.items()}
    )
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=dict(launch.OPTIONS))
    assert compiled.asm["cubin"]
    assert f"sm_{capability}" in compiled.asm["ptx"]
    assert "atom" not in compiled.asm["ptx"]  # sums in any order would give other bits each time
