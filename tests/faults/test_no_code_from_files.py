"""Promise: the library runs no code that comes from a file or a text, and opens no connection unasked."""

from __future__ import annotations

import ast
from pathlib import Path

import stmest

FORBIDDEN_MODULES = {
    "pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "urllib", "requests", "http", "socket", "pooch",
}  # fmt: skip
# The one place that downloads, by `fetch_panel` alone, what a checksum then identifies
MAY_DOWNLOAD = {"datasets/real.py": ["pooch"]}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}


def _wrongs(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in FORBIDDEN_MODULES)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            if (node.module or "").split(".")[0] in FORBIDDEN_MODULES:
                yield node.module
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in FORBIDDEN_CALLS or called in ("torch.load", "torch.hub.load", "pd.read_pickle"):
                yield called
            for keyword in node.keywords:
                if keyword.arg == "allow_pickle" and getattr(keyword.value, "value", None) is not False:
                    yield "allow_pickle"


def test_no_module_of_the_package_does_so():
    package = Path(stmest.__file__).parent
    found = {
        path.relative_to(package).as_posix(): wrongs
        for path in sorted(package.rglob("*.py"))
        if (wrongs := list(_wrongs(ast.parse(path.read_text(encoding="utf-8")))))
    }
    assert found == MAY_DOWNLOAD


def test_the_check_itself_finds_what_it_looks_for():
    for code in (
        "import pickle",
        "from urllib.request import urlopen",
        "torch.load(p)",
        "eval(x)",
        "np.load(p, allow_pickle=True)",
    ):
        assert list(_wrongs(ast.parse(code)))
