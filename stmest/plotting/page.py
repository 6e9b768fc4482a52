"""A report as one picture, and as one HTML page: table, pictures, data and settings, with nothing to load from elsewhere.

The template is `page.html.jinja`. Pictures are part of the page, and its content policy forbids the browser to fetch
anything. Builds on the displays; used by the command line.
"""

from __future__ import annotations

import base64
import shlex
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from ..runtime import require
from ._canvas import png
from ._docs import fill_in
from .errors import ErrorDisplay
from .fields import FieldDisplay
from .forecast import ForecastDisplay
from .graphs import GraphDisplay
from .history import HistoryDisplay
from .routing import RoutingDisplay

__all__ = ["report_page", "report_picture"]

_N_NODES = 2  # nodes drawn of each kind: best, worst
_MOST_NAMED = 10  # names of nodes that one line lists
_COLUMNS = {
    "MAE": "MAE", "RMSE": "RMSE", "MASE": "MASE", "R2": "R²", "fit_seconds": "fit s", "predict_ms": "ms/window",
    "n_parameters": "parameters",
}  # fmt: skip
_LITTLE = {
    "MASE": 3,
    "R2": 3,
    "fit_seconds": 1,
    "predict_ms": 2,
    "n_parameters": 0,
}  # decimals; others by size


def report_page(report: Any, *, title: str = "Forecasts compared") -> str:
    """Write a report as one self-contained HTML page.

    Parameters
    ----------
    report : Report
        As `stmest.compare` returns it.
    title : str, default="Forecasts compared"
        Heading of the page.

    Returns
    -------
    str
        HTML with everything in it: a table that sorts by a click, errors by step and node, forecasts of the best and the
        worst nodes (with intervals where the forecaster has them), what the networks learnt, a summary of the data, and
        settings and versions to repeat the run.

    Raises
    ------
    MissingDependencyError
        If matplotlib or jinja2 is not installed.

    Examples
    --------
    >>> from stmest import LastValue, compare, make_sensor_network
    >>> from stmest.plotting import report_page
    >>> X = make_sensor_network(n_nodes=4, n_times=200, random_state=0).values
    >>> page = report_page(compare({"last": LastValue(horizon=6)}, X), title="Four nodes")
    >>> "<h1>Four nodes</h1>" in page
    True
    """
    require("matplotlib", extra="plot")
    jinja2 = require("jinja2", extra="plot")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string((files(__package__) / "page.html.jinja").read_text(encoding="utf-8"))
    done = [row for row in report.rows if row.error is None]
    best = min(done, key=lambda row: row.scores["MAE"]) if done else None
    return template.render(
        title=title,
        report=report,
        best=best,
        unit=report.unit or "the unit of the data",
        header=_header(report),
        rows=_rows(report),
        pictures=[] if best is None else _pictures(report, best),
        learnt=[picture for row in done for picture in _learnt(row)],
        data=_data(report.data),
        settings=_settings(report.settings),
        command=_command(report.settings),
        machine=_machine(report.machine),
    )


def _picture(display: Any, heading: str, text: str) -> dict[str, str]:
    return {
        "heading": heading,
        "text": text,
        "source": "data:image/png;base64," + base64.b64encode(png(display.figure_)).decode("ascii"),
    }


def _pictures(report: Any, best: Any) -> list[dict[str, str]]:
    """Errors and forecasts; the whole field too, where the nodes are the cells of one."""
    pictures = [_errors(report), _forecasts(report, best)]
    return pictures if "grid" not in report.data else [*pictures, _fields(report, best)]


def _errors(report: Any) -> dict[str, str]:
    text = "Mean absolute error by step ahead (above) and by node (below), over all test windows."
    return _picture(ErrorDisplay.from_report(report), "Where the errors are", text)


def _forecasts(report: Any, best: Any) -> dict[str, str]:
    """Forecasts of the nodes with the smallest and the largest errors, from an origin in the middle of the test part."""
    order = _from_easy_to_hard(report, best)
    chosen = list(dict.fromkeys([*order[:_N_NODES], *order[-_N_NODES:]])) or [0]
    display = _sample_display(report, [best, *_rivals(report, best)[:1]]).plot(nodes=chosen)
    band = f", with its {report.settings['coverage']:.0%} interval" if display.intervals else ""
    text = (
        f"The nodes where {best.name} errs least (first) and most (last), from one origin in the middle of the test part"
        f"{band}; beside it the next best."
    )
    return _picture(display, "Forecasts of the best and the worst nodes", text)


@fill_in
def report_picture(report: Any, title: str) -> ForecastDisplay | None:
    """Draw the forecasts of an easy, a middling and a hard node, from an origin in the middle of the test part.

    Parameters
    ----------
    report : Report
        As `stmest.compare` returns it.
    title : str
        What the data are called.

    Returns
    -------
    ForecastDisplay or None
        Drawn: the first forecaster of the report that did not fail, with its interval, and the two best of the others. None
        if all of them failed.

    Raises
    ------
    {matplotlib}
    """
    done = [row for row in report.rows if row.error is None]
    if not done:
        return None
    order = _from_easy_to_hard(report, done[0]) or [0]
    nodes = list(dict.fromkeys(order[round(share * (len(order) - 1))] for share in (0.1, 0.5, 0.9)))
    what = f"{title}: nodes with a small, a middling and a large error" if len(nodes) == 3 else title
    return _sample_display(report, [done[0], *_rivals(report, done[0])[:2]]).plot(nodes=nodes, title=what)


def _rivals(report: Any, row: Any) -> list[Any]:
    """The other rows that did not fail, the best first."""
    others = [other for other in report.rows if other.error is None and other is not row]
    return sorted(others, key=lambda other: other.scores["MAE"])


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
        _first(sample.truth),
        {row.name: _first(sample.forecasts[row.name]) for row in rows},
        intervals={
            name: (_first(lower), _first(upper))
            for name, (lower, upper) in sample.intervals.items()
            if name == first
        },
        coverage=report.settings["coverage"],
        history=_first(sample.history),
        node_names=[str(node) for node in report.nodes],
        time=sample.time,
        unit=report.unit,
    )


def _fields(report: Any, best: Any) -> dict[str, str]:
    """Truth, forecast and error of the field from an origin in the middle of the test part."""
    sample = report.samples[len(report.samples) // 2]
    shape = (-1, *report.data["grid"])
    truth, forecast = _first(sample.truth), _first(sample.forecasts[best.name])
    display = FieldDisplay(truth.reshape(shape), forecast.reshape(shape), unit=report.unit).plot()
    text = f"The observed field, what {best.name} forecast, and the difference, from one origin in the middle of the test part."
    return _picture(display, "The field", text)


def _first(values: np.ndarray) -> np.ndarray:
    """The first forecast feature, where there are several."""
    return values if values.ndim == 2 else values[..., 0]


def _learnt(row: Any) -> list[dict[str, str]]:
    """Graph, routing and course of training, of forecasters that have them."""
    out = []
    model = row.forecaster
    if hasattr(model, "graph_"):
        given = model.given_graph_
        places = None if given is None else given.coordinates
        geographic = places is not None and _looks_geographic(places)
        text = "Learned graph: who listens to whom." + (
            " On the map up to two links of each node, where any stand out." if places is not None else ""
        )
        text += " The coordinates are taken as latitude and longitude." if geographic else ""
        out.append(
            _picture(GraphDisplay.from_estimator(model, geographic=geographic), f"{row.name}: graph", text)
        )
    if getattr(model, "n_experts", 0):
        text = "Probability of each expert for each node (above); nodes that changed their expert (below)."
        out.append(_picture(RoutingDisplay.from_estimator(model), f"{row.name}: experts", text))
    if hasattr(model, "history_"):
        out.append(
            _picture(
                HistoryDisplay.from_estimator(model),
                f"{row.name}: training",
                "Losses and learning rate by epoch.",
            )
        )
    return out


def _looks_geographic(places: np.ndarray) -> bool:
    """Whether coordinates can be degrees: in range, and not all within the unit square, where simulations lie."""
    in_range = bool((np.abs(places) <= np.array([90, 180])).all())
    return in_range and bool((places < 0).any() or (places > 1).any())


def _header(report: Any) -> list[str]:
    return [*_COLUMNS.values(), *(f"MAE@{step}" for step in report.steps)]


def _rows(report: Any) -> list[dict[str, Any]]:
    """Name, reason of failure or cells of each forecaster; a cell is its text and the number that it sorts by."""
    frame = report.to_frame()
    columns = [*_COLUMNS, *(f"MAE@{step}" for step in report.steps)]
    largest = float(frame["MAE"].abs().max())
    digits = (
        3 if not np.isfinite(largest) or largest == 0 else int(np.clip(3 - np.floor(np.log10(largest)), 0, 6))
    )
    out = []
    for name, line in frame.iterrows():
        cells = []
        for column in columns:
            value = line[column]
            known = not pd.isna(value)
            text = f"{value:,.{_LITTLE.get(column, digits)}f}" if known else "–"
            cells.append({"text": text, "key": float(value) if known else None})
        out.append({"name": str(name), "error": line["error"], "cells": cells})
    return out


def _data(data: dict[str, Any]) -> dict[str, str]:
    features = "1 feature" if data["n_features"] == 1 else f"{data['n_features']} features"
    size = f"{data['n_times']:,} rows, {data['n_nodes']:,} nodes, {features}"
    if "grid" in data:
        size += f" (the cells of a grid of {data['grid'][0]} x {data['grid'][1]})"
    out = {"size": size}
    if "first_time" in data:
        out["times"] = f"{data['first_time']} to {data['last_time']}"
    if "step" in data:
        gaps = data["gaps"]
        out["step"] = f"{data['step'].removeprefix('0 days ')}; " + (
            "no gap in the times" if not gaps else f"{gaps:,} gaps in the times"
        )
    if "filled_rows" in data:
        out["missing rows"] = f"{data['filled_rows']:,}, filled with NaN"
    out["missing values"] = f"{data['missing_share']:.2%}; worst node {max(data['missing_by_node']):.2%}"
    if "repeated_outlier" in data:
        value, count = data["repeated_outlier"]
        out["perhaps a mark of missing values"] = f"{value:g}, {count:,} times, far beyond all others"
    out["longest run of missing values"] = f"{data['longest_missing_run']:,} rows at one node"
    out["nodes that never change"] = _listed(data["constant_nodes"])
    out["nodes without any value"] = _listed(data["unobserved_nodes"])
    return out


def _listed(names: list[Any]) -> str:
    if not names:
        return "none"
    more = len(names) - _MOST_NAMED
    return ", ".join(str(name) for name in names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _settings(settings: dict[str, Any]) -> dict[str, str]:
    return {
        key.replace("_", " "): "none" if value is None else str(value)
        for key, value in settings.items()
        if key != "command"
    }


def _command(settings: dict[str, Any]) -> str | None:
    """The command line that made the report, if one did."""
    if "command" not in settings:
        return None
    words = ["stmest", "report"]
    for key, value in settings["command"].items():
        if value == "False":
            continue
        words.append("--" + key.replace("_", "-"))
        if value != "True":
            words.append(shlex.quote(value))
    return " ".join(words)


def _machine(machine: dict[str, Any]) -> dict[str, str]:
    out = {key: str(machine[key]) for key in ("processor", "cores", "threads")}
    out["devices"] = ", ".join(machine["devices"].values())
    return out | {name: str(version) for name, version in machine["versions"].items()}
