"""Cross-fitting: what a window is forecast by has not seen it, and is the fit to all others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stmest.data.containers import as_panel
from stmest.data.splits import Split
from stmest.linear.cross_fit import N_FOLDS, cross_fit
from stmest.linear.seasonal_mean import SeasonalProfile, less_season
from stmest.linear.window_ridge import fit_ensemble

SIZES, LENGTH = (4, 2), 6
SPEC = [(0.5, "global", 1.0, 0), (0.5, "joint", 10.0, 3)]


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    values = np.sin(np.arange(240)[:, None] / 4 + np.arange(3)) + 0.3 * rng.normal(size=(240, 3)).cumsum(0)
    return pd.DataFrame(values, index=pd.date_range("2024-01-01", periods=240, freq="h"))


def folds_of(X):
    panel, split = as_panel(X), Split.of(np.array([0, len(X)]), *SIZES)
    values, index = panel.values[: split.cut], panel.index[: split.cut]
    season = SeasonalProfile("time_of_day").fit(values, index)
    linear = fit_ensemble(SPEC, less_season(panel, season)[: split.cut], [0], *SIZES, starts=split.train)
    return cross_fit(panel, season, linear, [0], SIZES, None, split), split


def test_no_block_is_seen_by_its_own_fit_and_all_others_are(X):
    folds, split = folds_of(X)
    assert list(folds.bounds[[0, -1]]) == [0, split.cut]
    for number in range(N_FOLDS):
        first, last = folds.bounds[number : number + 2]
        spoilt = X.copy()
        spoilt.iloc[first:last] += 1000 * np.random.default_rng(1).normal(size=(last - first, 3))
        changed, _ = folds_of(spoilt)
        for other in range(N_FOLDS):
            (season, linear), (new_season, new_linear) = folds.fits[other], changed.fits[other]
            assert np.array_equal(season.table, new_season.table) == (other == number)
            if other == number:  # mean and standard deviation of the data are those of all blocks
                np.testing.assert_array_equal(season.table, new_season.table)
            else:
                assert not np.allclose(linear.weights, new_linear.weights, rtol=1e-3)


def test_windows_across_a_border_belong_to_no_block(X):
    folds, split = folds_of(X)
    inside = folds.inside(split.train, LENGTH)
    assert len(split.train) - len(inside) == (N_FOLDS - 1) * (LENGTH - 1)
    assert (folds.block_of(inside) == folds.block_of(inside + LENGTH - 1)).all()


def test_series_that_are_too_short_are_not_cut(X):
    assert folds_of(X.iloc[: 12 * N_FOLDS])[0] is None


def test_residuals_out_of_fold_are_as_large_as_those_of_new_data():
    """A joint ridge without penalty fits noise: its residuals on what it learnt from are far too small."""
    X = as_panel(np.random.default_rng(2).normal(size=(300, 10)))
    split = Split.of(np.array([0, 300]), *SIZES)
    overfitted = [(1.0, "joint", 1e-6, 4)]
    linear = fit_ensemble(overfitted, X.values[: split.cut], range(1), *SIZES, starts=split.train)
    folds = cross_fit(X, None, linear, range(1), SIZES, None, split)
    starts = folds.inside(split.train, LENGTH)

    def error(fit, starts):
        steps = starts[:, None] + np.arange(LENGTH)
        x, y = X.values[steps[:, :4]], X.values[steps[:, 4:]]
        return np.abs(fit.forecast(x) - y).mean()

    seen = error(linear, starts)
    unseen = error(linear, split.validation)
    blocks = [starts[folds.block_of(starts) == number] for number in range(N_FOLDS)]
    out_of_fold = np.mean([error(fit, block) for (_, fit), block in zip(folds.fits, blocks, strict=True)])
    assert seen < 0.93 * unseen
    assert out_of_fold == pytest.approx(unseen, rel=0.1)
