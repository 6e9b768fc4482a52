"""Windows per second and peak memory of STM3 in training and prediction, by number of nodes and scan backend.

    python benchmarks/speed_fit.py [--nodes 69,207] [--backends numba,chunked] [--threads 1] [--profile]

Every case runs in a process of its own, so that its peak of memory is its own; the cases are repeated in turn, and the
best run counts. Size: 24 -> 12 steps, 2 layers, 4 scales of width 4, 4 experts, batch 16, and at 69 nodes 52 thousand parameters,
those of the authors' program. The optimiser is the one that forecasters train with.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _common import PeakMemory, save, table, untrained

BATCH, INPUT_LENGTH, HORIZON, HEAD_WIDTH = 16, 24, 12, 51


def network(n_nodes: int, backend: str) -> tuple[Any, Any, Any]:
    """An untrained network of the reference size, a batch of inputs and of targets."""
    from stmest import STM3Forecaster

    torch.manual_seed(0)
    adjacency = (torch.rand(n_nodes, n_nodes) < 8 / n_nodes).float()
    model = STM3Forecaster(input_length=INPUT_LENGTH, horizon=HORIZON, n_layers=2, head_width=HEAD_WIDTH)
    net = untrained(model, n_nodes, adjacency=adjacency, scan_backend=backend)
    return net, torch.randn(BATCH, INPUT_LENGTH, n_nodes, 1), torch.randn(BATCH, HORIZON, n_nodes, 1)


def measure(name: str, run: Callable[[], None], n_steps: int) -> dict[str, float]:
    """Windows per second and peak memory of one kind of work; the first runs, which load the kernels, do not count."""
    with PeakMemory() as peak:
        run()
        run()
    seconds = []
    for _ in range(n_steps):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return {
        f"{name}_windows_per_s": BATCH / min(seconds),
        f"{name}_median": BATCH / float(np.median(seconds)),
        f"{name}_mb": peak.megabytes,
        f"{name}_process_mb": peak.process_megabytes,
    }


def case(n_nodes: int, backend: str, threads: int, n_steps: int, with_profile: bool) -> dict[str, Any]:
    """Measure one case in this process."""
    torch.set_num_threads(threads)
    net, x, y = network(n_nodes, backend)
    result: dict[str, Any] = {"parameters": sum(p.numel() for p in net.parameters())}

    @torch.inference_mode()
    def predict() -> None:
        net(x)

    # prediction first: what training has taken from the system would hide what prediction needs
    net.eval()
    result |= measure("predict", predict, n_steps)
    net.train()
    optimizer = torch.optim.AdamW(net.parameters(), fused=True)

    def train() -> None:
        optimizer.zero_grad()
        forecast, auxiliary = net(x)
        loss = (forecast - y).abs().mean() + 0.01 * auxiliary["balance"]
        loss.backward()
        optimizer.step()

    result |= measure("train", train, n_steps)
    if with_profile:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            train()
        result["profile"] = profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=15)
    return result


def in_process(arguments: list[str]) -> dict[str, Any]:
    """Run one case in a fresh process."""
    run = subprocess.run(
        [sys.executable, __file__, "--case", *arguments], capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout.splitlines()[-1])


def main() -> None:
    """Run the benchmark, or one case of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", default="69,207")
    parser.add_argument("--backends", default="numba,chunked")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--case", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        n_nodes, backend, threads, steps, profile = options.case
        sys.stdout.write(
            json.dumps(case(int(n_nodes), backend, int(threads), int(steps), profile == "1")) + "\n"
        )
        return
    best: dict[str, dict[str, Any]] = {}
    for _ in range(options.rounds):
        for n_nodes in options.nodes.split(","):
            for backend in options.backends.split(","):
                with_profile = str(int(options.profile))
                sys.stdout.write(f"{n_nodes} nodes, {backend}\n")
                sys.stdout.flush()
                measured = in_process(
                    [n_nodes, backend, str(options.threads), str(options.steps), with_profile]
                )
                known = best.setdefault(f"{n_nodes}|{backend}", measured)
                for name in ("train", "predict"):
                    rate = f"{name}_windows_per_s"
                    known[rate] = max(known[rate], measured[rate])
                    for memory in (f"{name}_mb", f"{name}_process_mb"):
                        known[memory] = min(known[memory], measured[memory])
    path = save(
        "speed_fit", {"batch": BATCH, "threads": options.threads, "rounds": options.rounds, "cases": best}
    )
    columns = [
        f"{name}_{what}" for what in ("windows_per_s", "mb", "process_mb") for name in ("train", "predict")
    ]
    columns.append("parameters")
    rows = [
        [*key.split("|"), *(f"{values[column]:.0f}" for column in columns)] for key, values in best.items()
    ]
    sys.stdout.write(table(["nodes", "backend", *columns], rows) + f"\n{path}\n")
    for key, values in best.items():
        if "profile" in values:
            sys.stdout.write(f"\n{key}\n{values['profile']}\n")


if __name__ == "__main__":
    main()
