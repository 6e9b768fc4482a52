"""Closed-form ridge regression over sliding windows, summed up piece by piece.

The matrix of all windows is never built: what the normal equations need of it is accumulated in float64.
Builds on numpy and scipy alone; used by `RidgeForecaster`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import scipy.linalg
from numpy.lib.stride_tricks import sliding_window_view

__all__ = ["carried", "solve_windows"]

_NUMBERS_AT_ONCE = 1_000_000  # of one piece of windows: 8 MB
_NUMBERS_OF_GRAMS = 8_000_000  # of the matrices kept at once for steps with missing targets: 64 MB


def carried(x: np.ndarray) -> np.ndarray:
    """Fill missing values along the last axis: the last observed one forward, the first one backward.

    Parameters
    ----------
    x : ndarray of shape (..., t)
        Values with NaN where missing.

    Returns
    -------
    ndarray of shape (..., t)
        Filled copy, or x itself if nothing is missing; rows without any observation stay NaN.
    """
    observed = ~np.isnan(x)
    if observed.all():
        return x
    place = np.where(observed, np.arange(x.shape[-1]), 0)
    source = np.maximum.accumulate(place, axis=-1)
    # Before the first observation the running maximum is still 0: point there at the first observation
    # instead.
    source = np.maximum(source, observed.argmax(axis=-1)[..., None])
    return np.take_along_axis(x, source, axis=-1)


def solve_windows(
    values: np.ndarray, nodes: Sequence[int], scale: np.ndarray, input_length: int, horizon: int, alpha: float
) -> tuple[np.ndarray, np.ndarray]:
    """Fit one linear map from look-back to future on the windows of some nodes.

    Parameters
    ----------
    values : ndarray of shape (t, n)
        Training rows of one feature, NaN where missing.
    nodes : sequence of int
        Columns whose windows are pooled.
    scale : ndarray of shape (n,)
        Unit of every node.
    input_length, horizon : int
        Length of look-back and future.
    alpha : float
        Penalty on the squares of all weights, intercept included; 0 gives the least-squares fit of smallest
        norm.

    Returns
    -------
    coef : ndarray of shape (input_length, horizon)
        Weights of the inputs less the last one, in units of `scale`; the last row is 0.
    intercept : ndarray of shape (horizon,)
        Drift from the last input.

    Notes
    -----
    Steps for which no window has both an observed input and an observed target get weights of 0: the last value.
    """
    gram = np.zeros((input_length, input_length))  # input_length - 1 differences and the intercept
    cross = np.zeros((input_length, horizon))
    counts = np.zeros(horizon, dtype=np.int64)
    for x, y, seen in _pieces(values, nodes, scale, input_length, horizon):
        gram += x.T @ x
        cross += x.T @ y
        counts += seen.sum(axis=0)
    if (counts == counts[0]).all() and counts[0] == gram[-1, -1]:  # the intercept column counts the windows
        weights = _solve(gram, cross, alpha)
    else:
        weights = np.empty_like(cross)
        block = max(1, _NUMBERS_OF_GRAMS // input_length**2)
        for first in range(0, horizon, block):
            steps = np.arange(first, min(first + block, horizon))
            lost = _grams_of_missing(values, nodes, scale, input_length, horizon, steps)
            for step, lost_gram in zip(steps, lost, strict=True):
                weights[:, step] = _solve(gram - lost_gram, cross[:, step], alpha)
    return np.vstack([weights[:-1], np.zeros((1, horizon))]), weights[-1]


def _pieces(
    values: np.ndarray, nodes: Sequence[int], scale: np.ndarray, input_length: int, horizon: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield inputs with a column of ones (w, t), targets (w, h; 0 where missing) and where they were observed."""
    length = input_length + horizon
    at_once = max(1, _NUMBERS_AT_ONCE // length)
    for node in nodes:
        windows = sliding_window_view(np.asarray(values[:, node], dtype=np.float64), length)
        for first in range(0, len(windows), at_once):
            piece = windows[first : first + at_once]
            x = carried(piece[:, :input_length])
            usable = ~np.isnan(x[:, -1])
            x, y = x[usable], piece[usable, input_length:]
            last = x[:, -1:]
            seen = ~np.isnan(y)
            x = np.hstack([(x[:, :-1] - last) / scale[node], np.ones((len(x), 1))])
            yield x, np.where(seen, (y - last) / scale[node], 0.0), seen


def _grams_of_missing(
    values: np.ndarray,
    nodes: Sequence[int],
    scale: np.ndarray,
    input_length: int,
    horizon: int,
    steps: np.ndarray,
) -> np.ndarray:
    """Sum up, for some steps of the horizon, the windows whose target is missing at that step: (steps, t, t)."""
    lost = np.zeros((len(steps), input_length, input_length))
    for x, _, seen in _pieces(values, nodes, scale, input_length, horizon):
        for position, step in enumerate(steps):
            rows = x[~seen[:, step]]
            lost[position] += rows.T @ rows
    return lost


def _solve(gram: np.ndarray, cross: np.ndarray, alpha: float) -> np.ndarray:
    """Solve ``(gram + alpha I) w = cross`` for one or several right-hand sides."""
    if alpha > 0:
        try:
            factor = scipy.linalg.cho_factor(gram + alpha * np.eye(len(gram)))
            return scipy.linalg.cho_solve(factor, cross)
        except np.linalg.LinAlgError:
            pass  # alpha is below the round-off of these sums: take the solution of smallest norm
    return np.linalg.lstsq(gram, cross, rcond=1e-12)[0]
