"""Parts of a kernel's work, spread over threads.

Parts are cut by shape alone and keep their sums apart, so no bit depends on who runs which. Threads take several parts at a
time, fewer towards the end: where something else holds a core, PyTorch's own spinning workers for instance, the others do more.
Kernels release the GIL. `few_threads` keeps the workers of numpy and PyTorch off the cores where they would spin more than work.
Builds on torch and threadpoolctl; used by the operators beside it, by training and by prediction.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import cache

import torch
from threadpoolctl import ThreadpoolController

__all__ = ["few_threads", "run_parts"]

# Windows x time steps x nodes of a batch up to which PyTorch's own operations are too short to share
_TOO_SHORT = 1 << 16

_kernel_threads: ContextVar[int | None] = ContextVar("kernel_threads", default=None)
_blas_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}
if hasattr(os, "register_at_fork"):
    # A forked child inherits the pool object but none of its threads, and would wait for them for ever.
    os.register_at_fork(after_in_child=_pools.clear)


def run_parts(n_parts: int, n_scratch: int, work: Callable[[int, int, int], None]) -> None:
    """Run all parts on as many threads as torch may use, or might outside `few_threads`.

    Parameters
    ----------
    n_parts : int
    n_scratch : int
        Numbers (float32) of scratch memory that a thread needs for itself.
    work : callable
        ``work(first, last, scratch)`` runs the parts from `first` to before `last` with scratch memory at an address.
    """
    n_workers = max(1, min(_kernel_threads.get() or torch.get_num_threads(), n_parts))
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


@contextlib.contextmanager
def few_threads(n_values: int, device: torch.device) -> Iterator[None]:
    """Run networks in a block in which no threads but those that are of use hold a core.

    A worker of numpy's BLAS spins for 100 ms after each product, on a core that what comes next, by other threads, needs; and
    where something else holds a core, PyTorch's threads wait for the slowest at the end of each short operation. So numpy has
    one thread in the block, and so has PyTorch where batches are small. Our kernels keep theirs, which sleep.

    Parameters
    ----------
    n_values : int
        Windows x time steps x nodes of a batch. It alone decides, so that the same batches give the same bits.
    device : torch.device
        Of the networks; nothing changes unless it is a CPU.
    """
    if device.type != "cpu":
        yield
        return
    before = torch.get_num_threads()
    token = _kernel_threads.set(_kernel_threads.get() or before)
    with _one_blas_thread():
        try:
            if n_values <= _TOO_SHORT:
                torch.set_num_threads(1)
            yield
        finally:
            torch.set_num_threads(before)
            _kernel_threads.reset(token)


@contextlib.contextmanager
def _one_blas_thread() -> Iterator[None]:
    """One thread for numpy. The setting is that of the whole process: while a thread holds it so, others leave it alone."""
    if not _blas_lock.acquire(blocking=False):
        yield
        return
    try:
        with _blas().limit(limits=1):
            yield
    finally:
        _blas_lock.release()


@cache
def _blas() -> ThreadpoolController:
    """The BLAS of numpy; that of PyTorch is in torch."""
    return ThreadpoolController().select(user_api="blas")
