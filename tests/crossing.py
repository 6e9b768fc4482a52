"""Which forecasters stand for all where the code that decides is the same for every one of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

# One that only repeats a value, one in closed form, the smallest network, and a real one
REPRESENTATIVES = ("LastValue", "RidgeForecaster", "TinyForecaster", "STM3Forecaster")


def crossed(forecasters: Collection[Any], everyday: Collection[str] = REPRESENTATIVES) -> list[Any]:
    """Names or classes as values of a parametrised test; those that are not everyday run with ``-m exhaustive`` only."""
    named = {getattr(forecaster, "__name__", forecaster): forecaster for forecaster in forecasters}
    if not named.keys() & set(everyday):
        raise ValueError(f"none of {sorted(everyday)} is among {sorted(named)}: the test would never run.")
    return [
        pytest.param(forecaster, marks=() if name in everyday else pytest.mark.exhaustive, id=name)
        for name, forecaster in named.items()
    ]
