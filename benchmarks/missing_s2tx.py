"""How much worse forecasts of ETTh1 become when part of the look-back is missing, in gaps of 1 to 24 hours.

    python benchmarks/missing_s2tx.py [--models s2tx,s2tx-pure,nlinear,ridge] [--horizon 96] [--lookback 336]
                                      [--fractions 0,0.1,0.2,0.3,0.4] [--trained clean,holey] [--seeds 3] [--threads 1]

Split and errors as in accuracy_ett.py. Gaps are drawn for each variate until the share is reached, the same for every model,
in what the forecaster sees of the test part; targets are complete. "carried": the forecaster gets NaN, and fills in the last
observation by itself; "mean": the training mean is filled in before. "clean": trained on complete data; "holey": trained on
data with as large a share missing as it will see later, targets included. Rises are those over the same model, trained on
complete data, without gaps. S2TX's published rise at 40 % is 4.7 %, that of its parent SST 13.4 %, by a protocol that is not
known. Finished runs are kept in results/missing_s2tx.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import accuracy_ett
import numpy as np
import torch
from _common import RESULTS, machine, save, table

from stmest.datasets import mask_gaps

DATA, (_, _, CUT, TEST, END) = "etth1", accuracy_ett.DATA["etth1"]


def holey(X: Any, fraction: float, seed: int) -> Any:
    """Values in which a share is missing, in gaps of up to a day."""
    return mask_gaps(X, fraction, max_gap=24, random_state=seed, single=0.0) if fraction else X


def error(forecaster: Any, fraction: float, fill: str) -> float:
    """Scaled squared error over the test part, of forecasts that saw only part of the values."""
    X = accuracy_ett.load(DATA)
    train = X.iloc[:CUT]
    complete = X.iloc[TEST - forecaster.context_length_ : END]
    # the gaps of the test part itself must not depend on how far back the forecaster looks
    seen = holey(X.iloc[CUT:END], fraction, seed=1).loc[complete.index]
    if fill == "mean":
        seen = seen.fillna(train.mean())
    truth, _ = forecaster.predict_windows(complete)
    _, forecast = forecaster.predict_windows(seen)
    return float(np.square((forecast - truth) / train.to_numpy().std(axis=0)).mean())


def fitted(name: str, fraction: float, seed: int, options: argparse.Namespace) -> Any:
    """A forecaster trained on rows of which a share is missing."""
    X = holey(accuracy_ett.load(DATA).iloc[:TEST], fraction, seed=2)
    if name == "ridge":
        return accuracy_ett.RidgeForecaster(
            input_length=options.lookback, horizon=options.horizon, alpha=1000.0, seasonal_profile=None
        ).fit(X.iloc[:CUT])
    model = accuracy_ett.build(name, DATA, options.horizon, options.lookback, seed, options)
    model._refit = accuracy_ett.untouched
    return model.fit(X)


def measure(results: dict[str, Any], options: argparse.Namespace) -> None:
    """Run what is not among the results yet, saving after every fit."""
    fractions = [float(part) for part in options.fractions.split(",")]
    for name in options.models.split(","):
        for seed in range(1 if name == "ridge" else options.seeds):
            for trained in options.trained.split(","):
                for share in [0.0] if trained == "clean" else [f for f in fractions if f]:
                    key = f"{name}|{options.horizon}|{options.lookback}|{trained}|{share:g}|{seed}"
                    if key in results:
                        continue
                    sys.stdout.write(f"{key}\n")
                    sys.stdout.flush()
                    model = fitted(name, share, seed, options)
                    tests = fractions if trained == "clean" else [share]
                    results[key] = {
                        f"{fraction:g}|{fill}": error(model, fraction, fill)
                        for fraction in tests
                        for fill in ("carried", "mean")
                    }
                    sys.stdout.write(f"{results[key]}\n")
                    save(options.results, {"threads": options.threads, "runs": results})


def summary(results: dict[str, Any]) -> str:
    """Rise of the squared error in percent, by share of missing values; mean over the seeds."""
    clean: dict[tuple[str, ...], float] = {}
    rises: dict[tuple[str, ...], dict[str, list[float]]] = {}
    for key, errors in results.items():
        name, horizon, lookback, trained, _, seed = key.split("|")
        if trained == "clean":
            clean[name, horizon, lookback, seed] = errors["0|carried"]
    for key, errors in results.items():
        name, horizon, lookback, trained, _, seed = key.split("|")
        base = clean.get((name, horizon, lookback, seed))
        for case, value in errors.items() if base else ():
            fraction, fill = case.split("|")
            row = rises.setdefault((name, horizon, lookback, trained, fill), {})
            row.setdefault(fraction, []).append(100 * (value / base - 1))
    fractions = sorted({fraction for row in rises.values() for fraction in row if fraction != "0"}, key=float)
    rows = []
    for (name, horizon, lookback, trained, fill), row in rises.items():
        bases = [base for (*case, _), base in clean.items() if case == [name, horizon, lookback]]
        cells = [f"{np.mean(row[fraction]):+.1f} %" if fraction in row else "" for fraction in fractions]
        rows.append([f"{lookback} -> {horizon}: {name}", trained, fill, f"{np.mean(bases):.3f}", *cells])
    header = ["model", "trained", "fill", "MSE", *(f"{float(fraction):.0%}" for fraction in fractions)]
    return table(header, rows)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default="s2tx,s2tx-pure,nlinear,ridge")
    parser.add_argument("--horizon", type=int, default=96)
    parser.add_argument("--lookback", type=int, default=336)
    parser.add_argument("--fractions", default="0,0.1,0.2,0.3,0.4")
    parser.add_argument("--trained", default="clean,holey")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--max-epochs", type=int, help="instead of the forecasters' own")
    parser.add_argument(
        "--s2tx", type=json.loads, default={}, help="parameters other than the defaults, as JSON"
    )
    parser.add_argument("--results", default="missing_s2tx", help="name of the file under results/")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    path = RESULTS / f"{options.results}.json"
    results = json.loads(path.read_text())["runs"] if path.exists() else {}
    measure(results, options)
    sys.stdout.write(f"{summary(results)}\n{machine()['processor']}\n{path}\n")


if __name__ == "__main__":
    main()
