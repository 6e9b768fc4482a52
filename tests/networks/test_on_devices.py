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
from tests.ops.cuda_packages import install, packages
from tests.pretended_device import pretended_device

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


PLACES = [("cuda", "chunked"), ("cuda", "mamba_ssm"), ("mps", "chunked")]
TRIALS = [
    (case, *place)
    for case, (kind, _) in CASES.items()
    for place in PLACES
    if place[1] == "chunked" or "scan_backend" in inspect.signature(kind).parameters
]


@pytest.fixture
def packages_there(monkeypatch):
    """Puts the stand-ins of the CUDA packages there, or none."""
    backends.forget_probes()
    yield lambda there: install(monkeypatch, packages() if there else {})
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
def test_networks_give_the_numbers_of_the_cpu(case, device, scan, packages_there):
    packages_there(scan == "mamba_ssm")
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
