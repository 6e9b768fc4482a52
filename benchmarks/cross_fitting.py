"""What networks gain by residuals out of fold, and by seeing the linear forecast and the seasonal mean of the target steps.

    python benchmarks/cross_fitting.py [--tasks metro,taxi] [--models stid,stm3] [--seeds 1] [--ways neither,both]
    python benchmarks/cross_fitting.py --seeds 0        prints the table of what is stored

Split, windows and errors are those of accuracy_panels.py: 70/10/20 in time, all windows of the test part, pooled. The ways of a
task, network and seed are trained one after the other: "neither" as before, "inputs" with what is known of the target steps,
but residuals of the fit that the network learns from, "both" as networks are trained now. The linear forecast, which all of
them start from, stands beside them. A run is stored in results/cross_fitting.json as soon as it is finished, and not run again.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from _common import Runs, spread, table
from _panels import TASKS, load_task

from stmest import STIDForecaster, STM3Forecaster, STMambaForecaster

NETWORKS = {"stid": STIDForecaster, "stm3": STM3Forecaster, "stmamba": STMambaForecaster}
WAYS = ("neither", "inputs", "both")


def forecaster(name: str, way: str, **parameters: Any) -> Any:
    """A network that learns in one of the ways."""
    kind = NETWORKS[name]
    if way == "both":
        return kind(**parameters)

    class Changed(kind):  # type: ignore[misc, valid-type]
        if way == "neither":
            _network_class = type(kind._network_class.__name__, (kind._network_class,), {"uses_ahead": False})

        def _before_training(self, *given: Any) -> Any:
            return super()._before_training(*given)[0], None

    return Changed(**parameters)


def run(task_name: str, name: str, way: str, seed: int) -> dict[str, float]:
    """Errors and costs of one training."""
    task = load_task(task_name)
    cut = len(task.X) - round(0.2 * len(task.X))
    model = forecaster(
        name, way, input_length=task.input_length, horizon=task.horizon, random_state=seed, device="cpu"
    )
    start = time.process_time()
    model.fit(task.X.iloc[:cut], adj=task.graph)
    seconds = time.process_time() - start
    truth, forecast = model.predict_windows(task.X.iloc[cut - task.input_length :])
    linear = model.predictor_.with_networks(model.networks_, model.device_, (0.0,))
    model.predictor_ = linear
    baseline = model.predict_windows(task.X.iloc[cut - task.input_length :])[1]
    return {
        "MAE": float(np.nanmean(np.abs(truth - forecast))),
        "linear": float(np.nanmean(np.abs(truth - baseline))),
        "valid_loss": float(model.history_["valid_loss"].min()),
        "epochs": len(model.history_),
        "cpu_seconds": seconds,
    }


def show(runs: dict[str, Any]) -> None:
    """Print a row per task and network."""
    rows = []
    for task in TASKS:
        for name in NETWORKS:
            found = {
                way: [entry for key, entry in runs.items() if key.rsplit("|", 1)[0] == f"{task}|{name}|{way}"]
                for way in WAYS
            }
            every = [entry for entries in found.values() for entry in entries]
            if every:
                cells = [spread([entry["MAE"] for entry in entries])[0] for entries in found.values()]
                seconds = [
                    spread([entry["cpu_seconds"] for entry in entries])[0] for entries in found.values()
                ]
                linear = spread([entry["linear"] for entry in every])[0]
                rows.append([f"{task}, {name}", max(map(len, found.values())), linear, *cells, *seconds])
    head = ["", "seeds", "linear", *WAYS, *(f"{way}, cpu s" for way in WAYS)]
    print("Test MAE, and CPU seconds of fit (one thread)\n")
    print(table(head, rows))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default="molene,simulated,metro,metrla,taxi", help=", ".join(TASKS))
    parser.add_argument("--models", default="stid,stm3", help=", ".join(NETWORKS))
    parser.add_argument("--ways", default="neither,both", help=", ".join(WAYS))
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    runs = Runs("cross_fitting", {"split": "70/10/20 in time", "ways": list(WAYS)})
    for task in options.tasks.split(","):
        for name in options.models.split(","):
            for seed in range(options.seeds):
                for way in options.ways.split(","):
                    key = f"{task}|{name}|{way}|{seed}"
                    if key not in runs.finished():
                        runs.add(key, run(task, name, way, seed))
    show(runs.finished())


if __name__ == "__main__":
    main()
