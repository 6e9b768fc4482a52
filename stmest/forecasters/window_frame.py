"""Rolling forecasts as a DataFrame with times and names. Builds on `data`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..data.panel import Panel

__all__ = ["window_frame"]


def window_frame(
    panel: Panel, origins: np.ndarray, truth: np.ndarray, forecast: np.ndarray, target: list[int]
) -> pd.DataFrame:
    """One row for each origin, step, node and forecast feature.

    Parameters
    ----------
    panel : Panel
        What was forecast from.
    origins : ndarray of int, shape (n_windows,)
        Position of the last time step before each forecast.
    truth, forecast : ndarray of shape (n_windows, steps, n_nodes, n_targets)
        Observed values and forecasts.
    target : list of int
        Positions of the forecast features.

    Returns
    -------
    DataFrame
        See `ForecastMixin.predict_windows`.
    """
    n_windows, steps, n_nodes, n_targets = forecast.shape
    ahead = np.arange(1, steps + 1)
    times = _times(panel)
    levels: list[tuple[str, Any, tuple[int, ...]]] = [
        ("origin", times[origins], (n_windows, 1, 1, 1)),
        ("step", ahead, (steps, 1, 1)),
        ("time", times[(origins[:, None] + ahead).ravel()], (n_windows, steps, 1, 1)),
    ]
    if panel.parts:
        trajectory = np.searchsorted(panel.bounds, origins, side="right") - 1
        levels.insert(0, ("trajectory", trajectory, (n_windows, 1, 1, 1)))
    if panel.grid is None:
        nodes = range(n_nodes) if panel.nodes is None else panel.nodes
        levels.append(("node", pd.Index(nodes, tupleize_cols=False), (n_nodes, 1)))
    else:
        places = np.unravel_index(np.arange(n_nodes), panel.grid)
        levels += [(name, place, (n_nodes, 1)) for name, place in zip("yx", places, strict=True)]
    if panel.ndim > 2:
        features = target if panel.features is None else [panel.features[i] for i in target]
        levels.append(("feature", pd.Index(features, tupleize_cols=False), (n_targets,)))
    codes, labels = [], []
    for _, values, shape in levels:
        code, label = pd.factorize(values)
        codes.append(np.broadcast_to(code.reshape(shape), forecast.shape).ravel())
        labels.append(label)
    index = pd.MultiIndex(labels, codes, names=[name for name, _, _ in levels], verify_integrity=False)
    return pd.DataFrame({"truth": truth.ravel(), "forecast": forecast.ravel()}, index=index)


def _times(panel: Panel) -> pd.Index:
    """Times of all time steps; without times their numbers, from 0 in each trajectory."""
    parts = panel.parts or (panel,)
    first, *others = [pd.RangeIndex(part.n_times) if part.index is None else part.index for part in parts]
    return first.append(others)
