"""What pyproject.toml declares is what the package imports: no more, no less."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

import stmest

tomllib = pytest.importorskip("tomllib", reason="the standard library reads TOML since Python 3.11")

PACKAGE = Path(stmest.__file__).parent
PROJECT = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS_OF_DEVELOPERS = {"bench", "dev", "docs", "test"}  # what runs beside the package
IMPORT_NAMES = {
    "scikit-learn": "sklearn",
    "chronos-forecasting": "chronos",
}  # others are called as they are imported
NOT_IMPORTED = {
    "networkx": "its graphs are recognised by their type and read by their own methods",
    "h5netcdf": "xarray loads it to read and write netCDF",
}
BROUGHT_ALONG = {
    "huggingface_hub": "chronos-forecasting needs it",
    "triton": "torch for CUDA needs it",
    "llvmlite": "numba needs exactly one version of it",
    "typing_extensions": "torch needs it; for type checkers only, until Python 3.11 is the least",
}


def names(requirements):
    """Import names of requirements such as ``"h5netcdf[h5py]>=1.4; platform_system == 'Linux'"``."""
    distributions = [re.match(r"[\w.-]+", requirement).group() for requirement in requirements]
    return {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in distributions}


REQUIRED = names(PROJECT["dependencies"])
OPTIONAL = {
    extra: names(requirements)
    for extra, requirements in PROJECT["optional-dependencies"].items()
    if extra not in EXTRAS_OF_DEVELOPERS
}
OF_EXTRAS = set().union(*OPTIONAL.values())


def imports(tree):
    """(top-level module, whether importing the file imports it) of each import, also of those that are text."""
    at_import = {id(node) for node in tree.body}
    dynamic = any(getattr(node, "attr", None) == "import_module" for node in ast.walk(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], id(node) in at_import) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0], id(node) in at_import
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in (
            "require",
            "import_module",
        ):
            if isinstance(node.args[0], ast.Constant):
                yield node.args[0].value.split(".")[0], False
        elif dynamic and isinstance(node, ast.Constant) and node.value in OF_EXTRAS:
            yield node.value, False  # a table of what import_module is to load


FOUND = {
    found for path in PACKAGE.rglob("*.py") for found in imports(ast.parse(path.read_text(encoding="utf-8")))
}
IMPORTED = {name for name, _ in FOUND}


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_a_required_package_is_imported_by_a_module_that_cannot_do_without(name):
    assert (name, True) in FOUND


@pytest.mark.parametrize(
    ("extra", "name"), [(extra, name) for extra in OPTIONAL for name in sorted(OPTIONAL[extra])]
)
def test_a_package_of_an_extra_is_imported(extra, name):
    assert name in IMPORTED or name in NOT_IMPORTED


def test_nothing_else_is_imported():
    others = IMPORTED - set(sys.stdlib_module_names) - {"stmest"} - set(BROUGHT_ALONG)
    assert others <= REQUIRED | OF_EXTRAS


def test_no_exception_has_outlived_its_reason():
    assert not IMPORTED & set(NOT_IMPORTED)
    assert set(NOT_IMPORTED) <= OF_EXTRAS
    assert set(BROUGHT_ALONG) <= IMPORTED


def test_the_search_itself_finds_what_it_looks_for():
    code = """
import a.b
from . import own
def f():
    from c import d
    require("e.f", "io")
    importlib.import_module("g")
TABLE = {"mamba_ssm": ("mamba_ssm.ops", "scan")}
"""
    found = {("a", True), ("c", False), ("e", False), ("g", False), ("mamba_ssm", False)}
    assert set(imports(ast.parse(code))) == found
    assert names(["scikit-learn>=1", "h5netcdf[h5py]>=1.4; python_version > '3'", "torch-geometric"]) == {
        "sklearn",
        "h5netcdf",
        "torch_geometric",
    }
