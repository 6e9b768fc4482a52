"""The scikit-learn API of every forecaster: parameters, fit and save; `forecasts` has what comes after `fit`.

`fit` learns a `Predictor`, which does all forecasting; a subclass says how much history it needs (`_look_back`) and how it
learns (`_learn`). Builds on `data`, `graphs` and `prediction`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from ..data.calendar import calendar_features, wanted_calendar
from ..data.containers import as_panel
from ..data.history import History
from ..data.output import ToWide
from ..data.panel import Panel, regular
from ..data.splits import SELECTION_FRACTION, Split
from ..data.windows import Windows
from ..exceptions import DataError, DataTypeError, ParameterError
from ..graphs import Graph
from ..linear.ensemble_selection import choose_season
from ..linear.seasonal_mean import SeasonalProfile
from ..prediction.calibration import Calibration
from ..prediction.predictor import BasePredictor, Predictor
from .arguments import choose_graph, given_times, graph_of_warm_start
from .forecasts import ForecastMixin
from .parameter_names import explain_unknown
from .parameters import name_the_forecaster
from .saving import save_model
from .surroundings import in_common_checks, look_around

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["BaseForecaster", "learnt"]


def learnt(path: str, doc: str) -> Any:
    """A read-only attribute of a forecaster that lies in its predictor.

    Parameters
    ----------
    path : str
        Where in the predictor, with dots.
    doc : str
        What it is.

    Returns
    -------
    property
        Like any missing attribute before `fit`.
    """
    return property(attrgetter(f"predictor_.{path}"), doc=doc)


class BaseForecaster(ForecastMixin, ABC, BaseEstimator):
    """Common API of all forecasters; see the subclasses for their parameters.

    Attributes
    ----------
    n_features_in_ : int
        Number of nodes.
    feature_names_in_ : ndarray of shape (n_nodes,)
        Names of the nodes, where X is a DataFrame with string column names.
    predictor_ : BasePredictor
        Does all forecasting.
    input_ : InputSpec
        Nodes, features, grid, time zone and frequency of the training data.
    nodes_ : list or None
        Names of the nodes, where the data name them.
    n_inputs_ : int
        Number of features per node.
    time_zone_ : str or None
        Time zone of the training data, in whose local time seasons and calendar are computed.
    target_ : list of int
        Positions of the forecast features.
    time_features_ : tuple of str
        Calendar features in use.
    given_graph_ : Graph or None
        The graph that `fit` was given.
    profile_ : SeasonalProfile or None
        The seasonal mean (climatology). It is subtracted from the inputs and added to the forecasts.
    n_filled_rows_ : int
        Time steps that the training data lacked although their frequency is clear; each has become a row of NaN. Gaps that recur,
        such as nights, are not filled.
    grid_shape_ : tuple of int or None
        Rows and columns (n_y, n_x), where the training data are fields; their cells are the nodes, row by row.
    context_length_ : int
        Time steps before an origin that a forecast uses where they exist: the look-back, and for networks that see values of
        earlier days and weeks up to four weeks and a horizon.
    context_ : Panel
        The last time steps (of the last trajectory), from which `predict` without data starts.
    calibration_ : Calibration
        The validation part, on which `predict_interval` is calibrated.
    """

    # `adj` reaches fit through GridSearchCV, cross_validate and Pipeline also with metadata routing switched on
    __metadata_request__fit: ClassVar[dict[str, bool]] = {"adj": True}

    horizon: int
    adj: Any = None
    target: Any = None
    seasonal_profile: Any = None
    time_features: Any = None

    given_graph_: Graph | None

    # What `predictor_` is, for the check of model files
    _predictor_class: ClassVar[type[BasePredictor]] = Predictor

    # Whether an array of three axes is a field (n_times, n_y, n_x) rather than (n_times, n_nodes, n_features)
    _reads_fields: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):  # not where a dataclass is about to write one; `describe` sees to those
            name_the_forecaster(cls)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.target_tags.required = False
        return tags

    # ---------------------------------------------------------------- what a forecaster provides

    @abstractmethod
    def _look_back(self, panel: Panel) -> int:
        """Time steps of history that one forecast needs."""

    @abstractmethod
    def _learn(self, panel: Panel, graph: Graph | None, split: Split) -> BasePredictor:
        """Learn from the training part of the data.

        Parameters
        ----------
        panel : Panel
            All of the training data.
        graph : Graph or None
            The graph of the nodes.
        split : Split
            Their windows. The validation part may be used for choices, and for no other learning.

        Returns
        -------
        BasePredictor
            The fitted predictor.
        """

    def _validation_fraction(self) -> float:
        """Share of the time steps to validate on."""
        return SELECTION_FRACTION

    def _continues(self) -> bool:
        """Whether fit continues from the present state instead of starting anew."""
        return False

    # ---------------------------------------------------------------- fit

    def fit(self, X: Any, y: Any = None, adj: Any = None) -> Self:
        """Learn from the values of the nodes.

        Parameters
        ----------
        X : array-like, DataFrame, DataArray or Tensor
            Values in time order: (n_times, n_nodes) or (n_times, n_nodes, n_features), or a field (n_times, n_y,
            n_x, n_features); or many independent trajectories, which no window crosses. See
            `stmest.data.containers.as_panel` for all supported containers. NaN marks a missing value.
        y : None, or a graph
            Present for scikit-learn. A graph given here is taken as `adj`, so that ``fit(X, adj)`` works. Values are refused: the
            features to forecast are named by the parameter `target`.
        adj : array-like, DataFrame, sparse matrix, networkx graph, torch_geometric Data, tuple or Graph, optional
            Weighted adjacency, ``adj[i, j]`` is the weight of the edge from node i to node j. Takes precedence over the
            constructor's `adj`.

        Returns
        -------
        BaseForecaster
            This forecaster, fitted.

        Raises
        ------
        DataError
            If X does not have that form or is too short, or y is no graph.
        GraphError
            If the graph does not fit the nodes.
        ParameterError
            If a parameter cannot be used, or a search scores with one of scikit-learn's own scorers.

        Warns
        -----
        UserWarning
            If a pipeline scales X before, so that its forecasts are in other units.
        """
        with self._restored_on_error():
            self._check_parameters()
            panel = self._read_first(X)
            # a member of an ensemble is given a Panel, and the ensemble has looked
            in_fold = not isinstance(X, Panel) and look_around(panel.values, not panel.parts)
            graph = self._choose_graph(panel, y, adj)
            split = self._split(panel)
            learnt = self._learn(panel, graph, split)
            refitted = self._refit(learnt, panel, graph, split)
            calibration = self._calibration(learnt, refitted, panel, split)
            self.predictor_, self.calibration_, self.given_graph_ = refitted, calibration, graph
            self.context_ = panel.tail(refitted.context_length)
            self._training_times = None if in_fold else given_times(panel)
        return self

    def _read_first(self, X: Any) -> Panel:
        """Training data as a panel whose time index begins at 0."""
        if self._continues():
            panel = self._read(X)
        else:
            panel = X if isinstance(X, Panel) else as_panel(X, fields=self._reads_fields)
            self._check_names(X, panel, reset=True)
            panel = regular(panel)
        return panel if panel.parts or panel.clock is not None else replace(panel, clock=0)

    def _choose_graph(self, panel: Panel, y: Any, adj: Any) -> Graph | None:
        if y is not None and in_common_checks():
            y = None
        graph = choose_graph(panel, y, adj, self.adj)
        return graph_of_warm_start(graph, self.given_graph_) if self._continues() else graph

    def _split(self, panel: Panel) -> Split:
        """The windows of the training data."""
        return Split.of(panel.bounds, self._look_back(panel), self.horizon, self._validation_fraction())

    def _refit(self, predictor: Any, panel: Panel, graph: Graph | None, split: Split) -> BasePredictor:
        """Fit the closed-form parts again, with the validation part, which is the most recent."""
        if self._continues() or not split.validates:
            return predictor
        return predictor.refitted(panel, graph, split)

    def _calibration(
        self, learnt: BasePredictor, refitted: BasePredictor, panel: Panel, split: Split
    ) -> Calibration:
        """The validation part, which the predictor `learnt` has not learnt from."""
        return Calibration.of(learnt, refitted.season, panel, split)

    def _season(self, panel: Panel, split: Split, target: list[int]) -> SeasonalProfile | None:
        """The seasonal mean of the training part, as `seasonal_profile` specifies."""
        cycle = self.seasonal_profile
        untimed = panel.parts and panel.index is None  # where each of them begins in the cycle is unknown
        if cycle == "auto":
            if untimed or not len(split.starts):
                return None
            sizes = (split.look_back, self.horizon)
            cycle = choose_season(panel.values, panel.index, split.choice, *sizes, target, split.starts)
        if cycle is None:
            return None
        if untimed:
            raise ParameterError(
                f"seasonal_profile={cycle!r} needs to know when in its cycle each of the {len(panel.parts)} trajectories "
                "begins. Give them a time index, or use seasonal_profile=None."
            )
        index = None if panel.index is None else panel.index[: split.cut]
        return SeasonalProfile(cycle).fit(panel.values[: split.cut], index)

    def _choose_time_features(self, panel: Panel) -> tuple[str, ...]:
        """The calendar features that `time_features` asks for."""
        if self.time_features is None:
            return ()
        wanted = [self.time_features] if isinstance(self.time_features, str) else self.time_features
        return wanted_calendar(wanted, panel.index)

    def _windows(self, predictor: Predictor, panel: Panel, values: Any) -> Any:
        """A function from start positions to windows of the training data."""
        time = None
        if predictor.time_features:
            index: Any = panel.index.append(panel.future(self.horizon))  # type: ignore[union-attr]
            time = calendar_features(index, predictor.time_features)
        history = None
        if predictor.history:
            parts = panel.parts or (panel,)
            history = History(predictor.history, [(part.index, part.n_times) for part in parts])

        def cut(starts: np.ndarray) -> Windows:
            return Windows(
                values, predictor.look_back, predictor.horizon, starts, time=time, target=predictor.target,
                history=history, n_older=predictor.n_older, bounds=panel.bounds,
            )  # fmt: skip

        return cut

    @contextmanager
    def _restored_on_error(self) -> Iterator[None]:
        """Restore the estimator if fit fails."""
        before = self.__dict__.copy()
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _check_parameters(self) -> None:
        """Compare every parameter with the table `_parameter_constraints`."""
        try:
            self._validate_params()
        except ValueError as error:
            raise ParameterError(str(error)) from error

    def _read(self, X: Any) -> Panel:
        """Later data as a panel, compared with the training data."""
        if not isinstance(X, Panel):
            panel = as_panel(X, fields=self._reads_fields, reading=self.input_.reading)
            self.input_.check(panel)
            self._check_names(X, panel, reset=False)
            X = panel
        return self.input_.read(X)

    def _check_names(self, X: Any, panel: Panel, reset: bool) -> None:
        """Let scikit-learn remember or compare number and names of the nodes."""
        if isinstance(X, Panel) and isinstance(X.restore, ToWide):  # a table that was read before
            X = pd.DataFrame(panel.values[:1, :, 0], columns=panel.nodes) if panel.ndim == 2 else X
        named = isinstance(X, pd.DataFrame) and panel.ndim == 2 and X.shape[1] == panel.values.shape[1]
        try:
            validate_data(self, X if named else panel.values, reset=reset, skip_check_array=True)
        except (TypeError, ValueError) as error:
            kind = DataTypeError if isinstance(error, TypeError) else DataError
            hint = ""
            if named and not reset and set(panel.nodes or []) == set(self.nodes_ or []):
                hint = " These are the same nodes in another order: give X[list(forecaster.nodes_)]."
            raise kind(f"{str(error).rstrip()}{hint}") from error

    def __getstate__(self) -> dict[str, Any]:
        """State without the training times, which only a score right after `fit` is compared with."""
        state = dict(super().__getstate__())
        state.pop("_training_times", None)
        return state

    def set_params(self, **parameters: Any) -> Self:
        """Set parameters.

        Parameters
        ----------
        **parameters
            Named as in `get_params`.

        Returns
        -------
        BaseForecaster
            This forecaster.

        Raises
        ------
        ParameterError
            If there is no such parameter, naming the one that was most likely meant.
        """
        known = [name for name in self.get_params() if "__" not in name] if parameters else []
        for name in parameters:
            if name.partition("__")[0] not in known:
                raise ParameterError(explain_unknown(type(self).__name__, name, known))
        return super().set_params(**parameters)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted forecaster into one file, which `stmest.load` opens on any machine.

        Parameters
        ----------
        path : str or path-like
            Where to, for instance ``"model.safetensors"``. An existing file is replaced in one step: a reader sees the old
            file or the new one, also after a crash.

        Raises
        ------
        ModelFileError
            If a parameter holds code (`callbacks`) or an object that is not plain data, or the parameters were changed
            after `fit` so that they no longer describe what was fitted.
        StorageError
            If the file cannot be written, for instance because the disk is full.

        Notes
        -----
        `device` and `checkpoint_dir` are not saved, as they belong to this machine. `adj` is saved as a `Graph`.
        """
        check_is_fitted(self)
        save_model(self, path)

    # ---------------------------------------------------------------- what was learnt

    input_ = learnt("spec", "Nodes, features, grid, time zone and frequency of the training data.")
    nodes_ = learnt("spec.nodes", "Names of the nodes, where the training data name them.")
    n_inputs_ = learnt("spec.n_features", "Number of features per node.")
    time_zone_ = learnt("spec.zone", "Time zone in whose local time seasons and calendar are computed.")
    grid_shape_ = learnt("spec.grid", "Rows and columns of the training data, where they are fields.")
    n_filled_rows_ = learnt("spec.n_filled", "Missing time steps that `fit` put NaN for.")
    target_ = learnt("target", "Positions of the forecast features.")
    time_features_ = learnt("time_features", "Calendar features in use.")
    profile_ = learnt("season", "The seasonal mean in use.")
    context_length_ = learnt("context_length", "Time steps before an origin that a forecast uses.")

    def _node_labels(self) -> pd.Index:
        return pd.RangeIndex(self.input_.n_nodes) if self.nodes_ is None else pd.Index(self.nodes_)
