"""Errors of rolling forecasts, in the units of the data.

All of them pool windows, nodes and steps: one mean over everything that was observed, and one square root at its end
(averaging the root errors of batches gives less than the true one). A target that is NaN was not observed and does not
count; a forecast that is NaN where the target was observed makes the error NaN, so that it cannot hide. Where no target
was observed at all, the error is NaN. Builds on numpy; used by
`score`, by the report and by `evaluation.scorer`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from ..data.moments import binary_unit, deviations
from ..exceptions import DataError, ParameterError

__all__ = [
    "horizon_errors", "mae", "mase", "mse", "named_metric", "origin_errors", "paired", "r2", "rmse",
    "scaled_errors", "weighted_r2",
]  # fmt: skip


def mae(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean absolute error, pooled over windows, nodes and steps.

    Parameters
    ----------
    y_true, y_pred : array-like of equal shape, usually (n_windows, horizon, n_nodes[, n_features])
        Observed values, NaN where missing, and their forecasts.

    Returns
    -------
    float
        In the units of the data; NaN where nothing was observed.

    Examples
    --------
    >>> mae([1.0, 2.0, float("nan")], [2.0, 2.0, 7.0])
    0.5
    """
    return _mean(np.abs(_observed_errors(y_true, y_pred)))


def rmse(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Root mean square error, pooled over windows, nodes and steps, with one square root at the end.

    Parameters
    ----------
    y_true, y_pred : array-like of equal shape, usually (n_windows, horizon, n_nodes[, n_features])
        Observed values, NaN where missing, and their forecasts.

    Returns
    -------
    float
        In the units of the data; NaN where nothing was observed.

    Examples
    --------
    >>> rmse([0.0, 0.0], [1.0, 7.0])
    5.0
    """
    errors = _observed_errors(y_true, y_pred)
    unit = binary_unit(errors)  # squares of small numbers are 0
    return unit * float(np.sqrt(_mean((errors / unit) ** 2)))


def mse(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean square error, pooled over windows, nodes and steps.

    Parameters
    ----------
    y_true, y_pred : array-like of equal shape, usually (n_windows, horizon, n_nodes[, n_features])
        Observed values, NaN where missing, and their forecasts.

    Returns
    -------
    float
        In the squared units of the data; NaN where nothing was observed.
    """
    return _mean(_observed_errors(y_true, y_pred) ** 2)


def mase(y_true: ArrayLike, y_pred: ArrayLike, y_train: ArrayLike, season: int = 1) -> float:
    """Mean absolute scaled error: every node's error over that of a seasonal naive forecast of its training data.

    A node's scale is the mean of ``|y_train[t] - y_train[t - season]|`` over all pairs of which both are observed. The
    ratio is taken per node (and feature) and then averaged over nodes, each counting the same, so that a few nodes with
    large values do not decide alone. Nodes without a scale (constant, or never observed twice a season apart) and
    nodes without an observed target are left out.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_windows, horizon, n_nodes[, n_features])
        Observed values, NaN where missing, and their forecasts.
    y_train : array-like of shape (n_times, n_nodes[, n_features])
        Training data, NaN where missing.
    season : int, default=1
        Time steps per season; 1 scales by the step-to-step change.

    Returns
    -------
    float
        Without unit; below 1 is better than the seasonal naive forecast was on the training data, one season ahead.
        NaN where no node is left.

    Raises
    ------
    DataError
        If the shapes do not agree.
    ParameterError
        If `season` is no positive integer below the number of training time steps.

    Examples
    --------
    >>> import numpy as np
    >>> rise = np.arange(6.0)[:, None]
    >>> mase(y_true=[[[6.0], [7.0]]], y_pred=[[[5.0], [5.0]]], y_train=rise, season=1)
    1.5
    """
    ratios = scaled_errors(y_true, y_pred, y_train, season)
    ratio = _mean(ratios[~np.isnan(ratios)])
    return ratio if np.isfinite(ratio) else float("nan")


def scaled_errors(y_true: ArrayLike, y_pred: ArrayLike, y_train: ArrayLike, season: int = 1) -> np.ndarray:
    """Mean absolute scaled error of each node by itself; `mase` is the mean of these.

    Parameters
    ----------
    y_true, y_pred, y_train, season
        As for `mase`.

    Returns
    -------
    ndarray of shape (n_nodes[, n_features])
        Without unit; NaN for nodes without a scale or an observed target, infinite where a forecast is NaN.

    Raises
    ------
    DataError
        If the shapes do not agree.
    ParameterError
        If `season` is no positive integer below the number of training time steps.

    Examples
    --------
    >>> import numpy as np
    >>> rise = np.arange(6.0)[:, None] * [1, 2]
    >>> scaled_errors(y_true=[[[6.0, 12.0]]], y_pred=[[[5.0, 11.0]]], y_train=rise).tolist()
    [1.0, 0.5]
    """
    truth, forecast = paired(y_true, y_pred)
    train = np.asarray(y_train, dtype=np.float64)
    if truth.ndim < 3 or train.shape[1:] != truth.shape[2:]:
        raise DataError(
            f"y_true has shape {truth.shape} and y_train {train.shape}; needed: (n_windows, horizon, n_nodes[, "
            "n_features]) and (n_times, n_nodes[, n_features])."
        )
    if not isinstance(season, (int, np.integer)) or not 1 <= season < len(train):
        raise ParameterError(
            f"season={season!r}; needed: an integer from 1 to {len(train) - 1}, the number of training time steps less one."
        )
    scale = _column_mean(np.abs(train[season:] - train[:-season]).reshape(len(train) - season, -1))
    errors = np.where(np.isnan(truth), np.nan, np.abs(truth - forecast))
    # A forecast of NaN must not pass for a missing target.
    errors[np.isnan(forecast) & ~np.isnan(truth)] = np.inf
    errors = _column_mean(errors.reshape(-1, scale.size))
    counted = np.isfinite(scale) & (scale > 0)
    ratios = np.divide(errors, scale, out=np.full(scale.shape, np.nan), where=counted)
    return ratios.reshape(truth.shape[2:])


def r2(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Coefficient of determination, averaged over nodes with their variance as weight.

    Equals `sklearn.metrics.r2_score(multioutput="variance_weighted")` over (windows x steps, nodes) where nothing is
    missing: one minus the squared errors over the squared deviations from each node's mean, both summed over nodes.
    A constant node has no variance and so no weight.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_windows, horizon, n_nodes[, n_features])
        Observed values, NaN where missing, and their forecasts.

    Returns
    -------
    float
        1 is perfect, 0 as good as each node's mean over the targets; NaN where nothing varies or was observed.
    """
    return weighted_r2(*paired(y_true, y_pred))


def horizon_errors(
    y_true: ArrayLike, y_pred: ArrayLike, metric: str | Callable[..., float] = "mae"
) -> np.ndarray:
    """Error of each forecast step by itself, also of each step of a rollout.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_windows, horizon, n_nodes[, n_features]) or (n_windows, horizon, n_y, n_x)
        Observed values, NaN where missing, and their forecasts.
    metric : {"mae", "mse", "rmse", "r2"} or callable, default="mae"
        Which error, pooled over windows and nodes; or a function of truth and forecasts of one step, such as
        ``functools.partial(stmest.metrics.images.ssim, data_range=3.5)``.

    Returns
    -------
    ndarray of shape (horizon,)
        Entry i is the error i + 1 steps ahead.

    Raises
    ------
    DataError
        If the shapes differ or have no axis for the steps.
    ParameterError
        If the metric is not known.

    Examples
    --------
    >>> horizon_errors([[[1.0], [2.0]]], [[[1.0], [5.0]]]).tolist()
    [0.0, 3.0]
    """
    measure = metric if callable(metric) else named_metric(metric)
    truth, forecast = paired(y_true, y_pred)
    if truth.ndim < 3:
        raise DataError(
            f"y_true has shape {truth.shape}; needed: (n_windows, horizon, n_nodes[, n_features])."
        )
    return np.array([measure(truth[:, [i]], forecast[:, [i]]) for i in range(truth.shape[1])])


def origin_errors(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    """Mean absolute error of each window by itself, for tests over forecast origins.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_windows, horizon, n_nodes[, n_features])
        Observed values, NaN where missing, and their forecasts.

    Returns
    -------
    ndarray of shape (n_windows,)
        Pooled over steps and nodes; NaN for windows in which nothing was observed, infinite where a forecast is NaN.

    Raises
    ------
    DataError
        If the shapes differ.

    Examples
    --------
    >>> origin_errors([[[1.0], [2.0]], [[3.0], [float("nan")]]], [[[1.0], [3.0]], [[1.0], [1.0]]]).tolist()
    [0.5, 2.0]
    """
    truth, forecast = paired(y_true, y_pred)
    errors = np.where(np.isnan(truth), np.nan, np.abs(truth - forecast))
    # A forecast of NaN must not pass for a missing target.
    errors[np.isnan(forecast) & ~np.isnan(truth)] = np.inf
    return _column_mean(errors.reshape(len(truth), -1).T)


def weighted_r2(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """R^2 averaged over nodes with their variance as weight, over the observed targets.

    Parameters
    ----------
    y_true, y_pred : ndarray of shape (n_windows, horizon, n_nodes[, n_features])
        Observed values, NaN where missing, and their forecasts.

    Returns
    -------
    float
        One minus the squared errors over the squared deviations from each node's mean, both summed over the nodes that
        vary; NaN where none does.
    """
    columns = int(np.prod(y_true.shape[2:])) if y_true.ndim > 2 else 1
    truth = np.asarray(y_true, dtype=np.float64).reshape(-1, columns)
    forecast = np.asarray(y_pred, dtype=np.float64).reshape(-1, columns)
    observed = ~np.isnan(truth)
    change = deviations(truth)
    unit = binary_unit(change)  # squares of small numbers are 0
    spread = np.where(observed, (change / unit) ** 2, 0.0).sum(0)
    error = np.where(observed, ((truth - forecast) / unit) ** 2, 0.0).sum(0)
    varies = spread > 0
    return float(1 - error[varies].sum() / spread[varies].sum()) if varies.any() else float("nan")


def named_metric(name: str) -> Callable[[ArrayLike, ArrayLike], float]:
    """The metric of a name.

    Parameters
    ----------
    name : {"mae", "mse", "rmse", "r2"}
        Which one.

    Returns
    -------
    callable
        Takes truth and forecasts, returns a number.

    Raises
    ------
    ParameterError
        If there is no such metric.
    """
    known = {"mae": mae, "mse": mse, "rmse": rmse, "r2": r2}
    if name not in known:
        raise ParameterError(f"metric={name!r} is not known; use one of {', '.join(known)}.")
    return known[name]


def paired(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Truth and forecasts as float64 arrays of equal shape.

    Parameters
    ----------
    y_true, y_pred : array-like
        Observed values and forecasts.

    Returns
    -------
    tuple of ndarray
        Both.

    Raises
    ------
    DataError
        If the shapes differ.
    """
    truth, forecast = np.asarray(y_true, dtype=np.float64), np.asarray(y_pred, dtype=np.float64)
    if truth.shape != forecast.shape:
        raise DataError(f"y_true has shape {truth.shape} and y_pred {forecast.shape}; they have to be equal.")
    return truth, forecast


def _observed_errors(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    truth, forecast = paired(y_true, y_pred)
    return (truth - forecast)[~np.isnan(truth)]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _column_mean(values: np.ndarray) -> np.ndarray:
    """Mean of the observed entries of each column, NaN where there are none (without numpy's warning)."""
    observed = ~np.isnan(values)
    counts = observed.sum(0)
    sums = np.where(observed, values, 0.0).sum(0)
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
