"""Diebold-Mariano and Holm: known values, other implementations, and how often they raise a false alarm."""

from __future__ import annotations

import numpy as np
import pytest

from stmest import DataError, ParameterError
from stmest.evaluation import blocked_diebold_mariano, diebold_mariano, holm

FIRST = [3.1, 2.4, 4.0, 2.2, 3.9, 2.8, 3.3, 4.1, 2.9, 3.0, 3.7, 2.5]
SECOND = [2.9, 2.9, 4.4, 2.0, 4.6, 3.5, 3.2, 4.9, 3.5, 2.8, 4.4, 3.1]


@pytest.mark.parametrize(
    ("horizon", "statistic", "p_value"),
    [
        (1, -3.044020240654212, 0.01116612300372787),
        (3, -4.914746377258671, 0.00046069018316995304),
        (4, -3.3984161365782986, 0.005945734253690808),
    ],
)
def test_known_values(horizon, statistic, p_value):
    """Those of dieboldmariano 1.1.0 (variance_estimator="bartlett", harvey_correction=True)."""
    result = diebold_mariano(FIRST, SECOND, horizon)
    assert result.statistic == pytest.approx(statistic, rel=1e-9)
    assert result.p_value == pytest.approx(p_value, rel=1e-9)
    assert result.mean_difference == pytest.approx(-0.43 / 1.2, rel=1e-9)
    assert result.n_origins == 12


@pytest.mark.parametrize("horizon", [1, 2, 12])
def test_it_is_a_regression_on_a_constant_with_hac_errors_and_the_small_sample_factor(horizon):
    api = pytest.importorskip("statsmodels.api")
    difference = np.convolve(np.random.default_rng(0).normal(size=211), np.ones(horizon), "valid") + 0.3
    hac = {"maxlags": horizon - 1, "use_correction": False}
    fit = api.OLS(difference, np.ones(len(difference))).fit(cov_type="HAC", cov_kwds=hac)
    n = len(difference)
    factor = np.sqrt((n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n)
    result = diebold_mariano(difference, np.zeros(n), horizon)
    assert result.statistic == pytest.approx(float(fit.tvalues[0]) * factor, rel=1e-9)


def test_swapping_the_forecasters_turns_the_sign():
    there, back = diebold_mariano(FIRST, SECOND, 3), diebold_mariano(SECOND, FIRST, 3)
    assert back.statistic == -there.statistic
    assert back.p_value == there.p_value


def test_the_unit_of_the_losses_does_not_matter():
    scaled = diebold_mariano(1000 * np.array(FIRST), 1000 * np.array(SECOND), 3)
    assert scaled.statistic == pytest.approx(diebold_mariano(FIRST, SECOND, 3).statistic, rel=1e-9)


@pytest.mark.parametrize("factor", [1e-300, 1e-170, 1e15])
def test_nor_does_their_scale(factor):
    first, second = np.random.default_rng(3).random((2, 60))
    plain, scaled = (diebold_mariano(first * f, second * f, horizon=3) for f in (1.0, factor))
    assert scaled.statistic == pytest.approx(plain.statistic)
    assert scaled.mean_difference == pytest.approx(plain.mean_difference * factor, rel=1e-12, abs=0)


def test_overlapping_windows_raise_few_false_alarms():
    """Equal forecasters whose windows overlap by 5 of 6 steps: taken for independent, a third would be called different."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(400, 305))
    differences = np.stack([np.convolve(row, np.ones(6) / 6, "valid") for row in noise])
    zeros = np.zeros(differences.shape[1])
    alarms = [diebold_mariano(d, zeros, 6).p_value < 0.05 for d in differences]
    naive = [diebold_mariano(d, zeros, 1).p_value < 0.05 for d in differences]
    assert np.mean(alarms) < 0.15
    assert np.mean(naive) > 0.3


def test_origins_without_a_loss_are_left_out():
    incomplete = np.array([*FIRST, np.nan])
    assert diebold_mariano(incomplete, [*SECOND, 1.0], 3) == diebold_mariano(FIRST, SECOND, 3)


def test_equal_losses_and_equal_differences():
    assert diebold_mariano(FIRST, FIRST, 3)[:3] == (0.0, 1.0, 0.0)
    ones = np.ones(8)
    assert diebold_mariano(ones, 3 * ones, 3)[:3] == (-np.inf, 0.0, -2.0)


@pytest.mark.parametrize("losses", [(FIRST, SECOND[:-1]), ([FIRST], [SECOND]), (FIRST[:3], SECOND[:3])])
def test_losses_that_cannot_be_compared(losses):
    with pytest.raises(DataError, match="needed"):
        diebold_mariano(*losses, 3)


def test_wrong_horizon():
    with pytest.raises(ParameterError, match="horizon=0"):
        diebold_mariano(FIRST, SECOND, 0)


def test_holm_by_hand():
    """Smallest times 4, next times 3 and so on, never falling, never above 1."""
    np.testing.assert_allclose(holm([0.01, 0.9, 0.02, 0.015]), [0.04, 0.9, 0.045, 0.045])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


@pytest.mark.parametrize("seed", range(3))
def test_holm_equals_statsmodels(seed):
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = np.random.default_rng(seed).random(17) ** 3
    np.testing.assert_allclose(holm(p), multitest.multipletests(p, method="holm")[1], rtol=1e-12)


@pytest.mark.parametrize("p", [[0.1, 1.2], [[0.1]], [float("nan")]])
def test_wrong_p_values(p):
    with pytest.raises(DataError, match="between 0 and 1"):
        holm(p)


def test_blocks_are_means_of_neighbouring_origins_with_known_losses():
    rng = np.random.default_rng(3)
    losses, rival = rng.random(250), rng.random(250)
    losses[10:16] = np.nan
    rival[30] = np.nan
    found = blocked_diebold_mariano(losses, rival, block=6)
    gap = (losses - rival)[:246].reshape(41, 6)
    means = np.array([np.nanmean(part) for part in gap if not np.isnan(part).all()])
    by_hand = diebold_mariano(means, np.zeros(len(means)), horizon=4)
    assert found.n_origins == len(means) == 41
    assert found.p_value == pytest.approx(by_hand.p_value)
    assert found.mean_difference == pytest.approx(by_hand.mean_difference)


def test_blocks_call_fewer_long_correlated_differences_significant():
    rng = np.random.default_rng(5)
    alarms = np.zeros(2)
    for _ in range(40):
        gap = np.zeros(700)
        for t in range(1, 700):
            gap[t] = 0.95 * gap[t - 1] + rng.normal()
        alarms += [
            blocked_diebold_mariano(gap, np.zeros(700), block=48).p_value < 0.05,
            diebold_mariano(gap, np.zeros(700), horizon=12).p_value < 0.05,
        ]
    assert alarms[0] <= 8
    assert alarms[0] < 0.7 * alarms[1]


def test_too_few_blocks_and_wrong_blocks_are_errors():
    losses = np.arange(20.0)
    with pytest.raises(DataError, match="20 origins make 4 blocks of 5"):
        blocked_diebold_mariano(losses, losses + 1, block=5)
    with pytest.raises(ParameterError, match="block=0"):
        blocked_diebold_mariano(losses, losses, block=0)
    with pytest.raises(DataError, match="same"):
        blocked_diebold_mariano(losses, losses[1:], block=2)
