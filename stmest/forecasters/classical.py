"""Classical forecasts, one model for each node: exponential smoothing, Theta and ARIMA.

The parameters are estimated once, in `fit`. A forecast passes the look-back through the fitted models with these parameters as
they are, for all windows and nodes at once. Builds on `linear` and `base`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import StrOptions

from ..data.input_spec import InputSpec
from ..data.node_record import NodeRecord
from ..data.panel import Panel, feature_positions
from ..data.savable import savable
from ..data.scaling import NodeScaler
from ..data.splits import Split
from ..data.windows import Older
from ..exceptions import DataError, ParameterError
from ..graphs import Graph
from ..linear.classical_models import ClassicalModel, Level, candidates, choose
from ..linear.seasonal_mean import SeasonalProfile, less_season
from ..linear.state_space import StateSpace, stacked
from ..prediction.predictor import Predictor
from ..prediction.rules import Rule, Shapes
from ..training.extremes import refuse_infinite_forecasts
from .base import BaseForecaster, learnt
from .parameters import SEASONAL_PROFILE, whole
from .registry import register

__all__ = ["ClassicalForecaster", "ClassicalRule"]

_MOST_ROWS = 1000  # last rows, which the parameters are estimated on
_MOST_STEPS = 168  # of look-back
_WINDOWS_AT_ONCE = 64


@savable
@dataclass(frozen=True)
class ClassicalRule(Rule):
    """A state space model for each node and forecast feature, in units of the scaler.

    Attributes
    ----------
    space : StateSpace
        Of all series: node by node, feature by feature.
    models : tuple of ClassicalModel
        What kind of model each of them is.
    scaler : NodeScaler
        Shift and scale of each node and feature.
    target : list of int
        Positions of the forecast features.
    """

    linear: ClassVar[None] = None  # type: ignore[misc]

    space: StateSpace
    models: tuple[Any, ...]
    scaler: NodeScaler
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
        series = _series_of(x, self.scaler, self.target)
        forecast = self.space.forecast(series.reshape(*x.shape[:2], -1))
        shape = (*forecast.shape[:2], x.shape[2], len(self.target))
        forecast = self.scaler.inverse(forecast.reshape(shape), self.target)
        refuse_infinite_forecasts(forecast, x, self.scaler, nodes)
        return forecast

    def shapes(self, n_nodes: int, n_features: int, n_targets: int, look_back: int, horizon: int) -> Shapes:
        """Scaler and models; see `Rule`."""
        n_series, k = n_nodes * n_targets, self.space.design.shape[-1]
        return {
            "space.design": (self.space.design, (n_series, k)),
            "space.transition": (self.space.transition, (n_series, k, k)),
            "space.gain": (self.space.gain, (n_series, look_back, k)),
            "space.start": (self.space.start, (n_series, k)),
            "space.offset": (self.space.offset, (n_series, horizon)),
            "scaler_.center": (self.scaler.center, (n_nodes, n_features)),
            "scaler_.scale": (self.scaler.scale, (n_nodes, n_features)),
        }


def _series_of(x: np.ndarray, scaler: NodeScaler, target: list[int]) -> np.ndarray:
    """The forecast features of values (..., n_nodes, n_features), scaled in float64."""
    return (x[..., target] - scaler.center[:, target]) / scaler.scale[:, target]


@register(
    tiny={"method": "theta", "horizon": 2},
    commands={
        "ets": {"text": "exponential smoothing of each node (statsmodels)", "settings": {"method": "ets"}},
        "theta": {"text": "Theta of each node (statsmodels)", "settings": {"method": "theta"}},
        "arima": {"text": "ARIMA(2,0,1) of each node (statsmodels)", "settings": {"method": "arima"}},
        "auto-arima": {
            "text": "ARIMA of each node, its order chosen by AICc (statsmodels)",
            "settings": {"method": "auto-arima"},
        },
    },
)
class ClassicalForecaster(BaseForecaster):
    """Exponential smoothing, Theta or ARIMA: one model for each node, which sees no other node.

    Parameters
    ----------
    method : {"ets", "theta", "arima", "auto-arima"}, default="ets"
        Exponential smoothing, without trend, with one or with a damped one, as AICc (corrected Akaike information criterion)
        chooses; Theta; ARIMA of the order `order`; or ARIMA of the order that AICc chooses.
    horizon : int, default=12
        Time steps to forecast.
    order : tuple of 3 int, default=(2, 0, 1)
        Autoregressive terms, differences and moving-average terms of ``method="arima"``.
    seasonal_profile : {"auto", "time_of_day", "time_of_week", "day_of_year"}, int or None, default="auto"
        Seasonal mean: the mean of each node at each time step of such a cycle, or of a period in time steps. It is subtracted
        from the values and added to the forecast. ``"auto"`` takes the one with which a ridge on the last value alone has the
        least error on the last eighth of the training data; None is among them.
    target : str, int or list, optional
        Features to forecast, by name or position, where X has several; default all. The others are not used.

    Attributes
    ----------
    context_length_ : int
        Look-back: 168 time steps, or a quarter of the training data where that is less.
    forms_ : tuple of str
        The model of each node (and, where there are several, of each forecast feature), such as ``"ETS(A,Ad,N)"``.
    scaler_ : NodeScaler
        Shift and scale of each node.

    Raises
    ------
    MissingDependencyError
        If statsmodels is missing: ``pip install "stmest[classical]"``.

    See Also
    --------
    stmest.RegressorForecaster : Any regressor of scikit-learn, one for all nodes.
    stmest.RidgeForecaster : Linear, in closed form.

    Notes
    -----
    The models see values less their seasonal mean, centred and divided by the standard deviation of their node: the usual way
    to deseasonalise. So none has a season of its own.

    statsmodels estimates the parameters by maximum likelihood, on the last 1,000 time steps of the training data at most, so that
    the time that this takes grows with the number of nodes only. They are not estimated again in `predict`, `predict_windows` and
    `update`: every forecast passes its look-back through the fitted model (Kalman filter), from a level of which nothing is known
    before. Missing values are left out: the state goes on without a correction.

    ARIMA has differences where the KPSS test finds the level of a series to move (5 %), and up to three terms of either kind;
    all sixteen are tried. Theta is exponential smoothing plus half of the slope of a line through the series [1]_.

    A node of which fewer than ten values were observed, or that never changed, is forecast as its mean. Where no model of a
    node can be fitted, its last value is repeated, and a warning names it.

    References
    ----------
    .. [1] R. J. Hyndman and B. Billah, "Unmasking the Theta method", International Journal of Forecasting 19 (2003), 287-290.

    Examples
    --------
    >>> from stmest import ClassicalForecaster, make_sensor_network
    >>> X = make_sensor_network(n_nodes=2, n_times=400, random_state=0).values
    >>> model = ClassicalForecaster(method="arima", horizon=6).fit(X)
    >>> model.predict().shape
    (6, 2)
    >>> model.forms_
    ('ARIMA(2,0,1)', 'ARIMA(2,0,1)')
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "method": [StrOptions({"ets", "theta", "arima", "auto-arima"})],
        "horizon": [whole(1)],
        "order": [tuple, list],
        "seasonal_profile": SEASONAL_PROFILE,
        "target": "no_validation",  # type: ignore[dict-item]  # checked against the features of X
    }

    def __init__(
        self,
        *,
        method: str = "ets",
        horizon: int = 12,
        order: tuple[int, int, int] = (2, 0, 1),
        seasonal_profile: Any = "auto",
        target: Any = None,
    ):
        self.method = method
        self.horizon = horizon
        self.order = order
        self.seasonal_profile = seasonal_profile
        self.target = target

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if len(self.order) != 3 or not all(whole(0, 24).is_satisfied_by(part) for part in self.order):
            raise ParameterError(
                f"order={self.order!r}; needed: three integers from 0 to 24, such as (2, 0, 1)."
            )

    def _look_back(self, panel: Panel) -> int:
        shortest = int(np.diff(panel.bounds).min())
        return max(1, min(_MOST_STEPS, panel.n_times // 4, shortest - self.horizon))

    # ---------------------------------------------------------------- fit

    def _learn(self, panel: Panel, graph: Graph | None, split: Split) -> Predictor:
        if panel.n_times < self.horizon + 2:
            raise DataError(
                f"X has n_samples = {panel.n_times} rows; {type(self).__name__} needs at least {self.horizon + 2} to learn "
                "from. Give more rows, or shorten its horizon."
            )
        spec, target = InputSpec.of(panel, self._reads_fields), feature_positions(panel, self.target)
        # a ridge on a long look-back knows the season by itself; these models do not
        season = self._season(panel, replace(split, look_back=1), target)
        unfitted: Any = None
        before = Predictor(
            spec, self._look_back(panel), self.horizon, target, (), season, unfitted, _WINDOWS_AT_ONCE
        )
        return self._fitted(before, panel, split.cut)

    def _refit(self, predictor: Any, panel: Panel, graph: Graph | None, split: Split) -> Predictor:
        """Estimate the parameters again, with the validation part; each node keeps its model."""
        if not split.validates:
            return predictor
        season = predictor.season and SeasonalProfile(predictor.season.cycle).fit(panel.values, panel.index)
        return self._fitted(replace(predictor, season=season), panel, panel.n_times)

    def _fitted(self, before: Predictor, panel: Panel, cut: int) -> Predictor:
        """A predictor whose models learn from the time steps before the cut; those of `before` keep their kind."""
        values = less_season(panel, before.season)
        scaler, target = NodeScaler("standard").fit(values[:cut]), before.target
        series = _series_of(self._last_rows(panel, values, cut, before.look_back), scaler, target)
        models, spaces, failed = [], [], []
        for number, y in enumerate(series.reshape(len(series), -1).T):
            known = before.rule and before.rule.models[number]  # type: ignore[attr-defined]
            wanted = [known] if known else candidates(self.method, self.order, y)
            try:
                model, space = self._model_of(y, wanted, before)
            except DataError as error:
                failed.append((number // len(target), error))
                model = Level(follows=True)
                space = model.space(None, before.look_back, before.horizon)
            models.append(model)
            spaces.append(space)
        if failed:
            _warn_of(failed, before.spec)
        rule = ClassicalRule(stacked(spaces), tuple(models), scaler, target)
        return replace(before, rule=rule, record=NodeRecord.of(values[:cut]))

    @staticmethod
    def _model_of(
        y: np.ndarray, wanted: list[ClassicalModel], before: Predictor
    ) -> tuple[ClassicalModel, StateSpace]:
        model, results = choose(y, wanted)
        return model, model.space(results, before.look_back, before.horizon)

    @staticmethod
    def _last_rows(panel: Panel, values: Any, cut: int, gap: int) -> np.ndarray:
        """The rows to learn from, with missing ones between trajectories."""
        first, bounds = max(0, cut - _MOST_ROWS), panel.bounds
        inner = [int(bound) for bound in bounds if first < bound < cut]
        parts = [np.asarray(values[a:b], dtype=np.float64) for a, b in pairwise([first, *inner, cut])]
        between = np.full((gap, *parts[0].shape[1:]), np.nan)
        return np.concatenate([part for one in parts for part in (between, one)][1:])

    # ---------------------------------------------------------------- what was learnt

    scaler_ = learnt("rule.scaler", "Shift and scale of each node.")

    @property
    def forms_(self) -> tuple[str, ...]:
        """The model of each node and forecast feature."""
        return tuple(map(str, self.predictor_.rule.models))  # type: ignore[attr-defined]


def _warn_of(failed: list[tuple[int, DataError]], spec: InputSpec) -> None:
    """Name the nodes whose last value is repeated."""
    names = [number if spec.nodes is None else spec.nodes[number] for number, _ in failed]
    shown = ", ".join(map(str, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    warnings.warn(
        f"{len(names)} of {spec.n_nodes} nodes are forecast by their last value ({shown}): {failed[0][1]} Look at "
        "their values, or choose another method.",
        UserWarning,
        stacklevel=4,
    )
