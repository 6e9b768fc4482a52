"""How good a forecast is: errors pooled over windows, one table for all forecasters, and whether they really differ."""

from __future__ import annotations

from .metrics import forecast_scorer, horizon_errors, mae, mase, origin_errors, r2, rmse
from .report import Report, compare
from .significance import diebold_mariano, holm

__all__ = [
    "Report", "compare", "diebold_mariano", "forecast_scorer", "holm", "horizon_errors", "mae", "mase", "origin_errors",
    "r2", "rmse",
]  # fmt: skip
