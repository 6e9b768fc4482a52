"""The command line: ``stmest report`` fits forecasters on a file of values and says how good each of them is.

Everything that is slow to import is imported once the arguments are understood, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..forecasters.registry import Entry, entries

if TYPE_CHECKING:
    import pandas as pd

    from ..evaluation.results import Report
    from ..graphs import Graph

__all__ = ["main"]

_DEFAULT_MODELS = "stm3,stmamba,ridge-blend,ridge,mean-profile,weekly-naive,seasonal-naive,last-value"
_DEFAULT_FIELD_MODELS = "mad,unet,ridge,mean-profile,seasonal-naive,last-value"
_SEVEN_SEASONS = ("weekly-naive", "mean-profile")


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
    report = commands.add_parser(
        "report",
        help="fit forecasters, score them on the same windows, draw a forecast",
        description="Fit forecasters on the first time steps of the data, score all of them on the same windows of "
        "the last ones, print one table, and write forecast.png and report.json (and a page for the browser with --html).",
        epilog="models: " + "; ".join(f"{name}: {what['text']}" for name, (_, what) in _commands().items()),
        formatter_class=_Formatter,
    )
    _add_options(report.add_argument)
    report.set_defaults(run=_report)
    return parser


def _add_options(add: Callable[..., Any]) -> None:
    """Add the options of ``stmest report``."""
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
    add(
        "--models",
        metavar="NAMES",
        help=f"forecasters, separated by commas; default: {_DEFAULT_MODELS}; for fields: {_DEFAULT_FIELD_MODELS}",
    )
    add(
        "--input-length",
        metavar="N",
        type=_positive,
        default=24,
        help="look-back of the trained forecasters, in time steps",
    )
    add("--horizon", metavar="N", type=_positive, default=12, help="time steps to forecast")
    add(
        "--season",
        metavar="N",
        type=_positive,
        help="time steps per season; default: those of a day, from the time index",
    )
    add(
        "--test-fraction",
        metavar="X",
        type=_fraction,
        default=0.2,
        help="share of the time steps to score on, the last ones",
    )
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    add("--seed", type=int, default=0, help="seed of the networks and of the simulation")
    add(
        "--max-epochs",
        metavar="N",
        type=_positive,
        help="passes over the training data; default: the forecaster's own",
    )
    add("--out", metavar="DIR", type=Path, default=Path("stmest-report"), help="folder to write to")
    add(
        "--html",
        metavar="FILE",
        type=Path,
        help="also write the report as one HTML page that needs no network",
    )
    add("--quiet", action="store_true", help="print the table and the paths only")


class _Formatter(argparse.HelpFormatter):
    """Help that shows defaults, except where the text does."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        without = action.default in (None, False, argparse.SUPPRESS)
        return action.help if without else f"{action.help} (default: %(default)s)"


def _marks_joined(arguments: Sequence[str]) -> list[str]:
    """Arguments with the marks of missing values behind an equals sign: -9999,- looks like an option."""
    out: list[str] = []
    for argument in arguments:
        if out and out[-1] == "--missing":
            out[-1] = f"--missing={argument}"
        else:
            out.append(argument)
    return out


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def _fraction(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not between 0 and 1")
    return value


def _report(options: argparse.Namespace) -> int:
    """Do what ``stmest report`` is asked for."""
    say: Callable[[str], None] = _silent if options.quiet else _print
    names = [] if options.models is None else _chosen(options.models)
    say("loading torch and scikit-learn ...")
    from ..data.calendar import season_length
    from ..evaluation.report import compare

    X, graph, title = _load(options, say)
    is_field = X.ndim == 3
    index = X.indexes[X.dims[0]] if is_field else X.index
    names = names or _chosen(_DEFAULT_FIELD_MODELS if is_field else _DEFAULT_MODELS)
    season = season_length(index) if options.season is None else options.season
    if options.models is None and 7 * season > (1 - options.test_fraction) * len(X):
        say(
            f"fewer than seven seasons of {season} rows to learn from: without {' and '.join(_SEVEN_SEASONS)}"
        )
        names = [name for name in names if name not in _SEVEN_SEASONS]
    models = {name: _build(name, options, season) for name in names}
    _describe(X, index, graph, title, season, options, say)
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


def _chosen(text: str) -> list[str]:
    """Names of forecasters from a list with commas; underscores and capitals do not matter."""
    from ..exceptions import ParameterError

    names = list(
        dict.fromkeys(name.strip().lower().replace("_", "-") for name in text.split(",") if name.strip())
    )
    known = _commands()
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        what = f"there is no model {unknown[0]!r}" if unknown else "no model was named"
        raise ParameterError(f"--models: {what}; there are {', '.join(known)}.")
    return names


def _commands() -> dict[str, tuple[Entry, dict[str, Any]]]:
    """Names of the forecasters in the command line, with what they stand for."""
    known = {name: (entry, what) for entry in entries().values() for name, what in entry.commands.items()}
    return dict(sorted(known.items()))


def _build(name: str, options: argparse.Namespace, season: int) -> Any:
    """Make an unfitted forecaster."""
    entry, what = _commands()[name]
    known = inspect.signature(entry.cls).parameters
    if "device" in known:
        from ..runtime import resolve_device

        resolve_device(options.device)  # a wrong name is an error of the whole command, not of one row
    wanted = {
        "input_length": options.input_length,
        "horizon": options.horizon,
        "season": what.get("seasons", 1) * season,
        "device": options.device,
        "random_state": options.seed,
        "verbose": 0 if options.quiet else 1,
    }
    if options.max_epochs is not None:
        wanted["max_epochs"] = options.max_epochs
    return entry.cls(**{k: v for k, v in wanted.items() if k in known}, **what.get("settings", {}))


def _load(options: argparse.Namespace, say: Callable[[str], None]) -> tuple[Any, Graph | None, str]:
    """Values of one channel (a DataFrame, or a DataArray for fields), graph, and what the data are called."""
    from ..io.fields import holds_field, read_field
    from ..io.tables import read_graph, read_table

    if options.data is not None and holds_field(options.data):
        fields = read_field(options.data, missing=options.missing)
        name = _channel_of(list(fields), options.channel, say)
        if options.adj not in (None, "none"):
            say("the cells of a field have no graph: --adj is not used")
        return fields[name], None, f"{Path(options.data).name}, {name}"

    graph: Graph | None
    if options.data is None:
        from ..datasets import make_sensor_network

        simulated = make_sensor_network(random_state=options.seed)
        X, graph, title = simulated.values, simulated.graph, "simulated sensor network"
    else:
        X, graph = read_table(options.data, missing=options.missing)
        title = Path(options.data).name
    X, channel = _one_channel(X, options.channel, say)
    if options.adj is not None:
        graph = None if options.adj.lower() == "none" else read_graph(options.adj, nodes=list(X.columns))
    return X, graph, title if channel is None else f"{title}, {channel}"


def _one_channel(
    X: pd.DataFrame, wanted: str | None, say: Callable[[str], None]
) -> tuple[pd.DataFrame, str | None]:
    """The wide table of the wanted channel, or of the first one; other channels are not used."""
    named = None if X.columns.name is None else str(X.columns.name)
    channels = list(dict.fromkeys(X.columns.get_level_values(1))) if X.columns.nlevels == 2 else []
    known = {str(channel): channel for channel in channels} or ({} if named is None else {named: named})
    if not known and wanted is None:
        return X, named
    name = _channel_of(list(known), wanted, say)
    if not channels:
        return X, named
    one = X.xs(known[name], axis=1, level=1)
    one.attrs = X.attrs
    return one, name


def _channel_of(known: list[str], wanted: str | None, say: Callable[[str], None]) -> str:
    """The wanted channel, or the first one, with a word on those that are left out."""
    from ..exceptions import ParameterError

    if wanted is not None and wanted not in known:
        has = f"has the channels {', '.join(known)}" if known else "has no named channels"
        raise ParameterError(f"--channel: there is no channel {wanted!r}; the data file {has}.")
    name = known[0] if wanted is None else wanted
    others = ", ".join(other for other in known if other != name)
    if others:
        say(f"channel {name} is forecast; not used: {others}" + ("" if wanted else "  (--channel chooses)"))
    return name


def _describe(
    X: Any,
    index: pd.Index,
    graph: Graph | None,
    title: str,
    season: int,
    options: argparse.Namespace,
    say: Callable[[str], None],
) -> None:
    """Say what is about to be forecast."""
    import pandas as pd

    missing = float(pd.isna(X.values).mean())
    edges = "no graph: it is learned" if graph is None else f"graph of {graph.n_edges} edges"
    where = f"{X.shape[1]} nodes" if X.ndim == 2 else f"a field of {X.shape[1]} x {X.shape[2]} cells"
    size = f"{len(X):,} rows from {index[0]} to {index[-1]}, {where}, {missing:.1%} missing"
    say(f"{title}: {size}" + (f", {edges}" if X.ndim == 2 else ""))
    for note in X.attrs.get("notes", []):
        say(f"{title}: {note}")
    lengths = f"look-back {options.input_length}, horizon {options.horizon}, season {season} rows"
    say(f"{lengths}; writing to {options.out}")


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
    except MissingDependencyError as error:
        print(f"picture  not drawn: {error}")
        return
    if display is None:
        print("picture  not drawn: no forecaster succeeded")
    else:
        display.figure_.savefig(options.out / "forecast.png")
        print(f"picture  {options.out / 'forecast.png'}")
    if options.html is not None:
        options.html.write_text(report_page(report, title=title), encoding="utf-8")
        print(f"page     {options.html}")


def _print(line: str) -> None:
    print(line, flush=True)


def _silent(line: str) -> None:
    """Show nothing."""
