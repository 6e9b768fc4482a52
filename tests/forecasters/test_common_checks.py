"""scikit-learn's common checks over every forecaster; at most two expected failures, each with its reason."""

from __future__ import annotations

from sklearn.utils.estimator_checks import parametrize_with_checks

from .common import expected_failures
from .tiny import TinyForecaster


@parametrize_with_checks([TinyForecaster(random_state=0)], expected_failed_checks=expected_failures)
def test_common_checks(estimator, check):
    check(estimator)
