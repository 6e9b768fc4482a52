"""Constructors whose errors name the forecaster and the parameter that was meant.

Builds on the standard library only; used by `BaseForecaster`.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from typing import Any

__all__ = ["name_the_forecaster"]


def name_the_forecaster(cls: type) -> None:
    """Let the constructor of a forecaster say which parameters it has, where one is misspelt.

    Python's own error would name the dataclass that declares the parameters, and not the nearest name.

    Parameters
    ----------
    cls : type
        Class of a forecaster; its ``__init__``, also an inherited one, gets a check in front. Its signature stays.
    """
    declared: Any = inspect.unwrap(cls.__init__)  # type: ignore[misc]
    known = [p.name for p in inspect.signature(declared).parameters.values() if p.kind is p.KEYWORD_ONLY]

    @functools.wraps(declared)
    def __init__(self: Any, *args: Any, **parameters: Any) -> None:
        if args:
            raise TypeError(
                f"{type(self).__name__} takes its parameters by name only, got {len(args)} without a name: "
                f"{type(self).__name__}({known[0] if known else ''}=...)."
            )
        unknown = next((name for name in parameters if name not in known), None)
        if unknown is not None:
            near = difflib.get_close_matches(unknown, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}."
            raise TypeError(f"{type(self).__name__} has no parameter {unknown!r}; {hint}")
        declared(self, **parameters)

    cls.__init__ = __init__  # type: ignore[misc]
