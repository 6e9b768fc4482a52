"""The coefficient of determination that `score` and `evaluation.metrics.r2` share.

Builds on numpy only.
"""

from __future__ import annotations

import numpy as np

__all__ = ["weighted_r2"]


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
    mean = np.where(observed, truth, 0.0).sum(0) / np.maximum(observed.sum(0), 1)
    spread = np.where(observed, (truth - mean) ** 2, 0.0).sum(0)
    error = np.where(observed, (truth - forecast) ** 2, 0.0).sum(0)
    varies = spread > 0
    return float(1 - error[varies].sum() / spread[varies].sum()) if varies.any() else float("nan")
