"""Does the library compute on a CUDA device what it computes on the CPU, and how fast?

    python benchmarks/gpu_check.py [--parts forecasters,fits,launches,scan,kernels,networks] [--small]

Kernels are compared with the loop in float64, forecasters with themselves on the CPU; then windows per second of the networks on
both, the scan beside other implementations and beside the bandwidth of the memory, seconds of whole trainings, and what a
training step launches. It needs torch, numpy, scipy, pandas, scikit-learn, skorch, safetensors and what these need, and no data.
Without a CUDA device, kernels run in Triton's interpreter (set TRITON_INTERPRET=1), everything else on the CPU, in small sizes.
Results go to ``results/gpu.json`` after each part; the exit status is 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault(
    "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
)  # deterministic=True needs it before the first product

import numpy as np
import torch
from _common import save, table, untrained
from torch import Tensor

import stmest
from stmest.ops import backends, causal_conv1d, selective_scan
from stmest.ops.reference import causal_conv1d_reference, scan_reference
from stmest.training import engine
from stmest.training.recorded import RecordedSteps

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
PARTS = ("forecasters", "fits", "launches", "scan", "kernels", "networks")
NAMES = ("x", "delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state")
TOLERANCE = {torch.float32: 2e-4, torch.bfloat16: 2e-2}
# (b, t, d, s); the sizes of speed_scan, and one that fills a device
SCAN_SHAPES = {
    "512 x 12": (512, 12, 128, 16), "64 x 96": (64, 96, 128, 16), "18 x 336": (18, 336, 128, 16),
    "8 x 2000": (8, 2000, 128, 16), "1 x 16384": (1, 16384, 128, 16), "512 x 12, 32/8": (512, 12, 32, 8),
    "4416 x 24, 8/16": (4416, 24, 8, 16), "64 x 512, 512/16": (64, 512, 512, 16),
}  # fmt: skip


class Findings:
    """What was found, and whether anything is wrong."""

    def __init__(self, small: bool) -> None:
        self.small = small
        self.parts: dict[str, Any] = {}
        self.wrong: list[str] = []
        self.begun = time.perf_counter()

    def keep(self, part: str, found: Any) -> None:
        """Store what a part has found so far."""
        self.parts[part] = found
        device = torch.cuda.get_device_name() if CUDA else "none: Triton's interpreter"
        seconds = round(time.perf_counter() - self.begun)
        save(
            "gpu",
            {
                "device": device,
                "small": self.small,
                "seconds": seconds,
                "wrong": self.wrong,
                "parts": self.parts,
            },
        )

    def expect(self, right: bool, what: str) -> str:
        """Note what is wrong; return a mark for the table."""
        if not right:
            self.wrong.append(what)
        return "" if right else "WRONG"

    @contextmanager
    def guarded(self, what: str) -> Iterator[None]:
        """Note an error as something wrong, and go on."""
        try:
            yield
        except Exception as error:
            self.expect(False, f"{what}: {error!r}")
            say(f"{what}: {traceback.format_exc(limit=-4)}")


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


def relative(found: Tensor, wanted: Tensor) -> float:
    """Norm of the error over the norm of what is right."""
    error = (found.double() - wanted.double()).norm() / wanted.double().norm().clamp(min=1e-12)
    return float(error)


def seconds_of(run: Callable[[], Any], least: float = 0.1, most: int = 200) -> float:
    """Median seconds of a call, after two that do not count."""
    run()
    run()
    wait()
    taken: list[float] = []
    while not taken or (sum(taken) < least and len(taken) < most):
        start = time.perf_counter()
        run()
        wait()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def device_seconds_of(run: Callable[[], Any], n_calls: int = 20) -> float:
    """Seconds of a call on the device alone: replays of a recording, so that launches cost nothing."""
    if not CUDA:
        return seconds_of(run, most=1)
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    graph.replay()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    best = np.inf
    for _ in range(3):
        torch.cuda.synchronize()
        start.record()
        for _ in range(n_calls):
            graph.replay()
        end.record()
        torch.cuda.synchronize()
        best = min(best, start.elapsed_time(end) / 1e3 / n_calls)
    return float(best)


def wait() -> None:
    """Until the device has done all it was given."""
    if CUDA:
        torch.cuda.synchronize()


# ---------------------------------------------------------------- kernels


def scan_inputs(
    shape: tuple[int, int, int, int], dtype: torch.dtype, optional: bool, strided: bool, seed: int = 0
) -> list[Tensor | None]:
    """Inputs of a scan; parameters are float32 as in the networks."""
    b, t, d, s = shape
    generator = torch.Generator().manual_seed(seed)

    def draw(*size: int, of: torch.dtype = dtype) -> Tensor:
        return torch.randn(*size, generator=generator).to(device=DEVICE, dtype=of)

    x, z = draw(b, t, 2 * d).chunk(2, -1) if strided else (draw(b, t, d), draw(b, t, d))
    into, out = draw(b, t, 2 * s + 1)[..., 1:].chunk(2, -1) if strided else (draw(b, t, s), draw(b, t, s))
    single = torch.float32
    rates = -torch.arange(1, s + 1, device=DEVICE) * torch.exp(0.1 * draw(d, s, of=single))
    inputs = [x, 0.5 * draw(b, t, d), rates, into, out, draw(d, of=single), z, draw(d, of=single) - 2]
    inputs.append(draw(b, d, s, of=single))
    return inputs if optional else [*inputs[:5], None, None, None, None]


def with_gradients(
    run: Callable[..., tuple[Tensor, Tensor]], inputs: list[Tensor | None]
) -> dict[str, Tensor]:
    """Output, final state and all gradients of a weighted sum of both."""
    leaves = [None if v is None else v.detach().requires_grad_() for v in inputs]
    y, final = run(*leaves)
    weight = torch.sin(torch.arange(y.numel(), device=y.device, dtype=torch.float64)).view(y.shape)
    loss = (y.double() * weight).sum() + final.double().square().sum()
    present = {name: v for name, v in zip(NAMES, leaves, strict=False) if v is not None}
    gradients = torch.autograd.grad(loss, list(present.values()))
    return {"y": y.detach(), "final": final.detach(), **dict(zip(present, gradients, strict=True))}


def triton_scan(*inputs: Tensor | None) -> tuple[Tensor, Tensor]:
    """Output and final state of the kernels under test."""
    return selective_scan(*inputs[:8], initial_state=inputs[8], return_final_state=True, backend="triton")


def kernels(findings: Findings, small: bool) -> None:
    """Errors of the kernels, value and gradients, and whether the same inputs give the same bits."""
    shapes = (
        [(2, 5, 4, 3)]
        if small
        else [(3, 1, 8, 4), (7, 31, 33, 5), (2, 1000, 128, 16), (300, 12, 40, 8), (64, 12, 96, 64)]
    )
    rows, worst = [], {}
    for shape in shapes:
        for dtype in (torch.float32, torch.bfloat16):
            for optional in (True, False):
                what = f"scan {shape} {dtype} {'whole' if optional else 'bare'}"
                with findings.guarded(what):
                    inputs = scan_inputs(shape, dtype, optional, strided=optional)
                    found, again = (with_gradients(triton_scan, inputs) for _ in range(2))
                    wanted = with_gradients(
                        scan_reference, [None if v is None else v.double() for v in inputs]
                    )
                    errors = {name: relative(found[name], wanted[name]) for name in found}
                    name, error = max(errors.items(), key=lambda item: item[1])
                    same = all(torch.equal(found[k], again[k]) for k in found)
                    mark = findings.expect(error < TOLERANCE[dtype], f"{what}: {name} off by {error:.1e}")
                    mark += findings.expect(same, f"{what}: two runs differ")
                    rows.append([what, f"{error:.1e}", name, mark])
                    worst[str(dtype)] = max(worst.get(str(dtype), 0.0), error)
    for b, t, d, width in (
        [(2, 9, 4, 4)] if small else [(2, 9, 4, 4), (300, 12, 40, 3), (3, 500, 130, 2), (1, 1, 8, 4)]
    ):
        for dtype in (torch.float32, torch.bfloat16):
            what = f"convolution {(b, t, d, width)} {dtype}"
            with findings.guarded(what):
                generator = torch.Generator().manual_seed(0)
                x = torch.randn(b, t, 2 * d, generator=generator).to(DEVICE, dtype)[..., :d]
                weight, bias = torch.randn(d, width, generator=generator), torch.randn(d, generator=generator)
                given = [x, weight.to(DEVICE), bias.to(DEVICE)]

                def of(convolve: Callable[..., Tensor], values: list[Tensor]) -> list[Tensor]:
                    leaves = [v.detach().requires_grad_() for v in values]
                    y = convolve(*leaves)
                    ramp = torch.sin(torch.arange(y.numel(), device=y.device, dtype=torch.float64)).view(
                        y.shape
                    )
                    return [y.detach(), *torch.autograd.grad((y.double() * ramp).sum(), leaves)]

                found = of(lambda *v: causal_conv1d(*v, backend="triton"), given)
                again = of(lambda *v: causal_conv1d(*v, backend="triton"), given)
                wanted_list = of(causal_conv1d_reference, [v.double() for v in given])
                error = max(relative(f, w) for f, w in zip(found, wanted_list, strict=True))
                same = all(torch.equal(f, a) for f, a in zip(found, again, strict=True))
                mark = findings.expect(error < TOLERANCE[dtype], f"{what}: off by {error:.1e}")
                mark += findings.expect(same, f"{what}: two runs differ")
                rows.append([what, f"{error:.1e}", "", mark])
    say(table(["kernel", "largest relative error", "of", ""], rows))
    findings.keep("kernels", {"cases": len(rows), "largest_error": worst})


# ---------------------------------------------------------------- forecasters


def forecasters(findings: Findings, small: bool) -> None:
    """Fit, predict, save and load on the device and on the CPU; equal bits twice."""
    network = stmest.make_sensor_network(n_nodes=6, n_times=300, random_state=0)
    settings = {"max_epochs": 2, "random_state": 0, "input_length": 24, "horizon": 6, "verbose": 0}
    kinds = {
        "STM3": stmest.STM3Forecaster, "STMamba": stmest.STMambaForecaster, "S2TX": stmest.S2TXForecaster,
        "MAD": stmest.MADForecaster, "STID": stmest.STIDForecaster,
    }  # fmt: skip
    rows, stored = [], {}
    for name, kind in kinds.items():
        for precision in ("float32",) if name == "STM3" or small else ("float32", "bfloat16"):
            what = f"{name} {precision}"

            def fitted(kind: Any = kind, precision: str = precision, **more: Any) -> Any:
                model = kind(
                    **settings,
                    **more,
                    precision=precision,
                    seasonal_profile=None,
                    linear_skip=False,
                    device=DEVICE,
                )
                return model.fit(network.values, network.graph)

            with findings.guarded(what), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                start = time.perf_counter()
                model = fitted()
                seconds = time.perf_counter() - start
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / "model.safetensors"
                    model.save(path)
                    loaded = {device: stmest.load(path, device=device) for device in ("cpu", DEVICE)}
                here, there, back = (
                    m.predict_windows(network.values[:120])[1] for m in (model, loaded["cpu"], loaded[DEVICE])
                )
                apart = float(np.abs(here - there).max() / here.std())
                bound = 1e-3 if precision == "float32" else 5e-2
                mark = findings.expect(apart < bound, f"{what}: CPU and device differ by {apart:.1e}")
                mark += findings.expect(np.array_equal(here, back), f"{what}: another forecast after loading")
                off = float("nan")
                if precision == "float32":
                    once, again = (fitted(deterministic=True) for _ in range(2))
                    with recordings(never=True):
                        ordinary = fitted(deterministic=True)
                    once, again, ordinary = (
                        m.predict_windows(network.values[:120])[1] for m in (once, again, ordinary)
                    )
                    same = np.array_equal(once, again)
                    mark += findings.expect(same, f"{what}: deterministic=True gives two forecasts")
                    off = float(np.abs(ordinary - once).max() / once.std())
                    mark += findings.expect(off < 1e-3, f"{what}: a recorded training differs by {off:.1e}")
                rows.append([what, model.scan_backend_, f"{seconds:.1f}", f"{apart:.1e}", f"{off:.1e}", mark])
                stored[what] = {
                    "backend": model.scan_backend_, "fit_s": seconds, "cpu_against_device": apart,
                    "recorded_against_ordinary": off,
                }  # fmt: skip
    header = ["forecaster", "scan", "fit, s", "CPU against device", "recorded against ordinary", ""]
    say(table(header, rows))
    findings.keep("forecasters", stored)


@contextmanager
def recordings(never: bool = False) -> Iterator[list[RecordedSteps]]:
    """The recorded steps of all trainings within; with `never` no step is recorded."""
    made: list[RecordedSteps] = []

    def make(network: Any, compute: Any) -> RecordedSteps:
        made.append(RecordedSteps(network, compute))
        made[-1].obstacle = "not asked for" if never else ""
        return made[-1]

    engine.RecordedSteps = make
    try:
        yield made
    finally:
        engine.RecordedSteps = RecordedSteps


# ---------------------------------------------------------------- speed of the scan


def bandwidth() -> float:
    """Bytes per second of a copy on the device, read and written."""
    size = (1 << 30 if CUDA else 1 << 24) // 4
    source, target = torch.rand(size, device=DEVICE), torch.empty(size, device=DEVICE)
    return 8 * size / device_seconds_of(lambda: target.copy_(source))


def scan(findings: Findings, small: bool) -> None:
    """Nanoseconds per element (b, t, d, s) of the scan, forward and both ways, beside the time that its bytes take."""
    rate = bandwidth()
    names = [name for name in ("triton", "mamba_ssm", "chunked") if name in _usable()]
    rows, stored = [], {"bandwidth_gb_s": rate / 1e9}
    shapes = {"2 x 20": (2, 20, 4, 4)} if small else SCAN_SHAPES
    for label, shape in shapes.items():
        b, t, d, s = shape
        for dtype in (torch.float32,) if small else (torch.float32, torch.bfloat16):
            inputs = scan_inputs(shape, dtype, True, strided=False)[:8]
            leaves = [v.detach().requires_grad_() for v in inputs if v is not None]
            weight = torch.randn_like(leaves[0])
            wide, narrow = b * t * d * dtype.itemsize, b * t * s * dtype.itemsize
            floor = {"forward": 4 * wide + 2 * narrow, "both": 11 * wide + 6 * narrow}
            for name in names:
                if name == "chunked" and b * t * d * s > 3e8:
                    continue
                with findings.guarded(f"scan {label} {name}"):

                    def forward(name: str = name, leaves: list[Tensor] = leaves) -> None:
                        with torch.no_grad():
                            selective_scan(*leaves, backend=name)

                    def both(
                        name: str = name, leaves: list[Tensor] = leaves, weight: Tensor = weight
                    ) -> None:
                        torch.autograd.grad(selective_scan(*leaves, backend=name), leaves, weight)

                    n_calls = 20 if name != "chunked" else 3
                    taken = {
                        "forward": device_seconds_of(forward, n_calls),
                        "both": device_seconds_of(both, n_calls),
                    }
                    key = f"{label}|{str(dtype).removeprefix('torch.')}|{name}"
                    stored[key] = {
                        how: {
                            "ns": 1e9 * taken[how] / (b * t * d * s),
                            "of_bandwidth": floor[how] / rate / taken[how],
                        }
                        for how in taken
                    }
                    rows.append([
                        *key.split("|"),
                        *(f"{1e6 * taken[how]:.0f}" for how in taken),
                        *(f"{stored[key][how]['ns']:.5f}" for how in taken),
                        *(f"{stored[key][how]['of_bandwidth']:.0%}" for how in taken),
                    ])  # fmt: skip
    header = [
        "b x t, d/s",
        "dtype",
        "scan",
        "forward, us",
        "both, us",
        "forward, ns",
        "both, ns",
        "of bandwidth",
        "both",
    ]
    say(f"a copy moves {rate / 1e9:.0f} GB/s")
    say(table(header, rows))
    findings.keep("scan", stored)


def _usable() -> set[str]:
    if not CUDA:
        return {"chunked"} | (set() if backends.triton_problem("cpu") else {"triton"})
    return set(stmest.ops.available_backends())


# ---------------------------------------------------------------- networks


def network_of(name: str, n_nodes: int, device: str, **changes: Any) -> tuple[Any, Tensor, Tensor]:
    """An untrained network, a batch of 16 windows and their targets."""
    length, horizon = 24, 12
    torch.manual_seed(0)
    adjacency = (torch.rand(n_nodes, n_nodes) < 8 / n_nodes).float()
    kind = getattr(stmest, f"{name}Forecaster")
    model = kind(input_length=length, horizon=horizon, **changes)
    network = untrained(model, n_nodes, adjacency=adjacency)
    x, y = torch.randn(16, length, n_nodes, 1), torch.randn(16, horizon, n_nodes, 1)
    return network.to(device), x.to(device), y.to(device)


def steps_of(
    network: Any, x: Tensor, y: Tensor, bfloat16: bool, record: bool
) -> dict[str, Callable[[], None]]:
    """A step of training, as forecasters do it or without recording, and one of prediction."""
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    kind = x.device.type

    def compute(inputs: Any, target: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        with torch.autocast(kind, torch.bfloat16, enabled=bfloat16):
            forecast, auxiliary = network(**inputs)
        loss = (forecast.float() - target).abs().mean() + 0.01 * sum(auxiliary.values())
        return loss, forecast, auxiliary

    recorded = RecordedSteps(network, compute) if record else None

    def train() -> None:
        network.train()
        optimizer.zero_grad()
        if recorded is None or recorded.step({"x": x}, y) is None:
            compute({"x": x}, y)[0].backward()
        optimizer.step()
        if recorded is not None and recorded.obstacle:
            raise RuntimeError(f"not recorded: {recorded.obstacle}")

    def predict() -> None:
        network.eval()
        with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=bfloat16):
            network(x)

    return {"train": train, "predict": predict}


def networks(findings: Findings, small: bool) -> None:
    """Windows per second of the networks, device beside CPU, single beside half precision."""
    rows, stored = [], {}
    for n_nodes in (5,) if small else (69, 207, 2000):
        for name in ("STM3", "STMamba", "S2TX", "MAD"):
            cases = [("cpu", False)] if n_nodes <= 69 or (n_nodes, name) == (207, "STM3") else []
            cases += [(DEVICE, False)] if CUDA else []
            cases += [(DEVICE, True)] if CUDA and name != "STM3" else []
            for device, bfloat16 in cases:
                what = f"{n_nodes}|{name}|{device}|{'bfloat16' if bfloat16 else 'float32'}"
                with findings.guarded(what):
                    network, x, y = network_of(name, n_nodes, device)
                    if CUDA:
                        torch.cuda.reset_peak_memory_stats()
                    runs = steps_of(network, x, y, bfloat16, record=device == "cuda")
                    least = 0.3 if device == "cuda" else 0.0
                    rates = {how: len(x) / seconds_of(run, least, 30) for how, run in runs.items()}
                    memory = torch.cuda.max_memory_allocated() / 1e6 if device == "cuda" else float("nan")
                    stored[what] = {
                        **{f"{how}_windows_per_s": rate for how, rate in rates.items()},
                        "mb": memory,
                    }
                    rows.append(
                        [*what.split("|"), *(f"{rate:,.0f}" for rate in rates.values()), f"{memory:,.0f}"]
                    )
                    del network
    say(
        table(
            ["nodes", "network", "device", "precision", "train, windows/s", "predict, windows/s", "MB"], rows
        )
    )
    findings.keep("networks", stored)


# ---------------------------------------------------------------- whole trainings


def fits(findings: Findings, small: bool) -> None:
    """Seconds of an epoch of whole trainings: network, batches, losses and optimiser, with recorded steps and without."""
    rows, stored = [], {}
    n_nodes, n_times = (5, 300) if small else (69, 1500)
    network = stmest.make_sensor_network(n_nodes=n_nodes, n_times=n_times, random_state=0)
    for name in ("STM3", "STMamba", "S2TX", "MAD"):
        for device, never in ((DEVICE, True), (DEVICE, False)) if CUDA else (("cpu", True),):
            what = f"{name}|{device}|{'ordinary' if never else 'recorded'}"
            with findings.guarded(what), warnings.catch_warnings(), recordings(never) as made:
                warnings.simplefilter("ignore")
                model = getattr(stmest, f"{name}Forecaster")(
                    input_length=24, horizon=12, batch_size=32, max_epochs=3 if CUDA else 1, patience=None,
                    random_state=0, device=device, verbose=0, seasonal_profile=None, linear_skip=False,
                )  # fmt: skip
                start = time.perf_counter()
                model.fit(network.values, network.graph)
                seconds = time.perf_counter() - start
                obstacle = next((steps.obstacle for steps in made if steps.obstacle), "")
                if not never:
                    findings.expect(not obstacle, f"{what}: {obstacle}")
                epoch = float(model.history_["seconds"].min())
                stored[what] = {"fit_s": seconds, "epoch_s": epoch}
                rows.append([*what.split("|"), f"{seconds:.1f}", f"{epoch:.2f}", obstacle])
    say(table([f"{n_nodes} nodes, {n_times} rows", "device", "steps", "fit, s", "last epoch, s", ""], rows))
    findings.keep("fits", stored)


# ---------------------------------------------------------------- launches


def launches(findings: Findings, small: bool) -> None:
    """What an ordinary training step launches, how long the device is busy with it, and a recorded step beside it."""
    rows, stored, details = [], {}, []
    cases = [(name, 5 if small else 69) for name in ("STM3", "STMamba", "S2TX", "MAD")]
    for name, n_nodes in cases if small else [*cases, ("STMamba", 2000)]:
        with findings.guarded(f"launches {name}"):
            network, x, y = network_of(name, n_nodes, DEVICE)
            train = steps_of(network, x, y, False, record=False)["train"]
            whole = seconds_of(train)
            activities = [torch.profiler.ProfilerActivity.CPU]
            activities += [torch.profiler.ProfilerActivity.CUDA] if CUDA else []
            with torch.profiler.profile(activities=activities) as profile:
                train()
                wait()
            on_device = [e for e in profile.events() if e.device_type == torch.autograd.DeviceType.CUDA]
            busy = sum(e.device_time for e in on_device) / 1e6
            recorded = seconds_of(steps_of(network, x, y, False, record=CUDA)["train"])
            stored[f"{name}|{n_nodes}"] = {
                "step_s": whole, "busy_s": busy, "launches": len(on_device), "recorded_s": recorded,
            }  # fmt: skip
            rows.append([name, n_nodes, *(f"{1e3 * v:.2f}" for v in (whole, recorded, busy)), len(on_device)])
            order = "self_device_time_total" if CUDA else "self_cpu_time_total"
            details.append(f"{name}\n{profile.key_averages().table(sort_by=order, row_limit=12)}")
    say(table(["network", "nodes", "step, ms", "recorded, ms", "device busy, ms", "launches"], rows))
    findings.keep("launches", stored)
    if "STMEST_PROFILE" in os.environ:
        Path(os.environ["STMEST_PROFILE"]).write_text("\n".join(details))


def main() -> int:
    """Run the parts; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--small", action="store_true", help="small sizes; the only ones without a device")
    options = parser.parse_args()
    parts = options.parts.split(",")
    if not set(parts) <= set(PARTS):
        parser.error(f"--parts {options.parts}: the parts are {', '.join(PARTS)}")
    os.environ.setdefault(
        "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
    )  # deterministic=True needs it before the first product
    small = options.small or not CUDA
    findings = Findings(small)
    stmest.show_versions()
    stmest.show_backends()
    usable = "triton" in _usable()
    findings.expect(usable, f"triton: {backends.triton_problem(DEVICE)}")
    run = {
        "kernels": kernels, "forecasters": forecasters, "scan": scan, "networks": networks, "fits": fits,
        "launches": launches,
    }  # fmt: skip
    for part in parts:
        start = time.perf_counter()
        say(f"\n== {part}")
        run[part](findings, small)
        say(f"({time.perf_counter() - start:.0f} s)")
    say("\n" + ("\n".join(f"WRONG  {line}" for line in findings.wrong) or "nothing wrong"))
    return 1 if findings.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
