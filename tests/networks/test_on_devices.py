"""Every network, forwards and backwards, on CUDA and MPS: pretended devices, with stand-ins for the CUDA packages and without."""

from __future__ import annotations

import inspect

import pytest
import torch

from stmest.networks.s2tx import S2TXNetwork
from stmest.networks.stm3 import STM3Network
from stmest.networks.stmamba import STMambaNetwork
from stmest.ops import backends, choose_backend
from tests.networks.cases import ADJACENCY, SETTINGS, build, shaken, windows
from tests.ops import triton_kernels
from tests.ops.cuda_packages import install, packages
from tests.pretended_device import nothing_waits, pretended_device

ALL = {"adjacency": ADJACENCY, "dropout": 0.2, "n_time_features": 2, "older": (4, 3)}
CASES = {
    **{kind.__name__: (kind, {}) for kind in SETTINGS},
    "S2TX, the second feature": (S2TXNetwork, {"n_inputs": 2, "target_channels": [1]}),
    "STM2": (STM3Network, {"n_experts": 0}),
    "STM3, all parts": (STM3Network, {**ALL, "contrastive": True, "top_k": 2}),
    "STM3, input routing": (STM3Network, {"routing": "input", "instance_norm": True}),
    "STMamba, given graph": (STMambaNetwork, ALL),
    "STMamba, dense": (STMambaNetwork, {"adjacency": ADJACENCY, "attention_backend": "dense", "bidirectional": True}),
}  # fmt: skip


PLACES = [("cuda", "chunked"), ("cuda", "mamba_ssm"), ("cuda", "triton"), ("mps", "chunked")]
TRIALS = [
    (case, *place)
    for case, (kind, _) in CASES.items()
    for place in PLACES
    if place[1] == "chunked" or "scan_backend" in inspect.signature(kind).parameters
]


@pytest.fixture
def scan_there(monkeypatch):
    """Puts the stand-ins of what a backend of the scan needs on CUDA there."""

    def put(scan):
        install(monkeypatch, packages() if scan == "mamba_ssm" else {})
        if scan == "triton":
            triton_kernels.put(monkeypatch)

    backends.forget_probes()
    yield put
    backends.forget_probes()


def _inputs(network):
    x, time = windows(network)
    inputs = {"x": x, "time": time}
    if getattr(network, "older", None) is not None:
        steps = 2 * network.older.patch
        inputs["older"] = torch.randn(
            len(x), steps, network.n_nodes, 4, generator=torch.Generator().manual_seed(3)
        )
        inputs["older_time"] = None if time is None else torch.randn(len(x), steps, time.shape[2])
    return {name: value for name, value in inputs.items() if value is not None}


def _gradients(network, inputs):
    forecast, auxiliary = network(**inputs)
    (forecast.square().mean() + sum(auxiliary.values())).backward()
    return forecast.detach(), {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(("case", "device", "scan"), TRIALS)
def test_networks_give_the_numbers_of_the_cpu(case, device, scan, scan_there):
    scan_there(scan)
    kind, changes = CASES[case]
    network = shaken(build(kind, **changes)).eval()
    inputs = _inputs(network)
    wanted, gradients = _gradients(network, inputs)
    network.zero_grad(set_to_none=True)
    with pretended_device(device) as there:
        network.to(device)
        assert choose_backend(next(network.parameters())).name == scan
        found, moved = _gradients(network, {name: value.to(device) for name, value in inputs.items()})
        assert found.device == there
        torch.testing.assert_close(found.cpu(), wanted, rtol=1e-3, atol=1e-4)
        assert moved.keys() == gradients.keys()
        for name, gradient in gradients.items():
            size = gradient.abs().max().clamp(min=1.0)
            torch.testing.assert_close(
                moved[name].cpu() / size, gradient / size, rtol=1e-3, atol=1e-4, msg=name
            )


@pytest.mark.parametrize("case", ["STM3, all parts", "STMamba, given graph"])
def test_what_is_drawn_in_training_is_on_the_device(case):
    kind, changes = CASES[case]
    network = shaken(build(kind, **changes))
    with pretended_device() as there:
        network.to("cuda")
        forecast, _ = _gradients(network, {name: v.to("cuda") for name, v in _inputs(network).items()})
        assert forecast.device == there
        assert forecast.cpu().isfinite().all()


@pytest.mark.parametrize("case", CASES)
def test_a_training_step_on_cuda_waits_for_nothing(case, scan_there):
    """So that it can be recorded."""
    scan_there("triton")
    kind, changes = CASES[case]
    network = shaken(build(kind, **changes))
    with pretended_device("cuda"):
        network.to("cuda")
        inputs = {name: value.to("cuda") for name, value in _inputs(network).items()}
        with nothing_waits():
            _gradients(network, inputs)


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: x[..., [0]],
        lambda x: x.nonzero(),
        lambda x: x + torch.ones(2, 3).to("cuda"),
        lambda x: x.copy_(torch.ones(2, 3)),
    ],
)
def test_waiting_is_found(wait):
    with pretended_device("cuda"):
        x = torch.ones(2, 3).to("cuda")
        wait(x)
        with nothing_waits(), pytest.raises(RuntimeError, match=r"waits for|moves a tensor to"):
            wait(x)
