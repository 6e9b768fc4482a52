"""Forecasters of stmest inside sktime, beside the classical ones: MASE, MAE, coverage of intervals, seconds.

    python benchmarks/sktime_classical.py [--tasks molene,taxi,pjm] [--models ...] [--folds 5] [--threads 1] [--fresh]

Molene temperatures, and six weeks of the ten busiest zones of NYC taxi 2019 and of ten PJM regions, hourly. Windows expand by a
day and everything is fitted anew on each, as in sktime's ``evaluate(strategy="refit")``: a fit for 24 steps, of which the
first 12 and all are scored, and an interval of 90 %. Series by series, or all together (VAR, and those of stmest).
Finished folds are kept in results/sktime_classical.json, so that an interrupted benchmark goes on; ``--fresh`` begins anew.
Needs the folder of real data in STMEST_DATA, and the extra ``bench``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from _common import RESULTS, machine, save, table
from sktime.forecasting.arima import AutoARIMA
from sktime.forecasting.ets import AutoETS
from sktime.forecasting.ltsf import LTSFDLinearForecaster
from sktime.forecasting.naive import NaiveForecaster
from sktime.forecasting.scinet import SCINetForecaster
from sktime.forecasting.theta import ThetaForecaster
from sktime.forecasting.var import VAR
from sktime.split import ExpandingWindowSplitter
from sktime.transformations.detrend import Deseasonalizer

import stmest.sktime
from stmest import load_panel

DAY, STEPS, LOOK_BACK = 24, 24, 48
WEEKS, NODES = 6, 10


def _seasonal(forecaster: Any) -> Any:
    return Deseasonalizer(sp=DAY) * forecaster


def _own(name: str) -> Callable[[], Any]:
    estimator = getattr(stmest.sktime, name)
    seed = {"random_state": 0} if estimator.get_class_tag("capability:random_state") else {}
    return lambda: estimator(input_length=LOOK_BACK, **seed)


MODELS: dict[str, Callable[[], Any]] = {
    **{f"stmest {name.removesuffix('Forecaster')}": _own(name) for name in stmest.sktime.__all__},
    "Naive (day)": lambda: NaiveForecaster(strategy="last", sp=DAY),
    "AutoARIMA, deseasonalised": lambda: _seasonal(AutoARIMA(max_p=3, max_q=3, suppress_warnings=True)),
    "AutoETS": lambda: AutoETS(seasonal="add", sp=DAY),
    "Theta, deseasonalised": lambda: _seasonal(ThetaForecaster(deseasonalize=False)),
    "VAR, deseasonalised": lambda: _seasonal(VAR(maxlags=6, ic="aic")),
    "LTSF DLinear": lambda: LTSFDLinearForecaster(
        seq_len=LOOK_BACK, pred_len=STEPS, num_epochs=20, batch_size=32
    ),
    "SCINet": lambda: SCINetForecaster(seq_len=LOOK_BACK, pred_len=STEPS, num_epochs=20, batch_size=32),
}


def load(task: str) -> pd.DataFrame:
    """Hourly series of a task."""
    name = {"molene": "molene_brittany_temp", "taxi": "nyc_taxi_69zones_60min", "pjm": "pjm_load_10regions"}[
        task
    ]
    panel = load_panel(name)
    y = panel.frame(panel.channels[0])
    if task == "taxi":
        y = y[y.index.year == 2019]
    if task != "molene":
        y = y.interpolate().dropna(axis=1).iloc[-WEEKS * 7 * DAY :]
    y = y[y.mean().sort_values(ascending=False).index[:NODES]]
    return y.set_axis(y.columns.astype(str), axis=1).asfreq("h")


def run(make: Callable[[], Any], past: pd.DataFrame, truth: pd.DataFrame) -> dict[str, Any]:
    """Scores and seconds of one fold."""
    forecaster = make()
    start = time.perf_counter()
    forecaster.fit(past, fh=np.arange(1, STEPS + 1))
    fitted = time.perf_counter()
    forecast = forecaster.predict()
    done = time.perf_counter()
    error = np.abs(forecast.to_numpy() - truth.to_numpy())
    naive = np.abs(past.to_numpy()[DAY:] - past.to_numpy()[:-DAY]).mean(0)
    scores = {"fit_seconds": fitted - start, "predict_seconds": done - fitted}
    for steps in (STEPS // 2, STEPS):
        scores |= {f"MAE@{steps}": error[:steps].mean(), f"MASE@{steps}": (error[:steps] / naive).mean()}
    if forecaster.get_tag("capability:pred_int"):
        interval = forecaster.predict_interval(coverage=0.9)
        lower, upper = (interval.xs(end, axis=1, level=-1).to_numpy() for end in ("lower", "upper"))
        scores["coverage90"] = ((truth.to_numpy() >= lower) & (truth.to_numpy() <= upper)).mean()
        scores["width90"] = (upper - lower).mean()
    return {name: float(value) for name, value in scores.items()}


def measure(task: str, results: dict[str, Any], options: argparse.Namespace) -> None:
    """Run what is not among the results yet, saving after every fold."""
    y = load(task)
    first = len(y) - STEPS - (options.folds - 1) * DAY
    folds = ExpandingWindowSplitter(initial_window=first, step_length=DAY, fh=np.arange(1, STEPS + 1))
    for name in options.models.split(";"):
        for fold, (past, truth) in enumerate(folds.split_series(y)):
            key = f"{task}|{name}|{fold}"
            if key in results:
                continue
            sys.stdout.write(f"{key}\n")
            try:
                scores: dict[str, Any] = run(MODELS[name], past, truth)
            except (ValueError, RuntimeError, ImportError, TypeError, np.linalg.LinAlgError) as error:
                scores = {"error": f"{type(error).__name__}: {error}"[:300]}
            results |= {**_finished(), key: {**scores, "commit": machine()["commit"]}}
            settings = {
                "steps": STEPS,
                "look_back": LOOK_BACK,
                "threads": options.threads,
                "folds": options.folds,
            }
            save("sktime_classical", {"settings": settings, "runs": results})


def summary(results: dict[str, Any]) -> str:
    """One row per task and model: means over the folds."""
    columns = [f"{score}@{steps}" for score in ("MASE", "MAE") for steps in (STEPS // 2, STEPS)]
    columns += ["coverage90", "width90", "fit_seconds", "predict_seconds"]
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for key, scores in results.items():
        groups.setdefault(tuple(key.split("|")[:2]), []).append(scores)  # type: ignore[arg-type]
    rows = []
    for (task, name), runs in groups.items():
        done = [scores for scores in runs if "error" not in scores]
        cells = [
            f"{np.mean([s[column] for s in done]):.3g}" if done and column in done[0] else ""
            for column in columns
        ]
        rows.append([f"{task}: {name}", f"{len(done)}/{len(runs)}", *cells])
    return table(["model", "folds", *columns], rows)


def _finished() -> dict[str, Any]:
    path = RESULTS / "sktime_classical.json"
    return json.loads(path.read_text())["runs"] if path.exists() else {}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default="molene,taxi,pjm")
    parser.add_argument("--models", default=";".join(MODELS), help=f"with semicolons: {'; '.join(MODELS)}")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    # sktime and statsmodels warn of much that is known; sktime sets filters of its own
    warnings.showwarning = lambda *_, **__: None
    if options.fresh:
        (RESULTS / "sktime_classical.json").unlink(missing_ok=True)
    results = _finished()
    for task in options.tasks.split(","):
        measure(task, results, options)
    sys.stdout.write(f"{summary(results)}\n{machine()['processor']}, commit {machine()['commit'][:10]}\n")


if __name__ == "__main__":
    main()
