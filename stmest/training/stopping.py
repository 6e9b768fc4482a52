"""A wish to end trainings early, which the training loop looks at between two batches.

The command line makes one for Ctrl-C and for its time budget. In Python nothing changes: Ctrl-C is a KeyboardInterrupt, unless
`trainings_stop_at` is active. Builds on skorch's callbacks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from skorch.callbacks import Callback

__all__ = ["StopRequest", "StopTraining", "active_request", "trainings_stop_at"]


@dataclass
class StopRequest:
    """Whether trainings are to end now.

    Attributes
    ----------
    wanted : bool
        Whether somebody asked for it; it holds until it is set back.
    deadline : float or None
        Time of `time.monotonic` after which no training goes on.
    """

    wanted: bool = False
    deadline: float | None = None

    @property
    def due(self) -> bool:
        """Whether a training that runs is to end."""
        return self.wanted or (self.deadline is not None and time.monotonic() >= self.deadline)


_ACTIVE: ContextVar[StopRequest | None] = ContextVar("stop_request", default=None)


@contextmanager
def trainings_stop_at(request: StopRequest) -> Iterator[StopRequest]:
    """Let all trainings within this context look at a request.

    Parameters
    ----------
    request : StopRequest
        It may be changed meanwhile, also by a signal handler.

    Yields
    ------
    StopRequest
        The same.
    """
    token = _ACTIVE.set(request)
    try:
        yield request
    finally:
        _ACTIVE.reset(token)


def active_request() -> StopRequest | None:
    """The request that trainings look at now; None where there is none."""
    return _ACTIVE.get()


class StopTraining(Callback):
    """End the training before its next batch once a request is due, with the best weights so far.

    Parameters
    ----------
    request : StopRequest
        What to look at.

    Attributes
    ----------
    asked_ : bool
        Whether this callback ended the training.
    """

    def __init__(self, request: StopRequest):
        self.request = request

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Begin anew."""
        self.asked_ = False

    def on_batch_begin(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Raise the KeyboardInterrupt with which skorch ends a training."""
        if training and self.request.due:
            self.asked_ = True
            raise KeyboardInterrupt
