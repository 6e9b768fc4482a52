"""Prints the estimated and the measured memory of one epoch of training; run in a process of its own.

python tests/faults/_training_memory.py STM3Forecaster
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import stmest
from stmest.training import diagnostics
from stmest.training.diagnostics import MemoryEstimate, estimate_training

BATCH = {"input_length": 24, "horizon": 12, "batch_size": 32, "max_epochs": 1, "validation_fraction": 0.0}


def resident(field: str) -> int:
    """A size in bytes from the status of the process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def main(name: str) -> None:
    estimates: list[MemoryEstimate] = []

    def noted(*arguments: Any) -> MemoryEstimate:
        estimates.append(estimate_training(*arguments))
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        return estimates[-1]

    forecaster = getattr(stmest, name)(**BATCH, linear_skip=False, seasonal_profile=None, random_state=0)
    X = np.random.default_rng(0).standard_normal((24 + 12 + 2 * 32, 100), dtype=np.float32)
    forecaster.fit(X[:60, :3])  # what is imported and compiled does not count
    before = resident("VmRSS")
    diagnostics.estimate_training = noted
    forecaster.fit(X)
    measured = resident("VmHWM") - before
    sys.stdout.write(json.dumps({"estimate": estimates[0].total(32), "measured": measured}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
