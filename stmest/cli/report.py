"""``stmest report``: fits forecasters on a file of values and says how good each of them is.

Builds on `evaluation` and `plotting`.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .data import describe, load
from .models import build, chosen, help_text
from .options import Formatter, add_data_options, add_model_options, fraction
from .output import show, silent

if TYPE_CHECKING:
    from ..evaluation.results import Report

__all__ = ["add_to"]

_DEFAULT_MODELS = "stm3,stmamba,ridge-blend,ridge,mean-profile,weekly-naive,seasonal-naive,last-value"
_DEFAULT_FIELD_MODELS = "mad,unet,ridge,mean-profile,seasonal-naive,last-value"
_SEVEN_SEASONS = ("weekly-naive", "mean-profile")


def add_to(commands: Any) -> None:
    """Add this command to the parser."""
    report = commands.add_parser(
        "report",
        help="fit forecasters, score them on the same windows, draw a forecast",
        description="Fit forecasters on the first time steps of the data, score all of them on the same windows of "
        "the last ones, print one table, and write forecast.png and report.json (and a page for the browser with --html).",
        epilog=help_text(),
        formatter_class=Formatter,
    )
    add = report.add_argument
    add_data_options(add)
    add(
        "--models",
        metavar="NAMES",
        help=f"forecasters, separated by commas; default: {_DEFAULT_MODELS}; for fields: {_DEFAULT_FIELD_MODELS}",
    )
    add_model_options(add)
    add(
        "--test-fraction",
        metavar="X",
        type=fraction,
        default=0.2,
        help="share of the time steps to score on, the last ones",
    )
    add("--out", metavar="DIR", type=Path, default=Path("stmest-report"), help="folder to write to")
    add(
        "--html",
        metavar="FILE",
        type=Path,
        help="also write the report as one HTML page that needs no network",
    )
    add("--quiet", action="store_true", help="print the table and the paths only")
    report.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Do what ``stmest report`` is asked for."""
    say: Callable[[str], None] = silent if options.quiet else show
    names = [] if options.models is None else chosen(options.models)
    say("loading torch and scikit-learn ...")
    from ..data.calendar import season_length
    from ..evaluation.report import compare

    X, graph, title = load(options, say)
    is_field = X.ndim == 3
    index = X.indexes[X.dims[0]] if is_field else X.index
    names = names or chosen(_DEFAULT_FIELD_MODELS if is_field else _DEFAULT_MODELS)
    season = season_length(index) if options.season is None else options.season
    if options.models is None and 7 * season > (1 - options.test_fraction) * len(X):
        say(
            f"fewer than seven seasons of {season} rows to learn from: without {' and '.join(_SEVEN_SEASONS)}"
        )
        names = [name for name in names if name not in _SEVEN_SEASONS]
    models = {name: build(name, options, season) for name in names}
    describe(X, index, graph, title, season, options, say)
    # A folder that cannot be written to is better known before an hour of training.
    options.out.mkdir(parents=True, exist_ok=True)
    if options.html is not None:
        _check_page(options.html)
    unit = X.attrs.get("unit") if options.unit is None else options.unit
    report = compare(
        models, X, graph, test_fraction=options.test_fraction, season=options.season, unit=unit,
        progress=say,
    )  # fmt: skip
    report.settings |= {
        "command": {
            key: str(value) for key, value in vars(options).items() if key != "run" and value is not None
        },
        "data": title,
    }
    if X.attrs.get("notes"):
        report.settings["notes"] = "; ".join(X.attrs["notes"])
    say("")
    print(report.to_text())
    say("")
    _write(report, options, title)
    return 0 if all(row.error is None for row in report.rows) else 1


def _check_page(path: Path) -> None:
    """Make the folder of the page, and miss no package when everything is computed."""
    from ..runtime import require

    require("matplotlib", extra="plot")
    require("jinja2", extra="plot")
    path.parent.mkdir(parents=True, exist_ok=True)


def _write(report: Report, options: argparse.Namespace, title: str) -> None:
    """Write picture, JSON and page, and say where they are."""
    from ..exceptions import MissingDependencyError
    from ..plotting import report_page, report_picture

    target = options.out / "report.json"
    target.write_text(report.to_json() + "\n", encoding="utf-8")
    print(f"report   {target}")
    try:
        display = report_picture(report, title)
        if display is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # letters that no font has become boxes
                display.figure_.savefig(options.out / "forecast.png")
    except MissingDependencyError as error:
        print(f"picture  not drawn: {error}")
        return
    except Exception as error:  # the page, and what was computed, are worth more than a picture
        print(f"picture  not drawn: {type(error).__name__}: {error}")
    else:
        failed = "not drawn: no forecaster succeeded"
        print(f"picture  {failed if display is None else options.out / 'forecast.png'}")
    if options.html is not None:
        options.html.write_text(report_page(report, title=title), encoding="utf-8")
        print(f"page     {options.html}")
