"""A process that is forked after torch has started its threads fits and forecasts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FORK = """
import multiprocessing, sys
import stmest, torch

torch.set_num_threads(2)
names, models = ("STM3Forecaster",), []
if sys.argv[1] == "fitted before":
    from tests.faults.test_same_seed import fitted
    models = [fitted(name) for name in names]
torch.rand(1 << 20).exp().sum()  # on two threads for certain

def work():
    from tests.faults.test_same_seed import X, fitted
    assert torch.get_num_threads() == 1
    for model in models or map(fitted, names):
        model.predict_windows(X)
        fitted(type(model).__name__)

child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join(300)
if child.is_alive():
    child.kill()
    sys.exit("the child hangs")
sys.exit(child.exitcode)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("first", ["fitted before", "fitted in the child"])
def test_a_forked_process_does_not_wait_for_threads_that_it_lacks(first):
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", FORK, first]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
