"""The tables that README and docs show, as Markdown, from the stored results; `page_tables` puts them into the pages."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["TABLES"]

RESULTS = Path(__file__).resolve().parent / "results"
NOTHING = "–"  # no stored run

TASKS = {
    "taxi": "NYC taxi 2019, inflow, 24 → 12",
    "molene": "Molene temperature, 24 → 6",
    "pjm": "PJM load, 168 → 24",
    "metro": "Hangzhou metro, 24 → 12",
    "beijing": "Beijing PM2.5, 24 → 12",
    "metrla": "METR-LA, one week, 12 → 12",
    "simulated": "simulated network, graph given, 24 → 12",
    "simulated-blind": "simulated network, graph not given",
}
LONG = {
    "taxi-24": "NYC taxi, 168 → 24", "taxi-48": "NYC taxi, 168 → 48", "taxi-96": "NYC taxi, 168 → 96",
    "metro-36": "Hangzhou metro, 108 → 36", "metro-72": "Hangzhou metro, 108 → 72",
    "metrla-36": "METR-LA, 12 → 36", "metrla-72": "METR-LA, 12 → 72", "beijing-72": "Beijing PM2.5, 168 → 72",
}  # fmt: skip
DRIFT = {
    "taxi-drift": "NYC taxi, learnt to August 2019, January and February 2020 forecast",
    "beijing-heating": "Beijing PM2.5, learnt to September 2016, the winter forecast",
    "falling": "simulated network whose level falls by a third",
}
LINEAR = {
    "mean-profile": "mean profile", "ridge": "ridge", "ridge-profile": "ridge less the seasonal mean",
    "ridge-blend": "linear forecast",
}  # fmt: skip
LINEAR_BEFORE = {
    "mean-profile": "mean profile", "ridge": "ridge", "ridge-profile": "ridge less the seasonal mean",
    "ridge-profile-all": "the same, all nodes", "ridge-blend": "linear forecast",
}  # fmt: skip
NETWORKS = {"stm3": "STM3", "stmamba": "STMamba", "stid": "STID"}


# ---------------------------------------------------------------- reading and writing


@cache
def stored(name: str) -> dict[str, Any]:
    """A file of results."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def by_seed(name: str, of: str, value: str = "MAE") -> dict[str, list[float]]:
    """Values of the finished runs, those of all seeds together, by what stands before the seed in their keys."""
    groups: dict[str, list[float]] = {}
    for key, run in stored(name)[of].items():
        if value in run:
            groups.setdefault(key.rsplit("|", 1)[0], []).append(run[value])
    return groups


def number(values: Sequence[float] | None, digits: int = 4) -> str:
    """Mean, deviation over the seeds, and how many there are, where there are several."""
    if not values:
        return NOTHING
    mean = figure(statistics.mean(values), digits)
    if len(values) == 1:
        return mean
    deviation = statistics.stdev(values)
    spread = f" ± {figure(deviation, 2)}" if deviation > 1e-6 * abs(statistics.mean(values)) else ""
    return f"{mean}{spread} ({len(values)})"


def figure(value: float | None, digits: int = 3) -> str:
    """A number of so many digits, those before the point at least."""
    if value is None:
        return NOTHING
    text = f"{value:#.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"
    return text.rstrip(".") if "e" not in text else f"{value:.{digits + 2}f}"


def bold(cells: list[str], values: Sequence[float | None]) -> list[str]:
    """The cells, those of the least value bold; equal to the last digit shown is equal."""
    known = [value for value in values if value is not None]
    best = {
        cell.split(" ")[0] for cell, value in zip(cells, values, strict=True) if known and value == min(known)
    }
    return [
        f"**{cell.split(' ')[0]}**{cell[len(cell.split(' ')[0]) :]}" if cell.split(" ")[0] in best else cell
        for cell in cells
    ]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    cells = ([cell if cell == "---" else f" {cell} " if cell else " " for cell in line] for line in lines)
    return "".join(f"|{'|'.join(line)}|\n" for line in cells)


# ---------------------------------------------------------------- forecasters on all tasks


def panels(results: str, tasks: dict[str, str], models: dict[str, str], naive: bool = True) -> str:
    """Errors by task and forecaster; the naive forecasts of a day and a week share a column. Tasks without a run are left out."""
    found = by_seed(results, "runs")
    rows = []
    for task, told in tasks.items():
        values = [found.get(f"{task}|{model}") for model in models]
        if not any(values):
            continue
        cells = [
            number(seeds, 4 if model not in ("mean-profile", "ridge") else 3)
            for model, seeds in zip(models, values, strict=True)
        ]
        cells = bold(cells, [None if seeds is None else statistics.mean(seeds) for seeds in values])
        days = " / ".join(number(found.get(f"{task}|naive-{cycle}"), 3) for cycle in ("day", "week"))
        rows.append([told, *([days] if naive else []), *cells])
    return markdown(["", *(["naive, day / week"] if naive else []), *models.values()], rows)


def cross_fitting() -> str:
    """Errors before and after residuals out of fold and inputs at the target steps."""
    runs, rows = stored("cross_fitting")["runs"], []
    for task in ("taxi", "metro", "metrla", "molene", "simulated"):
        for network, told in (("stid", "STID"), ("stm3", "STM3"), ("stmamba", "STMamba")):
            before, now = (runs.get(f"{task}|{network}|{way}|0") for way in ("neither", "both"))
            if before and now:
                cells = bold([figure(run["MAE"], 4) for run in (before, now)], [before["MAE"], now["MAE"]])
                seconds = " / ".join(f"{run['cpu_seconds']:.0f}" for run in (before, now))
                rows.append([f"{TASKS[task]}, {told}", figure(before["linear"], 4), *cells, seconds])
    return markdown(
        ["task, network", "linear forecast", "before", "now", "CPU seconds of fit, before / now"], rows
    )


def ablations() -> str:
    """What one change of a network does on two tasks."""
    runs = stored("accuracy_ablations")["runs"]
    named = {
        "seasonal_profile=None linear_skip=False": "neither seasonal mean nor linear forecast",
        "seasonal_profile=None": "no seasonal mean", "linear_skip=False": "no linear forecast",
        "graph=learned cheb_order=1": "no graph (`graph=learned`, `cheb_order=1`)",
        "temporal=False": "no Mamba", "n_heads=0": "no attention",
    }  # fmt: skip
    rows = []
    for name in dict.fromkeys(key.split("|")[1] for key in runs):
        network, _, change = name.partition(" ")
        cells = [runs.get(f"{task}|{name}|0") for task in ("molene", "taxi")]
        told = named.get(change, f"`{change}`")
        errors = [
            NOTHING if run is None else f"{run['MAE']:.{places}f} ({run['valid_loss']:.4f})"
            for run, places in zip(cells, (3, 2), strict=True)
        ]
        rows.append([NETWORKS[network] + (f", {told}" if change else ""), *errors])
    rows.sort(key=lambda row: not row[0].startswith("STM3"))
    return markdown(["change to the default", "Molene, test MAE (validation loss)", "NYC taxi"], rows)


def missing_sensors() -> str:
    """Errors with missing cells, gaps and dead sensors."""
    runs, shares, rows = stored("missing_sensors")["runs"], ("0.0", "0.1", "0.2", "0.4"), []
    asked = (
        ("beijing", "cells", "MAE", "Beijing PM2.5, single cells", ("ridge",)),
        ("beijing", "gaps", "MAE", "blocks of 6 to 48 hours", ("ridge",)),
        ("beijing", "dead", "MAE", "dead sites, all sites scored", ("last-value", "ridge")),
        ("taxi", "cells", "MAE", "NYC taxi, single cells", ("mean-profile", "ridge")),
        ("taxi", "gaps", "MAE", "blocks of 6 to 48 hours", ("ridge",)),
        ("taxi", "dead", "MAE_observed", "dead zones, zones alive scored", ("ridge",)),
    )
    for task, kind, score, told, cheap in asked:

        def cell(model: str, share: str, task: str = task, kind: str = kind, score: str = score) -> str:
            run = runs.get(f"{task}|{kind if float(share) else 'cells'}|{share}|{model}|0")
            return NOTHING if run is None else f"{run[score]:.1f}"

        block = [[model.replace("-", " "), *(cell(model, share) for share in shares)] for model in cheap]
        block.append(
            ["STM3 / STMamba", *(f"{cell('stm3', share)} / {cell('stmamba', share)}" for share in shares)]
        )
        rows += [[told if not place else "", *line] for place, line in enumerate(block)]
    return markdown(["MAE", "", *(f"{float(share):.0%}".replace("%", " %") for share in shares)], rows)


# ---------------------------------------------------------------- fields


FIELD_ROWS = {
    "last-value": "last frame", "day-before": "same hour yesterday", "mean-profile": "mean day",
    "ridge": "ridge, weights shared", "ridge-per-pixel": "ridge, weights of each cell", "unet": "U-Net",
    "unet-plain": "U-Net without seasonal mean and linear forecast", "mad": "MAD",
    "mad-plain": "MAD without seasonal mean and linear forecast", "mad-conv": '`reconstruction="conv"`: no Mamba',
    "mad-unet": '`reconstruction="unet"`', "mad-alone": "`fusion_weight=0`: no reconstruction",
    "mad-vit": '`prediction="vit"`', "mad-convlstm": '`prediction="convlstm"`',
}  # fmt: skip


def fields() -> str:
    """Errors of fields on simulated flows and on temperature."""
    found = {value: by_seed("accuracy_fields", "runs", value) for value in ("MSE", "SSIM", "PSNR")}
    rows = []
    for model, told in FIELD_ROWS.items():
        cells = []
        for task in ("navier_stokes", "era5"):
            key = f"{task}|{model}"
            cells += [
                number(found["MSE"].get(key), 3),
                *(_mean(found[score].get(key)) for score in ("SSIM", "PSNR")),
            ]
        steps = [
            _mean(by_seed("accuracy_fields", "runs", f"mse_to_{step}").get(f"era5|{model}"))
            for step in (10, 20, 30, 40)
        ]
        rows.append([told, *cells, " / ".join(steps)])
    head = [
        "",
        "flows: MSE",
        "SSIM",
        "PSNR",
        "ERA5: MSE, K²",
        "SSIM",
        "PSNR",
        "MSE to step 10 / 20 / 30 / 40",
    ]
    return markdown(head, rows)


def _mean(values: Sequence[float] | None) -> str:
    return figure(statistics.mean(values)) if values else NOTHING


def field_costs() -> str:
    """What a training step of the networks for fields costs."""
    runs, rows = stored("accuracy_fields")["runs"], []
    for model in ("unet", "mad", "mad-conv", "mad-vit", "mad-convlstm", "mad-alone"):
        run = runs[f"cost|{model}|128|16|{{}}"]
        costs = (run["seconds_per_step"], ".1f"), (run["memory_mb"], ",.0f"), (run["forward_gflops"], ".1f")
        rows.append(
            [FIELD_ROWS[model], f"{run['parameters']:,}", *(f"{cost:{style}}" for cost, style in costs)]
        )
    return markdown(["", "weights", "s a training step", "MB", "GFLOP forward"], rows)


# ---------------------------------------------------------------- S2TX


STEPS = (96, 192, 336, 720)
ETT_ROWS = {
    "last-value": "last value", "seasonal-naive": "naive, day", "weekly-naive": "naive, week",
    "mean-profile": "mean day of the last two weeks", "ridge": "ridge", "dlinear": "DLinear", "nlinear": "NLinear",
    "s2tx-pure": "S2TX, the network alone", "s2tx": "S2TX with seasonal mean and linear forecast, the default",
}  # fmt: skip


def ett(data: str, models: Sequence[str], look_backs: Sequence[int]) -> str:
    """Squared and absolute errors of scaled values on a transformer's data."""
    squared, absolute = (by_seed("accuracy_ett", "runs", value) for value in ("mse", "mae"))
    rows = []
    for back in (0, *look_backs):
        for model in models:
            keys = [f"{model}|{data}|{steps}|{back}" for steps in STEPS]
            if any(key in squared for key in keys):
                rows.append(
                    [
                        ETT_ROWS[model],
                        str(back or ""),
                        *(_pair(squared.get(key), absolute.get(key)) for key in keys),
                    ]
                )
    for name, errors in stored("accuracy_ett")["published"].get(data, {}).items():
        rows.append(
            [
                f"published: {name}",
                {"PatchTST/64": "512", "iTransformer": "96"}.get(name, ""),
                *(f"{error:.3f}" for error in errors),
            ]
        )
    return markdown(["", "look-back", *map(str, STEPS)], rows)


def _pair(squared: list[float] | None, absolute: list[float] | None) -> str:
    if not squared or not absolute:
        return NOTHING
    seeds = f" ({len(squared)})" if len(squared) > 1 else ""
    return f"{statistics.mean(squared):.3f} / {statistics.mean(absolute):.3f}{seeds}"


def s2tx_parts() -> str:
    """S2TX without one part of it."""
    runs = stored("accuracy_ett")["runs"]
    parts = {
        "s2tx-pure": "the network", "s2tx-apart": "`cross_variate=False`", "s2tx-no-cross": "`cross_attention=False`",
        "s2tx-time": '`token_order="time"` (the network above: `"variate"`)',
        "s2tx-forward": "`bidirectional=False`", "s2tx-full": "`attention_window=None`",
        "s2tx-quarter": "`local_length` a quarter", "s2tx-three-quarters": "`local_length` three quarters",
    }  # fmt: skip
    rows = [
        [told, *(f"{runs[f'{name}|etth1|96|336|0'][score]:.3f}" for score in ("valid_mse", "mse", "mae"))]
        for name, told in parts.items()
    ]
    return markdown(["336 → 96", "validation MSE", "test MSE", "test MAE"], rows)


def missing_s2tx() -> str:
    """Rise of the squared error with values missing in the look-back."""
    runs, shares = stored("missing_s2tx")["runs"], ("0.1", "0.2", "0.3", "0.4")
    asked = (
        ("s2tx", "carried", "S2TX with seasonal mean and linear forecast, forward-filled"), ("s2tx", "mean", "the same, mean"),
        ("s2tx-pure", "carried", "S2TX, the network alone, forward-filled"), ("nlinear", "carried", "NLinear, forward-filled"),
        ("ridge", "carried", "ridge, forward-filled"),
    )  # fmt: skip
    rows = []
    for model, filled, told in asked:
        run = runs[f"{model}|96|336|clean|0|0"]
        whole = run[f"0|{filled}"]
        rises = [f"+{100 * (run[f'{share}|{filled}'] / whole - 1):.1f} %" for share in shares]
        rows.append([told, "" if filled == "mean" else f"{whole:.3f}", *rises])
    return markdown(
        ["", "error on complete data", *(f"{float(share):.0%}".replace("%", " %") for share in shares)], rows
    )


def s2tx_nodes() -> str:
    """Seconds and memory of S2TX by the number of nodes."""
    cases, nodes = stored("scaling_s2tx")["cases"], (10, 50, 100, 321, 500)
    rows = [
        ["seconds per 1,000 windows", *(f"{cases[f'variates|{n}|672']['epoch_seconds']:.0f}" for n in nodes)],
        ["MB", *(f"{cases[f'variates|{n}|672']['mb']:,.0f}" for n in nodes)],
    ]
    return markdown(["nodes at look-back 672, default patches", *map(str, nodes)], rows)


def s2tx_look_back() -> str:
    """Seconds and memory of S2TX by look-back."""
    cases, backs, rows = stored("scaling_s2tx")["cases"], (96, 192, 336, 672, 1440, 2880), []
    for kind, told in (
        ("fixed", "47 coarse and 24 fine patches: seconds"),
        ("default", "default patches: seconds"),
    ):
        rows.append([told, *(f"{cases[f'{kind}|7|{back}']['epoch_seconds']:.1f}" for back in backs)])
        rows.append(["MB", *(f"{cases[f'{kind}|7|{back}']['mb']:,.0f}" for back in backs)])
    return markdown(["look-back of 7 nodes", *map(str, backs)], rows)


# ---------------------------------------------------------------- sktime, intervals


def sktime() -> str:
    """Errors beside classical forecasters in sktime."""
    data = ("molene", "taxi", "pjm")
    found = {
        value: by_seed("sktime_classical", "runs", value)
        for value in ("MASE@12", "MASE@24", "coverage90", "fit_seconds")
    }
    models = list(dict.fromkeys(key.split("|")[1] for key in found["MASE@12"]))
    models.sort(key=lambda model: not model.startswith("stmest"))
    means = {
        (value, panel): [statistics.mean(found[value][f"{panel}|{model}"]) for model in models]
        for value in ("MASE@12", "MASE@24") for panel in data
    }  # fmt: skip
    columns = {
        key: bold([f"{mean:.2f}" for mean in values], [round(mean, 2) for mean in values])
        for key, values in means.items()
    }
    rows = []
    for place, model in enumerate(models):
        keys = [f"{panel}|{model}" for panel in data]
        held = (
            " / ".join(f"{100 * statistics.mean(found['coverage90'][key]):.0f}" for key in keys)
            if keys[0] in found["coverage90"]
            else NOTHING
        )
        seconds = statistics.mean(statistics.mean(found["fit_seconds"][key]) for key in keys)
        told = f"`{model.split()[1]}Forecaster`" if model.startswith("stmest") else model
        errors = [
            f"{columns['MASE@12', panel][place]} / {columns['MASE@24', panel][place]}" for panel in data
        ]
        rows.append([told, *errors, held, f"{seconds:.1f}"])
    head = [
        "MASE over the first 12 / all 24 hours",
        "Molene",
        "NYC taxi",
        "PJM load",
        "in the 90 % interval, %",
        "fit, s",
    ]
    return markdown(head, rows)


def coverage() -> str:
    """Share of the held-out rows within the intervals."""
    runs, shares, rows = stored("interval_coverage")["runs"], ("0.5", "0.8", "0.9", "0.95"), []
    for model, prefix in (("ridge", ""), ("STM3", "`STM3Forecaster`, ")):
        for task, told in (("taxi", "NYC taxi"), ("molene", "Molene")):
            for way, how in (("fixed", "calibrated once"), ("moving", "`update` every day")):
                run = runs[f"{task}|{model}|{way}"]
                rows.append(
                    [f"{prefix}{told}, {how}", *(f"{100 * run[f'held@{share}']:.1f}" for share in shares)]
                )
    return markdown(
        ["held-out rows within the interval of", *(f"{100 * float(share):.0f} %" for share in shares)], rows
    )


# ---------------------------------------------------------------- speed


def scan(mode: str, threads: int) -> str:
    """Times of the scan: ours in nanoseconds an element, the others in times of ours."""
    runs = [run for run in stored("speed_scan")["scan"] if run["mode"] == mode and run["threads"] == threads]
    others = {
        "chunked": "chunked",
        "loop": "loop",
        "mambapy": "mambapy",
        "mamba_ssm ref": "mamba_ssm's reference",
        "C++": "C++",
    }
    if threads > 1:
        others.pop("C++")
    by_name = {(run["shape"], run["candidate"]): run for run in runs}
    rows = []
    for shape in dict.fromkeys(run["shape"] for run in runs):
        times = [by_name.get((shape, other), {}).get("times_numba") for other in others]
        cells = [NOTHING if t is None else f"{t:.0f}" if t >= 20 else f"{t:.1f}" for t in times]
        rows.append([shape, f"{by_name[shape, 'numba']['ns_per_element']:.2f}", *cells])
    return markdown(["rows x steps", "numba, ns", *others.values()], rows)


def scan_memory() -> str:
    """Memory of the scan beside its inputs."""
    by_name = {(run["shape"], run["candidate"]): run.get("tensors") for run in stored("speed_scan")["memory"]}
    candidates = ("numba", "chunked", "loop", "mambapy", "mamba_ssm ref", "C++")
    rows = []
    for shape in dict.fromkeys(shape for shape, _ in by_name):
        tensors = [by_name.get((shape, candidate)) for candidate in candidates]
        rows.append(
            [shape, *(NOTHING if t is None else f"{t:.1f}" if t < 10 else f"{t:.0f}" for t in tensors)]
        )
    return markdown(["rows x steps", *candidates], rows)


def whole_network() -> str:
    """Windows a second and memory of STM3."""
    cases = {**stored("speed_fit")["cases"], **stored("speed_fit_1000")["cases"]}
    rows = []
    for key, run in cases.items():
        rates = [run["train_windows_per_s"], run["predict_windows_per_s"]]
        rows.append([
            key.replace("|", ", "), *(f"{rate:.0f}" if rate >= 20 else f"{rate:.1f}" for rate in rates),
            *(f"{run[part]:.0f}" for part in ("train_process_mb", "predict_process_mb")),
        ])  # fmt: skip
    return markdown(["nodes, backend", "training", "prediction", "MB, training", "MB, prediction"], rows)


# ---------------------------------------------------------------- all of them


def gpu_scan() -> str:
    """Microseconds of the scan on a GPU, in single precision, and the share of the memory's bandwidth."""
    cases = {
        tuple(key.split("|")): run
        for key, run in stored("gpu")["parts"]["scan"].items()
        if key.count("|") == 2 and "|float32|" in key
    }
    rows = []
    for shape in dict.fromkeys(shape for shape, *_ in cases):
        ours = cases[shape, "float32", "triton"]
        cells = [f"{ours[how]['ns'] * 1000:.1f}" for how in ("forward", "both")]
        for other in ("mamba_ssm", "chunked"):
            run = cases.get((shape, "float32", other))
            ratios = ["" if run is None else run[how]["ns"] / ours[how]["ns"] for how in ("forward", "both")]
            cells += [NOTHING if r == "" else f"{r:.0f}" if r >= 20 else f"{r:.2f}" for r in ratios]
        rows.append(
            [shape, *cells, f"{ours['forward']['of_bandwidth']:.0%}, {ours['both']['of_bandwidth']:.0%}"]
        )
    head = [
        "rows x steps", "Triton, forward, ps", "with gradients, ps", "mamba_ssm, forward", "with gradients",
        "chunked, forward", "with gradients", "of the bandwidth",
    ]  # fmt: skip
    return markdown(head, rows)


def gpu_steps() -> str:
    """Training steps and epochs on a GPU, recorded and not."""
    parts = stored("gpu")["parts"]
    rows = []
    for key, run in parts["launches"].items():
        name, n_nodes = key.split("|")
        epochs = [
            parts["fits"].get(f"{name}|cuda|{how}", {}) if n_nodes == "69" else {}
            for how in ("ordinary", "recorded")
        ]
        seconds = [f"{run[which] * 1000:.1f}" for which in ("step_s", "recorded_s", "busy_s")]
        told = [f"{epoch['epoch_s']:.2f}" if epoch else NOTHING for epoch in epochs]
        rows.append([f"{name}, {n_nodes}", str(run["launches"]), *seconds, *told])
    head = [
        "network, nodes", "launches", "step, ms", "recorded, ms", "device busy, ms", "epoch, s", "recorded, s",
    ]  # fmt: skip
    return markdown(head, rows)


TABLES: dict[str, Callable[[], str]] = {
    "panels": lambda: panels("accuracy_later", TASKS, {**LINEAR, "gbt": "boosted trees", **NETWORKS}),
    "panels-short": lambda: panels(
        "accuracy_later", TASKS, {**{name: LINEAR[name] for name in list(LINEAR)[1:]}, **NETWORKS}
    ),
    "panels-before": lambda: panels("accuracy_panels", TASKS, {**LINEAR_BEFORE, **NETWORKS}),
    "panels-long": lambda: panels(
        "accuracy_later",
        LONG,
        {"ridge-blend": "linear forecast", "dlinear": "DLinear", "s2tx": "S2TX", "stm2": "STM2", **NETWORKS},
    ),
    "panels-drift": lambda: panels(
        "accuracy_later",
        DRIFT,
        {"ridge-blend": "linear forecast", **NETWORKS, "stid-plain": "STID without season and line"},
        naive=False,
    ),
    "cross-fitting": cross_fitting,
    "ablations": ablations,
    "missing-sensors": missing_sensors,
    "fields": fields,
    "field-costs": field_costs,
    "etth1": lambda: ett("etth1", list(ETT_ROWS), (336, 672)),
    "ettm1": lambda: ett("ettm1", list(ETT_ROWS), (336,)),
    "s2tx-parts": s2tx_parts,
    "s2tx-missing": missing_s2tx,
    "s2tx-nodes": s2tx_nodes,
    "s2tx-look-back": s2tx_look_back,
    "sktime": sktime,
    "coverage": coverage,
    "scan-backward": lambda: scan("forward + backward", 1),
    "scan-forward": lambda: scan("forward", 1),
    "scan-threads": lambda: scan("forward + backward", 2),
    "scan-memory": scan_memory,
    "whole-network": whole_network,
    "gpu-scan": gpu_scan,
    "gpu-steps": gpu_steps,
}
