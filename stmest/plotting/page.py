"""A report as one HTML page: verdict, tables, charts, map, data and settings, with nothing to load from elsewhere.

The template is `page.html.jinja`, with `page.css` and `page.js`. Numbers and pictures are part of the page, and its content
policy forbids the browser to fetch anything. Builds on the displays and on `sensors`; used by the command line.
"""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from typing import Any

from ..runtime import require
from ._canvas import plain_text, png
from .fields import FieldDisplay
from .graphs import GraphDisplay
from .history import HistoryDisplay
from .report_picture import by_error
from .routing import RoutingDisplay
from .sensors import (
    decimals,
    first_target,
    head,
    looks_geographic,
    number,
    sensor_charts,
    sensor_map,
    sensor_table,
    share,
)

__all__ = ["report_page"]

_MOST_NAMED = 10  # names of nodes that one line lists
# Columns of the table of the models: head and decimals, where these do not depend on the values
_COLUMNS = {
    "MAE": ("MAE", None), "RMSE": ("RMSE", None), "MASE": ("MASE", 3), "R2": ("R²", 3), "fit_seconds": ("fit s", 1),
    "predict_ms": ("ms/window", 2), "n_parameters": ("parameters", 0),
}  # fmt: skip


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
        HTML with everything in it: the verdict; tables of the models and of the sensors, which sort by a click; errors by step;
        forecasts of any sensor beside what was observed, and of the steps after the last row, with intervals where the
        forecaster has them; a map where the places of the sensors are known; what the networks learnt, where forecasts
        use it; a summary of the data, and settings and versions to repeat the run. Of very many sensors it shows
        those at even distances between the smallest and the largest error, and says so.

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
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    own = {name: (files(__package__) / name).read_text(encoding="utf-8") for name in _FILES}
    done = by_error(report)
    best = done[0] if done else None
    sensors = sensor_charts(report, done) if done else None
    page = environment.from_string(own["page.html.jinja"]).render(
        style=environment.filters["safe"](own["page.css"]),
        script=environment.filters["safe"](own["page.js"]),
        title=plain_text(title),
        report=report,
        summary=_summary(report),
        verdict=[plain_text(line) for line in report.verdict().text.splitlines()],
        tiles=[] if best is None else _tiles(report, best),
        best=None if best is None else plain_text(best.name),
        unit=plain_text(report.unit or "the unit of the data"),
        coverage=f"{report.settings['coverage']:.0%}",
        header=_header(report),
        rows=_rows(report),
        sensors=None
        if sensors is None
        else sensors | _in_names(sensors, report) | sensor_table(report, done, sensors["nodes"]),
        map=None if sensors is None else sensor_map(report, best, sensors["nodes"]),
        pictures=[_fields(report, best)] if done and "grid" in report.data else [],
        unused=[_unused(row) for row in done if not _is_used(row)],
        learnt=[picture for row in done for picture in _learnt(row)],
        data=_data(report.data),
        settings=_settings(report.settings),
        command=_command(report.settings),
        machine=_machine(report.machine),
    )
    return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", page)


_FILES = ("page.html.jinja", "page.css", "page.js")
# Half characters and control characters, which no file in UTF-8 and no page may hold
_UNFIT = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\ud800-\\udfff]")


def _in_names(sensors: dict[str, Any], report: Any) -> dict[str, Any]:
    """The sensors that have a chart, by name."""
    return {"nodes": [plain_text(report.nodes[node]) for node in sensors["nodes"]]}


# ---------------------------------------------------------------- what comes first


def _summary(report: Any) -> str:
    data = report.data
    parts = [f"{data['n_nodes']:,} sensors", f"{data['n_times']:,} rows"]
    if "first_time" in data:
        parts.append(f"{data['first_time']} to {data['last_time']}")
    horizon = report.settings["horizon"]
    return ", ".join([*parts, "1 step ahead" if horizon == 1 else f"{horizon} steps ahead"])


def _tiles(report: Any, best: Any) -> list[dict[str, str]]:
    """The few numbers that everybody looks for."""
    scores, settings = best.scores, report.settings
    tiles = [
        (
            "mean absolute error",
            f"{scores['MAE']:.4g}",
            f"{plain_text(best.name)}, {plain_text(report.unit or 'unit of the data')}",
        ),
        (
            "MASE",
            number(scores["MASE"], 3)["text"],
            f"below 1: better than a naive forecast of season {settings['season']}",
        ),
        ("R²", number(scores["R2"], 3)["text"], "1 is perfect"),
    ]
    if best.coverage is not None:
        tiles.append(
            (
                "coverage",
                share(best.coverage)["text"],
                f"of the {settings['coverage']:.0%} intervals, measured on the test part",
            )
        )
    tiles.append(("missing values", share(report.data["missing_share"])["text"], "of the data"))
    return [{"name": name, "value": value, "text": text} for name, value, text in tiles]


# ---------------------------------------------------------------- the table of the models


def _header(report: Any) -> list[dict[str, Any]]:
    names = [name for name, _ in _COLUMNS.values()]
    names[2:2] = [f"MAE@{step}" for step in report.steps]
    return [head("model", text=True), *map(head, [*names, "coverage"])]


def _rows(report: Any) -> list[dict[str, Any]]:
    """Name, note, reason of failure or cells of each forecaster."""
    frame = report.to_frame()
    columns = (
        dict(list(_COLUMNS.items())[:2]) | {f"MAE@{step}": ("", None) for step in report.steps} | _COLUMNS
    )
    digits = decimals(frame["MAE"])
    lowest = {column: frame[column].min() for column in columns if column.startswith(("MA", "RM"))}
    out = []
    for row, (_, line) in zip(report.rows, frame.iterrows(), strict=True):
        cells = [
            number(line[column], digits if fixed is None else fixed)
            | {"lowest": line[column] == lowest.get(column)}
            for column, (_, fixed) in columns.items()
        ]
        cells.append(share(float("nan") if row.coverage is None else row.coverage))
        out.append({"name": plain_text(row.name), "error": row.error, "note": row.note, "cells": cells})
    return out


# ---------------------------------------------------------------- pictures


def _picture(draw: Callable[[], Any], heading: str, text: str) -> dict[str, str | None]:
    """A picture and what it shows; one that cannot be drawn leaves its place to the reason, and the page as it is."""
    try:
        source = "data:image/png;base64," + base64.b64encode(png(draw().figure_)).decode("ascii")
    except Exception as error:
        source, text = None, f"This picture could not be drawn: {type(error).__name__}: {error}"
    return {"heading": plain_text(heading), "text": plain_text(text), "source": source}


def _fields(report: Any, best: Any) -> dict[str, str | None]:
    """Truth, forecast and error of the field from an origin in the middle of the test part."""
    sample = report.samples[len(report.samples) // 2]
    shape = (-1, *report.data["grid"])
    truth, forecast = first_target(sample.truth), first_target(sample.forecasts[best.name])
    display = FieldDisplay(truth.reshape(shape), forecast.reshape(shape), unit=report.unit)
    name = plain_text(best.name)
    text = f"The observed field, what {name} forecast, and the difference, from one origin in the middle of the test part."
    return _picture(display.plot, "The field", text)


def _is_used(row: Any) -> bool:
    """Whether forecasts use what the network of a row learnt; true of what has none."""
    return bool(getattr(row.forecaster, "residual_weight_", 1.0) > 0)


def _unused(row: Any) -> str:
    return (
        f"{plain_text(row.name)} kept the linear forecast: its network did not lower the validation error beyond doubt. No "
        "forecast uses what it learnt, so that it is not shown."
    )


def _learnt(row: Any) -> list[dict[str, str | None]]:
    """Graph and routing of a network that forecasts use, and the course of the training of any."""
    out = []
    model, name = row.forecaster, plain_text(row.name)
    used = _is_used(row)
    if used and hasattr(model, "graph_"):
        given = model.given_graph_
        places = None if given is None else given.coordinates
        geographic = places is not None and looks_geographic(places)
        text = "Learned graph: who listens to whom." + (
            " On the map up to two links of each node, where any stand out." if places is not None else ""
        )
        text += " The coordinates are taken as latitude and longitude." if geographic else ""
        graph = partial(GraphDisplay.from_estimator, model, geographic=geographic)
        out.append(_picture(graph, f"{name}: graph", text))
    if getattr(model, "n_experts", 0) and used:
        text = "Probability of each expert for each node (above); nodes that changed their expert (below)."
        out.append(_picture(partial(RoutingDisplay.from_estimator, model), f"{name}: experts", text))
    if hasattr(model, "history_"):
        text = "Losses and learning rate by epoch."
        out.append(_picture(partial(HistoryDisplay.from_estimator, model), f"{name}: training", text))
    return out


# ---------------------------------------------------------------- data, settings, machine


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
    return ", ".join(plain_text(name) for name in names[:_MOST_NAMED]) + (
        f" and {more} more" if more > 0 else ""
    )


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
