"""Folds of the training data: seasonal means and linear forecasts that did not see what a network learns from.

Builds on `predictor`; used by `stmest.forecasters.network`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..data.panel import Panel
from ..data.splits import Split
from ..graphs import Graph
from ..linear.seasonal_mean import SeasonalProfile, less_season
from ..linear.window_ridge import fit_recipe
from ..training.encoding import Encoding
from .predictor import Predictor

__all__ = ["Folds"]

N_FOLDS = 6


@dataclass(frozen=True, eq=False)
class Folds:
    """Contiguous blocks of the training data, and for each a fit to the others."""

    bounds: np.ndarray
    length: int
    parts: list[tuple[Encoding, Any]]

    @classmethod
    def of(cls, predictor: Predictor, panel: Panel, graph: Graph | None, split: Split) -> Folds | None:
        rule: Any = predictor.rule
        length = predictor.look_back + predictor.horizon
        bounds = np.linspace(0, split.cut, N_FOLDS + 1).round().astype(int)
        if bounds[1] < 2 * length:
            return None
        parts = []
        for first, last in zip(bounds[:-1], bounds[1:], strict=True):
            season = predictor.season
            index = None if panel.index is None else panel.index[: split.cut]
            if season is not None:
                season = SeasonalProfile(season.cycle).fit(panel.values[: split.cut], index, (int(first), int(last)))
            values = less_season(panel, season)
            starts = split.train[(split.train + length <= first) | (split.train >= last)]
            sizes = (predictor.look_back, predictor.horizon)
            linear = fit_recipe(
                rule.linear.recipe, values[: split.cut], predictor.target, *sizes, graph, starts
            )
            parts.append((replace(rule.encoding, linear=linear), values))
        return cls(bounds, length, parts)

    def of_starts(self, starts: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.bounds, starts, "right") - 1

    def inside(self, starts: np.ndarray) -> np.ndarray:
        first = np.searchsorted(self.bounds, starts, "right")
        last = np.searchsorted(self.bounds, starts + self.length - 1, "right")
        return starts[first == last]
