"""Cuts in time: the validation part of the training data, and the windows of both parts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from ..exceptions import ParameterError

__all__ = ["SELECTION_FRACTION", "Split", "temporal_split", "window_starts"]

# Share of the last time steps on which closed-form parts are chosen, where a forecaster has no validation part of its own
SELECTION_FRACTION = 0.125


def window_starts(n_rows: int, length: int, stride: int = 1) -> np.ndarray:
    """First time steps of all windows of a given length.

    Parameters
    ----------
    n_rows : int
        Time steps of the data.
    length : int
        Time steps of one window.
    stride : int, default=1
        Time steps between the starts of two windows.

    Returns
    -------
    ndarray of int
        Empty where not even one window fits.

    Raises
    ------
    ParameterError
        If `stride` is no integer of at least 1.

    Examples
    --------
    >>> window_starts(6, 4)
    array([0, 1, 2])
    """
    if isinstance(stride, bool) or not isinstance(stride, (int, np.integer)) or stride < 1:
        raise ParameterError(f"stride={stride!r}; needed: an integer of at least 1.")
    return np.arange(0, n_rows - length + 1, min(stride, max(n_rows, 1)))


def temporal_split(
    n_rows: int,
    input_length: int,
    horizon: int,
    validation_fraction: float,
    bounds: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Windows to train on and windows to validate on, cut in time.

    All targets of a validation window lie in the last part of the time steps, all targets of a training window before it;
    the `horizon` - 1 windows whose targets straddle the cut are used by neither. Look-back may reach across the cut.

    Parameters
    ----------
    n_rows : int
        Time steps of the training data.
    input_length, horizon : int
        Time steps of look-back and of forecast.
    validation_fraction : float
        Share of the time steps whose targets are validated on, in [0, 1).
    bounds : ndarray of int, optional
        First time step of every trajectory, and `n_rows`, where there are several: no window crosses a bound, and the cut
        moves to the nearest one (but not to the ends) where the trajectory that it falls in cannot be divided.

    Returns
    -------
    train_starts, validation_starts : ndarray of int
        First time steps of the windows. `validation_starts` is empty, and all windows are for training, where the fraction is
        0 or the series is too short to have a window on both sides.
    cut : int
        First validation time step; `n_rows` where nothing is validated on.
    """
    bounds = np.array([0, n_rows]) if bounds is None else bounds
    starts = _starts_within(bounds, input_length + horizon)
    cut = _cut(bounds, input_length, horizon, validation_fraction)
    # the starts are in order, so that both parts are views of them
    train = starts[: np.searchsorted(starts, cut - input_length - horizon, "right")]
    return train, starts[np.searchsorted(starts, cut - input_length) :], cut


def _cut(bounds: np.ndarray, input_length: int, horizon: int, validation_fraction: float) -> int:
    """First validation time step, without making the windows; the number of time steps where there can be none."""
    n_rows, length = int(bounds[-1]), input_length + horizon
    cut = n_rows - round(validation_fraction * n_rows)
    if len(bounds) > 2:
        cut = _cut_of_trajectories(bounds, cut, length, horizon)
    long_enough = np.diff(bounds) >= length
    first, last = bounds[:-1][long_enough][:1], bounds[1:][long_enough][-1:] - length  # of all windows
    both = (first <= cut - length).any() and (last >= cut - input_length).any()
    return cut if validation_fraction and both else n_rows


def _starts_within(bounds: np.ndarray, length: int) -> np.ndarray:
    """First time steps of the windows that lie within one trajectory."""
    if len(bounds) == 2:
        return window_starts(int(bounds[1]), length)
    return np.concatenate([first + window_starts(last - first, length) for first, last in pairwise(bounds)])


def _cut_of_trajectories(bounds: np.ndarray, cut: int, length: int, horizon: int) -> int:
    """The cut where it leaves windows on both sides within its trajectory, else the nearest inner bound."""
    begin = bounds[bounds <= cut].max()
    end = bounds[np.searchsorted(bounds, begin, "right")] if begin < bounds[-1] else begin
    if cut in (begin, bounds[-1]) or (cut - begin >= length and end - cut >= horizon):
        return cut
    inner = bounds[1:-1]
    return int(inner[np.abs(inner - cut).argmin()])


@dataclass(frozen=True, eq=False)
class Split:
    """The windows of the training data, and where they are cut; made once per fit.

    Attributes
    ----------
    bounds : ndarray of int
        First time step of every trajectory, and the number of all.
    look_back, horizon : int
        Time steps of a window.
    fraction : float
        Share of the time steps to validate on, in [0, 1).
    cut : int
        First time step to validate on; `n_times` where there is no validation part.
    choice : int
        First time step on which closed-form parts are chosen: the cut, or the start of the last eighth where nothing is
        validated; `n_times` where the series is too short for that.

    Notes
    -----
    A long series has many windows, and not every forecaster needs them: their first time steps are made when asked for.
    """

    bounds: np.ndarray
    look_back: int
    horizon: int
    fraction: float
    cut: int
    choice: int

    @classmethod
    def of(
        cls,
        bounds: np.ndarray,
        look_back: int,
        horizon: int,
        fraction: float = SELECTION_FRACTION,
    ) -> Split:
        """Split a panel.

        Parameters
        ----------
        bounds : ndarray of int
            First time step of every trajectory, and the number of all (`Panel.bounds`).
        look_back, horizon : int
            Time steps of a window.
        fraction : float, default=0.125
            Share of the time steps to validate on, in [0, 1).

        Returns
        -------
        Split
            Of these windows.
        """
        cut = _cut(bounds, look_back, horizon, fraction)
        choice = cut if cut < bounds[-1] else _cut(bounds, look_back, horizon, SELECTION_FRACTION)
        return cls(bounds, look_back, horizon, fraction, cut, choice)

    @property
    def starts(self) -> np.ndarray:
        """First time steps of all windows."""
        return _starts_within(self.bounds, self.look_back + self.horizon)

    @property
    def train(self) -> np.ndarray:
        """First time steps of the windows to learn from; see `temporal_split`."""
        return self._parts[0]

    @property
    def validation(self) -> np.ndarray:
        """First time steps of the windows to validate on; see `temporal_split`."""
        return self._parts[1]

    @cached_property
    def _parts(self) -> tuple[np.ndarray, np.ndarray, int]:
        return temporal_split(self.n_times, self.look_back, self.horizon, self.fraction, self.bounds)

    @property
    def n_times(self) -> int:
        """Number of time steps."""
        return int(self.bounds[-1])

    @property
    def validates(self) -> bool:
        """Whether there is a validation part."""
        return self.cut < self.n_times
