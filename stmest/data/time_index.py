"""Time indexes: which times come next, and whether one index continues another.

Builds on pandas only; used by the containers and the forecasters.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

__all__ = ["follows", "future_index"]


def future_index(index: pd.Index, n_steps: int) -> pd.Index:
    """The index values that follow a time index.

    Parameters
    ----------
    index : pandas.Index
        Datetimes, periods or numbers, in time order.
    n_steps : int
        How many steps to add.

    Returns
    -------
    pandas.Index
        `n_steps` values. Where the index has no regular frequency, its most frequent step is used.

    Examples
    --------
    >>> future_index(pd.RangeIndex(4), 2)
    RangeIndex(start=4, stop=6, step=1)
    """
    last = index[-1]
    if isinstance(index, pd.RangeIndex):
        return pd.RangeIndex(last + index.step, last + index.step * (n_steps + 1), index.step)
    if isinstance(index, pd.PeriodIndex):
        return pd.period_range(last + 1, periods=n_steps, freq=index.freq)
    if isinstance(index, pd.DatetimeIndex):
        freq = index.freq or (pd.infer_freq(index) if len(index) > 2 else None)
        step = freq if freq is not None else _usual_step(index, pd.Timedelta(1, "h"))
        return pd.date_range(last, periods=n_steps + 1, freq=step, name=index.name)[1:]
    step = _usual_step(index, 1)
    return pd.Index([last + step * (i + 1) for i in range(n_steps)], name=index.name)


def follows(earlier: pd.Index | None, later: pd.Index | None) -> bool:
    """Whether one time index begins one step after another ends.

    Parameters
    ----------
    earlier, later : pandas.Index or None
        Two time indexes; None never follows nor is followed.

    Returns
    -------
    bool
        True if the first value of `later` is the step after the last value of `earlier`.
    """
    if (
        earlier is None
        or later is None
        or type(earlier) is not type(later)
        or not len(earlier)
        or not len(later)
    ):
        return False
    try:
        return bool(future_index(earlier, 1)[0] == later[0])
    except TypeError:  # a zoned and an unzoned time cannot be compared: they are no continuation
        return False


def _usual_step(index: pd.Index, default: Any) -> Any:
    """The most frequent difference between neighbours of an index (the smallest of these, where several tie)."""
    if len(index) < 2:
        return default
    return pd.Series(index[1:] - index[:-1]).mode().iloc[0]
