"""Any scikit-learn regressor on lagged windows as a forecaster.

Builds on `window_table` and `base`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.utils import check_random_state, get_tags
from sklearn.utils._param_validation import HasMethods, StrOptions

from ..data.history import choose_history, history_length
from ..data.input_spec import InputSpec
from ..data.panel import Panel, feature_positions
from ..data.scaling import NodeScaler
from ..data.splits import Split
from ..exceptions import DataError, ParameterError
from ..graphs import Graph
from ..linear.cross_fit import cross_fit
from ..linear.seasonal_mean import SeasonalProfile, less_season
from ..prediction.predictor import Predictor
from .base import BaseForecaster, learnt
from .parameters import SEASONAL_PROFILE, WindowParameters
from .registry import register
from .window_table import RegressorRule, WindowTable, column_names, rows_of

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["RegressorForecaster"]

# Rows at most to learn from, and numbers at most in their table
_MOST_ROWS, _MOST_NUMBERS = 400_000, 40_000_000
_WINDOWS_AT_ONCE = 64
_DEFAULT = {"loss": "absolute_error", "max_iter": 300, "early_stopping": False}


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

    def set_params(self, **parameters: Any) -> Self:
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
            rows_of(windows(starts).of(less_season(panel, season)), table, max(1, round(most * share)))
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
            column_names(predictor, adjacency is not None),
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


def _slopes(step: np.ndarray, last: np.ndarray, y: np.ndarray, horizon: int) -> np.ndarray:
    """For each step the slope, between 0 and 1, of a regression of values on the last ones."""
    product, square = (np.bincount(step, last * other, horizon) for other in (y, last))
    return np.clip(product / np.maximum(square, 1e-12), 0.0, 1.0)
