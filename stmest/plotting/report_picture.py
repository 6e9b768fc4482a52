"""The forecasts of a report as one picture. Used by `Report.plot` and the command line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._docs import fill_in
from .forecast import ForecastDisplay
from .sensors import first_target

__all__ = ["by_error", "report_picture"]


@fill_in
def report_picture(
    report: Any, title: str | None = None, *, nodes: Sequence[Any] | None = None
) -> ForecastDisplay | None:
    """Draw the forecasts of an easy, a middling and a hard node, from an origin in the middle of the test part.

    Parameters
    ----------
    report : Report
        As `stmest.compare` returns it.
    title : str, optional
        What the data are called.
    nodes : sequence, optional
        Names or positions of the nodes; default an easy, a middling and a hard one.

    Returns
    -------
    ForecastDisplay or None
        Drawn: the best forecaster, with its interval, and the two next best. None if all of them failed.

    Raises
    ------
    {matplotlib}
    """
    done = by_error(report)
    if not done:
        return None
    if nodes is None:
        order = _from_easy_to_hard(report, done[0]) or [0]
        places = dict.fromkeys(order[round(share * (len(order) - 1))] for share in (0.1, 0.5, 0.9))
        nodes = [report.nodes[place] for place in places]
        what = "nodes with a small, a middling and a large error" if len(nodes) == 3 else ""
        title = ": ".join(filter(None, (title, what))) or None
    return _sample_display(report, done[:3]).plot(nodes=nodes, title=title)


def by_error(report: Any) -> list[Any]:
    """The rows that did not fail, by their errors; first the best one of the verdict."""
    best = report.verdict().best
    done = [row for row in report.rows if row.error is None]
    return sorted(done, key=lambda row: (row.name != best, math.isnan(row.scores["MAE"]), row.scores["MAE"]))


def _from_easy_to_hard(report: Any, row: Any) -> list[int]:
    """Positions of the nodes by the errors of one forecaster, without those that nobody wonders about."""
    errors = np.asarray(row.node_mae, dtype=float)
    still = {str(node) for node in report.data["constant_nodes"]}
    return [
        int(i)
        for i in np.argsort(errors, kind="stable")
        if np.isfinite(errors[i]) and str(report.nodes[i]) not in still
    ]


def _sample_display(report: Any, rows: list[Any]) -> ForecastDisplay:
    """Forecasts of some rows from an origin in the middle of the test part, with the interval of the first."""
    sample, first = report.samples[len(report.samples) // 2], rows[0].name
    return ForecastDisplay(
        first_target(sample.truth),
        {row.name: first_target(sample.forecasts[row.name]) for row in rows},
        intervals={
            name: (first_target(lower), first_target(upper))
            for name, (lower, upper) in sample.intervals.items()
            if name == first
        },
        coverage=report.settings["coverage"],
        history=first_target(sample.history),
        node_names=report.nodes,
        time=sample.time,
        unit=report.unit,
    )
