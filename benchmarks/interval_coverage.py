"""How often prediction intervals hold what comes: ridge and STM3 on held-out NYC taxi 2019 and Molene temperatures.

    python benchmarks/interval_coverage.py [--tasks taxi,molene] [--models ridge,STM3] [--threads 1] [--max-epochs N] [--fresh]

Fitted on the first 80 % of the rows; an interval is forecast from every origin of the rest (taxi: every fifth). ``fixed``
keeps the rows that intervals are calibrated on, up to ten weeks after them; ``moving`` gives `update` every new day, after
which the last rows count. Finished runs are kept in results/interval_coverage.json; ``--fresh`` begins anew.
Needs the folder of real data in STMEST_DATA.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import numpy as np
import pandas as pd
import torch
from _common import RESULTS, machine, save, table

from stmest import RidgeForecaster, STM3Forecaster, load_panel
from stmest.metrics.intervals import interval_coverage, interval_width

COVERAGES = (0.5, 0.8, 0.9, 0.95)
INPUT_LENGTH, DAY = 24, 24
# task -> data set, horizon, rows between two origins
TASKS = {"taxi": ("nyc_taxi_69zones_60min", 12, 5), "molene": ("molene_brittany_temp", 6, 1)}


def load(task: str) -> tuple[pd.DataFrame, Any]:
    """Values and graph."""
    panel = load_panel(TASKS[task][0])
    X = panel.frame(panel.channels[0])
    return (X[X.index.year == 2019] if task == "taxi" else X), panel.graph


def forecaster(name: str, horizon: int, options: argparse.Namespace) -> Any:
    """An unfitted forecaster."""
    window = {"input_length": INPUT_LENGTH, "horizon": horizon}
    if name == "ridge":
        return RidgeForecaster(**window)
    more = {} if options.max_epochs is None else {"max_epochs": options.max_epochs}
    return STM3Forecaster(**window, **more, random_state=0, verbose=1)


def held(model: Any, X: pd.DataFrame, first: int, stride: int, moving: bool) -> dict[str, float]:
    """Share of the values that the intervals hold, and mean width, for each coverage."""
    hits: dict[float, list[float]] = {c: [] for c in COVERAGES}
    widths: dict[float, list[float]] = {c: [] for c in COVERAGES}
    known = first
    for origin in range(first, len(X) - model.horizon + 1, stride):
        if moving and origin - known >= DAY:
            model.update(X.iloc[known:origin])
            known = origin
        truth = X.iloc[origin : origin + model.horizon].to_numpy()
        for coverage in COVERAGES:
            lower, upper = model.predict_interval(X.iloc[origin - INPUT_LENGTH : origin], coverage)
            hits[coverage].append(interval_coverage(truth, lower, upper))
            widths[coverage].append(interval_width(lower, upper))
    shares = {f"held@{c:g}": float(np.mean(hits[c])) for c in COVERAGES}
    return shares | {f"width@{c:g}": float(np.mean(widths[c])) for c in COVERAGES}


def measure(task: str, name: str, results: dict[str, Any], options: argparse.Namespace) -> None:
    """Run what is not among the results yet, saving after every run."""
    modes = [mode for mode in ("fixed", "moving") if f"{task}|{name}|{mode}" not in results]
    if not modes:
        return
    X, graph = load(task)
    _, horizon, stride = TASKS[task]
    first = int(0.8 * len(X))
    model = forecaster(name, horizon, options)
    start = time.perf_counter()
    model.fit(X.iloc[:first], adj=graph)
    fit_seconds = time.perf_counter() - start
    for mode in modes:  # "moving" changes the forecaster and is the last
        scores = held(model, X, first, stride, mode == "moving")
        facts = {"fit_seconds": fit_seconds, "commit": machine()["commit"]}
        results |= {**_finished(), f"{task}|{name}|{mode}": {**scores, **facts}}
        save("interval_coverage", {"settings": {"threads": options.threads}, "runs": results})


def summary(results: dict[str, Any]) -> str:
    """One row per run: share held at every coverage, and width of the interval of 90 %."""
    rows = []
    for key, s in results.items():
        shares = (f"{100 * s[f'held@{c:g}']:.1f}" for c in COVERAGES)
        rows.append([key.replace("|", " "), *shares, f"{s['width@0.9']:.3g}", f"{s['fit_seconds']:.1f}"])
    return table(["run", *(f"{100 * c:g} %" for c in COVERAGES), "width of 90 %", "fit s"], rows)


def _finished() -> dict[str, Any]:
    path = RESULTS / "interval_coverage.json"
    return json.loads(path.read_text())["runs"] if path.exists() else {}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default="taxi,molene")
    parser.add_argument("--models", default="ridge,STM3")
    parser.add_argument("--max-epochs", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.fresh:
        (RESULTS / "interval_coverage.json").unlink(missing_ok=True)
    results = _finished()
    for task in options.tasks.split(","):
        for name in options.models.split(","):
            measure(task, name, results, options)
    sys.stdout.write(f"{summary(results)}\n{machine()['processor']}, commit {machine()['commit'][:10]}\n")


if __name__ == "__main__":
    main()
