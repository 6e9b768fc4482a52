"""Naive baselines: the last value, the last season, and the mean of the last seasons.

They forecast averages of the look-back. The report compares every network with them. Builds on `base`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..data.chunks import has_gaps
from ..data.input_spec import InputSpec
from ..data.node_record import NodeRecord
from ..data.panel import Panel, feature_positions
from ..data.savable import savable
from ..data.scaling import NodeScaler
from ..data.splits import Split
from ..data.windows import Older, forward_filled
from ..exceptions import DataError
from ..graphs import Graph
from ..prediction.predictor import Predictor
from ..prediction.rules import Rule, Shapes
from .base import BaseForecaster, learnt
from .parameters import whole
from .registry import register

__all__ = ["LastValue", "MeanProfile", "SeasonalNaive"]

# Look-back where the training data have missing values; one time step or season where they are complete
_STEPS_IF_MISSING = 24
_SEASONS_IF_MISSING = 3
_WINDOWS_AT_ONCE = 256


@savable
@dataclass(frozen=True)
class NaiveRule(Rule):
    """Averages of the look-back.

    Attributes
    ----------
    method : {"last", "naive", "mean"}
        The last observed value, that of the last season, or the mean of all seasons of the look-back.
    season : int
        Time steps in one season; 1 for the last value.
    horizon : int
        Time steps to forecast.
    mean : ndarray of shape (n_nodes, n_targets)
        Forecast of a node without an observation in the look-back.
    target : list of int
        Positions of the forecast features.
    """

    linear: ClassVar[None] = None  # type: ignore[misc]

    method: str
    season: int
    horizon: int
    mean: np.ndarray
    target: list[int]

    def forecast(
        self,
        x: np.ndarray,
        time: np.ndarray | None,
        ahead: np.ndarray | None,
        nodes: list[Any] | None,
        older: Older | None = None,
    ) -> np.ndarray:
        """Forecast windows; see `Rule`."""
        seasons = _by_season(x[..., self.target], self.season)
        forecast = _mean_of(seasons) if self.method == "mean" else _latest_of(seasons)
        forecast = np.where(np.isnan(forecast), self.mean, forecast)
        return forecast[:, np.arange(self.horizon) % self.season]

    def shapes(self, n_nodes: int, n_features: int, n_targets: int, look_back: int, horizon: int) -> Shapes:
        """The means; see `Rule`."""
        return {"mean_": (self.mean, (n_nodes, n_targets))}


class _Naive(BaseForecaster):
    """Base of the three: a look-back, and the mean of each node where the look-back has no observation.

    Attributes
    ----------
    context_length_ : int
        Time steps of look-back that one forecast uses.
    mean_ : ndarray of shape (n_nodes, n_targets)
        Mean of the training data: the forecast of a node without an observation in the look-back.
    n_parameters_ : int
        Number of fitted weights.
    """

    n_parameters_: ClassVar[int] = 0

    _method: ClassVar[str]
    season: int

    def _learn(self, panel: Panel, graph: Graph | None, split: Split) -> Predictor:
        needed = self._look_back(panel)
        if panel.n_times < needed:
            raise DataError(
                f"X has n_samples = {panel.n_times} rows; {type(self).__name__} needs at least {needed} to learn from. Give "
                "more rows, or shorten its look-back (season or n_seasons)."
            )
        spec, target = InputSpec.of(panel, self._reads_fields), feature_positions(panel, self.target)
        mean = NodeScaler("standard").fit(panel.values).center[:, target]
        rule = NaiveRule(self._method, getattr(self, "season", 1), self.horizon, mean, target)
        record = NodeRecord.of(panel.values)
        return Predictor(spec, needed, self.horizon, target, (), None, rule, _WINDOWS_AT_ONCE, record=record)

    mean_ = learnt("rule.mean", "Mean of the training data.")


@register(
    tiny={"horizon": 2},
    commands={"last-value": {"text": "the last value, repeated"}},
)
class LastValue(_Naive):
    """Repeat the last observed value of every node.

    Parameters
    ----------
    horizon : int, default=12
        Steps to forecast.

    Attributes
    ----------
    context_length_ : int
        Time steps among which the last observation is found: 1 if the training data are complete, else 24 (less where there
        are fewer). A node without an observation in them gets its training mean.
    mean_ : ndarray of shape (n_nodes, n_targets)
        Training mean of every node.

    Examples
    --------
    >>> import numpy as np
    >>> from stmest import LastValue
    >>> LastValue(horizon=2).fit(np.array([[1.0, 5.0], [2.0, 4.0]])).predict()
    array([[2., 4.],
           [2., 4.]])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {"horizon": [whole(1)]}

    def __init__(self, *, horizon: int = 12):
        self.horizon = horizon

    _method = "last"

    def _look_back(self, panel: Panel) -> int:
        return min(_STEPS_IF_MISSING, panel.n_times) if has_gaps(panel.values) else 1


@register(
    tiny={"horizon": 2, "season": 3},
    commands={
        "seasonal-naive": {"text": "the same step one season (a day) before", "seasons": 1},
        "weekly-naive": {"text": "the same step seven seasons (a week) before", "seasons": 7},
    },
)
class SeasonalNaive(_Naive):
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
        One season if the training data are complete, else three (less where there are fewer). A missing value is replaced by
        that of the season before, and by the node's training mean where all seasons lack it.
    mean_ : ndarray of shape (n_nodes, n_targets)
        Training mean of every node.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {"horizon": [whole(1)], "season": [whole(1)]}

    def __init__(self, *, horizon: int = 12, season: int = 24):
        self.horizon = horizon
        self.season = season

    _method = "naive"

    def _look_back(self, panel: Panel) -> int:
        seasons = min(_SEASONS_IF_MISSING, panel.n_times // self.season) if has_gaps(panel.values) else 1
        return self.season * max(1, seasons)


@register(
    tiny={"horizon": 2, "season": 3, "n_seasons": 2},
    commands={
        "mean-profile": {"text": "the mean of the same step over the last seven seasons", "seasons": 1}
    },
)
class MeanProfile(_Naive):
    """Forecast the mean of the last seasons, for each time step of the season.

    It often is the strongest baseline without parameters on data with a cycle: a mean over days removes the noise that
    `SeasonalNaive` repeats.

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
        Training mean of every node: the forecast of a time step of the season that was never observed.
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

    _method = "mean"

    def _look_back(self, panel: Panel) -> int:
        return self.season * self.n_seasons


def _by_season(x: np.ndarray, season: int) -> np.ndarray:
    """Cut (b, t, n, f) into its whole seasons up to the last time step: (b, n_seasons, season, n, f)."""
    n_seasons = x.shape[1] // season
    return x[:, x.shape[1] - n_seasons * season :].reshape(len(x), n_seasons, season, *x.shape[2:])


def _latest_of(seasons: np.ndarray) -> np.ndarray:
    """The last observed value of each step of a season: (b, season, n, f)."""
    b, n_seasons = seasons.shape[:2]
    filled = forward_filled(seasons.reshape(b, n_seasons, -1), axis=1)
    return filled[:, -1].reshape(b, *seasons.shape[2:])


def _mean_of(seasons: np.ndarray) -> np.ndarray:
    """The mean of the observed values of each step of a season: (b, season, n, f)."""
    level = seasons[:, -1].astype(np.float64)  # sums of what is left are exact where nothing changes
    for one in seasons.swapaxes(0, 1)[-2::-1]:
        level = np.where(np.isnan(level), one, level)
    total, count = np.zeros((2, *level.shape))
    for one in seasons.swapaxes(0, 1):
        observed = ~np.isnan(one)
        total += np.where(observed, one - level, 0.0)
        count += observed
    return level + total / np.maximum(count, 1)
