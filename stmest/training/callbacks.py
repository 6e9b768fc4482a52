"""What happens between epochs: keeping the best weights, stopping early, unfreezing, telling how far it is.

Builds on skorch's callbacks; put together by `stmest.forecasters.network`.
"""

from __future__ import annotations

import copy
import math
import sys
import time
from typing import Any

from skorch.callbacks import Callback

from ..exceptions import TrainingError

__all__ = ["BestWeights", "Progress", "Unfreeze"]


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
    The weights that training begins with take part: they are validated first, so that training never ends with weights
    that are worse than those it was given. Without a validation part the last epoch is kept.
    """

    def __init__(self, patience: int | None = None):
        self.patience = patience

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Validate the weights that training begins with."""
        self.stopped_ = False
        self.best_epoch_ = len(net.history)
        self.best_loss_ = _validation_loss(net, X, y)
        self.best_weights_ = None if self.best_loss_ is None else _copy_of_weights(net)

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
        elif self.patience is not None and epoch - self.best_epoch_ >= self.patience:
            self.stopped_ = True
            raise KeyboardInterrupt

    def state_dict(self) -> dict[str, Any]:
        """What has to survive a kill."""
        best = None if self.best_weights_ is None else dict(self.best_weights_)
        return {
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
            net.module_.load_state_dict(self.best_weights_)
        self.best_weights_ = None


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


class Progress(Callback):
    """One line an epoch: losses, the best so far, seconds, time left.

    Parameters
    ----------
    best : BestWeights
        Tells the best validation loss so far.
    """

    def __init__(self, best: BestWeights):
        self.best = best

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Start the clock."""
        self.began_, self.first_epoch_, self.epochs_before_ = time.perf_counter(), len(net.history), 0

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """See which epoch is the first of this clock: after a kill it is not the first of the training."""
        if not self.epochs_before_:
            self.epochs_before_ = net.history[-1, "epoch"]

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Write the line of this epoch."""
        row = net.history[-1]
        epoch = row["epoch"] - self.first_epoch_
        elapsed = time.perf_counter() - self.began_
        left = elapsed / (row["epoch"] - self.epochs_before_ + 1) * (net.max_epochs - epoch)
        parts = [f"epoch {epoch:>3}/{net.max_epochs}", f"train {row['train_loss']:.4f}"]
        if "valid_loss" in row:
            best = min(row["valid_loss"], self.best.best_loss_)
            parts += [f"valid {row['valid_loss']:.4f}", f"best {best:.4f}"]
        parts += [f"{row['dur']:.1f} s", f"at most {left:.0f} s left"]
        sys.stdout.write("  ".join(parts) + "\n")
        sys.stdout.flush()


def _copy_of_weights(net: Any) -> dict[str, Any]:
    return copy.deepcopy(net.module_.state_dict())


def _validation_loss(net: Any, X: Any, y: Any) -> float | None:
    """Loss of the present weights over the validation windows, None where there are none."""
    dataset = net.get_split_datasets(X, y)[1]
    if dataset is None:
        return None
    total, n_windows = 0.0, 0
    for inputs, target in net.get_iterator(dataset, training=False):
        loss = net.validation_step((inputs, target))["loss"].item()
        total, n_windows = total + loss * len(target), n_windows + len(target)
    if not math.isfinite(total):
        raise TrainingError(
            f"the validation loss is {total} before training has begun, so that no epoch could be told from another. "
            "Look for values far outside the range of the training rows in the last rows of X."
        )
    return total / n_windows
