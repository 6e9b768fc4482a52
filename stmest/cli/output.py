"""What the command line prints, and the folders that it writes to.

Builds on the standard library; used by all modules of the command line.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = [
    "escape_unknown_signs",
    "in_options",
    "make_folder",
    "saved_picture",
    "show",
    "show_problem",
    "silent",
    "warnings_in_one_line",
]


def escape_unknown_signs() -> None:
    """Let both outputs escape the signs that they cannot show, as those of many consoles cannot, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def show(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def silent(line: str) -> None:
    """Show nothing."""


@contextlib.contextmanager
def warnings_in_one_line() -> Iterator[None]:
    """Let each warning be one line, without the place in the code that it comes from."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: show_problem("warning", str(message))
        yield


def show_problem(kind: str, message: str) -> None:
    """Print an error or a warning of the library as one line."""
    print(f"stmest: {kind}: {in_options(' '.join(message.split()))}", file=sys.stderr, flush=True)


def saved_picture(draw: Callable[[], Any], path: Path) -> str:
    """Draw a picture into a file: the table beside it is worth more, so that no error ends the command.

    Parameters
    ----------
    draw : callable
        Returns a drawn display; None where there is nothing to draw.
    path : Path
        Where to.

    Returns
    -------
    str
        The path, or why there is none.
    """
    from ..exceptions import MissingDependencyError

    try:
        display = draw()
        if display is None:
            return "not drawn: no forecaster succeeded"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # letters that no font has become boxes
            display.figure_.savefig(path)
    except MissingDependencyError as error:
        return f"not drawn: {error}"
    except Exception as error:
        return f"not drawn: {type(error).__name__}: {error}"
    return str(path)


# Parameters of readers that are options too, as messages name them
_FLAGS = {"no_time=True": "--no-time", "dayfirst=True": "--dayfirst", "dayfirst=False": "--no-dayfirst"}
_NAMED = re.compile(r"(?<![\w-])(missing|sep|decimal|time_column|node_column|value_column)=('[^']*'|\d+)")


def in_options(message: str) -> str:
    """A message of the library with its parameters as options of the command line.

    Parameters
    ----------
    message : str
        Such as "say which: time_column='end'".

    Returns
    -------
    str
        Such as "say which: --time-column end".

    Examples
    --------
    >>> in_options("say which: dayfirst=True or dayfirst=False; missing='-', time_column='my time'")
    "say which: --dayfirst or --no-dayfirst; --missing=-, --time-column 'my time'"
    """
    for call, option in _FLAGS.items():
        message = message.replace(call, option)
    return _NAMED.sub(_option, message)


def _option(found: re.Match[str]) -> str:
    name, value = found[1].replace("_", "-"), shlex.quote(found[2].strip("'"))
    return f"--{name}={value}" if value.lstrip("'").startswith("-") else f"--{name} {value}"


def make_folder(folder: Path) -> None:
    """Make a folder to write to, where it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        file = next(place for place in (folder, *folder.parents) if place.is_file())
        raise NotADirectoryError(
            f"{file} is a file; needed: a folder to write to. Name another one."
        ) from error
