"""Progress: one line that is rewritten where that is possible, a line per epoch elsewhere, silence with verbose=0."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from stmest.training.progress import StatusLine
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


@pytest.mark.parametrize("kind", [Terminal, Cell])
def test_a_terminal_and_a_notebook_get_one_line_that_is_rewritten(X, monkeypatch, kind):
    text = _fit(X, monkeypatch, kind(), verbose=1)
    assert text.count("\n") == 1
    assert text.endswith("\n")
    shown = text.rstrip("\n").split("\r")
    assert sum("batch" not in state for state in shown if state) == 3
    assert "batch 1/" in shown[1]
    assert shown[-1].startswith("epoch   3/3  train ")


@pytest.mark.parametrize("kind", [Terminal, Cell, io.StringIO])
def test_nothing_is_written_unless_asked_for(X, monkeypatch, kind):
    assert _fit(X, monkeypatch, kind()) == ""


def test_a_shorter_text_leaves_nothing_of_the_longer_one(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    line = StatusLine()
    line.step("a long text")
    line.step("short")
    line.close()
    assert sys.stdout.getvalue() == "\ra long text\rshort      \n"


def test_a_text_wider_than_the_terminal_is_cut(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setattr(sys, "stdout", Terminal())
    StatusLine().step("x" * 50)
    assert sys.stdout.getvalue() == "\r" + 19 * "x"


def test_updates_in_quick_succession_are_left_out(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    line = StatusLine()
    for i in range(1000):
        line.update(str(i))
    assert sys.stdout.getvalue().startswith("\r0")
    assert sys.stdout.getvalue().count("\r") < 100
