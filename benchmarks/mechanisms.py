"""Does each mechanism of a network act? Tasks whose answer needs it, with the mechanism and without it.

    python benchmarks/mechanisms.py [--only stm3-graph,wave] [--seeds 3] [--threads 1] [--fresh]
    python benchmarks/mechanisms.py --seeds 0        prints the table of what is stored

Each network stands alone (no seasonal mean, no linear forecast, no calendar), and learns from the first four fifths of some
hundred simulated time steps (`_mechanism_tasks.py`); data and start change with the seed. The error is the mean squared error
over all windows of the last fifth, at the nodes that the task is about, as a share of their variance: 1 is what their mean would
have. "Head alone" and "no encoder" are those of `_encoder_off.py`. The heads of STM3 and STMamba are linear (``head_width=0``)
and see the encoding only; "default head" is the perceptron that also sees the window, and what "head alone" has.

Also measured: how well the learned graph tells the true edges from all other pairs of nodes (area under the ROC curve); how well
the routing finds the kinds of nodes (adjusted Rand index), and the share of the windows that are not sent to the usual expert of
their node; how far the forecast moves when all weights of MAD's Mamba are shuffled, as a share of the field's standard deviation.
A run takes 5 to 60 seconds on one thread. Finished runs are kept in results/mechanisms.json.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from _common import Runs, machine, spread, table
from _encoder_off import altered, head_alone, no_encoder
from _mechanism_tasks import (
    Task,
    kinds_of_nodes,
    last_event,
    leader_far_away,
    old_cycle,
    two_time_scales,
    upstream,
    wave,
)
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from stmest import MADForecaster, S2TXForecaster, STM3Forecaster, STMambaForecaster

RESULTS = "mechanisms"
ALONE: dict[str, Any] = {
    "seasonal_profile": None, "linear_skip": False, "time_features": None, "node_weights": "equal", "loss": "mse",
    "patience": None, "lr_schedule": "one_cycle", "learning_rate": 1e-2, "max_epochs": 15,
}  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """A network, or what is left of it: changes of the parameters, and of the class; whether it is given the graph."""

    changes: dict[str, Any] = field(default_factory=dict)
    alter: Callable[[Any], Any] | None = None
    sees_graph: bool = True


@dataclass(frozen=True)
class Case:
    """A task, the forecaster whose mechanism it needs, and its variants; the first one is whole."""

    told: str
    task: Callable[[int], Task]
    kind: Any
    settings: dict[str, Any]
    variants: dict[str, Variant]


def unprepared(kind: Any) -> Any:
    """STM3 with node embeddings and routing that start at random."""
    return type(kind.__name__, (kind,), {"_prepare_network": lambda *arguments: None})


def one_memory(kind: Any) -> Any:
    """STM3 without the step-size offsets of the scales."""

    def alter(network: Any) -> None:
        for name, parameter in network.named_parameters():
            if name.endswith("omega"):
                parameter.data.zero_()
                parameter.requires_grad_(False)

    return altered(kind, alter)


LINEAR_HEAD = {"head_width": 0}
NO_GRAPH = {"graph": "learned", "cheb_order": 1}
SCALES_OFF = {
    "whole": Variant(),
    "one scale of the same width": Variant({"scales": (1,), "d_model": 16}),
    "no scale bias": Variant({}, one_memory),
}
STM3_OFF = {
    "default head": Variant({"head_width": 128}),
    "head alone": Variant({"head_width": 128}, head_alone),
    "no encoder": Variant({"n_experts": 0}, no_encoder),
}
STMAMBA_OFF = {
    "default head": Variant({"head_width": 64}),
    "head alone": Variant({"head_width": 64}, head_alone),
    "no encoder": Variant({}, no_encoder),
}
BOTH_OFF = {"head alone": Variant({}, head_alone), "no encoder": Variant({}, no_encoder)}
SMALL_STM3 = {"scales": (1, 3), "d_model": 3, "expand": 1, "n_experts": 2, "shared_expert": False}
S2TX = {"dropout": 0.0, "d_ff": 32, "batch_size": 32, "max_epochs": 20}
MAD = {"width": 8, "d_model": 32, "n_layers": 1}

CASES: dict[str, Case] = {
    "stm3-graph": Case(
        "squares of two nodes upstream, delayed; graph given", upstream, STM3Forecaster,
        {**LINEAR_HEAD, "graph": "given", "n_layers": 2, "n_experts": 0},
        {"whole": Variant(), "no graph": Variant(NO_GRAPH), **STM3_OFF},
    ),
    "stm3-learned": Case(
        "two nodes upstream, delayed; graph not given, start at random",
        lambda seed: upstream(seed, squares=False), STM3Forecaster, {**LINEAR_HEAD, "graph": "learned", "n_experts": 0},
        {
            "whole": Variant({}, unprepared, False), "no graph": Variant(NO_GRAPH, unprepared, False),
            "start from correlations": Variant({}, None, False), **{
                name: Variant(off.changes, off.alter, False) for name, off in STM3_OFF.items()
            },
        },
    ),
    "stm3-scales": Case(
        "squares of one step and of a swing over seven", lambda seed: two_time_scales(seed, swing=True), STM3Forecaster,
        {**LINEAR_HEAD, **NO_GRAPH, "n_experts": 0}, {**SCALES_OFF, **STM3_OFF},
    ),
    "stm3-sums": Case(
        "squares of one step and of a sum over nine", two_time_scales, STM3Forecaster,
        {**LINEAR_HEAD, **NO_GRAPH, "n_experts": 0}, {**SCALES_OFF, **STM3_OFF},
    ),
    "stm3-experts": Case(
        "nodes of two kinds", kinds_of_nodes, STM3Forecaster, {**LINEAR_HEAD, **NO_GRAPH, **SMALL_STM3},
        {
            "whole": Variant(), "one expert (STM2)": Variant({"n_experts": 0}),
            "routing starts at random": Variant({}, unprepared), "routing by input": Variant({"routing": "input"}), **STM3_OFF,
        },
    ),
    "s2tx-global": Case(
        "a leading node many columns away", leader_far_away, S2TXForecaster,
        {**S2TX, "local_length": 6, "global_patch": 6, "global_stride": 6},
        {
            "whole": Variant(), "nodes apart": Variant({"cross_variate": False}),
            "no cross-attention": Variant({"cross_attention": False}), **BOTH_OFF,
        },
    ),
    "s2tx-cross": Case(
        "a cycle longer than the local window", old_cycle, S2TXForecaster,
        {**S2TX, "local_length": 12, "global_patch": 4, "global_stride": 4},
        {"whole": Variant(), "no cross-attention": Variant({"cross_attention": False}), **BOTH_OFF},
    ),
    "mad-mamba": Case(
        "a wave that comes in at the other edge, predicted by convolutions", wave, MADForecaster,
        {**MAD, "prediction": "convlstm"},
        {
            "whole": Variant(), "no Mamba": Variant({"reconstruction": "conv"}),
            "no reconstruction": Variant({"fusion_weight": 0.0}), **BOTH_OFF,
        },
    ),
    "mad-down": Case(
        "a wave that comes in from below, predicted by convolutions", lambda seed: wave(seed, down=True), MADForecaster,
        {**MAD, "prediction": "convlstm"}, {"whole": Variant(), "no Mamba": Variant({"reconstruction": "conv"})},
    ),
    "mad-dit": Case(
        "the wave at the other edge, predicted by the transformer", wave, MADForecaster, MAD,
        {
            "whole": Variant(), "no Mamba": Variant({"reconstruction": "conv"}),
            "no reconstruction": Variant({"fusion_weight": 0.0}),
            "no reconstruction, convolutions": Variant({"fusion_weight": 0.0, "prediction": "convlstm"}),
        },
    ),
    "stmamba-mamba": Case(
        "the event before the last, beyond the convolution", last_event, STMambaForecaster, {**LINEAR_HEAD, "n_heads": 0},
        {"whole": Variant(), "no Mamba": Variant({"temporal": False}), **STMAMBA_OFF},
    ),
    "stmamba-both": Case(
        "the same, at the node upstream", lambda seed: last_event(seed, 1200, 3, apart=True), STMambaForecaster,
        {**LINEAR_HEAD, "n_heads": 1, "max_epochs": 20},
        {"whole": Variant(), "time only": Variant({"n_heads": 0}), "space only": Variant({"temporal": False}), **STMAMBA_OFF},
    ),
    "stmamba-learned": Case(
        "two nodes upstream, delayed; graph not given", lambda seed: upstream(seed, squares=False), STMambaForecaster,
        LINEAR_HEAD,
        {
            "whole": Variant({}, None, False), "no graph": Variant({"n_heads": 0}, None, False),
            "no Mamba": Variant({"temporal": False}, None, False), **{
                name: Variant(off.changes, off.alter, False) for name, off in STMAMBA_OFF.items()
            },
        },
    ),
}  # fmt: skip


def forecaster(case: Case, variant: Variant, task: Task, seed: int, **changes: Any) -> Any:
    """The forecaster of a variant; `changes` win."""
    kind = case.kind if variant.alter is None else variant.alter(case.kind)
    sizes = {"input_length": task.input_length, "horizon": task.horizon, "target": task.target}
    settings = {**ALONE, **case.settings, **variant.changes, **changes}
    return kind(**sizes, **settings, random_state=seed)


def run(case: Case, variant: Variant, seed: int, **changes: Any) -> dict[str, Any]:
    """Error of a variant, and what is to be known of its graph, routing and Mamba."""
    task = case.task(seed)
    model = forecaster(case, variant, task, seed, **changes)
    start = time.process_time()
    model.fit(task.X[: task.cut], adj=task.graph if variant.sees_graph else None)
    seconds = time.process_time() - start
    entry = {"error": error(model, task), "cpu_seconds": seconds, "parameters": model.n_parameters_}
    return entry | found(model, task) | _provenance()


def error(model: Any, task: Task) -> float:
    """Mean squared error of the test part at the nodes that count, as a share of their variance."""
    truth, forecast = (
        part.reshape(*part.shape[:2], -1) for part in model.predict_windows(_test_part(model, task))
    )
    truth, forecast = truth[..., task.scored], forecast[..., task.scored]
    return float(np.square(truth - forecast).mean() / truth.var())


def _test_part(model: Any, task: Task) -> np.ndarray:
    return task.X[task.cut - model.input_length :]


def found(model: Any, task: Task) -> dict[str, float]:
    """What the mechanism itself shows."""
    facts = {}
    if task.graph is not None and not (
        model.adj is not None or getattr(model, "given_graph_", None) is not None
    ):
        facts |= _graph(model, task)
    if task.kinds is not None and model.n_experts:
        experts = model.routing_.to_numpy().argmax(1)
        facts |= {
            "kinds_ari": float(adjusted_rand_score(task.kinds, experts)),
            "unusual": unusual(model, task),
        }
    if isinstance(model, MADForecaster) and _mamba(model):
        facts["moved"] = moved(model, _test_part(model, task))
    return facts


def _graph(model: Any, task: Task) -> dict[str, float]:
    """Area under the ROC curve of the learned graph."""
    if getattr(model, "n_heads", 1) == 0 or getattr(model, "cheb_order", 2) == 1:
        return {}
    if hasattr(model, "attention_weights"):
        if not list(model.network_.blocks):
            return {}
        listens = model.attention_weights(_test_part(model, task))
    else:
        listens = model.graph_
    apart = ~np.eye(len(task.graph), dtype=bool)
    # transposed [i, j]: how much j listens to i, as the edge i -> j
    return {"graph_auc": float(roc_auc_score(task.graph[apart] > 0, listens.to_numpy().T[apart]))}


def unusual(model: Any, task: Task) -> float:
    """Share of the windows that are not sent to the expert to which most windows of their node are sent."""
    chosen = []
    for inputs in model._network_inputs(_test_part(model, task), 1):
        for window in inputs["x"].split(1):
            chosen.append(model.network_.routing(window).argmax(1).numpy())
    usual = np.apply_along_axis(lambda experts: np.bincount(experts).max(), 0, np.stack(chosen))
    return float(1 - usual.sum() / (len(chosen) * len(usual)))


def _mamba(model: Any) -> list[torch.nn.Parameter]:
    return [p for name, p in model.network_.named_parameters() if ".mamba.mamba." in name]


def moved(model: Any, X: np.ndarray) -> float:
    """How far the forecast moves when all weights of MAD's Mamba are shuffled, as a share of the values' standard deviation."""
    _, before = model.predict_windows(X)
    weights = copy.deepcopy(model.network_.state_dict())
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in _mamba(model):
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    _, after = model.predict_windows(X)
    model.network_.load_state_dict(weights)
    return float(np.abs(after - before).mean() / X.std())


def _provenance() -> dict[str, Any]:
    facts = machine()
    return {name: facts[name] for name in ("processor", "commit", "uncommitted_changes")}


def measure(options: argparse.Namespace, runs: Runs) -> None:
    """Run what is not stored yet, and store every run."""
    for seed in range(options.seeds):
        for name in options.only:
            for told, variant in CASES[name].variants.items():
                key = f"{name}|{told}|{seed}"
                if key in runs.finished():
                    continue
                entry = run(CASES[name], variant, seed)
                runs.add(key, {**entry, "threads": options.threads})
                sys.stdout.write(f"{key}: {entry['error']:.3f}, {entry['cpu_seconds']:.0f} s\n")
                sys.stdout.flush()


COLUMNS = {
    "error": "error",
    "graph_auc": "graph AUC",
    "kinds_ari": "kinds ARI",
    "unusual": "unusual expert",
    "moved": "moved",
}


def summary(runs: dict[str, Any]) -> str:
    """One row per variant: means over the seeds, and the standard deviation of the error."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for key, entry in runs.items():
        groups.setdefault(key.rsplit("|", 1)[0], []).append(entry)
    rows = []
    for name, case in CASES.items():
        for told in case.variants:
            entries = groups.get(f"{name}|{told}", [])
            if entries:
                mean, deviation = spread([entry["error"] for entry in entries])
                others = [spread([entry.get(column) for entry in entries])[0] for column in list(COLUMNS)[1:]]
                rows.append([f"{name}: {told}", len(entries), mean, deviation, *others])
    return table(["", "seeds", "error", "+-", *list(COLUMNS.values())[1:]], rows)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(CASES), help="tasks")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--results", default=RESULTS, help="name of the file in results/")
    parser.add_argument("--fresh", action="store_true", help="run again what was chosen")
    options = parser.parse_args()
    options.only = options.only.split(",")
    unknown = [name for name in options.only if name not in CASES]
    if unknown:
        raise SystemExit(f"there is no {unknown[0]!r}; there are {', '.join(CASES)}")
    torch.set_num_threads(options.threads)
    runs = Runs(
        options.results, {"tasks": {name: case.told for name, case in CASES.items()}, "training": ALONE}
    )
    if options.fresh:
        runs.forget(lambda key: key.split("|")[0] in options.only)
    measure(options, runs)
    sys.stdout.write(
        f"{summary(runs.finished())}\n{machine()['processor']}, commit {machine()['commit'][:10]}\n"
    )


if __name__ == "__main__":
    main()
