"""What runs around `fit`: the pipeline or the search of scikit-learn, which do not tell their parts so.

They are looked up in the call stack. Nothing is changed by that: it serves messages only. Builds on scikit-learn.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from types import FrameType
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from ..exceptions import ParameterError
from .arguments import warn_of_folds

__all__ = ["in_common_checks", "look_around"]


def look_around(values: np.ndarray, one_series: bool) -> bool:
    """Refuse scorers that need a y, and warn of folds that go back in time and of pipelines that forecast in other units.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_nodes, n_features)
        What `fit` was given.
    one_series : bool
        Whether its rows follow each other in time; folds of many trajectories may be cut anyhow.

    Returns
    -------
    bool
        Whether `fit` belongs to a fold of a search or cross-validation.

    Raises
    ------
    ParameterError
        If that scores with one of scikit-learn's own scorers, such as ``"r2"``.
    """
    in_fold = False
    for frame in _callers():
        name, inside = frame.f_code.co_name, frame.f_locals
        if name == "_fit_and_score":  # of all searches and of cross_validate, also in other processes
            in_fold = True
            _refuse_scorers(inside.get("scorer"))
            if one_series:
                _warn_of_folds(inside["train"], inside["test"])
        elif name == "fit" and isinstance(inside.get("self"), Pipeline):
            _warn_of_other_units(inside["self"], values)
    return in_fold


def in_common_checks() -> bool:
    """Whether one of scikit-learn's common checks runs, which hand a y to every estimator, also to those that have none."""
    return any(frame.f_globals["__name__"] == "sklearn.utils.estimator_checks" for frame in _callers())


def _callers() -> Iterator[FrameType]:
    """Frames of scikit-learn that are running, from the innermost one."""
    frame = inspect.currentframe()
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith("sklearn."):
            yield frame
        frame = frame.f_back


def _warn_of_folds(train: Any, test: Any) -> None:
    first, second = (
        np.flatnonzero(rows) if np.asarray(rows).dtype == bool else np.asarray(rows) for rows in (train, test)
    )
    new = np.setdiff1d(second, first)  # a test part may begin with training rows as its look-back
    if len(new) and len(first) and first.max() > new.min():
        warn_of_folds(stacklevel=5)


def _refuse_scorers(scorer: Any) -> None:
    from sklearn.metrics import (
        get_scorer,
    )  # a search that scores has imported it; others need not wait for it

    of_sklearn = type(get_scorer("r2"))
    several = [part for part in getattr(scorer, "__dict__", {}).values() if isinstance(part, dict)]
    if any(
        isinstance(one, of_sklearn) for one in [scorer, *(one for part in several for one in part.values())]
    ):
        raise ParameterError(
            "scoring was given one of scikit-learn's own scorers, which compare predict(X) with a y row by row; forecasts of a "
            "fold are compared with the later rows of X instead. Use scoring=stmest.forecast_scorer('mae') (or 'mse', 'rmse', "
            "'r2'), or no scoring, which is R^2."
        )


def _warn_of_other_units(pipeline: Pipeline, values: np.ndarray) -> None:
    sample = np.nan_to_num(np.array(values[:2, :, 0], dtype=np.float64))
    scaling = [name for name, step in pipeline.steps[:-1] if _changes(step, sample)]
    if scaling:
        warnings.warn(
            f"the forecasts of this pipeline are in the units that its step {scaling[0]!r} makes, not in those of X. Leave "
            "scaling out, as the forecasters scale by themselves; or turn the forecasts back: "
            "pipeline[:-1].inverse_transform(pipeline.predict(X)).",
            UserWarning,
            stacklevel=4,
        )


def _changes(step: Any, sample: np.ndarray) -> bool:
    """Whether the inverse of a step of a pipeline gives other values than it is given."""
    if not hasattr(step, "inverse_transform"):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about names of columns
            back = np.asarray(step.inverse_transform(sample))
    except ValueError:  # there is no way back, as from an imputer
        return False
    return back.shape != sample.shape or not np.allclose(back, sample)
