"""What training saw of single nodes: which of them never changed, and which were never observed.

A node that never changed is forecast as it is. A node that was never observed is forecast as the average of the others; once it
is observed, by its own values. `Predictor` sees to both, for all forecasters alike. Builds on `scaling`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .chunks import row_chunks
from .moments import first_observed, mean_of_observed
from .savable import savable
from .scaling import NodeScaler

__all__ = ["NodeRecord"]


@savable
@dataclass(frozen=True)
class NodeRecord:
    """Nodes that are forecast in another way than the rest.

    Attributes
    ----------
    constant : ndarray of shape (n_nodes, n_features)
        Value of the nodes that never changed, less the seasonal mean; NaN for all others.
    level : ndarray of shape (n_nodes, n_features)
        Mean of the other nodes, less the seasonal mean, for the nodes that were never observed; NaN for all others.
    """

    constant: np.ndarray
    level: np.ndarray

    @classmethod
    def of(cls, values: Any) -> NodeRecord | None:
        """The record of training data.

        Parameters
        ----------
        values : array-like of shape (n_times, n_nodes, n_features)
            Less the seasonal mean; NaN where missing. Read in chunks, until all nodes have changed.

        Returns
        -------
        NodeRecord or None
            None where all nodes changed, or none was observed.
        """
        first = first_observed(values)
        seen = np.isfinite(first)
        changed = np.zeros_like(seen)
        for _, chunk in row_chunks(values):
            rows = np.asarray(chunk, dtype=np.float64)
            changed |= ((rows != first) & ~np.isnan(rows)).any(0)
            if changed.all():
                return None
        if not seen.any():
            return None
        constant = np.where(seen & ~changed, first, np.nan)
        center = first if seen.all() else NodeScaler("standard").fit(values).center
        return cls(constant, np.where(seen, np.nan, center))

    @property
    def seen(self) -> np.ndarray:
        """Whether a node was observed: (n_nodes, n_features)."""
        return np.isnan(self.level)

    def shift(self, x: np.ndarray) -> np.ndarray:
        """How far nodes that were never observed in training lie above the others in their look-backs.

        Parameters
        ----------
        x : ndarray of shape (b, t, n_nodes, n_features)
            Look-backs less the seasonal mean.

        Returns
        -------
        ndarray of shape (b, n_nodes, n_features)
            0 where a node was observed in training, or is not observed here either.
        """
        shift = np.zeros((len(x), *self.level.shape))
        new = ~self.seen.all(1)
        if new.any():
            shift[:, new] = np.nan_to_num(mean_of_observed(x[:, :, new], axis=1) - self.level[new])
        return shift

    def silent(self, x: np.ndarray) -> np.ndarray:
        """Which nodes are observed neither in training nor in some look-backs: (b, n_nodes, n_features)."""
        return ~self.seen & np.isnan(x).all(1)

    def still(self, x: np.ndarray) -> np.ndarray:
        """Which nodes have never changed, and do not in some look-backs: (b, n_nodes, n_features)."""
        return ((x == self.constant[None, None]) | np.isnan(x)).all(1) & ~np.isnan(self.constant)

    def averaged(self, forecast: np.ndarray, silent: np.ndarray, target: list[int]) -> np.ndarray:
        """Forecasts in which some nodes have the average of those that were observed in training.

        Parameters
        ----------
        forecast : ndarray of shape (b, h, n_nodes, n_targets)
            In the units of the data.
        silent : ndarray of shape (b, n_nodes, n_features)
            Which nodes, from `silent`.
        target : list of int
            Positions of the forecast features.

        Returns
        -------
        ndarray of the same shape
            As it was for a feature of which no node was observed.
        """
        others = mean_of_observed(np.where(self.seen[:, target], forecast, np.nan), axis=2)[:, :, None]
        return np.where(silent[:, None][..., target] & np.isfinite(others), others, forecast)
