"""Operations that need more than torch: selective scan, causal convolution, attention on edges and over scales.

Each has one function here, which runs a backend: torch (``reference``, ``chunked``), the CPU kernels of ``cpu``, or a CUDA
package. ``reference`` is the oracle of the scans. Builds on torch alone, as numba and the CUDA packages are imported
where they are used.
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
