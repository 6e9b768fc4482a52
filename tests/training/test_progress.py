"""Progress: one line that is rewritten where that is possible, a line per epoch elsewhere, silence with verbose=0."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from skorch.history import History

from stmest.training.callbacks import BestWeights
from stmest.training.progress import Progress
from tests.forecasters.tiny import TinyForecaster


class Terminal(io.StringIO):
    """What a terminal is to a program."""

    def isatty(self):
        return True


class Cell(io.StringIO):
    """What the output of a notebook's cell is to a program."""

    __module__ = "ipykernel.iostream"


@pytest.fixture
def X():
    return np.sin(np.arange(300)[:, None] / 4 + np.arange(3))


def _fit(X, monkeypatch, stream, **parameters):
    monkeypatch.setattr(sys, "stdout", stream)
    TinyForecaster(max_epochs=3, random_state=0, **parameters).fit(X)
    return stream.getvalue()


def test_a_file_gets_a_line_per_epoch(X, monkeypatch):
    lines = _fit(X, monkeypatch, io.StringIO(), verbose=1).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("epoch   1/3  train ")
    assert all(word in lines[1] for word in ("valid", "best", " s  ", "left"))
    assert lines[2].endswith("at most 0 s left")


def test_of_several_members_it_says_which_is_trained(X, monkeypatch):
    lines = _fit(X, monkeypatch, io.StringIO(), verbose=1, n_members=2).splitlines()
    assert len(lines) == 6
    assert lines[0].startswith("member 1/2  epoch   1/3  train ")
    assert lines[3].startswith("member 2/2  epoch   1/3  train ")
    assert lines[5].endswith("at most 0 s left")


def test_the_time_left_includes_the_members_after_it(capsys):
    net = SimpleNamespace(
        batch_size=1,
        max_epochs=3,
        history=History([{"epoch": 1, "train_loss": 1.0, "dur": 10.0, "batches": []}]),
    )
    progress = Progress(BestWeights(), member=0, n_members=2)
    progress.on_train_begin(net, X=[0])
    progress.on_epoch_end(net)
    assert "at most 50 s left" in capsys.readouterr().out


@pytest.mark.parametrize("kind", [Terminal, Cell])
def test_a_terminal_and_a_notebook_get_one_line_that_is_rewritten(X, monkeypatch, kind):
    text = _fit(X, monkeypatch, kind(), verbose=1)
    assert text.count("\n") == 1
    assert text.endswith("\n")
    shown = text.rstrip("\n").split("\r")
    assert [i for i in (1, 2, 3) if any(state.startswith(f"epoch   {i}/3 ") for state in shown)] == [1, 2, 3]
    assert shown[-1].startswith("epoch   3/3 #")  # the bar is full
    assert all(word in shown[-1] for word in ("train ", "valid ", "best ", "at most 0 s left"))


def test_a_text_wider_than_the_terminal_is_cut(X, monkeypatch):
    monkeypatch.setenv("COLUMNS", "41")
    text = _fit(X, monkeypatch, Terminal(), verbose=1)
    assert max(map(len, text.rstrip("\n").split("\r"))) == 40


def test_batches_in_quick_succession_are_left_out(X, monkeypatch):
    text = _fit(X, monkeypatch, Terminal(), verbose=1, batch_size=1, input_length=2, horizon=1)
    assert text.count("\r") < 100  # of about 800 batches


@pytest.mark.parametrize("kind", [Terminal, Cell, io.StringIO])
def test_nothing_is_written_unless_asked_for(X, monkeypatch, kind):
    assert _fit(X, monkeypatch, kind()) == ""
