"""What data hold before anybody forecasts them: times and gaps, dead, constant, short and equal sensors, the fit of a graph.

`inspect_data` finds it, `quality_lines` puts it into words. Builds on `summary`; used by the command line.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset
from scipy.sparse.csgraph import connected_components

from ..data.containers import as_panel
from ..data.panel import Panel, regular
from ..data.time_index import frequency, positions, usual_step, zone_name
from ..graphs import Graph
from .summary import summarise
from .tables import plain

__all__ = ["inspect_data", "quality_lines"]

_MOST_GAPS, _MOST_NAMED, _WORST = 5, 6, 10
# A sensor is dead if its last values are missing or all the same, over this share of the rows, and so many at least
_TAIL, _LEAST_TAIL = 0.1, 24
_SHORT = 0.5  # and short if the time from its first to its last value is less than this share
_MOST_NODES, _MOST_ROWS = 200, 2000  # that correlations are computed of


def inspect_data(X: Any, graph: Graph | None = None) -> dict[str, Any]:
    """Find out what may be wrong with data, and what they are.

    Parameters
    ----------
    X : DataFrame, DataArray or Panel
        Values of one series, as they were read; ``X.attrs["notes"]`` and ``X.attrs["dates"]`` are kept.
    graph : Graph, optional
        The graph of the nodes.

    Returns
    -------
    dict
        What `summarise` returns, as plain Python, and `n_rows`, the rows as they stand in the file; `frequency`; `zone`;
        `gap_list`, pairs of times between which steps are missing, with their number, the longest first; `n_missing_steps`;
        `recurring`, whether gaps recur, as nights do; `worst`, the nodes with the largest shares of missing values; `dead`,
        `short`, each with a reason by node; `equal`, groups of nodes with the same values; `repeated_rows`, how many rows are
        those before them again; `notes`, `dates`; with a graph `graph`: `n_edges`, `alone` (nodes without an edge), `n_parts`,
        `neighbours` and `all_pairs` (mean correlation of the changes from step to step; None where it cannot be computed).
    """
    panel = X if isinstance(X, Panel) else as_panel(X)
    filled = regular(panel)
    attrs = getattr(X, "attrs", {})
    found = summarise(filled) | _times(panel, filled) | _nodes(filled)
    found |= {"notes": list(attrs.get("notes", [])), "dates": attrs.get("dates")}
    if graph is not None:
        found["graph"] = _graph(filled, graph)
    return found


def _times(panel: Panel, filled: Panel) -> dict[str, Any]:
    """Frequency, zone and gaps."""
    index = panel.index
    found: dict[str, Any] = {
        "n_rows": panel.n_times, "frequency": None, "zone": zone_name(index), "gap_list": [], "n_missing_steps": 0,
        "recurring": False,
    }  # fmt: skip
    if index is None or len(index) < 2:
        return found
    freq = frequency(index)
    found["frequency"] = _frequency_name(freq)
    places = positions(index, freq)
    if places is None:
        found["frequency"] = f"irregular, mostly {_frequency_name(usual_step(index))}"
        return found
    steps = np.diff(places)
    longest = np.argsort(-steps, kind="stable")[:_MOST_GAPS]
    found["gap_list"] = [
        (str(index[i]), str(index[i + 1]), int(steps[i]) - 1) for i in longest if steps[i] > 1
    ]
    found["n_missing_steps"] = int((steps - 1).sum())
    found["recurring"] = bool(found["n_missing_steps"]) and not filled.n_filled
    return found


def _frequency_name(freq: Any) -> str:
    """Such as 1h, 15min, 3MS; a number as it is."""
    name = to_offset(freq).freqstr if isinstance(freq, pd.Timedelta) else str(freq)
    return f"1{name}" if re.fullmatch(r"[A-Za-z]+(-[A-Z]+)?", name) else name


def _nodes(panel: Panel) -> dict[str, Any]:
    """Worst, dead, short and equal nodes, and rows that are there again."""
    values, n_times = panel.values, panel.n_times
    names = _names(panel)
    when = [*range(n_times)] if panel.index is None else panel.index
    dead, short, shares = {}, {}, []
    same: dict[bytes, list[Any]] = {}
    tail = min(max(_LEAST_TAIL, round(_TAIL * n_times)), n_times // 2)
    for i, name in enumerate(names):  # a node at a time: the data may be larger than the memory
        node = np.asarray(values[:, i, 0])
        seen = np.flatnonzero(~np.isnan(node))
        shares.append(1 - len(seen) / n_times)
        if not len(seen):
            dead[name] = "no value at all"
            continue
        known = node[seen]
        if (known == known[0]).all():
            continue  # constant: `summarise` has it
        same.setdefault((node + 0.0).tobytes(), []).append(name)
        changes = np.flatnonzero(known != known[-1])
        if seen[-1] < n_times - tail:
            dead[name] = f"no value since {when[seen[-1]]}"
        elif seen[changes[-1]] < n_times - tail:
            dead[name] = f"always {known[-1]:g} since {when[seen[changes[-1] + 1]]}"
        elif seen[-1] - seen[0] + 1 < _SHORT * n_times:
            short[name] = f"from {when[seen[0]]} to {when[seen[-1]]}"
    order = np.argsort(-np.array(shares), kind="stable")[:_WORST]
    return {
        "worst": [(plain(names[i]), float(shares[i])) for i in order if shares[i] > 0],
        "dead": {plain(name): reason for name, reason in dead.items()},
        "short": {plain(name): reason for name, reason in short.items()},
        "equal": [plain(group) for group in same.values() if len(group) > 1],
        "repeated_rows": _repeated_rows(values),
    }


def _names(panel: Panel) -> list[Any]:
    if panel.grid is not None:
        return [f"{row},{column}" for row in range(panel.grid[0]) for column in range(panel.grid[1])]
    return list(range(panel.values.shape[1])) if panel.nodes is None else list(panel.nodes)


def _repeated_rows(values: np.ndarray) -> int:
    """Rows of several observed values that are those of the row before."""
    if values.shape[1] < 2:
        return 0
    count, before = 0, None
    for row in values:
        now = np.asarray(row)
        if before is not None and (~np.isnan(now)).sum() > 1 and np.array_equal(now, before, equal_nan=True):
            count += 1
        before = now
    return count


def _graph(panel: Panel, graph: Graph) -> dict[str, Any]:
    """Edges, nodes without one, and whether neighbours move together more than others do."""
    names, source_target = _names(panel), graph.edges()[0]
    between = source_target[:, source_target[0] != source_target[1]]
    alone = sorted({*range(len(names))} - {*between.ravel().tolist()})
    found = {
        "n_edges": int(between.shape[1]),
        "alone": plain([names[i] for i in alone]),
        "n_parts": int(connected_components(graph.adjacency, directed=False)[0]),
        "neighbours": None,
        "all_pairs": None,
    }
    n = len(names)
    if 2 < n <= _MOST_NODES and between.shape[1]:
        changes = pd.DataFrame(np.diff(np.asarray(panel.values[-_MOST_ROWS:, :, 0]), axis=0))
        together = changes.corr(min_periods=3).to_numpy(copy=True)
        np.fill_diagonal(together, np.nan)
        pairs = together[tuple(between)]
        if np.isfinite(pairs).any():
            found |= {"neighbours": float(np.nanmean(pairs)), "all_pairs": float(np.nanmean(together))}
    return found


# ---------------------------------------------------------------- words


def quality_lines(found: dict[str, Any], *, short: bool = False) -> list[str]:
    """Put what `inspect_data` found into words.

    Parameters
    ----------
    found : dict
        As `inspect_data` returns it.
    short : bool, default=False
        Whether only what may be wrong is said, for instance before a training.

    Returns
    -------
    list of str
        A line for each thing, which begins with a word for it.
    """
    where = "cells" if "grid" in found else "sensors"
    lines = [] if short else [*_size_lines(found, where), *_missing_lines(found, where)]
    lines += _gap_lines(found)
    if "repeated_outlier" in found:
        value, count = found["repeated_outlier"]
        text = f"{value:.10g} is there {count:,} times, far beyond all others; if it marks missing values: "
        lines.append(_line("extreme", f"{text}missing='{value:.10g}'"))
    constant = [name for name in found["constant_nodes"] if name not in found["dead"]]
    for word, reasons in (("dead", found["dead"]), ("short", found["short"])):
        if reasons:
            said = [f"{name} ({reason})" for name, reason in reasons.items()]
            lines.append(_line(word, f"{len(said)} of {found['n_nodes']} {where}: {_some(said)}"))
    if constant:
        lines.append(_line("constant", f"{len(constant)} of {found['n_nodes']} {where}: {_some(constant)}"))
    if found["equal"]:
        groups = [" = ".join(map(str, group[:4])) for group in found["equal"]]
        lines.append(_line("equal", f"the same values in {_some(groups)}"))
    if found["repeated_rows"] > 0.01 * found["n_times"]:
        lines.append(
            _line("repeated", f"{found['repeated_rows']:,} rows are those before them again, in every sensor")
        )
    if "graph" in found:
        lines += _graph_lines(found["graph"], short)
    return lines + [_line("note", note) for note in found["notes"]]


def _line(word: str, text: str) -> str:
    return f"{word:<9} {text}"


def _some(names: list[Any]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(map(str, names[:_MOST_NAMED])) + (f" and {more} more" if more > 0 else "")


def _size_lines(found: dict[str, Any], where: str) -> list[str]:
    rows = f"{found['n_rows']:,}"
    if "first_time" in found:
        rows += f", from {found['first_time']} to {found['last_time']}"
    every = "" if found["frequency"] is None else f"one step: {found['frequency']}; "
    zone = "no time zone" if found["zone"] is None else f"time zone {found['zone']}"
    lines = [_line("rows", rows)]
    if found["frequency"] is not None:
        lines.append(_line("times", f"{every}{zone}"))
    if found["dates"] is not None:
        lines.append(
            _line("dates", f"were read with the {found['dates']}, as other orders make no regular times")
        )
    grid = f" ({found['grid'][0]} x {found['grid'][1]})" if "grid" in found else ""
    return [*lines, _line(where, f"{found['n_nodes']:,}{grid}")]


def _missing_lines(found: dict[str, Any], where: str) -> list[str]:
    if not found["missing_share"]:
        return [_line("missing", "nothing")]
    worst = ", ".join(f"{name} {share:.1%}" for name, share in found["worst"])
    return [
        _line("missing", f"{found['missing_share']:.1%} of all values; longest run {found['longest_missing_run']:,} rows"),
        _line("worst", f"{where} by share missing: {worst}"),
    ]  # fmt: skip


def _gap_lines(found: dict[str, Any]) -> list[str]:
    if str(found["frequency"]).startswith("irregular"):
        return [_line("gaps", f"the times are {found['frequency']}: no rows are put in between")]
    if not found["n_missing_steps"]:
        return []
    longest = "; ".join(f"{n} between {after} and {before}" for after, before, n in found["gap_list"][:3])
    what = (
        "they recur, as nights do, or are most of all: nothing is put in"
        if found["recurring"]
        else "they count as missing"
    )
    return [
        _line("gaps", f"{found['n_missing_steps']:,} steps are not there ({what}); the longest: {longest}")
    ]


def _graph_lines(graph: dict[str, Any], short: bool) -> list[str]:
    lines = []
    if not short:
        parts = "" if graph["n_parts"] == 1 else f", in {graph['n_parts']} parts without a way between them"
        lines.append(_line("graph", f"{graph['n_edges']} edges{parts}"))
        if graph["neighbours"] is not None:
            lines.append(
                _line(
                    "fit",
                    f"changes of neighbours correlate {graph['neighbours']:.2f}, those of all pairs {graph['all_pairs']:.2f}",
                )
            )
    if graph["alone"]:
        lines.append(_line("alone", f"{len(graph['alone'])} without an edge: {_some(graph['alone'])}"))
    return lines
