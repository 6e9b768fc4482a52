"""The face of every forecaster: fit, predict, score, predict_windows, update.

`BaseForecaster` turns containers into panels and graphs, cuts windows, checks parameters and gives back what came in.
A forecaster below it says how much history it needs (`_context_length`), how it learns (`_fit_panel`) and how it
forecasts raw windows (`_forecast`). Builds on `data` and `graphs`; the networks join in `network.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from ..data.containers import as_panel
from ..data.output import ToWide
from ..data.panel import Panel, feature_positions
from ..data.time_index import follows, future_index, zone_name
from ..exceptions import DataError, DataTypeError, ParameterError
from ..graphs import Graph
from ..metrics.point import weighted_r2
from ..prediction.rollout import checked_steps, last_rows, roll_out
from .arguments import choose_graph, graph_to_go_on_with
from .bridges import Bridges
from .conformal import Conformal
from .constructor import name_the_forecaster
from .model_file import SavedAsFile
from .windowing import Windowing

__all__ = ["BaseForecaster"]


class BaseForecaster(Windowing, Conformal, Bridges, SavedAsFile, ABC, BaseEstimator):
    """Common face of all forecasters; see the subclasses for their parameters.

    Attributes
    ----------
    n_features_in_ : int
        Number of nodes.
    feature_names_in_ : ndarray of shape (n_nodes,)
        Names of the nodes, where X is a DataFrame with string column names.
    nodes_ : list or None
        Names of the nodes, where the data name them.
    target_ : list of int
        Positions of the forecast features.
    time_features_ : tuple of str
        Calendar features in use.
    time_zone_ : str or None
        Time zone of the training rows, by whose clock the calendar features are told.
    given_graph_ : Graph or None
        The graph that `fit` was given.
    profile_ : SeasonalProfile or None
        What is subtracted from the readings before the forecaster sees them, and added to its forecasts.
    grid_shape_ : tuple of int or None
        Rows and columns (n_y, n_x), where the training data are fields; their cells are the nodes, row by row.
    context_ : Panel
        The last rows (of the last trajectory), from which `predict` without data starts.
    calibration_ : Calibration
        The validation rows, on which `predict_interval` is calibrated.
    """

    # `adj` reaches fit through GridSearchCV, cross_validate and Pipeline also with metadata routing switched on
    __metadata_request__fit: ClassVar[dict[str, bool]] = {"adj": True}

    horizon: int
    adj: Any = None
    target: Any = None
    grid_shape_: tuple[int, int] | None

    given_graph_: Graph | None
    time_zone_: str | None
    nodes_: Any
    n_inputs_: int

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

    @property
    @abstractmethod
    def _context_length(self) -> int:
        """Rows of history that one forecast needs."""

    @abstractmethod
    def _fit_panel(self, panel: Panel, graph: Graph | None) -> None:
        """Learn from the training rows; sets attributes that end in an underscore."""

    @abstractmethod
    def _forecast(self, x: np.ndarray, time: np.ndarray | None) -> np.ndarray:
        """Forecast raw windows.

        Parameters
        ----------
        x : ndarray of shape (b, _context_length, n, f), float32
            Input rows in the units of the data, less the seasonal profile; NaN where missing.
        time : ndarray of shape (b, _context_length + horizon, c) or None
            Calendar channels.

        Returns
        -------
        ndarray of shape (b, horizon, n, f_target)
            Forecasts in the units of the data, less the seasonal profile; finite.
        """

    def _choose_time_features(self, panel: Panel) -> tuple[str, ...]:
        """Calendar features that the forecaster uses; none unless a subclass says so."""
        return ()

    _windows_at_once: int = 256
    # Whether an array of three axes is a field (n_times, n_y, n_x) rather than (n_times, n_nodes, n_features)
    _reads_fields: bool = False

    # ---------------------------------------------------------------- fit

    def fit(self, X: Any, y: Any = None, adj: Any = None) -> Any:
        """Learn from the readings of a sensor network.

        Parameters
        ----------
        X : array-like, DataFrame, DataArray or Tensor
            Readings, rows in time order: (n_times, n_nodes) or (n_times, n_nodes, n_features), or a field (n_times, n_y,
            n_x, n_features); or many independent trajectories, which no window crosses. See
            `stmest.data.containers.as_panel` for all that is understood. NaN marks a missing reading.
        y : ignored, or a graph
            Present for scikit-learn. A graph given here is taken as `adj`, so that ``fit(X, adj)`` works.
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
            If X does not have that form or is too short.
        GraphError
            If the graph does not fit the nodes.
        ParameterError
            If a parameter cannot be used.
        """
        with self._restored_on_error():
            self._check_parameters()
            panel = self._to_panel(X, reset=not self._continues())
            graph = choose_graph(panel, y, adj, self.adj)
            if self._continues():
                graph = graph_to_go_on_with(graph, self.given_graph_)
            self.target_ = feature_positions(panel, self.target)
            self.time_features_ = self._choose_time_features(panel)
            self.given_graph_ = graph
            if not self._continues():
                self.profile_ = self._choose_profile(panel)
            self._context_phase = 0
            self._fit_panel(self._less_profile(panel, 0), graph)
            before = vars(self).copy()
            self._learn_from_all(panel, graph)
            relearnt = {name: value for name, value in before.items() if value is not vars(self).get(name)}
            self.context_ = panel.tail(self._context_length)
            self._context_phase = panel.n_times - self.context_.n_times
            self._keep_calibration(panel, relearnt)
        return self

    def _continues(self) -> bool:
        """Whether fit goes on from the present state instead of starting anew."""
        return False

    def _learn_from_all(self, panel: Panel, graph: Graph | None) -> None:
        """Take what costs nothing to learn again from all rows, the validation part included; nothing by default."""
        return None

    def _training_cut(self, panel: Panel) -> int:
        """Rows that may be learnt from; a forecaster with a validation part keeps it out of everything it learns."""
        return panel.n_times

    @contextmanager
    def _restored_on_error(self) -> Iterator[None]:
        """Leave the estimator as it was if fit fails: never half fitted."""
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

    def _to_panel(self, X: Any, reset: bool) -> Panel:
        """Convert X, and remember or compare nodes and features."""
        panel = X if isinstance(X, Panel) else as_panel(X, fields=self._reads_fields)
        if panel is X and panel.ndim == 2 and panel.nodes is not None:
            # scikit-learn compares names of columns only where fit saw a table
            table = isinstance(panel.restore, ToWide) if reset else hasattr(self, "feature_names_in_")
            X = pd.DataFrame(panel.values[..., 0], columns=panel.nodes) if table else X
        if not reset:
            panel.check_grid(getattr(self, "grid_shape_", None))  # models saved earlier know of no fields
        if not reset and panel.values.shape[2] != self.n_inputs_:
            raise DataError(
                f"X has {panel.values.shape[2]} features per node (shape {panel.values.shape}); "
                f"{type(self).__name__} was fitted with {self.n_inputs_}."
            )
        named_columns = (
            isinstance(X, pd.DataFrame) and panel.ndim == 2 and X.shape[1] == panel.values.shape[1]
        )
        try:
            validate_data(self, X if named_columns else panel.values, reset=reset, skip_check_array=True)
        except (TypeError, ValueError) as error:
            kind = DataTypeError if isinstance(error, TypeError) else DataError
            names = ""
            if named_columns and not reset and set(panel.nodes or []) == set(self.nodes_ or []):
                names = " These are the same nodes in another order: give X[list(forecaster.nodes_)]."
            raise kind(f"{str(error).rstrip()}{names}") from error
        if reset:
            self.nodes_, self.n_inputs_, self.ndim_ = panel.nodes, panel.values.shape[2], panel.ndim
            self.time_zone_, self.grid_shape_ = zone_name(panel.index), panel.grid
            return panel
        if panel.nodes is not None and self.nodes_ is not None and panel.nodes != self.nodes_:
            panel = panel.with_nodes(self.nodes_)
        return panel

    # ---------------------------------------------------------------- predict

    def predict(self, X: Any = None, steps: int | None = None) -> Any:
        """Forecast the steps after the last row of X.

        Parameters
        ----------
        X : array-like, DataFrame, DataArray or Tensor, optional
            Recent readings; the last rows are the look-back. Default: the rows that `fit` (and `update`) saw last.
        steps : int, optional
            Steps to forecast; default `horizon`. Steps beyond the horizon are forecast from the forecasts before them.

        Returns
        -------
        ndarray, DataFrame, DataArray or Tensor
            Forecasts of shape (steps, n_nodes) or (steps, n_nodes, n_targets), for fields with the axes y and x in the
            place of the nodes, for many trajectories one for each; in the container kind of X, with the future index
            and the node names or coordinates where the data have them.

        Raises
        ------
        DataError
            If X has too few rows, or other nodes, features or another grid than the training data.
        ParameterError
            If `steps` lies beyond the horizon and not all input features are forecast.
        """
        check_is_fitted(self)
        panel = self.context_ if X is None else self._to_panel(X, reset=False)
        steps = checked_steps(self, steps)
        recent = last_rows(self, panel)
        forecasts = roll_out(self, recent, recent.bounds[:-1], steps)
        return panel.like(forecasts if panel.parts else forecasts[0], self.target_)

    def predict_windows(
        self, X: Any, stride: int = 1, steps: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Forecast from every origin in X, in batches.

        Parameters
        ----------
        X : array-like, DataFrame, DataArray or Tensor
            Readings. If its time index continues the one of the training data, the rows that `fit` saw last serve as
            look-back, so that also the first rows of X are forecast.
        stride : int, default=1
            Rows between two origins.
        steps : int, optional
            Steps to forecast from each origin, as in `predict`; default `horizon`. No forecast sees an observation
            after its origin.

        Returns
        -------
        y_true, y_pred : ndarray of shape (n_windows, steps, n_nodes) or (n_windows, steps, n_nodes, n_targets)
            Observed values (NaN where missing) and forecasts; the windows of many trajectories one after the other. For
            fields with the axes y and x in the place of the nodes.

        Raises
        ------
        DataError
            If X is too short for one window.
        ParameterError
            If `stride` is no integer of at least 1, or `steps` lies beyond the horizon and not all input features are forecast.
        """
        check_is_fitted(self)
        steps = checked_steps(self, steps)
        panel = self._to_panel(X, reset=False)
        if not panel.parts and follows(self.context_.index, panel.index):
            panel = self.context_.followed_by(panel)
        length = self._context_length + steps
        starts = panel.starts(length, stride)
        if not len(starts):
            raise DataError(
                f"X has n_samples = {panel.n_times} rows; look-back + horizon = {length} rows are needed to score one "
                "forecast. Use longer test folds (TimeSeriesSplit(test_size=...)), stmest.ForecastSplit, or a DataFrame "
                "whose index continues the training index."
            )
        if steps == self.horizon and not panel.parts:
            y_pred = self._forecast_windows(self._windows(panel, starts, with_targets=True))
        else:
            y_pred = roll_out(self, panel, starts, steps)
        rows = starts[:, None] + np.arange(self._context_length, length)
        y_true = panel.values[rows][..., self.target_]
        return panel.shaped(y_true), panel.shaped(y_pred)

    def score(self, X: Any, y: Any = None) -> float:
        """Coefficient of determination of all rolling forecasts in X.

        Parameters
        ----------
        X : array-like, DataFrame, DataArray or Tensor
            Readings, as for `predict_windows`.
        y : ignored
            Present for scikit-learn.

        Returns
        -------
        float
            R^2, averaged over nodes with their variance as weight; 1.0 is perfect. Missing readings do not count. Where
            no node varies, 1.0 for exact forecasts and 0.0 for all others.

        Raises
        ------
        DataError
            If X is too short for one window, or has no observed target.
        """
        y_true, y_pred = self.predict_windows(X)
        if not np.isfinite(y_true).any():
            raise DataError(
                f"none of the {y_true.size} target values in X is observed; there is nothing to score."
            )
        r2 = weighted_r2(y_true, y_pred)
        if np.isfinite(r2):
            return r2
        # nothing varies, and scikit-learn's searches need a number
        return float(np.array_equal(y_true[np.isfinite(y_true)], y_pred[np.isfinite(y_true)]))

    def update(self, X: Any) -> Any:
        """Move the forecast origin over newly observed rows, without training.

        Parameters
        ----------
        X : array-like, DataFrame, DataArray or Tensor
            The rows that came after those seen so far.

        Returns
        -------
        BaseForecaster
            This forecaster.

        Raises
        ------
        DataError
            If the time index of X does not begin one step after the rows seen so far.
        """
        check_is_fitted(self)
        panel = self._to_panel(X, reset=False)
        if panel.parts:
            raise DataError(f"update takes the rows that came next, not {len(panel.parts)} trajectories.")
        known = self.context_.index
        if known is not None and panel.index is None:
            raise DataError(
                f"X of shape {panel.values.shape[:2]} has no time index, but the rows seen so far have one, which ends at "
                f"{known[-1]}; give X with its times, as in fit."
            )
        if known is not None and panel.index is not None and not follows(known, panel.index):
            raise DataError(
                f"X begins at {panel.index[0]}, but the rows seen so far end at {known[-1]}, so that the next one is "
                f"{future_index(known, 1)[0]}. Give the rows from there on: none that it has seen, and those in between "
                "too (NaN where nothing was observed)."
            )
        whole = self.context_.followed_by(panel)
        self.context_ = whole.tail(self._context_length)
        self._context_phase += whole.n_times - self.context_.n_times
        self._move_calibration(panel)
        return self
