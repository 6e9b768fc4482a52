"""Telling how far a training is, on one line that is rewritten in place or, where that is no use, on a line per epoch.

Builds on skorch's callbacks; put together by `stmest.forecasters.network`.
"""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any

from skorch.callbacks import Callback

from .callbacks import BestWeights

__all__ = ["Progress", "StatusLine"]

_SECONDS_BETWEEN = 0.1  # more updates than these nobody sees, and a notebook would choke on them


class StatusLine:
    """A line of text on the standard output that is rewritten in place in terminals and notebooks.

    Attributes
    ----------
    live : bool
        Whether the line can be rewritten; in files and pipes it cannot, and every step gets a line of its own.
    """

    def __init__(self) -> None:
        terminal = sys.stdout.isatty()
        # the cells of a notebook are no terminal, but go back to the start of the line as well
        self.live = terminal or type(sys.stdout).__module__.split(".")[0] == "ipykernel"
        # a line that wraps could not be rewritten
        self._longest = shutil.get_terminal_size().columns - 1 if terminal else None
        self._width, self._written = 0, 0.0

    def update(self, text: str) -> None:
        """Show something in passing: only where the line can be rewritten, and at most ten times a second."""
        now = time.perf_counter()
        if self.live and now - self._written >= _SECONDS_BETWEEN:
            self._rewrite(text)
            self._written = now

    def step(self, text: str) -> None:
        """Show what is worth a line."""
        if self.live:
            self._rewrite(text)
        else:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def close(self) -> None:
        """Leave the line as it is; what comes next begins on a new one."""
        if self._width:
            sys.stdout.write("\n")
            sys.stdout.flush()
        self._width = 0

    def _rewrite(self, text: str) -> None:
        text = text[: self._longest]
        sys.stdout.write("\r" + text.ljust(self._width))
        sys.stdout.flush()
        self._width = len(text)


class Progress(Callback):
    """Epoch, losses, the best so far, seconds, time left.

    Parameters
    ----------
    best : BestWeights
        Tells the best validation loss so far.
    """

    def __init__(self, best: BestWeights):
        self.best = best

    def on_train_begin(self, net: Any, X: Any = None, **kwargs: Any) -> None:
        """Start the clock."""
        self.began_, self.first_epoch_, self.epochs_before_ = time.perf_counter(), len(net.history), 0
        self.n_batches_, self.batch_ = -(-len(X) // net.batch_size), 0
        self.line_, self.text_ = StatusLine(), ""

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """See which epoch is the first of this clock: after a kill it is not the first of the training."""
        if not self.epochs_before_:
            self.epochs_before_ = net.history[-1, "epoch"]

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Show how far the epoch is, beside what the one before brought."""
        if training:
            self.batch_ += 1
            epoch = len(net.history) - self.first_epoch_
            now = f"epoch {epoch:>3}/{net.max_epochs}  batch {self.batch_}/{self.n_batches_}"
            self.line_.update(f"{now}  {self.text_}")

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Show the losses of this epoch."""
        row = net.history[-1]
        epoch = row["epoch"] - self.first_epoch_
        elapsed = time.perf_counter() - self.began_
        left = elapsed / (row["epoch"] - self.epochs_before_ + 1) * (net.max_epochs - epoch)
        parts = [f"train {row['train_loss']:.4f}"]
        if "valid_loss" in row:
            best = min(row["valid_loss"], self.best.best_loss_)
            parts += [f"valid {row['valid_loss']:.4f}", f"best {best:.4f}"]
        parts += [f"{row['dur']:.1f} s", f"at most {left:.0f} s left"]
        self.text_, self.batch_ = "  ".join(parts), 0
        self.line_.step(f"epoch {epoch:>3}/{net.max_epochs}  {self.text_}")

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Go to the next line."""
        self.line_.close()
