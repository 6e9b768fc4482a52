"""Forecasters that cost next to nothing, with the face of the networks: what every network has to beat.

`LastValue`, `SeasonalNaive` and `MeanProfile` only average what the look-back holds; `RidgeForecaster` is
linear and solved in closed form. Builds on `base`; the report puts all four beside every network.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..data.containers import Panel
from ..data.scaling import NodeScaler
from ..exceptions import DataError
from ..graphs import Graph
from .base import BaseForecaster
from .parameters import real, whole
from .ridge import carried, solve_windows

__all__ = ["LastValue", "MeanProfile", "RidgeForecaster", "SeasonalNaive"]

# How far to look back for an observation when the training rows have gaps; one step or season where they have
# none.
_ROWS_WITH_GAPS = 24
_SEASONS_WITH_GAPS = 3


class _Baseline(BaseForecaster):
    """What the four share: a look-back and a mean per node to fall back on.

    Attributes
    ----------
    context_length_ : int
        Rows of look-back that one forecast uses.
    mean_ : ndarray of shape (n_nodes, n_targets)
        Mean of the training rows, the forecast where the look-back holds no observation.
    n_parameters_ : int
        Number of fitted weights.
    """

    @property
    def _context_length(self) -> int:
        return self.context_length_

    def _fit_panel(self, panel: Panel, graph: Graph | None) -> None:
        self.context_length_ = self._choose_context(panel)
        self._check_length(panel, self.context_length_)
        statistics = NodeScaler("standard").fit(panel.values[..., self.target_])
        self.mean_, self._scale = statistics.center, statistics.scale
        self.n_parameters_ = 0

    def _choose_context(self, panel: Panel) -> int:
        raise NotImplementedError

    def _check_length(self, panel: Panel, needed: int) -> None:
        if panel.n_times < needed:
            raise DataError(
                f"X has n_samples = {panel.n_times} rows; {type(self).__name__} needs at least {needed} to "
                "learn from. Give more rows, or shorten its look-back (season, n_seasons or input_length) "
                "or horizon."
            )

    def _or_mean(self, forecast: np.ndarray) -> np.ndarray:
        """Put the training mean where the look-back had no observation; (b, h, n, f) in and out."""
        return np.where(np.isnan(forecast), self.mean_, forecast)


class LastValue(_Baseline):
    """Repeat the last observed value of every node.

    Parameters
    ----------
    horizon : int, default=12
        Steps to forecast.

    Attributes
    ----------
    context_length_ : int
        Rows in which the last observation is looked for: 1 if the training rows are complete, else 24 (less
        where there are fewer). A node without an observation in them gets its training mean.
    mean_ : ndarray of shape (n_nodes, n_targets)
        Training mean of every node.

    Examples
    --------
    >>> import numpy as np
    >>> from stmest.forecasters.baselines import LastValue
    >>> LastValue(horizon=2).fit(np.array([[1.0, 5.0], [2.0, 4.0]])).predict()
    array([[2., 4.],
           [2., 4.]])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {"horizon": [whole(1)]}

    def __init__(self, *, horizon: int = 12):
        self.horizon = horizon

    def _choose_context(self, panel: Panel) -> int:
        return min(_ROWS_WITH_GAPS, panel.n_times) if _has_gaps(panel) else 1

    def _forecast(self, x: np.ndarray, time: np.ndarray | None) -> np.ndarray:
        last = x[:, -1:, :, self.target_].copy()
        for step in range(2, x.shape[1] + 1):
            _fill(last, x[:, -step : x.shape[1] - step + 1, :, self.target_])
        return np.repeat(self._or_mean(last), self.horizon, axis=1)


class SeasonalNaive(_Baseline):
    """Repeat the last season: the value observed one season (a day, a week) before.

    Parameters
    ----------
    horizon : int, default=12
        Steps to forecast; beyond one season the season is repeated.
    season : int, default=24
        Steps in one season.

    Attributes
    ----------
    context_length_ : int
        One season if the training rows are complete, else three (less where there are fewer): a missing value
        is taken from the season before, and from the node's training mean where all of them lack it.
    mean_ : ndarray of shape (n_nodes, n_targets)
        Training mean of every node.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {"horizon": [whole(1)], "season": [whole(1)]}

    def __init__(self, *, horizon: int = 12, season: int = 24):
        self.horizon = horizon
        self.season = season

    def _choose_context(self, panel: Panel) -> int:
        seasons = min(_SEASONS_WITH_GAPS, panel.n_times // self.season) if _has_gaps(panel) else 1
        return self.season * max(1, seasons)

    def _forecast(self, x: np.ndarray, time: np.ndarray | None) -> np.ndarray:
        seasons = _by_season(x[..., self.target_], self.season)
        profile = seasons[:, -1].copy()
        for earlier in range(seasons.shape[1] - 2, -1, -1):
            _fill(profile, seasons[:, earlier])
        return _repeated(self._or_mean(profile), self.horizon)


class MeanProfile(_Baseline):
    """Forecast the mean of the last seasons, phase by phase.

    Often the strongest thing without parameters on data with a cycle: averaging two weeks of days removes the
    noise that `SeasonalNaive` repeats.

    Parameters
    ----------
    horizon : int, default=12
        Steps to forecast.
    season : int, default=24
        Steps in one season.
    n_seasons : int, default=7
        Seasons to average; missing values are left out.

    Attributes
    ----------
    context_length_ : int
        ``season * n_seasons``.
    mean_ : ndarray of shape (n_nodes, n_targets)
        Training mean of every node, the forecast of a phase that none of the seasons observed.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "horizon": [whole(1)],
        "season": [whole(1)],
        "n_seasons": [whole(1)],
    }

    def __init__(self, *, horizon: int = 12, season: int = 24, n_seasons: int = 7):
        self.horizon = horizon
        self.season = season
        self.n_seasons = n_seasons

    def _choose_context(self, panel: Panel) -> int:
        return self.season * self.n_seasons

    def _forecast(self, x: np.ndarray, time: np.ndarray | None) -> np.ndarray:
        seasons = _by_season(x[..., self.target_], self.season)
        observed = ~np.isnan(seasons)
        count = observed.sum(axis=1)
        total = np.where(observed, seasons, 0.0).sum(axis=1, dtype=np.float64)
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        return _repeated(self._or_mean(mean), self.horizon)


class RidgeForecaster(_Baseline):
    """Linear regression from the look-back of a node to its future, with an L2 penalty, in closed form.

    Every window is centred on its last observed value and divided by the node's standard deviation; the
    weights then minimise ``sum (y - x W - c)^2 + alpha (|W|^2 + |c|^2)`` over all training windows. The
    intercept c, which is the drift away from the last value, is penalised like the weights, so that a large
    `alpha` leads to the forecast of `LastValue`. Features are forecast one by one, each from its own past.

    Missing inputs carry the last observed value of the window forward (the first one backward); a window
    without any observed input is not learnt from. A missing target is left out for its own step of the
    horizon only.

    Parameters
    ----------
    input_length : int, default=24
        Rows of look-back.
    horizon : int, default=12
        Steps to forecast.
    alpha : float, default=1.0
        Strength of the penalty, in units of windows of standardised data; 100 to 1000 suits some ten thousand
        windows.
    per_node : bool, default=False
        Learn weights for each node instead of one set from the windows of all nodes.

    Attributes
    ----------
    coef_ : ndarray of shape (n_targets, n_groups, input_length, horizon)
        Weights; `n_groups` is n_nodes if `per_node`, else 1. Those of the last step are 0, as it is the
        centre.
    intercept_ : ndarray of shape (n_targets, n_groups, horizon)
        Drift, in standard deviations of the node.
    mean_, scale_ : ndarray of shape (n_nodes, n_targets)
        Mean and standard deviation of the training rows.
    n_parameters_ : int
        Number of weights and intercepts.

    Notes
    -----
    The normal equations are summed up in float64 over pieces of the training rows, so that memory does not
    grow with the number of windows.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "input_length": [whole(1)],
        "horizon": [whole(1)],
        "alpha": [real(0)],
        "per_node": ["boolean"],
    }

    def __init__(
        self, *, input_length: int = 24, horizon: int = 12, alpha: float = 1.0, per_node: bool = False
    ):
        self.input_length = input_length
        self.horizon = horizon
        self.alpha = alpha
        self.per_node = per_node

    def _choose_context(self, panel: Panel) -> int:
        return self.input_length

    def _fit_panel(self, panel: Panel, graph: Graph | None) -> None:
        self._check_length(panel, self.input_length + self.horizon)
        super()._fit_panel(panel, graph)
        self.scale_ = self._scale
        n_nodes = panel.values.shape[1]
        groups = [[node] for node in range(n_nodes)] if self.per_node else [list(range(n_nodes))]
        solved = [
            [
                solve_windows(
                    panel.values[:, :, feature], nodes, self.scale_[:, position],
                    self.input_length, self.horizon, self.alpha,
                )
                for nodes in groups
            ]
            for position, feature in enumerate(self.target_)
        ]  # fmt: skip
        self.coef_ = np.array([[weights for weights, _ in of_feature] for of_feature in solved])
        self.intercept_ = np.array([[drift for _, drift in of_feature] for of_feature in solved])
        self.n_parameters_ = int(self.coef_.size + self.intercept_.size)

    def _forecast(self, x: np.ndarray, time: np.ndarray | None) -> np.ndarray:
        inputs = np.asarray(x[..., self.target_], dtype=np.float64).transpose(3, 2, 0, 1)  # f n b t
        inputs = carried(inputs)
        scale, mean = (a.T[:, :, None, None] for a in (self.scale_, self.mean_))
        inputs = np.where(np.isnan(inputs), mean, inputs)
        last = inputs[..., -1:]
        drift = ((inputs - last) / scale) @ self.coef_ + self.intercept_[:, :, None]  # f n b h
        return (last + scale * drift).transpose(2, 3, 1, 0)


def _has_gaps(panel: Panel) -> bool:
    """Whether a reading is missing; column by column, so that nothing as large as the data is made."""
    return any(bool(np.isnan(panel.values[:, node]).any()) for node in range(panel.values.shape[1]))


def _fill(values: np.ndarray, other: np.ndarray) -> None:
    """Replace missing values, in place, by those of another array of the same shape."""
    missing = np.isnan(values)
    values[missing] = other[missing]


def _by_season(x: np.ndarray, season: int) -> np.ndarray:
    """Cut (b, t, n, f) into its whole seasons up to the last row: (b, n_seasons, season, n, f)."""
    n_seasons = x.shape[1] // season
    return x[:, x.shape[1] - n_seasons * season :].reshape(len(x), n_seasons, season, *x.shape[2:])


def _repeated(profile: np.ndarray, horizon: int) -> np.ndarray:
    """Run through a profile (b, season, n, f) as often as the horizon needs: (b, h, n, f)."""
    return profile[:, np.arange(horizon) % profile.shape[1]]
