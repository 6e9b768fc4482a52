"""What weeks of history in patches bring: errors and seconds by `long_input_length`, for STM3 and STMamba.

    python benchmarks/long_look_back.py [--tasks taxi,metro] [--models stm3] [--lengths 0,168,336,672] [--seeds 1] [--epochs 8]
    python benchmarks/long_look_back.py --seeds 0        prints the table of what is stored

Split, windows and errors are those of accuracy_panels.py: 70/10/20 in time, all windows of the test part, pooled. The length that
the validation error chooses is marked; the test error stands beside it. Length 0 is the look-back of the task alone; other
lengths are rounded up so that the time steps before the look-back make whole patches of `--patch` time steps. A run is stored
in results/long_look_back.json as soon as it is finished, and not run again.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from _common import Runs, machine, spread, table, validation_error
from _panels import TASKS, load_task

from stmest import STM3Forecaster, STMambaForecaster

NETWORKS = {"stm3": STM3Forecaster, "stmamba": STMambaForecaster}


def whole_patches(length: int, input_length: int, patch: int) -> int | None:
    """The length as `long_input_length`; None for the look-back alone."""
    n_patches = -(-(length - input_length) // patch)
    return input_length + n_patches * patch if n_patches > 0 else None


def run(task_name: str, name: str, length: int, seed: int, epochs: int, patch: int) -> dict[str, Any]:
    """Errors and seconds of one training."""
    task = load_task(task_name)
    longer = whole_patches(length, task.input_length, patch)
    model = NETWORKS[name](
        input_length=task.input_length, horizon=task.horizon, long_input_length=longer,
        long_patch_length=patch if longer else None, max_epochs=epochs, random_state=seed, device="cpu",
    )  # fmt: skip
    cut = len(task.X) - round(0.2 * len(task.X))
    model.fit(task.X.iloc[:cut], adj=task.graph)
    truth, forecast = model.predict_windows(task.X.iloc[cut - task.input_length :])
    return {
        "MAE": float(np.nanmean(np.abs(truth - forecast))),
        "validation_MAE": validation_error(model),
        "valid_loss": float(model.history_["valid_loss"].min()),
        "residual_weight": model.residual_weight_,
        "long_input_length": longer,
        "epochs": len(model.history_),
        "seconds_per_epoch": float(model.history_["seconds"].median()),
        "commit": machine()["commit"],
    }


def show(runs: dict[str, Any], lengths: list[int]) -> None:
    """Print a row per task, network and epochs."""
    rows = []
    groups = dict.fromkeys("|".join(key.split("|")[:3]) for key in runs)
    for group in groups:
        found = {
            length: [entry for key, entry in runs.items() if key.startswith(f"{group}|{length}|")]
            for length in lengths
        }
        validation = {
            length: np.mean([entry["validation_MAE"] for entry in entries])
            for length, entries in found.items()
            if entries
        }
        if not validation:
            continue
        best = min(validation, key=lambda length: validation[length])
        cells = []
        for length, entries in found.items():
            values = [
                spread(entry[what] for entry in entries)[0]
                for what in ("validation_MAE", "MAE", "seconds_per_epoch")
            ]
            mark = "*" if length == best else ""
            cells.append(f"{values[0]}{mark} / {values[1]} ({values[2]})" if entries else "")
        rows.append([group.replace("|", ", "), max(map(len, found.values())), *cells])
    print("MAE on validation part / test part (seconds per epoch, one thread); *: least validation error\n")
    print(table(["task, network, most epochs", "seeds", *map(str, lengths)], rows))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default="simulated,metro,taxi", help=", ".join(TASKS))
    parser.add_argument("--models", default="stm3", help=", ".join(NETWORKS))
    parser.add_argument("--lengths", default="0,168,336,672")
    parser.add_argument("--patch", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=8, help="at most so many")
    options = parser.parse_args()
    lengths = [int(length) for length in options.lengths.split(",")]
    torch.set_num_threads(1)
    runs = Runs("long_look_back", {"split": "70/10/20 in time", "patch": options.patch})
    for task in options.tasks.split(","):
        for name in options.models.split(","):
            for seed in range(options.seeds):
                for length in lengths:
                    key = f"{task}|{name}|{options.epochs}|{length}|{seed}"
                    if key not in runs.finished():
                        runs.add(key, run(task, name, length, seed, options.epochs, options.patch))
    show(runs.finished(), lengths)


if __name__ == "__main__":
    main()
