"""What every forecaster can say beyond one block of point forecasts: intervals, and steps beyond its horizon.

`Conformal` is mixed into the face (`base.py`), whose windows and forecasts it uses; the statistics are in
`stmest.intervals`. The sktime faces build on both abilities.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from numbers import Real
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..data.containers import Panel
from ..data.profile import SeasonalProfile
from ..data.splits import temporal_split
from ..data.time_index import future_index
from ..data.windows import Windows
from ..exceptions import DataError, ParameterError
from ..intervals import MOST_NUMBERS, Calibration, activity, half_widths, typical_steps

__all__ = ["Conformal"]

# Share of the rows, the last ones, that a forecaster without a validation part of its own is judged on
_CALIBRATION_FRACTION = 0.125
# Origins that are judged beyond the horizon, where forecasts are made one by one
_MOST_RECURSIVE = 48
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
        panel = self.context_ if X is None else self._to_panel(X, reset=False)
        forecast = self._forecast_ahead(panel, self.horizon)
        width = self._half_widths(panel, self.horizon, coverage)
        return panel.like(forecast - width, self.target_), panel.like(forecast + width, self.target_)

    # ---------------------------------------------------------------- what the face provides

    @property
    def _context_length(self) -> int:
        raise NotImplementedError

    def _to_panel(self, X: Any, reset: bool) -> Panel:
        raise NotImplementedError

    def _windows(self, panel: Panel, starts: np.ndarray, with_targets: bool) -> Windows:
        raise NotImplementedError

    def _forecast_windows(self, windows: Windows) -> np.ndarray:
        raise NotImplementedError

    def _continues(self) -> bool:
        raise NotImplementedError

    def _less_profile(self, panel: Panel, first_phase: int | None = None) -> Panel:
        raise NotImplementedError

    def _calibration_cut(self, panel: Panel) -> int:
        """First row to be judged on; the number of rows where the series is too short for that."""
        return temporal_split(panel.n_times, self._context_length, self.horizon, _CALIBRATION_FRACTION)[2]

    # ---------------------------------------------------------------- any number of steps

    def _tail(self, panel: Panel) -> Panel:
        """The look-back of a forecast from the end of a panel."""
        if panel.n_times < self._context_length:
            raise DataError(
                f"X has {panel.n_times} rows; {type(self).__name__} needs at least {self._context_length} rows of "
                "look-back to forecast."
            )
        return panel.tail(self._context_length)

    def _forecast_ahead(self, panel: Panel, steps: int, known: np.ndarray | None = None) -> np.ndarray:
        """Forecast any number of steps: directly up to the horizon, then with forecasts as look-back.

        Parameters
        ----------
        panel : Panel
            Readings up to the origin.
        steps : int
            How many steps.
        known : ndarray of shape (n_known, n_nodes, n_features), optional
            What is known of the rows to come, for the features that are not forecast; NaN, which carries the last value on,
            elsewhere.

        Returns
        -------
        ndarray of shape (steps, n_nodes, n_targets)
            Forecasts in the units of the data.
        """
        rows, phase = self._tail(panel), self._phase(panel)
        blocks: list[np.ndarray] = []
        for first in range(0, steps, self.horizon):
            if blocks:
                rows = self._tail(rows.followed_by(self._as_rows(rows, blocks[-1], known, first)))
            rest = self._less_profile(rows, phase + first)
            windows = self._windows(rest, np.zeros(1, dtype=np.int64), with_targets=False)
            blocks.append(self._forecast_windows(windows)[0])
        return np.concatenate(blocks)[:steps]

    def _phase(self, panel: Panel) -> int:
        """Phase of the look-back in the cycle of the profile, where no index tells it."""
        if panel is self.context_:
            return self._context_phase
        if self.profile_ is None or panel.index is not None:
            return 0
        return self.profile_.matched_phase(self._tail(panel).values)

    def _as_rows(self, rows: Panel, block: np.ndarray, known: np.ndarray | None, end: int) -> Panel:
        """The `horizon` forecasts that end `end` steps after the origin, as if they had been read."""
        values = np.full((len(block), *rows.values.shape[1:]), np.nan, dtype=rows.values.dtype)
        if known is not None:
            part = known[end - len(block) : end]
            values[: len(part)] = part
        values[..., self.target_] = block
        index = None if rows.index is None else future_index(rows.index, len(block))
        return replace(rows, values=values, index=index)

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
        first = max(cut, panel.n_times - most) - look_back
        index = None if panel.index is None else panel.index[first:]
        values = np.array(panel.values[first:], dtype=np.float32)
        self.calibration_ = Calibration(values, index, first, learnt_from=not apart, twin=twin)

    def _move_calibration(self, panel: Panel) -> None:
        """Let the last rows count; models saved before there were intervals have none."""
        if hasattr(self, "calibration_"):
            self.calibration_ = self.calibration_.moved_on(panel.values, panel.index)

    def _half_widths(self, panel: Panel, steps: int, coverage: float) -> np.ndarray:
        """Half widths of the intervals around the forecasts from the end of a panel: (steps, n_nodes, n_targets)."""
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
        judged = self._plain(self._calibration_rows(), calibration.first)
        look_back = self._plain(self._tail(panel), self._phase(panel))
        return widths * activity(look_back, typical_steps(judged), np.zeros(1, int), self._context_length)

    def _calibration_rows(self) -> Panel:
        return replace(self.context_, values=self.calibration_.values, index=self.calibration_.index)

    def _plain(self, rows: Panel, phase: int) -> np.ndarray:
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
        calibration, look_back = self.calibration_, self._context_length
        judge: Any = object.__new__(
            type(self)
        )  # a shallow copy; that of the copy module would rebuild a network
        vars(judge).update({**vars(self), **calibration.twin})
        rows = self._calibration_rows()
        if steps <= self.horizon:
            starts = calibration.origins(look_back, steps)
            rest = judge._less_profile(rows, calibration.first)
            forecasts = judge._forecast_windows(judge._windows(rest, starts, with_targets=False))[:, :steps]
        else:
            starts = calibration.origins(look_back, steps, _MOST_RECURSIVE)
            forecasts = np.stack([judge._forecast_ahead(_part(rows, s, look_back), steps) for s in starts])
        targets = starts[:, None] + np.arange(look_back, look_back + steps)
        errors = np.abs(calibration.values[targets][..., self.target_] - forecasts)
        plain = self._plain(rows, calibration.first)
        lively = activity(plain, typical_steps(plain), starts, look_back)
        return np.sort((errors / lively[:, None, None, None]).astype(np.float32), axis=0)


def _part(rows: Panel, first: int, n_rows: int) -> Panel:
    index = None if rows.index is None else rows.index[first : first + n_rows]
    return replace(rows, values=rows.values[first : first + n_rows], index=index)
