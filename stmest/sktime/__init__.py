"""Forecasters for sktime: beside ARIMA in its pipelines, grid searches and benchmarks.

Needs the extra ``sktime``. The classes have the names of the scikit-learn-style ones, which they compose.
"""

from __future__ import annotations

from typing import Any

from ..runtime import require

require("sktime", extra="sktime")

from . import forecasters  # noqa: E402
from .forecasters import *  # noqa: E402, F403

__all__ = forecasters.__all__


def __getattr__(name: str) -> Any:
    return getattr(forecasters, name)
