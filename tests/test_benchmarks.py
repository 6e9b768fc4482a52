"""What the accuracy benchmark stores: goes on where it stopped, shares its file, and keeps enough for its tests."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stmest import LastValue
from stmest.data.containers import as_panel

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
QUICK = ["--tasks", "simulated", "--models", "last-value,naive-day", "--results", "quick"]


@pytest.fixture
def panels(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import _common
    import accuracy_panels

    monkeypatch.setattr(_common, "RESULTS", tmp_path)
    return accuracy_panels


def _main(panels, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["accuracy_panels.py", *arguments])
    panels.main()


def test_runs_are_stored_and_not_run_again_unless_asked_for(panels, monkeypatch, tmp_path, capsys):
    _main(panels, monkeypatch, *QUICK)
    first = capsys.readouterr().out
    assert "simulated|last-value|0" in first
    assert "simulated sensor network, true graph given; 24 -> 12 rows" in first
    stored = json.loads((tmp_path / "quick.json").read_text())
    assert set(stored) == {"machine", "settings", "runs"}
    assert stored["runs"]["simulated|naive-day|0"]["MAE"] == pytest.approx(4.577, abs=0.001)
    _main(panels, monkeypatch, *QUICK)
    assert "simulated|last-value|0" not in capsys.readouterr().out
    _main(
        panels, monkeypatch, "--tasks", "simulated", "--models", "naive-day", "--results", "quick", "--fresh"
    )
    again = capsys.readouterr().out
    assert "simulated|naive-day|0" in again
    assert "simulated|last-value|0" not in again
    assert set(json.loads((tmp_path / "quick.json").read_text())["runs"]) == set(stored["runs"])
    assert [path.name for path in tmp_path.iterdir()] == ["quick.json"]


def test_two_processes_may_share_the_file(panels, tmp_path):
    first, second = panels.Runs("shared", {}), panels.Runs("shared", {})
    first.add("a", {"MAE": 1.0})
    second.add("b", {"MAE": 2.0})
    assert first.finished() == second.finished() == {"a": {"MAE": 1.0}, "b": {"MAE": 2.0}}


def test_errors_by_origin_survive_packing(panels):
    values = np.random.default_rng(0).gamma(2.0, 400.0, size=500)
    values[[3, 7]] = np.nan
    back = panels.unpack(panels.pack(values))
    np.testing.assert_allclose(back, values, rtol=0, atol=np.nanmax(values) / 130_000)
    assert np.isnan(back).sum() == 2
    assert panels.unpack(panels.pack(np.zeros(3))).tolist() == [0.0, 0.0, 0.0]


def test_differences_are_tested_from_what_is_stored(panels):
    rng = np.random.default_rng(0)
    rival = rng.random(300) + 1.0
    runs = {
        "simulated|stid|0": {"MAE": 1.5, "origin_mae": panels.pack(rival)},
        "simulated|stm3|0": {"MAE": 1.3, "origin_mae": panels.pack(rival - 0.2 + 0.1 * rng.random(300))},
        "simulated|stm3|1": {"MAE": 1.3, "origin_mae": panels.pack(rival - 0.2 + 0.1 * rng.random(300))},
    }
    line = panels.differences(runs, ["simulated"]).splitlines()[1]
    assert line.startswith("simulated: stm3 - stid")
    assert line.endswith("better")
    assert panels.differences(runs, ["simulated"], ablations=True) == ""
    runs["simulated|stm3 graph=given|0"] = {"MAE": 1.6, "origin_mae": panels.pack(rival + 0.1)}
    (line,) = panels.differences(runs, ["simulated"], ablations=True).splitlines()[1:]
    assert line.startswith("simulated: stm3 graph=given - stm3 ")
    assert line.endswith("worse")
    assert len(panels.differences(runs, ["simulated"]).splitlines()) == 2


def test_every_task_and_model_has_a_name_that_can_be_asked_for(panels):
    assert panels._names("all", panels.TASKS) == list(panels.TASKS)
    with pytest.raises(SystemExit, match="no 'taxis'"):
        panels._names("taxis", panels.TASKS)


def test_a_task_may_leave_out_rows_between_training_and_test(panels):
    task = replace(panels.load_task("simulated"), train_end=900, test_start=1800)
    entry = panels.run(task, LastValue(horizon=12))
    assert len(panels.unpack(entry["origin_mae"])) == 2016 - 1800 - 12 + 1
    model = panels._learning_before(LastValue(horizon=12), 900)
    X = task.X.iloc[:1800]
    forecast = model.fit(as_panel(X), adj=task.graph).predict()
    np.testing.assert_allclose(forecast[:1], X.iloc[899:900], rtol=1e-6)
    assert type(model).__name__ == "LastValue"


def test_the_level_of_the_falling_network_falls_by_a_third(panels):
    task, before = (panels.load_task(name) for name in ("falling", "simulated"))
    level = (task.X / before.X).mean(axis=1)
    assert level.iloc[:1200].to_numpy() == pytest.approx(1)
    assert level.iloc[-300:].to_numpy() == pytest.approx(2 / 3)
    assert level.is_monotonic_decreasing or level.diff().max() < 1e-9


def test_trees_have_the_windows_of_the_task(panels):
    options = panels.argparse.Namespace(tasks=["falling"], models=["gbt"], ablations=[], epochs=None)
    [(_, _, make, seeded)] = panels.chosen(options)
    model = make(panels.load_task("falling"), 0)
    assert (model.input_length, model.horizon, model.random_state, seeded) == (24, 12, 0, False)
