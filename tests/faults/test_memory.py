"""Promise: memory is no surprise. What cannot fit is refused with a batch size that does; long files are never loaded.

Losses that are no numbers belong here too: the error names the value that is most likely the cause.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from numbers import Integral
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch

from stmest import runtime
from stmest.exceptions import DataError, OutOfMemoryError, ParameterError, TrainingError
from stmest.forecasters.network import NetworkForecaster
from stmest.forecasters.registry import entries
from stmest.training import diagnostics as memory
from stmest.training.diagnostics import MemoryEstimate, available_memory, estimate_training, is_out_of_memory
from stmest.training.engine import ShuffledWindows
from tests.crossing import crossed

from .common import NETWORKS, fingerprint, fitted, make, observations

ROOT = Path(__file__).parents[2]
ON_LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads memory from /proc")
CPU = torch.device("cpu")

# The ways in which torch and numpy say it
SHORTAGES = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: not enough memory: you tried"
    ),
    RuntimeError(
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 800 bytes"
    ),
    MemoryError("Unable to allocate 7.45 GiB for an array with shape (1000000000,)"),
]


def run(*arguments: object) -> dict[str, float]:
    """What a script of this folder measured in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ------------------------------------------------------------------ before training


@ON_LINUX
@pytest.mark.slow
@pytest.mark.parametrize("name", ["STM3Forecaster", "STMambaForecaster"])
def test_the_estimate_is_right_within_a_factor_of_two(name):
    found = run(ROOT / "tests/faults/_training_memory.py", name)
    assert 0.5 < found["estimate"] / found["measured"] < 2, found


@pytest.mark.parametrize("name", crossed(NETWORKS))
def test_the_estimate_changes_nothing_and_grows_with_the_batch(name):
    model = make(name).fit(observations())
    load = lambda positions: (_inputs(model, len(positions)), None)  # noqa: E731
    before, state = fingerprint(model), torch.get_rng_state()
    estimate = estimate_training(model.network_, load, CPU)
    assert fingerprint(model) == before
    assert not model.network_.training
    assert torch.equal(torch.get_rng_state(), state)
    weights = 4 * sum(p.numel() for p in model.network_.parameters())
    assert estimate.fixed >= 4 * weights  # weights, gradients and two moments
    assert estimate.per_window > 6 * 4 * 4  # more than the window itself
    assert estimate.total(100) == estimate.fixed + 100 * estimate.per_window
    assert estimate.largest_batch(estimate.total(100)) == 100
    assert estimate.largest_batch(estimate.fixed // 2) == 0


def _inputs(model, n_windows):
    ((x, time),) = model.predictor_.look_backs(model.context_, 1)
    inputs, _ = model.predictor_.rule.encoding.encode(x, time, None)
    return {name: tensor.repeat(n_windows, *[1] * (tensor.ndim - 1)) for name, tensor in inputs.items()}


@pytest.mark.parametrize("name", crossed(NETWORKS))
def test_what_surely_does_not_fit_is_refused_before_training(name, monkeypatch):
    model = make(name, batch_size=40)
    before = dict(vars(model))
    monkeypatch.setattr(memory, "available_memory", lambda device: 1_000)
    with pytest.raises(
        OutOfMemoryError, match=r"(?s)6 \+ 3 rows, 4 nodes, 1 feature.*batch_size=40.*1 kB are free"
    ):
        model.fit(observations())
    assert vars(model) == before


def test_the_suggested_batch_size_fits(monkeypatch):
    """Follow the advice, and training goes through."""
    free = MemoryEstimate(20_000, 10_000).total(9)
    monkeypatch.setattr(memory, "estimate_training", lambda *_: MemoryEstimate(20_000, 10_000))
    monkeypatch.setattr(memory, "available_memory", lambda device: free)
    with pytest.raises(OutOfMemoryError, match=r"420 kB: 10 kB for each window.*Use batch_size=8\.") as error:
        make("STM3Forecaster", batch_size=40).fit(observations())
    suggested = int(str(error.value).rpartition("batch_size=")[2].rstrip("."))
    make("STM3Forecaster", batch_size=suggested).fit(observations())
    monkeypatch.setattr(memory, "available_memory", lambda device: 5_000)
    with pytest.raises(OutOfMemoryError, match="Not even batch_size=1 is sure to fit"):
        make("STM3Forecaster", batch_size=40).fit(observations())


def test_where_the_memory_cannot_be_told_training_just_begins(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda device: None)
    model = make("STM3Forecaster").fit(observations())
    assert model.n_iter_ == model.max_epochs


def test_the_available_memory_is_plausible():
    assert 50e6 < available_memory(CPU) <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    "names", [("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")]
)
@pytest.mark.parametrize(("limit", "left"), [("1500\n", 1000), ("max\n", None), (f"{2**63}\n", None)])
def test_the_limit_of_a_container_counts_where_it_is_lower(names, limit, left, tmp_path, monkeypatch):
    folder = tmp_path / "memory" if "limit" in names[0] else tmp_path
    folder.mkdir(exist_ok=True)
    for name, text in zip(names, (limit, "500\n"), strict=True):
        (folder / name).write_text(text)
    monkeypatch.setattr(runtime, "_CONTROL_GROUPS", tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10**6))
    assert available_memory(CPU) == (left or 10**6)


def test_a_machine_that_hides_its_memory_is_no_error(monkeypatch):
    def hidden():
        raise FileNotFoundError("/proc/meminfo")

    monkeypatch.setattr(psutil, "virtual_memory", hidden)
    assert available_memory(CPU) is None


# ------------------------------------------------------------------ during training and forecasting


@pytest.mark.parametrize("shortage", SHORTAGES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("name", crossed(NETWORKS))
def test_running_out_of_memory_names_sizes_and_a_batch_size(name, shortage, monkeypatch):
    model = make(name, batch_size=32)
    before = dict(vars(model))

    def step(*_, **__):
        raise shortage

    monkeypatch.setattr("stmest.training.engine.ForecastNet.train_step", step)
    words = rf"(?s)training {name} \(6 \+ 3 rows, 4 nodes, 1 feature.s.\) with batch_size=32.*[kM]B.*Use batch_size=16"
    with pytest.raises(OutOfMemoryError, match=words) as error:
        model.fit(observations())
    assert error.value.__cause__ is shortage
    assert isinstance(error.value, (MemoryError, RuntimeError))
    assert vars(model) == before


@pytest.mark.parametrize("name", crossed(NETWORKS))
def test_running_out_of_memory_while_forecasting(name, monkeypatch):
    model = fitted(name)

    def forward(*_, **__):
        raise SHORTAGES[1]

    with monkeypatch.context() as patch:
        patch.setattr(type(model.network_), "forward", forward)
        with pytest.raises(
            OutOfMemoryError, match=rf"forecasting with {name}.*batch_size=\d+.*Use batch_size=\d+"
        ):
            model.predict_windows(observations())


def test_other_errors_pass():
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
    assert not is_out_of_memory(ValueError("out of memory"))


# ------------------------------------------------------------------ losses that are no numbers


@pytest.mark.parametrize("name", crossed(NETWORKS))
def test_a_loss_that_is_no_number_names_node_and_time(name, monkeypatch):
    X = observations()
    X.iloc[20, 2] = 1e17

    def loss(self, forecast, truth):
        extreme = torch.nan_to_num(truth).abs().max() > 5
        return forecast.sum() * (float("nan") if extreme else 1.0)

    monkeypatch.setattr("stmest.training.losses.MaskedLoss.forward", loss)
    model = make(name, seasonal_profile=None, linear_skip=False)
    with pytest.raises(TrainingError, match=r"1e\+17 at node 'c', 2024-01-01 20:00:00 \(row 20\)"):
        model.fit(X)
    with pytest.raises(TrainingError, match=r"1e\+17 at node 2, row 20: .* spreads from the centre"):
        model.fit(X.to_numpy())
    assert not hasattr(model, "network_")


@pytest.mark.parametrize("name", crossed(NETWORKS))
def test_a_validation_loss_that_is_no_number_is_not_kept_silent(name, monkeypatch):
    """No epoch could be better than it, so that the untrained weights would be kept."""

    def loss(self, forecast, truth):
        return forecast.sum() * (1.0 if forecast.requires_grad else float("nan"))

    monkeypatch.setattr("stmest.training.losses.MaskedLoss.forward", loss)
    with pytest.raises(TrainingError, match="validation loss is nan before training"):
        make(name).fit(observations())


@pytest.mark.parametrize("name", crossed(NETWORKS))
def test_a_forecast_that_is_no_number_is_an_error(name, monkeypatch):
    model, X = fitted(name), observations()
    X.iloc[-2, 1] = 1e17
    forward = type(model.network_).forward

    def broken(self, *arguments, **named):
        forecast, auxiliary = forward(self, *arguments, **named)
        return forecast * float("inf"), auxiliary

    monkeypatch.setattr(type(model.network_), "forward", broken)
    with pytest.raises(
        DataError, match=r"forecast of node 'a' is no finite.*node 'b', 2 step.s. before the forecast"
    ):
        model.predict(X)


# ------------------------------------------------------------------ long series


def long_file(folder: Path, n_times: int, n_nodes: int) -> Path:
    """A file of random values, written a chunk at a time."""
    path = folder / "values.npy"
    values = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n_times, n_nodes))
    rng = np.random.default_rng(0)
    for first in range(0, n_times, 100_000):
        rows = values[first : first + 100_000]
        rows[:] = rng.standard_normal(rows.shape, dtype=np.float32)
    values.flush()
    return path


# A few windows at a time take 30 to 80 MB, whatever the length. Forecasters that learn from windows keep per time step the
# start of its window, and networks how much was observed before it and its place in the order of an epoch: 27 bytes were
# measured, however many nodes there are.
_FIXED, _PER_STEP = 120e6, 40
BASELINES = ["LastValue", "SeasonalNaive", "MeanProfile", "RidgeForecaster"]


@ON_LINUX
@pytest.mark.slow
@pytest.mark.parametrize("name", crossed(BASELINES))
def test_a_long_file_is_not_loaded(name, tmp_path):
    """128 MB; networks are watched in `test_api.py`."""
    found = run(ROOT / "tests/faults/_long_series.py", long_file(tmp_path, 1_000_000, 32), name)
    assert found["finite"]
    assert found["bytes"] < _FIXED, found


@ON_LINUX
@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("name", [*BASELINES, "TinyForecaster"])
def test_ten_million_time_steps(name, tmp_path):
    found = run(ROOT / "tests/faults/_long_series.py", long_file(tmp_path, 10_000_000, 4), name)
    assert found["finite"]
    learns_windows = name in ("RidgeForecaster", "TinyForecaster")
    assert found["bytes"] < _FIXED + learns_windows * _PER_STEP * 10_000_000, found


def test_the_order_of_windows_is_the_one_torch_would_draw():
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    ours = ShuffledWindows(70_000, generators[0])
    theirs = torch.utils.data.RandomSampler(range(70_000), generator=generators[1])
    for _ in range(2):
        assert list(ours) == list(theirs)
    assert torch.equal(*(generator.get_state() for generator in generators))
    assert len(ours) == 70_000


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("STM3Forecaster", {"head_width": 10**9}),
        ("STM3Forecaster", {"d_model": 10**6}),
        ("STIDForecaster", {"d_model": 10**7}),
    ],
)
def test_a_network_that_cannot_be_built_is_explained(name, sizes):
    model = make(name, **sizes)
    with pytest.raises(OutOfMemoryError, match=rf"weights of {name}.*d_model, head_width"):
        model.fit(observations())
    assert not hasattr(model, "predictor_")


# ------------------------------------------------------------------ networks too large to be built


def _sizes():
    """Every whole number that the constructor of a network takes, for each network of the registry."""
    for name, entry in entries().items():
        if not issubclass(entry.cls, NetworkForecaster):
            continue
        known = inspect.signature(entry.cls._network_class).parameters
        for parameter, constraints in entry.cls._parameter_constraints.items():
            whole = (
                [c for c in constraints if getattr(c, "type", None) is Integral] if parameter in known else []
            )
            if whole and parameter not in ("input_length", "horizon"):
                yield name, parameter, int(min(10**6, whole[0].right))


class _Built(Exception):
    """The network was built: training would begin."""


@pytest.mark.exhaustive
@pytest.mark.parametrize(("name", "parameter", "size"), list(_sizes()))
def test_large_sizes_end_in_a_message_and_fill_no_memory(monkeypatch, name, parameter, size):
    def train(*_, **__):
        raise _Built

    monkeypatch.setattr("stmest.training.trainer.Trainer.train", train)
    monkeypatch.setattr(memory, "free_memory", lambda: 2**26)
    entry = entries()[name]
    known = inspect.signature(entry.cls).parameters
    plain = {"linear_skip": False, "seasonal_profile": None} | {**entry.smallest_parameters, parameter: size}
    X = np.random.default_rng(0).normal(size=(40, 4, 4, 1) if entry.grids_only else (40, 4))
    before = psutil.Process().memory_info().rss
    with pytest.raises((OutOfMemoryError, ParameterError, _Built)):
        entry.cls(**{key: value for key, value in plain.items() if key in known}).fit(X)
    assert psutil.Process().memory_info().rss - before < 2**28


@pytest.mark.parametrize("size", [{"d_model": 10**6}, {"head_width": 10**9}, {"d_state": 10**9}])
def test_sizes_of_stm3_are_explained(size):
    with pytest.raises(
        OutOfMemoryError,
        match="memory does not suffice for the weights of STM3Forecaster: take smaller widths",
    ):
        make("STM3Forecaster", **size).fit(observations())


def test_the_order_of_polynomials_is_bounded():
    with pytest.raises(ParameterError, match="cheb_order"):
        make("STM3Forecaster", cheb_order=10**6).fit(observations())


def test_a_window_that_takes_all_memory_ends_the_estimate(monkeypatch):
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Sigmoid(), torch.nn.Sigmoid())
    network.forward = lambda x: torch.nn.Sequential.forward(network, x)
    monkeypatch.setattr(memory, "free_memory", lambda: 100_000)
    estimate = estimate_training(
        network, lambda positions: ({"x": torch.zeros(10_000 * len(positions), 2)}, None), CPU
    )
    assert estimate.total(1) > 2 * 100_000


def test_the_weights_of_a_training_are_counted_before_they_are_copied(monkeypatch):
    network = torch.nn.Linear(1000, 1000)
    monkeypatch.setattr(memory, "free_memory", lambda: 10**6)
    monkeypatch.setattr(memory.copy, "deepcopy", None)
    assert estimate_training(network, None, CPU).fixed > 5 * 4 * 10**6
