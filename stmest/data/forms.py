"""How forecasts become the kind of container that the readings came in.

One small class per kind, without code of its own in its state, so that a `Panel` that holds one can be copied, pickled
and written into a model file. Used by `containers`.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..runtime import require

if TYPE_CHECKING:
    from .panel import Panel

__all__ = ["StackedAlong", "ToArray", "ToLong", "ToTensor", "ToWide", "ToXarray"]


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
        The same dimensions as time, node[, feature] or time, y, x[, feature].
    name : hashable or None
        Name of the array.
    is_field : bool
        Whether the readings lie on a grid.
    coords : tuple of tuple
        Coordinates that a forecast keeps, those of the grid or of the nodes: name, dimensions, values.
    attrs : dict
        Attributes of the array.
    """

    dims: tuple[Hashable, ...]
    order: tuple[Hashable, ...]
    name: Hashable
    is_field: bool = False
    coords: tuple[tuple[Hashable, tuple[Hashable, ...], np.ndarray], ...] = ()
    attrs: dict[str, Any] = field(default_factory=dict)

    def __call__(self, values: np.ndarray, index: pd.Index | None, panel: Panel) -> Any:
        """The values with the coordinates that are known."""
        labels: dict[Hashable, Any] = {self.order[0]: index}
        if not self.is_field:
            labels[self.order[1]] = panel.nodes
        if panel.ndim == 3:
            labels[self.order[-1]] = panel.features
        coords: dict[Hashable, Any] = {name: (dims, values) for name, dims, values in self.coords}
        coords |= {dim: label for dim, label in labels.items() if label is not None}
        xarray = require("xarray", "io")
        array = xarray.DataArray(values, coords=coords, dims=self.order, name=self.name, attrs=self.attrs)
        return array.transpose(*self.dims)


@dataclass(frozen=True)
class StackedAlong:
    """DataArrays of trajectories become one.

    Attributes
    ----------
    label : hashable or pandas.Index
        Dimension of the trajectories, or its labels under its name.
    dims : tuple
        All dimensions in the user's order.
    """

    label: Any
    dims: tuple[Hashable, ...]

    def __call__(self, arrays: list[Any]) -> Any:
        """The arrays along the dimension; where their times differ, those of the first."""
        together = require("xarray", "io").concat(
            arrays, dim=self.label, coords="minimal", compat="override", join="override"
        )
        return together.transpose(*self.dims)
