"""Writes the index of the reference from the public names, so that none can be forgotten."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import os
from pathlib import Path

import stmest
import stmest.cli

__all__ = ["write_reference"]

# Heading, what belongs there, modules whose `__all__` does, and beginnings of the homes of stmest's own names
_GROUPS = (
    ("Linear, classical, naive and pretrained forecasters", "Seconds to fit; the rivals of every network.", (),
     ("forecasters.ridge", "forecasters.regressor", "forecasters.classical", "forecasters.chronos", "forecasters.naive")),
    ("Networks", "Trained; each forecasts what the linear forecast leaves.", (),
     ("forecasters.st", "forecasters.s2tx", "forecasters.linear", "forecasters.mad", "forecasters.unet")),
    ("Several forecasters as one", "", (), ("forecasters.ensemble",)),
    ("Comparing and searching", "", ("stmest.evaluation",), ("evaluation", "data")),
    ("Saving and loading", "Models as files; `save` is a method of every forecaster.", (), ("forecasters.model_file", "storage")),
    ("Graphs", "", (), ("graphs",)),
    ("Data", "What comes with the package, and what is read from files.", ("stmest.datasets",), ("datasets",)),
    ("Pictures", "", ("stmest.plotting",), ()),
    ("The machine", "Which kernels run, and which versions are installed.", (), ("ops", "runtime")),
    ("Errors", "", (), ("exceptions",)),
)  # fmt: skip
os.environ["COLUMNS"] = "100"  # as wide as the help is shown
_HEAD = """Reference (API)
===============

From the docstrings. The letters in shapes are those of :doc:`../explanation/letters`; the methods `fit`, `predict`, `score`,
`predict_windows`, `predict_interval`, `update` and `save` are the same for all forecasters. :doc:`../how_to/parameters` has the
five parameters that matter first.
"""


def write_reference(folder: Path) -> None:
    """Write ``index.rst``, one table of names per group.

    Parameters
    ----------
    folder : Path
        Folder of the reference.

    Raises
    ------
    ValueError
        If a public name belongs to no group.
    """
    left = {name: home.removeprefix("stmest.") for name, home in stmest.public_names().items()}
    text = [_HEAD]
    for heading, words, modules, homes in _GROUPS:
        own = [name for name, home in left.items() if home.startswith(homes)] if homes else []
        parts = [("stmest", own)]
        for module in modules:
            public = importlib.import_module(module).__all__
            parts.append((module, [name for name in public if name not in stmest.public_names()]))
        left = {name: home for name, home in left.items() if name not in own}
        text += [*_titled(heading), words, ""]
        text += [line for module, names in parts if names for line in _table(module, names)]
    if left:
        raise ValueError(
            f"{list(left)} belong to no group of the reference: add their homes to docs/listing.py."
        )
    text += _of_sktime() + _of_command_line()
    folder.mkdir(exist_ok=True)
    target, new = folder / "index.rst", "\n".join(text) + "\n"
    if not target.exists() or target.read_text(encoding="utf-8") != new:
        target.write_text(new, encoding="utf-8")


def _titled(heading: str) -> list[str]:
    return [heading, "-" * len(heading), ""]


def _table(module: str, names: list[str]) -> list[str]:
    known = [name for name in names if inspect.getdoc(getattr(importlib.import_module(module), name))]
    return [
        f".. currentmodule:: {module}",
        "",
        ".. autosummary::",
        "   :toctree: generated",
        "",
        *(f"   {name}" for name in known),
        "",
    ]


def _of_sktime() -> list[str]:
    """The forecasters in sktime's API. Their methods are sktime's, and documented there."""
    names = importlib.import_module("stmest.sktime").__all__
    words = "The same forecasters as sktime knows forecasters: :doc:`../how_to/sktime`."
    return [*_titled("In sktime"), words, "", *_table("stmest.sktime", names)]


def _of_command_line() -> list[str]:
    """What the command line says of itself."""
    words = ":doc:`../how_to/command_line` walks through the commands; this is what they say of themselves."
    text = [*_titled("Command line"), words, ""]
    for arguments in ([], *([command] for command in _commands())):
        shown = " ".join(["stmest", *arguments, "--help"])
        text += [shown, "~" * len(shown), "", ".. code-block:: text", ""]
        text += [f"   {line}".rstrip() for line in _help(arguments).splitlines()] + [""]
    return text


def _commands() -> list[str]:
    usage = _help([]).split("positional arguments:")[1].split("options:")[0]
    return [line.split()[0] for line in usage.splitlines() if line.startswith("    ") and line[4:5].strip()]


def _help(arguments: list[str]) -> str:
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        stmest.cli.main([*arguments, "--help"])
    return text.getvalue()
