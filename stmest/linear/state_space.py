"""Linear state space models, one for each node: a state that every observation corrects, and forecasts from it.

Exponential smoothing, Theta and ARIMA all have this form. Here they forecast; what they learn is learnt elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.savable import savable

__all__ = ["StateSpace", "stacked"]


@savable
@dataclass(frozen=True)
class StateSpace:
    """State space models of several series, whose parameters are known.

    Attributes
    ----------
    design : ndarray of shape (n_series, k)
        The expected value is this product with the state.
    transition : ndarray of shape (n_series, k, k)
        From one state to the next.
    gain : ndarray of shape (n_series, length, k)
        What the error of the first, second, ... observation adds to the next state (Kalman gain).
    start : ndarray of shape (n_series, k)
        State before the first observation.
    offset : ndarray of shape (n_series, horizon)
        Added to the forecasts.
    """

    design: np.ndarray
    transition: np.ndarray
    gain: np.ndarray
    start: np.ndarray
    offset: np.ndarray

    def forecast(self, x: np.ndarray) -> np.ndarray:
        """Forecast what follows some windows.

        Parameters
        ----------
        x : ndarray of shape (b, length, n_series)
            Observations, NaN where missing: there the state goes on without a correction.

        Returns
        -------
        ndarray of shape (b, horizon, n_series)
            Expected values.
        """
        b, length, n_series = x.shape
        state, series = np.broadcast_to(self.start, (b, *self.start.shape)), np.arange(n_series)
        n_seen = np.zeros((b, n_series), dtype=np.int64)
        for now in x.swapaxes(0, 1):
            error = now - self._expected(state)
            observed = ~np.isnan(error)
            gain = self.gain[series, np.minimum(n_seen, length - 1)]
            state = self._next(state) + np.where(observed, error, 0.0)[..., None] * gain
            n_seen += observed
        forecast = np.empty((b, self.offset.shape[1], n_series))
        for step in range(forecast.shape[1]):
            forecast[:, step] = self._expected(state) + self.offset[:, step]
            state = self._next(state)
        return forecast

    def _expected(self, state: np.ndarray) -> np.ndarray:
        return (state * self.design).sum(-1)

    def _next(self, state: np.ndarray) -> np.ndarray:
        return (self.transition @ state[..., None])[..., 0]


def stacked(models: list[StateSpace]) -> StateSpace:
    """Models of one series each as a model of all of them.

    Parameters
    ----------
    models : list of StateSpace
        At least one; their states may have different sizes.

    Returns
    -------
    StateSpace
        With states of the largest size; what is added to the smaller ones stays 0.
    """
    k = max(model.design.shape[1] for model in models)

    def joined(name: str, n_axes: int) -> np.ndarray:
        parts = []
        for model in models:
            array = getattr(model, name)
            more = k - model.design.shape[1]
            parts.append(np.pad(array, [(0, 0)] * (array.ndim - n_axes) + [(0, more)] * n_axes))
        return np.concatenate(parts)

    axes = {"design": 1, "transition": 2, "gain": 1, "start": 1, "offset": 0}
    return StateSpace(**{name: joined(name, n_axes) for name, n_axes in axes.items()})
