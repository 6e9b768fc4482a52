"""S2TX, its ablations, the linear models and the baselines on ETTh1 and ETTm1, beside published rows.

    python benchmarks/accuracy_ett.py [--data etth1,ettm1] [--horizons 96,192,336,720] [--lookbacks 336,672]
                                      [--models baselines,linear,s2tx-both] [--seeds 3] [--threads 1] [--s2tx JSON]

Canonical split of 12, 4 and 4 months; errors are those of values divided by the spread of the training part, over all
test windows, variates and steps. Networks choose their epoch, ridge its penalty, on the validation part. Nothing else is
learnt from it: that fit, at its end, learns the linear forecast below a network again from all rows, is switched off here.
"s2tx-pure" is the published network on its own; "s2tx", the library's default, corrects a linear forecast, whose own error
is kept as linear_mse. The ablations are those of the pure network. ``--models`` takes names and the groups baselines, linear,
s2tx-both and ablations.

The column "vs ridge" compares the squared errors, window by window, with those of ridge at the same look-back: mean
difference, negative where ridge is worse, and in brackets the p value of a Diebold-Mariano test. With several seeds it is
the first one's.
Finished runs are kept in results/accuracy_ett.json, so that an interrupted benchmark goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import torch
from _common import RESULTS, machine, save, table

from stmest import (
    DLinearForecaster,
    LastValue,
    MeanProfile,
    NLinearForecaster,
    RidgeForecaster,
    S2TXForecaster,
    SeasonalNaive,
    load_panel,
)
from stmest.metrics.significance import diebold_mariano

# data set -> its name for load_panel, rows of a day, first validation, first test and last row
DATA = {"etth1": ("ETTh1", 24, 8640, 11520, 14400), "ettm1": ("ETTm1", 96, 34560, 46080, 57600)}
ALPHAS = (10.0, 100.0, 1000.0, 10000.0)
# Quoted, not run here: MSE at 96, 192, 336 and 720 steps; DLinear, NLinear: LTSF-Benchmark.md of cure-lab/LTSF-Linear;
# PatchTST/64 with a look-back of 512, iTransformer with 96: their papers.
PUBLISHED = {
    "etth1": {
        "PatchTST/64": (0.370, 0.413, 0.422, 0.447),
        "DLinear": (0.375, 0.405, 0.439, 0.472),
        "NLinear": (0.374, 0.408, 0.429, 0.440),
        "iTransformer": (0.386, 0.441, 0.487, 0.503),
    }
}
PURE: dict[str, Any] = {"linear_skip": False, "seasonal_profile": None}
S2TX: dict[str, dict[str, Any]] = {
    "s2tx": {},
    "s2tx-pure": PURE,
    "s2tx-apart": PURE | {"cross_variate": False},
    "s2tx-no-cross": PURE | {"cross_attention": False},
    "s2tx-time": PURE | {"token_order": "time"},
    "s2tx-forward": PURE | {"bidirectional": False},
    "s2tx-full": PURE | {"attention_window": None},
    "s2tx-quarter": PURE | {"local_length": 0.25},
    "s2tx-three-quarters": PURE | {"local_length": 0.75},
}
LINEAR = {"dlinear": DLinearForecaster, "nlinear": NLinearForecaster}
GROUPS = {
    "baselines": ["last-value", "seasonal-naive", "weekly-naive", "mean-profile", "ridge"],
    "linear": [*LINEAR],
    "s2tx-both": ["s2tx", "s2tx-pure"],
    "ablations": [name for name in S2TX if name not in ("s2tx", "s2tx-pure")],
}
WITHOUT_LOOKBACK = GROUPS["baselines"][:4]


@lru_cache
def load(data: str) -> pd.DataFrame:
    """Values up to the end of the test part."""
    name, _, _, _, end = DATA[data]
    return load_panel(name).frame().iloc[:end]


def window_errors(forecaster: Any, data: str, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Squared and absolute scaled error of each window whose targets lie in the given rows."""
    X, cut = load(data), DATA[data][2]
    scale = X.iloc[:cut].to_numpy().std(axis=0)
    truth, forecast = forecaster.predict_windows(X.iloc[first - forecaster.context_length_ : end])
    error = (forecast - truth) / scale
    return np.square(error).mean((1, 2)), np.abs(error).mean((1, 2))


@lru_cache(maxsize=1)
def ridge(data: str, horizon: int, lookback: int) -> tuple[Any, float, np.ndarray, np.ndarray]:
    """Ridge with the best penalty on the validation part, and its errors in the test part."""
    X, (_, _, cut, test, end) = load(data), DATA[data]
    fitted = {}
    for alpha in ALPHAS:
        model = RidgeForecaster(
            input_length=lookback, horizon=horizon, alpha=alpha, seasonal_profile=None
        ).fit(X.iloc[:cut])
        fitted[float(window_errors(model, data, cut, test)[0].mean())] = model
    best = min(fitted)
    return fitted[best], best, *window_errors(fitted[best], data, test, end)


def build(name: str, data: str, horizon: int, lookback: int, seed: int, options: argparse.Namespace) -> Any:
    """Make an unfitted forecaster."""
    day = DATA[data][1]
    naive = {
        "last-value": LastValue(horizon=horizon),
        "seasonal-naive": SeasonalNaive(horizon=horizon, season=day),
        "weekly-naive": SeasonalNaive(horizon=horizon, season=7 * day),
        "mean-profile": MeanProfile(horizon=horizon, season=day, n_seasons=14),
    }
    if name in naive:
        return naive[name]
    common = {"input_length": lookback, "horizon": horizon, "random_state": seed, "verbose": 1}
    common["validation_fraction"] = 1 - DATA[data][2] / DATA[data][3]
    if options.max_epochs:
        common["max_epochs"] = options.max_epochs
    if name in LINEAR:
        return LINEAR[name](**common)
    parameters = {**options.s2tx, **S2TX[name]}
    if isinstance(parameters.get("local_length"), float):
        parameters["local_length"] = round(parameters["local_length"] * lookback)
    return S2TXForecaster(**common, **parameters)


def untouched(predictor: Any, *_: Any) -> Any:
    """Stands in for what a forecaster learns from all rows at the end of fit: nothing."""
    return predictor


def run(
    name: str, data: str, horizon: int, lookback: int, seed: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Fit, choose on the validation part, score on the test part."""
    X, (_, _, cut, test, end) = load(data), DATA[data]
    start = time.perf_counter()
    scores: dict[str, Any] = {}
    if name == "ridge":
        model, scores["valid_mse"], squared, absolute = ridge(data, horizon, lookback)
        scores |= {"fit_seconds": time.perf_counter() - start, "alpha": model.alpha}
    else:
        model = build(name, data, horizon, lookback, seed, options)
        model._refit = untouched
        model.fit(X.iloc[: cut if name in WITHOUT_LOOKBACK else test])
        scores["fit_seconds"] = time.perf_counter() - start
        squared, absolute = window_errors(model, data, test, end)
    scores |= {
        "mse": float(squared.mean()),
        "mae": float(absolute.mean()),
        "windows": len(squared),
        "parameters": getattr(model, "n_parameters_", 0),
    }
    if hasattr(model, "history_"):
        scores["valid_mse"] = float(window_errors(model, data, cut, test)[0].mean())
        scores |= {"epochs": model.n_iter_, "best_epoch": model.best_epoch_}
        test_of = diebold_mariano(squared, ridge(data, horizon, lookback)[2], horizon)
        scores["vs_ridge"] = [test_of.mean_difference, test_of.p_value]
    if getattr(model, "linear_", None) is not None:
        model.network_.start_at_zero()
        scores["linear_mse"] = float(window_errors(model, data, test, end)[0].mean())
    return {**scores, "commit": machine()["commit"][:10]}


def wanted(options: argparse.Namespace) -> list[tuple[str, str, int, int, int]]:
    """Model, data set, horizon, look-back (0: none) and seed of all runs that were asked for."""
    names = [name for part in options.models.split(",") for name in GROUPS.get(part, [part])]
    runs = []
    for data in options.data.split(","):
        for horizon in map(int, options.horizons.split(",")):
            for lookback in map(int, options.lookbacks.split(",")):
                for name in names:
                    seeds = options.seeds if name in (*S2TX, *LINEAR) else 1
                    lookback_or_none = 0 if name in WITHOUT_LOOKBACK else lookback
                    runs += [(name, data, horizon, lookback_or_none, seed) for seed in range(seeds)]
    return list(dict.fromkeys(runs))


def summary(results: dict[str, Any]) -> str:
    """One row per data set, look-back and model, with MSE and MAE by horizon: mean and deviation over the seeds."""
    groups: dict[tuple[str, int, str], dict[int, list[dict[str, Any]]]] = {}
    for key, scores in results.items():
        name, data, horizon, lookback, _ = key.split("|")
        groups.setdefault((data, int(lookback), name), {}).setdefault(int(horizon), []).append(scores)
    horizons = sorted({horizon for group in groups.values() for horizon in group})
    order = [*WITHOUT_LOOKBACK, "ridge", *LINEAR, *S2TX]
    rows: list[list[str]] = []
    for data, lookback, name in sorted(groups, key=lambda group: (group[0], group[1], order.index(group[2]))):
        cells = [_cells(groups[data, lookback, name].get(horizon, [])) for horizon in horizons]
        rows.append([f"{data} {lookback or ''}: {name}", *(cell for group in cells for cell in group)])
    header = ["look-back: model", *(f"{what}@{h}" for h in horizons for what in ("MSE", "MAE", "vs ridge"))]
    for data in dict.fromkeys(data for data, _, _ in groups):
        for name, quoted in PUBLISHED.get(data, {}).items():
            known = dict(zip((96, 192, 336, 720), quoted, strict=True))
            if not set(known) & set(horizons):
                continue
            cells = [[f"{known[h]:.3f}" if h in known else "", "", ""] for h in horizons]
            rows.append([f"{data} published: {name}", *(cell for group in cells for cell in group)])
    lines = table(header, rows).splitlines()
    grey = "\x1b[90m{}\x1b[0m" if sys.stdout.isatty() else "{}"
    return "\n".join(grey.format(line) if " published: " in line else line for line in lines)


def _cells(runs: list[dict[str, Any]]) -> list[str]:
    if not runs:
        return ["", "", ""]
    mse, mae = ([scores[what] for scores in runs] for what in ("mse", "mae"))
    spread = f" +-{np.std(mse, ddof=1):.3f}" if len(runs) > 1 else ""
    against = runs[0].get("vs_ridge")
    return [
        f"{np.mean(mse):.3f}{spread}",
        f"{np.mean(mae):.3f}",
        f"{against[0]:+.3f} ({against[1]:.2g})" if against else "",
    ]


def _finished(file: str) -> dict[str, Any]:
    path = RESULTS / f"{file}.json"
    return json.loads(path.read_text())["runs"] if path.exists() else {}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="etth1")
    parser.add_argument("--horizons", default="96,192,336,720")
    parser.add_argument("--lookbacks", default="336,672")
    parser.add_argument(
        "--models", default="baselines,linear,s2tx-both", help=f"{', '.join([*GROUPS, *S2TX, *LINEAR])}, ..."
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--max-epochs", type=int, help="instead of the forecasters' own")
    parser.add_argument(
        "--s2tx", type=json.loads, default={}, help="parameters other than the defaults, as JSON"
    )
    parser.add_argument("--results", default="accuracy_ett", help="name of the file under results/")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for case in wanted(options):
        key = "|".join(map(str, case))
        if key in _finished(options.results):
            continue
        sys.stdout.write(f"{key}\n")
        sys.stdout.flush()
        scores = run(*case, options)
        sys.stdout.write(f"{key} {scores}\n")
        # read again: another process may have finished other runs meanwhile
        results = {**_finished(options.results), key: {**scores, "other_parameters": options.s2tx}}
        save(options.results, {"published": PUBLISHED, "threads": options.threads, "runs": results})
    sys.stdout.write(f"{summary(_finished(options.results))}\n{machine()['processor']}\n")


if __name__ == "__main__":
    main()
