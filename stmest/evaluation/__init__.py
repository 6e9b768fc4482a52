"""How good a forecast is: errors pooled over windows, and one table for all forecasters on the same windows."""

from __future__ import annotations

from .metrics import forecast_scorer, horizon_errors, mae, mase, r2, rmse
from .report import Report, compare

__all__ = ["Report", "compare", "forecast_scorer", "horizon_errors", "mae", "mase", "r2", "rmse"]
