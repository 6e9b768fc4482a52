"""Every forecaster of stmest in its smallest form, for what all of them promise."""

from __future__ import annotations

from typing import Any

import stmest

_BASELINES = {
    "LastValue": {},
    "SeasonalNaive": {"season": 3},
    "MeanProfile": {"season": 3, "n_seasons": 2},
    "RidgeForecaster": {"input_length": 4},
}
_NETWORK = {
    "input_length": 8, "d_model": 4, "d_state": 4, "n_layers": 1, "max_epochs": 2, "batch_size": 32, "random_state": 0,
}  # fmt: skip
# What single networks need beside that, to stay small
_MORE: dict[str, dict[str, Any]] = {
    "STM3Forecaster": {"scales": (1, 3), "n_experts": 2, "head_width": 16},
    "UNetForecaster": {"channels": 4, "depth": 1},
    "MADForecaster": {"width": 4},
}

# Those that read fields only
FIELD_NAMES = ["UNetForecaster"]


def names() -> list[str]:
    """All forecasters that stmest exports, without those that read fields only."""
    return sorted(
        name
        for name, home in stmest._HOMES.items()
        if home.startswith("forecasters.")
        and hasattr(getattr(stmest, name), "predict")
        and name not in FIELD_NAMES
    )


def network_names() -> list[str]:
    """Those of them that train a network."""
    return [name for name in names() if name not in _BASELINES]


def small(name: str, **parameters: Any) -> Any:
    """A forecaster that is fitted within a second."""
    kind = getattr(stmest, name)
    if name in _BASELINES:
        return kind(**{"horizon": 2, **_BASELINES[name], **parameters})
    known = kind().get_params()
    settings = {key: value for key, value in {**_NETWORK, **_MORE.get(name, {})}.items() if key in known}
    return kind(**{"horizon": 2, **settings, **parameters})
