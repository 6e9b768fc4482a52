"""Seconds and memory of S2TX in training, by number of variates and by look-back.

    python benchmarks/scaling_s2tx.py [--variates 10,50,100,321,500] [--lookbacks 96,192,336,672,1440,2880] [--threads 1]
    python benchmarks/scaling_s2tx.py --fit 321

Default size, 96 steps ahead, batches of 32 windows. "variates": look-back 672 with the default patches. "fixed": 7 variates,
patches that grow with the look-back, so that there are always 47 coarse and 24 fine ones. "default": 7 variates, default
patches, whose number grows with the look-back. Every case runs in a process of its own; memory is the peak of training steps
over what the process held before the network was built. An epoch is taken as 1,000 windows. ``--fit`` trains a forecaster
from end to end for one epoch and tells the peak of the whole process.
Finished cases are kept in results/scaling_s2tx.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch
from _common import RESULTS, PeakMemory, save, table, untrained

HORIZON, BATCH, EPOCH, LOOKBACK, VARIATES = 96, 32, 1000, 672, 7


def patches(kind: str, lookback: int) -> dict[str, int]:
    """Sizes of patches in proportion to the look-back, or none, for the default ones."""
    if kind != "fixed":
        return {}
    stride = lookback // 48
    return {
        "global_patch": 3 * stride, "global_stride": stride, "local_patch": 2 * stride, "local_stride": stride,
    }  # fmt: skip


def case(kind: str, variates: int, lookback: int, threads: int) -> dict[str, Any]:
    """Measure training steps in this process."""
    from stmest import S2TXForecaster

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    x, y = torch.randn(BATCH, lookback, variates, 1).cumsum(1), torch.randn(BATCH, HORIZON, variates, 1)
    small = untrained(S2TXForecaster(input_length=96, horizon=HORIZON), 2)
    small(torch.randn(2, 96, 2, 1))[0].sum().backward()  # compiles the kernels before memory is measured
    seconds: list[float] = []
    with PeakMemory() as peak:
        model = S2TXForecaster(input_length=lookback, horizon=HORIZON, **patches(kind, lookback))
        net = untrained(model, variates)
        optimizer = torch.optim.AdamW(net.parameters())
        while len(seconds) < 2 or (len(seconds) < 5 and sum(seconds) < 15):
            start = time.perf_counter()
            optimizer.zero_grad()
            (net(x)[0] - y).square().mean().backward()
            optimizer.step()
            seconds.append(time.perf_counter() - start)
    return {
        "coarse": net.coarse.n_patches, "fine": net.local.n_patches, "parameters": sum(p.numel() for p in net.parameters()),
        "epoch_seconds": EPOCH * min(seconds) / BATCH, "mb": peak.megabytes,
    }  # fmt: skip


def fit(variates: int, threads: int) -> dict[str, Any]:
    """Train a forecaster on random walks, one epoch of few windows, and tell the peak of the process."""
    from stmest import S2TXForecaster

    torch.set_num_threads(threads)
    rows = LOOKBACK + HORIZON + 3 * BATCH - 1
    X = np.random.default_rng(0).normal(size=(rows, variates)).astype(np.float32).cumsum(0)
    model = S2TXForecaster(
        input_length=LOOKBACK, horizon=HORIZON, max_epochs=1, batch_size=BATCH, random_state=0,
        validation_fraction=0.0,
    )  # fmt: skip
    start = time.perf_counter()
    model.fit(X)
    return {
        "windows": 3 * BATCH, "fit_seconds": time.perf_counter() - start, "parameters": model.n_parameters_,
        "peak_process_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def in_process(arguments: list[str]) -> dict[str, Any]:
    """Run one case in a fresh process."""
    run = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def main() -> None:
    """Run the benchmark, or one case of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variates", default="10,50,100,321,500")
    parser.add_argument("--lookbacks", default="96,192,336,672,1440,2880")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fit", type=int, metavar="VARIATES", help="train a forecaster from end to end")
    parser.add_argument("--results", default="scaling_s2tx", help="name of the file under results/")
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--fit-here", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        kind, variates, lookback = options.case
        sys.stdout.write(json.dumps(case(kind, int(variates), int(lookback), options.threads)) + "\n")
        return
    if options.fit_here:
        sys.stdout.write(json.dumps(fit(options.fit_here, options.threads)) + "\n")
        return
    wanted = {
        f"variates|{n}|{LOOKBACK}": ["--case", "variates", n, str(LOOKBACK)] for n in _parts(options.variates)
    }
    for kind in ("fixed", "default"):
        for lookback in _parts(options.lookbacks):
            wanted[f"{kind}|{VARIATES}|{lookback}"] = ["--case", kind, str(VARIATES), lookback]
    if options.fit:
        wanted = {f"fit|{options.fit}|{LOOKBACK}": ["--fit-here", str(options.fit)]}
    path = RESULTS / f"{options.results}.json"
    results = json.loads(path.read_text())["cases"] if path.exists() else {}
    for key, arguments in wanted.items():
        if key not in results:
            results[key] = in_process([*arguments, "--threads", str(options.threads)])
            sys.stdout.write(f"{key} {results[key]}\n")
            sys.stdout.flush()
            save(
                options.results,
                {"threads": options.threads, "epoch_windows": EPOCH, "batch": BATCH, "cases": results},
            )
    columns = [
        "coarse",
        "fine",
        "parameters",
        "epoch_seconds",
        "mb",
        "windows",
        "fit_seconds",
        "peak_process_mb",
    ]
    rows = [
        [*key.split("|"), *(f"{values[column]:.4g}" if column in values else "" for column in columns)]
        for key, values in results.items()
    ]
    sys.stdout.write(table(["case", "variates", "look-back", *columns], rows) + f"\n{path}\n")


def _parts(text: str) -> list[str]:
    return text.split(",")


if __name__ == "__main__":
    main()
