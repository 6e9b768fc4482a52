"""What all benchmarks share: facts about the machine, interleaved timing, peak memory, results as JSON and table."""

from __future__ import annotations

import base64
import fcntl
import inspect
import json
import os
import platform
import statistics
import subprocess
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate

from stmest.runtime import versions

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"


def machine() -> dict[str, Any]:
    """Processor, cores, memory, versions and the commit measured."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
        if hasattr(os, "sysconf")
        else None,
        "system": f"{platform.system()} {platform.machine()}",
        "torch_capability": torch.backends.cpu.get_cpu_capability(),
        "versions": versions(),
        "commit": _git("rev-parse", "HEAD") or "none yet",
        # results are what is being measured, not what is measured
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", ".", ":(exclude)benchmarks/results")),
        "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _git(*arguments: str) -> str:
    result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else ""


def interleave(
    candidates: dict[str, Callable[[], Any]], rounds: int, slow_after: float = 3.0
) -> dict[str, dict[str, float]]:
    """Time the candidates in turn, so that a noisy minute hits all of them; return seconds (best, median, runs).

    In its turn a candidate runs until a twentieth of a second has passed. One slower than `slow_after` seconds runs
    twice at most.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, run in candidates.items():
            if len(seconds[name]) >= 2 and min(seconds[name]) > slow_after:
                continue
            turn = time.perf_counter()
            while time.perf_counter() - turn < 0.05:
                start = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - start)
    return {
        name: {"best": min(s), "median": statistics.median(s), "runs": len(s)} for name, s in seconds.items()
    }


class PeakMemory:
    """Peak of resident memory within a `with` block, in MB: of the process, and over what it had at the start; Linux only."""

    def __enter__(self) -> PeakMemory:
        Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
        self._start = self._status("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        self.process_megabytes = self._status("VmHWM")
        self.megabytes = self.process_megabytes - self._start

    @staticmethod
    def _status(field: str) -> float:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
        raise OSError(f"/proc/self/status has no {field}")


def save(name: str, result: dict[str, Any]) -> Path:
    """Write a result beside the facts about the machine; return the path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    unfinished.write_text(json.dumps({"machine": machine(), **result}, indent=1) + "\n")
    return unfinished.replace(path)  # whoever reads meanwhile sees the old file or the new one


class Runs:
    """Finished runs of a benchmark, kept in results/NAME.json so that an interrupted benchmark goes on where it stopped.

    The file is read again, under a lock, before each write, so that several processes may work on one benchmark.

    Parameters
    ----------
    name : str
        Name of the file.
    settings : dict
        What all runs have in common.
    """

    def __init__(self, name: str, settings: dict[str, Any]):
        self.name, self.settings = name, settings

    def finished(self) -> dict[str, Any]:
        """Results by key."""
        path = RESULTS / f"{self.name}.json"
        return json.loads(path.read_text())["runs"] if path.exists() else {}

    def add(self, key: str, result: dict[str, Any]) -> None:
        """Store the result of a run."""
        with _alone():
            save(self.name, {"settings": self.settings, "runs": {**self.finished(), key: result}})

    def forget(self, unwanted: Callable[[str], bool]) -> None:
        """Drop the runs whose key is unwanted."""
        with _alone():
            kept = {key: result for key, result in self.finished().items() if not unwanted(key)}
            save(self.name, {"settings": self.settings, "runs": kept})


@contextmanager
def _alone() -> Iterator[None]:
    """Keep other processes from writing results meanwhile."""
    RESULTS.mkdir(exist_ok=True)
    folder = os.open(RESULTS, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def pack(values: np.ndarray) -> str:
    """Write numbers of at least 0 as text, to within 1/130,000 of the largest; NaN and infinity become NaN."""
    values = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(values)
    step = max(values[finite].max(initial=0.0) / 65_534, np.finfo(float).tiny)
    codes = np.where(finite, np.round(np.where(finite, values, 0.0) / step), 65_535).astype("<u2")
    return f"{step:.9g} {base64.b64encode(zlib.compress(codes.tobytes(), 9)).decode()}"


def unpack(text: str) -> np.ndarray:
    """Read what `pack` wrote."""
    step, coded = text.split()
    codes = np.frombuffer(zlib.decompress(base64.b64decode(coded)), dtype="<u2")
    return np.where(codes == 65_535, np.nan, codes * float(step))


def untrained(model: Any, n_nodes: int, **settings: Any) -> Any:
    """The untrained network of a forecaster for one complete feature without a calendar; `settings` win."""
    sizes = {"n_nodes": n_nodes, "n_inputs": 1, "n_outputs": 1, "n_time_features": 0, "n_ahead": 0}
    sizes |= {"n_events": 0, "input_length": model.input_length, "horizon": model.horizon}
    data = {"adjacency": None, "target_channels": [0], "observed_channels": None, "contrastive": False}
    data |= {"older": None, "grid_shape": None, "n_features": 1}
    sized = model._architecture() if hasattr(model, "_architecture") else {}
    given = {**model.get_params(), **sized, **data, **settings}
    kind = model._network_class
    return kind(
        **sizes, **{name: given[name] for name in inspect.signature(kind).parameters if name in given}
    )


def validation_error(model: Any) -> float:
    """Mean absolute error on the validation part, of the predictor that has not learnt from it."""
    calibration = model.calibration_
    predictor, rows = calibration.predictor, calibration.rows
    starts = np.arange(
        calibration.n_before - predictor.look_back, rows.n_times - predictor.look_back - predictor.horizon + 1
    )
    forecast = predictor.forecast(rows, starts)
    targets = starts[:, None] + np.arange(predictor.look_back, predictor.look_back + predictor.horizon)
    return float(np.nanmean(np.abs(rows.values[targets][..., predictor.target] - forecast)))


def spread(values: Iterable[float | None]) -> tuple[str, str]:
    """Mean and standard deviation as text; empty where there are too few values."""
    known = [value for value in values if value is not None]
    if not known:
        return "", ""
    mean = float(np.mean(known))
    told = f"{mean:.4g}" if abs(mean) < 10_000 else f"{mean:,.0f}"
    return told, f"{np.std(known, ddof=1):.2g}" if len(known) > 1 else ""


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns aligned, first left, others right."""
    aligns = ["left", *["right"] * (len(header) - 1)]
    return tabulate([header, *rows], tablefmt="plain", colalign=aligns, disable_numparse=True)
