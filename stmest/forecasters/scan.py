"""The parameter `scan_backend` of the forecasters with a Mamba scan: its values, whether they can run, and what runs.

Builds on ``ops``; imported by forecasters that train a network.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from sklearn.utils._param_validation import StrOptions

from ..exceptions import MissingDependencyError
from ..ops.selective_scan import BACKENDS, backend_problem, choose_backend
from ..runtime import deterministic_algorithms

__all__ = ["SCAN_BACKENDS", "require_scan", "running_scan", "scan_or_auto", "wanted_scan"]

SCAN_BACKENDS = [StrOptions({"auto", *BACKENDS})]


def wanted_scan(model: Any) -> str:
    """Return the `scan_backend` of a forecaster; "auto" for one without a Mamba scan."""
    return getattr(model, "scan_backend", "auto")


def require_scan(model: Any, device: torch.device) -> None:
    """Refuse a `scan_backend` that cannot run on a device.

    Parameters
    ----------
    model : NetworkForecaster
    device : torch.device

    Raises
    ------
    MissingDependencyError
        Saying what stands in its way.
    """
    problem = backend_problem(wanted_scan(model), device)
    if problem:
        raise MissingDependencyError(
            f"scan_backend={wanted_scan(model)!r} cannot be used: {problem}. Use scan_backend='auto'."
        )


def scan_or_auto(model: Any, device: torch.device) -> None:
    """Give a loaded forecaster ``scan_backend="auto"``, with a warning, where its own cannot run on a device."""
    problem = backend_problem(wanted_scan(model), device)
    if problem:
        warnings.warn(
            f"scan_backend={model.scan_backend!r} cannot be used here: {problem}. The model was loaded with scan_backend='auto'.",
            RuntimeWarning,
            stacklevel=3,
        )
        model.scan_backend = "auto"


def running_scan(model: Any) -> str:
    """Name the implementation that a fitted forecaster runs on its device."""
    if wanted_scan(model) != "auto":
        return wanted_scan(model)
    with deterministic_algorithms(model.deterministic, model.device_):
        return choose_backend(torch.empty(1, device=model.device_)).name
