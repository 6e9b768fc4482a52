"""`InputSpec`: what a forecaster was fitted to, and the check that later data are of the same kind.

Builds on `containers`; made by `fit`, kept in every `Predictor`.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

from ..exceptions import DataError
from .containers import as_panel
from .panel import Panel
from .savable import savable
from .time_index import frequency, zone_name

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
    """

    nodes: list[Hashable] | None
    n_nodes: int
    n_features: int
    ndim: int
    grid: tuple[int, int] | None
    zone: str | None
    freq: Any
    fields: bool

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
        first = panel.parts[0] if panel.parts else panel
        freq = frequency(first.index)
        zone = zone_name(panel.index)
        return cls(panel.nodes, n_nodes, n_features, panel.ndim, panel.grid, zone, freq, fields)

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
        panel = X if isinstance(X, Panel) else as_panel(X, fields=self.fields)
        self.check(panel)
        if panel.values.shape[1] != self.n_nodes:
            raise DataError(
                f"X has {panel.values.shape[1]} nodes; the forecaster was fitted with {self.n_nodes}."
            )
        if panel.nodes is not None and self.nodes is not None and panel.nodes != self.nodes:
            panel = panel.with_nodes(self.nodes)
        parts = tuple(replace(part, freq=self.freq) for part in panel.parts)
        return replace(panel, freq=self.freq, parts=parts)
