"""`ForecastMixin`: what a fitted forecaster does, which is forecast, score and take in new time steps.

`BaseForecaster` has it, and makes in `fit` what is used here: a `Predictor`, the time steps seen last, and a calibration.
Builds on `data`, `metrics` and `prediction`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from ..data.input_spec import InputSpec
from ..data.panel import Panel
from ..data.splits import window_starts
from ..exceptions import DataError
from ..metrics.point import weighted_r2
from ..prediction.calibration import Calibration
from ..prediction.predictor import BasePredictor
from .arguments import refuse_number, refuse_target, warn_of_earlier_rows
from .surroundings import in_common_checks
from .window_frame import window_frame

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ForecastMixin"]


class ForecastMixin:
    """Forecasts of a fitted forecaster; see `BaseForecaster`."""

    predictor_: BasePredictor
    context_: Panel
    calibration_: Calibration
    input_: InputSpec
    target_: list[int]
    context_length_: int
    grid_shape_: tuple[int, int] | None
    _read: Callable[[Any], Panel]
    _training_times: pd.Index | None = None

    def predict(self, X: Any = None, steps: int | None = None) -> Any:
        """Forecast the steps after the last time step of X.

        Parameters
        ----------
        X : array-like, DataFrame, DataArray or Tensor, optional
            Recent values; the last time steps are the look-back. A forecaster that looks up earlier days and weeks uses
            `context_length_` time steps; where X has fewer, those that `fit` and `update` saw complete them by their dates.
            Default: those that `fit` (and `update`) saw last.
        steps : int, optional
            Steps to forecast; default `horizon`. Steps beyond the horizon are forecast from earlier forecasts.

        Returns
        -------
        ndarray, DataFrame, DataArray or Tensor
            Forecasts of shape (steps, n_nodes) or (steps, n_nodes, n_targets), for fields with the axes y and x in the
            place of the nodes, for many trajectories one for each; in the container kind of X, with the future index
            and the node names or coordinates where the data have them.

        Raises
        ------
        DataError
            If X has too few time steps, or other nodes, features or another grid than the training data.
        ParameterError
            If `steps` lies beyond the horizon and not all input features are forecast.
        """
        refuse_number(X, "predict", "steps")
        recent = self._recent(X)
        origins = recent.bounds[1:] - self.predictor_.look_back
        forecasts = self.predictor_.forecast(recent, origins, self.predictor_.steps(steps))
        return recent.like(forecasts if recent.parts else forecasts[0], self.target_)

    def predict_interval(self, X: Any = None, coverage: float = 0.9) -> tuple[Any, Any]:
        """Forecast a range for each of the `horizon` steps after the last time step of X.

        Parameters
        ----------
        X : array-like, DataFrame, DataArray or Tensor, optional
            Recent values, as for `predict`. Default: those that `fit` (and `update`) saw last.
        coverage : float, default=0.9
            Share of the future values that the range must contain, between 0 and 1.

        Returns
        -------
        lower, upper : ndarray, DataFrame, DataArray or Tensor
            Ends of the range, each in the form of what `predict` returns, which lies in the middle.

        Raises
        ------
        DataError
            If X has too few time steps, other nodes or features than the training data, or nothing to calibrate on was
            observed.
        ParameterError
            If `coverage` is not between 0 and 1.

        Notes
        -----
        Split conformal intervals: errors on the validation part, per node and horizon step, in units of the scale of the
        look-back (less the seasonal mean). The calibration uses the predictor before the refit, which has not learnt from the
        validation part. `update` replaces the oldest time steps of the calibration by the new ones. The intervals contain the
        wanted share as long as the future resembles these time steps. Without a validation part, errors on training data are
        used; they are too small, and a warning says so.
        """
        refuse_number(X, "predict_interval", "coverage")
        recent = self._recent(X)
        forecasts = self.predictor_.forecast(recent, recent.bounds[1:] - self.predictor_.look_back)
        widths = self.calibration_.half_widths(recent, self.predictor_.horizon, coverage)
        ends = (forecasts - widths, forecasts + widths)
        lower, upper = (recent.like(end if recent.parts else end[0], self.target_) for end in ends)
        return lower, upper

    def predict_windows(
        self, X: Any, stride: int = 1, steps: int | None = None, as_frame: bool = False
    ) -> Any:
        """Forecast from every origin in X, in batches.

        Parameters
        ----------
        X : array-like, DataFrame, DataArray or Tensor
            Values. If its time index continues the one of the training data, the time steps that `fit` saw last serve as
            look-back, so that also the first ones of X are forecast.
        stride : int, default=1
            Time steps between two origins.
        steps : int, optional
            Steps to forecast from each origin, as in `predict`; default `horizon`. No forecast sees an observation
            after its origin.
        as_frame : bool, default=False
            Whether to return a DataFrame with times and names instead of two arrays.

        Returns
        -------
        y_true, y_pred : ndarray of shape (n_windows, steps, n_nodes) or (n_windows, steps, n_nodes, n_targets)
            Observed values (NaN where missing) and forecasts; the windows of many trajectories one after the other. For
            fields with the axes y and x in the place of the nodes.
        frame : DataFrame
            With ``as_frame=True``, from X of any container: columns ``truth`` and ``forecast``, and the row index ``origin``
            (time of the last value that a forecast uses), ``step`` (from 1), ``time`` (of the value) and ``node``, or ``y`` and
            ``x``. With many trajectories ``trajectory`` comes first, and where X has an axis of features, ``feature`` last.
            Without times, times are row numbers of X, or of its trajectory; without names, nodes are numbers.

        Raises
        ------
        DataError
            If X is too short for one window.
        ParameterError
            If `stride` is no integer of at least 1, or `steps` lies beyond the horizon and not all input features are
            forecast.

        Warns
        -----
        UserWarning
            If time steps are forecast that lie before the end of the training data without being among them.
        """
        check_is_fitted(self)
        predictor = self.predictor_
        steps = predictor.steps(steps)
        given, first = self._read(X), 0
        panel = given
        length = predictor.look_back + steps
        known = self._seen_last()
        if (earlier := known.leading_to(panel)) is not None:
            first = earlier.n_times - (predictor.look_back if known.precedes(panel) else 0)
            panel = earlier.followed_by(panel)
        starts = (
            panel.starts(length, stride)
            if panel.parts
            else first + window_starts(panel.n_times - first, length, stride)
        )
        if not len(starts):
            raise DataError(
                f"X has n_samples = {panel.n_times} rows; look-back + horizon = {length} rows are needed to score one "
                "forecast. Use longer test folds (TimeSeriesSplit(test_size=...)), stmest.ForecastSplit, or a DataFrame "
                "whose index continues the training index."
            )
        first_target = int(starts[0]) + predictor.look_back - (panel.n_times - given.n_times)
        warn_of_earlier_rows(given, first_target, self._training_times)
        y_pred = predictor.forecast(panel, starts, steps)
        y_true = panel.values[starts[:, None] + np.arange(predictor.look_back, length)][..., self.target_]
        if as_frame:
            return window_frame(panel, starts + predictor.look_back - 1, y_true, y_pred, self.target_)
        return panel.shaped(y_true), panel.shaped(y_pred)

    def score(self, X: Any, y: Any = None) -> float:
        """Coefficient of determination of all rolling forecasts in X.

        Parameters
        ----------
        X : array-like, DataFrame, DataArray or Tensor
            Values, as for `predict_windows`.
        y : None
            Present for scikit-learn; forecasts are compared with the later rows of X.

        Returns
        -------
        float
            R^2, averaged over nodes with their variance as weight; 1.0 is perfect. Missing values do not count. Where
            no node varies, 1.0 for exact forecasts and 0.0 for all others.

        Raises
        ------
        DataError
            If X is too short for one window, or has no observed target; or if there is a y.
        """
        if not in_common_checks():
            refuse_target(y)
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

    def plot(
        self, X: Any = None, *, nodes: Any = None, coverage: float | None = 0.9, title: str | None = None
    ) -> Any:
        """Draw forecasts beside the observed values, with their prediction intervals; of fields the fields.

        Parameters
        ----------
        X : array-like, DataFrame, DataArray or Tensor, optional
            Values, of which the last `horizon` time steps are forecast from those before them. Default: what follows the
            time steps that `fit` (and `update`) saw last, without observed values beside it; of fields, X is needed.
        nodes : sequence, optional
            Names or positions of the nodes; default the first three. Not used for fields.
        coverage : float or None, default=0.9
            Share of the values that the intervals must contain, between 0 and 1; None for no intervals. Not used for fields.
        title : str, optional
            Title of the figure.

        Returns
        -------
        ForecastDisplay or FieldDisplay
            The picture, which a notebook shows; ``.figure_.savefig(path)`` writes it.

        Raises
        ------
        DataError
            If X is too short, or a node is not known.
        MissingDependencyError
            If matplotlib is not installed.
        """
        from ..plotting import FieldDisplay, ForecastDisplay

        check_is_fitted(self)
        if self.grid_shape_ is not None:
            return FieldDisplay.from_estimator(self, X, title=title)
        return ForecastDisplay.from_estimator(self, X, nodes=nodes, coverage=coverage, title=title)

    def update(self, X: Any) -> Self:
        """Append newly observed time steps, without training.

        Parameters
        ----------
        X : array-like, DataFrame, DataArray or Tensor
            The time steps that came after those seen so far.

        Returns
        -------
        BaseForecaster
            This forecaster.

        Raises
        ------
        DataError
            If the time index of X does not begin one step after the time steps seen so far.
        """
        check_is_fitted(self)
        panel, known = self._read(X), self._seen_last()
        if panel.parts:
            raise DataError(f"update takes the rows that came next, not {len(panel.parts)} trajectories.")
        if known.index is not None and panel.index is None:
            raise DataError(
                f"X of shape {panel.values.shape[:2]} has no time index, but the rows seen so far have one, which ends at "
                f"{known.index[-1]}; give X with its times, as in fit."
            )
        if known.index is not None and panel.index is not None and not known.precedes(panel):
            following: Any = known.future(1)
            raise DataError(
                f"X begins at {panel.index[0]}, but the rows seen so far end at {known.index[-1]}, so that the next one is "
                f"{following[0]}. Give the rows from there on: none that it has seen, and those in between "
                "too (NaN where nothing was observed)."
            )
        self.context_ = known.followed_by(panel).tail(self.context_length_)
        self.calibration_ = self.calibration_.moved_on(panel)
        return self

    def _recent(self, X: Any) -> Panel:
        """What a forecast after X, or after the time steps seen last, is made from."""
        check_is_fitted(self)
        if X is None:
            return self._seen_last()
        recent = self.predictor_.last_rows(self._read(X))
        earlier = self._seen_last().leading_to(recent)
        if earlier is None or recent.n_times >= self.context_length_:
            return recent
        return earlier.followed_by(recent).tail(self.context_length_)

    def _seen_last(self) -> Panel:
        """The time steps seen last, with the frequency of the training data, which older model files do not keep there."""
        context = self.context_
        return context if context.freq is not None else replace(context, freq=self.input_.freq)
