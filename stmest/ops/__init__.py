"""Numerical kernels of the Mamba layers: the selective scan and the causal depthwise convolution.

Each has one entry that picks a backend and can say which and why; ``reference`` is the oracle every backend is
tested against. Builds on torch alone (numba and the CUDA kernels are imported where they are used); used by ``layers``.
"""

from __future__ import annotations

from .causal_conv import causal_conv1d
from .selective_scan import Choice, available_backends, choose_backend, selective_scan, show_backends

__all__ = [
    "Choice",
    "available_backends",
    "causal_conv1d",
    "choose_backend",
    "selective_scan",
    "show_backends",
]
