"""Simulated sensor networks whose truth is known: the graph, the kinds of nodes, and what a forecast can gain.

Builds on `graphs`; used by the tests and the benchmarks, where a known truth is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from ..exceptions import DataError, ParameterError
from ..graphs import Graph

__all__ = ["SensorNetwork", "make_sensor_network", "mask_gaps"]

Table = TypeVar("Table", np.ndarray, pd.DataFrame)

_START = "2024-01-01"  # a Monday
_DELAY = 6  # steps that deviations and incidents take along one edge
_INCIDENT_KEPT, _INCIDENT_PASSED = 0.3, 0.65  # their sum is below 1: every incident dies out
_STRONG, _WEAK, _SHARE_STRONG = 1.0, 0.1, 0.25  # size of the shocks, and at how many nodes they are strong
_BURN_IN = 500  # steps simulated before the first one that is returned


class _Kind(NamedTuple):
    """How the nodes of one type behave."""

    kept: float  # share of its own deviation that a node keeps from one step to the next
    taken: float  # weight of the mean deviation of its neighbours; kept + taken < 1
    reaction: float  # what an incident of size 1 adds to the value, in units of the node
    peaks: tuple[tuple[float, float, float], ...]  # daily cycle: hour, width in hours, height
    weekend: float  # height of the cycle on Saturday and Sunday, 1 on other days


_KINDS = (
    _Kind(0.05, 0.93, -1.0, ((8, 1.6, 2.0), (17.5, 2.0, 1.8)), 0.35),  # arterial road: follows its neighbours
    _Kind(0.50, 0.48, -0.15, ((19, 3.5, 1.8),), 1.0),  # residential street: sluggish, hardly hit
    _Kind(0.25, 0.73, 0.8, ((13, 3.0, 1.2),), 1.8),  # diversion: takes what incidents push out
    _Kind(-0.20, 0.75, 0.3, ((6, 1.2, 1.5), (22, 1.5, 1.2)), 0.7),  # shift work: swings back
)


@dataclass(frozen=True)
class SensorNetwork:
    """A simulated network together with its truth.

    Attributes
    ----------
    values : DataFrame of shape (n_times, n_nodes)
        Values with a DatetimeIndex and named nodes; NaN where missing.
    graph : Graph
        The edges along which deviations and incidents travel, with node names and planar coordinates.
    node_types : ndarray of shape (n_nodes,), int
        Which of the dynamics every node follows.
    """

    values: pd.DataFrame
    graph: Graph
    node_types: np.ndarray


def make_sensor_network(
    n_nodes: int = 30,
    n_times: int = 2016,
    *,
    n_types: int = 3,
    n_neighbors: int = 2,
    incident_rate: float = 0.002,
    noise: float = 0.05,
    missing: float = 0.0,
    freq: str = "1h",
    random_state: int | np.random.Generator | None = None,
) -> SensorNetwork:
    r"""Simulate observations that diffuse along a random geometric graph.

    Nodes lie at random in the unit square and are joined with their nearest ones; half of the edges lead one
    way only. With :math:`P_{ji}` the weight of the edge from j to i, divided by the sum over all edges into
    i, and :math:`c` the type of node i, chosen independently of its place, the values of step t are

    .. math::

        x_{t,i} &= l_i + s_i \, [\, g_c(t) + z_{t,i} + r_c \, (0.3 + g_c(t)) \, u_{t,i} + e_{t,i} \,] \\
        z_{t,i} &= a_c \, z_{t-1,i} + b_c \sum_j P_{ji} \, z_{t-6,j} + w_{t,i} \\
        u_{t,i} &= 0.3 \, u_{t-1,i} + 0.65 \sum_j P_{ji} \, u_{t-6,j} + k_{t,i}

    with, from left to right:

    - level :math:`l_i` and unit :math:`s_i` of the node; the unit makes the standard deviation of a node's values lie
      between 4 and 12;
    - :math:`g_c`, the daily cycle of the type (one or two peaks), scaled on weekends, which makes it a weekly one;
    - z, the deviations, which diffuse and take 6 steps along an edge: a type keeps the share :math:`a_c` of its own and
      takes the share :math:`b_c` of its neighbours'; the shocks w are normal with standard deviation 1 at every fourth
      node, where deviations arise, and 0.1 elsewhere;
    - u, the incidents: they break out at a node with probability `incident_rate` per step (:math:`k \in [1, 3]`, else 0)
      and reach the next nodes 6 steps later; a type reacts by :math:`r_c`, more strongly when it is busy;
    - e, the error of the sensor, normal with standard deviation `noise`.

    So the past of the neighbours helps to forecast a node beyond what its own past does: about a
    fifth of the error that a linear model of the own past makes over 12 steps goes away when it sees the
    neighbours too.

    Parameters
    ----------
    n_nodes : int, default=30
        Number of sensors, at least 2.
    n_times : int, default=2016
        Number of steps; 2016 hours are 12 weeks.
    n_types : int, default=3
        Number of dynamics, 1 to 4.
    n_neighbors : int, default=2
        Every node is joined with at least so many nearest ones.
    incident_rate : float, default=0.002
        Probability of a new incident per node and step, in [0, 1].
    noise : float, default=0.05
        Standard deviation of the sensors' error in units of the node, at least 0.
    missing : float, default=0.0
        Share of values to remove, in [0, 1), half of them single ones and half in longer runs; see `mask_gaps`.
    freq : str, default="1h"
        Step of the index, an even part of a day. The cycles keep their 24 hours; all else is counted in
        steps.
    random_state : int, Generator or None, default=None
        Seed; the same one gives the same network. numpy's global generator is not used.

    Returns
    -------
    SensorNetwork
        values, graph and node_types.

    Examples
    --------
    >>> from stmest.datasets import make_sensor_network
    >>> network = make_sensor_network(n_nodes=5, n_times=48, random_state=0)
    >>> network.values.shape, network.graph.n_nodes
    ((48, 5), 5)
    """
    _check_arguments(n_nodes, n_times, n_types, n_neighbors, incident_rate, noise)
    _check_share("missing", missing)
    rng = np.random.default_rng(random_state)
    names = [f"s{i:0{len(str(n_nodes - 1))}d}" for i in range(n_nodes)]
    graph = _geometric_graph(n_nodes, n_neighbors, names, rng)
    # As equal in number as possible, so that every type is there to be found.
    types = rng.permutation(np.arange(n_nodes) % n_types)
    kinds = [_KINDS[kind] for kind in types]
    index = pd.date_range(_START, periods=n_times, freq=_checked_step(freq))
    cycle = _cycles(index, n_types)[:, types]

    flow = graph.to_dense().astype(np.float64).T
    flow /= np.maximum(flow.sum(axis=1, keepdims=True), 1e-12)  # [i, j]: share of j in what arrives at i
    shape = (_BURN_IN + n_times, n_nodes)
    strong = rng.permutation(n_nodes) < max(1, round(_SHARE_STRONG * n_nodes))
    shocks = np.where(strong, _STRONG, _WEAK) * rng.standard_normal(shape)
    kept, taken = np.array([kind.kept for kind in kinds]), np.array([kind.taken for kind in kinds])
    deviation = _travel(flow, kept, taken, shocks)
    outbreaks = np.where(rng.random(shape) < incident_rate, rng.uniform(1, 3, shape), 0.0)
    incident = _travel(flow, _INCIDENT_KEPT, _INCIDENT_PASSED, outbreaks)

    reaction = np.array([kind.reaction for kind in kinds])
    signal = (
        cycle + deviation + reaction * (0.3 + cycle) * incident + noise * rng.standard_normal(cycle.shape)
    )
    level, spread = rng.uniform(40, 60, n_nodes), rng.uniform(4, 12, n_nodes)
    own_spread = signal.std(axis=0)
    unit = spread / np.where(own_spread > 0, own_spread, 1.0)
    values = pd.DataFrame(level + unit * signal, index=index, columns=names)
    return SensorNetwork(mask_gaps(values, missing, random_state=rng) if missing else values, graph, types)


def mask_gaps(
    X: Table,
    fraction: float,
    max_gap: int = 24,
    random_state: int | np.random.Generator | None = None,
    *,
    single: float = 0.5,
) -> Table:
    """Remove values as failing sensors do: single ones, and runs of many time steps.

    Parameters
    ----------
    X : ndarray or DataFrame of shape (n_times, n_nodes) or (n_times, n_nodes, n_features)
        Values; a removed one loses all its features.
    fraction : float
        Share of all values to remove, in [0, 1); those missing already count as not removed.
    max_gap : int, default=24
        Longest run of steps that is removed at once, at least 1; lengths are uniform from 1. Runs may meet.
    random_state : int, Generator or None, default=None
        Seed; the same one removes the same values.
    single : float, default=0.5
        Share of the removed values that are chosen one by one, in [0, 1]; 0 removes runs only.

    Returns
    -------
    ndarray or DataFrame
        A copy in floating point with NaN in ``round(fraction * n_times * n_nodes)`` more places, or in all of
        them where fewer were observed.
    """
    _check_share("fraction", fraction)
    if not isinstance(max_gap, (int, np.integer)) or max_gap < 1:
        raise ParameterError(f"max_gap must be an int >= 1 (steps), got {max_gap!r}.")
    if not 0 <= single <= 1:
        raise ParameterError(f"single must be a share in [0, 1], got {single!r}.")
    values = np.array(X, dtype=np.result_type(np.asarray(X).dtype, np.float32))
    if values.ndim not in (2, 3):
        raise DataError(
            f"X must have shape (n_times, n_nodes) or (n_times, n_nodes, n_features), got {values.shape}."
        )
    rng = np.random.default_rng(random_state)
    n_times, n_nodes = values.shape[:2]
    there = ~np.isnan(values) if values.ndim == 2 else ~np.isnan(values).all(axis=2)
    wanted = min(round(fraction * there.size), int(there.sum()))
    kept = there.copy()
    to_remove = int(wanted * (1 - single))
    while to_remove > 0:
        node, length = rng.integers(n_nodes), min(int(rng.integers(1, max_gap + 1)), to_remove)
        start = rng.integers(max(1, n_times - length + 1))
        to_remove -= int(kept[start : start + length, node].sum())
        kept[start : start + length, node] = False
    left = np.flatnonzero(kept)
    single = rng.choice(left, size=wanted - int(there.sum() - kept.sum()), replace=False)
    kept.ravel()[single] = False
    values[~kept] = np.nan
    return pd.DataFrame(values, index=X.index, columns=X.columns) if isinstance(X, pd.DataFrame) else values


def _geometric_graph(n_nodes: int, n_neighbors: int, names: list[str], rng: np.random.Generator) -> Graph:
    """Join nearest nodes of the unit square; every second pair, on average, in one direction only."""
    place = rng.random((n_nodes, 2))
    k = min(n_neighbors, n_nodes - 1)
    distance, neighbour = cKDTree(place).query(place, k=k + 1)
    weight = np.zeros((n_nodes, n_nodes))
    rows = np.arange(n_nodes)[:, None]
    unit = max(float(distance[:, 1:].mean()), 1e-12)
    weight[rows, neighbour[:, 1:]] = np.exp(-np.square(distance[:, 1:] / (2 * unit)))
    weight = np.maximum(weight, weight.T)
    both = np.triu(weight > 0, 1)
    fate = rng.random((n_nodes, n_nodes))
    weight[both & (fate < 0.25)] = 0.0
    weight[(both & (fate > 0.75)).T] = 0.0
    # A node that nothing leads to would be on its own: give it back the way from its nearest one.
    for node in np.flatnonzero(~weight.any(axis=0)):
        weight[neighbour[node, 1], node] = np.exp(-np.square(distance[node, 1] / (2 * unit)))
    return Graph(weight, names, place)


def _cycles(index: pd.DatetimeIndex, n_types: int) -> np.ndarray:
    """Return the cycle of every type: (n_times, n_types)."""
    hour = np.asarray(index.hour + index.minute / 60 + index.second / 3600)
    weekend = np.asarray(index.dayofweek) >= 5
    columns = []
    for kind in _KINDS[:n_types]:
        day = np.zeros(len(index))
        for peak, width, height in kind.peaks:
            away = np.abs((hour - peak + 12) % 24 - 12)
            day += height * np.exp(-0.5 * np.square(away / width))
        columns.append(np.where(weekend, kind.weekend, 1.0) * day)
    return np.stack(columns, axis=1)


def _travel(
    flow: np.ndarray, kept: np.ndarray | float, taken: np.ndarray | float, arrivals: np.ndarray
) -> np.ndarray:
    """Let what arrives at the nodes stay and travel on along the edges, and drop the burn-in.

    Step t is ``state = kept * (state one step ago) + taken * flow @ (state _DELAY steps ago) + arrivals[t]``.
    """
    state = np.zeros((_DELAY + len(arrivals), arrivals.shape[1]))
    for t, arriving in enumerate(arrivals):
        state[t + _DELAY] = kept * state[t + _DELAY - 1] + taken * (flow @ state[t]) + arriving
    return state[_DELAY + _BURN_IN :]


def _checked_step(freq: str) -> pd.Timedelta:
    try:
        step = pd.Timedelta(freq)
    except ValueError:
        step = pd.Timedelta(0)
    if step <= pd.Timedelta(0) or pd.Timedelta("1D") % step != pd.Timedelta(0):
        raise ParameterError(
            f"freq must be a fixed step that divides a day, such as '1h' or '15min', got {freq!r}."
        )
    return step


def _check_arguments(
    n_nodes: Any, n_times: Any, n_types: Any, n_neighbors: Any, incident_rate: float, noise: float
) -> None:
    for name, value, low, high in (
        ("n_nodes", n_nodes, 2, None),
        ("n_times", n_times, 1, None),
        ("n_types", n_types, 1, len(_KINDS)),
        ("n_neighbors", n_neighbors, 1, None),
    ):
        if not isinstance(value, (int, np.integer)) or value < low or (high is not None and value > high):
            allowed = f">= {low}" if high is None else f"from {low} to {high}"
            raise ParameterError(f"{name} must be an int {allowed}, got {value!r}.")
    if not 0 <= incident_rate <= 1:
        raise ParameterError(f"incident_rate must be a probability in [0, 1], got {incident_rate!r}.")
    if not (noise >= 0 and np.isfinite(noise)):
        raise ParameterError(f"noise must be a finite number >= 0, got {noise!r}.")


def _check_share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ParameterError(f"{name} must be a share in [0, 1), got {value!r}.")
