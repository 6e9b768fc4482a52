"""Mamba-based spatio-temporal forecasters behind fit, predict and score.

The public names are imported when they are first used (PEP 562), so that ``import stmest`` loads neither torch nor
scikit-learn.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

__version__ = "0.1.0"

# public name -> module of this package that defines it; the forecasters enter themselves in `forecasters.registry`
_HOMES = {
    "Graph": "graphs",
    "graph_from_coordinates": "graphs",
    "graph_from_correlation": "graphs",
    "graph_from_distances": "graphs",
    "grid_graph": "graphs",
    "ForecastSplit": "data.forecast_split",
    "compare": "evaluation.report",
    "forecast_scorer": "evaluation.scorer",
    "fetch_panel": "datasets",
    "load": "forecasters.model_file",
    "load_air_quality": "datasets",
    "load_field": "datasets",
    "load_panel": "datasets",
    "make_navier_stokes": "datasets.navier_stokes",
    "make_sensor_network": "datasets",
    "selective_scan": "ops",
    "show_backends": "ops",
    "show_versions": "runtime",
    "StmestError": "exceptions",
    "StorageError": "exceptions",
    "DataError": "exceptions",
    "DataTypeError": "exceptions",
    "DeviceError": "exceptions",
    "GraphError": "exceptions",
    "MissingDependencyError": "exceptions",
    "ModelFileError": "exceptions",
    "OutOfMemoryError": "exceptions",
    "ParameterError": "exceptions",
    "TrainingError": "exceptions",
}
_SUBMODULES = (
    "data", "datasets", "evaluation", "exceptions", "forecasters", "graphs", "io", "layers", "linear", "metrics", "networks",
    "ops", "plotting", "prediction", "runtime", "sktime", "storage", "training",
)  # fmt: skip


def public_names() -> dict[str, str]:
    """Every public name, with the module that defines it; nothing is imported for that but the registry.

    Returns
    -------
    dict of str to str
        Dotted names of modules.
    """
    from .forecasters.registry import entries

    return {name: f"{__name__}.{home}" for name, home in _HOMES.items()} | {
        name: entry.module for name, entry in entries().items()
    }


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "__all__":
        return sorted([*public_names(), "__version__"])
    if name in _HOMES:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value  # the next access does not come here again
        return value
    if not name.startswith("_"):
        from .forecasters.registry import find

        entry = find(name)
        if entry is not None:
            return entry.cls
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *public_names(), *_SUBMODULES})


def _keep_to_one_thread() -> None:
    """Let a process that was just forked compute on one torch thread, where torch was there before the fork.

    Threads that torch has started are not in the child, and GNU OpenMP waits for them for ever, in whatever runs on several
    threads. ``fork`` is the default of `multiprocessing` on Linux up to Python 3.13.
    """
    torch = sys.modules.get("torch")
    if hasattr(torch, "set_num_threads"):
        torch.set_num_threads(1)  # type: ignore[union-attr]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_to_one_thread)
