"""Writes ``stmest/__init__.pyi``, from which editors and type checkers know the public names: ``python docs/public_names.py``.

The names themselves are imported when they are first used, which such tools cannot follow.
"""

from __future__ import annotations

from pathlib import Path

import stmest

__all__ = ["STUB", "stub"]

STUB = Path(__file__).parent.parent / "stmest" / "__init__.pyi"


def stub() -> str:
    """The stub: an import for each name, from the module that defines it."""
    own = {name: home for name, home in stmest.public_names().items() if home.startswith("stmest.")}
    found = [(".", name) for name in sorted(stmest._SUBMODULES)]
    found += sorted((home.removeprefix("stmest"), name) for name, home in own.items())
    lines = [f"from {home} import {name} as {name}" for home, name in found]
    return "\n".join(
        [
            "# Public names of stmest. Written by docs/public_names.py: run that, and change nothing here.",
            *lines,
            "",
            "__version__: str",
            "",
            "def public_names() -> dict[str, str]: ...",
            "",
        ]
    )


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")
