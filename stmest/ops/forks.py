"""A forked process has one torch thread.

The threads that torch started before the fork are not in the child, and GNU OpenMP waits for them for ever, in whatever runs on
several threads. ``fork`` is the default of `multiprocessing` on Linux up to Python 3.13. Builds on torch.
"""

from __future__ import annotations

import os

import torch

__all__ = ["keep_children_to_one_thread"]


def keep_children_to_one_thread() -> None:
    """Let every process that is forked from this one compute on one thread."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
