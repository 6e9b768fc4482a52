"""The forecast of what comes after the last row, as a table, as text and as a picture.

Builds on the public methods of the forecasters and on `plotting`; used by `forecast`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tabulate import tabulate

from ..data.containers import as_panel
from ..exceptions import DataError

if TYPE_CHECKING:
    from ..data.panel import Panel

__all__ = ["Future", "future_of"]

_MOST_STEPS, _MOST_NODES, _OBSERVED = 12, 6, 3  # of the table that is printed


@dataclass(frozen=True)
class Future:
    """A forecast.

    Attributes
    ----------
    past : Panel
        What was observed.
    forecast, lower, upper : ndarray of shape (steps, n_nodes, n_targets)
        Bounds are NaN where there are none.
    time : pandas.Index
        Of the forecast.
    nodes, channels : list
        Names.
    targets : list of int
        Positions of the channels among those of `past`.
    coverage : float
        Share of the values that the bounds are to hold.
    sentences : list of str
        What has to be said of it.
    """

    past: Panel
    forecast: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    time: pd.Index
    nodes: list[Any]
    channels: list[Any]
    targets: list[int]
    coverage: float
    sentences: list[str]

    @property
    def steps(self) -> int:
        """Time steps."""
        return len(self.forecast)

    def to_frame(self) -> pd.DataFrame:
        """Long table: time, node (channel, where there are several), forecast, lower, upper."""
        n_steps, n_nodes, n_channels = self.forecast.shape
        labels = pd.MultiIndex.from_product([range(n_steps), range(n_nodes), range(n_channels)])
        table = {
            "time": self.time.take(labels.get_level_values(0)),
            "node": [self.nodes[i] for i in labels.get_level_values(1)],
            "channel": [self.channels[i] for i in labels.get_level_values(2)],
            "forecast": self.forecast.ravel(),
            "lower": self.lower.ravel(),
            "upper": self.upper.ravel(),
        }
        if n_channels == 1:
            del table["channel"]
        return pd.DataFrame(table)

    def to_text(self) -> str:
        """The last rows and the forecast of the first nodes, one line a time step."""
        nodes = range(min(len(self.nodes), _MOST_NODES))
        channel = self.targets[0]
        observed = self.past.values[-_OBSERVED:, :, channel]
        times = range(-len(observed), 0) if self.past.index is None else self.past.index[-len(observed) :]
        lines = [
            [str(time), *(_short(row[i]) for i in nodes)] for time, row in zip(times, observed, strict=True)
        ]
        shown = list(range(self.steps))
        half = _MOST_STEPS // 2
        cut = self.steps > _MOST_STEPS
        for step in shown[:half] + shown[-half:] if cut else shown:
            if cut and step == shown[-half]:
                lines.append(["...", *("" for _ in nodes)])
            lines.append([str(self.time[step]), *(self._cell(step, i) for i in nodes)])
        more = len(self.nodes) - len(nodes)
        head = ["time", *(str(self.nodes[i]) for i in nodes)]
        text = tabulate(lines, head, tablefmt="plain", disable_numparse=True, stralign="right")
        said = [f"the last {len(observed)} rows, and the forecast"]
        if np.isfinite(self.lower).any():
            said.append(f"in brackets the range that holds {self.coverage:.0%} of the values")
        if more:
            said.append(f"{more} more nodes in the table")
        return "; ".join(said) + f"\n\n{text}"

    def _cell(self, step: int, node: int) -> str:
        low, value, high = (part[step, node, 0] for part in (self.lower, self.forecast, self.upper))
        return _short(value) + (f" [{_short(low)}, {_short(high)}]" if np.isfinite(low) else "")

    def display(self, unit: str | None, title: str) -> Any:
        """A picture of the first nodes: what was observed last, and the forecast with its range."""
        from ..plotting import ForecastDisplay

        n_history = min(self.past.n_times, max(3 * self.steps, 24))
        past = self.past.tail(n_history)
        time = None if past.index is None else past.index.append(self.time)
        known = np.isfinite(self.lower).any()
        display = ForecastDisplay(
            np.full(self.forecast.shape[:2], np.nan),
            {"forecast": self.forecast[..., 0]},
            intervals={"forecast": (self.lower[..., 0], self.upper[..., 0])} if known else None,
            coverage=self.coverage,
            history=past.values[:, :, self.targets[0]],
            node_names=self.nodes,
            time=time,
            unit=unit,
        )
        return display.plot(title=title)


def future_of(model: Any, X: Any, steps: int, coverage: float) -> Future:
    """Forecast what comes after X, with bounds where the model can be calibrated.

    Parameters
    ----------
    model : BaseForecaster
        Fitted.
    X : DataFrame, DataArray or None
        What was observed; None for the rows that the model saw last.
    steps : int
        Time steps to forecast.
    coverage : float
        Share of the values that the bounds are to hold.

    Returns
    -------
    Future
    """
    past = model.context_ if X is None else model.input_.read(as_panel(X, reading=model.input_.reading))
    future = _values(model.predict(X, steps=steps), model)
    bounds, sentence = _bounds(model, X, steps, coverage, future.values.shape)
    nodes = future.nodes or list(range(future.values.shape[1]))
    if future.grid is not None:
        nodes = [f"{row},{column}" for row in range(future.grid[0]) for column in range(future.grid[1])]
    time = past.future(steps) if future.index is None else future.index
    return Future(
        past, future.values, *bounds, pd.RangeIndex(1, steps + 1) if time is None else time, nodes,
        future.features or list(range(future.values.shape[2])), list(model.target_), coverage, sentence,
    )  # fmt: skip


def _values(forecast: Any, model: Any) -> Panel:
    return as_panel(forecast, fields=model.grid_shape_ is not None)


def _bounds(
    model: Any, X: Any, steps: int, coverage: float, shape: tuple[int, ...]
) -> tuple[tuple[np.ndarray, np.ndarray], list[str]]:
    """Lower and upper bounds, NaN where there are none, and a sentence that says why."""
    bounds = np.full((2, *shape), np.nan)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = [_values(end, model).values for end in model.predict_interval(X, coverage=coverage)]
    except DataError as error:
        return (bounds[0], bounds[1]), [f"lower and upper are empty: {error}"]
    doubts = [str(warning.message) for warning in caught if warning.category is UserWarning]
    if doubts:
        return (bounds[0], bounds[1]), [f"lower and upper are empty: {doubts[0]}"]
    n = min(steps, len(found[0]))
    bounds[:, :n] = np.stack([end[:n] for end in found])
    bounds[~np.isfinite(bounds)] = np.nan
    sentences = []
    if n < steps:
        sentences = [f"lower and upper are empty beyond the horizon of the model, {n} steps"]
    return (bounds[0], bounds[1]), sentences


def _short(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.4g}"
