"""Errors of rolling forecasts as a score for scikit-learn's searches.

Builds on `metrics`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..exceptions import ParameterError
from ..metrics.point import named_metric

__all__ = ["forecast_scorer"]

_NAMES_OF_SKLEARN = {
    "neg_mean_absolute_error": "mae",
    "neg_mean_squared_error": "mse",
    "neg_root_mean_squared_error": "rmse",
}


def forecast_scorer(metric: str = "mae") -> Callable[..., float]:
    """Scorer for scikit-learn's ``scoring=``: the error of all rolling forecasts in a fold, in raw units.

    In a `Pipeline` a forecaster sees transformed values; the scorer turns truth and forecasts back before it compares
    them, so that candidates with different scalers can be compared at all.

    Parameters
    ----------
    metric : {"mae", "mse", "rmse", "r2"}, default="mae"
        What is measured, also by scikit-learn's name such as ``"neg_mean_absolute_error"``. Errors are negated, because a
        higher score has to be better.

    Returns
    -------
    callable
        ``scorer(estimator, X, y=None) -> float``; can be pickled.

    Raises
    ------
    ParameterError
        If the metric is not known, or (when called) a step of the pipeline cannot be inverted.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from stmest import ForecastSplit, RidgeForecaster
    >>> search = GridSearchCV(RidgeForecaster(), {"alpha": [1.0, 10.0]}, cv=ForecastSplit(3),
    ...                       scoring=forecast_scorer("mae"))
    """
    metric = _NAMES_OF_SKLEARN.get(metric, metric)
    named_metric(metric)
    return _ForecastScorer(metric)


class _ForecastScorer:
    """A class and not a closure, so that searches holding it can be pickled."""

    def __init__(self, metric: str) -> None:
        self.metric = metric

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        before, forecaster = _unwrapped(estimator)
        if before is None:
            truth, forecast = forecaster.predict_windows(X)
        else:
            # `before` is a fitted pipeline of the transformers; it maps rows of (n_nodes,) values
            scaled = forecaster.predict_windows(before.transform(X))
            truth, forecast = (
                np.asarray(before.inverse_transform(values.reshape(-1, values.shape[-1]))).reshape(
                    values.shape
                )
                for values in scaled
            )
        value = named_metric(self.metric)(truth, forecast)
        return value if self.metric == "r2" else -value

    def __repr__(self) -> str:
        return f"forecast_scorer({self.metric!r})"


def _unwrapped(estimator: Any) -> tuple[Any, Any]:
    """The transformers before a forecaster (None where there are none) and the forecaster itself."""
    while hasattr(estimator, "best_estimator_"):  # a fitted search stands for its best candidate
        estimator = estimator.best_estimator_
    if not hasattr(estimator, "steps"):
        return None, estimator
    forecaster = estimator[-1]
    if len(estimator) == 1:
        return None, forecaster
    before = estimator[:-1]
    if not hasattr(before, "inverse_transform"):
        names = [f"{name} ({type(step).__name__})" for name, step in before.steps]
        raise ParameterError(
            f"the steps before the forecaster are {', '.join(names)}, and not all of them have an inverse_transform; "
            "errors in the units of the data need one."
        )
    return before, forecaster
