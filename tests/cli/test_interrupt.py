"""Ctrl-C while forecasters are trained."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from stmest import make_sensor_network
from stmest.cli import interrupt, main
from stmest.cli.interrupt import Interrupted, stoppable


def _press():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to a whole console")
def test_one_ctrl_c_ends_the_training_and_the_command_goes_on(tmp_path):
    X = make_sensor_network(n_nodes=4, n_times=1500, random_state=0).values
    X.to_csv(tmp_path / "x.csv", index_label="time")
    arguments = [
        "report",
        "--data",
        tmp_path / "x.csv",
        "--models",
        "stid,last-value",
        "--horizon",
        3,
        "--out",
        tmp_path,
    ]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "stmest", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if "epoch   2/" in line:
            process.send_signal(signal.SIGINT)
            break
    text, errors = process.communicate(timeout=120)
    assert process.returncode == 0
    row = next(line for line in text.splitlines() if line.startswith("stid "))
    assert "stopped at epoch " in row
    assert "last-value: MAE" in text
    assert "press Ctrl-C again to stop all" in errors
    assert "Traceback" not in errors


def test_a_second_one_within_two_seconds_ends_everything(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(interrupt.time, "monotonic", lambda: now[0])
    with stoppable() as request:
        _press()
        assert request.wanted
        now[0] += 3
        _press()  # too late for a second one: it ends the training that runs now
        now[0] += 1
        with pytest.raises(Interrupted):
            _press()
    assert capsys.readouterr().err.count("press Ctrl-C again") == 2


def test_it_is_exit_code_130_and_no_row_swallows_it(csv, tmp_path, capsys, monkeypatch):
    def interrupted(*args, **kwargs):
        _press()
        _press()

    monkeypatch.setattr("stmest.LastValue.fit", interrupted)
    arguments = ["report", "--data", str(csv), "--models", "last-value,ridge", "--out", str(tmp_path)]
    assert main(arguments) == 130
    assert capsys.readouterr().err.endswith("stmest: interrupted\n")


def test_python_has_its_own_ctrl_c_before_and_after():
    before = signal.default_int_handler
    signal.signal(signal.SIGINT, before)  # a test in the background would inherit that it is ignored
    with stoppable():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        _press()


def test_another_thread_has_no_handler_and_works():
    seen = []

    def work():
        with stoppable() as request:
            seen.append(request.due)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


def test_a_request_is_for_one_forecaster(csv, tmp_path, capsys, monkeypatch):
    from stmest import LastValue

    fit = LastValue.fit

    def pressed(self, *args, **kwargs):
        _press()
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(LastValue, "fit", pressed)
    arguments = ["--models", "last-value,stid", "--max-epochs", "2", "--horizon", "3", "--out", str(tmp_path)]
    assert main(["report", "--data", str(csv), *arguments]) == 0
    assert "stopped at epoch" not in capsys.readouterr().out
