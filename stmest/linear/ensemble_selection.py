"""Which linear forecast, and which seasonal profile: decided on validation rows.

`choose_recipe` tries ridges of several kinds and penalties, and may blend some of them; `choose_profile` says by the same
means whether a seasonal profile is worth subtracting. Builds on `window_ridge`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data.chunks import NUMBERS_AT_ONCE
from ..data.windows import Windows
from ..graphs import Graph
from .seasonal_mean import Residuals, SeasonalProfile, supported_cycles
from .window_ridge import Recipe, WindowRidge, fit_ridges

__all__ = ["DRAWS", "choose_profile", "choose_recipe", "kinds_of_inputs"]

DRAWS = 10  # of which a blend is made at most

# Penalties worth trying, by kind of inputs; those for shared weights, of which there are few, are None's
_ALPHAS: dict[str | None, tuple[float, ...]] = {
    None: (1.0, 100.0, 1e4),
    "all": tuple(10.0 ** (power / 2) for power in range(2, 11)),
    "level": (10.0, 100.0, 1e3, 1e4, 1e5),
}
# Up to so many nodes a map may see those next to each, or all: dense matrices. Up to so many weights each node has its own.
_GRAPH_NODES, _JOINT_NODES = 2_000, 250
_OWN_WEIGHTS = 5_000_000
_JOINT_ROWS = (2, 6, 24, 96)
_JOINT_INPUTS = 2_500  # rows times nodes; the cost grows with the cube

_ROWS_TO_CHOOSE, _NODES_TO_CHOOSE = 20_000, 64
_LEVEL_FREE = (None, "node")  # a constant added to the look-back is added to the forecast
_HORIZONS_TO_BLEND = 10  # to validate on; with fewer, only those
# Windows to validate on are spread over the validation rows; errors of neighbouring windows are nearly the same
_WINDOWS_TO_VALIDATE, _NUMBERS_TO_VALIDATE = 500, 2_000_000


def choose_recipe(
    values: Any,
    target: Sequence[int],
    cut: int,
    input_length: int,
    horizon: int,
    kinds: Sequence[str | None],
    graph: Graph | None = None,
    alphas: Sequence[float] | None = None,
    starts: np.ndarray | None = None,
    most: int = 1,
) -> tuple[Recipe, float]:
    """Fit maps on the rows before `cut`, and find the one, or the mean of several, that forecasts the rows after it best.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_nodes, n_targets)
        Training rows of the target features, NaN where missing.
    target : sequence of int
        Features that are forecast.
    cut : int
        First row to validate on; look-back reaches before it.
    input_length, horizon : int
        Rows of look-back and of forecast.
    kinds : sequence of {None, "node", "adj", "all", "level"}
        Inputs to try; see `WindowRidge`.
    graph : Graph, optional
        For ``"adj"``.
    alphas : sequence of float, optional
        Penalties to try; default: those worth trying for each kind.
    starts : ndarray of int, optional
        First rows of the windows to learn from and to validate on; default all that fit.
    most : int, default=1
        At most so many draws make a mean: one after the other that map is drawn, perhaps not for the first time, which
        lowers the error of the mean most, until none does. Where more than one may be drawn and fewer than ten horizons
        can be validated, only the kinds that follow the level of a window are tried, None and ``"node"``.

    Returns
    -------
    recipe : list of tuple
        For `fit_recipe`; the first kind and penalty where nothing can be validated.
    error : float
        Mean absolute error of the mean on the validation windows; infinite where there is none.

    Notes
    -----
    The greedy mean is the ensemble selection of Caruana, Niculescu-Mizil, Crew, Ksikes, ICML 2004.
    """
    if starts is None:
        starts = np.arange(len(values) - input_length - horizon + 1)
    learnt = starts[starts + input_length + horizon <= cut]
    validated = starts[starts + input_length >= cut]
    x, y = _validation_windows(values, target, validated, input_length, horizon)
    tried: list[tuple[str | None, float, int]] = []
    errors: list[np.ndarray] = []
    if most > 1 and len(validated) < _HORIZONS_TO_BLEND * horizon:
        kinds = [kind for kind in kinds if kind in _LEVEL_FREE]
    for kind in kinds:
        penalties = _penalties(kind, alphas, values.shape[1], input_length)
        for ridge in fit_ridges(values[:cut], target, input_length, horizon, kind, penalties, graph, learnt):
            tried.append((kind, ridge.alpha, ridge.joint_length))
            if y.size:
                errors.append((_forecast(ridge, x) - y).astype(np.float32))
    if not np.isfinite(y).any():
        return [(1.0, *tried[0])], float("inf")
    drawn, error = _draw(errors, most)
    return [(drawn.count(i) / len(drawn), *tried[i]) for i in sorted(set(drawn))], error


def kinds_of_inputs(
    n_nodes: int, input_length: int, horizon: int, graph: Graph | None, level_free: bool = False
) -> list[str | None]:
    """All kinds of inputs that so many nodes allow.

    Parameters
    ----------
    n_nodes : int
        Number of nodes.
    input_length, horizon : int
        Rows of look-back and of forecast.
    graph : Graph or None
        Their graph.
    level_free : bool, default=False
        Only those with which a constant added to the look-back is added to the forecast: None and ``"node"``.

    Returns
    -------
    list of {None, "node", "adj", "all", "level"}
        See `WindowRidge`.
    """
    kinds: list[str | None] = [None]
    if graph is not None and n_nodes <= _GRAPH_NODES:
        kinds.append("adj")
    if n_nodes > 1 and n_nodes * input_length * horizon <= _OWN_WEIGHTS:
        kinds.append("node")
    if 1 < n_nodes <= _JOINT_NODES:
        kinds += ["all", "level"]
    return [kind for kind in kinds if kind in _LEVEL_FREE] if level_free else kinds


def _penalties(
    kind: str | None, alphas: Sequence[float] | None, n_nodes: int, input_length: int
) -> list[tuple[float, int]]:
    """Penalties and numbers of last rows of all nodes to try."""
    alphas = alphas or _ALPHAS[kind if kind in _ALPHAS else None]
    if kind not in ("all", "level"):
        return [(alpha, 0) for alpha in alphas]
    most = max(1, min(input_length, _JOINT_ROWS[-1], _JOINT_INPUTS // n_nodes))
    lengths = sorted({*(length for length in _JOINT_ROWS if length < most), most})
    return [(alpha, length) for length in lengths for alpha in alphas]


def _draw(errors: list[np.ndarray], most: int) -> tuple[list[int], float]:
    """Positions of the errors whose mean is least in absolute value, and that value."""
    drawn: list[int] = []
    best, total = float("inf"), np.zeros_like(errors[0])
    while len(drawn) < most:
        found = [float(np.nanmean(np.abs(total + error))) / (len(drawn) + 1) for error in errors]
        least = int(np.argmin(found))
        if found[least] >= best:
            break
        best = found[least]
        total += errors[least]
        drawn.append(least)
    return drawn, best


def _validation_windows(
    values: Any, target: Sequence[int], starts: np.ndarray, input_length: int, horizon: int
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of some of the windows."""
    numbers = values.shape[1] * len(target) * (input_length + horizon)
    most = max(1, min(_WINDOWS_TO_VALIDATE, _NUMBERS_TO_VALIDATE // numbers))
    starts = starts[:: -(-len(starts) // most) or 1]
    batch = Windows(values, input_length, horizon, starts, target=list(target)).gather(slice(None))
    return batch.x[..., list(target)], batch.y


def _forecast(ridge: WindowRidge, x: np.ndarray) -> np.ndarray:
    """Forecasts of windows, some at a time."""
    at_once = max(1, NUMBERS_AT_ONCE // x[0].size)
    return np.concatenate([ridge.forecast(x[i : i + at_once]) for i in range(0, len(x), at_once)])


def choose_profile(
    values: Any,
    index: Any,
    cut: int,
    input_length: int,
    horizon: int,
    target: Sequence[int],
    starts: np.ndarray | None = None,
) -> str | int | None:
    """The cycle whose profile lowers the validation error of the ridge most.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_nodes, n_features)
        Training rows, NaN where missing; at most the last 20,000 and 64 of the nodes are used.
    index : pandas.Index of length n_times, or None
        Their times.
    cut : int
        First row to validate on.
    input_length, horizon : int
        Rows of look-back and of forecast.
    target : sequence of int
        Features that are forecast.
    starts : ndarray of int, optional
        First rows of the windows; default all that fit.

    Returns
    -------
    str, int or None
        A cycle for `SeasonalProfile`; None where no profile helps, or nothing can be validated.
    """
    first = max(0, cut - _ROWS_TO_CHOOSE)
    nodes = slice(None, None, -(-values.shape[1] // _NODES_TO_CHOOSE))
    rows = np.asarray(values[first:])[:, nodes][..., list(target)]
    index, cut = None if index is None else index[first:], cut - first
    starts = None if starts is None else starts[starts >= first] - first
    best: tuple[float, str | int | None] = (float("inf"), None)
    for cycle in [None, *supported_cycles(rows[:cut], None if index is None else index[:cut])]:
        residuals = rows
        if cycle is not None:
            profile = SeasonalProfile(cycle).fit(rows[:cut], None if index is None else index[:cut])
            residuals = np.asarray(Residuals(rows, profile.phases(index, len(rows)), profile))
        _, error = choose_recipe(
            residuals, range(len(target)), cut, input_length, horizon, [None], starts=starts
        )
        best = min(best, (error, cycle), key=lambda pair: pair[0])
    return best[1]
