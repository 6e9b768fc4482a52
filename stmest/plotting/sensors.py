"""What the page of a report knows of each sensor: a row of a table, the numbers of its charts, its place on the map.

A page holds a bounded count of numbers, so that it opens at once however many sensors there are: where they are too many, it
keeps fewer origins, and then fewer sensors, evenly from the smallest to the largest error. Used by `page`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from ._canvas import plain_text

__all__ = [
    "MOST_MODELS",
    "decimals",
    "finite",
    "number",
    "sensor_charts",
    "sensor_map",
    "sensor_table",
    "share",
]

MOST_MODELS = 6  # as many as there are colours
_MOST_NUMBERS = 700_000  # about 5 MB of text
_MOST_ROWS = 1_000
_MOST_EDGES = 1_500
_MOST_NAMES = 40  # on the map
_COLOURS = ("#2c7bb6", "#abd9e9", "#ffffbf", "#fdae61", "#d7191c")  # from small to large errors
_WIDTH = 640.0  # of the map
_DEGREE = 111.2  # km


# ---------------------------------------------------------------- numbers as text


def decimals(values: Any) -> int:
    """Decimals that leave about four digits in the largest of some numbers."""
    known = np.abs(np.asarray(values, dtype=float))
    largest = known[np.isfinite(known)].max(initial=0)
    return 3 if largest == 0 else int(np.clip(3 - math.floor(math.log10(largest)), 0, 12))


def number(value: Any, digits: int, lowest: bool = False) -> dict[str, Any]:
    """A cell of a table: its text, the number that it sorts by, and whether it is the lowest; a dash where there is none."""
    if pd.isna(value):
        return {"text": "–", "key": None, "lowest": False}
    return {"text": f"{value:,.{digits}f}", "key": float(value), "lowest": bool(lowest)}


def share(value: Any) -> dict[str, Any]:
    """A cell with a share, in percent; a dash where there is none."""
    known = not pd.isna(value)
    return {"text": f"{value:.1%}" if known else "–", "key": float(value) if known else None, "lowest": False}


def head(name: str, text: bool = False) -> dict[str, Any]:
    """The head of a column, of texts or of numbers."""
    return {"name": name, "text": text}


def finite(values: np.ndarray, digits: int) -> list[float | None]:
    """Rounded numbers for JSON, None for those that are missing."""
    return [round(value, digits) if math.isfinite(value) else None for value in values.tolist()]


# ---------------------------------------------------------------- which sensors


def _spread(report: Any, best: Any, n_most: int) -> list[int]:
    """Positions of at most so many sensors, in their order: evenly from the smallest to the largest error, then those without."""
    n_nodes = len(report.nodes)
    if n_nodes <= n_most:
        return list(range(n_nodes))
    ranks = np.linspace(0, n_nodes - 1, n_most).round().astype(int)
    return sorted(int(node) for node in np.argsort(best.node_mae, kind="stable")[ranks])


def _typical(nodes: list[int], best: Any) -> int:
    """Position, among some sensors, of the one whose error is in the middle."""
    errors = np.asarray(best.node_mae, dtype=float)[nodes]
    n_known = int(np.isfinite(errors).sum())
    return int(np.argsort(errors, kind="stable")[max(0, (n_known - 1) // 2)])


# ---------------------------------------------------------------- charts


def sensor_charts(report: Any, rows: list[Any]) -> dict[str, Any]:
    """Collect what the charts show.

    Parameters
    ----------
    report : Report
        As `stmest.compare` returns it.
    rows : list of ModelResult
        Those that did not fail, the best first.

    Returns
    -------
    dict
        ``nodes``, the positions that are drawn, and ``first`` among them; ``numbers`` for the script; names of the models and of
        the origins; a sentence on what is left out, or None.
    """
    names = [row.name for row in rows[:MOST_MODELS]]
    samples = list(report.samples)
    per_node = [len(s.history) + len(s.truth) * (len(names) + 3) for s in samples]
    if report.future is not None:
        per_node.append(per_node[-1])
    if sum(per_node) * len(report.nodes) > _MOST_NUMBERS:
        samples = [samples[len(samples) // 2]]
        per_node = per_node[-2:]
    nodes = _spread(report, rows[0], max(2, _MOST_NUMBERS // sum(per_node)))
    origins = [_origin(sample, nodes, names) for sample in samples]
    future = None if report.future is None else _origin(report.future, nodes, names)
    left_out = None
    if len(nodes) < len(report.nodes):
        left_out = (
            f"{len(nodes):,} of {len(report.nodes):,} sensors can be chosen here, evenly from the smallest to the largest error; "
            "report.plot(nodes=[...]) draws any."
        )
    step_errors = [row.horizon_mae for row in rows[:MOST_MODELS]]
    shown = [plain_text(name) for name in names]
    return {
        "nodes": nodes,
        "first": _typical(nodes, rows[0]),
        "models": shown,
        "n_models": len(rows),
        "origins": [origin["labels"][origin["n_history"]] for origin in origins],
        "has_future": future is not None and any(f is not None for f in future["series"][0]["forecasts"]),
        "has_band": future is not None and names[0] in report.future.intervals,
        "left_out": left_out,
        "numbers": {
            "unit": plain_text(report.unit or "value"),
            "coverage": f"{report.settings['coverage']:.0%}",
            "models": shown,
            "origins": origins,
            "future": future,
            "steps": [finite(errors, decimals(step_errors) + 1) for errors in step_errors],
        },
    }


def _origin(sample: Any, nodes: list[int], names: list[str]) -> dict[str, Any]:
    """Times, observed values and forecasts of some sensors from one origin."""
    history, truth = first_target(sample.history), first_target(sample.truth)
    forecasts = [first_target(sample.forecasts[name]) if name in sample.forecasts else None for name in names]
    band = sample.intervals.get(names[0])
    band = None if band is None else [first_target(end) for end in band]
    series = []
    for node in nodes:
        observed = np.concatenate([history[:, node], truth[:, node]])
        ends = [] if band is None else [end[:, node] for end in band]
        ahead = [None if forecast is None else forecast[:, node] for forecast in forecasts]
        digits = _digits_of_spread([observed, *ends, *(values for values in ahead if values is not None)])
        known = observed[: len(history)] if np.isnan(truth[:, node]).all() else observed
        series.append(
            {
                "observed": finite(known, digits),
                "forecasts": [None if values is None else finite(values, digits) for values in ahead],
                "band": None if band is None else [finite(end, digits) for end in ends],
            }
        )
    labels, axis = _labels(sample.time, len(history), len(truth))
    return {"labels": labels, "axis": axis, "n_history": len(history), "series": series}


def first_target(values: np.ndarray) -> np.ndarray:
    """The first forecast feature, where there are several."""
    return values if values.ndim == 2 else values[..., 0]


def _digits_of_spread(parts: list[np.ndarray]) -> int:
    """Decimals that a chart of these values can show."""
    values = np.concatenate(parts)
    known = values[np.isfinite(values)]
    spread = float(np.ptp(known)) if known.size else 0.0
    spread = spread or (float(abs(known[0])) if known.size else 0.0)
    return 3 if spread == 0 else int(np.clip(3 - math.floor(math.log10(spread)), -12, 15))


def _labels(time: pd.Index | None, n_history: int, horizon: int) -> tuple[list[str], str]:
    """Text of each time of history and forecast, and what the axis shows."""
    if time is None:
        return [str(step) for step in range(1 - n_history, horizon + 1)], "steps from the origin"
    if not isinstance(time, pd.DatetimeIndex):
        return [plain_text(value) for value in time], "time"
    form = "%Y-%m-%d %H:%M"
    if (time == time.normalize()).all():
        form = "%Y-%m-%d"
    elif (time.second != 0).any():
        form = "%Y-%m-%d %H:%M:%S"
    return list(time.strftime(form)), "time" if time.tz is None else f"time ({time.tz})"


# ---------------------------------------------------------------- table


def sensor_table(report: Any, rows: list[Any], drawn: list[int]) -> dict[str, Any]:
    """Lay out a table with a row per sensor.

    Parameters
    ----------
    report : Report
        As `stmest.compare` returns it.
    rows : list of ModelResult
        Those that did not fail, the best first.
    drawn : list of int
        Positions of the sensors that have a chart.

    Returns
    -------
    dict
        Heads of the columns, rows, and a sentence on those that are left out, or None.
    """
    best, place = rows[0], {node: i for i, node in enumerate(drawn)}
    missing = report.data["missing_by_node"]
    errors = np.array([row.node_mae for row in rows], dtype=float)
    known = errors[np.isfinite(errors)]
    digits = decimals(np.median(known) if known.size else 0)
    nodes = _spread(report, best, _MOST_ROWS)
    lines = []
    for node in nodes:
        own = np.where(np.isfinite(errors[:, node]), errors[:, node], np.inf)
        lowest = int(own.argmin()) if np.isfinite(own).any() else None
        cells = [
            number(math.nan if best.node_mase is None else best.node_mase[node], 3),
            share(math.nan if best.node_coverage is None else best.node_coverage[node]),
            share(missing[node]),
            *(number(error, digits, i == lowest) for i, error in enumerate(errors[:, node])),
        ]
        lines.append(
            {
                "name": plain_text(report.nodes[node]),
                "index": place.get(node),
                "best": "–" if lowest is None else plain_text(rows[lowest].name),
                "cells": cells,
            }
        )
    heads = [head("sensor", text=True), head("best model", text=True)]
    heads += map(head, ["MASE", "coverage", "missing", *(plain_text(row.name) for row in rows)])
    left_out = None
    if len(nodes) < len(report.nodes):
        left_out = (
            f"The table has {len(nodes):,} of {len(report.nodes):,} sensors, evenly from the smallest to the largest error; "
            "report.json has all."
        )
    return {"header": heads, "rows": lines, "rows_left_out": left_out}


# ---------------------------------------------------------------- map


def sensor_map(report: Any, best: Any, drawn: list[int]) -> dict[str, Any] | None:
    """Place the sensors on a map, coloured by the error of one forecaster.

    Parameters
    ----------
    report : Report
        As `stmest.compare` returns it.
    best : ModelResult
        Whose errors are shown.
    drawn : list of int
        Positions of the sensors that have a chart.

    Returns
    -------
    dict or None
        Circles, edges and names in the units of the drawing; None where fewer than two sensors have a place.
    """
    if report.coordinates is None or "grid" in report.data:
        return None
    places = np.asarray(report.coordinates, dtype=float)
    placed = np.flatnonzero(np.isfinite(places).all(1))
    if len(placed) < 2:
        return None
    geographic = looks_geographic(places[placed])
    x, y, height, scale = _projected(places, placed, geographic)
    errors = np.asarray(best.node_mae, dtype=float)
    known = errors[placed][np.isfinite(errors[placed])]
    low, high = (float(known.min()), float(np.quantile(known, 0.95))) if known.size else (0.0, 1.0)
    digits, index = decimals([low, high]), {node: i for i, node in enumerate(drawn)}
    circles = [
        {
            "x": round(float(x[node]), 1),
            "y": round(float(y[node]), 1),
            "fill": _colour(errors[node], low, high),
            "index": index.get(node),
            "text": f"{plain_text(report.nodes[node])}: {number(errors[node], digits)['text']}",
        }
        for node in sorted(map(int, placed), key=lambda node: (math.isfinite(errors[node]), errors[node]))
    ]
    edges, n_edges = _edges(report.graph, x, y, set(placed.tolist()))
    text = f"Mean absolute error of {plain_text(best.name)}; the reddest five percent have errors beyond the scale."
    if len(placed) < len(places):
        n_lost = len(places) - len(placed)
        text += f" {n_lost:,} sensor{'s' if n_lost > 1 else ''} without coordinates {'are' if n_lost > 1 else 'is'} not shown."
    if n_edges:
        some = "" if n_edges == len(edges) else f", the {len(edges):,} strongest of {n_edges:,}"
        text += f" Lines are the edges of the graph{some}."
    if geographic:
        text += " The coordinates are taken as latitude and longitude."
    return {
        "width": _WIDTH, "height": height, "radius": 7 if len(placed) <= 60 else 5 if len(placed) <= 200 else 3.5,
        "places": circles, "edges": edges, "labels": _names(report, placed, x, y), "colours": ", ".join(_COLOURS),
        "bar": _scale_bar(scale) if geographic else None, "low": number(low, digits)["text"],
        "high": number(high, digits)["text"], "text": text,
    }  # fmt: skip


def looks_geographic(places: np.ndarray) -> bool:
    """Whether coordinates can be degrees: in range, and not all within the unit square, where simulations lie."""
    in_range = bool((np.abs(places) <= np.array([90, 180])).all())
    return in_range and bool((places < 0).any() or (places > 1).any())


def _projected(
    places: np.ndarray, placed: np.ndarray, geographic: bool
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Places in the drawing, its height, and its units per unit of the vertical coordinate."""
    flat = places.astype(float)
    if geographic:
        flat = flat[:, ::-1] * [max(0.05, math.cos(math.radians(float(flat[placed, 0].mean())))), 1.0]
    low, high = flat[placed].min(0), flat[placed].max(0)
    size = np.maximum(high - low, 1e-12)
    margin, most = 46.0, 560.0
    scale = min((_WIDTH - 2 * margin) / size[0], (most - 2 * margin) / size[1])
    height = max(180.0, size[1] * scale + 2 * margin)
    middle = (low + high) / 2
    x = _WIDTH / 2 + (flat[:, 0] - middle[0]) * scale
    y = height / 2 - (flat[:, 1] - middle[1]) * scale
    return x, y, round(float(height), 1), float(scale)


def _colour(error: float, low: float, high: float) -> str:
    """Colour of an error between the two ends of the scale."""
    if not math.isfinite(error):
        return "none"
    part = 0.0 if high <= low else min(1.0, max(0.0, (error - low) / (high - low))) * (len(_COLOURS) - 1)
    i = min(int(part), len(_COLOURS) - 2)
    ends = [[int(colour[k : k + 2], 16) for k in (1, 3, 5)] for colour in _COLOURS[i : i + 2]]
    mixed = [round(a + (b - a) * (part - i)) for a, b in zip(*ends, strict=True)]
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _edges(graph: Any, x: np.ndarray, y: np.ndarray, placed: set[int]) -> tuple[list[dict[str, float]], int]:
    """Lines between joined sensors, the strongest where there are many; and how many pairs are joined."""
    if graph is None:
        return [], 0
    (sources, targets), weights = graph.edges()
    strongest: dict[tuple[int, int], float] = {}
    for i, j, weight in zip(sources.tolist(), targets.tolist(), weights.tolist(), strict=True):
        if i != j and i in placed and j in placed:
            pair = (min(i, j), max(i, j))
            strongest[pair] = max(weight, strongest.get(pair, 0.0))
    most = min(_MOST_EDGES, 4 * len(placed))
    kept = sorted(strongest, key=lambda pair: -strongest[pair])[:most]
    lines = [
        {"x1": round(float(x[i]), 1), "y1": round(float(y[i]), 1), "x2": round(float(x[j]), 1), "y2": round(float(y[j]), 1)}
        for i, j in kept
    ]  # fmt: skip
    return lines, len(strongest)


def _names(report: Any, placed: np.ndarray, x: np.ndarray, y: np.ndarray) -> list[dict[str, Any]]:
    """Names beside the circles, where they fit."""
    if len(placed) > _MOST_NAMES:
        return []
    out = []
    for node in map(int, placed):
        name = plain_text(report.nodes[node])
        right = x[node] > 0.75 * _WIDTH
        short = name if len(name) <= 24 else f"{name[:23]}…"
        out.append(
            {
                "x": round(float(x[node]) + (-11 if right else 11), 1), "y": round(float(y[node]) + 4, 1),
                "anchor": "end" if right else "start", "text": short,
            }
        )  # fmt: skip
    return out


def _scale_bar(scale: float) -> dict[str, Any]:
    """A round number of kilometres, at most a quarter of the width."""
    most = 0.25 * _WIDTH / scale * _DEGREE
    power = 10.0 ** math.floor(math.log10(most))
    length = next(factor * power for factor in (5, 2, 1) if factor * power <= most)
    return {"x": 10, "length": round(length / _DEGREE * scale, 1), "text": f"{length:g} km"}
