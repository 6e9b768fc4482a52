"""What the command line prints.

Builds on the standard library; used by all modules of the command line.
"""

from __future__ import annotations

import sys

__all__ = ["show", "silent"]


def show(line: str) -> None:
    """Print a line; signs that the output cannot show are escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def silent(line: str) -> None:
    """Show nothing."""
