"""A node that reports nothing is taken to go with the others, as far as it did in training."""

from __future__ import annotations

import numpy as np
import pytest

from stmest import RidgeForecaster
from stmest.linear.silent_nodes import fill_silent, shares_of_others
from stmest.linear.window_ridge import fit_ridges


def _follower_and_loner(n_times=600):
    """Nodes 0 to 3 share a slow random walk, node 2 with twice its swing; node 4 goes its own way."""
    rng = np.random.default_rng(0)
    common, alone = (np.zeros(n_times) for _ in range(2))
    for t in range(1, n_times):
        common[t], alone[t] = 0.95 * np.array([common[t - 1], alone[t - 1]]) + rng.normal(size=2)
    noise = 0.05 * rng.normal(size=(n_times, 5))
    return np.stack([common, 10 + common, 2 * common, common - 5, alone], axis=1) + noise


def test_shares_tell_who_goes_with_the_others():
    values = _follower_and_loner()[..., None]
    shares = shares_of_others(values, [0], values.mean(0), values.std(0))
    assert shares.shape == (5, 1)
    assert shares[:4].min() > 0.8
    assert abs(shares[4, 0]) < 0.35


def test_shares_do_not_depend_on_how_much_is_read_at_once(monkeypatch):
    from stmest.data import chunks

    values = _follower_and_loner()[..., None]
    values[::7, 1] = np.nan
    center, scale = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    whole = shares_of_others(values, [0], center, scale)
    monkeypatch.setattr(chunks, "NUMBERS_AT_ONCE", 50)
    np.testing.assert_allclose(shares_of_others(values, [0], center, scale), whole, rtol=1e-12)


def test_nodes_never_seen_together_have_no_share():
    values = np.full((10, 2, 1), np.nan)
    values[:5, 0] = values[5:, 1] = 1.0
    assert shares_of_others(values, [0], np.ones((2, 1)), np.ones((2, 1))).tolist() == [[0.0], [0.0]]


def test_silent_nodes_alone_are_filled():
    x = np.zeros((2, 3, 2, 1))
    x[0, :, 1] = np.nan  # silent
    x[0, :, 0, 0] = [1.0, np.nan, 3.0]
    x[1, 0, 1] = np.nan  # a gap only
    filled = fill_silent(x, np.array([[0.0], [10.0]]), np.array([[1.0], [4.0]]), np.array([[1.0], [0.5]]))
    np.testing.assert_array_equal(filled[0, :, 1, 0], [12.0, np.nan, 16.0])
    np.testing.assert_array_equal(filled[1], x[1])
    np.testing.assert_array_equal(filled[0, :, 0], x[0, :, 0])
    whole = np.ones((1, 3, 2, 1))
    assert fill_silent(whole, np.zeros((2, 1)), np.ones((2, 1)), np.ones((2, 1))) is whole


@pytest.mark.parametrize("neighbours", [None, "blend"])
def test_a_sensor_that_fails_is_forecast_from_the_others_and_harms_them_little(neighbours):
    values = _follower_and_loner()
    model = RidgeForecaster(input_length=12, horizon=3, neighbours=neighbours).fit(values[:450])
    failed = values[450:].copy()
    failed[:, 2] = np.nan
    truth, whole = model.predict_windows(values[450:])
    forecast = model.predict_windows(failed)[1]
    error, of_whole = (np.abs(y - truth).mean(axis=(0, 1)) for y in (forecast, whole))
    at_its_mean = np.abs(truth - values[:450].mean(0)).mean(axis=(0, 1))
    assert error[2] < 0.6 * at_its_mean[2]
    np.testing.assert_array_less(error[[0, 1, 3, 4]], 1.15 * of_whole[[0, 1, 3, 4]])


def test_forecasts_without_shares_are_those_of_earlier_files():
    values = _follower_and_loner()[..., None]
    (ridge,) = fit_ridges(values, [0], 12, 3, "global", [(1.0, 0)])
    x = values[None, :12].copy()
    with_shares = ridge.forecast(x)
    x[:, :, 2] = np.nan
    ridge.shares = None
    np.testing.assert_allclose(ridge.forecast(x)[0, :, 2, 0], ridge.mean[2, 0], atol=0.05)
    np.testing.assert_array_equal(ridge.forecast(x)[:, :, :2], with_shares[:, :, :2])
