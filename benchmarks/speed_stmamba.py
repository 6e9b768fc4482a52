"""Seconds per epoch and peak memory of STMamba in training, by number of nodes, graph and path of the attention.

    python benchmarks/speed_stmamba.py [--nodes 50,200,500,1000,2000,5000] [--threads 1] [--fresh]
    python benchmarks/speed_stmamba.py --fit 2000

Default size, 24 -> 12 steps. Graphs: 8 random neighbours of each node ("8"), or complete ("all"). Paths: along the edges
("sparse"), torch's fused attention ("dense"). Every case runs in a process of its own; memory is the peak of the process
over what it held before the network was built. An epoch is taken as 1,000 windows; of the slow cases a single step of
few windows is timed, see BATCHES. ``--fit`` trains a forecaster with the default batch of 32 windows from end to end and
tells the peak of the whole process. Finished cases are kept in results/speed_stmamba.json.
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

INPUT_LENGTH, HORIZON, NEIGHBOURS, EPOCH = 24, 12, 8, 1000
# (graph, path) -> windows per step by nodes, up to the number of nodes that is worth waiting for
BATCHES: dict[tuple[str, str], dict[int, int]] = {
    ("8", "sparse"): {50: 32, 200: 32, 500: 32, 1000: 32, 2000: 32, 5000: 32},
    ("8", "dense"): {50: 32, 200: 32, 500: 4, 1000: 2, 2000: 1},
    ("all", "sparse"): {50: 32, 200: 32, 500: 4, 1000: 2, 2000: 1},
    ("all", "dense"): {50: 32, 200: 32, 500: 4, 1000: 2, 2000: 1},
}


def adjacency(n_nodes: int) -> np.ndarray:
    """Each node has 8 random neighbours that it hears, with random weights."""
    rng = np.random.default_rng(0)
    out = np.zeros((n_nodes, n_nodes), dtype=np.float32)
    for node in range(n_nodes):
        out[rng.choice(n_nodes, NEIGHBOURS, replace=False), node] = rng.uniform(0.1, 1.0, NEIGHBOURS)
    return out


def case(n_nodes: int, graph: str, path: str, threads: int) -> dict[str, Any]:
    """Measure training steps in this process."""
    from stmest import STMambaForecaster

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    given = torch.from_numpy(adjacency(n_nodes)) if graph == "8" else None
    batch = BATCHES[graph, path][n_nodes]
    x, y = torch.randn(batch, INPUT_LENGTH, n_nodes, 1), torch.randn(batch, HORIZON, n_nodes, 1)
    model = STMambaForecaster(input_length=INPUT_LENGTH, horizon=HORIZON, attention_backend=path)
    small = untrained(model, 8)
    small(torch.randn(32, INPUT_LENGTH, 8, 1))[
        0
    ].sum().backward()  # compiles the kernels before memory is measured
    seconds: list[float] = []
    with PeakMemory() as peak:
        net = untrained(model, n_nodes, adjacency=given)
        optimizer = torch.optim.AdamW(net.parameters())
        while not seconds or (len(seconds) < 4 and sum(seconds) < 15):
            start = time.perf_counter()
            optimizer.zero_grad()
            (net(x)[0] - y).abs().mean().backward()
            optimizer.step()
            seconds.append(time.perf_counter() - start)
    rate = batch / min(seconds)
    return {
        "batch": batch,
        "steps": len(seconds),
        "windows_per_s": rate,
        "epoch_seconds": EPOCH / rate,
        "mb": peak.megabytes,
    }


def fit(n_nodes: int, threads: int) -> dict[str, Any]:
    """Train a forecaster on random walks, one epoch, and tell the peak of the process."""
    from stmest import STMambaForecaster

    torch.set_num_threads(threads)
    X = np.random.default_rng(0).normal(size=(110, n_nodes)).astype(np.float32).cumsum(0)
    model = STMambaForecaster(input_length=INPUT_LENGTH, horizon=HORIZON, max_epochs=1, random_state=0)
    start = time.perf_counter()
    model.fit(X, adj=adjacency(n_nodes))
    seconds = time.perf_counter() - start
    return {
        "fit_seconds": seconds, "rows": len(X), "batch": model.batch_size, "path": model.attention_backend_,
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
    parser.add_argument("--nodes", default="50,200,500,1000,2000,5000")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--fit", type=int, metavar="NODES", help="only train a forecaster from end to end")
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        n_nodes, graph, path = options.case
        sys.stdout.write(json.dumps(case(int(n_nodes), graph, path, options.threads)) + "\n")
        return
    if options.fit:
        sys.stdout.write(json.dumps(fit(options.fit, options.threads)) + "\n")
        return
    file = RESULTS / "speed_stmamba.json"
    results = {} if options.fresh or not file.exists() else json.loads(file.read_text())["cases"]
    threads = ["--threads", str(options.threads)]
    for nodes in options.nodes.split(","):
        wanted = {
            f"{nodes}|{g}|{p}": ["--case", nodes, g, p] for (g, p), b in BATCHES.items() if int(nodes) in b
        }
        if nodes == "2000":
            wanted["fit 2000|8|auto"] = ["--fit", "2000"]
        for key, arguments in wanted.items():
            if key not in results:
                results[key] = in_process([*arguments, *threads])
                sys.stdout.write(f"{key} {results[key]}\n")
                sys.stdout.flush()
                save("speed_stmamba", {"threads": options.threads, "epoch_windows": EPOCH, "cases": results})
    columns = ["batch", "windows_per_s", "epoch_seconds", "mb", "fit_seconds", "peak_process_mb"]
    rows = [
        [*key.split("|"), *(f"{values[c]:.4g}" if c in values else "" for c in columns)]
        for key, values in results.items()
    ]
    sys.stdout.write(table(["nodes", "neighbours", "path", *columns], rows) + f"\n{file}\n")


if __name__ == "__main__":
    main()
