"""Promise: the same seed gives the same bits on a CPU, wherever and however often, and disturbs nobody else's numbers.

Two numbers of threads may differ in the last digits, as torch then cuts the sums of its matrix products elsewhere; the
kernels of stmest itself give equal bits for any number of threads.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

import stmest
from stmest.ops.selective_scan import selective_scan
from tests.crossing import crossed
from tests.forecasters.small import names, network_names, saved_names, small

ROOT = Path(__file__).parents[2]
X = np.sin(np.arange(160)[:, None] / 4 + np.arange(3)) + 0.1 * np.random.default_rng(0).normal(size=(160, 3))
ADJACENCY = np.eye(3)[[1, 2, 0]]


@pytest.fixture(scope="module", autouse=True)
def believed():
    """Workers are processes of their own, in which nothing can be patched: here all networks are believed as usual."""


def fitted(name, **parameters):
    with_dropout = {"dropout": 0.2} if "dropout" in small(name).get_params() else {}
    return small(name, **with_dropout, **parameters).fit(X, adj=ADJACENCY)


def state(model):
    """All that was learnt, without the seconds that it took."""
    parts = model.__getstate__()
    if "history_" in parts:
        parts = {**parts, "history_": parts["history_"].drop(columns="seconds").to_json(double_precision=15)}
    if "named_estimators_" in parts:
        parts = {
            **parts,
            "named_estimators_": [(name, state(member)) for name, member in parts["named_estimators_"]],
        }
    return pickle.dumps(parts)


# ---------------------------------------------------------------- the same bits


@pytest.mark.parametrize("name", names())
def test_fitted_twice_in_one_process(name):
    assert state(fitted(name)) == state(fitted(name))


@pytest.mark.parametrize("name", crossed(names()))
def test_predicted_twice(name):
    model = fitted(name)
    np.testing.assert_array_equal(model.predict(), model.predict())
    np.testing.assert_array_equal(model.predict_windows(X)[1], model.predict_windows(X)[1])
    assert model.score(X) == model.score(X)


@pytest.mark.parametrize("name", crossed(network_names()))
def test_another_seed_gives_other_bits(name):
    one, other = (fitted(name, patience=None, random_state=seed).predict() for seed in (0, 1))
    assert not np.array_equal(one, other)


FIT = """
import hashlib, json, sys
import torch
from tests.faults.test_same_seed import fitted, state

torch.set_num_threads(1)
sys.stdout.write(json.dumps({name: hashlib.sha256(state(fitted(name))).hexdigest() for name in sys.argv[1:]}))
"""
EVERYDAY = ["RidgeForecaster", "STM3Forecaster", "S2TXForecaster"]
CHOSEN = pytest.mark.parametrize(
    "chosen", [EVERYDAY, pytest.param(names(), marks=pytest.mark.exhaustive)], ids=["three", "all"]
)


@pytest.mark.slow
@CHOSEN
def test_fitted_in_two_processes(chosen):
    def run(seed):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", FIT, *chosen],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    first = run("1")
    assert first == run("2")
    assert set(first) == set(chosen)


# ---------------------------------------------------------------- threads and workers


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    "name", crossed(network_names(), ["STM3Forecaster", "STMambaForecaster", "S2TXForecaster"])
)
def test_one_thread_or_two(name, threads):
    forecasts = []
    for number in (1, 2):
        threads(number)
        forecasts.append(fitted(name).predict())
    assert np.abs(forecasts[0] - forecasts[1]).max() <= 1e-5 * X.std()


def test_the_scan_gives_equal_bits_for_any_number_of_threads(threads):
    generator = torch.Generator().manual_seed(0)
    arrays = [
        torch.randn(shape, generator=generator)
        for shape in ((3, 40, 16), (3, 40, 16), (3, 40, 4), (3, 40, 4))
    ]
    x, delta, B, C = (tensor.requires_grad_() for tensor in arrays)
    A = -torch.rand(16, 4, generator=generator)
    found = []
    for number in (1, 2):
        threads(number)
        y = selective_scan(x, delta, A, B, C)
        found.append([y.detach(), *torch.autograd.grad(y.square().sum(), (x, delta, B, C))])
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


@pytest.mark.slow
@CHOSEN
def test_one_worker_or_two(chosen, threads):
    """joblib's workers have one thread each, and so has the process they are compared with."""
    threads(1)
    kinds = [small(name) for name in chosen]
    alone, together = (
        joblib.Parallel(n_jobs=n_jobs)(joblib.delayed(_forecast)(kind) for kind in kinds) for n_jobs in (1, 2)
    )
    for one, two in zip(alone, together, strict=True):
        assert np.abs(one - two).max() <= 1e-5 * X.std()


def _forecast(model):
    return model.fit(X, adj=ADJACENCY).predict()


# ---------------------------------------------------------------- what belongs to the caller


@pytest.mark.parametrize("name", crossed(names()))
def test_the_random_states_of_the_caller_are_untouched(name, tmp_path):
    def draw():
        numpy_state = np.random.get_state(legacy=True)[1]  # noqa: NPY002
        return random.getstate(), numpy_state.tobytes(), torch.get_rng_state().numpy().tobytes()

    before = draw()
    model = fitted(name, **({"checkpoint_dir": tmp_path / "c"} if name in network_names() else {}))
    model.predict()
    model.score(X)
    if name in saved_names():
        model.save(tmp_path / "model")
        stmest.load(tmp_path / "model")
    pickle.loads(pickle.dumps(model))
    assert draw() == before


@pytest.mark.parametrize("name", crossed(network_names()))
def test_the_random_states_of_the_caller_change_nothing(name):
    expected = state(fitted(name))
    torch.manual_seed(123)
    np.random.seed(123)  # noqa: NPY002
    random.seed(123)
    assert state(fitted(name)) == expected


# ---------------------------------------------------------------- deterministic=True


class Witness(Callback):
    """Notes what the switch says during training."""

    def on_batch_end(self, net, **kwargs):
        self.seen = torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("name", crossed(network_names()))
def test_deterministic_is_switched_on_within_fit_and_off_again(name):
    witness = Witness()
    model = fitted(name, deterministic=True, callbacks=[witness])
    assert witness.seen
    assert not torch.are_deterministic_algorithms_enabled()
    np.testing.assert_array_equal(model.predict(), fitted(name).predict())  # on a CPU it changes nothing
    assert not torch.are_deterministic_algorithms_enabled()
    fitted(name, callbacks=[witness])
    assert not witness.seen
