"""What a comparison found: rows, table, text, JSON, and a few forecasts for pictures.

Builds on `tables`; made by `report.compare`, read by the command line and the plots.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ..graphs import Graph
from .tables import aligned_table, filled_rows, finite_or_none, html_table, outlier_hint, plain
from .verdict import Verdict, judge

__all__ = ["ModelResult", "Report", "Sample"]


@dataclass
class ModelResult:
    """What one forecaster reached.

    Attributes
    ----------
    name : str
        Name of the row.
    scores : dict of str to float
        "MAE", "RMSE", "MASE", "R2" over all test windows, nodes and steps; empty if the forecaster failed.
    horizon_mae : ndarray of shape (horizon,) or None
        Mean absolute error of each step by itself.
    node_mae : ndarray of shape (n_nodes,) or None
        Mean absolute error of each node; NaN for nodes without an observed target.
    node_mase : ndarray of shape (n_nodes,) or None
        MASE of each node; NaN for nodes without an observed target, and for those that never change.
    origin_mae : ndarray of shape (n_windows,) or None
        Mean absolute error of each test window, for `stmest.evaluation.diebold_mariano`; not in `Report.to_dict`.
    coverage : float or None
        Share of the observed targets that lie within the prediction intervals, over origins spread over the test part; None
        where there are no intervals. `Report.settings` has the share that they are to contain, and the number of origins.
    node_coverage : ndarray of shape (n_nodes,) or None
        The same of each node.
    fit_seconds, predict_ms : float or None
        Seconds to fit, milliseconds to forecast one window (all nodes and steps).
    n_parameters : int or None
        Trained numbers; None if the forecaster does not count them.
    parameters : dict
        Constructor parameters, as JSON can hold them.
    network : bool
        Whether the forecaster trains a network, or has a member that does.
    note : str or None
        What there is to know of the forecast beside its errors: "kept the linear forecast" where the network added nothing.
    error : str or None
        What went wrong, if something did.
    forecaster : object or None
        The fitted forecaster.
    """

    name: str
    scores: dict[str, float] = field(default_factory=dict)
    horizon_mae: np.ndarray | None = None
    node_mae: np.ndarray | None = None
    node_mase: np.ndarray | None = None
    origin_mae: np.ndarray | None = field(default=None, repr=False)
    coverage: float | None = None
    node_coverage: np.ndarray | None = None
    fit_seconds: float | None = None
    predict_ms: float | None = None
    n_parameters: int | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    network: bool = False
    note: str | None = None
    error: str | None = None
    forecaster: Any = field(default=None, repr=False)


@dataclass
class Sample:
    """Truth and forecasts of one origin, for pictures.

    Attributes
    ----------
    row : int
        Position in time of the first forecast step.
    history : ndarray of shape (n_history, n_nodes[, n_targets])
        Values before it.
    truth : ndarray of shape (horizon, n_nodes[, n_targets])
        Values that were to be forecast; NaN where they are not known.
    forecasts : dict of str to ndarray of shape (horizon, n_nodes[, n_targets])
        Forecasts by name.
    intervals : dict of str to (lower, upper)
        Bounds of the forecasts that have any, each of shape (horizon, n_nodes[, n_targets]); their coverage is in
        `Report.settings`.
    time : pandas.Index or None
        Times of history and truth, one after the other.
    """

    row: int
    history: np.ndarray
    truth: np.ndarray
    forecasts: dict[str, np.ndarray]
    intervals: dict[str, tuple[np.ndarray, np.ndarray]]
    time: pd.Index | None


@dataclass
class Report:
    """Result of `compare`.

    Attributes
    ----------
    rows : list of ModelResult
        One per forecaster, in the order given.
    data : dict
        See `stmest.evaluation.summary.summarise`.
    settings : dict
        Cut, horizon, season, number of windows, coverage of the intervals.
    machine : dict
        See `stmest.evaluation.machine.describe_machine`.
    unit : str or None
        Unit of the values.
    nodes : list
        Names (or positions) of the nodes.
    samples : list of Sample
        Truth and forecasts of a few origins spread over the test part.
    created : str
        When, in UTC.
    future : Sample or None
        Forecasts of the steps after the last time step, by the forecasters as they were fitted on the first part.
    graph : Graph or None
        The graph that all forecasters were given.
    coordinates : ndarray of shape (n_nodes, 2) or None
        Latitude and longitude, or any x and y, of the nodes; NaN where they are not known.
    """

    rows: list[ModelResult]
    data: dict[str, Any]
    settings: dict[str, Any]
    machine: dict[str, Any]
    unit: str | None
    nodes: list[Any]
    samples: list[Sample] = field(repr=False)
    created: str
    future: Sample | None = field(default=None, repr=False)
    graph: Graph | None = field(default=None, repr=False)
    coordinates: np.ndarray | None = field(default=None, repr=False)

    def __getitem__(self, name: str) -> ModelResult:
        """Row of the forecaster of that name."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    @property
    def steps(self) -> list[int]:
        """Steps ahead whose errors the table shows: a third, two thirds and the end of the horizon."""
        horizon = self.settings["horizon"]
        return sorted({math.ceil(horizon / 3), math.ceil(2 * horizon / 3), horizon})

    def to_frame(self) -> pd.DataFrame:
        """Return the table: one row per forecaster; NaN where it failed, with the reason in the column `error`.

        Returns
        -------
        DataFrame
            Columns MAE, RMSE, MASE, R2, ``MAE@step`` (three steps ahead), fit_seconds, predict_ms, n_parameters, note and
            error.
        """
        records = {}
        for row in self.rows:
            steps = {
                f"MAE@{s}": np.nan if row.horizon_mae is None else row.horizon_mae[s - 1] for s in self.steps
            }
            records[row.name] = {
                **{key: row.scores.get(key, np.nan) for key in ("MAE", "RMSE", "MASE", "R2")},
                **steps,
                "fit_seconds": np.nan if row.fit_seconds is None else row.fit_seconds,
                "predict_ms": np.nan if row.predict_ms is None else row.predict_ms,
                "n_parameters": pd.NA if row.n_parameters is None else row.n_parameters,
            }
        frame = pd.DataFrame.from_dict(records, orient="index").rename_axis("model")
        frame["note"] = pd.Series([row.note for row in self.rows], index=frame.index, dtype=object)
        frame["error"] = pd.Series([row.error for row in self.rows], index=frame.index, dtype=object)
        return frame.astype({"n_parameters": "Int64"})

    def verdict(self) -> Verdict:
        """Return which forecaster is best, by how much, and whether that may be chance.

        Returns
        -------
        Verdict
            Names, numbers, and sentences in `text`.

        Notes
        -----
        `stmest.evaluation.blocked_diebold_mariano` tests the differences of the errors of the test windows, in blocks of two
        seasons (or two horizons, if longer), with p values adjusted by Holm's method for all forecasters.
        """
        return judge(self.rows, self.settings)

    def to_text(self) -> str:
        """Return the table as text, with its units and with the reasons of failures beneath it.

        Returns
        -------
        str
            Lines of aligned columns, sentences where rows of the data were missing and are filled with NaN, and where a value
            may mark missing values, and the verdict.
        """
        table = aligned_table(self.to_frame(), self.settings, self.unit)
        lines = [table, *filled_rows(self.data), *outlier_hint(self.data), "", self.verdict().text]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but forecasts and forecasters, as plain Python that JSON can hold.

        Returns
        -------
        dict
            Table, errors by step and node, data, settings, parameters of every forecaster, machine and versions.
        """
        models = {
            row.name: {
                "scores": plain(row.scores),
                "horizon_mae": plain(row.horizon_mae),
                "node_mae": plain(row.node_mae),
                "node_mase": plain(row.node_mase),
                "coverage": row.coverage,
                "node_coverage": plain(row.node_coverage),
                "fit_seconds": row.fit_seconds,
                "predict_ms_per_window": row.predict_ms,
                "n_parameters": row.n_parameters,
                "parameters": row.parameters,
                "note": row.note,
                "error": row.error,
            }
            for row in self.rows
        }
        return {
            "created": self.created,
            "unit": self.unit,
            "data": self.data,
            "settings": self.settings,
            "nodes": [str(node) for node in self.nodes],
            "models": models,
            "verdict": plain(asdict(self.verdict())),
            "machine": self.machine,
        }

    def to_json(self) -> str:
        """Return `to_dict` as JSON text; what is not a finite number is null."""
        return json.dumps(finite_or_none(self.to_dict()), indent=2, allow_nan=False)

    def plot(self, nodes: Sequence[Any] | None = None, *, title: str | None = None) -> Any:
        """Draw the forecasts of the best forecaster, with its intervals, and of the two next best.

        Parameters
        ----------
        nodes : sequence, optional
            Names or positions of the nodes; default one with a small, one with a middling and one with a large error.
        title : str, optional
            Title of the figure.

        Returns
        -------
        ForecastDisplay or None
            The picture, which a notebook shows; ``.figure_.savefig(path)`` writes it. None if every forecaster failed.

        Raises
        ------
        MissingDependencyError
            If matplotlib is not installed.
        """
        from ..plotting import report_picture

        return report_picture(self, title, nodes=nodes)

    def __str__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        """Table for notebooks."""
        return html_table(self.to_frame(), self.settings, self.unit)
