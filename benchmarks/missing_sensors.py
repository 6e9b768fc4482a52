"""How forecasts suffer from missing values: error against the share that is missing, networks beside baselines.

    python benchmarks/missing_sensors.py [--tasks beijing,taxi] [--models stm3,ridge] [--kinds dead] [--seeds 1] [--epochs 10]
    python benchmarks/missing_sensors.py --seeds 0        prints the tables of what is stored

Values are taken away in three ways from training and test rows alike: single cells at random; gaps, runs of 6 to 48
rows of one sensor; dead sensors, which are missing in all rows. Failing sensors are missing in the test rows only. Every
forecaster is given the same holes. Rows are split 80/20 in time; the error is that over all windows of the last 20 %,
against the values before the holes were made, so that the targets are the same for every share. For dead and failing
sensors it is told apart for those that are silent in the test rows, and for the others. Beside it stands the error on the
validation part of the training rows. "stm3-hidden" and "stmamba-hidden" learn with node_dropout=0.1.

A run is a task, a kind of hole, a share, a model and a seed. It is stored in results/missing_sensors.json as soon as it
is finished, and not run again. Needs the folder of real data in STMEST_DATA.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from _common import Runs, machine, spread, table, validation_error
from _panels import Task, load_task
from numpy.lib.stride_tricks import sliding_window_view

from stmest import LastValue, MeanProfile, RidgeForecaster, SeasonalNaive, STM3Forecaster, STMambaForecaster
from stmest.metrics.point import mae

# A slice that runs in minutes: rows of the end of the panel
ROWS = {"beijing": 24 * 365, "taxi": 24 * 91}
SHARES = (0.0, 0.1, 0.2, 0.4)
DAY = 24

# name -> forecaster of (task, seed, most epochs); those of SEEDED have seeds
MODELS: dict[str, Callable[[Task, int, int], Any]] = {
    "last-value": lambda task, seed, epochs: LastValue(horizon=task.horizon),
    "naive-day": lambda task, seed, epochs: SeasonalNaive(horizon=task.horizon, season=DAY),
    "mean-profile": lambda task, seed, epochs: MeanProfile(horizon=task.horizon, season=DAY),
    "ridge": lambda task, seed, epochs: RidgeForecaster(input_length=task.input_length, horizon=task.horizon),
    "stm3": lambda task, seed, epochs: _network(STM3Forecaster, task, seed, epochs),
    "stmamba": lambda task, seed, epochs: _network(STMambaForecaster, task, seed, epochs),
    "stm3-hidden": lambda task, seed, epochs: _network(STM3Forecaster, task, seed, epochs, 0.1),
    "stmamba-hidden": lambda task, seed, epochs: _network(STMambaForecaster, task, seed, epochs, 0.1),
}
SEEDED = ("stm3", "stmamba", "stm3-hidden", "stmamba-hidden")


def _network(kind: Any, task: Task, seed: int, epochs: int, node_dropout: float = 0.0) -> Any:
    sizes = {"input_length": task.input_length, "horizon": task.horizon}
    return kind(**sizes, max_epochs=epochs, random_state=seed, node_dropout=node_dropout)


# ---------------------------------------------------------------- holes


def cells(shape: tuple[int, int], share: float, rng: np.random.Generator) -> np.ndarray:
    """Single values at random."""
    return rng.random(shape) < share


def gaps(shape: tuple[int, int], share: float, rng: np.random.Generator) -> np.ndarray:
    """Runs of 6 to 48 rows of one sensor, until the share is reached."""
    holes = np.zeros(shape, dtype=bool)
    while holes.mean() < share:
        first, length, node = rng.integers(shape[0]), rng.integers(6, 49), rng.integers(shape[1])
        holes[first : first + length, node] = True
    return holes


def dead(shape: tuple[int, int], share: float, rng: np.random.Generator) -> np.ndarray:
    """Sensors that are missing in all rows."""
    holes = np.zeros(shape, dtype=bool)
    holes[:, rng.permutation(shape[1])[: round(share * shape[1])]] = True
    return holes


def failing(shape: tuple[int, int], share: float, rng: np.random.Generator) -> np.ndarray:
    """Sensors that are missing in the test rows."""
    holes = dead(shape, share, rng)
    holes[: shape[0] - shape[0] // 5] = False
    return holes


KINDS = {"cells": cells, "gaps": gaps, "dead": dead, "failing": failing}
OF_SENSORS = ("dead", "failing")


# ---------------------------------------------------------------- runs


def run(task: Task, model: Any, kind: str, share: float) -> dict[str, Any]:
    """Errors of one forecaster that was given the holes, over all windows of the last fifth of the rows."""
    truth = task.X.to_numpy()
    holes = KINDS[kind](truth.shape, share, np.random.default_rng(0))
    X = pd.DataFrame(np.where(holes, np.nan, truth), index=task.X.index, columns=task.X.columns)
    cut = len(X) - len(X) // 5
    entry: dict[str, Any] = {name: machine()[name] for name in ("processor", "commit")}
    start = time.perf_counter()
    model.fit(X.iloc[:cut], adj=task.graph)
    entry["fit_seconds"] = time.perf_counter() - start
    _, forecast = model.predict_windows(X.iloc[cut:])
    targets = sliding_window_view(truth[cut:], task.horizon, axis=0).swapaxes(1, 2)
    if not np.isfinite(forecast).all():
        raise RuntimeError(f"{kind} {share}: a forecast is not finite")
    silent = holes[cut:].all(0)
    entry |= {"MAE": mae(targets, forecast), "missing": float(np.isnan(X.to_numpy()).mean())}
    entry["validation_MAE"] = validation_error(model)
    entry["MAE_observed"] = mae(targets[..., ~silent], forecast[..., ~silent])
    if silent.any():
        entry["MAE_dead"] = mae(targets[..., silent], forecast[..., silent])
    return entry


def measure(options: argparse.Namespace, runs: Runs) -> None:
    """Run what is not stored yet, and store every run."""
    for name_of_task in options.tasks:
        task = load_task(name_of_task)
        rows = options.rows or ROWS[name_of_task]
        task = Task(task.X.iloc[-rows:], task.graph, task.input_length, task.horizon, task.unit)
        for name in options.models:
            for seed in range(options.seeds if name in SEEDED else min(1, options.seeds)):
                for kind, share in settings(options.kinds, options.shares):
                    key = f"{name_of_task}|{kind}|{share}|{name}|{seed}"
                    if key in runs.finished():
                        continue
                    entry = run(task, MODELS[name](task, seed, options.epochs), kind, share)
                    runs.add(key, entry | {"epochs": options.epochs, "rows": rows})
                    sys.stdout.write(f"{key}  MAE {entry['MAE']:.4g}  {entry['fit_seconds']:.1f} s\n")
                    sys.stdout.flush()


def settings(kinds: list[str], shares: list[float]) -> list[tuple[str, float]]:
    """Kinds and shares; without holes all kinds are the same, and one of them stands for all."""
    none = [("cells", 0.0)] if 0 in shares else []
    return [*none, *((kind, share) for kind in kinds for share in shares if share)]


# ---------------------------------------------------------------- tables


def show(runs: dict[str, Any], tasks: list[str]) -> None:
    """Print a table per task and kind: errors by share, and how much they grow up to the largest."""
    for task in tasks:
        for kind in KINDS:
            column = "MAE_observed" if kind in OF_SENSORS else "MAE"
            rows = _rows(runs, task, kind, column)
            if rows:
                what = " of the sensors that are alive" if kind in OF_SENSORS else ""
                sys.stdout.write(f"\n{task}, {kind}: MAE{what} by share of missing values\n")
                head = ["model", "seeds", *(f"{share:.0%}" for share in SHARES), "growth"]
                sys.stdout.write(table(head, rows) + "\n")
        for kind in OF_SENSORS:
            rows = _rows(runs, task, kind, "MAE_dead")
            if rows:
                sys.stdout.write(f"\n{task}, {kind}: MAE of the sensors that are silent\n")
                sys.stdout.write(table(["model", "seeds", *(f"{s:.0%}" for s in SHARES), ""], rows) + "\n")
    sys.stdout.write(f"\n{machine()['processor']}, commit {machine()['commit'][:10]}\n")


def _rows(runs: dict[str, Any], task: str, kind: str, column: str) -> list[list[Any]]:
    rows = []
    for name in MODELS:
        cells, means, seeds = [], [], 0
        for share in SHARES:
            start = f"{task}|{kind if share else 'cells'}|{share}|{name}|"
            entries = [entry for key, entry in runs.items() if key.startswith(start)]
            known = [entry[column] for entry in entries if column in entry]
            mean, deviation = spread(known)
            cells.append(f"{mean} +- {deviation}" if deviation else mean)
            means.append(np.mean(known) if known else np.nan)
            seeds = max(seeds, len(entries))
        if np.isfinite(means).any():
            growth = f"{means[-1] / means[0] - 1:+.0%}" if np.isfinite([means[0], means[-1]]).all() else ""
            rows.append([name, seeds, *cells, growth])
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default=",".join(ROWS))
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--shares", default=",".join(map(str, SHARES)))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=10, help="at most so many")
    parser.add_argument("--rows", type=int, help=f"of the end of the panel; default: {ROWS}")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--results", default="missing_sensors", help="name of the file in results/")
    parser.add_argument("--fresh", action="store_true", help="run everything again")
    options = parser.parse_args()
    for name in ("tasks", "models", "kinds"):
        setattr(options, name, getattr(options, name).split(","))
    options.shares = [float(share) for share in options.shares.split(",")]
    torch.set_num_threads(options.threads)
    runs = Runs(options.results, {"shares": SHARES, "rows": ROWS, "test_fraction": 0.2})
    if options.fresh:
        runs.forget(lambda key: True)
    measure(options, runs)
    show(runs.finished(), options.tasks)


if __name__ == "__main__":
    main()
