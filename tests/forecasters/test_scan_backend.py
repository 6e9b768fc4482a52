"""The implementation of the Mamba scan as a parameter: it changes time and memory, and no number beyond rounding."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

import stmest
from stmest.exceptions import MissingDependencyError, ParameterError
from stmest.forecasters import scan
from stmest.forecasters.registry import entries
from stmest.layers.mamba import MambaBlock
from stmest.layers.multiscale import MultiscaleMamba
from stmest.ops import available_backends
from tests.forecasters.small import small

X = np.sin(np.arange(120)[:, None] / 4 + np.arange(3)) + 0.1 * np.random.default_rng(0).normal(size=(120, 3))
WITH_MAMBA = [name for name, entry in entries().items() if "scan_backend" in entry.smallest().get_params()]
OTHERS = [name for name in available_backends() if name in ("reference", "chunked")]


def test_those_with_a_mamba_have_it():
    assert set(WITH_MAMBA) == {"STM3Forecaster", "STMambaForecaster", "S2TXForecaster", "MADForecaster"}


@pytest.mark.parametrize("backend", OTHERS)
@pytest.mark.parametrize("name", WITH_MAMBA)
def test_every_block_runs_it_and_forecasts_agree(name, backend):
    expected = small(name, patience=None).fit(X).predict()
    model = small(name, patience=None, scan_backend=backend).fit(X)
    blocks = [m for m in model.network_.modules() if isinstance(m, (MambaBlock, MultiscaleMamba))]
    assert {block.scan_backend for block in blocks} == {backend}
    assert model.scan_backend_ == backend
    np.testing.assert_allclose(model.predict(), expected, atol=1e-4 * X.std())


@pytest.mark.parametrize("name", WITH_MAMBA)
def test_it_is_saved(name, tmp_path):
    model = small(name, scan_backend="chunked").fit(X)
    model.save(tmp_path / "model.safetensors")
    for same in (stmest.load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(model))):
        assert same.scan_backend == same.scan_backend_ == "chunked"
        np.testing.assert_array_equal(same.predict(), model.predict())


def test_what_cannot_run_here_is_refused():
    with pytest.raises(ParameterError, match=r"scan_backend.*'fastest'"):
        small("STM3Forecaster", scan_backend="fastest").fit(X)
    with pytest.raises(
        MissingDependencyError, match=r"scan_backend='mamba_ssm' cannot be used.*scan_backend='auto'"
    ):
        small("STM3Forecaster", scan_backend="mamba_ssm", device="cpu").fit(X)


def test_sums_in_any_order_are_refused_where_bits_are_promised(monkeypatch):
    monkeypatch.setattr(scan, "backend_problem", lambda backend, device: "")
    with pytest.raises(ParameterError, match="deterministic=True"):
        small("S2TXForecaster", scan_backend="mamba_ssm", deterministic=True).fit(X)


def test_a_model_opens_where_its_backend_cannot_run(monkeypatch, tmp_path):
    model = small("STMambaForecaster", scan_backend="chunked").fit(X)
    model.save(tmp_path / "model.safetensors")
    pickled = pickle.dumps(model)
    monkeypatch.setattr(
        scan, "backend_problem", lambda backend, device: "" if backend == "auto" else "not here"
    )
    for opened in (lambda: stmest.load(tmp_path / "model.safetensors"), lambda: pickle.loads(pickled)):
        with pytest.warns(RuntimeWarning, match="scan_backend='chunked' cannot be used here: not here"):
            same = opened()
        assert same.scan_backend == "auto"
        np.testing.assert_allclose(same.predict(), model.predict(), atol=1e-4 * X.std())
        assert isinstance(same.device_, torch.device)
