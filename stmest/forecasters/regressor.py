"""Any scikit-learn regressor on lagged windows as a forecaster.

`WindowTable` makes the rows of a table from windows, and `RegressorRule` makes a forecast from what regressors predict of
them. Builds on `data` and `base`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.utils import check_random_state, get_tags
from sklearn.utils._param_validation import HasMethods, StrOptions

from ..data.calendar import calendar_channels
from ..data.history import choose_history, history_length
from ..data.input_spec import InputSpec
from ..data.panel import Panel, feature_positions
from ..data.scaling import NodeScaler
from ..data.splits import Split
from ..data.windows import Older, Windows, forward_filled
from ..exceptions import DataError, ParameterError
from ..graphs import Graph
from ..linear.cross_fit import cross_fit
from ..linear.seasonal_mean import SeasonalProfile, less_season
from ..prediction.predictor import Predictor
from ..prediction.rules import Rule, Shapes
from ..training.diagnostics import refuse_infinite_forecasts
from .base import BaseForecaster, learnt
from .parameters import SEASONAL_PROFILE, WindowParameters
from .registry import register

__all__ = ["RegressorForecaster", "RegressorRule", "WindowTable"]

# Rows at most to learn from, numbers at most in their table, and rows at least of each window that they are taken from
_MOST_ROWS, _MOST_NUMBERS, _ROWS_PER_WINDOW = 400_000, 40_000_000, 64
_WINDOWS_AT_ONCE, _NUMBERS_AT_ONCE = 64, 8_000_000
_NEIGHBOUR_STEPS = 6  # last values of the neighbours
_DEFAULT = {"loss": "absolute_error", "max_iter": 300, "early_stopping": False}
_PAST: dict[Any, str] = {"day": "day", "week": "week", "four_weeks": "four weeks"}


@dataclass(frozen=True)
class WindowTable:
    """Windows as rows of a table: one row for each window, target step and node.

    Attributes
    ----------
    scaler : NodeScaler
        Shift and scale of each node and feature.
    target : list of int
        Positions of the forecast features.
    horizon : int
        Time steps to forecast.
    names : tuple of str
        Of the columns.
    adjacency : scipy.sparse.csr_array of shape (n_nodes, n_nodes), or None
        Weights of the edges between different nodes, where the neighbours are among the inputs.
    fills : bool
        Whether missing inputs are filled.
    numbers_nodes : bool
        Whether the node is an integer, as categories are, rather than a share of the number of nodes.
    """

    scaler: NodeScaler
    target: list[int]
    horizon: int
    names: tuple[str, ...]
    adjacency: Any
    fills: bool
    numbers_nodes: bool

    def last(self, x: np.ndarray) -> np.ndarray:
        """The last observed value of each node and forecast feature, scaled; 0 where there is none.

        Parameters
        ----------
        x : ndarray of shape (b, t, n, f)
            Look-backs less the seasonal mean, NaN where missing.

        Returns
        -------
        ndarray of shape (b, n, f_target), float32
            In units of the scale.
        """
        filled = forward_filled(self.scaler.transform(x), axis=1)
        return np.nan_to_num(filled[:, -1][..., self.target])

    def rows(
        self, x: np.ndarray, time: np.ndarray | None, ahead: np.ndarray | None, places: np.ndarray
    ) -> np.ndarray:
        """Some rows of the table.

        Parameters
        ----------
        x : ndarray of shape (b, t, n, f)
            Look-backs less the seasonal mean, NaN where missing.
        time : ndarray of shape (b, t + h, c) or None
            Calendar channels.
        ahead : ndarray of shape (b, h, n, c_ahead) or None
            Seasonal mean of the target steps, and values of earlier days and weeks; see `stmest.data.windows.Batch`.
        places : ndarray of int, shape (3, n_rows)
            Window, target step and node of each row.

        Returns
        -------
        ndarray of shape (n_rows, n_columns), float32
            NaN where missing, unless they are filled.
        """
        window, step, node = places
        n_rows, (t, n) = len(node), x.shape[1:3]
        scaled = self.scaler.transform(x)
        filled = forward_filled(scaled, axis=1)
        last, seen = filled[:, -1], filled if self.fills else scaled
        changes = (seen[:, :-1] - last[:, None])[window, :, node]
        columns = [node if self.numbers_nodes else node / n, (step + 1) / self.horizon]
        if time is not None:
            columns.append(time[window, t + step])
        columns += [last[window, node], changes]
        if self.adjacency is not None:
            columns.append(self._neighbours(filled[:, -_NEIGHBOUR_STEPS:])[window, :, node])
        if ahead is not None:
            columns.append(self._ahead(ahead[window, step, node], node))
        table = np.concatenate([c.reshape(n_rows, -1) for c in columns], axis=1, dtype=np.float32)
        return np.nan_to_num(table, copy=False) if self.fills else table

    def _neighbours(self, x: np.ndarray) -> np.ndarray:
        """Weighted mean of the nodes whose edges lead to a node, over those that are observed: (b, t, n, f)."""
        x = np.moveaxis(x, 2, 3)
        seen = np.isfinite(x)
        flat, weight = (
            part.reshape(-1, x.shape[-1]) @ self.adjacency for part in (np.where(seen, x, 0.0), seen)
        )
        mean = np.full(flat.shape, np.nan)
        np.divide(flat, weight, out=mean, where=weight > 0)
        return np.moveaxis(mean.reshape(x.shape), 3, 2)

    def _ahead(self, ahead: np.ndarray, node: np.ndarray) -> np.ndarray:
        """Scaled seasonal means and values of earlier days and weeks of some rows: (n_rows, c_ahead)."""
        k = len(self.target)
        center, scale = (
            part[:, self.target][node][:, None] for part in (self.scaler.center, self.scaler.scale)
        )
        channels = ahead.reshape(len(node), -1, k) / scale
        channels[:, 1:] -= center / scale
        return channels


@dataclass(frozen=True)
class RegressorRule(Rule):
    """A part of the last value, and what regressors predict of the rest.

    Attributes
    ----------
    table : WindowTable
        Makes the inputs of the regressors.
    regressors : tuple
        A fitted one for each forecast feature.
    persistence : ndarray of shape (horizon, n_targets)
        Part of the last value that is left after so many steps, between 0 and 1.
    """

    linear: ClassVar[None] = None  # type: ignore[misc]

    table: WindowTable
    regressors: tuple[Any, ...]
    persistence: np.ndarray

    def forecast(
        self,
        x: np.ndarray,
        time: np.ndarray | None,
        ahead: np.ndarray | None,
        nodes: list[Any] | None,
        older: Older | None = None,
    ) -> np.ndarray:
        """Forecast windows; see `Rule`."""
        b, n, h = len(x), x.shape[2], self.table.horizon
        forecast = self.persistence[:, None] * self.table.last(x)[:, None]
        at_once = max(1, _NUMBERS_AT_ONCE // (h * n * len(self.table.names)))
        for first in range(0, b, at_once):
            some = slice(first, first + at_once)
            shape = forecast[some].shape[:3]
            times, known = (None if part is None else part[some] for part in (time, ahead))
            table = self.table.rows(x[some], times, known, np.indices(shape).reshape(3, -1))
            for feature, regressor in enumerate(self.regressors):
                forecast[some, ..., feature] += np.reshape(regressor.predict(table), shape)
        forecast = self.table.scaler.inverse(forecast, self.table.target)
        refuse_infinite_forecasts(forecast, x, self.table.scaler, nodes)
        return forecast

    def shapes(self, n_nodes: int, n_features: int, n_targets: int, look_back: int, horizon: int) -> Shapes:
        """Scaler and persistence; see `Rule`."""
        return {
            "persistence_": (self.persistence, (horizon, n_targets)),
            "scaler_.center": (self.table.scaler.center, (n_nodes, n_features)),
            "scaler_.scale": (self.table.scaler.scale, (n_nodes, n_features)),
        }


@register(
    tiny={"input_length": 4, "horizon": 2, "random_state": 0},
    commands={"gbt": {"text": "gradient-boosted trees on lagged windows"}},
    parts={"estimator": "sklearn.tree.DecisionTreeRegressor"},
    saves=False,
)
class RegressorForecaster(BaseForecaster):
    """Any scikit-learn regressor on lagged windows, such as gradient-boosted trees.

    One regressor learns from the windows of all nodes. Each window, target step and node is a row of its table, so that the
    step is an input and every step is forecast directly.

    Parameters
    ----------
    estimator : regressor or None, default=None
        A regressor in scikit-learn's API, also a pipeline, or one of LightGBM or XGBoost. `fit` leaves it as it is and fits
        clones. Its parameters can be set as ``estimator__parameter``. None is a `HistGradientBoostingRegressor` of 300 trees
        for the absolute error.
    input_length : int, default=24
        Look-back: time steps that one forecast is made from.
    horizon : int, default=12
        Time steps to forecast.
    neighbours : bool, default=True
        Whether the neighbours in the graph are among the inputs; nothing changes without a graph.
    time_features : "auto", list of str or None, default="auto"
        Calendar of the target step as inputs: ``"time_of_day"``, ``"day_of_week"``, ``"day_of_year"``, and holidays such as
        ``"holidays:US"``. ``"auto"`` takes what the dates support, and may stand in a list; None takes nothing.
    seasonal_profile : {"auto", "time_of_day", "time_of_week", "day_of_year"}, int or None, default="auto"
        Seasonal mean: the mean of each node at each time step of such a cycle, or of a period in time steps. It is subtracted
        from the inputs and added to the forecast. ``"auto"`` takes the one with which a ridge has the least error on the last
        eighth of the training data; None is among them.
    adj : array-like, DataFrame, sparse matrix, networkx graph, torch_geometric Data, tuple or Graph, optional
        Weighted adjacency; ``adj[i, j]`` is the weight of the edge from node i to node j. `fit`'s argument takes precedence.
    target : str, int or list, optional
        Features to forecast, by name or position, where X has several; default all. The others are inputs.
    random_state : int, RandomState or None, default=None
        Seed of the clones, where the estimator has a `random_state`; that of the estimator itself is then not used. An int
        makes fit and predict reproducible bit by bit, if the estimator is. None leaves the estimator as it is.

    Attributes
    ----------
    estimators_ : tuple of regressors
        The fitted clones, one for each forecast feature.
    input_names_ : tuple of str
        Names of the columns of their table.
    persistence_ : ndarray of shape (horizon, n_targets)
        Part of the last value that is left after so many steps; see Notes.
    scaler_ : NodeScaler
        Shift and scale of each node.

    See Also
    --------
    stmest.RidgeForecaster : Linear, in closed form.
    stmest.STIDForecaster : A small network.

    Notes
    -----
    Values less their seasonal mean are centred, and divided by the standard deviation of their node. The inputs of a row are
    the node, the target step, the calendar of the target step, the last observed value, the differences of the earlier values of
    the look-back from it, the weighted mean of the last six values of the neighbours, the seasonal mean of the target step, and
    what was observed at the time of the target step on the day before, in the week before and on average of four weeks, as far as
    the dates support that. The errors of all nodes count equally.

    Trees cannot predict what lies outside of the targets that they have seen. What they learn is therefore no level, but the
    difference from a part of the last value. That part, for each step, is the slope between 0 and 1 of a regression of the
    values on the last value, in closed form. Where values return to the seasonal mean it falls towards 0; where levels
    persist, it stays close to 1, and forecasts follow a new level.

    A mean over few seasons is close to each value that it was made of. So the regressors learn, as the networks do, from
    seasonal means that have not seen the windows: the training data are cut into six blocks, and the seasonal mean of the
    others is subtracted from the windows of each (cross-fitting). Series that are too short for that are not cut.

    The table holds at most 400,000 rows and 40 million numbers. Where there would be more, rows are left out evenly over
    time: each of equally long stretches keeps one row, at a place that does not depend on `random_state`. Rows without an
    observed target are left out.

    An estimator whose tag `allow_nan` is set gets missing inputs as NaN. For the others they are forward-filled within the
    look-back, and 0, the usual value, where that is not possible. The node is a category for `HistGradientBoostingRegressor`,
    as far as it has room for so many, and a number between 0 and 1 for others.

    The clones learn from all but the validation part, on which intervals are calibrated, and then new ones from all training
    data. `save` is refused, because a model file holds no code; `pickle` and `joblib` work.

    Examples
    --------
    >>> from sklearn.ensemble import HistGradientBoostingRegressor
    >>> from stmest import RegressorForecaster, make_sensor_network
    >>> X = make_sensor_network(n_nodes=4, n_times=300, random_state=0).values
    >>> trees = HistGradientBoostingRegressor(max_iter=5)
    >>> model = RegressorForecaster(trees, horizon=6, random_state=0).fit(X)
    >>> model.predict().shape
    (6, 4)
    >>> model.input_names_[-3:]
    ('lag 2', 'season', 'day before')
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **WindowParameters._parameter_constraints,
        "estimator": [HasMethods(["fit", "predict"]), None],
        "neighbours": ["boolean"],
        "time_features": [StrOptions({"auto"}), list, tuple, None],
        "seasonal_profile": SEASONAL_PROFILE,
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        input_length: int = 24,
        horizon: int = 12,
        neighbours: bool = True,
        time_features: Any = "auto",
        seasonal_profile: Any = "auto",
        adj: Any = None,
        target: Any = None,
        random_state: Any = None,
    ):
        self.estimator = estimator
        self.input_length = input_length
        self.horizon = horizon
        self.neighbours = neighbours
        self.time_features = time_features
        self.seasonal_profile = seasonal_profile
        self.adj = adj
        self.target = target
        self.random_state = random_state

    def set_params(self, **parameters: Any) -> Any:
        """Set parameters of the forecaster, or of its estimator.

        Parameters
        ----------
        **parameters
            Named as in `get_params`.

        Returns
        -------
        RegressorForecaster
            This forecaster.

        Raises
        ------
        ParameterError
            If parameters of the estimator are set while there is none.
        """
        nested = [name for name in parameters if name.startswith("estimator__")]
        if nested and parameters.get("estimator", self.estimator) is None:
            raise ParameterError(
                f"{nested[0]} cannot be set, as estimator is None. Give an estimator first, for instance "
                "estimator=HistGradientBoostingRegressor()."
            )
        return super().set_params(**parameters)

    def _look_back(self, panel: Panel) -> int:
        return self.input_length

    # ---------------------------------------------------------------- fit

    def _learn(self, panel: Panel, graph: Graph | None, split: Split) -> Predictor:
        if not len(split.train):
            needed = self.input_length + self.horizon
            raise DataError(
                f"X has n_samples = {panel.n_times} rows; {type(self).__name__} needs at least {needed} to learn from. "
                "Give more rows, or shorten its look-back (input_length) or horizon."
            )
        spec, target = InputSpec.of(panel, self._reads_fields), feature_positions(panel, self.target)
        time_features = self._choose_time_features(panel)
        season = self._season(panel, split, target)
        index = None if panel.index is None else panel.index[: split.cut]
        history = choose_history(index, season and season.cycle)
        reach = history_length(history, panel.index, self.horizon)
        untrained: Any = None
        before = Predictor(
            spec, self.input_length, self.horizon, target, time_features, season, untrained, _WINDOWS_AT_ONCE, history, reach
        )  # fmt: skip
        return self._trained(before, panel, graph, split)

    def _refit(self, predictor: Any, panel: Panel, graph: Graph | None, split: Split) -> Predictor:
        """Learn again, with the validation part."""
        if not split.validates:
            return predictor
        season = predictor.season and SeasonalProfile(predictor.season.cycle).fit(panel.values, panel.index)
        everything = Split.of(split.bounds, split.look_back, split.horizon, 0.0)
        return self._trained(replace(predictor, season=season), panel, graph, everything)

    def _trained(self, before: Predictor, panel: Panel, graph: Graph | None, split: Split) -> Predictor:
        """A predictor with regressors that learn from the training part."""
        values = less_season(panel, before.season)
        estimator = self._new_estimator(before.spec.n_nodes)
        table = self._new_table(before, NodeScaler("standard").fit(values[: split.cut]), graph, estimator)
        most = max(1, min(_MOST_ROWS, _MOST_NUMBERS // len(table.names)))
        windows = self._windows(before, panel, values)
        parts = [
            _table_of(windows(starts).of(less_season(panel, season)), table, max(1, round(most * share)))
            for season, starts, share in self._blocks(before, panel, split)
        ]
        inputs, step, last, y = (np.concatenate(column) for column in zip(*parts, strict=True))
        persistence = np.zeros((before.horizon, len(before.target)))
        random = None if self.random_state is None else check_random_state(self.random_state)
        regressors = []
        for feature in range(len(before.target)):
            seen = np.isfinite(y[:, feature])
            if not seen.any():
                raise DataError(
                    f"none of the {len(y)} values to learn from is observed. Give X with observed values of the target, or leave "
                    "the feature out of it (target)."
                )
            at, first, wanted = step[seen], last[seen, feature], y[seen, feature]
            persistence[:, feature] = _slopes(at, first, wanted, before.horizon)
            rest = wanted - persistence[at, feature] * first
            learnt_from = inputs[seen]
            # some estimators refuse a column without any value
            learnt_from[:, np.isnan(learnt_from).all(0)] = 0.0
            regressors.append(_seeded(clone(estimator), random).fit(learnt_from, rest))
        return replace(before, rule=RegressorRule(table, tuple(regressors), persistence))

    def _blocks(self, before: Predictor, panel: Panel, split: Split) -> list[tuple[Any, np.ndarray, float]]:
        """Blocks of the training part: a seasonal mean that has not seen them, their windows, and their share of all windows."""
        sizes, season = (before.look_back, before.horizon), before.season
        folds = None if season is None else cross_fit(panel, season, None, before.target, sizes, None, split)
        if folds is None:
            return [(season, split.train, 1.0)]
        inside = folds.inside(split.train, sum(sizes))
        block = folds.block_of(inside)
        parts = [(other, inside[block == number]) for number, (other, _) in enumerate(folds.fits)]
        return [(other, starts, len(starts) / len(inside)) for other, starts in parts if len(starts)]

    def _new_estimator(self, n_nodes: int) -> Any:
        """What the clones are made from; the node, its first input, is a category where that is possible."""
        if self.estimator is None:
            estimator: Any = HistGradientBoostingRegressor(**_DEFAULT)
        else:
            estimator = clone(self.estimator)
        if _numbers_nodes(estimator, n_nodes) and estimator.categorical_features == "from_dtype":
            estimator.set_params(categorical_features=[0])
        return estimator

    def _new_table(
        self, predictor: Predictor, scaler: NodeScaler, graph: Graph | None, estimator: Any
    ) -> WindowTable:
        """The table for an estimator."""
        adjacency = None
        if self.neighbours and graph is not None:
            adjacency = graph.adjacency - sparse.diags_array(graph.adjacency.diagonal())
        return WindowTable(
            scaler,
            predictor.target,
            predictor.horizon,
            _names(predictor, adjacency is not None),
            adjacency,
            fills=not get_tags(estimator).input_tags.allow_nan,
            numbers_nodes=_numbers_nodes(estimator, predictor.spec.n_nodes),
        )

    # ---------------------------------------------------------------- what was learnt

    estimators_ = learnt("rule.regressors", "The fitted clones, one for each forecast feature.")
    input_names_ = learnt("rule.table.names", "Names of the columns of their table.")
    persistence_ = learnt("rule.persistence", "Part of the last value that is left after so many steps.")
    scaler_ = learnt("rule.table.scaler", "Shift and scale of each node.")


def _numbers_nodes(estimator: Any, n_nodes: int) -> bool:
    """Whether an estimator takes so many nodes as categories."""
    return isinstance(estimator, HistGradientBoostingRegressor) and n_nodes <= estimator.max_bins


def _seeded(estimator: Any, random: np.random.RandomState | None) -> Any:
    """The estimator, with a seed wherever it and its parts have a `random_state`."""
    names = sorted(estimator.get_params()) if random is not None else []
    seeds = {
        name: random.randint(2**31 - 1)  # type: ignore[union-attr]
        for name in names
        if name == "random_state" or name.endswith("__random_state")
    }
    return estimator.set_params(**seeds) if seeds else estimator


def _names(predictor: Predictor, neighbours: bool) -> tuple[str, ...]:
    """Names of the columns of a table, in the order of `WindowTable.rows`."""
    features, targets = range(predictor.spec.n_features), predictor.target
    calendar = calendar_channels(predictor.time_features)
    names = ["node", "step"]
    names += [
        f"{kind} {number}" for kind, channels in calendar.items() for number, _ in enumerate(channels, 1)
    ]
    values = ["last", *(f"lag {lag}" for lag in range(predictor.look_back, 1, -1))]
    if neighbours:
        lags = range(min(_NEIGHBOUR_STEPS, predictor.look_back), 0, -1)
        values += [f"neighbours lag {lag}" for lag in lags]
    ahead = ["season"] if predictor.season is not None or predictor.history else []
    ahead += [f"{_PAST.get(kind, f'{kind} steps')} before" for kind in predictor.history]
    for columns, of in ((values, features), (ahead, targets)):
        several = predictor.spec.n_features > 1
        names += [f"{name} of feature {one}" if several else name for name in columns for one in of]
    return tuple(names)


def _table_of(windows: Windows, table: WindowTable, most: int) -> tuple[np.ndarray, ...]:
    """Rows of at most so many windows, steps and nodes: inputs, step, last values and targets, scaled."""
    shape = (windows.horizon, windows.values.shape[1])
    each, features = shape[0] * shape[1], windows.values.shape[2]
    positions = _evenly(len(windows), max(1, most // min(each, _ROWS_PER_WINDOW)))
    rows = _evenly(len(positions) * each, most)
    at_once = max(1, _NUMBERS_AT_ONCE // ((windows.input_length + shape[0]) * shape[1] * features))
    center, scale = table.scaler.center[:, table.target], table.scaler.scale[:, table.target]
    parts = []
    for first in range(0, len(positions), at_once):
        some = positions[first : first + at_once]
        begin, end = np.searchsorted(rows, [first * each, (first + len(some)) * each])
        places = np.stack(np.unravel_index(rows[begin:end] - first * each, (len(some), *shape)))
        batch, (window, step, node) = windows.gather(some.tolist()), places
        inputs = table.rows(batch.x, batch.time, batch.ahead, places)
        y = (batch.y[window, step, node] - center[node]) / scale[node]
        parts.append((inputs, step, table.last(batch.x)[window, node], y))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def _evenly(total: int, wanted: int) -> np.ndarray:
    """About so many of the numbers below `total`: one of each of equally long stretches, always the same ones."""
    if wanted >= total:
        return np.arange(total)
    places = np.random.default_rng(0).random(wanted)  # equal steps would meet some steps or nodes only
    return np.unique(((np.arange(wanted) + places) * (total / wanted)).astype(np.int64))


def _slopes(step: np.ndarray, last: np.ndarray, y: np.ndarray, horizon: int) -> np.ndarray:
    """For each step the slope, between 0 and 1, of a regression of values on the last ones."""
    product, square = (np.bincount(step, last * other, horizon) for other in (y, last))
    return np.clip(product / np.maximum(square, 1e-12), 0.0, 1.0)
