"""What the data of a comparison are like: size, times, what is missing, what never changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..data.panel import Panel
from ..data.time_frequency import breaks, usual_step
from ..data.validation import repeated_outlier
from .tables import plain

__all__ = ["summarise"]


def summarise(panel: Panel) -> dict[str, Any]:
    """Describe a panel.

    Parameters
    ----------
    panel : Panel
        Values.

    Returns
    -------
    dict
        Plain Python: `n_times`, `n_nodes`, `n_features`, `missing_share`, `missing_by_node`; `longest_missing_run`, the
        longest run of time steps that a node lacks; `constant_nodes` and `unobserved_nodes`, by name or position; with an index
        `first_time`, `last_time`, and with dates `step` and `gaps`, the number of steps that are not the usual one; where time
        steps were missing and NaN stands for them, `filled_rows`, their number; where a value far beyond the others is repeated,
        `repeated_outlier`, the value and how often it is there.
    """
    values, index = panel.values, panel.index
    n_times, n_nodes, n_features = values.shape
    names = list(range(n_nodes)) if panel.nodes is None else list(panel.nodes)
    missing_by_node, longest, constant, unobserved = [], 0, [], []
    for i, name in enumerate(names):  # a node at a time: the panel may be larger than the memory
        node = np.asarray(values[:, i])
        missing = np.isnan(node)
        missing_by_node.append(float(missing.mean()))
        longest = max(longest, _longest_run(missing.all(1)))
        if missing.all():
            unobserved.append(name)
        elif all(_never_changes(node[:, j]) for j in range(n_features)):
            constant.append(name)
    out: dict[str, Any] = {
        "n_times": n_times,
        "n_nodes": n_nodes,
        "n_features": n_features,
        "missing_share": float(np.mean(missing_by_node)),
        "missing_by_node": missing_by_node,
        "longest_missing_run": longest,
        "constant_nodes": plain(constant),
        "unobserved_nodes": plain(unobserved),
    }
    if panel.grid is not None:
        out["grid"] = list(panel.grid)
    if index is not None:
        out |= {"first_time": str(index[0]), "last_time": str(index[-1])}
    if isinstance(index, pd.DatetimeIndex) and len(index) > 1:
        out |= {"step": str(usual_step(index)), "gaps": breaks(index)}
    if panel.n_filled:
        out["filled_rows"] = panel.n_filled
    outlier = repeated_outlier(values)
    if outlier is not None:
        out["repeated_outlier"] = list(outlier)
    return out


def _longest_run(flags: np.ndarray) -> int:
    """Most entries in a row that are true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0


def _never_changes(series: np.ndarray) -> bool:
    seen = series[~np.isnan(series)]
    return len(seen) == 0 or bool((seen == seen[0]).all())
