"""`Calibration`: the time steps that prediction intervals are calibrated on, and the predictor that forecasts them.

The errors are computed for the first interval. Builds on `predictor` and `conformal`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import numpy as np

from ..data.panel import Panel
from ..data.savable import savable
from ..data.splits import SELECTION_FRACTION, Split
from ..exceptions import ParameterError
from ..linear.seasonal_mean import SeasonalProfile
from .conformal import half_widths, relative_scale, typical_steps
from .predictor import BasePredictor

__all__ = ["Calibration"]

# Forecasts at most, spread evenly: the errors of neighbouring origins are nearly the same
_MOST_ORIGINS = 256
# A node whose errors are all smaller needs float64
_LEAST_IN_SINGLE = 1e-30
# Bytes at most, of the last time steps
_MOST_BYTES = 1 << 24


@savable
@dataclass(eq=False)
class Calibration:
    """Time steps on which intervals are calibrated.

    Attributes
    ----------
    predictor : BasePredictor
        The calibration predictor: the predictor before the refit, which has not learnt from these time steps.
    season : SeasonalProfile or None
        The seasonal mean after the refit; the scale of a look-back is measured less this mean.
    rows : Panel
        What the first forecast is made from, and then the time steps to forecast.
    n_before : int
        How many time steps come before the first one to forecast.
    bounds : ndarray of int or None
        First time step of every trajectory and the number of time steps, where there are several trajectories, which no
        forecast crosses.
    learnt_from : bool
        Whether the predictor has learnt from these time steps, so that its errors are too small.
    """

    predictor: BasePredictor
    season: SeasonalProfile | None
    rows: Panel
    n_before: int
    bounds: np.ndarray | None
    learnt_from: bool
    # by number of steps; not part of the state, as it can be computed again
    _errors: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, predictor: BasePredictor, season: SeasonalProfile | None, panel: Panel, split: Split
    ) -> Calibration:
        """The validation part of the training data (the last of it, where it is long) with its look-back.

        Parameters
        ----------
        predictor : BasePredictor
            The predictor before the refit.
        season : SeasonalProfile or None
            The seasonal mean after the refit.
        panel : Panel
            Training data.
        split : Split
            Of the training data. Without a validation part the last eighth is used.

        Returns
        -------
        Calibration
            With a copy of the time steps.
        """
        look_back, horizon, n_times = predictor.look_back, predictor.horizon, panel.n_times
        cut = split.cut
        if not split.validates:
            n_last = max(horizon, round(SELECTION_FRACTION * n_times))
            cut = max(look_back, n_times - n_last)
        most = max(horizon, _MOST_BYTES // panel.values[0].nbytes)
        cut = max(cut, min(look_back, n_times), n_times - most)
        first = max(0, cut - predictor.context_length)
        rows = panel.rows(first, n_times)
        rows = replace(rows, values=np.array(rows.values))
        bounds = panel.bounds - first if panel.parts else None
        return cls(predictor, season, rows, cut - first, bounds, not split.validates)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_errors"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _errors={})
        vars(self).setdefault("n_before", self.predictor.look_back)  # older files

    def with_predictor(self, predictor: BasePredictor) -> Calibration:
        """The same time steps, forecast by another predictor.

        Parameters
        ----------
        predictor : BasePredictor
            A predictor that has not learnt from them either.

        Returns
        -------
        Calibration
            Of the same time steps.
        """
        return replace(self, predictor=predictor, _errors={})

    def moved_on(self, panel: Panel) -> Calibration:
        """Replace the oldest time steps by new ones.

        Parameters
        ----------
        panel : Panel
            The time steps that follow.

        Returns
        -------
        Calibration
            Of as many time steps as before.
        """
        n_rows = self.rows.n_times
        rows = self.rows.followed_by(panel).tail(n_rows)
        bounds = None if self.bounds is None else np.append(self.bounds[:-1] - panel.n_times, n_rows)
        return replace(self, rows=rows, bounds=bounds, _errors={})

    def half_widths(self, recent: Panel, steps: int, coverage: float) -> np.ndarray:
        """Half widths of the intervals around the forecasts from some look-backs.

        Parameters
        ----------
        recent : Panel
            A look-back, or one of every trajectory.
        steps : int
            Steps that are forecast. Beyond those that the calibration can cover, the widths grow as those of a random walk.
        coverage : float
            Share of the future values that the interval must contain, between 0 and 1.

        Returns
        -------
        ndarray of shape (n_trajectories, steps, n_nodes, n_targets)
            In the units of the data.

        Raises
        ------
        ParameterError
            If `coverage` is not between 0 and 1.
        DataError
            If no target was observed.
        """
        if not isinstance(coverage, Real) or not 0 < coverage < 1:
            raise ParameterError(f"coverage={coverage!r}; needed: a number between 0 and 1, such as 0.9.")
        widths = half_widths(self._sorted_errors(steps), float(coverage))[:steps]
        if self.learnt_from:
            warnings.warn(
                "there is no validation part, so the intervals are calibrated on rows that were learnt from and are too "
                "narrow. Give fit more rows, a validation_fraction above 0 and a patience.",
                UserWarning,
                stacklevel=3,
            )
        if len(widths) < steps:
            further = np.sqrt(np.arange(len(widths) + 1, steps + 1) / len(widths))
            widths = np.concatenate([widths, widths[-1:] * further[:, None, None]])
        typical = typical_steps(self._residuals(self._scored()))
        look_back, start = self.predictor.look_back, np.zeros(1, int)
        last = [part.tail(look_back) for part in recent.parts or (recent,)]
        scales = [relative_scale(self._residuals(part), typical, start, look_back) for part in last]
        return np.stack([widths * scale for scale in scales])

    def origins(self, steps: int) -> np.ndarray:
        """First time steps of the windows whose errors are used.

        Parameters
        ----------
        steps : int
            Steps that are forecast from each.

        Returns
        -------
        ndarray of int
            Evenly spread; empty where no window fits.
        """
        length = self.predictor.look_back + steps
        starts = self.n_before - self.predictor.look_back + self._scored().starts(length)
        if self.bounds is not None:
            ends = starts + length - 1
            starts = starts[
                np.searchsorted(self.bounds, starts, "right") == np.searchsorted(self.bounds, ends, "right")
            ]
        n_taken = min(len(starts), _MOST_ORIGINS)
        return starts[np.unique(np.linspace(0, len(starts) - 1, n_taken).round().astype(np.int64))]

    def _scored(self) -> Panel:
        """The time steps to forecast, with the look-back of the first forecast."""
        return self.rows.rows(self.n_before - self.predictor.look_back, self.rows.n_times)

    def _residuals(self, panel: Panel) -> np.ndarray:
        return replace(self.predictor, season=self.season).residuals(panel)

    def _sorted_errors(self, steps: int) -> np.ndarray:
        """Errors up to a step, or up to the last step that the time steps allow; computed once."""
        horizon, n_rows = self.predictor.horizon, self.rows.n_times - self.n_before
        steps = horizon if steps <= horizon else min(steps, max(horizon, n_rows // 2))
        steps = min(steps, n_rows)
        if steps not in self._errors:
            self._errors[steps] = self._compute_errors(steps)
        return self._errors[steps]

    def _compute_errors(self, steps: int) -> np.ndarray:
        """Absolute errors in units of the scale, sorted along the first axis: (n_windows, steps, n_nodes, n_targets)."""
        predictor, rows = self.predictor, self.rows
        starts = self.origins(steps)
        if not len(starts) or not steps:
            return np.empty((0, steps, predictor.spec.n_nodes, len(predictor.target)), dtype=np.float32)
        forecasts = predictor.forecast(rows, starts, steps)
        targets = starts[:, None] + np.arange(predictor.look_back, predictor.look_back + steps)
        errors = np.abs(rows.values[targets][..., predictor.target] - forecasts)
        residuals = self._residuals(self._scored())
        first = starts - (self.n_before - predictor.look_back)
        scale = relative_scale(residuals, typical_steps(residuals), first, predictor.look_back)
        errors /= scale[:, None, None, None]
        largest = np.fmax.reduce(errors, axis=(0, 1))
        single = not ((largest > 0) & (largest < _LEAST_IN_SINGLE)).any()
        return np.sort(errors.astype(np.float32) if single else errors, axis=0)
