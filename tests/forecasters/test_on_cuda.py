"""fit, predict, save and load on a CUDA device: a pretended one, with stand-ins for the CUDA packages and without."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

import stmest
from stmest import runtime
from stmest.ops import backends
from stmest.training import diagnostics
from tests.forecasters.small import FIELD_NAMES, small
from tests.ops.cuda_packages import install, packages
from tests.pretended_device import pretended_device

X = np.sin(np.arange(60)[:, None] / 4 + np.arange(3)) + 0.1 * np.random.default_rng(0).normal(size=(60, 3))
FIELD = np.sin(np.arange(60)[:, None, None] / 4 + np.arange(8)[:, None] + np.arange(8))
ADJACENCY = np.eye(3)[[1, 2, 0]]
FOUR = ("STM3Forecaster", "STMambaForecaster", "S2TXForecaster", "MADForecaster")


@pytest.fixture(params=["chunked", "mamba_ssm"])
def scan(request, monkeypatch):
    """What "auto" takes for the scan on the device."""
    backends.forget_probes()
    install(monkeypatch, packages() if request.param == "mamba_ssm" else {})
    monkeypatch.setattr(runtime, "available_devices", lambda: ["cuda", "cpu"])
    monkeypatch.setattr(diagnostics, "available_memory", lambda device: None)
    on_cpu = runtime.RandomNumbers.on
    monkeypatch.setattr(runtime.RandomNumbers, "on", lambda self, device: on_cpu(self, torch.device("cpu")))
    # classes of tensors have no inference mode
    monkeypatch.setattr(torch, "inference_mode", lambda mode=True: torch.set_grad_enabled(not mode))
    yield request.param
    backends.forget_probes()


def _data(name):
    return (FIELD, {}) if name in FIELD_NAMES else (X, {"adj": ADJACENCY})


@pytest.mark.parametrize("name", FOUR)
def test_fit_and_predict(name, scan, tmp_path):
    data, graph = _data(name)
    wanted = small(name, patience=None, device="cpu").fit(data, **graph)
    with pretended_device() as there:
        model = small(name, patience=None, device="auto").fit(data, **graph)
        assert model.device_.type == "cuda"
        assert model.scan_backend_ == scan
        assert next(model.network_.parameters()).device == there
        forecast, windows = model.predict(), model.predict_windows(data)[1]
        model.save(tmp_path / "model.safetensors")
        pickled = pickle.dumps(model)
        np.testing.assert_array_equal(pickle.loads(pickled).predict(), forecast)
    np.testing.assert_allclose(forecast, wanted.predict(), atol=1e-4)
    np.testing.assert_allclose(windows, wanted.predict_windows(data)[1], atol=1e-4)
    with pytest.MonkeyPatch.context() as here:
        here.setattr(runtime, "available_devices", lambda: ["cpu"])
        for opened in (stmest.load(tmp_path / "model.safetensors"), pickle.loads(pickled)):
            assert opened.device_.type == "cpu"
            np.testing.assert_allclose(opened.predict(), forecast, atol=1e-4)


@pytest.mark.parametrize("scan", ["mamba_ssm"], indirect=True)
@pytest.mark.parametrize(
    "parameters",
    [
        {
            "name": "STM3Forecaster",
            "dropout": 0.2,
            "contrastive_weight": 0.1,
            "top_k": 2,
            "node_dropout": 0.2,
        },
        {"name": "STM3Forecaster", "routing": "input", "long_input_length": 12},
        {"name": "STMambaForecaster", "dropout": 0.2, "graph": "learned", "n_members": 2},
        {"name": "S2TXForecaster", "dropout": 0.2, "norm": "layer"},
    ],
)
def test_all_that_looks_into_a_network_and_goes_on_with_it(parameters, scan):
    settings = {**parameters, "device": "cuda", "patience": None}
    name = settings.pop("name")
    with pretended_device():
        model = small(name, **settings).fit(X)
        if name == "STM3Forecaster":
            assert model.routing_.shape == (3, 2)
            assert np.isfinite(model.scale_embeddings(X)).all()
            assert np.isfinite(model.expert_embeddings(X)).all()
        if name == "STMambaForecaster":
            assert np.isfinite(model.attention_weights(X)).all().all()
        if hasattr(model, "graph_"):
            np.testing.assert_allclose(model.graph_.sum(axis=1), 1.0, atol=1e-5)
        n_epochs = model.n_iter_
        assert model.set_params(warm_start=True).fit(X).n_iter_ == 2 * n_epochs
