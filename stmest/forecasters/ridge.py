"""Linear regression on windows as a forecaster: closed form, and hard to beat.

Builds on `linear`; the same ensemble of ridges is what the networks start from.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import StrOptions

from ..data.input_spec import InputSpec
from ..data.panel import Panel, feature_positions
from ..data.splits import Split
from ..exceptions import DataError, ParameterError
from ..graphs import Graph
from ..linear.ensemble_selection import DRAWS, choose_recipe, kinds_of_inputs
from ..linear.seasonal_mean import less_season
from ..linear.window_ridge import WindowRidge, fit_recipe
from ..prediction.predictor import LinearRule, Predictor
from .base import BaseForecaster
from .parameters import SEASONAL_PROFILE, real, whole
from .registry import register

__all__ = ["RidgeForecaster"]

_WINDOWS_AT_ONCE = 256


@register(
    tiny={"input_length": 4, "horizon": 2},
    commands={
        "ridge": {
            "text": "the seasonal mean of the calendar, and linear regression on a node's own look-back"
        },
        "ridge-blend": {
            "text": "an ensemble of ridges from a node's own past, its neighbours' and all nodes'; the networks' linear forecast",
            "settings": {"neighbours": "blend"},
        },
    },
)
class RidgeForecaster(BaseForecaster):
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

    def _look_back(self, panel: Panel) -> int:
        return self.input_length

    def _learn(self, panel: Panel, graph: Graph | None, split: Split) -> Predictor:
        sizes = (self.input_length, self.horizon)
        if not len(split.starts):
            raise DataError(
                f"X has n_samples = {panel.n_times} rows; {type(self).__name__} needs at least {sum(sizes)} to learn from. "
                "Give more rows, or shorten its look-back (input_length) or horizon."
            )
        if self.neighbours == "adj" and graph is None:
            raise ParameterError(
                "neighbours='adj' needs a graph: give adj to fit or to the constructor, or neighbours='all'."
            )
        spec, target = InputSpec.of(panel, self._reads_fields), feature_positions(panel, self.target)
        season = self._season(panel, split, target)
        values = less_season(panel, season)
        blend = self.neighbours == "blend"
        kinds: list[str | None] = ["node" if self.per_node else self.neighbours]
        if blend:
            kinds = kinds_of_inputs(spec.n_nodes, *sizes, graph)
        alphas = None if isinstance(self.alpha, str) else [self.alpha]
        recipe, _ = choose_recipe(
            values, target, split.choice, *sizes, kinds, graph, alphas, split.starts, DRAWS if blend else 1
        )
        linear = fit_recipe(recipe, values[: split.cut], target, *sizes, graph, split.train)
        rule = LinearRule(linear, target)
        return Predictor(spec, *sizes, target, (), season, rule, _WINDOWS_AT_ONCE)

    @property
    def ridge_(self) -> WindowRidge:
        """Weights, penalty and units."""
        return self.predictor_.rule.linear  # type: ignore[return-value]

    @property
    def mean_(self) -> np.ndarray:
        """Mean of the training data, less the seasonal mean."""
        return self.ridge_.mean

    @property
    def scale_(self) -> np.ndarray:
        """Standard deviation of the training data, less the seasonal mean."""
        return self.ridge_.scale

    @property
    def n_parameters_(self) -> int:
        """Number of weights and intercepts."""
        return self.ridge_.n_parameters
