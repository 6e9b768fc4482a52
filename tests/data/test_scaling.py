"""Scalers: statistics of the observed values, invertible, harmless for constant and dead nodes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stmest.data import chunks
from stmest.data.scaling import SCALERS, NodeScaler
from stmest.exceptions import ParameterError


def holey(seed, shape=(50, 4, 2)):
    rng = np.random.default_rng(seed)
    values = rng.normal(loc=rng.uniform(-1e3, 1e3), scale=rng.uniform(0.1, 100), size=shape)
    return np.where(rng.random(shape) < 0.3, np.nan, values)


@settings(deadline=None, max_examples=30)
@given(method=st.sampled_from([*SCALERS, None]), seed=st.integers(0, 2**20))
def test_inverse_undoes_transform_under_any_mask(method, seed):
    values = holey(seed)
    scaler = NodeScaler(method).fit(values)
    scaled = scaler.transform(values)
    assert scaled.dtype == np.float32
    assert (np.isnan(scaled) == np.isnan(values)).all()
    back = scaler.inverse(scaled, [0, 1])
    np.testing.assert_allclose(back, values, rtol=1e-5, atol=1e-5 * np.nanmax(np.abs(values)))


def test_statistics_are_those_of_the_observed_values():
    values = holey(3)
    standard, minmax, robust = (NodeScaler(method).fit(values) for method in SCALERS)
    np.testing.assert_allclose(standard.center, np.nanmean(values, 0))
    np.testing.assert_allclose(standard.scale, np.nanstd(values, 0))
    np.testing.assert_allclose(minmax.center, np.nanmin(values, 0))
    np.testing.assert_allclose(minmax.scale, np.nanmax(values, 0) - np.nanmin(values, 0))
    quartiles = np.nanpercentile(values, [25, 50, 75], axis=0)
    np.testing.assert_allclose(robust.center, quartiles[1])
    np.testing.assert_allclose(robust.scale, quartiles[2] - quartiles[0])


def test_chunks_change_nothing(monkeypatch):
    values = holey(4)
    whole = [NodeScaler(method).fit(values) for method in SCALERS]
    monkeypatch.setattr(chunks, "NUMBERS_AT_ONCE", 60)
    for method, expected in zip(SCALERS, whole, strict=True):
        in_chunks = NodeScaler(method).fit(values)
        np.testing.assert_allclose(in_chunks.center, expected.center, rtol=1e-12)
        np.testing.assert_allclose(in_chunks.scale, expected.scale, rtol=1e-12)


@pytest.mark.parametrize("method", SCALERS)
def test_constant_and_dead_nodes(method):
    values = np.stack([np.full(20, 1e6 + 0.1), np.full(20, np.nan), np.linspace(0, 1, 20)], axis=1)[..., None]
    scaler = NodeScaler(method).fit(values)
    assert scaler.center[0] == 1e6 + 0.1
    assert scaler.center[1] == pytest.approx((scaler.center[0] + scaler.center[2]) / 2)
    np.testing.assert_allclose(scaler.scale[:, 0], scaler.scale[2, 0])  # whatever the unit of the data
    assert (
        NodeScaler(method).fit(values[:, :2]).scale == 1
    ).all()  # nothing says in which unit they could change
    assert (NodeScaler(method).fit(values[:, 1:2]).center == 0).all()


@pytest.mark.parametrize("method", SCALERS)
@pytest.mark.parametrize("level", [0.0, 123456789.5, -1e12, 2.0**44])
def test_a_level_changes_no_scale(method, level):
    values = np.round(holey(6) * 8) / 8
    plain, high = NodeScaler(method).fit(values), NodeScaler(method).fit(values + level)
    np.testing.assert_allclose(high.scale, plain.scale, rtol=1e-5)
    np.testing.assert_allclose(high.transform(values + level), plain.transform(values), atol=1e-4)
    constant = np.where(np.isnan(values), np.nan, level + 0.1)
    scaler = NodeScaler(method).fit(constant)
    assert (scaler.center == level + 0.1).all()
    assert (scaler.transform(constant)[~np.isnan(constant)] == 0).all()


@pytest.mark.parametrize("method", SCALERS)
@pytest.mark.parametrize("factor", [1e-300, 1e-162, 1e-50, 1e-9, 1e15])
def test_a_factor_is_a_factor_of_the_scale(method, factor):
    values = holey(7)
    plain, small = NodeScaler(method).fit(values), NodeScaler(method).fit(values * factor)
    np.testing.assert_allclose(small.scale, plain.scale * factor, rtol=1e-9)
    np.testing.assert_allclose(
        small.transform(values * factor), plain.transform(values), rtol=1e-6, atol=1e-6
    )


def test_round_off_is_no_spread_and_a_tiny_scale_is_one():
    t = np.arange(40)[:, None, None]
    values = np.concatenate([np.sin(t), 0.1 + 1e-18 * t, 1e-9 * np.sin(t), 1e-300 * np.sin(t)], axis=1)
    scaler = NodeScaler().fit(values)
    scale = scaler.scale[:, 0]
    np.testing.assert_allclose(scale[2:], [1e-9 * scale[0], 1e-300 * scale[0]])
    np.testing.assert_allclose(scale[1], np.prod(scale[[0, 2, 3]] ** (1 / 3)))  # the average of the others
    assert (
        np.abs(scaler.transform(values + 1)[:, 3]) == np.float32(1e15)
    ).all()  # of which float32 has the square


def test_a_node_that_is_nearly_always_the_same():
    values = np.zeros((40, 2, 1))
    values[7, 0], values[::2, 1] = 3e-200, 1e-200
    scale = NodeScaler("robust").fit(values).scale
    np.testing.assert_allclose(scale[:, 0], [np.std(values[:, 0] * 1e200) * 1e-200, 1e-200])


def test_target_features_are_inverted_with_their_own_statistics():
    values = holey(5)
    scaler = NodeScaler().fit(values)
    np.testing.assert_allclose(scaler.inverse(np.zeros((3, 4, 1)), [1])[0, :, 0], scaler.center[:, 1])


def test_unknown_method():
    with pytest.raises(ParameterError, match="'standart' is unknown"):
        NodeScaler("standart")
