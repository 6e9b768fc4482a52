"""Means and spreads: those of the observed values, exact where nothing changes, at any level and scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stmest.data import chunks
from stmest.data.moments import (
    binary_unit,
    deviations,
    first_observed,
    mean_of_observed,
    moments,
    standard_deviation,
)

FINITE = st.floats(-1e18, 1e18, allow_subnormal=False)


def holey(seed=0, shape=(40, 3, 2)):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=shape)
    values[rng.random(shape) < 0.3] = np.nan
    values[:, 1, 1] = np.nan
    return values


@pytest.mark.parametrize("size", [None, 1, 24])  # a time step, and four time steps at a time
def test_moments_are_those_of_the_observed_values(size, monkeypatch):
    if size:
        monkeypatch.setattr(chunks, "NUMBERS_AT_ONCE", size)
    values = holey()
    mean, deviation = moments(values)
    assert np.isnan(mean[1, 1])
    assert np.isnan(deviation[1, 1])
    seen = ~np.isnan(mean)
    np.testing.assert_allclose(mean[seen], np.nanmean(values[..., seen], 0))
    np.testing.assert_allclose(deviation[seen], np.nanstd(values[..., seen], 0))
    np.testing.assert_array_equal(np.isnan(deviations(values)), np.isnan(values))
    np.testing.assert_allclose(np.nanmean(deviations(values)[..., seen], 0), 0, atol=1e-15)
    first = first_observed(values)
    assert np.isnan(first[1, 1])
    expected = [next(v for v in column if v == v) for column in values[..., seen].T]
    np.testing.assert_array_equal(first[seen], expected)


@settings(deadline=None)
@given(value=FINITE, count=st.integers(1, 50), gaps=st.integers(0, 5))
def test_nothing_is_rounded_where_nothing_changes(value, count, gaps):
    series = np.full(count + gaps, np.nan)
    series[gaps:] = value
    assert mean_of_observed(series) == value
    assert moments(series) == (value, 0.0)
    assert (deviations(series)[gaps:] == 0).all()


@settings(deadline=None)
@given(seed=st.integers(0, 99), level=st.sampled_from([0.0, -1e12, 2.0**53]), power=st.integers(-990, 10))
def test_level_and_scale(seed, level, power):
    values = np.round(holey(seed)[:, 0, 0] * 16) * 2
    mean, deviation = (moments(values)[i] for i in (0, 1))
    high, its_deviation = moments(values + level)
    assert high == pytest.approx(mean + level, rel=1e-15)
    assert its_deviation == pytest.approx(deviation, rel=1e-12)
    assert standard_deviation(values * 2.0**power) == pytest.approx(deviation * 2.0**power, rel=1e-12, abs=0)


@settings(deadline=None)
@given(values=st.lists(FINITE, max_size=6))
def test_a_binary_unit_is_the_next_power_of_two(values):
    unit, largest = binary_unit(np.array([*values, np.nan])), max(map(abs, values), default=0.0)
    assert math.frexp(unit)[0] == 0.5
    assert (unit / 2 <= largest < unit) if largest else unit == 1


def test_the_mean_along_another_axis():
    values = holey()
    for axis in (0, 1, 2, -2):
        expected = np.apply_along_axis(lambda x: x[x == x].mean() if (x == x).any() else np.nan, axis, values)
        np.testing.assert_allclose(mean_of_observed(values, axis), expected, atol=1e-15)
