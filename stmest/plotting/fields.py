"""Fields on a grid: truth, forecast and error side by side, one row per step ahead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..exceptions import DataError
from ..runtime import require
from ._canvas import Display, entitle, given_axes, in_unit, new_axes, shown
from ._docs import fill_in

__all__ = ["FieldDisplay", "plot_fields"]


@fill_in
def plot_fields(
    truth: ArrayLike,
    forecast: ArrayLike,
    *,
    steps: Sequence[int] | None = None,
    y: ArrayLike | None = None,
    x: ArrayLike | None = None,
    labels: tuple[str, str] = ("grid row", "grid column"),
    unit: str | None = None,
    axes: Any = None,
) -> np.ndarray:
    """Draw truth, forecast and error (forecast less truth) of some steps, a row each.

    Parameters
    ----------
    truth, forecast : array-like of shape (horizon, n_rows, n_columns)
        Fields, NaN where missing.
    steps : sequence of int, optional
        Steps ahead to draw, counted from 1; default the first, the middle and the last.
    y, x : array-like of shape (n_rows,) and (n_columns,), optional
        Evenly spaced coordinates of rows and columns; default their numbers, row 0 on top.
    labels : tuple of two str, default=("grid row", "grid column")
        What the vertical and the horizontal axis show.
    {unit: field}
    {axes: three per step}

    Returns
    -------
    ndarray of matplotlib Axes, of shape (n_steps, 3)
        The panels.

    Raises
    ------
    DataError
        If shapes, steps or axes do not agree.
    {matplotlib}

    Notes
    -----
    Truth and forecast share one scale of colours over all steps, and so do the errors, whose scale is symmetric.
    """
    require("matplotlib", extra="plot")
    real, guess = np.asarray(truth, dtype=float), np.asarray(forecast, dtype=float)
    chosen = _checked(real, guess, steps)
    extent = _extent(real.shape, y, x)
    if axes is None:
        height = 1.2 + len(chosen) * (0.45 + min(3.0, max(0.8, 2.0 * _shape_ratio(extent))))
        panels = new_axes(len(chosen), 3, height, sharex=True, sharey=True)
    else:
        panels = given_axes(axes, 3 * len(chosen), f"{len(chosen)} steps of three panels").reshape(-1, 3)
    places = np.array([step - 1 for step in chosen])
    scale, error_scale = _scales(real[places], guess[places])
    common: dict[str, Any] = {
        "interpolation": "nearest",
        "extent": extent,
        "origin": "upper" if y is None else "lower",
    }
    for row, step in zip(panels, places, strict=True):
        fields = row[0].imshow(real[step], **scale, **common)
        row[1].imshow(guess[step], **scale, **common)
        errors = row[2].imshow(guess[step] - real[step], **error_scale, **common)
        row[0].set_ylabel(shown(labels[0], 20), fontsize="small")
        for axis, name in zip(row, ("truth", "forecast", "error"), strict=True):
            axis.set_title(f"{name}, step {step + 1}", fontsize="medium")
    for axis in panels[-1]:
        axis.set_xlabel(shown(labels[1], 20))
    if y is not None:  # coordinates rise upwards, in whichever order the rows come
        for axis in panels.ravel():
            axis.set_ylim(sorted(extent[2:]))
    bar = {"location": "bottom", "shrink": 0.9}
    figure = panels[0, 0].figure
    figure.colorbar(fields, ax=list(panels[:, :2].ravel()), label=in_unit("field", unit), aspect=30, **bar)
    figure.colorbar(errors, ax=list(panels[:, 2]), label=in_unit("error", unit), aspect=15, **bar)
    return panels


class FieldDisplay(Display):
    """Truth, forecast and error of fields on a grid.

    Parameters
    ----------
    truth, forecast, y, x, labels, unit
        As in `plot_fields`.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, of shape (3 * n_steps,)
        Row by row, after `plot`.
    {figure}

    Examples
    --------
    >>> import numpy as np
    >>> from stmest.plotting import FieldDisplay
    >>> truth = np.random.default_rng(0).normal(size=(4, 8, 8))
    >>> len(FieldDisplay.from_predictions(truth, truth + 0.1, steps=[1, 4]).axes_)
    6
    """

    def __init__(
        self,
        truth: ArrayLike,
        forecast: ArrayLike,
        *,
        y: ArrayLike | None = None,
        x: ArrayLike | None = None,
        labels: tuple[str, str] = ("grid row", "grid column"),
        unit: str | None = None,
    ) -> None:
        self.truth, self.forecast, self.y, self.x, self.labels, self.unit = (
            truth,
            forecast,
            y,
            x,
            labels,
            unit,
        )

    def plot(
        self, steps: Sequence[int] | None = None, *, title: str | None = None, axes: Any = None
    ) -> FieldDisplay:
        """Draw the picture.

        Parameters
        ----------
        steps : sequence of int, optional
            Steps ahead to draw, counted from 1; default the first, the middle and the last.
        {title}
        {axes: three per step}

        Returns
        -------
        FieldDisplay
            This display.
        """
        panels = plot_fields(
            self.truth,
            self.forecast,
            steps=steps,
            y=self.y,
            x=self.x,
            labels=self.labels,
            unit=self.unit,
            axes=axes,
        )
        if axes is None:
            entitle(panels[0, 0].figure, title)
        self.axes_ = panels.ravel()
        return self

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        *,
        steps: Sequence[int] | None = None,
        title: str | None = None,
        axes: Any = None,
        **data: Any,
    ) -> FieldDisplay:
        """Draw a forecast that is there already.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (horizon, n_rows, n_columns)
            Observed field, and the forecast.
        steps, title, axes
            As in `plot`.
        **data
            Further parameters of the display: ``y``, ``x``, ``labels``, ``unit``.

        Returns
        -------
        FieldDisplay
            Drawn.
        """
        return cls(y_true, y_pred, **data).plot(steps, title=title, axes=axes)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        steps: Sequence[int] | None = None,
        title: str | None = None,
        axes: Any = None,
        **data: Any,
    ) -> FieldDisplay:
        """Forecast the last `horizon` time steps of X from those before them, and draw both.

        Parameters
        ----------
        estimator : forecaster of fields
            Fitted on fields; of several features, the first that is forecast is drawn.
        X : array-like or DataArray of shape (n_times, n_rows, n_columns) or (n_times, n_rows, n_columns, n_features)
            Fields.
        steps, title, axes
            As in `plot`.
        **data
            Further parameters of the display: ``y``, ``x``, ``labels``, ``unit``.

        Returns
        -------
        FieldDisplay
            Drawn.

        Raises
        ------
        DataError
            If X holds no fields, or is too short.
        """
        shape = np.shape(X)
        cut = shape[0] - estimator.horizon if len(shape) in (3, 4) else 0
        if cut < 1:
            raise DataError(
                f"X has shape {shape}; needed: (n_times, n_rows, n_columns[, n_features]), more than horizon = "
                f"{estimator.horizon} time steps."
            )
        truth, forecast = (
            np.asarray(X[cut:], dtype=float),
            np.asarray(estimator.predict(X[:cut]), dtype=float),
        )
        if truth.ndim == 4:
            feature = (getattr(estimator, "target_", None) or [0])[0]
            truth, forecast = truth[..., feature], forecast[..., 0]
        return cls(truth, forecast, **data).plot(steps, title=title, axes=axes)


def _checked(truth: np.ndarray, forecast: np.ndarray, steps: Sequence[int] | None) -> list[int]:
    """Steps to draw."""
    if truth.ndim != 3 or truth.shape != forecast.shape or not truth.size:
        raise DataError(
            f"truth has shape {truth.shape}, forecast {forecast.shape}; needed: the same, (horizon, n_rows, n_columns)."
        )
    horizon = len(truth)
    chosen = sorted({1, (horizon + 1) // 2, horizon}) if steps is None else list(steps)
    if not chosen or not all(1 <= step <= horizon for step in chosen):
        raise DataError(f"steps={chosen}; needed: at least one step from 1 to {horizon}.")
    if np.isnan(forecast).all() or np.isnan(truth).all():
        raise DataError("truth or forecast is all NaN; there is nothing to draw.")
    return chosen


def _scales(truth: np.ndarray, forecast: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
    """Limits and colours of fields, and of errors."""
    values = np.concatenate([truth, forecast])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    largest = float(np.nanmax(np.abs(forecast - truth))) or 1.0
    fields = {"vmin": low, "vmax": high if high > low else low + 1, "cmap": "viridis"}
    return fields, {"vmin": -largest, "vmax": largest, "cmap": "PuOr"}


def _extent(
    shape: tuple[int, ...], y: ArrayLike | None, x: ArrayLike | None
) -> tuple[float, float, float, float]:
    """Left, right, bottom and top edge of the grid, half a cell beyond its coordinates; row 0 on top without y."""
    edges = []
    for name, given, length in (("x", x, shape[2]), ("y", y, shape[1])):
        places = np.arange(length, dtype=float) if given is None else np.asarray(given, dtype=float)
        if places.shape != (length,):
            raise DataError(f"{name} has shape {places.shape}; needed: ({length},).")
        half = (places[-1] - places[0]) / max(1, length - 1) / 2 or 0.5
        edges += [float(places[0] - half), float(places[-1] + half)]
    left, right, first, last = edges
    return (left, right, last, first) if y is None else (left, right, first, last)


def _shape_ratio(extent: tuple[float, ...]) -> float:
    """Height of a panel over its width."""
    return abs((extent[3] - extent[2]) / (extent[1] - extent[0]))
