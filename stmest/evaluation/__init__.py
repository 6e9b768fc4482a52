"""How good a forecast is: errors pooled over windows, one table for all forecasters, and whether they really differ."""

from __future__ import annotations

from ..metrics.point import horizon_errors, mae, mase, origin_errors, r2, rmse
from ..metrics.significance import blocked_diebold_mariano, diebold_mariano, holm
from .report import Report, compare
from .scorer import forecast_scorer
from .verdict import Verdict

__all__ = [
    "Report", "Verdict", "blocked_diebold_mariano", "compare", "diebold_mariano", "forecast_scorer", "holm", "horizon_errors",
    "mae", "mase", "origin_errors", "r2", "rmse",
]  # fmt: skip
