"""MAD, what is left when a part is taken out, and the baselines, on two fields: simulated flows and temperature.

    python benchmarks/accuracy_fields.py [--tasks navier_stokes,era5] [--models NAMES] [--seeds 1] [--threads 1]
        [--trajectories 320] [--refinement 1] [--epochs N] [--mad JSON] [--unet JSON] [--costs NAMES] [--fresh]

- navier_stokes: vorticity at 64 x 64 (viscosity 1e-5), 20 snapshots a flow, 10 -> 10. A fifth of the flows is tested on; of
  the others, the last eighth validates. The flows are simulated once and kept in a folder of the system for temporary files.
  With ``--refinement 1`` they are computed on 64 x 64 points, which differs from twice as many by 1.5 % (mean absolute
  difference of two flows) at the 15th snapshot and 5.5 % at the last; ``--refinement 2`` takes about seven times as long.
- era5: temperature of March 2019, hourly, 33 x 49 cells around the United Kingdom, 12 -> 12. The first 80 % of the rows are
  given to fit, which validates on the last eighth of them; every window whose targets lie in the rest counts. Rollouts of
  40 steps, fed with the forecasts before them, from every fourth hour. Needs the folder of real data in STMEST_DATA.

MSE in the squared units of the data; SSIM and PSNR with the range of the training rows. Finished runs are kept in
results/accuracy_fields.json, so that an interrupted benchmark goes on where it stopped; ``--fresh`` begins anew.

The cost table: parameters, seconds of one training step (forward, backward, update), peak memory of training over what was
in use before, and floating-point operations of one forward pass, at 128 x 128 cells, 16 windows of 10 -> 10. Operations are
counted by torch.utils.flop_counter, which knows matrix products, convolutions and attention; those of the scan of Mamba and
of element-wise functions are not in it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import RESULTS, PeakMemory, machine, save, table
from torch.utils.flop_counter import FlopCounterMode

from stmest import (
    LastValue,
    MADForecaster,
    MeanProfile,
    RidgeForecaster,
    SeasonalNaive,
    UNetForecaster,
    load_field,
    make_navier_stokes,
)
from stmest.evaluation.images import psnr, ssim
from stmest.evaluation.metrics import horizon_errors, mae, mse

ROLLOUT = (10, 20, 30, 40)
MAD = {
    "mad": {},
    "mad-conv": {"reconstruction": "conv"},  # without Mamba
    "mad-unet": {"reconstruction": "unet"},
    "mad-vit": {"prediction": "vit"},  # without the condition of the transformer
    "mad-convlstm": {"prediction": "convlstm"},  # without transformer
    "mad-alone": {"fusion_weight": 0.0},  # without reconstruction
}
BASELINES = ("last-value", "day-before", "mean-profile", "ridge", "ridge-per-pixel", "unet")
# these need the cycle of a day, which simulated flows do not have
DAILY = ("day-before", "mean-profile")


def build(name: str, length: int, seed: int, options: argparse.Namespace) -> Any:
    """An unfitted forecaster from `length` steps to as many."""
    window = {"input_length": length, "horizon": length}
    trained = {**window, "random_state": seed, "verbose": 1}
    if options.epochs is not None:
        trained["max_epochs"] = options.epochs
    makers: dict[str, Callable[[], Any]] = {
        "last-value": lambda: LastValue(horizon=length),
        "day-before": lambda: SeasonalNaive(horizon=length, season=24),
        "mean-profile": lambda: MeanProfile(horizon=length, season=24),
        "ridge": lambda: RidgeForecaster(**window, alpha=10.0),
        "ridge-per-pixel": lambda: RidgeForecaster(**window, alpha=10.0, per_node=True),
        "unet": lambda: UNetForecaster(**{**trained, **options.unet}),
    }
    if name in MAD:
        return MADForecaster(**{**trained, **options.mad, **MAD[name]})
    return makers[name]()


class NavierStokes:
    """Independent flows; the last fifth is tested on."""

    length, unit = 10, "1/s^2"

    def __init__(self, options: argparse.Namespace) -> None:
        X = make_navier_stokes(
            options.trajectories, options.resolution, n_steps=20, refinement=options.refinement, random_state=0,
            device=options.device, cache=Path(tempfile.gettempdir()) / "stmest-benchmarks", verbose=1,
        )  # fmt: skip
        cut = len(X) - max(1, len(X) // 5)
        self.train, self.test = X[:cut], X[cut:]

    def score(self, model: Any) -> dict[str, Any]:
        """Errors of the second half of each flow from its first half."""
        context = model._context_length
        truth, forecast = model.predict_windows(self.test[:, self.length - context :], stride=self.length)
        return {**measures(truth, forecast, self.train), "mse_by_step": by_step(truth, forecast)}


class Era5:
    """One field over time; the last fifth of the rows is tested on."""

    length, unit = 12, "K^2"

    def __init__(self, options: argparse.Namespace) -> None:
        X = load_field("grid_era5_t2m_uk")
        self.X = X if options.rows is None else X[: options.rows]
        self.cut = len(self.X) - round(0.2 * len(self.X))
        self.train = self.X[: self.cut]

    def score(self, model: Any) -> dict[str, Any]:
        """Errors 12 hours ahead from every hour, and of rollouts."""
        tail = self.X[self.cut - model._context_length :]
        truth, forecast = model.predict_windows(tail)
        rolled = model.predict_windows(tail, stride=4, steps=max(ROLLOUT))
        curve = by_step(*rolled)
        return {
            **measures(truth, forecast, self.train.values),
            "mse_by_step": by_step(truth, forecast),
            "rollout_mse_by_step": curve,
            **{f"mse_to_{steps}": float(np.mean(curve[:steps])) for steps in ROLLOUT},
            **{f"mse_at_{steps}": curve[steps - 1] for steps in ROLLOUT},
        }


TASKS = {"navier_stokes": NavierStokes, "era5": Era5}


def measures(truth: np.ndarray, forecast: np.ndarray, train: np.ndarray) -> dict[str, float]:
    """The three errors of the issue, MAE beside them, and the range that they were computed with."""
    peak = float(np.nanmax(train) - np.nanmin(train))
    return {
        "MSE": mse(truth, forecast), "MAE": mae(truth, forecast), "SSIM": ssim(truth, forecast, peak),
        "PSNR": psnr(truth, forecast, peak), "data_range": peak, "windows": len(truth),
    }  # fmt: skip


def by_step(truth: np.ndarray, forecast: np.ndarray) -> list[float]:
    """MSE of each step by itself."""
    return [float(value) for value in horizon_errors(truth, forecast, "mse")]


def run(task: Any, model: Any) -> dict[str, Any]:
    """Fit and score one forecaster."""
    start = time.perf_counter()
    model.fit(task.train)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    scores = task.score(model)
    out = {
        **scores, "fit_seconds": seconds, "score_seconds": time.perf_counter() - start,
        "parameters": model.n_parameters_, "commit": machine()["commit"],
    }  # fmt: skip
    if hasattr(model, "history_"):
        out |= {"epochs": model.n_iter_, "best_epoch": model.best_epoch_, "device": str(model.device_)}
        out["settings"] = {name: str(value) for name, value in model.get_params().items()}
    return out


def measure(options: argparse.Namespace, stored: dict[str, Any]) -> None:
    """Run what is not stored yet, saving after every run."""
    for task_name in options.tasks:
        task = None
        for seed in range(options.seeds):
            for name in options.models:
                is_trained = name in MAD or name == "unet"
                key = f"{task_name}|{name}|{seed}"
                skipped = (not is_trained and seed > 0) or (task_name == "navier_stokes" and name in DAILY)
                if key in stored["runs"] or skipped:
                    continue
                task = TASKS[task_name](options) if task is None else task
                sys.stdout.write(f"{key}\n")
                sys.stdout.flush()
                stored["runs"][key] = run(task, build(name, task.length, seed, options))
                keep(options, stored)


def cost(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Parameters, seconds of a training step, memory and operations of a network."""
    size, batch, n_steps = options.cost_size, options.cost_batch, 2
    X = np.random.default_rng(0).normal(size=(n_steps * batch, 20, size, size, 1)).astype(np.float32)
    fixed = {"max_epochs": 1, "patience": None, "batch_size": batch, "verbose": 0}
    model = build(name, 10, 0, options).set_params(**fixed)
    model.fit(X[:batch])  # what is compiled at first use is compiled now
    with PeakMemory() as memory:
        model.fit(X)
    inputs = torch.zeros(batch, 10, size * size, 1, device=model.device_)
    with torch.inference_mode():
        start = time.perf_counter()
        model.network_(inputs)
        forward = time.perf_counter() - start
    with FlopCounterMode(display=False) as counter:  # it wants gradients
        model.network_(inputs[:1])
    return {
        "parameters": model.n_parameters_, "seconds_per_step": float(model.history_.seconds.iloc[0]) / n_steps,
        "memory_mb": memory.megabytes, "forward_gflops": batch * counter.get_total_flops() / 1e9,
        "frames_per_second": 10 * batch / forward, "size": size, "batch": batch, "device": str(model.device_),
        "commit": machine()["commit"],
    }  # fmt: skip


def measure_costs(options: argparse.Namespace, stored: dict[str, Any]) -> None:
    """Costs that are not stored yet."""
    for name in options.costs:
        key = f"{name}|{options.cost_size}|{options.cost_batch}|{json.dumps(options.mad, sort_keys=True)}"
        if key not in stored["costs"]:
            sys.stdout.write(f"cost of {name}\n")
            sys.stdout.flush()
            stored["costs"][key] = cost(name, options)
            keep(options, stored)


def keep(options: argparse.Namespace, stored: dict[str, Any]) -> None:
    """Write everything found so far."""
    names = ("trajectories", "resolution", "refinement", "threads", "epochs", "mad", "unet", "rows")
    settings = {name: getattr(options, name) for name in names}
    save(options.name, {"settings": settings, **stored})


def summary(stored: dict[str, Any]) -> str:
    """Three tables: errors, rollouts, costs."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for key, scores in stored["runs"].items():
        task, name, _ = key.split("|")
        groups.setdefault((task, name), []).append(scores)
    columns = ("MSE", "MAE", "SSIM", "PSNR", "fit_seconds", "parameters", "best_epoch")
    rows = [
        [f"{task}: {name}", len(runs), spread(runs, "MSE"), *(mean(runs, column) for column in columns)]
        for (task, name), runs in groups.items()
    ]
    text = table(["model", "seeds", "+- MSE", *columns], rows)
    steps = [f"mse_to_{n}" for n in ROLLOUT] + [f"mse_at_{n}" for n in ROLLOUT]
    rolled = [
        [name, *(mean(runs, step) for step in steps)]
        for (task, name), runs in groups.items()
        if task == "era5"
    ]
    text += "\n\n" + table(["era5 rollout", *(step.replace("_", " ") for step in steps)], rolled)
    names = (
        "parameters",
        "seconds_per_step",
        "memory_mb",
        "forward_gflops",
        "frames_per_second",
        "size",
        "batch",
    )
    costs = [[key.split("|")[0], *(f"{c[name]:.4g}" for name in names)] for key, c in stored["costs"].items()]
    return text + "\n\n" + table(["cost of a step", *names], costs)


def mean(runs: list[dict[str, Any]], column: str) -> str:
    values = [scores[column] for scores in runs if scores.get(column) is not None]
    return f"{np.mean(values):.4g}" if values else ""


def spread(runs: list[dict[str, Any]], column: str) -> str:
    return f"{np.std([scores[column] for scores in runs], ddof=1):.2g}" if len(runs) > 1 else ""


def names_of(text: str) -> list[str]:
    """A list with commas; empty for nothing."""
    return [name for name in text.split(",") if name]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--tasks", type=names_of, default=list(TASKS))
    add("--models", type=names_of, default=[*BASELINES, *MAD])
    add("--costs", type=names_of, default=["unet", *MAD], help="networks of the cost table; '' for none")
    add("--seeds", type=int, default=1)
    add("--threads", type=int, default=1)
    add("--trajectories", type=int, default=320)
    add("--resolution", type=int, default=64)
    add("--refinement", type=int, default=1)
    add("--rows", type=int, help="only so many rows of era5")
    add("--epochs", type=int, help="default: each forecaster's own")
    add("--device", default="auto", help="where the flows are simulated")
    add("--mad", type=json.loads, default={}, help="parameters other than the defaults, as JSON")
    add("--unet", type=json.loads, default={}, help="parameters other than the defaults, as JSON")
    add("--cost-size", type=int, default=128)
    add("--cost-batch", type=int, default=16)
    add("--name", default="accuracy_fields", help="of the file of results")
    add("--fresh", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    path = RESULTS / f"{options.name}.json"
    stored: dict[str, Any] = {"runs": {}, "costs": {}}
    if path.exists() and not options.fresh:
        before = json.loads(path.read_text())
        stored = {part: before.get(part, {}) for part in stored}
    measure(options, stored)
    measure_costs(options, stored)
    sys.stdout.write(
        summary(stored) + f"\n{machine()['processor']}, commit {machine()['commit'][:10]}\n{path}\n"
    )


if __name__ == "__main__":
    main()
