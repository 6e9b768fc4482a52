"""Every registered forecaster in its smallest form, for what all of them promise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stmest.forecasters import registry
from stmest.forecasters.registry import entries

# Those that read fields only
FIELD_NAMES = [name for name, entry in entries().items() if entry.grids_only]


def names() -> list[str]:
    """All registered forecasters, without those that read fields only or need weights that are not here."""
    return sorted(name for name, entry in entries().items() if not entry.grids_only and not entry.pretrained)


def network_names() -> list[str]:
    """Those of them that train a network."""
    return [name for name in names() if "max_epochs" in entries()[name].tiny]


def saved_names() -> list[str]:
    """Those of them that model files can hold."""
    return [name for name in names() if entries()[name].saves]


def small(name: str, **parameters: Any) -> Any:
    """A forecaster that is fitted within a second."""
    return entries()[name].smallest(**parameters)


@contextmanager
def restored_registry() -> Iterator[None]:
    """Take out again, in the end, what is registered in between and is no part of stmest."""
    try:
        yield
    finally:
        for table in (registry._CLASSES, registry._REGISTERED):
            for name in table.keys() - registry._found_in_sources().keys():
                del table[name]
