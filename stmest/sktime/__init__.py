"""Forecasters for sktime: beside ARIMA in its pipelines, grid searches and benchmarks.

Needs the extra ``sktime``. The classes have the names of the scikit-learn-style ones, which they compose.
"""

from __future__ import annotations

from ..runtime import require

require("sktime", extra="sktime")

from .forecasters import RidgeForecaster, STM3Forecaster, STMambaForecaster  # noqa: E402

__all__ = ["RidgeForecaster", "STM3Forecaster", "STMambaForecaster"]
