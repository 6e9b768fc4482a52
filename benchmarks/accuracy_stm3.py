"""STM3 and STM2 beside the four baselines: NYC taxi 2019 and the simulated network, several seeds.

    python benchmarks/accuracy_stm3.py [--tasks taxi,simulated] [--seeds 3] [--threads 1] [--stm3 JSON] [--fresh]

Rows are split 70/10/20 in time: the first 80 % are given to fit, which validates on the last eighth of them. Every window
whose targets lie in the test part counts; look-back may reach before it. Finished runs are kept in
results/accuracy_stm3.json, so that an interrupted benchmark goes on where it stopped; ``--fresh`` begins anew.

On the simulated network it also tells what was learnt without being given the graph: the area under the ROC curve of the
learned adjacency against the true edges, and the adjusted Rand index of the routing against the true node types.
Needs the folder of real data in STMEST_DATA for the taxi task.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import numpy as np
import torch
from _common import RESULTS, machine, save, table
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from stmest import (
    LastValue,
    MeanProfile,
    RidgeForecaster,
    SeasonalNaive,
    STM3Forecaster,
    compare,
    load_panel,
    make_sensor_network,
)

INPUT_LENGTH, HORIZON = 24, 12
WINDOW = {"input_length": INPUT_LENGTH, "horizon": HORIZON}
NETWORKS = {"STM3": {}, "STM2": {"n_experts": 0}}


def load(task: str) -> dict[str, Any]:
    """Readings, graph, unit and baselines of a task."""
    baselines = {
        "last value": LastValue(horizon=HORIZON),
        "seasonal naive (day)": SeasonalNaive(horizon=HORIZON, season=24),
        "seasonal naive (week)": SeasonalNaive(horizon=HORIZON, season=168),
        "mean profile (2 weeks)": MeanProfile(horizon=HORIZON, season=24, n_seasons=14),
        "ridge": RidgeForecaster(**WINDOW),
    }
    if task == "taxi":
        panel = load_panel("nyc_taxi_69zones_60min")
        values = panel.frame(panel.channels[0])
        return {
            "X": values[values.index.year == 2019],
            "adj": panel.graph,
            "unit": "trips/h",
            "baselines": baselines,
        }
    network = make_sensor_network(random_state=0)
    return {"X": network.values, "adj": network.graph, "unit": "", "baselines": baselines, "truth": network}


def run(task: dict[str, Any], model: Any, adj: Any) -> tuple[dict[str, Any], Any]:
    """Scores of one forecaster, and the fitted forecaster."""
    report = compare({"model": model}, task["X"], adj, test_fraction=0.2, season=168)
    row = report["model"]
    if row.error:
        raise RuntimeError(row.error)
    scores = {name: float(value) for name, value in row.scores.items()}
    by_step = {f"MAE@{step}": float(row.horizon_mae[step - 1]) for step in report.steps}
    costs = {"fit_seconds": row.fit_seconds, "predict_ms": row.predict_ms, "parameters": row.n_parameters}
    return {**scores, **by_step, **costs}, row.forecaster


def learnt(forecaster: Any, truth: Any) -> dict[str, float]:
    """How well the learned graph finds the true edges, and the routing the true node types."""
    edges = truth.graph.to_dense() > 0
    apart = ~np.eye(len(edges), dtype=bool)
    listens = forecaster.graph_.to_numpy().T  # [i, j]: how much j listens to i, as the edge i -> j
    found = {"graph_auc": float(roc_auc_score(edges[apart], listens[apart]))}
    if forecaster.n_experts:
        found["routing_ari"] = float(
            adjusted_rand_score(truth.node_types, forecaster.routing_.to_numpy().argmax(1))
        )
    return found


def measure(task_name: str, results: dict[str, Any], options: argparse.Namespace) -> None:
    """Run what is not among the results yet, saving after every run."""
    task = load(task_name)
    runs: list[tuple[str, Any, Any]] = [
        (name, model, task["adj"]) for name, model in task["baselines"].items()
    ]
    for seed in range(options.seeds):
        for name, parameters in NETWORKS.items():
            model = STM3Forecaster(**WINDOW, **options.stm3, **parameters, random_state=seed, verbose=1)
            runs.append((f"{name}|{seed}", model, task["adj"]))
            if "truth" in task:
                runs.append((f"{name} without adj|{seed}", model, None))
    for name, model, adj in runs:
        key = f"{task_name}|{name}"
        if key in results:
            continue
        sys.stdout.write(f"{key}\n")
        scores, forecaster = run(task, model, adj)
        if "truth" in task and "|" in name:
            scores |= learnt(forecaster, task["truth"])
        if "|" in name:
            scores |= {
                "epochs": forecaster.n_iter_,
                "best_epoch": forecaster.best_epoch_,
                "other_parameters": options.stm3,
            }
        results[key] = {**scores, "commit": machine()["commit"]}
        save("accuracy_stm3", {"settings": settings(options), "runs": results})


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """What the runs have in common."""
    defaults = {name: str(value) for name, value in STM3Forecaster(**WINDOW).get_params().items()}
    return {"window": WINDOW, "test_fraction": 0.2, "threads": options.threads, "stm3": defaults}


def summary(results: dict[str, Any]) -> str:
    """A table per task: means over the seeds, and the standard deviation of MAE."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for key, scores in results.items():
        task, name, *_ = key.split("|")
        groups.setdefault((task, name), []).append(scores)
    steps = [f"MAE@{step}" for step in (4, 8, 12)]
    columns = [
        "MAE",
        "RMSE",
        "MASE",
        "R2",
        *steps,
        "fit_seconds",
        "predict_ms",
        "parameters",
        "graph_auc",
        "routing_ari",
    ]
    rows = []
    for (task, name), runs in groups.items():
        cells = []
        for column in columns:
            values = [scores[column] for scores in runs if scores.get(column) is not None]
            cells.append(f"{np.mean(values):.4g}" if values else "")
            if column == "MAE":
                cells.append(f"{np.std(values, ddof=1):.2g}" if len(values) > 1 else "")
        rows.append([f"{task}: {name}", len(runs), *cells])
    return table(["model", "seeds", "MAE", "+-", *columns[1:]], rows)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default="taxi,simulated")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--stm3", type=json.loads, default={}, help="parameters other than the defaults, as JSON"
    )
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    path = RESULTS / "accuracy_stm3.json"
    results = {} if options.fresh or not path.exists() else json.loads(path.read_text())["runs"]
    for task in options.tasks.split(","):
        measure(task, results, options)
    sys.stdout.write(
        summary(results) + f"\n{machine()['processor']}, commit {machine()['commit'][:10]}\n{path}\n"
    )


if __name__ == "__main__":
    main()
