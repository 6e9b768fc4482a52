"""What the fault tests share: every forecaster in a tiny size, readings, holes, and a fingerprint of an estimator."""

from __future__ import annotations

import copy
import hashlib
import pickle
from typing import Any

import numpy as np
import pandas as pd

from stmest import (
    DLinearForecaster,
    LastValue,
    MADForecaster,
    MeanProfile,
    NLinearForecaster,
    RidgeForecaster,
    S2TXForecaster,
    SeasonalNaive,
    STIDForecaster,
    STM3Forecaster,
    STMambaForecaster,
)

N_TIMES, NODES = 72, list("abcd")
_SMALL = {"d_model": 4, "d_state": 2, "n_layers": 1, "max_epochs": 1, "random_state": 0, "device": "cpu"}
_STID = {name: value for name, value in _SMALL.items() if name != "d_state"}
_LINEAR = {"max_epochs": 1, "random_state": 0, "device": "cpu"}
_WINDOW = {"input_length": 6, "horizon": 3}

# A forecaster that joins the house is added here, and all promises hold for it too.
FORECASTERS: dict[str, Any] = {
    "LastValue": LastValue(horizon=3),
    "SeasonalNaive": SeasonalNaive(horizon=3, season=6),
    "MeanProfile": MeanProfile(horizon=3, season=6, n_seasons=2),
    "RidgeForecaster": RidgeForecaster(**_WINDOW),
    "blended RidgeForecaster": RidgeForecaster(**_WINDOW, neighbours="blend"),
    "STM3Forecaster": STM3Forecaster(**_WINDOW, **_SMALL),
    "STMambaForecaster": STMambaForecaster(**_WINDOW, **_SMALL),
    "STIDForecaster": STIDForecaster(**_WINDOW, **_STID),
    "S2TXForecaster": S2TXForecaster(**_WINDOW, **_SMALL, n_heads=2, d_ff=4),
    "MADForecaster": MADForecaster(**_WINDOW, **_LINEAR, width=4),
    "DLinearForecaster": DLinearForecaster(**_WINDOW, **_LINEAR),
    "NLinearForecaster": NLinearForecaster(**_WINDOW, **_LINEAR),
}
NETWORKS = [name for name, forecaster in FORECASTERS.items() if hasattr(forecaster, "max_epochs")]


def make(name: str, **parameters: Any) -> Any:
    """An unfitted forecaster of the table."""
    return copy.deepcopy(FORECASTERS[name]).set_params(**parameters)


def readings(n_times: int = N_TIMES, seed: int = 0) -> pd.DataFrame:
    """Hourly readings of four nodes with a daily cycle."""
    rng = np.random.default_rng(seed)
    cycle = np.sin(2 * np.pi * np.arange(n_times)[:, None] / 24 + np.arange(len(NODES)))
    index = pd.date_range("2024-01-01", periods=n_times, freq="h")
    return pd.DataFrame(10 + cycle + 0.1 * rng.normal(size=cycle.shape), index=index, columns=NODES)


def fingerprint(estimator: Any) -> str:
    """A hash over everything in an estimator: parameters, weights, scalers, history, context."""
    state = estimator.__getstate__()
    if "context_" in state:
        context = vars(state["context_"])
        index = context["index"]  # pandas hides caches in an index, which come into its pickle
        known = None if index is None else (str(index.dtype), list(index))
        state = {**state, "context_": {**context, "index": known}}
    return hashlib.sha256(pickle.dumps(state)).hexdigest()


_FITTED: dict[str, tuple[Any, str]] = {}


def fitted(name: str) -> Any:
    """A forecaster fitted on `readings`, trained once per session; a test must leave it as it was, or copy it."""
    if name not in _FITTED:
        model = make(name).fit(readings())
        _FITTED[name] = model, fingerprint(model)
    model, before = _FITTED[name]
    assert fingerprint(model) == before, "a test before this one changed the shared forecaster"
    return model
