"""What a comparison comes to: the best forecaster, by how much it is better, and whether that may be chance.

Builds on `metrics.significance`; made by `Report.verdict`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..exceptions import DataError
from ..metrics.significance import blocked_diebold_mariano, holm

__all__ = ["KEPT_LINEAR", "LEVEL", "Verdict", "judge"]

KEPT_LINEAR = "kept the linear forecast"
LEVEL = 0.05  # a difference with a larger p value may be chance


class Row(Protocol):
    """What a verdict needs to know of a `ModelResult`."""

    name: str
    scores: dict[str, float]
    origin_mae: np.ndarray | None
    network: bool
    note: str | None


@dataclass(frozen=True)
class Verdict:
    """The outcome of a comparison in a few words.

    Attributes
    ----------
    best : str or None
        Forecaster with the smallest MAE; None where none succeeded.
    rival : str or None
        The best forecaster without a network; if that is `best` itself, the best one whose network added something. The next
        best where there is no such one; None where no other succeeded.
    gain : float or None
        Share by which the MAE of `best` is below that of `rival`.
    p_values : dict of str to float
        For each other forecaster, the p value of its difference from `best`, adjusted for all of them by Holm's method; empty
        where the test part is too short for a test.
    ties : tuple of str
        Forecasters that differ from `best` by less than chance.
    kept_linear : tuple of str
        Forecasters whose network added nothing, so that they kept the linear forecast.
    choice : str or None
        Forecaster to use: `best`, or, of those that tie with it, the best one without a network.
    text : str
        All that in sentences, one a line.
    """

    best: str | None
    rival: str | None
    gain: float | None
    p_values: dict[str, float]
    ties: tuple[str, ...]
    kept_linear: tuple[str, ...]
    choice: str | None
    text: str


def judge(rows: Sequence[Row], settings: dict[str, Any]) -> Verdict:
    """Judge the rows of a report.

    Parameters
    ----------
    rows : sequence of ModelResult
        One per forecaster; those that failed do not count.
    settings : dict
        As in `Report.settings`: horizon and season.

    Returns
    -------
    Verdict
    """
    ranked = sorted((row for row in rows if row.scores), key=_rank)
    if not ranked:
        return Verdict(None, None, None, {}, (), (), None, "No forecaster succeeded.")
    best, *others = ranked
    kept = tuple(row.name for row in ranked if KEPT_LINEAR in (row.note or ""))
    rival = _rival(best, [row for row in others if row.name not in kept] or others)
    p_values = _p_values(best, others, 2 * max(settings["horizon"], settings["season"]))
    ties = [row for row in others if p_values.get(row.name, 0.0) >= LEVEL]
    choice = next((row for row in (best, *ties) if not row.network), best)
    sentences = [
        *_on_the_best(best, rival, p_values),
        *_on_ties(best, rival, ties),
        *_on_kept(kept),
        *([] if choice is best else [f"{choice.name} does as well without a network."]),
    ]
    return Verdict(
        best=best.name,
        rival=None if rival is None else rival.name,
        gain=None if rival is None else _gain(best, rival),
        p_values=p_values,
        ties=tuple(row.name for row in ties),
        kept_linear=kept,
        choice=choice.name,
        text="\n".join(sentences),
    )


def _rank(row: Row) -> tuple[float, bool]:
    """By error; of forecasters that the table shows as equal, those without a network come first."""
    return float(f"{row.scores['MAE']:.4g}"), row.network


def _rival(best: Row, others: Sequence[Row]) -> Row | None:
    """The best of the other kind, else the next best."""
    return next((row for row in others if row.network != best.network), others[0] if others else None)


def _gain(best: Row, rival: Row) -> float:
    theirs = rival.scores["MAE"]
    return 1 - best.scores["MAE"] / theirs if theirs else 0.0


def _p_values(best: Row, others: Sequence[Row], block: int) -> dict[str, float]:
    """Adjusted p values of the differences from the best; none where there are too few blocks for a test."""
    found = {}
    for row in others:
        if best.origin_mae is not None and row.origin_mae is not None:
            with contextlib.suppress(DataError):
                found[row.name] = blocked_diebold_mariano(best.origin_mae, row.origin_mae, block).p_value
    return dict(zip(found, holm(list(found.values())).tolist(), strict=True))


def _on_the_best(best: Row, rival: Row | None, p_values: dict[str, float]) -> list[str]:
    own = f"{best.name} is best: MAE {best.scores['MAE']:.4g}"
    if rival is None:
        return [f"{own}. Nothing else succeeded that it could be compared with."]
    kind = "the next"
    if rival.network != best.network:
        kind = "the best network" if rival.network else "the best without a network"
    less = f"{own}, {_gain(best, rival):.1%} less than {rival.name} ({rival.scores['MAE']:.4g}), {kind}."
    if rival.name not in p_values:
        return [less, "The test part is too short to tell whether that is chance."]
    p = p_values[rival.name]
    shown = "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
    return [f"{less} That {'may be' if p >= LEVEL else 'is more than'} chance ({shown})."]


def _on_ties(best: Row, rival: Row | None, ties: Sequence[Row]) -> list[str]:
    """A sentence on the ties with the best that the first sentence has not named."""
    names = [row.name for row in ties if row is not rival]
    if not names:
        return []
    return [
        f"{_listed(names)} {'differ' if len(names) > 1 else 'differs'} from {best.name} by less than chance."
    ]


def _on_kept(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    whose = "their networks" if len(names) > 1 else "its network"
    return [f"{_listed(names)} kept the linear forecast: {whose} added nothing (residual weight 0)."]


def _listed(names: Sequence[str]) -> str:
    """Names as they stand in a sentence: a, b and c."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
