"""Coverage and width of prediction intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stmest.exceptions import DataError
from stmest.metrics.intervals import interval_coverage, interval_width


def test_ends_belong_to_an_interval_and_missing_values_do_not_count():
    truth = np.array([[0.0, 1.0], [np.nan, 3.0], [2.5, -1.0]])
    lower, upper = np.zeros((3, 2)), np.array([[1.0, 1.0], [1.0, 2.0], [3.0, 1.0]])
    assert interval_coverage(truth, lower, upper) == pytest.approx(3 / 5)
    assert interval_coverage(pd.DataFrame(truth), pd.DataFrame(lower), pd.DataFrame(upper)) == pytest.approx(
        3 / 5
    )
    assert np.isnan(interval_coverage([np.nan], [0.0], [1.0]))
    assert interval_width(lower, upper) == pytest.approx(9 / 6)


def test_normal_intervals_hold_their_share():
    z = np.random.default_rng(0).normal(size=100_000)
    assert interval_coverage(z, np.full_like(z, -1.6449), np.full_like(z, 1.6449)) == pytest.approx(
        0.9, abs=0.005
    )


def test_other_shapes_are_refused():
    with pytest.raises(DataError, match=r"y_true \(3,\), lower \(2,\), upper \(3,\)"):
        interval_coverage(np.zeros(3), np.zeros(2), np.zeros(3))
    with pytest.raises(DataError, match="shapes differ"):
        interval_width(np.zeros((2, 1)), np.zeros(2))
