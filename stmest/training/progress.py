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

from .callbacks import BestWeights

with warnings.catch_warnings():
    warnings.simplefilter("ignore", TqdmWarning)  # a notebook without ipywidgets gets the line as text
    from tqdm.auto import tqdm

__all__ = ["Progress"]

_LONGEST = 100  # characters


class Progress(Callback):
    """Show epoch, losses, the best so far, seconds and time left on the standard output.

    Parameters
    ----------
    best : BestWeights
        Holds the best validation loss so far.
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

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Empty the bar."""
        self.bar_.set_description_str(self._epoch(net), refresh=False)
        self.bar_.reset()

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Show the progress of the epoch, beside the losses of the one before."""
        if training:
            self.bar_.update()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Show the losses of this epoch."""
        row = net.history[-1]
        parts = [f"train {row['train_loss']:.4f}"]
        if "valid_loss" in row:
            best = min(row["valid_loss"], self.best.best_loss_)
            parts += [f"valid {row['valid_loss']:.4f}", f"best {best:.4f}"]
        epochs = net.max_epochs * (self.n_members - self.member) - row["epoch"]
        left = np.mean(net.history[:, "dur"]) * epochs
        parts += [f"{row['dur']:.1f} s", f"at most {left:.0f} s left"]
        if self.bar_.disable:
            tqdm.write("  ".join([self._epoch(net), *parts]), file=sys.stdout)
            sys.stdout.flush()
        else:
            self.bar_.set_postfix_str("  ".join(parts))

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Close the bar; later text starts on a new line."""
        self.bar_.close()

    def _epoch(self, net: Any) -> str:
        member = f"member {self.member + 1}/{self.n_members}  " if self.n_members > 1 else ""
        return f"{member}epoch {len(net.history):>3}/{net.max_epochs}"


def _room(stream: Any) -> int | None:
    """Longest line in characters: a longer one would wrap in a terminal, and could not be rewritten."""
    return min(shutil.get_terminal_size().columns - 1, _LONGEST) if stream.isatty() else None


def _can_be_rewritten(stream: Any) -> bool:
    """Whether a line can be rewritten: in terminals and in notebooks."""
    return stream.isatty() or type(stream).__module__.split(".")[0] == "ipykernel"
