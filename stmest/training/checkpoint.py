"""Checkpoints of a training: after an interruption, the same `fit` resumes and ends with the same bits.

After each epoch the whole state of the training is written into one file, in one step: weights, optimiser, learning-rate
schedule, history, best weights and patience, and the random generators of shuffling and dropout. The file holds numbers and
text only (`stmest.storage`). Its name contains a fingerprint of the data and the parameters. So several trainings (of a grid
search, say) can share a folder, and none continues the state of another.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback
from skorch.history import History

from ..data.chunks import row_chunks
from ..exceptions import ModelFileError, StorageError
from ..runtime import random_generator
from ..storage.plain_state import decode, encode
from ..storage.tensor_file import read_tensor_file, write_tensor_file

__all__ = ["Checkpoint", "fingerprint"]

# State of skorch's own callbacks
_LEARNT = ("best_score_", "batch_idx_", "misses_", "dynamic_threshold_")
_SECONDS_UNTIL_STALE = 600.0  # a half-written file that is older was left by a process that was killed


def fingerprint(settings: dict[str, Any], data: list[Any]) -> str:
    """SHA-256 of settings and data, which identifies the checkpoint of a training.

    Parameters
    ----------
    settings : dict
        Plain state; see `stmest.storage.plain_state`.
    data : list of array-like of shape (n_rows, ...), or None
        Read in chunks, so that memory maps stay on disk.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    ModelFileError
        If a setting is not plain data.

    Examples
    --------
    >>> fingerprint({"a": 1}, [np.zeros(3)]) == fingerprint({"a": 1}, [np.zeros(4)])
    False
    """
    arrays: dict[str, np.ndarray] = {}
    document = encode(settings, arrays, "settings")
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for values in [*(arrays[name] for name in sorted(arrays)), *data]:
        digest.update(b"none" if values is None else f"{values.shape}{np.dtype(values.dtype).str}".encode())
        if values is None:
            continue
        if np.ndim(values) == 0:
            digest.update(np.asarray(values).tobytes())
            continue
        for _, chunk in row_chunks(values):
            digest.update(np.ascontiguousarray(chunk).data.cast("B") if np.size(chunk) else b"")
    return digest.hexdigest()


class Checkpoint(Callback):
    """Save the state of the training after each epoch, and restore it.

    Parameters
    ----------
    folder : str or path-like
        Folder of the file; made where it is missing.
    name : str
        Name of the forecaster, for the name of the file.
    key : str
        Fingerprint of data and parameters.

    Attributes
    ----------
    path : Path
        The file.

    Notes
    -----
    `ForecastNet` calls `resume` after ``on_train_begin`` of all callbacks. The state after an epoch is saved when the next one
    begins, as then all callbacks have seen its end. An unfinished epoch is trained again. The state of callbacks is saved if
    they have ``state_dict`` and ``load_state_dict``, or are skorch's own.
    """

    written_: int  # epochs in the file

    def __init__(self, folder: str | os.PathLike[str], name: str, key: str):
        self.folder = folder
        self.name = name
        self.key = key

    @property
    def path(self) -> Path:
        """The file of this training."""
        return Path(self.folder) / f"{self.name}-{self.key[:16]}.safetensors"

    # ---------------------------------------------------------------- write

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Save the finished epochs; the history has a row for the new epoch already."""
        rows = net.history[:-1]
        if len(rows) > self.written_:
            self._write(net, rows, finished=False)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Save the end, unless the training was interrupted; before the best weights are restored."""
        if net._stopped_early() or len(net.history) >= net.max_epochs:
            self._write(net, net.history, finished=True)

    def _write(self, net: Any, rows: Any, finished: bool) -> None:
        arrays: dict[str, np.ndarray] = {}
        state = {
            "weights": dict(net.module_.state_dict()),
            "optimizer": net.optimizer_.state_dict(),
            "history": [{**row, "batches": _last_rate(row["batches"])} for row in rows],
            "callbacks": {name: _state_of(callback) for name, callback in net.callbacks_},
            "generators": _generators(net),
        }
        document = {
            "class": "Checkpoint",
            "fingerprint": self.key,
            "finished": finished,
            "state": encode(state, arrays, "state"),
        }
        try:
            write_tensor_file(self.path, document, arrays)
        except OSError as error:
            last = (
                f"the file still holds epoch {self.written_}" if self.written_ else "there is no earlier one"
            )
            raise StorageError(
                error.errno,
                f"training stopped, because the checkpoint of epoch {len(rows)} could not be written; {last}. When there is "
                f"space, the same fit resumes from there. {error.strerror}",
            ) from error
        self.written_ = len(rows)

    # ---------------------------------------------------------------- resume

    def resume(self, net: Any) -> int:
        """Restore the state of the checkpoint, if there is one.

        Parameters
        ----------
        net : ForecastNet
            A net whose training has begun, before its first epoch.

        Returns
        -------
        int
            Number of epochs still to train.

        Raises
        ------
        ModelFileError
            If the file is damaged or belongs to another training.
        StorageError
            If the folder cannot be made.
        """
        self.written_ = 0
        self._prepare_folder()
        try:
            document, arrays = read_tensor_file(self.path)
        except FileNotFoundError:
            return net.max_epochs
        if document.get("class") != "Checkpoint" or document.get("fingerprint") != self.key:
            raise ModelFileError(
                f"{str(self.path)!r} is not a checkpoint of this training. Move it away to start anew."
            )
        try:
            state = decode(document["state"], arrays)
            _restore(net, state)
        except Exception as error:  # whatever a file of another version provokes ends in one kind of error
            raise ModelFileError(
                f"the checkpoint {str(self.path)!r} does not fit this training ({type(error).__name__}: {error}); perhaps "
                "another version of stmest wrote it. Move it away to start anew."
            ) from error
        self.written_ = len(net.history)
        return 0 if document["finished"] else net.max_epochs - len(net.history)

    def _prepare_folder(self) -> None:
        """Make the folder, and remove unfinished files of killed processes."""
        try:
            Path(self.folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                error.errno,
                f"checkpoint_dir={os.fspath(self.folder)!r} is no folder and cannot be made into one: {error.strerror}",
            ) from error
        for part in Path(self.folder).glob(f".{self.path.name}.*.part"):
            with contextlib.suppress(OSError):
                if time.time() - part.stat().st_mtime > _SECONDS_UNTIL_STALE:
                    part.unlink()


def _last_rate(batches: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the records of an epoch's batches, the one that is read later: the last with a learning rate."""
    return [batch for batch in batches if "event_lr" in batch][-1:]


def _restore(net: Any, state: dict[str, Any]) -> None:
    net.module_.load_state_dict(state["weights"])
    net.optimizer_.load_state_dict(state["optimizer"])
    net.history = History(state["history"])
    for name, callback in net.callbacks_:
        _load_state(callback, state["callbacks"].get(name))
    _set_generators(net, state["generators"])  # last: nothing after it may use them


def _state_of(callback: Any) -> dict[str, Any] | None:
    if hasattr(callback, "state_dict"):
        return dict(callback.state_dict())
    state = {name: getattr(callback, name) for name in _LEARNT if hasattr(callback, name)}
    scheduler = getattr(callback, "lr_scheduler_", None)
    if scheduler is not None:
        state["lr_scheduler_"] = dict(scheduler.state_dict())
    return state or None


def _load_state(callback: Any, state: dict[str, Any] | None) -> None:
    if state is None:
        return
    if hasattr(callback, "load_state_dict"):
        callback.load_state_dict(state)
        return
    scheduler = state.pop("lr_scheduler_", None)
    if scheduler is not None:
        callback.lr_scheduler_.load_state_dict(scheduler)
    for name, value in state.items():
        setattr(callback, name, value)


def _generators(net: Any) -> dict[str, Any]:
    """State of every random generator of the training: of dropout on the CPU and the device, and of the shuffling."""
    on_cpu, on_device = _sources(net)
    return {
        "cpu": on_cpu.get_state(),
        "device": None if on_device is None else on_device.get_state(),
        "batches": net.iterator_train__generator.get_state(),
    }


def _set_generators(net: Any, state: dict[str, Any]) -> None:
    on_cpu, on_device = _sources(net)
    if on_device is not None:
        on_device.set_state(state["device"])
    net.iterator_train__generator.set_state(state["batches"])
    on_cpu.set_state(state["cpu"])


def _sources(net: Any) -> tuple[torch.Generator, torch.Generator | None]:
    """The generators on the CPU, and on the device where that is another one."""
    device, cpu = torch.device(net.device), torch.device("cpu")
    on_cpu = random_generator(cpu) or torch.default_generator
    return on_cpu, None if device.type == "cpu" else random_generator(device)
