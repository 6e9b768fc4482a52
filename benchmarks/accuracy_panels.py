"""All forecasters on all tasks: one protocol, several seeds, tests of the differences.

    python benchmarks/accuracy_panels.py [--tasks taxi,molene] [--models stm3,stid] [--seeds 3] [--epochs 8]
    python benchmarks/accuracy_panels.py --ablations [--tasks taxi,molene] [--only graph,routing]
    python benchmarks/accuracy_panels.py --seeds 0        prints the tables of what is stored

Rows are split 70/10/20 in time: the first 80 % are given to fit, which chooses on the last eighth of them. Tasks about drift have
cuts of their own, and may leave out rows between training data and test part. Every window whose targets lie in the test part
counts; look-back may reach before it. Errors are pooled over windows, nodes and steps,
in the units of the data.

A run is a task, a model and a seed. It is stored in results/accuracy_panels.json as soon as it is finished, and not run
again; several processes may share the file. ``--fresh`` runs again what was chosen. Mean errors of every test window are
stored with it, from which the Diebold-Mariano tests are computed: each network against RIVALS, each ablation against the
whole network, losses averaged over seeds, p values corrected by Holm over all tests of a table.

On the simulated network it is also measured how well the graph in the forecaster tells true edges from other pairs (area
under the ROC curve), and how well the routing finds the true kinds of nodes (adjusted Rand index).
The real tasks need the folder of real data in STMEST_DATA.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from _common import Runs, machine, pack, spread, table, unpack
from _encoder_off import head_alone, no_encoder
from _panels import TASKS, Task, load_task
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from stmest import (
    DLinearForecaster,
    LastValue,
    MeanProfile,
    RegressorForecaster,
    RidgeForecaster,
    S2TXForecaster,
    SeasonalNaive,
    STIDForecaster,
    STM3Forecaster,
    STMambaForecaster,
    compare,
)
from stmest.data.calendar import season_length
from stmest.evaluation import diebold_mariano, holm
from stmest.linear.window_ridge import EnsembleSpec

PLAIN = {"seasonal_profile": None, "linear_skip": False}
# name -> (forecaster, parameters); those of NETWORKS have seeds
NETWORKS: dict[str, tuple[Any, dict[str, Any]]] = {
    "stm3": (STM3Forecaster, {}),
    "stm2": (STM3Forecaster, {"n_experts": 0}),
    "stmamba": (STMambaForecaster, {}),
    "s2tx": (S2TXForecaster, {}),
    "stid": (STIDForecaster, {}),
    "stid-plain": (STIDForecaster, PLAIN),  # as published: no profile, no linear part
    "dlinear": (DLinearForecaster, {}),
}
RIDGES: dict[str, dict[str, Any]] = {
    "ridge": {"seasonal_profile": None},
    "ridge-profile": {},
    "ridge-profile-adj": {"neighbours": "adj"},
    "ridge-profile-all": {"neighbours": "all"},
    "ridge-blend": {"neighbours": "blend"},  # the networks' linear forecast
}
REGRESSORS: dict[str, dict[str, Any]] = {
    "gbt": {},  # gradient-boosted trees on the same windows and inputs
}
NAIVE: dict[str, Callable[[int, int], Any]] = {  # of the horizon and the rows per day
    "last-value": lambda horizon, day: LastValue(horizon=horizon),
    "naive-day": lambda horizon, day: SeasonalNaive(horizon=horizon, season=day),
    "naive-week": lambda horizon, day: SeasonalNaive(horizon=horizon, season=7 * day),
    "mean-profile": lambda horizon, day: MeanProfile(horizon=horizon, season=day),
}
MODELS = [*NAIVE, *RIDGES, *REGRESSORS, *NETWORKS]
RIVALS = ("ridge-profile", "ridge-profile-all", "ridge-blend", "gbt", "stid", "stid-plain")
# networks of which only a part is left, see `_encoder_off`: name -> (network, how to change its class, parameters)
LEFT_OVER: dict[str, tuple[str, Callable[[Any], Any], dict[str, Any]]] = {
    "stm3 head alone": ("stm3", head_alone, {}),
    "stm3 no encoder": ("stm3", no_encoder, {"n_experts": 0}),
    "stmamba head alone": ("stmamba", head_alone, {}),
    "stmamba no encoder": ("stmamba", no_encoder, {}),
}
# what to change -> (network, parameters) each; run on ABLATED
ABLATIONS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "encoder": [],  # those of LEFT_OVER
    "profile": [(name, {"seasonal_profile": None}) for name in ("stm3", "stmamba")],
    "line": [(name, {"linear_skip": False}) for name in ("stm3", "stmamba")],
    "both": [(name, PLAIN) for name in ("stm3", "stmamba")],
    "calendar": [("stm3", {"time_features": None})],
    "graph": [
        ("stm3", {"graph": "given"}),
        ("stm3", {"graph": "learned"}),
        ("stm3", {"graph": "learned", "cheb_order": 1}),  # no graph
        ("stmamba", {"graph": "learned"}),
        ("stmamba", {"graph": "full"}),
    ],
    "scales": [("stm3", {"causal_scales": False}), ("stm3", {"scales": (1,)})],
    "experts": [("stm3", {"n_experts": n}) for n in (0, 2, 8)],
    "routing": [("stm3", {"routing": "input"})],
    "losses": [("stm3", {"contrastive_weight": 0.1}), ("stm3", {"balance_weight": 0.0})],
    "norm": [("stm3", {"instance_norm": True})],
    "space-time": [("stmamba", {"temporal": False}), ("stmamba", {"n_heads": 0})],
    "size": [
        ("stmamba", {"n_layers": 1}),
        ("stmamba", {"expand": 1}),
        ("stm3", {"n_layers": 2}),
        ("stm3", {"head_width": 64}),
    ],
}
ABLATED = ("taxi", "molene")


def chosen(options: argparse.Namespace) -> Iterator[tuple[str, str, Callable[[Task], Any], bool]]:
    """Task, name, how to make the forecaster of a seed, and whether it has one, for all that was asked for."""
    for task in options.tasks:
        for name in options.models:
            if name in NETWORKS:
                kind, parameters = NETWORKS[name]
                yield task, name, _network(kind, parameters, options.epochs), True
            elif name in RIDGES:
                yield task, name, _of_windows(RidgeForecaster, RIDGES[name]), False
            elif name in REGRESSORS:
                parameters = {**REGRESSORS[name], "random_state": 0}
                yield task, name, _of_windows(RegressorForecaster, parameters), False
            else:
                yield task, name, _naive(NAIVE[name]), False
        for change in options.ablations:
            for network, parameters in ABLATIONS[change]:
                kind, base = NETWORKS[network]
                told = " ".join(f"{key}={value}" for key, value in parameters.items())
                yield task, f"{network} {told}", _network(kind, {**base, **parameters}, options.epochs), True
        for name, (network, alter, parameters) in LEFT_OVER.items() if "encoder" in options.ablations else ():
            if network in options.models:
                kind, base = NETWORKS[network]
                yield task, name, _network(alter(kind), {**base, **parameters}, options.epochs), True


def _network(kind: Any, parameters: dict[str, Any], epochs: int | None) -> Callable[..., Any]:
    cap = {} if epochs is None else {"max_epochs": epochs}

    def make(task: Task, seed: int) -> Any:
        window = {"input_length": task.input_length, "horizon": task.horizon}
        return kind(**window, **parameters, **cap, random_state=seed, verbose=1)

    return make


def _of_windows(kind: Any, parameters: dict[str, Any]) -> Callable[..., Any]:
    return lambda task, seed: kind(input_length=task.input_length, horizon=task.horizon, **parameters)


def _naive(make: Callable[[int, int], Any]) -> Callable[..., Any]:
    return lambda task, seed: make(task.horizon, season_length(task.X.index))


def measure(options: argparse.Namespace, runs: Runs) -> None:
    """Run what is not stored yet, and store every run."""
    loaded: dict[str, Task] = {}
    for name_of_task, name, make, seeded in chosen(options):
        for seed in range(options.seeds if seeded else min(1, options.seeds)):
            key = f"{name_of_task}|{name}|{seed}"
            if key in runs.finished():
                continue
            if name_of_task not in loaded:
                loaded = {name_of_task: load_task(name_of_task)}
            task = loaded[name_of_task]
            if name == "ridge-profile-adj" and task.graph is None:
                continue
            sys.stdout.write(f"{key}\n")
            sys.stdout.flush()
            runs.add(key, run(task, make(task, seed)))


def run(task: Task, model: Any) -> dict[str, Any]:
    """Scores, costs and errors by window of one forecaster; the reason where it failed."""
    start = time.process_time()
    if task.train_end is not None:
        model = _learning_before(model, task.train_end)
    report = compare({"model": model}, task.X, task.graph, test_fraction=task.test_fraction)
    row = report["model"]
    entry: dict[str, Any] = {name: machine()[name] for name in ("processor", "commit", "uncommitted_changes")}
    entry |= {"threads": torch.get_num_threads(), "cpu_seconds": time.process_time() - start}
    if row.error is not None or row.horizon_mae is None:
        sys.stdout.write(f"  failed: {row.error}\n")
        return entry | {"error": row.error}
    entry |= {name: float(value) for name, value in row.scores.items()}
    entry |= {"MAE@step": {str(step): float(row.horizon_mae[step - 1]) for step in report.steps}}
    entry |= {"fit_seconds": row.fit_seconds, "predict_ms": row.predict_ms, "parameters": row.n_parameters}
    profile = getattr(row.forecaster, "profile_", None)
    entry["profile"] = None if profile is None else profile.cycle
    history = getattr(row.forecaster, "history_", None)
    if history is not None:
        linear = row.forecaster.linear_
        entry |= {
            "epochs": row.forecaster.n_iter_,
            "max_epochs": row.forecaster.max_epochs,
            "best_epoch": row.forecaster.best_epoch_,
            "correction": row.forecaster.residual_weight_,
            "valid_loss": float(history["valid_loss"].min()),
            "epoch_seconds": float(history["seconds"].median()),
            "linear": None if linear is None else _described(linear.spec),
        }
    sys.stdout.write(f"  MAE {entry['MAE']:.4g}, fitted in {row.fit_seconds:.1f} s\n")
    return entry | learnt(row.forecaster, task) | {"origin_mae": pack(row.origin_mae)}


def _learning_before(model: Any, train_end: int) -> Any:
    """The same forecaster, which learns from the rows before one only."""
    kind = type(model)

    def fit(self: Any, X: Any, y: Any = None, adj: Any = None) -> Any:
        return kind.fit(self, X.rows(0, train_end), y, adj)

    return type(kind.__name__, (kind,), {"fit": fit})(**model.get_params(deep=False))


def _described(spec: EnsembleSpec) -> str:
    """Weights of an ensemble of ridges, by scope."""
    scopes = dict.fromkeys(scope for _, scope, _, _ in spec)
    shares = {scope: sum(share for share, other, _, _ in spec if other == scope) for scope in scopes}
    return " + ".join(f"{share:.0%} {scope}" for scope, share in shares.items())


def learnt(forecaster: Any, task: Task) -> dict[str, float]:
    """How well the graph in a fitted forecaster tells the true edges, and its routing the true kinds of nodes."""
    if task.truth is None:
        return {}
    found = {}
    if getattr(forecaster, "n_heads", 0) and hasattr(forecaster, "attention_weights"):
        listens = forecaster.attention_weights(task.X, stride=24)
    else:
        listens = getattr(forecaster, "graph_", None)
    if listens is not None:
        edges = task.truth.graph.to_dense() > 0
        apart = ~np.eye(len(edges), dtype=bool)
        # transposed [i, j]: how much j listens to i, as the edge i -> j
        found["graph_auc"] = float(roc_auc_score(edges[apart], listens.to_numpy().T[apart]))
    if getattr(forecaster, "n_experts", 0):
        experts = forecaster.routing_.to_numpy().argmax(1)
        found["routing_ari"] = float(adjusted_rand_score(task.truth.node_types, experts))
    return found


# ---------------------------------------------------------------- tables


def grouped(runs: dict[str, Any], task: str) -> dict[str, list[dict[str, Any]]]:
    """Finished runs of a task by model, those of different seeds together."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for key, entry in runs.items():
        of_task, name, _ = key.split("|")
        if of_task == task:
            groups.setdefault(name, []).append(entry)
    order = {name: place for place, name in enumerate(MODELS)}
    return dict(sorted(groups.items(), key=lambda item: (order.get(item[0].split()[0], 0), item[0])))


def summary(groups: dict[str, list[dict[str, Any]]]) -> str:
    """One row per model: means over the seeds, and the standard deviation of MAE."""
    columns = {
        "RMSE": "RMSE", "MASE": "MASE", "R2": "R2", "cpu s": "cpu_seconds", "ms/window": "predict_ms", "epochs": "epochs",
        "best": "best_epoch", "kept": "correction", "weights": "parameters", "edges AUC": "graph_auc", "kinds ARI": "routing_ari",
    }  # fmt: skip
    rows, failed = [], []
    for name, entries in groups.items():
        done = [entry for entry in entries if "MAE" in entry]
        if not done:
            failed.append(f"{name} failed: {entries[0]['error']}")
            continue
        steps = [
            f"{np.mean([list(entry['MAE@step'].values())[i] for entry in done]):.4g}"
            for i in range(len(done[0]["MAE@step"]))
        ]
        mean, deviation = spread([entry["MAE"] for entry in done])
        cells = [spread([entry.get(column) for entry in done])[0] for column in columns.values()]
        taken = dict.fromkeys(done[0].get(part) for part in ("profile", "linear"))  # before the network
        told = ", ".join(str(part) for part in taken if part is not None)
        rows.append([name, len(done), mean, deviation, *(steps + [""] * 3)[:3], *cells, told])
    head = ["model", "seeds", "MAE", "+-", "third", "two thirds", "last step", *columns, "season, line"]
    return "\n".join([table(head, rows), *failed])


def origin_losses(entries: list[dict[str, Any]]) -> np.ndarray | None:
    """Mean error of every test window, averaged over the seeds."""
    packed = [entry["origin_mae"] for entry in entries if "origin_mae" in entry]
    return np.mean([unpack(one) for one in packed], axis=0) if packed else None


def differences(runs: dict[str, Any], tasks: list[str], ablations: bool = False) -> str:
    """Diebold-Mariano tests of every network against the rivals, or of every ablation against the whole network."""
    tests = []
    for task in tasks:
        losses = {name: origin_losses(entries) for name, entries in grouped(runs, task).items()}
        horizon = load_task(task).horizon
        for name, ours in losses.items():
            for rival in _opponents(name, ablations):
                theirs = losses.get(rival)
                if ours is not None and theirs is not None:
                    # a network that stayed at its line differs from it in the last stored digits
                    same = np.isclose(ours, theirs, rtol=1e-4)
                    found = diebold_mariano(np.where(same, theirs, ours), theirs, horizon)
                    tests.append((task, name, rival, found))
    if not tests:
        return ""
    corrected = holm([result.p_value for *_, result in tests])
    rows = []
    for (task, name, rival, result), p in zip(tests, corrected, strict=True):
        verdict = "" if p >= 0.05 else "better" if result.mean_difference < 0 else "worse"
        rows.append([
            f"{task}: {name} - {rival}", f"{result.mean_difference:.3g}", f"{result.statistic:.2f}",
            f"{result.p_value:.2g}", f"{p:.2g}", verdict,
        ])  # fmt: skip
    return table(["difference of MAE", "mean", "statistic", "p", "p (Holm)", "at 0.05"], rows)


def _opponents(name: str, ablations: bool) -> tuple[str, ...]:
    ablated = " " in name
    if ablated or ablations:
        return (name.split()[0],) if ablated and ablations else ()
    return RIVALS if name in NETWORKS and name not in RIVALS else ()


def show(runs: dict[str, Any], tasks: list[str]) -> None:
    """Print the tables."""
    tasks = [task for task in tasks if any(key.startswith(f"{task}|") for key in runs)]
    for task in tasks:
        loaded = load_task(task)
        window = f"{loaded.input_length} -> {loaded.horizon} rows"
        sys.stdout.write(f"\n{TASKS[task][1]}; {window}; errors in {loaded.unit or 'units of the data'}\n")
        sys.stdout.write(summary(grouped(runs, task)) + "\n")
    for ablations in (False, True):
        sys.stdout.write(f"\n{differences(runs, tasks, ablations)}\n")
    sys.stdout.write(f"\n{machine()['processor']}, commit {machine()['commit'][:10]}\n")


def _names(text: str, known: Any) -> list[str]:
    names = list(known) if text == "all" else [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"there is no {unknown[0]!r}; there are {', '.join(known)}")
    return names


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default=None, help=f"default: all; {', '.join(TASKS)}")
    parser.add_argument("--models", default=None, help=f"default: all; {', '.join(MODELS)}")
    parser.add_argument("--ablations", action="store_true", help=f"on {', '.join(ABLATED)}")
    parser.add_argument("--only", default="all", help=f"of the ablations: {', '.join(ABLATIONS)}")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="at most so many; default: those of the forecaster")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--results", default="accuracy_panels", help="name of the file in results/")
    parser.add_argument("--fresh", action="store_true", help="run again what was chosen")
    options = parser.parse_args()
    options.ablations = _names(options.only, ABLATIONS) if options.ablations else []
    tasks = ",".join(ABLATED) if options.ablations else "all"
    models = "stm3,stmamba" if options.ablations else "all"
    options.tasks = _names(tasks if options.tasks is None else options.tasks, TASKS)
    options.models = _names(models if options.models is None else options.models, MODELS)
    return options


def main() -> None:
    """Run the benchmark."""
    options = _options()
    torch.set_num_threads(options.threads)
    told = {name: what for name, (_, what) in TASKS.items()}
    runs = Runs(options.results, {"split": "70/10/20 in time, but for drift", "tasks": told})
    if options.fresh:
        again = {f"{task}|{name}" for task, name, *_ in chosen(options)}
        runs.forget(lambda key: key.rsplit("|", 1)[0] in again)
    measure(options, runs)
    show(runs.finished(), options.tasks)


if __name__ == "__main__":
    main()
