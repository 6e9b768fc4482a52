"""The weighted mean of several forecasters. Builds on `base` and on the greedy selection of `linear`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from sklearn.base import clone
from sklearn.utils import Bunch
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import _BaseComposition

from ..data.moments import binary_unit
from ..data.panel import Panel, feature_positions
from ..data.splits import Split
from ..exceptions import ParameterError, StmestError, TrainingError
from ..graphs import Graph
from ..linear.ensemble_selection import greedy_selection, windows_to_validate
from ..prediction.mean_predictor import MeanPredictor
from .base import BaseForecaster, learnt
from .registry import register

__all__ = ["EnsembleForecaster"]


@register(tiny={"weights": None}, members={"ridge": "RidgeForecaster", "stid": "STIDForecaster"})
class EnsembleForecaster(_BaseComposition, BaseForecaster):
    """Weighted mean of the forecasts of several forecasters.

    Errors of different models differ, and in their mean they partly cancel out.

    Parameters
    ----------
    forecasters : list of (str, forecaster) tuples
        The members, at least one, each with a name. They need the same horizon and target; look-backs may differ, and the
        longest is that of the ensemble. `fit` leaves them as they are and fits clones. Their parameters can be set as
        ``name__parameter``.
    weights : {"validation"} or None, default="validation"
        ``"validation"`` chooses the weights that forecast the validation part of the training data best. None weighs all members
        equally.
    adj : array-like, DataFrame, sparse matrix, networkx graph, torch_geometric Data, tuple or Graph, optional
        Weighted adjacency for all members; ``adj[i, j]`` is the weight of the edge from node i to node j. `fit`'s argument takes
        precedence. Without either, each member uses its own `adj`.

    Attributes
    ----------
    weights_ : ndarray of shape (n_members,)
        Weight of each member; not negative, and their sum is 1.
    named_estimators_ : Bunch
        The members by their names, as `fit` left them; `update` moves the ensemble alone.
    estimators_ : list
        The same, in their order.
    horizon : int
        Time steps to forecast, which the members have in common.
    context_length_ : int
        The longest look-back of the members.
    profile_ : SeasonalProfile or None
        Seasonal mean of the member with the largest weight. Intervals are scaled by look-backs less this mean.
    time_features_ : tuple of str
        Calendar features that any member uses.
    n_parameters_ : int or None
        Number of parameters of all members; None where one of them, such as a `RegressorForecaster`, does not count its own.

    Notes
    -----
    The weights come from greedy selection with repetitions. Each of at most ten rounds adds the member that lowers the mean
    absolute error of the ensemble most, over all nodes and target features, in the units of the data. So a weight is a count over
    the number of rounds. A member that does not help gets 0 and costs nothing in `predict`.

    The errors are those on the validation part, which every member leaves out of what it learns, before the closed-form parts are
    fitted again. Members choose their best epoch or their penalty on the same part, so that these errors are a little too small.
    Training data that are too short for a validation part give equal weights.

    Beyond the horizon each member continues from its own forecasts.

    References
    ----------
    Caruana, Niculescu-Mizil, Crew, Ksikes, "Ensemble Selection from Libraries of Models", ICML 2004.

    Examples
    --------
    >>> from stmest import EnsembleForecaster, RidgeForecaster, SeasonalNaive, make_sensor_network
    >>> X = make_sensor_network(n_nodes=4, n_times=400, random_state=0).values
    >>> members = [("ridge", RidgeForecaster(horizon=6)), ("day", SeasonalNaive(horizon=6, season=24))]
    >>> model = EnsembleForecaster(members).fit(X)
    >>> model.predict().shape
    (6, 4)
    >>> model.weights_.shape, float(model.weights_.sum())
    ((2,), 1.0)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "forecasters": [list, tuple],
        "weights": [StrOptions({"validation"}), None],
        "adj": "no_validation",  # type: ignore[dict-item]  # checked by as_graph, which knows the nodes
    }

    _predictor_class = MeanPredictor

    predictor_: MeanPredictor
    named_estimators_: Bunch

    def __init__(
        self,
        forecasters: Sequence[tuple[str, BaseForecaster]],
        *,
        weights: str | None = "validation",
        adj: Any = None,
    ):
        self.forecasters = forecasters
        self.weights = weights
        self.adj = adj

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters of the ensemble and of its members.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the members by their names, and their parameters as ``name__parameter``.

        Returns
        -------
        dict of str to object
            Parameter names and values.
        """
        return self._get_params("forecasters", deep=deep)

    def set_params(self, **parameters: Any) -> EnsembleForecaster:
        """Set parameters of the ensemble or of its members, or replace a member.

        Parameters
        ----------
        **parameters
            Named as in `get_params`.

        Returns
        -------
        EnsembleForecaster
            This forecaster.
        """
        self._set_params("forecasters", **parameters)
        return self

    # ---------------------------------------------------------------- what the members have in common

    @property
    def horizon(self) -> int:  # type: ignore[override]
        """Time steps to forecast."""
        return self.forecasters[0][1].horizon

    @property
    def target(self) -> Any:
        """Features to forecast."""
        return self.forecasters[0][1].target

    @property
    def _reads_fields(self) -> bool:  # type: ignore[override]
        return any(member._reads_fields for _, member in self.forecasters)

    def _look_back(self, panel: Panel) -> int:
        return max(member._look_back(panel) for _, member in self.forecasters)

    def _validation_fraction(self) -> float:
        return min(member._validation_fraction() for _, member in self.forecasters)

    # ---------------------------------------------------------------- fit

    def _check_parameters(self) -> None:
        super()._check_parameters()
        wrong = [pair for pair in self.forecasters if not _is_member(pair)]
        if wrong or not self.forecasters:
            raise ParameterError(
                f"forecasters holds {repr(wrong[0]) if wrong else 'nothing'}; needed: at least one pair of a name and a "
                "forecaster of stmest, such as ('ridge', RidgeForecaster())."
            )
        try:
            self._validate_names([name for name, _ in self.forecasters])
        except ValueError as error:
            raise ParameterError(f"forecasters: {error}") from error
        for name, member in self.forecasters:
            with _naming(name):
                member._check_parameters()
                if self.weights is not None and not member._validation_fraction():
                    raise ParameterError(
                        "it has no validation part, from which weights='validation' are chosen. Give it a "
                        "validation_fraction above 0 and a patience, or the ensemble weights=None."
                    )
        _refuse_different("horizon", {name: member.horizon for name, member in self.forecasters})

    def _split(self, panel: Panel) -> Split:
        """The windows of the longest look-back, with a validation part only if no member learns from it."""
        split = super()._split(panel)
        unseen = all(member._split(panel).cut <= split.cut for _, member in self.forecasters)
        return split if unseen else replace(split, fraction=0.0, cut=panel.n_times)

    def _learn(self, panel: Panel, graph: Graph | None, split: Split) -> MeanPredictor:
        _refuse_different(
            "target", {name: feature_positions(panel, member.target) for name, member in self.forecasters}
        )
        self.named_estimators_ = Bunch()
        for name, member in self.forecasters:
            with _naming(name):
                self.named_estimators_[name] = clone(member).fit(panel, adj=graph)
        members = [member.calibration_.predictor for member in self.estimators_]
        equal = MeanPredictor.of(members, np.full(len(members), 1 / len(members)))
        return MeanPredictor.of(members, self._choose_weights(equal, panel, split))

    def _choose_weights(self, equal: MeanPredictor, panel: Panel, split: Split) -> np.ndarray:
        """Weights by the errors on the validation part; equal ones where there is none."""
        size = equal.horizon * equal.spec.n_nodes * len(equal.target)
        starts = windows_to_validate(split.validation, size)
        steps = starts[:, None] + np.arange(equal.look_back, equal.look_back + equal.horizon)
        truth = panel.values[steps][..., equal.target]
        if self.weights is None or not np.isfinite(truth).any():
            return equal.weights
        unit = binary_unit(truth)  # so that no error is too small for float32
        errors = [
            ((equal.forecast_by(member, panel, starts) - truth) / unit).astype(np.float32)
            for member in equal.members
        ]
        chosen, _ = greedy_selection(errors)
        return np.bincount(chosen, minlength=len(errors)) / len(chosen)

    def _refit(
        self, predictor: MeanPredictor, panel: Panel, graph: Graph | None, split: Split
    ) -> MeanPredictor:
        """The mean of the members after their refit, with the same weights."""
        return predictor.with_members([member.predictor_ for member in self.estimators_])

    # ---------------------------------------------------------------- what was learnt

    weights_ = learnt("weights", "Weight of each member.")

    @property
    def estimators_(self) -> list[Any]:
        """The fitted members."""
        return list(self.named_estimators_.values())

    @property
    def n_parameters_(self) -> int | None:
        """Number of parameters of all members; None where one of them does not count its own."""
        counts: list[Any] = [getattr(member, "n_parameters_", None) for member in self.estimators_]
        return None if None in counts else sum(counts)

    # ---------------------------------------------------------------- pickles and model files

    def __getstate__(self) -> dict[str, Any]:
        """State in which each member is stored once, as a fitted forecaster."""
        state: dict[str, Any] = dict(super().__getstate__())
        if "predictor_" in state:
            calibrated: Any = self.calibration_.predictor
            state["named_estimators_"] = list(self.named_estimators_.items())
            state["predictor_"] = self.predictor_.with_members([])
            state["calibration_"] = self.calibration_.with_predictor(calibrated.with_members([]))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Give the predictors their members again."""
        super().__setstate__(state)
        if "predictor_" not in state:
            return
        self.named_estimators_ = Bunch(**dict(self.named_estimators_))
        calibrated: Any = self.calibration_.predictor
        calibrated = calibrated.with_members([member.calibration_.predictor for member in self.estimators_])
        self.calibration_ = self.calibration_.with_predictor(calibrated)
        self.predictor_ = self.predictor_.with_members([member.predictor_ for member in self.estimators_])


def _is_member(pair: Any) -> bool:
    """Whether it is a pair of a name and a forecaster."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        return False
    return isinstance(pair[0], str) and isinstance(pair[1], BaseForecaster)


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Let errors name the member."""
    try:
        yield
    except StmestError as error:
        raise type(error)(f"forecaster {name!r}: {error}") from error
    except Exception as error:
        raise TrainingError(f"forecaster {name!r}: {type(error).__name__}: {error}") from error


def _refuse_different(what: str, values: dict[str, Any]) -> None:
    """Raise where the members do not all have the same value."""
    (first, wanted), *others = values.items()
    for name, value in others:
        if value != wanted:
            raise ParameterError(
                f"the members of an ensemble need the same {what}, but {first!r} has {what}={wanted!r} and {name!r} has "
                f"{what}={value!r}. Set it alike, for instance by set_params({name}__{what}={wanted!r})."
            )
