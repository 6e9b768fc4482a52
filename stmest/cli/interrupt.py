"""Ctrl-C in the command line: once it ends the training that runs, twice within two seconds it ends everything.

Builds on `training.stopping`; used by the commands that train.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..training.stopping import StopRequest

__all__ = ["Interrupted", "stoppable"]

_SECONDS = 2.0


class Interrupted(BaseException):
    """Ctrl-C was pressed twice; no training takes it for the wish to end itself alone."""


@contextmanager
def stoppable(minutes: float | None = None) -> Iterator[StopRequest]:
    """Let Ctrl-C, and a time that is over, end trainings with their best weights so far.

    Parameters
    ----------
    minutes : float, optional
        How long trainings may go on from now.

    Yields
    ------
    StopRequest
        Whose `wanted` is set by Ctrl-C.

    Raises
    ------
    Interrupted
        By a second Ctrl-C within two seconds.
    """
    from ..training.stopping import StopRequest, trainings_stop_at

    request = StopRequest(deadline=None if minutes is None else time.monotonic() + 60 * minutes)
    pressed = -_SECONDS

    def on_ctrl_c(*_: Any) -> None:
        nonlocal pressed
        now = time.monotonic()
        if now - pressed < _SECONDS:
            raise Interrupted
        pressed, request.wanted = now, True
        sys.stderr.write(
            "\nstmest: this training ends with its best weights; press Ctrl-C again to stop all\n"
        )

    in_main = threading.current_thread() is threading.main_thread()  # no other may set a handler
    before = signal.signal(signal.SIGINT, on_ctrl_c) if in_main else None
    try:
        with trainings_stop_at(request), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "training was interrupted", UserWarning)  # the row says so
            yield request
    finally:
        if in_main:
            signal.signal(signal.SIGINT, before)
