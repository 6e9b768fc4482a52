"""The linear forecast that everything is compared with, and that networks correct.

`WindowRidge` maps look-backs to horizons by weights in closed form: for each node from its own past, from that of its
neighbours in a graph, from that of all nodes, or by a mean of several such maps, which is one map again. Which ones is
said by a recipe; `ridge_choice` finds recipes. Builds on `ridge`; used by `RidgeForecaster` and, as linear skip, by the
network forecasters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..data.savable import savable
from ..data.scaling import NodeScaler
from ..data.windows import forward_filled
from ..graphs import Graph
from .normal_equations import Units, joint_inputs, own_drift, solve_jointly, solve_windows

__all__ = ["Recipe", "WindowRidge", "fit_recipe", "fit_ridges"]

# Share, kind of inputs, penalty, and last rows of all nodes that are used, for each map of a mean
Recipe = list[tuple[float, str | None, float, int]]

_MULTIPLICATIONS = 1e11  # for one map: beyond this, shared weights are learnt from evenly spread nodes


@savable
@dataclass
class WindowRidge:
    """Linear map from look-back to horizon.

    Attributes
    ----------
    neighbours : {None, "node", "adj", "all", "level", "blend"}
        Inputs of a node's forecast: its own past, by weights shared over nodes (None) or of its own (``"node"``); its own
        past and the mean of its neighbours', by shared weights; its own past, and then the last rows of all nodes for what
        that leaves; the last rows of all nodes for the deviation from the mean; or a mean of several of these.
    alpha : float
        Penalty; for ``"all"`` the one on the weights of all nodes; for ``"blend"`` the least.
    weights : ndarray
        Of the own past, per target feature; (f, t, h) or (f, n, t, h), the drift from the last input last. With `walk`, t
        weights of the neighbours' past come before the drift.
    mean, scale : ndarray of shape (n_nodes, n_targets)
        Of the training rows.
    walk : ndarray of shape (n_nodes, n_nodes) or None
        Row i holds the weights of the neighbours whose edges lead to node i; their sum is 1 or 0.
    joint : ndarray of shape (f, joint_length * n_nodes, n_nodes * h), float32, or None
        Weights of all nodes.
    joint_length : int
        Last rows of all nodes that are used.
    parts : list of tuple
        For ``"blend"``: what it is a mean of.
    """

    neighbours: str | None
    alpha: float
    weights: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    walk: np.ndarray | None = None
    joint: np.ndarray | None = None
    joint_length: int = 0
    parts: Recipe = field(default_factory=list)

    def __post_init__(self) -> None:
        # sums depend on the order in memory in their last bits; only this one survives every way of copying
        for name in ("weights", "mean", "scale", "walk", "joint"):
            if getattr(self, name) is not None:
                setattr(self, name, np.ascontiguousarray(getattr(self, name)))

    @property
    def n_parameters(self) -> int:
        """Number of weights."""
        return int(self.weights.size + (0 if self.joint is None else self.joint.size))

    @property
    def recipe(self) -> Recipe:
        """What it is a mean of: share, kind, penalty and last rows of all nodes."""
        return self.parts or [(1.0, self.neighbours, self.alpha, self.joint_length)]

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
            t = inputs.shape[-1]
            own = weights if self.walk is None else _without_neighbours(weights, t)
            drift = own_drift(inputs, units, last, own)
            if self.walk is not None:
                near = weights[..., t - 1 : -1, :]
                near_inputs = self._of_neighbours(inputs, units, last)
                drift = drift + (near_inputs[..., None, :] @ near)[..., 0, :]
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
        of_nodes = (n_nodes,) if self.weights.ndim == 4 else ()
        inputs = t if self.walk is None else 2 * t
        each = (n_nodes, n_targets)
        found: dict[str, tuple[int, ...]] = {
            "weights": (n_targets, *of_nodes, inputs, h),
            "mean": each,
            "scale": each,
        }
        if self.walk is not None:
            found["walk"] = (n_nodes, n_nodes)
        if self.joint is not None:
            found["joint"] = (n_targets, self.joint_length * n_nodes, n_nodes * h)
        return found

    def _of_neighbours(self, inputs: np.ndarray, units: Units, last: np.ndarray) -> np.ndarray:
        near = self.walk @ ((inputs - units.mean[:, None]) / units.scale[:, None])
        return near - (last - units.mean[:, None]) / units.scale[:, None]


def fit_ridges(
    values: Any,
    target: Sequence[int],
    input_length: int,
    horizon: int,
    neighbours: str | None,
    penalties: Sequence[tuple[float, int]],
    graph: Graph | None = None,
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
    neighbours : {None, "node", "adj", "all", "level"}
        See `WindowRidge`.
    penalties : sequence of (float, int)
        Penalty, and for ``"all"`` and ``"level"`` number of last rows of all nodes, of each map.
    graph : Graph, optional
        For ``"adj"``.
    starts : ndarray of int, optional
        First rows of the windows to learn from; default all that fit.

    Yields
    ------
    WindowRidge
        A fitted map for each of the penalties, in their order.
    """
    statistics = NodeScaler("standard").fit(values)
    center, scale = statistics.center[:, target], statistics.scale[:, target]
    all_units = [Units(*pair) for pair in zip(center.T, scale.T, strict=True)]
    walk = _walk(graph) if neighbours == "adj" and graph is not None else None
    jointly = neighbours in ("all", "level")
    own_alphas = [1.0] if jointly else [alpha for alpha, _ in penalties]
    own, joint = [], []
    for feature, units in zip(target, all_units, strict=True):
        if neighbours == "level":
            own.append([np.zeros((input_length, horizon))])
        else:
            own.append(
                _solve_own(
                    values, feature, units, input_length, horizon, own_alphas, neighbours, walk, starts
                )
            )
        if jointly:
            joint.append(
                solve_jointly(
                    values, feature, units, own[-1][0], horizon, penalties, starts, neighbours == "level"
                )
            )
    for i, (alpha, rows) in enumerate(penalties):
        weights = np.stack([of_feature[0 if jointly else i] for of_feature in own])
        found = (neighbours, float(alpha), weights, center, scale, walk)
        if jointly:
            yield WindowRidge(*found, np.stack([next(of_feature) for of_feature in joint]), rows)
        else:
            yield WindowRidge(*found)


def fit_recipe(
    recipe: Recipe,
    values: Any,
    target: Sequence[int],
    input_length: int,
    horizon: int,
    graph: Graph | None = None,
    starts: np.ndarray | None = None,
) -> WindowRidge:
    """Fit the maps of a recipe, and make one of them.

    Parameters
    ----------
    recipe : list of tuple
        Share, kind, penalty and last rows of all nodes of each map.
    values, target, input_length, horizon, graph, starts
        As for `fit_ridges`.

    Returns
    -------
    WindowRidge
        The mean of the maps, weighted by their shares.
    """
    maps: list[WindowRidge] = []
    shares: list[float] = []
    for kind in dict.fromkeys(kind for _, kind, _, _ in recipe):
        same = [(share, (alpha, rows)) for share, of_kind, alpha, rows in recipe if of_kind == kind]
        penalties = [penalty for _, penalty in same]
        maps += fit_ridges(values, target, input_length, horizon, kind, penalties, graph, starts)
        shares += [share for share, _ in same]
    if len(maps) == 1:
        return maps[0]
    walk = next((one.walk for one in maps if one.walk is not None), None)
    per_node = any(one.weights.ndim == 4 for one in maps)
    rows = max(one.joint_length for one in maps)
    weights: Any = 0.0
    joint: Any = None
    for share, one in zip(shares, maps, strict=True):
        own = one.weights
        if walk is not None and one.walk is None:
            own = _with_neighbours(own)
        weights = weights + share * (own[:, None] if per_node and own.ndim == 3 else own)
        if one.joint is not None:
            earlier = (rows - one.joint_length) * values.shape[1]
            padded = np.pad(np.float32(share) * one.joint, ((0, 0), (earlier, 0), (0, 0)))
            joint = padded if joint is None else joint + padded
    if per_node:
        weights = np.broadcast_to(weights, (len(target), values.shape[1], *weights.shape[2:]))
    least = min(one.alpha for one in maps)
    return WindowRidge("blend", least, weights, maps[0].mean, maps[0].scale, walk, joint, rows, list(recipe))


def _with_neighbours(weights: np.ndarray) -> np.ndarray:
    """The same map with weights of 0 for the neighbours' past."""
    drift = weights[..., -1:, :]
    return np.concatenate([weights[..., :-1, :], np.zeros_like(weights), drift], axis=-2)


def _without_neighbours(weights: np.ndarray, input_length: int) -> np.ndarray:
    """The part of a map that belongs to the own past."""
    return np.concatenate([weights[..., : input_length - 1, :], weights[..., -1:, :]], axis=-2)


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
        filled = forward_filled(np.asarray(values[:, :, feature], dtype=np.float64), axis=0, backward=True)
        beside = np.nan_to_num((filled - units.mean) / units.scale) @ walk.T
    cost = float(n_times) * n_nodes * input_length * (input_length + horizon)
    thinning = min(n_nodes, max(1, round(cost / _MULTIPLICATIONS)))
    return solve_windows(values, feature, range(0, n_nodes, thinning), *sizes, beside, starts)


def _walk(graph: Graph) -> np.ndarray:
    """Row i: weights of the nodes that reach node i, summing to 1 where there are any."""
    into = graph.to_dense().astype(np.float64).T
    into = into - np.diag(np.diag(into))
    return into / np.maximum(into.sum(1, keepdims=True), 1e-12)
