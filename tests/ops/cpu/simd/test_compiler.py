"""Machine code on disk belongs to the sources that it was made of."""

from pathlib import Path

import pytest

pytest.importorskip("numba")

import stmest.ops.cpu
from stmest.ops.cpu.simd.compiler import digest, kernel_sources

CPU = Path(stmest.ops.cpu.__file__).parent


def test_the_digest_covers_the_kernels_and_their_language_and_nothing_else():
    covered = {path.relative_to(CPU).as_posix() for path in kernel_sources()}
    assert covered == {
        "kernels/__init__.py",
        "kernels/causal_conv.py",
        "kernels/edge_attention.py",
        "kernels/multiscale.py",
        "kernels/multiscale_backward.py",
        "kernels/scale_attention.py",
        "kernels/selective_scan.py",
        "kernels/selective_scan_backward.py",
        "simd/__init__.py",
        "simd/arithmetic.py",
        "simd/compiler.py",
        "simd/lanes.py",
        "simd/tiles.py",
        "simd/vectors.py",
    }


def test_every_module_that_compiles_is_covered():
    package = Path(stmest.__file__).parent
    compiling = {
        path for path in package.rglob("*.py") if "import kernel\n" in path.read_text(encoding="utf-8")
    }
    assert compiling
    assert compiling <= set(kernel_sources())


@pytest.mark.parametrize("position", range(len(kernel_sources())))
def test_a_change_of_one_file_changes_the_digest(position, tmp_path):
    copies = []
    for path in kernel_sources():
        copies.append(tmp_path / f"{path.parent.name}-{path.name}")
        copies[-1].write_bytes(path.read_bytes())
    before = digest(copies)
    assert before == digest(kernel_sources())
    copies[position].write_bytes(copies[position].read_bytes() + b"\n")
    assert digest(copies) != before
