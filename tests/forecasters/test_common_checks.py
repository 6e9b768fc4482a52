"""scikit-learn's common checks over every forecaster; at most two expected failures, each with its reason."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from stmest import (
    DLinearForecaster,
    MADForecaster,
    NLinearForecaster,
    S2TXForecaster,
    STIDForecaster,
    STM3Forecaster,
    STMambaForecaster,
)

from .common import expected_failures
from .tiny import TinyForecaster

SMALL = {
    "input_length": 4,
    "horizon": 2,
    "d_model": 4,
    "d_state": 4,
    "n_layers": 1,
    "max_epochs": 2,
    "random_state": 0,
}
LINEAR = {name: SMALL[name] for name in ("input_length", "horizon", "max_epochs", "random_state")}
EVERYDAY = [TinyForecaster(random_state=0), STM3Forecaster(**SMALL), S2TXForecaster(**SMALL)]
OTHERS = [
    STMambaForecaster(**SMALL),
    MADForecaster(**SMALL, width=4),
    STIDForecaster(**{name: value for name, value in SMALL.items() if name != "d_state"}),
    DLinearForecaster(**LINEAR),
    NLinearForecaster(**LINEAR),
]


@parametrize_with_checks(EVERYDAY, expected_failed_checks=expected_failures)
def test_common_checks(estimator, check):
    check(estimator)


@pytest.mark.exhaustive
@parametrize_with_checks(OTHERS, expected_failed_checks=expected_failures)
def test_common_checks_of_the_others(estimator, check):
    check(estimator)
