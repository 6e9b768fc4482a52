"""`Rule`: maps the look-back of a window to its horizon; `LinearRule` is the linear forecast alone.

A `Predictor` holds one. Builds on `linear`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..data.savable import savable
from ..data.windows import Older
from ..linear.window_ridge import WindowRidge

__all__ = ["LinearRule", "Rule", "Shapes", "linear_shapes"]

Shapes = dict[str, tuple[np.ndarray, tuple[int, ...]]]


class Rule(ABC):
    """Maps the look-back of a window to its horizon; immutable."""

    linear: WindowRidge | None  # the closed-form part, where there is one

    @abstractmethod
    def forecast(
        self,
        x: np.ndarray,
        time: np.ndarray | None,
        ahead: np.ndarray | None,
        nodes: list[Any] | None,
        older: Older | None = None,
    ) -> np.ndarray:
        """Forecast windows.

        Parameters
        ----------
        x : ndarray of shape (b, t, n, f)
            Look-backs in the units of the data, less the seasonal mean; NaN where missing. Float64 unless the data are float32.
        time : ndarray of shape (b, t + h, c) or None
            Calendar channels.
        ahead : ndarray of shape (b, h, n, c_ahead) or None
            What is known of the target steps beside their times; see `stmest.data.windows.Batch`.
        nodes : list or None
            Names of the nodes, for messages.
        older : Older, optional
            Time steps before the look-backs, less the seasonal mean, for networks that see them.

        Returns
        -------
        ndarray of shape (b, h, n, f_target)
            In the units of the data, less the seasonal mean; finite.
        """

    @abstractmethod
    def shapes(self, n_nodes: int, n_features: int, n_targets: int, look_back: int, horizon: int) -> Shapes:
        """The arrays of the rule, and the shapes that they must have for data of these sizes."""

    def with_linear(self, linear: WindowRidge | None) -> Rule:
        """A copy with another linear forecast."""
        changed: Any = self
        return replace(changed, linear=linear)

    def flaw(self, target: list[int], n_history: int) -> str | None:
        """What in the rule does not fit a predictor of these features and so many kinds of history, or None."""
        own = getattr(self, "target", target)
        return None if own == target else f"its rule forecasts the features {own}; needed: {target}"


@savable
@dataclass(frozen=True)
class LinearRule(Rule):
    """The linear forecast alone.

    Attributes
    ----------
    linear : WindowRidge
        Linear map from look-back to horizon.
    target : list of int
        Positions of the forecast features.
    """

    linear: WindowRidge
    target: list[int]

    def forecast(
        self,
        x: np.ndarray,
        time: np.ndarray | None,
        ahead: np.ndarray | None,
        nodes: list[Any] | None,
        older: Older | None = None,
    ) -> np.ndarray:
        """Forecast windows; see `Rule`."""
        return self.linear.forecast(
            x[..., self.target], None if ahead is None else ahead[..., len(self.target) :]
        )

    def shapes(self, n_nodes: int, n_features: int, n_targets: int, look_back: int, horizon: int) -> Shapes:
        """The weights; see `Rule`."""
        return linear_shapes(self.linear, n_nodes, n_targets, look_back, horizon)


def linear_shapes(linear: WindowRidge, n_nodes: int, n_targets: int, look_back: int, horizon: int) -> Shapes:
    """The arrays of a linear forecast, and the shapes that they must have; see `Rule.shapes`."""
    wanted = linear.shapes(n_nodes, n_targets, look_back, horizon)
    return {f"linear_.{name}": (getattr(linear, name), shape) for name, shape in wanted.items()}
