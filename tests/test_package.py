"""The package as a whole: lazy names, quick import, the order in which its parts may import each other."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import stmest

PACKAGE = Path(stmest.__file__).parent
# Which part may import which: a part imports from lower levels and its own.
LEVELS = {
    "exceptions": 0, "runtime": 0, "data": 1, "graphs": 1, "metrics": 1, "io": 2, "linear": 2, "ops": 2, "layers": 3,
    "networks": 4, "training": 5, "storage": 5, "prediction": 6, "forecasters": 7, "evaluation": 8, "sktime": 8, "plotting": 9,
    "cli": 9, "__main__": 10,
}  # fmt: skip
# beside the order: makes data for others, and knows nothing but data and graphs
DATASETS_MAY_USE = {"exceptions", "runtime", "data", "graphs", "datasets"}


def _run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_is_quick_and_loads_nothing_heavy():
    loaded = _run(
        "import sys, time; start = time.perf_counter(); import stmest; seconds = time.perf_counter() - start\n"
        "print(seconds, *sorted({name.split('.')[0] for name in sys.modules}))"
    ).split()
    assert not {"torch", "numpy", "sklearn", "pandas", "scipy", "skorch", "numba", "sktime"} & set(loaded[1:])
    assert float(loaded[0]) < 0.3


@pytest.mark.parametrize("name", [name for name in stmest.__all__ if name != "__version__"])
def test_every_public_name_can_be_had(name):
    value = getattr(stmest, name)
    assert value.__name__ == name
    assert value.__doc__


def test_names_are_listed_before_they_are_used():
    listed = _run("import stmest; print(*dir(stmest))").split()
    assert set(stmest.__all__) <= set(listed)
    assert set(stmest.public_names()) | {"__version__"} == set(stmest.__all__)


@pytest.mark.parametrize("name", stmest._SUBMODULES)
def test_parts_can_be_had_as_attributes(name):
    assert getattr(stmest, name) is importlib.import_module(f"stmest.{name}")


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="has no attribute 'STM4Forecaster'"):
        stmest.STM4Forecaster
    with pytest.raises(ImportError, match="STM4Forecaster"):
        from stmest import STM4Forecaster  # noqa: F401


def test_version_is_that_of_the_distribution():
    text = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{stmest.__version__}"\n' in text


def test_types_are_announced():
    assert (PACKAGE / "py.typed").is_file()


def _modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield path, tuple(part for part in parts if part != "__init__")


def _imports(path, module):
    """Modules of this package that a file imports, as paths of names, and whether at import time."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    here = module if path.name == "__init__.py" else module[:-1]
    for node, at_import in _walk(tree.body, True):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "stmest":
                    yield tuple(alias.name.split(".")[1:]), at_import
        elif node.level or (node.module or "").split(".")[0] == "stmest":
            base = here[: len(here) - node.level + 1] if node.level else ()
            named = tuple((node.module or "").split(".")) if node.module else ()
            target = base + (named if node.level else named[1:])
            for alias in node.names:
                yield (*target, alias.name), at_import


def _walk(body, at_import):
    """All import statements below, with whether they run when the module is imported."""
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, at_import
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _walk(node.body, False)
        else:
            type_checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            for field in ("body", "orelse", "finalbody", "handlers"):
                yield from _walk(getattr(node, field, []) or [], at_import and not type_checking)


def _file_of(target):
    """The module that an imported path of names lies in."""
    known = {module for _, module in _modules()}
    while target and target not in known:
        target = target[:-1]
    return target


def _violations(module, target):
    """Say what is wrong with one import, if anything is."""
    if not module:  # the package itself names its parts, lazily
        return None
    part = module[0]
    if not target:
        # only the command line may know the package (its version)
        return None if part == "cli" else f"{'.'.join(module)} imports from the package stmest itself"
    if part == "datasets":
        ok = target[0] in DATASETS_MAY_USE
    elif target[0] == "datasets":
        ok = LEVELS[part] >= LEVELS["evaluation"]
    else:
        ok = LEVELS[target[0]] <= LEVELS[part]
    return None if ok else f"{'.'.join(module)} imports {'.'.join(target)}"


def test_imports_follow_the_order_of_the_house():
    wrong = []
    for path, module in _modules():
        for names, _ in _imports(path, module):
            found = _violations(module, _file_of(names))
            if found:
                wrong.append(found)
    assert wrong == []


def test_modules_do_not_import_each_other_in_circles():
    edges = {
        module: {_file_of(names) for names, at_import in _imports(path, module) if at_import} - {module, ()}
        for path, module in _modules()
        if module
    }
    # A package's __init__ gathers its modules; it is no part of a circle among them.
    gathering = {module for module in edges if (PACKAGE.joinpath(*module) / "__init__.py").is_file()}
    order: list[tuple[str, ...]] = []

    def visit(module, above):
        assert module not in above, " -> ".join(".".join(m) for m in [*above, module])
        if module not in order:
            for target in edges[module] - (gathering if module[:1] in {g[:1] for g in gathering} else set()):
                visit(target, [*above, module])
            order.append(module)

    for module in sorted(edges):
        visit(module, [])
    assert len(order) == len(edges)


def test_every_part_has_its_place_in_the_order():
    parts = {module[0] for _, module in _modules() if module}
    assert parts - {"datasets"} <= set(LEVELS)


@pytest.mark.parametrize(
    ("module", "target"),
    [
        (("data", "x"), ("forecasters",)),
        (("datasets", "x"), ("ops",)),
        (("ops", "x"), ("datasets",)),
        (("data",), ()),
    ],
)
def test_the_check_itself_finds_wrong_imports(module, target):
    assert _violations(module, target) is not None
