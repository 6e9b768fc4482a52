"""Options that several commands share, and what their values may be.

Builds on argparse; used by the modules of the commands.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

__all__ = ["Formatter", "add_data_options", "add_model_options", "fraction", "positive"]


def add_data_options(add: Callable[..., Any]) -> None:
    """Add the options that say which values are read, and how."""
    add(
        "--data",
        metavar="FILE",
        help="csv, Excel, parquet, npz or HDF5 of values, npz or netCDF of a field; without it, a simulated network",
    )
    add(
        "--missing",
        metavar="MARKS",
        help="marks of missing values besides empty cells, separated by commas, such as -9999,-",
    )
    add("--adj", metavar="FILE", help="graph: csv, npy or npz; 'none' ignores the one in the data file")
    add(
        "--channel",
        metavar="NAME",
        help="channel to forecast, where the data have several; default: the first",
    )
    add("--unit", metavar="TEXT", help="unit of the values; default: what the data file says")


def add_model_options(add: Callable[..., Any]) -> None:
    """Add the options that say how forecasters are made and trained."""
    add(
        "--input-length",
        metavar="N",
        type=positive,
        default=24,
        help="look-back of the trained forecasters, in time steps",
    )
    add("--horizon", metavar="N", type=positive, default=12, help="time steps to forecast")
    add(
        "--season",
        metavar="N",
        type=positive,
        help="time steps per season; default: those of a day, from the time index",
    )
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    add("--seed", type=int, default=0, help="seed of the networks and of the simulation")
    add(
        "--max-epochs",
        metavar="N",
        type=positive,
        help="passes over the training data; default: the forecaster's own",
    )


class Formatter(argparse.HelpFormatter):
    """Help that shows defaults, except where the text does."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        without = action.default in (None, False, argparse.SUPPRESS)
        return action.help if without else f"{action.help} (default: %(default)s)"


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def fraction(text: str) -> float:
    """A number between 0 and 1."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not between 0 and 1")
    return value
