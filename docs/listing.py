"""Writes the index of the reference from the public names, so that none can be forgotten."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import stmest

__all__ = ["write_reference"]

# Heading, modules whose `__all__` belongs there, and beginnings of the homes of stmest's own names
_GROUPS = (
    ("Forecasters", (), ("forecasters",)),
    ("Saving and loading", (), ("storage",)),
    ("Graphs", (), ("graphs",)),
    ("Comparing and searching", ("stmest.evaluation",), ("evaluation", "data")),
    ("Pictures", ("stmest.plotting",), ()),
    ("Data", ("stmest.datasets",), ("datasets",)),
    ("The machine", (), ("ops", "runtime")),
    ("Errors", (), ("exceptions",)),
)
_HEAD = """Reference
=========

From the docstrings. The letters in shapes are those of :doc:`../explanation/letters`.
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
    for heading, modules, homes in _GROUPS:
        own = [name for name, home in left.items() if home.split(".")[0] in homes]
        parts = [("stmest", own)]
        for module in modules:
            public = importlib.import_module(module).__all__
            parts.append((module, [name for name in public if name not in stmest.public_names()]))
        left = {name: home for name, home in left.items() if name not in own}
        text += [heading, "-" * len(heading), ""]
        text += [line for module, names in parts if names for line in _table(module, names)]
    if left:
        raise ValueError(
            f"{list(left)} belong to no group of the reference: add their homes to docs/listing.py."
        )
    folder.mkdir(exist_ok=True)
    target, new = folder / "index.rst", "\n".join(text) + "\n"
    if not target.exists() or target.read_text(encoding="utf-8") != new:
        target.write_text(new, encoding="utf-8")


def _table(module: str, names: list[str]) -> list[str]:
    known = [name for name in names if inspect.getdoc(getattr(importlib.import_module(module), name))]
    entries = [f"   {name}" for name in known]
    return [
        f".. currentmodule:: {module}",
        "",
        ".. autosummary::",
        "   :toctree: generated",
        "",
        *entries,
        "",
    ]
