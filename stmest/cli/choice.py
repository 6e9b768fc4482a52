"""``--model auto``: which forecaster validates best on the last rows, the simplest of those that are equally good.

Builds on `evaluation`; used by `forecast`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .models import build

if TYPE_CHECKING:
    from ..evaluation.results import ModelResult
    from ..training.stopping import StopRequest

__all__ = ["choose"]

# In the order in which they are tried, the simplest first; the last ones train networks
_CHEAP = ("last-value", "seasonal-naive", "weekly-naive", "mean-profile", "ridge", "ridge-blend")
_TRAINED = ("stid", "stmamba", "stm3")
_CHEAP_FOR_FIELDS = ("last-value", "seasonal-naive", "mean-profile", "ridge")
_TRAINED_FOR_FIELDS = ("unet", "mad")

_SHARE, _SEASONS, _HORIZONS = 0.2, 14, 20  # rows held out: this share, but no more than both others


def choose(
    X: Any,
    graph: Any,
    options: argparse.Namespace,
    season: int,
    request: StopRequest,
    say: Callable[[str], None],
) -> str:
    """The name of the forecaster to use.

    Parameters
    ----------
    X : DataFrame or DataArray
        Values.
    graph : Graph or None
        The graph of the nodes.
    options : Namespace
        Those of ``stmest forecast``.
    season : int
        Time steps per season.
    request : StopRequest
        No training begins once it is due.
    say : callable
        Prints a line.

    Returns
    -------
    str
        A name in the command line. ``"last-value"`` where there are too few rows to compare anything.
    """
    from ..exceptions import DataError

    cheap, trained = (_CHEAP, _TRAINED) if X.ndim == 2 else (_CHEAP_FOR_FIELDS, _TRAINED_FOR_FIELDS)
    share = _held_out(len(X), options.horizon, season) / len(X)
    say(f"choosing on the last {round(share * len(X)):,} of {len(X):,} rows")
    rows: dict[str, ModelResult] = {}
    try:
        for name in (*cheap, *trained):
            if rows and request.due:
                say(f"the time is over: {name} and what would come after it were not tried")
                break
            row = _tried(name, X, graph, options, season, share)
            request.wanted = False  # of this training, if it was any
            say(_sentence(row))
            if row.error is None:
                rows[name] = row
    except DataError as error:
        say(f"nothing can be compared: {error}")
    if not rows:
        say("chosen: last-value, as nothing else can be compared")
        return "last-value"
    name, why = _simplest(rows, options.horizon, season)
    say(f"chosen: {name}, {why}")
    return name


def _held_out(n_rows: int, horizon: int, season: int) -> int:
    """How many of the last rows are forecast to choose."""
    most = max(_SEASONS * season, _HORIZONS * horizon)
    return min(max(round(_SHARE * n_rows), horizon), most)


def _tried(
    name: str, X: Any, graph: Any, options: argparse.Namespace, season: int, share: float
) -> ModelResult:
    from ..evaluation.report import compare

    model = build(name, options, season)
    return compare({name: model}, X, graph, test_fraction=share, season=1).rows[0]


def _sentence(row: ModelResult) -> str:
    if row.error is not None:
        return f"  {row.name:<15} not possible: {row.error}"
    note = "" if row.note is None else f", {row.note}"
    return f"  {row.name:<15} MAE {row.scores['MAE']:.4g}, fitted in {row.fit_seconds:.1f} s{note}"


def _simplest(rows: dict[str, ModelResult], horizon: int, season: int) -> tuple[str, str]:
    """The simplest of the forecasters than which the best one is not surely better, and why."""
    from ..evaluation.verdict import judge

    verdict = judge(list(rows.values()), {"horizon": horizon, "season": season})
    errors = {name: row.scores["MAE"] for name, row in rows.items()}
    name = next(name for name in rows if name == verdict.best or name in verdict.ties)
    if name != verdict.best:
        least = errors[verdict.best]  # type: ignore[index]
        return (
            name,
            f"MAE {errors[name]:.4g}; {verdict.best} has {least:.4g}, a difference that may be chance",
        )
    others = sorted(set(rows) - {name}, key=lambda other: errors[other])
    if not others or not errors[others[0]]:
        return name, f"MAE {errors[name]:.4g}"
    less = 1 - errors[name] / errors[others[0]]
    return name, f"MAE {errors[name]:.4g}, {less:.1%} less than {others[0]}"
