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

MSE in the squared units of the data; SSIM and PSNR with the range of the training rows. ``unet-plain``, ``mad-plain`` and
the like are networks without seasonal profile and linear part; the others correct the ridge. A run is stored in
results/accuracy_fields.json as soon as it is finished, and not run again; several processes may share the file.
``--fresh`` runs again what was chosen.

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
from _common import PeakMemory, Runs, machine, spread, table
from torch.utils.flop_counter import FlopCounterMode

import stmest
from stmest import (
    LastValue,
    MeanProfile,
    RidgeForecaster,
    SeasonalNaive,
    UNetForecaster,
    load_field,
    make_navier_stokes,
)
from stmest.metrics.images import psnr, ssim
from stmest.metrics.point import horizon_errors, mae, mse

ROLLOUT = (10, 20, 30, 40)
MAD = {
    "mad": {},
    "mad-conv": {"reconstruction": "conv"},  # without Mamba
    "mad-unet": {"reconstruction": "unet"},
    "mad-vit": {"prediction": "vit"},  # without the condition of the transformer
    "mad-convlstm": {"prediction": "convlstm"},  # without transformer
    "mad-alone": {"fusion_weight": 0.0},  # without reconstruction
}
PLAIN = {"seasonal_profile": None, "linear_skip": False}
BASELINES = ("last-value", "day-before", "mean-profile", "ridge", "ridge-per-pixel")
# these need the cycle of a day, which simulated flows do not have
DAILY = ("day-before", "mean-profile")


def build(name: str, length: int, seed: int, options: argparse.Namespace) -> Any:
    """An unfitted forecaster from `length` steps to as many."""
    window = {"input_length": length, "horizon": length}
    makers: dict[str, Callable[[], Any]] = {
        "last-value": lambda: LastValue(horizon=length),
        "day-before": lambda: SeasonalNaive(horizon=length, season=24),
        "mean-profile": lambda: MeanProfile(horizon=length, season=24),
        "ridge": lambda: RidgeForecaster(**window),
        "ridge-per-pixel": lambda: RidgeForecaster(**window, per_node=True),
    }
    if name in makers:
        return makers[name]()
    trained: dict[str, Any] = {**window, "random_state": seed, "verbose": 1}
    if options.epochs is not None:
        trained["max_epochs"] = options.epochs
    network = name.removesuffix("-plain")
    if network != name:
        trained |= PLAIN
    if network == "unet":
        return UNetForecaster(**{**trained, **options.unet})
    return stmest.MADForecaster(**{**trained, **options.mad, **MAD[network]})


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
        context = model.context_length_
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
        tail = self.X[self.cut - model.context_length_ :]
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
        **scores, "unit": task.unit, "fit_seconds": seconds, "score_seconds": time.perf_counter() - start,
        "parameters": model.n_parameters_, "commit": machine()["commit"],
    }  # fmt: skip
    if hasattr(model, "history_"):
        out |= {"epochs": model.n_iter_, "best_epoch": model.best_epoch_, "device": str(model.device_)}
        out["settings"] = {name: str(value) for name, value in model.get_params().items()}
    return out


def measure(options: argparse.Namespace, runs: Runs) -> None:
    """Run what is not stored yet, storing every run."""
    for task_name in options.tasks:
        task = None
        for seed in range(options.seeds):
            for name in options.models:
                key = f"{task_name}|{name}|{seed}"
                useless = (name in BASELINES and seed > 0) or (task_name == "navier_stokes" and name in DAILY)
                if useless or key in runs.finished():
                    continue
                task = TASKS[task_name](options) if task is None else task
                tell(key)
                runs.add(key, run(task, build(name, task.length, seed, options)))


def cost(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Parameters, seconds of a training step, memory and operations of a network."""
    size, batch, n_steps = options.cost_size, options.cost_batch, 2
    X = np.random.default_rng(0).normal(size=(n_steps * batch, 20, size, size, 1)).astype(np.float32)
    fixed = {"max_epochs": 1, "patience": None, "batch_size": batch, "verbose": 0}
    model = build(name, 10, 0, options).set_params(**fixed)
    model.fit(
        X[:2, :, :16, :16]
    )  # what is compiled at first use is compiled now; memory is not yet asked for
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


def measure_costs(options: argparse.Namespace, runs: Runs) -> None:
    """Costs that are not stored yet."""
    for name in options.costs:
        key = (
            f"cost|{name}|{options.cost_size}|{options.cost_batch}|{json.dumps(options.mad, sort_keys=True)}"
        )
        if key not in runs.finished():
            tell(key)
            runs.add(key, cost(name, options))


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def summary(results: dict[str, Any]) -> str:
    """Three tables: errors, rollouts, costs."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for key, scores in results.items():
        task, name, *_ = key.split("|")
        groups.setdefault((task, name), []).append(scores)
    columns = ("MSE", "MAE", "SSIM", "PSNR", "fit_seconds", "parameters", "best_epoch")
    steps = [f"mse_to_{n}" for n in ROLLOUT] + [f"mse_at_{n}" for n in ROLLOUT]
    costs = (
        "parameters", "seconds_per_step", "memory_mb", "forward_gflops", "frames_per_second", "size", "batch", "device",
    )  # fmt: skip
    errors, rolled, priced = [], [], []
    for (task, name), found in groups.items():
        if task == "cost":
            priced += [[name, *(cell(one[column]) for column in costs)] for one in found]
            continue
        mse_mean, mse_spread = spread(one["MSE"] for one in found)
        others = (spread(one.get(column) for one in found)[0] for column in columns[1:])
        errors.append([f"{task}: {name}", len(found), mse_mean, mse_spread, *others])
        if task == "era5":
            rolled.append([name, *(spread(one[step] for one in found)[0] for step in steps)])
    return "\n\n".join(
        [
            table(["model", "seeds", "MSE", "+-", *columns[1:]], errors),
            table(["era5 rollout", *(step.replace("_", " ") for step in steps)], rolled),
            table(["cost of a step", *costs], priced),
        ]
    )


def cell(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


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
    add("--models", type=names_of, default=[*BASELINES, "unet", "unet-plain", *MAD, "mad-plain"])
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
    add("--results", default="accuracy_fields", help="name of the file of results")
    add("--fresh", action="store_true", help="run again what was chosen")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    names = ("trajectories", "resolution", "refinement", "threads", "epochs", "mad", "unet", "rows")
    runs = Runs(options.results, {name: getattr(options, name) for name in names})
    if options.fresh:
        runs.forget(lambda key: _chosen(key, options))
    measure(options, runs)
    measure_costs(options, runs)
    tell(summary(runs.finished()) + f"\n{machine()['processor']}, commit {machine()['commit'][:10]}")


def _chosen(key: str, options: argparse.Namespace) -> bool:
    """Whether a stored run is among those asked for."""
    task, name, *_ = key.split("|")
    return name in options.costs if task == "cost" else task in options.tasks and name in options.models


if __name__ == "__main__":
    main()
