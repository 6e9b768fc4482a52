"""How forecasts become the kind of container that the readings came in.

One small class per kind, without code of its own in its state, so that a `Panel` that holds one can be copied, pickled
and written into a model file. Used by `containers`.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..runtime import require

if TYPE_CHECKING:
    from .containers import Panel

__all__ = ["ToArray", "ToLong", "ToTensor", "ToWide", "ToXarray"]


@dataclass(frozen=True)
class ToArray:
    """Forecasts stay an ndarray."""

    def __call__(self, values: np.ndarray, index: pd.Index | None, panel: Panel) -> np.ndarray:
        """The values themselves."""
        return values


@dataclass(frozen=True)
class ToTensor:
    """Forecasts become a torch tensor on the CPU."""

    def __call__(self, values: np.ndarray, index: pd.Index | None, panel: Panel) -> Any:
        """The values as a tensor."""
        import torch

        return torch.from_numpy(np.ascontiguousarray(values))


@dataclass(frozen=True)
class ToWide:
    """Forecasts become a DataFrame with a column per node, or per (node, feature)."""

    def __call__(self, values: np.ndarray, index: pd.Index | None, panel: Panel) -> pd.DataFrame:
        """The values under the names of time, nodes and features."""
        columns = (
            panel.nodes if panel.ndim == 2 else pd.MultiIndex.from_product([panel.nodes, panel.features])
        )
        return pd.DataFrame(values.reshape(len(values), -1), index=index, columns=columns)


@dataclass(frozen=True)
class ToLong:
    """Forecasts become a DataFrame with a row per (time, node).

    Attributes
    ----------
    names : tuple
        Names of the two row levels.
    time_level : int
        Which of the two is the time.
    columns : tuple or None
        Order of the columns where time and node are columns; None where they are the row index.
    """

    names: tuple[Hashable, ...]
    time_level: int
    columns: tuple[Hashable, ...] | None

    def __call__(self, values: np.ndarray, index: pd.Index | None, panel: Panel) -> pd.DataFrame:
        """The values, a row per (time, node)."""
        names = [self.names[self.time_level], self.names[1 - self.time_level]]
        rows = pd.MultiIndex.from_product([index, panel.nodes], names=names)
        out = pd.DataFrame(values.reshape(len(rows), -1), index=rows, columns=panel.features)
        if self.time_level == 1:
            out = out.swaplevel().sort_index()
        return out if self.columns is None else out.reset_index()[list(self.columns)]


@dataclass(frozen=True)
class ToXarray:
    """Forecasts become an xarray DataArray.

    Attributes
    ----------
    dims : tuple
        Dimensions in the user's order.
    order : tuple
        The same dimensions as time, node[, feature].
    name : hashable or None
        Name of the array.
    """

    dims: tuple[Hashable, ...]
    order: tuple[Hashable, ...]
    name: Hashable

    def __call__(self, values: np.ndarray, index: pd.Index | None, panel: Panel) -> Any:
        """The values with the coordinates that are known."""
        labels = (index, panel.nodes, panel.features)[: panel.ndim]
        coords = {dim: label for dim, label in zip(self.order, labels, strict=True) if label is not None}
        array = require("xarray", "io").DataArray(values, coords=coords, dims=self.order, name=self.name)
        return array.transpose(*self.dims)
