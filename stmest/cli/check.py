"""``stmest check``: what a file of values holds, and what may be wrong with it.

Builds on `evaluation.quality`.
"""

from __future__ import annotations

import argparse
from typing import Any

from .data import check_files, load
from .options import Formatter, add_data_options
from .output import in_options, show

__all__ = ["add_to"]


def add_to(subparsers: Any) -> None:
    """Add this command to the parser."""
    check = subparsers.add_parser(
        "check",
        help="read a file and say what it holds: times, gaps, missing values, dead sensors",
        description="Read a file as the other commands do, and say what it holds: rows, times, frequency, time zone, gaps, how "
        "dates were read, missing values by sensor, extreme values that are repeated, dead, constant, short and equal sensors, "
        "and with --adj how the graph fits.",
        formatter_class=Formatter,
    )
    check.add_argument("data", metavar="FILE", help="csv, Excel, parquet, npz, HDF5 or netCDF")
    add_data_options(check.add_argument, data="")
    check.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Do what ``stmest check`` is asked for."""
    check_files(options)
    from ..evaluation.quality import inspect_data, quality_lines

    X, graph, title = load(options, show)
    show(title)
    for line in quality_lines(inspect_data(X, graph)):
        show(f"  {in_options(line)}")
    return 0
