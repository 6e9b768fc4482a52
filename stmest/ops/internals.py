"""Private names of torch and numba: all that this package uses of them, to be checked when either has a new release.

Builds on torch alone (numba is imported where it is used).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes, is_in_torch_dispatch_mode

__all__ = ["constant_when_compiled", "before_compilation", "is_followed", "key_numba_cache", "without_modes"]

Probe = TypeVar("Probe", bound=Callable[..., Any])


def constant_when_compiled(probe: Probe) -> Probe:
    """Let torch.compile take the answers as constants instead of tracing into the import machinery.

    It is what ``torch.compiler.assume_constant_result`` does once it has imported the compiler, for a second and 70 MB.
    """
    probe._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return probe


def is_followed(tensor: Tensor) -> bool:
    """Whether something traces or transforms what is computed from a tensor."""
    return (
        torch.compiler.is_compiling()
        or (not isinstance(tensor, torch.nn.Parameter) and type(tensor) is not Tensor)
        or is_in_torch_dispatch_mode()
        or torch._C._functorch.is_batchedtensor(tensor)  # vmap
        or torch.jit.is_tracing()
    )


def without_modes() -> AbstractContextManager[Any]:
    """Return a context in which nothing follows what torch computes, so that tensors have values."""
    return _disable_current_modes()


def before_compilation(package: str, call: Callable[[], None]) -> None:
    """Let numba call a function before it compiles a function of a package, and not when it finds machine code on disk.

    Parameters
    ----------
    package : str
        Beginning of the names of the modules.
    call : callable
        Without arguments.
    """
    from numba.core import event

    class Before(event.Listener):
        def on_start(self, event: Any) -> None:
            if event.data["dispatcher"].py_func.__module__.startswith(package):
                call()

        def on_end(self, event: Any) -> None:
            """Nothing to say."""

    event.register("numba:compile", Before())


def key_numba_cache(dispatcher: Any, key: str) -> None:
    """Tie the machine code that numba keeps on disk for a function to `key`, beside what numba itself ties it to.

    Parameters
    ----------
    dispatcher : numba dispatcher
        Made with ``cache=True``, not called yet.
    key : str

    Raises
    ------
    AttributeError
        If this numba has another cache.
    """
    from numba.core.caching import IndexDataCacheFile

    cache = dispatcher._cache
    name = f"{cache._impl.filename_base}-{key}"
    cache._cache_file = IndexDataCacheFile(cache._cache_path, name, key)
