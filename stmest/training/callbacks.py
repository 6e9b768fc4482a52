"""Callbacks of the training: best weights, early stopping, residual weight, unfreezing.

Builds on skorch's callbacks.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from skorch.callbacks import Callback

from ..exceptions import TrainingError
from ..metrics.significance import exceeds_noise

__all__ = ["BestWeights", "Unfreeze"]

_RESIDUAL_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
# A network is believed if its gain over the linear forecast is no chance, with this confidence, over so many blocks
_CONFIDENCE, _LEAST_BLOCKS = 0.99, 3
_OF_AN_EPOCH = 0.84  # one standard error


class BestWeights(Callback):
    """Keep the weights of the best epoch; stop after some epochs without a better one.

    Parameters
    ----------
    patience : int or None
        Stop after so many epochs without a better validation loss, and after half as many where no epoch was better than the
        other forecast alone; None never stops.
    residual : bool, default=False
        Whether the network forecasts the residual of another forecast. Then a residual weight below 1 may be chosen.

    Attributes
    ----------
    best_epoch_ : int
        Epoch of the kept weights, counted from 1; 0 for the initial weights.
    residual_weight_ : float
        With `residual`: factor of the network's forecast: 0 where no epoch is kept, 0.25, 0.5, 0.75 or 1.
    stopped_ : bool
        Whether this callback ended the training.

    Notes
    -----
    The initial weights are validated too. They are kept unless the best epoch is better by more than one standard error of the
    difference over the validation batches (tested from three batches on): on a small validation part the best of many epochs
    is better than the start by chance. A residual weight below 1 shrinks the forecast of the residual, part of which is noise;
    a smaller weight often has a lower validation error. A network is believed only if the gain over the other forecast over
    blocks of `horizon` validation windows, of which there must be three, is no chance with 99 % confidence (Student's test).
    Without a validation part the last epoch is kept.
    """

    def __init__(self, patience: int | None = None, residual: bool = False):
        self.patience = patience
        self.residual = residual

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Validate the initial weights."""
        self.stopped_ = False
        self.residual_weight_ = 1.0
        self.best_epoch_ = len(net.history)
        sizes, losses = _validation_losses(net, X, y, (1.0, 0.0) if self.residual else (1.0,))
        if not np.isfinite(losses).all():
            raise TrainingError(
                f"the validation loss is {losses.sum()} before training has begun, so that epochs cannot be "
                "compared. Look for values far outside the range of the training rows in the last rows of X."
            )
        self.best_batches_ = self._start_batches = list(zip(sizes, losses[:, 0].tolist(), strict=True))
        # a new network forecasts a residual of 0: its loss is that of the other forecast, with which epochs are compared
        self._starts_at_zero = self.residual and bool((losses[:, 0] == losses[:, -1]).all())
        self.best_loss_ = float(np.average(losses[:, 0], weights=sizes)) if sizes else None
        self.best_weights_ = None if self.best_loss_ is None else _copy_of_weights(net)
        self._start: Any = self.best_epoch_, self.best_loss_, self.best_weights_
        self.gained_ = False

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Compare this epoch with the best so far."""
        loss = net.history[-1].get("valid_loss")
        epoch = net.history[-1, "epoch"]
        if loss is None or self.best_loss_ is None:
            self.best_epoch_ = epoch
            return
        self.gained_ = self.gained_ or loss < self._start[1]
        if self._is_better(loss):
            self.best_epoch_, self.best_loss_, self.best_weights_ = epoch, loss, _copy_of_weights(net)
            self.best_batches_ = [
                (batch["valid_batch_size"], batch["valid_loss"])
                for batch in net.history[-1]["batches"]
                if "valid_loss" in batch
            ]
        elif self.patience is not None and self.epochs_left(epoch, loss) <= 0:
            self.stopped_ = True
            raise KeyboardInterrupt

    @property
    def lowest_(self) -> tuple[int, float | None]:
        """Epoch with the smallest validation loss so far, the start included, and that loss; None without a validation part."""
        if self._starts_at_zero and not self.gained_:
            return self._start[0], self._start[1]
        return self.best_epoch_, self.best_loss_

    @property
    def start_(self) -> str:
        """What the forecast is before training."""
        return "the linear forecast" if self._starts_at_zero else "before training"

    def epochs_left(self, epoch: int, loss: float) -> int:
        """Epochs without gain until training stops, after an epoch with this validation loss.

        Half the patience where no epoch was better than the forecast whose residual is learnt: then none is to be expected.
        """
        assert self.patience is not None
        lowest, least = self.lowest_
        lowest = epoch if loss < least else lowest  # type: ignore[operator]
        hopeless = self._starts_at_zero and lowest == self._start[0]
        left = (-(-self.patience // 2) if hopeless else self.patience) - (epoch - lowest)
        return max(left, 1) if self._is_better(loss) else left

    def _is_better(self, loss: float) -> bool:
        """Whether an epoch is better than those before it; the first one is, as the start is no epoch."""
        first = self._starts_at_zero and self.best_epoch_ == self._start[0] and math.isfinite(loss)
        return first or (self.best_loss_ is not None and loss < self.best_loss_)

    def state_dict(self) -> dict[str, Any]:
        """State for a checkpoint."""
        best = None if self.best_weights_ is None else dict(self.best_weights_)
        return {
            "best_batches_": [list(pair) for pair in self.best_batches_],
            "best_epoch_": self.best_epoch_,
            "best_loss_": self.best_loss_,
            "best_weights_": best,
            "gained_": self.gained_,
            "stopped_": self.stopped_,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        for name, value in state.items():
            setattr(self, name, value)

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Restore the best weights, and choose the residual weight."""
        if self.best_weights_ is not None:
            if not self._starts_at_zero and not self._beats_the_start():
                self._restore_start()
            net.module_.load_state_dict(self.best_weights_)
            if self._starts_at_zero and self.best_epoch_ == self._start[0]:
                self.residual_weight_ = 0.0
            elif self.residual:
                self.residual_weight_ = _best_residual_weight(*_block_losses(net, X, y, _RESIDUAL_WEIGHTS))
                if self._starts_at_zero and not self.residual_weight_:
                    self._restore_start()
                    net.module_.load_state_dict(self.best_weights_)
        self.best_weights_ = self._start = None

    def _restore_start(self) -> None:
        self.best_epoch_, self.best_loss_, self.best_weights_ = self._start

    def _beats_the_start(self) -> bool:
        sizes, before = np.array(self._start_batches).T
        after = np.array(self.best_batches_)[:, 1]
        return len(sizes) < 3 or exceeds_noise(sizes, before - after, _OF_AN_EPOCH)


class Unfreeze(Callback):
    """Train the first stage of a network from the start, and one more every so many epochs.

    Parameters
    ----------
    stages : list of list of torch.nn.Parameter
        In the order in which they start to learn.
    every : int
        Epochs between two stages: stage i learns from epoch ``1 + i * every`` on.

    Notes
    -----
    After training all parameters that were trainable before are trainable again. The optimiser skips frozen
    parameters, also their weight decay.
    """

    def __init__(self, stages: list[list[Any]], every: int):
        self.stages = stages
        self.every = every

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Store the trainable parameters."""
        self.trainable_ = [[p for p in stage if p.requires_grad] for stage in self.stages]
        self.first_epoch_ = len(net.history)

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Unfreeze the stages that learn in this epoch; freeze the others."""
        epoch = net.history[-1, "epoch"] - self.first_epoch_
        for number, stage in enumerate(self.trainable_):
            for parameter in stage:
                parameter.requires_grad_(epoch > number * self.every)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Unfreeze all stages."""
        for stage in self.trainable_:
            for parameter in stage:
                parameter.requires_grad_(True)


def _copy_of_weights(net: Any) -> dict[str, Any]:
    return copy.deepcopy(net.module_.state_dict())


def _validation_losses(net: Any, X: Any, y: Any, weights: Sequence[float]) -> tuple[list[int], np.ndarray]:
    """Size of every validation batch, and its loss (batches, weights) with each residual weight.

    Both are empty where there is no validation part.
    """
    dataset = net.get_split_datasets(X, y)[1]
    sizes: list[int] = []
    losses: list[list[float]] = []
    for x, target in [] if dataset is None else net.get_iterator(dataset, training=False):
        forecast, auxiliary = net.evaluation_step((x, target))
        sizes.append(len(target))
        losses.append([net.get_loss((weight * forecast, auxiliary), target).item() for weight in weights])
    return sizes, np.array(losses).reshape(-1, len(weights))


def _block_losses(net: Any, X: Any, y: Any, weights: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Observed targets of every block of `horizon` validation windows, and its loss (blocks, weights) with each weight.

    Forecasts of neighbouring origins share most of their targets, those of neighbouring blocks few: only blocks say how much
    of a gain is chance.
    """
    dataset = net.get_split_datasets(X, y)[1]
    sums, counts = [], []
    for x, target in net.get_iterator(dataset, training=False):
        forecast = net.evaluation_step((x, target))[0].float()
        target = target.to(forecast.device)
        found = [net.criterion_.by_window(weight * forecast, target) for weight in weights]
        sums.append(np.stack([total.cpu().numpy() for total, _ in found], axis=1))
        counts.append(found[0][1].cpu().numpy())
    first = np.arange(0, sum(map(len, counts)), target.shape[1])
    total = np.add.reduceat(np.concatenate(sums).astype(np.float64), first)
    count = np.add.reduceat(np.concatenate(counts).astype(np.float64), first)
    return count[count > 0], total[count > 0] / count[count > 0, None]


def _best_residual_weight(sizes: np.ndarray, losses: np.ndarray) -> float:
    """The residual weight with the least loss; 0 where its gain may be chance, or too few blocks can tell."""
    if len(sizes) < _LEAST_BLOCKS:
        return 0.0
    best = int(np.average(losses, axis=0, weights=sizes).argmin())
    sure = exceeds_noise(sizes, losses[:, 0] - losses[:, best], _CONFIDENCE)
    return _RESIDUAL_WEIGHTS[best] if sure else 0.0
