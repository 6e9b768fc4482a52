"""Widths of conformal intervals from errors, and what the errors are measured in."""

from __future__ import annotations

import numpy as np
import pytest

from stmest.exceptions import DataError
from stmest.prediction.conformal import half_widths, relative_scale, typical_steps


def _errors(*columns):
    """Sorted errors of one step of several nodes, NaN last."""
    return np.sort(np.array(columns, dtype=float).T[:, None, :, None], axis=0)


@pytest.mark.parametrize(("coverage", "expected"), [(0.5, 10), (0.9, 18), (0.95, 19), (0.05, 1)])
def test_width_is_the_conformal_order_statistic(coverage, expected):
    # of 19 errors the ceil(20 coverage)-th smallest
    assert half_widths(_errors(range(1, 20)), coverage).item() == expected


def test_widths_hold_the_promised_share_of_exchangeable_errors():
    errors = np.sort(np.random.default_rng(0).exponential(size=(200, 1, 4000, 1)), axis=0)
    held = 1 - np.exp(-half_widths(errors, 0.9))
    assert held.mean() == pytest.approx(181 / 201, abs=0.002)  # exact, in expectation


def test_each_node_has_its_own_width_from_what_was_observed():
    nan = np.nan
    widths = half_widths(_errors([1, 2, 3, 4], [10, nan, 30, nan], [nan] * 4), 0.5)[0, :, 0]
    assert widths.tolist() == [3, 30, 16.5]  # the last, never observed, takes the average


def test_too_few_errors_take_the_largest_and_say_so():
    with pytest.warns(UserWarning, match=r"coverage 0.95 need 19 forecasts .* has 4"):
        assert half_widths(_errors([1, 2, 3, 4]), 0.95).item() == 4


def test_nothing_observed_is_an_error():
    with pytest.raises(DataError, match="no target was observed"):
        half_widths(np.full((5, 2, 3, 1), np.nan), 0.5)


def test_typical_steps_skip_missing_rows():
    values = np.array([[0.0, 5.0], [1.0, np.nan], [3.0, 5.0], [6.0, 5.0]])[..., None]
    assert typical_steps(values)[:, 0].tolist() == [2.0, 0.0]


def test_activity_is_relative_pooled_and_bounded():
    steps = np.array([1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 0.0, 0.0, 900.0, 900.0])
    values = np.concatenate([[0.0], np.cumsum(steps)])[:, None, None] * [[[1.0], [10.0]]]
    scale = relative_scale(values, np.array([[2.0], [20.0]]), np.array([0, 2, 4, 6, 8]), 3)
    np.testing.assert_allclose(scale, [0.5, 1.0, 2.0, 0.2, 5.0])


def test_activity_is_one_where_nothing_tells_it():
    values = np.full((6, 2, 1), np.nan)
    assert relative_scale(values, np.ones((2, 1)), np.array([0, 1]), 3).tolist() == [1, 1]
    assert relative_scale(np.ones((6, 2, 1)), np.zeros((2, 1)), np.array([0]), 3).tolist() == [1]
    assert relative_scale(np.ones((6, 2, 1)), np.ones((2, 1)), np.array([0, 5]), 1).tolist() == [1, 1]
