"""A process that is forked after torch has started its threads fits and forecasts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FORK = """
import multiprocessing, sys
import torch
from tests.faults.test_same_seed import X, fitted

def work(models):
    assert torch.get_num_threads() == 1
    for model in models:
        model.predict_windows(X)
        fitted(type(model).__name__)

torch.set_num_threads(2)
models = [fitted(name) for name in ("STM3Forecaster", "S2TXForecaster")]
torch.rand(1 << 20).exp().sum()  # on two threads for certain
child = multiprocessing.get_context("fork").Process(target=work, args=(models,))
child.start()
child.join(120)
if child.is_alive():
    child.kill()
    sys.exit("the child hangs")
sys.exit(child.exitcode)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_does_not_wait_for_threads_that_it_lacks():
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", FORK]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
