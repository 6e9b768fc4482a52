"""STMamba, its ablations, STM3 and the baselines: simulated network, Molene temperatures, NYC taxi 2019, several seeds.

    python benchmarks/accuracy_stmamba.py [--tasks simulated,molene,taxi] [--seeds 3] [--networks ...] [--threads 1] [--fresh]

Split, windows and baselines are those of accuracy_stm3.py. Finished runs are kept in results/accuracy_stmamba.json, so
that an interrupted benchmark goes on where it stopped, and tasks may run in processes of their own; ``--fresh`` begins
anew. All networks of a task train for the same number of epochs at most (``--max-epochs taxi=6,simulated=15``). On the
simulated network, graph_auc is the area under the ROC curve of the attention weights of a network that was not given the
graph against the true edges.
Needs the folder of real data in STMEST_DATA for Molene and taxi.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import accuracy_stm3
import numpy as np
import torch
from _common import RESULTS, machine, save, table
from sklearn.metrics import roc_auc_score

from stmest import STM3Forecaster, STMambaForecaster, load_panel

WINDOW = accuracy_stm3.WINDOW
# name -> forecaster, parameters, whether the graph is given
NETWORKS: dict[str, tuple[Any, dict[str, Any], bool]] = {
    "STMamba": (STMambaForecaster, {}, True),
    "STMamba, learned graph": (STMambaForecaster, {}, False),
    "STMamba, full graph": (STMambaForecaster, {"graph": "full"}, False),
    "STMamba, space only": (STMambaForecaster, {"temporal": False}, True),
    "STMamba, time only": (STMambaForecaster, {"n_heads": 0}, True),
    "STMamba, neither": (STMambaForecaster, {"n_heads": 0, "temporal": False}, True),
    "STM3": (STM3Forecaster, {}, True),
}
DEFAULT_NETWORKS = "STMamba;STMamba, learned graph;STMamba, space only;STMamba, time only"


def load(task: str) -> dict[str, Any]:
    """Readings, graph and baselines of a task."""
    if task != "molene":
        return accuracy_stm3.load(task)
    panel = load_panel("molene_brittany_temp")
    baselines = accuracy_stm3.load("simulated")["baselines"]
    return {"X": panel.frame(panel.channels[0]), "adj": panel.graph, "unit": "degC", "baselines": baselines}


def found(forecaster: Any, task: dict[str, Any]) -> float:
    """How well attention, without the graph, finds the true edges."""
    edges = task["truth"].graph.to_dense() > 0
    apart = ~np.eye(len(edges), dtype=bool)
    listens = (
        forecaster.attention_weights(task["X"], stride=24).to_numpy().T
    )  # [i, j]: how much j attends to i
    return float(roc_auc_score(edges[apart], listens[apart]))


def measure(task_name: str, results: dict[str, Any], options: argparse.Namespace) -> None:
    """Run what is not among the results yet, saving after every run."""
    task = load(task_name)
    runs: list[tuple[str, Any, Any]] = [(name, model, None) for name, model in task["baselines"].items()]
    cap = {"max_epochs": options.max_epochs[task_name]} if task_name in options.max_epochs else {}
    for name in options.networks.split(";"):
        kind, parameters, given = NETWORKS[name]
        for seed in range(options.seeds):
            model = kind(**WINDOW, **parameters, **cap, random_state=seed, verbose=1)
            runs.append((f"{name}|{seed}", model, task["adj"] if given else None))
    for name, model, adj in runs:
        key = f"{task_name}|{name}"
        if key in results:
            continue
        sys.stdout.write(f"{key}\n")
        scores, forecaster = accuracy_stm3.run(task, model, adj)
        if "|" in name:
            scores |= {"epochs": forecaster.n_iter_, "best_epoch": forecaster.best_epoch_}
        if "truth" in task and adj is None and isinstance(forecaster, STMambaForecaster):
            scores["graph_auc"] = found(forecaster, task)
        results |= {**_finished(), key: scores}  # another process may work on another task
        save("accuracy_stmamba", {"settings": settings(options), "runs": results})


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """What the runs have in common."""
    defaults = {name: str(value) for name, value in STMambaForecaster(**WINDOW).get_params().items()}
    return {
        "window": WINDOW, "test_fraction": 0.2, "threads": options.threads, "max_epochs": options.max_epochs,
        "stmamba": defaults,
    }  # fmt: skip


def summary(results: dict[str, Any]) -> str:
    """One row per task and model: means over the seeds, and the standard deviation of MAE."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for key, scores in results.items():
        task, name, *_ = key.split("|")
        groups.setdefault((task, name), []).append(scores)
    columns = [
        "MAE",
        "RMSE",
        "MASE",
        "R2",
        "MAE@4",
        "MAE@12",
        "fit_seconds",
        "epochs",
        "parameters",
        "graph_auc",
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


def _finished() -> dict[str, Any]:
    path = RESULTS / "accuracy_stmamba.json"
    return json.loads(path.read_text())["runs"] if path.exists() else {}


def _caps(text: str) -> dict[str, int]:
    return {task: int(epochs) for task, epochs in (item.split("=") for item in text.split(",") if item)}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default="simulated,molene,taxi")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--networks", default=DEFAULT_NETWORKS, help=f"with semicolons: {'; '.join(NETWORKS)}"
    )
    parser.add_argument(
        "--max-epochs", type=_caps, default={"taxi": 6, "simulated": 15}, metavar="TASK=N,..."
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    path = RESULTS / "accuracy_stmamba.json"
    if options.fresh:
        path.unlink(missing_ok=True)
    results = _finished()
    for task in options.tasks.split(","):
        measure(task, results, options)
    sys.stdout.write(
        f"{summary(results)}\n{machine()['processor']}, commit {machine()['commit'][:10]}\n{path}\n"
    )


if __name__ == "__main__":
    main()
