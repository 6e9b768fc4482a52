"""What happens between epochs: keeping the best weights, stopping early, unfreezing.

Builds on skorch's callbacks; put together by `stmest.forecasters.network`.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
from skorch.callbacks import Callback

from ..exceptions import TrainingError

__all__ = ["BestWeights", "Unfreeze"]


class BestWeights(Callback):
    """Keep the weights of the best epoch and stop when it is long ago.

    Parameters
    ----------
    patience : int or None
        Stop after so many epochs without a better validation loss; None never stops.

    Attributes
    ----------
    best_epoch_ : int
        Epoch of the kept weights, counted from 1; 0 for the weights that training began with.
    stopped_ : bool
        Whether training was ended by this callback.

    Notes
    -----
    The weights that training begins with take part: they are validated first. They are kept unless the best epoch beats
    them by more than one standard error of the difference over the validation batches (of which there must be three to
    tell): where there is little to validate on, the best of many epochs looks better than the start by chance alone, and a
    network that corrects a ridge had better leave it alone. Without a validation part the last epoch is kept.
    """

    def __init__(self, patience: int | None = None):
        self.patience = patience

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Validate the weights that training begins with."""
        self.stopped_ = False
        self.best_epoch_ = len(net.history)
        self.best_batches_ = self._start_batches = _validation_batches(net, X, y)
        sizes = np.array([size for size, _ in self.best_batches_])
        losses = np.array([loss for _, loss in self.best_batches_])
        self.best_loss_ = float(sizes @ losses / sizes.sum()) if len(sizes) else None
        self.best_weights_ = None if self.best_loss_ is None else _copy_of_weights(net)
        self._start: Any = self.best_epoch_, self.best_loss_, self.best_weights_

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Compare this epoch with the best so far."""
        loss = net.history[-1].get("valid_loss")
        epoch = net.history[-1, "epoch"]
        if loss is None or self.best_loss_ is None:
            self.best_epoch_ = epoch
            return
        better = loss < self.best_loss_
        if better:
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

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Put the best weights back."""
        if self.best_weights_ is not None:
            if not self._beats_the_start():
                self.best_epoch_, self.best_loss_, self.best_weights_ = self._start
            net.module_.load_state_dict(self.best_weights_)
        self.best_weights_ = self._start = None

    def _beats_the_start(self) -> bool:
        before, after = (np.array(pairs)[:, 1] for pairs in (self._start_batches, self.best_batches_))
        gain = before - after
        return len(gain) < 3 or gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain))


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


def _validation_batches(net: Any, X: Any, y: Any) -> list[tuple[int, float]]:
    """Size and loss of every validation batch with the present weights; empty where there is no validation part."""
    dataset = net.get_split_datasets(X, y)[1]
    if dataset is None:
        return []
    batches = net.get_iterator(dataset, training=False)
    losses = [(len(target), net.validation_step((x, target))["loss"].item()) for x, target in batches]
    total = sum(loss for _, loss in losses)
    if not math.isfinite(total):
        raise TrainingError(
            f"the validation loss is {total} before training has begun, so that no epoch could be told from another. "
            "Look for values far outside the range of the training rows in the last rows of X."
        )
    return losses
