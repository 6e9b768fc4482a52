"""Simulated tasks whose answer needs one mechanism of a network, and is noise to a network without it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter

__all__ = [
    "Task",
    "kinds_of_nodes",
    "last_event",
    "leader_far_away",
    "old_cycle",
    "two_time_scales",
    "upstream",
    "wave",
]


@dataclass(frozen=True)
class Task:
    """What is forecast from what.

    Attributes
    ----------
    X : ndarray of shape (n_times, n_nodes), (n_times, n_nodes, n_features), or (n_times, n_y, n_x) of a field
        Values.
    input_length, horizon : int
        Time steps in and out.
    scored : ndarray
        The nodes whose error counts, or the cells of a field, counted row by row.
    graph : ndarray of shape (n_nodes, n_nodes) or None
        The edges along which nodes influence each other.
    kinds : ndarray of shape (n_nodes,) or None
        Which dynamics a node follows.
    target : list of int or None
        Features that are forecast.
    """

    X: np.ndarray
    input_length: int
    horizon: int
    scored: np.ndarray = field(repr=False)
    graph: np.ndarray | None = None
    kinds: np.ndarray | None = None
    target: list[int] | None = None

    @property
    def cut(self) -> int:
        """First time step of the test part, the last fifth."""
        return int(0.8 * len(self.X))


def upstream(
    seed: int, n_times: int = 1000, n_followers: int = 3, squares: bool = True, delay: int = 6
) -> Task:
    """Each follower is the sum of what two nodes of white noise had some steps before, squared or as it was, with noise.

    The mean of the two nodes, which a head sees without an encoder, tells at most half of the squares.
    """
    rng = np.random.default_rng(seed)
    leaders = rng.standard_normal((n_times + delay, n_followers, 2))
    passed = (leaders**2 - 1) / 2 if squares else leaders / 2**0.5
    followers = passed[:-delay].sum(2) + 0.2 * rng.standard_normal((n_times, n_followers))
    X = np.concatenate([followers, leaders[delay:].reshape(n_times, -1)], axis=1)
    graph = np.zeros((X.shape[1], X.shape[1]))
    graph[np.arange(n_followers, X.shape[1]), np.arange(2 * n_followers) // 2] = 1
    order = rng.permutation(X.shape[1])
    graph = graph[order][:, order]
    return Task(X[:, order], 12, 3, np.flatnonzero(graph.any(0)), graph)


def two_time_scales(seed: int, n_times: int = 1000, n_nodes: int = 4, swing: bool = False) -> Task:
    """A response to the square of one step of a white noise, and to that of an older stretch: its sum, or a swing up and down."""
    rng = np.random.default_rng(seed)
    cause = rng.standard_normal((n_times + 20, n_nodes))
    weight = np.array([1, 1, -1, -1, -1, 1, 1] if swing else [1] * 9) / (7 if swing else 9) ** 0.5
    stretch = sum(w * cause[15 - lag : -5 - lag] for lag, w in enumerate(weight))  # from 5 steps before on
    response = (cause[16:-4] ** 2 + stretch**2 - 2) / 2 + 0.2 * rng.standard_normal((n_times, n_nodes))
    return Task(np.stack([cause[20:], response], -1), 16, 3, np.arange(n_nodes), target=[1])


def kinds_of_nodes(seed: int, n_times: int = 800, n_nodes: int = 10, delay: int = 4) -> Task:
    """Nodes of two kinds: large values, of either sign, are followed by high ones, or by low ones. Correlations are alike."""
    rng = np.random.default_rng(seed)
    kinds = rng.permutation(np.arange(n_nodes) % 2)
    X = rng.standard_normal((n_times + 30, n_nodes))
    for step in range(delay, len(X)):
        reaction = 2.5 * np.tanh(np.abs(X[step - delay])) - 1.3
        X[step] = np.where(kinds == 0, reaction, -reaction) + 0.5 * X[step]
    return Task(X[30:], 8, 3, np.arange(n_nodes), kinds=kinds)


def leader_far_away(seed: int, n_times: int = 1500, n_nodes: int = 6, delay: int = 6) -> Task:
    """The last column is what the first, white noise, was six steps before; those between have cycles of their own."""
    rng = np.random.default_rng(seed)
    time = np.arange(n_times + delay)[:, None]
    X = np.sin(2 * np.pi * (time / (5 + 2 * np.arange(n_nodes)) + rng.random(n_nodes)))
    X[:, 0] = rng.standard_normal(len(X))
    X[delay:, -1] = X[:-delay, 0]
    return Task(X[delay:], 24, 3, np.array([n_nodes - 1]))


def old_cycle(seed: int, n_times: int = 1000, n_nodes: int = 3, period: int = 40) -> Task:
    """White noise that comes again after a period, a little changed: nothing of the last dozen steps says what comes next."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_times + period, n_nodes))
    for step in range(period, len(X)):
        X[step] = 0.95 * X[step - period] + (1 - 0.95**2) ** 0.5 * X[step]
    return Task(X[period:], 48, 4, np.arange(n_nodes))


def wave(seed: int, n_times: int = 360, shape: tuple[int, int] = (8, 24), down: bool = False) -> Task:
    """A field that travels to the right, or down, and comes in again at the other edge; scored is what crosses it."""
    rng, speed, horizon, kept = np.random.default_rng(seed), 2, 3, 0.97

    def pattern() -> np.ndarray:
        smooth = gaussian_filter(rng.standard_normal(shape), 1.0, mode="wrap")
        return smooth / smooth.std()

    X = np.empty((n_times, *shape))
    X[0] = pattern()
    for step in range(1, n_times):
        X[step] = kept * np.roll(X[step - 1], speed, axis=1) + (1 - kept**2) ** 0.5 * pattern()
    cells = np.arange(shape[0] * shape[1]).reshape(shape)
    if down:
        X, cells = np.ascontiguousarray(X.transpose(0, 2, 1)), np.arange(cells.size).reshape(shape[::-1]).T
    return Task(X, 4, horizon, cells[:, : speed * horizon].ravel())


def last_event(seed: int, n_times: int = 1000, n_pairs: int = 4, apart: bool = False, delay: int = 4) -> Task:
    """At random times there is an event, +1 or -1; some steps later, its product with the event before it.

    The event before it is seven steps away on average, and often twenty. Both series are features of a node, or, with `apart`,
    nodes: the products are then at a second node, to which the first one points.
    """
    rng = np.random.default_rng(seed)
    size = (n_times + 100, n_pairs)
    events = np.where(rng.random(size) < 0.15, rng.choice([-1.0, 1.0], size), 0.0)
    products, last = np.zeros(size), np.ones(n_pairs)
    for step in range(len(events) - delay):
        products[step + delay] = events[step] * last
        last = np.where(events[step] == 0, last, events[step])
    series = [(part + 0.1 * rng.standard_normal(size))[100:] for part in (events, products)]
    if not apart:
        return Task(np.stack(series, -1), 32, delay, np.arange(n_pairs), target=[1])
    graph = np.kron([[0, 1], [0, 0]], np.eye(n_pairs))
    return Task(np.concatenate(series, 1), 32, delay, n_pairs + np.arange(n_pairs), graph)
