"""Forecasts beside the observed values, with intervals, one panel per node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ..data.output import ToArray
from ..data.panel import Panel
from ..exceptions import DataError, ParameterError
from ..runtime import require
from ._canvas import COLOURS, DASHES, Display, given_axes, head, label_time, new_axes, positions, shown, tidy
from ._docs import fill_in

__all__ = ["ForecastDisplay", "plot_forecast"]


@fill_in
def plot_forecast(
    truth: ArrayLike,
    forecasts: Mapping[str, ArrayLike],
    *,
    intervals: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    coverage: float = 0.9,
    history: ArrayLike | None = None,
    nodes: Sequence[int] | None = None,
    node_names: Sequence[Any] | None = None,
    time: pd.Index | None = None,
    unit: str | None = None,
    title: str | None = None,
    axes: Any = None,
) -> np.ndarray:
    """Draw what was forecast from one origin beside the observed values, one panel per node.

    Parameters
    ----------
    truth : array-like of shape (horizon, n_nodes)
        Values that were to be forecast, NaN where missing or not known yet.
    forecasts : mapping of str to array-like of shape (horizon, n_nodes)
        Forecasts by name.
    intervals : mapping of str to (lower, upper), optional
        Bounds of some of the forecasts, each of shape (horizon, n_nodes), by the same names.
    coverage : float, default=0.9
        Share of the values that the intervals are to hold, for the legend.
    history : array-like of shape (n_history, n_nodes), optional
        Values before the origin.
    nodes : sequence of int, optional
        Positions of the nodes to draw; default the first three.
    node_names : sequence of length n_nodes, optional
        Titles of the panels; default their positions.
    time : Index of length n_history + horizon, optional
        Times of history and truth; default steps from the origin (the first forecast is step 1).
    {unit: observations}
    {title}
    {axes: one per node}

    Returns
    -------
    ndarray of matplotlib Axes
        One per node; ``axes[0].figure.savefig(...)`` writes the picture.

    Raises
    ------
    DataError
        If shapes, nodes or axes do not agree.
    {matplotlib}
    """
    require("matplotlib", extra="plot")
    truth = np.asarray(truth, dtype=float)
    drawn = {name: np.asarray(values, dtype=float) for name, values in forecasts.items()}
    if truth.ndim != 2:
        raise DataError(f"truth has shape {truth.shape}; needed: (horizon, n_nodes).")
    past = np.empty((0, truth.shape[1])) if history is None else np.asarray(history, dtype=float)
    chosen = list(range(min(3, truth.shape[1]))) if nodes is None else list(nodes)
    bounds = {name: np.asarray(pair, dtype=float) for name, pair in (intervals or {}).items()}
    _check(truth, drawn, bounds, past, chosen, node_names, time)
    steps = np.arange(1 - len(past), len(truth) + 1) if time is None else positions(time)
    if axes is None:
        panels = new_axes(len(chosen), 1, 1.3 + 1.75 * len(chosen), sharex=True)[:, 0]
    else:
        panels = given_axes(axes, len(chosen), f"{len(chosen)} nodes")
    for axis, node in zip(panels, chosen, strict=True):
        _draw(axis, steps, past[:, node], truth[:, node], {name: v[:, node] for name, v in drawn.items()})
        _draw_intervals(
            axis, steps, list(drawn), {name: pair[:, :, node] for name, pair in bounds.items()}, coverage
        )
        axis.set_title(f"node {node}" if node_names is None else shown(node_names[node]), loc="left")
        axis.set_ylabel("value" if unit is None else shown(unit, 20))
    label_time(panels[-1], time, " (shaded: forecast)")
    if axes is None:
        head(panels, title)
    return panels


class ForecastDisplay(Display):
    """Forecasts from one origin beside the observed values.

    Parameters
    ----------
    truth, forecasts, intervals, coverage, history, node_names, time, unit
        As in `plot_forecast`.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        One per node, after `plot`.
    {figure}

    Examples
    --------
    >>> from stmest import LastValue, make_sensor_network
    >>> from stmest.plotting import ForecastDisplay
    >>> X = make_sensor_network(n_nodes=4, n_times=200, random_state=0).values
    >>> model = LastValue(horizon=12).fit(X[:150])
    >>> display = ForecastDisplay.from_estimator(model, X, nodes=["s0", "s3"])
    >>> [axis.get_title(loc="left") for axis in display.axes_]
    ['s0', 's3']
    """

    def __init__(
        self,
        truth: ArrayLike,
        forecasts: Mapping[str, ArrayLike],
        *,
        intervals: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
        coverage: float = 0.9,
        history: ArrayLike | None = None,
        node_names: Sequence[Any] | None = None,
        time: pd.Index | None = None,
        unit: str | None = None,
    ) -> None:
        self.truth, self.forecasts, self.intervals, self.coverage = truth, forecasts, intervals, coverage
        self.history, self.node_names, self.time, self.unit = history, node_names, time, unit

    def plot(
        self, nodes: Sequence[Any] | None = None, *, title: str | None = None, axes: Any = None
    ) -> ForecastDisplay:
        """Draw the picture.

        Parameters
        ----------
        nodes : sequence, optional
            Names or positions of the nodes to draw; default the first three.
        {title}
        {axes: one per node}

        Returns
        -------
        ForecastDisplay
            This display.
        """
        self.axes_ = plot_forecast(
            self.truth, self.forecasts, intervals=self.intervals, coverage=self.coverage, history=self.history,
            nodes=None if nodes is None else _node_positions(nodes, self.node_names), node_names=self.node_names,
            time=self.time, unit=self.unit, title=title, axes=axes,
        )  # fmt: skip
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        nodes: Sequence[Any] | None = None,
        coverage: float | None = None,
        n_history: int | None = None,
        unit: str | None = None,
        title: str | None = None,
        axes: Any = None,
    ) -> ForecastDisplay:
        """Forecast the last `horizon` time steps of X from those before them, and draw both.

        Parameters
        ----------
        estimator : forecaster, or mapping of str to forecaster
            Fitted forecasters of the same horizon; the first one is drawn thickest.
        X : array-like, DataFrame, DataArray or Tensor, optional
            Values, as for `predict_windows`; of several features, the first that is forecast is drawn. Default: what follows
            the time steps that the forecaster saw last, beside no truth.
        nodes : sequence, optional
            Names or positions of the nodes to draw; default the first three.
        coverage : float, optional
            Draw the first forecaster's interval that is to hold this share of the values; needs `predict_interval`.
        n_history : int, optional
            Time steps before the origin to draw; default three horizons.
        unit, title, axes
            As in `plot_forecast`.

        Returns
        -------
        ForecastDisplay
            Drawn.

        Raises
        ------
        DataError
            If X is too short.
        ParameterError
            If the forecasters have different horizons, or the first one has no intervals and `coverage` is given.
        """
        models = dict(estimator) if isinstance(estimator, Mapping) else {type(estimator).__name__: estimator}
        horizon = _common_horizon(models)
        first_name, first = next(iter(models.items()))
        past, truth, future = _origin(first, X, horizon)
        past = replace(past, restore=ToArray())
        begin = max(0, past.n_times - (3 * horizon if n_history is None else n_history))
        display = cls(
            truth,
            {name: _first_target(model.predict(past), past) for name, model in models.items()},
            intervals=None if coverage is None else {first_name: _interval(first, past, coverage)},
            coverage=0.9 if coverage is None else coverage,
            history=past.values[begin:, :, first.target_[0]],
            node_names=past.nodes,
            time=None if past.index is None else past.index[begin:].append(future),
            unit=unit,
        )
        return display.plot(nodes, title=title, axes=axes)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike | Mapping[str, ArrayLike],
        *,
        nodes: Sequence[Any] | None = None,
        title: str | None = None,
        axes: Any = None,
        **data: Any,
    ) -> ForecastDisplay:
        """Draw forecasts that are there already.

        Parameters
        ----------
        y_true : array-like of shape (horizon, n_nodes)
            Values that were to be forecast.
        y_pred : array-like of shape (horizon, n_nodes), or mapping of str to such
            Forecasts.
        nodes, title, axes
            As in `plot`.
        **data
            Further parameters of the display: ``intervals``, ``coverage``, ``history``, ``node_names``, ``time``, ``unit``.

        Returns
        -------
        ForecastDisplay
            Drawn.
        """
        forecasts = y_pred if isinstance(y_pred, Mapping) else {"forecast": y_pred}
        return cls(y_true, forecasts, **data).plot(nodes, title=title, axes=axes)


def _common_horizon(models: Mapping[str, Any]) -> int:
    horizons = {name: model.horizon for name, model in models.items()}
    if len(set(horizons.values())) != 1:
        raise ParameterError(
            f"the forecasters have the horizons {horizons}; needed: at least one forecaster, and one horizon."
        )
    return next(iter(horizons.values()))


def _first_target(forecast: Any, past: Panel) -> np.ndarray:
    """The first forecast feature of an array, node by node; the cells of a field row by row."""
    values = np.asarray(forecast, dtype=float)
    return values.reshape(len(values), past.values.shape[1], -1)[:, :, 0]


def _interval(model: Any, past: Any, coverage: float) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bounds of the first forecast feature."""
    lower, upper = model.predict_interval(past, coverage=coverage)
    return _first_target(lower, past), _first_target(upper, past)


def _origin(model: Any, X: Any, horizon: int) -> tuple[Panel, np.ndarray, pd.Index | None]:
    """Values before the origin, the `horizon` time steps after it (NaN where they are not known), and their times."""
    if X is None:
        past = model.context_
        truth = np.full((horizon, past.values.shape[1]), np.nan)
        return past, truth, past.future(horizon)
    panel = model.input_.read(X)
    cut = panel.n_times - horizon
    if cut < 1:
        raise DataError(f"X has {panel.n_times} time steps; needed: more than horizon = {horizon}.")
    future = panel.rows(cut, panel.n_times)
    return panel.rows(0, cut), future.values[:, :, model.target_[0]], future.index


def _node_positions(wanted: Sequence[Any], names: Sequence[Any] | None) -> list[int]:
    """Positions of nodes that are given by name or, where that is no name, by position."""
    known = [] if names is None else list(names)
    out = []
    for node in wanted:
        if node in known:
            out.append(known.index(node))
        elif isinstance(node, (int, np.integer)):
            out.append(int(node))
        else:
            raise DataError(f"nodes has {node!r}; needed: names among {known}, or positions.")
    return out


def _check(
    truth: np.ndarray,
    forecasts: dict[str, np.ndarray],
    intervals: dict[str, np.ndarray],
    past: np.ndarray,
    nodes: list[int],
    node_names: Sequence[Any] | None,
    time: pd.Index | None,
) -> None:
    for name, values in forecasts.items():
        if values.shape != truth.shape:
            raise DataError(
                f"the forecast {name!r} has shape {values.shape}; needed: {truth.shape}, as the truth."
            )
    for name, pair in intervals.items():
        if name not in forecasts or pair.shape != (2, *truth.shape):
            raise DataError(
                f"the interval {name!r} has shape {pair.shape}; needed: a forecast of that name, and a pair (lower, upper) "
                f"of shape {truth.shape} each."
            )
    n_nodes = truth.shape[1]
    if past.ndim != 2 or past.shape[1] != n_nodes:
        raise DataError(f"history has shape {past.shape}; needed: (n_history, {n_nodes}).")
    if not nodes or not all(0 <= node < n_nodes for node in nodes):
        raise DataError(f"nodes={nodes}; needed: at least one position from 0 to {n_nodes - 1}.")
    if node_names is not None and len(node_names) != n_nodes:
        raise DataError(f"{len(node_names)} node_names were given; needed: {n_nodes}.")
    if time is not None and len(time) != len(past) + len(truth):
        raise DataError(
            f"time has {len(time)} entries; needed: {len(past) + len(truth)}, for history and truth."
        )


def _draw(
    axis: Any, steps: Any, past: np.ndarray, truth: np.ndarray, forecasts: dict[str, np.ndarray]
) -> None:
    """Draw one node: observed values in black, forecasts in colour from the origin on, the forecast part shaded."""
    values = np.concatenate([past, truth])
    axis.plot(steps, values, color="black", linewidth=1.8, label="observed", zorder=2)
    alone = np.isfinite(values) & ~_has_neighbour(values)
    axis.plot(np.asarray(steps)[alone], values[alone], ".", color="black", markersize=3)
    first = len(past)
    for i, (name, forecast) in enumerate(forecasts.items()):
        axis.plot(
            steps[first:], forecast, color=COLOURS[i % len(COLOURS)], linestyle=DASHES[i % len(DASHES)],
            linewidth=2.2 if i == 0 else 1.6, label=shown(name), zorder=4 if i == 0 else 3,
        )  # fmt: skip
    axis.axvspan(steps[max(0, first - 1)], steps[-1], color="0.93", zorder=0, linewidth=0)
    axis.margins(x=0)
    tidy(axis)


def _draw_intervals(
    axis: Any, steps: Any, names: list[str], intervals: dict[str, np.ndarray], coverage: float
) -> None:
    for name, (lower, upper) in intervals.items():
        axis.fill_between(
            steps[len(steps) - len(lower) :], lower, upper, color=COLOURS[names.index(name) % len(COLOURS)],
            alpha=0.22, linewidth=0, zorder=1, label=f"{coverage:.0%} interval of {shown(name)}",
        )  # fmt: skip


def _has_neighbour(values: np.ndarray) -> np.ndarray:
    """Whether a value has an observed one beside it; a line shows nothing of those that have none."""
    padded = np.concatenate([[np.nan], values, [np.nan]])
    return np.isfinite(padded[:-2]) | np.isfinite(padded[2:])
