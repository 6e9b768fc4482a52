"""Closed-form ridge regression on sliding windows, summed up in chunks.

The matrix of all windows is never built: its products, which the normal equations need, are accumulated in float64. Builds on
numpy and scipy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.linalg
from numpy.lib.stride_tricks import sliding_window_view

from ..data.windows import forward_filled

__all__ = ["Units", "joint_inputs", "own_drift", "solve_jointly", "solve_windows"]

_NUMBERS_AT_ONCE = 1_000_000  # of one chunk of windows: 8 MB
_NUMBERS_OF_GRAMS = 8_000_000  # of the matrices kept at once for steps with missing targets: 64 MB


@dataclass(frozen=True)
class Units:
    """Mean and standard deviation of every node.

    Attributes
    ----------
    mean, scale : ndarray of shape (n_nodes,)
        In the units of the data.
    """

    mean: np.ndarray
    scale: np.ndarray

    def centred(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (..., n, t) without missing values, and the last of them (..., n, 1); a node without any gets its mean."""
        filled = forward_filled(x, -1, backward=True)
        filled = np.where(np.isnan(filled), self.mean[:, None], filled)
        return filled, filled[..., -1:]


def solve_windows(
    values: np.ndarray,
    feature: int,
    nodes: Sequence[int],
    units: Units,
    input_length: int,
    horizon: int,
    alphas: Sequence[float],
    beside: np.ndarray | None = None,
    starts: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Fit one linear map from look-back to future on the windows of some nodes.

    Parameters
    ----------
    values : ndarray of shape (t, n, f)
        Training data, NaN where missing.
    feature : int
        Which feature.
    nodes : sequence of int
        Columns whose windows are pooled.
    units : Units
        Mean and unit of every node.
    input_length, horizon : int
        Length of look-back and future.
    alphas : sequence of float
        Penalties on the squares of all weights, intercept included; 0 gives the least-squares fit of smallest norm.
    beside : ndarray of shape (t, n), optional
        A second series for every node, in standard deviations: the mean of its neighbours. It becomes input as well.
    starts : ndarray of int, optional
        First time steps of the windows; default all that fit.

    Returns
    -------
    list of ndarray of shape (input_length, horizon) or (2 * input_length, horizon)
        For each penalty: weights of the inputs less the last one, in units of the node; those of `beside` less the same;
        last the drift from the last input.

    Notes
    -----
    Steps for which no window has both an observed input and an observed target get weights of 0: the last value.
    """
    width = input_length * (1 if beside is None else 2)
    gram = np.zeros((width, width))  # differences, neighbours, intercept
    cross = np.zeros((width, horizon))
    counts = np.zeros(horizon, dtype=np.int64)
    if starts is None:
        starts = np.arange(len(values) - input_length - horizon + 1)
    chunks = partial(_chunks, values, feature, nodes, units, input_length, horizon, beside, starts)
    for x, y, seen in chunks():
        gram += x.T @ x
        cross += x.T @ y
        counts += seen.sum(axis=0)
    if (counts == counts[0]).all() and counts[0] == gram[-1, -1]:  # the intercept column counts the windows
        return [_solve(gram, cross, alpha) for alpha in alphas]
    solved = [np.empty_like(cross) for _ in alphas]
    block = max(1, _NUMBERS_OF_GRAMS // width**2)
    for first in range(0, horizon, block):
        steps = np.arange(first, min(first + block, horizon))
        for step, lost_gram in zip(steps, _grams_of_missing(chunks, steps, width), strict=True):
            for weights, alpha in zip(solved, alphas, strict=True):
                weights[:, step] = _solve(gram - lost_gram, cross[:, step], alpha)
    return solved


def solve_jointly(
    values: np.ndarray,
    feature: int,
    units: Units,
    own: np.ndarray,
    horizon: int,
    penalties: Sequence[tuple[float, int]],
    starts: np.ndarray | None = None,
    from_mean: bool = False,
) -> Iterator[np.ndarray]:
    """Fit linear maps from the last time steps of all nodes to the residual of the forecast from each node's own past.

    Parameters
    ----------
    values : ndarray of shape (t, n, f)
        Training data, NaN where missing.
    feature : int
        Which feature.
    units : Units
        Mean and unit of every node.
    own : ndarray of shape (input_length, horizon)
        Weights by `solve_windows`. A large penalty leads to their forecast.
    horizon : int
        Length of the future.
    penalties : sequence of (float, int)
        Penalty and number of last time steps, one map each.
    starts : ndarray of int, optional
        First time steps of the windows, ascending; default all that fit.
    from_mean : bool, default=False
        A large penalty leads to the mean of each node instead, whatever `own` is.

    Yields
    ------
    ndarray of shape (length * n, n * horizon), float32
        For each penalty: weights of the standardised inputs, time step by time step. Their products are added to the
        drift by `own`.

    Notes
    -----
    Where a target is missing, its residual counts as 0. So all nodes and steps share one matrix.
    """
    n, most = values.shape[1], max(length for _, length in penalties)
    gram, cross = np.zeros((most * n,) * 2), np.zeros((most * n, n * horizon))
    window = len(own) + horizon
    at_once = max(1, _NUMBERS_AT_ONCE // (window * n))
    if starts is None:
        starts = np.arange(len(values) - window + 1)
    for first in range(0, len(starts), at_once):
        inside = starts[first : first + at_once]
        series = np.asarray(values[inside[0] : inside[-1] + window, :, feature], dtype=np.float64)
        chunk = sliding_window_view(series, window, axis=0)[inside - inside[0]]  # (w, n, t + h)
        x, last = units.centred(chunk[..., : len(own)])
        if from_mean:
            start = np.broadcast_to(units.mean[:, None], last.shape)
        else:
            start = last + units.scale[:, None] * own_drift(x, units, last, own)
        residuals = np.nan_to_num((chunk[..., len(own) :] - start) / units.scale[:, None])
        x = joint_inputs(x, units, most)
        gram += x.T @ x
        cross += x.T @ residuals.reshape(len(chunk), -1)
    for alpha, length in penalties:
        inner = slice((most - length) * n, None)  # the last time steps come last
        weights = _solve(gram[inner, inner], cross[inner], alpha)
        if from_mean:
            # back from the last value to the mean
            weights[-n:].reshape(n, n, horizon)[range(n), range(n)] -= 1.0
        yield weights.astype(np.float32)


def own_drift(x: np.ndarray, units: Units, last: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Drift from the last input, of every node by its own look-back.

    Parameters
    ----------
    x : ndarray of shape (..., n, t)
        Inputs without missing values.
    units : Units
        Mean and unit of every node.
    last : ndarray of shape (..., n, 1)
        Last inputs.
    weights : ndarray of shape (t, h) or (n, t, h)
        As `solve_windows` returns them, for all nodes or for each.

    Returns
    -------
    ndarray of shape (..., n, h)
        In units of the node.
    """
    scaled = (x[..., :-1] - last) / units.scale[:, None]
    if weights.ndim == 2:
        return scaled @ weights[:-1] + weights[-1]
    return np.einsum("...nt,nth->...nh", scaled, weights[:, :-1], optimize=True) + weights[:, -1]


def joint_inputs(x: np.ndarray, units: Units, length: int) -> np.ndarray:
    """Standardised last time steps of all nodes.

    Parameters
    ----------
    x : ndarray of shape (w, n, t)
        Inputs without missing values.
    units : Units
        Mean and unit of every node.
    length : int
        Time steps to keep.

    Returns
    -------
    ndarray of shape (w, length * n)
        Time step by time step.
    """
    scaled = (x[..., x.shape[-1] - length :] - units.mean[:, None]) / units.scale[:, None]
    return scaled.transpose(0, 2, 1).reshape(len(x), -1)


def _chunks(
    values: np.ndarray,
    feature: int,
    nodes: Sequence[int],
    units: Units,
    input_length: int,
    horizon: int,
    beside: np.ndarray | None,
    starts: np.ndarray,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield inputs with a column of ones (w, t), targets (w, h; 0 where missing) and where they were observed."""
    length = input_length + horizon
    at_once = max(1, _NUMBERS_AT_ONCE // length)
    for node in nodes:
        windows = sliding_window_view(np.asarray(values[:, node, feature], dtype=np.float64), length)
        for first in range(0, len(starts), at_once):
            some = starts[first : first + at_once]
            chunk = windows[some]
            x = forward_filled(chunk[:, :input_length], -1, backward=True)
            usable = ~np.isnan(x[:, -1])
            x, y = x[usable], chunk[usable, input_length:]
            last, scale = x[:, -1:], units.scale[node]
            seen = ~np.isnan(y)
            columns = [(x[:, :-1] - last) / scale, np.ones((len(x), 1))]
            if beside is not None:
                near = sliding_window_view(beside[:, node], input_length)[some]
                columns.insert(1, near[usable] - (last - units.mean[node]) / scale)
            yield np.hstack(columns), np.where(seen, (y - last) / scale, 0.0), seen


def _grams_of_missing(chunks: Callable[[], Any], steps: np.ndarray, width: int) -> np.ndarray:
    """Sum up, for some steps of the horizon, the windows whose target is missing at that step: (steps, t, t)."""
    lost = np.zeros((len(steps), width, width))
    for x, _, seen in chunks():
        for position, step in enumerate(steps):
            unseen = x[~seen[:, step]]
            lost[position] += unseen.T @ unseen
    return lost


def _solve(gram: np.ndarray, cross: np.ndarray, alpha: float) -> np.ndarray:
    """Solve ``(gram + alpha I) w = cross`` for one or several right-hand sides."""
    if alpha > 0:
        try:
            # in this order it is factored in place: one copy of a large matrix, not three
            shifted = np.array(gram, order="F")
            shifted.flat[:: len(gram) + 1] += alpha
            factor = scipy.linalg.cho_factor(shifted, overwrite_a=True, check_finite=False)
            return scipy.linalg.cho_solve(factor, cross, check_finite=False)
        except np.linalg.LinAlgError:
            pass  # alpha is below the round-off of these sums: take the solution of smallest norm
    return np.linalg.lstsq(gram, cross, rcond=1e-12)[0]
