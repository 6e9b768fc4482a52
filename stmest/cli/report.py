"""``stmest report``: fits forecasters on a file of values and says how good each of them is.

Builds on `evaluation` and `plotting`.
"""

from __future__ import annotations

import argparse
import inspect
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .data import check_files, describe, index_of, load, place
from .interrupt import stoppable
from .models import build, chosen, commands, help_text
from .options import READING, Formatter, add_data_options, add_model_options, fraction
from .output import make_folder, saved_picture, show, silent

if TYPE_CHECKING:
    from ..evaluation.results import Report

__all__ = ["add_to"]

# The quick ones first, so that there is something to read while networks learn
_DEFAULT_MODELS = "last-value,seasonal-naive,weekly-naive,mean-profile,ridge,ridge-blend,stid,stmamba,stm3"
_DEFAULT_FIELD_MODELS = "last-value,seasonal-naive,mean-profile,ridge,unet,mad"
# Options of this command that the next one, ``stmest forecast``, needs too, where they differ from its defaults
_ALSO_TO_FORECAST = ("adj", "channel", "input_length", "horizon", "season", "batch_size", "max_epochs")
_OF_SOME_MODELS = ("input_length", "season", "batch_size", "max_epochs")
_DEFAULTS = {"input_length": 24, "horizon": 12}
_SEVEN_SEASONS = ("weekly-naive", "mean-profile")


def add_to(subparsers: Any) -> None:
    """Add this command to the parser."""
    report = subparsers.add_parser(
        "report",
        help="fit forecasters, score them on the same windows, draw a forecast",
        description="Fit forecasters on the first time steps of the data, score all of them on the same windows of "
        "the last ones, print one table, and write forecast.png and report.json (and a page for the browser with --html).",
        epilog=help_text(),
        formatter_class=Formatter,
    )
    add = report.add_argument
    add_data_options(add, data="without it, two years of air quality in Beijing")
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
    add(
        "--coords",
        metavar="FILE",
        help="places of the sensors, for the map of the page: csv with the columns node, lat and lon",
    )
    add(
        "--save-models",
        metavar="DIR",
        type=Path,
        help="also write each fitted forecaster, as DIR/NAME.safetensors",
    )
    add("--quiet", action="store_true", help="print the table and the paths only")
    report.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Do what ``stmest report`` is asked for."""
    say: Callable[[str], None] = silent if options.quiet else show
    names = [] if options.models is None else chosen(options.models)
    check_files(options)
    say("loading torch and scikit-learn ...")
    from ..data.calendar import season_length

    X, graph, title = load(options, say)
    if options.coords is not None:
        place(X, options.coords, say)
    names = names or chosen(_DEFAULT_FIELD_MODELS if X.ndim == 3 else _DEFAULT_MODELS)
    season = season_length(index_of(X)) if options.season is None else options.season
    if options.models is None and 7 * season > (1 - options.test_fraction) * len(X):
        say(
            f"fewer than seven seasons of {season} rows to learn from: without {' and '.join(_SEVEN_SEASONS)}"
        )
        names = [name for name in names if name not in _SEVEN_SEASONS]
    models = {name: build(name, options, season) for name in names}
    describe(X, graph, title, say)
    lengths = f"look-back {options.input_length}, horizon {options.horizon}, season {season} rows"
    say(f"{lengths}; writing to {options.out}")
    # A folder that cannot be written to is better known before an hour of training.
    for folder in (options.out, options.save_models):
        if folder is not None:
            make_folder(folder)
    if options.html is not None:
        _check_page(options.html)
    unit = X.attrs.get("unit") if options.unit is None else options.unit
    report = _compared(
        models, X, graph, say, test_fraction=options.test_fraction, season=options.season, unit=unit
    )
    report.settings |= {"command": _said(options), "data": title}
    if X.attrs.get("notes"):
        report.settings["notes"] = "; ".join(X.attrs["notes"])
    say("")
    show(report.to_text())
    say("")
    _write(report, options, title)
    if options.save_models is not None:
        _save_models(report, options.save_models)
    choice = report.verdict().choice
    if choice is not None:
        say(f"next     {_next_command(options, choice)}")
    return 0 if all(row.error is None for row in report.rows) else 1


def _compared(
    models: dict[str, Any], X: Any, graph: Any, say: Callable[[str], None], **settings: Any
) -> Report:
    """The comparison, of which Ctrl-C ends one training after the other."""
    from ..evaluation.report import compare

    with stoppable() as request:

        def progress(line: str) -> None:
            request.wanted = False  # it was for the forecaster before, if it came too late for its training
            say(line)

        return compare(models, X, graph, progress=progress, **settings)


def _said(options: argparse.Namespace) -> dict[str, str]:
    """The options as text, by name, from which the page writes the command again."""
    said = {key: value for key, value in vars(options).items() if key != "run" and value is not None}
    if said.get("dayfirst") is False:
        said["no_dayfirst"] = True
    return {key: str(value) for key, value in said.items()}


def _next_command(options: argparse.Namespace, model: str) -> str:
    """The command that forecasts what comes after the last row with a forecaster of the table."""
    words = ["stmest", "forecast", "--data", options.data or "FILE", "--model", model]
    unused = set(_OF_SOME_MODELS) - set(inspect.signature(commands()[model][0].cls).parameters)
    for name in (*_ALSO_TO_FORECAST, *READING):
        if name in unused:
            continue
        value = getattr(options, name)
        option = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words += [option] if value else ["--no-" + name] if name == "dayfirst" else []
        elif value is not None and value != _DEFAULTS.get(name):
            words += [option, str(value)]
    return shlex.join(words)


def _check_page(path: Path) -> None:
    """Make the folder of the page, and miss no package when everything is computed."""
    from ..runtime import require

    require("matplotlib", extra="plot")
    require("jinja2", extra="plot")
    make_folder(path.parent)


def _write(report: Report, options: argparse.Namespace, title: str) -> None:
    """Write picture, JSON and page, and say where they are."""
    from ..plotting import report_page, report_picture

    target = options.out / "report.json"
    target.write_text(report.to_json() + "\n", encoding="utf-8")
    show(f"report   {target}")
    show(f"picture  {saved_picture(lambda: report_picture(report, title), options.out / 'forecast.png')}")
    if options.html is not None:
        options.html.write_text(report_page(report, title=title), encoding="utf-8")
        show(f"page     {options.html}")


def _save_models(report: Report, folder: Path) -> None:
    """Write the forecasters, which have seen the rows before the test part, and say which cannot be written."""
    from ..exceptions import ModelFileError

    for row in report.rows:
        if row.error is not None:
            continue
        path = folder / f"{row.name}.safetensors"
        try:
            row.forecaster.save(path)
        except ModelFileError as error:
            show(f"model    {row.name} is not saved: {error}")
        else:
            show(f"model    {path}")
    show(
        f"models   have learnt from the first {report.settings['train_rows']:,} rows; `stmest forecast` fits on all"
    )
