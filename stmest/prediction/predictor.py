"""`Predictor`: computes the forecasts of a fitted forecaster; the one way from values to forecasts.

A `Rule` maps look-backs less their seasonal mean to horizons. A `Predictor` cuts the windows, adds the seasonal mean again, and
beyond the horizon continues from its own forecasts. Builds on `data`, `linear` and `training`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..data.calendar import calendar_features
from ..data.input_spec import InputSpec
from ..data.panel import Panel
from ..data.savable import savable
from ..data.splits import Split
from ..data.time_index import in_zone
from ..exceptions import DataError, ParameterError
from ..graphs import Graph
from ..linear.seasonal_mean import Residuals, SeasonalProfile, less_season
from ..linear.window_ridge import WindowRidge, fit_ensemble
from ..networks.base import ForecastNetwork
from ..runtime import deterministic_algorithms
from ..training.diagnostics import explain_lack, refuse_infinite_forecasts
from ..training.encoding import Encoding

__all__ = ["LinearRule", "NetworkRule", "Predictor", "Rule"]

Shapes = dict[str, tuple[np.ndarray, tuple[int, ...]]]


class Rule(ABC):
    """Maps the look-back of a window to its horizon; immutable."""

    linear: WindowRidge | None  # the closed-form part, where there is one

    @abstractmethod
    def forecast(
        self, x: np.ndarray, time: np.ndarray | None, season: np.ndarray | None, nodes: list[Any] | None
    ) -> np.ndarray:
        """Forecast windows.

        Parameters
        ----------
        x : ndarray of shape (b, t, n, f), float32
            Look-backs in the units of the data, less the seasonal mean; NaN where missing.
        time : ndarray of shape (b, t + h, c) or None
            Calendar channels.
        season : ndarray of shape (b, h, n, f_target) or None
            Seasonal mean of the horizon, less its mean over the cycle.
        nodes : list or None
            Names of the nodes, for messages.

        Returns
        -------
        ndarray of shape (b, h, n, f_target)
            In the units of the data, less the seasonal mean; finite.
        """

    @abstractmethod
    def shapes(self, n_nodes: int, n_features: int, n_targets: int, look_back: int, horizon: int) -> Shapes:
        """The arrays of the rule, and the shapes that they must have for data of these sizes."""


@savable
@dataclass(frozen=True)
class LinearRule(Rule):
    """The linear forecast alone.

    Attributes
    ----------
    linear : WindowRidge
        Linear map from look-back to horizon.
    target : list of int
        Positions of the forecast features.
    """

    linear: WindowRidge
    target: list[int]

    def forecast(
        self, x: np.ndarray, time: np.ndarray | None, season: np.ndarray | None, nodes: list[Any] | None
    ) -> np.ndarray:
        """Forecast windows; see `Rule`."""
        return self.linear.forecast(x[..., self.target])

    def shapes(self, n_nodes: int, n_features: int, n_targets: int, look_back: int, horizon: int) -> Shapes:
        """The weights; see `Rule`."""
        return _shapes_of(self.linear, n_nodes, n_targets, look_back, horizon)


@savable
@dataclass(frozen=True)
class NetworkRule(Rule):
    """The linear forecast (or the mean), plus the forecast of its residual by a network.

    Attributes
    ----------
    name : str
        Of the forecaster, for messages.
    encoding : Encoding
        Of values for the network.
    network : ForecastNetwork or None
        The trained network; None only in pickles and model files, which store its weights beside it.
    residual_weight : float
        Factor of the network's output, between 0 and 1.
    device : torch.device or None
        Device of the network; None where there is no network.
    deterministic : bool
        Whether to use deterministic operations only, on a GPU.
    """

    name: str
    encoding: Encoding
    network: ForecastNetwork | None
    residual_weight: float
    device: torch.device | None
    deterministic: bool

    @property
    def linear(self) -> WindowRidge | None:  # type: ignore[override]
        """The linear forecast, where there is one."""
        return self.encoding.linear

    def forecast(
        self, x: np.ndarray, time: np.ndarray | None, season: np.ndarray | None, nodes: list[Any] | None
    ) -> np.ndarray:
        """Forecast windows; see `Rule`."""
        network, device = self.network, self.device
        if network is None or device is None:
            raise DataError("this predictor has no network: it was removed for saving.")
        sizes = f"look-back of {x.shape[1]} rows, {x.shape[2]} nodes, {x.shape[3]} feature(s)"
        lack = explain_lack(f"forecasting with {self.name}", sizes, len(x), None, device)
        with lack, torch.inference_mode(), deterministic_algorithms(self.deterministic, device):
            inputs, baseline = self.encoding.encode(x, time, season)
            output, _ = network(**{name: tensor.to(device) for name, tensor in inputs.items()})
            share = self.residual_weight * self.encoding.scale
            forecast = baseline + output.float().cpu().numpy() * share
        refuse_infinite_forecasts(forecast, x, self.encoding.scaler, nodes)
        return forecast

    def inputs(self, x: np.ndarray, time: np.ndarray | None) -> dict[str, torch.Tensor]:
        """Values and calendar as the network takes them, on its device, for a look into its layers; see `Encoding.encode`."""
        inputs, _ = self.encoding.encode(x, time, None)
        return {name: inputs[name].to(self.device) for name in ("x", "time") if name in inputs}

    def shapes(self, n_nodes: int, n_features: int, n_targets: int, look_back: int, horizon: int) -> Shapes:
        """Scaler and linear forecast; see `Rule`."""
        scaler, linear = self.encoding.scaler, self.encoding.linear
        shapes: Shapes = {
            "scaler_.center": (scaler.center, (n_nodes, n_features)),
            "scaler_.scale": (scaler.scale, (n_nodes, n_features)),
        }
        return (
            shapes if linear is None else shapes | _shapes_of(linear, n_nodes, n_targets, look_back, horizon)
        )


def _shapes_of(linear: WindowRidge, n_nodes: int, n_targets: int, look_back: int, horizon: int) -> Shapes:
    wanted = linear.shapes(n_nodes, n_targets, look_back, horizon)
    return {f"linear_.{name}": (getattr(linear, name), shape) for name, shape in wanted.items()}


@dataclass(frozen=True)
class _Timeline:
    """Seasonal index and calendar channels of the time steps of a panel, and of some after each of its trajectories."""

    season: np.ndarray | None
    calendar: np.ndarray | None


@savable
@dataclass(frozen=True)
class Predictor:
    """Season, calendar and rule of a fitted forecaster; immutable, so that several threads may forecast with it.

    Attributes
    ----------
    spec : InputSpec
        Nodes, features, grid, time zone and frequency of the training data.
    look_back, horizon : int
        Time steps of the look-back and of one forecast.
    target : list of int
        Positions of the forecast features.
    time_features : tuple of str
        Calendar channels of the rule.
    season : SeasonalProfile or None
        Seasonal mean, which is subtracted from the inputs of the rule and added to its forecasts.
    rule : Rule
        Maps look-back to horizon.
    batch_size : int
        Windows per batch.
    """

    spec: InputSpec
    look_back: int
    horizon: int
    target: list[int]
    time_features: tuple[str, ...]
    season: SeasonalProfile | None
    rule: Rule
    batch_size: int

    # ---------------------------------------------------------------- forecasts

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
        """The look-back of a forecast after the last time step (of every trajectory).

        Parameters
        ----------
        panel : Panel
            As `InputSpec.read` returns it.

        Returns
        -------
        Panel
            `look_back` time steps of every trajectory.

        Raises
        ------
        DataError
            If there are fewer.
        """
        for number, part in enumerate(panel.parts or (panel,)):
            if part.n_times < self.look_back:
                which = f"trajectory {number} of X" if panel.parts else "X"
                raise DataError(
                    f"{which} has {part.n_times} rows; at least {self.look_back} rows of look-back are needed to forecast."
                )
        return panel.tails(self.look_back)

    def forecast(
        self, panel: Panel, starts: np.ndarray, steps: int | None = None, known: np.ndarray | None = None
    ) -> np.ndarray:
        """Forecast from many origins; each forecast uses its look-back and nothing after it.

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
        steps = self.horizon if steps is None else steps
        ahead = -(-steps // self.horizon) * self.horizon
        timeline = self._timeline(panel, ahead)
        places = self._places(panel, starts, ahead)
        batches = []
        for first in range(0, len(starts), self.batch_size):
            some = slice(first, first + self.batch_size)
            rows = np.full(
                (len(starts[some]), self.look_back + ahead, *panel.values.shape[1:]),
                np.nan,
                panel.values.dtype,
            )
            rows[:, : self.look_back] = panel.values[starts[some, None] + np.arange(self.look_back)]
            if known is not None:
                future = rows[:, self.look_back :]
                future[:, : len(known)] = known[:ahead]
            batches.append(self._roll_out(rows, places[some], timeline)[:, :steps])
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
        x : ndarray of shape (b, t, n, f), float32
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
            x, time, *_ = self._window(rows, places[some], timeline)
            yield x, time

    def residuals(self, panel: Panel) -> np.ndarray:
        """The values of a panel less their seasonal mean: (n_times, n_nodes, n_features)."""
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
        linear = fit_ensemble(
            linear.spec, less_season(panel, season), self.target, *sizes, graph, split.starts
        )
        return replace(self, season=season).with_linear(linear)

    def with_linear(self, linear: WindowRidge | None) -> Predictor:
        """A copy with another linear forecast."""
        rule: Any = self.rule
        if isinstance(rule, NetworkRule):
            return replace(self, rule=replace(rule, encoding=replace(rule.encoding, linear=linear)))
        return replace(self, rule=replace(rule, linear=linear))

    def with_network(
        self, network: Any, device: torch.device | None, residual_weight: float | None = None
    ) -> Predictor:
        """A copy with another network, or without one, for pickles and model files."""
        rule: Any = self.rule
        weight = rule.residual_weight if residual_weight is None else residual_weight
        return replace(self, rule=replace(rule, network=network, device=device, residual_weight=weight))

    def shapes(self) -> Shapes:
        """The arrays of the predictor, and the shapes that they must have."""
        n_nodes, n_features = self.spec.n_nodes, self.spec.n_features
        shapes = self.rule.shapes(n_nodes, n_features, len(self.target), self.look_back, self.horizon)
        if self.season is not None:
            shapes["profile_.table"] = (self.season.table, (self.season.n_steps, n_nodes, n_features))
        return shapes

    # ---------------------------------------------------------------- windows

    def _roll_out(self, rows: np.ndarray, places: np.ndarray, timeline: _Timeline) -> np.ndarray:
        """Forecast horizon after horizon; each is written into the rows (b, look_back + ahead, n, f) for the next one."""
        forecasts = []
        for origin in range(0, rows.shape[1] - self.look_back, self.horizon):
            middle = origin + self.look_back
            x, time, expected, season = self._window(rows[:, origin:middle], places + origin, timeline)
            forecast = self.rule.forecast(x, time, season, self.spec.nodes)
            if expected is not None:
                forecast = forecast + expected
            rows[:, middle : middle + self.horizon][..., self.target] = forecast
            forecasts.append(forecast)
        return np.concatenate(forecasts, axis=1)

    def _window(
        self, values: np.ndarray, places: np.ndarray, timeline: _Timeline
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None, np.ndarray | None]:
        """Look-backs less their seasonal mean, calendar channels, seasonal mean of the targets, and its deviation."""
        at = places[:, None] + np.arange(self.look_back + self.horizon)
        expected = deviation = None
        if self.season is not None and timeline.season is not None:
            table, index = self.season.table, timeline.season[at]
            values = values - table[index[:, : self.look_back]]
            expected = table[index[:, self.look_back :]][..., self.target]
            deviation = self.season.deviation[index[:, self.look_back :]][..., self.target]
        time = None if timeline.calendar is None else timeline.calendar[at]
        return np.asarray(values, dtype=np.float32), time, expected, deviation

    @staticmethod
    def _places(panel: Panel, starts: np.ndarray, ahead: int) -> np.ndarray:
        """Positions of the windows in a timeline, which has `ahead` more time steps after each trajectory."""
        return starts + ahead * (np.searchsorted(panel.bounds, starts, side="right") - 1)

    def _timeline(self, panel: Panel, ahead: int) -> _Timeline:
        if self.season is None and not self.time_features:
            return _Timeline(None, None)
        parts = panel.parts or (panel,)
        indexes = [self._index(part, ahead) for part in parts]
        season = calendar = None
        if self.season is not None:
            chunks = [
                self._seasonal_index(part, index, ahead) for part, index in zip(parts, indexes, strict=True)
            ]
            season = np.concatenate(chunks)
        if self.time_features:
            calendar = np.concatenate([self._calendar(index) for index in indexes])
        return _Timeline(season, calendar)

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
