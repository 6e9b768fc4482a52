"""The registry: the one list of forecasters, which classes enter by `@register`.

Public names, model files, the command line, the sktime API and the test tables are made from it. So a new architecture is one
file in `networks` and one in this package. The arguments of `@register` are literals: names and help texts are read from the
source without importing torch. Builds on the standard library.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.resources
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

__all__ = ["Entry", "entries", "find", "register"]

Class = TypeVar("Class", bound=type)


@dataclass(frozen=True)
class Entry:
    """A registered forecaster.

    Attributes
    ----------
    name : str
        Of the class.
    module : str
        Where the class is.
    tiny : dict
        Parameters of the smallest forecaster, for tests.
    commands : dict of str to dict
        Names in the command line. Each has a ``text`` for the help and, where wanted, ``settings`` (parameters) and
        ``seasons`` (how many seasons of the data its parameter `season` is).
    grids_only : bool
        Whether it needs fields on grids.
    members : dict of str to str
        Names of the members and their classes in the smallest one, where its parameter `forecasters` takes other forecasters.
    parts : dict of str to str
        Dotted names of the classes of other libraries that are parameters of the smallest one, by parameter.
    saves : bool
        Whether model files can hold what it learns.
    pretrained : bool
        Whether it needs weights that somebody else has trained, without which it cannot be fitted.
    """

    name: str
    module: str
    tiny: dict[str, Any]
    commands: dict[str, dict[str, Any]] = field(default_factory=dict)
    grids_only: bool = False
    members: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    saves: bool = True
    pretrained: bool = False

    @property
    def cls(self) -> Any:
        """The class; imported on first access."""
        return _CLASSES.get(self.name) or _class_at(f"{self.module}.{self.name}")

    @property
    def smallest_parameters(self) -> dict[str, Any]:
        """Parameters of the smallest forecaster: those of `tiny`, with members and parts."""
        parameters = {**self.tiny, **{name: _class_at(path)() for name, path in self.parts.items()}}
        if self.members:
            made = [(name, entries()[kind].smallest()) for name, kind in self.members.items()]
            parameters["forecasters"] = made
        return parameters

    def smallest(self, **parameters: Any) -> Any:
        """The smallest forecaster, for tests.

        Parameters
        ----------
        **parameters
            Others than `smallest_parameters` says, or more.

        Returns
        -------
        BaseForecaster
            Not fitted.
        """
        return self.cls(**{**self.smallest_parameters, **parameters})


_CLASSES: dict[str, type] = {}
_REGISTERED: dict[str, Entry] = {}


def register(**details: Any) -> Callable[[Class], Class]:
    """Class decorator: enter a forecaster into the list.

    Parameters
    ----------
    **details : literals
        `tiny`, `commands`, `grids_only`, `members`, `parts`, `saves` and `pretrained` of `Entry`.

    Returns
    -------
    callable
        Takes the class and returns it.

    Raises
    ------
    ValueError
        If another class has that name, or that name in the command line, already.
    """

    def enter(cls: Class) -> Class:
        new = Entry(cls.__name__, cls.__module__, **details)
        for known in entries().values():
            if (known.name, known.module) == (new.name, new.module):
                continue  # the same class, imported
            if known.name == new.name:
                raise ValueError(f"there is a forecaster {new.name} already, in {known.module}.")
            for command in new.commands.keys() & known.commands.keys():
                raise ValueError(f"{new.name} has the command {command!r}, which {known.name} has already.")
        _CLASSES[new.name] = cls
        _REGISTERED[new.name] = new
        return cls

    return enter


def entries() -> dict[str, Entry]:
    """All forecasters, by the names of their classes.

    Returns
    -------
    dict of str to Entry
        Those of this package, whether imported or not, and those that others registered.
    """
    return {**_found_in_sources(), **_REGISTERED}


def find(name: str) -> Entry | None:
    """The forecaster of a name.

    Parameters
    ----------
    name : str
        Of a class.

    Returns
    -------
    Entry or None
        None where there is none.
    """
    return entries().get(name)


def _class_at(path: str) -> Any:
    """The class of a dotted name."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


@functools.cache
def _found_in_sources() -> dict[str, Entry]:
    """The classes of this package that are decorated with `register`."""
    package = __name__.rpartition(".")[0]
    found = {}
    for file in sorted(importlib.resources.files(package).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".py"):
            module = f"{package}.{file.name.removesuffix('.py')}"
            for name, details in _registered_in(file.read_text(encoding="utf-8"), module):
                found[name] = Entry(name, module, **details)
    return found


def _registered_in(source: str, module: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and details of each decorated class of a module."""
    if "@register(" not in source:
        return
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "register":
                yield (
                    node.name,
                    {k.arg or "**": _literal(k.value, module, node.name) for k in decorator.keywords},
                )


def _literal(node: ast.expr, module: str, name: str) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise ValueError(
            f"{module}, line {node.lineno}: {name} is registered with {ast.unparse(node)}, which is no literal. Write numbers, "
            "texts, lists and dicts there: they are read without importing the module."
        ) from error
