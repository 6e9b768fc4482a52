"""Forecasters for sktime: beside ARIMA in its pipelines, grid searches and benchmarks.

Needs the extra ``sktime``. The classes have the names of the scikit-learn-style ones, which they compose.
"""

from __future__ import annotations

from ..runtime import require

require("sktime", extra="sktime")

from .forecasters import (  # noqa: E402
    MADForecaster,
    RidgeForecaster,
    S2TXForecaster,
    STM3Forecaster,
    STMambaForecaster,
)

__all__ = ["MADForecaster", "RidgeForecaster", "S2TXForecaster", "STM3Forecaster", "STMambaForecaster"]
