"""A rolling-origin splitter for scikit-learn.

Apart from `splits`, which every forecaster needs: scikit-learn's `model_selection` takes a while to import.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.model_selection import BaseCrossValidator, TimeSeriesSplit

from ..exceptions import ParameterError

__all__ = ["ForecastSplit"]


class ForecastSplit(BaseCrossValidator):
    """Rolling-origin splits whose test part includes the look-back that its first forecast needs.

    Like `sklearn.model_selection.TimeSeriesSplit`, but each test part begins `input_length` time steps early, so that
    a forecaster scored on it forecasts every time step of the fold, also where folds are short.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds.
    input_length : int, default=24
        Time steps of look-back of the forecaster.
    test_size : int, optional
        Time steps per test part, without the look-back; default as in `TimeSeriesSplit`.
    gap : int, default=0
        Time steps left out between the training part and the first forecast.

    Examples
    --------
    >>> for train, test in ForecastSplit(n_splits=2, input_length=2).split(np.zeros((9, 1))):
    ...     print(train, test)
    [0 1 2] [1 2 3 4 5]
    [0 1 2 3 4 5] [4 5 6 7 8]
    """

    def __init__(
        self, n_splits: int = 5, *, input_length: int = 24, test_size: int | None = None, gap: int = 0
    ):
        self.n_splits = n_splits
        self.input_length = input_length
        self.test_size = test_size
        self.gap = gap

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield positions in time of training and test parts.

        Parameters
        ----------
        X : array-like of length n_times
            Data in time order.
        y, groups : ignored
            Present for scikit-learn.

        Yields
        ------
        train, test : ndarray of int
            The test part begins with `input_length` time steps of look-back.

        Raises
        ------
        ParameterError
            If the look-back of the first fold would begin before the data.
        """
        folds = TimeSeriesSplit(self.n_splits, test_size=self.test_size, gap=self.gap)
        for train, test in folds.split(X):
            first = test[0] - self.input_length
            if first < 0:
                raise ParameterError(
                    f"the first fold tests from row {test[0]}, but input_length={self.input_length} rows are needed "
                    "before it; use fewer splits, a smaller test_size or more data."
                )
            yield train, np.arange(first, test[-1] + 1)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of folds; the arguments are ignored."""
        return self.n_splits
