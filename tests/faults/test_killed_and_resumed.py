"""Promise: a training that was killed at any point goes on from its last epoch and ends with the bits of an unbroken one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks the processes that it kills")
@pytest.mark.parametrize("n_kills", [6, pytest.param(20, marks=pytest.mark.exhaustive)])
def test_killed_at_random_points(n_kills, tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "tests.faults.killed_training", str(tmp_path), str(n_kills)],
        cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["resumed"] == [found["unbroken"]] * n_kills
    assert found["interrupted"] >= n_kills // 2  # else the points were too late to show anything


FIT_UNTIL_THE_DISK_IS_FULL = """
import errno, pathlib, sys
import numpy as np
from skorch.callbacks import Callback
from stmest.exceptions import StorageError
from stmest.storage.tensor_file import read_tensor_file
from tests.forecasters.tiny import TinyForecaster

folder = pathlib.Path(sys.argv[1])
X = np.random.default_rng(0).normal(size=(300, 3)).cumsum(0)
resumed = False
parameters = {"max_epochs": 4, "input_length": 16, "random_state": 0}
expected = TinyForecaster(**parameters).fit(X).predict()
model = TinyForecaster(**parameters, checkpoint_dir=folder)


class Fill(Callback):
    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 3 and not resumed:
            with open(folder / "filler", "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(4096))
                except OSError as error:
                    assert error.errno == errno.ENOSPC


try:
    model.set_params(callbacks=[Fill()]).fit(X)
except StorageError as error:
    sys.stdout.write(f"{error}\\n")
(last,) = folder.glob("TinyForecaster-*")
assert not list(folder.glob(".*.part"))
assert read_tensor_file(last)[0]["finished"] is False
(folder / "filler").unlink()
resumed = True
np.testing.assert_array_equal(model.set_params(callbacks=[Fill()]).fit(X).predict(), expected)
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs a file system of its own")
def test_a_full_disk(tmp_path):
    """On a real one of 256 kB, which nobody else sees, where the system lets us make it."""
    private = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = 'mount -t tmpfs -o size=256k none "$0" && exec "$@"'
    if subprocess.run([*private, mount, tmp_path, "true"], capture_output=True, check=False).returncode:
        pytest.skip("the system does not let this user mount a file system")
    run = subprocess.run(
        [*private, mount, tmp_path, sys.executable, "-c", FIT_UNTIL_THE_DISK_IS_FULL, tmp_path],
        cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "the checkpoint of epoch 3 could not be written; the file still holds epoch 2" in run.stdout
    assert "No space left" in run.stdout
