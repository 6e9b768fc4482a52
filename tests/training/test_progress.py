"""Progress: one line that is rewritten where that is possible, a line per epoch elsewhere, silence with verbose=0."""

from __future__ import annotations

import io
import re
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from skorch.callbacks import Callback
from skorch.history import History

from stmest.ops.announcements import announce_once
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
    assert len(lines) == 4
    assert re.fullmatch(r"epoch   0/3  valid \d\.\d{4}  the linear forecast", lines[0])
    assert lines[1].startswith("epoch   1/3  train ")
    assert all(word in lines[2] for word in ("valid", "best", " (epoch ", " s"))
    assert lines[3].endswith(" s")  # the last epoch: nothing is left to stop


def test_of_several_members_it_says_which_is_trained(X, monkeypatch):
    lines = _fit(X, monkeypatch, io.StringIO(), verbose=1, n_members=2).splitlines()
    assert len(lines) == 8
    assert lines[0].startswith("member 1/2  epoch   0/3  valid ")
    assert lines[1].startswith("member 1/2  epoch   1/3  train ")
    assert lines[5].startswith("member 2/2  epoch   1/3  train ")


def _epochs(text):
    """Epoch, validation loss, best loss, its epoch, and the words on stopping, of each line."""
    found = re.findall(
        r"epoch +(\d+)/\d+.*valid (\S+)(?:  best (\S+) \(epoch (\d+)\))?(?:  \S+ s)?(?:  (.*))?", text
    )
    return [(int(epoch), float(valid), best, lowest, words) for epoch, valid, best, lowest, words in found]


@pytest.mark.parametrize("patience", [1, 4])
@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("linear_skip", [True, False])
def test_best_is_the_least_loss_so_far_and_training_stops_when_it_says(
    X, monkeypatch, patience, noise, linear_skip
):
    X = X + noise * np.random.default_rng(0).normal(size=X.shape)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    model = TinyForecaster(
        max_epochs=12,
        patience=patience,
        random_state=0,
        verbose=1,
        linear_skip=linear_skip,
        learning_rate=0.05,
    ).fit(X)
    rows = _epochs(sys.stdout.getvalue())
    assert [epoch for epoch, *_ in rows] == list(range(model.n_iter_ + 1))
    assert rows[0][-1] == ("the linear forecast" if linear_skip else "before training")
    losses = [valid for _, valid, *_ in rows]
    exact = np.array([losses[0], *model.history_["valid_loss"]])
    for epoch, _, best, lowest, words in rows[1:]:
        assert float(best) == min(losses[: epoch + 1])
        assert losses[int(lowest)] == float(best)
        if words == "no more gain: stops":
            assert epoch == model.n_iter_
        else:
            assert epoch < model.n_iter_ or epoch == 12
        waits = re.fullmatch(r"stops after (\d+) more without gain", words)
        later = model.history_["valid_loss"][epoch:]
        if waits and not (later < exact[: epoch + 1].min()).any() and model.n_iter_ < 12:
            # the first epoch is always taken as better than none
            assert model.n_iter_ - epoch in {int(waits[1]), int(waits[1]) + (epoch == 1)}


def test_without_patience_it_says_the_time_left_with_the_members_after_it(capsys):
    net = SimpleNamespace(
        batch_size=1,
        max_epochs=3,
        history=History([{"epoch": 1, "train_loss": 1.0, "dur": 10.0, "batches": []}]),
    )
    best = BestWeights()
    best._starts_at_zero, best.best_epoch_, best.best_loss_ = False, 0, None
    progress = Progress(best, member=0, n_members=2)
    progress.on_train_begin(net, X=[0])
    progress.on_epoch_end(net)
    assert "50 s left" in capsys.readouterr().out


@pytest.mark.parametrize("kind", [Terminal, Cell])
def test_a_terminal_and_a_notebook_get_one_line_that_is_rewritten(X, monkeypatch, kind):
    text = _fit(X, monkeypatch, kind(), verbose=1)
    assert text.count("\n") == 2  # the linear forecast, and the line of the epochs
    assert text.endswith("\n")
    shown = text.rstrip("\n").split("\r")
    assert any("the linear forecast" in state for state in shown)
    assert [i for i in (1, 2, 3) if any(state.startswith(f"epoch   {i}/3 ") for state in shown)] == [1, 2, 3]
    assert shown[-1].startswith("epoch   3/3 #")  # the bar is full
    assert all(word in shown[-1] for word in ("train ", "valid ", "best ", " (epoch "))


def test_a_text_wider_than_the_terminal_is_cut(X, monkeypatch):
    monkeypatch.setenv("COLUMNS", "41")
    text = _fit(X, monkeypatch, Terminal(), verbose=1)
    rewritten = text.rstrip("\n").split("\n")[-1]
    assert max(map(len, rewritten.split("\r"))) == 40


def test_batches_in_quick_succession_are_left_out(X, monkeypatch):
    start = time.perf_counter()
    text = _fit(X, monkeypatch, Terminal(), verbose=1, batch_size=1, input_length=2, horizon=1)
    seconds = time.perf_counter() - start
    assert (
        text.count("\r") < 30 + 10 * seconds
    )  # of about 800 batches: ten a second, on a machine of any speed


@pytest.mark.parametrize("kind", [Terminal, Cell, io.StringIO])
def test_nothing_is_written_unless_asked_for(X, monkeypatch, kind):
    assert _fit(X, monkeypatch, kind()) == ""


@pytest.mark.parametrize("asked", [True, False])
def test_it_says_once_that_kernels_are_compiled_while_it_waits_for_them(X, monkeypatch, asked):
    class Compiling(Callback):
        def on_batch_begin(self, net, **kwargs):
            announce_once()

    text = _fit(X, monkeypatch, io.StringIO(), verbose=int(asked), callbacks=[Compiling()])
    assert text.count("compiling kernels, once\n") == asked
    announce_once()
    assert sys.stdout.getvalue() == text  # nobody asks once the training is over
