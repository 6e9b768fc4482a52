"""The linear forecast: the baseline of every comparison, whose residual the networks forecast.

`WindowRidge` maps look-backs to horizons by weights in closed form. Its inputs are each node's own past, that of the node's
neighbours in a graph, or that of all nodes. An ensemble of several such maps is one map again; an `EnsembleSpec` says which
ones, and `ensemble_selection` finds it. Builds on `normal_equations`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..data.savable import savable
from ..data.scaling import NodeScaler, as_single
from ..data.windows import forward_filled
from ..graphs import Graph
from .normal_equations import Units, joint_inputs, own_drift, solve_jointly, solve_windows
from .silent_nodes import fill_silent, shares_of_others

__all__ = ["EnsembleSpec", "WindowRidge", "fit_ensemble", "fit_ridges"]

# For each member: weight, scope, penalty, and number of last time steps of all nodes that it sees
EnsembleSpec = list[tuple[float, str, float, int]]

_MULTIPLICATIONS = 1e11  # for one map: beyond this, shared weights are learnt from evenly spread nodes


@savable
@dataclass
class WindowRidge:
    """Linear map from look-back to horizon.

    Attributes
    ----------
    scope : {"global", "local", "graph", "joint", "joint_mean", "ensemble"}
        Inputs and weights of a node's forecast.

        - ``"global"``: its own past; all nodes share the weights.
        - ``"local"``: its own past; every node has its own weights.
        - ``"graph"``: its own past and the mean of its neighbours'; all nodes share the weights.
        - ``"joint"``: its own past, and the last time steps of all nodes for the residual.
        - ``"joint_mean"``: the last time steps of all nodes, for the deviation from the mean (mean-reverting).
        - ``"ensemble"``: a weighted mean of several of these.
    alpha : float
        Penalty; for ``"joint"`` the one on the weights of all nodes; for ``"ensemble"`` the least.
    weights : ndarray
        Of a node's own past, per target feature; (f, t, h) or (f, n, t, h), the drift from the last input last. With `walk`, t
        weights of the neighbours' past come before the drift.
    mean, scale : ndarray of shape (n_nodes, n_targets)
        Of the training data.
    walk : ndarray of shape (n_nodes, n_nodes) or None
        Row i holds the weights of the neighbours whose edges lead to node i; their sum is 1 or 0.
    joint : ndarray of shape (f, joint_length * n_nodes, n_nodes * h), float32, or None
        Weights of all nodes.
    joint_length : int
        Number of last time steps of all nodes that are used.
    members : list of tuple
        For ``"ensemble"``: what it is a mean of.
    past : ndarray of shape (f, h, n_kinds) or None
        Weights of values of earlier days and weeks; see `stmest.linear.past`.
    shares : ndarray of shape (n_nodes, n_targets) or None
        For nodes without an observation in the look-back; see `stmest.linear.silent_nodes`. None: they are taken to be at their
        means, as in model files of earlier versions.
    """

    scope: str
    alpha: float
    weights: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    walk: np.ndarray | None = None
    joint: np.ndarray | None = None
    joint_length: int = 0
    members: EnsembleSpec = field(default_factory=list)
    past: np.ndarray | None = None
    shares: np.ndarray | None = None

    def __post_init__(self) -> None:
        # sums depend on the order in memory in their last bits; only this one survives every way of copying
        for name in ("weights", "mean", "scale", "walk", "joint", "past", "shares"):
            if getattr(self, name) is not None:
                setattr(self, name, np.ascontiguousarray(getattr(self, name)))

    @property
    def n_parameters(self) -> int:
        """Number of weights."""
        return sum(part.size for part in (self.weights, self.joint, self.past) if part is not None)

    @property
    def spec(self) -> EnsembleSpec:
        """The members: weight, scope, penalty, and number of last time steps of all nodes."""
        return self.members or [(1.0, self.scope, self.alpha, self.joint_length)]

    def forecast(self, x: np.ndarray, past: np.ndarray | None = None) -> np.ndarray:
        """Forecast windows.

        Parameters
        ----------
        x : ndarray of shape (b, t, n, f)
            Inputs of the target features in the units of the data, NaN where missing.
        past : ndarray of shape (b, h, n, n_kinds * f), optional
            Values of earlier days and weeks for each target step, NaN where missing; only a map with `past` uses them.

        Returns
        -------
        ndarray of shape (b, h, n, f), float64
            In the units of the data, finite.
        """
        if self.shares is not None:
            x = fill_silent(np.asarray(x, dtype=np.float64), self.mean, self.scale, self.shares)
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
                rows = as_single(joint_inputs(inputs, units, self.joint_length))
                drift = drift + (rows @ self.joint[feature]).reshape(drift.shape)
            out.append(last + units.scale[:, None] * drift)
        forecast = np.stack(out, axis=-1).transpose(0, 2, 1, 3)
        if self.past is None or past is None:
            return forecast
        return forecast + np.einsum("bhnfk,fhk->bhnf", self.past_inputs(past), self.past, optimize=True)

    def past_inputs(self, past: np.ndarray) -> np.ndarray:
        """Values of earlier days and weeks (b, h, n, n_kinds * f) less the means: (b, h, n, f, n_kinds), 0 where missing."""
        by_kind = past.reshape(*past.shape[:3], -1, self.mean.shape[1]).swapaxes(-1, -2)
        return np.nan_to_num(by_kind - self.mean[:, :, None])

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
        if self.past is not None:
            found["past"] = (n_targets, h, self.past.shape[-1])
        if self.shares is not None:
            found["shares"] = each
        return found

    def _of_neighbours(self, inputs: np.ndarray, units: Units, last: np.ndarray) -> np.ndarray:
        near = self.walk @ ((inputs - units.mean[:, None]) / units.scale[:, None])
        return near - (last - units.mean[:, None]) / units.scale[:, None]


def fit_ridges(
    values: Any,
    target: Sequence[int],
    input_length: int,
    horizon: int,
    scope: str,
    penalties: Sequence[tuple[float, int]],
    graph: Graph | None = None,
    starts: np.ndarray | None = None,
) -> Iterator[WindowRidge]:
    """Fit maps of one scope.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_nodes, n_features)
        Training data, NaN where missing; read in chunks.
    target : sequence of int
        Features that are forecast, each from its own past.
    input_length, horizon : int
        Time steps of look-back and of forecast.
    scope : {"global", "local", "graph", "joint", "joint_mean"}
        See `WindowRidge`.
    penalties : sequence of (float, int)
        Penalty of each map, and for ``"joint"`` and ``"joint_mean"`` number of last time steps of all nodes.
    graph : Graph, optional
        For ``"graph"``.
    starts : ndarray of int, optional
        First time steps of the windows to learn from; default all that fit.

    Yields
    ------
    WindowRidge
        A fitted map for each of the penalties, in their order.
    """
    statistics = NodeScaler("standard").fit(values)
    center, scale = statistics.center[:, target], statistics.scale[:, target]
    shares = shares_of_others(values, target, center, scale)
    all_units = [Units(*pair) for pair in zip(center.T, scale.T, strict=True)]
    walk = _walk(graph) if scope == "graph" and graph is not None else None
    jointly = scope in ("joint", "joint_mean")
    own_alphas = [1.0] if jointly else [alpha for alpha, _ in penalties]
    own, joint = [], []
    for feature, units in zip(target, all_units, strict=True):
        if scope == "joint_mean":
            own.append([np.zeros((input_length, horizon))])
        else:
            own.append(
                _solve_own(values, feature, units, input_length, horizon, own_alphas, scope, walk, starts)
            )
        if jointly:
            joint.append(
                solve_jointly(
                    values, feature, units, own[-1][0], horizon, penalties, starts, scope == "joint_mean"
                )
            )
    for i, (alpha, joint_length) in enumerate(penalties):
        weights = np.stack([of_feature[0 if jointly else i] for of_feature in own])
        found = (scope, float(alpha), weights, center, scale, walk)
        if jointly:
            of_all = np.stack([next(of_feature) for of_feature in joint])
            yield WindowRidge(*found, of_all, joint_length, shares=shares)
        else:
            yield WindowRidge(*found, shares=shares)


def fit_ensemble(
    spec: EnsembleSpec,
    values: Any,
    target: Sequence[int],
    input_length: int,
    horizon: int,
    graph: Graph | None = None,
    starts: np.ndarray | None = None,
) -> WindowRidge:
    """Fit the members of an ensemble, and make one map of them.

    Parameters
    ----------
    spec : list of tuple
        Weight, scope, penalty, and number of last time steps of all nodes, of each member.
    values, target, input_length, horizon, graph, starts
        As for `fit_ridges`.

    Returns
    -------
    WindowRidge
        The weighted mean of the members.
    """
    maps: list[WindowRidge] = []
    shares: list[float] = []
    for scope in dict.fromkeys(scope for _, scope, _, _ in spec):
        same = [(share, (alpha, length)) for share, its_scope, alpha, length in spec if its_scope == scope]
        penalties = [penalty for _, penalty in same]
        maps += fit_ridges(values, target, input_length, horizon, scope, penalties, graph, starts)
        shares += [share for share, _ in same]
    if len(maps) == 1:
        return maps[0]
    walk = next((one.walk for one in maps if one.walk is not None), None)
    per_node = any(one.weights.ndim == 4 for one in maps)
    joint_length = max(one.joint_length for one in maps)
    weights: Any = 0.0
    joint: Any = None
    for share, one in zip(shares, maps, strict=True):
        own = one.weights
        if walk is not None and one.walk is None:
            own = _with_neighbours(own)
        weights = weights + share * (own[:, None] if per_node and own.ndim == 3 else own)
        if one.joint is not None:
            earlier = (joint_length - one.joint_length) * values.shape[1]
            padded = np.pad(np.float32(share) * one.joint, ((0, 0), (earlier, 0), (0, 0)))
            joint = padded if joint is None else joint + padded
    if per_node:
        weights = np.broadcast_to(weights, (len(target), values.shape[1], *weights.shape[2:]))
    least = min(one.alpha for one in maps)
    center, scale = maps[0].mean, maps[0].scale
    found = (least, weights, center, scale, walk, joint, joint_length, list(spec))
    return WindowRidge("ensemble", *found, shares=maps[0].shares)


def _with_neighbours(weights: np.ndarray) -> np.ndarray:
    """The same map with weights of 0 for the neighbours' past."""
    drift = weights[..., -1:, :]
    return np.concatenate([weights[..., :-1, :], np.zeros_like(weights), drift], axis=-2)


def _without_neighbours(weights: np.ndarray, input_length: int) -> np.ndarray:
    """The part of a map that belongs to a node's own past."""
    return np.concatenate([weights[..., : input_length - 1, :], weights[..., -1:, :]], axis=-2)


def _solve_own(
    values: Any,
    feature: int,
    units: Units,
    input_length: int,
    horizon: int,
    alphas: Sequence[float],
    scope: str,
    walk: np.ndarray | None,
    starts: np.ndarray | None,
) -> list[np.ndarray]:
    """Weights of one feature for each penalty, without the part that all nodes share."""
    n_times, n_nodes = values.shape[:2]
    sizes = (units, input_length, horizon, alphas)
    if scope == "local":
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
