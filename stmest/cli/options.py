"""Options that several commands share, and what their values may be.

Builds on argparse; used by the modules of the commands.
"""

from __future__ import annotations

import argparse
import difflib
import textwrap
from collections.abc import Callable, Iterable
from typing import Any

__all__ = [
    "READING", "Formatter", "add_data_options", "add_model_options", "did_you_mean", "fraction", "minutes", "positive",
    "whole",
]  # fmt: skip


def add_data_options(add: Callable[..., Any], data: str) -> None:
    """Add the options that say which values are read, and how.

    Parameters
    ----------
    add : callable
        Adds an argument to the parser of a command.
    data : str
        What happens without `--data`, for the help text; empty where the file is no option.
    """
    if data:
        add(
            "--data",
            metavar="FILE",
            help=f"csv, Excel, parquet, npz or HDF5 of values, npz or netCDF of a field; {data}",
        )
    add("--adj", metavar="FILE", help="graph: csv, npy or npz; 'none' ignores the one in the data file")
    add(
        "--channel",
        metavar="NAME",
        help="channel to forecast, where the data have several; default: the first",
    )
    add(
        "--missing",
        metavar="MARKS",
        help="marks of missing values besides empty cells, separated by commas, such as -9999,-",
    )
    add("--sep", metavar="SIGN", type=_separator, help="what stands between the cells, such as ';' or tab")
    add("--decimal", metavar="SIGN", choices=(".", ","), help="what stands before the decimals: . or ,")
    add(
        "--dayfirst",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="whether dates such as 03/04/2024 begin with the day, or with the month",
    )
    add("--time-column", metavar="NAME", help="the column of times, by name or by number from 1")
    add("--node-column", metavar="NAME", help="the column of sensors, in a long table")
    add("--value-column", metavar="NAME", help="the column of values, in a long table")
    add("--no-time", action="store_true", help="no column is the time: the rows are numbered")


# The options of `add_data_options` that `read_table` takes
READING = ("missing", "sep", "decimal", "dayfirst", "time_column", "node_column", "value_column", "no_time")


def add_model_options(add: Callable[..., Any], horizon: str = "") -> None:
    """Add the options that say how forecasters are made and trained, and what they forecast.

    Parameters
    ----------
    add : callable
        Adds an argument to the parser of a command.
    horizon : str, default=""
        What the horizon is where it is not given; 12 by default.
    """
    add("--unit", metavar="TEXT", help="unit of the values; default: what the data file says")
    add(
        "--input-length",
        metavar="N",
        type=positive,
        default=24,
        help="look-back of the trained forecasters, in time steps",
    )
    text = "time steps to forecast"
    add(
        "--horizon",
        metavar="N",
        type=positive,
        default=None if horizon else 12,
        help=f"{text}; {horizon}" if horizon else text,
    )
    add(
        "--season",
        metavar="N",
        type=positive,
        help="time steps per season; default: those of a day, from the time index",
    )
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    add("--seed", metavar="N", type=whole, default=0, help="seed of the networks")
    add(
        "--max-epochs",
        metavar="N",
        type=positive,
        help="passes over the training data; default: the forecaster's own",
    )
    add(
        "--batch-size",
        metavar="N",
        type=positive,
        help="windows from which a network learns at once; more make an epoch shorter; default: the forecaster's own",
    )


class Formatter(argparse.HelpFormatter):
    """Help that shows defaults, except where the text does, and breaks no name at its hyphen."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        words = " ".join(text.split())
        return textwrap.fill(
            words, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        )

    def _get_help_string(self, action: argparse.Action) -> str | None:
        without = action.default in (None, False, argparse.SUPPRESS)
        return action.help if without else f"{action.help} (default: %(default)s)"


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def whole(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from error


def fraction(text: str) -> float:
    """A number between 0 and 1."""
    value = _number(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def minutes(text: str) -> float:
    """A number above 0."""
    value = _number(text)
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from error


def _separator(text: str) -> str:
    """A separator, also by a name that is easy to type."""
    return {"\\t": "\t", "tab": "\t", " ": r"\s+", "blank": r"\s+"}.get(text, text)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint at the nearest of some names.

    Parameters
    ----------
    word : str
        What was given.
    known : iterable of str
        What there is.

    Returns
    -------
    str
        To be appended to a sentence; empty where nothing is near.
    """
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near and near[0] != word else ""
