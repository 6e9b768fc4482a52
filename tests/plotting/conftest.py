"""What all tests of this folder have in common."""

from __future__ import annotations

from tests.believed import believed

__all__ = ["believed"]
