"""Paragraphs that the docstrings of many pictures share, written once."""

from __future__ import annotations

import re
import textwrap
from typing import Any, TypeVar

__all__ = ["fill_in"]

_PARAGRAPHS = {
    "axis": """\
axes : matplotlib Axes, optional
    Where to draw; default a new figure, not known to pyplot.""",
    "axes": """\
axes : sequence of matplotlib Axes, optional
    Where to draw, {}; default a new figure, not known to pyplot.""",
    "title": """\
title : str, optional
    Title of the new figure; not written where `axes` are given.""",
    "unit": """\
unit : str, optional
    Unit of the {}, for the axes.""",
    "figure": """\
figure_ : matplotlib Figure
    The figure they are in.""",
    "panel": """\
Returns
-------
ndarray of matplotlib Axes, of shape (1,)
    The panel.""",
    "matplotlib": """\
MissingDependencyError
    If matplotlib is not installed.""",
}
_MARK = re.compile(r"^( *)\{(\w+)(?:: ([^}]+))?\}$", flags=re.MULTILINE)

Documented = TypeVar("Documented", bound=Any)


def fill_in(documented: Documented) -> Documented:
    """Decorator: put the shared paragraphs into the docstring.

    They take the place of marks on lines of their own, such as ``{title}`` or, with a detail, ``{axes: one per node}``.

    Parameters
    ----------
    documented : function or class
        Whose docstring has the marks.

    Returns
    -------
    function or class
        The same.
    """

    def paragraph(mark: re.Match[str]) -> str:
        indent, name, detail = mark.groups()
        return textwrap.indent(_PARAGRAPHS[name].format(detail), indent)

    if documented.__doc__:  # absent under python -OO
        documented.__doc__ = _MARK.sub(paragraph, documented.__doc__)
    return documented
