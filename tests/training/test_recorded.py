"""Recorded training steps, with a stand-in for CUDA graphs that does the work again at a replay."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch
from torch import nn

from stmest.runtime import seeded
from stmest.training import recorded
from stmest.training.engine import ForecastNet
from stmest.training.recorded import RecordedSteps
from tests.forecasters.tiny import TinyForecaster


@pytest.fixture
def graphs(monkeypatch):
    """Put a stand-in in the place of CUDA graphs; return those made."""
    made = []

    class Graph:
        def __init__(self):
            self.generators, self.replays = [], 0
            made.append(self)

        def register_generator_state(self, generator):
            self.generators.append(generator)

        def replay(self):
            self.replays += 1

    class Recorded(recorded._Recorded):
        def __init__(self, network, compute, inputs, target):
            super().__init__(network, compute, inputs, target)
            self.network, self.compute = network, compute

        def replay(self, inputs, target):
            losses = super().replay(inputs, target)
            with torch.enable_grad():
                again = self.compute(self.inputs, self.target)
                gradients = torch.autograd.grad(again[0], [p for p, _ in self.gradients])
            for (_, kept), gradient in zip(self.gradients, gradients, strict=True):
                kept.copy_(gradient)
            with torch.no_grad():
                losses[0].copy_(again[0])
                losses[1].copy_(again[1])
                for name, term in losses[2].items():
                    term.copy_(again[2][name])
            return losses

    @contextlib.contextmanager
    def graph(which, capture_error_mode):
        assert capture_error_mode == "thread_local"
        yield

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(recorded, "_Recorded", Recorded)
    return made


def steps(network):
    def compute(inputs, target):
        forecast = network(inputs["x"])
        return (forecast - target).abs().mean(), forecast, {"size": forecast.square().mean()}

    return RecordedSteps(network, compute), compute


def batch(n_windows=4):
    return {"x": torch.randn(n_windows, 3)}, torch.randn(n_windows, 2)


def test_the_fourth_step_of_a_shape_is_recorded(graphs):
    step = steps(nn.Linear(3, 2))[0].step
    assert [step(*batch()) is None for _ in range(5)] == [True, True, True, False, False]
    assert [step(*batch(2)) is None for _ in range(4)] == [
        True,
        True,
        True,
        False,
    ]  # the last batch of an epoch
    assert step(*batch()) is not None
    assert [graph.replays for graph in graphs] == [3, 1]


def test_a_replay_gives_the_losses_and_gradients_of_its_own_batch(graphs):
    network = nn.Linear(3, 2)
    recorder, compute = steps(network)
    for _ in range(5):
        recorder.step(*batch())
    for _ in range(2):
        inputs, target = batch()
        network.zero_grad(set_to_none=True)
        loss, forecast, terms = recorder.step(inputs, target)
        gradients = [p.grad.clone() for p in network.parameters()]
        network.zero_grad(set_to_none=True)
        wanted, wanted_forecast, wanted_terms = compute(inputs, target)
        wanted.backward()
        torch.testing.assert_close(loss, wanted)
        torch.testing.assert_close(forecast, wanted_forecast)
        torch.testing.assert_close(terms, wanted_terms)
        for gradient, parameter in zip(gradients, network.parameters(), strict=True):
            torch.testing.assert_close(gradient, parameter.grad)


def test_parameters_that_are_thawed_are_recorded_anew(graphs):
    network = nn.Linear(3, 2)
    network.bias.requires_grad_(False)
    recorder, _ = steps(network)
    for _ in range(4):
        recorder.step(*batch())
    network.bias.requires_grad_(True)
    assert recorder.step(*batch()) is None
    assert [recorder.step(*batch()) is None for _ in range(3)] == [True, True, False]
    assert network.bias.grad is not None


def test_what_cannot_be_recorded_goes_on_as_before(graphs, monkeypatch):
    states = []

    class Generator:
        def clone_state(self):
            return "before"

        def graphsafe_set_state(self, state):
            states.append(state)

    def refuse(*inputs):
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(torch.cuda, "default_generators", (Generator(),))

    monkeypatch.setattr(recorded, "_Recorded", refuse)
    recorder, _ = steps(nn.Linear(3, 2))
    assert [recorder.step(*batch()) for _ in range(6)] == [None] * 6
    assert recorder.obstacle == "operation not permitted when stream is capturing"
    assert states == ["before"]


def test_the_generator_of_a_fit_is_told_to_the_graph(graphs):
    recorder, _ = steps(nn.Linear(3, 2))
    with seeded(0) as numbers:
        for _ in range(4):
            recorder.step(*batch())
        assert graphs[0].generators == [numbers.on(torch.device("cpu"))]


def test_a_forecaster_trains_the_same_with_recorded_steps(graphs, monkeypatch):
    X = np.random.default_rng(0).normal(size=(120, 3)).astype(np.float32)
    settings = {"max_epochs": 3, "batch_size": 16, "size_weight": 0.1, "random_state": 0, "device": "cpu"}
    ordinary = TinyForecaster(**settings).fit(X)
    monkeypatch.setattr(ForecastNet, "_recorded_steps", lambda net: RecordedSteps(net.module_, net._compute))
    replayed = TinyForecaster(**settings).fit(X)
    assert sum(graph.replays for graph in graphs) > 5
    np.testing.assert_array_equal(replayed.predict(X[-8:]), ordinary.predict(X[-8:]))
    assert replayed.history_.drop(columns="seconds").equals(ordinary.history_.drop(columns="seconds"))
