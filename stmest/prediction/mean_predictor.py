"""`MeanPredictor`: the weighted mean of the forecasts of several predictors. Builds on `predictor`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ..data.panel import Panel
from ..data.savable import savable
from ..exceptions import ParameterError
from .predictor import BasePredictor
from .rules import Shapes

__all__ = ["MeanPredictor"]


@savable
@dataclass(frozen=True)
class MeanPredictor(BasePredictor):
    """Weighted mean of the forecasts of several predictors of the same data, horizon and target.

    Attributes
    ----------
    look_back : int
        The longest of all members.
    time_features : tuple of str
        Those of all members.
    season : SeasonalProfile or None
        Seasonal mean of the member with the largest weight.
    members : tuple of BasePredictor
        Empty only in pickles and model files, which store the members beside it.
    weights : ndarray of shape (n_members,)
        Not negative; their sum is 1.
    """

    members: tuple[BasePredictor, ...]
    weights: np.ndarray

    @property
    def context_length(self) -> int:
        """Time steps before an origin that a forecast uses where they exist: the most of all members."""
        return max([self.look_back, *(member.context_length for member in self.members)])

    @classmethod
    def of(cls, members: Sequence[BasePredictor], weights: np.ndarray) -> MeanPredictor:
        """The mean of some predictors.

        Parameters
        ----------
        members : sequence of BasePredictor
            At least one; with the same specification, horizon and target.
        weights : ndarray of shape (n_members,)
            Not negative; their sum is 1.

        Returns
        -------
        MeanPredictor
            Of these members.

        Raises
        ------
        ParameterError
            If they differ in nodes, features, horizon or target.
        """
        sizes = [(m.spec.n_nodes, m.spec.n_features, m.horizon, m.target) for m in members]
        if any(size != sizes[0] for size in sizes):
            raise ParameterError(
                f"predictors of different (n_nodes, n_features, horizon, target) have no mean: {sizes}."
            )
        main = members[int(np.argmax(weights))]
        spec = replace(main.spec, fields=any(member.spec.fields for member in members))
        look_back = max(member.look_back for member in members)
        features = tuple(dict.fromkeys(name for member in members for name in member.time_features))
        shared = (spec, look_back, main.horizon, main.target, features, main.season)
        return cls(*shared, tuple(members), weights)

    def forecast(
        self, panel: Panel, starts: np.ndarray, steps: int | None = None, known: np.ndarray | None = None
    ) -> np.ndarray:
        """Forecast from many origins; see `BasePredictor`."""
        used = [pair for pair in zip(self.members, self.weights, strict=True) if pair[1]]
        first = self.forecast_by(used[0][0], panel, starts, steps, known)
        total = first
        for member, weight in used[1:]:  # exact where all of them agree
            total = total + float(weight) * (self.forecast_by(member, panel, starts, steps, known) - first)
        return total

    def forecast_by(
        self,
        member: BasePredictor,
        panel: Panel,
        starts: np.ndarray,
        steps: int | None = None,
        known: np.ndarray | None = None,
    ) -> np.ndarray:
        """Forecast by one member, from the same origins; see `BasePredictor.forecast`.

        A member with a shorter look-back begins later, so that the target steps are the same.
        """
        return member.forecast(panel, starts + (self.look_back - member.look_back), steps, known)

    def residuals(self, panel: Panel) -> np.ndarray:
        """The values of a panel less their seasonal mean; see `BasePredictor`."""
        return replace(self.members[0], season=self.season).residuals(panel)

    def shapes(self) -> Shapes:
        """The arrays of all members; see `BasePredictor`."""
        shapes: Shapes = {"weights_": (self.weights, (len(self.members),))}
        for number, member in enumerate(self.members):
            shapes |= {f"{number}.{name}": array for name, array in member.shapes().items()}
        return shapes

    def flaw(self, index: pd.Index | None) -> str | None:
        """Weights that are none; see `BasePredictor`. The members are looked at by themselves."""
        if not (
            np.isfinite(self.weights).all()
            and (self.weights >= 0).all()
            and abs(self.weights.sum() - 1) < 1e-6
        ):
            return f"weights_ are {self.weights!r}; needed: numbers of at least 0, whose sum is 1"
        return super().flaw(index)

    def with_members(self, members: Sequence[BasePredictor]) -> MeanPredictor:
        """A copy with other predictors of the same members, or without any, for pickles and model files."""
        return MeanPredictor.of(members, self.weights) if members else replace(self, members=())
