"""Which module of stmest names which other, read from the sources: for the drawing of the packages and the tests of their order.

Counted are the imports at any depth of a file, those for type checkers among them, and strings that name a module.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "BESIDE",
    "ORDER",
    "Module",
    "Reference",
    "modules",
    "package_of",
    "references",
    "uses",
    "without_short_cuts",
]

NAME = "stmest"
SOURCES = Path(__file__).parent.parent / NAME

# The packages in their order. Each may use those before it, also those before it on its own floor.
ORDER = (
    ("exceptions", "runtime"),
    ("data", "graphs", "metrics"),
    ("io", "linear", "ops"),
    ("layers",),
    ("networks",),
    ("storage", "training"),
    ("prediction", "plotting"),
    ("forecasters",),
    ("evaluation", "sktime"),
    ("cli",),
)
# Beside the order: makes data for the others. What each of them may use.
BESIDE = {"datasets": ("exceptions", "runtime", "data", "graphs")}


@dataclass(frozen=True)
class Module:
    """A source file.

    Attributes
    ----------
    name : str
        Dotted, as it is imported.
    source : str
        Its text.
    is_package : bool
        Whether it is an ``__init__.py``.
    """

    name: str
    source: str
    is_package: bool = False


@dataclass(frozen=True)
class Reference:
    """One place where a module names another.

    Attributes
    ----------
    module, target : str
        Dotted names of two modules of this package.
    names : tuple of str
        What is taken from the target.
    line : int
        Where.
    """

    module: str
    target: str
    names: tuple[str, ...]
    line: int

    def __str__(self) -> str:
        return f"{self.module}, line {self.line}: {'.'.join((self.target, *self.names))}"


def modules() -> dict[str, Module]:
    """All source files of the package, by name."""
    found = {}
    for path in sorted(SOURCES.rglob("*.py")):
        parts = path.relative_to(SOURCES.parent).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        found[name] = Module(name, path.read_text(encoding="utf-8"), is_package)
    return found


def package_of(module: str) -> str:
    """The package of this house that a module belongs to: ``data`` for ``stmest.data.panel``, none for ``stmest`` itself."""
    return [*module.split("."), ""][1]


def references(known: dict[str, Module]) -> Iterator[Reference]:
    """All places where one of the modules names another."""
    for module in known.values():
        for node in ast.walk(ast.parse(module.source)):
            for path in _named_by(node, module, known):
                target = _module_in(path, known)
                if target and target != module.name:
                    names = path[len(target) :].strip(".")
                    yield Reference(module.name, target, (names,) if names else (), node.lineno)  # type: ignore[attr-defined]


def _named_by(node: ast.AST, module: Module, known: dict[str, Module]) -> Iterator[str]:
    """Dotted paths that a node of the syntax tree names, from the top of the package on."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = _absolute("." * node.level + (node.module or ""), module)
        yield from (f"{base}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = node.value
        if not all(part.isidentifier() for part in text.lstrip(".").split(".")):
            return
        if text.startswith(f"{NAME}."):
            yield text
        elif text.startswith(".") and _absolute(text, module) in known:  # and not ".csv"
            yield _absolute(text, module)
        elif "." in text and f"{NAME}.{text}" in known:  # such as "data.panel"
            yield f"{NAME}.{text}"


def _absolute(path: str, module: Module) -> str:
    """A path that may begin with dots, as a module means it."""
    dots = len(path) - len(path.lstrip("."))
    if not dots:
        return path
    here = module.name.split(".")
    base = here[: len(here) - dots + module.is_package]
    return ".".join([*base, *filter(None, [path[dots:]])])


def _module_in(path: str, known: dict[str, Module]) -> str:
    """The longest beginning of a path that is a module."""
    while path and path not in known:
        path = path.rpartition(".")[0]
    return path


def uses(known: dict[str, Module]) -> dict[str, set[str]]:
    """The packages that each package uses; `stmest` itself, which names all of them, is left out."""
    found: dict[str, set[str]] = {package: set() for floor in (*ORDER, tuple(BESIDE)) for package in floor}
    for reference in references(known):
        own, used = package_of(reference.module), package_of(reference.target)
        if own in found and used in found and own != used:
            found[own].add(used)
    return found


def without_short_cuts(direct: dict[str, set[str]]) -> dict[str, set[str]]:
    """The uses that no other use implies: a package is left out of a set if another of the set uses it, at whatever distance."""

    def below(package: str) -> set[str]:
        return direct[package].union(*map(below, direct[package]))

    return {package: used - set().union(*map(below, used)) for package, used in direct.items()}
