"""How fast is the selective scan on this CPU, beside other implementations and beside the processor's own limit?

    python benchmarks/speed_scan.py [--quick]

Times are taken in turn within one run; ratios are to our numba kernel in that run. Peak memory is measured in a fresh
process each, over the inputs. Whole Mamba blocks are compared with mambapy's at equal weights. Results go to
``results/speed_scan.json``, a table to the terminal. Rivals that are not installed are named with the reason; a rival
whose one call would take more than ten seconds, or too much memory, is left out at that shape, with the reason.
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
from _common import PeakMemory, interleave, save, table
from _scan_rivals import Rival, load_rivals
from torch import Tensor

from stmest.layers.mamba import MambaBlock
from stmest.ops.cpu.simd.arithmetic import multiply_add
from stmest.ops.cpu.simd.compiler import kernel
from stmest.ops.cpu.simd.vectors import BLOCK, LANES, load_block, store

SEED = 0
SHAPES = {  # (b, t, d, s); the last two are what many small nodes with narrow layers make of it
    "512 x 12": (512, 12, 128, 16),
    "64 x 96": (64, 96, 128, 16),
    "18 x 336": (18, 336, 128, 16),
    "8 x 2000": (8, 2000, 128, 16),
    "1 x 16384": (1, 16384, 128, 16),
    "512 x 12, 32/8": (512, 12, 32, 8),
    "4416 x 24, 8/16": (4416, 24, 8, 16),
}
BLOCK_SHAPES = {"1656 x 12": (1656, 12), "340 x 96": (340, 96), "8 x 2000": (8, 2000)}
# Operations of the multiply-add unit per element (b, t, d, s): one exponential is seven of them.
SLOTS = {"forward": 11, "forward + backward": 31}
LONGEST_CALL = 10.0
MOST_ELEMENTS_IN_MEMORY = 40_000_000


def make_inputs(shape: tuple[int, int, int, int], grad: bool = True) -> list[Tensor]:
    b, t, d, s = shape
    generator = torch.Generator().manual_seed(SEED)

    def draw(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator)

    A = -torch.arange(1, s + 1) * torch.exp(0.1 * draw(d, s))
    inputs = [
        draw(b, t, d),
        0.5 * draw(b, t, d),
        A,
        draw(b, t, s),
        draw(b, t, s),
        draw(d),
        draw(b, t, d),
        draw(d) - 4,
    ]
    return [v.requires_grad_(grad) for v in inputs]


def forward(scan: Callable[..., Tensor], inputs: list[Tensor]) -> None:
    with torch.no_grad():
        scan(*inputs)


def both(scan: Callable[..., Tensor], inputs: list[Tensor], weight: Tensor) -> None:
    torch.autograd.grad(scan(*inputs), inputs, weight)


@kernel
def _multiply_add_probe(address, n):
    """Twelve independent chains, more than the latency: the peak of the multiply-add unit."""
    a = load_block(address, 0)
    b = load_block(address, BLOCK * LANES)
    c = load_block(address, 2 * BLOCK * LANES)
    x = load_block(address, 3 * BLOCK * LANES)
    for _ in range(n):
        a, b, c = multiply_add(a, x, x), multiply_add(b, x, x), multiply_add(c, x, x)
    store(address, 0, a + b + c)


def slots_per_nanosecond() -> float:
    """Multiply-adds of float32 that one core finishes in a nanosecond."""
    memory = torch.rand(4 * BLOCK * LANES) * 0.5
    n, best = 2_000_000, np.inf
    for _ in range(7):
        start = time.perf_counter()
        _multiply_add_probe(memory.data_ptr(), n)
        best = min(best, time.perf_counter() - start)
    return 3 * BLOCK * LANES * n / best / 1e9


def obstacle(name: str, rival: Rival, shape: tuple[int, int, int, int]) -> str:
    """Why a rival is left out at a shape, or nothing."""
    b, t, d, s = shape
    elements = b * t * d * s
    if name == "C++" and (d % 16 or s % 4):
        return "needs 16 channels"
    seconds = rival.expected_cost(t) * elements * 1e-9
    if seconds > LONGEST_CALL:
        return f"one call would take about {seconds:.0f} s"
    if name in ("mamba_ssm ref", "mambapy", "loop") and elements > MOST_ELEMENTS_IN_MEMORY:
        return "too much memory"
    return ""


def _call(scan: Callable[..., Tensor], inputs: list[Tensor], weight: Tensor, mode: str) -> Callable[[], None]:
    if mode == "forward":
        return lambda: forward(scan, inputs)
    return lambda: both(scan, inputs, weight)


def measure_scan(rivals: dict[str, Rival], threads: int, rounds: int) -> list[dict[str, Any]]:
    torch.set_num_threads(threads)
    rows = []
    for label, shape in SHAPES.items():
        inputs = make_inputs(shape)
        weight = torch.randn(shape[:3], generator=torch.Generator().manual_seed(SEED + 1))
        reasons = {name: obstacle(name, rival, shape) for name, rival in rivals.items()}
        if threads > 1:
            reasons["C++"] = "written for one thread"
        usable = {name: rival for name, rival in rivals.items() if not reasons[name]}
        for mode in SLOTS:
            runs = {name: _call(rival.scan, inputs, weight, mode) for name, rival in usable.items()}
            runs["numba"]()
            seconds = interleave(runs, rounds)
            for name in rivals:
                row = {"shape": label, "sizes": shape, "mode": mode, "threads": threads, "candidate": name}
                if reasons[name]:
                    rows.append({**row, "skipped": reasons[name]})
                    continue
                elements = int(np.prod(shape))
                row["ns_per_element"] = seconds[name]["best"] / elements * 1e9
                row["times_numba"] = seconds[name]["best"] / seconds["numba"]["best"]
                row["times_numba_median"] = seconds[name]["median"] / seconds["numba"]["median"]
                rows.append({**row, **{f"seconds_{key}": value for key, value in seconds[name].items()}})
    return rows


def check_agreement(rivals: dict[str, Rival]) -> dict[str, float]:
    """Largest relative error of any output or gradient against the step loop in float64."""

    def run(scan: Callable[..., Tensor], inputs: list[Tensor]) -> list[Tensor]:
        y = scan(*inputs)
        weight = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)
        return [y, *torch.autograd.grad(y, inputs, weight)]

    inputs = make_inputs((3, 40, 32, 16))
    exact = run(rivals["loop"].scan, [v.detach().double().requires_grad_() for v in inputs])
    return {
        name: max(
            ((a - e).abs().max() / e.abs().max()).item()
            for a, e in zip(run(r.scan, inputs), exact, strict=True)
        )
        for name, r in rivals.items()
    }


def measure_block(rounds: int) -> list[dict[str, Any]]:
    """Compare whole blocks, forward and backward, at equal weights."""
    try:
        from mambapy.mamba import MambaBlock as TheirBlock
        from mambapy.mamba import MambaConfig
    except ImportError as error:
        return [{"skipped": str(error)}]
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    ours, theirs = MambaBlock(64), TheirBlock(MambaConfig(d_model=64, n_layers=1))
    theirs.load_state_dict(ours.state_dict())
    rows = []
    for label, (b, t) in BLOCK_SHAPES.items():
        x = torch.randn(b, t, 64, generator=torch.Generator().manual_seed(SEED))
        with torch.no_grad():
            difference = (ours(x) - theirs(x)).abs().max().item()

        def run(block: torch.nn.Module, x: Tensor = x) -> None:
            torch.autograd.grad(block(x).square().sum(), list(block.parameters()))

        seconds = interleave({"ours": lambda: run(ours), "mambapy": lambda: run(theirs)}, rounds)
        ratio = seconds["mambapy"]["best"] / seconds["ours"]["best"]
        rows.append(
            {"shape": label, "largest_difference": difference, "mambapy_times_ours": ratio, **seconds}
        )
    return rows


def peak_memory(name: str, label: str, mode: str) -> float:
    """Peak over the inputs, in this process: warmed up on few rows, which compiles the same kernels, then one call."""
    torch.set_num_threads(1)
    scan = load_rivals()[0][name].scan
    shape = SHAPES[label]
    tiny = make_inputs((min(shape[0], 32), min(shape[1], 33), *shape[2:]))
    both(scan, tiny, torch.ones_like(tiny[0]))
    inputs = make_inputs(shape)
    weight = torch.randn(shape[:3])
    with PeakMemory() as peak:
        if mode == "forward":
            forward(scan, inputs)
        else:
            both(scan, inputs, weight)
    return peak.megabytes


def measure_memory(rivals: dict[str, Rival], labels: list[str]) -> list[dict[str, Any]]:
    rows = []
    for label in labels:
        shape = SHAPES[label]
        tensor_mb = shape[0] * shape[1] * shape[2] * 4 / 2**20
        for name, rival in rivals.items():
            row = {
                "shape": label,
                "candidate": name,
                "mode": "forward + backward",
                "one_tensor_mb": tensor_mb,
            }
            reason = obstacle(name, rival, shape)
            if reason:
                rows.append({**row, "skipped": reason})
                continue
            command = [sys.executable, __file__, "--memory", name, label, row["mode"]]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode:
                rows.append({**row, "skipped": result.stderr.strip().splitlines()[-1]})
                continue
            megabytes = json.loads(result.stdout)
            rows.append({**row, "peak_mb": megabytes, "tensors": megabytes / tensor_mb})
    return rows


def report(result: dict[str, Any], names: list[str]) -> str:
    parts = []
    for threads in sorted({row["threads"] for row in result["scan"]}):
        for mode in SLOTS:
            rows = [r for r in result["scan"] if r["threads"] == threads and r["mode"] == mode]
            parts.append(f"\n{mode}, {threads} thread(s): ns per element, and times our numba kernel")
            lines = []
            for label in SHAPES:
                cells = {r["candidate"]: r for r in rows if r["shape"] == label}
                lines.append([label, *(_cell(cells[name]) for name in names)])
            parts.append(table(["rows x steps", *names], lines))
            if threads == 1:
                floor = result["floor_ns_per_element"][mode]
                parts.append(f"arithmetic floor of this processor: {floor:.2f} ns per element")
    parts.append("\npeak memory over the inputs, forward + backward, MB (tensors of (b, t, d))")
    labels = list(dict.fromkeys(r["shape"] for r in result["memory"]))
    lines = []
    for label in labels:
        cells = {r["candidate"]: r for r in result["memory"] if r["shape"] == label}
        lines.append(
            [
                label,
                *(
                    "-" if "skipped" in c else f"{c['peak_mb']:.0f} ({c['tensors']:.1f})"
                    for c in map(cells.get, names)
                ),
            ]
        )
    parts.append(table(["rows x steps", *names], lines))
    parts.append("\nwhole Mamba block of width 64 against mambapy's, forward + backward, 1 thread")
    for row in result["block"]:
        parts.append(
            f"  {row['shape']:<10} {row['mambapy_times_ours']:.1f} times faster"
            if "shape" in row
            else f"  {row['skipped']}"
        )
    parts += [f"{name}: absent ({why})" for name, why in result["absent"].items()]
    return "\n".join(parts)


def _cell(row: dict[str, Any]) -> str:
    return "-" if "skipped" in row else f"{row['ns_per_element']:.2f} ({row['times_numba']:.1f}x)"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="two rounds, one thread, memory of one shape; not saved"
    )
    parser.add_argument("--memory", nargs=3, metavar=("CANDIDATE", "SHAPE", "MODE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        print(json.dumps(peak_memory(*arguments.memory)))
        return
    rivals, absent = load_rivals()
    rounds = 2 if arguments.quick else 7
    torch.set_num_threads(1)
    slots = slots_per_nanosecond()
    result: dict[str, Any] = {
        "seed": SEED,
        "absent": absent,
        "largest_relative_error": check_agreement(rivals),
        "multiply_adds_per_ns": slots,
        "floor_ns_per_element": {mode: count / slots for mode, count in SLOTS.items()},
        "scan": [
            row for n in ((1,) if arguments.quick else (1, 2)) for row in measure_scan(rivals, n, rounds)
        ],
        "block": measure_block(rounds),
        "memory": measure_memory(rivals, ["512 x 12"] if arguments.quick else list(SHAPES)),
    }
    print(report(result, list(rivals)))
    if not arguments.quick:
        print(f"\nwritten to {save('speed_scan', result).name}")


if __name__ == "__main__":
    main()
