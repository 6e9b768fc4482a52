"""Structural similarity and peak signal-to-noise ratio: equal to scikit-image's, with missing values, with stated ranges."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from stmest.exceptions import DataError, ParameterError
from stmest.metrics.images import psnr, ssim
from stmest.metrics.point import horizon_errors, mse


@pytest.fixture
def fields():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(2, 3, 16, 20)).cumsum(2).cumsum(3)
    return truth, truth + rng.normal(size=truth.shape) * 3


def test_the_numbers_of_scikit_image(fields):
    """From scikit-image 0.26: structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)."""
    truth, forecast = fields
    peak = float(truth.max() - truth.min())
    assert ssim(truth, forecast, peak) == pytest.approx(0.7133213177400505, rel=1e-9)
    assert ssim(truth + 300, forecast + 300, peak) == pytest.approx(0.7356782331828873, rel=1e-6)
    assert psnr(truth, forecast, peak) == pytest.approx(28.011761676814572, rel=1e-9)


def test_features_count_like_fields(fields):
    truth, forecast = fields
    both = [np.stack([part, part], axis=-1) for part in fields]
    assert ssim(*both, 75.0) == pytest.approx(ssim(truth, forecast, 75.0))


def test_perfect_forecasts(fields):
    assert ssim(fields[0], fields[0], 75.0) == pytest.approx(1.0)
    assert psnr(fields[0], fields[0], 75.0) == np.inf


def test_the_range_matters_and_must_be_stated(fields):
    assert ssim(*fields, 150.0) > ssim(*fields, 75.0)
    assert psnr(*fields, 150.0) == pytest.approx(psnr(*fields, 75.0) + 20 * np.log10(2))
    for wrong in (0, -1.0, None, np.inf):
        with pytest.raises(ParameterError, match="range of the data"):
            ssim(*fields, wrong)


def test_the_unit_of_the_field_does_not_matter(fields):
    truth, forecast = fields
    expected = psnr(truth, forecast, data_range=2.0)
    assert psnr(truth * 1e-200, forecast * 1e-200, data_range=2e-200) == pytest.approx(expected)


def test_missing_cells_do_not_count(fields):
    truth, forecast = fields
    incomplete = truth.copy()
    incomplete[0, 1, :, 14:] = np.nan  # windows over the first 14 columns see none of these
    alone = [ssim(truth[i : i + 1, [j]], forecast[i : i + 1, [j]], 75.0) for i in range(2) for j in range(3)]
    part = ssim(truth[:1, [1], :, :14], forecast[:1, [1], :, :14], 75.0)
    n_whole, n_part = 6 * 10, 6 * 4
    expected = (sum(alone[:1] + alone[2:]) * n_whole + part * n_part) / (5 * n_whole + n_part)
    assert ssim(incomplete, forecast, 75.0) == pytest.approx(expected)
    broken = forecast.copy()
    broken[0, 0, 8, 8] = np.nan
    assert np.isnan(ssim(truth, broken, 75.0))
    assert np.isnan(psnr(truth, broken, 75.0))
    assert np.isnan(ssim(np.full_like(truth, np.nan), forecast, 75.0))


def test_errors_against_the_step_of_a_rollout(fields):
    truth, forecast = fields
    by_step = horizon_errors(truth, forecast, "mse")
    np.testing.assert_allclose(by_step, ((truth - forecast) ** 2).mean(axis=(0, 2, 3)))
    assert mse(truth, forecast) == pytest.approx(by_step.mean())
    similar = horizon_errors(truth, forecast, partial(ssim, data_range=75.0))
    assert similar.mean() == pytest.approx(ssim(truth, forecast, 75.0))


def test_what_is_no_field(fields):
    with pytest.raises(DataError, match="at least 11 x 11"):
        ssim(fields[0][:, :, :8], fields[1][:, :, :8], 75.0)
    with pytest.raises(DataError, match="needed"):
        ssim(fields[0][0], fields[1][0], 75.0)
    with pytest.raises(DataError, match="equal"):
        psnr(fields[0], fields[1][:1], 75.0)
