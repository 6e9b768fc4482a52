"""Which forecasters the command line knows, and how it makes them.

Builds on the registry; used by the modules of the commands.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Sequence
from typing import Any

from ..forecasters.registry import Entry, entries
from .options import did_you_mean

__all__ = ["build", "chosen", "commands", "help_text"]


def help_text() -> str:
    """What each forecaster is, for the end of a help text."""
    return "models: " + "; ".join(f"{name}: {what['text']}" for name, (_, what) in commands().items())


def chosen(text: str, option: str = "--models", further: Sequence[str] = ()) -> list[str]:
    """Names of forecasters from a list with commas; underscores and capitals do not matter."""
    from ..exceptions import ParameterError

    names = list(
        dict.fromkeys(name.strip().lower().replace("_", "-") for name in text.split(",") if name.strip())
    )
    known = commands()
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        what = f"there is no model {unknown[0]!r}" if unknown else "no model was named"
        hint = did_you_mean(unknown[0], [*further, *known]) if unknown else ""
        raise ParameterError(f"{option}: {what}; there are {', '.join([*further, *known])}{hint or '.'}")
    return names


def commands() -> dict[str, tuple[Entry, dict[str, Any]]]:
    """Names of the forecasters in the command line, with what they stand for."""
    known = {name: (entry, what) for entry in entries().values() for name, what in entry.commands.items()}
    return dict(sorted(known.items()))


def build(name: str, options: argparse.Namespace, season: int) -> Any:
    """Make an unfitted forecaster."""
    entry, what = commands()[name]
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
    given = {"max_epochs": options.max_epochs, "batch_size": options.batch_size}
    wanted |= {parameter: value for parameter, value in given.items() if value is not None}
    return entry.cls(**{k: v for k, v in wanted.items() if k in known} | what.get("settings", {}))
