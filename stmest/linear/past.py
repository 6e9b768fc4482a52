"""What values of earlier days and weeks add to the linear forecast: one weight per step of the horizon, in closed form.

The weights are learnt from residuals out of fold, which say how far the forecast is off where it has not learnt. They are kept if
they lower the validation error. Builds on `cross_fit` and `data.history`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.linalg import solve

from ..data.history import History, choose_history
from ..data.panel import Panel
from ..data.splits import Split
from ..data.windows import Windows
from ..graphs import Graph
from ..metrics.significance import exceeds_noise
from .cross_fit import Folds, cross_fit
from .seasonal_mean import SeasonalProfile, less_season
from .window_ridge import WindowRidge

__all__ = ["learn_past"]

# Penalties to try, in parts of the mean square of the inputs
_PENALTIES = (0.01, 0.1, 1.0)
# The error must fall by so much, and beyond chance over so many blocks of `horizon` windows
_LEAST_GAIN, _CONFIDENCE, _LEAST_BLOCKS = 0.005, 0.99, 3
# Targets at most to learn from and to validate on, spread evenly; numbers in one batch
_MOST_TARGETS, _NUMBERS_AT_ONCE = 4_000_000, 2_000_000


def learn_past(
    panel: Panel,
    season: SeasonalProfile | None,
    linear: WindowRidge,
    target: Sequence[int],
    sizes: tuple[int, int],
    graph: Graph | None,
    split: Split,
    folds_wanted: bool,
) -> tuple[WindowRidge, tuple[str | int, ...], Folds | None]:
    """Let a linear forecast use values of earlier days and weeks, where that lowers its validation error.

    Parameters
    ----------
    panel, season, linear, target, sizes, graph, split
        As for `cross_fit`.
    folds_wanted : bool
        Whether to fit to blocks also where there is nothing to look up.

    Returns
    -------
    linear : WindowRidge
        With weights of the past; as it was where they do not lower the error by half a percent and beyond chance.
    kinds : tuple of str or int
        What is looked up, as `stmest.data.history.choose_history` names it; empty where nothing is.
    folds : Folds or None
        The fits to blocks, with the same weights of the past.
    """
    index = None if panel.index is None else panel.index[: split.cut]
    kinds = choose_history(index, season and season.cycle) if split.validates else ()
    if not kinds and not folds_wanted:
        return linear, (), None
    folds = cross_fit(panel, season, linear, target, sizes, graph, split)
    if folds is None or not kinds:
        return linear, (), folds
    parts = panel.parts or (panel,)
    history = History(kinds, [(part.index, part.n_times) for part in parts])
    windows = Windows(panel.values, *sizes, split.train[:0], target=target, history=history)
    past = _weights(windows, panel, season, linear, folds, split)
    if past is None:
        return linear, (), folds
    fits = [(other, replace(fit, past=past)) for other, fit in folds.fits]
    return replace(linear, past=past), kinds, replace(folds, fits=fits)


def _weights(
    windows: Windows,
    panel: Panel,
    season: SeasonalProfile | None,
    linear: WindowRidge,
    folds: Folds,
    split: Split,
) -> np.ndarray | None:
    """The weights that validate best, of shape (f, h, n_kinds); None where they do not pay."""
    grams = _grams(folds, windows, panel, split, linear)
    starts = _thinned(split.validation, windows)
    batches = list(_residuals(windows.of(less_season(panel, season)), starts, linear))
    before = _errors(batches, None)
    tried = [(weights, _errors(batches, weights)) for weights in (_solve(*grams, p) for p in _PENALTIES)]
    weights, after = min(tried, key=lambda pair: pair[1][0].sum())
    blocks = (starts - starts[0]) // windows.horizon
    return weights if _pays(before, after, blocks) else None


def _thinned(starts: np.ndarray, windows: Windows) -> np.ndarray:
    """Some of the windows, spread evenly, where there are many."""
    targets = len(starts) * windows.horizon * windows.values.shape[1] * len(windows.target)
    return starts[:: max(1, -(-targets // _MOST_TARGETS))]


def _residuals(windows: Windows, starts: np.ndarray, linear: WindowRidge) -> Any:
    """Residuals (b, h, n, f) of the linear forecast and past (b, h, n, f, k) less the means, batch by batch."""
    windows = windows.of(windows.values)
    windows.starts = starts
    k, looks = len(windows.target), len(windows.history or ())
    at_once = max(1, _NUMBERS_AT_ONCE // (windows.horizon * windows.values.shape[1] * k * looks))
    for first in range(0, len(starts), at_once):
        batch = windows.gather(slice(first, first + at_once))
        residual = batch.y - linear.forecast(batch.x[..., windows.target])
        yield residual, linear.past_inputs(batch.ahead[..., k:])  # type: ignore[index]


def _grams(
    folds: Folds, windows: Windows, panel: Panel, split: Split, linear: WindowRidge
) -> tuple[np.ndarray, np.ndarray]:
    """Normal equations of residuals out of fold: (f, h, k, k) and (f, h, k), each node in its own unit."""
    starts = _thinned(folds.inside(split.train, split.look_back + split.horizon), windows)
    block = folds.block_of(starts)
    gram: Any = 0.0
    cross: Any = 0.0
    for number, (season, fit) in enumerate(folds.fits):
        values = windows.of(less_season(panel, season))
        for residual, past in _residuals(values, starts[block == number], fit):
            seen = np.isfinite(residual)
            y = np.where(seen, residual, 0.0) / linear.scale
            x = np.where(seen[..., None], past, 0.0) / linear.scale[:, :, None]
            gram = gram + np.einsum("bhnfk,bhnfl->fhkl", x, x, optimize=True)
            cross = cross + np.einsum("bhnfk,bhnf->fhk", x, y, optimize=True)
    return gram, cross


def _solve(gram: np.ndarray, cross: np.ndarray, penalty: float) -> np.ndarray:
    """Weights of shape (f, h, k)."""
    n_inputs = gram.shape[-1]
    size = np.maximum(np.trace(gram, axis1=-2, axis2=-1) / n_inputs, 1e-12)
    ridge = penalty * size[..., None, None] * np.eye(n_inputs)
    return solve(gram + ridge, cross[..., None], assume_a="pos")[..., 0]


def _errors(batches: list[Any], weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Sum of absolute errors of every window, and how many targets were observed."""
    sums, counts = [], []
    for residual, past in batches:
        if weights is not None:
            residual = residual - np.einsum("bhnfk,fhk->bhnf", past, weights, optimize=True)
        seen = np.isfinite(residual)
        sums.append(np.where(seen, np.abs(residual), 0.0).sum((1, 2, 3)))
        counts.append(seen.sum((1, 2, 3)))
    return np.concatenate(sums), np.concatenate(counts)


def _pays(
    before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray], blocks: np.ndarray
) -> bool:
    """Whether errors fall clearly; `blocks` numbers the block of `horizon` time steps in which each window begins."""
    count = np.bincount(blocks, before[1])
    gain = np.bincount(blocks, before[0] - after[0])[count > 0]
    count = count[count > 0]
    if len(count) < _LEAST_BLOCKS or gain.sum() <= _LEAST_GAIN * before[0].sum():
        return False
    gain = gain / before[0].sum()  # squares of small numbers are 0
    return exceeds_noise(count, gain / count, _CONFIDENCE)
