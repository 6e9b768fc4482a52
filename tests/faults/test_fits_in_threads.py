"""Fits in several threads, beside a thread that draws random numbers: each gives its own bits, and disturbs nobody."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from stmest.runtime import deterministic_algorithms, random_generator, seeded
from tests.faults.test_same_seed import fitted, state

CPU = torch.device("cpu")
WITH_DROPOUT = ("STM3Forecaster", "S2TXForecaster", "STMambaForecaster", "STIDForecaster")


@pytest.fixture(autouse=True)
def believed():
    """Threads share what is patched: here all networks are believed as usual."""


def _fit(name):
    parameters = {"node_dropout": 0.2} if name in ("STM3Forecaster", "STMambaForecaster") else {}
    return state(fitted(name, patience=None, max_epochs=3, **parameters))


class Drawing(threading.Thread):
    """Draws from torch's own generator until it is told to end."""

    def __init__(self):
        super().__init__()
        self.drawn, self.ended = [], threading.Event()

    def run(self):
        while not self.ended.is_set():
            self.drawn.append(torch.rand(1).item())

    def __enter__(self):
        self.start()
        return self.drawn

    def __exit__(self, *error):
        self.ended.set()
        self.join()


def test_two_fits_at_a_time_give_the_bits_of_one_after_the_other():
    with ThreadPoolExecutor(1) as alone:
        wanted = list(alone.map(_fit, WITH_DROPOUT))
    torch.manual_seed(5)
    with Drawing() as drawn, ThreadPoolExecutor(2) as both:
        assert list(both.map(_fit, WITH_DROPOUT)) == wanted
    torch.manual_seed(5)
    assert [torch.rand(1).item() for _ in drawn] == drawn


def test_generators_belong_to_a_thread():
    assert random_generator(CPU) is None
    with seeded(3):
        outer = torch.rand(2, generator=random_generator(CPU))
        with ThreadPoolExecutor(1) as other:
            assert other.submit(random_generator, CPU).result() is None
        with seeded(3):
            assert torch.equal(torch.rand(2, generator=random_generator(CPU)), outer)
        rest = torch.rand(2, generator=random_generator(CPU))
    assert random_generator(CPU) is None
    torch.manual_seed(3)
    assert torch.equal(torch.rand(4), torch.cat([outer, rest]))


def test_the_deterministic_switch_goes_back_with_the_last_block():
    first, second = deterministic_algorithms(True, CPU), deterministic_algorithms(True, CPU)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert torch.are_deterministic_algorithms_enabled()
    second.__exit__(None, None, None)
    assert not torch.are_deterministic_algorithms_enabled()
