"""Forecasts of any number of steps: direct up to the horizon, from the forecaster's own forecasts beyond.

Builds on the panels and on what `base` offers of windows; used by `predict` and `predict_windows`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.panel import Panel
from ..exceptions import DataError, ParameterError

__all__ = ["checked_steps", "last_rows", "roll_out"]


def checked_steps(forecaster: Any, steps: int | None) -> int:
    """How many steps to forecast.

    Parameters
    ----------
    forecaster : BaseForecaster
        A fitted forecaster.
    steps : int or None
        What the user wants; None is the horizon.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ParameterError
        If `steps` is no integer of at least 1, or lies beyond the horizon although the forecaster does not forecast
        all of its inputs.
    """
    if steps is None:
        return int(forecaster.horizon)
    if not isinstance(steps, (int, np.integer)) or isinstance(steps, bool) or steps < 1:
        raise ParameterError(f"steps={steps!r}; needed: an integer of at least 1, or None for the horizon.")
    n_inputs, n_targets = forecaster.n_inputs_, len(set(forecaster.target_))
    if steps > forecaster.horizon and n_targets < n_inputs:
        raise ParameterError(
            f"steps={steps} lies beyond horizon={forecaster.horizon}, where forecasts are made from forecasts, but only "
            f"{n_targets} of the {n_inputs} input features are forecast. Use target=None, a longer horizon, or "
            f"steps of at most {forecaster.horizon}."
        )
    return int(steps)


def last_rows(forecaster: Any, panel: Panel) -> Panel:
    """The look-back of a forecast after the last row (of every trajectory).

    Parameters
    ----------
    forecaster : BaseForecaster
        A fitted forecaster.
    panel : Panel
        What the user gave.

    Returns
    -------
    Panel
        As many rows as the forecaster needs, of every trajectory.

    Raises
    ------
    DataError
        If there are fewer.
    """
    needed = forecaster._context_length
    if panel is getattr(forecaster, "context_", None) and panel.n_times == needed:
        return panel  # the forecaster knows the phase of these very rows
    for number, part in enumerate(panel.parts or (panel,)):
        if part.n_times < needed:
            which = f"trajectory {number} of X" if panel.parts else "X"
            raise DataError(
                f"{which} has {part.n_times} rows; {type(forecaster).__name__} needs at least {needed} rows of "
                "look-back to forecast."
            )
    return panel.tails(needed)


def roll_out(
    forecaster: Any, panel: Panel, starts: np.ndarray, steps: int, known: np.ndarray | None = None
) -> np.ndarray:
    """Forecast from many origins, each from the look-back that begins at its start and from nothing after it.

    Parameters
    ----------
    forecaster : BaseForecaster
        A fitted forecaster.
    panel : Panel
        Readings.
    starts : ndarray of int
        First row of the look-back of each origin.
    steps : int
        Steps to forecast.
    known : ndarray of shape (n_known, n_nodes, n_features), optional
        What is known of the rows after a single origin, for features that are not forecast; NaN elsewhere.

    Returns
    -------
    ndarray of shape (n_origins, steps, n_nodes, n_targets)
        Forecasts in the units of the data. Beyond the horizon, all origins of a batch go on together.
    """
    n_past, horizon = forecaster._context_length, forecaster.horizon
    n_rounds = -(-steps // horizon)
    phases = _row_phases(forecaster, panel)
    batches = []
    for first in range(0, len(starts), forecaster._windows_at_once):
        batch = starts[first : first + forecaster._windows_at_once]
        rows = panel.unrolled(batch, n_past, n_rounds * horizon)
        if known is not None:
            ahead_of_all = rows.values[n_past:]
            ahead_of_all[: len(known)] = known[: len(ahead_of_all)]
        begins = np.arange(len(batch)) * (n_past + n_rounds * horizon)
        inside = np.arange(n_past + n_rounds * horizon)
        clock = (
            None
            if phases is None
            else ((phases[batch][:, None] + inside) % len(forecaster.profile_.table)).ravel()
        )
        forecasts = []
        for origin in range(0, n_rounds * horizon, horizon):
            windows = forecaster._windows(rows, begins + origin, False, clock)
            forecasts.append(forecaster._forecast_windows(windows))
            if origin + horizon < steps:
                ahead = (begins + origin + n_past)[:, None] + np.arange(horizon)
                rows.values[ahead[..., None], :, forecaster.target_] = forecasts[-1].transpose(0, 1, 3, 2)
        batches.append(np.concatenate(forecasts, axis=1)[:, :steps])
    return np.concatenate(batches)


def _row_phases(forecaster: Any, panel: Panel) -> np.ndarray | None:
    """Phase of every row in the seasonal profile, not wrapped; None where there is no profile, or an index tells it."""
    profile = forecaster.profile_
    if profile is None or panel.index is not None:
        return None
    known = panel is forecaster.context_
    parts = panel.parts or (panel,)
    first = [forecaster._context_phase if known else profile.matched_phase(part.values) for part in parts]
    return np.concatenate([phase + np.arange(part.n_times) for phase, part in zip(first, parts, strict=True)])
