"""Compilation of kernels, and their machine code on disk.

Builds on numba; used by ``tiles`` and the kernels.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numba

from ...announcements import announce_once
from ...internals import before_compilation, key_numba_cache

__all__ = ["digest", "kernel", "kernel_sources"]


def kernel_sources() -> list[Path]:
    """Return the files that machine code depends on: all kernels and the vector language they are written in."""
    simd = Path(__file__).parent
    return sorted([*simd.glob("*.py"), *simd.with_name("kernels").glob("*.py")])


def digest(sources: Iterable[Path]) -> str:
    """Return a short hash of the content of files."""
    total = hashlib.sha256()
    for path in sources:
        total.update(path.read_bytes())
    return total.hexdigest()[:16]


@functools.cache
def _sources_digest() -> str:
    return digest(kernel_sources())


before_compilation("stmest.", announce_once)


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile with the GIL released and keep the machine code on disk, where a directory can be written.

    numba ties a cached kernel to the time stamp of its own file, but ours inline code and constants from one another:
    a stale one would write past its buffers. So the cache is tied to the content of all kernel files.
    """
    options: dict[str, Any] = {"nogil": True, "boundscheck": False, "error_model": "numpy"}
    try:
        dispatcher = numba.njit(cache=True, **options)(function)
        key_numba_cache(dispatcher, _sources_digest())
    except (RuntimeError, AttributeError):  # no directory to write to, or another numba with another cache
        dispatcher = numba.njit(cache=False, **options)(function)
    return dispatcher
