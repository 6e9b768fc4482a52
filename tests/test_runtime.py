"""The switches that belong to the whole process come back as they were."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from stmest.exceptions import DeviceError
from stmest.ops import backends, causal_conv
from stmest.ops.selective_scan import choose_backend
from stmest.runtime import deterministic_algorithms

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def switches():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.benchmark,
    )


@pytest.mark.parametrize("before", [(False, False, False), (True, True, False), (True, False, True)])
def test_the_switches_of_the_caller_come_back(before):
    original = switches()
    try:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = before[2]
        with deterministic_algorithms(False, CPU):
            assert switches() == before
        with deterministic_algorithms(True, CPU):
            assert switches() == (True, False, False)
        assert switches() == before
        with pytest.raises(ZeroDivisionError), deterministic_algorithms(True, CPU):
            1 / 0
        assert switches() == before
    finally:
        torch.use_deterministic_algorithms(original[0], warn_only=original[1])
        torch.backends.cudnn.benchmark = original[2]


def test_on_cuda_cublas_must_have_been_told(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with (
        pytest.raises(DeviceError, match="CUBLAS_WORKSPACE_CONFIG=:4096:8"),
        deterministic_algorithms(True, GPU),
    ):
        pass
    with deterministic_algorithms(False, GPU):
        pass
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with deterministic_algorithms(True, GPU):
        assert torch.are_deterministic_algorithms_enabled()


def test_kernels_that_sum_in_any_order_are_left_out(monkeypatch):
    """What would be chosen on a CUDA device where the fused kernels import."""
    monkeypatch.setattr(backends, "cuda_problem", lambda package: "")
    x = SimpleNamespace(device=GPU, dtype=torch.float32)
    assert choose_backend(x).name == "mamba_ssm"
    assert causal_conv._choose("cuda", torch.float32, 4) == "causal_conv1d"
    with deterministic_algorithms(True, CPU):
        assert choose_backend(x).name == "chunked"
        assert causal_conv._choose("cuda", torch.float32, 4) == "torch"
