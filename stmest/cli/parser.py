"""The command line, from arguments to an exit code.

Everything that is slow to import is imported once the arguments are understood, so that ``--help`` answers at once. Builds on
the modules of the commands.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .. import __version__
from . import report

__all__ = ["main"]

_COMMANDS = (report,)


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
    options = _parser().parse_args(_marks_joined(sys.argv[1:] if arguments is None else arguments))
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("stmest: interrupted", file=sys.stderr)
        return 130
    except _input_errors() as error:
        print(f"stmest: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _input_errors() -> tuple[type[Exception], ...]:
    from ..exceptions import StmestError

    return StmestError, OSError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stmest", description="Forecast sensor networks with Mamba-based networks."
    )
    parser.add_argument("--version", action="version", version=f"stmest {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    for command in _COMMANDS:
        command.add_to(commands)
    return parser


def _marks_joined(arguments: Sequence[str]) -> list[str]:
    """Arguments with the marks of missing values behind an equals sign: -9999,- looks like an option."""
    out: list[str] = []
    for argument in arguments:
        if out and out[-1] == "--missing":
            out[-1] = f"--missing={argument}"
        else:
            out.append(argument)
    return out
