"""Between readings and forecasts: the seasonal profile, the calendar, and windows forecast a batch at a time.

`Windowing` is mixed into the face (`base.py`), which says what a forecaster was fitted to. Builds on `data` and
`ridge_choice`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd

from ..data.calendar import calendar_features
from ..data.panel import Panel
from ..data.splits import temporal_split
from ..data.time_index import future_index, in_zone, zone_name
from ..data.windows import Windows
from ..exceptions import DataError, ParameterError
from ..linear.ensemble_selection import choose_profile
from ..linear.seasonal_mean import Residuals, SeasonalProfile

__all__ = ["SELECTION_FRACTION", "Windowing"]

# Share of the last training rows on which profile and penalty are chosen, where the forecaster has no validation part
SELECTION_FRACTION = 0.125


class Windowing:
    """What a forecaster sees of a panel, and what its forecasts mean."""

    horizon: int
    seasonal_profile: Any = None
    profile_: SeasonalProfile | None
    time_features_: tuple[str, ...]
    time_zone_: str | None
    target_: list[int]
    context_: Panel
    _context_phase: int
    _windows_at_once: int = 256

    # ---------------------------------------------------------------- what the face provides

    @property
    def _context_length(self) -> int:
        raise NotImplementedError

    def _training_cut(self, panel: Panel) -> int:
        raise NotImplementedError

    def _forecast(self, x: np.ndarray, time: np.ndarray | None) -> np.ndarray:
        raise NotImplementedError

    # ---------------------------------------------------------------- season

    def _choose_profile(self, panel: Panel) -> SeasonalProfile | None:
        """The seasonal profile that `seasonal_profile` asks for, from the rows that may be learnt from."""
        cycle = self.seasonal_profile
        cut = self._training_cut(panel)
        if cycle == "auto":
            lengths = (cast(Any, self).input_length, self.horizon)
            if panel.n_times < sum(lengths):
                return None  # too short to learn from, which `_fit_panel` says
            if panel.parts and panel.index is None:
                return None  # nothing says at which phase each of them begins
            split = (*lengths, SELECTION_FRACTION, panel.bounds)
            within = cut if cut < panel.n_times else temporal_split(cut, *split)[2]
            starts = panel.starts(sum(lengths))
            cycle = choose_profile(panel.values, panel.index, within, *lengths, self.target_, starts)
        if cycle is None:
            return None
        if panel.parts and panel.index is None:
            raise ParameterError(
                f"seasonal_profile={cycle!r} needs to know at which phase each of the {len(panel.parts)} trajectories "
                "begins. Give them a time index, or use seasonal_profile=None."
            )
        index = None if panel.index is None else panel.index[:cut]
        return SeasonalProfile(cycle).fit(panel.values[:cut], index)

    def _with_profile_of_all(self, panel: Panel) -> Panel:
        """The panel less its profile, learnt again from all of its rows."""
        if self.profile_ is not None:
            self.profile_ = SeasonalProfile(self.profile_.cycle).fit(panel.values, panel.index)
        return self._less_profile(panel, 0)

    def _less_profile(
        self, panel: Panel, first_phase: int | None = None, clock: np.ndarray | None = None
    ) -> Panel:
        """The panel less the seasonal profile, subtracted as rows are read.

        Rows without an index do not tell their phase: `clock` has it for each row; else that of the first row is
        `first_phase`, or the one at which the profile fits best.
        """
        profile = self.profile_
        if profile is None or isinstance(panel.values, Residuals):
            return panel
        index, n_rows = panel.index, panel.n_times + self.horizon
        if index is not None:
            index = self._by_training_clock(index.append(future_index(index, self.horizon)))
        elif first_phase is None and clock is None:
            first_phase = profile.matched_phase(panel.values)
        phases = profile.phases(index, n_rows, first_phase or 0) if clock is None else clock
        return replace(panel, values=cast(Any, Residuals(panel.values, phases, profile)))

    def _windows(
        self, panel: Panel, starts: np.ndarray, with_targets: bool, clock: np.ndarray | None = None
    ) -> Windows:
        """Windows of the panel, which is known by the rows seen last or has an index, less its profile."""
        known = panel is self.__dict__.get("context_")
        panel = self._less_profile(panel, self._context_phase if known else None, clock)
        return Windows(
            panel.values, self._context_length, self.horizon, starts,
            time=self._calendar(panel), target=self.target_, with_targets=with_targets,
        )  # fmt: skip

    def _by_training_clock(self, index: pd.Index) -> pd.Index:
        """The same moments, told in the time zone of the training rows."""
        # models saved earlier do not tell it
        known = "time_zone_" in vars(self)
        return in_zone(index, self.time_zone_ if known else zone_name(self.context_.index))

    def _calendar(self, panel: Panel) -> np.ndarray | None:
        """Calendar channels of the panel's rows and of the `horizon` rows after them."""
        if not self.time_features_:
            return None
        if not isinstance(panel.index, (pd.DatetimeIndex, pd.PeriodIndex)):
            raise DataError(
                f"{type(self).__name__} was fitted with dates and uses {list(self.time_features_)}; X has none. "
                "Give a DataFrame with a DatetimeIndex, or fit with time_features=None."
            )
        index = panel.index.append(future_index(panel.index, self.horizon))
        return calendar_features(self._by_training_clock(index), self.time_features_)

    def _forecast_windows(self, windows: Windows) -> np.ndarray:
        """Forecasts of all windows, one batch at a time: (n_windows, horizon, n_nodes, n_targets)."""
        batches = []
        for first in range(0, len(windows), self._windows_at_once):
            at_once = slice(first, first + self._windows_at_once)
            batch = windows.gather(at_once)
            forecast = self._forecast(batch.x, batch.time)
            if isinstance(windows.values, Residuals):
                ahead = np.arange(self._context_length, self._context_length + self.horizon)
                forecast = forecast + windows.values.expected(
                    windows.starts[at_once, None] + ahead, self.target_
                )
            batches.append(forecast)
        return np.concatenate(batches)
