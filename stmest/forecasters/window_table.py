"""`WindowTable` makes the rows of a table from windows, `RegressorRule` a forecast from what regressors predict of them.

Builds on `data` and `prediction`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..data.calendar import calendar_channels
from ..data.scaling import NodeScaler
from ..data.windows import Older, Windows, forward_filled
from ..prediction.predictor import Predictor
from ..prediction.rules import Rule, Shapes
from ..training.extremes import refuse_infinite_forecasts

__all__ = ["RegressorRule", "WindowTable", "column_names", "rows_of"]

_ROWS_PER_WINDOW = 64  # rows at least of each window that rows are taken from
_NUMBERS_AT_ONCE = 8_000_000
_NEIGHBOUR_STEPS = 6  # last values of the neighbours
_PAST: dict[Any, str] = {"day": "day", "week": "week", "four_weeks": "four weeks"}


@dataclass(frozen=True)
class WindowTable:
    """Windows as rows of a table: one row for each window, target step and node.

    Attributes
    ----------
    scaler : NodeScaler
        Shift and scale of each node and feature.
    target : list of int
        Positions of the forecast features.
    horizon : int
        Time steps to forecast.
    names : tuple of str
        Of the columns.
    adjacency : scipy.sparse.csr_array of shape (n_nodes, n_nodes), or None
        Weights of the edges between different nodes, where the neighbours are among the inputs.
    fills : bool
        Whether missing inputs are filled.
    numbers_nodes : bool
        Whether the node is an integer, as categories are, rather than a share of the number of nodes.
    """

    scaler: NodeScaler
    target: list[int]
    horizon: int
    names: tuple[str, ...]
    adjacency: Any
    fills: bool
    numbers_nodes: bool

    def last(self, x: np.ndarray) -> np.ndarray:
        """The last observed value of each node and forecast feature, scaled; 0 where there is none.

        Parameters
        ----------
        x : ndarray of shape (b, t, n, f)
            Look-backs less the seasonal mean, NaN where missing.

        Returns
        -------
        ndarray of shape (b, n, f_target), float32
            In units of the scale.
        """
        filled = forward_filled(self.scaler.transform(x), axis=1)
        return np.nan_to_num(filled[:, -1][..., self.target])

    def rows(
        self, x: np.ndarray, time: np.ndarray | None, ahead: np.ndarray | None, places: np.ndarray
    ) -> np.ndarray:
        """Some rows of the table.

        Parameters
        ----------
        x : ndarray of shape (b, t, n, f)
            Look-backs less the seasonal mean, NaN where missing.
        time : ndarray of shape (b, t + h, c) or None
            Calendar channels.
        ahead : ndarray of shape (b, h, n, c_ahead) or None
            Seasonal mean of the target steps, and values of earlier days and weeks; see `stmest.data.windows.Batch`.
        places : ndarray of int, shape (3, n_rows)
            Window, target step and node of each row.

        Returns
        -------
        ndarray of shape (n_rows, n_columns), float32
            NaN where missing, unless they are filled.
        """
        window, step, node = places
        n_rows, (t, n) = len(node), x.shape[1:3]
        scaled = self.scaler.transform(x)
        filled = forward_filled(scaled, axis=1)
        last, seen = filled[:, -1], filled if self.fills else scaled
        changes = (seen[:, :-1] - last[:, None])[window, :, node]
        columns = [node if self.numbers_nodes else node / n, (step + 1) / self.horizon]
        if time is not None:
            columns.append(time[window, t + step])
        columns += [last[window, node], changes]
        if self.adjacency is not None:
            columns.append(self._neighbours(filled[:, -_NEIGHBOUR_STEPS:])[window, :, node])
        if ahead is not None:
            columns.append(self._ahead(ahead[window, step, node], node))
        table = np.concatenate([c.reshape(n_rows, -1) for c in columns], axis=1, dtype=np.float32)
        return np.nan_to_num(table, copy=False) if self.fills else table

    def _neighbours(self, x: np.ndarray) -> np.ndarray:
        """Weighted mean of the nodes whose edges lead to a node, over those that are observed: (b, t, n, f)."""
        x = np.moveaxis(x, 2, 3)
        seen = np.isfinite(x)
        flat, weight = (
            part.reshape(-1, x.shape[-1]) @ self.adjacency for part in (np.where(seen, x, 0.0), seen)
        )
        mean = np.full(flat.shape, np.nan)
        np.divide(flat, weight, out=mean, where=weight > 0)
        return np.moveaxis(mean.reshape(x.shape), 3, 2)

    def _ahead(self, ahead: np.ndarray, node: np.ndarray) -> np.ndarray:
        """Scaled seasonal means and values of earlier days and weeks of some rows: (n_rows, c_ahead)."""
        k = len(self.target)
        center, scale = (
            part[:, self.target][node][:, None] for part in (self.scaler.center, self.scaler.scale)
        )
        channels = ahead.reshape(len(node), -1, k) / scale
        channels[:, 1:] -= center / scale
        return channels


@dataclass(frozen=True)
class RegressorRule(Rule):
    """A part of the last value, and what regressors predict of the rest.

    Attributes
    ----------
    table : WindowTable
        Makes the inputs of the regressors.
    regressors : tuple
        A fitted one for each forecast feature.
    persistence : ndarray of shape (horizon, n_targets)
        Part of the last value that is left after so many steps, between 0 and 1.
    """

    linear: ClassVar[None] = None  # type: ignore[misc]

    table: WindowTable
    regressors: tuple[Any, ...]
    persistence: np.ndarray

    def forecast(
        self,
        x: np.ndarray,
        time: np.ndarray | None,
        ahead: np.ndarray | None,
        nodes: list[Any] | None,
        older: Older | None = None,
    ) -> np.ndarray:
        """Forecast windows; see `Rule`."""
        b, n, h = len(x), x.shape[2], self.table.horizon
        forecast = self.persistence[:, None] * self.table.last(x)[:, None]
        at_once = max(1, _NUMBERS_AT_ONCE // (h * n * len(self.table.names)))
        for first in range(0, b, at_once):
            some = slice(first, first + at_once)
            shape = forecast[some].shape[:3]
            times, known = (None if part is None else part[some] for part in (time, ahead))
            table = self.table.rows(x[some], times, known, np.indices(shape).reshape(3, -1))
            for feature, regressor in enumerate(self.regressors):
                forecast[some, ..., feature] += np.reshape(regressor.predict(table), shape)
        forecast = self.table.scaler.inverse(forecast, self.table.target)
        refuse_infinite_forecasts(forecast, x, self.table.scaler, nodes)
        return forecast

    def shapes(self, n_nodes: int, n_features: int, n_targets: int, look_back: int, horizon: int) -> Shapes:
        """Scaler and persistence; see `Rule`."""
        return {
            "persistence_": (self.persistence, (horizon, n_targets)),
            "scaler_.center": (self.table.scaler.center, (n_nodes, n_features)),
            "scaler_.scale": (self.table.scaler.scale, (n_nodes, n_features)),
        }


def column_names(predictor: Predictor, neighbours: bool) -> tuple[str, ...]:
    """Names of the columns of a table, in the order of `WindowTable.rows`."""
    features, targets = range(predictor.spec.n_features), predictor.target
    calendar = calendar_channels(predictor.time_features)
    names = ["node", "step"]
    names += [
        f"{kind} {number}" for kind, channels in calendar.items() for number, _ in enumerate(channels, 1)
    ]
    values = ["last", *(f"lag {lag}" for lag in range(predictor.look_back, 1, -1))]
    if neighbours:
        lags = range(min(_NEIGHBOUR_STEPS, predictor.look_back), 0, -1)
        values += [f"neighbours lag {lag}" for lag in lags]
    ahead = ["season"] if predictor.season is not None or predictor.history else []
    ahead += [f"{_PAST.get(kind, f'{kind} steps')} before" for kind in predictor.history]
    for columns, of in ((values, features), (ahead, targets)):
        several = predictor.spec.n_features > 1
        names += [f"{name} of feature {one}" if several else name for name in columns for one in of]
    return tuple(names)


def rows_of(windows: Windows, table: WindowTable, most: int) -> tuple[np.ndarray, ...]:
    """Rows of at most so many windows, steps and nodes: inputs, step, last values and targets, scaled."""
    shape = (windows.horizon, windows.values.shape[1])
    each, features = shape[0] * shape[1], windows.values.shape[2]
    positions = _evenly(len(windows), max(1, most // min(each, _ROWS_PER_WINDOW)))
    rows = _evenly(len(positions) * each, most)
    at_once = max(1, _NUMBERS_AT_ONCE // ((windows.input_length + shape[0]) * shape[1] * features))
    center, scale = table.scaler.center[:, table.target], table.scaler.scale[:, table.target]
    parts = []
    for first in range(0, len(positions), at_once):
        some = positions[first : first + at_once]
        begin, end = np.searchsorted(rows, [first * each, (first + len(some)) * each])
        places = np.stack(np.unravel_index(rows[begin:end] - first * each, (len(some), *shape)))
        batch, (window, step, node) = windows.gather(some.tolist()), places
        inputs = table.rows(batch.x, batch.time, batch.ahead, places)
        y = (batch.y[window, step, node] - center[node]) / scale[node]
        parts.append((inputs, step, table.last(batch.x)[window, node], y))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def _evenly(total: int, wanted: int) -> np.ndarray:
    """About so many of the numbers below `total`: one of each of equally long stretches, always the same ones."""
    if wanted >= total:
        return np.arange(total)
    places = np.random.default_rng(0).random(wanted)  # equal steps would meet some steps or nodes only
    return np.unique(((np.arange(wanted) + places) * (total / wanted)).astype(np.int64))
