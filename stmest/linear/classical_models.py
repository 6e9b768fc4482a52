"""Classical models of one series each: exponential smoothing, Theta and ARIMA, fitted by statsmodels.

Each form fits a series, and gives what it has learnt as a `StateSpace`. Builds on `state_space` and on statsmodels, an optional
package.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..data.savable import savable
from ..exceptions import DataError
from ..runtime import require
from .state_space import StateSpace

__all__ = ["Arima", "ClassicalModel", "Level", "Smoothing", "Theta", "candidates", "choose"]

_LEAST_OBSERVED = 10  # values of a series that more than its mean is estimated from
_UNKNOWN = 1e6  # variance of a level of which nothing is known, in units of that of the errors
_TERMS = range(4)
_FAILURES = (ValueError, ArithmeticError, IndexError, np.linalg.LinAlgError)


class ClassicalModel(ABC):
    """A kind of model; as text, its name in the field."""

    @abstractmethod
    def fit(self, y: np.ndarray) -> Any:
        """Estimate the parameters.

        Parameters
        ----------
        y : ndarray of shape (n_times,)
            A series, about standardised; NaN where missing.

        Returns
        -------
        object
            The results of statsmodels, with an `aicc`.
        """

    @abstractmethod
    def space(self, results: Any, length: int, horizon: int) -> StateSpace:
        """What was learnt, for look-backs of a length.

        Parameters
        ----------
        results : object
            From `fit`.
        length, horizon : int
            Time steps of the look-back and of the forecast.

        Returns
        -------
        StateSpace
            Of one series.
        """


@savable
@dataclass(frozen=True)
class Smoothing(ClassicalModel):
    """Exponential smoothing with additive errors, without a season.

    Attributes
    ----------
    trend, damped : bool
        Whether there is a slope, and whether it fades.
    """

    trend: bool = False
    damped: bool = False

    def __str__(self) -> str:
        return f"ETS(A,{('Ad' if self.damped else 'A') if self.trend else 'N'},N)"

    def fit(self, y: np.ndarray) -> Any:
        """Maximum likelihood; see `ClassicalModel`."""
        return self._model(y, "concentrated").fit(disp=False)

    def space(self, results: Any, length: int, horizon: int) -> StateSpace:
        """The level before the look-back is unknown, the slope is as it was in training; see `ClassicalModel`."""
        model = self._model(_any_series(length), "simple")
        model.update(results.params)
        start, variance = np.zeros(model.k_states), [1.0, _UNKNOWN]  # states: the error, the level, the slope
        if self.trend:
            slopes = results.predicted_state[2]
            start[2] = slopes.mean()
            variance.append(slopes.var() / results.scale)
        model.ssm.initialize_known(start, np.diag(variance))
        return _space_of(model.ssm, horizon)

    def _model(self, y: np.ndarray, method: str) -> Any:
        module = require("statsmodels.tsa.statespace.exponential_smoothing", extra="classical")
        return module.ExponentialSmoothing(
            y, trend=self.trend, damped_trend=self.damped, initialization_method=method
        )


@savable
@dataclass(frozen=True)
class Theta(Smoothing):
    """Exponential smoothing, plus half of the slope of a line through the series."""

    def __str__(self) -> str:
        return "Theta"

    def fit(self, y: np.ndarray) -> Any:
        """Maximum likelihood, and least squares for the line; see `ClassicalModel`."""
        results, seen = super().fit(y), np.flatnonzero(np.isfinite(y))
        results.slope = np.polyfit(seen, y[seen], 1)[0]
        return results

    def space(self, results: Any, length: int, horizon: int) -> StateSpace:
        """That of the smoothing, with the drift of the line; see `ClassicalModel`."""
        alpha = float(results.params[0])
        behind = (
            length if alpha < 1e-8 else (1 - (1 - alpha) ** length) / alpha
        )  # time steps that the level lags behind
        drift = results.slope / 2 * (np.arange(horizon) + behind)
        return replace(super().space(results, length, horizon), offset=drift[None])


@savable
@dataclass(frozen=True)
class Arima(ClassicalModel):
    """ARIMA without a constant.

    Attributes
    ----------
    order : tuple of 3 int
        Autoregressive terms, differences, moving-average terms.
    """

    order: tuple[int, int, int]

    def __str__(self) -> str:
        return "ARIMA({},{},{})".format(*self.order)

    def fit(self, y: np.ndarray) -> Any:
        """Maximum likelihood; see `ClassicalModel`."""
        module = require("statsmodels.tsa.arima.model", extra="classical")
        return module.ARIMA(y, order=self.order, trend="n").fit()

    def space(self, results: Any, length: int, horizon: int) -> StateSpace:
        """What is differenced begins at an unknown level, the rest where it is in the long run; see `ClassicalModel`."""
        model = results.model.clone(_any_series(length))
        model.update(results.params)
        return _space_of(model.ssm, horizon)


@savable
@dataclass(frozen=True)
class Level(ClassicalModel):
    """The mean or the last value, for series that nothing else can be estimated from.

    Attributes
    ----------
    follows : bool
        Whether the level is the last value; else it is the mean, 0.
    """

    follows: bool

    def __str__(self) -> str:
        return "last value" if self.follows else "mean"

    def fit(self, y: np.ndarray) -> None:
        """Nothing to estimate."""

    def space(self, results: Any, length: int, horizon: int) -> StateSpace:
        """A level that takes every observation, or none; see `ClassicalModel`."""
        one = np.ones((1, 1))
        gain = np.full((1, length, 1), float(self.follows))
        return StateSpace(one, one[None], gain, 0 * one, np.zeros((1, horizon)))


def candidates(method: str, order: tuple[int, int, int], y: np.ndarray) -> list[ClassicalModel]:
    """The models that a method chooses from.

    Parameters
    ----------
    method : {"ets", "theta", "arima", "auto-arima"}
        As `stmest.ClassicalForecaster` takes it.
    order : tuple of 3 int
        For ``"arima"``.
    y : ndarray of shape (n_times,)
        A series; NaN where missing.

    Returns
    -------
    list of ClassicalModel
        One at least; the mean alone for a series that never changed or has hardly been observed.
    """
    seen = y[np.isfinite(y)]
    if len(seen) < _LEAST_OBSERVED or (seen == seen[0]).all():
        return [Level(follows=False)]
    if method == "ets":
        return [Smoothing(), Smoothing(trend=True), Smoothing(trend=True, damped=True)]
    if method == "theta":
        return [Theta()]
    if method == "arima":
        return [Arima((int(order[0]), int(order[1]), int(order[2])))]  # a list will do as well
    kpss = require("statsmodels.tsa.stattools", extra="classical").kpss
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the p-value lies outside of a table
        statistic, _, _, limits = kpss(seen)
    return [Arima((p, int(statistic > limits["5%"]), q)) for p in _TERMS for q in _TERMS]


def choose(y: np.ndarray, models: list[ClassicalModel]) -> tuple[ClassicalModel, Any]:
    """The model with the least AICc, fitted.

    Parameters
    ----------
    y : ndarray of shape (n_times,)
        A series; NaN where missing.
    models : list of ClassicalModel
        One at least.

    Returns
    -------
    model : ClassicalModel
        One of them.
    results : object
        From its `fit`.

    Raises
    ------
    DataError
        If none can be fitted.
    """
    if len(models) == 1 and isinstance(models[0], Level):
        return models[0], None
    done: list[tuple[float, ClassicalModel, Any]] = []
    problem = "the likelihood is not finite"
    for model in models:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of starting values, and of a search that ended early
                results = model.fit(y)
        except _FAILURES as error:
            problem = f"{type(error).__name__}: {error}"
            continue
        if np.isfinite(results.aicc) and np.isfinite(results.params).all():
            done.append((float(results.aicc), model, results))
    if not done:
        raise DataError(f"{models[0]} could not be fitted: {problem}.")
    _, model, results = min(done, key=lambda one: one[0])
    return model, results


def _any_series(length: int) -> np.ndarray:
    """A series of a length: what a model learns from an error does not depend on the values."""
    return np.cos(np.arange(length, dtype=float))


def _space_of(model: Any, horizon: int) -> StateSpace:
    """The arrays of a state space model of statsmodels, over a series of the length of a look-back."""
    filtered = model.filter()
    return StateSpace(
        design=np.array(model["design"], dtype=float),
        transition=np.array(model["transition"], dtype=float)[None],
        gain=np.moveaxis(filtered.kalman_gain[:, 0], 0, 1)[None],
        start=np.array(filtered.initial_state, dtype=float)[None],
        offset=np.zeros((1, horizon)),
    )
