"""The linear forecast that everything is compared with, and that networks correct.

`WindowRidge` maps look-backs to horizons by weights in closed form, for each node from its own past, from that of its
neighbours in a graph, or from that of all nodes. `choose_ridge` decides between such maps on validation rows, and
`choose_profile` by the same means whether a seasonal profile is worth subtracting. Builds on `ridge`; used by
`RidgeForecaster` and, as linear skip, by the network forecasters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ..data.pieces import NUMBERS_AT_ONCE
from ..data.profile import Residuals, SeasonalProfile, supported_cycles
from ..data.scaling import NodeScaler
from ..data.windows import Windows
from ..graphs import Graph
from .ridge import Units, carried, joint_inputs, own_drift, solve_jointly, solve_windows

__all__ = ["WindowRidge", "choose_profile", "choose_ridge", "fit_ridges", "refitted"]

ALPHAS = (1.0, 100.0, 1e4)  # for shared weights, of which there are few
JOINT_ALPHAS = tuple(10.0 ** (power / 2) for power in range(2, 11))
_JOINT_ROWS = (2, 6, 24, 96)
_JOINT_INPUTS = 2_500  # rows times nodes; the cost grows with the cube

_ROWS_TO_CHOOSE, _NODES_TO_CHOOSE = 20_000, 64
_MULTIPLICATIONS = 1e11  # for one map: beyond this, shared weights are learnt from evenly spread nodes
_WINDOWS_TO_VALIDATE = (
    500  # spread over the validation rows; errors of neighbouring windows are nearly the same
)


@dataclass
class WindowRidge:
    """Linear map from look-back to horizon.

    Attributes
    ----------
    neighbours : {None, "node", "adj", "all"}
        Inputs of a node's forecast: its own past, by weights shared over nodes (None) or of its own (``"node"``); its own
        past and the mean of its neighbours', by shared weights; its own past, and then the last rows of all nodes for what
        that leaves.
    alpha : float
        Penalty; for ``"all"`` the one on the weights of all nodes.
    weights : ndarray
        Per target feature; (f, t, h), (f, n, t, h) or (f, 2 t, h), the drift from the last input last.
    mean, scale : ndarray of shape (n_nodes, n_targets)
        Of the training rows.
    walk : ndarray of shape (n_nodes, n_nodes) or None
        For ``"adj"``: row i holds the weights of the neighbours whose edges lead to node i; their sum is 1 or 0.
    joint : ndarray of shape (f, joint_length * n_nodes, n_nodes * h), float32, or None
        For ``"all"``.
    joint_length : int
        Last rows of all nodes that are used.
    """

    neighbours: str | None
    alpha: float
    weights: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    walk: np.ndarray | None = None
    joint: np.ndarray | None = None
    joint_length: int = 0

    def __post_init__(self) -> None:
        # sums depend on the order in memory in their last bits; only this one survives every way of copying
        for name in ("weights", "mean", "scale", "walk", "joint"):
            if getattr(self, name) is not None:
                setattr(self, name, np.ascontiguousarray(getattr(self, name)))

    @property
    def n_parameters(self) -> int:
        """Number of weights."""
        return int(self.weights.size + (0 if self.joint is None else self.joint.size))

    def forecast(self, x: np.ndarray) -> np.ndarray:
        """Forecast windows.

        Parameters
        ----------
        x : ndarray of shape (b, t, n, f)
            Inputs of the target features in the units of the data, NaN where missing.

        Returns
        -------
        ndarray of shape (b, h, n, f), float64
            In the units of the data, finite.
        """
        out = []
        for feature, weights in enumerate(self.weights):
            units = Units(self.mean[:, feature], self.scale[:, feature])
            inputs, last = units.centred(np.asarray(x[..., feature], dtype=np.float64).transpose(0, 2, 1))
            if self.walk is not None:
                drift = self._with_neighbours(inputs, units, last, weights)
            else:
                drift = own_drift(inputs, units, last, weights)
            if self.joint is not None:
                rows = joint_inputs(inputs, units, self.joint_length).astype(np.float32)
                drift = drift + (rows @ self.joint[feature]).reshape(drift.shape)
            out.append(last + units.scale[:, None] * drift)
        return np.stack(out, axis=-1).transpose(0, 2, 1, 3)

    def shapes(
        self, n_nodes: int, n_targets: int, input_length: int, horizon: int
    ) -> dict[str, tuple[int, ...]]:
        """Shapes that the arrays must have for data and windows of these sizes."""
        t, h = input_length, horizon
        inputs = {"node": (n_nodes, t), "adj": (2 * t,)}.get(self.neighbours or "", (t,))
        each = (n_nodes, n_targets)
        found: dict[str, tuple[int, ...]] = {"weights": (n_targets, *inputs, h), "mean": each, "scale": each}
        if self.walk is not None:
            found["walk"] = (n_nodes, n_nodes)
        if self.joint is not None:
            found["joint"] = (n_targets, self.joint_length * n_nodes, n_nodes * h)
        return found

    def _with_neighbours(
        self, inputs: np.ndarray, units: Units, last: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        t = inputs.shape[-1]
        near = self.walk @ ((inputs - units.mean[:, None]) / units.scale[:, None])
        near = near - (last - units.mean[:, None]) / units.scale[:, None]
        own = np.vstack([weights[: t - 1], weights[-1:]])
        return own_drift(inputs, units, last, own) + near @ weights[t - 1 : -1]


def fit_ridges(
    values: Any,
    target: Sequence[int],
    input_length: int,
    horizon: int,
    neighbours: str | None = None,
    adjacency: Any = None,
    alphas: Sequence[float] | None = None,
    joint_lengths: Sequence[int] | None = None,
    starts: np.ndarray | None = None,
) -> Iterator[WindowRidge]:
    """Fit maps of one kind.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_nodes, n_features)
        Training rows, NaN where missing; read in pieces.
    target : sequence of int
        Features that are forecast, each from its own past.
    input_length, horizon : int
        Rows of look-back and of forecast.
    neighbours : {None, "node", "adj", "all"}
        See `WindowRidge`.
    adjacency : sparse array of shape (n_nodes, n_nodes), optional
        For ``"adj"``: [i, j] is the weight of the edge from i to j.
    alphas : sequence of float, optional
        Penalties, one map each; default: those worth trying.
    joint_lengths : sequence of int, optional
        For ``"all"``: numbers of last rows, maps for each; default: those worth trying, as far as there are at most 2,500
        inputs.
    starts : ndarray of int, optional
        First rows of the windows to learn from; default all that fit.

    Yields
    ------
    WindowRidge
        A fitted map.
    """
    statistics = NodeScaler("standard").fit(values)
    center, scale = statistics.center[:, target], statistics.scale[:, target]
    all_units = [Units(*pair) for pair in zip(center.T, scale.T, strict=True)]
    walk = _walk(adjacency) if neighbours == "adj" else None
    alphas = alphas or (JOINT_ALPHAS if neighbours == "all" else ALPHAS)
    own_alphas = (1.0,) if neighbours == "all" else alphas
    features = [
        _solve_own(values, f, units, input_length, horizon, own_alphas, neighbours, walk, starts)
        for f, units in zip(target, all_units, strict=True)
    ]
    found = (center, scale, walk)
    if neighbours != "all":
        for alpha, *weights in zip(alphas, *features, strict=True):
            yield WindowRidge(neighbours, float(alpha), np.stack(weights), *found)
        return
    n = values.shape[1]
    lengths = joint_lengths or _joint_lengths(n, input_length)
    own = np.stack([weights[0] for weights in features])
    maps = [
        solve_jointly(values, f, units, own[position], horizon, lengths, alphas, starts)
        for position, (f, units) in enumerate(zip(target, all_units, strict=True))
    ]
    for of_features in zip(*maps, strict=True):
        length, alpha, _ = of_features[0]
        joint = np.stack([weights for *_, weights in of_features])
        yield WindowRidge(neighbours, float(alpha), own, *found, joint, length)


def _solve_own(
    values: Any,
    feature: int,
    units: Units,
    input_length: int,
    horizon: int,
    alphas: Sequence[float],
    neighbours: str | None,
    walk: np.ndarray | None,
    starts: np.ndarray | None,
) -> list[np.ndarray]:
    """Weights of one feature for each penalty, without the part that all nodes share."""
    n_times, n_nodes = values.shape[:2]
    sizes = (units, input_length, horizon, alphas)
    if neighbours == "node":
        each = [solve_windows(values, feature, [node], *sizes, starts=starts) for node in range(n_nodes)]
        return [np.stack(of_alpha) for of_alpha in zip(*each, strict=True)]
    beside = None
    if walk is not None:
        filled = carried(np.asarray(values[:, :, feature], dtype=np.float64).T).T
        beside = np.nan_to_num((filled - units.mean) / units.scale) @ walk.T
    cost = float(n_times) * n_nodes * input_length * (input_length + horizon)
    thinning = min(n_nodes, max(1, round(cost / _MULTIPLICATIONS)))
    return solve_windows(values, feature, range(0, n_nodes, thinning), *sizes, beside, starts)


def _joint_lengths(n_nodes: int, input_length: int) -> list[int]:
    most = max(1, min(input_length, _JOINT_ROWS[-1], _JOINT_INPUTS // n_nodes))
    return sorted({*(length for length in _JOINT_ROWS if length < most), most})


def choose_ridge(
    values: Any,
    target: Sequence[int],
    cut: int,
    input_length: int,
    horizon: int,
    kinds: Sequence[str | None],
    adjacency: Any = None,
    alphas: Sequence[float] | None = None,
    starts: np.ndarray | None = None,
) -> tuple[WindowRidge, float]:
    """Fit maps on the rows before `cut`, and take the one that forecasts the rows after it best.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_nodes, n_targets)
        Training rows of the target features, NaN where missing.
    cut : int
        First row to validate on; look-back reaches before it.
    input_length, horizon : int
        Rows of look-back and of forecast.
    kinds : sequence of {None, "node", "adj", "all"}
        Inputs to try; see `WindowRidge`.
    adjacency : sparse array, optional
        For ``"adj"``.
    alphas : sequence of float, optional
        Penalties to try; default: those worth trying for each kind.
    starts : ndarray of int, optional
        First rows of the windows to learn from and to validate on; default all that fit.

    Returns
    -------
    ridge : WindowRidge
        The best; the first where nothing can be validated.
    error : float
        Its mean absolute error on the validation windows; infinite where there is none.
    """
    best: tuple[float, WindowRidge | None] = (float("inf"), None)
    if starts is None:
        starts = np.arange(len(values) - input_length - horizon + 1)
    learnt = starts[starts + input_length + horizon <= cut]
    validated = starts[starts + input_length >= cut]
    for kind in kinds:
        for ridge in fit_ridges(
            values[:cut], target, input_length, horizon, kind, adjacency, alphas, starts=learnt
        ):
            error = _validation_error(ridge, values, target, validated, input_length, horizon)
            if best[1] is None or error < best[0]:
                best = error, ridge
    error, chosen = best
    return cast(WindowRidge, chosen), error


def refitted(
    ridge: WindowRidge,
    values: Any,
    target: Sequence[int],
    input_length: int,
    horizon: int,
    graph: Graph | None,
    starts: np.ndarray | None = None,
) -> WindowRidge:
    """The same kind of map with the same penalty, learnt from other rows.

    Parameters
    ----------
    ridge : WindowRidge
        Says kind and penalty.
    values : ndarray of shape (n_times, n_nodes, n_features)
        Rows to learn from.
    target : sequence of int
        Features that are forecast.
    input_length, horizon : int
        Rows of look-back and of forecast.
    graph : Graph or None
        For ``"adj"``.
    starts : ndarray of int, optional
        First rows of the windows to learn from; default all that fit.

    Returns
    -------
    WindowRidge
        A new map.
    """
    adjacency = None if graph is None else graph.adjacency
    penalty, length = [ridge.alpha], [ridge.joint_length]
    return next(
        fit_ridges(
            values, target, input_length, horizon, ridge.neighbours, adjacency, penalty, length, starts
        )
    )


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
        _, error = choose_ridge(
            residuals, range(len(target)), cut, input_length, horizon, [None], starts=starts
        )
        best = min(best, (error, cycle), key=lambda pair: pair[0])
    return best[1]


def _validation_error(
    ridge: WindowRidge,
    values: Any,
    target: Sequence[int],
    starts: np.ndarray,
    input_length: int,
    horizon: int,
) -> float:
    """Mean absolute error of at most 500 of the windows; infinite where none is observed."""
    starts = starts[:: -(-len(starts) // _WINDOWS_TO_VALIDATE) or 1]
    windows = Windows(values, input_length, horizon, starts, target=target)
    total, count = 0.0, 0
    at_once = max(1, NUMBERS_AT_ONCE // (values.shape[1] * values.shape[2] * (input_length + horizon)))
    for first in range(0, len(windows), at_once):
        batch = windows.gather(slice(first, first + at_once))
        error = np.abs(batch.y - ridge.forecast(batch.x[..., list(target)]))
        total, count = total + float(np.nansum(error)), count + int(np.isfinite(error).sum())
    return total / count if count else float("inf")


def _walk(adjacency: Any) -> np.ndarray:
    """Row i: weights of the nodes that reach node i, summing to 1 where there are any."""
    into = np.asarray(adjacency.todense() if hasattr(adjacency, "todense") else adjacency, dtype=np.float64).T
    into = into - np.diag(np.diag(into))
    return into / np.maximum(into.sum(1, keepdims=True), 1e-12)
