"""Mean absolute errors of several forecasters, by step ahead and by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..exceptions import DataError
from ..metrics.point import horizon_errors, mae
from ..runtime import require
from ._canvas import (
    COLOURS,
    DASHES,
    MARKERS,
    Display,
    given_axes,
    head,
    in_unit,
    label_nodes,
    new_axes,
    shown,
    step_labels,
    tidy,
)
from ._docs import fill_in

__all__ = ["ErrorDisplay", "plot_error_by_horizon", "plot_error_by_node"]

# Errors of which the largest tenth is so many times the smallest tenth get a logarithmic axis
_WIDE_SPREAD = 50


@fill_in
def plot_error_by_horizon(
    errors: Mapping[str, ArrayLike], *, unit: str | None = None, axes: Any = None
) -> np.ndarray:
    """Draw the error of each step ahead, one line per forecaster.

    Parameters
    ----------
    errors : mapping of str to array-like of shape (horizon,)
        Mean absolute errors by name of the forecaster.
    {unit: observations}
    {axis}

    {panel}

    Raises
    ------
    DataError
        If there is no forecaster, or they have different horizons.
    {matplotlib}
    """
    require("matplotlib", extra="plot")
    table, horizon = _checked(errors, "horizon")
    panels = new_axes(1, 1, 3.6)[:, 0] if axes is None else given_axes(axes, 1, "one panel")
    steps = np.arange(1, horizon + 1)
    for i, (name, values) in enumerate(table.items()):
        panels[0].plot(
            steps, values, label=shown(name), color=COLOURS[i % len(COLOURS)], linestyle=DASHES[i % len(DASHES)],
            marker=MARKERS[i % len(MARKERS)] if horizon <= 24 else None, markersize=4, linewidth=1.8,
        )  # fmt: skip
    step_labels(panels[0], horizon)
    panels[0].set_ylim(bottom=0)
    panels[0].set_ylabel(in_unit("mean absolute error", unit))
    tidy(panels[0])
    if axes is None:
        head(panels, None)
    return panels


@fill_in
def plot_error_by_node(
    errors: Mapping[str, ArrayLike],
    *,
    node_names: Sequence[Any] | None = None,
    unit: str | None = None,
    axes: Any = None,
) -> np.ndarray:
    """Draw the error of each node, one kind of marker per forecaster, nodes in order of the first one's errors.

    Parameters
    ----------
    errors : mapping of str to array-like of shape (n_nodes,)
        Mean absolute errors by name of the forecaster; NaN for nodes without observed targets, which are left out.
    node_names : sequence of length n_nodes, optional
        Names of the nodes; default their positions. More than 30 are not written.
    {unit: observations}
    {axis}

    {panel}

    Raises
    ------
    DataError
        If there is no forecaster, or the numbers of nodes do not agree.
    {matplotlib}
    """
    require("matplotlib", extra="plot")
    table, n_nodes = _checked(errors, "n_nodes")
    names = list(range(n_nodes)) if node_names is None else list(node_names)
    if len(names) != n_nodes:
        raise DataError(f"{len(names)} node_names were given; needed: {n_nodes}.")
    panels = new_axes(1, 1, 3.8)[:, 0] if axes is None else given_axes(axes, 1, "one panel")
    first = next(iter(table.values()))
    order = np.argsort(first, kind="stable")[: int(np.isfinite(first).sum())]
    for i, (name, values) in enumerate(table.items()):
        panels[0].plot(
            np.arange(len(order)), values[order], MARKERS[i % len(MARKERS)], label=shown(name), markersize=4.5,
            color=COLOURS[i % len(COLOURS)], markerfacecolor=None if i == 0 else "none", zorder=4 if i == 0 else 3,
        )  # fmt: skip
    axis = panels[0]
    label_nodes(
        axis, [names[i] for i in order], what=f"node, from easy to hard for {shown(next(iter(table)))}"
    )
    everything = np.concatenate([values[order] for values in table.values()])
    low, high = np.nanquantile(everything, [0.1, 0.9]) if len(everything) else (0.0, 0.0)
    if 0 < _WIDE_SPREAD * low < high:
        axis.set_yscale("log")
    else:
        axis.set_ylim(bottom=0)
    axis.set_ylabel(in_unit("mean absolute error", unit))
    tidy(axis)
    if axes is None:
        head(panels, None)
    return panels


class ErrorDisplay(Display):
    """Errors by step ahead and by node, all forecasters.

    Parameters
    ----------
    horizon_errors : mapping of str to array-like of shape (horizon,)
        Mean absolute error of each step ahead, by forecaster.
    node_errors : mapping of str to array-like of shape (n_nodes,)
        Mean absolute error of each node, by forecaster.
    node_names : sequence, optional
        Names of the nodes.
    {unit: observations}

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, of shape (2,)
        By step and by node, after `plot`.
    {figure}

    Examples
    --------
    >>> from stmest import LastValue, compare, make_sensor_network
    >>> from stmest.plotting import ErrorDisplay
    >>> X = make_sensor_network(n_nodes=4, n_times=200, random_state=0).values
    >>> display = ErrorDisplay.from_report(compare({"last": LastValue(horizon=6)}, X, unit="mph"))
    >>> display.axes_[0].get_ylabel()
    'mean absolute error (mph)'
    """

    def __init__(
        self,
        horizon_errors: Mapping[str, ArrayLike],
        node_errors: Mapping[str, ArrayLike],
        *,
        node_names: Sequence[Any] | None = None,
        unit: str | None = None,
    ) -> None:
        self.horizon_errors, self.node_errors = horizon_errors, node_errors
        self.node_names, self.unit = node_names, unit

    def plot(self, *, title: str | None = None, axes: Any = None) -> ErrorDisplay:
        """Draw the picture.

        Parameters
        ----------
        {title}
        {axes: errors by step first, errors by node second}

        Returns
        -------
        ErrorDisplay
            This display.
        """
        panels = new_axes(2, 1, 6.4)[:, 0] if axes is None else given_axes(axes, 2, "steps and nodes")
        plot_error_by_horizon(self.horizon_errors, unit=self.unit, axes=panels[0])
        plot_error_by_node(self.node_errors, node_names=self.node_names, unit=self.unit, axes=panels[1])
        if axes is None:
            head(panels, title)
        self.axes_ = panels
        return self

    @classmethod
    def from_report(cls, report: Any, *, title: str | None = None, axes: Any = None) -> ErrorDisplay:
        """Draw the errors of all forecasters of a report that did not fail, the best one first.

        Parameters
        ----------
        report : Report
            As `stmest.compare` returns it.
        title, axes
            As in `plot`.

        Returns
        -------
        ErrorDisplay
            Drawn.
        """
        done = sorted((row for row in report.rows if row.error is None), key=lambda row: row.scores["MAE"])
        display = cls(
            {row.name: row.horizon_mae for row in done},
            {row.name: row.node_mae for row in done},
            node_names=report.nodes,
            unit=report.unit,
        )
        return display.plot(title=title, axes=axes)

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, **options: Any) -> ErrorDisplay:
        """Forecast every window in X and draw the errors.

        Parameters
        ----------
        estimator : forecaster, or mapping of str to forecaster
            Fitted forecasters of the same horizon and look-back.
        X : array-like, DataFrame, DataArray or Tensor
            Values, as for `predict_windows`.
        **options
            ``unit``, ``title`` and ``axes``, as in `from_predictions`.

        Returns
        -------
        ErrorDisplay
            Drawn.
        """
        models = dict(estimator) if isinstance(estimator, Mapping) else {type(estimator).__name__: estimator}
        forecasts = {}
        for name, model in models.items():
            truth, forecasts[name] = model.predict_windows(X)
        names = getattr(next(iter(models.values())), "nodes_", None)
        return cls.from_predictions(truth, forecasts, node_names=names, **options)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike | Mapping[str, ArrayLike],
        *,
        node_names: Sequence[Any] | None = None,
        unit: str | None = None,
        title: str | None = None,
        axes: Any = None,
    ) -> ErrorDisplay:
        """Draw the errors of forecasts that are there already.

        Parameters
        ----------
        y_true : array-like of shape (n_windows, horizon, n_nodes) or (n_windows, horizon, n_nodes, n_targets)
            What was observed, NaN where missing, as `predict_windows` returns it.
        y_pred : array-like of that shape, or mapping of str to such
            Forecasts.
        node_names : sequence, optional
            Names of the nodes.
        {unit: observations}
        title, axes
            As in `plot`.

        Returns
        -------
        ErrorDisplay
            Drawn.

        Raises
        ------
        DataError
            If the shapes do not agree.
        """
        truth = np.asarray(y_true, dtype=float)
        named = y_pred if isinstance(y_pred, Mapping) else {"forecast": y_pred}
        forecasts = {name: np.asarray(values, dtype=float) for name, values in named.items()}
        for name, values in forecasts.items():
            if values.shape != truth.shape or truth.ndim < 3:
                raise DataError(
                    f"the forecast {name!r} has shape {values.shape}, the truth {truth.shape}; needed: the same, "
                    "(n_windows, horizon, n_nodes)."
                )
        display = cls(
            {name: horizon_errors(truth, values) for name, values in forecasts.items()},
            {
                name: [mae(truth[:, :, i], values[:, :, i]) for i in range(truth.shape[2])]
                for name, values in forecasts.items()
            },
            node_names=node_names,
            unit=unit,
        )
        return display.plot(title=title, axes=axes)


def _checked(errors: Mapping[str, ArrayLike], length: str) -> tuple[dict[str, np.ndarray], int]:
    """Errors as vectors of one length."""
    table = {name: np.asarray(values, dtype=float) for name, values in errors.items()}
    shapes = {values.shape for values in table.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise DataError(
            f"errors have the shapes {sorted(shapes)}; needed: at least one vector, all ({length},)."
        )
    return table, next(iter(shapes))[0]
