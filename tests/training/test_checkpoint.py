"""Killed and resumed: a training that goes on from its checkpoint ends with the bits of an unbroken one."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from stmest.exceptions import ModelFileError, ParameterError, StorageError
from stmest.layers.dropout import Dropout
from stmest.storage import tensor_file
from stmest.storage.tensor_file import read_tensor_file
from stmest.training.checkpoint import fingerprint
from tests.forecasters.small import network_names, small
from tests.forecasters.tiny import TinyForecaster


@dataclass(kw_only=True, eq=False, repr=False)
class DropoutForecaster(TinyForecaster):
    """Draws random numbers in every batch, and has everything to learn."""

    linear_skip: bool = False

    def _build_network(self, predictor, graph):
        network = super()._build_network(predictor, graph)
        network.own = nn.Sequential(Dropout(0.3), network.own)
        return network


class Killed(Exception):
    """What a kill leaves behind, without the kill."""


class KillAt(Callback):
    """Ends the training after some batches, as if the process had gone."""

    def __init__(self, n_batches):
        self.n_batches = n_batches

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            self.n_batches -= 1
            if self.n_batches == 0:
                raise Killed


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    return np.sin(np.arange(200)[:, None] / 4 + np.arange(3)) + 0.1 * rng.normal(size=(200, 3))


def same(first, second):
    """Whether two fitted forecasters agree in every bit of what they learnt and recorded."""
    weights, others = first.network_.state_dict(), second.network_.state_dict()
    timeless = [model.history_.drop(columns="seconds") for model in (first, second)]
    pd.testing.assert_frame_equal(*timeless, check_exact=True)
    assert first.best_epoch_ == second.best_epoch_
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    return True


def killed_and_resumed(model, X, folder, *points, **fit):
    """Fit with kills after so many batches each, then to the end."""
    for point in points:
        with pytest.raises(Killed):
            model.set_params(checkpoint_dir=folder, callbacks=[KillAt(point)]).fit(X, **fit)
        assert not hasattr(model, "network_")
    return model.set_params(callbacks=[KillAt(-1)]).fit(X, **fit)


SETTINGS = {
    "plain": {},
    "one cycle": {"lr_schedule": "one_cycle"},
    "no schedule, no clipping": {"lr_schedule": None, "grad_clip": None},
    "patience": {"patience": 2, "learning_rate": 0.3, "max_epochs": 40},
    "no validation": {"validation_fraction": 0.0},
    "no patience": {"patience": None},
    "auxiliary loss": {"size_weight": 0.1},
    "weight decay": {"weight_decay": 0.1},
    "bfloat16": {"precision": "bfloat16"},
    "linear skip and profile": {"linear_skip": True, "seasonal_profile": 25},
    "no seed": {"random_state": None},
}


@pytest.mark.parametrize("setting", list(SETTINGS))
def test_resumed_is_unbroken(X, tmp_path, setting):
    parameters = {"max_epochs": 8, "random_state": 3, **SETTINGS[setting]}
    seed = parameters["random_state"]
    n_batches = -(-(175 - 5) // 32)
    if seed is None:  # then the only witness is the history of the killed training
        model = DropoutForecaster(**parameters)
        resumed = killed_and_resumed(model, X, tmp_path, 3 * n_batches + 2)
        assert len(resumed.history_) == 8
        return
    unbroken = DropoutForecaster(**parameters, callbacks=[KillAt(-1)]).fit(X)
    for points in ([n_batches + 1], [2 * n_batches, 1, n_batches + 3]):
        folder = tmp_path / str(len(points))
        assert same(killed_and_resumed(DropoutForecaster(**parameters), X, folder, *points), unbroken)


def test_hidden_nodes_are_the_same_after_a_resume(X, tmp_path):
    parameters = {"node_dropout": 0.3, "linear_skip": False, "max_epochs": 3}
    unbroken = small("STM3Forecaster", **parameters, callbacks=[KillAt(-1)]).fit(X)
    assert same(killed_and_resumed(small("STM3Forecaster", **parameters), X, tmp_path, 8), unbroken)


@pytest.mark.parametrize("name", network_names())
def test_every_forecaster_resumes(name, X, tmp_path):
    parameters = {"max_epochs": 4, "batch_size": 32, "checkpoint_dir": None, "patience": 9}
    if "dropout" in small(name).get_params():
        parameters["dropout"] = 0.2
    adjacency = np.eye(3)[[1, 2, 0]]
    unbroken = small(name, **parameters, callbacks=[KillAt(-1)]).fit(X, adj=adjacency)
    resumed = killed_and_resumed(small(name, **parameters), X, tmp_path, 14, adj=adjacency)
    assert same(resumed, unbroken)
    others = {key for key in vars(unbroken) if key.endswith("_")} - {"history_", "network_"}
    for key in others:
        if isinstance(value := getattr(unbroken, key), (np.ndarray, int, float, str)):
            np.testing.assert_array_equal(getattr(resumed, key), value)


class Memory(Callback):
    """A callback of a user that remembers something from epoch to epoch."""

    def on_train_begin(self, net, **kwargs):
        self.seen = []

    def on_epoch_end(self, net, **kwargs):
        self.seen.append(net.history[-1, "train_loss"])

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen = state["seen"]


def test_callbacks_that_can_tell_their_state_take_part(X, tmp_path):
    memory = Memory()
    model = DropoutForecaster(max_epochs=5, random_state=0, checkpoint_dir=tmp_path)
    with pytest.raises(Killed):
        model.set_params(callbacks=[memory, KillAt(20)]).fit(X)
    model.set_params(callbacks=[memory, KillAt(-1)]).fit(X)
    np.testing.assert_array_equal(memory.seen, model.history_["train_loss"])


def test_a_second_kill_before_the_next_epoch_loses_nothing(X, tmp_path):
    unbroken = DropoutForecaster(max_epochs=6, random_state=0, callbacks=[KillAt(-1)]).fit(X)
    model = DropoutForecaster(max_epochs=6, random_state=0)
    assert same(killed_and_resumed(model, X, tmp_path, 13, 1, 1, 1), unbroken)


def test_a_finished_training_is_not_repeated(X, tmp_path):
    class Count(Callback):
        """Counts batches."""

        n = 0

        def on_batch_end(self, net, training=False, **kwargs):
            Count.n += training

    parameters = {"checkpoint_dir": tmp_path, "max_epochs": 3, "random_state": 0, "callbacks": [Count()]}
    first = DropoutForecaster(**parameters).fit(X)
    trained = Count.n
    assert same(DropoutForecaster(**parameters).fit(X), first)
    assert Count.n == trained


def test_checkpoints_change_nothing_and_leave_one_file(X, tmp_path):
    with_checkpoints = DropoutForecaster(
        max_epochs=3, random_state=0, checkpoint_dir=str(tmp_path / "a" / "b")
    ).fit(X)
    assert same(with_checkpoints, DropoutForecaster(max_epochs=3, random_state=0).fit(X))
    (path,) = (tmp_path / "a" / "b").iterdir()
    assert path.name.startswith("DropoutForecaster-")
    document, _ = read_tensor_file(path)
    assert document["finished"] is True


def test_without_checkpoint_dir_nothing_is_written(X, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    DropoutForecaster(max_epochs=2, random_state=0).fit(X)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_can_be_resumed(X, tmp_path):
    class Interrupt(Callback):
        """Ctrl-C in the fourth epoch, once."""

        done = False

        def on_batch_end(self, net, training=False, **kwargs):
            if len(net.history) == 4 and not Interrupt.done:
                Interrupt.done = True
                raise KeyboardInterrupt

    parameters = {"max_epochs": 6, "random_state": 0, "callbacks": [Interrupt()]}
    model = DropoutForecaster(**parameters, checkpoint_dir=tmp_path)
    with pytest.warns(UserWarning, match="interrupted after 3 finished"):
        model.fit(X)
    assert same(model.fit(X), DropoutForecaster(**parameters).fit(X))


def test_warm_start_is_resumed_from_the_weights_it_began_with(X, tmp_path):
    def begun():
        return DropoutForecaster(max_epochs=3, random_state=0, warm_start=True).fit(X)

    unbroken = begun().set_params(callbacks=[KillAt(-1)]).fit(X)
    model = begun().set_params(checkpoint_dir=tmp_path, callbacks=[KillAt(8)])
    with pytest.raises(Killed):
        model.fit(X)
    assert len(model.history_) == 3  # as it was before that fit
    assert same(model.set_params(callbacks=[KillAt(-1)]).fit(X), unbroken)
    # the same weights lead to the same file, others do not
    begun().set_params(checkpoint_dir=tmp_path, callbacks=[KillAt(-1)]).fit(X)
    assert len(list(tmp_path.iterdir())) == 1
    unbroken.set_params(checkpoint_dir=tmp_path).fit(X)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"learning_rate": 0.01},
        {"max_epochs": 7},
        {"random_state": 1},
        {"scaler": "robust"},
        {"horizon": 3},
        "data",
        "graph",
        "dtype",
    ],
    ids=str,
)
def test_other_data_or_parameters_begin_anew_beside_it(X, tmp_path, changed):
    parameters = {"max_epochs": 5, "random_state": 0}
    with pytest.raises(Killed):
        DropoutForecaster(**parameters, checkpoint_dir=tmp_path, callbacks=[KillAt(20)]).fit(X)
    (first,) = tmp_path.iterdir()
    content = first.read_bytes()
    other, adj = X, None
    if changed == "data":
        other = X.copy()
        other[-1, 0] += 1e-9
    elif changed == "dtype":
        other = X.astype(np.float32)
    elif changed == "graph":
        adj = np.eye(3)
    else:
        parameters |= changed
    expected = DropoutForecaster(**parameters).fit(other, adj=adj)
    assert same(DropoutForecaster(**parameters, checkpoint_dir=tmp_path).fit(other, adj=adj), expected)
    assert len(list(tmp_path.iterdir())) == 2
    assert first.read_bytes() == content


@pytest.mark.parametrize(
    "same_as", [{"verbose": 1}, {"device": "cpu"}, {"checkpoint_dir": "elsewhere"}], ids=str
)
def test_what_does_not_decide_the_course_finds_the_same_checkpoint(X, tmp_path, same_as, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Killed):
        DropoutForecaster(max_epochs=5, random_state=0, checkpoint_dir="here", callbacks=[KillAt(20)]).fit(X)
    os.rename("here", same_as.get("checkpoint_dir", "here"))
    parameters = {
        "max_epochs": 5,
        "random_state": 0,
        "checkpoint_dir": "here",
        "callbacks": [KillAt(-1)],
        **same_as,
    }
    DropoutForecaster(**parameters).fit(X)
    assert len(list(Path(parameters["checkpoint_dir"]).iterdir())) == 1
    if "verbose" in same_as:
        lines = capsys.readouterr().out.splitlines()
        assert [line[:11] for line in lines] == ["epoch   4/5", "epoch   5/5"]


def test_a_memory_map_has_the_fingerprint_of_its_array(X, tmp_path):
    np.save(tmp_path / "x.npy", X)
    assert fingerprint({}, [np.load(tmp_path / "x.npy", mmap_mode="r")]) == fingerprint({}, [X])
    distinct = [[X], [X.T], [X.reshape(-1)], [X, None], [None, X], [X.view(np.int64)], [X[:-1]], []]
    assert len({fingerprint({}, data) for data in distinct}) == len(distinct)


# ---------------------------------------------------------------- damage


def test_a_damaged_checkpoint_is_an_error_that_names_it(X, tmp_path):
    model = DropoutForecaster(max_epochs=4, random_state=0, checkpoint_dir=tmp_path).fit(X)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=path.name):
        model.fit(X)
    path.unlink()
    assert same(model.fit(X), DropoutForecaster(max_epochs=4, random_state=0).fit(X))


def test_a_foreign_file_in_its_place(X, tmp_path):
    model = DropoutForecaster(max_epochs=2, random_state=0, checkpoint_dir=tmp_path).fit(X)
    (path,) = tmp_path.iterdir()
    for document, words in (
        ({"class": "Checkpoint", "fingerprint": "0"}, "not a checkpoint of this training"),
        ({"class": "Checkpoint", "fingerprint": read_tensor_file(path)[0]["fingerprint"]}, "another version"),
    ):
        tensor_file.write_tensor_file(path, document, {})
        with pytest.raises(ModelFileError, match=words):
            model.fit(X)


def test_what_killed_processes_left_half_written_is_removed(X, tmp_path):
    model = DropoutForecaster(max_epochs=2, random_state=0, checkpoint_dir=tmp_path).fit(X)
    (path,) = tmp_path.iterdir()
    old, fresh, foreign = (
        tmp_path / name for name in (f".{path.name}.1.part", f".{path.name}.2.part", ".b.3.part")
    )
    for part in (old, fresh, foreign):
        part.write_bytes(b"half")
    os.utime(old, (0, 0))
    os.utime(foreign, (0, 0))
    model.fit(X)
    assert set(tmp_path.iterdir()) == {path, fresh, foreign}


def test_a_full_disk_leaves_the_last_good_checkpoint(X, tmp_path, monkeypatch):
    writes = []

    def full_at_the_third(descriptor):
        writes.append(descriptor)
        if len(writes) >= 3 and not os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    model = DropoutForecaster(max_epochs=6, random_state=0, checkpoint_dir=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_at_the_third)
        patch.setattr(tensor_file, "_flush_folder", lambda folder: None)
        with pytest.raises(
            StorageError, match=r"epoch 3 could not be written; the file still holds epoch 2.*No space"
        ):
            model.fit(X)
    assert not hasattr(model, "network_")
    (path,) = tmp_path.iterdir()
    assert read_tensor_file(path)[0]["finished"] is False
    assert same(model.fit(X), DropoutForecaster(max_epochs=6, random_state=0).fit(X))


@pytest.mark.parametrize("folder", [3, b"x", ["a"]])
def test_what_is_no_folder(X, folder):
    with pytest.raises(ParameterError, match="checkpoint_dir"):
        DropoutForecaster(checkpoint_dir=folder).fit(X)


def test_a_folder_that_cannot_be_made(X, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"checkpoint_dir=.*is no folder"):
        DropoutForecaster(max_epochs=3, random_state=0, checkpoint_dir=tmp_path / "file" / "x").fit(X)
