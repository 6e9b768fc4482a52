"""`Predictor`: computes the forecasts of a fitted forecaster; the one way from values to forecasts.

A `Rule` maps look-backs less their seasonal mean to horizons. A `Predictor` cuts the windows, adds the seasonal mean again, and
beyond the horizon continues from its own forecasts. `BasePredictor` is what it has in common with the mean of several. Builds on
`data` and `linear`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ..data.calendar import calendar_features
from ..data.history import History, beside_season, history_length, known_kinds, older_steps
from ..data.input_spec import InputSpec
from ..data.node_record import NodeRecord
from ..data.panel import Panel
from ..data.savable import savable
from ..data.splits import Split
from ..data.time_index import in_zone
from ..data.windows import Older
from ..exceptions import DataError, ParameterError
from ..graphs import Graph
from ..linear.seasonal_mean import Residuals, SeasonalProfile, less_season
from ..linear.window_ridge import WindowRidge, fit_ensemble
from .rules import Rule, Shapes

__all__ = ["BasePredictor", "Predictor"]


@dataclass(frozen=True)
class _Timeline:
    """What belongs to the time steps of a panel, and to some after each of its trajectories."""

    season: np.ndarray | None  # seasonal index
    calendar: np.ndarray | None  # channels
    history: History | None
    residuals: Any  # of the panel, less their seasonal mean, for `history`


@dataclass(frozen=True)
class BasePredictor(ABC):
    """From values to forecasts; immutable, so that several threads may forecast with it.

    Attributes
    ----------
    spec : InputSpec
        Nodes, features, grid, time zone and frequency of the training data.
    look_back, horizon : int
        Time steps of the look-back and of one forecast.
    target : list of int
        Positions of the forecast features.
    time_features : tuple of str
        Calendar channels in use.
    season : SeasonalProfile or None
        Seasonal mean, which `residuals` takes away.
    """

    spec: InputSpec
    look_back: int
    horizon: int
    target: list[int]
    time_features: tuple[str, ...]
    season: SeasonalProfile | None

    @property
    def context_length(self) -> int:
        """Time steps before an origin that a forecast uses where they exist; at least `look_back` must."""
        return self.look_back

    @abstractmethod
    def forecast(
        self, panel: Panel, starts: np.ndarray, steps: int | None = None, known: np.ndarray | None = None
    ) -> np.ndarray:
        """Forecast from many origins; each forecast uses its look-back and earlier values, and nothing after it.

        Parameters
        ----------
        panel : Panel
            As `InputSpec.read` returns it.
        starts : ndarray of int
            First time step of the look-back of each origin.
        steps : int, optional
            Steps to forecast; default `horizon`. Beyond it, forecasts are made from forecasts.
        known : ndarray of shape (n_known, n_nodes, n_features), optional
            Known values after a single origin, of features that are not forecast; NaN elsewhere.

        Returns
        -------
        ndarray of shape (n_origins, steps, n_nodes, n_targets)
            In the units of the data.
        """

    @abstractmethod
    def residuals(self, panel: Panel) -> np.ndarray:
        """The values of a panel less their seasonal mean: (n_times, n_nodes, n_features)."""

    @abstractmethod
    def shapes(self) -> Shapes:
        """The arrays of the predictor, and the shapes that they must have."""

    def flaw(self, index: pd.Index | None) -> str | None:
        """What a predictor from a file cannot have, beside arrays of wrong shapes.

        Parameters
        ----------
        index : pandas.Index or None
            Times of the last time steps that it has seen.

        Returns
        -------
        str or None
            In words; None where nothing is wrong.
        """
        for name in ("look_back", "horizon"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                return f"its {name} is {value!r}; needed: an integer of at least 1"
        return None

    def steps(self, wanted: Any) -> int:
        """How many steps to forecast.

        Parameters
        ----------
        wanted : int or None
            As specified by the user; None is the horizon.

        Returns
        -------
        int
            At least 1.

        Raises
        ------
        ParameterError
            If it is not an integer of at least 1, or lies beyond the horizon although not all inputs are forecast.
        """
        if wanted is None:
            return self.horizon
        if not isinstance(wanted, (int, np.integer)) or isinstance(wanted, bool) or wanted < 1:
            raise ParameterError(
                f"steps={wanted!r}; needed: an integer of at least 1, or None for the horizon."
            )
        n_inputs, n_targets = self.spec.n_features, len(set(self.target))
        if wanted > self.horizon and n_targets < n_inputs:
            raise ParameterError(
                f"steps={wanted} lies beyond horizon={self.horizon}, where forecasts are made from forecasts, but only "
                f"{n_targets} of the {n_inputs} input features are forecast. Use target=None, a longer horizon, or "
                f"steps of at most {self.horizon}."
            )
        return int(wanted)

    def last_rows(self, panel: Panel) -> Panel:
        """What a forecast after the last time step (of every trajectory) is made from.

        Parameters
        ----------
        panel : Panel
            As `InputSpec.read` returns it.

        Returns
        -------
        Panel
            `context_length` time steps of every trajectory, as far as there are so many.

        Raises
        ------
        DataError
            If there are fewer than `look_back`.
        """
        for number, part in enumerate(panel.parts or (panel,)):
            if part.n_times < self.look_back:
                which = f"trajectory {number} of X" if panel.parts else "X"
                raise DataError(
                    f"{which} has {part.n_times} rows; at least {self.look_back} rows of look-back are needed to forecast."
                )
        return panel.tails(self.context_length)


@savable
@dataclass(frozen=True)
class Predictor(BasePredictor):
    """Season, calendar and rule of a fitted forecaster.

    Attributes
    ----------
    season : SeasonalProfile or None
        Seasonal mean, which is subtracted from the inputs of the rule and added to its forecasts.
    rule : Rule
        Maps look-back to horizon.
    batch_size : int
        Windows per batch.
    history : tuple of str or int, default=()
        What the rule sees of earlier days and weeks; see `stmest.data.history`.
    reach : int, default=0
        Time steps before an origin that `history` needs.
    record : NodeRecord or None, default=None
        Nodes that never changed in training, or were never observed; None where there are none.
    n_older : int, default=0
        Time steps before the look-back that the network sees in patches.
    """

    rule: Rule
    batch_size: int
    history: tuple[str | int, ...] = ()
    reach: int = 0
    record: NodeRecord | None = None
    n_older: int = 0

    @property
    def context_length(self) -> int:
        """Time steps before an origin that a forecast uses where they exist."""
        return max(self.n_older + self.look_back, self.reach)

    # ---------------------------------------------------------------- forecasts

    def forecast(
        self, panel: Panel, starts: np.ndarray, steps: int | None = None, known: np.ndarray | None = None
    ) -> np.ndarray:
        """Forecast from many origins; see `BasePredictor`."""
        steps = self.horizon if steps is None else steps
        ahead = -(-steps // self.horizon) * self.horizon
        timeline = self._timeline(panel, ahead)
        places = self._places(panel, starts, ahead)
        batches = []
        for first in range(0, len(starts), self.batch_size):
            some = slice(first, first + self.batch_size)
            older, there = older_steps(starts[some], self.n_older, panel.bounds)
            n_seen = self.n_older + self.look_back
            rows = np.full((len(older), n_seen + ahead, *panel.values.shape[1:]), np.nan, panel.values.dtype)
            rows[:, : self.n_older][there] = panel.values[older[there]]
            rows[:, self.n_older : n_seen] = panel.values[starts[some, None] + np.arange(self.look_back)]
            if known is not None:
                future = rows[:, n_seen:]
                future[:, : len(known)] = known[:ahead]
            batches.append(self._roll_out(rows, there, starts[some], places[some], timeline)[:, :steps])
        return np.concatenate(batches)

    def look_backs(self, panel: Panel, stride: int) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Inputs of the rule for all windows of a panel, a batch at a time, for displays of a network.

        Parameters
        ----------
        panel : Panel
            As `InputSpec.read` returns it.
        stride : int
            Time steps between two windows.

        Yields
        ------
        x : ndarray of shape (b, t, n, f)
            Look-backs less the seasonal mean.
        time : ndarray of shape (b, t + h, c) or None
            Calendar channels.

        Raises
        ------
        DataError
            If the panel is shorter than one look-back.
        """
        starts = panel.starts(self.look_back, stride)
        if not len(starts):
            raise DataError(
                f"X has {panel.n_times} rows; at least input_length = {self.look_back} are needed."
            )
        timeline, places = self._timeline(panel, self.horizon), self._places(panel, starts, self.horizon)
        for first in range(0, len(starts), self.batch_size):
            some = slice(first, first + self.batch_size)
            rows = panel.values[starts[some, None] + np.arange(self.look_back)]
            x, time, _ = self._window(rows, places[some], timeline)
            shift = None if self.record is None else self.record.shift(x)
            yield x if shift is None else x - shift[:, None], time

    def residuals(self, panel: Panel) -> np.ndarray:
        """The values of a panel less their seasonal mean; see `BasePredictor`."""
        if self.season is None:
            return panel.values
        season = self._timeline(panel, 0).season
        return np.asarray(Residuals(panel.values, season, self.season))  # type: ignore[arg-type]

    # ---------------------------------------------------------------- changed copies

    def refitted(self, panel: Panel, graph: Graph | None, split: Split) -> Predictor:
        """A predictor whose seasonal mean and linear forecast are fitted again, on all time steps.

        Parameters
        ----------
        panel : Panel
            Training data.
        graph : Graph or None
            Their graph.
        split : Split
            Their windows, all of which are learnt from.

        Returns
        -------
        Predictor
            This predictor where there is no linear forecast.
        """
        linear = self.rule.linear
        if linear is None:
            return self
        season = self.season and SeasonalProfile(self.season.cycle).fit(panel.values, panel.index)
        sizes = (self.look_back, self.horizon)
        values = less_season(panel, season)
        again = fit_ensemble(linear.spec, values, self.target, *sizes, graph, split.starts)
        record = NodeRecord.of(values)
        return replace(self, season=season, record=record).with_linear(replace(again, past=linear.past))

    def with_linear(self, linear: WindowRidge | None) -> Predictor:
        """A copy with another linear forecast."""
        return replace(self, rule=self.rule.with_linear(linear))

    def with_networks(self, *changed: Any) -> Predictor:
        """A copy with other networks (device, residual weights), or without any, for pickles and model files."""
        rule: Any = self.rule
        return replace(self, rule=rule.with_networks(*changed))

    def shapes(self) -> Shapes:
        """The arrays of season and rule; see `BasePredictor`."""
        n_nodes, n_features = self.spec.n_nodes, self.spec.n_features
        shapes = self.rule.shapes(n_nodes, n_features, len(self.target), self.look_back, self.horizon)
        if self.season is not None:
            shapes["profile_.table"] = (self.season.table, (self.season.n_steps, n_nodes, n_features))
        for name, array in {} if self.record is None else vars(self.record).items():
            shapes[f"record.{name}"] = (array, (n_nodes, n_features))
        return shapes

    def flaw(self, index: pd.Index | None) -> str | None:
        """Sizes, and what it looks up in the past; see `BasePredictor`."""
        if type(self.batch_size) is not int or self.batch_size < 1:
            return f"its batch_size is {self.batch_size!r}; needed: an integer of at least 1"
        if type(self.n_older) is not int or self.n_older < 0:
            return f"its n_older is {self.n_older!r}; needed: an integer of at least 0"
        return (
            super().flaw(index)
            or self._flaw_of_history(index)
            or self.rule.flaw(self.target, len(self.history))
        )

    def _flaw_of_history(self, index: pd.Index | None) -> str | None:
        known = known_kinds(index)
        period = None if self.season is None else self.season.cycle
        if any(kind not in (*known, period) or kind == 0 for kind in self.history):
            return f"it looks up {self.history!r}; known are {known} and the period of the seasonal mean, {period!r}"
        length = history_length(self.history, index, self.horizon)
        # of the last time steps alone, the usual step may be another than of all training data
        if type(self.reach) is not int or not length / 2 <= self.reach <= 2 * length:
            return f"it looks back by {self.reach!r} time steps, where {length} are needed"
        return None

    # ---------------------------------------------------------------- windows

    def _roll_out(
        self, rows: np.ndarray, there: np.ndarray, starts: np.ndarray, places: np.ndarray, timeline: _Timeline
    ) -> np.ndarray:
        """Forecast horizon after horizon; each is written into the rows (b, n_older + look_back + ahead, n, f) for the next one.

        `there` (b, n_older) says which of the first rows lie in the trajectory.
        """
        forecasts = []
        n_seen = self.n_older + self.look_back
        silent = None if self.record is None else self.record.silent(rows[:, self.n_older : n_seen])
        for origin in range(0, rows.shape[1] - n_seen, self.horizon):
            first, middle = origin + self.n_older, origin + n_seen
            x, time, expected = self._window(rows[:, first:middle], places + origin, timeline)
            ahead = self._ahead(starts, places, origin, timeline)
            older = self._older(rows[:, origin:first], there[:, origin:], places + origin, timeline)
            forecast = self._by_rule(x, time, ahead, older)
            if expected is not None:
                forecast = forecast + expected
            if self.record is not None and silent is not None and silent.any():
                forecast = self.record.averaged(forecast, silent, self.target)
            rows[:, middle : middle + self.horizon][..., self.target] = forecast
            forecasts.append(forecast)
        return np.concatenate(forecasts, axis=1)

    def _by_rule(
        self, x: np.ndarray, time: np.ndarray | None, ahead: np.ndarray | None, older: Older | None
    ) -> np.ndarray:
        """Forecasts of the rule, which the values of nodes that it knows nothing of do not disturb."""
        record, nodes = self.record, self.spec.nodes
        if record is None:
            return self.rule.forecast(x, time, ahead, nodes, older)
        still = record.still(x)[:, None][..., self.target]
        shift = record.shift(x)[:, None]
        if not shift.any():
            forecast = self.rule.forecast(x, time, ahead, nodes, older)
        else:
            of_targets = shift[..., self.target]
            if ahead is not None:  # the seasonal mean, and then values of earlier days and weeks
                n_past = ahead.shape[-1] // len(self.target) - 1
                ahead = ahead - np.concatenate([0 * of_targets, np.tile(of_targets, n_past)], axis=-1)
            older = older and Older(older.values - shift, older.time)
            forecast = self.rule.forecast(x - shift, time, ahead, nodes, older) + of_targets
        return np.where(still, record.constant[:, self.target], forecast)

    def _window(
        self, values: np.ndarray, places: np.ndarray, timeline: _Timeline
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Look-backs less their seasonal mean, calendar channels, and seasonal mean of the targets."""
        at = places[:, None] + np.arange(self.look_back + self.horizon)
        expected = None
        if self.season is not None and timeline.season is not None:
            table, index = self.season.table, timeline.season[at]
            values = values - table[index[:, : self.look_back]]
            expected = table[index[:, self.look_back :]][..., self.target]
        time = None if timeline.calendar is None else timeline.calendar[at]
        return values, time, expected

    def _older(
        self, values: np.ndarray, there: np.ndarray, places: np.ndarray, timeline: _Timeline
    ) -> Older | None:
        """The time steps before the look-backs, less their seasonal mean, with their calendar channels."""
        if not self.n_older:
            return None
        known = np.pad(there, ((0, 0), (0, self.n_older - there.shape[1])), constant_values=True)
        at = np.where(known, places[:, None] + np.arange(-self.n_older, 0), 0)
        if self.season is not None and timeline.season is not None:
            values = values - self.season.table[timeline.season[at]]
        time = None if timeline.calendar is None else timeline.calendar[at] * known[..., None]
        return Older(values, time)

    def _ahead(
        self, starts: np.ndarray, places: np.ndarray, origin: int, timeline: _Timeline
    ) -> np.ndarray | None:
        """What is known of the targets `origin` time steps after the first ones; no forecast is looked up."""
        first = places + self.look_back  # that is not known
        at = first[:, None] + np.arange(origin, origin + self.horizon)
        season = None
        if self.season is not None and timeline.season is not None:
            season = self.season.deviation[timeline.season[at]][..., self.target]
        if timeline.history is None:
            return season
        past = timeline.history.look_up(timeline.residuals, at, first, self.target, places - starts)
        return beside_season(season, past, self.target)

    @staticmethod
    def _places(panel: Panel, starts: np.ndarray, ahead: int) -> np.ndarray:
        """Positions of the windows in a timeline, which has `ahead` more time steps after each trajectory."""
        return starts + ahead * (np.searchsorted(panel.bounds, starts, side="right") - 1)

    def _timeline(self, panel: Panel, ahead: int) -> _Timeline:
        if self.season is None and not self.time_features and not self.history:
            return _Timeline(None, None, None, None)
        parts = panel.parts or (panel,)
        indexes = [self._index(part, ahead) for part in parts]
        season = calendar = history = None
        residuals: Any = None
        if self.season is not None:
            chunks = [
                self._seasonal_index(part, index, ahead) for part, index in zip(parts, indexes, strict=True)
            ]
            season = np.concatenate(chunks)
            if self.history:
                known = np.concatenate([chunk[: len(chunk) - ahead] for chunk in chunks])
                residuals = Residuals(panel.values, known, self.season)
        if self.time_features:
            calendar = np.concatenate([self._calendar(index) for index in indexes])
        if self.history:
            sizes = [(index, part.n_times + ahead) for part, index in zip(parts, indexes, strict=True)]
            history = History(self.history, sizes)
            residuals = panel.values if residuals is None else residuals
        return _Timeline(season, calendar, history, residuals)

    def _index(self, panel: Panel, ahead: int) -> pd.Index | None:
        """Times of a series and of the time steps after it, in the time zone of the training data."""
        if panel.index is None:
            return None
        index = panel.index.append(panel.future(ahead)) if ahead else panel.index
        return in_zone(index, self.spec.zone)

    def _seasonal_index(self, panel: Panel, index: pd.Index | None, ahead: int) -> np.ndarray:
        season: Any = self.season
        first = panel.clock
        if index is None and first is None:
            first = season.matched_index(panel.values)
        return season.seasonal_index(index, panel.n_times + ahead, first or 0)

    def _calendar(self, index: pd.Index | None) -> np.ndarray:
        if not isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex)):
            raise DataError(
                f"the forecaster was fitted with dates and uses {list(self.time_features)}; X has none. Give a DataFrame with "
                "a DatetimeIndex, or fit with time_features=None."
            )
        return calendar_features(index, self.time_features)
