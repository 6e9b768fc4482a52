"""Mamba-based spatio-temporal forecasters behind fit, predict and score.

The public names are imported when they are first used (PEP 562), so that ``import stmest`` loads neither torch nor
scikit-learn.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# public name -> module of this package that defines it
_HOMES = {
    "STM3Forecaster": "forecasters.stm3",
    "STMambaForecaster": "forecasters.stmamba",
    "MADForecaster": "forecasters.mad",
    "STIDForecaster": "forecasters.stid",
    "S2TXForecaster": "forecasters.s2tx",
    "DLinearForecaster": "forecasters.linear",
    "NLinearForecaster": "forecasters.linear",
    "LastValue": "forecasters.baselines",
    "SeasonalNaive": "forecasters.baselines",
    "MeanProfile": "forecasters.baselines",
    "RidgeForecaster": "forecasters.baselines",
    "UNetForecaster": "forecasters.unet",
    "Graph": "graphs",
    "graph_from_coordinates": "graphs",
    "graph_from_correlation": "graphs",
    "graph_from_distances": "graphs",
    "grid_graph": "graphs",
    "ForecastSplit": "data.splits",
    "compare": "evaluation.report",
    "forecast_scorer": "evaluation.scorer",
    "fetch_panel": "datasets",
    "load": "forecasters.model_file",
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
    "DeviceError": "exceptions",
    "GraphError": "exceptions",
    "MissingDependencyError": "exceptions",
    "ModelFileError": "exceptions",
    "ParameterError": "exceptions",
    "TrainingError": "exceptions",
}
_SUBMODULES = (
    "data", "datasets", "evaluation", "exceptions", "forecasters", "graphs", "io", "layers", "linear", "metrics", "networks",
    "ops", "plotting", "prediction", "runtime", "sktime", "storage", "training",
)  # fmt: skip

if TYPE_CHECKING:
    from .data.splits import ForecastSplit
    from .datasets import fetch_panel, load_field, load_panel, make_sensor_network
    from .datasets.navier_stokes import make_navier_stokes
    from .evaluation.report import compare
    from .evaluation.scorer import forecast_scorer
    from .exceptions import (
        DataError,
        DeviceError,
        GraphError,
        MissingDependencyError,
        ModelFileError,
        ParameterError,
        StmestError,
        StorageError,
        TrainingError,
    )
    from .forecasters.baselines import LastValue, MeanProfile, RidgeForecaster, SeasonalNaive
    from .forecasters.linear import DLinearForecaster, NLinearForecaster
    from .forecasters.mad import MADForecaster
    from .forecasters.model_file import load
    from .forecasters.s2tx import S2TXForecaster
    from .forecasters.stid import STIDForecaster
    from .forecasters.stm3 import STM3Forecaster
    from .forecasters.stmamba import STMambaForecaster
    from .forecasters.unet import UNetForecaster
    from .graphs import (
        Graph,
        graph_from_coordinates,
        graph_from_correlation,
        graph_from_distances,
        grid_graph,
    )
    from .ops import selective_scan, show_backends
    from .runtime import show_versions

__all__ = [
    "DLinearForecaster",
    "DataError",
    "DeviceError",
    "ForecastSplit",
    "Graph",
    "GraphError",
    "LastValue",
    "MADForecaster",
    "MeanProfile",
    "MissingDependencyError",
    "ModelFileError",
    "NLinearForecaster",
    "ParameterError",
    "RidgeForecaster",
    "STIDForecaster",
    "S2TXForecaster",
    "STM3Forecaster",
    "STMambaForecaster",
    "SeasonalNaive",
    "StmestError",
    "StorageError",
    "TrainingError",
    "UNetForecaster",
    "__version__",
    "compare",
    "fetch_panel",
    "forecast_scorer",
    "graph_from_coordinates",
    "graph_from_correlation",
    "graph_from_distances",
    "grid_graph",
    "load",
    "load_field",
    "load_panel",
    "make_navier_stokes",
    "make_sensor_network",
    "selective_scan",
    "show_backends",
    "show_versions",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value  # the next access does not come here again
        return value
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
