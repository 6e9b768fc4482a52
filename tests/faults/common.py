"""What the fault tests share: every forecaster in a tiny size, values, and a fingerprint of an estimator."""

from __future__ import annotations

import copy
import hashlib
import io
import pickle
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

from stmest import (
    DLinearForecaster,
    EnsembleForecaster,
    LastValue,
    MADForecaster,
    MeanProfile,
    NLinearForecaster,
    RegressorForecaster,
    RidgeForecaster,
    S2TXForecaster,
    SeasonalNaive,
    STIDForecaster,
    STM3Forecaster,
    STMambaForecaster,
)
from tests.forecasters.tiny import TinyForecaster

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
    "RegressorForecaster": RegressorForecaster(
        HistGradientBoostingRegressor(max_iter=3), **_WINDOW, random_state=0
    ),
    "TinyForecaster": TinyForecaster(**_WINDOW, **_LINEAR),
    "STM3Forecaster": STM3Forecaster(**_WINDOW, **_SMALL),
    "STMambaForecaster": STMambaForecaster(**_WINDOW, **_SMALL),
    "STIDForecaster": STIDForecaster(**_WINDOW, **_STID),
    "S2TXForecaster": S2TXForecaster(**_WINDOW, **_SMALL, n_heads=2, d_ff=4),
    "MADForecaster": MADForecaster(**_WINDOW, **_LINEAR, width=4),
    "DLinearForecaster": DLinearForecaster(**_WINDOW, **_LINEAR),
    "NLinearForecaster": NLinearForecaster(**_WINDOW, **_LINEAR),
    "EnsembleForecaster": EnsembleForecaster(
        [("ridge", RidgeForecaster(**_WINDOW)), ("tiny", TinyForecaster(**_WINDOW, **_LINEAR))]
    ),
}
NETWORKS = [name for name, forecaster in FORECASTERS.items() if hasattr(forecaster, "max_epochs")]


def make(name: str, **parameters: Any) -> Any:
    """An unfitted forecaster of the table."""
    return copy.deepcopy(FORECASTERS[name]).set_params(**parameters)


def observations(n_times: int = N_TIMES, seed: int = 0) -> pd.DataFrame:
    """Hourly observations of four nodes with a daily cycle."""
    rng = np.random.default_rng(seed)
    cycle = np.sin(2 * np.pi * np.arange(n_times)[:, None] / 24 + np.arange(len(NODES)))
    index = pd.date_range("2024-01-01", periods=n_times, freq="h")
    return pd.DataFrame(10 + cycle + 0.1 * rng.normal(size=cycle.shape), index=index, columns=NODES)


class _Pickler(pickle.Pickler):
    """Leaves out the caches that pandas hides in an index, which come into its pickle."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, pd.Index):
            return str, (f"{value.dtype} {value.names} {list(value)}",)
        return NotImplemented


def fingerprint(estimator: Any) -> str:
    """A hash over everything in an estimator: parameters, weights, scalers, history, last values."""
    content = io.BytesIO()
    _Pickler(content).dump(estimator)
    return hashlib.sha256(content.getvalue()).hexdigest()


def look_back(model: Any) -> int:
    """Time steps that one forecast of a fitted forecaster is made from."""
    return model.input_length if hasattr(model, "input_length") else model.context_length_


_FITTED: dict[str, tuple[Any, str]] = {}


def fitted(name: str) -> Any:
    """A forecaster fitted on `observations`, trained once per session; a test must leave it as it was, or copy it."""
    if name not in _FITTED:
        model = make(name).fit(observations())
        _FITTED[name] = model, fingerprint(model)
    model, before = _FITTED[name]
    assert fingerprint(model) == before, "a test before this one changed the shared forecaster"
    return model
