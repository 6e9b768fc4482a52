"""Pictures of forecasts, with matplotlib (the extra ``plot``), which is imported when something is drawn.

Figures are made without pyplot: nothing is registered globally, no window opens, no setting changes. Builds on numpy
and pandas; used by the command line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from .exceptions import DataError
from .runtime import require

__all__ = ["plot_forecast"]

# Okabe and Ito's colours, told apart with any colour vision; dashes tell lines apart without any colour.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)), (0, (3, 3)), (0, (1, 3)))


def plot_forecast(
    truth: ArrayLike,
    forecasts: Mapping[str, ArrayLike],
    *,
    history: ArrayLike | None = None,
    nodes: Sequence[int] | None = None,
    node_names: Sequence[Any] | None = None,
    time: pd.Index | None = None,
    unit: str | None = None,
    title: str | None = None,
    axes: Any = None,
) -> np.ndarray:
    """Draw what was forecast from one origin beside what came, one panel per node.

    Parameters
    ----------
    truth : array-like of shape (horizon, n_nodes)
        Readings that were to be forecast, NaN where missing.
    forecasts : mapping of str to array-like of shape (horizon, n_nodes)
        Forecasts by name.
    history : array-like of shape (n_history, n_nodes), optional
        Readings before the origin.
    nodes : sequence of int, optional
        Positions of the nodes to draw; default the first three.
    node_names : sequence of length n_nodes, optional
        Titles of the panels; default their positions.
    time : Index of length n_history + horizon, optional
        Times of history and truth; default steps from the origin (the first forecast is step 1).
    unit : str, optional
        Unit of the readings, for the vertical axes.
    title : str, optional
        Title of the figure.
    axes : sequence of matplotlib Axes, optional
        Where to draw, one per node; default a new figure, not known to pyplot.

    Returns
    -------
    ndarray of matplotlib Axes
        One per node; ``axes[0].figure.savefig(...)`` writes the picture.

    Raises
    ------
    DataError
        If shapes, nodes or axes do not agree.
    MissingDependencyError
        If matplotlib is not installed.
    """
    require("matplotlib", extra="plot")
    truth = np.asarray(truth, dtype=float)
    drawn = {name: np.asarray(values, dtype=float) for name, values in forecasts.items()}
    if truth.ndim != 2:
        raise DataError(f"truth has shape {truth.shape}; needed: (horizon, n_nodes).")
    past = np.empty((0, truth.shape[1])) if history is None else np.asarray(history, dtype=float)
    chosen = list(range(min(3, truth.shape[1]))) if nodes is None else list(nodes)
    _check(truth, drawn, past, chosen, node_names, time)
    steps = np.arange(1 - len(past), len(truth) + 1) if time is None else _positions(time)
    panels = _new_axes(len(chosen)) if axes is None else np.atleast_1d(np.asarray(axes, dtype=object))
    if len(panels) != len(chosen):
        raise DataError(f"{len(panels)} axes were given for {len(chosen)} nodes; needed: one per node.")
    for axis, node in zip(panels, chosen, strict=True):
        _draw(axis, steps, past[:, node], truth[:, node], {name: v[:, node] for name, v in drawn.items()})
        axis.set_title(
            f"{'node ' if node_names is None else ''}{(node_names or range(node + 1))[node]}", loc="left"
        )
        axis.set_ylabel("value" if unit is None else unit)
    _label_time(panels[-1], time)
    if axes is None:
        _head(panels, title, 1 + len(drawn))
    return panels


def _check(
    truth: np.ndarray,
    forecasts: dict[str, np.ndarray],
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


def _positions(time: pd.Index) -> Any:
    """Times as matplotlib understands them."""
    return time.to_timestamp() if isinstance(time, pd.PeriodIndex) else time


def _new_axes(n_panels: int) -> np.ndarray:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # 7 inches at 200 dots: 1400 pixels; shrunk to 600 its letters are still about 12 pixels high
    figure = Figure(figsize=(7, 1.3 + 1.75 * n_panels), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    return figure.subplots(n_panels, 1, sharex=True, squeeze=False)[:, 0]


def _draw(
    axis: Any, steps: Any, past: np.ndarray, truth: np.ndarray, forecasts: dict[str, np.ndarray]
) -> None:
    """Draw one node: readings in black, forecasts in colour from the origin on, the forecast part shaded."""
    readings = np.concatenate([past, truth])
    axis.plot(steps, readings, color="black", linewidth=1.8, label="observed", zorder=2)
    alone = np.isfinite(readings) & ~_has_neighbour(readings)
    axis.plot(np.asarray(steps)[alone], readings[alone], ".", color="black", markersize=3)
    first = len(past)
    for i, (name, values) in enumerate(forecasts.items()):
        axis.plot(
            steps[first:], values, color=_COLOURS[i % len(_COLOURS)], linestyle=_DASHES[i % len(_DASHES)],
            linewidth=2.2 if i == 0 else 1.6, label=name, zorder=4 if i == 0 else 3,
        )  # fmt: skip
    axis.axvspan(steps[max(0, first - 1)], steps[-1], color="0.93", zorder=0, linewidth=0)
    axis.margins(x=0)
    axis.grid(True, axis="y", color="0.85", linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)


def _has_neighbour(values: np.ndarray) -> np.ndarray:
    """Whether a reading has an observed one beside it; a line shows nothing of those that have none."""
    padded = np.concatenate([[np.nan], values, [np.nan]])
    return np.isfinite(padded[:-2]) | np.isfinite(padded[2:])


def _label_time(axis: Any, time: pd.Index | None) -> None:
    if isinstance(time, (pd.DatetimeIndex, pd.PeriodIndex)):
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator(minticks=4, maxticks=8)
        axis.xaxis.set_major_locator(locator)
        axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axis.set_xlabel("time (shaded: forecast)")
    else:
        axis.set_xlabel(
            "steps from the origin (shaded: forecast)" if time is None else "time (shaded: forecast)"
        )


def _head(panels: np.ndarray, title: str | None, n_entries: int) -> None:
    figure = panels[0].figure
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, n_entries), frameon=False)
    if title is not None:
        figure.suptitle(title, fontsize="medium")
