"""Progress of a training: one line, rewritten, in terminals and notebooks; a line per epoch in files and pipes.

Builds on skorch's callbacks and tqdm.
"""

from __future__ import annotations

import shutil
import sys
import warnings
from typing import Any

import numpy as np
from skorch.callbacks import Callback
from tqdm import TqdmWarning

from ..ops.announcements import compiling
from .callbacks import BestWeights

with warnings.catch_warnings():
    warnings.simplefilter("ignore", TqdmWarning)  # a notebook without ipywidgets gets the line as text
    from tqdm.auto import tqdm

__all__ = ["Progress"]

_LONGEST = 100  # characters


class Progress(Callback):
    """Show epoch, losses, the best epoch so far, seconds, and when training would stop, on the standard output.

    The first line, epoch 0, is the forecast before training: the linear forecast, where its residual is learnt. The best epoch is
    the one with the smallest validation loss, epoch 0 included.

    Parameters
    ----------
    best : BestWeights
        Holds the smallest validation loss so far.
    member : int, default=0
        Number of the network in its ensemble, counted from 0.
    n_members : int, default=1
        Networks of the ensemble, which are trained one after the other.
    """

    def __init__(self, best: BestWeights, member: int = 0, n_members: int = 1):
        self.best = best
        self.member = member
        self.n_members = n_members

    def on_train_begin(self, net: Any, X: Any = None, **kwargs: Any) -> None:
        """Begin a bar over the batches of an epoch."""
        self.bar_ = tqdm(
            total=-(-len(X) // net.batch_size),
            file=sys.stdout,
            disable=not _can_be_rewritten(sys.stdout),
            ncols=_room(sys.stdout),
            bar_format="{desc} {bar}{postfix}",
        )
        self.begun_ = False
        compiling.set(self._say_compiling)

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Show the validation loss before training; empty the bar."""
        if not self.begun_:
            self.begun_ = True
            epoch, loss = self.best.lowest_
            if loss is not None and not epoch:
                self._write(f"{self._epoch(net, 0)}  valid {loss:.4f}  {self.best.start_}")
        self.bar_.set_description_str(self._epoch(net, len(net.history)), refresh=False)
        self.bar_.reset()

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Show the progress of the epoch, beside the losses of the one before."""
        if training:
            self.bar_.update()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Show the losses of this epoch."""
        row = net.history[-1]
        epoch, parts = row["epoch"], [f"train {row['train_loss']:.4f}"]
        lowest, least = self.best.lowest_
        loss = row.get("valid_loss")
        if loss is not None and least is not None:
            lowest, least = (epoch, loss) if loss < least else (lowest, least)
            parts += [f"valid {loss:.4f}", f"best {least:.4f} (epoch {lowest})"]
        parts.append(f"{row['dur']:.1f} s")
        if self.best.patience is not None and loss is not None and least is not None:
            left = self.best.epochs_left(epoch, loss)
            if left <= 0:
                parts.append("no more gain: stops")
            elif epoch + left < net.max_epochs:
                parts.append(f"stops after {left} more without gain")
        else:
            epochs = net.max_epochs * (self.n_members - self.member) - epoch
            parts.append(f"{np.mean(net.history[:, 'dur']) * epochs:.0f} s left")
        if self.bar_.disable:
            self._write("  ".join([self._epoch(net, epoch), *parts]))
        else:
            self.bar_.set_postfix_str("  ".join(parts))

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Close the bar; later text starts on a new line."""
        compiling.set(None)
        self.bar_.close()

    def _epoch(self, net: Any, epoch: int) -> str:
        member = f"member {self.member + 1}/{self.n_members}  " if self.n_members > 1 else ""
        return f"{member}epoch {epoch:>3}/{net.max_epochs}"

    def _write(self, line: str) -> None:
        """A line of its own, above the bar where there is one."""
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()

    def _say_compiling(self) -> None:
        self._write("compiling kernels, once")


def _room(stream: Any) -> int | None:
    """Longest line in characters: a longer one would wrap in a terminal, and could not be rewritten."""
    return min(shutil.get_terminal_size().columns - 1, _LONGEST) if stream.isatty() else None


def _can_be_rewritten(stream: Any) -> bool:
    """Whether a line can be rewritten: in terminals and in notebooks."""
    return stream.isatty() or type(stream).__module__.split(".")[0] == "ipykernel"
