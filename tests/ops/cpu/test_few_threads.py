"""In a block of `few_threads` numpy and short work of torch have one thread, and kernels keep theirs; then all is as before."""

import threading

import numpy as np
import pytest
import torch
from threadpoolctl import ThreadpoolController

from stmest import STM3Forecaster, make_sensor_network
from stmest.ops.cpu.threads import few_threads, run_parts

CPU = torch.device("cpu")
SHORT, LONG = 1 << 16, (1 << 16) + 1


@pytest.fixture(autouse=True)
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    with ThreadpoolController().limit(limits=3, user_api="blas"):
        yield
    torch.set_num_threads(before)


def blas_threads():
    return {library["num_threads"] for library in ThreadpoolController().select(user_api="blas").info()}


def kernel_threads():
    """How many threads share the work of a kernel that waits until so many have come."""
    barrier, seen = threading.Barrier(3), set()

    def work(first, last, scratch):
        barrier.wait(timeout=10)
        seen.add(threading.get_ident())

    run_parts(3, 1, work)
    return len(seen)


@pytest.mark.parametrize(("n_values", "expected"), [(SHORT, 1), (LONG, 3)])
def test_torch_has_one_thread_for_small_batches_and_numpy_for_all(n_values, expected):
    with few_threads(n_values, CPU):
        assert torch.get_num_threads() == expected
        assert blas_threads() <= {1}
        assert kernel_threads() == 3
    assert torch.get_num_threads() == 3
    assert blas_threads() <= {3}


def test_nothing_changes_for_another_device():
    with few_threads(1, torch.device("cuda")):
        assert torch.get_num_threads() == 3
        assert blas_threads() <= {3}


def test_an_error_and_a_block_within_leave_all_as_it_was():
    def fails():
        with few_threads(SHORT, CPU):
            with few_threads(LONG, CPU):
                assert kernel_threads() == 3
            assert torch.get_num_threads() == 1
            assert blas_threads() <= {1}
            raise ValueError("in the block")

    with pytest.raises(ValueError, match="in the block"):
        fails()
    assert torch.get_num_threads() == 3
    assert blas_threads() <= {3}


def test_blocks_that_overlap_in_two_threads_leave_all_as_it_was():
    entered, left = threading.Event(), threading.Event()

    def other():
        with few_threads(SHORT, CPU):
            entered.set()
            left.wait(timeout=10)

    thread = threading.Thread(target=other)
    with few_threads(SHORT, CPU):
        thread.start()
        entered.wait(timeout=10)
        assert blas_threads() <= {1}
    left.set()
    thread.join()
    assert torch.get_num_threads() == 3
    assert blas_threads() <= {3}


def test_training_and_prediction_run_in_such_a_block(monkeypatch):
    X = make_sensor_network(n_nodes=3, n_times=200, random_state=0).values
    model = STM3Forecaster(input_length=12, horizon=3, max_epochs=1, random_state=0)
    forward, seen = model._network_class.forward, []

    def watched(self, *args, **kwargs):
        seen.append((self.training, torch.get_num_threads(), *blas_threads()))
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(model._network_class, "forward", watched)
    forecast = model.fit(X).predict()
    assert {(training, n) for training, n, *_ in seen} == {(True, 1), (False, 1)}
    assert {n for _, _, *blas in seen for n in blas} <= {1}
    assert np.isfinite(forecast).all(axis=None)
    assert torch.get_num_threads() == 3
