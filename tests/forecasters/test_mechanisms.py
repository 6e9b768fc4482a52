"""Each mechanism acts: small forms of the tasks of benchmarks/mechanisms.py, with the mechanism and without it.

An error of 1 is that of the mean. The bounds lie between what was measured with the mechanism and without it, far from both.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parent.parent.parent / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def run(monkeypatch):
    """Result of a variant of a case on a small form of its task."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import _mechanism_tasks
    import mechanisms

    def result(name, told, task, sizes, **changes):
        case = mechanisms.CASES[name]
        small = replace(case, task=lambda seed: getattr(_mechanism_tasks, task)(seed, **sizes))
        return mechanisms.run(small, case.variants[told], 0, **changes)

    return result


def test_stm3_finds_influence_along_the_graph(run):
    """What comes are the squares of two nodes: neither the node's own past nor the mean of the two tells them."""
    small = ("upstream", {"n_times": 800, "n_followers": 1})
    assert run("stm3-graph", "whole", *small, d_state=4, max_epochs=10)["error"] < 0.6
    assert run("stm3-graph", "head alone", *small, max_epochs=10)["error"] > 0.75
    assert run("stm3-graph", "no graph", *small, max_epochs=2)["error"] > 0.9


@pytest.mark.slow
def test_stm3_learns_the_graph_from_a_random_start(run):
    found = run("stm3-learned", "whole", "upstream", {"n_times": 700, "squares": False}, d_state=4)
    assert found["graph_auc"] > 0.9
    assert found["error"] < 0.3


@pytest.mark.slow
def test_scales_of_stm3(run):
    small = ("two_time_scales", {"n_nodes": 2, "swing": True})
    assert run("stm3-scales", "whole", *small)["error"] < 0.18
    assert run("stm3-scales", "one scale of the same width", *small)["error"] > 0.18


def test_routing_finds_the_kinds_of_nodes(run):
    small = ("kinds_of_nodes", {"n_times": 500})
    by_node = run("stm3-experts", "whole", *small, max_epochs=3)
    assert by_node["kinds_ari"] > 0.8
    assert by_node["unusual"] == 0
    assert run("stm3-experts", "routing by input", *small, max_epochs=3)["unusual"] > 0.02


def test_s2tx_looks_beyond_its_local_window(run):
    small = ("old_cycle", {"n_times": 700, "n_nodes": 2})
    assert run("s2tx-cross", "whole", *small, max_epochs=10, d_state=4)["error"] < 0.4
    assert run("s2tx-cross", "no cross-attention", *small, max_epochs=4)["error"] > 0.8


@pytest.mark.slow
def test_mamba_of_mad_carries_a_wave_across_the_field(run):
    carried = run("mad-mamba", "whole", "wave", {})
    assert carried["moved"] > 0.05
    assert carried["error"] < 0.65  # without Mamba 0.71


def test_mamba_of_stmamba_remembers_beyond_its_convolution(run):
    small = ("last_event", {"n_times": 800, "n_pairs": 2})
    assert run("stmamba-mamba", "whole", *small)["error"] < 0.5
    assert run("stmamba-mamba", "no Mamba", *small, max_epochs=4)["error"] > 0.9


@pytest.mark.slow
def test_stmamba_needs_both_space_and_time(run):
    small = ("last_event", {"n_pairs": 1, "apart": True})
    assert run("stmamba-both", "whole", *small, d_state=8, max_epochs=15)["error"] < 0.6
    assert run("stmamba-both", "time only", *small, max_epochs=3)["error"] > 0.9
    assert run("stmamba-both", "space only", *small, max_epochs=3)["error"] > 0.9


def test_stmamba_learns_the_graph(run):
    small = ("upstream", {"n_times": 600, "squares": False})
    found = run("stmamba-learned", "whole", *small, d_model=8, n_layers=1, d_state=4, max_epochs=8)
    assert found["graph_auc"] > 0.85
    assert found["error"] < 0.7
