"""Unknown parameters: the errors of constructors and `set_params` say which one was meant."""

from __future__ import annotations

import inspect

import pytest

import stmest
from stmest.exceptions import ParameterError
from stmest.forecasters.parameter_names import _ELSEWHERE
from stmest.forecasters.registry import entries

MEANT = {
    "STIDForecaster": {
        "lr": "learning_rate", "epochs": "max_epochs", "n_epochs": "max_epochs", "lookback": "input_length",
        "look_back": "input_length", "window": "input_length", "seq_len": "input_length", "hidden_size": "d_model",
        "batch": "batch_size", "seed": "random_state", "gpu": "device", "horizons": "horizon", "pred_len": "horizon",
        "season_length": "seasonal_profile", "num_layers": "n_layers", "graph": "adj", "early_stopping": "patience",
        "Dropout_Rate": "dropout", "learningrate": "learning_rate", "horizn": "horizon",
    },
    "STMambaForecaster": {"num_heads": "n_heads", "heads": "n_heads", "hidden_dim": "d_model"},
    "SeasonalNaive": {"season_length": "season", "sp": "season", "steps": "horizon"},
    "RidgeForecaster": {"alphas": "alpha", "neighbors": "neighbours", "lags": "input_length"},
    "RegressorForecaster": {"regressor": "estimator", "model": "estimator", "seed": "random_state"},
    "EnsembleForecaster": {"models": "forecasters"},
}  # fmt: skip
CASES = [(name, given, ours) for name, pairs in MEANT.items() for given, ours in pairs.items()]


@pytest.mark.parametrize(("name", "given", "ours"), CASES)
def test_what_was_meant_is_named(name, given, ours):
    words = f"{name} has no parameter '{given}'; did you mean '{ours}'"
    cls = getattr(stmest, name)
    required = {"forecasters": [("last", stmest.LastValue())]} if name == "EnsembleForecaster" else {}
    with pytest.raises(TypeError, match=words):
        cls(**required, **{given: 1})
    with pytest.raises(ParameterError, match=words):
        cls(**required).set_params(**{given: 1})


def test_all_parameters_are_listed_where_nothing_is_near():
    with pytest.raises(ParameterError, match="it has horizon, season"):
        stmest.SeasonalNaive().set_params(qqq=1)


def test_known_parameters_can_be_set_at_any_depth():
    ensemble = stmest.EnsembleForecaster([("last", stmest.LastValue())])
    ensemble.set_params(last__horizon=3, weights=None)
    assert ensemble.forecasters[0][1].horizon == 3
    with pytest.raises(ParameterError, match="LastValue has no parameter 'steps'; did you mean 'horizon'"):
        ensemble.set_params(last__steps=3)


def test_other_names_lead_to_parameters_that_exist():
    known = {name for entry in entries().values() for name in inspect.signature(entry.cls).parameters}
    assert set(_ELSEWHERE) <= known
