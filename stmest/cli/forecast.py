"""``stmest forecast``: the steps after the last row of a file, as a table and a picture.

Builds on `forecasters` and `plotting`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .choice import choose
from .data import check_files, check_path, describe, index_of, load
from .interrupt import stoppable
from .models import build, chosen, commands, help_text
from .options import Formatter, add_data_options, add_model_options, fraction, minutes
from .output import make_folder, saved_picture, show, silent

__all__ = ["add_to"]

_MINUTES = 5.0  # of --model auto
_MODEL_FILE = ".safetensors"


def add_to(subparsers: Any) -> None:
    """Add this command to the parser."""
    forecast = subparsers.add_parser(
        "forecast",
        help="fit a forecaster, or take a saved one, and forecast what comes after the last row",
        description="Forecast the time steps after the last row of the data, with a range for each; write them as a table with "
        "the columns time, node, forecast, lower, upper, and as a picture beside it.",
        epilog=help_text(),
        formatter_class=Formatter,
    )
    add = forecast.add_argument
    add_data_options(add, data="with a saved model it may be left out: the last rows that it saw count")
    add(
        "--model",
        metavar="NAME",
        default="auto",
        help="a forecaster, a file that --save-model wrote, or 'auto': the one that validates best",
    )
    add_model_options(add, horizon="default: 12, of a saved model its own")
    add(
        "--minutes",
        metavar="X",
        type=minutes,
        help=f"time for trainings, which then end with their best weights; default: {_MINUTES:g} for 'auto', half of them to "
        "choose; no limit for a named forecaster",
    )
    add(
        "--coverage", metavar="X", type=fraction, default=0.9, help="share of the values that the range holds"
    )
    add(
        "--out",
        metavar="FILE",
        type=Path,
        default=Path("forecast.csv"),
        help="table to write, .csv or .csv.gz",
    )
    add("--save-model", metavar="FILE", type=Path, help="also write the fitted forecaster, .safetensors")
    add("--quiet", action="store_true", help="print the forecast and the paths only")
    forecast.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Do what ``stmest forecast`` is asked for."""
    say: Callable[[str], None] = silent if options.quiet else show
    saved = _is_saved(options.model)
    if saved:
        check_path(options.model)
    else:
        _check_fit(options)
    check_files(options)
    _check_outputs(options)
    model, X, title = _saved(options, say) if saved else _fitted(options, say)
    if options.save_model is not None:
        model.save(options.save_model)
    from .future import future_of

    unit = getattr(X, "attrs", {}).get("unit") if options.unit is None else options.unit
    future = future_of(model, X, options.horizon or model.horizon, options.coverage)
    future.to_frame().to_csv(options.out, index=False)
    say("")
    show(future.to_text() + (f"\nin {unit}" if unit else ""))
    for sentence in future.sentences:
        show(sentence)
    show("")
    show(f"forecast {options.out}")
    picture = options.out.with_name(options.out.name.split(".csv")[0] + ".png")
    show(
        f"picture  {saved_picture(lambda: future.display(unit, f'{title}: the next {future.steps} steps'), picture)}"
    )
    if options.save_model is not None:
        show(f"model    {options.save_model}")
    return 0


def _is_saved(model: str) -> bool:
    return model.lower().endswith(_MODEL_FILE) or Path(model).is_file()


def _check_fit(options: argparse.Namespace) -> None:
    """Refuse what cannot be fitted or saved, before anything is loaded."""
    from ..exceptions import ParameterError

    if options.model.lower() != "auto":
        names = chosen(options.model, "--model", further=["auto"])
        if len(names) > 1:
            raise ParameterError(f"--model: {', '.join(names)} were named; needed: one forecaster, or auto.")
        options.model = names[0]
        if options.save_model is not None and not commands()[names[0]][0].saves:
            raise ParameterError(
                f"--save-model: {names[0]} cannot be saved in a model file, which holds no objects of other libraries."
            )
    if options.data is None:
        raise ParameterError("--data FILE is needed: the values to forecast; or --model FILE, a saved model.")


def _check_outputs(options: argparse.Namespace) -> None:
    """Make the folders to write to: one that cannot be written to is better known before a training."""
    from ..exceptions import ParameterError

    if not options.out.name.lower().endswith((".csv", ".csv.gz")):
        raise ParameterError(f"--out: {options.out} has another ending; needed: .csv or .csv.gz.")
    for path in (options.out, options.save_model):
        if path is not None:
            make_folder(path.parent)


def _fitted(options: argparse.Namespace, say: Callable[[str], None]) -> tuple[Any, Any, str]:
    """A forecaster fitted on all rows, these, and what they are called."""
    options.horizon = options.horizon or 12
    auto = options.model.lower() == "auto"
    say("loading ...")
    from ..data.calendar import season_length
    from ..evaluation.report import how_training_ended

    X, graph, title = load(options, say)
    season = season_length(index_of(X)) if options.season is None else options.season
    describe(X, graph, title, say)
    limit = _MINUTES if auto and options.minutes is None else options.minutes
    with stoppable(limit) as request:
        name, end = options.model, request.deadline
        if auto and end is not None and limit is not None:
            request.deadline = end - 60 * limit / 2
            name = choose(X, graph, options, season, request, say)
            request.deadline = end
        say(f"fitting {name} on all {len(X):,} rows")
        model = build(name, options, season).fit(X, adj=graph)
    ended = how_training_ended(model)
    if ended is not None:
        say(f"{name}: {ended}")
    return model, X, title


def _saved(options: argparse.Namespace, say: Callable[[str], None]) -> tuple[Any, Any, str]:
    """A saved forecaster, the rows to forecast from (None: those that it saw last), and what they are called."""
    from ..forecasters.model_file import load as load_model

    model = load_model(options.model, device=options.device)
    name = Path(options.model).name
    if options.save_model is not None:
        say("--save-model is not used: nothing is fitted")
        options.save_model = None
    say(f"{name}: {type(model).__name__} of {model.n_features_in_} nodes, horizon {model.horizon}")
    if options.adj is not None:
        say("--adj is not used: the model knows its graph")
        options.adj = None
    if options.data is None:
        return model, None, name
    X, _, title = load(options, say, all_channels=model.n_inputs_ > 1)
    X = _in_order(X, model, say)
    describe(X, None, title, say)
    return model, X, title


def _in_order(X: Any, model: Any, say: Callable[[str], None]) -> Any:
    """A table with the columns that a model knows, in their order."""
    known = model.nodes_
    if X.ndim != 2 or X.columns.nlevels > 1 or known is None or not set(known) <= set(X.columns):
        return X
    further = [str(name) for name in X.columns if name not in set(known)]
    if further:
        say(
            f"not known to the model, and not used: {', '.join(further[:6])}{', ...' if len(further) > 6 else ''}"
        )
    return X[list(known)]
