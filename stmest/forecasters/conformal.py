"""What every forecaster can say beyond one block of point forecasts: intervals, and steps beyond its horizon.

`Conformal` is mixed into the face (`base.py`), whose windows and forecasts it uses; the statistics are in
`stmest.prediction.conformal`. The sktime faces build on both abilities.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from numbers import Real
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..data.panel import Panel
from ..data.splits import temporal_split
from ..exceptions import DataError, ParameterError
from ..linear.seasonal_mean import SeasonalProfile
from ..prediction.conformal import MOST_NUMBERS, Calibration, activity, half_widths, typical_steps
from ..prediction.rollout import last_rows, roll_out

__all__ = ["Conformal"]

# Share of the rows, the last ones, that a forecaster without a validation part of its own is judged on
_CALIBRATION_FRACTION = 0.125
# Errors on the calibration rows by number of steps, kept as long as the rows are; no part of the forecaster's state
_ERRORS: WeakKeyDictionary[Calibration, dict[int, np.ndarray]] = WeakKeyDictionary()


class Conformal:
    """Prediction intervals, and forecasts of any length.

    Attributes
    ----------
    calibration_ : Calibration
        The validation rows, on which intervals are calibrated when one is first asked for.
    """

    calibration_: Calibration
    context_: Panel
    horizon: int
    profile_: SeasonalProfile | None
    target_: list[int]
    _context_phase: int

    def predict_interval(self, X: Any = None, coverage: float = 0.9) -> tuple[Any, Any]:
        """Forecast a range for each of the `horizon` steps after the last row of X.

        Parameters
        ----------
        X : array-like, DataFrame, DataArray or Tensor, optional
            Recent readings, as for `predict`. Default: the rows that `fit` (and `update`) saw last.
        coverage : float, default=0.9
            Share of the future readings that the range is to hold, between 0 and 1.

        Returns
        -------
        lower, upper : ndarray, DataFrame, DataArray or Tensor
            Ends of the range, each in the form of what `predict` returns, which lies in the middle.

        Raises
        ------
        DataError
            If X has too few rows, other nodes or features than the training data, or nothing to calibrate on was observed.
        ParameterError
            If `coverage` is not between 0 and 1.

        Notes
        -----
        Split conformal intervals: errors on the validation part, per node and horizon step, in units of how lively the
        look-back (less the profile) was. What is learnt again from all rows in the end, profile and linear part, is judged as
        it was without the validation part. `update` moves the rows that count on. The intervals hold the promised share as
        long as the future resembles these rows. Without a validation part the errors are those on training rows, which are
        too small, and a warning says so.
        """
        check_is_fitted(self)
        recent = last_rows(self, self.context_ if X is None else self._to_panel(X, reset=False))
        forecasts = roll_out(self, recent, recent.bounds[:-1], self.horizon)
        widths = self._half_widths(recent, self.horizon, coverage)
        ends = (forecasts - widths, forecasts + widths)
        lower, upper = (recent.like(end if recent.parts else end[0], self.target_) for end in ends)
        return lower, upper

    # ---------------------------------------------------------------- what the face provides

    @property
    def _context_length(self) -> int:
        raise NotImplementedError

    def _to_panel(self, X: Any, reset: bool) -> Panel:
        raise NotImplementedError

    def _continues(self) -> bool:
        raise NotImplementedError

    def _less_profile(
        self, panel: Panel, first_phase: int | None = None, clock: np.ndarray | None = None
    ) -> Panel:
        raise NotImplementedError

    def _calibration_cut(self, panel: Panel) -> int:
        """First row to be judged on; the number of rows where the series is too short for that."""
        sizes = (panel.n_times, self._context_length, self.horizon)
        return temporal_split(*sizes, _CALIBRATION_FRACTION, panel.bounds)[2]

    # ---------------------------------------------------------------- calibration

    def _keep_calibration(self, panel: Panel, twin: dict[str, Any]) -> None:
        """Keep the rows of the validation part (the last of them, where they are many) with their look-back.

        `twin` is what the forecaster had learnt before it learnt from these rows too.
        """
        look_back, cut = self._context_length, self._calibration_cut(panel)
        apart = cut < panel.n_times
        known = getattr(self, "calibration_", None) if self._continues() else None
        if (
            known is not None
            and not known.learnt_from
            and (panel.n_times - cut < len(known.values) - look_back)
        ):
            self.calibration_ = replace(known)  # more rows, which the new weights have not learnt from either
            return
        if known is not None:
            twin = known.twin  # training on leaves profile and linear part as they are
        if not apart:  # judged on what it has learnt from, for want of other rows
            n_last = max(self.horizon, round(_CALIBRATION_FRACTION * panel.n_times))
            cut = max(look_back, panel.n_times - n_last)
        most = max(self.horizon, MOST_NUMBERS // panel.values[0].size)
        first = max(0, max(cut, panel.n_times - most) - look_back)
        index = None if panel.index is None else panel.index[first:]
        values = np.array(panel.values[first:], dtype=np.float32)
        bounds = panel.bounds - first if panel.parts else None
        self.calibration_ = Calibration(values, index, first, bounds, learnt_from=not apart, twin=twin)

    def _move_calibration(self, panel: Panel) -> None:
        """Let the last rows count; models saved before there were intervals have none."""
        if hasattr(self, "calibration_"):
            self.calibration_ = self.calibration_.moved_on(panel.values, panel.index)

    def _half_widths(self, recent: Panel, steps: int, coverage: float) -> np.ndarray:
        """Half widths of the intervals around the forecasts from some look-backs: (n_parts, steps, n_nodes, n_targets)."""
        if not isinstance(coverage, Real) or not 0 < coverage < 1:
            raise ParameterError(f"coverage={coverage!r}; needed: a number between 0 and 1, such as 0.9.")
        if not hasattr(self, "calibration_"):
            raise DataError(
                "this model was saved by a version of stmest without intervals; fit it again to have them."
            )
        calibration = self.calibration_
        widths = half_widths(self._judged(steps), float(coverage))[:steps]
        if calibration.learnt_from:
            warnings.warn(
                "there is no validation part, so the intervals are calibrated on rows that were learnt from and are too "
                "narrow. Give fit more rows, a validation_fraction above 0 and a patience.",
                UserWarning,
                stacklevel=3,
            )
        if len(widths) < steps:  # too few rows to judge these steps: errors grow as those of a random walk
            further = np.sqrt(np.arange(len(widths) + 1, steps + 1) / len(widths))
            widths = np.concatenate([widths, widths[-1:] * further[:, None, None]])
        typical = typical_steps(self._plain(self._calibration_rows(), calibration.first))
        lively = [
            activity(self._plain(part, self._phase(part)), typical, np.zeros(1, int), self._context_length)
            for part in recent.parts or (recent,)
        ]
        return np.stack([widths * one for one in lively])

    def _phase(self, rows: Panel) -> int | None:
        """Phase of the rows seen last, where no index tells it."""
        return self._context_phase if rows is self.context_ else None

    def _calibration_rows(self) -> Panel:
        rows = self.calibration_
        return replace(self.context_, values=rows.values, index=rows.index, parts=())

    def _plain(self, rows: Panel, phase: int | None) -> np.ndarray:
        """Values less the profile: what the forecaster sees."""
        return np.asarray(self._less_profile(rows, phase).values)

    def _judged(self, steps: int) -> np.ndarray:
        """Errors up to a step, or up to the last step that the calibration rows can tell of; computed once."""
        calibration = self.calibration_
        n_rows = len(calibration.values) - self._context_length
        steps = self.horizon if steps <= self.horizon else min(steps, max(self.horizon, n_rows // 2))
        steps = min(steps, n_rows)
        errors = _ERRORS.setdefault(calibration, {})
        if steps not in errors:
            errors[steps] = self._errors(steps)
        return errors[steps]

    def _errors(self, steps: int) -> np.ndarray:
        """Absolute errors in units of the activity, sorted along the first axis: (n_windows, steps, n_nodes, n_targets)."""
        calibration, look_back, rows = self.calibration_, self._context_length, self._calibration_rows()
        judge: Any = object.__new__(
            type(self)
        )  # a shallow copy; that of the copy module would rebuild a network
        known = {"context_": rows, "_context_phase": calibration.first}
        vars(judge).update({**vars(self), **calibration.twin, **known})
        starts = calibration.origins(look_back, steps)
        if not len(starts) or not steps:
            return np.empty((0, steps, self.context_.values.shape[1], len(self.target_)), dtype=np.float32)
        forecasts = roll_out(judge, rows, starts, steps)
        targets = starts[:, None] + np.arange(look_back, look_back + steps)
        errors = np.abs(calibration.values[targets][..., self.target_] - forecasts)
        plain = self._plain(rows, calibration.first)
        lively = activity(plain, typical_steps(plain), starts, look_back)
        return np.sort((errors / lively[:, None, None, None]).astype(np.float32), axis=0)
