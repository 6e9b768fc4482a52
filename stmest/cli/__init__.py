"""The command line: ``stmest report``."""

from __future__ import annotations

from .report import main

__all__ = ["main"]
