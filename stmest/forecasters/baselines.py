"""Forecasters that cost next to nothing, with the face of the networks: what every network has to beat.

`LastValue`, `SeasonalNaive` and `MeanProfile` only average what the look-back holds; `RidgeForecaster` is
linear and solved in closed form. Builds on `base`; the report puts all four beside every network.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import StrOptions

from ..data.panel import Panel
from ..data.scaling import NodeScaler
from ..data.splits import temporal_split
from ..exceptions import DataError, ParameterError
from ..graphs import Graph
from ..linear.ensemble_selection import DRAWS, choose_recipe, kinds_of_inputs
from ..linear.window_ridge import fit_recipe
from .base import BaseForecaster
from .parameters import SEASONAL_PROFILE, real, whole
from .windowing import SELECTION_FRACTION

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
        statistics = NodeScaler("standard").fit(panel.values)
        self.mean_, self._scale = statistics.center[:, self.target_], statistics.scale[:, self.target_]
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

    def _state_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"mean_": (self.n_features_in_, len(self.target_))}

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
    """Linear regression from look-back to future, with an L2 penalty, in closed form, after the seasonal profile.

    Every window is centred on its last value and divided by the node's standard deviation; the weights then minimise
    ``sum (y - x W - c)^2 + alpha (|W|^2 + |c|^2)`` over all training windows. The intercept c, which is the drift away
    from the last value, is penalised like the weights, so that a large `alpha` leads to the forecast of `LastValue`.
    Features are forecast one by one, each from its own past.

    Parameters
    ----------
    input_length : int, default=24
        Rows of look-back.
    horizon : int, default=12
        Rows to forecast.
    alpha : float or "auto", default="auto"
        Strength of the penalty, in units of windows of standardised data. ``"auto"`` takes the one that forecasts the last
        eighth of the training rows best, and then learns from all rows; with ``neighbours="all"`` it also says how many of
        the last rows of all nodes are used.
    per_node : bool, default=False
        Learn weights for each node instead of one set from the windows of all nodes.
    neighbours : {None, "adj", "all", "blend"}, default=None
        What a node's forecast sees beside its own past: nothing; the weighted mean of the nodes whose edges lead to it; or,
        in a second regression for what its own past leaves, the last rows of all nodes (at most 96 rows and 2,500 inputs; the
        number of weights grows with the square of the nodes). ``"blend"`` is a mean of such regressions, and of those with
        weights for each node and from all nodes alone, drawn one after the other as long as the error on the last eighth of
        the training rows falls (those of all nodes up to 250 nodes, those of neighbours up to 2,000).
    seasonal_profile : {"auto", "time_of_day", "time_of_week", "day_of_year"}, int or None, default="auto"
        Mean of each node over such a cycle, or over a period in rows, that is subtracted first and added to the forecast;
        ``"auto"`` takes the one with the least error on the last eighth of the training rows, None among them.
    adj : graph, optional
        For ``neighbours="adj"``; `fit`'s argument wins.

    Attributes
    ----------
    ridge_ : WindowRidge
        Weights, penalty and units.
    profile_ : SeasonalProfile or None
        What was subtracted.
    mean_, scale_ : ndarray of shape (n_nodes, n_targets)
        Mean and standard deviation of the training rows, less the profile.
    n_parameters_ : int
        Number of weights and intercepts.

    Notes
    -----
    Missing inputs carry the last observed value of the window forward (the first one backward); a window without any
    observed input is not learnt from. A missing target is left out for its own step of the horizon only; with
    ``neighbours="all"`` it counts as forecast without error by the node's own past.

    The normal equations are summed up in float64 over pieces of the training rows, so that memory does not grow with the
    number of windows. Where they would take more than 1e11 multiplications, shared weights are learnt from evenly spread
    nodes.

    Examples
    --------
    >>> import numpy as np
    >>> from stmest import RidgeForecaster
    >>> X = np.sin(np.arange(300.0) * 2 * np.pi / 24)[:, None] + np.arange(2.0)
    >>> RidgeForecaster(input_length=6, horizon=2).fit(X).predict().round(1)
    array([[ 0. ,  1. ],
           [-0.3,  0.7]])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "input_length": [whole(1)],
        "horizon": [whole(1)],
        "alpha": [real(0), StrOptions({"auto"})],
        "per_node": ["boolean"],
        "neighbours": [StrOptions({"adj", "all", "blend"}), None],
        "seasonal_profile": SEASONAL_PROFILE,
        "adj": "no_validation",  # type: ignore[dict-item]  # checked by as_graph, which knows the nodes
    }

    def __init__(
        self,
        *,
        input_length: int = 24,
        horizon: int = 12,
        alpha: float | str = "auto",
        per_node: bool = False,
        neighbours: str | None = None,
        seasonal_profile: str | int | None = "auto",
        adj: Any = None,
    ):
        self.input_length = input_length
        self.horizon = horizon
        self.alpha = alpha
        self.per_node = per_node
        self.neighbours = neighbours
        self.seasonal_profile = seasonal_profile
        self.adj = adj

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.per_node and self.neighbours:
            raise ParameterError(
                f"per_node=True and neighbours={self.neighbours!r} exclude each other: neighbours='adj' shares its "
                "weights, the others have weights for each node already."
            )

    def _choose_context(self, panel: Panel) -> int:
        return self.input_length

    def _fit_panel(self, panel: Panel, graph: Graph | None) -> None:
        self._check_length(panel, self.input_length + self.horizon)
        if self.neighbours == "adj" and graph is None:
            raise ParameterError(
                "neighbours='adj' needs a graph: give adj to fit or to the constructor, or neighbours='all'."
            )
        super()._fit_panel(panel, graph)
        sizes, cut = (self.input_length, self.horizon), self._training_cut(panel)
        kinds: list[str | None] = ["node" if self.per_node else self.neighbours]
        if self.neighbours == "blend":
            kinds = kinds_of_inputs(panel.values.shape[1], *sizes, graph)
        starts = panel.starts(sum(sizes))
        recipe, _ = choose_recipe(
            panel.values, self.target_, cut, *sizes, kinds, graph,
            None if isinstance(self.alpha, str) else [self.alpha], starts,
            DRAWS if self.neighbours == "blend" else 1,
        )  # fmt: skip
        learnt = starts[starts + sum(sizes) <= cut]
        self.ridge_ = fit_recipe(recipe, panel.values[:cut], self.target_, *sizes, graph, learnt)

    def _training_cut(self, panel: Panel) -> int:
        """Rows before those on which profile and penalty are chosen; `_learn_from_all` goes on to all of them."""
        lengths = (self.input_length, self.horizon)
        return temporal_split(panel.n_times, *lengths, SELECTION_FRACTION, panel.bounds)[2]

    def _learn_from_all(self, panel: Panel, graph: Graph | None) -> None:
        panel = self._with_profile_of_all(panel)
        sizes = (self.input_length, self.horizon)
        starts = panel.starts(sum(sizes))
        self.ridge_ = fit_recipe(self.ridge_.recipe, panel.values, self.target_, *sizes, graph, starts)
        self.scale_ = self.ridge_.scale
        self.n_parameters_ = self.ridge_.n_parameters

    def _state_shapes(self) -> dict[str, tuple[int, ...]]:
        sizes = (self.n_features_in_, len(self.target_), self.input_length, self.horizon)
        shapes = {f"ridge_.{name}": shape for name, shape in self.ridge_.shapes(*sizes).items()}
        return {**super()._state_shapes(), **shapes}

    def _forecast(self, x: np.ndarray, time: np.ndarray | None) -> np.ndarray:
        return self.ridge_.forecast(x[..., self.target_])


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
