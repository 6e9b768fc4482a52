"""Fits forecasters on a long memory map and prints how much memory they took beside it; run in a process of its own.

python tests/faults/_long_series.py FILE FORECASTER
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import numpy as np

from stmest import LastValue, MeanProfile, RidgeForecaster, SeasonalNaive
from tests.forecasters.tiny import TinyForecaster

LARGE_BATCHES = {"batch_size": 8192, "max_epochs": 1, "random_state": 0}
FORECASTERS = {
    "LastValue": LastValue(horizon=2),
    "SeasonalNaive": SeasonalNaive(horizon=2, season=4),
    "MeanProfile": MeanProfile(horizon=2, season=4),
    "RidgeForecaster": RidgeForecaster(input_length=4, horizon=2),
    "TinyForecaster": TinyForecaster(**LARGE_BATCHES),
}


def own_memory() -> int:
    """Bytes of the process that are not pages of a file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


class Peak(threading.Thread):
    """The largest `own_memory` while it runs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.before = self.peak = own_memory()
        self.done = False

    def run(self) -> None:
        while not self.done:
            self.peak = max(self.peak, own_memory())
            time.sleep(0.005)


def main(path: str, name: str) -> None:
    X = np.load(path, mmap_mode="r")
    small = np.random.default_rng(0).normal(size=(40, X.shape[1])).astype(np.float32)
    FORECASTERS[name].fit(small)  # what is imported and compiled is not data
    watch = Peak()
    watch.start()
    start = time.perf_counter()
    forecast = FORECASTERS[name].fit(X).predict()
    seconds = time.perf_counter() - start
    watch.done = True
    watch.join()
    finite = bool(np.isfinite(forecast).all())
    result = {"bytes": watch.peak - watch.before, "data": X.nbytes, "seconds": seconds, "finite": finite}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
