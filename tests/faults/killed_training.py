"""Run by `test_killed_and_resumed.py`: kills its own children while they train, and lets others finish their work.

A child is forked and not started, as importing torch takes longer than all of its training; the parent never computes.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from stmest.layers.dropout import Dropout
from tests.forecasters.tiny import TinyForecaster


class DropoutForecaster(TinyForecaster):
    """Draws random numbers in every batch."""

    def _build_network(self, predictor, graph):
        network = super()._build_network(predictor, graph)
        network.own = nn.Sequential(Dropout(0.3), network.own)
        return network


def fit(folder: str | None) -> str:
    """Train, and describe all bits of what was learnt."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    X = np.sin(np.arange(240)[:, None] / 4 + np.arange(3)) + 0.1 * rng.normal(size=(240, 3))
    model = DropoutForecaster(
        max_epochs=10, batch_size=16, random_state=0, patience=20, checkpoint_dir=folder
    )
    model.fit(X)
    digest = hashlib.sha256()
    for name, tensor in sorted(model.network_.state_dict().items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    digest.update(model.history_.drop(columns="seconds").to_json(double_precision=15).encode())
    digest.update(str(model.best_epoch_).encode())
    return digest.hexdigest()


def child(folder: str | None, result: Path) -> int:
    """Fit in a process of its own, which writes what it learnt; its number."""
    process = os.fork()
    if process:
        return process
    try:
        result.write_text(fit(folder))
    finally:
        os._exit(0)


def main() -> None:
    """Kill at random points; write what the unbroken and the resumed trainings learnt."""
    scratch, n_kills = Path(sys.argv[1]), int(sys.argv[2])
    for _ in range(2):  # the first one also warms up what the others find ready
        began = time.perf_counter()
        os.waitpid(child(None, scratch / "unbroken"), 0)
        seconds = time.perf_counter() - began
    points, resumed, interrupted = random.Random(0), [], 0
    for number in range(n_kills):
        folder, result = str(scratch / f"checkpoints{number}"), scratch / f"resumed{number}"
        victim = child(folder, result)
        time.sleep(points.random() * seconds)
        os.kill(victim, signal.SIGKILL)
        interrupted += os.WIFSIGNALED(os.waitpid(victim, 0)[1])
        if not result.exists():
            os.waitpid(child(folder, result), 0)
        resumed.append(result.read_text())
    unbroken = (scratch / "unbroken").read_text()
    sys.stdout.write(json.dumps({"unbroken": unbroken, "resumed": resumed, "interrupted": interrupted}))


if __name__ == "__main__":
    main()
