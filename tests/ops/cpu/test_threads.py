"""Every part runs once, whoever runs it, and nothing is left running."""

import threading
import time

import pytest
import torch

from stmest.ops.cpu.threads import run_parts


@pytest.fixture(params=[1, 2, 5])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("n_parts", [0, 1, 3, 32, 1000])
def test_every_part_runs_once(threads, n_parts):
    done = []
    run_parts(n_parts, 4, lambda first, last, scratch: done.extend(range(first, last)))
    assert sorted(done) == list(range(n_parts))


def test_threads_have_scratch_memory_of_their_own(threads):
    used = {}

    def work(first, last, scratch):
        used.setdefault(threading.get_ident(), set()).add(scratch)
        time.sleep(0.001)

    run_parts(64, 16, work)
    assert all(len(places) == 1 for places in used.values())
    assert len(set.union(*used.values())) == len(used)
    assert len(used) <= threads


def test_who_is_held_up_does_less():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    parts = {}

    def work(first, last, scratch):
        mine = threading.current_thread() is threading.main_thread()
        parts[mine] = parts.get(mine, 0) + last - first
        time.sleep((last - first) * (0.001 if mine else 0.02))

    try:
        run_parts(40, 1, work)
    finally:
        torch.set_num_threads(before)
    assert parts[True] > 20


@pytest.mark.parametrize("where", [0, 31])
def test_an_error_stops_the_others_and_arrives(threads, where):
    running = []

    def work(first, last, scratch):
        running.append(1)
        try:
            if first <= where < last:
                raise ValueError("part lost")
            time.sleep(0.002)
        finally:
            running.pop()

    with pytest.raises(ValueError, match="part lost"):
        run_parts(32, 1, work)
    assert not running
