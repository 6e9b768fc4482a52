"""Cross-fitting: for every training window a seasonal mean and a linear forecast that did not see it.

A network that learns from the residuals of a fit to the same data learns from residuals that are smaller than those it meets
later. So the training part is cut into blocks, and the windows of each block are forecast by a fit to the others. Validation
and forecasts use the fit to all blocks. Builds on `window_ridge` and `seasonal_mean`; used by
the networks and by regressors on windows.

References
----------
Chernozhukov et al., "Double/debiased machine learning for treatment and structural parameters", Econometrics Journal 2018:
cross-fitting. Here blocks are contiguous in time, as neighbouring windows overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ..data.panel import Panel
from ..data.splits import Split
from ..graphs import Graph
from .seasonal_mean import SeasonalProfile, less_season
from .window_ridge import WindowRidge, fit_ensemble

__all__ = ["Folds", "cross_fit"]

N_FOLDS = 6
_LEAST_WINDOWS = 2  # look-backs and horizons that a block has room for; shorter series are not cut


@dataclass(frozen=True, eq=False)
class Folds:
    """Blocks of the training part, and for each a fit to the others.

    Attributes
    ----------
    bounds : ndarray of int
        First time step of every block, and the one after the last.
    fits : list of (SeasonalProfile or None, WindowRidge or None)
        Seasonal mean and linear forecast for the windows of each block.
    """

    bounds: np.ndarray
    fits: list[tuple[SeasonalProfile | None, Any]]

    def block_of(self, steps: np.ndarray) -> np.ndarray:
        """Number of the block in which time steps lie."""
        return np.searchsorted(self.bounds, steps, "right") - 1

    def inside(self, starts: np.ndarray, length: int) -> np.ndarray:
        """Those of some windows that lie within one block.

        Parameters
        ----------
        starts : ndarray of int
            First time steps of windows.
        length : int
            Time steps of a window.

        Returns
        -------
        ndarray of int
            The first time steps that remain.
        """
        return starts[self.block_of(starts) == self.block_of(starts + length - 1)]


def cross_fit(
    panel: Panel,
    season: SeasonalProfile | None,
    linear: WindowRidge | None,
    target: Sequence[int],
    sizes: tuple[int, int],
    graph: Graph | None,
    split: Split,
) -> Folds | None:
    """Fit seasonal mean and linear forecast once without each block of the training part.

    Parameters
    ----------
    panel : Panel
        Training data.
    season : SeasonalProfile or None
        The seasonal mean whose cycle was chosen.
    linear : WindowRidge or None
        The linear forecast whose ensemble was selected; None leaves it out.
    target : sequence of int
        Features that are forecast.
    sizes : (int, int)
        Time steps of look-back and horizon.
    graph : Graph or None
        Graph of the nodes.
    split : Split
        Windows of the training data.

    Returns
    -------
    Folds or None
        Six blocks; None where a block would hold fewer than two windows that do not overlap.
    """
    length, cut = sum(sizes), split.cut
    bounds = np.linspace(0, cut, N_FOLDS + 1).round().astype(np.int64)
    if bounds[1] < _LEAST_WINDOWS * length:
        return None
    index = None if panel.index is None else panel.index[:cut]
    fits = []
    for first, last in pairwise(bounds.tolist()):
        others = season and SeasonalProfile(season.cycle).fit(panel.values[:cut], index, (first, last))
        fit = None
        if linear is not None:
            starts = split.train[(split.train + length <= first) | (split.train >= last)]
            values = less_season(panel, others)[:cut]
            fit = fit_ensemble(linear.spec, values, target, *sizes, graph, starts)
        fits.append((others, fit))
    return Folds(bounds, fits)
