"""The benchmark of fields: scores what it says, stores every run, and goes on where it stopped."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import pytest

from stmest import LastValue, make_navier_stokes

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
SMALL = ["--trajectories", "5", "--resolution", "32", "--epochs", "1", "--rows", "200", "--device", "cpu"]


@pytest.fixture
def main(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import _common
    import accuracy_fields

    monkeypatch.setattr(_common, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["accuracy_fields.py", *SMALL, *arguments])
        accuracy_fields.main()
        return json.loads((tmp_path / "results/accuracy_fields.json").read_text())["runs"]

    return run


def test_flows_are_scored_on_the_second_half_of_the_last_ones(main, capsys):
    runs = main("--tasks", "navier_stokes", "--models", "last-value,ridge,unet,unet-plain", "--costs", "")
    keys = [f"navier_stokes|{name}|0" for name in ("last-value", "ridge", "unet", "unet-plain")]
    assert list(runs) == keys
    X = make_navier_stokes(5, 32, refinement=1, random_state=0, device="cpu")
    truth, forecast = X[4, 10:], LastValue(horizon=10).fit(X[:4]).predict(X[4, :10])
    assert runs[keys[0]]["MSE"] == pytest.approx(((truth - forecast) ** 2).mean(), rel=1e-4)
    assert runs[keys[0]]["data_range"] == pytest.approx(X[:4].max() - X[:4].min(), rel=1e-5)
    assert len(runs[keys[0]]["mse_by_step"]) == 10
    assert runs[keys[2]]["settings"]["linear_skip"] == "True"
    assert runs[keys[3]]["settings"]["linear_skip"] == "False"
    assert "navier_stokes: unet-plain" in capsys.readouterr().out
    main("--tasks", "navier_stokes", "--models", "last-value,mean-profile", "--costs", "")
    assert "navier_stokes|" not in capsys.readouterr().out  # stored, and without the cycle of a day


def test_costs_of_a_step(main):
    runs = main("--tasks", "", "--costs", "unet", "--cost-size", "16", "--cost-batch", "2")
    (cost,) = runs.values()
    assert cost["parameters"] > 1000
    assert cost["seconds_per_step"] > 0
    # the first convolution alone: 2 operations, 3 x 3 window, 10 frames in, 16 channels out, 16 x 16 cells, 2 windows
    assert cost["forward_gflops"] > 2 * 9 * 10 * 16 * 256 * 2 / 1e9


@pytest.mark.skipif(
    not os.environ.get("STMEST_DATA"), reason="STMEST_DATA does not name the folder of real data"
)
def test_temperature_is_rolled_out(main):
    runs = main("--tasks", "era5", "--models", "last-value,ridge", "--costs", "")
    ridge, last = runs["era5|ridge|0"], runs["era5|last-value|0"]
    assert ridge["windows"] == last["windows"] == 40 - 12 + 1
    assert len(ridge["rollout_mse_by_step"]) == 40
    assert ridge["mse_to_10"] < last["mse_to_10"]
