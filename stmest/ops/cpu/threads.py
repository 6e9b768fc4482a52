"""Parts of a kernel's work, spread over threads.

Parts are cut by shape alone and keep their sums apart, so no bit depends on who runs which. Threads take several parts at a
time, fewer towards the end: where something else holds a core, PyTorch's own spinning workers for instance, the others do more.
Kernels release the GIL. Builds on torch alone; used by the operators beside it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch

__all__ = ["run_parts"]

_pools: dict[int, ThreadPoolExecutor] = {}
if hasattr(os, "register_at_fork"):
    # A forked child inherits the pool object but none of its threads, and would wait for them for ever.
    os.register_at_fork(after_in_child=_pools.clear)


def run_parts(n_parts: int, n_scratch: int, work: Callable[[int, int, int], None]) -> None:
    """Run all parts on as many threads as torch may use.

    Parameters
    ----------
    n_parts : int
    n_scratch : int
        Numbers (float32) of scratch memory that a thread needs for itself.
    work : callable
        ``work(first, last, scratch)`` runs the parts from `first` to before `last` with scratch memory at an address.
    """
    n_workers = max(1, min(torch.get_num_threads(), n_parts))
    scratch = torch.empty(n_workers, n_scratch)
    if n_workers == 1:
        work(0, n_parts, scratch.data_ptr())
        return
    shares = deque(_shares(n_parts, n_workers))

    def run(worker: int) -> None:
        while True:
            try:
                first, last = shares.popleft()
            except IndexError:
                return
            work(first, last, scratch[worker].data_ptr())

    others = [_pool(n_workers).submit(run, worker) for worker in range(1, n_workers)]
    try:
        run(0)
    finally:  # nobody may write into memory that is given back
        shares.clear()
        errors = [other.exception() for other in others]
    for error in errors:
        if error is not None:
            raise error


def _shares(n_parts: int, n_workers: int) -> Iterator[tuple[int, int]]:
    """First and last-plus-one part of what is taken at a time: half a fair share of what is left, a quarter of one at least."""
    first, least = 0, -(-n_parts // (4 * n_workers))
    while first < n_parts:
        last = min(n_parts, first + max(least, (n_parts - first) // (2 * n_workers)))
        yield first, last
        first = last


def _pool(n_workers: int) -> ThreadPoolExecutor:
    pool = _pools.get(n_workers)
    if pool is None:
        pool = ThreadPoolExecutor(n_workers - 1, thread_name_prefix="stmest-kernels")
        pool = _pools.setdefault(n_workers, pool)
    return pool
