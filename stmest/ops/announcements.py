"""Who wants to know that kernels are being compiled, which takes seconds in which nothing else happens.

Builds on nothing, so that it can be asked for before numba is imported; used by the progress of a training and by the compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

__all__ = ["announce_once", "compiling"]

# Called before the first kernel is compiled, and then no more
compiling: ContextVar[Callable[[], None] | None] = ContextVar("compiling", default=None)


def announce_once() -> None:
    """Tell whoever wants to know that a kernel is about to be compiled."""
    say = compiling.get()
    if say is not None:
        compiling.set(None)
        say()
