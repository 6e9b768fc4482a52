"""Linear regression on windows as a forecaster, in closed form.

Its ensemble of ridges is the linear forecast whose residual the networks forecast. Builds on `linear` and `base`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sklearn.utils._param_validation import StrOptions

from ..data.history import history_length
from ..data.input_spec import InputSpec
from ..data.node_record import NodeRecord
from ..data.panel import Panel, feature_positions
from ..data.splits import Split
from ..exceptions import DataError, ParameterError
from ..graphs import Graph
from ..linear.ensemble_selection import MOST_MEMBERS, possible_scopes, select_ensemble
from ..linear.past import learn_past
from ..linear.seasonal_mean import less_season
from ..linear.window_ridge import fit_ensemble
from ..prediction.predictor import Predictor
from ..prediction.rules import LinearRule
from .base import BaseForecaster, learnt
from .parameters import SEASONAL_PROFILE, real, whole
from .registry import register

__all__ = ["RidgeForecaster"]

_WINDOWS_AT_ONCE = 256
_SCOPES = {None: "global", "adj": "graph", "all": "joint"}  # of the maps, by `neighbours`


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
    """Linear regression from look-back to future, with an L2 penalty, in closed form, less the seasonal mean.

    Every window is centred on its last value and divided by the node's standard deviation; the weights then minimise
    ``sum (y - x W - c)^2 + alpha (|W|^2 + |c|^2)`` over all training windows. The intercept c, which is the drift away
    from the last value, is penalised like the weights, so that a large `alpha` leads to the forecast of `LastValue`.
    Features are forecast one by one, each from its own past.

    Parameters
    ----------
    input_length : int, default=24
        Time steps of look-back.
    horizon : int, default=12
        Time steps to forecast.
    alpha : float or "auto", default="auto"
        Strength of the penalty, in units of windows of standardised data. ``"auto"`` takes the one that forecasts the last
        eighth of the training data best, and then learns from all of them. With ``neighbours="all"`` it also chooses how many
        of the last time steps of all nodes are used.
    per_node : bool, default=False
        Learn weights for each node instead of one set from the windows of all nodes.
    neighbours : {None, "adj", "all", "blend"}, default=None
        Inputs of a node's forecast beside its own past.

        - None: nothing.
        - ``"adj"``: the weighted mean of the nodes whose edges lead to it.
        - ``"all"``: the last time steps of all nodes (at most 96 of them, and 2,500 inputs). A second regression forecasts the
          residual from them. The number of weights grows with the square of the nodes.
        - ``"blend"``: an ensemble, the mean of at most ten such regressions; also of those with weights for each node, and of
          those from all nodes to the deviation from the mean. Members are added as long as the error on the last eighth of the
          training data falls. Graphs are used up to 2,000 nodes, all nodes up to 250.
    seasonal_profile : {"auto", "time_of_day", "time_of_week", "day_of_year"}, int or None, default="auto"
        Seasonal mean: the mean of each node at each time step of such a cycle, or of a period in time steps. It is subtracted
        from the inputs and added to the forecast. ``"auto"`` takes the one with the least error on the last eighth of the
        training data; None is among them.
    adj : graph, optional
        For ``neighbours="adj"``; `fit`'s argument wins.

    Attributes
    ----------
    ridge_ : WindowRidge
        Weights, penalty and units.
    profile_ : SeasonalProfile or None
        The seasonal mean that is subtracted.
    mean_, scale_ : ndarray of shape (n_nodes, n_targets)
        Mean and standard deviation of the training data, less the seasonal mean.
    n_parameters_ : int
        Number of weights and intercepts.

    Notes
    -----
    Missing inputs are forward-filled with the last observed value of the window (at its start backward with the first). A
    window without any observed input is not learnt from. A missing target is left out for its own step of the horizon only;
    with ``neighbours="all"`` its residual counts as 0.

    Where that lowers the error on the last eighth of the training data by half a percent and beyond chance, the
    forecast also adds a weighted sum of the values at the same time of the day and the week before and of their mean over
    four weeks, less their seasonal mean (`ridge_.past`). They lie beyond the look-back: `context_length_` says how far, and
    values that are missing there count as usual.

    The normal equations are summed up in float64 over chunks of the training data, so that memory does not grow with the
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
        if self.neighbours == "blend":
            scopes, most = possible_scopes(spec.n_nodes, *sizes, graph), MOST_MEMBERS
        else:
            scopes, most = ["local" if self.per_node else _SCOPES[self.neighbours]], 1
        alphas = None if isinstance(self.alpha, str) else [self.alpha]
        ensemble, _ = select_ensemble(
            values, target, split.choice, *sizes, scopes, graph, alphas, split.starts, most
        )
        linear = fit_ensemble(ensemble, values[: split.cut], target, *sizes, graph, split.train)
        linear, history, _ = learn_past(panel, season, linear, target, sizes, graph, split, False)
        reach = history_length(history, panel.index, self.horizon)
        rule = LinearRule(linear, target)
        record = NodeRecord.of(values[: split.cut])
        return Predictor(spec, *sizes, target, (), season, rule, _WINDOWS_AT_ONCE, history, reach, record)

    ridge_ = learnt("rule.linear", "Weights, penalty and units.")
    mean_ = learnt("rule.linear.mean", "Mean of the training data, less the seasonal mean.")
    scale_ = learnt("rule.linear.scale", "Standard deviation of the training data, less the seasonal mean.")
    n_parameters_ = learnt("rule.linear.n_parameters", "Number of weights and intercepts.")
