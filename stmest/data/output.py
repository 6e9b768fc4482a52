"""How forecasts become the kind of container that the user gave.

One small class per kind, without code of its own in its state, so that a `Panel` that holds one can be copied, pickled
and written into a model file. Used by `containers`, `fields` and `panel`.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ..runtime import require
from .savable import savable

# Dimension along which the variables of a Dataset lie
VARIABLE = "variable of the dataset"

__all__ = [
    "VARIABLE",
    "AlongDimension",
    "AsList",
    "AsTuple",
    "Stacked",
    "ToArray",
    "ToDataset",
    "ToLong",
    "ToTable",
    "ToTensor",
    "ToWide",
    "ToXarray",
]


@savable
@dataclass(frozen=True)
class ToArray:
    """Forecasts stay an ndarray."""

    def __call__(self, values: np.ndarray, index: pd.Index | None, panel: Any) -> np.ndarray:
        """The values themselves."""
        return values


@savable
@dataclass(frozen=True)
class ToTensor:
    """Forecasts become a torch tensor on the CPU."""

    def __call__(self, values: np.ndarray, index: pd.Index | None, panel: Any) -> Any:
        """The values as a tensor."""
        import torch

        return torch.from_numpy(np.ascontiguousarray(values))


@savable
@dataclass(frozen=True)
class ToWide:
    """Forecasts become a DataFrame with a column per node, or per (node, feature).

    Attributes
    ----------
    node_level : int, default=0
        Which level of the column pairs is the node.
    names : tuple, optional
        Names of the levels of the columns, in the user's order; default: none.
    """

    node_level: int = 0
    names: tuple[Hashable, ...] = ()

    def named_like(self, earlier: Any) -> ToWide:
        """The same with the names of an earlier one where this has none."""
        alike = isinstance(earlier, ToWide) and earlier.node_level == self.node_level
        return replace(self, names=earlier.names) if alike and not self.names else self

    def __call__(self, values: np.ndarray, index: pd.Index | None, panel: Any) -> pd.DataFrame:
        """The values under the names of time, nodes and features."""
        columns = (
            panel.nodes if panel.ndim == 2 else pd.MultiIndex.from_product([panel.nodes, panel.features])
        )
        out = pd.DataFrame(values.reshape(len(values), -1), index=index, columns=columns)
        if self.node_level and panel.ndim > 2:
            out = out.swaplevel(axis=1)[[(f, node) for f in panel.features for node in panel.nodes]]
        if self.names:
            out.columns.names = self.names
        return out


@savable
@dataclass(frozen=True)
class ToTable:
    """Forecasts become a table of polars, else of pyarrow, with the times in a column.

    Attributes
    ----------
    library : str
        Whose table the user gave.
    time : hashable or None
        Name of the column of times; None where there is none, and for long tables.
    inner : ToWide or ToLong
        Makes the same table for pandas.
    """

    library: str
    time: Hashable | None
    inner: ToWide | ToLong

    def __call__(self, values: np.ndarray, index: pd.Index | None, panel: Any) -> Any:
        """The values, with a column of times in front where the user's table had one."""
        frame = self.inner(values, index, panel)
        if self.time is not None:
            frame = frame.rename_axis(index=self.time).reset_index()
        pyarrow = require("pyarrow", "io")
        table = pyarrow.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
        library = sys.modules.get(self.library)  # whoever gave such a table has imported it
        return library.DataFrame(table) if self.library == "polars" and library is not None else table


@savable
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
    column_name : hashable, optional
        Name of the columns as a whole.
    """

    names: tuple[Hashable, ...]
    time_level: int
    columns: tuple[Hashable, ...] | None
    column_name: Hashable = None

    def named_like(self, earlier: Any) -> ToLong:
        """The same with the names of an earlier one where this has none."""
        if not isinstance(earlier, ToLong) or earlier.time_level != self.time_level:
            return self
        names = tuple(
            known if name is None else name for name, known in zip(self.names, earlier.names, strict=True)
        )
        column_name = earlier.column_name if self.column_name is None else self.column_name
        return replace(self, names=names, column_name=column_name)

    def __call__(self, values: np.ndarray, index: pd.Index | None, panel: Any) -> pd.DataFrame:
        """The values, a row per (time, node)."""
        names = [self.names[self.time_level], self.names[1 - self.time_level]]
        rows = pd.MultiIndex.from_product([index, panel.nodes], names=names)
        out = pd.DataFrame(values.reshape(len(rows), -1), index=rows, columns=panel.features)
        if self.time_level == 1:
            out = out.swaplevel().sort_index()
        out = out if self.columns is None else out.reset_index()[list(self.columns)]
        return out.rename_axis(columns=self.column_name)


@savable
@dataclass(frozen=True)
class ToXarray:
    """Forecasts become an xarray DataArray.

    Attributes
    ----------
    dims : tuple
        Dimensions as the user ordered them, without that of the trajectories.
    order : tuple
        Time; then node, or y and x; then the feature, where there is one.
    is_field : bool
        Whether the values lie on a grid.
    coords : dict
        Dimensions and values of each coordinate of the cells or nodes, which a forecast keeps.
    name, attrs : hashable, dict
        Of the DataArray.
    """

    dims: tuple[Hashable, ...]
    order: tuple[Hashable, ...]
    is_field: bool
    coords: dict[Hashable, tuple[tuple[Hashable, ...], Any]]
    name: Hashable
    attrs: dict[str, Any]

    def __call__(self, values: np.ndarray, index: pd.Index | None, panel: Any) -> Any:
        """The values with the coordinates that are known."""
        coords: dict[Hashable, Any] = dict(self.coords)
        if not self.is_field and panel.nodes is not None:
            coords[self.order[1]] = panel.nodes  # they may have been put into another order
        if index is not None:
            coords[self.order[0]] = index
        if panel.features is not None:
            coords[self.order[-1]] = panel.features
        xarray = require("xarray", "io")
        array = xarray.DataArray(values, coords, self.order, name=self.name, attrs=self.attrs)
        return array.transpose(*self.dims)


@savable
@dataclass(frozen=True)
class ToDataset:
    """Forecasts become an xarray Dataset with a variable per feature.

    Attributes
    ----------
    names : tuple
        Names of the variables, in their order; one only where the values have no axis of features.
    inner : callable
        Makes the same DataArray.
    """

    names: tuple[Hashable, ...]
    inner: Any

    def __call__(self, *forecast: Any) -> Any:
        """The variables that are forecast."""
        array = self.inner(*forecast)
        if len(self.names) == 1:
            return array.to_dataset(name=self.names[0])
        return array.to_dataset(dim=VARIABLE)


@savable
@dataclass(frozen=True)
class AsList:
    """The forecasts of several trajectories stay a list."""

    def __call__(self, forecasts: list[Any]) -> Any:
        """The list itself."""
        return forecasts


@savable
@dataclass(frozen=True)
class AsTuple:
    """The forecasts of several trajectories become a tuple."""

    def __call__(self, forecasts: list[Any]) -> Any:
        """The same forecasts."""
        return tuple(forecasts)


@savable
@dataclass(frozen=True)
class Stacked:
    """The forecasts of several trajectories become one array or tensor, with the trajectories as first axis."""

    def __call__(self, forecasts: list[Any]) -> Any:
        """One array or tensor."""
        if isinstance(forecasts[0], np.ndarray):
            return np.stack(forecasts)
        import torch

        return torch.stack(forecasts)


@savable
@dataclass(frozen=True)
class AlongDimension:
    """The forecasts of several trajectories become one DataArray.

    Attributes
    ----------
    label : hashable or pandas.Index
        Dimension of the trajectories, or their names along it.
    dims : tuple
        Dimensions as the user ordered them.
    """

    label: Any
    dims: tuple[Hashable, ...]

    def __call__(self, forecasts: list[Any]) -> Any:
        """One DataArray."""
        xarray = require("xarray", "io")
        together = xarray.concat(
            forecasts, dim=self.label, coords="minimal", compat="override", join="override"
        )
        return together.transpose(*self.dims)
