"""The command line, from arguments to an exit code.

Everything that is slow to import is imported once the arguments are understood, so that ``--help`` answers at once. Builds on
the modules of the commands.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from .. import __version__
from . import check, forecast, report
from .interrupt import Interrupted
from .options import did_you_mean
from .output import escape_unknown_signs, show_problem, warnings_in_one_line

__all__ = ["main"]

_COMMANDS = (check, forecast, report)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments without the name of the program; default those of the process.

    Returns
    -------
    int
        Exit code: 0 done, 1 done but a forecaster failed, 2 input that cannot be used, 130 interrupted.
    """
    escape_unknown_signs()
    parser = _parser()
    options = parser.parse_args(_marks_joined(sys.argv[1:] if arguments is None else arguments))
    if "run" not in options:
        parser.print_help()
        return 0
    try:
        with warnings_in_one_line():
            return options.run(options)
    except (KeyboardInterrupt, Interrupted):
        print("stmest: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # who read the output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except _input_errors() as error:
        show_problem("error", str(error))
        return 2


def _input_errors() -> tuple[type[Exception], ...]:
    from ..exceptions import StmestError

    return StmestError, OSError


class _Parser(argparse.ArgumentParser):
    """A parser that answers a mistake by one line, with the option that was meant."""

    def error(self, message: str) -> NoReturn:
        hints = [
            hint
            for word in re.findall(r"--[\w-]+|(?<=invalid choice: ')[^']+", message)
            if (hint := did_you_mean(word, self._known()))
        ]
        self.exit(
            2, f"{self.prog}: error: {message}{hints[0] if hints else ''} ({self.prog} --help shows all)\n"
        )

    def _known(self) -> list[str]:
        """Options and commands."""
        commands = [list(action.choices) for action in self._actions if isinstance(action.choices, dict)]
        return [*self._option_string_actions, *(name for names in commands for name in names)]

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse, but that unknown options are answered by the parser of the command, which knows its options."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unknown: {' '.join(unknown)}")
        return found, unknown


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="stmest", description="Forecast sensor networks with Mamba-based networks.")
    parser.add_argument("--version", action="version", version=f"stmest {__version__}")
    commands = parser.add_subparsers(metavar="command")
    for command in _COMMANDS:
        command.add_to(commands)
    return parser


def _marks_joined(arguments: Sequence[str]) -> list[str]:
    """Arguments with values such as -9999,- behind an equals sign: they look like options."""
    out: list[str] = []
    for argument in arguments:
        if out and out[-1] in ("--missing", "--sep"):
            out[-1] = f"{out[-1]}={argument}"
        else:
            out.append(argument)
    return out
