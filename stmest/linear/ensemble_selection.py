"""Which linear forecast and which seasonal mean to use; both are decided on the validation part.

`select_ensemble` tries ridges of several scopes and penalties, and may average some of them. `choose_season` compares the
validation errors with and without a seasonal mean. Builds on `window_ridge`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data.chunks import NUMBERS_AT_ONCE
from ..data.moments import binary_unit
from ..data.windows import Windows
from ..graphs import Graph
from .seasonal_mean import Residuals, SeasonalProfile, supported_cycles
from .window_ridge import EnsembleSpec, WindowRidge, fit_ridges

__all__ = [
    "MOST_MEMBERS",
    "choose_season",
    "greedy_selection",
    "possible_scopes",
    "select_ensemble",
    "windows_to_validate",
]

MOST_MEMBERS = 10  # of an ensemble; a member may count several times

# Penalties to try. A joint map has many weights and needs other penalties than a map with few.
_ALPHAS = (1.0, 100.0, 1e4)
_JOINT_ALPHAS: dict[str, tuple[float, ...]] = {
    "joint": tuple(10.0 ** (power / 2) for power in range(2, 11)),
    "joint_mean": (10.0, 100.0, 1e3, 1e4, 1e5),
}
# With more nodes, the dense matrices of the scopes "graph" and "joint" become too large
_GRAPH_NODES, _JOINT_NODES = 2_000, 250
_LOCAL_WEIGHTS = 5_000_000  # at most
_JOINT_LENGTHS = (2, 6, 24, 96)
_JOINT_INPUTS = 2_500  # time steps times nodes; the cost grows with the cube

_STEPS_TO_CHOOSE, _NODES_TO_CHOOSE = 20_000, 64
_LEVEL_FREE = ("global", "local")  # a constant added to the look-back is added to the forecast
_HORIZONS_TO_SELECT = 10  # in the validation part; with fewer, an ensemble takes the level-free scopes only
_WINDOWS_TO_VALIDATE, _NUMBERS_TO_VALIDATE = 500, 2_000_000


def select_ensemble(
    values: Any,
    target: Sequence[int],
    cut: int,
    input_length: int,
    horizon: int,
    scopes: Sequence[str],
    graph: Graph | None = None,
    alphas: Sequence[float] | None = None,
    starts: np.ndarray | None = None,
    most: int = 1,
) -> tuple[EnsembleSpec, float]:
    """Select the linear map, or the ensemble of maps, with the least validation error.

    The maps are fitted on the time steps before `cut` and validated on those after it.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_nodes, n_targets)
        Training data of the target features, NaN where missing.
    target : sequence of int
        Features that are forecast.
    cut : int
        First time step to validate on; look-back reaches before it.
    input_length, horizon : int
        Time steps of look-back and of forecast.
    scopes : sequence of {"global", "local", "graph", "joint", "joint_mean"}
        Inputs to try; see `WindowRidge`.
    graph : Graph, optional
        For ``"graph"``.
    alphas : sequence of float, optional
        Penalties to try; the default depends on the scope.
    starts : ndarray of int, optional
        First time steps of the windows to learn from and to validate on; default all that fit.
    most : int, default=1
        Members at most, by `greedy_selection`. An ensemble (`most` above 1) needs ten horizons to validate on; with fewer, only
        the scopes ``"global"`` and ``"local"`` are tried, which follow the level of a window.

    Returns
    -------
    spec : list of tuple
        For `fit_ensemble`; the first scope and penalty where nothing can be validated.
    error : float
        Mean absolute error of the ensemble on the validation windows; infinite where there is none.
    """
    if starts is None:
        starts = np.arange(len(values) - input_length - horizon + 1)
    learnt = starts[starts + input_length + horizon <= cut]
    validated = starts[starts + input_length >= cut]
    x, y = _validation_windows(values, target, validated, input_length, horizon)
    unit = max(binary_unit(x), binary_unit(y))  # so that no error is too small for float32
    tried: list[tuple[str, float, int]] = []
    errors: list[np.ndarray] = []
    if most > 1 and len(validated) < _HORIZONS_TO_SELECT * horizon:
        scopes = [scope for scope in scopes if scope in _LEVEL_FREE]
    for scope in scopes:
        penalties = _penalties(scope, alphas, values.shape[1], input_length)
        for ridge in fit_ridges(values[:cut], target, input_length, horizon, scope, penalties, graph, learnt):
            tried.append((scope, ridge.alpha, ridge.joint_length))
            if y.size:
                errors.append(((_forecast(ridge, x) - y) / unit).astype(np.float32))
    if not np.isfinite(y).any():
        return [(1.0, *tried[0])], float("inf")
    members, error = greedy_selection(errors, most)
    return [(members.count(i) / len(members), *tried[i]) for i in sorted(set(members))], error * unit


def possible_scopes(
    n_nodes: int, input_length: int, horizon: int, graph: Graph | None, level_free: bool = False
) -> list[str]:
    """All scopes that so many nodes allow.

    Parameters
    ----------
    n_nodes : int
        Number of nodes.
    input_length, horizon : int
        Time steps of look-back and of forecast.
    graph : Graph or None
        Their graph.
    level_free : bool, default=False
        Only those with which a constant added to the look-back is added to the forecast: ``"global"`` and ``"local"``.

    Returns
    -------
    list of {"global", "local", "graph", "joint", "joint_mean"}
        See `WindowRidge`.
    """
    scopes = ["global"]
    if graph is not None and n_nodes <= _GRAPH_NODES:
        scopes.append("graph")
    if n_nodes > 1 and n_nodes * input_length * horizon <= _LOCAL_WEIGHTS:
        scopes.append("local")
    if 1 < n_nodes <= _JOINT_NODES:
        scopes += ["joint", "joint_mean"]
    return [scope for scope in scopes if scope in _LEVEL_FREE] if level_free else scopes


def _penalties(
    scope: str, alphas: Sequence[float] | None, n_nodes: int, input_length: int
) -> list[tuple[float, int]]:
    """Pairs to try: penalty, and number of last time steps of all nodes."""
    alphas = alphas or _JOINT_ALPHAS.get(scope, _ALPHAS)
    if scope not in _JOINT_ALPHAS:
        return [(alpha, 0) for alpha in alphas]
    most = max(1, min(input_length, _JOINT_LENGTHS[-1], _JOINT_INPUTS // n_nodes))
    lengths = sorted({*(length for length in _JOINT_LENGTHS if length < most), most})
    return [(alpha, length) for length in lengths for alpha in alphas]


def greedy_selection(errors: Sequence[np.ndarray], most: int = MOST_MEMBERS) -> tuple[list[int], float]:
    """Select the members of an ensemble, whose forecast is the mean of theirs.

    Each round adds the candidate that lowers the mean absolute error of the ensemble most; a candidate may be added again. The
    selection ends when none lowers the error.

    Parameters
    ----------
    errors : sequence of ndarray, all of one shape
        Errors of each candidate on the same validation windows, NaN where the target is missing.
    most : int, default=10
        Members at most.

    Returns
    -------
    members : list of int
        Positions of the selected candidates, with repetitions.
    error : float
        Mean absolute error of the ensemble.

    Notes
    -----
    This is the greedy ensemble selection of Caruana, Niculescu-Mizil, Crew, Ksikes, ICML 2004.

    Examples
    --------
    >>> greedy_selection([np.array([2.0, 2.0]), np.array([-1.0, -1.0]), np.array([9.0, 9.0])])
    ([1, 0, 1], 0.0)
    """
    members: list[int] = []
    best, total = float("inf"), np.zeros_like(errors[0])
    while len(members) < most:
        found = [float(np.nanmean(np.abs(total + error))) / (len(members) + 1) for error in errors]
        least = int(np.argmin(found))
        if found[least] >= best:
            break
        best = found[least]
        total += errors[least]
        members.append(least)
    return members, best


def windows_to_validate(starts: np.ndarray, numbers: int) -> np.ndarray:
    """Some of the validation windows, spread evenly: errors of neighbouring windows are nearly the same.

    Parameters
    ----------
    starts : ndarray of int
        First time steps of the validation windows.
    numbers : int
        Numbers in one window.

    Returns
    -------
    ndarray of int
        500 windows at most, and as many as hold 2,000,000 numbers.
    """
    most = max(1, min(_WINDOWS_TO_VALIDATE, _NUMBERS_TO_VALIDATE // numbers))
    return starts[:: -(-len(starts) // most) or 1]


def _validation_windows(
    values: Any, target: Sequence[int], starts: np.ndarray, input_length: int, horizon: int
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of some of the windows."""
    starts = windows_to_validate(starts, values.shape[1] * len(target) * (input_length + horizon))
    batch = Windows(values, input_length, horizon, starts, target=list(target)).gather(slice(None))
    return batch.x[..., list(target)], batch.y


def _forecast(ridge: WindowRidge, x: np.ndarray) -> np.ndarray:
    """Forecasts of windows, some at a time."""
    at_once = max(1, NUMBERS_AT_ONCE // x[0].size)
    return np.concatenate([ridge.forecast(x[i : i + at_once]) for i in range(0, len(x), at_once)])


def choose_season(
    values: Any,
    index: Any,
    cut: int,
    input_length: int,
    horizon: int,
    target: Sequence[int],
    starts: np.ndarray | None = None,
) -> str | int | None:
    """The cycle whose seasonal mean lowers the validation error of the global ridge most.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_nodes, n_features)
        Training data, NaN where missing; at most the last 20,000 time steps and 64 of the nodes are used.
    index : pandas.Index of length n_times, or None
        Their times.
    cut : int
        First time step to validate on.
    input_length, horizon : int
        Time steps of look-back and of forecast.
    target : sequence of int
        Features that are forecast.
    starts : ndarray of int, optional
        First time steps of the windows; default all that fit.

    Returns
    -------
    str, int or None
        A cycle for `SeasonalProfile`; None where no seasonal mean helps, or nothing can be validated.
    """
    first = max(0, cut - _STEPS_TO_CHOOSE)
    nodes = slice(None, None, -(-values.shape[1] // _NODES_TO_CHOOSE))
    recent = np.asarray(values[first:])[:, nodes][..., list(target)]
    index, cut = None if index is None else index[first:], cut - first
    starts = None if starts is None else starts[starts >= first] - first
    best: tuple[float, str | int | None] = (float("inf"), None)
    for cycle in [None, *supported_cycles(recent[:cut], None if index is None else index[:cut])]:
        residuals = recent
        if cycle is not None:
            season = SeasonalProfile(cycle).fit(recent[:cut], None if index is None else index[:cut])
            residuals = np.asarray(Residuals(recent, season.seasonal_index(index, len(recent)), season))
        _, error = select_ensemble(
            residuals, range(len(target)), cut, input_length, horizon, ["global"], starts=starts
        )
        best = min(best, (error, cycle), key=lambda pair: pair[0])
    return best[1]
