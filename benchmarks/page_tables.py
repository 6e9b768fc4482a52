"""The tables of results in README and docs, made from the stored results.

    python benchmarks/page_tables.py [--write]

A table stands between the lines ``<!-- results: NAME -->`` and ``<!-- end of results -->``; NAME is one of those in
`TABLES`. Without ``--write``, tables that differ from the stored results are named, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import _part_tables
import _tables

TABLES = {**_tables.TABLES, **_part_tables.TABLES}
ROOT = Path(__file__).resolve().parent.parent
_MARKED = re.compile(
    r"(<!-- results: (?P<name>[\w-]+) -->\n)(?P<table>.*?)(<!-- end of results -->)", re.DOTALL
)
_BUILT = ("_build", "reference", "auto_gallery")


def pages() -> list[Path]:
    """README and the pages of the documentation."""
    docs = ROOT / "docs"
    written = (page for page in sorted(docs.rglob("*.md")) if page.relative_to(docs).parts[0] not in _BUILT)
    return [ROOT / "README.md", *written]


def renewed(text: str) -> tuple[str, list[str]]:
    """The text of a page with its tables made anew, and the names of those that differed."""
    differed: list[str] = []

    def table(found: re.Match[str]) -> str:
        new = TABLES[found["name"]]()
        if new != found["table"]:
            differed.append(found["name"])
        return found[1] + new + found[4]

    return _MARKED.sub(table, text), differed


def main() -> int:
    """Compare all tables, or write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="write the tables that differ")
    write = parser.parse_args().write
    wrong = 0
    for page in pages():
        text, differed = renewed(page.read_text(encoding="utf-8"))
        for name in differed:
            sys.stdout.write(
                f"{page.relative_to(ROOT)}: table {name} {'written' if write else 'is not that of the stored results'}\n"
            )
        wrong += len(differed)
        if write and differed:
            page.write_text(text, encoding="utf-8")
    return 0 if write or not wrong else 1


if __name__ == "__main__":
    raise SystemExit(main())
