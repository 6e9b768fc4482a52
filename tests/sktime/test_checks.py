"""sktime's own checks over every forecaster, whole: no check is left out."""

from __future__ import annotations

import warnings

import pytest
from sktime.utils.estimator_checks import check_estimator

import stmest.sktime
from tests.crossing import crossed

CLASSES = [getattr(stmest.sktime, name) for name in stmest.sktime.__all__ if name != "from_sklearn"]


# sktime warns of its own coming changes, and the forecasters of series that are too short for the parameters
@pytest.mark.filterwarnings("default")
@pytest.mark.slow
@pytest.mark.parametrize("cls", crossed(CLASSES))
def test_sktimes_checks_pass_whole(cls):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(cls, verbose=0)
    assert {check: result for check, result in results.items() if result != "PASSED"} == {}
    assert len(results) > 800


@pytest.mark.parametrize("cls", CLASSES)
def test_no_check_is_skipped(cls):
    assert not cls.get_class_tag("tests:skip_all", False)
    assert not cls.get_class_tag("tests:skip_by_name", None)
    assert len(cls.get_test_params()) >= 2
