"""`InputSpec`: what a forecaster was fitted to, and the check that later data are of the same kind.

Builds on `containers`; made by `fit`, kept in every `Predictor`.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from ..exceptions import DataError
from .containers import as_panel
from .panel import Panel, join_panels
from .savable import savable
from .time_frequency import frequency, positions
from .time_index import zone_name

__all__ = ["InputSpec"]


@savable
@dataclass(frozen=True)
class InputSpec:
    """Nodes, features and time of the data that a forecaster was fitted to.

    Attributes
    ----------
    nodes : list or None
        Names of the nodes, where the data name them.
    n_nodes, n_features : int
        Numbers of nodes and of features per node.
    ndim : int
        2 if the container had no feature axis, else 3.
    grid : tuple of int or None
        Rows and columns of a field.
    zone : str or None
        Time zone in which seasons and calendar count.
    freq : str, Timedelta, number or None
        Time from one time step to the next; None where there is no index.
    fields : bool
        Whether an array of three axes is a field (n_times, n_y, n_x).
    reading : str or None
        How the times were read, where they could be read in several ways; later ones are read alike.
    is_regular : bool
        Whether the time steps follow each other at `freq` without a gap (that `fit` did not fill), so that gaps of later data are
        filled too.
    n_filled : int
        How many time steps `fit` found missing, and put NaN for.
    """

    nodes: list[Hashable] | None
    n_nodes: int
    n_features: int
    ndim: int
    grid: tuple[int, int] | None
    zone: str | None
    freq: Any
    fields: bool
    reading: str | None = None
    is_regular: bool = False
    n_filled: int = 0

    @classmethod
    def of(cls, panel: Panel, fields: bool = False) -> InputSpec:
        """The specification of a panel.

        Parameters
        ----------
        panel : Panel
            Training data.
        fields : bool, default=False
            How later arrays of three axes are to be understood.

        Returns
        -------
        InputSpec
            What later data are compared with.
        """
        n_nodes, n_features = panel.values.shape[1:]
        parts = panel.parts or (panel,)
        freq = frequency(parts[0].index) if panel.freq is None else panel.freq
        return cls(
            panel.nodes, n_nodes, n_features, panel.ndim, panel.grid, zone_name(panel.index), freq, fields, panel.reading,
            all(_is_regular(part.index, freq) for part in parts), panel.n_filled,
        )  # fmt: skip

    def check(self, panel: Panel) -> None:
        """Refuse another grid, or another number of features.

        Parameters
        ----------
        panel : Panel
            Later data.

        Raises
        ------
        DataError
            Saying what differs.
        """
        panel.check_grid(self.grid)
        if panel.values.shape[2] != self.n_features:
            raise DataError(
                f"X has {panel.values.shape[2]} features per node (shape {panel.values.shape}); the forecaster was fitted "
                f"with {self.n_features}."
            )

    def read(self, X: Any) -> Panel:
        """Turn later data into a panel whose nodes lie as those of the training data.

        Parameters
        ----------
        X : Panel, or any container that `as_panel` takes
            Later data.

        Returns
        -------
        Panel
            With the nodes in the order of the training data, and with their frequency.

        Raises
        ------
        DataError
            If the container cannot be read, or nodes, features or grid differ.
        """
        panel = X if isinstance(X, Panel) else as_panel(X, fields=self.fields, reading=self.reading)
        self.check(panel)
        if panel.values.shape[1] != self.n_nodes:
            raise DataError(
                f"X has {panel.values.shape[1]} nodes; the forecaster was fitted with {self.n_nodes}."
            )
        if panel.nodes is not None and self.nodes is not None and panel.nodes != self.nodes:
            panel = panel.with_nodes(self.nodes)
        parts = [replace(part, freq=self.freq) for part in panel.parts]
        if not self.is_regular:
            return replace(panel, freq=self.freq, parts=tuple(parts))
        if not parts:
            return replace(panel, freq=self.freq).with_missing_rows(self.freq)
        whole = [part.with_missing_rows(self.freq) for part in parts]
        if all(one is other for one, other in zip(whole, parts, strict=True)):
            return replace(panel, freq=self.freq, parts=tuple(parts))
        return replace(join_panels(whole, panel.gathered), freq=self.freq)


def _is_regular(index: pd.Index | None, freq: Any) -> bool:
    """Whether an index has one time for each step of a frequency."""
    places = None if index is None else positions(index, freq)
    return places is not None and int(places[-1]) + 1 == len(places)
