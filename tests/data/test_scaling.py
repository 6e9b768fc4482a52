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
    assert scaler.scale[0] == 1.0
    assert np.isfinite(scaler.center).all()
    assert np.isfinite(scaler.scale).all()
    assert scaler.center[1] == pytest.approx((scaler.center[0] + scaler.center[2]) / 2)


def test_target_features_are_inverted_with_their_own_statistics():
    values = holey(5)
    scaler = NodeScaler().fit(values)
    np.testing.assert_allclose(scaler.inverse(np.zeros((3, 4, 1)), [1])[0, :, 0], scaler.center[:, 1])


def test_unknown_method():
    with pytest.raises(ParameterError, match="'standart' is unknown"):
        NodeScaler("standart")
