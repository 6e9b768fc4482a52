"""What happens between epochs: keeping the best weights, stopping early, unfreezing.

Builds on skorch's callbacks; put together by `trainer`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from skorch.callbacks import Callback

from ..exceptions import TrainingError

__all__ = ["BestWeights", "Unfreeze"]

_RESIDUAL_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)


class BestWeights(Callback):
    """Keep the weights of the best epoch and stop when it is long ago.

    Parameters
    ----------
    patience : int or None
        Stop after so many epochs without a better validation loss; None never stops.
    corrects : bool, default=False
        Whether the network forecasts the residual of another forecast, so that a forecast of 0 by it leaves that as it is.
        Then a residual weight below 1 may be chosen.

    Attributes
    ----------
    best_epoch_ : int
        Epoch of the kept weights, counted from 1; 0 for the weights that training began with.
    correction_ : float
        With `corrects`: the residual weight, by which the network's forecast is to be multiplied: 0, 0.25, 0.5, 0.75 or 1.
    stopped_ : bool
        Whether training was ended by this callback.

    Notes
    -----
    The weights that training begins with take part: they are validated first. They are kept unless the best epoch beats
    them by more than one standard error of the difference over the validation batches (of which there must be at least
    three): where there is little to validate on, the best of many epochs looks better than the start by chance alone, and
    a linear forecast had better stay as it is. The residual is first shrunk: what a network has learnt beyond the linear
    forecast is part noise, and less of it often validates better than all. Without a validation part the last epoch is kept.
    """

    def __init__(self, patience: int | None = None, corrects: bool = False):
        self.patience = patience
        self.corrects = corrects

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Validate the weights that training begins with."""
        self.stopped_ = False
        self.correction_ = 1.0
        self.best_epoch_ = len(net.history)
        sizes, losses = _validation_losses(net, X, y, (1.0, 0.0) if self.corrects else (1.0,))
        if not np.isfinite(losses).all():
            raise TrainingError(
                f"the validation loss is {losses.sum()} before training has begun, so that no epoch could be told from "
                "another. Look for values far outside the range of the training rows in the last rows of X."
            )
        self.best_batches_ = self._start_batches = list(zip(sizes, losses[:, 0].tolist(), strict=True))
        # a network that has learnt nothing yet cannot be kept for its loss: it is what the others are compared with
        self._from_nothing = self.corrects and bool((losses[:, 0] == losses[:, -1]).all())
        self.best_loss_ = float(np.average(losses[:, 0], weights=sizes)) if sizes else None
        self.best_weights_ = None if self.best_loss_ is None else _copy_of_weights(net)
        self._start: Any = self.best_epoch_, self.best_loss_, self.best_weights_

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Compare this epoch with the best so far."""
        loss = net.history[-1].get("valid_loss")
        epoch = net.history[-1, "epoch"]
        if loss is None or self.best_loss_ is None:
            self.best_epoch_ = epoch
            return
        first = self._from_nothing and self.best_epoch_ == self._start[0] and math.isfinite(loss)
        if first or loss < self.best_loss_:
            self.best_epoch_, self.best_loss_, self.best_weights_ = epoch, loss, _copy_of_weights(net)
            self.best_batches_ = [
                (batch["valid_batch_size"], batch["valid_loss"])
                for batch in net.history[-1]["batches"]
                if "valid_loss" in batch
            ]
        elif self.patience is not None and epoch - self.best_epoch_ >= self.patience:
            self.stopped_ = True
            raise KeyboardInterrupt

    def state_dict(self) -> dict[str, Any]:
        """What has to survive a kill."""
        best = None if self.best_weights_ is None else dict(self.best_weights_)
        return {
            "best_batches_": [list(pair) for pair in self.best_batches_],
            "best_epoch_": self.best_epoch_,
            "best_loss_": self.best_loss_,
            "best_weights_": best,
            "stopped_": self.stopped_,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        for name, value in state.items():
            setattr(self, name, value)

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Put the best weights back, and choose the residual weight."""
        if self.best_weights_ is not None:
            if not self._from_nothing and not self._beats_the_start():
                self._go_back()
            net.module_.load_state_dict(self.best_weights_)
            if self.corrects and not (self._from_nothing and self.best_epoch_ == self._start[0]):
                sizes, losses = _validation_losses(net, X, y, _RESIDUAL_WEIGHTS)
                self.correction_ = _best_residual_weight(np.array(sizes), losses)
                if self._from_nothing and not self.correction_:
                    self._go_back()
                    self.correction_ = 1.0  # of a residual of 0
                    net.module_.load_state_dict(self.best_weights_)
        self.best_weights_ = self._start = None

    def _go_back(self) -> None:
        self.best_epoch_, self.best_loss_, self.best_weights_ = self._start

    def _beats_the_start(self) -> bool:
        sizes, before = np.array(self._start_batches).T
        after = np.array(self.best_batches_)[:, 1]
        return len(sizes) < 3 or _exceeds_noise(sizes, before - after)


class Unfreeze(Callback):
    """Train the first stage of a network from the start, and one more every so many epochs.

    Parameters
    ----------
    stages : list of list of torch.nn.Parameter
        In the order in which they are to learn.
    every : int
        Epochs between two stages: stage i learns from epoch ``1 + i * every`` on.

    Notes
    -----
    At the end of training all parameters may be trained again that might be before. The optimiser skips frozen
    parameters, also their weight decay.
    """

    def __init__(self, stages: list[list[Any]], every: int):
        self.stages = stages
        self.every = every

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Remember what may be trained."""
        self.trainable_ = [[p for p in stage if p.requires_grad] for stage in self.stages]
        self.first_epoch_ = len(net.history)

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Let the stages learn whose time has come, and no others."""
        epoch = net.history[-1, "epoch"] - self.first_epoch_
        for number, stage in enumerate(self.trainable_):
            for parameter in stage:
                parameter.requires_grad_(epoch > number * self.every)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Leave nothing frozen."""
        for stage in self.trainable_:
            for parameter in stage:
                parameter.requires_grad_(True)


def _copy_of_weights(net: Any) -> dict[str, Any]:
    return copy.deepcopy(net.module_.state_dict())


def _validation_losses(net: Any, X: Any, y: Any, weights: Sequence[float]) -> tuple[list[int], np.ndarray]:
    """Windows of every validation batch, and its loss (batches, weights) when the forecast is multiplied by each weight.

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


def _best_residual_weight(sizes: np.ndarray, losses: np.ndarray) -> float:
    """Which residual weight has the least loss; 0 where its gain may be chance."""
    best = int(np.average(losses, axis=0, weights=sizes).argmin())
    gain = losses[:, 0] - losses[:, best]
    return _RESIDUAL_WEIGHTS[best] if len(sizes) < 3 or _exceeds_noise(sizes, gain) else 0.0


def _exceeds_noise(sizes: np.ndarray, gain: np.ndarray) -> bool:
    """Whether the mean gain of batches is more than its standard error."""
    weights = sizes / sizes.sum()
    mean = weights @ gain
    variance = (weights**2) @ (gain - mean) ** 2 * len(gain) / (len(gain) - 1)
    return bool(mean > np.sqrt(variance))
