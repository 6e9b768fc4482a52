"""The training loop: a skorch `NeuralNet` with auxiliary loss terms, which keeps the best weights on Ctrl-C.

Builds on skorch.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import torch
from skorch import NeuralNet
from skorch.dataset import unpack_data
from skorch.utils import to_tensor
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler

from ..exceptions import TrainingError
from .recorded import RecordedSteps

__all__ = ["BatchDataset", "ForecastNet", "ShuffledWindows", "history_frame", "keep_batch", "undecayed"]

_NUMBERS_AT_ONCE = 1 << 16


def keep_batch(batch: Any) -> Any:
    """Collate function of datasets that already return whole batches."""
    return batch


class BatchDataset(Dataset):
    """A torch dataset whose batches are loaded at once.

    Parameters
    ----------
    n_windows : int
        Number of windows.
    load : callable
        Takes a list of positions, returns ``(inputs, target)``: a dict of tensors and a tensor.
    """

    def __init__(self, n_windows: int, load: Any):
        self.n_windows = n_windows
        self.load = load

    def __len__(self) -> int:
        return self.n_windows

    def __getitems__(self, positions: list[int]) -> tuple[dict[str, Tensor], Tensor]:
        return self.load(positions)

    def __getitem__(self, position: int) -> tuple[dict[str, Tensor], Tensor]:
        return self.load([position])


class ShuffledWindows(Sampler):
    """Window numbers in a new random order each epoch, a few at a time.

    torch's `RandomSampler` makes a Python list of all of them, 40 bytes each: a training on ten million windows took 540 MB
    with it and 442 MB with this class, in the same time (measured).

    Parameters
    ----------
    n_windows : int
        Number of windows.
    generator : torch.Generator
        Source of the order, which is that of torch's `RandomSampler`.
    """

    def __init__(self, n_windows: int, generator: torch.Generator):
        self.n_windows = n_windows
        self.generator = generator

    def __len__(self) -> int:
        return self.n_windows

    def __iter__(self) -> Iterator[int]:
        for chunk in torch.randperm(self.n_windows, generator=self.generator).split(_NUMBERS_AT_ONCE):
            yield from chunk.tolist()
        # torch's sampler makes one more permutation, for a part of an epoch
        torch.randperm(self.n_windows, generator=self.generator)


class ForecastNet(NeuralNet):
    """skorch net for networks that return a forecast and auxiliary loss terms.

    Parameters
    ----------
    *args, **kwargs
        As `skorch.NeuralNet`.
    loss_weights : mapping of str to float, default={}
        Weight of each auxiliary term in training; validation uses the forecast loss alone.
    precision : {"float32", "bfloat16"}, default="float32"
        ``"bfloat16"`` runs the network under autocast; parameters and losses stay in float32.

    Attributes
    ----------
    interrupted_ : bool
        Whether Ctrl-C ended the training after its first epoch.
    """

    interrupted_ = False
    _steps: RecordedSteps | None = None

    def __init__(
        self,
        *args: Any,
        loss_weights: Mapping[str, float] | None = None,
        precision: str = "float32",
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.loss_weights = loss_weights
        self.precision = precision

    def get_dataset(self, X: Any, y: Any = None) -> Any:
        """X, which is a dataset already."""
        return X

    def infer(self, x: Any, **fit_params: Any) -> Any:
        """Forward pass, under autocast where `precision` says so."""
        if self.precision == "float32":
            return super().infer(x, **fit_params)
        with torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16):
            return super().infer(x, **fit_params)

    def get_loss(self, y_pred: Any, y_true: Tensor, X: Any = None, training: bool = False) -> Tensor:
        """Forecast loss, plus the weighted auxiliary terms in training.

        Raises
        ------
        TrainingError
            If the training loss is not finite.
        """
        if not training:
            return self.criterion_(y_pred[0].float(), y_true.to(y_pred[0].device))
        loss = self._training_loss(y_pred, y_true.to(y_pred[0].device))
        self._look_at(loss, y_pred[1])
        return loss

    def _training_loss(self, y_pred: Any, y_true: Tensor) -> Tensor:
        """Forecast loss plus the weighted auxiliary terms; nothing is taken from the device."""
        forecast, auxiliary = y_pred
        loss = self.criterion_(forecast.float(), y_true)
        for name, term in auxiliary.items():
            loss = loss + (self.loss_weights or {}).get(name, 0.0) * term
        return loss

    def _look_at(self, loss: Tensor, auxiliary: Mapping[str, Tensor]) -> None:
        """Keep the auxiliary terms of a batch; a loss that is not finite ends the training."""
        for name, term in auxiliary.items():
            self.history.record_batch(f"train_{name}", term.item())
        if not math.isfinite(loss.item()):
            raise TrainingError(
                f"the training loss became {loss.item()} in epoch {len(self.history)}. Usual causes: a learning_rate "
                f"that is too large (now {self.lr:g}), values far outside the range of the training rows, or "
                "scaler=None on data of large magnitude."
            )

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """One training step; on a CUDA device replayed from a recording where one can be made."""
        if self._steps is None:
            return super().train_step_single(batch, **fit_params)
        self._set_training(True)
        inputs, target = to_tensor(unpack_data(batch), device=self.device)
        losses = self._steps.step(inputs, target)
        if losses is not None:
            self._look_at(losses[0], losses[2])
            return {"loss": losses[0], "y_pred": losses[1:]}
        step = super().train_step_single((inputs, target), **fit_params)
        # a graph of gradients that outlives its step would be met by the recording of the next
        forecast, auxiliary = step["y_pred"]
        kept = forecast.detach(), {name: term.detach() for name, term in auxiliary.items()}
        return {"loss": step["loss"].detach(), "y_pred": kept}

    def _recorded_steps(self) -> RecordedSteps | None:
        """Where training steps are recorded, on a device that can."""
        on_cuda = torch.device(self.device).type == "cuda"
        return RecordedSteps(self.module_, self._compute) if on_cuda else None

    def _compute(
        self, inputs: Mapping[str, Tensor], target: Tensor
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Loss, forecast and auxiliary terms of a batch on the device."""
        y_pred = self.infer(inputs)
        return self._training_loss(y_pred, target), *y_pred

    def partial_fit(self, X: Any, y: Any = None, classes: Any = None, **fit_params: Any) -> ForecastNet:
        """Train for `max_epochs` epochs from the present weights.

        A KeyboardInterrupt ends the training. It is raised again if no epoch was finished; else the best weights so far are
        kept and a warning says so. Where a callback named ``"stop"`` (see `stmest.training.stopping`) ended a training of the
        residual of another forecast, this forecast is kept also before the first epoch is finished. Early stopping, which skorch
        signals in the same way, gives no warning. With a callback named ``"checkpoint"`` (see
        `stmest.training.checkpoint`) training resumes from its file.
        """
        if not self.initialized_:
            self.initialize()
        fit_params.pop("_routing_method", None)
        finished_before = len(self.history)
        self._steps = self._recorded_steps()
        self.notify("on_train_begin", X=X, y=y)
        checkpoint = dict(self.callbacks_).get("checkpoint")
        epochs = self.max_epochs if checkpoint is None else checkpoint.resume(self)
        try:
            self.fit_loop(X, y, epochs, **fit_params)
        except KeyboardInterrupt:
            if not self._stopped_early():
                finished = sum("valid_loss" in row or "dur" in row for row in self.history[finished_before:])
                if not finished and not self._may_end_untrained():
                    raise
                self.interrupted_ = True
                warnings.warn(
                    f"training was interrupted after {finished} finished epoch(s); the best weights so far are kept.",
                    UserWarning,
                    stacklevel=2,
                )
                with contextlib.suppress(KeyError, IndexError):
                    if "dur" not in self.history[-1]:
                        del self.history[-1]
        self.notify("on_train_end", X=X, y=y)
        return self

    def _may_end_untrained(self) -> bool:
        """Whether the training was asked to stop, and the initial weights are a forecast: that of the residual of another."""
        callbacks = dict(self.callbacks_)
        if not getattr(callbacks.get("stop"), "asked_", False):
            return False
        if not getattr(callbacks.get("best"), "residual", False):
            raise TrainingError(
                "the training was stopped before its first epoch was finished: nothing was learnt."
            )
        return True

    def _stopped_early(self) -> bool:
        return any(getattr(callback, "stopped_", False) for _, callback in self.callbacks_)


def undecayed(network: nn.Module) -> list[tuple[str, dict[str, float]]]:
    """Parameter groups of AdamW for the parameters that must not decay.

    Parameters
    ----------
    network : Module
        Parameters that must not decay have the attribute ``_no_weight_decay``.

    Returns
    -------
    list of tuple
        For skorch's ``optimizer__param_groups``.
    """
    names = [name for name, p in network.named_parameters() if getattr(p, "_no_weight_decay", False)]
    return [(name, {"weight_decay": 0.0}) for name in names]


def history_frame(net: ForecastNet, earlier: pd.DataFrame | None) -> pd.DataFrame:
    """One row per epoch, without skorch's batch records; after a warm start the numbers of epochs continue.

    Parameters
    ----------
    net : ForecastNet
        After training.
    earlier : DataFrame or None
        History of the trainings before.

    Returns
    -------
    DataFrame
        Losses, auxiliary losses, learning rate and seconds.
    """
    names = ["epoch", "train_loss", "valid_loss", *sorted(f"train_{name}" for name in net.loss_weights or {})]
    rows = []
    for row in net.history:
        if "dur" in row:  # a row without its duration is an epoch that was interrupted
            by_batch = [batch["event_lr"] for batch in row["batches"] if "event_lr" in batch]  # one_cycle
            rate = row.get("event_lr", by_batch[-1] if by_batch else net.lr)
            entry = {name: row[name] for name in names if name in row}
            rows.append(entry | {"learning_rate": rate, "seconds": row["dur"]})
    frame = pd.DataFrame(rows, columns=None if rows else [*names, "learning_rate", "seconds"])
    if earlier is None:
        return frame
    frame["epoch"] += len(earlier)
    return pd.concat([earlier, frame], ignore_index=True)
